#include "gateway.h"

#include "inner.h"
#include "io/udp.h"
#include "shared_tun.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RETRY_LEAST_MS = 1000, RETRY_SPREAD_MS = 4000, CATCH_UP = 64, UDP_BUFFER = 256 * 1024 };

static void note_failure(struct gateway *g, const char *words)
{
    struct fleet_numbers *n = &g->fleet->numbers;
    snprintf(n->last_failure, sizeof n->last_failure, "%s: %.120s", g->identity.name, words);
}

static void close_socket(struct gateway *g)
{
    if (g->fd >= 0) {
        amm_loop_remove(g->fleet->loop, g->fd);
        close(g->fd);
        g->fd = -1;
    }
    if (g->stream) {
        amm_frame_writer_deinit(&g->stream->writer);
        free(g->stream);
        g->stream = NULL;
    }
}

static void rest(struct gateway *g, uint16_t backoff)
{
    uint64_t ms = RETRY_LEAST_MS + amm_random_below(&g->fleet->random, RETRY_SPREAD_MS) +
                  backoff * UINT64_C(1000);
    g->fleet->numbers.up -= g->state == GATEWAY_UP;
    close_socket(g);
    g->state = GATEWAY_RESTING;
    g->retry = g->fleet->now.mono + (amm_duration)ms * AMM_MILLISECOND;
    g->next_echo = AMM_NEVER;
}

/* ---- socket ---- */

static bool open_stream(struct gateway *g, char *error, size_t room)
{
    g->stream = calloc(1, sizeof *g->stream);
    if (!g->stream || !amm_frame_writer_init(&g->stream->writer)) {
        snprintf(error, room, "out of memory");
        return false;
    }
    g->fd = amm_tcp_connect(&g->path.remote, error, room);
    return g->fd >= 0;
}

static bool open_socket(struct gateway *g, char *error, size_t room)
{
    const struct fleet_options *o = g->fleet->options;
    const struct amm_udp_settings udp = {.buffer = UDP_BUFFER};
    g->path = (struct amm_path){
        .remote = o->servers[g->number % o->n_servers],
        .transport = (uint8_t)o->transport,
    };
    if (o->transport == AMM_TCP) {
        return open_stream(g, error, room) &&
               amm_loop_add(g->fleet->loop, g->fd, AMM_WRITE, g->number);
    }
    g->fd = amm_udp_open(&udp, error, room);
    return g->fd >= 0 && amm_loop_add(g->fleet->loop, g->fd, AMM_READ, g->number);
}

static void send_datagram(struct gateway *g, struct amm_view bytes)
{
    if (g->fd < 0) {
        return;
    }
    if (g->stream) {
        amm_frame_add(&g->stream->writer, bytes, amm_view(NULL, 0));
    } else {
        amm_udp_send(g->fd, &g->path.remote, NULL, bytes, 0);
    }
}

static void flush_stream(struct gateway *g)
{
    if (!g->stream || g->fd < 0 || g->state == GATEWAY_CONNECTING) {
        return;
    }
    if (!amm_frame_flush(&g->stream->writer, g->fd)) {
        return; /* the loop reports the end of the connection */
    }
    amm_loop_change(g->fleet->loop, g->fd,
                    g->stream->writer.len > 0 ? AMM_READ | AMM_WRITE : AMM_READ, g->number);
}

/* ---- inner packets ---- */

void gateway_send_inner(struct gateway *g, uint8_t *out, size_t len)
{
    struct amm_path path;
    struct amm_span sealed = amm_client_seal(g->client, g->fleet->now,
                                             amm_view(out + AMM_DATA_OVERHEAD, len), out, &path);
    if (sealed.len > 0) {
        send_datagram(g, amm_view_of(sealed));
    }
}

static void send_echoes(struct gateway *g)
{
    const struct fleet_options *o = g->fleet->options;
    amm_duration gap = o->traffic ? AMM_SECOND / o->traffic : o->ping * AMM_SECOND;
    for (int i = 0; i < CATCH_UP && g->fleet->now.mono >= g->next_echo; i++) {
        uint8_t out[2048];
        size_t len = inner_echo(out + AMM_DATA_OVERHEAD, o->size, g->inner_ip, g->server_ip,
                                (uint16_t)g->number, g->sequence++, (uint64_t)g->fleet->now.mono);
        gateway_send_inner(g, out, len);
        g->fleet->numbers.echo_sent++;
        g->next_echo += gap;
    }
    if (g->next_echo < g->fleet->now.mono) {
        g->next_echo = g->fleet->now.mono + gap;
    }
}

