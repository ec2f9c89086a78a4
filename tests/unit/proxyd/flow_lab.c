#include "flow_lab.h"

#include "crypto/mac.h"
#include "crypto/pki.h"
#include "crypto/signature.h"
#include "io/clock.h"
#include "io/tcp.h"
#include "proxyd/entry.h"
#include "proxyd/flow.h"
#include "proxyd/link.h"
#include "proxyd/loop.h"
#include "proxyd/probe.h"
#include "proxyd/record.h"
#include "server_parts.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { TURNS = 5000 };

struct flow_lab flow_lab;
char lab_heard[FLOW_TEXT];

/* ---- instead of ammd ---- */

bool link_may_serve(const struct link *link)
{
    (void)link;
    return true;
}

void link_step(struct link *link)
{
    (void)link;
}

amm_time link_deadline(const struct link *link)
{
    (void)link;
    return amm_time_after(amm_now().mono, flow_lab.patience);
}

void link_entered(struct link *link, const struct session *session,
                  const struct amm_address *remote)
{
    (void)link, (void)session, (void)remote;
}

void link_active(struct link *link, const struct session *session)
{
    (void)link, (void)session;
    flow_lab.active++;
}

void link_ended(struct link *link, const char *label, enum amm_proxy_end reason)
{
    (void)link, (void)label, (void)reason;
}

void link_result(struct link *link, const struct amm_proxy_result *result)
{
    (void)link, (void)result;
}

void link_key(struct link *link, struct session *session, const uint8_t sha256[AMM_PROXY_HASH],
              bool changed)
{
    (void)link;
    memcpy(flow_lab.key, sha256, sizeof flow_lab.key);
    flow_lab.first_keys += !changed;
    flow_lab.changed_keys += changed;
    if (!changed) {
        memcpy(session->about.pin, sha256, AMM_PROXY_HASH);
        session->about.has_pin = 1;
    }
}

/* ---- life ---- */

static void served(struct proxyd *proxyd, struct proxyd_watch *watch, const struct amm_ready *ready)
{
    (void)watch, (void)ready;
    amm_http_server_step(proxyd->server);
}

static void listen_as_gateway(void)
{
    char error[256] = "";
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    flow_lab.gateway = (struct amm_address){.family = AMM_FAMILY_IPV4, .ip = {127, 0, 0, 1}};
    flow_lab.listener = amm_tcp_listen(&flow_lab.gateway, false, error, sizeof error);
    assert_true(flow_lab.listener >= 0);
    const int room = 65536; /* so that tests need not send much before nobody takes more */
    setsockopt(flow_lab.listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    assert_int_equal(getsockname(flow_lab.listener, (struct sockaddr *)&name, &len), 0);
    flow_lab.gateway.port = ntohs(name.sin_port);
}

/* Its cookie is 32 bytes of 'c' (base64url below). */
static void put_session(unsigned i, uint8_t kind, uint8_t scheme, const uint8_t *pin)
{
    static const uint8_t secret[32] = {[0 ... 31] = 'c'};
    bool other_target;
    struct amm_proxy_session about = {.kind = kind,
                                      .role = AMM_PROXY_USER,
                                      .scheme = scheme,
                                      .gateway = 7,
                                      .epoch = 9,
                                      .serial = "LK1",
                                      .operator_name = "anna",
                                      .address = flow_lab.gateway,
                                      .has_cookie = 1,
                                      .idle = 900,
                                      .last_at = flow_lab.proxyd.now.wall,
                                      .until = flow_lab.proxyd.now.wall + 3600};
    snprintf(about.label, sizeof about.label, "%c%s", 'a' + (int)i, "bcdefghijklmnopqrstuvwxyz");
    assert_true(amm_sha256(amm_view(secret, sizeof secret), about.cookie));
    if (pin) {
        about.has_pin = 1;
        memcpy(about.pin, pin, sizeof about.pin);
    }
    flow_lab.sessions[i] =
        sessions_put(flow_lab.proxyd.sessions, &about, flow_lab.proxyd.now, &other_target);
    assert_non_null(flow_lab.sessions[i]);
    flow_lab.sessions[i]->entered = true;
    snprintf(flow_lab.hosts[i], sizeof flow_lab.hosts[i], "%s.gw.example.net", about.label);
}

void flow_lab_open(uint8_t kind, uint8_t scheme, const uint8_t *pin)
{
    char error[256] = "";
    struct proxyd *p = &flow_lab.proxyd;
    struct amm_http_settings settings;
    flow_lab = (struct flow_lab){.config = {.connections = 128}, .patience = 2 * AMM_MILLISECOND};
    p->config = &flow_lab.config;
    p->random = amm_kernel_random();
    p->now = amm_now();
    p->loop = amm_loop_new();
    p->sessions = sessions_new("gw.example.net", 443, true, &p->random);
    p->record = record_new();
    p->probes = probes_new();
    char key[AMM_PEM_MAX];
    assert_true(amm_signature_key_new(key, error, sizeof error));
    struct amm_signer *signer = amm_signer_new(key, "key", error, sizeof error);
    assert_non_null(signer);
    amm_signer_key(signer, flow_lab.signer);
    p->entries = entries_new(signer);
    p->pages =
        amm_http_tls_new(&(struct amm_http_tls_settings){.is_client = true}, error, sizeof error);
    p->flows = flows_new(p);
    assert_true(p->loop && p->sessions && p->record && p->pages && p->flows);
    amm_http_settings_init(&settings);
    settings.connections = flow_lab.config.connections;
    flows_settings(p->flows, &settings);
    p->server = amm_http_server_new(&settings);
    assert_non_null(p->server);
    flow_lab.server = (struct proxyd_watch){.ready = served, .fd = amm_http_server_fd(p->server)};
    assert_true(proxyd_watch(p, &flow_lab.server, AMM_READ));
    listen_as_gateway();
    for (unsigned i = 0; i < FLOW_SESSIONS; i++) {
        put_session(i, kind, scheme, pin);
    }
}

void flow_lab_close(void)
{
    struct proxyd *p = &flow_lab.proxyd;
    close(flow_lab.listener);
    entries_free(p);
    probes_free(p);
    amm_http_server_free(p->server);
    for (unsigned i = 0; i < FLOW_SESSIONS; i++) {
        flows_cut(p->flows, flow_lab.sessions[i]);
        assert_int_equal(flow_lab.sessions[i]->n_flows, 0);
    }
    flows_free(p->flows);
    record_free(p->record);
    sessions_free(p->sessions);
    amm_http_tls_unref(p->pages);
    amm_loop_free(p->loop);
}

void lab_turn(void)
{
    proxyd_turn(&flow_lab.proxyd);
}

void lab_turns(unsigned n)
{
    while (n-- > 0) {
        lab_turn();
    }
}

/* ---- peers ---- */

int lab_browser(void)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    const struct listener listener = {.fd = -1, .is_unix = true};
    assert_true(server_adopt(flow_lab.proxyd.server, ends[0], &listener, NULL, NULL));
    return ends[1];
}

