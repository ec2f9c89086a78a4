/* Gateways as JSON. Texts that came from gateways are texts here, too: whoever shows them escapes.
 */
#include "fleet_module.h"

#include "domain/msci.h"
#include "lamps.h"
#include "requirements.h"

#include <stdio.h>
#include <stdlib.h>

static void put(json_t *json, const char *name, json_t *value)
{
    json_object_set_new(json, name, value); /* NULL: out of memory; then the member is missing */
}

static struct {
    void (*extend)(void *context, const struct fleet_gateway *gateway, json_t *json);
    void *context;
} extension;

void gateway_json_extend(void (*extend)(void *context, const struct fleet_gateway *gateway,
                                        json_t *json),
                         void *context)
{
    extension.extend = extend;
    extension.context = context;
}

static void put_time(json_t *json, const char *name, int64_t at)
{
    put(json, name, at != 0 ? json_integer(at) : json_null());
}

static json_t *tunnel_to_json(const struct fleet_gateway *gateway)
{
    const struct fleet_tunnel *tunnel = &gateway->tunnel;
    char address[16];
    json_t *json = json_object();
    bool is_up = fleet_tunnel_address(gateway, address);
    put(json, "up", json_boolean(is_up));
    put(json, "port",
        is_up               ? json_integer(tunnel->up_port)
        : tunnel->port != 0 ? json_integer(tunnel->port)
                            : json_null());
    put(json, "address", is_up ? json_string(address) : json_null());
    put_time(json, "since", tunnel->since);
    if (tunnel->stale) {
        put(json, "stale", json_true());
    }
    if (tunnel->move_port != 0) {
        put(json, "move_port", json_integer(tunnel->move_port));
        put(json, "move_until", json_integer(tunnel->move_until));
    }
    if (tunnel->error_at != 0) {
        put(json, "error", json_string(tunnel->last_error));
        put(json, "error_at", json_integer(tunnel->error_at));
    }
    return json;
}

static json_t *stat_to_json(const struct fleet_gateway *gateway, const char *name)
{
    struct value value;
    char address[16];
    if (strcmp(name, "ManagementTunnel-IPAddress") == 0) {
        return fleet_tunnel_address(gateway, address) ? json_string(address) : NULL;
    }
    return values_find(gateway->stats, VALUES_STATS, name, &value) ? value_to_json(&value) : NULL;
}

static void put_stats(json_t *json, const struct fleet_gateway *gateway, const char *names)
{
    json_t *stats = json_object();
    for (size_t len; *names != '\0'; names += len + (names[len] == ',')) {
        char name[AMM_STAT_NAME_MAX + 1];
        len = strcspn(names, ",");
        snprintf(name, sizeof name, "%.*s", (int)len, names);
        json_t *value = len < sizeof name ? stat_to_json(gateway, name) : NULL;
        if (value) {
            put(stats, name, value);
        }
    }
    put(json, "stats", stats);
}

json_t *gateway_stats_to_json(const struct fleet_gateway *gateway)
{
    json_t *stats = values_to_json(gateway->stats, VALUES_STATS);
    json_t *address = stat_to_json(gateway, "ManagementTunnel-IPAddress");
    if (stats && address) {
        put(stats, "ManagementTunnel-IPAddress", address);
    } else {
        json_decref(address);
    }
    return stats;
}

static void put_lamps(json_t *json, const struct fleet_gateway *gateway, int64_t now)
{
    json_t *lamps = json_object();
    put(lamps, "checkin", json_string(lamp_name(lamp_checkin(gateway, now))));
    put(lamps, "tunnel", json_string(lamp_name(lamp_tunnel(gateway, now))));
    put(json, "lamps", lamps);
}

json_t *gateway_to_json_compact(const struct fleet_gateway *gateway, int64_t now)
{
    char label[AMM_PARAMETER_TEXT_MAX] = "";
    json_t *json = json_object();
    fleet_reported(gateway, AMM_MSCI_DEVICE_NAME, label, sizeof label);
    put(json, "id", job_json_id(gateway->id));
    put(json, "name", json_string(gateway->name));
    put(json, "label", json_string(label));
    put(json, "tenant", job_json_id(gateway->group->tenant->id));
    put(json, "group", job_json_id(gateway->group->id));
    put(json, "kind", json_string(fleet_kind_name(gateway->kind)));
    put_lamps(json, gateway, now);
    return json;
}

