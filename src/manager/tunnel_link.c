/* The control socket of amm-tunneld, from the manager's side: one connection that watches, one that
 * asks. The peer is trusted to be the tunnel server (its socket's folder is root's), and still only
 * read through the codec. */
#include "manager/tunnel_parts.h"

#include "io/log.h"
#include "io/unix.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAUSE_FIRST (250 * AMM_MILLISECOND)
#define PAUSE_MOST (5 * AMM_SECOND)
#define REFRESH_EVERY (60 * AMM_SECOND)

enum { READ_AT_ONCE = 512, SOFTWARE_PORT = 80 };

static void ask_next(struct tunnel *t);
static void take_listeners(struct tunnel *t);

bool tunnel_link_is_up(const struct tunnel *t)
{
    return t->link.heard_since != AMM_NEVER;
}

/* ---- the end of a link ---- */

static void close_watch(struct tunnel *t, struct manager_watch *watch)
{
    if (watch->fd >= 0) {
        manager_watch_remove(t->m, watch);
        close(watch->fd);
        watch->fd = -1;
    }
}

static void end_requests(struct tunnel *t, const char *why)
{
    struct tunnel_link *link = &t->link;
    link->is_asking = false;
    while (link->n > 0) {
        struct tunnel_request request = link->queue[link->first];
        link->first = (link->first + 1) % LINK_QUEUE;
        link->n--;
        if (request.end != NULL) {
            request.end(t->m, request.context, false, why);
        }
    }
}

static void lose(struct tunnel *t, const char *why)
{
    struct tunnel_link *link = &t->link;
    bool was_up = tunnel_link_is_up(t);
    close_watch(t, &link->watch);
    close_watch(t, &link->command);
    link->heard_since = AMM_NEVER;
    link->in_status = false;
    if (was_up || strcmp(link->problem, why) != 0) {
        amm_log(AMM_LOG_WARNING, "tunnel-server-lost", amm_field_text("text", why),
                amm_field_text("effect", "tunnels go on, their state is not known here"));
    }
    snprintf(link->problem, sizeof link->problem, "%s", why);
    manager_timer_set(t->m, &link->refresh, AMM_NEVER);
    manager_timer_set(t->m, &link->retry, amm_time_after(t->m->now.mono, link->pause));
    link->pause = amm_time_min(2 * link->pause, PAUSE_MOST);
    end_requests(t, "the tunnel server does not answer");
    if (was_up) {
        tunnel_unheard(t);
    }
}

/* ---- watching ---- */

static void take_port(struct tunnel *t, const struct amm_ipc_port *answer)
{
    struct tunnel_port *port = tunnel_port_find(t, answer->port);
    if (port == NULL) {
        return; /* amm.conf was changed, and only one of us was started again */
    }
    port->ping = answer->ping;
    port->is_draining = answer->draining;
    port->up = answer->up;
    tunnel_port_adopt(t, answer);
}

static void take_server(struct tunnel *t, const struct amm_ipc_server *server)
{
    t->link.alarms = server->alarms;
    snprintf(t->link.version, sizeof t->link.version, "%s", server->version);
    if (t->link.holder_started != server->started) {
        t->link.holder_started = server->started;
        take_listeners(t);
    }
}

static void end_status(struct tunnel *t)
{
    struct tunnel_link *link = &t->link;
    link->in_status = false;
    link->pause = PAUSE_FIRST;
    link->heard_since = t->m->now.mono;
    link->problem[0] = '\0';
    amm_log(AMM_LOG_INFO, "tunnel-server-heard", amm_field_text("version", link->version));
    tunnel_status_end(t);
    tunnel_roster_reload(t);
    manager_timer_set(t->m, &link->refresh, amm_time_after(t->m->now.mono, REFRESH_EVERY));
}

static void take_news(struct tunnel *t, const struct amm_ipc_message *message)
{
    switch (message->type) {
    case AMM_IPC_SERVER:
        take_server(t, &message->server);
        break;
    case AMM_IPC_PORT:
        take_port(t, &message->port);
        break;
    case AMM_IPC_PEER:
        tunnel_status_peer(t, &message->peer, true);
        break;
    case AMM_IPC_DONE:
        end_status(t);
        break;
    case AMM_IPC_EVENT:
        tunnel_event(t, &message->event);
        break;
    default:
        break; /* FAILED: it closes next */
    }
}

