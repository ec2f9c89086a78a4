#include "manager/front.h"

#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"
#include "io/tcp.h"
#include "io/unix.h"
#include "manager/checkin_service.h"
#include "manager/console_files.h"
#include "manager/job_parts.h"
#include "manager/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PEM_MAX = 256 * 1024,
    BODY_DEFAULT = 64 * 1024,
    SESSIONS = 120000, /* of 100 000 gateways, about 1 KiB each */
    SESSION_SECONDS = 2 * 86400,
    CONSOLE_SESSIONS = 2000,
    LISTENS_MAX = 4 * MANAGER_LISTEN_MAX * MANAGER_THREADS_MAX,
    PER_PREFIX = 1024, /* connections of one network: offices behind one address */
    QUEUE_FULL_RETRY = 2,
};

/* A listening socket: kept, so that another TLS context can be put on it. */
struct listen {
    int fd;
    unsigned thread;
    uint32_t tag;
};

struct side { /* one thread */
    struct front *front;
    struct amm_http_server *server;
    pthread_t thread;
};

struct front {
    struct manager *m;
    unsigned n_threads, n_started;
    struct side sides[MANAGER_THREADS_MAX];
    pthread_mutex_t lock; /* of what follows */
    unsigned n_listens;
    struct listen listens[LISTENS_MAX];
    struct amm_http_tls *console_tls, *gateways_tls;
    struct console_files *console; /* immutable; NULL: has not been built */
};

/* ---- requests ---- */

static void refuse(const struct amm_http_call *call, int status, const char *name, const char *text,
                   const char *field_name, const char *field)
{
    char body[512];
    uint8_t fields[512];
    struct amm_writer w = amm_writer(fields, sizeof fields);
    amm_write_view(&w, job_console_fields(call->listener, call->is_tls));
    int len = snprintf(body, sizeof body, "{\"error\":\"%s\",\"text\":\"%s\"}", name, text);
    if (field_name != NULL) {
        amm_http_write_field(&w, field_name, amm_view_str(field));
    }
    struct amm_http_reply reply = {.status = status,
                                   .content_type = "application/json",
                                   .fields = amm_view(fields, amm_writer_len(&w)),
                                   .body = amm_view(body, (size_t)len)};
    amm_http_answer(call->server, call->ref, &reply);
}

/* A name that a browser was led here by, though it is not ours (DNS rebinding). */
static bool host_is_ours(const struct manager_config *config, const struct amm_http_call *call)
{
    struct amm_view host = call->request->host;
    const char *name = config->console_names;
    if (call->listener != LISTENER_CONSOLE || *name == '\0') {
        return true;
    }
    for (size_t len; *name != '\0'; name += len + strspn(name + len, " ")) {
        len = strcspn(name, " ");
        size_t bare = host.len;
        while (bare > 0 && host.data[bare - 1] >= '0' && host.data[bare - 1] <= '9') {
            bare--;
        }
        bare = bare > 0 && bare < host.len && host.data[bare - 1] == ':' ? bare - 1 : host.len;
        if (bare == len && strncasecmp((const char *)host.data, name, len) == 0) {
            return true;
        }
    }
    return false;
}

static enum route_result find_route(const struct amm_http_call *call, struct route_match *match)
{
    unsigned listener = call->listener == LISTENER_TUNNEL ? LISTENER_GATEWAYS : call->listener;
    return route_find(call->request->method, call->request->path, listener, match);
}

/* True if it was a file of the console. */
static bool serve_console(const struct front *front, const struct amm_http_call *call)
{
    const struct amm_http_request *request = call->request;
    uint8_t fields[CONSOLE_FIELDS_MAX];
    struct amm_http_reply reply;
    bool reads = amm_view_equal(request->method, amm_view_str("GET")) ||
                 amm_view_equal(request->method, amm_view_str("HEAD"));
    if (call->listener != LISTENER_CONSOLE || !reads || !console_files_has(request->path)) {
        return false;
    }
    console_files_answer(front->console, request, call->is_tls, &reply, fields);
    amm_http_answer(call->server, call->ref, &reply);
    return true;
}

static bool find(const struct front *front, const struct amm_http_call *call,
                 struct route_match *match)
{
    if (!host_is_ours(front->m->config, call)) {
        refuse(call, 421, "wrong-host", "this server does not have that name", NULL, NULL);
        return false;
    }
    if (serve_console(front, call)) {
        return false;
    }
    switch (find_route(call, match)) {
    case ROUTE_FOUND:
        return true;
    case ROUTE_WRONG_METHOD:
        refuse(call, 405, "wrong-method", "this path takes other methods", "Allow", match->allowed);
        return false;
    case ROUTE_NOT_FOUND:
    case ROUTE_BAD_PATH:
        break;
    }
    refuse(call, 404, "not-found", "there is no such path", NULL, NULL);
    return false;
}

