#include "lamps.h"

#include "fleet_parts.h"

static const char *const names[LAMPS] = {"up", "degraded", "down", "pending", "unknown", "resting"};

const char *lamp_name(enum lamp lamp)
{
    return names[lamp < LAMPS ? lamp : LAMP_UNKNOWN];
}

int64_t gateway_missing_at(const struct fleet_gateway *gateway)
{
    int64_t late = fleet_late_at(gateway);
    return late == INT64_MAX ? late : late + (late - gateway->last_checkin);
}

enum lamp lamp_checkin(const struct fleet_gateway *gateway, int64_t now)
{
    if (gateway->last_checkin == 0) {
        return LAMP_UNKNOWN;
    }
    return now > gateway_missing_at(gateway) ? LAMP_DOWN
           : fleet_is_late(gateway, now)     ? LAMP_DEGRADED
                                             : LAMP_UP;
}

/* ---- radio ---- */

static bool is_below(const struct fleet_gateway *gateway, struct values_key key, double least)
{
    struct value value;
    return values_get(gateway->stats, key, &value) &&
           (value.type == VALUE_INTEGER || value.type == VALUE_REAL) && value.real < least;
}

bool gateway_radio_is_poor(const struct fleet_gateway *gateway)
{
    static struct values_key rsrp, rssi, sinr;
    if (rsrp.name == NULL) {
        rsrp = values_key(VALUES_STATS, "CellLink-RSRP");
        rssi = values_key(VALUES_STATS, "CellLink-RSSI");
        sinr = values_key(VALUES_STATS, "CellLink-SINR");
    }
    return is_below(gateway, rsrp, -118) || is_below(gateway, rssi, -110) ||
           is_below(gateway, sinr, -3);
}

/* ---- tunnel ---- */

enum tunnel_state { TUNNEL_UP, TUNNEL_DOWN, TUNNEL_RESTING, TUNNEL_NEVER };

static enum tunnel_state tunnel_state_of(const struct fleet_gateway *gateway, int64_t now)
{
    const struct fleet_tunnel *tunnel = &gateway->tunnel;
    if (tunnel->up_port != 0) {
        return TUNNEL_UP;
    }
    if (tunnel->port != 0 && gateway->kind == FLEET_OURS &&
        !fleet_tunnel_policy_wants(gateway->group, now)) {
        return TUNNEL_RESTING;
    }
    bool was_never = tunnel->port == 0 || gateway->access == FLEET_NEW ||
                     (tunnel->since == 0 && gateway->last_checkin == 0);
    return was_never ? TUNNEL_NEVER : TUNNEL_DOWN;
}

enum lamp lamp_tunnel(const struct fleet_gateway *gateway, int64_t now)
{
    switch (tunnel_state_of(gateway, now)) {
    case TUNNEL_UP:
        return gateway->tunnel.stale || gateway_radio_is_poor(gateway) ? LAMP_DEGRADED : LAMP_UP;
    case TUNNEL_RESTING:
        return LAMP_RESTING;
    case TUNNEL_NEVER:
        return LAMP_UNKNOWN;
    case TUNNEL_DOWN:
        break;
    }
    return gateway->tunnel.move_port != 0 ? LAMP_PENDING : LAMP_DOWN;
}

/* ---- counts ---- */

void branch_counts_add(struct branch_counts *counts, const struct fleet_gateway *gateway,
                       int64_t now)
{
    counts->gateways++;
    if (gateway->kind != FLEET_OPENVPN) { /* those do not check in */
        enum lamp lamp = lamp_checkin(gateway, now);
        counts->checkin_up += lamp == LAMP_UP;
        counts->checkin_late += lamp == LAMP_DEGRADED;
        counts->checkin_missing += lamp == LAMP_DOWN;
        counts->checkin_never += lamp == LAMP_UNKNOWN;
    }
    enum tunnel_state tunnel = tunnel_state_of(gateway, now);
    counts->tunnel_up += tunnel == TUNNEL_UP;
    counts->tunnel_down += tunnel == TUNNEL_DOWN;
    counts->tunnel_resting += tunnel == TUNNEL_RESTING;
    counts->tunnel_never += tunnel == TUNNEL_NEVER;
    counts->pending += gateway->sync != FLEET_SYNC_NONE && gateway->sync != FLEET_SYNC_IN_SYNC;
}

static void clear(struct fleet_group *group)
{
    group->counts = (struct branch_counts){0};
    for (struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        clear(child);
    }
}

static void add_up(struct fleet_group *group)
{
    enum { MEMBERS = sizeof group->counts / sizeof(uint32_t) };
    for (struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        uint32_t *sum = &group->counts.gateways;
        const uint32_t *part = &child->counts.gateways;
        add_up(child);
        for (unsigned i = 0; i < MEMBERS; i++) {
            sum[i] += part[i];
        }
    }
}

void fleet_count_branches(struct fleet *fleet, int64_t now)
{
    if (fleet->counted_at == now) {
        return;
    }
    for (size_t i = 0; i < fleet->n_tenants; i++) {
        clear(fleet->tenants[i]->root);
    }
    for (size_t i = 0; i < fleet->n_gateways; i++) {
        struct fleet_gateway *gateway = fleet->gateways[i];
        branch_counts_add(&gateway->group->counts, gateway, now);
    }
    for (size_t i = 0; i < fleet->n_tenants; i++) {
        add_up(fleet->tenants[i]->root);
    }
    fleet->counted_at = now;
}
