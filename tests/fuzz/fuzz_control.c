/* The control channel of both roles under arbitrary event sequences, with the TLS stand-in.
 *
 * The input is a program: packets are delivered, doubled, lost, reordered, damaged, made up; time
 * jumps; sessions are renegotiated, replaced, kicked; the server is killed and returns; peers with
 * a valid certificate say anything inside TLS; verdicts and notes come late or for sessions that
 * are gone. Whatever happens: no crash, no deadline that stands still, no foreign packet on the tun
 * side, and in the end no session is left. */
#include "proto/client.h"
#include "support/fake_tls.h"
#include "support/sim_server.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS = 2, QUEUE = 48, PACKET = 2048, STEPS = 600, INJECT = 1024 };

struct packet {
    struct amm_path path; /* as the server sees it */
    unsigned client;
    size_t len;
    uint8_t data[PACKET];
};

struct queue {
    unsigned n;
    struct packet packets[QUEUE];
};

/* Bytes that one side's next TLS read returns instead of what the peer wrote. */
struct injection {
    bool armed;
    size_t len;
    uint8_t data[INJECT];
};

static struct {
    struct amm_now now;
    struct amm_reader in;
    struct amm_wrap_config server_wrap, client_wrap;
    struct sim_server *server;
    struct amm_client *clients[CLIENTS];
    struct amm_tls_context *server_tls, *client_tls[CLIENTS];
    struct amm_seeded_random random;
    struct amm_drops drops;
    struct amm_aead *aead;
    struct amm_path paths[CLIENTS]; /* as the server sees them */
    struct queue to_server, to_client;
    uint64_t client_sid, server_sid; /* seen last */
} world;

static struct injection to_read[2]; /* by role of the reader */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void broken(const char *what)
{
    fprintf(stderr, "fuzz_control: %s\n", what);
    abort();
}

/* ---- TLS with words put into the peer's mouth ---- */

static size_t injected_read(enum amm_role role, struct amm_tls *tls, uint8_t *out, size_t room)
{
    struct injection *injection = &to_read[role];
    size_t len = amm_tls_fake.read(tls, out, room);
    if (len == 0 || !injection->armed) {
        return len;
    }
    injection->armed = false;
    len = injection->len < room ? injection->len : room;
    if (len > 0) {
        memcpy(out, injection->data, len);
    }
    return len;
}

static size_t server_read(struct amm_tls *tls, uint8_t *out, size_t room)
{
    return injected_read(AMM_SERVER, tls, out, room);
}

static size_t client_read(struct amm_tls *tls, uint8_t *out, size_t room)
{
    return injected_read(AMM_CLIENT, tls, out, room);
}

static struct amm_tls_ops server_ops, client_ops;

/* ---- the network ---- */

static void push(struct queue *queue, const struct amm_path *path, unsigned client,
                 struct amm_view datagram)
{
    if (queue->n == QUEUE || datagram.len > PACKET) {
        return;
    }
    struct packet *packet = &queue->packets[queue->n++];
    packet->path = *path;
    packet->client = client;
    packet->len = datagram.len;
    memcpy(packet->data, datagram.data, datagram.len);
}

static struct packet take(struct queue *queue, unsigned at, bool remove)
{
    struct packet packet = queue->packets[at];
    if (remove) {
        queue->n--;
        memmove(queue->packets + at, queue->packets + at + 1, (queue->n - at) * sizeof packet);
    }
    return packet;
}

static void server_sends(void *owner, const struct amm_path *path, struct amm_view datagram)
{
    (void)owner;
    if (datagram.len >= 9 && datagram.data[0] >> 3 != AMM_OP_DATA_V2) {
        memcpy(&world.server_sid, datagram.data + 1, 8);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (amm_path_equal(path, &world.paths[i])) {
            push(&world.to_client, path, i, datagram);
        }
    }
}

static const uint8_t echo[28] = {0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1};

/* Only echoes are ever sent inside. */
static void check_inner(struct amm_view packet)
{
    if (packet.len != sizeof echo || packet.data[9] != 1 || packet.data[20] != 8) {
        broken("a packet that nobody sent reaches the tun side");
    }
}

