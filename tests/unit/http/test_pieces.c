/* Bodies in pieces, paced answers and pipes: the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lab.h"
#include "server_parts.h"

#include "io/clock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ALL = 1 << 20 };

static struct lab lab;
static struct amm_http_settings settings;

/* What the handler does, and what it saw. */
static size_t take_first, take_more; /* with the head; with each piece */
static unsigned calls, ends, gone, drained;
static struct amm_http_ref ref;
static bool has_body_limit_been_asked;
static char body[65536];
static size_t body_len, largest;

static void handle(void *context, const struct amm_http_call *call)
{
    (void)context;
    calls++;
    ref = call->ref;
    body_len = largest = 0;
    ends = 0;
    assert_int_equal(call->body.len, 0);
    assert_int_equal(call->streamed, !amm_view_equal(call->request->path, amm_view_str("/whole")));
    amm_http_take(call->server, ref, take_first);
}

static bool streams(void *context, const struct amm_http_call *call)
{
    (void)context;
    return !amm_view_equal(call->request->path, amm_view_str("/whole"));
}

static void piece(void *context, struct amm_http_ref from, struct amm_view bytes, bool last)
{
    (void)context;
    assert_int_equal(from.generation, ref.generation);
    assert_int_equal(ends, 0);
    assert_true(bytes.len > 0 || last);
    assert_true(body_len + bytes.len < sizeof body);
    if (bytes.len > 0) {
        memcpy(body + body_len, bytes.data, bytes.len);
    }
    body_len += bytes.len;
    body[body_len] = '\0';
    largest = bytes.len > largest ? bytes.len : largest;
    ends += last;
    amm_http_take(lab.server, from, take_more);
}

static void note_gone(void *context, struct amm_http_ref from)
{
    (void)context;
    assert_int_equal(from.generation, ref.generation);
    gone++;
}

static void note_drained(void *context, struct amm_http_ref from)
{
    (void)context;
    (void)from;
    drained++;
}

static size_t body_limit(void *context, const struct amm_http_call *call)
{
    (void)context;
    has_body_limit_been_asked = true;
    return call->streamed ? 0 : 10;
}

