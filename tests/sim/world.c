#include "sim.h"

#include <stdlib.h>

struct amm_now sim_server_now(const struct sim *sim)
{
    return (struct amm_now){sim->now.mono, sim->now.wall + sim->wall_step};
}

/* ---- set-up ---- */

static void feed_twice(struct amm_tls *tls, struct amm_view bytes)
{
    amm_tls_fake.feed(tls, bytes);
    amm_tls_fake.feed(tls, bytes);
}

/* JOINED, RENEWED and CLOSED of the server; a TCP connection is closed with its session. */
static void server_event(void *owner, const struct amm_event *event)
{
    struct sim *sim = owner;
    if (event->kind == AMM_EVENT_JOINED) {
        sim_say(sim, "server: joined", -1, event->plane.peer_id);
        if (strncmp(event->identity.name, "gw-", 3) != 0) {
            sim_fail(sim, "intruder", "%s has joined", event->identity.name);
        }
    } else if (event->kind == AMM_EVENT_RENEWED) {
        sim_say(sim, "server: renewed", -1, 0);
    } else if (event->kind == AMM_EVENT_CLOSED) {
        sim_say(sim, "server: closed:", -1, event->reason);
        sim_say(sim, amm_close_reason_name(event->reason), -1, event->failure);
        for (unsigned i = 0; i < sim->is.n_clients && event->path.transport == AMM_TCP; i++) {
            if (sim->clients[i].connection > 0 && sim->clients[i].connection == event->path.link) {
                sim_break_connection(sim, i);
            }
        }
    }
}

static void start_server(struct sim *sim)
{
    struct sim_server_config config = {
        .env = {.tls = &sim->tls},
        .sink = {sim, sim_send_from_server, sim_tun_of_server, server_event},
        .n_ports = (uint8_t)sim->is.n_ports,
        .n_engines = (uint8_t)sim->is.n_engines,
        .n_workers = (uint8_t)sim->is.n_workers,
        .topology = sim->is.topology,
        .n_routes = (uint8_t)sim->is.n_routes,
        .ping = sim->is.ping,
        .ping_restart = sim->is.ping_restart,
        .lame_duck = sim->is.lame_duck,
        .spend_ids = sim->is.spend_ids,
        .message_delay = sim->is.message_delay,
    };
    struct amm_fake_tls_settings tls = {.role = AMM_SERVER,
                                        .name = "server",
                                        .serial = 1,
                                        .seed = sim_below(sim, UINT64_MAX),
                                        .two_round_trips = sim->is.two_round_trips};
    sim->server_tls = amm_fake_tls_context_new(&tls);
    config.env.tls_context = sim->server_tls;
    amm_seeded_random_init(&sim->server_random, sim_below(sim, UINT64_MAX));
    config.env.random = amm_seeded_random(&sim->server_random);
    amm_engine_config_defaults(&config.engine);
    config.engine.wraps = sim->wraps;
    config.engine.exporter = sim->is.exporter;
    config.engine.dynamic_tls_crypt = sim->is.dynamic;
    config.engine.hand_window = sim->is.hand_window;
    config.engine.half_open_window = sim->is.hand_window / 2;
    config.engine.renegotiate = sim->is.renegotiate;
    config.engine.renegotiate_min = 0;
    sim->server = sim_server_new(&config, sim_server_now(sim));
}

static void set_up(struct sim *sim)
{
    amm_seeded_random_init(&sim->seeded, sim->seed);
    sim->random = amm_seeded_random(&sim->seeded);
    sim->wall_start = 1700000000;
    sim->now = (struct amm_now){AMM_SECOND, sim->wall_start + 1};
    sim->nonces = sim_set_new();
    sim->wrap_ids = sim_set_new();
    sim->tls = amm_tls_fake;
    if (sim->planted == SIM_BREAK_STREAM) {
        sim->tls.feed = feed_twice;
    }
    sim_draw_parameters(sim);
    if (sim->planted == SIM_BREAK_REPLAY) {
        sim->is.duplicate = 2000;
    }
    if (sim->planted == SIM_BREAK_WRAP || sim->planted == SIM_BREAK_STREAM) {
        sim->is.attack = false;
        sim->is.corrupt = sim->is.duplicate = sim->is.reorder = 0;
    }
    sim->aead = amm_aead_new(AMM_AEAD_NULL, 16);
    start_server(sim);
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        snprintf(sim->clients[i].name, sizeof sim->clients[i].name, "gw-%u", i);
        sim_client_new_outer(sim, i, true);
        sim_client_start(sim, i);
        sim_heap_add(&sim->heap,
                     (struct sim_event){.kind = SIM_TRAFFIC, .client = i, .at = sim->now.mono});
    }
    sim_heap_add(&sim->heap,
                 (struct sim_event){.kind = SIM_CHAOS, .at = sim->now.mono + sim->is.chaos_gap});
}

