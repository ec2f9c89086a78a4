#include "checkin.h"

#include "checkin_rules.h"
#include "domain/assertion.h"
#include "events.h"
#include "fleet_parts.h"
#include "operations.h"
#include "parameters.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t checkin_digest(struct amm_view body)
{
    /* Kept in the store: not keyed by the process. */
    static const struct amm_siphash_key key = {0x616d6d2d63686563, 0x6b2d696e2d626f64};
    return amm_siphash(&key, body.data, body.len);
}

/* What the steps of one check-in share. */
struct turn {
    struct fleet *fleet;
    struct fleet_gateway *gateway;
    struct amm_checkin *message;
    struct amm_checkin_answer *answer;
    struct fleet_error *error;
    int64_t now; /* wall seconds */
    struct amm_now clock;
};

static bool store_failed(struct turn *t)
{
    return fleet_store_refused(t->fleet, AMM_STORE_FAILED, t->error);
}

/* ---- events, results, changes ---- */

static bool may_keep(struct turn *t, const char *what)
{
    bool may = event_may_keep(t->fleet, t->gateway, t->clock);
    if (!may) {
        amm_refusals_add(&t->answer->refused, what, "more than can be kept of one gateway");
    }
    return may;
}

static bool take_events(struct turn *t)
{
    struct fleet_gateway *gateway = t->gateway;
    for (size_t i = 0; i < t->message->n_events; i++) {
        const struct amm_checkin_event *event = &t->message->events[i];
        if (event->id <= gateway->events_seen) {
            continue;
        }
        if (!may_keep(t, "events")) {
            break;
        }
        if (!event_add_reported(t->fleet, gateway, event, t->now)) {
            return store_failed(t);
        }
    }
    /* Also those that had no legal form: they are named in `refused` and must not come again. */
    if (t->message->event_last > gateway->events_seen) {
        gateway->events_seen = t->message->event_last;
    }
    return true;
}

/* "settings-8": the gateway's word about the set with that revision. */
static bool take_settings_result(struct turn *t, const struct amm_checkin_result *result)
{
    struct fleet_gateway *gateway = t->gateway;
    char text[AMM_CHECKIN_TEXT + 64];
    int64_t revision = strtoll(result->id + strlen("settings-"), NULL, 10);
    bool failed = result->state == AMM_OPERATION_FAILED || result->state == AMM_OPERATION_REFUSED;
    if (revision != gateway->revision) {
        return true; /* of a set that is history */
    }
    if (!failed) {
        gateway->revision_failed = 0;
        return fleet_text_set(&gateway->settings_error, "") || fleet_no_memory(t->error);
    }
    if (gateway->revision_failed == revision) {
        return true;
    }
    gateway->revision_failed = revision;
    snprintf(text, sizeof text, "The gateway could not take the settings: %s", result->text);
    if (!event_add(t->fleet, gateway, "settings-failed", text, NULL, t->now)) {
        return store_failed(t);
    }
    return fleet_text_set(&gateway->settings_error, result->text) || fleet_no_memory(t->error);
}

static bool take_results(struct turn *t)
{
    for (size_t i = 0; i < t->message->n_results; i++) {
        const struct amm_checkin_result *result = &t->message->results[i];
        bool good = strncmp(result->id, "settings-", strlen("settings-")) == 0
                        ? take_settings_result(t, result)
                        : operation_result(t->fleet, t->gateway, result, t->now) || store_failed(t);
        if (!good) {
            return false;
        }
    }
    return true;
}

static bool take_changes(struct turn *t)
{
    /* Left out: as it was (GP-43). */
    unsigned clock = t->message->has_time ? (unsigned)t->message->clock : t->gateway->clock;
    bool clock_is_good = clock != AMM_CLOCK_NONE;
    for (size_t i = 0; i < t->message->n_changes && may_keep(t, "changes"); i++) {
        if (!parameters_local_change(t->fleet, t->gateway, &t->message->changes[i], clock_is_good,
                                     t->now)) {
            return store_failed(t);
        }
    }
    return true;
}

/* ---- values ---- */

struct refusing {
    struct amm_refusals *refused;
    const char *what;
};

static void refuse_value(void *context, const char *name)
{
    struct refusing *refusing = context;
    char field[AMM_STAT_NAME_MAX + 24];
    snprintf(field, sizeof field, "%s.%s", refusing->what, name);
    amm_refusals_add(refusing->refused, field, "no room: the values take more than 16 KiB");
}

/* Members that are missing are an empty object: in a full check-in that means that there are none.
 */