static int set_up(void **state)
{
    (void)state;
    settings = lab_settings(&lab);
    settings.handle = handle;
    settings.streams = streams;
    settings.piece = piece;
    settings.gone = note_gone;
    settings.drained = note_drained;
    settings.body_limit = body_limit;
    take_first = ALL;
    take_more = calls = ends = gone = drained = 0;
    has_body_limit_been_asked = false;
    lab_open(&lab, &settings);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

static void answer(const char *text)
{
    assert_true(amm_http_answer(
        lab.server, ref, &(struct amm_http_reply){.status = 200, .body = amm_view_str(text)}));
}

static bool was_heard(const char *text)
{
    return strstr(lab_heard, text) != NULL;
}

/* ---- bodies ---- */

static void a_body_comes_as_it_is_asked_for(void **state)
{
    (void)state;
    take_first = 4;
    int fd = lab_peer(&lab);
    lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789"
                "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_turn(&lab);
    assert_string_equal(body, "0123");
    assert_int_equal(ends, 0);
    amm_http_take(lab.server, ref, 1);
    lab_turn(&lab);
    assert_string_equal(body, "01234");
    amm_http_take(lab.server, ref, 100); /* more than there is */
    lab_turn(&lab);
    assert_string_equal(body, "0123456789");
    assert_int_equal(ends, 1);
    answer("thanks");
    lab_expect(&lab, fd, "thanks");
    assert_false(was_heard("Connection: close"));
    lab_until(&lab, &calls, 2); /* the connection goes on */
    answer("next");
    lab_expect(&lab, fd, "next");
    assert_int_equal(gone, 0);
    assert_false(has_body_limit_been_asked);
    close(fd);
}

static void chunks_may_be_cut_anywhere(void **state)
{
    (void)state;
    static const char request[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                                  "\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n";
    for (size_t cut = 1; cut < sizeof request - 1; cut++) {
        char first[sizeof request];
        take_first = 1 + cut % 3;
        take_more = 2;
        memcpy(first, request, cut);
        first[cut] = '\0';
        int fd = lab_peer(&lab);
        lab_say(fd, first);
        amm_http_server_step(lab.server);
        lab_say(fd, request + cut);
        lab_turn(&lab);
        assert_int_equal(ends, 1);
        assert_string_equal(body, "abcdefg");
        answer("ok");
        lab_expect(&lab, fd, "ok");
        close(fd);
        lab_turn(&lab);
    }
}

static void what_is_not_streamed_is_as_before(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    lab_expect(&lab, fd, "HTTP/1.1 413");
    assert_true(has_body_limit_been_asked);
    assert_int_equal(calls, 0);
    assert_int_equal(gone, 0);
    close(fd);
}

static void continue_is_said_when_something_is_taken(void **state)
{
    (void)state;
    take_first = 0;
    int fd = lab_peer(&lab);
    lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    lab_turn(&lab);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    amm_http_take(lab.server, ref, 2);
    lab_expect(&lab, fd, "HTTP/1.1 100 Continue\r\n\r\n");
    lab_say(fd, "ab");
    lab_until(&lab, &ends, 1);
    answer("ok");
    lab_expect(&lab, fd, "ok");
    assert_false(was_heard("100"));
    /* Who did not wait for it needs none. */
    lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\na");
    lab_until(&lab, &calls, 2);
    amm_http_take(lab.server, ref, 2);
    lab_say(fd, "b");
    lab_until(&lab, &ends, 1);
    answer("ok");
    lab_expect(&lab, fd, "ok");
    assert_false(was_heard("100"));
    close(fd);
}

static void an_early_answer_ends_the_connection(void **state)
{
    (void)state;
    static char rest[60000];
    memset(rest, 'x', sizeof rest - 1);
    take_first = 3;
    int fd = lab_peer(&lab);
    lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\nabcdef");
    lab_turn(&lab);
    answer("no");
    lab_expect(&lab, fd, "no");
    assert_true(was_heard("\r\nConnection: close\r\n"));
    lab_say(fd, rest); /* thrown away, and does not destroy the answer */
    lab_turn(&lab);
    shutdown(fd, SHUT_WR);
    lab_expect_end(&lab, fd);
    assert_int_equal(calls, 1);
    assert_int_equal(gone, 0); /* it was answered */
    assert_string_equal(body, "abc");
    close(fd);
}

static void a_broken_body_is_refused_and_told(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n");
    lab_expect(&lab, fd, "HTTP/1.1 400");
    assert_true(was_heard("chunk-end"));
    assert_int_equal(gone, 1);
    assert_false(amm_http_answer(lab.server, ref, &(struct amm_http_reply){.status = 200}));
    close(fd);
}

static void who_leaves_is_told_once(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", /* waits for its answer */
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
    };
    for (unsigned i = 0; i < 2; i++) {
        int fd = lab_peer(&lab);
        lab_say(fd, requests[i]);
        lab_until(&lab, &calls, i + 1);
        lab_turn(&lab);
        close(fd);
        lab_until(&lab, &gone, i + 1);
        lab_turn(&lab);
        assert_int_equal(gone, i + 1);
    }
}

static void only_what_was_asked_for_has_a_deadline(void **state)
{
    (void)state;
    lab_close(&lab);
    settings.body_pause = 20 * AMM_MILLISECOND;
    lab_open(&lab, &settings);
    take_first = 0;
    int fd = lab_peer(&lab);
    lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    lab_until(&lab, &calls, 1);
    assert_int_equal(amm_http_server_deadline(lab.server), AMM_NEVER); /* the handler's business */
    amm_http_take(lab.server, ref, 9);
    lab_expect(&lab, fd, "HTTP/1.1 408");
    assert_int_equal(gone, 1);
    close(fd);
}

/* ---- answers ---- */

static void begin_stream(const struct amm_http_reply *reply)
{
    lab_turn(&lab);
    assert_true(amm_http_answer(lab.server, ref, reply));
}

static void a_length_that_was_said_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *pieces[3];
        bool cut;
    } cases[] = {
        {{"hel", "lo", ""}, false},
        {{"hel", "", NULL}, true},
        {{"hel", "loo", NULL}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = lab_peer(&lab);
        gone = 0;
        lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        begin_stream(&(struct amm_http_reply){
            .status = 200, .stream = true, .has_length = true, .length = 5, .bare = true});
        for (int k = 0; k < 3 && cases[i].pieces[k]; k++) {
            amm_http_send(lab.server, ref, amm_view_str(cases[i].pieces[k]));
        }
        if (cases[i].cut) {
            lab_expect_end(&lab, fd);
            assert_int_equal(gone, 1);
        } else {
            lab_expect(&lab, fd, "hello");
            assert_int_equal(gone, 0);
        }
        assert_true(was_heard("\r\nContent-Length: 5\r\n") && was_heard("hel"));
        assert_false(was_heard("chunked") || was_heard("Date:"));
        close(fd);
        lab_turn(&lab);
    }
}

