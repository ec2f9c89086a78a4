/* Places: memory and store in step, and what is desired turned into places and moves. */
#include "manager/tunnel_parts.h"

#include "domain/msci.h"
#include "io/log.h"
#include "manager/events.h"
#include "manager/parameters.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- second places ---- */

static uint64_t id_hash(int64_t id)
{
    return (uint64_t)id * 0x9e3779b97f4a7c15ULL;
}

static bool way_is_of(const void *item, void *key)
{
    return ((const struct tunnel_way *)item)->gateway_id == *(int64_t *)key;
}

struct tunnel_way *tunnel_way_find(const struct tunnel *t, int64_t gateway_id)
{
    return index_find(&t->ways, id_hash(gateway_id), way_is_of, &gateway_id);
}

static struct tunnel_way *way_add(struct tunnel *t, int64_t gateway_id, uint16_t port,
                                  uint32_t slot)
{
    struct tunnel_way *way = calloc(1, sizeof *way);
    if (way == NULL || !index_add(&t->ways, id_hash(gateway_id), way)) {
        free(way);
        return NULL;
    }
    way->gateway_id = gateway_id;
    way->port = port;
    way->slot = (uint16_t)slot;
    return way;
}

static void way_remove(struct tunnel *t, struct tunnel_way *way)
{
    index_remove(&t->ways, id_hash(way->gateway_id), way);
    free(way);
}

/* ---- memory as the store has it ---- */

static void set_home(struct fleet_gateway *gateway, uint16_t port, uint32_t slot)
{
    gateway->tunnel.port = port;
    gateway->tunnel.slot = (uint16_t)slot;
}

/* Takes one row over; the first of a gateway is its home. False with a log line if it cannot be. */
static bool take_row(struct tunnel *t, struct fleet_gateway *gateway, uint16_t port, uint32_t slot)
{
    if (!places_take(t->places, port, slot, gateway->id)) {
        amm_log(AMM_LOG_WARNING, "place-lost", amm_field_text("gateway", gateway->name),
                amm_field_number("port", port), amm_field_number("slot", slot),
                amm_field_text("text", "the server has no such place any more"));
        return false;
    }
    if (gateway->tunnel.port == 0) {
        set_home(gateway, port, slot);
        gateway->tunnel.stale = !tunnel_link_is_up(t);
    } else if (tunnel_way_find(t, gateway->id) == NULL &&
               way_add(t, gateway->id, port, slot) != NULL) {
        gateway->tunnel.move_port = port;
    }
    return true;
}

static void clear_memory(struct tunnel *t, int64_t gateway_id, int64_t now)
{
    struct fleet_gateway *gateway = fleet_gateway_find(t->m->fleet, gateway_id);
    struct tunnel_way *way = tunnel_way_find(t, gateway_id);
    if (way != NULL) {
        places_release(t->places, way->port, way->slot, now);
        way_remove(t, way);
    }
    if (gateway != NULL) {
        places_release(t->places, gateway->tunnel.port, gateway->tunnel.slot, now);
        set_home(gateway, 0, 0);
        gateway->tunnel.move_port = 0;
    }
}

/* A unit that changed places was rolled back: they are read again. */
static void read_again(struct manager *m, void *data)
{
    struct tunnel *t = m->tunnel;
    int64_t id = *(int64_t *)data;
    struct tunnel_way *way = tunnel_way_find(t, id);
    struct move move = way != NULL ? way->move : (struct move){0};
    clear_memory(t, id, 0);
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, id);
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_PLACE_OF, AMM_WITH(amm_number(id)));
    while (amm_rows_next(rows)) {
        if (gateway != NULL) {
            take_row(t, gateway, (uint16_t)amm_rows_number(rows, 0),
                     (uint32_t)amm_rows_number(rows, 1));
        }
    }
    amm_rows_end(rows);
    way = tunnel_way_find(t, id);
    if (way != NULL && way->port == move.to) {
        way->move = move;
    }
}

bool tunnel_places_load(struct tunnel *t, char *error, size_t room)
{
    struct amm_rows *rows = amm_store_query(t->m->store, AMM_SQL_PLACE_ALL, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        struct fleet_gateway *gateway = fleet_gateway_find(t->m->fleet, amm_rows_number(rows, 0));
        if (gateway != NULL) {
            take_row(t, gateway, (uint16_t)amm_rows_number(rows, 1),
                     (uint32_t)amm_rows_number(rows, 2));
        }
    }
    if (amm_rows_end(rows) != AMM_STORE_OK) {
        snprintf(error, room, "places of gateways: %s", amm_store_error(t->m->store));
        return false;
    }
    return true;
}

