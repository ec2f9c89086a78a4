/* When a move ends: by the gateway's word, by its tunnel, by time. */
#include "manager/tunnel_parts.h"

#include "domain/msci.h"

#include <stdlib.h>

static void follow(struct tunnel *t, struct fleet_gateway *gateway, enum move_step step,
                   const char *why)
{
    bool ok = true;
    if (step != MOVE_WAIT && manager_store_state(t->m) != AMM_STORE_OK) {
        return; /* found again by tunnel_moves_expire, or at the next check-in */
    }
    switch (step) {
    case MOVE_WAIT:
        return;
    case MOVE_ARRIVED:
        ok = tunnel_arrive(t, gateway);
        break;
    case MOVE_GIVEN_UP:
        ok = tunnel_give_up(t, gateway, why);
        break;
    }
    if (!ok) {
        manager_fail(t->m);
    }
}

static uint32_t reported_port(const struct fleet_gateway *gateway)
{
    char text[AMM_MSCI_VALUE];
    return fleet_reported(gateway, AMM_MSCI_TUNNEL_PORT, text, sizeof text)
               ? (uint32_t)strtoul(text, NULL, 10)
               : 0;
}

void tunnel_move_checked_in(struct tunnel *t, struct fleet_gateway *gateway)
{
    struct tunnel_way *way = tunnel_way_find(t, gateway->id);
    struct move_checkin checkin = {.revision = gateway->revision,
                                   .revision_taken = gateway->revision_taken,
                                   .revision_failed = gateway->revision_failed,
                                   .port = reported_port(gateway)};
    if (way == NULL || way->move.to == 0) {
        return;
    }
    enum move_step step = move_checked_in(&way->move, &checkin, t->m->now.mono);
    gateway->tunnel.move_until = way->move.is_taken ? t->m->now.wall + MOVE_WINDOW / AMM_SECOND : 0;
    tunnel_moves_plan(t);
    follow(t, gateway, step,
           gateway->settings_error != NULL && gateway->settings_error[0] != '\0'
               ? gateway->settings_error
               : "the gateway could not take the order");
}

void tunnel_move_joined(struct tunnel *t, struct fleet_gateway *gateway, uint16_t port)
{
    struct tunnel_way *way = tunnel_way_find(t, gateway->id);
    if (way != NULL && way->move.to != 0) {
        follow(t, gateway, move_joined(&way->move, port), "");
    }
}

/* ---- time ---- */

#define PAUSE (200 * AMM_MILLISECOND)

static void plan_one(amm_time *first, const struct tunnel_way *way)
{
    if (way->move.to != 0) {
        *first = amm_time_min(*first, move_deadline(&way->move));
    }
}

void tunnel_moves_plan(struct tunnel *t)
{
    amm_time first = AMM_NEVER;
    for (uint32_t i = 0; i < t->ways.slots; i++) {
        if (t->ways.items[i] != NULL) {
            plan_one(&first, t->ways.items[i]);
        }
    }
    if (first != AMM_NEVER) {
        /* What cannot be saved now is not tried without a pause. */
        first = first > t->m->now.mono + PAUSE ? first : t->m->now.mono + PAUSE;
    }
    manager_timer_set(t->m, &t->moves, first);
}

/* One a unit, so that one that cannot be saved takes no other with it. */
void tunnel_moves_expire(struct manager *m, struct manager_timer *timer)
{
    struct tunnel *t = timer->context;
    for (uint32_t i = 0; i < t->ways.slots; i++) {
        struct tunnel_way *way = t->ways.items[i];
        struct fleet_gateway *gateway =
            way != NULL ? fleet_gateway_find(m->fleet, way->gateway_id) : NULL;
        if (gateway == NULL || way->move.to == 0 || move_deadline(&way->move) > m->now.mono) {
            continue;
        }
        const struct tunnel_live *live = tunnel_live_of(t, gateway);
        enum move_step step = live != NULL ? move_joined(&way->move, live->port) : MOVE_WAIT;
        if (step == MOVE_WAIT) {
            step = move_expire(&way->move, m->now.mono, t->link.heard_since);
        }
        if (step != MOVE_WAIT) {
            follow(t, gateway, step, "it did not come up on the new port within 60 s");
            break;
        }
    }
    tunnel_moves_plan(t);
}