static void handle(void *context, const struct amm_http_call *call)
{
    struct front *front = ((struct side *)context)->front;
    struct route_match match;
    if (!find(front, call, &match)) {
        return;
    }
    struct job *job = job_new(front->m, call, &match);
    bool is_gateway = (call->listener & (LISTENER_GATEWAYS | LISTENER_TUNNEL)) != 0;
    if (job == NULL ||
        !core_queue(front->m->core, &job_part(job)->item, is_gateway ? CORE_GATEWAYS : CORE_URGENT,
                    front->m->config->queue)) {
        char seconds[8];
        snprintf(seconds, sizeof seconds, "%u",
                 is_gateway ? checkin_service_slot(amm_now().mono) : QUEUE_FULL_RETRY);
        job_free(job);
        refuse(call, 503, "busy", "too many requests are waiting", "Retry-After", seconds);
    }
}

static size_t body_limit(void *context, const struct amm_http_call *call)
{
    struct route_match match;
    (void)context;
    if (find_route(call, &match) != ROUTE_FOUND) {
        return BODY_DEFAULT; /* so that it gets its 404 */
    }
    return match.route->body_max > 0 ? match.route->body_max : BODY_DEFAULT;
}

/* ---- streams that have ended ---- */

struct gone {
    struct core_item item; /* first: freed with it */
    struct amm_http_server *server;
    struct amm_http_ref ref;
};

static void stream_ended(struct manager *m, void *context)
{
    const struct gone *gone = context;
    stream_leave(m, gone->server, gone->ref);
}

static void handle_gone(void *context, struct amm_http_ref ref)
{
    const struct side *side = context;
    struct gone *gone = calloc(1, sizeof *gone);
    if (gone != NULL) { /* else the next send to it tells */
        gone->server = side->server;
        gone->ref = ref;
        gone->item = (struct core_item){.run = stream_ended, .context = gone, .is_own = true};
        core_queue(side->front->m->core, &gone->item, CORE_URGENT, 0);
    }
}

/* ---- TLS ---- */

static bool read_pem(const char *path, char **out, char *error, size_t room)
{
    struct amm_span text;
    if (!amm_file_read(path, PEM_MAX, &text, error, room)) {
        return false;
    }
    *out = (char *)text.data; /* has a NUL behind it */
    return true;
}

static void wipe_free(char *pem)
{
    if (pem != NULL) {
        amm_wipe(pem, strlen(pem));
        free(pem);
    }
}

static struct amm_http_tls *make_console_tls(const struct manager_config *config, char *error,
                                             size_t room)
{
    char *certificate = NULL, *key = NULL;
    struct amm_http_tls *tls = NULL;
    if (read_pem(config->console_certificate, &certificate, error, room) &&
        read_pem(config->console_key, &key, error, room)) {
        tls = amm_http_tls_new(&(struct amm_http_tls_settings){.certificate = certificate,
                                                               .key = key,
                                                               .sessions = CONSOLE_SESSIONS},
                               error, room);
    }
    wipe_free(key);
    free(certificate);
    return tls;
}

/* Gateways pin the server CA by its key (GP-20), so it is sent along. */
static struct amm_http_tls *make_gateways_tls(const struct front *front, char *error, size_t room)
{
    const struct manager_config *config = front->m->config;
    char *certificate = NULL, *key = NULL, *ca = NULL, *server_ca = NULL;
    char path[AMM_CONF_TEXT + 32];
    struct amm_http_tls *tls = NULL;
    snprintf(path, sizeof path, "%s/%s", config->tunneld.pki, AMM_PKI_SERVER_CA);
    if (read_pem(config->gateways_certificate, &certificate, error, room) &&
        read_pem(config->gateways_key, &key, error, room) &&
        read_pem(config->gateways_ca, &ca, error, room) &&
        read_pem(path, &server_ca, error, room)) {
        tls = amm_http_tls_new(&(struct amm_http_tls_settings){.certificate = certificate,
                                                               .key = key,
                                                               .ca = ca,
                                                               .certificate_optional = true,
                                                               .expired_clients = true,
                                                               .sent_ca = server_ca,
                                                               .sessions = SESSIONS,
                                                               .session_seconds = SESSION_SECONDS},
                               error, room);
    }
    wipe_free(key);
    free(certificate);
    free(ca);
    free(server_ca);
    return tls;
}

