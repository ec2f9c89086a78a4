/* The relay over loopback: the tunnel address is 127.0.0.2, the LAN address 127.0.0.1, and targets
 * are ports of the gateway itself. Hosts behind a gateway are in tests/system. */
#include "web.h"
#include "web_relay.h"

#include "io/clock.h"
#include "io/tcp.h"
#include "support/fake_core.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t epoch = 7;
static struct ace_core core;
static struct ace_pages pages;
static struct amm_signer *signer;
static int target = -1;
static uint16_t target_port, relay_port;

static struct amm_address loopback(uint8_t last, uint16_t port)
{
    return (struct amm_address){.ip = {127, 0, 0, last}, .port = port, .family = AMM_FAMILY_IPV4};
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    return amm_load_u16((const uint8_t *)&at + 2);
}

static int listen_at(uint8_t last, uint16_t *port)
{
    char error[160];
    struct amm_address at = loopback(last, 0);
    int fd = amm_tcp_listen(&at, false, error, sizeof error);
    assert_true(fd >= 0);
    *port = port_of(fd);
    return fd;
}

static int begin(void **state)
{
    char pem[4096], error[128], text[64];
    (void)state;
    fake_core_init(&core, "/nonexistent");
    core.now = amm_now();
    core.tunnel.state = ACE_TUNNEL_UP;
    core.tunnel.client.epoch = epoch;
    core.n_listens = 2;
    core.listens[0] = (struct ace_listen){.address = loopback(1, 0), .prefix = 32};
    core.listens[1] =
        (struct ace_listen){.address = loopback(2, 0), .prefix = 32, .is_tunnel = true};
    assert_true(amm_signature_key_new(pem, error, sizeof error));
    signer = amm_signer_new(pem, "key", error, sizeof error);
    amm_signer_key(signer, core.remote_key);
    core.has_remote_key = true;
    target = listen_at(1, &target_port);
    close(listen_at(2, &relay_port));
    snprintf(text, sizeof text, "gateway:%u, 10.77.0.0/16:80", target_port);
    fake_core_set(&core, AMM_MSCI_RELAY_TARGETS, text);
    snprintf(text, sizeof text, "%u", relay_port);
    fake_core_set(&core, AMM_MSCI_RELAY_PORT, text);
    memset(&pages, 0, sizeof pages);
    pages.core = &core;
    pages.random = amm_kernel_random();
    web_sessions_init(&pages.sessions, pages.random);
    web_remote_init(&pages);
    pages.relay = web_relay_new(&pages);
    return pages.relay ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    pages.relay = web_relay_free(pages.relay);
    signer = amm_signer_free(signer);
    close(target);
    fake_core_deinit(&core);
    return 0;
}

/* ---- both ends ---- */

static void step(void)
{
    core.part.step(core.part.context);
}

/* Turns the relay until `fd` can be read. */
static void wait_for(int fd)
{
    struct pollfd both[2] = {{.fd = fd, .events = POLLIN},
                             {.fd = core.part.fd(core.part.context), .events = POLLIN}};
    for (;;) {
        assert_true(poll(both, 2, 20000) > 0);
        if (both[1].revents) {
            step();
        }
        if (both[0].revents) {
            return;
        }
    }
}

static size_t read_some(int fd, char *out, size_t room)
{
    wait_for(fd);
    ssize_t got = recv(fd, out, room - 1, 0);
    size_t len = got > 0 ? (size_t)got : 0;
    out[len] = '\0';
    return len;
}

static struct amm_assertion assertion(void)
{
    static uint32_t number;
    struct amm_assertion a = {
        .kind = AMM_ASSERTION_RELAY,
        .role = AMM_ASSERTION_USER,
        .serial = "A1B2C3D4",
        .epoch = epoch,
        .operator_name = "Maria",
        .label = "abcdefghijklmnopqrstuvwx27",
        .issued = core.now.wall,
        .expires = core.now.wall + 30,
        .target = {.port = target_port},
    };
    amm_store_u32(a.nonce, ++number);
    return a;
}

static int dial(void)
{
    char error[160];
    struct amm_address at = loopback(2, relay_port);
    int fd = amm_tcp_connect(&at, error, sizeof error);
    assert_true(fd >= 0);
    return fd;
}

static int ask(const struct amm_assertion *a, const char *behind)
{
    char wire[AMM_ASSERTION_MAX], request[AMM_ASSERTION_MAX + 256];
    int fd = dial();
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    assert_true(amm_assertion_write(a, signer, wire, sizeof wire) > 0);
    snprintf(request, sizeof request,
             "GET /relay HTTP/1.1\r\nHost: 127.0.0.2\r\nConnection: Upgrade\r\nUpgrade: "
             "amm-relay\r\nAMM-Assertion: %s\r\n\r\n%s",
             wire, behind);
    assert_int_equal(poll(&ready, 1, 20000), 1);
    assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
    return fd;
}

