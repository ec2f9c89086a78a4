#include "lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "io/clock.h"
#include "io/tcp.h"
#include "server_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAY INT64_C(86400)

char lab_heard[LAB_TEXT];
char lab_failure[256];
enum amm_tls_failure lab_tls_failure;

/* ---- certificates ---- */

static void make(const struct amm_certificate_request *request, const struct lab_credential *ca,
                 struct lab_credential *out)
{
    char error[256] = "";
    if (!amm_pki_key_new(out->key, error, sizeof error) ||
        !amm_pki_issue(request, out->key, ca ? ca->certificate : NULL, ca ? ca->key : out->key,
                       out->certificate, error, sizeof error)) {
        fail_msg("%s: %s", request->name, error);
    }
}

void lab_issue(struct lab_credential *out, enum amm_certificate_role role, const char *name,
               const struct lab_credential *ca, int64_t from, int64_t until)
{
    make(&(struct amm_certificate_request){role, name, NULL, from, until}, ca, out);
}

void lab_pki_make(struct lab_pki *pki)
{
    int64_t now = amm_now().wall;
    enum amm_certificate_role ca = AMM_CERTIFICATE_CA;
    lab_issue(&pki->server_ca, ca, "server CA", NULL, now - 400 * DAY, now + 30 * DAY);
    lab_issue(&pki->gateway_ca, ca, "gateway CA", NULL, now - 400 * DAY, now + 30 * DAY);
    lab_issue(&pki->other_ca, ca, "other CA", NULL, now - 400 * DAY, now + 30 * DAY);
    lab_issue(&pki->server, AMM_CERTIFICATE_SERVER, "amm-manager", &pki->server_ca, now - DAY,
              now + DAY);
    lab_issue(&pki->gateway, AMM_CERTIFICATE_GATEWAY, "gw-1", &pki->gateway_ca, now - DAY,
              now + DAY);
    lab_issue(&pki->expired, AMM_CERTIFICATE_GATEWAY, "gw-old", &pki->gateway_ca, now - 200 * DAY,
              now - 100 * DAY);
    lab_issue(&pki->stranger, AMM_CERTIFICATE_GATEWAY, "gw-1", &pki->other_ca, now - DAY,
              now + DAY);
}

struct amm_http_tls_settings lab_server_tls(const struct lab_pki *pki)
{
    return (struct amm_http_tls_settings){.certificate = pki->server.certificate,
                                          .key = pki->server.key,
                                          .ca = pki->gateway_ca.certificate,
                                          .sessions = 64};
}

struct amm_http_tls_settings lab_client_tls(const struct lab_pki *pki)
{
    return (struct amm_http_tls_settings){.is_client = true,
                                          .certificate = pki->gateway.certificate,
                                          .key = pki->gateway.key,
                                          .ca = pki->server_ca.certificate};
}

struct amm_http_tls *lab_tls(const struct amm_http_tls_settings *settings)
{
    char error[256] = "";
    struct amm_http_tls *tls = amm_http_tls_new(settings, error, sizeof error);
    if (!tls) {
        fail_msg("%s", error);
    }
    return tls;
}

/* ---- the handler ---- */

static void note_call(struct lab *lab, const struct amm_http_call *call)
{
    lab->calls++;
    lab->ref = call->ref;
    lab->tag = call->listener;
    lab->uid = call->uid;
    lab->is_tls = call->is_tls;
    lab->resumed = call->resumed;
    lab->remote = call->remote;
    lab->has_client = call->client != NULL;
    lab->not_after = call->client ? call->client->not_after : 0;
    lab->body_len = call->body.len;
    snprintf(lab->name, sizeof lab->name, "%s", call->client ? call->client->name : "");
    snprintf(lab->path, sizeof lab->path, "%.*s", (int)call->request->path.len,
             (const char *)call->request->path.data);
}

static void handle(void *context, const struct amm_http_call *call)
{
    struct lab *lab = context;
    note_call(lab, call);
    struct amm_http_reply reply = {.status = 200, .content_type = "text/plain"};
    if (strcmp(lab->path, "/later") == 0) {
        return;
    }
    if (strcmp(lab->path, "/echo") == 0) {
        reply.body = call->body;
    } else if (strcmp(lab->path, "/empty") == 0) {
        reply.status = 204;
    } else if (strcmp(lab->path, "/who") == 0) {
        reply.body = amm_view_str(lab->name);
    } else if (strcmp(lab->path, "/stream") == 0) {
        reply.stream = true;
    } else if (strcmp(lab->path, "/file") == 0) {
        reply.has_file = true;
        reply.file = lab->file;
        reply.file_len = lab->file_len;
    } else {
        reply.body = amm_view_str("hello");
    }
    reply.close = strcmp(lab->path, "/close") == 0;
    assert_true(amm_http_answer(call->server, call->ref, &reply));
}

static size_t body_limit(void *context, const struct amm_http_call *call)
{
    struct lab *lab = context;
    assert_non_null(call->request);
    return lab->body_limit;
}

static void gone(void *context, struct amm_http_ref ref)
{
    struct lab *lab = context;
    lab->gone++;
    lab->gone_ref = ref;
}

/* ---- the server ---- */

struct amm_http_settings lab_settings(struct lab *lab)
{
    struct amm_http_settings settings;
    amm_http_settings_init(&settings);
    settings.handle = handle;
    settings.body_limit = body_limit;
    settings.gone = gone;
    settings.context = lab;
    settings.connections = 16;
    return settings;
}

void lab_open(struct lab *lab, const struct amm_http_settings *settings)
{
    *lab = (struct lab){.file = -1, .body_limit = 65536};
    lab->server = amm_http_server_new(settings);
    assert_non_null(lab->server);
}

