/* ammctl gateway forward: TCP connections to a port of this machine go, each as an upgraded request
 * of one remote session, through amm-proxyd to a port of the gateway or of a host behind it. */
#include "remote.h"

#include "http/client.h"
#include "io/clock.h"
#include "io/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPES = 32, COOKIE = 160, CHUNK = 16 * 1024, EVENTS_A_TURN = 64 };

struct pipe {
    int fd; /* of the program on this machine; -1: free */
    struct amm_http_client *client;
    bool is_up, local_ended, remote_ended;
    uint8_t back[AMM_HTTP_CLIENT_ROOM]; /* to the program, that it has not taken yet */
    size_t n_back;
};

struct forward {
    struct amm_http_client_settings settings;
    char host[CTL_HOST];
    char cookie[COOKIE];
    int listener, signals;
    struct pipe pipes[PIPES];
    bool is_over;
    enum ctl_exit status;
};

/* ---- entering ---- */

static void wait_for(struct amm_http_client *client)
{
    unsigned interest = amm_http_client_interest(client);
    struct pollfd fd = {.fd = amm_http_client_fd(client),
                        .events = (short)((interest & AMM_READ ? POLLIN : 0) |
                                          (interest & AMM_WRITE ? POLLOUT : 0))};
    poll(&fd, 1, 200);
}

/* "name=value" of the cookie. */
static void take_cookie(struct forward *f, const struct amm_http_response *response)
{
    struct amm_view value = amm_http_field(&response->fields, "set-cookie");
    const uint8_t *end = value.len ? memchr(value.data, ';', value.len) : NULL;
    size_t len = end ? (size_t)(end - value.data) : value.len;
    if (value.data && len < sizeof f->cookie) {
        snprintf(f->cookie, sizeof f->cookie, "%.*s", (int)len, (const char *)value.data);
    }
}

static bool enter(struct forward *f, const char *ticket)
{
    uint8_t room[128];
    char body[128];
    struct amm_http_event event;
    struct amm_writer fields = amm_writer(room, sizeof room);
    amm_http_write_field(&fields, "Content-Type",
                         amm_view_str("application/x-www-form-urlencoded"));
    int len = snprintf(body, sizeof body, "ticket=%s", ticket);
    struct amm_http_client *client = amm_http_client_new(&f->settings, amm_now());
    bool over = !client ||
                !amm_http_client_request(client, amm_view_str("POST"), amm_view_str("/.amm/enter"),
                                         amm_view(room, amm_writer_len(&fields)),
                                         amm_view(body, (size_t)len));
    int status = 0;
    while (!over) {
        amm_http_client_step(client, amm_now(), &event);
        switch (event.kind) {
        case AMM_HTTP_EVENT_NONE:
            wait_for(client);
            break;
        case AMM_HTTP_EVENT_HEAD:
            status = event.response->status;
            take_cookie(f, event.response);
            break;
        case AMM_HTTP_EVENT_FAILED:
            ctl_fail(CTL_NO_SERVER, "amm-proxyd at %s: %s", f->host, event.error);
            over = true;
            break;
        case AMM_HTTP_EVENT_DONE:
            over = true;
            break;
        case AMM_HTTP_EVENT_BODY:
        case AMM_HTTP_EVENT_KEY:
        case AMM_HTTP_EVENT_INTERIM:
        case AMM_HTTP_EVENT_UPGRADED:
            break;
        }
    }
    amm_http_client_free(client);
    amm_wipe(body, sizeof body);
    if (status != 0 && f->cookie[0] == '\0') {
        ctl_fail(CTL_FAILED, "amm-proxyd did not take the ticket (status %d)", status);
    }
    return f->cookie[0] != '\0';
}

/* ---- one connection ---- */

static void close_pipe(struct pipe *pipe)
{
    amm_http_client_free(pipe->client);
    close(pipe->fd);
    *pipe = (struct pipe){.fd = -1};
}

static void accept_one(struct forward *f)
{
    int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uint8_t room[COOKIE + 64];
    struct amm_writer fields = amm_writer(room, sizeof room);
    struct pipe *pipe = f->pipes;
    while (pipe < f->pipes + PIPES && pipe->fd >= 0) {
        pipe++;
    }
    if (fd < 0 || pipe == f->pipes + PIPES) {
        if (fd >= 0) {
            close(fd);
            fprintf(stderr, "more than %d connections at once: one was refused\n", PIPES);
        }
        return;
    }
    *pipe = (struct pipe){.fd = fd, .client = amm_http_client_new(&f->settings, amm_now())};
    amm_http_write_field(&fields, "Upgrade", amm_view_str("amm-forward"));
    amm_http_write_field(&fields, "Cookie", amm_view_str(f->cookie));
    bool ok =
        pipe->client &&
        amm_http_client_begin(
            pipe->client, &(struct amm_http_ask){.method = amm_view_str("GET"),
                                                 .target = amm_view_str("/.amm/forward"),
                                                 .fields = amm_view(room, amm_writer_len(&fields)),
                                                 .upgrade = true});
    amm_wipe(room, sizeof room);
    if (!ok) {
        close_pipe(pipe);
    }
}

