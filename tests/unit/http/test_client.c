/* The client against servers that say what the test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/client.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/tcp.h"
#include "io/unix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char path[64];
static int listener = -1, server = -1;
static struct amm_http_client *client;

static int set_up(void **state)
{
    (void)state;
    char error[256];
    snprintf(path, sizeof path, "/tmp/amm-test-http-client-%d", (int)getpid());
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

static struct amm_http_client_settings to_path(void)
{
    return (struct amm_http_client_settings){.unix_path = path, .host = "gateway:9443"};
}

static void connect_client(const struct amm_http_client_settings *settings)
{
    client = amm_http_client_new(settings, amm_now());
    assert_non_null(client);
}

static bool ask(const char *method, const char *target, const char *body)
{
    return amm_http_client_request(client, amm_view_str(method), amm_view_str(target),
                                   amm_view_str("Accept: text/plain\r\n"), amm_view_str(body));
}

static struct amm_http_event step(void)
{
    struct amm_http_event event;
    amm_http_client_step(client, amm_now(), &event);
    return event;
}

/* Waits on what the client says it waits for. */
static struct amm_http_event next(void)
{
    amm_time end = amm_time_after(amm_now().mono, 10 * AMM_SECOND);
    for (;;) {
        struct amm_http_event event = step();
        if (event.kind != AMM_HTTP_EVENT_NONE) {
            return event;
        }
        assert_true(amm_now().mono < end);
        unsigned interest = amm_http_client_interest(client);
        struct pollfd ready = {.fd = amm_http_client_fd(client),
                               .events = (short)((interest & AMM_READ ? POLLIN : 0) |
                                                 (interest & AMM_WRITE ? POLLOUT : 0))};
        poll(&ready, 1, 10);
    }
}

/* Connects, asks, and gives the request as the server sees it. */
static const char *start(const char *method, const char *target, const char *body)
{
    static char request[8192];
    assert_true(ask(method, target, body));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(step().kind, AMM_HTTP_EVENT_NONE);
    }
    if (server < 0) {
        server = amm_unix_accept(listener);
        assert_true(server >= 0);
    }
    ssize_t n = recv(server, request, sizeof request - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    request[n] = '\0';
    return request;
}

