#include "fleet_parts.h"

#include "io/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char fleet_empty[1] = "";

bool fleet_refuse(struct fleet_error *error, int status, const char *name, const char *field,
                  const char *format, ...)
{
    if (error) {
        va_list args;
        error->status = status;
        error->name = name;
        snprintf(error->field, sizeof error->field, "%s", field ? field : "");
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return false;
}

bool fleet_no_memory(struct fleet_error *error)
{
    return fleet_refuse(error, 503, "out-of-memory", NULL, "The server is out of memory.");
}

bool fleet_store_refused(struct fleet *fleet, enum amm_store_result result,
                         struct fleet_error *error)
{
    int status = result == AMM_STORE_FULL || result == AMM_STORE_READ_ONLY ? 507
                 : result == AMM_STORE_CONFLICT                            ? 409
                                                                           : 503;
    return fleet_refuse(error, status, amm_store_result_name(result), NULL, "%s",
                        amm_store_error(fleet->store));
}

bool fleet_text_set(char **slot, const char *text)
{
    char *copy = fleet_empty;
    if (text && text[0] != '\0') {
        copy = strdup(text);
        if (!copy) {
            return false;
        }
    }
    fleet_text_free(*slot);
    *slot = copy;
    return true;
}

void fleet_text_free(char *text)
{
    if (text != fleet_empty) {
        free(text);
    }
}

uint64_t fleet_hash(const struct fleet *fleet, const void *data, size_t len)
{
    return amm_siphash(&fleet->key, data, len);
}

/* ---- life ---- */

struct fleet *fleet_load(struct amm_store *store, int64_t now, char *error, size_t room)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);
    if (!fleet || getentropy(&fleet->key, sizeof fleet->key) != 0) {
        snprintf(error, room, "out of memory");
        free(fleet);
        return NULL;
    }
    fleet->store = store;
    fleet->identities_from = now - FLEET_IDENTITY_KEPT;
    if (!fleet_rows_load(fleet, now, error, room)) {
        return fleet_free(fleet);
    }
    return fleet;
}

struct fleet *fleet_free(struct fleet *fleet)
{
    if (!fleet) {
        return NULL;
    }
    while (fleet->n_gateways > 0) {
        fleet_gateway_forget(fleet, fleet->gateways[fleet->n_gateways - 1]);
    }
    while (fleet->n_tenants > 0) {
        fleet_tenant_forget(fleet, fleet->tenants[fleet->n_tenants - 1]);
    }
    index_deinit(&fleet->groups);
    index_deinit(&fleet->by_id);
    index_deinit(&fleet->by_name);
    index_deinit(&fleet->by_serial);
    index_deinit(&fleet->by_tunnel_name);
    index_deinit(&fleet->by_key);
    free(fleet->tenants);
    free(fleet->gateways);
    free(fleet->touched);
    free(fleet);
    return NULL;
}

struct amm_store *fleet_store(struct fleet *fleet)
{
    return fleet->store;
}

/* ---- what was touched ---- */

static void touch(struct fleet *fleet, struct touched what)
{
    enum { MEMBERS = FLEET_CREATED | FLEET_DELETED | FLEET_MOVED | FLEET_ACCESS | FLEET_EDITED };
    if (what.kind != TOUCHED_GATEWAY || (what.changes & MEMBERS)) {
        fleet->counted_at = 0;
    }
    /* One entry of a unit for one thing: but not across units, which end each for itself. */
    if (fleet->n_touched > fleet->unit) {
        struct touched *last = &fleet->touched[fleet->n_touched - 1];
        if (last->kind == what.kind && last->id == what.id && last->tenant_id == what.tenant_id) {
            last->changes |= what.changes;
            return;
        }
    }
    if (fleet->n_touched == fleet->touched_room) {
        size_t more = fleet->touched_room ? 2 * fleet->touched_room : 64;
        struct touched *bigger = realloc(fleet->touched, more * sizeof *bigger);
        if (!bigger) {
            abort();
        }
        fleet->touched = bigger;
        fleet->touched_room = more;
    }
    fleet->touched[fleet->n_touched++] = what;
}