static void expect_refusal(int fd, const char *status, const char *name)
{
    char text[2048], start[64];
    snprintf(start, sizeof start, "HTTP/1.1 %s ", status);
    size_t len = read_some(fd, text, sizeof text);
    assert_true(len > 0);
    if (strncmp(text, start, strlen(start)) != 0 || !strstr(text, name)) {
        fail_msg("want %s %s in %s", status, name, text);
    }
    assert_int_equal(read_some(fd, text, sizeof text), 0); /* and closed */
    close(fd);
}

/* An open connection: its two ends. */
struct line {
    int proxy, host;
};

static struct line open_line(const struct amm_assertion *a, const char *behind)
{
    static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
                              "amm-relay\r\n\r\n";
    char text[1024];
    struct amm_address remote, local;
    struct line line = {.proxy = ask(a, behind)};
    wait_for(target);
    line.host = amm_tcp_accept(target, &remote, &local);
    assert_true(line.host >= 0);
    read_some(line.proxy, text, sizeof text);
    assert_string_equal(text, yes);
    return line;
}

static void close_line(struct line line)
{
    char text[64];
    close(line.host);
    while (read_some(line.proxy, text, sizeof text) > 0) {
    }
    close(line.proxy);
}

/* Turns the relay until the visit is over. */
static void wait_for_end_of(const struct web_visit *visit)
{
    struct pollfd ready = {.fd = core.part.fd(core.part.context), .events = POLLIN};
    while (visit->until == 0) {
        assert_int_equal(poll(&ready, 1, 20000), 1);
        step();
    }
    assert_int_equal(visit->end, WEB_END_LEFT);
}

/* ---- tests ---- */

static void bytes_go_both_ways_and_ends_are_passed_on(void **state)
{
    (void)state;
    char text[256];
    struct amm_assertion a = assertion();
    struct line line = open_line(&a, "early");
    read_some(line.host, text, sizeof text);
    assert_string_equal(text, "early");
    send(line.host, "answer", 6, 0);
    read_some(line.proxy, text, sizeof text);
    assert_string_equal(text, "answer");
    shutdown(line.proxy, SHUT_WR);
    assert_int_equal(read_some(line.host, text, sizeof text), 0);
    send(line.host, "after", 5, 0); /* the other direction lives on */
    read_some(line.proxy, text, sizeof text);
    assert_string_equal(text, "after");
    assert_int_equal(pages.visits.n, 1);
    assert_int_equal(pages.visits.at[0].until, 0);
    close_line(line);
    wait_for_end_of(&pages.visits.at[0]);
    assert_int_equal(pages.visits.at[0].in, 5);
    assert_int_equal(pages.visits.at[0].out, 11);
}

static void connections_of_one_session_are_one_visit(void **state)
{
    (void)state;
    struct amm_assertion a = assertion(), b = assertion();
    struct line first = open_line(&a, ""), second = open_line(&b, "");
    assert_int_equal(pages.visits.n, 1);
    assert_int_equal(pages.visits.at[0].connections, 2);
    close_line(first);
    assert_int_equal(pages.visits.at[0].until, 0);
    close_line(second);
    wait_for_end_of(&pages.visits.at[0]);
}

static void each_refusal_has_its_name(void **state)
{
    (void)state;
    struct amm_assertion a = assertion();
    a.target.port = (uint16_t)(target_port + 1);
    expect_refusal(ask(&a, ""), "403", "not-allowed");
    a = assertion();
    assert_true(amm_address_parse(&a.target, "10.77.1.1:80", 0)); /* listed, but no LAN has it */
    expect_refusal(ask(&a, ""), "403", "not-on-lan");
    a = assertion();
    a.epoch++;
    expect_refusal(ask(&a, ""), "403", "old-epoch");
    assert_int_equal(core.looks, 1);
    a = assertion();
    snprintf(a.serial, sizeof a.serial, "other");
    expect_refusal(ask(&a, ""), "403", "other-serial");
    a = assertion();
    a.kind = AMM_ASSERTION_SIGN_IN;
    expect_refusal(ask(&a, ""), "403", "malformed");
    a = assertion();
    close_line(open_line(&a, ""));
    expect_refusal(ask(&a, ""), "403", "replayed");
    core.has_remote_key = false;
    a = assertion();
    expect_refusal(ask(&a, ""), "403", "no-key");
    core.has_remote_key = true;
    a = assertion();
    close(target);
    expect_refusal(ask(&a, ""), "502", "unreachable");
    target = listen_at(1, &target_port);
}