static void server_inner(void *owner, uint8_t port_index, struct amm_view packet)
{
    (void)owner;
    (void)port_index;
    check_inner(packet);
}

static void server_event(void *owner, const struct amm_event *event)
{
    (void)owner;
    (void)event;
}

static void drain_client(unsigned i)
{
    static struct amm_control_out out;
    static struct amm_event event;
    for (unsigned tries = 0; tries < 8; tries++) {
        while (amm_client_output(world.clients[i], world.now, &out)) {
            if (out.len >= 9 && out.data[0] >> 3 != AMM_OP_DATA_V2) {
                memcpy(&world.client_sid, out.data + 1, 8);
            }
            push(&world.to_server, &world.paths[i], i, amm_view(out.data, out.len));
        }
        while (amm_client_next_event(world.clients[i], &event)) {
        }
        if (amm_client_deadline(world.clients[i]) > world.now.mono) {
            return;
        }
        amm_client_expire(world.clients[i], world.now);
    }
    broken("a client's deadline stands still");
}

static void run_all(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        drain_client(i);
    }
    for (unsigned tries = 0; tries < 8; tries++) {
        sim_server_run(world.server, world.now);
        if (sim_server_deadline(world.server) > world.now.mono) {
            return;
        }
    }
    broken("the server's deadline stands still");
}

static void deliver_to_server(struct packet *packet)
{
    sim_server_input(world.server, world.now, &packet->path,
                     (struct amm_span){packet->data, packet->len});
}

static struct amm_path client_view(unsigned i)
{
    struct amm_path path = world.paths[i];
    path.remote = world.paths[i].local;
    path.local = world.paths[i].remote;
    path.port_index = 0;
    return path;
}

static void deliver_to_client(struct packet *packet)
{
    struct amm_path path = client_view(packet->client);
    struct amm_span inner;
    bool closed = false;
    if (amm_client_input(world.clients[packet->client], world.now, &path,
                         (struct amm_span){packet->data, packet->len}, &inner, &closed)) {
        check_inner(amm_view_of(inner));
    }
}

static void deliver(struct packet *packet, bool to_server)
{
    if (to_server) {
        deliver_to_server(packet);
    } else {
        deliver_to_client(packet);
    }
}

/* ---- steps ---- */

static uint8_t byte(void)
{
    return amm_read_u8(&world.in);
}

static struct amm_view bytes(size_t most)
{
    size_t len = byte() * (size_t)4;
    size_t left = amm_reader_left(&world.in);
    len = len < most ? len : most;
    return amm_read_bytes(&world.in, len < left ? len : left);
}

static void step_deliver(bool to_server, bool remove, bool damage)
{
    struct queue *queue = to_server ? &world.to_server : &world.to_client;
    uint8_t which = remove && !damage ? 0 : byte();
    if (queue->n == 0) {
        return;
    }
    struct packet packet = take(queue, which % queue->n, remove);
    if (damage) {
        packet.data[(size_t)byte() * 8 % packet.len] ^= byte();
        packet.len -= byte() % packet.len;
    }
    deliver(&packet, to_server);
}

static void step_drop(void)
{
    struct queue *queue = byte() & 1 ? &world.to_server : &world.to_client;
    if (queue->n > 0) {
        take(queue, 0, true);
    }
}

static void step_inject(void)
{
    struct packet packet = {.client = byte() % CLIENTS};
    bool to_server = byte() & 1;
    struct amm_view view = bytes(PACKET);
    packet.path = world.paths[packet.client];
    if (byte() & 1) {
        packet.path.remote.port = (uint16_t)(2000 + byte());
    }
    packet.len = view.len;
    if (view.len > 0) {
        memcpy(packet.data, view.data, view.len);
        deliver(&packet, to_server);
    }
}

/* A well-formed packet of a known session with chosen numbers; only a port without wrap takes it.
 */