static void an_old_client_gets_a_stream_to_the_end(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "GET / HTTP/1.0\r\n\r\n");
    lab_turn(&lab);
    amm_http_inform(lab.server, ref, 103, amm_view_str("Link: x\r\n")); /* nothing for it */
    begin_stream(&(struct amm_http_reply){.status = 200, .stream = true, .paced = true});
    amm_http_send(lab.server, ref, amm_view_str("hello"));
    amm_http_send(lab.server, ref, amm_view(NULL, 0));
    lab_expect_end(&lab, fd);
    assert_true(was_heard("\r\n\r\nhello") && was_heard("Connection: close"));
    assert_false(was_heard("chunked") || was_heard("103"));
    close(fd);
}

static void a_paced_answer_waits_for_its_peer(void **state)
{
    (void)state;
    static uint8_t bytes[16384];
    static char sink[65536];
    int fd = lab_peer(&lab);
    lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    begin_stream(&(struct amm_http_reply){.status = 200, .stream = true, .paced = true});
    size_t sent = 0;
    while (amm_http_waiting(lab.server, ref) < 4 * sizeof bytes) { /* the peer reads nothing */
        assert_true(amm_http_send(lab.server, ref, amm_view(bytes, sizeof bytes)));
        lab_turn(&lab);
        sent += sizeof bytes;
    }
    unsigned before = drained;
    lab_turn(&lab);
    assert_int_equal(drained, before);
    for (int i = 0; i < 10000 && drained == before; i++) {
        while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0) {
        }
        amm_http_server_step(lab.server);
    }
    assert_int_equal(drained, before + 1);
    assert_true(amm_http_waiting(lab.server, ref) <= AMM_HTTP_DRAINED);
    amm_http_cut(lab.server, ref);
    lab_turn(&lab);
    assert_int_equal(amm_http_waiting(lab.server, ref), 0);
    assert_int_equal(gone, 1);
    close(fd);
}

static void hints_come_before_the_answer(void **state)
{
    (void)state;
    int fd = lab_peer(&lab);
    lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_until(&lab, &calls, 1);
    amm_http_inform(lab.server, ref, 103, amm_view_str("Link: </a>\r\n"));
    answer("ok");
    amm_http_inform(lab.server, ref, 103, amm_view_str("Link: </late>\r\n"));
    lab_expect(&lab, fd, "ok");
    assert_memory_equal(lab_heard, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200",
                        52);
    assert_false(was_heard("late"));
    close(fd);
}

/* ---- pipes ---- */

