#include "ipc/tunnel.h"
#include "walk.h"

enum { HEADER = 4 };

static void walk_login(struct walk *walk, struct amm_ipc_login *login)
{
    walk_bytes(walk, login->key, sizeof login->key);
    walk_bytes(walk, login->serial, sizeof login->serial);
}

static void walk_ask(struct walk *walk, struct amm_ipc_ask *ask)
{
    walk_u16(walk, &ask->port);
    walk_u32(walk, &ask->hold);
    walk_string(walk, ask->name, sizeof ask->name);
}

static void walk_server(struct walk *walk, struct amm_ipc_server *server)
{
    walk_string(walk, server->version, sizeof server->version);
    walk_string(walk, server->aead, sizeof server->aead);
    walk_u16(walk, &server->workers);
    walk_u16(walk, &server->handshake_threads);
    walk_time(walk, &server->started);
    walk_u32(walk, &server->alarms);
    walk_u32(walk, &server->engine_restarts);
    walk_string(walk, server->namespace_name, sizeof server->namespace_name);
}

static void walk_port(struct walk *walk, struct amm_ipc_port *port)
{
    walk_u16(walk, &port->port);
    walk_u8(walk, &port->topology);
    walk_u8(walk, &port->prefix);
    walk_u32(walk, &port->network);
    walk_u32(walk, &port->up);
    walk_u32(walk, &port->limit);
    walk_u32(walk, &port->slots);
    walk_u32(walk, &port->handshakes);
    walk_u16(walk, &port->ping);
    walk_u16(walk, &port->ping_restart);
    walk_u8(walk, &port->draining);
}

static void walk_peer(struct walk *walk, struct amm_ipc_peer *peer)
{
    walk_string(walk, peer->name, sizeof peer->name);
    walk_u16(walk, &peer->port);
    walk_u8(walk, &peer->cipher);
    walk_u8(walk, &peer->key_id);
    walk_u32(walk, &peer->inner_ip);
    walk_u32(walk, &peer->peer_id);
    walk_u64(walk, &peer->epoch);
    walk_address(walk, &peer->path.remote);
    walk_address(walk, &peer->path.local);
    walk_u32(walk, &peer->path.link);
    walk_u8(walk, &peer->path.transport);
    walk_u8(walk, &peer->path.port_index);
    walk_time(walk, &peer->since);
    walk_u32(walk, &peer->idle_ms);
    walk_u64(walk, &peer->rx_packets);
    walk_u64(walk, &peer->rx_bytes);
    walk_u64(walk, &peer->tx_packets);
    walk_u64(walk, &peer->tx_bytes);
    walk_u64(walk, &peer->dropped);
    walk_string(walk, peer->last_error, sizeof peer->last_error);
    walk_string(walk, peer->client, sizeof peer->client);
    walk_login(walk, &peer->login);
}

static void walk_counter(struct walk *walk, struct amm_ipc_counter *counter)
{
    walk_string(walk, counter->name, sizeof counter->name);
    walk_string(walk, counter->text, sizeof counter->text);
    walk_u64(walk, &counter->value);
}

static void walk_event(struct walk *walk, struct amm_ipc_event *event)
{
    walk_u8(walk, &event->kind);
    walk_time(walk, &event->at);
    walk_u16(walk, &event->port);
    walk_string(walk, event->name, sizeof event->name);
    walk_address(walk, &event->remote);
    walk_u8(walk, &event->transport);
    walk_u32(walk, &event->inner_ip);
    walk_u32(walk, &event->peer_id);
    walk_u64(walk, &event->epoch);
    walk_login(walk, &event->login);
    walk_string(walk, event->client, sizeof event->client);
    walk_string(walk, event->reason, sizeof event->reason);
    walk_string(walk, event->text, sizeof event->text);
    if (walk->r && (event->kind < AMM_IPC_JOINED || event->kind > AMM_IPC_HEARD)) {
        walk->r->failed = true;
    }
}

static void walk_listener(struct walk *walk, struct amm_ipc_listener *listener)
{
    walk_u16(walk, &listener->port);
    walk_u16(walk, &listener->service);
    walk_u32(walk, &listener->address);
}

/* False for a type that does not exist. */
static bool walk_body(struct walk *walk, struct amm_ipc_message *message)
{
    switch ((enum amm_ipc_type)message->type) {
    case AMM_IPC_STATUS:
    case AMM_IPC_COUNTERS:
    case AMM_IPC_EVENTS:
    case AMM_IPC_RELOAD:
    case AMM_IPC_REFUSALS:
    case AMM_IPC_LISTENERS:
    case AMM_IPC_WATCH:
        return true;
    case AMM_IPC_KICK:
    case AMM_IPC_DRAIN:
        walk_ask(walk, &message->ask);
        return true;
    case AMM_IPC_SERVER:
        walk_server(walk, &message->server);
        return true;
    case AMM_IPC_PORT:
        walk_port(walk, &message->port);
        return true;
    case AMM_IPC_PEER:
        walk_peer(walk, &message->peer);
        return true;
    case AMM_IPC_COUNTER:
        walk_counter(walk, &message->counter);
        return true;
    case AMM_IPC_EVENT:
        walk_event(walk, &message->event);
        return true;
    case AMM_IPC_LISTENER:
        walk_listener(walk, &message->listener);
        return true;
    case AMM_IPC_DONE:
    case AMM_IPC_FAILED:
        walk_string(walk, message->text, sizeof message->text);
        return true;
    }
    return false;
}

size_t amm_ipc_encode(const struct amm_ipc_message *message, uint8_t *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room < AMM_IPC_MAX ? room : AMM_IPC_MAX);
    amm_write_u8(&w, AMM_IPC_VERSION);
    amm_write_u8(&w, message->type);
    uint8_t *length = amm_write_gap(&w, 2);
    struct amm_ipc_message copy = *message; /* the walk could change it */
    if (!walk_body(&(struct walk){.w = &w}, &copy) || amm_writer_len(&w) == 0) {
        return 0;
    }
    amm_store_u16(length, (uint16_t)(amm_writer_len(&w) - HEADER));
    return amm_writer_len(&w);
}

bool amm_ipc_decode(struct amm_ipc_message *out, struct amm_view packet)
{
    struct amm_reader r = amm_reader(packet);
    struct amm_ipc_message message = {0};
    uint8_t version = amm_read_u8(&r);
    message.type = amm_read_u8(&r);
    uint16_t length = amm_read_u16(&r);
    if (packet.len > AMM_IPC_MAX || version != AMM_IPC_VERSION || length != amm_reader_left(&r) ||
        !walk_body(&(struct walk){.r = &r}, &message) || !amm_reader_done(&r)) {
        return false;
    }
    *out = message;
    return true;
}

const char *amm_ipc_event_name(enum amm_ipc_event_kind kind)
{
    switch (kind) {
    case AMM_IPC_JOINED:
        return "joined";
    case AMM_IPC_LEFT:
        return "left";
    case AMM_IPC_MOVED:
        return "moved";
    case AMM_IPC_REFUSED:
        return "refused";
    case AMM_IPC_ALARM:
        return "alarm";
    case AMM_IPC_SILENT:
        return "silent";
    case AMM_IPC_HEARD:
        return "heard";
    }
    return "unknown";
}

const char *amm_ipc_alarm_name(enum amm_ipc_alarm alarm)
{
    switch (alarm) {
    case AMM_ALARM_CRL:
        return "revocation-list";
    case AMM_ALARM_ROSTER:
        return "gateways-file";
    case AMM_ALARM_CERTIFICATE:
        return "certificate";
    }
    return "unknown";
}
