#include "lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint64_t seed = 20261123;

static void fill_wraps(struct lab *lab, enum lab_wrap kind)
{
    struct amm_random random = amm_seeded_random(&lab->random);
    struct amm_wrap_config *server = &lab->wrap;
    *server = (struct amm_wrap_config){0};
    amm_random_fill(&random, server->static_key, sizeof server->static_key);
    amm_random_fill(&random, server->v2_server_key, sizeof server->v2_server_key);
    switch (kind) {
    case LAB_AUTH:
        server->mode = AMM_WRAP_AUTH;
        server->auth_digest = AMM_SHA256;
        server->direction = AMM_DIRECTION_0;
        break;
    case LAB_CRYPT:
        server->mode = AMM_WRAP_CRYPT;
        break;
    case LAB_V2:
        server->mode = AMM_WRAP_CRYPT;
        server->has_v2 = true;
        break;
    case LAB_NONE:
    case LAB_WRAPS:
        break;
    }
    for (unsigned i = 0; i < LAB_CLIENTS; i++) {
        struct amm_wrap_config *client = &lab->clients[i].wrap;
        *client = *server;
        client->has_v2 = false;
        client->direction =
            server->direction == AMM_DIRECTION_0 ? AMM_DIRECTION_1 : AMM_DIRECTION_BOTH;
        if (kind == LAB_V2) {
            client->mode = AMM_WRAP_CRYPT_V2;
            amm_random_fill(&random, client->static_key, sizeof client->static_key);
            assert_true(amm_wkc_make(server->v2_server_key, client->static_key, lab->now.wall,
                                     client->wkc, &client->wkc_len));
        }
    }
}

static struct amm_engine_env env_of(struct lab *lab, struct amm_tls_context *context)
{
    return (struct amm_engine_env){
        .random = amm_seeded_random(&lab->random), .tls = &amm_tls_fake, .tls_context = context};
}

static void start_server(struct lab *lab)
{
    struct amm_engine_env env = env_of(lab, lab->tls);
    lab->engine = amm_engine_new(&lab->config, &env, lab->sessions, &lab->drops, lab->now);
    assert_non_null(lab->engine);
}

void lab_renew_client(struct lab *lab, unsigned i)
{
    struct lab_client *client = &lab->clients[i];
    struct amm_client_config config = {.mtu = 1400};
    amm_engine_config_defaults(&config.engine);
    config.engine.wraps = &client->wrap;
    config.engine.username = "user";
    config.engine.password = "secret";
    if (lab->change_client != NULL) {
        lab->change_client(&config.engine);
    }
    struct amm_engine_env env = env_of(lab, client->tls);
    amm_client_free(client->client);
    client->client = amm_client_new(&config, &env, lab->aead, &client->drops, lab->now);
    assert_non_null(client->client);
}

void lab_start(struct lab *lab, const struct lab_settings *settings)
{
    memset(lab, 0, sizeof *lab);
    lab->change_client = settings->change_client;
    lab->now = (struct amm_now){.mono = 1000 * AMM_SECOND, .wall = 1800000000};
    amm_seeded_random_init(&lab->random, seed);
    fill_wraps(lab, settings->wrap);
    assert_true(amm_pool_parse(&lab->pool, "10.4.32.0/24", AMM_NET30));
    lab->verdict = (struct amm_command){.accept = true};

    amm_engine_config_defaults(&lab->config);
    lab->config.role = AMM_SERVER;
    lab->config.wraps = &lab->wrap;
    lab->config.n_wraps = 1;
    lab->config.n_sessions = 64;
    lab->config.n_negotiations = 16;
    if (settings->change_server != NULL) {
        settings->change_server(&lab->config);
    }
    lab->sessions = calloc(1, amm_session_table_size(lab->config.n_sessions));
    lab->peers = calloc(1, amm_peer_table_size(LAB_SLOTS));
    lab->aead = amm_aead_new(AMM_AEAD_NULL, 64);
    lab->tls = amm_fake_tls_context_new(&(struct amm_fake_tls_settings){
        .role = AMM_SERVER, .name = "server", .serial = 1, .seed = 1});
    start_server(lab);
    struct amm_plane_config plane = {.role = AMM_SERVER,
                                     .n_workers = 1,
                                     .pool = lab->pool,
                                     .mtu = 1400,
                                     .lame_duck = 3600 * AMM_SECOND};
    lab->plane = amm_plane_new(&plane, lab->peers, LAB_SLOTS, lab->aead, &lab->drops, lab->now);

    for (unsigned i = 0; i < LAB_CLIENTS; i++) {
        struct lab_client *client = &lab->clients[i];
        char name[16];
        snprintf(name, sizeof name, "gw-%u", i);
        client->tls = amm_fake_tls_context_new(&(struct amm_fake_tls_settings){
            .role = AMM_CLIENT, .name = name, .serial = 100 + i, .seed = 100 + i});
        client->path = (struct amm_path){.transport = (uint8_t)settings->transport, .link = 10 + i};
        amm_address_parse(&client->path.remote, "192.0.2.1", (uint16_t)(5000 + i));
        amm_address_parse(&client->path.local, "198.51.100.1", 1190);
        lab_renew_client(lab, i);
    }
}