/* ---- changing both ---- */

static void changed(struct tunnel *t, struct fleet_gateway *gateway)
{
    manager_undo(t->m, read_again, &gateway->id, sizeof gateway->id);
    fleet_touch(t->m->fleet, gateway, FLEET_TUNNEL);
    tunnel_roster_touch(t);
}

static bool refused_by_store(struct tunnel *t, enum amm_store_result result,
                             struct fleet_error *error)
{
    return fleet_refuse(error, result == AMM_STORE_FULL ? 507 : 503, amm_store_result_name(result),
                        NULL, "%s", amm_store_error(t->m->store));
}

/* Takes a free slot of the port for the gateway: as its home if it has none. */
static bool take_place(struct tunnel *t, struct fleet_gateway *gateway, uint16_t port,
                       struct fleet_error *error)
{
    int64_t now = t->m->now.wall;
    uint32_t slot = places_choose(t->places, port, now);
    if (slot == 0) {
        char text[sizeof error->text];
        places_say_full(t->places, port, text, sizeof text);
        return fleet_refuse(error, 409, "port-full", "10034", "%s", text);
    }
    enum amm_store_result result =
        amm_store_run(t->m->store, AMM_SQL_PLACE_ADD,
                      AMM_WITH(amm_number(gateway->group->tenant->id), amm_number(gateway->id),
                               amm_number(port), amm_number(slot), amm_number(now)));
    if (result != AMM_STORE_OK) {
        return refused_by_store(t, result, error);
    }
    changed(t, gateway);
    return take_row(t, gateway, port, slot);
}

static bool drop_row(struct tunnel *t, struct fleet_gateway *gateway, uint16_t port,
                     struct fleet_error *error)
{
    enum amm_store_result result =
        amm_store_run(t->m->store, AMM_SQL_PLACE_DROP,
                      AMM_WITH(amm_number(gateway->group->tenant->id), amm_number(gateway->id),
                               amm_number(port)));
    return result == AMM_STORE_OK || refused_by_store(t, result, error);
}

/* Gives the second place back: the gateway stays where it is. */
static bool drop_way(struct tunnel *t, struct fleet_gateway *gateway, struct tunnel_way *way,
                     struct fleet_error *error)
{
    if (!drop_row(t, gateway, way->port, error)) {
        return false;
    }
    changed(t, gateway);
    places_release(t->places, way->port, way->slot, t->m->now.wall);
    gateway->tunnel.move_port = 0;
    way_remove(t, way);
    tunnel_moves_plan(t);
    return true;
}

bool tunnel_arrive(struct tunnel *t, struct fleet_gateway *gateway)
{
    struct tunnel_way *way = tunnel_way_find(t, gateway->id);
    uint16_t old = gateway->tunnel.port;
    char text[96];
    if (!drop_row(t, gateway, old, NULL)) {
        return false;
    }
    changed(t, gateway);
    places_release(t->places, old, gateway->tunnel.slot, t->m->now.wall);
    set_home(gateway, way->port, way->slot);
    gateway->tunnel.move_port = 0;
    way_remove(t, way);
    snprintf(text, sizeof text, "moved from port %u to %u", old, gateway->tunnel.port);
    tunnel_moves_plan(t);
    tunnel_live_update(t, gateway, text);
    return event_add(t->m->fleet, gateway, "tunnel-moved", text, NULL, t->m->now.wall);
}

/* 10034 says again where the gateway is. Of a router without software of ours only a person's word
 * is desired. */
static bool desire_home(struct tunnel *t, struct fleet_gateway *gateway, const char *by)
{
    char port[8];
    snprintf(port, sizeof port, "%u", gateway->tunnel.port);
    bool is_free = gateway->kind == FLEET_OPENVPN &&
                   fleet_desired(gateway, AMM_MSCI_TUNNEL_PORT, NULL) == NULL;
    return is_free || parameters_set_one(t->m->fleet, gateway, AMM_MSCI_TUNNEL_PORT, port, by,
                                         t->m->now.wall, NULL);
}