static bool merge(struct turn *t, struct values **slot, enum values_kind kind, json_t *changes,
                  bool is_full)
{
    struct refusing refusing = {&t->answer->refused, kind == VALUES_STATS ? "stats" : "parameters"};
    struct values *made = NULL;
    if (!changes && !is_full) {
        return true;
    }
    if (!values_merge(&made, is_full ? NULL : *slot, kind, changes, refuse_value, &refusing)) {
        return fleet_no_memory(t->error);
    }
    values_free(*slot);
    *slot = made;
    return true;
}

static bool write_values(struct turn *t)
{
    json_t *stats = values_to_json(t->gateway->stats, VALUES_STATS);
    json_t *parameters = values_to_json(t->gateway->reported, VALUES_PARAMETERS);
    char *stats_text = stats ? json_dumps(stats, JSON_COMPACT) : NULL;
    char *parameters_text = parameters ? json_dumps(parameters, JSON_COMPACT) : NULL;
    bool good = stats_text && parameters_text;
    enum amm_store_result result = AMM_STORE_OK;
    if (good) {
        result = amm_store_run(
            t->fleet->store, AMM_SQL_GATEWAY_VALUES,
            AMM_WITH(amm_number(t->gateway->id), amm_text(stats_text), amm_text(parameters_text)));
    }
    json_decref(stats);
    json_decref(parameters);
    free(stats_text);
    free(parameters_text);
    if (!good) {
        return fleet_no_memory(t->error);
    }
    return result == AMM_STORE_OK || fleet_store_refused(t->fleet, result, t->error);
}

/* GP-42. A state that we do not have cannot be built on: nothing of it is taken. */
static bool take_values(struct turn *t)
{
    struct amm_checkin *message = t->message;
    struct fleet_gateway *gateway = t->gateway;
    bool is_full = message->base[0] == '\0';
    if (!is_full && strcmp(message->base, gateway->hash) != 0) {
        gateway->want_full = true;
        return true;
    }
    gateway->want_full = false;
    snprintf(gateway->hash, sizeof gateway->hash, "%s", message->hash);
    if (!is_full && !message->stats && !message->parameters) {
        return true;
    }
    if (message->stats) {
        json_object_del(message->stats, "ManagementTunnel-IPAddress"); /* ours to say */
    }
    fleet_touch_gateway(t->fleet, gateway, FLEET_VALUES);
    return merge(t, &gateway->stats, VALUES_STATS, message->stats, is_full) &&
           merge(t, &gateway->reported, VALUES_PARAMETERS, message->parameters, is_full) &&
           write_values(t);
}

/* ---- the rest ---- */

static void take_state(struct turn *t, uint64_t digest)
{
    const struct amm_checkin *message = t->message;
    struct fleet_gateway *gateway = t->gateway;
    gateway->seq = message->seq;
    gateway->body_digest = digest;
    if (message->has_boot) {
        gateway->boot = message->boot;
    }
    if (message->has_uptime) {
        gateway->booted_at = t->now - message->uptime;
    }
    if (message->has_time) {
        int64_t skew = message->time - t->now;
        gateway->clock = (uint8_t)message->clock;
        gateway->clock_skew = skew > INT32_MAX    ? INT32_MAX
                              : skew <= INT32_MIN ? INT32_MIN + 1
                                                  : (int32_t)skew;
    }
    if (message->has_revision) {
        gateway->revision_taken = message->revision;
    }
    if (message->has_tunnel) {
        snprintf(gateway->tunnel_hash, sizeof gateway->tunnel_hash, "%s", message->tunnel);
    }
    if (gateway->first_checkin == 0) {
        gateway->first_checkin = t->now;
    }
    gateway->last_checkin = t->now;
    gateway->slot_at = 0;
    gateway->late_noted = false;
}

static bool take_new(struct turn *t, uint64_t digest)
{
    struct fleet_gateway *gateway = t->gateway;
    char text[80];
    fleet_touch_gateway(t->fleet, gateway, FLEET_CHECKED_IN);
    if (gateway->late_noted) {
        snprintf(text, sizeof text, "checked in again after %lld min",
                 (long long)(t->now - gateway->last_checkin) / 60);
        if (!event_add(t->fleet, gateway, "back", text, NULL, t->now)) {
            return store_failed(t);
        }
    }
    if (!take_events(t) || !take_results(t) || !take_changes(t) || !take_values(t)) {
        return false;
    }
    take_state(t, digest);
    return true;
}

/* GP-71: told to who asks and has another one. */
static void tell_remote_key(struct turn *t, const uint8_t *key)
{
    char name[AMM_ASSERTION_KEY_NAME];
    struct amm_checkin_answer *answer = t->answer;
    if (!key || !t->message->has_remote_key) {
        return;
    }
    amm_assertion_key_name(key, name);
    answer->has_remote_key = strcmp(name, t->message->remote_key) != 0;
    memcpy(answer->remote_key, key, sizeof answer->remote_key);
}

