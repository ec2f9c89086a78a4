#include "sim.h"

#include <stdlib.h>

uint64_t sim_below(struct sim *sim, uint64_t bound)
{
    return amm_random_below(&sim->random, bound);
}

bool sim_chance(struct sim *sim, unsigned per_10000)
{
    return sim_below(sim, 10000) < per_10000;
}

bool sim_server_uses(const struct sim *sim, const struct amm_address *address)
{
    return address->family == AMM_FAMILY_IPV4 && address->ip[0] == 198 && address->port >= 1190 &&
           address->port < 1190 + sim->is.n_ports;
}

static void record(struct sim *sim, const struct amm_address *from, const struct amm_address *to,
                   bool to_server, struct amm_view datagram)
{
    struct sim_recorded *slot = &sim->recorded[sim->n_recorded++ % SIM_RECORDED];
    slot->from = *from;
    slot->to = *to;
    slot->to_server = to_server;
    slot->len = datagram.len;
    memcpy(slot->data, datagram.data, datagram.len);
}

static void corrupt(struct sim *sim, uint8_t *data, size_t len)
{
    for (uint64_t n = 1 + sim_below(sim, 3); n > 0 && len > 0; n--) {
        data[sim_below(sim, len)] ^= (uint8_t)(1 << sim_below(sim, 8));
    }
}

static void post(struct sim *sim, struct sim_event event, struct amm_view datagram)
{
    event.len = datagram.len;
    event.data = malloc(datagram.len ? datagram.len : 1);
    if (!event.data) {
        abort();
    }
    memcpy(event.data, datagram.data, datagram.len);
    sim_heap_add(&sim->heap, event);
}

static amm_duration transit(struct sim *sim)
{
    amm_duration delay = sim->is.delay + (amm_duration)sim_below(sim, (uint64_t)sim->is.jitter + 1);
    if (sim_chance(sim, sim->is.reorder)) {
        delay += (amm_duration)sim_below(sim, 200) * AMM_MILLISECOND;
    }
    return delay;
}

/* Planted faults that make handshakes slow. */
static bool is_lost_on_purpose(const struct sim *sim, const struct sim_event *event,
                               struct amm_view datagram)
{
    const struct sim_client *client = &sim->clients[event->client];
    bool is_new = sim->now.mono - client->attempt_at < sim_handshake_time(sim);
    return sim_network_is_clean(sim) &&
           ((sim->planted == SIM_BREAK_LAZY && is_new) ||
            (sim->planted == SIM_BREAK_DEAF && datagram.data[0] >> 3 == 3));
}

/* Loss, duplication, corruption and reordering of UDP. */
static void cross_udp(struct sim *sim, struct sim_event event, struct amm_view datagram)
{
    unsigned copies = sim_chance(sim, sim->is.duplicate) ? 2 : 1;
    bool to_server = event.kind == SIM_TO_SERVER;
    unsigned loss = sim->calm && sim->is.loss > 2500 ? 2500 : sim->is.loss;
    if (sim_chance(sim, loss) || sim->clients[event.client].outage_until > sim->now.mono ||
        is_lost_on_purpose(sim, &event, datagram)) {
        sim_say_packet(sim, "lost", (int)event.client, to_server, datagram);
        return;
    }
    for (unsigned i = 0; i < copies; i++) {
        uint8_t damaged[SIM_PACKET];
        struct amm_view one = datagram;
        event.at = sim->now.mono + transit(sim);
        if (!sim->calm && sim_chance(sim, sim->is.corrupt)) {
            memcpy(damaged, datagram.data, datagram.len);
            corrupt(sim, damaged, datagram.len);
            one.data = damaged;
        }
        sim_say_packet(sim,
                       i > 0                 ? "copied"
                       : one.data == damaged ? "damaged"
                                             : "sent",
                       (int)event.client, to_server, one);
        post(sim, event, one);
    }
}

/* TCP gives delay instead of loss, and keeps order. */
static void cross_tcp(struct sim *sim, struct sim_event event, struct amm_view message)
{
    struct sim_client *client = &sim->clients[event.client];
    bool to_server = event.kind == SIM_TO_SERVER;
    amm_time *last = to_server ? &client->last_out : &client->last_in;
    event.at = sim->now.mono + transit(sim);
    if (sim_chance(sim, sim->is.loss)) {
        event.at += 300 * AMM_MILLISECOND;
    }
    event.at = event.at > *last ? event.at : *last;
    *last = event.at;
    sim_say_packet(sim, "sent", (int)event.client, to_server, message);
    post(sim, event, message);
}

void sim_send_from_client(struct sim *sim, unsigned number, const struct amm_path *path,
                          struct amm_view datagram)
{
    struct sim_client *client = &sim->clients[number];
    if (datagram.len > SIM_PACKET || !amm_address_equal(&path->remote, &client->path.remote)) {
        sim_fail(sim, "address", "gw-%u sends %zu bytes to an address it was not given", number,
                 datagram.len);
        return;
    }
    struct sim_event event = {.kind = SIM_TO_SERVER, .client = number, .from = client->outer};
    event.to = client->path.remote;
    sim->datagrams++;
    sim_check_wrap_id(sim, number, true, datagram);
    record(sim, &event.from, &event.to, true, datagram);
    if (client->path.transport == AMM_UDP) {
        cross_udp(sim, event, datagram);
    } else if (client->connection > 0) {
        event.connection = client->connection;
        cross_tcp(sim, event, datagram);
    }
}

