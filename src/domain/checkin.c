#include "domain/checkin.h"

#include "members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *amm_clock_source_name(enum amm_clock_source source)
{
    static const char *const names[] = {
        [AMM_CLOCK_NONE] = "none",     [AMM_CLOCK_SYSTEM] = "system",
        [AMM_CLOCK_SERVER] = "server", [AMM_CLOCK_CELLULAR] = "cellular",
        [AMM_CLOCK_GPS] = "gps",       [AMM_CLOCK_NTP] = "ntp",
    };
    return source < AMM_CLOCK_SOURCES ? names[source] : "none";
}

const char *amm_operation_state_name(enum amm_operation_state state)
{
    static const char *const names[] = {
        [AMM_OPERATION_RUNNING] = "running",
        [AMM_OPERATION_DONE] = "done",
        [AMM_OPERATION_FAILED] = "failed",
        [AMM_OPERATION_REFUSED] = "refused",
    };
    return state < AMM_OPERATION_STATES ? names[state] : "failed";
}

/* ---- decoding ---- */

/* Takes over the legal members of `from`; each of the others is refused under `prefix`. */
static json_t *legal_members(const json_t *from, const char *prefix, size_t most,
                             const char *(*objection)(const char *name, const json_t *value),
                             struct amm_refusals *refused)
{
    const char *name;
    json_t *value;
    json_t *kept = json_object();
    json_object_foreach((json_t *)from, name, value)
    {
        char field[AMM_STAT_NAME_MAX + 24];
        const char *why = json_object_size(kept) == most ? "one too many" : objection(name, value);
        if (!why && json_object_set(kept, name, value) != 0) {
            why = "out of memory";
        }
        if (why) {
            snprintf(field, sizeof field, "%s.%.*s", prefix, AMM_STAT_NAME_MAX, name);
            amm_refusals_add(refused, field, why);
        }
    }
    return kept;
}

static const char *parameter_member_objection(const char *name, const json_t *value)
{
    uint32_t id;
    return parameter_id(name, &id) ? parameter_objection(value) : "not a parameter's number";
}

static bool refuse_element(struct amm_refusals *refused, const char *list, size_t i,
                           const struct amm_refusal *error)
{
    char field[160];
    snprintf(field, sizeof field, "%s.%zu.%s", list, i, error->field);
    amm_refusals_add(refused, field, error->text);
    return false;
}

static bool take_change(struct amm_checkin_change *out, const json_t *from,
                        struct amm_refusal *error)
{
    struct members m = {from, error, false};
    int64_t id = 0;
    take_whole(&m, "id", 1, 99999, REQUIRED, &id);
    take_whole(&m, "at", -JSON_WHOLE_MAX, JSON_WHOLE_MAX, REQUIRED, &out->at);
    take_text(&m, "by", out->by, sizeof out->by, REQUIRED);
    json_t *value = m.failed ? NULL : json_object_get(from, "value");
    const char *why = value ? parameter_objection(value) : "missing";
    if (why) {
        member_fail(&m, "value", why);
    }
    if (m.failed) {
        return false;
    }
    out->id = (uint32_t)id;
    out->value = json_incref(value);
    return true;
}

static json_t *small_object(struct members *m, const char *name, size_t most)
{
    json_t *data = take_object(m, name);
    if (data && json_dumpb(data, NULL, 0, JSON_COMPACT) > most) {
        member_fail(m, name, "too large");
        return NULL;
    }
    return data;
}

static bool take_event(struct amm_checkin_event *out, const json_t *from, uint64_t *last,
                       struct amm_refusal *error)
{
    struct members m = {from, error, false};
    int64_t id = 0;
    take_whole(&m, "id", 1, JSON_WHOLE_MAX, REQUIRED, &id);
    if (!m.failed && (uint64_t)id <= *last) {
        return member_fail(&m, "id", "not above the one before");
    }
    *last = (uint64_t)id > *last ? (uint64_t)id : *last;
    take_whole(&m, "at", -JSON_WHOLE_MAX, JSON_WHOLE_MAX, REQUIRED, &out->at);
    take_text(&m, "kind", out->kind, sizeof out->kind, REQUIRED);
    take_text(&m, "text", out->text, sizeof out->text, OPTIONAL);
    json_t *data = small_object(&m, "data", AMM_EVENT_DATA_MAX);
    if (!m.failed && !is_kind(out->kind)) {
        member_fail(&m, "kind", "not 1 to 32 lower-case letters, digits, '-'");
    }
    if (m.failed) {
        return false;
    }
    out->id = (uint64_t)id;
    out->data = json_incref(data);
    return true;
}