void lab_stop(struct lab *lab)
{
    for (unsigned i = 0; i < LAB_CLIENTS; i++) {
        amm_client_free(lab->clients[i].client);
        assert_int_equal(amm_fake_tls_stats(lab->clients[i].tls).stream_errors, 0);
        amm_fake_tls_context_free(lab->clients[i].tls);
    }
    amm_engine_free(lab->engine);
    assert_int_equal(amm_fake_tls_stats(lab->tls).live, 0);
    assert_int_equal(amm_fake_tls_stats(lab->tls).stream_errors, 0);
    amm_fake_tls_context_free(lab->tls);
    amm_plane_free(lab->plane);
    amm_aead_free(lab->aead);
    free(lab->sessions);
    free(lab->peers);
}

static struct amm_path mirrored(struct amm_path path)
{
    struct amm_address remote = path.remote;
    path.remote = path.local;
    path.local = remote;
    return path;
}

static void put(struct lab *lab, const struct amm_path *path, bool to_server, const void *data,
                size_t len)
{
    assert_true(lab->n_wire < LAB_WIRE);
    struct lab_packet *packet = &lab->wire[lab->n_wire];
    *packet = (struct lab_packet){.path = *path, .to_server = to_server, .len = len};
    memcpy(packet->data, data, len);
    (*(to_server ? &lab->sent_to_server : &lab->sent_to_client))++;
    if (lab->filter == NULL || lab->filter(lab, packet)) {
        lab->n_wire++;
    }
}

void lab_inject(struct lab *lab, const struct amm_path *path, const void *data, size_t len)
{
    put(lab, path, true, data, len);
}

static void give_verdict(struct lab *lab, const struct amm_event *event)
{
    struct amm_command command = lab->verdict;
    command.kind = AMM_COMMAND_VERDICT;
    command.session = event->session;
    if (command.accept) {
        unsigned slot = (unsigned)atoi(event->identity.name + 3) + 1;
        amm_push_set_slot(&command.push, &lab->pool, slot);
        command.push.peer_id =
            lab->no_peer_id ? AMM_NO_PEER_ID : amm_peer_id(++lab->generation, slot);
        command.push.ping = 10;
        command.push.ping_restart = 60;
        command.push.tun_mtu = 1400;
    }
    amm_engine_command(lab->engine, lab->now, &command);
}

static void take_server_event(struct lab *lab, const struct amm_event *event)
{
    if (event->kind == AMM_EVENT_PLANE) {
        if (lab->hold_plane) {
            lab->held[lab->n_held++] = event->plane;
        } else {
            amm_plane_command(lab->plane, lab->now, &event->plane);
        }
        return;
    }
    if (lab->n_events < LAB_EVENTS) {
        lab->events[lab->n_events++] = *event;
    }
    if (event->kind == AMM_EVENT_AUTHORISE && !lab->hold_verdict) {
        give_verdict(lab, event);
    }
}