static void other_requests_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET /relay HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /relay HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: amm-relay\r\n\r\n",
        "GET /relay HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
        "websocket\r\nAMM-Assertion: x\r\n\r\n",
        "GET /relay?host=x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
        "amm-relay\r\nAMM-Assertion: x\r\n\r\n",
        "POST /relay HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
        "amm-relay\r\nAMM-Assertion: x\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = dial();
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        assert_int_equal(poll(&ready, 1, 20000), 1);
        send(fd, bad[i], strlen(bad[i]), 0);
        expect_refusal(fd, "400", "bad-request");
    }
}

static void who_says_nothing_is_cut(void **state)
{
    (void)state;
    char text[16];
    int fd = dial();
    wait_for(core.part.fd(core.part.context));
    step();
    core.now.mono = core.part.deadline(core.part.context);
    step();
    assert_int_equal(read_some(fd, text, sizeof text), 0);
    close(fd);
}

static void a_session_has_eight_at_once(void **state)
{
    (void)state;
    struct line lines[WEB_RELAY_OF_ONE];
    struct amm_assertion a;
    for (size_t i = 0; i < WEB_RELAY_OF_ONE; i++) {
        a = assertion();
        lines[i] = open_line(&a, "");
    }
    a = assertion();
    expect_refusal(ask(&a, ""), "503", "busy");
    a = assertion();
    a.label[0] = 'x';
    close_line(open_line(&a, ""));
    for (size_t i = 0; i < WEB_RELAY_OF_ONE; i++) {
        close_line(lines[i]);
    }
}

static void another_tunnel_or_another_list_cuts(void **state)
{
    (void)state;
    char text[16];
    struct amm_assertion a = assertion();
    struct line line = open_line(&a, "");
    core.tunnel.client.epoch++;
    core.part.changed(core.part.context);
    assert_int_equal(read_some(line.proxy, text, sizeof text), 0);
    assert_int_equal(read_some(line.host, text, sizeof text), 0);
    close(line.proxy);
    close(line.host);
    core.tunnel.client.epoch--;
    a = assertion();
    line = open_line(&a, "");
    fake_core_set(&core, AMM_MSCI_RELAY_TARGETS, "gateway:1");
    core.part.changed(core.part.context);
    assert_int_equal(read_some(line.proxy, text, sizeof text), 0);
    close(line.proxy);
    close(line.host);
}

static void ending_a_session_cuts_its_connections(void **state)
{
    (void)state;
    char text[16];
    struct amm_assertion a = assertion(), b = assertion();
    b.label[0] = 'x';
    struct line line = open_line(&a, ""), other = open_line(&b, "");
    web_relay_cut(pages.relay, a.label, WEB_END_HERE);
    assert_int_equal(read_some(line.proxy, text, sizeof text), 0);
    close(line.proxy);
    close(line.host);
    send(other.host, "x", 1, 0);
    assert_int_equal(read_some(other.proxy, text, sizeof text), 1);
    close_line(other);
}

static void without_targets_nothing_listens(void **state)
{
    (void)state;
    fake_core_set(&core, AMM_MSCI_RELAY_TARGETS, "");
    core.part.changed(core.part.context);
    struct amm_address local;
    int fd = dial();
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&ready, 1, 20000), 1);
    assert_int_equal(amm_tcp_connect_result(fd, &local), ECONNREFUSED);
    close(fd);
}

/* More than the buffers hold, both ways at once, at a bounded rate: the clock is ours. */
static void a_slow_rate_loses_nothing(void **state)
{
    (void)state;
    enum { MUCH = 300000 };
    static char out[MUCH], in[MUCH];
    struct amm_assertion a = assertion();
    fake_core_set(&core, AMM_MSCI_RELAY_RATE, "64"); /* 8000 bytes a second */
    struct line line = open_line(&a, "");
    amm_time began = core.now.mono;
    for (size_t i = 0; i < MUCH; i++) {
        out[i] = (char)(i * 7 + i / 256);
    }
    size_t sent = 0, got = 0;
    while (got < MUCH) {
        ssize_t n = sent < MUCH ? send(line.host, out + sent, MUCH - sent, MSG_DONTWAIT) : 0;
        sent += n > 0 ? (size_t)n : 0;
        core.now.mono += 100 * AMM_MILLISECOND;
        step();
        n = recv(line.proxy, in + got, MUCH - got, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_memory_equal(in, out, MUCH);
    assert_true(core.now.mono - began >= (MUCH / 8000 - 2) * AMM_SECOND);
    core.now.mono += AMM_SECOND; /* the end takes a moment of the rate, too */
    step();
    close_line(line);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(bytes_go_both_ways_and_ends_are_passed_on),
        TEST(connections_of_one_session_are_one_visit),
        TEST(each_refusal_has_its_name),
        TEST(other_requests_are_refused),
        TEST(who_says_nothing_is_cut),
        TEST(a_session_has_eight_at_once),
        TEST(another_tunnel_or_another_list_cuts),
        TEST(ending_a_session_cuts_its_connections),
        TEST(without_targets_nothing_listens),
        TEST(a_slow_rate_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