static int open_pipe(const char *more)
{
    int fd = lab_peer(&lab);
    unsigned before = calls;
    char request[256];
    snprintf(request, sizeof request,
             "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n%s", more);
    lab_say(fd, request);
    lab_until(&lab, &calls, before + 1);
    assert_true(amm_http_answer(lab.server, ref,
                                &(struct amm_http_reply){.status = 101,
                                                         .fields = amm_view_str("Upgrade: x\r\n"),
                                                         .upgrade = true,
                                                         .bare = true}));
    lab_expect(&lab, fd, "\r\n\r\n");
    assert_string_equal(lab_heard, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                   "Upgrade: x\r\n\r\n");
    return fd;
}

static void a_pipe_goes_both_ways(void **state)
{
    (void)state;
    take_first = 3;
    int fd = open_pipe("early");
    lab_turn(&lab);
    assert_string_equal(body, "ear");
    amm_http_take(lab.server, ref, ALL);
    lab_turn(&lab);
    assert_string_equal(body, "early");
    amm_http_send(lab.server, ref, amm_view_str("raw\r\n"));
    lab_expect(&lab, fd, "raw\r\n");
    assert_string_equal(lab_heard, "raw\r\n");
    shutdown(fd, SHUT_WR); /* the peer's direction */
    lab_until(&lab, &ends, 1);
    amm_http_send(lab.server, ref, amm_view_str("still"));
    lab_expect(&lab, fd, "still");
    amm_http_send(lab.server, ref, amm_view(NULL, 0)); /* ours */
    lab_expect_end(&lab, fd);
    lab_turn(&lab);
    assert_int_equal(gone, 0); /* a proper end of both */
    assert_false(amm_http_send(lab.server, ref, amm_view_str("x")));
    close(fd);
}

static void our_end_may_come_first(void **state)
{
    (void)state;
    int fd = open_pipe("");
    amm_http_send(lab.server, ref, amm_view(NULL, 0));
    lab_expect_end(&lab, fd);
    lab_say(fd, "last words");
    lab_turn(&lab);
    assert_string_equal(body, "last words");
    close(fd);
    lab_until(&lab, &ends, 1);
    lab_turn(&lab);
    assert_int_equal(gone, 0);
    struct amm_http_counters counters;
    amm_http_server_counters(lab.server, &counters);
    assert_int_equal(counters.open, 0);
}

static void what_a_peer_said_before_it_hung_up_is_heard(void **state)
{
    (void)state;
    take_first = 2;
    int fd = open_pipe("");
    lab_say(fd, "goodbye");
    close(fd);
    lab_turn(&lab);
    assert_string_equal(body, "go");
    assert_int_equal(amm_http_server_deadline(lab.server), AMM_NEVER);
    amm_http_take(lab.server, ref, ALL);
    lab_turn(&lab);
    assert_string_equal(body, "goodbye");
    assert_int_equal(ends, 1);
    amm_http_cut(lab.server, ref);
    lab_until(&lab, &gone, 1);
}

static void a_pipe_can_be_cut(void **state)
{
    (void)state;
    int fd = open_pipe("");
    amm_http_cut(lab.server, ref);
    lab_expect_end(&lab, fd);
    assert_int_equal(gone, 1);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_body_comes_as_it_is_asked_for),
        TEST(chunks_may_be_cut_anywhere),
        TEST(what_is_not_streamed_is_as_before),
        TEST(continue_is_said_when_something_is_taken),
        TEST(an_early_answer_ends_the_connection),
        TEST(a_broken_body_is_refused_and_told),
        TEST(who_leaves_is_told_once),
        TEST(only_what_was_asked_for_has_a_deadline),
        TEST(a_length_that_was_said_is_kept),
        TEST(an_old_client_gets_a_stream_to_the_end),
        TEST(a_paced_answer_waits_for_its_peer),
        TEST(hints_come_before_the_answer),
        TEST(a_pipe_goes_both_ways),
        TEST(our_end_may_come_first),
        TEST(what_a_peer_said_before_it_hung_up_is_heard),
        TEST(a_pipe_can_be_cut),
    };
    return cmocka_run_group_tests_name("http pieces", tests, NULL, NULL);
}
