#include "ipc/tunnel.h"

enum { HEADER = 4 };

/* Strings: a 16-bit length, then printable characters without NUL. */
static void write_string(struct amm_writer *w, const char *text, size_t room)
{
    size_t len = strnlen(text, room - 1);
    amm_write_u16(w, (uint16_t)len);
    amm_write_bytes(w, text, len);
}

static void read_string(struct amm_reader *r, char *out, size_t room)
{
    size_t len = amm_read_u16(r);
    if (len >= room) {
        r->failed = true;
    }
    struct amm_view text = amm_read_bytes(r, len);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] > '~') {
            r->failed = true;
        }
    }
    memset(out, 0, room);
    if (!r->failed && text.len > 0) {
        memcpy(out, text.data, text.len);
    }
}

static void write_address(struct amm_writer *w, const struct amm_address *address)
{
    amm_write_u8(w, address->family);
    amm_write_u16(w, address->port);
    amm_write_bytes(w, address->ip, sizeof address->ip);
}

static void read_address(struct amm_reader *r, struct amm_address *out)
{
    memset(out, 0, sizeof *out);
    out->family = amm_read_u8(r);
    out->port = amm_read_u16(r);
    amm_read_copy(r, out->ip, sizeof out->ip);
    if (out->family != AMM_FAMILY_NONE && out->family != AMM_FAMILY_IPV4 &&
        out->family != AMM_FAMILY_IPV6) {
        r->failed = true;
    }
}

static void write_ask(struct amm_writer *w, const struct amm_ipc_ask *ask)
{
    amm_write_u16(w, ask->port);
    amm_write_u32(w, ask->hold);
    write_string(w, ask->name, sizeof ask->name);
}

static void read_ask(struct amm_reader *r, struct amm_ipc_ask *out)
{
    out->port = amm_read_u16(r);
    out->hold = amm_read_u32(r);
    read_string(r, out->name, sizeof out->name);
}

static void write_server(struct amm_writer *w, const struct amm_ipc_server *server)
{
    write_string(w, server->version, sizeof server->version);
    write_string(w, server->aead, sizeof server->aead);
    amm_write_u16(w, server->workers);
    amm_write_u16(w, server->handshake_threads);
    amm_write_u64(w, (uint64_t)server->started);
    amm_write_u32(w, server->alarms);
    amm_write_u32(w, server->engine_restarts);
    write_string(w, server->namespace_name, sizeof server->namespace_name);
}

static void read_server(struct amm_reader *r, struct amm_ipc_server *out)
{
    read_string(r, out->version, sizeof out->version);
    read_string(r, out->aead, sizeof out->aead);
    out->workers = amm_read_u16(r);
    out->handshake_threads = amm_read_u16(r);
    out->started = (int64_t)amm_read_u64(r);
    out->alarms = amm_read_u32(r);
    out->engine_restarts = amm_read_u32(r);
    read_string(r, out->namespace_name, sizeof out->namespace_name);
}

static void write_port(struct amm_writer *w, const struct amm_ipc_port *port)
{
    amm_write_u16(w, port->port);
    amm_write_u8(w, port->topology);
    amm_write_u8(w, port->prefix);
    amm_write_u32(w, port->network);
    amm_write_u32(w, port->up);
    amm_write_u32(w, port->limit);
    amm_write_u32(w, port->slots);
    amm_write_u32(w, port->handshakes);
    amm_write_u8(w, port->draining);
}

static void read_port(struct amm_reader *r, struct amm_ipc_port *out)
{
    out->port = amm_read_u16(r);
    out->topology = amm_read_u8(r);
    out->prefix = amm_read_u8(r);
    out->network = amm_read_u32(r);
    out->up = amm_read_u32(r);
    out->limit = amm_read_u32(r);
    out->slots = amm_read_u32(r);
    out->handshakes = amm_read_u32(r);
    out->draining = amm_read_u8(r);
}

static void write_peer(struct amm_writer *w, const struct amm_ipc_peer *peer)
{
    write_string(w, peer->name, sizeof peer->name);
    amm_write_u16(w, peer->port);
    amm_write_u8(w, peer->cipher);
    amm_write_u8(w, peer->key_id);
    amm_write_u32(w, peer->inner_ip);
    amm_write_u32(w, peer->peer_id);
    write_address(w, &peer->path.remote);
    write_address(w, &peer->path.local);
    amm_write_u32(w, peer->path.link);
    amm_write_u8(w, peer->path.transport);
    amm_write_u8(w, peer->path.port_index);
    amm_write_u64(w, (uint64_t)peer->since);
    amm_write_u32(w, peer->idle_ms);
    amm_write_u64(w, peer->rx_packets);
    amm_write_u64(w, peer->rx_bytes);
    amm_write_u64(w, peer->tx_packets);
    amm_write_u64(w, peer->tx_bytes);
    amm_write_u64(w, peer->dropped);
    write_string(w, peer->last_error, sizeof peer->last_error);
    write_string(w, peer->client, sizeof peer->client);
}

