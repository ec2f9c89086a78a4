/* What the HTTP server costs: requests per CPU-second of its one thread, and bytes of TCP payload
 * of an exchange (body of 471 bytes up, 60 down), by connection.
 *
 *   micro_http [SECONDS [SERVERS]]     SERVERS > 1: threads with a context each and one session
 * cache
 */
#include "crypto/pki.h"
#include "http/client.h"
#include "http/server.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/tcp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { CLIENTS = 4, SERVERS_MAX = 16, UP = 471, DOWN = 60 };

#define DAY INT64_C(86400)

enum connections { KEPT, RESUMED, NEW };

struct mode {
    const char *name;
    bool tls;
    enum connections connections;
};

static const struct mode modes[] = {
    {"plain, kept", false, KEPT},    {"plain, new", false, NEW}, {"TLS, kept", true, KEPT},
    {"TLS, resumed", true, RESUMED}, {"TLS, full", true, NEW},
};

static struct {
    char certificate[AMM_PEM_MAX], key[AMM_PEM_MAX];
} ca, leaf, gateway;

struct server {
    struct amm_http_server *http;
    struct amm_http_tls *tls;
    struct amm_address address;
    pthread_t thread;
    double cpu;
};

static struct server servers[SERVERS_MAX];
static int n_servers = 1;
static const struct mode *mode;
static atomic_bool is_over;
static atomic_ulong exchanges, bytes;