static int client_at(const struct sim *sim, const struct amm_path *path)
{
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        const struct sim_client *client = &sim->clients[i];
        if (path->transport == AMM_TCP ? client->connection == path->link && path->link > 0
                                       : amm_address_equal(&client->outer, &path->remote)) {
            return (int)i;
        }
    }
    return -1;
}

void sim_send_from_server(void *owner, const struct amm_path *path, struct amm_view datagram)
{
    struct sim *sim = owner;
    int number = client_at(sim, path);
    sim->datagrams++;
    if (datagram.len > SIM_PACKET) {
        sim_fail(sim, "size", "the server sends %zu bytes", datagram.len);
        return;
    }
    if (number < 0) {
        sim_say_packet(sim, "to nobody", -1, false, datagram);
        return;
    }
    struct sim_client *client = &sim->clients[number];
    struct amm_address local = path->local;
    if (sim->planted == SIM_BREAK_SOURCE) {
        local.ip[3] ^= 1;
    }
    if (!amm_address_equal(&local, &client->path.remote)) {
        sim_fail(sim, "source", "the answer to gw-%d comes from another address than the one asked",
                 number);
        return;
    }
    struct sim_event event = {
        .kind = SIM_TO_CLIENT, .client = (unsigned)number, .connection = client->connection};
    event.from = local;
    event.to = client->outer;
    sim_check_wrap_id(sim, (unsigned)number, false, datagram);
    if (sim->planted == SIM_BREAK_WRAP) {
        sim_check_wrap_id(sim, (unsigned)number, false, datagram);
    }
    record(sim, &event.from, &event.to, false, datagram);
    if (sim->planted == SIM_BREAK_CUT && sim->calm && number == 0) {
        return;
    }
    if (path->transport == AMM_UDP) {
        cross_udp(sim, event, datagram);
    } else {
        cross_tcp(sim, event, datagram);
    }
}

/* Both ends learn of it: the server at once, the client when it connects again. */
void sim_break_connection(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    if (client->connection == 0) {
        return;
    }
    struct sim_event event = {
        .kind = SIM_LINK_LOST, .client = number, .connection = client->connection};
    event.at = sim->now.mono;
    event.from = client->outer;
    event.to = client->path.remote;
    sim_heap_add(&sim->heap, event);
    sim_say(sim, "TCP connection lost", (int)number, client->connection);
    client->connection = 0;
    client->joined = false;
    sim_disturb(sim, number, sim->now.mono);
    sim_client_connect_later(sim, number, (amm_duration)sim_below(sim, 2000) * AMM_MILLISECOND);
}

/* One datagram of a stranger, who has seen everything that was sent: replays from elsewhere,
 * damaged copies, other opcodes, cut packets and noise. */
void sim_attack(struct sim *sim)
{
    if (sim->n_recorded == 0) {
        return;
    }
    unsigned known = sim->n_recorded < SIM_RECORDED ? sim->n_recorded : SIM_RECORDED;
    const struct sim_recorded *seen = &sim->recorded[sim_below(sim, known)];
    uint8_t data[SIM_PACKET];
    size_t len = seen->len;
    struct sim_event event = {.kind = SIM_TO_SERVER, .at = sim->now.mono + transit(sim)};
    event.from = seen->from;
    event.to = seen->to;
    memcpy(data, seen->data, len);
    bool genuine = sim_chance(sim, 5000);
    if (!genuine) {
        switch (sim_below(sim, 4)) {
        case 0:
            corrupt(sim, data, len);
            break;
        case 1:
            data[0] = (uint8_t)sim_below(sim, 256);
            break;
        case 2:
            len = sim_below(sim, len + 1);
            break;
        default:
            len = sim_below(sim, 200);
            amm_random_fill(&sim->random, data, len);
            break;
        }
    }
    if (seen->to_server) {
        if (sim_chance(sim, 5000)) {
            event.from.port = (uint16_t)(1024 + sim_below(sim, 60000));
            event.from.ip[3] = (uint8_t)(200 + sim_below(sim, 50));
        }
    } else {
        event.kind = SIM_TO_CLIENT;
        for (unsigned i = 0; i < sim->is.n_clients; i++) {
            event.client = amm_address_equal(&sim->clients[i].outer, &event.to) ? i : event.client;
        }
    }
    if (len > 0 && (seen->to_server || sim->clients[event.client].path.transport == AMM_UDP)) {
        sim_say_packet(sim, "attack", (int)event.client, event.kind == SIM_TO_SERVER,
                       amm_view(data, len));
        post(sim, event, amm_view(data, len));
    }
}
