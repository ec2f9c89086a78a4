/* Peers that are slow, many or large. Deadlines are short here; nothing is asked of their
 * precision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/clock.h"
#include "io/unix.h"
#include "lab.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHORT (40 * AMM_MILLISECOND)

static struct lab lab;

static void open_with(struct amm_http_settings settings)
{
    lab_open(&lab, &settings);
}

static struct amm_http_counters counters(void)
{
    struct amm_http_counters out;
    amm_http_server_counters(lab.server, &out);
    return out;
}

static void a_head_that_does_not_end_is_cut(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.head_deadline = 4 * SHORT;
    open_with(settings);
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /hello HTTP/1.1\r\n");
    char buffer[256];
    int bytes = 0;
    ssize_t n;
    /* One byte now and then keeps nothing alive. */
    while ((n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) < 0) {
        assert_int_equal(errno, EAGAIN);
        assert_true(++bytes < 5000);
        send(fd, "N", 1, MSG_NOSIGNAL);
        amm_http_server_step(lab.server);
        poll(NULL, 0, 1);
    }
    assert_true(n > 0 && memcmp(buffer, "HTTP/1.1 408 ", 13) == 0);
    lab_expect_end(&lab, fd);
    assert_int_equal(counters().timeouts, 1);
    close(fd);
    lab_close(&lab);
}

static void whoever_says_nothing_is_cut(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.head_deadline = SHORT;
    open_with(settings);
    int fd = lab_peer(&lab);
    lab_expect_end(&lab, fd);
    assert_string_equal(lab_heard, "");
    close(fd);
    lab_close(&lab);
}

static void a_body_that_stops_is_cut(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.body_pause = SHORT;
    open_with(settings);
    int fd = lab_peer(&lab);
    lab_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\nabc");
    lab_expect(&lab, fd, "HTTP/1.1 408 ");
    assert_int_equal(lab.calls, 0);
    close(fd);
    lab_close(&lab);
}

static void a_body_that_trickles_is_cut(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.body_pause = 4 * SHORT;
    settings.body_rate = 100000;
    open_with(settings);
    int fd = lab_peer(&lab);
    lab_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n");
    /* Much at once is not saved up for later. */
    static char much[30001];
    memset(much, 'x', sizeof much - 1);
    lab_say(fd, much);
    char answer[1024] = "";
    for (int i = 0; i < 20000 && recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT) < 0; i++) {
        send(fd, "x", 1, MSG_NOSIGNAL);
        amm_http_server_step(lab.server);
        poll(NULL, 0, 1);
    }
    assert_non_null(strstr(answer, "HTTP/1.1 408 "));
    close(fd);
    lab_close(&lab);
}

static void a_body_in_time_is_taken(void **state)
{
    (void)state;
    open_with(lab_settings(&lab));
    int fd = lab_peer(&lab);
    lab_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        lab_turn(&lab);
        amm_duration left = amm_http_server_deadline(lab.server) - amm_now().mono;
        assert_true(left <= 10 * AMM_SECOND + 100 * AMM_MILLISECOND);
        lab_say(fd, "abc");
    }
    lab_expect(&lab, fd, "abcabcabc");
    close(fd);
    lab_close(&lab);
}

static void idle_connections_end(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.idle_deadline = SHORT;
    open_with(settings);
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect_end(&lab, fd);
    assert_non_null(strstr(lab_heard, "hello"));
    assert_int_equal(counters().timeouts, 0);
    assert_int_equal(counters().open, 0);
    close(fd);
    lab_close(&lab);
}

static void a_request_that_waits_for_its_answer_has_no_deadline(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.idle_deadline = settings.head_deadline = 100 * SHORT;
    open_with(settings);
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 1);
    assert_int_equal(amm_http_server_deadline(lab.server), AMM_NEVER);
    close(fd);
    lab_close(&lab);
}

