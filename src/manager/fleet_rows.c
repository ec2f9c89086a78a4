/* The fleet from the store: everything at the start, one thing again after a rollback. The columns
 * are those of store/statements. */
#include "fleet_parts.h"

#include "operations.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- columns ---- */

static bool text_column(const struct amm_rows *rows, unsigned column, char **slot)
{
    char room[512];
    amm_rows_text(rows, column, room, sizeof room);
    return fleet_text_set(slot, room);
}

/* A packed block from its JSON. What does not parse any more (a database of other hands) is left
 * out: the next full check-in brings it back. */
static bool values_column(const struct amm_rows *rows, unsigned column, enum values_kind kind,
                          struct values **slot)
{
    struct amm_view text = amm_rows_view(rows, column);
    json_t *json = text.len > 0 ? json_loadb((const char *)text.data, text.len, 0, NULL) : NULL;
    struct values *made = NULL;
    bool good = !json_is_object(json) || values_merge(&made, NULL, kind, json, NULL, NULL);
    json_decref(json);
    if (good) {
        values_free(*slot);
        *slot = made;
    }
    return good;
}

/* ---- tenants and groups ---- */

/* Of a group and of a tenant alike. */
static void take_policy(struct fleet_group *group, const struct amm_rows *rows)
{
    group->tunnel_policy = (uint8_t)amm_rows_number(rows, 6);
    group->window_from = (uint16_t)amm_rows_number(rows, 7);
    group->window_to = (uint16_t)amm_rows_number(rows, 8);
}

static void take_tenant(struct fleet_tenant *tenant, const struct amm_rows *rows)
{
    amm_rows_text(rows, 2, tenant->title, sizeof tenant->title);
    tenant->created_at = amm_rows_number(rows, 3);
    tenant->gateways_max = (uint32_t)amm_rows_number(rows, 4);
    tenant->root->clone_policy = (uint8_t)amm_rows_number(rows, 5);
    take_policy(tenant->root, rows);
    tenant->root->created_at = tenant->created_at;
    amm_rows_text(rows, 2, tenant->root->name, sizeof tenant->root->name);
}

static struct fleet_tenant *put_tenant(struct fleet *fleet, const struct amm_rows *rows)
{
    int64_t id = amm_rows_number(rows, 0);
    struct fleet_tenant *tenant = fleet_tenant_find(fleet, id);
    if (!tenant) {
        char slug[FLEET_SLUG_MAX + 1];
        amm_rows_text(rows, 1, slug, sizeof slug);
        tenant = fleet_tenant_insert(fleet, id, slug);
    }
    if (tenant) {
        take_tenant(tenant, rows);
    }
    return tenant;
}

/* Without its place in the tree. */
static struct fleet_group *put_group(struct fleet *fleet, const struct amm_rows *rows)
{
    int64_t id = amm_rows_number(rows, 0);
    struct fleet_tenant *tenant = fleet_tenant_find(fleet, amm_rows_number(rows, 1));
    struct fleet_group *group = fleet_group_find(fleet, id);
    if (!group && tenant) {
        group = fleet_group_insert(fleet, tenant, id);
    }
    if (group) {
        amm_rows_text(rows, 3, group->name, sizeof group->name);
        group->created_at = amm_rows_number(rows, 4);
        group->clone_policy = (uint8_t)amm_rows_number(rows, 5);
        take_policy(group, rows);
    }
    return group;
}

static bool put_setting(struct fleet_settings *settings, const struct amm_rows *rows,
                        unsigned column, bool local, unsigned at)
{
    return fleet_settings_put(settings, (uint16_t)amm_rows_number(rows, column),
                              amm_rows_view(rows, column + 1), local, amm_rows_number(rows, at),
                              amm_rows_view(rows, at + 1));
}

bool fleet_rows_tenant(struct fleet *fleet, int64_t id)
{
    struct amm_rows *rows =
        amm_store_query(fleet->store, AMM_SQL_TENANT_ONE, AMM_WITH(amm_number(id)));
    bool found = amm_rows_next(rows), good = !found || put_tenant(fleet, rows);
    if (amm_rows_end(rows) != AMM_STORE_OK) {
        return false;
    }
    struct fleet_tenant *tenant = fleet_tenant_find(fleet, id);
    if (!found && tenant) {
        fleet_tenant_forget(fleet, tenant);
    }
    return good;
}

