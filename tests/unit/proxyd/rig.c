#include "rig.h"

#include "base/base64.h"
#include "crypto/mac.h"
#include "http/server.h"
#include "io/clock.h"
#include "io/unix.h"
#include "proxyd/entry.h"
#include "proxyd/flow.h"
#include "proxyd/gate.h"
#include "proxyd/link.h"
#include "proxyd/loop.h"
#include "proxyd/probe.h"
#include "proxyd/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { TURNS = 2000 };

static struct rig *the_rig;

/* ---- the data path ---- */

static void handle(void *context, const struct amm_http_call *call)
{
    struct rig *rig = context;
    struct session *session = gate_admit(&rig->proxyd, call);
    if (session != NULL) {
        char body[256];
        int len = snprintf(body, sizeof body, "page of %s", session->about.tunnel);
        amm_http_answer(call->server, call->ref,
                        &(struct amm_http_reply){.status = 200,
                                                 .content_type = "text/plain",
                                                 .body = amm_view(body, (size_t)len)});
    }
}

struct flows *flows_new(struct proxyd *proxyd)
{
    (void)proxyd;
    return NULL;
}

struct flows *flows_free(struct flows *flows)
{
    return flows;
}

void flows_settings(struct flows *flows, struct amm_http_settings *settings)
{
    (void)flows;
    settings->handle = handle;
    settings->context = the_rig;
}

void flows_cut(struct flows *flows, struct session *session)
{
    (void)flows, (void)session;
    the_rig->cut++;
}

void flows_step(struct flows *flows)
{
    (void)flows;
}

amm_time flows_deadline(const struct flows *flows)
{
    (void)flows;
    return AMM_NEVER;
}

/* ---- life ---- */

static void served(struct proxyd *proxyd, struct proxyd_watch *watch, const struct amm_ready *ready)
{
    (void)watch, (void)ready;
    amm_http_server_step(proxyd->server);
}

