/* The server's manners: one plain connection at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lab.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct lab lab;

static int set_up(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.name = "amm";
    lab_open(&lab, &settings);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

static void an_answer_has_its_frame(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, fd, "\r\n\r\nhello");
    assert_non_null(strstr(lab_heard, "HTTP/1.1 200 OK\r\nDate: "));
    assert_non_null(strstr(lab_heard, "\r\nServer: amm\r\n"));
    assert_non_null(strstr(lab_heard, "\r\nContent-Length: 5\r\n"));
    assert_non_null(strstr(lab_heard, "\r\nContent-Type: text/plain\r\n"));
    assert_null(strstr(lab_heard, "Connection:"));
    assert_int_equal(lab.tag, LAB_TAG);
    assert_int_equal(lab.uid, getuid());
    assert_int_equal(lab.remote.family, AMM_FAMILY_NONE);
    assert_false(lab.is_tls);
    close(fd);
}

static void a_request_may_come_in_any_pieces(void **state)
{
    (void)state;
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                                  "\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n";
    for (size_t cut = 1; cut < sizeof request - 1; cut++) {
        char first[sizeof request];
        memcpy(first, request, cut);
        first[cut] = '\0';
        int fd = lab_peer(&lab);
        lab_say(fd, first);
        amm_http_server_step(lab.server);
        lab_say(fd, request + cut);
        lab_expect(&lab, fd, "\r\n\r\nabcdefg");
        close(fd);
        lab_turn(&lab);
    }
}

static void requests_in_one_piece_are_answered_in_order(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nonePOST /echo "
                "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
                "GET /empty HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\n"
                "Content-Length: 5\r\n\r\nthree");
    lab_expect(&lab, fd, "three");
    char *one = strstr(lab_heard, "\r\n\r\none"), *two = strstr(lab_heard, "\r\n\r\ntwo");
    char *empty = strstr(lab_heard, "204 No Content");
    assert_true(one && two && empty && one < two && two < empty);
    assert_int_equal(lab.calls, 4);
    close(fd);
}

static void a_pipelined_request_waits_for_the_answer_before_it(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_turn(&lab);
    assert_int_equal(lab.calls, 1);
    lab_say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"); /* waits in the kernel */
    lab_turn(&lab);
    assert_int_equal(lab.calls, 1);
    assert_true(
        amm_http_answer(lab.server, lab.ref,
                        &(struct amm_http_reply){.status = 200, .body = amm_view_str("late")}));
    lab_expect(&lab, fd, "hello");
    assert_true(strstr(lab_heard, "late") < strstr(lab_heard, "hello"));
    lab_until(&lab, &lab.calls, 3);
    close(fd);
}

static void very_many_pipelined_requests_are_all_answered(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    static const char request[] = "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n";
    static char many[300 * (sizeof request - 1) + 1];
    for (size_t i = 0; i < 300; i++) {
        memcpy(many + i * (sizeof request - 1), request, sizeof request);
    }
    lab_say(fd, many);
    lab_say(fd, "GET /close HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect_end(&lab, fd);
    assert_non_null(strstr(lab_heard, "hello"));
    assert_int_equal(lab.calls, 301);
    close(fd);
}

static void head_has_the_length_but_no_body(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, fd, "204 No Content");
    assert_non_null(strstr(lab_heard, "\r\nContent-Length: 5\r\n"));
    assert_non_null(strstr(lab_heard, "\r\n\r\nHTTP/1.1 204"));
    char *empty = strstr(lab_heard, "204 No Content");
    assert_null(strstr(empty, "Content-Length"));
    close(fd);
}

