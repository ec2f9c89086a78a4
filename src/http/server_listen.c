/* Listeners, limits, and how a connection begins and ends. */
#include "server_parts.h"

#include "io/tcp.h"
#include "io/unix.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS = 64 }; /* before others have their turn */

#define ACCEPT_PAUSE (100 * AMM_MILLISECOND)

/* ---- connections that wait for a request, oldest first ---- */

void connection_set_idle(struct amm_http_server *server, struct connection *connection, bool idle)
{
    if (connection->is_idle == idle) {
        return;
    }
    connection->is_idle = idle;
    struct connection **all = server->connections;
    if (idle) {
        connection->idle_newer = NO_CONNECTION;
        connection->idle_older = server->idle_newest;
        *(connection->idle_older != NO_CONNECTION ? &all[connection->idle_older]->idle_newer
                                                  : &server->idle_oldest) = connection->index;
        server->idle_newest = connection->index;
        return;
    }
    *(connection->idle_newer != NO_CONNECTION ? &all[connection->idle_newer]->idle_older
                                              : &server->idle_newest) = connection->idle_older;
    *(connection->idle_older != NO_CONNECTION ? &all[connection->idle_older]->idle_newer
                                              : &server->idle_oldest) = connection->idle_newer;
}

/* ---- connections of a prefix ---- */

static uint32_t *bucket_of(struct amm_http_server *server, uint64_t prefix)
{
    uint64_t hash = amm_siphash(&server->prefix_key, &prefix, sizeof prefix);
    return &server->prefixes[hash & server->prefix_mask];
}

static bool prefix_is_full(struct amm_http_server *server, uint64_t prefix)
{
    unsigned n = 0;
    uint32_t at = *bucket_of(server, prefix);
    while (at != NO_CONNECTION && n < server->settings.per_prefix) {
        n += server->connections[at]->prefix == prefix;
        at = server->connections[at]->prefix_next;
    }
    return n >= server->settings.per_prefix;
}

static void link_prefix(struct amm_http_server *server, struct connection *connection)
{
    uint32_t *bucket = bucket_of(server, connection->prefix);
    connection->has_prefix = true;
    connection->prefix_before = NO_CONNECTION;
    connection->prefix_next = *bucket;
    if (*bucket != NO_CONNECTION) {
        server->connections[*bucket]->prefix_before = connection->index;
    }
    *bucket = connection->index;
}

static void unlink_prefix(struct amm_http_server *server, struct connection *connection)
{
    if (!connection->has_prefix) {
        return;
    }
    if (connection->prefix_before != NO_CONNECTION) {
        server->connections[connection->prefix_before]->prefix_next = connection->prefix_next;
    } else {
        *bucket_of(server, connection->prefix) = connection->prefix_next;
    }
    if (connection->prefix_next != NO_CONNECTION) {
        server->connections[connection->prefix_next]->prefix_before = connection->prefix_before;
    }
}

/* ---- begin and end ---- */

static bool has_place(struct amm_http_server *server, bool is_unix, uint64_t prefix)
{
    if (server->settings.per_prefix > 0 && !is_unix && prefix_is_full(server, prefix)) {
        return false;
    }
    if (server->n_free == 0 && server->idle_oldest != NO_CONNECTION) {
        connection_close(server, server->connections[server->idle_oldest]);
    }
    return server->n_free > 0;
}

static void greet(struct amm_http_server *server, struct connection *connection)
{
    connection->state = connection->tls ? CONNECTION_GREETING : CONNECTION_HEAD;
    set_deadline(server, connection,
                 amm_time_after(server->now.mono, server->settings.head_deadline));
    count(&server->counters.accepted, 1);
    atomic_fetch_add_explicit(&server->counters.open, 1, memory_order_relaxed);
}

bool server_adopt(struct amm_http_server *server, int fd, const struct listener *listener,
                  const struct amm_address *remote, const struct amm_address *local)
{
    uint64_t prefix = listener->is_unix ? 0 : amm_address_prefix(remote);
    struct connection *connection =
        has_place(server, listener->is_unix, prefix) ? calloc(1, sizeof *connection) : NULL;
    struct amm_unix_peer peer;
    if (!connection || (listener->is_unix && !amm_unix_peer(fd, &peer)) ||
        !amm_loop_add(server->loop, fd, AMM_READ, server->free[server->n_free - 1])) {
        count(&server->counters.refused_limit, 1);
        free(connection);
        close(fd);
        return false;
    }
    if (!http_stream_open(&connection->stream, fd, listener->tls, NULL, server->now.wall)) {
        count(&server->counters.refused_limit, 1); /* out of memory; the socket is closed */
        free(connection);
        return false;
    }
    connection->index = server->free[--server->n_free];
    connection->tls = listener->tls ? amm_http_tls_ref(listener->tls) : NULL;
    connection->tag = listener->tag;
    connection->uid = listener->is_unix ? peer.uid : UINT32_MAX;
    connection->interest = AMM_READ;
    connection->deadline = connection->read_by = connection->write_by = AMM_NEVER;
    connection->out_end = &connection->out;
    connection->file = -1;
    if (!listener->is_unix) {
        connection->remote = *remote;
        connection->local = *local;
        connection->prefix = prefix;
        link_prefix(server, connection);
    }
    server->connections[connection->index] = connection;
    greet(server, connection);
    return true;
}

