/* The data path: frames, connections, uploads, downloads, upgrades, ends. */
#include "flow_lab.h"

#include "domain/assertion.h"
#include "proxyd/flow_parts.h"
#include "proxyd/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 16 << 20, QUEUED = 1 << 20 /* what kernel and proxy may hold together */ };

static int open_lab(void **state)
{
    (void)state;
    flow_lab_open(AMM_PROXY_PAGE, AMM_PROXY_HTTP, NULL);
    return 0;
}

static int open_port(void **state)
{
    (void)state;
    flow_lab_open(AMM_PROXY_FORWARD, AMM_PROXY_HTTP, NULL);
    return 0;
}

static int close_lab(void **state)
{
    (void)state;
    flow_lab_close();
    return 0;
}

static bool heard(const char *text)
{
    return strstr(lab_heard, text) != NULL;
}

/* The rows of the record, all of them. */
static struct amm_proxy_requests rows(void)
{
    static struct amm_proxy_requests batch;
    if (!record_batch(flow_lab.proxyd.record, &batch)) {
        batch.n = 0;
    }
    record_sent(flow_lab.proxyd.record, batch.n);
    return batch;
}

/* ---- heads and frames ---- */

static void a_request_looks_as_if_made_beside_the_gateway(void **state)
{
    (void)state;
    char host[64], address[AMM_ADDRESS_TEXT];
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /a?b=c",
            "Keep-Alive: 5\r\nConnection: keep-alive, x-hop\r\n"
            "X-Hop: 1\r\nTE: trailers\r\nProxy-Authorization: x\r\n"
            "X-Kept: yes\r\n");
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    snprintf(host, sizeof host, "\r\nHost: %s\r\n", amm_address_text(&flow_lab.gateway, address));
    assert_memory_equal(lab_heard, "GET /a?b=c HTTP/1.1\r\n", 21);
    assert_true(heard(host) && heard("\r\nX-Kept: yes\r\n"));
    assert_false(heard("X-Hop") || heard("Keep-Alive") || heard("TE:") || heard("Proxy-"));
    assert_false(heard("amm-remote") || heard("Connection:") || heard("Transfer-Encoding"));
    lab_say(gateway, "HTTP/1.1 200 OK\r\nServer: old\r\nContent-Length: 5\r\n"
                     "Content-Encoding: gzip\r\nKeep-Alive: timeout=5\r\n\r\n\x1f\x8bzip");
    lab_expect(browser, "\x1f\x8bzip");
    assert_true(heard("HTTP/1.1 200 OK\r\n") && heard("\r\nContent-Length: 5\r\n"));
    assert_true(heard("\r\nServer: old\r\n") && heard("\r\nContent-Encoding: gzip\r\n"));
    assert_false(heard("Keep-Alive") || heard("Date:") || heard("chunked"));
    struct amm_proxy_requests batch = rows();
    assert_int_equal(batch.n, 1);
    assert_int_equal(batch.list[0].status, 200);
    assert_int_equal(batch.list[0].bytes_out, 5);
    assert_int_equal(batch.list[0].kind, AMM_PROXY_REQUEST_PAGE);
    assert_string_equal(batch.list[0].path, "/a");
    close(browser);
    close(gateway);
}