/* ---- planted faults in the state memory ---- */

static void spoil(struct sim *sim, struct amm_peer *peer)
{
    for (unsigned k = 0; k < AMM_KEY_SLOTS; k++) {
        if (sim->planted == SIM_BREAK_REUSE_IDS) {
            peer->keys[k].tx_next = 1;
            peer->keys[k].tx_reserved = 1;
        } else if (sim->planted == SIM_BREAK_REPLAY) {
            memset(&peer->keys[k].replay, 0, sizeof peer->keys[k].replay);
        }
    }
    if (sim->planted == SIM_BREAK_FORGET) {
        peer->state = AMM_PEER_FREE;
    }
}

static void spoil_peers(struct sim *sim)
{
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        for (uint32_t lane = 0; lane < 2; lane++) {
            struct amm_peer *peer =
                sim_server_peer(sim->server, (uint8_t)(i % sim->is.n_ports), lane, i + 1);
            if (peer && peer->state == AMM_PEER_LIVE) {
                spoil(sim, peer);
            }
        }
    }
}

/* A process that dies in the middle of a change leaves an odd sequence: that one peer is given up.
 */
static uint32_t tear_a_peer(struct sim *sim)
{
    unsigned number = (unsigned)sim_below(sim, sim->is.n_clients);
    struct amm_peer *peer = sim_server_peer(sim->server, (uint8_t)(number % sim->is.n_ports),
                                            (uint32_t)sim_below(sim, 2), number + 1);
    if (!sim_chance(sim, 2000) || !peer || peer->state != AMM_PEER_LIVE) {
        return 0;
    }
    sim_say(sim, "the server dies while it changes this peer", (int)number, 0);
    peer->sequence |= 1;
    return 1;
}

void sim_restart_server(struct sim *sim)
{
    struct sim_survivors before = {sim_server_live(sim->server),
                                   sim_server_established(sim->server)};
    if (sim->planted == SIM_BREAK_REUSE_IDS || sim->planted == SIM_BREAK_FORGET) {
        spoil_peers(sim);
    }
    before.peers -= tear_a_peer(sim);
    struct sim_survivors after = sim_server_restart(sim->server, sim_server_now(sim));
    sim->restarts++;
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        sim_disturb(sim, i, sim->now.mono);
    }
    sim_say(sim, "server restarts with its peers", -1, after.peers);
    /* Sessions on TCP are ended: what stood in the middle of a frame is lost. */
    if (after.peers != before.peers || (sim->is.tcp == 0 && after.sessions != before.sessions)) {
        sim_fail(sim, "kept",
                 "%u of %u peers and %u of %u sessions live on after the server's restart",
                 after.peers, before.peers, after.sessions, before.sessions);
    }
}

/* ---- events ---- */

static void deliver_to_server(struct sim *sim, const struct sim_event *event)
{
    struct amm_path path = {.remote = event->from, .local = event->to};
    path.port_index = (uint8_t)(event->to.port - 1190);
    path.link = path.port_index;
    if (event->connection > 0) {
        if (sim->clients[event->client].connection != event->connection) {
            return;
        }
        path.transport = AMM_TCP;
        path.link = event->connection;
    }
    if (sim->planted == SIM_BREAK_REPLAY) {
        spoil_peers(sim);
    }
    struct amm_span datagram = {event->data, event->len};
    if (!sim_server_input(sim->server, sim_server_now(sim), &path, datagram) &&
        event->connection > 0) {
        sim_say(sim, "server closes the connection", -1, event->connection);
        sim_break_connection(sim, event->client);
    }
}

static void deliver_to_client(struct sim *sim, const struct sim_event *event)
{
    struct sim_client *client = &sim->clients[event->client];
    bool there = event->connection > 0 ? client->connection == event->connection
                                       : amm_address_equal(&client->outer, &event->to);
    if (there && (event->connection > 0) == (client->path.transport == AMM_TCP)) {
        sim_client_input(sim, event->client, (struct amm_span){event->data, event->len});
    }
}

