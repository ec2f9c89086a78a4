/* Gateways: rules and changes. */
#include "fleet_parts.h"

#include "events.h"

#include <stdio.h>

static const char *const kind_names[FLEET_KINDS] = {
    [FLEET_OURS] = "amm", [FLEET_ALEOS] = "aleos", [FLEET_OPENVPN] = "openvpn"};
static const char *const access_names[FLEET_ACCESSES] = {[FLEET_NEW] = "new",
                                                         [FLEET_ADMITTED] = "admitted",
                                                         [FLEET_QUARANTINED] = "quarantined",
                                                         [FLEET_REVOKED] = "revoked"};

const char *fleet_kind_name(enum fleet_kind kind)
{
    return kind < FLEET_KINDS ? kind_names[kind] : "unknown";
}

const char *fleet_access_name(enum fleet_access access)
{
    return access < FLEET_ACCESSES ? access_names[access] : "unknown";
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool fleet_gateway_name_ok(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= FLEET_NAME_MAX && strspn(name, LETTERS DIGITS "-_.") == len &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

bool fleet_gateway_serial_ok(const char *serial)
{
    size_t len = strlen(serial);
    return len <= FLEET_SERIAL_MAX && strspn(serial, LETTERS DIGITS "-_.:/") == len;
}

enum { NOTE_MAX = 256 };

static bool check_texts(const char *serial, const char *note, struct fleet_error *error)
{
    if (serial && !fleet_gateway_serial_ok(serial)) {
        return fleet_refuse(error, 400, "bad-serial", "serial",
                            "A serial number has at most %d letters, digits and - _ . : /",
                            FLEET_SERIAL_MAX);
    }
    if (note && !amm_text_ok(note, NOTE_MAX, true)) {
        return fleet_refuse(error, 400, "bad-note", "note",
                            "A note has at most %d characters, none of them a control character.",
                            NOTE_MAX);
    }
    return true;
}

static bool serial_is_free(struct fleet *fleet, const char *serial, const struct fleet_gateway *but,
                           struct fleet_error *error)
{
    const struct fleet_gateway *other =
        serial[0] != '\0' ? fleet_gateway_by_serial(fleet, serial) : NULL;
    return !other || other == but ||
           fleet_refuse(error, 409, "exists", "serial",
                        "A gateway with this serial number is known already.");
}

static struct amm_value text_or_null(const char *text)
{
    return text[0] != '\0' ? amm_text(text) : amm_null();
}

static bool check_new(struct fleet *fleet, const struct fleet_gateway_new *what, const char *serial,
                      const char *note, struct fleet_error *error)
{
    const struct fleet_tenant *tenant = what->group->tenant;
    if (!fleet_gateway_name_ok(what->name)) {
        return fleet_refuse(error, 400, "bad-name", "name",
                            "A gateway's name has 1 to %d letters, digits and - _ .",
                            FLEET_NAME_MAX);
    }
    struct fleet_gateway named = {.name = (char *)(uintptr_t)what->name, .group = what->group};
    char tunnel_name[FLEET_TUNNEL_NAME];
    fleet_tunnel_name(&named, tunnel_name);
    if (strlen(tunnel_name) > FLEET_COMMON_NAME_MAX) {
        return fleet_refuse(error, 400, "bad-name", "name",
                            "With its tenant it is \"%s\" in certificates, which have room for %d "
                            "characters: at most %d for the name here.",
                            tunnel_name, FLEET_COMMON_NAME_MAX,
                            FLEET_COMMON_NAME_MAX - 1 - (int)strlen(tenant->slug));
    }
    if (!check_texts(serial, note, error)) {
        return false;
    }
    if (tenant->gateways_max != 0 && tenant->n_gateways >= tenant->gateways_max) {
        return fleet_refuse(error, 409, "limit", NULL, "The tenant has its %u gateways.",
                            tenant->gateways_max);
    }
    if (fleet_gateway_by_name(fleet, tenant, what->name)) {
        return fleet_refuse(error, 409, "exists", "name", "There is a gateway of this name.");
    }
    return serial_is_free(fleet, serial, NULL, error);
}

struct fleet_gateway *fleet_gateway_add(struct fleet *fleet, const struct fleet_gateway_new *what,
                                        int64_t now, struct fleet_error *error)
{
    const char *serial = what->serial ? what->serial : "";
    const char *note = what->note ? what->note : "";
    const struct fleet_tenant *tenant = what->group->tenant;
    int64_t id;
    if (!check_new(fleet, what, serial, note, error)) {
        return NULL;
    }
    char tunnel_name[FLEET_TUNNEL_NAME];
    struct fleet_gateway key = {.name = (char *)what->name, .group = what->group};
    fleet_tunnel_name(&key, tunnel_name);
    enum amm_store_result result = amm_store_number(
        fleet->store, AMM_SQL_GATEWAY_ADD,
        AMM_WITH(amm_number(tenant->id), amm_number(what->group->id), amm_text(what->name),
                 text_or_null(serial), amm_text(tunnel_name), amm_number(what->kind),
                 amm_text(note), amm_number(now), amm_number(FLEET_NEW)),
        &id);
    if (result != AMM_STORE_OK) {
        fleet_store_refused(fleet, result, error);
        return NULL;
    }
    struct fleet_gateway *gateway = fleet_gateway_insert(fleet, what->group, id, what->name, true);
    if (!gateway || !fleet_serial_set(fleet, gateway, serial) ||
        !fleet_text_set(&gateway->note, note)) {
        if (gateway) {
            fleet_gateway_forget(fleet, gateway);
        }
        fleet_no_memory(error);
        return NULL;
    }
    gateway->kind = (uint8_t)what->kind;
    gateway->access = FLEET_NEW;
    gateway->created_at = now;
    fleet_sync_update(gateway);
    fleet_touch_gateway(fleet, gateway, FLEET_CREATED);
    return gateway;
}

bool fleet_gateway_edit(struct fleet *fleet, struct fleet_gateway *gateway, const char *serial,
                        const char *note, const enum fleet_kind *kind, struct fleet_error *error)
{
    serial = serial ? serial : gateway->serial;
    note = note ? note : gateway->note;
    enum fleet_kind new_kind = kind ? *kind : (enum fleet_kind)gateway->kind;
    if (!check_texts(serial, note, error) || !serial_is_free(fleet, serial, gateway, error)) {
        return false;
    }
    enum amm_store_result result =
        amm_store_run(fleet->store, AMM_SQL_GATEWAY_EDIT,
                      AMM_WITH(text_or_null(serial), amm_text(note), amm_number(new_kind),
                               amm_number(gateway->id), amm_number(gateway->group->tenant->id)));
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_gateway(fleet, gateway, FLEET_EDITED);
    if (!fleet_serial_set(fleet, gateway, serial) ||
        (note != gateway->note && !fleet_text_set(&gateway->note, note))) {
        return fleet_no_memory(error);
    }
    gateway->kind = (uint8_t)new_kind;
    fleet_sync_update(gateway);
    return true;
}

bool fleet_gateway_move(struct fleet *fleet, struct fleet_gateway *gateway,
                        struct fleet_group *group, struct fleet_error *error)
{
    if (group->tenant != gateway->group->tenant) {
        return fleet_refuse(error, 400, "other-tenant", "group",
                            "A gateway stays in its tenant: its certificate names it.");
    }
    if (group == gateway->group) {
        return true;
    }
    enum amm_store_result result = amm_store_run(
        fleet->store, AMM_SQL_GATEWAY_MOVE,
        AMM_WITH(amm_number(group->id), amm_number(gateway->id), amm_number(group->tenant->id)));
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_gateway(fleet, gateway, FLEET_MOVED | FLEET_SETTINGS);
    fleet_gateway_place(gateway, group);
    fleet_sync_update(gateway);
    return true;
}

bool fleet_gateway_remove(struct fleet *fleet, struct fleet_gateway *gateway,
                          struct fleet_error *error)
{
    enum amm_store_result result =
        amm_store_run(fleet->store, AMM_SQL_GATEWAY_REMOVE,
                      AMM_WITH(amm_number(gateway->id), amm_number(gateway->group->tenant->id)));
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_gateway(fleet, gateway, FLEET_DELETED);
    fleet_gateway_forget(fleet, gateway);
    return true;
}

/* ---- access ---- */

static bool write_access(struct fleet *fleet, struct fleet_gateway *gateway,
                         enum fleet_access access, const char *reason, int64_t at, bool clone_flag,
                         struct fleet_error *error)
{
    enum amm_store_result result = amm_store_run(
        fleet->store, AMM_SQL_GATEWAY_SET_ACCESS,
        AMM_WITH(amm_number(access), amm_text(reason), amm_number(at), amm_number(clone_flag),
                 amm_number(gateway->id), amm_number(gateway->group->tenant->id)));
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_gateway(fleet, gateway, FLEET_ACCESS);
    if (reason != gateway->access_reason && !fleet_text_set(&gateway->access_reason, reason)) {
        return fleet_no_memory(error);
    }
    gateway->access = (uint8_t)access;
    gateway->access_at = at;
    gateway->clone_flag = clone_flag;
    return true;
}

bool fleet_gateway_set_access(struct fleet *fleet, struct fleet_gateway *gateway,
                              enum fleet_access access, const char *reason, int64_t now,
                              struct fleet_error *error)
{
    return write_access(fleet, gateway, access, reason ? reason : "", now,
                        gateway->clone_flag && access != FLEET_ADMITTED, error);
}

bool fleet_gateway_is_admitted(const struct fleet_gateway *gateway)
{
    return gateway->access == FLEET_ADMITTED;
}

enum fleet_clone_policy fleet_clone_policy_of(const struct fleet_gateway *gateway)
{
    const struct fleet_group *group = gateway->group;
    while (group->parent && group->clone_policy == FLEET_CLONE_INHERIT) {
        group = group->parent;
    }
    return group->clone_policy == FLEET_CLONE_QUARANTINE ? FLEET_CLONE_QUARANTINE
                                                         : FLEET_CLONE_FLAG;
}

bool fleet_gateway_cloned(struct fleet *fleet, struct fleet_gateway *gateway, const char *how,
                          int64_t now, struct fleet_error *error)
{
    bool quarantine = fleet_clone_policy_of(gateway) == FLEET_CLONE_QUARANTINE &&
                      gateway->access == FLEET_ADMITTED;
    char reason[256];
    if (gateway->clone_flag && !quarantine) {
        return true; /* said already */
    }
    snprintf(reason, sizeof reason, "two live uses of its identity: %s", how);
    if (!event_add(fleet, gateway, quarantine ? "quarantined" : "clone", reason, NULL, now)) {
        return fleet_store_refused(fleet, AMM_STORE_FAILED, error);
    }
    return quarantine ? write_access(fleet, gateway, FLEET_QUARANTINED, reason, now, true, error)
                      : write_access(fleet, gateway, (enum fleet_access)gateway->access,
                                     gateway->access_reason, gateway->access_at, true, error);
}

/* ---- check-in numbers ---- */

bool fleet_seen_write(struct fleet *fleet, struct fleet_gateway *gateway, struct fleet_error *error)
{
    enum amm_store_result result = amm_store_run(
        fleet->store, AMM_SQL_GATEWAY_SEEN,
        AMM_WITH(amm_number(gateway->id), amm_number(gateway->first_checkin),
                 amm_number(gateway->last_checkin), amm_number((int64_t)gateway->seq),
                 amm_number((int64_t)gateway->body_digest),
                 amm_number((int64_t)gateway->events_seen), amm_text(gateway->hash),
                 amm_text(gateway->tunnel_hash), amm_number(gateway->boot),
                 amm_number(gateway->booted_at), amm_number(gateway->clock),
                 gateway->clock_skew == INT32_MIN ? amm_null() : amm_number(gateway->clock_skew),
                 amm_number(gateway->revision_taken), amm_number(gateway->want_full),
                 amm_number(gateway->revision), amm_number((int64_t)gateway->offer),
                 amm_number(gateway->revision_failed), amm_text(gateway->settings_error)));
    return result == AMM_STORE_OK || fleet_store_refused(fleet, result, error);
}

bool fleet_gateway_restart_numbers(struct fleet *fleet, struct fleet_gateway *gateway,
                                   struct fleet_error *error)
{
    fleet_touch_gateway(fleet, gateway, 0);
    gateway->seq = 0;
    gateway->body_digest = 0;
    gateway->events_seen = 0;
    gateway->boot = 0;
    gateway->revision_taken = 0;
    gateway->stale_seen = 0;
    gateway->hash[0] = '\0';
    gateway->tunnel_hash[0] = '\0';
    gateway->want_full = gateway->last_checkin != 0;
    fleet_sync_update(gateway);
    return fleet_seen_write(fleet, gateway, error);
}