static void take_inner(struct gateway *g, struct amm_span inner)
{
    uint16_t id;
    uint64_t stamp;
    if (g->fleet->tun) {
        shared_tun_write(g->fleet->tun, amm_view_of(inner));
        return;
    }
    switch (inner_take(inner, g->inner_ip, &id, &stamp)) {
    case INNER_ANSWERED:
        g->fleet->numbers.answered++;
        gateway_send_inner(g, inner.data - AMM_DATA_OVERHEAD,
                           inner.len); /* the datagram's own header had that room */
        break;
    case INNER_REPLY:
        if (stamp > 0 && stamp <= (uint64_t)g->fleet->now.mono) {
            g->fleet->numbers.echo_received++;
            samples_add(&g->fleet->numbers.echoes, g->fleet->now.mono - (amm_time)stamp);
        }
        break;
    case INNER_OTHER:
        break;
    }
}

/* ---- events ---- */

/* The server's own tunnel address: its gateway option in a subnet, its host route with net30. */
static uint32_t server_address(const struct amm_push *push)
{
    for (unsigned i = 0; i < push->n_routes; i++) {
        if (push->routes[i].mask == UINT32_MAX) {
            return push->routes[i].network;
        }
    }
    return push->route_gateway ? push->route_gateway : push->remote;
}

static void on_pushed(struct gateway *g, const struct amm_push *push)
{
    g->inner_ip = push->local;
    g->server_ip = server_address(push);
    if (g->fleet->tun) {
        shared_tun_own(g->fleet->tun, g->inner_ip, g->server_ip, g->number);
    }
}

static void on_joined(struct gateway *g)
{
    const struct fleet_options *o = g->fleet->options;
    struct fleet_numbers *n = &g->fleet->numbers;
    g->state = GATEWAY_UP;
    n->up++;
    n->joined++;
    samples_add(&n->joins, g->fleet->now.mono - g->began);
    if (o->ping || o->traffic) {
        amm_duration gap = o->traffic ? AMM_SECOND / o->traffic : o->ping * AMM_SECOND;
        g->next_echo = g->fleet->now.mono +
                       (amm_duration)amm_random_below(&g->fleet->random, (uint64_t)gap + 1);
    }
}

static void on_closed(struct gateway *g, const struct amm_event *event)
{
    char words[256];
    snprintf(words, sizeof words, "%s %s %s", amm_close_reason_name(event->reason),
             event->reason == AMM_CLOSE_TLS ? amm_tls_failure_name(event->failure) : "",
             event->text);
    note_failure(g, words);
    if (g->state == GATEWAY_UP) {
        g->fleet->numbers.lost++;
    } else {
        g->fleet->numbers.failed++;
    }
    rest(g, event->backoff);
    if (event->is_final) {
        g->state = GATEWAY_REFUSED;
        g->retry = AMM_NEVER;
    }
}

static void send_all(struct gateway *g)
{
    struct amm_control_out out;
    while (g->fd >= 0 && amm_client_output(g->client, g->fleet->now, &out)) {
        send_datagram(g, amm_view(out.data, out.len));
    }
    flush_stream(g);
}

/* Sends what the client has to say and takes its events, until it is quiet. */
static void drive(struct gateway *g)
{
    struct amm_event event;
    send_all(g);
    while (amm_client_next_event(g->client, &event)) {
        if (event.kind == AMM_EVENT_PUSHED) {
            on_pushed(g, &event.push);
        } else if (event.kind == AMM_EVENT_JOINED) {
            on_joined(g);
        } else if (event.kind == AMM_EVENT_RENEWED) {
            g->fleet->numbers.renewed++;
        } else if (event.kind == AMM_EVENT_CLOSED && g->state != GATEWAY_RESTING) {
            on_closed(g, &event);
        }
        send_all(g); /* which can make events again */
    }
}

static void fail_attempt(struct gateway *g, const char *why)
{
    note_failure(g, why);
    if (g->state == GATEWAY_UP) {
        g->fleet->numbers.lost++;
    } else {
        g->fleet->numbers.failed++;
    }
    rest(g, 0);
}

static bool make_client(struct gateway *g)
{
    const struct fleet_options *o = g->fleet->options;
    struct amm_client_config config = {.mtu = 1400};
    amm_engine_config_defaults(&config.engine);
    config.engine.role = AMM_CLIENT;
    config.engine.wraps = &o->wrap;
    config.engine.n_wraps = 1;
    memcpy(config.engine.ciphers, o->ciphers, sizeof config.engine.ciphers);
    config.engine.release_tls = !o->keep_tls;
    config.engine.version = "amm-fleet";
    config.engine.platform = "linux";
    config.engine.mtu = 1500;
    const struct amm_engine_env env = {
        .random = g->fleet->random,
        .tls = &identity_ops,
        .tls_context = (struct amm_tls_context *)(void *)&g->identity,
    };
    g->client = amm_client_new(&config, &env, g->fleet->aead, &g->fleet->drops, g->fleet->now);
    return g->client != NULL;
}