static void link_lost(struct sim *sim, const struct sim_event *event)
{
    struct amm_path path = {.remote = event->from, .local = event->to, .transport = AMM_TCP};
    path.link = event->connection;
    path.port_index = (uint8_t)(event->to.port - 1190);
    sim_server_link_lost(sim->server, sim_server_now(sim), &path);
}

static void handle(struct sim *sim, struct sim_event *event)
{
    switch (event->kind) {
    case SIM_TO_SERVER:
        deliver_to_server(sim, event);
        break;
    case SIM_TO_CLIENT:
        deliver_to_client(sim, event);
        break;
    case SIM_CONNECT:
        if (event->connection == sim->clients[event->client].attempts) {
            sim_client_connect(sim, event->client);
        }
        break;
    case SIM_TRAFFIC:
        sim_traffic(sim, event->client);
        break;
    case SIM_CHAOS:
        sim_chaos(sim);
        break;
    case SIM_LINK_LOST:
        link_lost(sim, event);
        break;
    }
    free(event->data);
}

static void run_server(struct sim *sim)
{
    bool stopped = sim->planted == SIM_BREAK_LEAK && sim->leaving;
    for (unsigned tries = 0; tries < 8 && !stopped && sim->planted != SIM_BREAK_STUCK; tries++) {
        sim_server_run(sim->server, sim_server_now(sim));
        if (sim_server_deadline(sim->server) > sim->now.mono) {
            return;
        }
    }
}

/* Runs everything that is due, then checks. */
static void step(struct sim *sim)
{
    static uint64_t outside;
    struct sim_event event;
    sim->steps++;
    if (sim->planted == SIM_BREAK_CHANCE) {
        sim_below(sim, 2 + outside++);
        sim_say(sim, "chance", -1, outside);
    }
    run_server(sim);
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        sim_client_run(sim, i);
    }
    while (!sim->failed && sim_heap_take(&sim->heap, sim->now.mono, &event)) {
        handle(sim, &event);
        run_server(sim);
        for (unsigned i = 0; i < sim->is.n_clients; i++) {
            sim_client_run(sim, i);
        }
    }
    sim_check_step(sim);
}

static amm_time next_time(const struct sim *sim)
{
    amm_time next = sim_heap_next(&sim->heap);
    if (!(sim->leaving && sim->planted == SIM_BREAK_LEAK)) {
        next = amm_time_min(next, sim_server_deadline(sim->server));
    }
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        if (sim->clients[i].client) {
            next = amm_time_min(next, amm_client_deadline(sim->clients[i].client));
        }
    }
    return next;
}

/* Steps until `end`, or until `done` says so. */
static void advance(struct sim *sim, amm_time end, bool (*done)(struct sim *))
{
    while (!sim->failed) {
        step(sim);
        amm_time next = next_time(sim);
        if (next > end || (done && done(sim))) {
            return;
        }
        if (next > sim->now.mono) {
            sim->now.mono = next;
            sim->now.wall = sim->wall_start + next / AMM_SECOND;
        }
    }
}

/* ---- phases ---- */

static bool traffic_flows(struct sim *sim)
{
    if (!sim_check_all_up(sim)) {
        return false;
    }
    for (unsigned i = 0; i < sim_honest(sim); i++) {
        if (sim->clients[i].up.delivered < 3 || sim->clients[i].down.delivered < 3) {
            return false;
        }
    }
    return true;
}

static uint32_t count_tls(const struct sim *sim)
{
    uint32_t live = amm_fake_tls_stats(sim->server_tls).live;
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        live += sim->clients[i].tls ? amm_fake_tls_stats(sim->clients[i].tls).live : 0;
    }
    return live;
}

/* A client keeps the TLS session of its newest key, to hear what a server may still say in words.
 */
static bool nothing_is_negotiated(struct sim *sim)
{
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        if (amm_fake_tls_stats(sim->clients[i].tls).live > 1) {
            return false;
        }
    }
    /* With renegotiations every few seconds there is always one under way, but never two of one
     * client. */
    uint32_t allowed = sim->is.renegotiate > 0 ? sim->is.n_clients : sim->is.n_intruders;
    uint32_t negotiating = sim_server_negotiating(sim->server);
    return negotiating <= allowed && amm_fake_tls_stats(sim->server_tls).live <= negotiating;
}