json_t *gateway_to_json(const struct fleet_gateway *gateway, int64_t now, const char *stats)
{
    char label[AMM_PARAMETER_TEXT_MAX] = "";
    json_t *json = json_object();
    fleet_reported(gateway, AMM_MSCI_DEVICE_NAME, label, sizeof label);
    put(json, "id", job_json_id(gateway->id));
    put(json, "name", json_string(gateway->name));
    put(json, "tenant", job_json_id(gateway->group->tenant->id));
    put(json, "group", job_json_id(gateway->group->id));
    put(json, "kind", json_string(fleet_kind_name(gateway->kind)));
    put(json, "serial", json_string(gateway->serial));
    put(json, "label", json_string(label));
    put(json, "note", json_string(gateway->note));
    put(json, "access", json_string(fleet_access_name(gateway->access)));
    put(json, "clone", json_boolean(gateway->clone_flag));
    put(json, "sync", json_string(fleet_sync_name(gateway->sync)));
    put(json, "sync_text", json_string(fleet_sync_text(gateway->sync)));
    put_time(json, "last_checkin", gateway->last_checkin);
    put(json, "heartbeat",
        gateway->last_checkin != 0 ? json_integer(now - gateway->last_checkin) : json_null());
    put(json, "late", json_boolean(fleet_is_late(gateway, now)));
    put(json, "open_operations", json_integer(gateway->open_operations));
    put(json, "tunnel", tunnel_to_json(gateway));
    put_lamps(json, gateway, now);
    if (stats) {
        put_stats(json, gateway, stats);
    }
    if (extension.extend) {
        extension.extend(extension.context, gateway, json);
    }
    return json;
}

static json_t *identities_to_json(const struct fleet_gateway *gateway)
{
    json_t *list = json_array();
    for (const struct fleet_identity *one = gateway->identities; one; one = one->next) {
        char hash[2 * FLEET_KEY_HASH + 1];
        json_t *json = json_object();
        amm_hex(hash, amm_view(one->key_hash, FLEET_KEY_HASH));
        put(json, "id", job_json_id(one->id));
        put(json, "key_hash", json_string(hash));
        put(json, "not_before", json_integer(one->not_before));
        put(json, "not_after", json_integer(one->not_after));
        put(json, "revoked_at", one->revoked_at != 0 ? json_integer(one->revoked_at) : json_null());
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *requirements_to_json(const struct fleet *fleet, const struct fleet_gateway *gateway,
                                    int64_t now)
{
    struct requirement found[FEATURES];
    json_t *json = json_object();
    requirements_of(fleet, gateway, now, found);
    for (unsigned i = 0; i < FEATURES; i++) {
        json_t *one = json_object();
        put(one, "supported", json_boolean(found[i].is_supported));
        if (!found[i].is_supported) {
            put(one, "fault", json_boolean(found[i].is_fault));
            put(one, "why", json_string(found[i].why));
            put(one, "cure", json_string(found[i].cure));
        }
        put(json, feature_name(i), one);
    }
    return json;
}

json_t *gateway_to_json_whole(const struct fleet *fleet, const struct fleet_gateway *gateway,
                              int64_t now)
{
    json_t *json = gateway_to_json(gateway, now, NULL);
    put(json, "stats", gateway_stats_to_json(gateway));
    put(json, "created_at", json_integer(gateway->created_at));
    put(json, "access_reason", json_string(gateway->access_reason));
    put_time(json, "access_at", gateway->access_at);
    put_time(json, "first_checkin", gateway->first_checkin);
    put(json, "interval", json_integer(fleet_interval(gateway)));
    put(json, "late_at",
        gateway->last_checkin != 0 ? json_integer(fleet_late_at(gateway)) : json_null());
    put(json, "seq", json_integer((json_int_t)gateway->seq));
    put(json, "starts", json_integer(gateway->boot));
    put_time(json, "booted_at", gateway->booted_at);
    put(json, "clock", json_string(amm_clock_source_name(gateway->clock)));
    put(json, "clock_skew",
        gateway->clock_skew != INT32_MIN ? json_integer(gateway->clock_skew) : json_null());
    put(json, "revision", json_integer(gateway->revision));
    put(json, "revision_taken", json_integer(gateway->revision_taken));
    put(json, "settings_error",
        gateway->revision_failed != 0 ? json_string(gateway->settings_error) : json_null());
    put(json, "identities", identities_to_json(gateway));
    put(json, "requirements", requirements_to_json(fleet, gateway, now));
    return json;
}