static bool load_template(struct fleet *fleet, struct fleet_group *group)
{
    fleet_settings_clear(&group->template);
    bool good = true;
    struct amm_rows *rows =
        amm_store_query(fleet->store, AMM_SQL_TEMPLATE_OF,
                        AMM_WITH(amm_number(group->tenant->id), amm_number(group->id)));
    while (amm_rows_next(rows)) {
        good &= put_setting(&group->template, rows, 2, false, 4);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && good;
}

bool fleet_rows_group(struct fleet *fleet, int64_t tenant, int64_t id)
{
    if (id == 0) {
        struct fleet_tenant *owner = fleet_tenant_find(fleet, tenant);
        return !owner || (fleet_rows_tenant(fleet, tenant) && load_template(fleet, owner->root));
    }
    struct amm_rows *rows =
        amm_store_query(fleet->store, AMM_SQL_GROUP_ONE, AMM_WITH(amm_number(id)));
    bool found = amm_rows_next(rows);
    struct fleet_group *group = found ? put_group(fleet, rows) : fleet_group_find(fleet, id);
    int64_t parent = found ? amm_rows_number(rows, 2) : 0;
    if (amm_rows_end(rows) != AMM_STORE_OK || (found && !group)) {
        return false;
    }
    if (found) {
        fleet_group_detach(group);
        fleet_group_attach(group, fleet_branch_find(fleet, group->tenant->id, parent));
        return load_template(fleet, group);
    }
    if (group) {
        fleet_group_forget(fleet, group);
    }
    return true;
}

/* ---- gateways ---- */

static bool take_seen(struct fleet_gateway *gateway, const struct amm_rows *rows)
{
    gateway->first_checkin = amm_rows_number(rows, 12);
    gateway->last_checkin = amm_rows_number(rows, 13);
    gateway->seq = (uint64_t)amm_rows_number(rows, 14);
    gateway->body_digest = (uint64_t)amm_rows_number(rows, 15);
    gateway->events_seen = (uint64_t)amm_rows_number(rows, 16);
    amm_rows_text(rows, 17, gateway->hash, sizeof gateway->hash);
    amm_rows_text(rows, 18, gateway->tunnel_hash, sizeof gateway->tunnel_hash);
    gateway->boot = (uint32_t)amm_rows_number(rows, 19);
    gateway->booted_at = amm_rows_number(rows, 20);
    gateway->clock = (uint8_t)amm_rows_number(rows, 21);
    gateway->clock_skew =
        amm_rows_is_null(rows, 22) ? INT32_MIN : (int32_t)amm_rows_number(rows, 22);
    gateway->revision_taken = amm_rows_number(rows, 23);
    gateway->want_full = amm_rows_number(rows, 24) != 0;
    gateway->revision = amm_rows_number(rows, 25);
    gateway->offer = (uint64_t)amm_rows_number(rows, 26);
    gateway->revision_failed = amm_rows_number(rows, 27);
    return text_column(rows, 28, &gateway->settings_error) &&
           values_column(rows, 29, VALUES_STATS, &gateway->stats) &&
           values_column(rows, 30, VALUES_PARAMETERS, &gateway->reported);
}

static bool take_gateway(struct fleet *fleet, struct fleet_gateway *gateway,
                         const struct amm_rows *rows)
{
    char serial[FLEET_SERIAL_MAX + 1];
    amm_rows_text(rows, 4, serial, sizeof serial);
    gateway->kind = (uint8_t)amm_rows_number(rows, 5);
    gateway->created_at = amm_rows_number(rows, 7);
    gateway->access = (uint8_t)amm_rows_number(rows, 8);
    gateway->access_at = amm_rows_number(rows, 10);
    gateway->clone_flag = amm_rows_number(rows, 11) != 0;
    return fleet_serial_set(fleet, gateway, serial) && text_column(rows, 6, &gateway->note) &&
           text_column(rows, 9, &gateway->access_reason) && take_seen(gateway, rows);
}

static struct fleet_gateway *put_gateway(struct fleet *fleet, const struct amm_rows *rows,
                                         bool sorted)
{
    int64_t id = amm_rows_number(rows, 0);
    struct fleet_group *group =
        fleet_branch_find(fleet, amm_rows_number(rows, 1), amm_rows_number(rows, 2));
    struct fleet_gateway *gateway = fleet_gateway_find(fleet, id);
    if (!group) {
        return NULL;
    }
    if (gateway) {
        fleet_gateway_place(gateway, group);
    } else {
        char name[FLEET_NAME_MAX + 1];
        amm_rows_text(rows, 3, name, sizeof name);
        gateway = fleet_gateway_insert(fleet, group, id, name, sorted);
    }
    return gateway && take_gateway(fleet, gateway, rows) ? gateway : NULL;
}

static bool put_identity(struct fleet *fleet, struct fleet_gateway *gateway,
                         const struct amm_rows *rows)
{
    struct fleet_identity identity = {.id = amm_rows_number(rows, 0),
                                      .not_before = amm_rows_number(rows, 3),
                                      .not_after = amm_rows_number(rows, 4),
                                      .revoked_at = amm_rows_number(rows, 5),
                                      .kind = (uint8_t)amm_rows_number(rows, 6)};
    struct amm_view hash = amm_rows_view(rows, 2);
    if (hash.len != FLEET_KEY_HASH) {
        return true; /* not one of ours: nobody can show it */
    }
    memcpy(identity.key_hash, hash.data, hash.len);
    return fleet_identity_put(fleet, gateway, &identity) != NULL;
}

static void put_operations(struct fleet_gateway *gateway, const struct amm_rows *rows)
{
    char name[AMM_CHECKIN_KIND];
    uint16_t n = (uint16_t)amm_rows_number(rows, 2);
    amm_rows_text(rows, 1, name, sizeof name);
    const struct operation_kind *kind = operation_kind_find(name);
    gateway->open_operations = (uint16_t)(gateway->open_operations + n);
    if (kind && kind->is_upgrade) {
        gateway->open_upgrades = (uint16_t)(gateway->open_upgrades + n);
    }
}

/* What stands in other tables than the gateway's own. */
static bool load_rest(struct fleet *fleet, struct fleet_gateway *gateway)
{
    bool good = true;
    struct amm_rows *rows =
        amm_store_query(fleet->store, AMM_SQL_DESIRED_OF, AMM_WITH(amm_number(gateway->id)));
    fleet_settings_clear(&gateway->desired);
    while (amm_rows_next(rows)) {
        good &= put_setting(&gateway->desired, rows, 1, amm_rows_number(rows, 3) != 0, 4);
    }
    good &= amm_rows_end(rows) == AMM_STORE_OK;

    fleet_identities_forget(fleet, gateway);
    rows = amm_store_query(fleet->store, AMM_SQL_IDENTITY_LIVE_OF,
                           AMM_WITH(amm_number(gateway->id), amm_number(fleet->identities_from)));
    while (amm_rows_next(rows)) {
        good &= put_identity(fleet, gateway, rows);
    }
    good &= amm_rows_end(rows) == AMM_STORE_OK;

    gateway->open_operations = gateway->open_upgrades = 0;
    rows = amm_store_query(fleet->store, AMM_SQL_OPERATION_OPEN_COUNTS_OF,
                           AMM_WITH(amm_number(gateway->id)));
    while (amm_rows_next(rows)) {
        put_operations(gateway, rows);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && good;
}

bool fleet_rows_gateway(struct fleet *fleet, int64_t id)
{
    struct amm_rows *rows =
        amm_store_query(fleet->store, AMM_SQL_GATEWAY_ONE, AMM_WITH(amm_number(id)));
    bool found = amm_rows_next(rows);
    struct fleet_gateway *gateway = found ? put_gateway(fleet, rows, true) : NULL;
    if (amm_rows_end(rows) != AMM_STORE_OK || (found && !gateway)) {
        return false;
    }
    if (!found) {
        gateway = fleet_gateway_find(fleet, id);
        if (gateway) {
            fleet_gateway_forget(fleet, gateway);
        }
        return true;
    }
    /* fleet_identity_put notes what it does; here it must not. */
    size_t n = fleet->n_touched;
    bool good = load_rest(fleet, gateway);
    fleet->n_touched = n;
    gateway->late_noted = false; /* its event may be gone: rather one too many */
    fleet_sync_update(gateway);
    return good;
}

/* ---- the start ---- */

/* Parents may have higher numbers than their children: the tree is put together at the end. */
static bool load_groups(struct fleet *fleet)
{
    bool good = true;
    struct amm_rows *rows = amm_store_query(fleet->store, AMM_SQL_GROUP_ALL, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        good &= put_group(fleet, rows) != NULL;
    }
    good &= amm_rows_end(rows) == AMM_STORE_OK;
    rows = amm_store_query(fleet->store, AMM_SQL_GROUP_ALL, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        struct fleet_group *group = fleet_group_find(fleet, amm_rows_number(rows, 0));
        struct fleet_group *parent = NULL;
        if (group) {
            parent = fleet_branch_find(fleet, group->tenant->id, amm_rows_number(rows, 2));
            fleet_group_attach(group, parent ? parent : group->tenant->root);
        }
    }
    good &= amm_rows_end(rows) == AMM_STORE_OK;
    rows = amm_store_query(fleet->store, AMM_SQL_TEMPLATE_ALL, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        struct fleet_group *group =
            fleet_branch_find(fleet, amm_rows_number(rows, 0), amm_rows_number(rows, 1));
        good &= !group || put_setting(&group->template, rows, 2, false, 4);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && good;
}

static bool load_gateways(struct fleet *fleet)
{
    bool good = true;
    struct amm_rows *rows = amm_store_query(fleet->store, AMM_SQL_GATEWAY_ALL, AMM_WITHOUT);
    while (good && amm_rows_next(rows)) {
        good = put_gateway(fleet, rows, false) != NULL;
    }
    good &= amm_rows_end(rows) == AMM_STORE_OK;
    fleet_gateways_sort(fleet);

    rows = amm_store_query(fleet->store, AMM_SQL_DESIRED_ALL, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        struct fleet_gateway *gateway = fleet_gateway_find(fleet, amm_rows_number(rows, 0));
        good &=
            !gateway || put_setting(&gateway->desired, rows, 1, amm_rows_number(rows, 3) != 0, 4);
    }
    good &= amm_rows_end(rows) == AMM_STORE_OK;

    rows = amm_store_query(fleet->store, AMM_SQL_IDENTITY_LIVE,
                           AMM_WITH(amm_number(fleet->identities_from)));
    while (good && amm_rows_next(rows)) {
        struct fleet_gateway *gateway = fleet_gateway_find(fleet, amm_rows_number(rows, 1));
        good = !gateway || put_identity(fleet, gateway, rows);
        fleet->n_touched = 0;
    }
    good &= amm_rows_end(rows) == AMM_STORE_OK;

    rows = amm_store_query(fleet->store, AMM_SQL_OPERATION_OPEN_COUNTS, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        struct fleet_gateway *gateway = fleet_gateway_find(fleet, amm_rows_number(rows, 0));
        if (gateway) {
            put_operations(gateway, rows);
        }
    }
    return amm_rows_end(rows) == AMM_STORE_OK && good;
}

bool fleet_rows_load(struct fleet *fleet, int64_t now, char *error, size_t room)
{
    bool good = true;
    struct amm_rows *rows = amm_store_query(fleet->store, AMM_SQL_TENANT_ALL, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        good &= put_tenant(fleet, rows) != NULL;
    }
    good &= amm_rows_end(rows) == AMM_STORE_OK;
    good = good && load_groups(fleet) && load_gateways(fleet);
    if (!good) {
        const char *text = amm_store_error(fleet->store);
        snprintf(error, room, "the fleet cannot be read: %s",
                 text && text[0] ? text : "out of memory");
        return false;
    }
    for (size_t i = 0; i < fleet->n_gateways; i++) {
        fleet_sync_update(fleet->gateways[i]);
        fleet->gateways[i]->late_noted = fleet_is_late(fleet->gateways[i], now);
    }
    return true;
}
