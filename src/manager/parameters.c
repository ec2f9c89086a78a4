#include "parameters.h"

#include "fleet_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what is pending ---- */

static bool differs(const struct fleet_gateway *gateway, const struct fleet_desired *desired)
{
    char reported[AMM_PARAMETER_TEXT_MAX];
    return !fleet_reported(gateway, desired->id, reported, sizeof reported) ||
           strcmp(reported, desired->value) != 0;
}

/* Calls `each` for what is desired and not so, until it returns false. A setting that a nearer one
 * masks does not count, nor does one that the gateway's own page has the last word on. */
static void each_pending(const struct fleet_gateway *gateway,
                         bool (*each)(void *context, const struct fleet_desired *desired),
                         void *context)
{
    const struct fleet_settings *settings = &gateway->desired;
    const struct fleet_group *group = gateway->group;
    for (;;) {
        for (uint32_t i = 0; i < settings->n; i++) {
            const struct fleet_desired *desired = &settings->at[i];
            if (!desired->local && fleet_desired(gateway, desired->id, NULL) == desired &&
                differs(gateway, desired) && !each(context, desired)) {
                return;
            }
        }
        if (!group) {
            return;
        }
        settings = &group->template;
        group = group->parent;
    }
}

static bool stop(void *context, const struct fleet_desired *desired)
{
    (void)desired;
    *(bool *)context = true;
    return false;
}

bool parameters_are_pending(const struct fleet_gateway *gateway)
{
    bool found = false;
    each_pending(gateway, stop, &found);
    return found;
}

struct collection {
    json_t *set;
    bool failed;
};

static bool collect(void *context, const struct fleet_desired *desired)
{
    struct collection *collection = context;
    const struct amm_msci *msci = amm_msci_find(desired->id);
    struct amm_msci_value value;
    char id[16];
    if (!msci) {
        return true; /* of an older release that knew it */
    }
    snprintf(id, sizeof id, "%u", desired->id);
    snprintf(value.text, sizeof value.text, "%s", desired->value);
    collection->failed |=
        json_object_set_new(collection->set, id, amm_msci_to_json(msci, &value)) != 0;
    return !collection->failed;
}

json_t *parameters_pending(const struct fleet_gateway *gateway, bool *failed)
{
    struct collection collection = {.set = json_object()};
    collection.failed = !collection.set;
    if (!collection.failed) {
        each_pending(gateway, collect, &collection);
    }
    if (collection.failed || json_object_size(collection.set) == 0) {
        json_decref(collection.set);
        collection.set = NULL;
    }
    *failed = collection.failed;
    return collection.set;
}

json_t *parameters_offer(struct fleet *fleet, struct fleet_gateway *gateway, bool *failed)
{
    json_t *set = parameters_pending(gateway, failed);
    if (!set) {
        return NULL;
    }
    char *text = json_dumps(set, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text) {
        *failed = true;
        json_decref(set);
        return NULL;
    }
    /* Unkeyed, as it outlives the process; it only has to tell two sets of one gateway apart. */
    static const struct amm_siphash_key key = {0x616d6d, 0x7365747469};
    uint64_t digest = amm_siphash(&key, text, strlen(text));
    free(text);
    bool same = digest == gateway->offer;
    if (same && gateway->revision == gateway->revision_failed) {
        json_decref(set);
        return NULL;
    }
    fleet_touch_gateway(fleet, gateway, 0);
    if (!same || gateway->revision <= gateway->revision_taken) {
        int64_t last = gateway->revision > gateway->revision_taken ? gateway->revision
                                                                   : gateway->revision_taken;
        gateway->revision = last + 1;
        gateway->offer = digest;
    }
    return set;
}

/* ---- setting ---- */

struct change {
    const struct amm_msci *msci;
    bool removes;
    struct amm_msci_value value;
};

