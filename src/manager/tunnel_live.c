/* Who is up: what amm-tunneld says, and what follows for the fleet. */
#include "manager/tunnel_parts.h"

#include "io/log.h"
#include "manager/events.h"
#include "manager/stream.h"

#include <stdio.h>
#include <stdlib.h>

/* A gateway that changes its address does so once; two that share an identity push each other out
 * for as long as both are there. */
enum { RIVAL_SWAPS = 3, RIVAL_SECONDS = 600, TOLD_SECONDS = 5 };

struct tunnel_port *tunnel_port_find(struct tunnel *t, uint32_t port)
{
    for (size_t i = 0; i < t->n_ports; i++) {
        if (t->ports[i].port == port) {
            return &t->ports[i];
        }
    }
    return NULL;
}

void tunnel_port_adopt(struct tunnel *t, const struct amm_ipc_port *answer)
{
    struct tunnel_port *port = tunnel_port_find(t, answer->port);
    struct places_port settings = {.port = answer->port,
                                   .pool = {.network = answer->network,
                                            .prefix = answer->prefix,
                                            .topology = answer->topology},
                                   .limit = answer->limit};
    const struct places_port *before = places_find(t->places, answer->port);
    if (before->limit == settings.limit && before->pool.network == settings.pool.network &&
        before->pool.prefix == settings.pool.prefix &&
        before->pool.topology == settings.pool.topology) {
        return;
    }
    uint32_t n_slots = amm_pool_slots(&settings.pool);
    struct tunnel_live *live = calloc(2 * ((size_t)n_slots + 1), sizeof *live);
    struct tunnel_rivals *rivals = calloc((size_t)n_slots + 1, sizeof *rivals);
    if (live == NULL || rivals == NULL || !places_change(t->places, &settings)) {
        free(live);
        free(rivals);
        amm_log(AMM_LOG_ERROR, "tunnel-pool-differs", amm_field_number("port", port->port),
                amm_field_text("text", "the tunnel server has a pool that is too small for the "
                                       "gateways that have places there"));
        return;
    }
    free(port->live);
    free(port->rivals);
    port->live = live;
    port->rivals = rivals;
    port->n_slots = n_slots;
}

/* NULL: no such port or slot. */
static struct tunnel_live *record_of(struct tunnel *t, uint32_t port_number, uint32_t peer_id)
{
    struct tunnel_port *port = tunnel_port_find(t, port_number);
    uint32_t slot = amm_peer_id_slot(peer_id);
    if (port == NULL || slot == 0 || slot > port->n_slots) {
        return NULL;
    }
    return &port->live[2 * slot + (amm_peer_id_generation(peer_id) & 1)];
}

/* ---- of one gateway ---- */

static const struct tunnel_live *better(const struct tunnel_live *a, const struct tunnel_live *b,
                                        int64_t gateway_id)
{
    bool counts = b->peer_id != 0 && !b->is_silent && b->gateway_id == gateway_id;
    return counts && (a == NULL || b->since >= a->since) ? b : a;
}

static const struct tunnel_live *best_of_place(const struct tunnel *t, int64_t gateway_id,
                                               uint16_t port_number, uint16_t slot)
{
    const struct tunnel_port *port = tunnel_port_find((struct tunnel *)(uintptr_t)t, port_number);
    if (port == NULL || slot == 0 || slot > port->n_slots) {
        return NULL;
    }
    return better(better(NULL, &port->live[2 * slot], gateway_id), &port->live[2 * slot + 1],
                  gateway_id);
}

const struct tunnel_live *tunnel_live_of(const struct tunnel *t,
                                         const struct fleet_gateway *gateway)
{
    const struct tunnel_way *way = tunnel_way_find(t, gateway->id);
    const struct tunnel_live *home =
        best_of_place(t, gateway->id, gateway->tunnel.port, gateway->tunnel.slot);
    const struct tunnel_live *second =
        way != NULL ? best_of_place(t, gateway->id, way->port, way->slot) : NULL;
    return second != NULL ? better(home, second, gateway->id) : home;
}

bool tunnel_is_up(const struct manager *m, const struct fleet_gateway *gateway,
                  struct tunnel_up *out)
{
    const struct tunnel_live *live = m->tunnel != NULL ? tunnel_live_of(m->tunnel, gateway) : NULL;
    if (live == NULL || live->epoch == 0) {
        return false;
    }
    *out = (struct tunnel_up){live->epoch, live->inner_ip, live->since};
    return true;
}