/* From the program to the gateway. */
static void pump_out(struct pipe *pipe)
{
    uint8_t bytes[CHUNK];
    while (pipe->is_up && !pipe->local_ended) {
        size_t room = amm_http_client_room(pipe->client);
        ssize_t n = room > 0 ? recv(pipe->fd, bytes, room < CHUNK ? room : CHUNK, 0) : -1;
        if (n > 0) {
            amm_http_client_send(pipe->client, amm_view(bytes, (size_t)n));
        } else if (n == 0 || (room > 0 && errno != EAGAIN && errno != EINTR)) {
            pipe->local_ended = true;
            amm_http_client_end(pipe->client);
        } else {
            return;
        }
    }
}

/* What waits for the program; true while it takes no more. */
static bool pump_back(struct pipe *pipe)
{
    while (pipe->n_back > 0) {
        ssize_t n = send(pipe->fd, pipe->back, pipe->n_back, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            pipe->n_back = 0;
            pipe->local_ended = pipe->remote_ended = true;
            return false;
        }
        if (n <= 0) {
            return true;
        }
        pipe->n_back -= (size_t)n;
        memmove(pipe->back, pipe->back + n, pipe->n_back);
    }
    return false;
}

static const char *refusal(int status)
{
    return status == 403   ? "it is not allowed, or the remote session was entered elsewhere"
           : status == 404 ? "the remote session has ended"
           : status == 502 ? "the port cannot be reached from the gateway"
           : status == 503 ? "the server is busy, or its manager is away"
                           : "refused";
}

/* False: the connection is over. */
static bool take_event(struct forward *f, struct pipe *pipe, const struct amm_http_event *event)
{
    switch (event->kind) {
    case AMM_HTTP_EVENT_UPGRADED:
        pipe->is_up = true;
        return true;
    case AMM_HTTP_EVENT_BODY:
        if (event->content.len > sizeof pipe->back - pipe->n_back) {
            return false; /* cannot be: it was paused */
        }
        memcpy(pipe->back + pipe->n_back, event->content.data, event->content.len);
        pipe->n_back += event->content.len;
        return true;
    case AMM_HTTP_EVENT_HEAD:
        fprintf(stderr, "a connection failed: %s (%d)\n", refusal(event->response->status),
                event->response->status);
        f->is_over = f->is_over || event->response->status == 404;
        f->status = f->is_over ? CTL_NOT_FOUND : f->status;
        return false;
    case AMM_HTTP_EVENT_DONE:
        pipe->remote_ended = true;
        return true;
    case AMM_HTTP_EVENT_FAILED:
        if (!pipe->is_up) {
            fprintf(stderr, "a connection failed: %s\n", event->error);
        }
        return false;
    case AMM_HTTP_EVENT_NONE:
    case AMM_HTTP_EVENT_KEY:
    case AMM_HTTP_EVENT_INTERIM:
        break;
    }
    return true;
}

static void step(struct forward *f, struct pipe *pipe)
{
    bool was_ended = pipe->remote_ended;
    for (int i = 0; i < EVENTS_A_TURN; i++) {
        struct amm_http_event event;
        bool is_full = pump_back(pipe);
        amm_http_client_pause(pipe->client, is_full);
        pump_out(pipe);
        if (pipe->remote_ended) {
            break;
        }
        amm_http_client_step(pipe->client, amm_now(), &event);
        if (!take_event(f, pipe, &event)) {
            close_pipe(pipe);
            return;
        }
        if (event.kind == AMM_HTTP_EVENT_NONE) {
            break;
        }
    }
    if (pipe->remote_ended && !pump_back(pipe)) {
        if (!was_ended) {
            shutdown(pipe->fd, SHUT_WR);
        }
        if (pipe->local_ended) {
            close_pipe(pipe);
        }
    }
}

/* ---- the loop ---- */

static short events_of(unsigned interest)
{
    return (short)((interest & AMM_READ ? POLLIN : 0) | (interest & AMM_WRITE ? POLLOUT : 0));
}

