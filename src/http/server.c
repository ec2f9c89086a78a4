/* Settings, the loop, orders from other threads, counters. */
#include "server_parts.h"

#include "io/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1 << 20 };

#define TAG_BELL (UINT64_C(2) << 32)
#define TAG_LISTENER (UINT64_C(1) << 32)

/* The server whose handlers run in this thread now. */
static _Thread_local const struct amm_http_server *serving;

void amm_http_settings_init(struct amm_http_settings *settings)
{
    *settings = (struct amm_http_settings){
        .connections = 4096,
        .head_deadline = 10 * AMM_SECOND,
        .idle_deadline = 60 * AMM_SECOND,
        .body_rate = 1000,
        .body_pause = 10 * AMM_SECOND,
        .paced_pause = 60 * AMM_SECOND,
        .body_memory = 256 << 20,
    };
}

/* ---- slots: who may still be answered ---- */

uint32_t slot_generation(const struct amm_http_server *server, uint32_t index)
{
    return (uint32_t)(atomic_load_explicit(&server->slots[index], memory_order_relaxed) >> 32);
}

uint32_t slot_next_generation(struct amm_http_server *server, uint32_t index)
{
    uint32_t generation = slot_generation(server, index) + 1;
    atomic_store_explicit(&server->slots[index], (uint64_t)generation << 32, memory_order_release);
    return generation;
}

static bool slot_is(const struct amm_http_server *server, struct amm_http_ref ref)
{
    return ref.connection < server->settings.connections &&
           slot_generation(server, ref.connection) == ref.generation;
}

/* Adds `n` bytes that are on their way; false if the request is over. `*behind`: too many are. */
static bool slot_send(struct amm_http_server *server, struct amm_http_ref ref, size_t n,
                      bool *behind)
{
    *behind = false;
    if (ref.connection >= server->settings.connections) {
        return false;
    }
    _Atomic uint64_t *slot = &server->slots[ref.connection];
    uint64_t now = atomic_load_explicit(slot, memory_order_relaxed);
    do {
        if (now >> 32 != ref.generation) {
            return false;
        }
        if ((uint32_t)now + n > AMM_HTTP_BEHIND) {
            *behind = true;
            return false;
        }
    } while (!atomic_compare_exchange_weak(slot, &now, now + n));
    return true;
}

size_t slot_sent(struct amm_http_server *server, uint32_t index, uint32_t generation, size_t n)
{
    _Atomic uint64_t *slot = &server->slots[index];
    if (slot_generation(server, index) != generation) { /* only this thread changes it */
        return 0;
    }
    return (uint32_t)atomic_fetch_sub(slot, n) - n;
}

/* ---- orders ---- */

struct order *order_new(enum order_kind kind, size_t room, size_t len)
{
    struct order *order = malloc(sizeof *order + room + len);
    if (order) {
        *order = (struct order){.kind = kind, .room = room, .file = -1};
    }
    return order;
}

void order_free(struct order *order)
{
    if (order) {
        if ((order->has_file || order->kind == ORDER_LISTEN) && order->file >= 0) {
            close(order->file);
        }
        amm_http_tls_unref(order->tls);
        free(order);
    }
}