/* What the gateway shall do and set. */
static bool give_orders(struct turn *t, const struct checkin_input *input)
{
    struct amm_checkin_answer *answer = t->answer;
    struct fleet_gateway *gateway = t->gateway;
    bool failed = false;
    if (!answer->full) {
        answer->set = parameters_offer(t->fleet, gateway, &failed);
        answer->revision = answer->set ? gateway->revision : 0;
    }
    if (failed) {
        return fleet_no_memory(t->error);
    }
    if (input->tunnel_hash && strcmp(input->tunnel_hash, gateway->tunnel_hash) != 0) {
        snprintf(answer->tunnel, sizeof answer->tunnel, "%s", input->tunnel_hash);
    }
    tell_remote_key(t, input->remote_key);
    if (gateway->open_operations == 0) {
        return true;
    }
    answer->operations = calloc(AMM_CHECKIN_OPERATIONS, sizeof *answer->operations);
    if (!answer->operations) {
        return fleet_no_memory(t->error);
    }
    return operations_take(t->fleet, gateway, t->now, answer->operations, AMM_CHECKIN_OPERATIONS,
                           &answer->n_operations) ||
           store_failed(t);
}

/* Hourly: what a slow network explains is forgotten. */
static void note_stale(struct fleet_gateway *gateway, int64_t now)
{
    if (now - gateway->stale_at >= 3600) {
        gateway->stale_at = now;
        gateway->stale_seen = 0;
    }
    if (gateway->stale_seen < UINT8_MAX) {
        gateway->stale_seen++;
    }
}

static bool judge(struct turn *t, uint64_t digest, enum checkin_age *age, bool *quarantined)
{
    struct fleet_gateway *gateway = t->gateway;
    struct checkin_numbers last = {gateway->seq, gateway->boot, gateway->body_digest, true};
    struct checkin_numbers message = {t->message->seq, t->message->boot, digest,
                                      t->message->has_boot};
    struct checkin_verdict verdict = checkin_judge(&last, &message, gateway->stale_seen);
    *age = verdict.age;
    if (verdict.age == CHECKIN_OLD) {
        note_stale(gateway, t->now);
    }
    if (!verdict.is_clone) {
        return true;
    }
    if (!fleet_gateway_cloned(t->fleet, gateway, verdict.how, t->now, t->error)) {
        return false;
    }
    *quarantined = gateway->access == FLEET_QUARANTINED;
    return true;
}

bool checkin_take(struct fleet *fleet, struct fleet_gateway *gateway,
                  const struct checkin_input *input, struct amm_checkin_answer *answer,
                  bool *quarantined, struct fleet_error *error)
{
    struct turn t = {fleet, gateway, input->message, answer, error, input->now.wall, input->now};
    enum checkin_age age;
    *quarantined = false;
    *answer = (struct amm_checkin_answer){.time = input->now.wall, .seq = input->message->seq};
    answer->refused = input->message->refused;
    fleet_touch_gateway(fleet, gateway, 0);
    if (!judge(&t, input->digest, &age, quarantined)) {
        return false;
    }
    if (*quarantined) {
        return true;
    }
    bool good = age != CHECKIN_NEW || take_new(&t, input->digest);
    fleet_sync_update(gateway);
    answer->events = gateway->events_seen;
    answer->interval = fleet_interval(gateway);
    /* A repetition is told what it was told. An older one is answered for politeness only, and with
     * the number that was taken: a gateway whose memory was lost goes on from there (GP-41). */
    answer->seq = age == CHECKIN_OLD ? gateway->seq : answer->seq;
    answer->full = age != CHECKIN_OLD && strcmp(input->message->hash, gateway->hash) != 0;
    good = good && (age == CHECKIN_OLD || give_orders(&t, input)) &&
           fleet_seen_write(fleet, gateway, error);
    if (!good) {
        amm_checkin_answer_deinit(answer);
        *answer = (struct amm_checkin_answer){0};
        return false;
    }
    fleet_sync_update(gateway);
    return true;
}

/* ---- late ---- */

bool checkin_scan_late(struct fleet *fleet, size_t most, int64_t now)
{
    for (size_t i = 0; i < most && i < fleet->n_gateways; i++) {
        fleet->late_at = fleet->late_at < fleet->n_gateways ? fleet->late_at : 0;
        struct fleet_gateway *gateway = fleet->gateways[fleet->late_at++];
        char text[80];
        if (gateway->late_noted || gateway->access != FLEET_ADMITTED ||
            !fleet_is_late(gateway, now)) {
            continue;
        }
        fleet_touch_gateway(fleet, gateway, FLEET_CHECKED_IN);
        gateway->late_noted = true;
        snprintf(text, sizeof text, "no check-in for %lld min",
                 (long long)(now - gateway->last_checkin) / 60);
        if (!event_add(fleet, gateway, "late", text, NULL, now)) {
            return false;
        }
    }
    return true;
}
