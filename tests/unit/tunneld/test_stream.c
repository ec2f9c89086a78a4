/* TCP connections: found by number, bounded queues, and what becomes of peers that do not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tunneld/stream.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    struct amm_streams streams;
    struct amm_loop *loop;
    struct amm_drops drops;
    int far; /* the peer's end */
    struct amm_stream *stream;
};

static struct amm_stream *add(struct fixture *f, uint32_t link, int *far)
{
    int ends[2];
    struct amm_path path = {.link = link, .transport = AMM_TCP};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    *far = ends[1];
    struct amm_stream *stream = amm_stream_add(&f->streams, ends[0], &path);
    assert_non_null(stream);
    assert_true(amm_loop_add(f->loop, ends[0], AMM_READ, link));
    return stream;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->loop = amm_loop_new();
    f->stream = add(f, 7, &f->far);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    while (f->streams.first) {
        amm_stream_remove(&f->streams, f->streams.first);
    }
    assert_int_equal(f->streams.n_waiting, 0);
    close(f->far);
    amm_loop_free(f->loop);
    free(f);
    return 0;
}

/* Queues and sends until the peer's buffer and the queue are full. */
static void fill(struct fixture *f, amm_time now)
{
    static const uint8_t frame[1000];
    while (amm_stream_queue(&f->streams, f->stream, amm_view(frame, sizeof frame))) {
        assert_ptr_equal(amm_stream_take_dirty(&f->streams), f->stream);
        amm_stream_flush(&f->streams, f->stream, f->loop, 7, now);
    }
}

static void read_all(struct fixture *f)
{
    uint8_t bytes[65536];
    while (read(f->far, bytes, sizeof bytes) > 0) {
    }
}

static void streams_of_one_bucket_are_told_apart(void **state)
{
    struct fixture *f = *state;
    int far;
    struct amm_stream *other = add(f, 7 + 1024, &far);
    assert_ptr_equal(amm_stream_find(&f->streams, 7), f->stream);
    assert_ptr_equal(amm_stream_find(&f->streams, 7 + 1024), other);
    assert_null(amm_stream_find(&f->streams, 7 + 2048));
    amm_stream_remove(&f->streams, f->stream);
    assert_null(amm_stream_find(&f->streams, 7));
    assert_ptr_equal(amm_stream_find(&f->streams, 7 + 1024), other);
    assert_int_equal(f->streams.n, 1);
    close(far);
}

static void a_stream_that_is_removed_is_dirty_no_longer(void **state)
{
    struct fixture *f = *state;
    assert_true(amm_stream_queue(&f->streams, f->stream, amm_view("x", 1)));
    assert_true(amm_stream_queue(&f->streams, f->stream, amm_view("y", 1)));
    amm_stream_remove(&f->streams, f->stream);
    assert_null(amm_stream_take_dirty(&f->streams));
}

static void a_peer_that_reads_nothing_is_closed_after_ten_seconds(void **state)
{
    struct fixture *f = *state;
    amm_time start = AMM_SECOND;
    fill(f, start);
    assert_int_equal(f->streams.n_waiting, 1);
    amm_streams_judge(&f->streams, &f->drops, start + AMM_STREAM_PATIENCE - 1);
    assert_false(f->stream->broken);
    amm_streams_judge(&f->streams, &f->drops, start + AMM_STREAM_PATIENCE);
    assert_true(f->stream->broken);
    assert_int_equal(f->drops.count[AMM_DROP_TCP_SLOW], 1);
}

static void a_peer_that_reads_slowly_stays(void **state)
{
    struct fixture *f = *state;
    amm_time start = AMM_SECOND;
    fill(f, start);
    read_all(f);
    amm_stream_flush(&f->streams, f->stream, f->loop, 7, start + AMM_STREAM_PATIENCE - 1);
    amm_streams_judge(&f->streams, &f->drops, start + AMM_STREAM_PATIENCE);
    assert_false(f->stream->broken);
    read_all(f);
    amm_stream_flush(&f->streams, f->stream, f->loop, 7, start + AMM_STREAM_PATIENCE);
    while (f->stream->writer.len) {
        read_all(f);
        amm_stream_flush(&f->streams, f->stream, f->loop, 7, start + AMM_STREAM_PATIENCE);
    }
    assert_int_equal(f->streams.n_waiting, 0);
}

static void a_stream_that_closes_sends_what_it_has_first(void **state)
{
    struct fixture *f = *state;
    fill(f, AMM_SECOND);
    f->stream->closing = true;
    amm_stream_flush(&f->streams, f->stream, f->loop, 7, AMM_SECOND);
    assert_false(f->stream->broken);
    while (f->stream->writer.len) {
        read_all(f);
        amm_stream_flush(&f->streams, f->stream, f->loop, 7, AMM_SECOND);
    }
    assert_true(f->stream->broken);
}

static void a_connection_that_is_gone_is_noticed_when_sending(void **state)
{
    struct fixture *f = *state;
    close(f->far);
    assert_true(amm_stream_queue(&f->streams, f->stream, amm_view("x", 1)));
    amm_stream_flush(&f->streams, f->stream, f->loop, 7, AMM_SECOND);
    assert_true(f->stream->broken);
    f->far = -1;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(streams_of_one_bucket_are_told_apart),
        TEST(a_stream_that_is_removed_is_dirty_no_longer),
        TEST(a_peer_that_reads_nothing_is_closed_after_ten_seconds),
        TEST(a_peer_that_reads_slowly_stays),
        TEST(a_stream_that_closes_sends_what_it_has_first),
        TEST(a_connection_that_is_gone_is_noticed_when_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
