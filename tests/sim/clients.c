#include "sim.h"

/* ---- addresses ---- */

/* The server has two addresses; each client uses one of them. */
static struct amm_address server_address(const struct sim *sim, unsigned number)
{
    struct amm_address address = {.family = AMM_FAMILY_IPV4};
    uint8_t ip[4] = {198, 51, 100, (uint8_t)(10 + number / 2 % 2)};
    address.port = (uint16_t)(1190 + number % sim->is.n_ports);
    memcpy(address.ip, ip, sizeof ip);
    return address;
}

static bool outer_is_taken(const struct sim *sim, const struct amm_address *address)
{
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        if (amm_address_equal(&sim->clients[i].outer, address)) {
            return true;
        }
    }
    return false;
}

/* All clients share a few carrier addresses, as behind a NAT. */
void sim_client_new_outer(struct sim *sim, unsigned number, bool new_ip)
{
    struct sim_client *client = &sim->clients[number];
    struct amm_address address = client->outer;
    do {
        address.family = AMM_FAMILY_IPV4;
        if (new_ip || address.ip[0] == 0) {
            uint8_t ip[4] = {100, 64, 0, (uint8_t)(1 + sim_below(sim, 3))};
            memcpy(address.ip, ip, sizeof ip);
        }
        address.port = (uint16_t)(1024 + sim_below(sim, 60000));
    } while (outer_is_taken(sim, &address));
    client->outer = address;
    sim_disturb(sim, number, sim->now.mono);
    sim_say(sim, "outer address changes", (int)number, address.port);
}

/* ---- life ---- */

static struct amm_tls_context *new_tls(struct sim *sim, unsigned number)
{
    struct amm_fake_tls_settings settings = {
        .role = AMM_CLIENT,
        .name = sim->clients[number].name,
        .serial = 100 + number,
        .seed = sim_below(sim, UINT64_MAX),
        .two_round_trips = sim->is.two_round_trips,
    };
    /* Intruders: one whose name is not on the roster, or one whose certificate has expired. */
    if (number >= sim_honest(sim) && sim->planted != SIM_BREAK_LET_IN) {
        settings.name = number % 2 ? "mallory" : settings.name;
        settings.not_after = number % 2 ? 0 : sim->wall_start - 100000;
    }
    return amm_fake_tls_context_new(&settings);
}

static void set_ciphers(const struct sim *sim, uint8_t ciphers[3])
{
    ciphers[0] = sim->is.cipher;
    ciphers[1] = AMM_CIPHER_NONE;
}

void sim_client_start(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    struct amm_client_config config = {.mtu = 1400, .null_aead = true};
    struct amm_engine_env env = {.tls = &sim->tls};
    amm_engine_config_defaults(&config.engine);
    config.engine.role = AMM_CLIENT;
    config.engine.wraps = &client->wrap;
    config.engine.n_wraps = 1;
    set_ciphers(sim, config.engine.ciphers);
    config.engine.exporter = sim->is.exporter;
    config.engine.dynamic_tls_crypt = sim->is.dynamic;
    config.engine.hand_window = sim->is.hand_window;
    config.engine.renegotiate = sim_chance(sim, 5000) ? sim->is.renegotiate : 0;
    config.engine.renegotiate_min = 0;
    config.engine.username = sim->is.passwords ? client->name : NULL;
    config.engine.password = sim->is.passwords ? "secret" : NULL;
    config.engine.version = "amm-sim";
    config.engine.platform = "sim";
    config.engine.mtu = 1500;
    amm_seeded_random_init(&client->random, sim_below(sim, UINT64_MAX));
    env.random = amm_seeded_random(&client->random);
    if (!client->tls) {
        client->tls = new_tls(sim, number);
    }
    env.tls_context = client->tls;
    client->client = amm_client_new(&config, &env, sim->aead, &client->drops, sim->now);
    client->joined = false;
    sim_disturb(sim, number, sim->now.mono);
    sim_client_connect(sim, number);
}

/* Power off: nothing is said to the server. */
void sim_client_end(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    client->client = amm_client_free(client->client);
    client->joined = false;
    sim_disturb(sim, number, sim->now.mono);
    sim_say(sim, "client ends", (int)number, 0);
}