static void step_craft(void)
{
    struct packet packet = {.client = byte() % CLIENTS};
    bool to_server = byte() & 1;
    struct amm_writer w = amm_writer(packet.data, sizeof packet.data);
    uint64_t own = to_server ? world.client_sid : world.server_sid;
    uint64_t peer = to_server ? world.server_sid : world.client_sid;
    struct amm_control control = {.peer_sid = __builtin_bswap64(peer), .opcode = byte() % 12};
    control.n_acks = byte() % (AMM_ACKS_MAX + 1);
    for (unsigned i = 0; i < control.n_acks; i++) {
        control.acks[i] = (uint32_t)(byte() - 4);
    }
    control.message_id = (uint32_t)(byte() - 4);
    control.payload = bytes(1200);
    amm_write_u8(&w, amm_byte0((enum amm_opcode)control.opcode, byte() & 7));
    amm_write_u64(&w, __builtin_bswap64(own));
    amm_control_encode(&w, &control);
    packet.path = world.paths[packet.client];
    packet.len = amm_writer_len(&w);
    if (packet.len > 0) {
        deliver(&packet, to_server);
    }
}

static void step_time(void)
{
    static const amm_duration jumps[] = {
        AMM_MILLISECOND,  50 * AMM_MILLISECOND, 500 * AMM_MILLISECOND, AMM_SECOND,
        3 * AMM_SECOND,   10 * AMM_SECOND,      31 * AMM_SECOND,       61 * AMM_SECOND,
        600 * AMM_SECOND, 4000 * AMM_SECOND};
    uint8_t which = byte();
    world.now.mono += jumps[which % (sizeof jumps / sizeof jumps[0])];
    world.now.wall = 1700000000 + world.now.mono / AMM_SECOND + (which & 0x80 ? -5000 : 0);
}

static void step_connect(void)
{
    unsigned i = byte() % CLIENTS;
    if (byte() & 1) {
        world.paths[i].remote.port++;
    }
    struct amm_path path = client_view(i);
    amm_client_connect(world.clients[i], world.now, &path);
}

static void step_say(void)
{
    struct injection *injection = &to_read[byte() & 1];
    struct amm_view view = bytes(INJECT);
    injection->armed = true;
    injection->len = view.len;
    if (view.len > 0) {
        memcpy(injection->data, view.data, view.len);
    }
}

/* A command or note for a session that may be in any state, or not be at all. */
static void step_command(void)
{
    static struct amm_command command;
    struct amm_engine *engine = sim_server_engine(world.server, 0);
    struct amm_identity identity;
    uint32_t cursor = 0, peer_id;
    uint8_t port;
    memset(&command, 0, sizeof command);
    if (byte() & 1 ||
        !amm_engine_each(engine, &cursor, &command.session, &identity, &peer_id, &port)) {
        command.session.index = byte() % 4;
        command.session.tag = byte();
    }
    static const enum amm_command_kind kinds[] = {AMM_COMMAND_VERDICT, AMM_COMMAND_NOTE,
                                                  AMM_COMMAND_RENEGOTIATE, AMM_COMMAND_CLOSE,
                                                  AMM_COMMAND_LINK_LOST};
    command.kind = kinds[byte() % 5];
    command.path = world.paths[byte() % CLIENTS];
    command.accept = byte() & 1;
    command.refusal = (enum amm_refusal)(byte() % 3);
    command.reason = AMM_CLOSE_KICKED;
    command.text[0] = (char)(byte() & 1 ? 'x' : 0);
    command.push.local = 0x0a040006;
    command.push.remote = 0x0a040005;
    command.push.peer_id = amm_peer_id(byte(), 1 + byte() % 3);
    command.push.ping_restart = (uint16_t)(1 + byte() % 60); /* 0 would be for ever */
    command.note.kind = byte() % (AMM_NOTE_REMOVED + 1);
    command.note.key_id = byte() & 7;
    command.note.peer_id = command.push.peer_id;
    command.note.session = command.session;
    command.note.path = command.path;
    amm_engine_command(engine, world.now, &command);
}

static void step_data(void)
{
    uint8_t inner[sizeof echo], out[128];
    struct amm_path path;
    unsigned i = byte() % CLIENTS;
    uint32_t gateway = sim_server_address(world.server, i),
             own = sim_server_own_address(world.server, 0);
    bool up = byte() & 1;
    memcpy(inner, echo, sizeof inner);
    amm_store_u32(inner + 12, up ? gateway : own);
    amm_store_u32(inner + 16, up ? own : gateway);
    inner[20] = 8;
    if (!up) {
        sim_server_transmit(world.server, world.now, 0, amm_view(inner, sizeof inner));
        return;
    }
    struct amm_span sealed =
        amm_client_seal(world.clients[i], world.now, amm_view(inner, sizeof inner), out, &path);
    if (sealed.data) {
        push(&world.to_server, &world.paths[i], i, amm_view_of(sealed));
    }
}