static struct amm_http_tls *tls_for(const struct front *front, uint32_t tag)
{
    return tag == LISTENER_CONSOLE                              ? front->console_tls
           : tag == LISTENER_GATEWAYS || tag == LISTENER_TUNNEL ? front->gateways_tls
                                                                : NULL;
}

/* ---- listeners ---- */

/* Gives a socket to a thread and keeps a descriptor of it. Takes `fd` over. */
static bool put(struct front *front, unsigned thread, int fd, uint32_t tag)
{
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (front->n_listens == LISTENS_MAX || kept < 0 ||
        !amm_http_server_listen(front->sides[thread].server, fd, tls_for(front, tag), tag)) {
        if (kept >= 0) {
            close(kept);
        }
        close(fd);
        return false;
    }
    front->listens[front->n_listens++] = (struct listen){kept, thread, tag};
    return true;
}

/* Each thread has its own socket on the address, and the kernel spreads the connections. */
static bool open_tcp(struct front *front, const struct manager_listen *listen, uint32_t tag,
                     char *error, size_t room)
{
    unsigned threads = tag == LISTENER_METRICS ? 1 : front->n_threads;
    for (unsigned i = 0; i < listen->n; i++) {
        for (unsigned thread = 0; thread < threads; thread++) {
            int fd = amm_tcp_listen(&listen->at[i], threads > 1, error, room);
            if (fd < 0) {
                return false;
            }
            if (!put(front, thread, fd, tag)) {
                snprintf(error, room, "too many listeners");
                return false;
            }
        }
    }
    return true;
}

static bool open_local(struct front *front, char *error, size_t room)
{
    int fd = amm_unix_listen_stream(front->m->config->socket, 0600, (gid_t)-1, error, room);
    return fd >= 0 && put(front, 0, fd, LISTENER_LOCAL);
}

static bool open_all(struct front *front, char *error, size_t room)
{
    const struct manager_config *config = front->m->config;
    if (config->console_certificate[0] != '\0') {
        front->console_tls = make_console_tls(config, error, room);
        if (front->console_tls == NULL) {
            return false;
        }
    }
    front->gateways_tls = make_gateways_tls(front, error, room);
    return front->gateways_tls != NULL &&
           open_tcp(front, &config->console, LISTENER_CONSOLE, error, room) &&
           open_tcp(front, &config->gateways, LISTENER_GATEWAYS, error, room) &&
           open_tcp(front, &config->metrics, LISTENER_METRICS, error, room) &&
           open_local(front, error, room);
}

bool manager_listen_tunnel(struct manager *m, int fd)
{
    struct front *front = m->front;
    pthread_mutex_lock(&front->lock);
    bool ok = put(front, front->n_listens % front->n_threads, fd, LISTENER_TUNNEL);
    pthread_mutex_unlock(&front->lock);
    return ok;
}

void manager_unlisten_tunnel(struct manager *m)
{
    struct front *front = m->front;
    pthread_mutex_lock(&front->lock);
    unsigned kept = 0;
    for (unsigned i = 0; i < front->n_listens; i++) {
        if (front->listens[i].tag == LISTENER_TUNNEL) {
            close(front->listens[i].fd);
        } else {
            front->listens[kept++] = front->listens[i];
        }
    }
    front->n_listens = kept;
    for (unsigned i = 0; i < front->n_threads; i++) {
        amm_http_server_unlisten(front->sides[i].server, LISTENER_TUNNEL);
    }
    pthread_mutex_unlock(&front->lock);
}

/* ---- life ---- */

/* A console that is not there is no reason not to serve gateways: it is said, in the log and to who
 * asks for it. */
static void load_console(struct front *front)
{
    const struct manager_config *config = front->m->config;
    char error[512];
    front->console =
        console_files_load(config->console_files, config->remote_origins, error, sizeof error);
    if (front->console == NULL) {
        amm_log(AMM_LOG_WARNING, "no-console", amm_field_text("text", error));
    }
}

struct front *front_new(struct manager *m, char *error, size_t room)
{
    struct front *front = calloc(1, sizeof *front);
    if (front == NULL) {
        snprintf(error, room, "out of memory");
        return NULL;
    }
    front->m = m;
    front->n_threads = m->config->front_threads;
    pthread_mutex_init(&front->lock, NULL);
    snprintf(error, room, "out of memory or descriptors");
    for (unsigned i = 0; i < front->n_threads; i++) {
        struct side *side = &front->sides[i];
        struct amm_http_settings settings;
        amm_http_settings_init(&settings);
        settings.handle = handle;
        settings.body_limit = body_limit;
        settings.gone = handle_gone;
        settings.context = side;
        settings.connections = m->config->connections / front->n_threads + 1;
        settings.per_prefix = PER_PREFIX;
        side->front = front;
        side->server = amm_http_server_new(&settings);
        if (side->server == NULL) {
            return front_free(front);
        }
    }
    load_console(front);
    return open_all(front, error, room) ? front : front_free(front);
}