void lab_listen(struct lab *lab, struct amm_http_tls *tls)
{
    char error[256] = "";
    struct amm_address any = {.family = AMM_FAMILY_IPV4, .ip = {127, 0, 0, 1}};
    int fd = amm_tcp_listen(&any, false, error, sizeof error);
    if (fd < 0) {
        fail_msg("%s", error);
    }
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    lab->address = any;
    lab->address.port = ntohs(name.sin6_port); /* at the same place in sockaddr_in */
    assert_true(amm_http_server_listen(lab->server, fd, tls, LAB_TAG));
    amm_http_tls_unref(tls);
    amm_http_server_step(lab->server);
}

void lab_close(struct lab *lab)
{
    assert_null(amm_http_server_free(lab->server));
}

int lab_peer(struct lab *lab)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    const struct listener listener = {.fd = -1, .is_unix = true, .tag = LAB_TAG};
    assert_true(server_adopt(lab->server, ends[0], &listener, NULL, NULL));
    return ends[1];
}

int lab_connect(struct lab *lab)
{
    char error[256] = "";
    int fd = amm_tcp_connect(&lab->address, error, sizeof error);
    if (fd < 0) {
        fail_msg("%s", error);
    }
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&ready, 1, 5000), 1);
    amm_http_server_step(lab->server);
    return fd;
}

void lab_say(int fd, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* ---- turning ---- */

enum { SECONDS = 10 };

static amm_time give_up_at(void)
{
    return amm_time_after(amm_now().mono, SECONDS * AMM_SECOND);
}

static void wait_for(struct lab *lab, int fd, short events)
{
    struct pollfd ready[2] = {{.fd = amm_http_server_fd(lab->server), .events = POLLIN},
                              {.fd = fd, .events = events}};
    poll(ready, 2, 5);
}

void lab_turn(struct lab *lab)
{
    struct pollfd ready = {.fd = amm_http_server_fd(lab->server), .events = POLLIN};
    int idle = 0;
    while (idle < 3) {
        amm_http_server_step(lab->server);
        idle = poll(&ready, 1, 1) > 0 ? 0 : idle + 1;
    }
}

void lab_until(struct lab *lab, const unsigned *value, unsigned n)
{
    amm_time end = give_up_at();
    while (*value < n) {
        assert_true(amm_now().mono < end);
        wait_for(lab, -1, 0);
        amm_http_server_step(lab->server);
    }
}

static bool hear(int fd, size_t *len)
{
    ssize_t n = recv(fd, lab_heard + *len, sizeof lab_heard - 1 - *len, MSG_DONTWAIT);
    if (n > 0) {
        *len += (size_t)n;
        lab_heard[*len] = '\0';
    }
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void listen_until(struct lab *lab, int fd, const char *text)
{
    amm_time end = give_up_at();
    size_t len = 0;
    lab_heard[0] = '\0';
    while (!text || !strstr(lab_heard, text)) {
        if (amm_now().mono >= end) {
            fail_msg("waited for '%s', heard '%s'", text ? text : "the end", lab_heard);
        }
        amm_http_server_step(lab->server);
        if (hear(fd, &len)) {
            if (text && !strstr(lab_heard, text)) {
                fail_msg("waited for '%s', heard '%s' and the end", text, lab_heard);
            }
            return;
        }
        wait_for(lab, fd, POLLIN);
    }
}

void lab_expect(struct lab *lab, int fd, const char *text)
{
    listen_until(lab, fd, text);
}

void lab_expect_end(struct lab *lab, int fd)
{
    listen_until(lab, fd, NULL);
}

/* ---- the client ---- */

struct amm_http_event lab_event(struct lab *lab, struct amm_http_client *client)
{
    amm_time end = give_up_at();
    struct amm_http_event event;
    for (;;) {
        amm_http_client_step(client, amm_now(), &event);
        if (event.kind != AMM_HTTP_EVENT_NONE) {
            return event;
        }
        assert_true(amm_now().mono < end);
        unsigned interest = amm_http_client_interest(client);
        wait_for(
            lab, amm_http_client_fd(client),
            (short)((interest & AMM_READ ? POLLIN : 0) | (interest & AMM_WRITE ? POLLOUT : 0)));
        amm_http_server_step(lab->server);
    }
}

int lab_fetch(struct lab *lab, struct amm_http_client *client, const char *method, const char *path,
              const char *body)
{
    int status = 0;
    size_t len = 0;
    lab_heard[0] = lab_failure[0] = '\0';
    lab_tls_failure = AMM_TLS_OK;
    assert_true(amm_http_client_request(client, amm_view_str(method), amm_view_str(path),
                                        amm_view(NULL, 0), amm_view_str(body)));
    for (;;) {
        struct amm_http_event event = lab_event(lab, client);
        switch (event.kind) {
        case AMM_HTTP_EVENT_HEAD:
            status = event.response->status;
            break;
        case AMM_HTTP_EVENT_BODY:
            assert_true(len + event.content.len < sizeof lab_heard);
            memcpy(lab_heard + len, event.content.data, event.content.len);
            len += event.content.len;
            lab_heard[len] = '\0';
            break;
        case AMM_HTTP_EVENT_DONE:
            return status;
        case AMM_HTTP_EVENT_FAILED:
            snprintf(lab_failure, sizeof lab_failure, "%s", event.error);
            lab_tls_failure = event.tls_failure;
            return 0;
        case AMM_HTTP_EVENT_KEY:
        case AMM_HTTP_EVENT_INTERIM:
        case AMM_HTTP_EVENT_UPGRADED: /* not asked for */
        case AMM_HTTP_EVENT_NONE:
            break;
        }
    }
}