static void say(const char *text)
{
    assert_int_equal(send(server, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hang_up(void)
{
    close(server);
    server = -1;
}

static void expect_body(const char *text)
{
    char body[256] = "";
    size_t len = 0;
    struct amm_http_event event;
    while ((event = next()).kind == AMM_HTTP_EVENT_BODY) {
        assert_true(len + event.content.len < sizeof body);
        memcpy(body + len, event.content.data, event.content.len);
        len += event.content.len;
    }
    body[len] = '\0';
    assert_int_equal(event.kind, AMM_HTTP_EVENT_DONE);
    assert_string_equal(body, text);
}

static void a_request_is_written_as_it_should_be(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    connect_client(&settings);
    assert_string_equal(start("POST", "/a?b=c", "body"),
                        "POST /a?b=c HTTP/1.1\r\nHost: gateway:9443\r\nAccept: "
                        "text/plain\r\nContent-Length: 4\r\n\r\nbody");
    assert_false(ask("GET", "/", "")); /* one at a time */
    say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nhi");
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_HEAD);
    assert_int_equal(event.response->status, 200);
    assert_true(amm_view_equal(amm_http_field(&event.response->fields, "x"), amm_view_str("y")));
    expect_body("hi");
    /* The connection is used again. */
    assert_string_equal(start("GET", "/", ""),
                        "GET / HTTP/1.1\r\nHost: gateway:9443\r\nAccept: text/plain\r\n\r\n");
    say("HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(next().kind, AMM_HTTP_EVENT_HEAD);
    event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_DONE);
    assert_true(event.keep_alive);
    uint64_t in, out;
    amm_http_client_bytes(client, &in, &out);
    assert_true(in > 60 && out > 100);
}

static void what_is_not_fit_for_a_head_is_refused(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    connect_client(&settings);
    assert_false(ask("GET", "/ HTTP/1.1\r\nX: y", ""));
    assert_false(ask("G T", "/", ""));
    assert_false(ask("", "/", ""));
    assert_true(ask("PUT", "/", ""));
}

static void bodies_of_each_framing_arrive(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    static const struct {
        const char *answer, *body;
        bool ends, keep_alive;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
         "abcde", false, true},
        {"HTTP/1.1 200 OK\r\n\r\nto the end", "to the end", true, false},
        {"HTTP/1.0 200 OK\nContent-Length: 3\n\nold", "old", false, false},
        {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 "
         "OK\r\nContent-Length: 1\r\n\r\nx",
         "x", false, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t cut = 0; cut < strlen(cases[i].answer); cut++) {
            char first[256];
            memcpy(first, cases[i].answer, cut);
            first[cut] = '\0';
            connect_client(&settings);
            start("GET", "/", "");
            if (cut > 0) {
                say(first);
            }
            struct amm_http_event event = step();
            say(cases[i].answer + cut);
            if (cases[i].ends) {
                hang_up();
            }
            char body[64] = "";
            size_t len = 0;
            bool head = false;
            for (;; event = next()) {
                head |= event.kind == AMM_HTTP_EVENT_HEAD;
                if (event.kind == AMM_HTTP_EVENT_BODY) {
                    memcpy(body + len, event.content.data, event.content.len);
                    len += event.content.len;
                } else if (event.kind == AMM_HTTP_EVENT_DONE) {
                    break;
                }
                assert_int_not_equal(event.kind, AMM_HTTP_EVENT_FAILED);
            }
            assert_true(head);
            body[len] = '\0';
            assert_string_equal(body, cases[i].body);
            assert_int_equal(event.keep_alive, cases[i].keep_alive);
            if (!event.keep_alive) {
                assert_int_equal(amm_http_client_fd(client), -1);
                assert_false(ask("GET", "/", ""));
            }
            if (!cases[i].ends) {
                hang_up();
            }
            client = amm_http_client_free(client);
        }
    }
}

static void answers_that_are_none_fail_in_words(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    static const struct {
        const char *answer, *error;
    } cases[] = {
        {"", "the server closed the connection without an answer"},
        {"HTTP/1.1 200 OK\r\nContent-Le", "the server closed the connection without an answer"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "the answer is cut short"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", "the answer is cut short"},
        {"SSH-2.0-OpenSSH_9.2\r\n", NULL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabc", NULL},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", NULL},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
         "the server wants to change the protocol"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        connect_client(&settings);
        start("GET", "/", "");
        say(cases[i].answer);
        hang_up();
        struct amm_http_event event;
        while ((event = next()).kind != AMM_HTTP_EVENT_FAILED) {
            assert_int_not_equal(event.kind, AMM_HTTP_EVENT_DONE);
        }
        assert_true(strlen(event.error) > 10);
        if (cases[i].error) {
            assert_string_equal(event.error, cases[i].error);
        }
        assert_int_equal(amm_http_client_fd(client), -1);
        assert_int_equal(step().kind, AMM_HTTP_EVENT_NONE);
        assert_int_equal(amm_http_client_deadline(client), AMM_NEVER);
        client = amm_http_client_free(client);
    }
}

static void interim_answers_have_an_end(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    connect_client(&settings);
    start("GET", "/", "");
    for (int i = 0; i < 20; i++) {
        say("HTTP/1.1 102 Processing\r\n\r\n");
    }
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_FAILED);
    assert_string_equal(event.error, "the server says 1xx without end");
}

static void an_answer_may_come_before_the_request_is_out(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    static char body[8 << 20];
    memset(body, 'x', sizeof body - 1);
    connect_client(&settings);
    start("POST", "/", body);
    assert_true(amm_http_client_interest(client) & AMM_WRITE);
    say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    shutdown(server, SHUT_RDWR);
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_HEAD);
    assert_int_equal(event.response->status, 413);
    assert_int_equal(next().kind, AMM_HTTP_EVENT_BODY);
    event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_DONE);
    assert_false(event.keep_alive);
}

static void an_idle_connection_that_ends_is_noticed(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    connect_client(&settings);
    start("GET", "/", "");
    say("HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(next().kind, AMM_HTTP_EVENT_HEAD);
    assert_int_equal(next().kind, AMM_HTTP_EVENT_DONE);
    assert_int_equal(amm_http_client_deadline(client), AMM_NEVER);
    hang_up();
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_FAILED);
    assert_string_equal(event.error, "the server closed the connection");
}

