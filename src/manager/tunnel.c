/* The tunnel module: start, stop, and what changes in the fleet. */
#include "manager/tunnel_parts.h"

#include "io/log.h"
#include "manager/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#define AGAIN AMM_SECOND

/* ---- gateways to look at ---- */

static void remember(struct tunnel *t, int64_t gateway_id)
{
    if (t->n_todo == t->todo_room) {
        size_t room = t->todo_room != 0 ? 2 * t->todo_room : 64;
        int64_t *todo = realloc(t->todo, room * sizeof *todo);
        if (todo == NULL) {
            return; /* found again by its next check-in */
        }
        t->todo = todo;
        t->todo_room = room;
    }
    t->todo[t->n_todo++] = gateway_id;
}

/* The store said no: later again. */
static void look_again(struct manager *m, void *data)
{
    struct tunnel *t = m->tunnel;
    remember(t, *(int64_t *)data);
    manager_timer_set(m, &t->again, amm_time_after(m->now.mono, AGAIN));
}

/* Each in a unit of its own: one that the store refuses takes no other with it. */
static void look_at_one(struct manager *m, void *context)
{
    struct tunnel *t = context;
    if (t->n_todo == 0) {
        return;
    }
    int64_t id = t->todo[--t->n_todo];
    manager_undo(m, look_again, &id, sizeof id);
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, id);
    if (gateway != NULL) {
        tunnel_move_checked_in(t, gateway);
    }
    tunnel_reconcile(t, id);
}

static void look_at_rest(struct manager *m, struct manager_timer *timer)
{
    struct tunnel *t = timer->context;
    for (size_t i = 0; i < t->n_todo; i++) {
        manager_post(m, look_at_one, t);
    }
}

static void look_at(struct tunnel *t, int64_t gateway_id)
{
    remember(t, gateway_id);
    manager_post(t->m, look_at_one, t);
}

/* ---- changes in the fleet ---- */

enum {
    INTERESTING = FLEET_CREATED | FLEET_DELETED | FLEET_MOVED | FLEET_ACCESS | FLEET_CHECKED_IN |
                  FLEET_VALUES | FLEET_SETTINGS | FLEET_EDITED
};

static void look_below(struct tunnel *t, struct fleet_group *group)
{
    uint32_t mark = fleet_group_mark_branch(t->m->fleet, group);
    for (size_t i = 0; i < fleet_gateway_count(t->m->fleet); i++) {
        struct fleet_gateway *gateway = fleet_gateway_at(t->m->fleet, i);
        if (gateway->group->mark == mark && tunnel_needs_look(t, gateway)) {
            look_at(t, gateway->id);
        }
    }
}

/* Behind a commit: nothing may be written here. */
static void fleet_changed(void *context, const struct fleet_note *note)
{
    struct tunnel *t = context;
    if ((note->changes & INTERESTING) == 0) {
        return;
    }
    if (note->gateway_id == 0) {
        look_below(t, fleet_branch_find(t->m->fleet, note->tenant_id, note->group_id));
        return;
    }
    struct fleet_gateway *gateway = fleet_gateway_find(t->m->fleet, note->gateway_id);
    if (gateway == NULL) {
        tunnel_forget(t, note->gateway_id);
        return;
    }
    if (note->changes & FLEET_ACCESS && gateway->tunnel.port != 0) {
        tunnel_roster_touch(t);
    }
    if (tunnel_needs_look(t, gateway)) {
        look_at(t, gateway->id);
    }
}

/* ---- the module ---- */

static void tunnel_free(struct tunnel *t)
{
    for (size_t p = 0; p < t->n_ports; p++) {
        free(t->ports[p].live);
        free(t->ports[p].rivals);
    }
    for (uint32_t i = 0; i < t->ways.slots; i++) {
        free(t->ways.items[i]);
    }
    index_deinit(&t->ways);
    places_free(t->places);
    free(t->todo);
    free(t);
}

static bool make_ports(struct tunnel *t)
{
    const struct amm_tunneld_config *config = &t->m->config->tunneld;
    struct places_port ports[PLACES_PORTS_MAX];
    for (size_t i = 0; i < config->n_ports; i++) {
        const struct amm_port_config *from = &config->ports[i];
        struct tunnel_port *port = &t->ports[t->n_ports++];
        ports[i] = (struct places_port){from->port, from->pool, from->limit};
        port->port = from->port;
        port->n_slots = amm_pool_slots(&from->pool);
        port->live = calloc(2 * ((size_t)port->n_slots + 1), sizeof *port->live);
        port->rivals = calloc((size_t)port->n_slots + 1, sizeof *port->rivals);
        if (port->live == NULL || port->rivals == NULL) {
            return false;
        }
    }
    t->places = places_new(ports, config->n_ports);
    return t->places != NULL;
}