/* What browsers are told. */
static void publish(struct tunnel *t, const struct fleet_gateway *gateway)
{
    char address[16] = "";
    if (!stream_is_heard(t->m)) {
        return;
    }
    struct access_object scope = tunnel_object_of(gateway);
    char id[24];
    snprintf(id, sizeof id, "%lld", (long long)gateway->id);
    fleet_tunnel_address(gateway, address);
    stream_publish(t->m, &scope, "tunnel",
                   json_pack("{s:s, s:s, s:i, s:s, s:I, s:b}", "gateway", id, "name", gateway->name,
                             "port", (int)gateway->tunnel.up_port, "address", address, "since",
                             (json_int_t)gateway->tunnel.since, "known", !gateway->tunnel.stale));
}

static void say(struct tunnel *t, struct fleet_gateway *gateway, bool is_up, const char *why)
{
    char text[200], address[16];
    if (is_up && fleet_tunnel_address(gateway, address)) {
        snprintf(text, sizeof text, "up on port %u with address %s", gateway->tunnel.up_port,
                 address);
    } else {
        snprintf(text, sizeof text, "%.*s", amm_text_part(why, 190), why);
    }
    if (!event_may_keep(t->m->fleet, gateway, t->m->now)) {
        return;
    }
    /* The state itself does not wait for the disk. */
    if (manager_store_state(t->m) != AMM_STORE_OK ||
        !event_add(t->m->fleet, gateway, is_up ? "tunnel-up" : "tunnel-down", text, NULL,
                   t->m->now.wall)) {
        amm_log(AMM_LOG_WARNING, "event-lost", amm_field_text("gateway", gateway->name),
                amm_field_text("text", text));
    }
}

/* Puts the best tunnel into the fleet. `why` it may be down now, in words; NULL: nothing happened,
 * it was only learned. */
static void update(struct tunnel *t, struct fleet_gateway *gateway, const char *why)
{
    const struct tunnel_live *live = tunnel_live_of(t, gateway);
    struct fleet_tunnel *tunnel = &gateway->tunnel;
    uint16_t port = live != NULL ? live->port : 0;
    uint32_t inner_ip = live != NULL ? live->inner_ip : 0;
    bool was_stale = tunnel->stale;

    tunnel->stale = false;
    if (tunnel->up_port == port && tunnel->inner_ip == inner_ip) {
        if (was_stale) {
            fleet_touch(t->m->fleet, gateway, FLEET_TUNNEL);
            publish(t, gateway);
        }
        return;
    }
    bool changes_side = (tunnel->up_port != 0) != (port != 0);
    tunnel->up_port = port;
    tunnel->inner_ip = inner_ip;
    tunnel->since = live != NULL ? live->since : t->m->now.wall;
    if (port == 0 && why != NULL) {
        fleet_tunnel_error(gateway, why, t->m->now.wall);
    }
    fleet_touch(t->m->fleet, gateway, FLEET_TUNNEL);
    if (changes_side && why != NULL) {
        say(t, gateway, port != 0, why);
    }
    publish(t, gateway);
}

void tunnel_live_update(struct tunnel *t, struct fleet_gateway *gateway, const char *why)
{
    update(t, gateway, why);
}

static void update_id(struct tunnel *t, int64_t gateway_id, const char *why)
{
    struct fleet_gateway *gateway = fleet_gateway_find(t->m->fleet, gateway_id);
    if (gateway != NULL) {
        update(t, gateway, why);
    }
}

/* ---- a status ---- */

void tunnel_status_begin(struct tunnel *t)
{
    for (size_t p = 0; p < t->n_ports; p++) {
        struct tunnel_port *port = &t->ports[p];
        for (uint32_t i = 2; i < 2 * (port->n_slots + 1); i++) {
            if (port->live[i].peer_id != 0) { /* leaves pages alone that were never used */
                port->live[i].is_seen = false;
            }
        }
    }
}

static bool is_silent(const struct tunnel_port *port, uint32_t idle_ms)
{
    return port->ping != 0 && idle_ms / 1000 >= 2U * port->ping + 10;
}

/* `is_news`: the status of a new link; else one that only refreshes the numbers, and may be older
 * than an event that came meanwhile: it brings nobody up or down. */
