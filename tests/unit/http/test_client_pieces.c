/* Bodies of any size, pipes, and a server's key before the first byte of a request: the client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lab.h"
#include "server_parts.h"

#include "io/clock.h"
#include "io/loop.h"
#include "io/unix.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAITS = 2000 };

static char path[64], got[1 << 20];
static int listener = -1, server = -1;
static struct amm_http_client *client;

static int set_up(void **state)
{
    (void)state;
    char error[256];
    snprintf(path, sizeof path, "/tmp/amm-test-http-pieces-%d", (int)getpid());
    listener = amm_unix_listen_stream(path, 0600, (gid_t)-1, error, sizeof error);
    assert_true(listener >= 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    client = amm_http_client_free(client);
    close(listener);
    if (server >= 0) {
        close(server);
    }
    server = -1;
    unlink(path);
    return 0;
}

static struct amm_http_event step(void)
{
    struct amm_http_event event;
    amm_http_client_step(client, amm_now(), &event);
    if (server < 0) {
        server = amm_unix_accept(listener);
    }
    return event;
}

/* The next event, while what the client waits for comes. */
static struct amm_http_event next(void)
{
    for (int i = 0; i < WAITS; i++) {
        struct amm_http_event event = step();
        if (event.kind != AMM_HTTP_EVENT_NONE) {
            return event;
        }
        unsigned interest = amm_http_client_interest(client);
        struct pollfd ready = {.fd = amm_http_client_fd(client),
                               .events = (short)((interest & AMM_READ ? POLLIN : 0) |
                                                 (interest & AMM_WRITE ? POLLOUT : 0))};
        poll(&ready, 1, 5);
    }
    fail_msg("nothing happens");
    return (struct amm_http_event){0};
}

static void begin(const struct amm_http_client_settings *settings, const struct amm_http_ask *ask)
{
    client = amm_http_client_new(settings, amm_now());
    assert_non_null(client);
    assert_true(amm_http_client_begin(client, ask));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(step().kind, AMM_HTTP_EVENT_NONE);
    }
    assert_true(server >= 0);
}

static struct amm_http_client_settings to_path(void)
{
    return (struct amm_http_client_settings){.unix_path = path, .host = "gateway"};
}

static struct amm_http_ask ask_for(const char *method, enum amm_http_framing framing,
                                   uint64_t length)
{
    return (struct amm_http_ask){.method = amm_view_str(method),
                                 .target = amm_view_str("/"),
                                 .fields = amm_view_str("X-A: b\r\n"),
                                 .framing = framing,
                                 .length = length};
}

/* All that the server has by now. */
static const char *hear(void)
{
    size_t len = 0;
    ssize_t n;
    step();
    while ((n = recv(server, got + len, sizeof got - 1 - len, MSG_DONTWAIT)) > 0) {
        len += (size_t)n;
    }
    got[len] = '\0';
    return got;
}

