#include "web_door.h"

#include "io/log.h"
#include "io/tcp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    LISTENERS = 16,
    CONNECTIONS = 48,
    TLS_SESSIONS = 16,
    TLS_SECONDS = 3600,
    BODY_MEMORY = 256 * 1024,
    RETRY = 5, /* seconds until an address that could not be had is tried again */
};

struct listener {
    bool is_open;
    struct ace_listen at; /* with the port */
};

struct web_door {
    struct ace_pages *pages;
    struct amm_http_tls *tls;
    int epoll; /* the server's descriptor and the hasher's, so that the core has one */
    amm_time retry;
    struct listener listeners[LISTENERS]; /* a listener's tag is its place here */
};

/* ---- listeners ---- */

static bool is_same(const struct ace_listen *a, const struct ace_listen *b)
{
    return amm_address_equal(&a->address, &b->address) && strcmp(a->link, b->link) == 0;
}

static struct listener *find(struct web_door *door, const struct ace_listen *at)
{
    for (size_t i = 0; i < LISTENERS; i++) {
        if (door->listeners[i].is_open && is_same(&door->listeners[i].at, at)) {
            return &door->listeners[i];
        }
    }
    return NULL;
}

static void close_unwanted(struct web_door *door, const struct ace_listen *wanted, size_t n)
{
    for (size_t i = 0; i < LISTENERS; i++) {
        struct listener *listener = &door->listeners[i];
        bool stays = false;
        for (size_t k = 0; k < n; k++) {
            stays |= is_same(&wanted[k], &listener->at);
        }
        if (listener->is_open && !stays) {
            amm_http_server_unlisten(door->pages->server, (uint32_t)i);
            listener->is_open = false;
            amm_log(AMM_LOG_INFO, "page-closed",
                    amm_field_address("address", &listener->at.address),
                    amm_field_text("link", listener->at.link));
        }
    }
}

/* By the interface too: an address alone would also answer on the WAN side. Before Linux 5.7 that
 * takes CAP_NET_RAW; without it the address has to do, with a word about it. */
static int listen_at(const struct ace_listen *at, char *error, size_t room)
{
    int fd = amm_tcp_listen_by(&at->address, at->link[0] ? at->link : NULL, false, error, room);
    if (fd < 0 && errno == EPERM) {
        amm_log(AMM_LOG_WARNING, "page-by-address-only", amm_field_text("link", at->link));
        fd = amm_tcp_listen(&at->address, false, error, room);
    }
    return fd;
}

static bool open_one(struct web_door *door, const struct ace_listen *at)
{
    char error[160] = "too many addresses";
    size_t place = 0;
    while (place < LISTENERS && door->listeners[place].is_open) {
        place++;
    }
    int fd = place == LISTENERS ? -1 : listen_at(at, error, sizeof error);
    if (fd >= 0 && !amm_http_server_listen(door->pages->server, fd, door->tls, (uint32_t)place)) {
        snprintf(error, sizeof error, "out of memory");
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        amm_log(AMM_LOG_WARNING, "page-not-open", amm_field_address("address", &at->address),
                amm_field_text("link", at->link), amm_field_text("why", error));
        return false;
    }
    door->listeners[place] = (struct listener){.is_open = true, .at = *at};
    amm_log(AMM_LOG_INFO, "page-open", amm_field_address("address", &at->address),
            amm_field_text("link", at->link));
    return true;
}

void web_door_follow(struct web_door *door)
{
    struct ace_listen wanted[LISTENERS];
    struct ace_core *core = door->pages->core;
    uint16_t port = (uint16_t)ace_parameter_number(core, AMM_MSCI_HTTPS_PORT);
    size_t n = ace_listens(core, wanted, LISTENERS);
    bool all = true;
    n = n < LISTENERS ? n : LISTENERS;
    for (size_t i = 0; i < n; i++) {
        wanted[i].address.port = port;
    }
    close_unwanted(door, wanted, n);
    for (size_t i = 0; i < n; i++) {
        all &= find(door, &wanted[i]) != NULL || open_one(door, &wanted[i]);
    }
    door->retry = all ? AMM_NEVER : amm_time_after(ace_core_now(core).mono, RETRY * AMM_SECOND);
}

/* ---- the part of the loop ---- */

int web_door_fd(const struct web_door *door)
{
    return door->epoll;
}

amm_time web_door_deadline(const struct web_door *door)
{
    return amm_time_min(amm_time_min(door->retry, web_remote_deadline(door->pages)),
                        amm_http_server_deadline(door->pages->server));
}

void web_door_step(struct web_door *door)
{
    amm_http_server_step(door->pages->server);
    web_serve_hashed(door->pages);
    web_remote_step(door->pages);
    if (ace_core_now(door->pages->core).mono >= door->retry) {
        web_door_follow(door);
    }
}

/* ---- set-up ---- */

static void handle(void *context, const struct amm_http_call *call)
{
    web_serve(context, call);
}

static size_t body_limit(void *context, const struct amm_http_call *call)
{
    (void)context;
    return web_body_limit(call->request);
}

static bool make_tls(struct web_door *door, char *error, size_t room)
{
    struct ace_core *core = door->pages->core;
    struct ace_clock_view clock;
    char *certificate, *key;
    ace_clock_view(core, &clock);
    if (!web_door_key(ace_core_folder(core), "acemanager", clock.floor, &certificate, &key, error,
                      room)) {
        return false;
    }
    if (error[0]) {
        amm_log(AMM_LOG_WARNING, "page-key-not-kept", amm_field_text("why", error));
    }
    struct amm_http_tls_settings settings = {
        .certificate = certificate,
        .key = key,
        .sessions = TLS_SESSIONS,
        .session_seconds = TLS_SECONDS,
    };
    door->tls = amm_http_tls_new(&settings, error, room);
    amm_wipe(key, strlen(key));
    free(key);
    free(certificate);
    return door->tls != NULL;
}

static bool make_server(struct web_door *door, char *error, size_t room)
{
    struct amm_http_settings settings;
    amm_http_settings_init(&settings);
    settings.handle = handle;
    settings.body_limit = body_limit;
    settings.context = door->pages;
    settings.connections = CONNECTIONS;
    settings.body_memory = BODY_MEMORY;
    door->pages->server = amm_http_server_new(&settings);
    struct epoll_event event = {.events = EPOLLIN};
    if (!door->pages->server || (door->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
        epoll_ctl(door->epoll, EPOLL_CTL_ADD, amm_http_server_fd(door->pages->server), &event) !=
            0 ||
        epoll_ctl(door->epoll, EPOLL_CTL_ADD, web_hasher_fd(door->pages->hasher), &event) != 0) {
        snprintf(error, room, "out of memory or descriptors for the pages");
        return false;
    }
    return true;
}

struct web_door *web_door_new(struct ace_pages *pages, char *error, size_t room)
{
    struct web_door *door = calloc(1, sizeof *door);
    if (!door) {
        snprintf(error, room, "out of memory");
        return NULL;
    }
    *door = (struct web_door){.pages = pages, .epoll = -1, .retry = AMM_NEVER};
    if (!make_tls(door, error, room) || !make_server(door, error, room)) {
        return web_door_free(door);
    }
    return door;
}

struct web_door *web_door_free(struct web_door *door)
{
    if (door) {
        if (door->pages->server) {
            door->pages->server = amm_http_server_free(door->pages->server);
        }
        amm_http_tls_unref(door->tls);
        if (door->epoll >= 0) {
            close(door->epoll);
        }
        free(door);
    }
    return NULL;
}