void lab_say_bytes(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    for (int i = 0; len > 0 && i < TURNS; i++) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else {
            assert_int_equal(errno, EAGAIN);
            lab_turn();
        }
    }
    assert_int_equal(len, 0);
}

void lab_say(int fd, const char *text)
{
    lab_say_bytes(fd, text, strlen(text));
}

void lab_ask(int fd, unsigned i, const char *line, const char *more)
{
    char head[4096];
    int len = snprintf(head, sizeof head,
                       "%s HTTP/1.1\r\nHost: %s\r\n"
                       "Cookie: __Host-amm-remote=Y2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2M\r\n"
                       "%s\r\n",
                       line, flow_lab.hosts[i], more);
    assert_true(len > 0 && len < (int)sizeof head);
    lab_say_bytes(fd, head, (size_t)len);
}

int lab_gateway(void)
{
    for (int i = 0; i < TURNS; i++) {
        int fd = accept4(flow_lab.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            return fd;
        }
        lab_turn();
    }
    fail_msg("no connection to the gateway");
    return -1;
}

bool lab_gateway_waits(void)
{
    lab_turns(5);
    int fd = accept4(flow_lab.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* 1: something came, 0: nothing, -1: the end, -2: reset. */
static int hear(int fd, size_t *len)
{
    ssize_t n = recv(fd, lab_heard + *len, sizeof lab_heard - 1 - *len, MSG_DONTWAIT);
    if (n > 0) {
        *len += (size_t)n;
        lab_heard[*len] = '\0';
        return 1;
    }
    return n == 0 ? -1 : errno == EAGAIN ? 0 : -2;
}

void lab_expect(int fd, const char *text)
{
    size_t len = 0;
    lab_heard[0] = '\0';
    for (int i = 0; i < TURNS; i++) {
        int heard = hear(fd, &len);
        if (strstr(lab_heard, text)) {
            return;
        }
        if (heard < 0) {
            fail_msg("waited for '%s', heard '%s' and the end", text, lab_heard);
        }
        if (heard == 0) {
            lab_turn();
        }
    }
    fail_msg("waited for '%s', heard '%s'", text, lab_heard);
}

bool lab_expect_end(int fd)
{
    size_t len = 0;
    lab_heard[0] = '\0';
    for (int i = 0; i < TURNS; i++) {
        int heard = hear(fd, &len);
        if (heard < 0) {
            return heard == -1;
        }
        if (heard == 0) {
            lab_turn();
        }
    }
    fail_msg("waited for the end, heard '%s'", lab_heard);
    return false;
}

void lab_expect_silence(int fd)
{
    size_t len = 0;
    lab_turns(5);
    assert_int_equal(hear(fd, &len), 0);
}