void gateway_join(struct gateway *g)
{
    char error[200];
    g->began = g->fleet->now.mono;
    g->retry = AMM_NEVER;
    g->state = g->fleet->options->transport == AMM_TCP ? GATEWAY_CONNECTING : GATEWAY_JOINING;
    if (!g->client && !make_client(g)) {
        fail_attempt(g, "out of memory");
        return;
    }
    if (!open_socket(g, error, sizeof error)) {
        fail_attempt(g, error);
        return;
    }
    if (g->state == GATEWAY_JOINING) {
        amm_client_connect(g->client, g->fleet->now, &g->path);
        drive(g);
    }
}

/* ---- in ---- */

static void take_datagram(struct gateway *g, struct amm_span datagram, bool *broken)
{
    struct amm_span inner;
    if (amm_client_input(g->client, g->fleet->now, &g->path, datagram, &inner, broken)) {
        take_inner(g, inner);
    }
}

static void receive_udp(struct gateway *g)
{
    static uint8_t buffer[AMM_UDP_BUFFER]; /* one thread */
    for (int i = 0; i < CATCH_UP; i++) {
        struct amm_udp_batch batch;
        if (amm_udp_receive(g->fd, 0, (struct amm_span){buffer, sizeof buffer}, &batch) !=
            AMM_UDP_OK) {
            return;
        }
        if (amm_address_equal(&batch.remote, &g->path.remote) && batch.len > 0) {
            take_datagram(g, (struct amm_span){buffer, batch.len}, NULL);
        }
    }
}

/* False if the connection is over. */
static bool receive_tcp(struct gateway *g)
{
    static uint8_t buffer[AMM_UDP_BUFFER];
    bool broken = false;
    ssize_t got = amm_tcp_read(g->fd, (struct amm_span){buffer, sizeof buffer});
    struct amm_span chunk = {buffer, got > 0 ? (size_t)got : 0}, frame;
    while (chunk.len > 0 && !broken) {
        enum amm_frame_result result = amm_frame_next(&g->stream->reader, &chunk, &frame);
        if (result != AMM_FRAME_READY) {
            return result == AMM_FRAME_MORE;
        }
        take_datagram(g, frame, &broken);
    }
    return got >= 0 && !broken;
}

void gateway_ready(struct gateway *g, const struct amm_ready *ready)
{
    if (g->fd < 0) {
        return;
    }
    if (g->state == GATEWAY_CONNECTING) {
        if (amm_tcp_connect_result(g->fd, &g->path.local) != 0) {
            fail_attempt(g, "TCP connection failed");
            return;
        }
        g->state = GATEWAY_JOINING;
        amm_client_connect(g->client, g->fleet->now, &g->path);
    } else if (g->stream) {
        if ((ready->readable || ready->closed) && !receive_tcp(g)) {
            drive(g);
            if (g->fd >= 0) {
                fail_attempt(g, "TCP connection lost");
            }
            return;
        }
    } else {
        receive_udp(g);
    }
    drive(g);
}

void gateway_expire(struct gateway *g)
{
    if (g->state == GATEWAY_RESTING && g->fleet->now.mono >= g->retry) {
        gateway_join(g);
        return;
    }
    if (g->state == GATEWAY_UP && g->fleet->now.mono >= g->next_echo) {
        send_echoes(g);
    }
    if (g->client) {
        amm_client_expire(g->client, g->fleet->now);
        drive(g);
    }
}

amm_time gateway_deadline(const struct gateway *g)
{
    amm_time at = amm_time_min(g->retry, g->next_echo);
    return g->client ? amm_time_min(at, amm_client_deadline(g->client)) : at;
}

void gateway_close(struct gateway *g, bool silently)
{
    if (g->client && g->fd >= 0 && !silently) {
        struct amm_control_out out;
        amm_client_leave(g->client, g->fleet->now);
        while (amm_client_output(g->client, g->fleet->now, &out)) {
            send_datagram(g, amm_view(out.data, out.len));
        }
        flush_stream(g);
    }
    close_socket(g);
    g->client = amm_client_free(g->client);
    identity_deinit(&g->identity);
}