static void say(const char *text)
{
    assert_int_equal(send(server, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static bool give(const char *text)
{
    return amm_http_client_send(client, amm_view_str(text));
}

static void a_body_with_a_length_has_that_length(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    struct amm_http_ask ask = ask_for("PUT", AMM_HTTP_LENGTH, 5);
    begin(&settings, &ask);
    assert_string_equal(hear(), "PUT / HTTP/1.1\r\nHost: gateway\r\nX-A: b\r\n"
                                "Content-Length: 5\r\n\r\n");
    assert_int_equal(amm_http_client_deadline(client), AMM_NEVER); /* the caller's time */
    assert_true(give("hel"));
    assert_false(give("loo")); /* one too many: nothing of it */
    assert_string_equal(hear(), "hel");
    assert_true(give("lo"));
    assert_false(give("x"));
    assert_string_equal(hear(), "lo");
    say("HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(next().kind, AMM_HTTP_EVENT_HEAD);
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_DONE);
    assert_true(event.keep_alive);
}

static void small_pieces_become_large_chunks(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    struct amm_http_ask ask = ask_for("POST", AMM_HTTP_CHUNKED, 0);
    ask.has_host = true;
    ask.fields = amm_view_str("Host: other\r\n");
    begin(&settings, &ask);
    assert_string_equal(hear(), "POST / HTTP/1.1\r\nHost: other\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n");
    size_t room = amm_http_client_room(client);
    for (size_t i = 0; i < room; i++) { /* each byte takes one of the room, not more */
        assert_true(give("x"));
    }
    assert_false(give("x"));
    amm_http_client_end(client);
    hear();
    char line[32];
    snprintf(line, sizeof line, "%zx\r\n", room);
    assert_memory_equal(got, line, strlen(line));
    assert_string_equal(got + strlen(line) + room, "\r\n0\r\n\r\n");
    say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(next().kind, AMM_HTTP_EVENT_HEAD);
    assert_true(next().keep_alive);
    ask = ask_for("POST", AMM_HTTP_CHUNKED, 0); /* an empty one */
    assert_true(amm_http_client_begin(client, &ask));
    amm_http_client_end(client);
    hear();
    assert_non_null(strstr(got, "chunked\r\n\r\n0\r\n\r\n"));
}

static void the_room_is_bounded(void **state)
{
    (void)state;
    static char piece[4096];
    struct amm_http_client_settings settings = to_path();
    struct amm_http_ask ask = ask_for("PUT", AMM_HTTP_LENGTH, 1 << 30);
    begin(&settings, &ask);
    memset(piece, 'x', sizeof piece - 1);
    size_t sent = 0;
    while (amm_http_client_room(client) >= sizeof piece) { /* until the kernel is full, too */
        assert_true(give(piece));
        sent += sizeof piece - 1;
        step();
    }
    assert_true(sent < 4 << 20);
    assert_true(amm_http_client_interest(client) & AMM_WRITE);
    assert_true(amm_http_client_deadline(client) < AMM_NEVER); /* now the server's time */
    hear();
    hear();
    assert_true(amm_http_client_room(client) >= sizeof piece);
}

static void a_server_that_has_enough_is_heard(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    struct amm_http_ask ask = ask_for("PUT", AMM_HTTP_LENGTH, 1 << 30);
    begin(&settings, &ask);
    give("first");
    hear();
    say("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
    close(server);
    server = -1;
    give("second");
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_HEAD);
    assert_int_equal(event.response->status, 413);
    assert_int_equal(next().kind, AMM_HTTP_EVENT_BODY);
    event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_DONE);
    assert_false(event.keep_alive);
    assert_false(give("third"));
}

static void a_pause_holds_the_answer(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    struct amm_http_ask ask = ask_for("GET", AMM_HTTP_NO_BODY, 0);
    begin(&settings, &ask);
    say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd");
    assert_int_equal(next().kind, AMM_HTTP_EVENT_HEAD);
    amm_http_client_pause(client, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(step().kind, AMM_HTTP_EVENT_NONE);
    }
    assert_int_equal(amm_http_client_interest(client), 0);
    assert_int_equal(amm_http_client_deadline(client), AMM_NEVER);
    amm_http_client_pause(client, false);
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_BODY);
    assert_int_equal(event.content.len, 4);
    assert_int_equal(next().kind, AMM_HTTP_EVENT_DONE);
}

static void a_body_has_a_least_rate(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    settings.idle_deadline = 10 * AMM_SECOND;
    settings.body_rate = 1000;
    struct amm_http_ask ask = ask_for("GET", AMM_HTTP_NO_BODY, 0);
    begin(&settings, &ask);
    struct amm_now now = amm_now();
    struct amm_http_event event;
    say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    assert_int_equal(next().kind, AMM_HTTP_EVENT_HEAD);
    unsigned bytes = 0;
    do { /* a byte each 2 s is a sign of life, but not enough */
        say("x");
        now.mono += 2 * AMM_SECOND;
        do {
            amm_http_client_step(client, now, &event);
        } while (event.kind == AMM_HTTP_EVENT_BODY);
        bytes++;
    } while (event.kind == AMM_HTTP_EVENT_NONE && bytes < 100);
    assert_int_equal(event.kind, AMM_HTTP_EVENT_FAILED);
    assert_int_equal(event.failure, AMM_HTTP_LATE);
    assert_true(bytes < 8);
}

static void interim_answers_are_shown_to_who_wants_them(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    settings.interim = true;
    struct amm_http_ask ask = ask_for("GET", AMM_HTTP_NO_BODY, 0);
    begin(&settings, &ask);
    say("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_INTERIM);
    assert_int_equal(event.response->status, 103);
    assert_int_equal(next().kind, AMM_HTTP_EVENT_HEAD);
}

static void an_upgrade_becomes_a_pipe(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    struct amm_http_ask ask = ask_for("GET", AMM_HTTP_NO_BODY, 0);
    ask.fields = amm_view_str("Upgrade: x\r\n");
    ask.upgrade = true;
    begin(&settings, &ask);
    assert_non_null(strstr(hear(), "\r\nUpgrade: x\r\nConnection: Upgrade\r\n"));
    assert_false(give("too early"));
    say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw");
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_UPGRADED);
    assert_int_equal(event.response->status, 101);
    event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_BODY);
    assert_memory_equal(event.content.data, "raw", 3);
    assert_true(give("there"));
    assert_string_equal(hear(), "there");
    shutdown(server, SHUT_WR);
    assert_int_equal(next().kind, AMM_HTTP_EVENT_DONE);
    assert_true(give("more")); /* ours still goes */
    assert_string_equal(hear(), "more");
    amm_http_client_end(client);
    step();
    char byte;
    assert_int_equal(recv(server, &byte, 1, 0), 0);
    assert_int_equal(amm_http_client_fd(client), -1);
}