static void read_peer(struct amm_reader *r, struct amm_ipc_peer *out)
{
    read_string(r, out->name, sizeof out->name);
    out->port = amm_read_u16(r);
    out->cipher = amm_read_u8(r);
    out->key_id = amm_read_u8(r);
    out->inner_ip = amm_read_u32(r);
    out->peer_id = amm_read_u32(r);
    read_address(r, &out->path.remote);
    read_address(r, &out->path.local);
    out->path.link = amm_read_u32(r);
    out->path.transport = amm_read_u8(r);
    out->path.port_index = amm_read_u8(r);
    out->since = (int64_t)amm_read_u64(r);
    out->idle_ms = amm_read_u32(r);
    out->rx_packets = amm_read_u64(r);
    out->rx_bytes = amm_read_u64(r);
    out->tx_packets = amm_read_u64(r);
    out->tx_bytes = amm_read_u64(r);
    out->dropped = amm_read_u64(r);
    read_string(r, out->last_error, sizeof out->last_error);
    read_string(r, out->client, sizeof out->client);
}

static void write_counter(struct amm_writer *w, const struct amm_ipc_counter *counter)
{
    write_string(w, counter->name, sizeof counter->name);
    write_string(w, counter->text, sizeof counter->text);
    amm_write_u64(w, counter->value);
}

static void read_counter(struct amm_reader *r, struct amm_ipc_counter *out)
{
    read_string(r, out->name, sizeof out->name);
    read_string(r, out->text, sizeof out->text);
    out->value = amm_read_u64(r);
}

static void write_event(struct amm_writer *w, const struct amm_ipc_event *event)
{
    amm_write_u8(w, event->kind);
    amm_write_u64(w, (uint64_t)event->at);
    amm_write_u16(w, event->port);
    write_string(w, event->name, sizeof event->name);
    write_address(w, &event->remote);
    amm_write_u32(w, event->inner_ip);
    write_string(w, event->client, sizeof event->client);
    write_string(w, event->reason, sizeof event->reason);
    write_string(w, event->text, sizeof event->text);
}

static void read_event(struct amm_reader *r, struct amm_ipc_event *out)
{
    out->kind = amm_read_u8(r);
    out->at = (int64_t)amm_read_u64(r);
    out->port = amm_read_u16(r);
    read_string(r, out->name, sizeof out->name);
    read_address(r, &out->remote);
    out->inner_ip = amm_read_u32(r);
    read_string(r, out->client, sizeof out->client);
    read_string(r, out->reason, sizeof out->reason);
    read_string(r, out->text, sizeof out->text);
    if (out->kind < AMM_IPC_JOINED || out->kind > AMM_IPC_ALARM) {
        r->failed = true;
    }
}

/* Writes the body; false for a type that does not exist. */
static bool write_body(struct amm_writer *w, const struct amm_ipc_message *message)
{
    switch ((enum amm_ipc_type)message->type) {
    case AMM_IPC_STATUS:
    case AMM_IPC_COUNTERS:
    case AMM_IPC_EVENTS:
    case AMM_IPC_RELOAD:
    case AMM_IPC_REFUSALS:
        return true;
    case AMM_IPC_KICK:
    case AMM_IPC_DRAIN:
        write_ask(w, &message->ask);
        return true;
    case AMM_IPC_SERVER:
        write_server(w, &message->server);
        return true;
    case AMM_IPC_PORT:
        write_port(w, &message->port);
        return true;
    case AMM_IPC_PEER:
        write_peer(w, &message->peer);
        return true;
    case AMM_IPC_COUNTER:
        write_counter(w, &message->counter);
        return true;
    case AMM_IPC_EVENT:
        write_event(w, &message->event);
        return true;
    case AMM_IPC_DONE:
    case AMM_IPC_FAILED:
        write_string(w, message->text, sizeof message->text);
        return true;
    }
    return false;
}

static bool read_body(struct amm_reader *r, struct amm_ipc_message *out)
{
    switch ((enum amm_ipc_type)out->type) {
    case AMM_IPC_STATUS:
    case AMM_IPC_COUNTERS:
    case AMM_IPC_EVENTS:
    case AMM_IPC_RELOAD:
    case AMM_IPC_REFUSALS:
        return true;
    case AMM_IPC_KICK:
    case AMM_IPC_DRAIN:
        read_ask(r, &out->ask);
        return true;
    case AMM_IPC_SERVER:
        read_server(r, &out->server);
        return true;
    case AMM_IPC_PORT:
        read_port(r, &out->port);
        return true;
    case AMM_IPC_PEER:
        read_peer(r, &out->peer);
        return true;
    case AMM_IPC_COUNTER:
        read_counter(r, &out->counter);
        return true;
    case AMM_IPC_EVENT:
        read_event(r, &out->event);
        return true;
    case AMM_IPC_DONE:
    case AMM_IPC_FAILED:
        read_string(r, out->text, sizeof out->text);
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
    if (!write_body(&w, message) || amm_writer_len(&w) == 0) {
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
        !read_body(&r, &message) || !amm_reader_done(&r)) {
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