void sim_client_connect(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    client->connecting = false;
    client->joined = false;
    if (!client->client || client->resting) {
        return;
    }
    client->path = (struct amm_path){.remote = server_address(sim, number)};
    client->path.local = client->outer;
    if (sim->is.tcp >> number & 1) {
        client->connecting = true;
        sim_break_connection(sim, number);
        client->connecting = false;
        client->connection = ++sim->connections;
        client->path.transport = AMM_TCP;
        client->path.link = client->connection;
        client->last_in = client->last_out = sim->now.mono;
    }
    client->attempt_at = sim->now.mono;
    client->attempts++;
    sim_say(sim, "client connects", (int)number, client->connection);
    amm_client_connect(client->client, sim->now, &client->path);
}

void sim_client_connect_later(struct sim *sim, unsigned number, amm_duration after)
{
    struct sim_client *client = &sim->clients[number];
    if (!client->connecting) {
        struct sim_event event = {
            .kind = SIM_CONNECT, .client = number, .at = sim->now.mono + after};
        event.connection = client->attempts;
        client->connecting = true;
        sim_heap_add(&sim->heap, event);
    }
}

/* ---- what the client wants ---- */

static void take_event(struct sim *sim, unsigned number, const struct amm_event *event)
{
    struct sim_client *client = &sim->clients[number];
    amm_duration wait =
        (amm_duration)(event->backoff * 1000 + sim_below(sim, 2000)) * AMM_MILLISECOND;
    switch (event->kind) {
    case AMM_EVENT_PUSHED:
        client->inner_ip = event->push.local;
        if (event->push.local != sim_server_address(sim->server, number)) {
            sim_fail(sim, "push", "gw-%u was given another gateway's address", number);
        }
        break;
    case AMM_EVENT_JOINED:
        client->joined = true;
        if (number >= sim_honest(sim)) {
            sim_fail(sim, "intruder", "gw-%u has joined without a good certificate", number);
        }
        sim->joins++;
        sim_say(sim, "client has joined", (int)number, 0);
        break;
    case AMM_EVENT_RENEWED:
        sim->renewals++;
        client->renewals++;
        sim_say(sim, "client has renewed", (int)number, 0);
        break;
    case AMM_EVENT_CLOSED:
        client->joined = false;
        sim_say(sim, amm_close_reason_name(event->reason), (int)number, event->failure);
        if (event->is_final && number < sim_honest(sim)) {
            sim_fail(sim, "final", "gw-%u was refused for good: %s", number, event->text);
        }
        if (!client->resting) {
            sim_client_connect_later(sim, number, wait);
        }
        break;
    case AMM_EVENT_AUTHORISE:
    case AMM_EVENT_PLANE:
        sim_fail(sim, "event", "gw-%u shows an event that is handled inside", number);
        break;
    case AMM_EVENT_MESSAGE:
        break;
    }
}

static void drain(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    static struct amm_control_out out;
    static struct amm_event event;
    while (client->client && amm_client_output(client->client, sim->now, &out)) {
        sim_send_from_client(sim, number, &out.path, amm_view(out.data, out.len));
    }
    while (client->client && amm_client_next_event(client->client, &event)) {
        take_event(sim, number, &event);
    }
}

void sim_client_run(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    for (unsigned tries = 0; client->client && tries < 8; tries++) {
        drain(sim, number);
        if (sim->planted == SIM_BREAK_STUCK ||
            amm_client_deadline(client->client) > sim->now.mono) {
            return;
        }
        amm_client_expire(client->client, sim->now);
    }
    drain(sim, number);
}

void sim_client_input(struct sim *sim, unsigned number, struct amm_span datagram)
{
    struct sim_client *client = &sim->clients[number];
    struct amm_span inner = {0};
    bool broken = false;
    if (!client->client) {
        return;
    }
    if (amm_client_input(client->client, sim->now, &client->path, datagram, &inner, &broken)) {
        sim_tun_of_client(sim, number, amm_view_of(inner));
    }
    if (broken && client->path.transport == AMM_TCP) {
        sim_break_connection(sim, number);
    }
}