static bool all_renewed(struct sim *sim)
{
    for (unsigned i = 0; i < sim_honest(sim); i++) {
        if (sim->clients[i].renewals == 0) {
            return false;
        }
    }
    return true;
}

/* On a clean network a renegotiation is done soon (a client may first have to give up one that the
 * server lost in a restart), and no tunnel is lost over it. */
static void renew(struct sim *sim)
{
    uint64_t joins = sim->joins;
    if (!sim_network_is_clean(sim) || sim->is.n_intruders > 0) {
        return;
    }
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        sim->clients[i].renewals = 0;
    }
    if (sim->is.renegotiate == 0) {
        sim_say(sim, "server renegotiates", -1, 0);
        sim_server_renegotiate(sim->server, sim_server_now(sim));
    }
    /* One that failed in a fault just before is tried again a minute after its window. */
    amm_duration patience =
        sim->is.renegotiate + 2 * sim->is.hand_window + 60 * AMM_SECOND + sim_handshake_time(sim);
    advance(sim, sim->now.mono + patience, all_renewed);
    if (!sim->failed && (!all_renewed(sim) || sim->joins != joins)) {
        sim_fail(sim, "renewed", "not all tunnels were renewed in time, or some had to join again");
    }
}

/* No more faults: everybody comes back, packets go both ways, and the memory of handshakes is given
 * back. */
static void calm_down(struct sim *sim)
{
    sim->calm = true;
    sim_say(sim, "calm", -1, 0);
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        struct sim_client *client = &sim->clients[i];
        client->outage_until = 0;
        client->disturbed = sim->now.mono;
        client->up.delivered = client->down.delivered = 0;
    }
    advance(sim, sim->now.mono + 2 * sim_patience(sim), traffic_flows);
    if (!sim->failed && !traffic_flows(sim)) {
        sim_fail(sim, "progress",
                 "not all clients exchange packets though there are no more faults");
    }
    advance(sim, sim->now.mono + 2 * sim_patience(sim), nothing_is_negotiated);
    if (!sim->failed && !nothing_is_negotiated(sim)) {
        sim_fail(sim, "freed",
                 "%u negotiations and %u TLS sessions live on beside established tunnels",
                 sim_server_negotiating(sim->server), count_tls(sim));
    }
    if (!sim->failed) {
        renew(sim);
    }
}

static void take_down(struct sim *sim)
{
    sim->leaving = true;
    sim_say(sim, "all leave", -1, 0);
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        struct sim_client *client = &sim->clients[i];
        client->resting = true;
        if (client->client) {
            amm_client_leave(client->client, sim->now);
        }
    }
    amm_duration patience =
        (amm_duration)sim->is.ping_restart * 4 * AMM_SECOND + 2 * sim->is.hand_window;
    advance(sim, sim->now.mono + patience + 30 * AMM_SECOND, NULL);
    if (!sim->failed) {
        sim_check_freed(sim);
    }
}

static void free_all(struct sim *sim)
{
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        sim->clients[i].client = amm_client_free(sim->clients[i].client);
    }
    sim->server = sim_server_free(sim->server);
    uint32_t live = count_tls(sim);
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        sim->clients[i].tls = amm_fake_tls_context_free(sim->clients[i].tls);
    }
    sim->server_tls = amm_fake_tls_context_free(sim->server_tls);
    sim->aead = amm_aead_free(sim->aead);
    if (live > 0) {
        sim_fail(sim, "freed", "%u TLS sessions are left after all was freed", live);
    }
}

bool sim_run(struct sim *sim, uint64_t seed, enum sim_break planted, bool trace)
{
    memset(sim, 0, sizeof *sim);
    sim->seed = seed;
    sim->planted = planted;
    sim->trace = trace;
    sim_current = sim;
    set_up(sim);
    advance(sim, sim->now.mono + sim->is.chaos_length, NULL);
    if (!sim->failed) {
        calm_down(sim);
    }
    if (!sim->failed) {
        take_down(sim);
    }
    free_all(sim);
    return !sim->failed;
}

void sim_end(struct sim *sim)
{
    sim_heap_free(&sim->heap);
    sim->nonces = sim_set_free(sim->nonces);
    sim->wrap_ids = sim_set_free(sim->wrap_ids);
}