bool tunnel_give_up(struct tunnel *t, struct fleet_gateway *gateway, const char *why)
{
    struct tunnel_way *way = tunnel_way_find(t, gateway->id);
    char text[320];
    snprintf(text, sizeof text, "stays on port %u, the move to %u was taken back: %s",
             gateway->tunnel.port, way->port, why);
    if (!drop_way(t, gateway, way, NULL) || !desire_home(t, gateway, "server (move taken back)") ||
        !event_add(t->m->fleet, gateway, "tunnel-move-failed", text, NULL, t->m->now.wall)) {
        return false;
    }
    fleet_tunnel_error(gateway, text, t->m->now.wall);
    return true;
}

void tunnel_forget(struct tunnel *t, int64_t gateway_id)
{
    struct tunnel_way *way = tunnel_way_find(t, gateway_id);
    if (way != NULL) {
        way_remove(t, way);
    }
    for (size_t p = 0; p < t->n_ports; p++) {
        struct tunnel_port *port = &t->ports[p];
        for (uint32_t slot = 1; slot <= port->n_slots; slot++) {
            if (places_owner(t->places, port->port, slot) == gateway_id) {
                places_release(t->places, port->port, slot, t->m->now.wall);
                tunnel_roster_touch(t);
            }
        }
    }
    tunnel_moves_plan(t);
}

/* ---- what is desired ---- */

/* Also one whose tunnel rests by the policy of its groups: what is ordered must find a place. */
static bool is_enabled(const struct fleet_gateway *gateway)
{
    char value[AMM_MSCI_VALUE];
    const struct fleet_group *policy = fleet_tunnel_policy_group(gateway->group);
    return gateway->kind != FLEET_OURS ||
           (policy != NULL && policy->tunnel_policy != FLEET_TUNNEL_ALWAYS) ||
           (fleet_effective(gateway, AMM_MSCI_TUNNEL, value, sizeof value) &&
            strcmp(value, "Enable") == 0);
}

static bool should_have_place(const struct fleet_gateway *gateway)
{
    return fleet_gateway_is_admitted(gateway) && is_enabled(gateway);
}

/* The nearest template that says where gateways of this branch go; NULL: none. */
static const struct fleet_desired *template_above(const struct fleet_gateway *gateway)
{
    for (const struct fleet_group *group = gateway->group; group != NULL; group = group->parent) {
        for (uint32_t i = 0; i < group->template.n; i++) {
            if (group->template.at[i].id == AMM_MSCI_TUNNEL_PORT) {
                return &group->template.at[i];
            }
        }
    }
    return NULL;
}

struct wish {
    uint16_t port; /* 0: nobody has chosen */
    bool is_local; /* chosen on the gateway's own page */
};

static uint16_t port_number(const char *text)
{
    return (uint16_t)strtoul(text, NULL, 10); /* canonical: 1190 to 1193 */
}

static struct wish wish_of(const struct fleet_gateway *gateway)
{
    const struct fleet_desired *desired = fleet_desired(gateway, AMM_MSCI_TUNNEL_PORT, NULL);
    const struct amm_msci *msci = amm_msci_find(AMM_MSCI_TUNNEL_PORT);
    struct amm_msci_value initial;
    char reported[AMM_MSCI_VALUE];
    if (desired != NULL) {
        return (struct wish){port_number(desired->value), desired->local};
    }
    /* Every gateway reports the initial value; another one was somebody's choice. */
    if (fleet_reported(gateway, AMM_MSCI_TUNNEL_PORT, reported, sizeof reported) &&
        amm_msci_initial(msci, &initial) && strcmp(reported, initial.text) != 0) {
        return (struct wish){port_number(reported), true};
    }
    return (struct wish){0};
}

/* The balancer's word gives way to a template that was set since. */
static bool must_yield(const struct fleet_gateway *gateway)
{
    const struct fleet_group *from = NULL;
    const struct fleet_desired *desired = fleet_desired(gateway, AMM_MSCI_TUNNEL_PORT, &from);
    return gateway->kind != FLEET_OPENVPN && desired != NULL && from == NULL &&
           strcmp(desired->by, TUNNEL_BALANCER) == 0 && template_above(gateway) != NULL;
}

static bool yield_to_template(struct tunnel *t, struct fleet_gateway *gateway)
{
    if (!must_yield(gateway)) {
        return true;
    }
    json_t *values = json_pack("{s:n}", "10034");
    bool ok = values != NULL &&
              parameters_set(t->m->fleet, gateway, values, TUNNEL_BALANCER, t->m->now.wall, NULL);
    json_decref(values);
    return ok;
}

/* ---- in line with it ---- */