static void each_frame_becomes_one_of_ours(void **state)
{
    (void)state;
    static const struct {
        const char *method, *answer;
        bool ends;
        const char *says, *says_not, *body;
    } cases[] = {
        {"GET",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: x\r\n\r\n",
         false, "\r\nTransfer-Encoding: chunked\r\n", "Content-Length", "5\r\nhello\r\n0\r\n\r\n"},
        {"GET", "HTTP/1.0 200 OK\r\n\r\nhello", true, "\r\nTransfer-Encoding: chunked\r\n",
         "Content-Length", "5\r\nhello\r\n0\r\n\r\n"},
        {"GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", false, "\r\nContent-Length: 0\r\n",
         "chunked", "\r\n\r\n"},
        {"GET", "HTTP/1.1 204 No Content\r\n\r\n", false, "HTTP/1.1 204", "Content-Length",
         "\r\n\r\n"},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false,
         "\r\nContent-Length: 9\r\n", "chunked", "\r\n\r\n"},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n", false,
         "\r\nContent-Length: 123456\r\n", "chunked", "\r\n\r\n"},
        {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", false, "HTTP/1.1 200", "Content-Length", "\r\n\r\n"},
        {"GET",
         "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
         false, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK",
         "100 Continue", "\r\n\r\nok"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int browser = lab_browser();
        char line[64];
        snprintf(line, sizeof line, "%s /", cases[i].method);
        lab_ask(browser, 0, line, "Connection: close\r\n");
        int gateway = lab_gateway();
        lab_expect(gateway, "\r\n\r\n");
        lab_say(gateway, cases[i].answer);
        if (cases[i].ends) {
            close(gateway);
        }
        assert_true(lab_expect_end(browser));
        assert_true(heard(cases[i].says));
        assert_false(heard(cases[i].says_not));
        size_t len = strlen(lab_heard), tail = strlen(cases[i].body);
        assert_true(len > tail);
        assert_string_equal(lab_heard + len - tail, cases[i].body);
        close(browser);
        flows_cut(flow_lab.proxyd.flows, flow_lab.sessions[0]);
        if (!cases[i].ends) {
            close(gateway);
        }
    }
}

static void pieces_may_be_cut_anywhere(void **state)
{
    (void)state;
    static const char body[] = "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n";
    static const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "2\r\nhi\r\n6 \r\n there\r\n0\r\n\r\n";
    int browser = lab_browser(), gateway = -1;
    for (size_t cut = 1; cut < sizeof answer - 1; cut++) {
        size_t at = cut < sizeof body - 1 ? cut : sizeof body - 1;
        lab_ask(browser, 0, "POST /", "Transfer-Encoding: chunked\r\n");
        gateway = gateway < 0 ? lab_gateway() : gateway;
        lab_say_bytes(browser, body, at);
        lab_turns(2);
        lab_say(browser, body + at);
        lab_expect(gateway, "\r\n0\r\n\r\n");
        assert_true(heard("\r\nTransfer-Encoding: chunked\r\n"));
        assert_false(heard("T: v") || heard("x=y"));
        lab_say_bytes(gateway, answer, cut);
        lab_turns(2);
        lab_say(gateway, answer + cut);
        lab_expect(browser, "\r\n0\r\n\r\n");
        char text[64] = "";
        for (const char *p = strstr(lab_heard, "\r\n\r\n") + 4; *p != '0';) {
            size_t n = strtoul(p, NULL, 16);
            strncat(text, strstr(p, "\r\n") + 2, n);
            p = strstr(p, "\r\n") + 2 + n + 2;
        }
        assert_string_equal(text, "hi there");
    }
    close(browser);
    close(gateway);
}

/* ---- connections to gateways ---- */

