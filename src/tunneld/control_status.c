#include "control_parts.h"

#include "io/clock.h"

#include <stdio.h>

enum { PHASE_SERVER, PHASE_PORTS, PHASE_PEERS };

static uint64_t read_counter(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* ---- server and ports ---- */

static void fill_server(const struct amm_control *control, struct amm_ipc_message *out)
{
    const struct amm_shared *shared = control->shared;
    struct amm_ipc_server *server = &out->server;

    out->type = AMM_IPC_SERVER;
    snprintf(server->version, sizeof server->version, "%s", AMM_VERSION);
    snprintf(server->aead, sizeof server->aead, "%s", shared->workers[0].aead);
    server->workers = shared->n_workers;
    server->handshake_threads = shared->n_handshake;
    server->started = shared->handoff->state->started;
    server->alarms = control->alarms;
    server->engine_restarts = shared->handoff->state->engine_starts - 1;
    snprintf(server->namespace_name, sizeof server->namespace_name, "%.63s",
             shared->config->namespace_name);
}

static uint32_t count_up(const struct amm_places *places)
{
    uint32_t up = 0;
    for (uint32_t row = 0; row < 2 * places->n_slots; row += 2) {
        up += amm_control_looks_up(places, row) || amm_control_looks_up(places, row + 1);
    }
    return up;
}

static void fill_port(const struct amm_control *control, uint32_t index,
                      struct amm_ipc_message *out)
{
    const struct amm_places *places = &control->shared->places[index];
    uint32_t used = atomic_load(&places->used);
    uint32_t up = count_up(places);

    out->type = AMM_IPC_PORT;
    out->port = (struct amm_ipc_port){
        .port = places->port,
        .topology = places->pool.topology,
        .prefix = places->pool.prefix,
        .network = places->pool.network,
        .up = up,
        .limit = places->limit,
        .slots = places->n_slots,
        .handshakes = used > up ? used - up : 0, /* have a place, and no proven key yet */
        .ping = places->ping,
        .ping_restart = places->ping_restart,
        .draining = amm_now().mono < atomic_load(&places->draining),
    };
}

/* ---- peers ---- */

static const struct amm_key_slot *key_in_use(const struct amm_peer *peer)
{
    const struct amm_key_slot *best = NULL;
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        const struct amm_key_slot *key = &peer->keys[i];
        if (key->state == AMM_KEY_SEND && (!best || key->order > best->order)) {
            best = key;
        }
    }
    return best;
}

static void fill_peer(const struct amm_control *control, uint32_t port_index,
                      const struct amm_peer *peer, struct amm_ipc_message *out)
{
    const struct amm_key_slot *key = key_in_use(peer);
    amm_duration idle = amm_now().mono - peer->last_rx;
    struct amm_ipc_peer *answer = &out->peer;

    out->type = AMM_IPC_PEER;
    *answer = (struct amm_ipc_peer){
        .port = control->shared->places[port_index].port,
        .cipher = key ? key->tx.cipher : 0,
        .key_id = key ? key->key_id : 0,
        .inner_ip = peer->inner_ip,
        .peer_id = peer->peer_id,
        .epoch = peer->epoch,
        .path = peer->path,
        .since = peer->since,
        .idle_ms = idle > 0 ? (uint32_t)(idle / AMM_MILLISECOND) : 0,
        .rx_packets = peer->rx_packets,
        .rx_bytes = peer->rx_bytes,
        .tx_packets = peer->tx_packets,
        .tx_bytes = peer->tx_bytes,
        .dropped = peer->dropped,
    };
    snprintf(answer->name, sizeof answer->name, "%.64s", peer->name);
    snprintf(answer->last_error, sizeof answer->last_error, "%s",
             peer->last_drop < AMM_DROP_COUNT ? amm_drop_text(peer->last_drop) : "");
    const struct amm_label *label = amm_control_find_label(control, port_index, peer->peer_id);
    if (label) {
        snprintf(answer->client, sizeof answer->client, "%s", label->client);
        memcpy(answer->login.key, label->key, sizeof label->key);
        memcpy(answer->login.serial, label->serial, sizeof label->serial);
    }
}

/* Who watches must see also what has joined and not proven its key yet: no event will tell of it
 * later. */