static bool parse_change(const char *name, const json_t *json, struct change *out,
                         struct fleet_error *error)
{
    char text[AMM_MSCI_ERROR];
    out->msci = amm_msci_find_word(amm_view_str(name));
    if (!out->msci) {
        return fleet_refuse(error, 400, "unknown-parameter", name,
                            "There is no parameter of this number or name (doc/msci.md).");
    }
    out->removes = json_is_null(json);
    if (!amm_msci_may_set(out->msci, AMM_MSCI_FROM_SERVER, text)) {
        return fleet_refuse(error, 400, "read-only", name, "%s", text);
    }
    if (!out->removes && !amm_msci_from_json(out->msci, json, &out->value, text)) {
        return fleet_refuse(error, 400, "bad-value", name, "%s", text);
    }
    return true;
}

bool parameters_check(const json_t *values, struct fleet_error *error)
{
    const char *name;
    json_t *json;
    if (!json_is_object(values) || json_object_size(values) == 0) {
        return fleet_refuse(error, 400, "no-values", "values",
                            "Values are an object by MSCIID or name.");
    }
    json_object_foreach((json_t *)values, name, json)
    {
        struct change change;
        if (!parse_change(name, json, &change, error)) {
            return false;
        }
    }
    return true;
}

/* Who is changed: a gateway, or a group's template. */
struct owner {
    struct fleet *fleet;
    struct fleet_gateway *gateway; /* NULL: the group */
    struct fleet_group *group;     /* of the gateway, too */
    const char *by;
    int64_t now;
};

static struct fleet_settings *settings_of(const struct owner *owner)
{
    return owner->gateway ? &owner->gateway->desired : &owner->group->template;
}

static enum amm_store_result write_history(const struct owner *owner, uint32_t id, const char *old,
                                           const char *new, bool local, int64_t at)
{
    return amm_store_run(owner->fleet->store, AMM_SQL_HISTORY_ADD,
                         AMM_WITH(amm_number(owner->group->tenant->id),
                                  owner->gateway ? amm_number(owner->gateway->id) : amm_null(),
                                  amm_number(owner->group->id), amm_number(id),
                                  old ? amm_text(old) : amm_null(),
                                  new ? amm_text(new) : amm_null(), amm_number(local),
                                  amm_number(at), amm_text(owner->by)));
}

static enum amm_store_result write_setting(const struct owner *owner, uint32_t id,
                                           const char *value, bool local)
{
    struct amm_store *store = owner->fleet->store;
    struct amm_value at = amm_number(owner->now), by = amm_text(owner->by);
    if (owner->gateway) {
        struct amm_value gateway = amm_number(owner->gateway->id);
        return value ? amm_store_run(store, AMM_SQL_DESIRED_SET,
                                     AMM_WITH(gateway, amm_number(id), amm_text(value),
                                              amm_number(local), at, by))
                     : amm_store_run(store, AMM_SQL_DESIRED_REMOVE,
                                     AMM_WITH(gateway, amm_number(id)));
    }
    struct amm_value tenant = amm_number(owner->group->tenant->id);
    struct amm_value group = amm_number(owner->group->id);
    return value ? amm_store_run(store, AMM_SQL_TEMPLATE_SET,
                                 AMM_WITH(tenant, group, amm_number(id), amm_text(value), at, by))
                 : amm_store_run(store, AMM_SQL_TEMPLATE_REMOVE,
                                 AMM_WITH(tenant, group, amm_number(id)));
}

static void note(const struct owner *owner)
{
    if (owner->gateway) {
        fleet_touch_gateway(owner->fleet, owner->gateway, FLEET_SETTINGS);
    } else {
        fleet_touch_one_group(owner->fleet, owner->group, FLEET_SETTINGS);
    }
}

void fleet_on_port(struct fleet *fleet,
                   bool (*may)(void *context, struct fleet_gateway *gateway,
                               struct fleet_group *group, uint32_t port, struct fleet_error *error),
                   void *context)
{
    fleet->may_use_port = may;
    fleet->port_context = context;
}

static bool may_desire(const struct owner *owner, uint32_t id, const char *value, bool local,
                       struct fleet_error *error)
{
    struct fleet *fleet = owner->fleet;
    return id != AMM_MSCI_TUNNEL_PORT || !value || local || !fleet->may_use_port ||
           fleet->may_use_port(fleet->port_context, owner->gateway, owner->group,
                               (uint32_t)strtoul(value, NULL, 10), error);
}