void rig_open(struct rig *rig)
{
    char error[256];
    struct proxyd *p = &rig->proxyd;
    struct amm_http_settings settings;
    *rig = (struct rig){.ammd = -1};
    the_rig = rig;
    strcpy(rig->folder, "/tmp/amm-proxyd-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->config.socket, sizeof rig->config.socket, "%s/ammd", rig->folder);
    snprintf(rig->browsers, sizeof rig->browsers, "%s/http", rig->folder);
    rig->listener = amm_unix_listen(rig->config.socket, 0600, (gid_t)-1, error, sizeof error);
    assert_true(rig->listener >= 0);
    p->config = &rig->config;
    p->random = amm_kernel_random();
    p->now = amm_now();
    p->loop = amm_loop_new();
    p->sessions = sessions_new("gw.example.net", 443, true, &p->random);
    p->record = record_new();
    p->probes = probes_new();
    p->entries = entries_new(NULL);
    const struct amm_proxy_hello hello = {.pid = 1, .port = 443, .secure = 1, .domain = "x"};
    p->link = link_new(p, geteuid(), &hello);
    amm_http_settings_init(&settings);
    flows_settings(NULL, &settings);
    p->server = amm_http_server_new(&settings);
    int fd = amm_unix_listen_stream(rig->browsers, 0600, (gid_t)-1, error, sizeof error);
    assert_true(fd >= 0 && amm_http_server_listen(p->server, fd, NULL, 1));
    rig->server = (struct proxyd_watch){.ready = served, .fd = amm_http_server_fd(p->server)};
    assert_true(proxyd_watch(p, &rig->server, AMM_READ));
}

void rig_close(struct rig *rig)
{
    struct proxyd *p = &rig->proxyd;
    rig_disconnect(rig);
    close(rig->listener);
    entries_free(p);
    probes_free(p);
    amm_http_server_free(p->server);
    link_free(p->link);
    record_free(p->record);
    sessions_free(p->sessions);
    amm_loop_free(p->loop);
    unlink(rig->config.socket);
    unlink(rig->browsers);
    rmdir(rig->folder);
}

/* ---- ammd ---- */

void rig_tell(struct rig *rig, const struct amm_proxy_message *message)
{
    static uint8_t packet[AMM_PROXY_MAX];
    size_t len = amm_proxy_encode(message, packet, sizeof packet);
    assert_true(len > 0);
    assert_int_equal(amm_unix_send(rig->ammd, amm_view(packet, len), NULL, 0), AMM_UNIX_OK);
}

void rig_hear(struct rig *rig, enum amm_proxy_type type)
{
    static uint8_t packet[AMM_PROXY_MAX];
    for (int i = 0; i < TURNS; i++) {
        size_t len;
        while (amm_unix_receive(rig->ammd, (struct amm_span){packet, sizeof packet}, &len, NULL,
                                NULL) == AMM_UNIX_OK) {
            assert_true(amm_proxy_decode(&rig->last, amm_view(packet, len)));
            if (rig->last.type == type) {
                return;
            }
        }
        proxyd_turn(&rig->proxyd);
    }
    fail_msg("ammd has not heard %d", type);
}

void rig_connect(struct rig *rig, const struct amm_proxy_session *sessions, size_t n)
{
    while (rig->ammd < 0) {
        link_step(rig->proxyd.link);
        rig->ammd = amm_unix_accept(rig->listener);
        if (rig->ammd < 0) {
            proxyd_turn(&rig->proxyd);
        }
    }
    rig_hear(rig, AMM_PROXY_HELLO);
    rig_tell(rig, &(struct amm_proxy_message){.type = AMM_PROXY_WELCOME});
    for (size_t i = 0; i < n; i++) {
        rig_tell(rig,
                 &(struct amm_proxy_message){.type = AMM_PROXY_SESSION, .session = sessions[i]});
    }
    rig_tell(rig, &(struct amm_proxy_message){.type = AMM_PROXY_SYNCED});
    while (sessions_count(rig->proxyd.sessions) != n || !link_may_serve(rig->proxyd.link)) {
        proxyd_turn(&rig->proxyd);
    }
}

void rig_disconnect(struct rig *rig)
{
    if (rig->ammd >= 0) {
        close(rig->ammd);
        rig->ammd = -1;
    }
}

/* ---- a browser ---- */

void rig_ask(struct rig *rig, const char *line, const char *host, const char *fields,
             const char *body, struct got *got)
{
    static char request[32768];
    char error[256], length[64] = "";
    size_t len = 0;
    int fd = amm_unix_connect_stream(rig->browsers, error, sizeof error);
    assert_true(fd >= 0);
    if (body != NULL) {
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    }
    int n = snprintf(request, sizeof request,
                     "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s\r\n%s", line, host,
                     fields, fields[0] != '\0' ? "\r\n" : "", length, body ? body : "");
    assert_int_equal(send(fd, request, (size_t)n, 0), n);
    for (int i = 0; i < TURNS; i++) {
        ssize_t some = recv(fd, got->all + len, sizeof got->all - 1 - len, MSG_DONTWAIT);
        if (some == 0) {
            break;
        }
        len += some > 0 ? (size_t)some : 0;
        if (some < 0) {
            proxyd_turn(&rig->proxyd);
        }
    }
    close(fd);
    got->all[len] = '\0';
    got->status = len > 12 ? atoi(got->all + 9) : 0;
}

static const uint8_t ticket[32] = {[0 ... 31] = 't'};

struct amm_proxy_session rig_session(void)
{
    struct amm_now now = amm_now();
    struct amm_proxy_session session = {.label = LABEL,
                                        .kind = AMM_PROXY_PAGE,
                                        .role = AMM_PROXY_USER,
                                        .scheme = AMM_PROXY_HTTPS,
                                        .gateway = 7,
                                        .epoch = 9,
                                        .tunnel = "bus-1",
                                        .name = "Bus <1>",
                                        .operator_name = "anna",
                                        .host = "192.168.13.31:9443",
                                        .has_ticket = 1,
                                        .ticket_until = now.wall + 30,
                                        .idle = 900,
                                        .last_at = now.wall,
                                        .until = now.wall + 3600};
    assert_true(amm_address_parse(&session.address, "10.4.32.7:9443", 0));
    assert_true(amm_sha256(amm_view(ticket, sizeof ticket), session.ticket));
    return session;
}

const char *rig_ticket(void)
{
    static char text[64] = "ticket=";
    amm_base64_encode(text + 7, sizeof text - 7, amm_view(ticket, sizeof ticket), AMM_BASE64_URL);
    return text;
}

void rig_enter(struct rig *rig, char cookie[256])
{
    static struct got got;
    rig_ask(rig, "POST /.amm/enter", HOST, "", rig_ticket(), &got);
    assert_int_equal(got.status, 200);
    const char *set = strstr(got.all, "Set-Cookie: ");
    assert_non_null(set);
    assert_non_null(strstr(set, "; Path=/; HttpOnly; SameSite=Strict; Secure\r\n"));
    snprintf(cookie, 256, "Cookie: %.*s", (int)strcspn(set + 12, ";"), set + 12);
}