static void die(const char *what)
{
    fprintf(stderr, "micro_http: %s\n", what);
    exit(1);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void handle(void *context, const struct amm_http_call *call)
{
    (void)context;
    static const uint8_t body[DOWN] = "{}";
    const struct amm_http_reply reply = {
        .status = 200, .content_type = "application/json", .body = amm_view(body, sizeof body)};
    amm_http_answer(call->server, call->ref, &reply);
}

static void *serve(void *context)
{
    struct server *server = context;
    amm_http_server_run(server->http);
    server->cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static void issue(const char *name, enum amm_certificate_role role, char *certificate, char *key)
{
    char error[256];
    int64_t now = amm_now().wall;
    struct amm_certificate_request request = {role, name, NULL, now - DAY, now + DAY};
    bool is_ca = role == AMM_CERTIFICATE_CA;
    if (!amm_pki_key_new(key, error, sizeof error) ||
        !amm_pki_issue(&request, key, is_ca ? NULL : ca.certificate, is_ca ? key : ca.key,
                       certificate, error, sizeof error)) {
        die(error);
    }
}

static void start(struct server *server)
{
    char error[256];
    struct amm_http_settings settings;
    amm_http_settings_init(&settings);
    settings.handle = handle;
    server->http = amm_http_server_new(&settings);
    server->address = (struct amm_address){.family = AMM_FAMILY_IPV4, .ip = {127, 0, 0, 1}};
    int fd = amm_tcp_listen(&server->address, false, error, sizeof error);
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    if (!server->http || fd < 0 || getsockname(fd, (struct sockaddr *)&name, &len) != 0) {
        die("no server");
    }
    server->address.port = ntohs(name.sin6_port);
    struct amm_http_tls_settings tls = {.certificate = leaf.certificate,
                                        .key = leaf.key,
                                        .ca = ca.certificate,
                                        .sessions = 10000,
                                        .sessions_of = servers[0].tls};
    server->tls = mode->tls ? amm_http_tls_new(&tls, error, sizeof error) : NULL;
    if ((mode->tls && !server->tls) || !amm_http_server_listen(server->http, fd, server->tls, 0) ||
        pthread_create(&server->thread, NULL, serve, server) != 0) {
        die("no server");
    }
}

/* One exchange; false if it failed. */
static bool exchange(struct amm_http_client *client)
{
    static const uint8_t body[UP] = "{}";
    amm_http_client_request(client, amm_view_str("POST"), amm_view_str("/checkin"),
                            amm_view(NULL, 0), amm_view(body, sizeof body));
    for (;;) {
        struct amm_http_event event;
        amm_http_client_step(client, amm_now(), &event);
        if (event.kind == AMM_HTTP_EVENT_DONE || event.kind == AMM_HTTP_EVENT_FAILED) {
            return event.kind == AMM_HTTP_EVENT_DONE;
        }
        if (event.kind == AMM_HTTP_EVENT_NONE) {
            bool writes = (amm_http_client_interest(client) & AMM_WRITE) != 0;
            struct pollfd ready = {.fd = amm_http_client_fd(client),
                                   .events = writes ? POLLOUT : POLLIN};
            poll(&ready, 1, 100);
        }
    }
}

static struct amm_http_client *new_client(const struct server *server, struct amm_http_tls *tls,
                                          const struct amm_http_session *session)
{
    struct amm_http_client_settings settings = {
        .address = server->address, .host = "localhost", .server_name = "amm-manager", .tls = tls};
    struct amm_http_client *client = amm_http_client_new(&settings, amm_now());
    amm_http_client_resume(client, session);
    return client;
}

static void *ask(void *context)
{
    const struct server *server = &servers[*(int *)context % n_servers];
    char error[256];
    struct amm_http_tls_settings settings = {.is_client = true,
                                             .certificate = gateway.certificate,
                                             .key = gateway.key,
                                             .ca = ca.certificate,
                                             .lean_hello = true};
    struct amm_http_tls *tls = mode->tls ? amm_http_tls_new(&settings, error, sizeof error) : NULL;
    struct amm_http_session *session = NULL;
    struct amm_http_client *client = NULL;
    uint64_t in, out, before = 0;
    while (!atomic_load(&is_over)) {
        client = client ? client : new_client(server, tls, session);
        if (!exchange(client)) {
            die("an exchange failed");
        }
        amm_http_client_bytes(client, &in, &out);
        atomic_fetch_add(&exchanges, 1);
        atomic_fetch_add(&bytes, in + out - before);
        before = in + out;
        if (mode->connections != KEPT) {
            amm_http_session_free(session);
            session = mode->connections == RESUMED ? amm_http_client_session(client) : NULL;
            client = amm_http_client_free(client);
            before = 0;
        }
    }
    amm_http_client_free(client);
    amm_http_session_free(session);
    amm_http_tls_unref(tls);
    return NULL;
}

static void run(double duration)
{
    pthread_t threads[CLIENTS];
    int numbers[CLIENTS];
    atomic_store(&is_over, false);
    atomic_store(&exchanges, 0);
    atomic_store(&bytes, 0);
    servers[0].tls = NULL;
    for (int i = 0; i < n_servers; i++) {
        start(&servers[i]);
    }
    double begin = seconds(CLOCK_MONOTONIC), cpu = 0;
    for (int i = 0; i < CLIENTS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, ask, &numbers[i]);
    }
    struct timespec pause = {(time_t)duration, (long)((duration - (long)duration) * 1e9)};
    nanosleep(&pause, NULL);
    atomic_store(&is_over, true);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
    }
    double wall = seconds(CLOCK_MONOTONIC) - begin;
    for (int i = 0; i < n_servers; i++) {
        amm_http_server_stop(servers[i].http);
        pthread_join(servers[i].thread, NULL);
        amm_http_server_free(servers[i].http);
        cpu += servers[i].cpu;
    }
    for (int i = 0; i < n_servers; i++) {
        amm_http_tls_unref(servers[i].tls);
    }
    double n = (double)atomic_load(&exchanges);
    printf("%-13s %8.0f per CPU-second of the server  %8.0f per second  %6.0f bytes\n", mode->name,
           n / cpu, n / wall, (double)atomic_load(&bytes) / n);
}

int main(int argc, char **argv)
{
    double duration = argc > 1 ? strtod(argv[1], NULL) : 2;
    n_servers = argc > 2 ? atoi(argv[2]) : 1;
    if (duration <= 0 || n_servers < 1 || n_servers > SERVERS_MAX) {
        die("usage: micro_http [SECONDS [SERVERS]]");
    }
    issue("CA", AMM_CERTIFICATE_CA, ca.certificate, ca.key);
    issue("amm-manager", AMM_CERTIFICATE_SERVER, leaf.certificate, leaf.key);
    issue("gw-1", AMM_CERTIFICATE_GATEWAY, gateway.certificate, gateway.key);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        mode = &modes[i];
        run(duration);
    }
    return 0;
}