static void *serve(void *context)
{
    amm_http_server_run(((struct side *)context)->server);
    return NULL;
}

bool front_start(struct front *front, char *error, size_t room)
{
    while (front->n_started < front->n_threads) {
        struct side *side = &front->sides[front->n_started];
        if (pthread_create(&side->thread, NULL, serve, side) != 0) {
            snprintf(error, room, "cannot start a thread");
            return false;
        }
        front->n_started++;
    }
    return true;
}

void front_stop(struct front *front)
{
    for (unsigned i = 0; i < front->n_started; i++) {
        amm_http_server_stop(front->sides[i].server);
    }
    for (unsigned i = 0; i < front->n_started; i++) {
        pthread_join(front->sides[i].thread, NULL);
    }
    front->n_started = 0;
}

struct front *front_free(struct front *front)
{
    if (front == NULL) {
        return NULL;
    }
    front_stop(front);
    for (unsigned i = 0; i < front->n_threads; i++) {
        if (front->sides[i].server != NULL) {
            amm_http_server_free(front->sides[i].server);
        }
    }
    for (unsigned i = 0; i < front->n_listens; i++) {
        close(front->listens[i].fd);
    }
    amm_http_tls_unref(front->console_tls);
    amm_http_tls_unref(front->gateways_tls);
    console_files_free(front->console);
    pthread_mutex_destroy(&front->lock);
    free(front);
    return NULL;
}

/* Puts the new contexts on the sockets; what is not TLS stays. */
static void listen_again(struct front *front)
{
    for (unsigned i = 0; i < front->n_threads; i++) {
        amm_http_server_unlisten(front->sides[i].server, LISTENER_GATEWAYS);
        amm_http_server_unlisten(front->sides[i].server, LISTENER_TUNNEL);
        if (front->console_tls != NULL) {
            amm_http_server_unlisten(front->sides[i].server, LISTENER_CONSOLE);
        }
    }
    for (unsigned i = 0; i < front->n_listens; i++) {
        const struct listen *listen = &front->listens[i];
        struct amm_http_tls *tls = tls_for(front, listen->tag);
        int fd = tls != NULL ? fcntl(listen->fd, F_DUPFD_CLOEXEC, 3) : -1;
        if (fd >= 0) {
            amm_http_server_listen(front->sides[listen->thread].server, fd, tls, listen->tag);
        }
    }
}

/* Puts a new context in the place of the old one, or says why there is none. */
static void take_over(struct amm_http_tls **kept, struct amm_http_tls *made, const char *listener,
                      const char *error)
{
    if (made == NULL) {
        amm_log(AMM_LOG_ERROR, "reload-failed", amm_field_text("listener", listener),
                amm_field_text("text", error));
        return;
    }
    amm_http_tls_unref(*kept);
    *kept = made;
    amm_log(AMM_LOG_INFO, "reloaded", amm_field_text("listener", listener));
}

/* Each for itself: a certificate of the gateways' listener that the user may not read must not keep
 * the console's from being renewed. */
void front_reload(struct front *front)
{
    char error[512] = "";
    pthread_mutex_lock(&front->lock);
    if (front->console_tls != NULL) {
        take_over(&front->console_tls, make_console_tls(front->m->config, error, sizeof error),
                  "console", error);
    }
    take_over(&front->gateways_tls, make_gateways_tls(front, error, sizeof error), "gateways",
              error);
    listen_again(front);
    pthread_mutex_unlock(&front->lock);
}

void front_counters(const struct front *front, struct amm_http_counters *out)
{
    *out = (struct amm_http_counters){0};
    for (unsigned i = 0; i < front->n_threads; i++) {
        struct amm_http_counters one;
        amm_http_server_counters(front->sides[i].server, &one);
        out->accepted += one.accepted;
        out->requests += one.requests;
        out->refused_limit += one.refused_limit;
        out->bad_requests += one.bad_requests;
        out->tls_failed += one.tls_failed;
        out->tls_full += one.tls_full;
        out->tls_resumed += one.tls_resumed;
        out->timeouts += one.timeouts;
        out->bytes_in += one.bytes_in;
        out->bytes_out += one.bytes_out;
        out->open += one.open;
    }
}