static void connections_end_as_the_peer_wishes(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        bool ends;
        const char *says;
    } cases[] = {
        {"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true, "Connection: close"},
        {"GET /hello HTTP/1.0\r\n\r\n", true, "Connection: close"},
        {"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, "Connection: keep-alive"},
        {"GET /close HTTP/1.1\r\nHost: a\r\n\r\n", true, "Connection: close"},
        {"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", false, "HTTP/1.1 200"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = lab_peer(&lab);
        lab_say(fd, cases[i].request);
        if (cases[i].ends) {
            lab_expect_end(&lab, fd);
            assert_non_null(strstr(lab_heard, cases[i].says));
        } else {
            lab_expect(&lab, fd, "hello");
            assert_non_null(strstr(lab_heard, cases[i].says));
            lab_say(fd, "GET /empty HTTP/1.0\r\n\r\n");
            lab_expect(&lab, fd, "204");
        }
        close(fd);
    }
}

static void a_half_closed_peer_still_gets_its_answer(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    lab_until(&lab, &lab.calls, 1);
    lab_turn(&lab);
    amm_http_answer(lab.server, lab.ref,
                    &(struct amm_http_reply){.status = 200, .body = amm_view_str("still")});
    lab_expect(&lab, fd, "still");
    close(fd);
}

static void an_expectation_is_met_before_the_body(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: "
                "100-continue\r\n\r\n");
    lab_expect(&lab, fd, "HTTP/1.1 100 Continue\r\n\r\n");
    lab_say(fd, "abc");
    lab_expect(&lab, fd, "\r\n\r\nabc");
    /* Whoever sends the body at once did not wait for it. */
    lab_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: "
                "100-continue\r\n\r\ndef");
    lab_expect(&lab, fd, "\r\n\r\ndef");
    assert_null(strstr(lab_heard, "100 Continue"));
    close(fd);
}

static void a_body_that_is_too_large_is_refused_before_it_is_read(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n",
    };
    static char much[65537 + 1];
    memset(much, 'x', sizeof much - 1);
    for (size_t i = 0; i < 3; i++) {
        int fd = lab_peer(&lab);
        lab_say(fd, requests[i]);
        if (i == 2) {
            size_t at = 0;
            while (at < sizeof much - 1) {
                ssize_t n = send(fd, much + at, sizeof much - 1 - at, MSG_NOSIGNAL | MSG_DONTWAIT);
                at += n > 0 ? (size_t)n : 0;
                amm_http_server_step(lab.server);
            }
        }
        lab_expect(&lab, fd, "\"error\":\"too-large\"");
        assert_non_null(strstr(lab_heard, "HTTP/1.1 413 "));
        assert_null(strstr(lab_heard, "100 Continue"));
        /* More of the body does not reset the connection before the answer is read. */
        lab_say(fd, "more");
        lab_expect_end(&lab, fd);
        assert_int_equal(lab.calls, 0);
        close(fd);
    }
}

static void a_request_that_takes_no_body_gets_none(void **state)
{
    (void)state;
    lab.body_limit = 0;
    int fd = lab_peer(&lab);
    lab_say(fd, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    lab_expect(&lab, fd, "HTTP/1.1 413");
    close(fd);
    fd = lab_peer(&lab);
    lab_say(fd, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    lab_expect(&lab, fd, "hello");
    close(fd);
}

static void bad_requests_hear_why(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status, *name;
    } cases[] = {
        {"GET /hello HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "host-missing"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
         "chunked\r\n\r\nabc",
         "HTTP/1.1 400 ", "length-and-coding"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
         "HTTP/1.1 400 ", "chunk"},
        {"\x16\x03\x01\x02\x01\x01", "HTTP/1.1 400 ", "error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = lab_peer(&lab);
        lab_say(fd, cases[i].request);
        lab_expect_end(&lab, fd);
        assert_non_null(strstr(lab_heard, cases[i].status));
        assert_non_null(strstr(lab_heard, cases[i].name));
        assert_non_null(strstr(lab_heard, "Content-Type: application/json"));
        assert_non_null(strstr(lab_heard, "Connection: close"));
        close(fd);
    }
    assert_int_equal(lab.calls, 0);
    struct amm_http_counters counters;
    amm_http_server_counters(lab.server, &counters);
    assert_int_equal(counters.bad_requests, 4);
    assert_int_equal(counters.requests, 0);
}

static void a_head_that_is_too_long_is_refused(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n");
    static char line[1024 + 1];
    memset(line, 'x', sizeof line - 1);
    memcpy(line, "N: ", 3);
    memcpy(line + sizeof line - 3, "\r\n", 2);
    for (int i = 0; i < 17; i++) {
        lab_say(fd, line);
        amm_http_server_step(lab.server);
    }
    lab_expect_end(&lab, fd);
    assert_non_null(strstr(lab_heard, "HTTP/1.1 431 "));
    close(fd);
}

static void an_answer_counts_once_and_only_for_its_request(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 1);
    struct amm_http_ref first = lab.ref;
    struct amm_http_reply reply = {.status = 200, .body = amm_view_str("first")};
    assert_true(amm_http_answer(lab.server, first, &reply));
    reply.body = amm_view_str("again");
    assert_true(amm_http_answer(lab.server, first, &reply)); /* not yet known to be one too many */
    lab_expect(&lab, fd, "first");
    lab_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 2);
    assert_false(amm_http_answer(lab.server, first, &reply));
    reply.body = amm_view_str("second");
    assert_true(amm_http_answer(lab.server, lab.ref, &reply));
    lab_expect(&lab, fd, "second");
    assert_null(strstr(lab_heard, "again"));
    close(fd);
}