static void a_prefix_has_so_many_connections_and_no_more(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.per_prefix = 2;
    open_with(settings);
    lab_listen(&lab, NULL);
    int a = lab_connect(&lab), b = lab_connect(&lab), c = lab_connect(&lab);
    lab_expect_end(&lab, c);
    assert_int_equal(counters().refused_limit, 1);
    lab_say(a, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, a, "hello");
    assert_int_equal(lab.remote.family, AMM_FAMILY_IPV4);
    close(b);
    lab_turn(&lab);
    int d = lab_connect(&lab); /* b's place */
    lab_say(d, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, d, "hello");
    int unix_peer = lab_peer(&lab); /* is not counted */
    lab_say(unix_peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, unix_peer, "hello");
    close(a);
    close(c);
    close(d);
    close(unix_peer);
    lab_close(&lab);
}

static void the_oldest_idle_connection_makes_room(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.connections = 3;
    open_with(settings);
    lab_listen(&lab, NULL);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = lab_connect(&lab);
        lab_say(fds[i], i == 1 ? "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                               : "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        if (i != 1) {
            lab_expect(&lab, fds[i], "hello");
        } else {
            lab_until(&lab, &lab.calls, 2);
        }
    }
    lab_say(fds[0], "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"); /* the first is not the oldest now */
    lab_expect(&lab, fds[0], "hello");
    int more = lab_connect(&lab);
    lab_expect_end(&lab, fds[2]);
    lab_say(more, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 5);
    int another = lab_connect(&lab);
    lab_expect_end(&lab, fds[0]);
    lab_say(another, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 6);
    int late = lab_connect(&lab); /* nobody is idle */
    lab_expect_end(&lab, late);
    assert_int_equal(counters().refused_limit, 1);
    assert_int_equal(counters().open, 3);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    close(more);
    close(another);
    close(late);
    lab_close(&lab);
}

static void bodies_of_all_connections_together_are_bounded(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.body_memory = 30000;
    open_with(settings);
    int fd = lab_peer(&lab);
    lab_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    static char body[60000];
    for (size_t at = 0; at < sizeof body;) {
        ssize_t n = send(fd, body + at, sizeof body - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) {
            break;
        }
        at += n > 0 ? (size_t)n : 0;
        amm_http_server_step(lab.server);
    }
    lab_expect_end(&lab, fd);
    assert_non_null(strstr(lab_heard, "HTTP/1.1 503 "));
    assert_non_null(strstr(lab_heard, "Retry-After: "));
    assert_int_equal(lab.calls, 0);
    close(fd);
    /* What it had taken is given back. */
    fd = lab_peer(&lab);
    lab_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
    memset(body, 'x', sizeof body);
    assert_int_equal(send(fd, body, 30000, MSG_NOSIGNAL), 30000);
    lab_until(&lab, &lab.calls, 1);
    assert_int_equal(lab.body_len, 30000);
    close(fd);
    lab_close(&lab);
}

/* ---- streams ---- */

static void a_stream_is_sent_in_chunks(void **state)
{
    (void)state;
    open_with(lab_settings(&lab));
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, fd, "\r\n\r\n");
    assert_non_null(strstr(lab_heard, "Transfer-Encoding: chunked"));
    assert_null(strstr(lab_heard, "Content-Length"));
    assert_true(amm_http_send(lab.server, lab.ref, amm_view_str("data: 1\n\n")));
    lab_expect(&lab, fd, "9\r\ndata: 1\n\n\r\n");
    lab_say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"); /* waits for the end of the stream */
    lab_turn(&lab);
    assert_int_equal(lab.calls, 1);
    struct amm_http_ref stream = lab.ref;
    assert_true(amm_http_send(lab.server, stream, amm_view(NULL, 0)));
    lab_expect(&lab, fd, "hello");
    assert_int_equal(memcmp(lab_heard, "0\r\n\r\nHTTP/1.1 200", 17), 0);
    assert_false(amm_http_send(lab.server, stream, amm_view_str("late")));
    assert_int_equal(lab.gone, 0);
    close(fd);
    lab_close(&lab);
}