void tunnel_status_peer(struct tunnel *t, const struct amm_ipc_peer *peer, bool is_news)
{
    struct tunnel_live *live = record_of(t, peer->port, peer->peer_id);
    if (live == NULL || (!is_news && live->peer_id != peer->peer_id)) {
        return;
    }
    struct fleet_gateway *gateway = fleet_gateway_by_tunnel_name(t->m->fleet, peer->name);
    if (is_news) {
        *live = (struct tunnel_live){
            .peer_id = peer->peer_id,
            .is_silent = is_silent(tunnel_port_find(t, peer->port), peer->idle_ms),
            .port = peer->port,
            .inner_ip = peer->inner_ip,
            .epoch = peer->epoch,
            .since = peer->since,
        };
        snprintf(live->name, sizeof live->name, "%s", peer->name);
        live->login = peer->login;
    }
    /* Of a tunnel that is news it is not known how much was counted before. */
    if (!is_news && gateway != NULL && t->m->tunnel_bytes != NULL &&
        peer->rx_bytes >= live->rx_bytes && peer->tx_bytes >= live->tx_bytes) {
        t->m->tunnel_bytes(t->m, gateway->id, peer->rx_bytes - live->rx_bytes,
                           peer->tx_bytes - live->tx_bytes);
    }
    live->is_seen = true;
    live->gateway_id = gateway != NULL ? gateway->id : 0;
    live->transport = peer->path.transport;
    live->cipher = peer->cipher;
    live->remote = peer->path.remote;
    live->heard_at = t->m->now.wall - peer->idle_ms / 1000;
    live->rx_bytes = peer->rx_bytes;
    live->tx_bytes = peer->tx_bytes;
    snprintf(live->client, sizeof live->client, "%s", peer->client);
}

/* Also gateways that were up before and are not among the live ones any more. */
void tunnel_status_end(struct tunnel *t)
{
    for (size_t p = 0; p < t->n_ports; p++) {
        struct tunnel_port *port = &t->ports[p];
        for (uint32_t i = 2; i < 2 * (port->n_slots + 1); i++) {
            if (port->live[i].peer_id != 0 && !port->live[i].is_seen) {
                port->live[i] = (struct tunnel_live){0};
            }
        }
    }
    for (size_t i = 0; i < fleet_gateway_count(t->m->fleet); i++) {
        struct fleet_gateway *gateway = fleet_gateway_at(t->m->fleet, i);
        if (gateway->tunnel.port == 0) {
            continue;
        }
        /* Known before: a change while nobody looked is news. */
        bool was_known = gateway->tunnel.since != 0;
        update(t, gateway, was_known ? "it went down while the tunnel server was not heard" : NULL);
        const struct tunnel_live *live = tunnel_live_of(t, gateway);
        if (live != NULL) {
            tunnel_move_joined(t, gateway, live->port);
        }
    }
}

void tunnel_unheard(struct tunnel *t)
{
    for (size_t i = 0; i < fleet_gateway_count(t->m->fleet); i++) {
        struct fleet_gateway *gateway = fleet_gateway_at(t->m->fleet, i);
        if (gateway->tunnel.port != 0 && !gateway->tunnel.stale) {
            gateway->tunnel.stale = true;
            fleet_touch(t->m->fleet, gateway, FLEET_TUNNEL);
        }
    }
}

/* ---- events ---- */

static struct tunnel_rivals *rivals_of(struct tunnel *t, const struct amm_ipc_event *event)
{
    return &tunnel_port_find(t, event->port)->rivals[amm_peer_id_slot(event->peer_id)];
}

/* Whose tunnel the one that joins takes over: that one's end may be told before or after. */
static bool pushed_out(struct tunnel *t, const struct amm_ipc_event *event, struct amm_address *out)
{
    uint32_t lane = (amm_peer_id_generation(event->peer_id) & 1) ^ 1;
    const struct tunnel_live *other =
        record_of(t, event->port, amm_peer_id(lane, amm_peer_id_slot(event->peer_id)));
    const struct tunnel_rivals *rivals = rivals_of(t, event);
    if (other->peer_id != 0) {
        *out = other->remote;
        return !other->is_silent;
    }
    *out = rivals->out;
    return rivals->out_at != 0 && event->at - rivals->out_at <= TOLD_SECONDS;
}

