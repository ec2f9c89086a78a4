/* Two server threads, one that answers for both, and clients: what ammd does. Runs under TSan, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/clock.h"
#include "io/loop.h"
#include "io/tcp.h"
#include "lab.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SERVERS = 2, CLIENTS = 4, REQUESTS = 24, EVENTS = 40, JOBS = 64 };

/* A call that waits for the answering thread. */
struct job {
    struct amm_http_server *server;
    struct amm_http_ref ref;
    bool streams;
    char name[AMM_NAME_MAX + 1];
};

static struct lab_pki pki;
static struct amm_http_server *servers[SERVERS];
static struct amm_address addresses[SERVERS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct job jobs[JOBS];
static unsigned n_jobs;
static bool is_over;
static atomic_uint answered, resumed, bad;

static void handle(void *context, const struct amm_http_call *call)
{
    (void)context;
    struct job job = {call->server, call->ref, .streams = false};
    job.streams = amm_view_equal(call->request->path, amm_view_str("/stream"));
    if (call->client) {
        memcpy(job.name, call->client->name, sizeof job.name);
    }
    atomic_fetch_add(&resumed, call->resumed);
    if (amm_view_equal(call->request->path, amm_view_str("/now"))) {
        amm_http_answer(call->server, call->ref,
                        &(struct amm_http_reply){.status = 200, .body = amm_view_str(job.name)});
        return;
    }
    pthread_mutex_lock(&lock);
    if (n_jobs < JOBS) {
        jobs[n_jobs++] = job;
    } else {
        atomic_fetch_add(&bad, 1);
    }
    pthread_cond_signal(&filled);
    pthread_mutex_unlock(&lock);
}

static void answer(const struct job *job)
{
    struct amm_http_reply reply = {
        .status = 200, .body = amm_view_str(job->name), .stream = job->streams};
    amm_http_answer(job->server, job->ref, &reply);
    for (int i = 0; job->streams && i < EVENTS; i++) {
        amm_http_send(job->server, job->ref, amm_view_str("event\n"));
    }
    if (job->streams) {
        amm_http_send(job->server, job->ref, amm_view(NULL, 0));
    }
    atomic_fetch_add(&answered, 1);
}

static void *answer_all(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    while (!is_over || n_jobs > 0) {
        if (n_jobs == 0) {
            pthread_cond_wait(&filled, &lock);
            continue;
        }
        struct job job = jobs[--n_jobs];
        pthread_mutex_unlock(&lock);
        answer(&job);
        struct amm_http_counters counters;
        amm_http_server_counters(job.server, &counters);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void *serve(void *server)
{
    amm_http_server_run(server);
    return NULL;
}

/* 0 if all was well. */
static unsigned run_client(struct amm_http_client *client, const char *path, unsigned want)
{
    amm_time end = amm_time_after(amm_now().mono, 60 * AMM_SECOND);
    size_t got = 0;
    amm_http_client_request(client, amm_view_str("GET"), amm_view_str(path), amm_view(NULL, 0),
                            amm_view(NULL, 0));
    for (;;) {
        struct amm_http_event event;
        amm_http_client_step(client, amm_now(), &event);
        switch (event.kind) {
        case AMM_HTTP_EVENT_DONE:
            return got != want;
        case AMM_HTTP_EVENT_FAILED:
            fprintf(stderr, "%s\n", event.error);
            return 1;
        case AMM_HTTP_EVENT_BODY:
            got += event.content.len;
            break;
        case AMM_HTTP_EVENT_HEAD:
            break;
        case AMM_HTTP_EVENT_KEY:
        case AMM_HTTP_EVENT_INTERIM:
        case AMM_HTTP_EVENT_UPGRADED: /* not asked for */
        case AMM_HTTP_EVENT_NONE: {
            struct pollfd ready = {.fd = amm_http_client_fd(client),
                                   .events = amm_http_client_interest(client) & AMM_WRITE ? POLLOUT
                                                                                          : POLLIN};
            if (amm_now().mono >= end) {
                return 1;
            }
            poll(&ready, 1, 10);
            break;
        }
        }
    }
}

/* A gateway: its own context and session, in turn to both servers. */
static void *ask(void *unused)
{
    (void)unused;
    char error[256];
    struct amm_http_tls_settings settings = lab_client_tls(&pki);
    struct amm_http_tls *tls = amm_http_tls_new(&settings, error, sizeof error);
    struct amm_http_session *session = NULL;
    static const char *const paths[] = {"/now", "/later", "/stream"};
    for (unsigned i = 0; tls && i < REQUESTS; i++) {
        struct amm_http_client_settings http = {.address = addresses[i % SERVERS],
                                                .host = "localhost",
                                                .server_name = "amm-manager",
                                                .tls = tls};
        struct amm_http_client *client = amm_http_client_new(&http, amm_now());
        amm_http_client_resume(client, session);
        bool streams = i % 3 == 2;
        unsigned wrong = run_client(client, paths[i % 3], streams ? EVENTS * 6 : 4);
        atomic_fetch_add(&bad, wrong);
        amm_http_session_free(session);
        session = amm_http_client_session(client);
        amm_http_client_free(client);
    }
    amm_http_session_free(session);
    amm_http_tls_unref(tls);
    return NULL;
}

static int listen_somewhere(struct amm_address *address)
{
    char error[256];
    *address = (struct amm_address){.family = AMM_FAMILY_IPV4, .ip = {127, 0, 0, 1}};
    int fd = amm_tcp_listen(address, false, error, sizeof error);
    assert_true(fd >= 0);
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    address->port = ntohs(name.sin6_port);
    return fd;
}

static void many_threads_ask_and_answer(void **state)
{
    (void)state;
    lab_pki_make(&pki);
    struct amm_http_tls_settings tls_settings = lab_server_tls(&pki);
    struct amm_http_tls *contexts[SERVERS];
    pthread_t server_threads[SERVERS], client_threads[CLIENTS], answering;
    for (int i = 0; i < SERVERS; i++) {
        struct amm_http_settings settings;
        amm_http_settings_init(&settings);
        settings.handle = handle;
        settings.connections = 64;
        servers[i] = amm_http_server_new(&settings);
        assert_non_null(servers[i]);
        tls_settings.sessions_of = i ? contexts[0] : NULL;
        contexts[i] = lab_tls(&tls_settings);
        assert_int_equal(pthread_create(&server_threads[i], NULL, serve, servers[i]), 0);
    }
    /* Handed over while the threads run. */
    for (int i = 0; i < SERVERS; i++) {
        int fd = listen_somewhere(&addresses[i]);
        assert_true(amm_http_server_listen(servers[i], fd, contexts[i], 1));
    }
    assert_int_equal(pthread_create(&answering, NULL, answer_all, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_create(&client_threads[i], NULL, ask, NULL), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(client_threads[i], NULL);
    }
    pthread_mutex_lock(&lock);
    is_over = true;
    pthread_cond_signal(&filled);
    pthread_mutex_unlock(&lock);
    pthread_join(answering, NULL);
    for (int i = 0; i < SERVERS; i++) {
        amm_http_server_stop(servers[i]);
        pthread_join(server_threads[i], NULL);
        amm_http_server_free(servers[i]);
        amm_http_tls_unref(contexts[i]);
    }
    assert_int_equal(atomic_load(&bad), 0);
    assert_int_equal(atomic_load(&answered), CLIENTS * REQUESTS * 2 / 3);
    assert_int_equal(atomic_load(&resumed), CLIENTS * (REQUESTS - 1));
}

/* Senders that know nothing of the connection's end meet it at any moment. */
static void *send_without_end(void *context)
{
    const struct job *job = context;
    while (amm_http_send(job->server, job->ref, amm_view_str("x"))) {
    }
    return NULL;
}

static void *leave_soon(void *context)
{
    int fd = *(int *)context;
    char heard[256];
    recv(fd, heard, sizeof heard, 0);
    shutdown(fd, SHUT_RDWR);
    return NULL;
}

static void a_stream_may_end_while_others_send(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct lab lab;
        struct amm_http_settings settings = lab_settings(&lab);
        lab_open(&lab, &settings);
        int fd = lab_peer(&lab);
        lab_say(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
        lab_until(&lab, &lab.calls, 1);
        struct job job = {lab.server, lab.ref, .streams = true};
        pthread_t senders[2], leaver;
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&senders[i], NULL, send_without_end, &job), 0);
        }
        assert_int_equal(pthread_create(&leaver, NULL, leave_soon, &fd), 0);
        lab_until(&lab, &lab.gone, 1);
        for (int i = 0; i < 2; i++) {
            pthread_join(senders[i], NULL);
        }
        pthread_join(leaver, NULL);
        lab_close(&lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_ask_and_answer),
        cmocka_unit_test(a_stream_may_end_while_others_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