static bool start(struct manager *m, char *error, size_t room)
{
    struct tunnel *t = calloc(1, sizeof *t);
    if (t == NULL) {
        snprintf(error, room, "out of memory");
        return false;
    }
    m->tunnel = t;
    t->m = m;
    t->moves = (struct manager_timer){.fire = tunnel_moves_expire, .context = t};
    t->again = (struct manager_timer){.fire = look_at_rest, .context = t};
    t->roster.timer = (struct manager_timer){.fire = tunnel_roster_fire, .context = t};
    t->roster.reloaded = m->now.mono - AMM_SECOND;
    if (!make_ports(t)) {
        snprintf(error, room, "out of memory");
        return false;
    }
    if (!tunnel_places_load(t, error, room)) {
        return false;
    }
    for (size_t i = 0; i < fleet_gateway_count(m->fleet); i++) {
        struct fleet_gateway *gateway = fleet_gateway_at(m->fleet, i);
        gateway->tunnel.stale = gateway->tunnel.port != 0;
        if (tunnel_needs_look(t, gateway)) {
            look_at(t, gateway->id);
        }
    }
    fleet_watch(m->fleet, fleet_changed, t);
    fleet_on_port(m->fleet, tunnel_reserve, t);
    tunnel_roster_touch(t);
    return tunnel_link_start(t);
}

static void stop(struct manager *m)
{
    struct tunnel *t = m->tunnel;
    if (t == NULL) {
        return;
    }
    tunnel_link_stop(t);
    struct manager_timer *const timers[] = {&t->moves, &t->again, &t->roster.timer,
                                            &t->link.refresh, &t->link.retry};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        manager_timer_set(m, timers[i], AMM_NEVER); /* the heap of timers outlives the module */
    }
    tunnel_free(t);
    m->tunnel = NULL;
}

static void metrics(struct manager *m, struct metrics *out)
{
    const struct tunnel *t = m->tunnel;
    char label[24];
    metrics_add(out, METRIC_GAUGE, "tunnel_server_heard", "1 while amm-tunneld answers", NULL,
                tunnel_link_is_up(t));
    for (size_t i = 0; i < t->n_ports; i++) {
        snprintf(label, sizeof label, "port=\"%u\"", t->ports[i].port);
        metrics_add(out, METRIC_GAUGE, "tunnel_places", "places given to gateways", label,
                    places_taken(t->places, t->ports[i].port));
    }
    for (size_t i = 0; i < t->n_ports; i++) {
        snprintf(label, sizeof label, "port=\"%u\"", t->ports[i].port);
        metrics_add(out, METRIC_GAUGE, "tunnels_up", "tunnels that are up, as last told", label,
                    t->ports[i].up);
    }
    metrics_add(out, METRIC_GAUGE, "tunnel_moves", "gateways that may be on two ports", NULL,
                t->ways.used);
}

const struct manager_module tunnel_module = {
    .name = "tunnel", .start = start, .stop = stop, .metrics = metrics};

/* ---- asked by others ---- */

struct kick {
    uint32_t hold;
    char name[AMM_NAME_MAX + 1];
};

static void kick_behind_commit(struct manager *m, void *data)
{
    const struct kick *kick = data;
    struct tunnel_request request = {.type = AMM_IPC_KICK, .ask.hold = kick->hold};
    snprintf(request.ask.name, sizeof request.ask.name, "%s", kick->name);
    tunnel_ask(m->tunnel, &request); /* no tunnel server: no tunnel to end */
}

void tunnel_kick(struct manager *m, const struct fleet_gateway *gateway, uint32_t hold)
{
    char name[FLEET_TUNNEL_NAME];
    struct kick kick = {.hold = hold};
    fleet_tunnel_name(gateway, name);
    if (strlen(name) <= AMM_NAME_MAX) {
        snprintf(kick.name, sizeof kick.name, "%.64s", name);
        manager_after(m, kick_behind_commit, &kick, sizeof kick);
    }
}

static void reload_behind_commit(struct manager *m, void *data)
{
    (void)data;
    tunnel_roster_reload(m->tunnel);
}

void tunnel_reload(struct manager *m)
{
    manager_after(m, reload_behind_commit, NULL, 0);
}

struct access_object tunnel_object_of(const struct fleet_gateway *gateway)
{
    const struct fleet_group *group = gateway->group;
    return (struct access_object){.tenant = group->tenant->id,
                                  .group = group->parent != NULL ? group->id : 0};
}

bool tunnel_find_gateway(struct manager *m, int64_t id, struct access_object *out)
{
    const struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, id);
    if (gateway != NULL) {
        *out = tunnel_object_of(gateway);
    }
    return gateway != NULL;
}