static void a_stream_of_http_10_ends_with_the_connection(void **state)
{
    (void)state;
    open_with(lab_settings(&lab));
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    lab_expect(&lab, fd, "\r\n\r\n");
    assert_null(strstr(lab_heard, "chunked"));
    assert_non_null(strstr(lab_heard, "Connection: close"));
    amm_http_send(lab.server, lab.ref, amm_view_str("text"));
    amm_http_send(lab.server, lab.ref, amm_view(NULL, 0));
    lab_expect_end(&lab, fd);
    assert_string_equal(lab_heard, "text");
    close(fd);
    lab_close(&lab);
}

static void the_end_of_a_streams_peer_is_told(void **state)
{
    (void)state;
    open_with(lab_settings(&lab));
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, fd, "\r\n\r\n");
    close(fd);
    lab_until(&lab, &lab.gone, 1);
    assert_memory_equal(&lab.gone_ref, &lab.ref, sizeof lab.ref);
    assert_false(amm_http_send(lab.server, lab.ref, amm_view_str("x")));
    /* Also if it left before the stream began. */
    fd = lab_peer(&lab);
    lab_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 2);
    assert_true(amm_http_answer(lab.server, lab.ref,
                                &(struct amm_http_reply){.status = 200, .stream = true}));
    close(fd);
    lab_until(&lab, &lab.gone, 2);
    /* And if there is nothing to stream. */
    fd = lab_peer(&lab);
    lab_say(fd, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.gone, 3);
    close(fd);
    lab_close(&lab);
}

static void a_stream_that_was_ended_is_nobodys_business(void **state)
{
    (void)state;
    open_with(lab_settings(&lab));
    int fd = lab_peer(&lab), size = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    lab_say(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 1);
    static char much[AMM_HTTP_BEHIND];
    assert_true(amm_http_send(lab.server, lab.ref, amm_view(much, sizeof much)));
    assert_true(amm_http_send(lab.server, lab.ref, amm_view(NULL, 0)));
    lab_turn(&lab);
    assert_int_equal(counters().open, 1); /* not all is out */
    close(fd);
    lab_turn(&lab);
    assert_int_equal(counters().open, 0);
    assert_int_equal(lab.gone, 0);
    lab_close(&lab);
}

static void a_reader_that_falls_behind_is_cut(void **state)
{
    (void)state;
    open_with(lab_settings(&lab));
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, fd, "\r\n\r\n");
    static char event[8192];
    memset(event, 'e', sizeof event);
    size_t sent = 0;
    while (amm_http_send(lab.server, lab.ref, amm_view(event, sizeof event))) {
        sent += sizeof event;
        assert_true(sent < 16 * AMM_HTTP_BEHIND);
        amm_http_server_step(lab.server);
    }
    assert_true(sent >= AMM_HTTP_BEHIND);
    lab_until(&lab, &lab.gone, 1);
    assert_int_equal(counters().open, 0);
    close(fd);
    lab_close(&lab);
}

static void a_reader_that_keeps_up_gets_everything(void **state)
{
    (void)state;
    open_with(lab_settings(&lab));
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect(&lab, fd, "\r\n\r\n");
    static char event[8192 + 1];
    memset(event, 'e', sizeof event - 1);
    for (size_t sent = 0; sent < 3 * AMM_HTTP_BEHIND; sent += sizeof event - 1) {
        assert_true(amm_http_send(lab.server, lab.ref, amm_view(event, sizeof event - 1)));
        lab_expect(&lab, fd, event);
    }
    close(fd);
    lab_close(&lab);
}