/* One setting, new or (value NULL) taken away; the store first. */
static bool put(const struct owner *owner, uint32_t id, const char *value, bool local,
                struct fleet_error *error)
{
    struct fleet_settings *settings = settings_of(owner);
    const struct fleet_desired *old = fleet_settings_find(settings, id);
    if (!old && !value) {
        return true;
    }
    if (!may_desire(owner, id, value, local, error)) {
        return false;
    }
    /* The same value again renews its time: it is the newest word now. */
    bool is_same = old && value && strcmp(old->value, value) == 0 && old->local == local;
    enum amm_store_result result =
        is_same ? AMM_STORE_OK
                : write_history(owner, id, old ? old->value : NULL, value, local, owner->now);
    if (result == AMM_STORE_OK) {
        result = write_setting(owner, id, value, local);
    }
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(owner->fleet, result, error);
    }
    note(owner);
    if (!value) {
        fleet_settings_drop(settings, (uint16_t)id);
        return true;
    }
    return fleet_settings_put(settings, (uint16_t)id, amm_view_str(value), local, owner->now,
                              amm_view_str(owner->by)) ||
           fleet_no_memory(error);
}

static bool set_all(const struct owner *owner, const json_t *values, struct fleet_error *error)
{
    const char *name;
    json_t *json;
    if (!parameters_check(values, error)) {
        return false;
    }
    json_object_foreach((json_t *)values, name, json)
    {
        struct change change;
        if (!parse_change(name, json, &change, error) ||
            !put(owner, change.msci->id, change.removes ? NULL : change.value.text, false, error)) {
            return false;
        }
    }
    return true;
}

/* Where a router without software of ours has its tunnel is the server's to say; the rest is not.
 */
static bool takes_settings(const struct fleet_gateway *gateway, const json_t *values,
                           struct fleet_error *error)
{
    const char *name;
    json_t *json;
    bool ok = true;
    json_object_foreach((json_t *)(uintptr_t)values, name, json)
    {
        const struct amm_msci *msci = amm_msci_find_word(amm_view_str(name));
        ok = ok && msci && msci->id == AMM_MSCI_TUNNEL_PORT;
    }
    return gateway->kind != FLEET_OPENVPN || ok ||
           fleet_refuse(error, 409, "not-supported", NULL,
                        "The router has no software of ours: of its settings only 10034, the "
                        "tunnel port, is the server's.");
}

bool parameters_set(struct fleet *fleet, struct fleet_gateway *gateway, const json_t *values,
                    const char *by, int64_t now, struct fleet_error *error)
{
    struct owner owner = {fleet, gateway, gateway->group, by, now};
    if (!takes_settings(gateway, values, error) || !set_all(&owner, values, error)) {
        return false;
    }
    fleet_sync_update(gateway);
    return true;
}

bool parameters_set_template(struct fleet *fleet, struct fleet_group *group, const json_t *values,
                             const char *by, int64_t now, struct fleet_error *error)
{
    struct owner owner = {fleet, NULL, group, by, now};
    if (!set_all(&owner, values, error)) {
        return false;
    }
    fleet_sync_update_below(fleet, group);
    return true;
}

bool parameters_set_one(struct fleet *fleet, struct fleet_gateway *gateway, uint32_t id,
                        const char *value, const char *by, int64_t now, struct fleet_error *error)
{
    const struct amm_msci *msci = amm_msci_find(id);
    struct amm_msci_value canonical;
    char text[AMM_MSCI_ERROR], field[16];
    struct owner owner = {fleet, gateway, gateway->group, by, now};
    snprintf(field, sizeof field, "%u", id);
    if (!msci || !amm_msci_from_text(msci, amm_view_str(value), &canonical, text)) {
        return fleet_refuse(error, 400, "bad-value", field, "%s",
                            msci ? text : "There is no such parameter.");
    }
    if (!put(&owner, id, canonical.text, false, error)) {
        return false;
    }
    fleet_sync_update(gateway);
    return true;
}