static void an_answer_to_a_peer_that_left_is_thrown_away(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 1);
    close(fd);
    lab_turn(&lab);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_false(amm_http_answer(
        lab.server, lab.ref,
        &(struct amm_http_reply){.status = 200, .has_file = true, .file = file, .file_len = 1}));
    assert_int_equal(fcntl(file, F_GETFD), -1);
    assert_false(amm_http_send(lab.server, lab.ref, amm_view_str("x")));
    assert_false(amm_http_answer(lab.server, (struct amm_http_ref){4711, 1},
                                 &(struct amm_http_reply){.status = 200}));
}

static void a_reply_that_cannot_be_written_ends_the_connection(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 1);
    assert_false(amm_http_answer(
        lab.server, lab.ref,
        &(struct amm_http_reply){.status = 200, .content_type = "text/plain\r\nX: y"}));
    lab_expect_end(&lab, fd);
    assert_string_equal(lab_heard, "");
    close(fd);
}

static int file_of(size_t len)
{
    int fd = memfd_create("body", MFD_CLOEXEC);
    static char piece[4096];
    memset(piece, 'f', sizeof piece);
    for (size_t at = 0; at < len;) {
        size_t n = len - at < sizeof piece ? len - at : sizeof piece;
        assert_int_equal(write(fd, piece, n), n);
        at += n;
    }
    return fd;
}

static void a_file_is_sent_as_it_is(void **state)
{
    (void)state;
    lab_listen(&lab, NULL);
    static const size_t sizes[] = {0, 1, 40000};
    for (size_t i = 0; i < 3; i++) {
        lab.file = file_of(sizes[i]);
        lab.file_len = sizes[i];
        int fd = lab_connect(&lab);
        lab_say(fd, "GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        lab_expect_end(&lab, fd);
        char *body = strstr(lab_heard, "\r\n\r\n");
        assert_non_null(body);
        assert_int_equal(strlen(body + 4), sizes[i]);
        assert_int_equal(fcntl(lab.file, F_GETFD), -1);
        close(fd);
    }
}

static void a_file_that_is_shorter_than_said_ends_the_connection(void **state)
{
    (void)state;
    lab_listen(&lab, NULL);
    lab.file = file_of(10);
    lab.file_len = 20;
    int fd = lab_connect(&lab);
    lab_say(fd, "GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect_end(&lab, fd);
    assert_non_null(strstr(lab_heard, "Content-Length: 20"));
    close(fd);
}

static void a_body_larger_than_a_head_goes_both_ways(void **state)
{
    (void)state;
    static char body[60000 + 1], head[128];
    memset(body, 'b', sizeof body - 1);
    int fd = lab_peer(&lab);
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
             sizeof body - 1);
    lab_say(fd, head);
    for (size_t at = 0; at < sizeof body - 1;) {
        ssize_t n = send(fd, body + at, sizeof body - 1 - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        at += n > 0 ? (size_t)n : 0;
        amm_http_server_step(lab.server);
    }
    lab_expect(&lab, fd, body);
    lab_say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, fd, "hello");
    close(fd);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_answer_has_its_frame),
        CASE(a_request_may_come_in_any_pieces),
        CASE(requests_in_one_piece_are_answered_in_order),
        CASE(a_pipelined_request_waits_for_the_answer_before_it),
        CASE(very_many_pipelined_requests_are_all_answered),
        CASE(head_has_the_length_but_no_body),
        CASE(connections_end_as_the_peer_wishes),
        CASE(a_half_closed_peer_still_gets_its_answer),
        CASE(an_expectation_is_met_before_the_body),
        CASE(a_body_that_is_too_large_is_refused_before_it_is_read),
        CASE(a_request_that_takes_no_body_gets_none),
        CASE(bad_requests_hear_why),
        CASE(a_head_that_is_too_long_is_refused),
        CASE(an_answer_counts_once_and_only_for_its_request),
        CASE(an_answer_to_a_peer_that_left_is_thrown_away),
        CASE(a_reply_that_cannot_be_written_ends_the_connection),
        CASE(a_file_is_sent_as_it_is),
        CASE(a_file_that_is_shorter_than_said_ends_the_connection),
        CASE(a_body_larger_than_a_head_goes_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