static bool drain_server(struct lab *lab)
{
    bool moved = false;
    struct amm_event event;
    struct amm_plane_note note;
    struct amm_control_out out;
    while (amm_engine_next_event(lab->engine, &event)) {
        take_server_event(lab, &event);
        moved = true;
    }
    while (amm_plane_next_note(lab->plane, &note)) {
        struct amm_command command = {.kind = AMM_COMMAND_NOTE, .note = note};
        amm_engine_command(lab->engine, lab->now, &command);
        moved = true;
    }
    while (amm_engine_output(lab->engine, lab->now, &out)) {
        put(lab, &out.path, false, out.data, out.len);
        moved = true;
    }
    while ((out.len =
                amm_plane_output(lab->plane, lab->now, &out.path, out.data, sizeof out.data)) > 0) {
        put(lab, &out.path, false, out.data, out.len);
        moved = true;
    }
    return moved;
}

static bool drain_client(struct lab *lab, struct lab_client *client)
{
    bool moved = false;
    struct amm_control_out out;
    struct amm_event event;
    while (amm_client_next_event(client->client, &event)) {
        assert_true(event.kind != AMM_EVENT_PLANE && event.kind != AMM_EVENT_AUTHORISE);
        if (client->n_events < LAB_EVENTS) {
            client->events[client->n_events++] = event;
        }
        moved = true;
    }
    while (amm_client_output(client->client, lab->now, &out)) {
        put(lab, &client->path, true, out.data, out.len);
        moved = true;
    }
    return moved;
}

static struct lab_client *client_at(struct lab *lab, const struct amm_path *path)
{
    for (unsigned i = 0; i < LAB_CLIENTS; i++) {
        if (amm_path_equal(&lab->clients[i].path, path)) {
            return &lab->clients[i];
        }
    }
    return NULL;
}

static void deliver(struct lab *lab, struct lab_packet *packet)
{
    struct amm_span datagram = {packet->data, packet->len}, inner;
    unsigned opcode = packet->len > 0 ? packet->data[0] >> 3 : 0;
    bool is_data = opcode == 6 || opcode == 9;
    if (!packet->to_server) {
        struct lab_client *client = client_at(lab, &packet->path);
        struct amm_path path = mirrored(packet->path);
        if (client != NULL) {
            amm_client_input(client->client, lab->now, &path, datagram, &inner, NULL);
        }
    } else if (is_data) {
        amm_plane_open(lab->plane, lab->now, &packet->path, datagram, &inner);
    } else {
        amm_engine_input(lab->engine, lab->now, &packet->path, amm_view_of(datagram));
    }
}

void lab_settle(struct lab *lab)
{
    bool moved = true;
    for (unsigned rounds = 0; moved; rounds++) {
        assert_true(rounds < 1000);
        moved = drain_server(lab);
        for (unsigned i = 0; i < LAB_CLIENTS; i++) {
            moved |= drain_client(lab, &lab->clients[i]);
        }
        while (lab->n_wire > 0) {
            struct lab_packet packet = lab->wire[0];
            lab->n_wire--;
            memmove(&lab->wire[0], &lab->wire[1], lab->n_wire * sizeof lab->wire[0]);
            deliver(lab, &packet);
            drain_server(lab);
            moved = true;
        }
    }
}

void lab_run(struct lab *lab, amm_duration for_how_long)
{
    amm_time end = lab->now.mono + for_how_long;
    int64_t wall = lab->now.wall;
    amm_time start = lab->now.mono;
    while (lab->now.mono < end) {
        lab->now.mono = amm_time_min(end, lab->now.mono + 100 * AMM_MILLISECOND);
        lab->now.wall = wall + (lab->now.mono - start) / AMM_SECOND;
        amm_engine_expire(lab->engine, lab->now);
        amm_plane_expire(lab->plane, lab->now);
        for (unsigned i = 0; i < LAB_CLIENTS; i++) {
            amm_client_expire(lab->clients[i].client, lab->now);
        }
        lab_settle(lab);
    }
}

struct lab_client *lab_connect(struct lab *lab, unsigned i)
{
    struct amm_path path = mirrored(lab->clients[i].path);
    amm_client_connect(lab->clients[i].client, lab->now, &path);
    return &lab->clients[i];
}