/* Two with one identity, seen by their pushing each other out from two addresses. */
static void judge_rivals(struct tunnel *t, struct fleet_gateway *gateway,
                         const struct amm_ipc_event *event)
{
    struct tunnel_rivals *rivals = rivals_of(t, event);
    struct amm_address here = event->remote, there;

    if (!pushed_out(t, event, &there) || tunnel_way_find(t, gateway->id) != NULL) {
        return;
    }
    here.port = there.port = 0; /* another port of one address is a NAT */
    if (amm_address_equal(&here, &there)) {
        return;
    }
    if (rivals->swaps != 0 && event->at - rivals->since > RIVAL_SECONDS) {
        *rivals = (struct tunnel_rivals){0};
    }
    if (rivals->swaps == 0) {
        rivals->since = event->at;
    }
    if (rivals->swaps == 0 || amm_address_equal(&rivals->last, &here)) {
        rivals->swaps++;
    }
    rivals->last = there;
    if (rivals->swaps >= RIVAL_SWAPS) {
        char how[160], a[AMM_ADDRESS_TEXT], b[AMM_ADDRESS_TEXT];
        snprintf(how, sizeof how, "tunnels from %s and %s push each other out",
                 amm_address_text(&here, a), amm_address_text(&there, b));
        *rivals = (struct tunnel_rivals){0};
        fleet_gateway_cloned(t->m->fleet, gateway, how, t->m->now.wall, NULL);
    }
}

static void joined(struct tunnel *t, const struct amm_ipc_event *event)
{
    struct tunnel_live *live = record_of(t, event->port, event->peer_id);
    struct fleet_gateway *gateway = fleet_gateway_by_tunnel_name(t->m->fleet, event->name);
    if (live == NULL) {
        return;
    }
    if (live->peer_id == event->peer_id) {
        return; /* the status knew it already */
    }
    if (gateway != NULL) {
        judge_rivals(t, gateway, event);
    }
    *live = (struct tunnel_live){
        .peer_id = event->peer_id,
        .transport = event->transport,
        .port = event->port,
        .inner_ip = event->inner_ip,
        .epoch = event->epoch,
        .since = event->at,
        .heard_at = event->at,
        .gateway_id = gateway != NULL ? gateway->id : 0,
        .remote = event->remote,
        .login = event->login,
    };
    snprintf(live->name, sizeof live->name, "%s", event->name);
    snprintf(live->client, sizeof live->client, "%s", event->client);
    if (gateway != NULL) {
        update(t, gateway, "");
        tunnel_move_joined(t, gateway, event->port);
    }
}

static const char *leaving_text(const struct amm_ipc_event *event, char *out, size_t room)
{
    snprintf(out, room, "%s%s%s", event->reason, event->text[0] != '\0' ? ": " : "", event->text);
    return out;
}

static void left(struct tunnel *t, const struct amm_ipc_event *event)
{
    struct tunnel_live *live = record_of(t, event->port, event->peer_id);
    char text[256];
    if (live != NULL && live->peer_id == event->peer_id) {
        int64_t gateway_id = live->gateway_id;
        if (strcmp(event->reason, "replaced") == 0) {
            rivals_of(t, event)->out = live->remote;
            rivals_of(t, event)->out_at = event->at;
        }
        *live = (struct tunnel_live){0};
        update_id(t, gateway_id, leaving_text(event, text, sizeof text));
    }
}

static void silence(struct tunnel *t, const struct amm_ipc_event *event, bool silent)
{
    struct tunnel_live *live = record_of(t, event->port, event->peer_id);
    if (live != NULL && live->peer_id == event->peer_id && live->is_silent != silent) {
        live->is_silent = silent;
        if (!silent) {
            live->heard_at = event->at;
        }
        update_id(t, live->gateway_id, silent ? event->text : "");
    }
}

static void refused(struct tunnel *t, const struct amm_ipc_event *event)
{
    struct fleet_gateway *gateway = fleet_gateway_by_tunnel_name(t->m->fleet, event->name);
    char text[256];
    refused_note(t->m, &t->refused, event);
    if (gateway != NULL) {
        fleet_tunnel_error(gateway, leaving_text(event, text, sizeof text), event->at);
    }
}

void tunnel_event(struct tunnel *t, const struct amm_ipc_event *event)
{
    struct tunnel_live *live;
    switch ((enum amm_ipc_event_kind)event->kind) {
    case AMM_IPC_JOINED:
        joined(t, event);
        break;
    case AMM_IPC_LEFT:
        left(t, event);
        break;
    case AMM_IPC_MOVED:
        live = record_of(t, event->port, event->peer_id);
        if (live != NULL && live->peer_id == event->peer_id) {
            live->remote = event->remote;
        }
        break;
    case AMM_IPC_REFUSED:
        refused(t, event);
        break;
    case AMM_IPC_SILENT:
    case AMM_IPC_HEARD:
        silence(t, event, event->kind == AMM_IPC_SILENT);
        break;
    case AMM_IPC_ALARM:
        amm_log(AMM_LOG_ERROR, "tunnel-alarm", amm_field_text("reason", event->reason),
                amm_field_text("text", event->text));
        break;
    }
}