static void an_answer_that_nobody_reads_is_given_up(void **state)
{
    (void)state;
    struct amm_http_settings settings = lab_settings(&lab);
    settings.body_pause = SHORT / 3;
    open_with(settings);
    lab.file = memfd_create("body", MFD_CLOEXEC);
    lab.file_len = 16 << 20;
    assert_int_equal(ftruncate(lab.file, (off_t)lab.file_len), 0);
    int fd = lab_peer(&lab);
    lab_say(fd, "GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
    amm_time end = amm_time_after(amm_now().mono, 10 * AMM_SECOND);
    do {
        lab_turn(&lab);
        assert_true(amm_now().mono < end);
    } while (counters().open > 0);
    assert_int_equal(counters().timeouts, 1);
    close(fd);
    lab_close(&lab);
}

/* ---- listeners and the end ---- */

static void a_unix_listener_knows_its_peer(void **state)
{
    (void)state;
    open_with(lab_settings(&lab));
    char path[64], error[256];
    snprintf(path, sizeof path, "/tmp/amm-test-http-%d", (int)getpid());
    int fd = amm_unix_listen_stream(path, 0600, (gid_t)-1, error, sizeof error);
    assert_true(fd >= 0);
    assert_int_equal(amm_unix_listen(path, 0600, (gid_t)-1, error, sizeof error), -1);
    assert_non_null(strstr(error, "another process serves this socket"));
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_true(amm_http_server_listen(lab.server, fd, NULL, 9));
    struct amm_http_client_settings settings = {.unix_path = path, .host = "localhost"};
    struct amm_http_client *client = amm_http_client_new(&settings, amm_now());
    assert_int_equal(lab_fetch(&lab, client, "GET", "/hello", ""), 200);
    assert_int_equal(lab.uid, getuid());
    assert_int_equal(lab.tag, 9);
    amm_http_client_free(client);
    amm_http_server_unlisten(lab.server, 9);
    lab_turn(&lab);
    client = amm_http_client_new(&settings, amm_now());
    assert_int_equal(lab_fetch(&lab, client, "GET", "/hello", ""), 0);
    amm_http_client_free(client);
    lab_close(&lab);
    unlink(path);
}

static void a_server_that_stops_lets_answers_out(void **state)
{
    (void)state;
    open_with(lab_settings(&lab));
    int idle = lab_peer(&lab), busy = lab_peer(&lab);
    lab_say(busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &lab.calls, 1);
    amm_http_server_stop(lab.server);
    assert_true(amm_http_answer(
        lab.server, lab.ref, &(struct amm_http_reply){.status = 200, .body = amm_view_str("ok")}));
    shutdown(busy, SHUT_WR);
    amm_http_server_run(lab.server);
    char answer[1024];
    ssize_t n = recv(busy, answer, sizeof answer - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    answer[n] = '\0';
    assert_non_null(strstr(answer, "Connection: close"));
    assert_int_equal(recv(idle, answer, sizeof answer, MSG_DONTWAIT), 0);
    close(idle);
    close(busy);
    lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_that_does_not_end_is_cut),
        cmocka_unit_test(whoever_says_nothing_is_cut),
        cmocka_unit_test(a_body_that_stops_is_cut),
        cmocka_unit_test(a_body_that_trickles_is_cut),
        cmocka_unit_test(a_body_in_time_is_taken),
        cmocka_unit_test(idle_connections_end),
        cmocka_unit_test(a_request_that_waits_for_its_answer_has_no_deadline),
        cmocka_unit_test(a_prefix_has_so_many_connections_and_no_more),
        cmocka_unit_test(the_oldest_idle_connection_makes_room),
        cmocka_unit_test(bodies_of_all_connections_together_are_bounded),
        cmocka_unit_test(a_stream_is_sent_in_chunks),
        cmocka_unit_test(a_stream_of_http_10_ends_with_the_connection),
        cmocka_unit_test(the_end_of_a_streams_peer_is_told),
        cmocka_unit_test(a_stream_that_was_ended_is_nobodys_business),
        cmocka_unit_test(a_reader_that_falls_behind_is_cut),
        cmocka_unit_test(a_reader_that_keeps_up_gets_everything),
        cmocka_unit_test(an_answer_that_nobody_reads_is_given_up),
        cmocka_unit_test(a_unix_listener_knows_its_peer),
        cmocka_unit_test(a_server_that_stops_lets_answers_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