static void step_server(void)
{
    uint8_t which = byte();
    switch (which % 6) {
    case 0:
        sim_server_restart(world.server, world.now);
        break;
    case 1:
        sim_server_kick(world.server, world.now, which & 0x40 ? "gw-0" : "gw-1", which & 0x80);
        break;
    case 2:
        sim_server_refuse_until(world.server, world.now.mono + 2 * AMM_SECOND);
        break;
    case 3:
        sim_server_renegotiate(world.server, world.now);
        break;
    case 4:
        amm_fake_tls_refuse(world.server_tls, which & 0x80 ? AMM_TLS_REVOKED : AMM_TLS_OK);
        break;
    default:
        amm_fake_tls_rename(world.client_tls[0], which & 0x80 ? "gw-0" : "gw-1", which);
        break;
    }
}

static void step_client(void)
{
    uint8_t which = byte();
    struct amm_client *client = world.clients[which % CLIENTS];
    if (which & 0x80) {
        amm_client_leave(client, world.now);
    } else if (which & 0x40) {
        amm_client_renegotiate(client, world.now);
    } else {
        world.paths[which % CLIENTS].remote.port++; /* NAT */
    }
}

static void step(void)
{
    switch (byte() % 16) {
    case 0:
    case 1:
        step_deliver(true, true, false);
        break;
    case 2:
    case 3:
        step_deliver(false, true, false);
        break;
    case 4:
        step_deliver(byte() & 1, false, false);
        break;
    case 5:
        step_deliver(byte() & 1, true, true);
        break;
    case 6:
        step_drop();
        break;
    case 7:
        step_inject();
        break;
    case 8:
        step_craft();
        break;
    case 9:
        step_time();
        break;
    case 10:
        step_connect();
        break;
    case 11:
        step_say();
        break;
    case 12:
        step_command();
        break;
    case 13:
        step_data();
        break;
    case 14:
        step_server();
        break;
    default:
        step_client();
        break;
    }
    run_all();
}

/* ---- set-up ---- */

static void set_wraps(uint8_t choice)
{
    struct amm_wrap_config *server = &world.server_wrap, *client = &world.client_wrap;
    static const enum amm_wrap_mode modes[] = {AMM_WRAP_NONE, AMM_WRAP_NONE, AMM_WRAP_AUTH,
                                               AMM_WRAP_CRYPT};
    memset(server, 0, sizeof *server);
    server->mode = modes[choice & 3];
    server->auth_digest = AMM_SHA256;
    for (unsigned i = 0; i < AMM_STATIC_KEY; i++) {
        server->static_key[i] = (uint8_t)i;
    }
    *client = *server;
    if (choice & 4) {
        server->has_v2 = true;
        memset(server->v2_server_key, 7, sizeof server->v2_server_key);
        client->mode = AMM_WRAP_CRYPT_V2;
        if (!amm_wkc_make(server->v2_server_key, client->static_key, 1700000000, client->wkc,
                          &client->wkc_len)) {
            broken("no client key");
        }
    }
}

static struct amm_engine_config engine_config(uint8_t choice)
{
    struct amm_engine_config engine;
    amm_engine_config_defaults(&engine);
    engine.exporter = choice & 1;
    engine.dynamic_tls_crypt = choice & 2;
    engine.renegotiate = choice & 4 ? 5 * AMM_SECOND : 0;
    engine.renegotiate_min = choice & 8 ? 5 * AMM_SECOND : 0;
    engine.ciphers[0] = choice & 16 ? AMM_CIPHER_AES_128_GCM : AMM_CIPHER_AES_256_GCM;
    engine.ciphers[1] = AMM_CIPHER_NONE;
    engine.version = "amm-fuzz";
    engine.platform = "fuzz";
    engine.mtu = 1500;
    return engine;
}