static bool take_result(struct amm_checkin_result *out, const json_t *from,
                        struct amm_refusal *error)
{
    struct members m = {from, error, false};
    char state[16] = "";
    take_text(&m, "id", out->id, sizeof out->id, REQUIRED);
    take_text(&m, "state", state, sizeof state, REQUIRED);
    take_text(&m, "text", out->text, sizeof out->text, OPTIONAL);
    json_t *data = take_object(&m, "data");
    unsigned i = 0;
    while (i < AMM_OPERATION_STATES &&
           strcmp(state, amm_operation_state_name((enum amm_operation_state)i)) != 0) {
        i++;
    }
    if (!m.failed && i == AMM_OPERATION_STATES) {
        member_fail(&m, "state", "none of running, done, failed, refused");
    }
    if (!m.failed && !is_id(out->id)) {
        member_fail(&m, "id", "not 1 to 40 letters, digits, '-'");
    }
    if (m.failed) {
        return false;
    }
    out->state = (enum amm_operation_state)i;
    out->data = json_incref(data);
    return true;
}

static bool take_lists(struct amm_checkin *out, struct members *m)
{
    size_t i;
    json_t *one;
    struct amm_refusal error;
    json_t *changes = take_array(m, "changes", AMM_CHECKIN_CHANGES);
    json_t *events = take_array(m, "events", AMM_CHECKIN_EVENTS);
    json_t *results = take_array(m, "results", AMM_CHECKIN_RESULTS);
    out->changes = calloc(json_array_size(changes) + 1, sizeof *out->changes);
    out->events = calloc(json_array_size(events) + 1, sizeof *out->events);
    out->results = calloc(json_array_size(results) + 1, sizeof *out->results);
    if (!out->changes || !out->events || !out->results) {
        return member_fail(m, "", "out of memory");
    }
    json_array_foreach(changes, i, one)
    {
        out->n_changes += take_change(&out->changes[out->n_changes], one, &error) ||
                          refuse_element(&out->refused, "changes", i, &error);
    }
    json_array_foreach(events, i, one)
    {
        out->n_events += take_event(&out->events[out->n_events], one, &out->event_last, &error) ||
                         refuse_element(&out->refused, "events", i, &error);
    }
    json_array_foreach(results, i, one)
    {
        out->n_results += take_result(&out->results[out->n_results], one, &error) ||
                          refuse_element(&out->refused, "results", i, &error);
    }
    return !m->failed;
}

static void take_clock(struct amm_checkin *out, struct members *m)
{
    char name[16] = "none";
    out->has_time = take_whole(m, "time", -JSON_WHOLE_MAX, JSON_WHOLE_MAX, OPTIONAL, &out->time);
    take_text(m, "clock", name, sizeof name, OPTIONAL);
    for (unsigned i = 0; i < AMM_CLOCK_SOURCES; i++) {
        if (strcmp(name, amm_clock_source_name((enum amm_clock_source)i)) == 0) {
            out->clock = (enum amm_clock_source)i;
        }
    }
}

static void take_head(struct amm_checkin *out, struct members *m)
{
    int64_t version = 0, seq = 0, boot = 0;
    take_whole(m, "v", AMM_CHECKIN_VERSION, AMM_CHECKIN_VERSION, REQUIRED, &version);
    take_whole(m, "seq", 1, JSON_WHOLE_MAX, REQUIRED, &seq);
    take_hash(m, "base", out->base, true, REQUIRED);
    take_hash(m, "hash", out->hash, false, REQUIRED);
    out->has_boot = take_whole(m, "boot", 0, UINT32_MAX, OPTIONAL, &boot);
    out->has_uptime = take_whole(m, "uptime", 0, JSON_WHOLE_MAX, OPTIONAL, &out->uptime);
    out->has_revision = take_whole(m, "revision", 0, JSON_WHOLE_MAX, OPTIONAL, &out->revision);
    out->has_tunnel = take_hash(m, "tunnel", out->tunnel, true, OPTIONAL);
    out->has_remote_key = take_hash(m, "remote_access_key", out->remote_key, true, OPTIONAL);
    take_clock(out, m);
    out->seq = (uint64_t)seq;
    out->boot = (uint32_t)boot;
}