static void a_pipe_needs_no_request(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    client = amm_http_client_new(&settings, amm_now());
    assert_true(amm_http_client_pipe(client));
    struct amm_http_ask ask = ask_for("GET", AMM_HTTP_NO_BODY, 0);
    assert_false(amm_http_client_begin(client, &ask));
    assert_true(give("first")); /* before it is up */
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_UPGRADED);
    assert_null(event.response);
    assert_string_equal(hear(), "first");
    amm_http_client_end(client);
    step();
    char byte;
    assert_int_equal(recv(server, &byte, 1, 0), 0); /* our direction; the other one goes on */
    say("later");
    assert_int_equal(next().kind, AMM_HTTP_EVENT_BODY);
    close(server);
    server = -1;
    assert_int_equal(next().kind, AMM_HTTP_EVENT_DONE);
    assert_int_equal(amm_http_client_fd(client), -1);
}

/* ---- TLS ---- */

static struct lab_pki pki;

static void the_key_is_shown_before_the_request(void **state)
{
    (void)state;
    struct lab lab;
    lab_pki_make(&pki);
    struct amm_http_settings settings = lab_settings(&lab);
    struct amm_http_tls_settings tls = lab_server_tls(&pki);
    tls.ca = NULL;
    lab_open(&lab, &settings);
    lab_listen(&lab, lab_tls(&tls));
    struct amm_http_client_settings to = {
        .address = lab.address,
        .host = "router",
        .server_name = "",
        .first_use = true,
        .tls = lab_tls(&(struct amm_http_tls_settings){.is_client = true})};
    client = amm_http_client_new(&to, amm_now());
    assert_true(amm_http_client_request(client, amm_view_str("GET"), amm_view_str("/hello"),
                                        amm_view(NULL, 0), amm_view(NULL, 0)));
    struct amm_http_event event = lab_event(&lab, client);
    assert_int_equal(event.kind, AMM_HTTP_EVENT_KEY);
    uint8_t key[32], again[32];
    memcpy(key, event.key, sizeof key);
    assert_true(amm_http_client_key(client, again));
    assert_memory_equal(key, again, sizeof key);
    lab_turn(&lab); /* nothing goes on by itself */
    amm_http_client_step(client, amm_now(), &event);
    assert_int_equal(event.kind, AMM_HTTP_EVENT_NONE);
    lab_turn(&lab);
    assert_int_equal(lab.calls, 0);
    amm_http_client_trust(client);
    assert_int_equal(lab_event(&lab, client).kind, AMM_HTTP_EVENT_HEAD);
    assert_int_equal(lab.calls, 1);
    client = amm_http_client_free(client);

    key[0] ^= 1; /* pinned, and another one: shown, but nothing is asked */
    to.key_pin = amm_view(key, sizeof key);
    client = amm_http_client_new(&to, amm_now());
    assert_int_equal(lab_fetch(&lab, client, "GET", "/hello", ""), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_PIN);
    assert_true(amm_http_client_key(client, key));
    assert_memory_equal(key, again, sizeof key);
    assert_int_equal(lab.calls, 1);
    client = amm_http_client_free(client);

    to.key_pin = amm_view(NULL, 0); /* neither a pin nor a first use */
    to.first_use = false;
    client = amm_http_client_new(&to, amm_now());
    assert_int_equal(lab_fetch(&lab, client, "GET", "/hello", ""), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_UNKNOWN_ISSUER);
    client = amm_http_client_free(client);
    amm_http_tls_unref(to.tls);
    lab_close(&lab);
}