static void ring_bell(struct amm_http_server *server)
{
    uint64_t one = 1;
    while (write(server->bell, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void place_order(struct amm_http_server *server, struct order *order)
{
    pthread_mutex_lock(&server->lock);
    bool first = server->orders == NULL;
    order->next = NULL;
    *server->orders_end = order;
    server->orders_end = &order->next;
    pthread_mutex_unlock(&server->lock);
    if (first) {
        ring_bell(server);
    }
}

static struct order *take_orders(struct amm_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct order *orders = server->orders;
    server->orders = NULL;
    server->orders_end = &server->orders;
    pthread_mutex_unlock(&server->lock);
    return orders;
}

/* The request is over: whoever streams must learn of it. */
static void answer_nobody(struct amm_http_server *server, struct order *order)
{
    struct amm_http_ref ref = order->ref;
    bool streams = order->kind == ORDER_ANSWER && order->stream;
    order_free(order);
    if (streams && server->settings.gone) {
        server->settings.gone(server->settings.context, ref);
    }
}

static void follow_for_connection(struct amm_http_server *server, struct order *order)
{
    if (!slot_is(server, order->ref)) {
        answer_nobody(server, order);
        return;
    }
    struct connection *connection = server->connections[order->ref.connection];
    connection->turn = 0;
    switch (order->kind) {
    case ORDER_ANSWER:
        output_answer(server, connection, order);
        break;
    case ORDER_INFORM:
        output_inform(server, connection, order);
        break;
    case ORDER_SEND:
        if (!output_send(server, connection, order)) {
            connection_close(server, connection);
            return;
        }
        break;
    case ORDER_TAKE:
        pieces_take(server, connection, order->body_len);
        order_free(order);
        break;
    case ORDER_CUT:
        order_free(order);
        http_stream_reset(&connection->stream);
        connection_close(server, connection);
        return;
    case ORDER_LISTEN:
    case ORDER_UNLISTEN:
        order_free(order);
        return;
    }
    connection_advance(server, connection);
}

static void follow(struct amm_http_server *server, struct order *order)
{
    if (order->kind == ORDER_LISTEN) {
        if (!atomic_load(&server->stopping) &&
            listener_add(server, order->file, order->tls, order->tag)) {
            order->file = -1;
            order->tls = NULL;
        }
        order_free(order);
    } else if (order->kind == ORDER_UNLISTEN) {
        listeners_remove(server, &order->tag);
        order_free(order);
    } else {
        follow_for_connection(server, order);
    }
}

static void follow_orders(struct amm_http_server *server)
{
    uint64_t rings;
    while (read(server->bell, &rings, sizeof rings) < 0 && errno == EINTR) {
    }
    struct order *order = take_orders(server);
    while (order) {
        struct order *next = order->next;
        follow(server, order);
        order = next;
    }
}

/* ---- for other threads ---- */

bool amm_http_server_listen(struct amm_http_server *server, int fd, struct amm_http_tls *tls,
                            uint32_t tag)
{
    struct order *order = order_new(ORDER_LISTEN, 0, 0);
    if (!order) {
        return false;
    }
    order->file = fd;
    order->tag = tag;
    order->tls = tls ? amm_http_tls_ref(tls) : NULL;
    place_order(server, order);
    return true;
}

void amm_http_server_unlisten(struct amm_http_server *server, uint32_t tag)
{
    struct order *order = order_new(ORDER_UNLISTEN, 0, 0);
    if (order) {
        order->tag = tag;
        place_order(server, order);
    }
}

/* Room, content type, field lines, empty line, body. NULL: out of memory, or a type that is none.
 */
static struct order *answer_order(struct amm_http_ref ref, const struct amm_http_reply *reply)
{
    static const char field[] = "Content-Type: \r\n\r\n";
    size_t body_len = reply->has_file || reply->stream ? 0 : reply->body.len;
    size_t len = sizeof field + reply->fields.len + body_len +
                 (reply->content_type ? strlen(reply->content_type) : 0);
    struct order *order = order_new(ORDER_ANSWER, HEAD_ROOM, len);
    if (!order) {
        return NULL;
    }
    struct amm_writer w = amm_writer(order->bytes + HEAD_ROOM, len);
    if (reply->content_type) {
        amm_http_write_field(&w, "Content-Type", amm_view_str(reply->content_type));
    }
    amm_write_view(&w, reply->fields);
    amm_http_write_end(&w);
    order->head_len = amm_writer_len(&w);
    amm_write_view(&w, amm_view(reply->body.data, body_len));
    if (w.failed) {
        order_free(order);
        return NULL;
    }
    order->ref = ref;
    order->status = reply->status;
    order->body_len = body_len;
    order->close = reply->close;
    order->stream = reply->stream;
    order->has_length = reply->has_length;
    order->length = reply->length;
    order->paced = reply->paced;
    order->upgrade = reply->upgrade;
    order->bare = reply->bare;
    order->file_at = reply->file_at;
    order->file_len = reply->file_len;
    return order;
}

void amm_http_cut(struct amm_http_server *server, struct amm_http_ref ref)
{
    struct order *order = order_new(ORDER_CUT, 0, 0);
    if (order) {
        order->ref = ref;
        place_order(server, order);
    }
}

bool amm_http_answer(struct amm_http_server *server, struct amm_http_ref ref,
                     const struct amm_http_reply *reply)
{
    bool is_there = slot_is(server, ref);
    struct order *order = is_there ? answer_order(ref, reply) : NULL;
    if (!order) {
        if (reply->has_file) {
            close(reply->file);
        }
        if (is_there) {
            amm_http_cut(server, ref);
        }
        return false;
    }
    order->has_file = reply->has_file;
    order->file = reply->has_file ? reply->file : -1;
    if (serving == server && server->in_handler == ref.connection) {
        output_answer(server, server->connections[ref.connection], order);
    } else {
        place_order(server, order);
    }
    return true;
}

bool amm_http_send(struct amm_http_server *server, struct amm_http_ref ref, struct amm_view bytes)
{
    bool behind = false;
    struct order *order = order_new(ORDER_SEND, CHUNK_ROOM, bytes.len + 2);
    if (!order || !slot_send(server, ref, bytes.len, &behind)) {
        if (!order || behind) {
            amm_http_cut(server, ref);
        }
        order_free(order);
        return false;
    }
    order->ref = ref;
    order->last = bytes.len == 0;
    order->body_len = bytes.len;
    if (bytes.len > 0) {
        memcpy(order->bytes + CHUNK_ROOM, bytes.data, bytes.len);
    }
    place_order(server, order);
    return true;
}

size_t amm_http_waiting(const struct amm_http_server *server, struct amm_http_ref ref)
{
    if (ref.connection >= server->settings.connections) {
        return 0;
    }
    uint64_t slot = atomic_load_explicit(&server->slots[ref.connection], memory_order_relaxed);
    return slot >> 32 == ref.generation ? (uint32_t)slot : 0;
}

void amm_http_take(struct amm_http_server *server, struct amm_http_ref ref, size_t n)
{
    if (!slot_is(server, ref)) {
        return;
    }
    if (serving == server && server->in_handler == ref.connection) {
        pieces_take(server, server->connections[ref.connection], n);
        return;
    }
    struct order *order = order_new(ORDER_TAKE, 0, 0);
    if (!order) {
        amm_http_cut(server, ref);
        return;
    }
    order->ref = ref;
    order->body_len = n;
    place_order(server, order);
}

void amm_http_inform(struct amm_http_server *server, struct amm_http_ref ref, int status,
                     struct amm_view fields)
{
    size_t room = fields.len + 64;
    struct order *order = slot_is(server, ref) ? order_new(ORDER_INFORM, 0, room) : NULL;
    if (!order) {
        return; /* it says nothing that the answer does not say again */
    }
    struct amm_writer w = amm_writer(order->bytes, room);
    amm_http_write_status(&w, status);
    amm_write_view(&w, fields);
    amm_http_write_end(&w);
    order->ref = ref;
    order->end = amm_writer_len(&w);
    if (order->end == 0) {
        order_free(order);
        return;
    }
    place_order(server, order);
}

void amm_http_server_stop(struct amm_http_server *server)
{
    atomic_store(&server->stopping, true);
    ring_bell(server);
}

void amm_http_server_counters(const struct amm_http_server *server, struct amm_http_counters *out)
{
#define READ(name) atomic_load_explicit(&server->counters.name, memory_order_relaxed)
    *out = (struct amm_http_counters){
        .accepted = READ(accepted),
        .requests = READ(requests),
        .refused_limit = READ(refused_limit),
        .bad_requests = READ(bad_requests),
        .tls_failed = READ(tls_failed),
        .tls_full = READ(tls_full),
        .tls_resumed = READ(tls_resumed),
        .timeouts = READ(timeouts),
        .bytes_in = READ(bytes_in),
        .bytes_out = READ(bytes_out),
        .open = READ(open),
    };
#undef READ
}

/* ---- the loop ---- */

int amm_http_server_fd(const struct amm_http_server *server)
{
    return amm_loop_fd(server->loop);
}

amm_time amm_http_server_deadline(const struct amm_http_server *server)
{
    if (server->n_again > 0) {
        return 0;
    }
    amm_time timers = amm_time_min(amm_wheel_deadline(server->wheel), server->accept_again);
    return atomic_load(&server->stopping) ? amm_time_min(timers, server->stop_at) : timers;
}

static void ready(struct amm_http_server *server, const struct amm_ready *event)
{
    if (event->tag == TAG_BELL) {
        follow_orders(server);
    } else if (event->tag & TAG_LISTENER) {
        listener_accept(server, &server->listeners[(uint32_t)event->tag]);
    } else if (server->connections[event->tag]) {
        connection_ready(server, server->connections[event->tag], event);
    }
}

static void go_on_with_yielded(struct amm_http_server *server)
{
    uint32_t n = server->n_again;
    for (uint32_t i = 0; i < n; i++) {
        struct connection *connection = server->connections[server->again[i]];
        if (connection && connection->yielded) {
            connection->yielded = false;
            connection_advance(server, connection);
        }
    }
    /* Those that yielded once more meanwhile. */
    memmove(server->again, server->again + n, (server->n_again - n) * sizeof *server->again);
    server->n_again -= n;
}

static void step_until(struct amm_http_server *server, amm_time deadline)
{
    struct amm_ready events[AMM_LOOP_READY];
    const struct amm_http_server *before = serving;
    unsigned n = amm_loop_wait(server->loop, deadline, events);
    serving = server;
    server->now = amm_now();
    for (unsigned i = 0; i < n; i++) {
        ready(server, &events[i]);
    }
    go_on_with_yielded(server);
    uint32_t expired;
    while ((expired = amm_wheel_expire(server->wheel, server->now.mono)) != AMM_WHEEL_NONE) {
        connection_expired(server, server->connections[expired]);
    }
    if (server->accept_again <= server->now.mono) {
        listeners_resume(server);
    }
    serving = before;
}

void amm_http_server_step(struct amm_http_server *server)
{
    step_until(server, 0);
}

static bool is_done(struct amm_http_server *server)
{
    if (!atomic_load(&server->stopping)) {
        return false;
    }
    server->now = amm_now();
    if (server->stop_at == AMM_NEVER) {
        server->stop_at = amm_time_after(server->now.mono, STOP_SECONDS * AMM_SECOND);
        listeners_remove(server, NULL);
        close_unused(server);
    }
    return server->n_free == server->settings.connections || server->now.mono >= server->stop_at;
}

void amm_http_server_run(struct amm_http_server *server)
{
    while (!is_done(server)) {
        step_until(server, amm_http_server_deadline(server));
    }
}

/* ---- life ---- */

static bool make_tables(struct amm_http_server *server)
{
    uint32_t n = server->settings.connections, buckets = 16;
    while (buckets < n) {
        buckets *= 2;
    }
    server->prefix_mask = buckets - 1;
    server->connections = calloc(n, sizeof(struct connection *));
    server->free = calloc(n, sizeof *server->free);
    server->again = calloc(n, sizeof *server->again);
    server->slots = calloc(n, sizeof *server->slots);
    server->prefixes = calloc(buckets, sizeof *server->prefixes);
    server->wheel = amm_wheel_new(n, server->now.mono);
    if (!server->connections || !server->free || !server->again || !server->slots ||
        !server->prefixes || !server->wheel) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        server->free[i] = n - 1 - i;
    }
    server->n_free = n;
    memset(server->prefixes, 0xff, buckets * sizeof *server->prefixes); /* NO_CONNECTION */
    return true;
}

static void take_settings(struct amm_http_server *server, const struct amm_http_settings *settings)
{
    server->settings = *settings;
    unsigned *n = &server->settings.connections;
    *n = *n == 0 ? 1 : *n > CONNECTIONS_MAX ? CONNECTIONS_MAX : *n;
}

struct amm_http_server *amm_http_server_new(const struct amm_http_settings *settings)
{
    struct amm_http_server *server = calloc(1, sizeof *server);
    if (!server) {
        return NULL;
    }
    take_settings(server, settings);
    server->now = amm_now();
    server->stop_at = server->accept_again = AMM_NEVER;
    server->idle_newest = server->idle_oldest = server->in_handler = NO_CONNECTION;
    server->orders_end = &server->orders;
    for (int i = 0; i < LISTENERS_MAX; i++) {
        server->listeners[i].fd = -1;
    }
    struct amm_random random = amm_kernel_random();
    amm_random_fill(&random, &server->prefix_key, sizeof server->prefix_key);
    pthread_mutex_init(&server->lock, NULL);
    server->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->loop = amm_loop_new();
    if (server->bell < 0 || !server->loop || !make_tables(server) ||
        !amm_loop_add(server->loop, server->bell, AMM_READ, TAG_BELL)) {
        return amm_http_server_free(server);
    }
    return server;
}

struct amm_http_server *amm_http_server_free(struct amm_http_server *server)
{
    if (!server) {
        return NULL;
    }
    listeners_remove(server, NULL);
    for (uint32_t i = 0; server->connections && i < server->settings.connections; i++) {
        if (server->connections[i]) {
            connection_close(server, server->connections[i]);
        }
    }
    for (struct order *order = take_orders(server); order;) {
        struct order *next = order->next;
        order_free(order);
        order = next;
    }
    if (server->bell >= 0) {
        close(server->bell);
    }
    amm_loop_free(server->loop);
    amm_wheel_free(server->wheel);
    pthread_mutex_destroy(&server->lock);
    free(server->connections);
    free(server->free);
    free(server->again);
    free(server->slots);
    free(server->prefixes);
    free(server);
    return NULL;
}