static const struct amm_event *find(const struct amm_event *events, unsigned n,
                                    enum amm_event_kind kind)
{
    for (unsigned i = 0; i < n; i++) {
        if (events[i].kind == kind) {
            return &events[i];
        }
    }
    return NULL;
}

const struct amm_event *lab_event(const struct lab *lab, enum amm_event_kind kind)
{
    return find(lab->events, lab->n_events, kind);
}

const struct amm_event *lab_client_event(const struct lab_client *client, enum amm_event_kind kind)
{
    return find(client->events, client->n_events, kind);
}

unsigned lab_count(const struct lab *lab, enum amm_event_kind kind)
{
    unsigned n = 0;
    for (unsigned i = 0; i < lab->n_events; i++) {
        n += lab->events[i].kind == kind;
    }
    return n;
}

void lab_forget(struct lab *lab)
{
    lab->n_events = 0;
    for (unsigned i = 0; i < LAB_CLIENTS; i++) {
        lab->clients[i].n_events = 0;
    }
    memset(&lab->drops, 0, sizeof lab->drops);
}

static void write_echo(uint8_t packet[28], uint32_t from, uint32_t to)
{
    memset(packet, 0, 28);
    packet[0] = 0x45;
    packet[3] = 28;
    packet[8] = 64;
    packet[9] = 1;
    amm_store_u32(packet + 12, from);
    amm_store_u32(packet + 16, to);
    packet[20] = 8;
}

bool lab_ping(struct lab *lab, unsigned i)
{
    struct lab_client *client = &lab->clients[i];
    uint32_t gateway = amm_pool_address(&lab->pool, i + 1), server = amm_pool_server(&lab->pool);
    uint8_t echo[28], sealed[256];
    struct amm_path path;
    struct amm_span inner;
    write_echo(echo, gateway, server);
    struct amm_span up =
        amm_client_seal(client->client, lab->now, amm_view(echo, sizeof echo), sealed, &path);
    if (up.len == 0 || !amm_plane_open(lab->plane, lab->now, &client->path, up, &inner) ||
        !amm_view_equal(amm_view_of(inner), amm_view(echo, sizeof echo))) {
        return false;
    }
    lab_settle(lab);
    write_echo(echo, server, gateway);
    echo[20] = 0;
    struct amm_peer *peer = amm_plane_route(lab->plane, gateway);
    if (peer == NULL) {
        return false;
    }
    struct amm_span down =
        amm_plane_seal(lab->plane, lab->now, peer, amm_view(echo, sizeof echo), sealed);
    path = mirrored(client->path);
    bool ok = down.len > 0 &&
              amm_client_input(client->client, lab->now, &path, down, &inner, NULL) &&
              amm_view_equal(amm_view_of(inner), amm_view(echo, sizeof echo));
    lab_settle(lab);
    return ok;
}

void lab_expect_joined(struct lab *lab, unsigned i)
{
    const struct amm_event *there = lab_client_event(&lab->clients[i], AMM_EVENT_JOINED);
    assert_non_null(there);
    assert_int_equal(there->push.local, amm_pool_address(&lab->pool, i + 1));
    bool found = false;
    char name[16];
    snprintf(name, sizeof name, "gw-%u", i);
    for (unsigned k = 0; k < lab->n_events; k++) {
        found |= lab->events[k].kind == AMM_EVENT_JOINED && there->epoch != 0 &&
                 lab->events[k].epoch == there->epoch &&
                 strcmp(lab->events[k].identity.name, name) == 0;
    }
    assert_true(found);
    assert_true(lab_ping(lab, i));
}

void lab_command(struct lab *lab, const struct amm_session_ref *session, struct amm_command command)
{
    command.session = *session;
    amm_engine_command(lab->engine, lab->now, &command);
}

void lab_release_plane(struct lab *lab)
{
    lab->hold_plane = false;
    for (unsigned i = 0; i < lab->n_held; i++) {
        amm_plane_command(lab->plane, lab->now, &lab->held[i]);
    }
    lab->n_held = 0;
}

void lab_restart_server(struct lab *lab)
{
    amm_engine_free(lab->engine);
    start_server(lab);
}