bool parameters_retry(struct fleet *fleet, struct fleet_gateway *gateway, struct fleet_error *error)
{
    if (gateway->revision_failed == 0) {
        return true;
    }
    fleet_touch_gateway(fleet, gateway, FLEET_SETTINGS);
    gateway->revision_failed = 0;
    gateway->offer = 0;
    fleet_text_set(&gateway->settings_error, "");
    return fleet_seen_write(fleet, gateway, error);
}

/* ---- the gateway's own page ---- */

static bool change_text(const struct amm_msci *msci, const json_t *json, char *out, size_t room)
{
    struct amm_msci_value value;
    char error[AMM_MSCI_ERROR];
    if (msci->is_secret || !amm_msci_from_json(msci, json, &value, error)) {
        return false;
    }
    snprintf(out, room, "%s", value.text);
    return true;
}

bool parameters_local_change(struct fleet *fleet, struct fleet_gateway *gateway,
                             const struct amm_checkin_change *change, bool clock_is_good,
                             int64_t now)
{
    const struct amm_msci *msci = amm_msci_find(change->id);
    char by[96], value[AMM_MSCI_VALUE], old[AMM_PARAMETER_TEXT_MAX];
    if (!msci) {
        return true; /* of a newer release; its value is kept with the others */
    }
    /* It happened between the last check-in and now, whatever the gateway's clock says. */
    int64_t at = clock_is_good ? change->at : now;
    at = at < gateway->last_checkin ? gateway->last_checkin : at;
    at = at > now ? now : at;

    snprintf(by, sizeof by, "%.*s (on the gateway)", amm_text_part(change->by, 64), change->by);
    struct owner owner = {fleet, gateway, gateway->group, by, at};
    bool has_old = fleet_reported(gateway, change->id, old, sizeof old);
    if (!change_text(msci, change->value, value, sizeof value)) {
        /* A secret, or a value that we would not set: it is noted, nobody wins. */
        return write_history(&owner, change->id, has_old ? old : NULL,
                             msci->is_secret ? "(secret)" : NULL, true, at) == AMM_STORE_OK;
    }
    const struct fleet_desired *desired = fleet_desired(gateway, change->id, NULL);
    bool server_may = amm_msci_may_set(msci, AMM_MSCI_FROM_SERVER, (char[AMM_MSCI_ERROR]){0});
    if (server_may && desired && at > desired->at && strcmp(desired->value, value) != 0) {
        return put(&owner, change->id, value, true, NULL);
    }
    return write_history(&owner, change->id, has_old ? old : NULL, value, true, at) == AMM_STORE_OK;
}

bool parameters_adopt(struct fleet *fleet, struct fleet_gateway *gateway, const char *by,
                      int64_t now, struct fleet_error *error)
{
    struct owner owner = {fleet, gateway, gateway->group, by, now};
    for (size_t i = 0; amm_msci_at(i); i++) {
        const struct amm_msci *msci = amm_msci_at(i);
        struct amm_msci_value initial;
        char text[AMM_PARAMETER_TEXT_MAX], unused[AMM_MSCI_ERROR];
        if (msci->is_secret || !amm_msci_may_set(msci, AMM_MSCI_FROM_SERVER, unused) ||
            msci->id == AMM_MSCI_TUNNEL_PORT) {
            continue; /* the port goes with the place, which the replacement keeps */
        }
        const struct fleet_desired *desired = fleet_desired(gateway, msci->id, NULL);
        if (desired && !desired->local) {
            continue;
        }
        if (desired) {
            snprintf(text, sizeof text, "%s", desired->value);
        } else if (!fleet_reported(gateway, msci->id, text, sizeof text) ||
                   (amm_msci_initial(msci, &initial) && strcmp(initial.text, text) == 0)) {
            continue;
        }
        if (!put(&owner, msci->id, text, false, error)) {
            return false;
        }
    }
    fleet_sync_update(gateway);
    return true;
}