static void what_nobody_asked_for_ends_the_connection(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = to_path();
    connect_client(&settings);
    start("GET", "/", "");
    /* An answer too many would be taken for that to the next request. */
    say("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(next().kind, AMM_HTTP_EVENT_HEAD);
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_DONE);
    assert_false(event.keep_alive);
}

static void each_wait_has_its_deadline(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *error;
    } cases[] = {
        {"", "no answer in time"},
        {"HTTP/1.1 200 OK\r\nConte", "no answer in time"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "the answer stopped on its way"},
    };
    struct amm_http_client_settings settings = to_path();
    settings.answer_deadline = settings.idle_deadline = 40 * AMM_MILLISECOND;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        connect_client(&settings);
        start("GET", "/", "");
        say(cases[i].answer);
        struct amm_http_event event;
        while ((event = next()).kind != AMM_HTTP_EVENT_FAILED) {
            assert_int_not_equal(event.kind, AMM_HTTP_EVENT_DONE);
        }
        assert_string_equal(event.error, cases[i].error);
        hang_up();
        client = amm_http_client_free(client);
    }
}

/* ---- TCP ---- */

static int tcp_listener(struct amm_address *address)
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

static void a_port_where_nobody_listens_is_said(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = {.host = "localhost"};
    close(tcp_listener(&settings.address));
    connect_client(&settings);
    assert_true(ask("GET", "/", ""));
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_FAILED);
    assert_non_null(strstr(event.error, "127.0.0.1:"));
    assert_non_null(strstr(event.error, "Connection refused"));
}

static void a_handshake_that_gets_no_answer_has_its_deadline(void **state)
{
    (void)state;
    char error[256];
    struct amm_http_client_settings settings = {.host = "localhost",
                                                .connect_deadline = 40 * AMM_MILLISECOND};
    int tcp = tcp_listener(&settings.address);
    settings.tls =
        amm_http_tls_new(&(struct amm_http_tls_settings){.is_client = true}, error, sizeof error);
    assert_non_null(settings.tls);
    connect_client(&settings);
    amm_http_tls_unref(settings.tls);
    assert_true(ask("GET", "/", ""));
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_FAILED);
    assert_string_equal(event.error, "the server does not answer (no TLS handshake in time)");
    close(tcp);
}

static void a_server_that_hangs_up_in_the_handshake_is_said(void **state)
{
    (void)state;
    char error[256];
    struct amm_http_client_settings settings = {.host = "localhost"};
    int tcp = tcp_listener(&settings.address);
    settings.tls =
        amm_http_tls_new(&(struct amm_http_tls_settings){.is_client = true}, error, sizeof error);
    connect_client(&settings);
    amm_http_tls_unref(settings.tls);
    assert_true(ask("GET", "/", ""));
    struct pollfd ready = {.fd = tcp, .events = POLLIN};
    assert_int_equal(step().kind, AMM_HTTP_EVENT_NONE);
    assert_int_equal(poll(&ready, 1, 5000), 1);
    struct amm_address remote, local;
    close(amm_tcp_accept(tcp, &remote, &local));
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_FAILED);
    assert_int_equal(event.tls_failure, AMM_TLS_PROTOCOL);
    assert_string_equal(event.error, "the server closed the connection in the TLS handshake");
    close(tcp);
}

static void an_interface_that_is_not_there_is_said(void **state)
{
    (void)state;
    struct amm_http_client_settings settings = {.host = "localhost", .bind_device = "nosuch0"};
    close(tcp_listener(&settings.address));
    connect_client(&settings);
    assert_true(ask("GET", "/", ""));
    struct amm_http_event event = next();
    assert_int_equal(event.kind, AMM_HTTP_EVENT_FAILED);
    assert_non_null(strstr(event.error, "No such device"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_request_is_written_as_it_should_be),
        CASE(what_is_not_fit_for_a_head_is_refused),
        CASE(bodies_of_each_framing_arrive),
        CASE(answers_that_are_none_fail_in_words),
        CASE(interim_answers_have_an_end),
        CASE(an_answer_may_come_before_the_request_is_out),
        CASE(an_idle_connection_that_ends_is_noticed),
        CASE(what_nobody_asked_for_ends_the_connection),
        CASE(each_wait_has_its_deadline),
        CASE(a_port_where_nobody_listens_is_said),
        CASE(a_handshake_that_gets_no_answer_has_its_deadline),
        CASE(a_server_that_hangs_up_in_the_handshake_is_said),
        CASE(an_interface_that_is_not_there_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