static void answer_hello(int gateway)
{
    lab_expect(gateway, "\r\n\r\n");
    lab_say(gateway, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

static void a_connection_is_kept_for_its_own_session(void **state)
{
    (void)state;
    int one = lab_browser(), two = lab_browser();
    lab_ask(one, 0, "GET /1", "");
    int first = lab_gateway();
    answer_hello(first);
    lab_expect(one, "hello");
    lab_ask(one, 0, "GET /2", "");
    answer_hello(first);
    lab_expect(one, "hello");
    lab_ask(two, 1, "GET /3", ""); /* another session with the same gateway */
    int second = lab_gateway();
    answer_hello(second);
    assert_true(heard("GET /3 "));
    lab_expect(two, "hello");
    lab_expect_silence(first);
    flows_cut(flow_lab.proxyd.flows, flow_lab.sessions[0]); /* closed with its session */
    lab_expect_end(first);
    lab_ask(two, 1, "GET /4", "");
    answer_hello(second);
    lab_expect(two, "hello");
    close(one), close(two), close(first), close(second);
}

static void a_kept_connection_that_was_closed_is_no_failure(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /1", "");
    int first = lab_gateway();
    answer_hello(first);
    lab_expect(browser, "hello");
    /* The gateway closes while the request is on its way: it may be made again. */
    lab_ask(browser, 0, "GET /2", "");
    lab_expect(first, "GET /2 ");
    close(first);
    int second = lab_gateway();
    answer_hello(second);
    assert_true(heard("GET /2 "));
    lab_expect(browser, "hello");
    /* What changes something may have been done already. */
    lab_ask(browser, 0, "POST /3", "Content-Length: 2\r\n");
    lab_say(browser, "ab");
    lab_expect(second, "ab");
    close(second);
    lab_expect(browser, "HTTP/1.1 502");
    assert_false(lab_gateway_waits());
    /* Not even without a body. */
    int other = lab_browser();
    lab_ask(other, 0, "GET /4", "");
    int third = lab_gateway();
    answer_hello(third);
    lab_expect(other, "hello");
    lab_ask(other, 0, "POST /reboot", "");
    lab_expect(third, "POST /reboot ");
    close(third);
    lab_expect(other, "HTTP/1.1 502");
    assert_false(lab_gateway_waits());
    close(browser), close(other);
}

static void a_fresh_connection_that_breaks_is_a_failure(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "");
    close(lab_gateway());
    lab_expect(browser, "the server closed the connection");
    assert_true(heard("HTTP/1.1 502"));
    assert_false(lab_gateway_waits());
    assert_int_equal(rows().list[0].status, 502);
    close(browser);
}

static void a_browser_that_leaves_frees_the_gateway(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /poll", ""); /* a long poll */
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    close(browser);
    lab_expect_end(gateway);
    assert_int_equal(flow_lab.sessions[0]->n_flows, 0);
    close(gateway);
}

static void a_session_has_its_quota(void **state)
{
    (void)state;
    int browsers[FLOWS_PER_SESSION + 1], gateways[FLOWS_PER_SESSION];
    for (unsigned i = 0; i < FLOWS_PER_SESSION; i++) {
        browsers[i] = lab_browser();
        lab_ask(browsers[i], 0, "GET /", "");
        gateways[i] = lab_gateway();
    }
    browsers[FLOWS_PER_SESSION] = lab_browser();
    lab_ask(browsers[FLOWS_PER_SESSION], 0, "GET /", "");
    lab_expect(browsers[FLOWS_PER_SESSION], "HTTP/1.1 503");
    int other = lab_browser(); /* not the other's business */
    lab_ask(other, 1, "GET /", "");
    int gateway = lab_gateway();
    answer_hello(gateway);
    lab_expect(other, "hello");
    for (unsigned i = 0; i < FLOWS_PER_SESSION; i++) {
        close(browsers[i]), close(gateways[i]);
    }
    close(browsers[FLOWS_PER_SESSION]), close(other), close(gateway);
}

/* ---- bodies of any size ---- */

static void an_upload_waits_for_the_gateway(void **state)
{
    (void)state;
    static char piece[16384];
    char more[64];
    int browser = lab_browser();
    snprintf(more, sizeof more, "Content-Length: %d\r\n", BIG);
    lab_ask(browser, 0, "PUT /file", more);
    int gateway = lab_gateway();
    size_t sent = 0, got = 0, idle = 0;
    memset(piece, 'x', sizeof piece);
    while (idle < 50) { /* the gateway reads nothing */
        ssize_t n = send(browser, piece, sizeof piece, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        lab_turn();
    }
    assert_true(sent < BIG && sent < 8 * QUEUED);
    while (got < BIG) {
        size_t left = BIG - sent;
        ssize_t n = send(browser, piece, left < sizeof piece ? left : sizeof piece, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        lab_turn();
        while ((n = recv(gateway, lab_heard, FLOW_TEXT - 1, 0)) > 0) {
            lab_heard[n] = '\0';
            const char *body = got == 0 ? strstr(lab_heard, "\r\n\r\n") : NULL;
            got += (size_t)n - (body ? (size_t)(body + 4 - lab_heard) : 0);
        }
        assert_int_equal(errno, EAGAIN);
    }
    assert_int_equal(got, BIG);
    lab_say(gateway, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    lab_expect(browser, "HTTP/1.1 201");
    assert_int_equal(rows().list[0].bytes_in, BIG);
    close(browser), close(gateway);
}

static void a_download_waits_for_the_browser(void **state)
{
    (void)state;
    static char piece[16384];
    char head[128];
    int browser = lab_browser(), room = 65536;
    setsockopt(browser, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    lab_ask(browser, 0, "GET /file", "");
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
    lab_say(gateway, head);
    memset(piece, 'y', sizeof piece);
    size_t sent = 0, got = 0, idle = 0;
    while (idle < 50) { /* the browser reads nothing */
        ssize_t n = sent < BIG ? send(gateway, piece, sizeof piece, MSG_NOSIGNAL) : -1;
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        lab_turn();
    }
    while (got < BIG) {
        ssize_t n = sent < BIG
                        ? send(gateway, piece,
                               BIG - sent < sizeof piece ? BIG - sent : sizeof piece, MSG_NOSIGNAL)
                        : 0;
        sent += n > 0 ? (size_t)n : 0;
        lab_turn();
        while ((n = recv(browser, lab_heard, FLOW_TEXT - 1, 0)) > 0) {
            lab_heard[n] = '\0';
            const char *body = got == 0 ? strstr(lab_heard, "\r\n\r\n") : NULL;
            got += (size_t)n - (body ? (size_t)(body + 4 - lab_heard) : 0);
        }
        assert_int_equal(errno, EAGAIN);
    }
    assert_int_equal(got, BIG);
    assert_int_equal(rows().list[0].bytes_out, BIG);
    close(browser), close(gateway);
}

static void an_answer_during_an_upload_is_passed_on(void **state)
{
    (void)state;
    static char piece[65536];
    int browser = lab_browser();
    lab_ask(browser, 0, "POST /firmware", "Content-Length: 1073741824\r\n");
    int gateway = lab_gateway();
    memset(piece, 'x', sizeof piece);
    lab_say_bytes(browser, piece, sizeof piece);
    lab_expect(gateway, "xxxx");
    lab_say(gateway, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\n"
                     "Connection: close\r\n\r\ntoo big");
    close(gateway);
    lab_expect(browser, "too big");
    assert_true(heard("HTTP/1.1 413 ") && heard("\r\nConnection: close\r\n"));
    for (int i = 0; i < 20; i++) { /* it is still sending: that must not destroy the answer */
        send(browser, piece, sizeof piece, MSG_NOSIGNAL);
        lab_turn();
    }
    shutdown(browser, SHUT_WR);
    lab_expect_end(browser);
    assert_int_equal(rows().list[0].status, 413);
    assert_int_equal(flow_lab.sessions[0]->n_flows, 0);
    close(browser);
}

static void continue_comes_when_the_gateway_is_there(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "POST /", "Content-Length: 3\r\nExpect: 100-continue\r\n");
    int gateway = lab_gateway();
    lab_expect(browser, "HTTP/1.1 100 Continue\r\n\r\n");
    lab_say(browser, "abc");
    lab_expect(gateway, "abc");
    assert_false(heard("Expect"));
    lab_say(gateway, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    lab_expect(browser, "ok");
    close(browser), close(gateway);
}

static void events_come_at_once(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /events", "Accept: text/event-stream\r\n");
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    lab_say(gateway, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    lab_expect(browser, "\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        lab_say(gateway, "data: tick\n\n");
        lab_expect(browser, "data: tick\n\n");
    }
    flow_lab.proxyd.now.mono += 3600 * AMM_SECOND; /* silence is no reason to end */
    flows_step(flow_lab.proxyd.flows);
    lab_say(gateway, "data: tock\n\n");
    lab_expect(browser, "data: tock\n\n");
    flows_cut(flow_lab.proxyd.flows, flow_lab.sessions[0]);
    lab_expect_end(browser);
    assert_false(heard("0\r\n\r\n")); /* it did not end, it was cut */
    lab_expect_end(gateway);
    close(browser), close(gateway);
}

/* ---- upgrades ---- */

static const char websocket[] = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                "Sec-WebSocket-Version: 13\r\n";
static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                                "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";

static void an_upgrade_is_a_pipe(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /ws", websocket);
    lab_say(browser, "early"); /* in one piece with the head */
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    assert_true(heard("\r\nUpgrade: websocket\r\n") && heard("\r\nConnection: Upgrade\r\n"));
    assert_false(heard("early")); /* not before the gateway has agreed */
    char both[512];
    snprintf(both, sizeof both, "%sbehind", switching);
    lab_say(gateway, both);
    lab_expect(gateway, "early");
    lab_expect(browser, "behind");
    assert_true(heard("HTTP/1.1 101 ") && heard("\r\nConnection: Upgrade\r\n") &&
                heard("\r\nSec-WebSocket-Accept: x\r\n"));
    assert_false(heard("chunked") || heard("Content-Length"));
    static const char zeros[] = "a\0b\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    lab_say_bytes(browser, zeros, sizeof zeros);
    lab_turns(3);
    assert_int_equal(recv(gateway, lab_heard, FLOW_TEXT, 0), sizeof zeros);
    assert_memory_equal(lab_heard, zeros, sizeof zeros);
    assert_true(flow_lab.active > 0);
    shutdown(gateway, SHUT_WR); /* each direction ends by itself */
    assert_true(lab_expect_end(browser));
    lab_say(browser, "last");
    lab_expect(gateway, "last");
    close(browser);
    lab_expect_end(gateway);
    struct amm_proxy_requests batch = rows();
    assert_int_equal(batch.n, 1);
    assert_int_equal(batch.list[0].kind, AMM_PROXY_REQUEST_UPGRADE);
    assert_int_equal(batch.list[0].status, 101);
    assert_int_equal(batch.list[0].bytes_out, 6);
    close(gateway);
}

static void a_pipe_is_cut_with_its_session(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /ws", websocket);
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    lab_say(gateway, switching);
    lab_expect(browser, "\r\n\r\n");
    lab_say(browser, "not this");
    flows_cut(flow_lab.proxyd.flows, flow_lab.sessions[0]);
    assert_int_equal(flow_lab.sessions[0]->n_flows, 0);
    lab_expect_end(browser);
    lab_expect_end(gateway);
    assert_string_equal(lab_heard, "");
    close(browser), close(gateway);
}

static void a_pipe_that_is_not_read_does_not_grow(void **state)
{
    (void)state;
    static char piece[16384];
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /ws", websocket);
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    lab_say(gateway, switching);
    lab_expect(browser, "\r\n\r\n");
    for (int way = 0; way < 2; way++) {
        int from = way == 0 ? browser : gateway, to = way == 0 ? gateway : browser;
        size_t sent = 0, got = 0, idle = 0;
        while (idle < 50) {
            ssize_t n = send(from, piece, sizeof piece, MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
            idle = n > 0 ? 0 : idle + 1;
            lab_turn();
            assert_true(sent < 16 * QUEUED);
        }
        while (got < sent) {
            ssize_t n = recv(to, lab_heard, FLOW_TEXT, 0);
            got += n > 0 ? (size_t)n : 0;
            lab_turn();
        }
        assert_int_equal(got, sent);
    }
    close(browser), close(gateway);
}

static void an_upgrade_may_be_refused(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /ws", websocket);
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    lab_say(gateway, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    lab_expect(browser, "no");
    assert_true(heard("HTTP/1.1 403"));
    lab_ask(browser, 0, "GET /", ""); /* the connection goes on */
    answer_hello(gateway);
    lab_expect(browser, "hello");
    close(browser), close(gateway);
}

static void a_port_is_a_pipe(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /.amm/forward", "Connection: Upgrade\r\nUpgrade: amm-forward\r\n");
    int gateway = lab_gateway();
    lab_expect(browser, "\r\n\r\n");
    assert_true(heard("HTTP/1.1 101 ") && heard("\r\nUpgrade: amm-forward\r\n"));
    lab_say(gateway, "SSH-2.0-x\r\n");
    lab_expect(browser, "SSH-2.0-x\r\n");
    lab_say(browser, "SSH-2.0-y\r\n");
    lab_expect(gateway, "SSH-2.0-y\r\n");
    assert_string_equal(lab_heard, "SSH-2.0-y\r\n");
    close(gateway);
    lab_expect_end(browser);
    close(browser);
    lab_turns(3);
    assert_int_equal(rows().list[0].kind, AMM_PROXY_REQUEST_FORWARD);
}

static void a_host_behind_the_gateway_is_asked_for_at_its_relay(void **state)
{
    (void)state;
    static struct amm_assertion_seen seen;
    struct amm_assertion assertion;
    const struct amm_assertion_rules rules = {.kind = AMM_ASSERTION_RELAY,
                                              .key = flow_lab.signer,
                                              .serial = "LK1",
                                              .epoch = 9,
                                              .now = flow_lab.proxyd.now.wall};
    assert_true(amm_address_parse(&flow_lab.sessions[0]->about.relay, "192.168.13.100:22", 0));
    for (int round = 0; round < 2; round++) {
        int browser = lab_browser();
        lab_ask(browser, 0, "GET /.amm/forward",
                "Connection: Upgrade\r\nUpgrade: amm-forward\r\nAMM-Assertion: forged\r\n");
        int gateway = lab_gateway();
        lab_expect(gateway, "\r\n\r\n");
        assert_memory_equal(lab_heard, "GET /relay HTTP/1.1\r\nHost: 127.0.0.1:", 37);
        assert_true(heard("\r\nUpgrade: amm-relay\r\n") && heard("\r\nConnection: Upgrade\r\n"));
        assert_false(heard("forged") || heard("Cookie") || heard("192.168"));
        const char *text = strstr(lab_heard, "\r\nAMM-Assertion: ");
        assert_non_null(text);
        text += 17;
        assert_int_equal(
            amm_assertion_verify(&assertion, amm_view(text, strcspn(text, "\r")), &rules, &seen),
            AMM_ASSERTION_OK); /* each connection has one of its own */
        assert_true(amm_address_equal(&assertion.target, &flow_lab.sessions[0]->about.relay));
        if (round == 0) {
            lab_say(gateway, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                             "Upgrade: amm-relay\r\n\r\nSSH-2.0-x\r\n");
            lab_expect(browser, "SSH-2.0-x\r\n");
            assert_true(heard("HTTP/1.1 101 ") && heard("\r\nUpgrade: amm-forward\r\n"));
        } else {
            lab_say(gateway, "HTTP/1.1 403 Forbidden\r\nContent-Length: 23\r\n"
                             "Connection: close\r\n\r\n{\"error\":\"not-allowed\"}");
            lab_expect(browser, "{\"error\":\"not-allowed\"}");
            assert_true(heard("HTTP/1.1 403 "));
        }
        close(browser), close(gateway);
    }
}

static void a_port_is_nothing_for_pages(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /.amm/forward", "");
    lab_expect(browser, "HTTP/1.1 400");
    lab_ask(browser, 0, "GET /", "");
    lab_expect(browser, "HTTP/1.1 400");
    assert_false(lab_gateway_waits());
    close(browser);
}

/* ---- gateways that are slow, or end it ---- */

static void later(amm_duration seconds)
{
    flow_lab.proxyd.now.mono += seconds * AMM_SECOND;
    flows_step(flow_lab.proxyd.flows);
}

static void a_byte_a_minute_is_too_slow(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "");
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    lab_say(gateway, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx");
    lab_expect(browser, "\r\n\r\nx");
    later(65);
    lab_expect_end(browser); /* cut, because the head is out */
    lab_expect_end(gateway);
    close(browser), close(gateway);
}

static void endless_heads_have_an_end(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "");
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    lab_say(gateway, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 3; i++) { /* each byte is a sign of life, but no head */
        lab_say(gateway, "X");
        lab_turns(2);
    }
    later(301);
    lab_expect(browser, "HTTP/1.1 504");
    lab_expect_end(gateway);
    close(browser), close(gateway);
}

static void a_kept_connection_is_not_kept_for_ever(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "");
    int gateway = lab_gateway();
    answer_hello(gateway);
    lab_expect(browser, "hello");
    assert_int_equal(flow_lab.sessions[0]->n_flows, 1);
    later(21);
    assert_int_equal(flow_lab.sessions[0]->n_flows, 0);
    lab_expect_end(gateway);
    close(browser), close(gateway);
}

static void what_cannot_be_repeated_takes_no_stale_connection(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "");
    int first = lab_gateway();
    answer_hello(first);
    lab_expect(browser, "hello");
    flow_lab.sessions[0]->flows->used -= 5 * AMM_SECOND; /* the gateway may be about to close it */
    lab_ask(browser, 0, "POST /", "");
    int second = lab_gateway();
    answer_hello(second);
    assert_true(heard("POST / "));
    lab_expect(browser, "hello");
    close(browser), close(first), close(second);
}

static void the_gateway_may_end_the_session(void **state)
{
    (void)state;
    for (int own = 0; own < 2; own++) {
        int browser = lab_browser();
        flow_lab.sessions[0]->about.credentials = own ? AMM_PROXY_ASSERTION : AMM_PROXY_BASIC;
        lab_ask(browser, 0, "GET /", "");
        int gateway = lab_gateway();
        lab_expect(gateway, "\r\n\r\n");
        lab_say(gateway, "HTTP/1.1 401 Unauthorized\r\nAMM-Remote-Session: ended\r\n"
                         "Content-Length: 5\r\nConnection: close\r\n\r\nended");
        lab_expect(browser, "ended");
        lab_turns(2);
        bool is_there = sessions_find(flow_lab.proxyd.sessions, "abcdefghijklmnopqrstuvwxyz");
        assert_int_equal(is_there, !own);
        close(browser), close(gateway);
    }
    flow_lab.sessions[0] = flow_lab.sessions[1];
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_lab, close_lab)
#define PORT(name) cmocka_unit_test_setup_teardown(name, open_port, close_lab)
    const struct CMUnitTest tests[] = {
        TEST(a_request_looks_as_if_made_beside_the_gateway),
        TEST(each_frame_becomes_one_of_ours),
        TEST(pieces_may_be_cut_anywhere),
        TEST(a_connection_is_kept_for_its_own_session),
        TEST(a_kept_connection_that_was_closed_is_no_failure),
        TEST(a_fresh_connection_that_breaks_is_a_failure),
        TEST(a_browser_that_leaves_frees_the_gateway),
        TEST(a_session_has_its_quota),
        TEST(an_upload_waits_for_the_gateway),
        TEST(a_download_waits_for_the_browser),
        TEST(an_answer_during_an_upload_is_passed_on),
        TEST(continue_comes_when_the_gateway_is_there),
        TEST(events_come_at_once),
        TEST(an_upgrade_is_a_pipe),
        TEST(a_pipe_is_cut_with_its_session),
        TEST(a_pipe_that_is_not_read_does_not_grow),
        TEST(an_upgrade_may_be_refused),
        PORT(a_port_is_a_pipe),
        PORT(a_host_behind_the_gateway_is_asked_for_at_its_relay),
        PORT(a_port_is_nothing_for_pages),
        TEST(a_byte_a_minute_is_too_slow),
        TEST(endless_heads_have_an_end),
        TEST(a_kept_connection_is_not_kept_for_ever),
        TEST(what_cannot_be_repeated_takes_no_stale_connection),
        TEST(the_gateway_may_end_the_session),
    };
    return cmocka_run_group_tests_name("proxyd flow", tests, NULL, NULL);
}