void fleet_touch_tenant(struct fleet *fleet, const struct fleet_tenant *tenant)
{
    touch(fleet,
          (struct touched){.kind = TOUCHED_TENANT, .id = tenant->id, .tenant_id = tenant->id});
}

void fleet_touch_one_group(struct fleet *fleet, const struct fleet_group *group, unsigned changes)
{
    touch(fleet, (struct touched){.kind = TOUCHED_GROUP,
                                  .changes = (uint16_t)changes,
                                  .id = group->id,
                                  .group_id = group->id,
                                  .tenant_id = group->tenant->id});
}

void fleet_touch_gateway(struct fleet *fleet, const struct fleet_gateway *gateway, unsigned changes)
{
    touch(fleet, (struct touched){.kind = TOUCHED_GATEWAY,
                                  .changes = (uint16_t)changes,
                                  .id = gateway->id,
                                  .group_id = gateway->group->id,
                                  .tenant_id = gateway->group->tenant->id});
}

void fleet_touch(struct fleet *fleet, struct fleet_gateway *gateway, unsigned changes)
{
    fleet_touch_gateway(fleet, gateway, changes);
}

void fleet_touch_group(struct fleet *fleet, struct fleet_group *group, unsigned changes)
{
    fleet_touch_one_group(fleet, group, changes);
}

size_t fleet_mark(struct fleet *fleet)
{
    fleet->unit = fleet->n_touched;
    return fleet->n_touched;
}

void fleet_rollback(struct fleet *fleet, size_t mark)
{
    /* Newest first: what a thing stands in is there again before the thing, and what was new goes
     * before what it stood in. */
    bool settings_changed = false;
    fleet->counted_at = 0;
    while (fleet->n_touched > mark) {
        struct touched *what = &fleet->touched[--fleet->n_touched];
        bool good = true;
        settings_changed |= what->kind == TOUCHED_GROUP && (what->changes & FLEET_SETTINGS);
        switch ((enum touched_kind)what->kind) {
        case TOUCHED_TENANT:
            good = fleet_rows_tenant(fleet, what->id);
            break;
        case TOUCHED_GROUP:
            good = fleet_rows_group(fleet, what->tenant_id, what->id);
            break;
        case TOUCHED_GATEWAY:
            good = fleet_rows_gateway(fleet, what->id);
            break;
        }
        if (!good) {
            /* Memory says what the store does not: going on would acknowledge what is not saved. */
            amm_log(AMM_LOG_ERROR, "fleet-unreadable",
                    amm_field_text("reason", amm_store_error(fleet->store)));
            abort();
        }
    }
    /* What follows from templates, once all of the tree stands again. */
    for (size_t i = 0; settings_changed && i < fleet->n_gateways; i++) {
        fleet_sync_update(fleet->gateways[i]);
    }
    fleet->unit = fleet->n_touched;
}

static void tell(struct fleet *fleet, const struct touched *what)
{
    struct fleet_note note = {
        .group_id = what->group_id, .tenant_id = what->tenant_id, .changes = what->changes};
    if (what->changes == 0 || what->kind == TOUCHED_TENANT) {
        return;
    }
    if (what->kind == TOUCHED_GATEWAY) {
        struct fleet_gateway *gateway = fleet_gateway_find(fleet, what->id);
        note.gateway_id = what->id;
        if (gateway) {
            note.group_id = gateway->group->id;
            note.tenant_id = gateway->group->tenant->id;
        }
    }
    for (unsigned i = 0; i < fleet->n_watchers; i++) {
        fleet->watchers[i].changed(fleet->watchers[i].context, &note);
    }
}

void fleet_committed(struct fleet *fleet)
{
    /* A watcher may touch memory-only state: that is told in the same round. */
    for (size_t i = 0; i < fleet->n_touched; i++) {
        struct touched what = fleet->touched[i];
        tell(fleet, &what);
    }
    fleet->n_touched = 0;
    fleet->unit = 0;
}

void fleet_watch(struct fleet *fleet, void (*changed)(void *context, const struct fleet_note *note),
                 void *context)
{
    if (fleet->n_watchers == FLEET_WATCHERS) {
        abort(); /* they are added by name at the start */
    }
    fleet->watchers[fleet->n_watchers].changed = changed;
    fleet->watchers[fleet->n_watchers++].context = context;
}