static uint32_t draining_ports(const struct tunnel *t)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < t->n_ports && i < PLACES_PORTS_MAX; i++) {
        bits |= (uint32_t)t->ports[i].is_draining << i;
    }
    return bits;
}

/* The first place. Chosen by the balancer it becomes desired, so that the gateway learns of it. */
static bool give_home(struct tunnel *t, struct fleet_gateway *gateway, struct wish wish,
                      struct fleet_error *error)
{
    uint16_t port = wish.port != 0 ? wish.port : places_balance(t->places, draining_ports(t));
    if (port == 0) {
        char text[sizeof error->text];
        places_say_full(t->places, t->n_ports > 0 ? t->ports[0].port : 0, text, sizeof text);
        return fleet_refuse(error, 409, "ports-full", NULL, "No tunnel port has a place left: %s",
                            text);
    }
    return take_place(t, gateway, port, error) &&
           (wish.port != 0 || desire_home(t, gateway, TUNNEL_BALANCER) ||
            fleet_refuse(error, 503, "store", NULL, "10034 could not be saved"));
}

/* Nobody is connected who could be cut off: the old place goes at once. */
static bool is_moved_at_once(const struct fleet_gateway *gateway)
{
    return gateway->kind == FLEET_OPENVPN || !should_have_place(gateway) ||
           gateway->first_checkin == 0;
}

static bool begin_move(struct tunnel *t, struct fleet_gateway *gateway, struct wish wish,
                       struct fleet_error *error)
{
    struct tunnel_way *way = tunnel_way_find(t, gateway->id);
    if (way != NULL && way->port != wish.port && !drop_way(t, gateway, way, error)) {
        return false;
    }
    way = tunnel_way_find(t, gateway->id);
    if (way == NULL && (!take_place(t, gateway, wish.port, error) ||
                        (way = tunnel_way_find(t, gateway->id)) == NULL)) {
        return false;
    }
    if (is_moved_at_once(gateway)) {
        return tunnel_arrive(t, gateway);
    }
    if (way->move.to == 0) {
        /* An order that was given before a restart of ours counts as not taken yet. */
        int64_t before = gateway->revision_taken < gateway->revision ? gateway->revision_taken
                                                                     : gateway->revision;
        move_begin(&way->move, gateway->tunnel.port, wish.port, wish.is_local, before);
        changed(t, gateway);
    }
    way->move.is_local = wish.is_local;
    tunnel_moves_plan(t);
    const struct tunnel_live *live = tunnel_live_of(t, gateway);
    return live == NULL || live->port != wish.port || tunnel_arrive(t, gateway);
}

static bool bring_in_line(struct tunnel *t, struct fleet_gateway *gateway,
                          struct fleet_error *error)
{
    if (!yield_to_template(t, gateway)) {
        return fleet_refuse(error, 503, "store", NULL, "10034 could not be saved");
    }
    struct wish wish = wish_of(gateway);
    uint16_t home = gateway->tunnel.port;
    struct tunnel_way *way = tunnel_way_find(t, gateway->id);
    if (home == 0) {
        return !should_have_place(gateway) || give_home(t, gateway, wish, error);
    }
    if (gateway->kind == FLEET_OPENVPN && (wish.port == 0 || wish.port == home)) {
        return way == NULL || tunnel_arrive(t, gateway);
    }
    if (wish.port == 0) {
        return desire_home(t, gateway, TUNNEL_BALANCER);
    }
    if (wish.port == home) {
        return way == NULL || drop_way(t, gateway, way, error);
    }
    return begin_move(t, gateway, wish, error);
}

bool tunnel_needs_look(const struct tunnel *t, const struct fleet_gateway *gateway)
{
    uint16_t home = gateway->tunnel.port;
    if (home == 0) {
        return should_have_place(gateway);
    }
    if (gateway->kind == FLEET_OPENVPN) {
        uint16_t port = wish_of(gateway).port;
        return port != 0 && port != home;
    }
    return must_yield(gateway) || wish_of(gateway).port != home ||
           tunnel_way_find(t, gateway->id) != NULL;
}

/* Where what is desired cannot be had, desired and done must not differ for ever. */
static void fall_back(struct tunnel *t, struct fleet_gateway *gateway,
                      const struct fleet_error *error)
{
    if (gateway->tunnel.last_error == NULL ||
        strcmp(gateway->tunnel.last_error, error->text) != 0) {
        event_add(t->m->fleet, gateway, "tunnel-no-place", error->text, NULL, t->m->now.wall);
        fleet_tunnel_error(gateway, error->text, t->m->now.wall);
        fleet_touch(t->m->fleet, gateway, FLEET_TUNNEL);
    }
    if (gateway->tunnel.port != 0 && error->status == 409) {
        desire_home(t, gateway, "server (no place)");
    }
}