static bool is_shown(const struct amm_control *control, const struct control_client *client,
                     const struct amm_peer *peer)
{
    return key_in_use(peer) ||
           (client->job == JOB_WATCH &&
            amm_control_find_label(control, client->port, peer->peer_id) != NULL);
}

static bool next_peer(struct amm_control *control, struct control_client *client,
                      struct amm_ipc_message *out)
{
    while (client->port < control->shared->n_ports) {
        const struct amm_places *places = &control->shared->places[client->port];
        for (uint32_t row; (row = client->row) < 2 * places->n_slots;) {
            struct amm_peer peer;
            client->row++;
            if (amm_control_has_session(places, row) &&
                amm_peer_read(amm_control_record(places, row), &peer) &&
                is_shown(control, client, &peer)) {
                fill_peer(control, client->port, &peer, out);
                return true;
            }
        }
        client->port++;
        client->row = 0;
    }
    return false;
}

bool amm_control_next_status(struct amm_control *control, struct control_client *client,
                             struct amm_ipc_message *out)
{
    if (client->step == PHASE_SERVER) {
        fill_server(control, out);
        client->step = PHASE_PORTS;
        return true;
    }
    if (client->step == PHASE_PORTS) {
        if (client->port < control->shared->n_ports) {
            fill_port(control, client->port++, out);
            return true;
        }
        client->step = PHASE_PEERS;
        client->port = client->row = 0;
    }
    return next_peer(control, client, out);
}

/* ---- listeners ---- */

bool amm_control_next_listener(struct amm_control *control, struct control_client *client,
                               struct amm_ipc_message *out)
{
    const struct amm_handoff *handoff = control->shared->handoff;

    while (client->step < (uint32_t)handoff->n_ports * AMM_PUBLISHED_MAX) {
        uint32_t port = client->step / AMM_PUBLISHED_MAX, i = client->step % AMM_PUBLISHED_MAX;
        client->step++;
        if (handoff->services[port][i] >= 0) {
            const struct amm_places *places = &control->shared->places[port];
            client->attached = handoff->services[port][i];
            out->type = AMM_IPC_LISTENER;
            out->listener = (struct amm_ipc_listener){.port = places->port,
                                                      .service = handoff->config.published[i],
                                                      .address = amm_pool_server(&places->pool)};
            return true;
        }
    }
    return false;
}

/* ---- counters ---- */

static uint64_t sum_drops(const struct amm_shared *shared, uint32_t reason)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < shared->n_workers; i++) {
        sum += read_counter(&shared->workers[i].drops.count[reason]);
    }
    for (uint16_t i = 0; i < shared->n_handshake; i++) {
        sum += read_counter(&shared->handshakes[i].drops.count[reason]);
    }
    return sum;
}

static uint64_t count_handshakes(const struct amm_shared *shared)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < shared->n_handshake; i++) {
        sum += atomic_load_explicit(&shared->handshakes[i].handshakes, memory_order_relaxed);
    }
    return sum;
}

static uint64_t count_lost_events(const struct amm_shared *shared)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < shared->n_handshake; i++) {
        sum += atomic_load_explicit(&shared->handshakes[i].lost_events, memory_order_relaxed);
    }
    return sum;
}

bool amm_control_next_counter(struct amm_control *control, struct control_client *client,
                              struct amm_ipc_message *out)
{
    uint32_t step = client->step++;
    const char *name, *text;
    uint64_t value;

    if (step < AMM_DROP_COUNT) {
        name = amm_drop_name(step);
        text = amm_drop_text(step);
        value = sum_drops(control->shared, step);
    } else if (step == AMM_DROP_COUNT) {
        name = "handshakes-now";
        text = "handshakes under way";
        value = count_handshakes(control->shared);
    } else if (step == AMM_DROP_COUNT + 1) {
        name = "events-lost";
        text = "events that found the event queue full";
        value = count_lost_events(control->shared);
    } else {
        return false;
    }
    out->type = AMM_IPC_COUNTER;
    out->counter = (struct amm_ipc_counter){.value = value};
    snprintf(out->counter.name, sizeof out->counter.name, "%s", name);
    snprintf(out->counter.text, sizeof out->counter.text, "%s", text);
    return true;
}