static void count_bytes(struct amm_http_server *server, const struct connection *connection)
{
    count(&server->counters.bytes_in, connection->stream.in - connection->bytes_in);
    count(&server->counters.bytes_out, connection->stream.out - connection->bytes_out);
}

void connection_close(struct amm_http_server *server, struct connection *connection)
{
    struct amm_http_ref ref = {connection->index, slot_generation(server, connection->index)};
    bool was_streaming = connection->streamed ||
                         (connection->state == CONNECTION_STREAMING && !connection->stream_ended);
    slot_next_generation(server, connection->index);
    connection_set_idle(server, connection, false);
    unlink_prefix(server, connection);
    set_deadline(server, connection, AMM_NEVER);
    amm_loop_remove(server->loop, connection->stream.fd);
    count_bytes(server, connection);
    http_stream_close(&connection->stream);
    input_release(server, connection);
    output_release(server, connection);
    amm_http_tls_unref(connection->tls);
    server->connections[connection->index] = NULL;
    server->free[server->n_free++] = connection->index;
    atomic_fetch_sub_explicit(&server->counters.open, 1, memory_order_relaxed);
    free(connection);
    if (was_streaming && server->settings.gone) {
        server->settings.gone(server->settings.context, ref);
    }
}

void close_unused(struct amm_http_server *server)
{
    for (uint32_t i = 0; i < server->settings.connections; i++) {
        struct connection *connection = server->connections[i];
        if (connection && connection->in_len == 0 &&
            (connection->state == CONNECTION_GREETING || connection->state == CONNECTION_HEAD)) {
            connection_close(server, connection);
        }
    }
}

/* ---- listeners ---- */

static uint64_t listener_tag(const struct amm_http_server *server, const struct listener *listener)
{
    return UINT64_C(1) << 32 | (uint64_t)(listener - server->listeners);
}

bool listener_add(struct amm_http_server *server, int fd, struct amm_http_tls *tls, uint32_t tag)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    for (int i = 0; i < LISTENERS_MAX; i++) {
        struct listener *listener = &server->listeners[i];
        if (listener->fd >= 0) {
            continue;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
            !amm_loop_add(server->loop, fd, AMM_READ, listener_tag(server, listener))) {
            return false;
        }
        *listener =
            (struct listener){.fd = fd, .is_unix = domain == AF_UNIX, .tag = tag, .tls = tls};
        return true;
    }
    return false;
}

void listeners_remove(struct amm_http_server *server, const uint32_t *tag)
{
    for (int i = 0; i < LISTENERS_MAX; i++) {
        struct listener *listener = &server->listeners[i];
        if (listener->fd >= 0 && (!tag || listener->tag == *tag)) {
            amm_loop_remove(server->loop, listener->fd);
            close(listener->fd);
            amm_http_tls_unref(listener->tls);
            *listener = (struct listener){.fd = -1};
        }
    }
}

/* Out of descriptors: the one that waits would be reported without end. */
static void pause_listener(struct amm_http_server *server, struct listener *listener)
{
    listener->paused = true;
    amm_loop_change(server->loop, listener->fd, 0, listener_tag(server, listener));
    server->accept_again = amm_time_after(server->now.mono, ACCEPT_PAUSE);
}

void listeners_resume(struct amm_http_server *server)
{
    server->accept_again = AMM_NEVER;
    for (int i = 0; i < LISTENERS_MAX; i++) {
        struct listener *listener = &server->listeners[i];
        if (listener->fd >= 0 && listener->paused) {
            listener->paused = false;
            amm_loop_change(server->loop, listener->fd, AMM_READ, listener_tag(server, listener));
        }
    }
}

void listener_accept(struct amm_http_server *server, struct listener *listener)
{
    for (int i = 0; i < ACCEPTS && listener->fd >= 0; i++) {
        struct amm_address remote = {0}, local = {0};
        int fd = listener->is_unix ? amm_unix_accept(listener->fd)
                                   : amm_tcp_accept(listener->fd, &remote, &local);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                pause_listener(server, listener);
            }
            return;
        }
        server_adopt(server, fd, listener, &remote, &local);
    }
}