static void watch_ready(struct manager *m, struct manager_watch *watch,
                        const struct amm_ready *ready)
{
    struct tunnel *t = watch->context;
    struct amm_ipc_message message;
    uint8_t packet[AMM_IPC_MAX];
    size_t len, none = 0;
    (void)m;
    (void)ready;
    for (unsigned i = 0; i < READ_AT_ONCE; i++) {
        switch (amm_unix_receive(watch->fd, (struct amm_span){packet, sizeof packet}, &len, NULL,
                                 &none)) {
        case AMM_UNIX_AGAIN:
            return;
        case AMM_UNIX_CLOSED:
            lose(t, "the tunnel server closed the connection");
            return;
        case AMM_UNIX_OK:
            break;
        }
        if (!amm_ipc_decode(&message, amm_view(packet, len))) {
            lose(t, "the tunnel server is of another version: install both from one release");
            return;
        }
        take_news(t, &message);
    }
}

/* ---- asking ---- */

static bool send_message(int fd, const struct amm_ipc_message *message)
{
    uint8_t packet[AMM_IPC_MAX];
    size_t len = amm_ipc_encode(message, packet, sizeof packet);
    return len > 0 && amm_unix_send(fd, amm_view(packet, len), NULL, 0) == AMM_UNIX_OK;
}

static void ask_next(struct tunnel *t)
{
    struct tunnel_link *link = &t->link;
    if (link->is_asking || link->n == 0 || link->command.fd < 0) {
        return;
    }
    const struct tunnel_request *request = &link->queue[link->first];
    struct amm_ipc_message message = {.type = request->type, .ask = request->ask};
    link->is_asking = true;
    if (!send_message(link->command.fd, &message)) {
        lose(t, "the tunnel server takes no questions");
    }
}

bool tunnel_ask(struct tunnel *t, const struct tunnel_request *request)
{
    struct tunnel_link *link = &t->link;
    if (link->command.fd < 0 || link->n == LINK_QUEUE) {
        return false;
    }
    link->queue[(link->first + link->n) % LINK_QUEUE] = *request;
    link->n++;
    ask_next(t);
    return true;
}

static void end_request(struct tunnel *t, bool ok, const char *text)
{
    struct tunnel_link *link = &t->link;
    struct tunnel_request request = link->queue[link->first];
    link->first = (link->first + 1) % LINK_QUEUE;
    link->n--;
    link->is_asking = false;
    if (request.end != NULL) {
        request.end(t->m, request.context, ok, text);
    }
    ask_next(t);
}

static void take_answer(struct tunnel *t, const struct amm_ipc_message *message, int fd)
{
    const struct tunnel_request *request = &t->link.queue[t->link.first];
    bool is_end = message->type == AMM_IPC_DONE || message->type == AMM_IPC_FAILED;
    if (!is_end && request->take != NULL) {
        request->take(t->m, request->context, message, fd);
    } else if (fd >= 0) {
        close(fd);
    }
    if (is_end) {
        end_request(t, message->type == AMM_IPC_DONE, message->text);
    }
}

static void command_ready(struct manager *m, struct manager_watch *watch,
                          const struct amm_ready *ready)
{
    struct tunnel *t = watch->context;
    struct amm_ipc_message message;
    uint8_t packet[AMM_IPC_MAX];
    (void)m;
    (void)ready;
    for (unsigned i = 0; i < READ_AT_ONCE && watch->fd >= 0; i++) {
        size_t len, n = 1;
        int fd = -1;
        switch (
            amm_unix_receive(watch->fd, (struct amm_span){packet, sizeof packet}, &len, &fd, &n)) {
        case AMM_UNIX_AGAIN:
            return;
        case AMM_UNIX_CLOSED:
            lose(t, "the tunnel server closed the connection");
            return;
        case AMM_UNIX_OK:
            break;
        }
        if (!t->link.is_asking || !amm_ipc_decode(&message, amm_view(packet, len))) {
            if (fd >= 0) {
                close(fd);
            }
            lose(t, "the tunnel server is of another version: install both from one release");
            return;
        }
        take_answer(t, &message, fd);
    }
}

/* ---- numbers of those that are up ---- */