/* Many small servers end TLS without a word, just by closing. */
static void an_end_without_a_word_may_be_tolerated(void **state)
{
    (void)state;
    for (int tolerant = 0; tolerant < 2; tolerant++) {
        struct lab lab;
        struct amm_http_settings settings = lab_settings(&lab);
        struct amm_http_tls_settings tls = lab_server_tls(&pki);
        tls.ca = NULL;
        lab_open(&lab, &settings);
        lab_listen(&lab, lab_tls(&tls));
        struct amm_http_client_settings to = {
            .address = lab.address,
            .host = "router",
            .server_name = "",
            .first_use = true,
            .tolerant_end = tolerant,
            .tls = lab_tls(&(struct amm_http_tls_settings){.is_client = true})};
        client = amm_http_client_new(&to, amm_now());
        assert_true(amm_http_client_pipe(client));
        assert_int_equal(lab_event(&lab, client).kind, AMM_HTTP_EVENT_KEY);
        amm_http_client_trust(client);
        assert_int_equal(lab_event(&lab, client).kind, AMM_HTTP_EVENT_UPGRADED);
        lab_turn(&lab);
        for (unsigned i = 0; i < lab.server->settings.connections; i++) {
            if (lab.server->connections[i]) {
                shutdown(lab.server->connections[i]->stream.fd, SHUT_WR);
            }
        }
        assert_int_equal(lab_event(&lab, client).kind,
                         tolerant ? AMM_HTTP_EVENT_DONE : AMM_HTTP_EVENT_FAILED);
        client = amm_http_client_free(client);
        amm_http_tls_unref(to.tls);
        lab_close(&lab);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_body_with_a_length_has_that_length),
        TEST(small_pieces_become_large_chunks),
        TEST(the_room_is_bounded),
        TEST(a_server_that_has_enough_is_heard),
        TEST(a_pause_holds_the_answer),
        TEST(a_body_has_a_least_rate),
        TEST(interim_answers_are_shown_to_who_wants_them),
        TEST(an_upgrade_becomes_a_pipe),
        TEST(a_pipe_needs_no_request),
        TEST(the_key_is_shown_before_the_request),
        TEST(an_end_without_a_word_may_be_tolerated),
    };
    return cmocka_run_group_tests_name("http client pieces", tests, NULL, NULL);
}