bool amm_checkin_decode(struct amm_checkin *out, struct amm_view body, struct amm_refusal *error)
{
    *out = (struct amm_checkin){0};
    json_t *object = object_load(body, AMM_CHECKIN_BODY_MAX, error);
    struct members m = {object, error, object == NULL};
    take_head(out, &m);
    json_t *stats = take_object(&m, "stats");
    json_t *parameters = take_object(&m, "parameters");
    bool ok = take_lists(out, &m);
    if (ok && stats) {
        out->stats =
            legal_members(stats, "stats", AMM_STATS_MAX, amm_stat_objection, &out->refused);
    }
    if (ok && parameters) {
        out->parameters = legal_members(parameters, "parameters", AMM_PARAMETERS_MAX,
                                        parameter_member_objection, &out->refused);
    }
    json_decref(object);
    return ok;
}

void amm_checkin_deinit(struct amm_checkin *checkin)
{
    for (size_t i = 0; i < checkin->n_changes; i++) {
        json_decref(checkin->changes[i].value);
    }
    for (size_t i = 0; i < checkin->n_events; i++) {
        json_decref(checkin->events[i].data);
    }
    for (size_t i = 0; i < checkin->n_results; i++) {
        json_decref(checkin->results[i].data);
    }
    free(checkin->changes);
    free(checkin->events);
    free(checkin->results);
    json_decref(checkin->stats);
    json_decref(checkin->parameters);
    *checkin = (struct amm_checkin){0};
}

/* ---- encoding ---- */

static json_t *change_json(const struct amm_checkin_change *change)
{
    return json_pack("{sI sO sI ss}", "id", (json_int_t)change->id, "value", change->value, "at",
                     (json_int_t)change->at, "by", change->by);
}

static json_t *event_json(const struct amm_checkin_event *event)
{
    json_t *one = json_pack("{sI sI ss ss}", "id", (json_int_t)event->id, "at",
                            (json_int_t)event->at, "kind", event->kind, "text", event->text);
    if (one && event->data && json_object_set(one, "data", event->data) != 0) {
        json_decref(one);
        return NULL;
    }
    return one;
}

static json_t *result_json(const struct amm_checkin_result *result)
{
    json_t *one = json_pack("{ss ss ss}", "id", result->id, "state",
                            amm_operation_state_name(result->state), "text", result->text);
    if (one && result->data && json_object_set(one, "data", result->data) != 0) {
        json_decref(one);
        return NULL;
    }
    return one;
}

static bool put_lists(json_t *object, const struct amm_checkin *c)
{
    json_t *changes = c->n_changes ? json_array() : NULL;
    json_t *events = c->n_events ? json_array() : NULL;
    json_t *results = c->n_results ? json_array() : NULL;
    bool ok = true;
    for (size_t i = 0; i < c->n_changes; i++) {
        ok = append(changes, change_json(&c->changes[i])) && ok;
    }
    for (size_t i = 0; i < c->n_events; i++) {
        ok = append(events, event_json(&c->events[i])) && ok;
    }
    for (size_t i = 0; i < c->n_results; i++) {
        ok = append(results, result_json(&c->results[i])) && ok;
    }
    ok = (c->n_changes == 0 || put(object, "changes", changes)) && ok;
    ok = (c->n_events == 0 || put(object, "events", events)) && ok;
    return (c->n_results == 0 || put(object, "results", results)) && ok;
}

static bool put_head(json_t *o, const struct amm_checkin *c)
{
    return put(o, "v", json_integer(AMM_CHECKIN_VERSION)) &&
           put(o, "seq", json_integer((json_int_t)c->seq)) &&
           put(o, "base", json_string(c->base)) && put(o, "hash", json_string(c->hash)) &&
           (!c->has_boot || put(o, "boot", json_integer(c->boot))) &&
           (!c->has_uptime || put(o, "uptime", json_integer(c->uptime))) &&
           (!c->has_time || (put(o, "time", json_integer(c->time)) &&
                             put(o, "clock", json_string(amm_clock_source_name(c->clock))))) &&
           (!c->has_revision || put(o, "revision", json_integer(c->revision))) &&
           (!c->has_tunnel || put(o, "tunnel", json_string(c->tunnel))) &&
           (!c->has_remote_key || put(o, "remote_access_key", json_string(c->remote_key)));
}

char *amm_checkin_encode(const struct amm_checkin *c, size_t *len)
{
    json_t *object = json_object();
    bool ok = put_head(object, c) && put_lists(object, c) &&
              (!c->stats || json_object_set(object, "stats", c->stats) == 0) &&
              (!c->parameters || json_object_set(object, "parameters", c->parameters) == 0);
    return object_dump(object, ok, len);
}