void tunnel_reconcile(struct tunnel *t, int64_t gateway_id)
{
    struct fleet_gateway *gateway = fleet_gateway_find(t->m->fleet, gateway_id);
    struct fleet_error error = {0};
    if (gateway == NULL) {
        tunnel_forget(t, gateway_id);
    } else if (!bring_in_line(t, gateway, &error)) {
        if (error.status == 409) {
            fall_back(t, gateway, &error);
        } else {
            manager_fail(t->m);
        }
    }
}

/* ---- asked by others ---- */

bool tunnel_port_free(struct manager *m, const struct fleet_gateway *gateway, uint32_t port,
                      struct fleet_error *error)
{
    struct tunnel *t = m->tunnel;
    char text[sizeof error->text];
    if (places_find(t->places, port) == NULL) {
        return fleet_refuse(error, 400, "no-such-port", "10034",
                            "%u is not one of this server's tunnel ports.", port);
    }
    bool has_place =
        gateway != NULL && (gateway->tunnel.port == port || gateway->tunnel.move_port == port);
    if (has_place || places_left(t->places, port) > 0) {
        return true;
    }
    places_say_full(t->places, port, text, sizeof text);
    return fleet_refuse(error, 409, "port-full", "10034", "%s", text);
}

/* Of a template: as many gateways as would follow it must find room. */
static bool check_branch(struct tunnel *t, struct fleet_group *group, uint32_t port,
                         struct fleet_error *error)
{
    uint32_t followers = 0, left = places_left(t->places, port);
    uint32_t mark = fleet_group_mark_branch(t->m->fleet, group);
    for (size_t i = 0; i < fleet_gateway_count(t->m->fleet); i++) {
        const struct fleet_gateway *gateway = fleet_gateway_at(t->m->fleet, i);
        const struct fleet_group *from = NULL;
        if (gateway->group->mark != mark || gateway->tunnel.port == port ||
            gateway->tunnel.move_port == port || !should_have_place(gateway)) {
            continue;
        }
        const struct fleet_desired *desired = fleet_desired(gateway, AMM_MSCI_TUNNEL_PORT, &from);
        bool nearer = desired != NULL && strcmp(desired->by, TUNNEL_BALANCER) != 0 &&
                      (from == NULL || (from != group && fleet_group_within(from, group)));
        followers += !nearer;
    }
    if (followers <= left) {
        return true;
    }
    return fleet_refuse(error, 409, "port-full", "10034",
                        "%u gateways below this group would go to port %u, which has %u of %u "
                        "places left.",
                        followers, port, left, places_find(t->places, port)->limit);
}

bool tunnel_reserve(void *context, struct fleet_gateway *gateway, struct fleet_group *group,
                    uint32_t port, struct fleet_error *error)
{
    struct tunnel *t = context;
    if (!tunnel_port_free(t->m, gateway, port, error)) {
        return false;
    }
    if (gateway == NULL) {
        return check_branch(t, group, port, error);
    }
    if (gateway->tunnel.port == port || gateway->tunnel.move_port == port) {
        return true;
    }
    struct tunnel_way *way = tunnel_way_find(t, gateway->id);
    return (way == NULL || drop_way(t, gateway, way, error)) &&
           take_place(t, gateway, (uint16_t)port, error);
}

bool tunnel_place(struct manager *m, struct fleet_gateway *gateway, struct fleet_error *error)
{
    return gateway->tunnel.port != 0 || bring_in_line(m->tunnel, gateway, error);
}

bool tunnel_move(struct manager *m, struct fleet_gateway *gateway, uint32_t port, const char *by,
                 struct fleet_error *error)
{
    struct tunnel *t = m->tunnel;
    char text[8];
    if (!tunnel_reserve(t, gateway, NULL, port, error)) {
        return false;
    }
    snprintf(text, sizeof text, "%u", port);
    return parameters_set_one(m->fleet, gateway, AMM_MSCI_TUNNEL_PORT, text, by, m->now.wall,
                              error) &&
           bring_in_line(t, gateway, error);
}

bool tunnel_is_moving(const struct manager *m, const struct fleet_gateway *gateway)
{
    return m->tunnel != NULL && tunnel_way_find(m->tunnel, gateway->id) != NULL;
}
