/* What follows from the values of a gateway. */
#include "fleet_parts.h"

#include "domain/msci.h"
#include "parameters.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name, *text;
} syncs[FLEET_SYNCS] = {
    [FLEET_SYNC_NONE] = {"none", "No software of ours"},
    [FLEET_SYNC_REGISTRATION] = {"pending-registration", "Pending (device registration)"},
    [FLEET_SYNC_IN_SYNC] = {"in-sync", "In Sync"},
    [FLEET_SYNC_TO_GATEWAY] = {"pending-to-gateway", "Pending (sync to device)"},
    [FLEET_SYNC_FROM_GATEWAY] = {"pending-from-gateway", "Pending (sync from device)"},
    [FLEET_SYNC_FIRMWARE] = {"pending-firmware", "Pending (firmware update)"},
};

const char *fleet_sync_name(enum fleet_sync sync)
{
    return sync < FLEET_SYNCS ? syncs[sync].name : "unknown";
}

const char *fleet_sync_text(enum fleet_sync sync)
{
    return sync < FLEET_SYNCS ? syncs[sync].text : "unknown";
}

static uint32_t interval_of(const struct fleet_gateway *gateway);

void fleet_sync_update(struct fleet_gateway *gateway)
{
    enum fleet_sync sync;
    gateway->interval = interval_of(gateway);
    if (gateway->kind == FLEET_OPENVPN) {
        sync = FLEET_SYNC_NONE;
    } else if (gateway->last_checkin == 0) {
        sync = FLEET_SYNC_REGISTRATION;
    } else if (gateway->want_full) {
        sync = FLEET_SYNC_FROM_GATEWAY;
    } else if (!parameters_are_pending(gateway)) {
        sync = FLEET_SYNC_IN_SYNC;
    } else {
        sync = gateway->open_upgrades > 0 ? FLEET_SYNC_FIRMWARE : FLEET_SYNC_TO_GATEWAY;
    }
    gateway->sync = (uint8_t)sync;
}

void fleet_sync_update_below(struct fleet *fleet, struct fleet_group *group)
{
    uint32_t mark = fleet_group_mark_branch(fleet, group);
    for (size_t i = 0; i < fleet->n_gateways; i++) {
        if (fleet->gateways[i]->group->mark == mark) {
            fleet_sync_update(fleet->gateways[i]);
        }
    }
}

/* ---- parameters ---- */

const struct fleet_desired *fleet_desired(const struct fleet_gateway *gateway, uint32_t id,
                                          const struct fleet_group **from)
{
    const struct fleet_desired *own = fleet_settings_find(&gateway->desired, id);
    const struct fleet_desired *template = NULL;
    const struct fleet_group *group = gateway->group;
    if (!own || own->local) {
        while (group && !(template = fleet_settings_find(&group->template, id))) {
            group = group->parent;
        }
    }
    /* A local change masks the templates of its time, not what was set since. */
    bool is_template = template && (!own || template->at >= own->at);
    if (from) {
        *from = is_template ? group : NULL;
    }
    return is_template ? template : own;
}

static bool value_text(uint32_t id, const struct value *value, char *out, size_t room)
{
    switch (value->type) {
    case VALUE_INTEGER:
        snprintf(out, room, "%lld", (long long)value->integer);
        return true;
    case VALUE_TEXT:
        snprintf(out, room, "%.*s", (int)value->text.len, (const char *)value->text.data);
        return true;
    case VALUE_FALSE:
    case VALUE_TRUE:
        snprintf(out, room, "%s", value->type == VALUE_TRUE ? "true" : "false");
        return true;
    case VALUE_OBJECT:
        return false; /* a secret: that there is one is all that is known */
    case VALUE_REAL:
        break;
    }
    const struct amm_msci *msci = amm_msci_find(id);
    struct amm_msci_value canonical;
    char error[AMM_MSCI_ERROR];
    json_t *json = value_to_json(value);
    bool good = msci && json && amm_msci_from_json(msci, json, &canonical, error);
    json_decref(json);
    if (good) {
        snprintf(out, room, "%s", canonical.text);
    } else {
        snprintf(out, room, "%.17g", value->real);
    }
    return true;
}

bool fleet_reported(const struct fleet_gateway *gateway, uint32_t id, char *out, size_t room)
{
    char name[16];
    struct value value;
    snprintf(name, sizeof name, "%u", id);
    return values_find(gateway->reported, VALUES_PARAMETERS, name, &value) &&
           value_text(id, &value, out, room);
}

bool fleet_effective(const struct fleet_gateway *gateway, uint32_t id, char *out, size_t room)
{
    const struct fleet_desired *desired = fleet_desired(gateway, id, NULL);
    if (desired && !desired->local) {
        snprintf(out, room, "%s", desired->value);
        return true;
    }
    if (fleet_reported(gateway, id, out, room)) {
        return true;
    }
    if (desired) {
        snprintf(out, room, "%s", desired->value);
    }
    return desired != NULL;
}

/* ---- time ---- */

uint32_t fleet_interval(const struct fleet_gateway *gateway)
{
    return gateway->interval;
}

static uint32_t interval_of(const struct fleet_gateway *gateway)
{
    char text[AMM_MSCI_VALUE];
    uint32_t interval = FLEET_INTERVAL;
    if (fleet_effective(gateway, AMM_MSCI_CHECK_IN_INTERVAL, text, sizeof text)) {
        unsigned long value = strtoul(text, NULL, 10);
        const struct amm_msci *msci = amm_msci_find(AMM_MSCI_CHECK_IN_INTERVAL);
        if ((int64_t)value >= msci->min && (int64_t)value <= msci->max) {
            interval = (uint32_t)value;
        }
    }
    if (fleet_effective(gateway, AMM_MSCI_LOW_DATA, text, sizeof text) && strcmp(text, "On") == 0 &&
        interval < FLEET_INTERVAL_LOW) {
        interval = FLEET_INTERVAL_LOW;
    }
    return interval;
}

int64_t fleet_late_at(const struct fleet_gateway *gateway)
{
    if (gateway->last_checkin == 0) {
        return INT64_MAX;
    }
    return gateway->last_checkin + 2 * (int64_t)fleet_interval(gateway) + FLEET_LATE_GRACE;
}

bool fleet_is_late(const struct fleet_gateway *gateway, int64_t now)
{
    return now > fleet_late_at(gateway);
}

/* ---- tunnel ---- */

bool fleet_tunnel_address(const struct fleet_gateway *gateway, char out[16])
{
    uint32_t ip = gateway->tunnel.inner_ip;
    if (gateway->tunnel.up_port == 0 || ip == 0) {
        return false;
    }
    snprintf(out, 16, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
    return true;
}

void fleet_tunnel_error(struct fleet_gateway *gateway, const char *text, int64_t now)
{
    gateway->tunnel.error_at = text && text[0] ? now : 0;
    if (!fleet_text_set(&gateway->tunnel.last_error, text)) {
        gateway->tunnel.error_at = 0;
    }
}