static void start_server(uint8_t choice)
{
    struct amm_fake_tls_settings tls = {
        .role = AMM_SERVER, .name = "server", .serial = 1, .seed = 1};
    struct sim_server_config config = {
        .engine = engine_config(choice),
        .env = {amm_seeded_random(&world.random), &server_ops, NULL},
        .sink = {NULL, server_sends, server_inner, server_event},
        .n_ports = 1,
        .n_engines = 1,
        .n_workers = 1,
        .n_routes = choice & 32 ? 15 : 0,
        .ping = 5,
        .ping_restart = 20,
        .lame_duck = 10 * AMM_SECOND,
        .message_delay = choice & 64 ? 2 * AMM_SECOND : 0,
    };
    config.engine.wraps = &world.server_wrap;
    config.env.tls_context = world.server_tls = amm_fake_tls_context_new(&tls);
    world.server = sim_server_new(&config, world.now);
}

static void start_client(unsigned i, uint8_t choice)
{
    static const char *const names[CLIENTS] = {"gw-0", "gw-1"};
    struct amm_fake_tls_settings tls = {
        .role = AMM_CLIENT, .name = names[i], .serial = 100 + i, .seed = 2 + i};
    struct amm_client_config config = {
        .engine = engine_config(choice), .mtu = 1400, .null_aead = true};
    struct amm_engine_env env = {amm_seeded_random(&world.random), &client_ops, NULL};
    config.engine.role = AMM_CLIENT;
    config.engine.wraps = &world.client_wrap;
    config.engine.n_wraps = 1;
    env.tls_context = world.client_tls[i] = amm_fake_tls_context_new(&tls);
    world.clients[i] = amm_client_new(&config, &env, world.aead, &world.drops, world.now);
    struct amm_path *path = &world.paths[i];
    path->remote = (struct amm_address){{100, 64, 0, (uint8_t)(1 + i)}, 40000, AMM_FAMILY_IPV4, 0};
    path->local = (struct amm_address){{198, 51, 100, 1}, 1190, AMM_FAMILY_IPV4, 0};
    struct amm_path view = client_view(i);
    amm_client_connect(world.clients[i], world.now, &view);
}

/* All go, time passes: nothing may be left. */
static void end(void)
{
    uint32_t live = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        world.clients[i] = amm_client_free(world.clients[i]);
        live += amm_fake_tls_stats(world.client_tls[i]).live;
        amm_fake_tls_context_free(world.client_tls[i]);
    }
    for (unsigned i = 0; i < 200; i++) {
        amm_time next = sim_server_deadline(world.server);
        world.now.mono =
            next > world.now.mono + 30 * AMM_SECOND ? world.now.mono + 30 * AMM_SECOND : next;
        world.now.wall = 1700000000 + world.now.mono / AMM_SECOND;
        for (unsigned tries = 0; tries < 8 && sim_server_deadline(world.server) <= world.now.mono;
             tries++) {
            sim_server_run(world.server, world.now);
        }
        if (next == AMM_NEVER) {
            break;
        }
    }
    if (sim_server_negotiating(world.server) + sim_server_sessions(world.server) +
            sim_server_live(world.server) >
        0) {
        broken("sessions are left after all have gone");
    }
    sim_server_free(world.server);
    live += amm_fake_tls_stats(world.server_tls).live;
    amm_fake_tls_context_free(world.server_tls);
    amm_aead_free(world.aead);
    if (live > 0) {
        broken("TLS sessions are left");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&world, 0, sizeof world);
    memset(to_read, 0, sizeof to_read);
    server_ops = client_ops = amm_tls_fake;
    server_ops.read = server_read;
    client_ops.read = client_read;
    world.in = amm_reader(amm_view(data, size));
    world.now = (struct amm_now){AMM_SECOND, 1700000000};
    amm_seeded_random_init(&world.random, 1);
    world.aead = amm_aead_new(AMM_AEAD_NULL, 8);
    uint8_t choice = byte();
    set_wraps(choice);
    choice = byte();
    start_server(choice);
    for (unsigned i = 0; i < CLIENTS; i++) {
        start_client(i, choice);
    }
    run_all();
    for (unsigned n = 0; n < STEPS && amm_reader_left(&world.in) > 0; n++) {
        step();
    }
    end();
    return 0;
}