static void take_refreshed(struct manager *m, void *context, const struct amm_ipc_message *answer,
                           int fd)
{
    struct tunnel *t = context;
    (void)m;
    if (fd >= 0) {
        close(fd);
    }
    if (answer->type == AMM_IPC_PEER) {
        tunnel_status_peer(t, &answer->peer, false);
    } else if (answer->type == AMM_IPC_PORT) {
        take_port(t, &answer->port);
    } else if (answer->type == AMM_IPC_SERVER) {
        t->link.alarms = answer->server.alarms;
    }
}

static void refresh(struct manager *m, struct manager_timer *timer)
{
    struct tunnel *t = timer->context;
    struct tunnel_request request = {.type = AMM_IPC_STATUS, .take = take_refreshed, .context = t};
    tunnel_ask(t, &request); /* if too much is asked already: next time */
    manager_timer_set(m, timer, amm_time_after(m->now.mono, REFRESH_EVERY));
}

/* ---- listeners on the tunnel addresses ---- */

static void take_listener(struct manager *m, void *context, const struct amm_ipc_message *answer,
                          int fd)
{
    struct tunnel *t = context;
    /* All that are published serve check-ins, but for the one of software. */
    bool is_wanted = answer->type == AMM_IPC_LISTENER && answer->listener.service != SOFTWARE_PORT;
    if (fd < 0) {
        return;
    }
    if (!is_wanted) {
        close(fd);
    } else if (manager_listen_tunnel(m, fd)) {
        t->link.n_services++;
    }
}

static void listeners_ended(struct manager *m, void *context, bool ok, const char *text)
{
    struct tunnel *t = context;
    (void)m;
    if (ok) {
        amm_log(AMM_LOG_INFO, "tunnel-listeners",
                amm_field_number("check-in", (int64_t)t->link.n_services));
    } else {
        t->link.holder_started = 0; /* asked again with the next link */
        amm_log(AMM_LOG_ERROR, "tunnel-listeners", amm_field_text("text", text));
    }
}

static void take_listeners(struct tunnel *t)
{
    struct tunnel_request request = {
        .type = AMM_IPC_LISTENERS, .take = take_listener, .end = listeners_ended, .context = t};
    /* A tunnel server that was started again has a namespace of its own: what listens in the former
     * one hears nobody. */
    manager_unlisten_tunnel(t->m);
    t->link.n_services = 0;
    if (!tunnel_ask(t, &request)) {
        t->link.holder_started = 0;
    }
}

/* ---- the start of a link ---- */

static int open_one(struct tunnel *t, struct manager_watch *watch, char *error, size_t room)
{
    watch->fd = amm_unix_connect(t->m->config->tunneld.control_socket, error, room);
    if (watch->fd >= 0 && !manager_watch_add(t->m, watch, AMM_READ)) {
        snprintf(error, room, "out of descriptors");
        close(watch->fd);
        watch->fd = -1;
    }
    return watch->fd;
}

static void open_link(struct manager *m, struct manager_timer *timer)
{
    struct tunnel *t = timer->context;
    struct amm_ipc_message watch = {.type = AMM_IPC_WATCH};
    char error[AMM_IPC_TEXT];
    (void)m;
    if (open_one(t, &t->link.command, error, sizeof error) < 0 ||
        open_one(t, &t->link.watch, error, sizeof error) < 0) {
        lose(t, error);
        return;
    }
    t->link.in_status = true;
    tunnel_status_begin(t);
    if (!send_message(t->link.watch.fd, &watch)) {
        lose(t, "the tunnel server takes no questions");
    }
}

bool tunnel_link_start(struct tunnel *t)
{
    struct tunnel_link *link = &t->link;
    link->heard_since = AMM_NEVER;
    link->pause = PAUSE_FIRST;
    link->watch = (struct manager_watch){.ready = watch_ready, .context = t, .fd = -1};
    link->command = (struct manager_watch){.ready = command_ready, .context = t, .fd = -1};
    link->retry = (struct manager_timer){.fire = open_link, .context = t};
    link->refresh = (struct manager_timer){.fire = refresh, .context = t};
    manager_timer_set(t->m, &link->retry, t->m->now.mono);
    return true;
}

void tunnel_link_stop(struct tunnel *t)
{
    close_watch(t, &t->link.watch);
    close_watch(t, &t->link.command);
    end_requests(t, "the server is stopping");
}