static void wait_for_any(const struct forward *f, bool *has_caller, bool *has_signal)
{
    struct pollfd fds[2 + 2 * PIPES] = {{.fd = f->listener, .events = POLLIN},
                                        {.fd = f->signals, .events = POLLIN}};
    nfds_t n = 2;
    for (const struct pipe *pipe = f->pipes; pipe < f->pipes + PIPES; pipe++) {
        if (pipe->fd < 0) {
            continue;
        }
        bool reads = pipe->is_up && !pipe->local_ended && amm_http_client_room(pipe->client) > 0;
        fds[n++] = (struct pollfd){
            .fd = reads || pipe->n_back > 0 ? pipe->fd : -1,
            .events = (short)((reads ? POLLIN : 0) | (pipe->n_back > 0 ? POLLOUT : 0))};
        fds[n++] = (struct pollfd){.fd = amm_http_client_fd(pipe->client),
                                   .events = events_of(amm_http_client_interest(pipe->client))};
    }
    poll(fds, n, 1000); /* at the latest for a deadline of a connection */
    *has_caller = fds[0].revents != 0;
    *has_signal = fds[1].revents != 0;
}

static void run(struct forward *f)
{
    while (!f->is_over) {
        bool has_caller, has_signal;
        wait_for_any(f, &has_caller, &has_signal);
        if (has_signal) {
            f->is_over = true;
        }
        if (has_caller) {
            accept_one(f);
        }
        for (struct pipe *pipe = f->pipes; pipe < f->pipes + PIPES; pipe++) {
            if (pipe->fd >= 0) {
                step(f, pipe);
            }
        }
    }
    for (struct pipe *pipe = f->pipes; pipe < f->pipes + PIPES; pipe++) {
        if (pipe->fd >= 0) {
            close_pipe(pipe);
        }
    }
}

/* ---- the command ---- */

bool ctl_remote_ports(const char *text, uint16_t *local, char *target, size_t room)
{
    char *rest;
    unsigned long port = strtoul(text, &rest, 10);
    if (rest == text || *rest != ':' || text[0] < '0' || text[0] > '9' || port > 65535 ||
        rest[1] == '\0' || strlen(rest + 1) + 16 > room) {
        return false;
    }
    *local = (uint16_t)port;
    bool is_port = strspn(rest + 1, "0123456789") == strlen(rest + 1);
    snprintf(target, room, "%s%s", is_port ? "gateway:" : "", rest + 1);
    return true;
}

static int listen_here(uint16_t *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        ctl_fail(CTL_FAILED, "cannot listen on 127.0.0.1:%u: %s", *port, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static enum ctl_exit forward(struct ctl_api *api, const struct remote_options *options,
                             struct forward *f, uint16_t local, const char *target)
{
    enum ctl_exit status;
    json_t *session = ctl_remote_begin(api, options, target, &status);
    if (!session) {
        return status;
    }
    const char *url = json_string_value(json_object_get(session, "url"));
    const char *ticket = json_string_value(json_object_get(session, "ticket"));
    f->signals = take_signals();
    if (!ctl_api_reach(api, url ? url : "", options->ca, f->host, &f->settings, &status)) {
        f->is_over = true;
    } else if (f->signals < 0 || !enter(f, ticket ? ticket : "")) {
        status = CTL_FAILED;
    } else {
        printf("127.0.0.1:%u leads to %s of %s until this ends (Ctrl-C)\n", local, target,
               options->names[0]);
        fflush(stdout);
        run(f);
        status = f->status;
    }
    ctl_remote_end(api, session);
    json_decref(session);
    return status;
}

int ctl_remote_forward(const struct ctl *ctl, int argc, char **argv)
{
    struct remote_options options;
    enum ctl_exit status;
    uint16_t local = 0;
    char target[96];
    if (!ctl_remote_parse(argc, argv, &options) || options.n_names != 2 ||
        !ctl_remote_ports(options.names[1], &local, target, sizeof target)) {
        return ctl_fail(CTL_USAGE, "usage: gateway forward NAME LOCAL:PORT | LOCAL:HOST:PORT "
                                   "[--reason TEXT] [--order] [--ca FILE]");
    }
    struct forward *f = calloc(1, sizeof *f);
    struct ctl_api *api = f ? ctl_api_open(ctl, &status) : NULL;
    for (int i = 0; f && i < PIPES; i++) {
        f->pipes[i].fd = -1;
    }
    if (api) {
        f->listener = listen_here(&local);
        status = f->listener >= 0 ? forward(api, &options, f, local, target) : CTL_FAILED;
    }
    if (f) {
        amm_wipe(f->cookie, sizeof f->cookie);
    }
    free(f);
    ctl_api_close(api);
    return status;
}
