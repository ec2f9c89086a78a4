#include "io/tcp.h"
#include "io/unix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct amm_frame_reader reader;

/* Three frames of 1, 2 and AMM_FRAME_MAX bytes, each filled with its number. */
static uint8_t stream[3 * 2 + 3 + AMM_FRAME_MAX];
static const size_t lengths[3] = {1, 2, AMM_FRAME_MAX};

static int set_up(void **state)
{
    (void)state;
    struct amm_writer w = amm_writer(stream, sizeof stream);
    for (size_t i = 0; i < 3; i++) {
        amm_write_u16(&w, (uint16_t)lengths[i]);
        memset(amm_write_gap(&w, lengths[i]), (int)i + 1, lengths[i]);
    }
    assert_int_equal(amm_writer_len(&w), sizeof stream);
    memset(&reader, 0, sizeof reader);
    return 0;
}

/* Feeds one chunk and checks each frame that comes out; the number of the next expected one. */
static size_t feed(size_t next, const uint8_t *data, size_t len)
{
    uint8_t copy[sizeof stream];
    memcpy(copy, data, len);
    struct amm_span bytes = {copy, len}, frame;
    enum amm_frame_result result;
    while ((result = amm_frame_next(&reader, &bytes, &frame)) == AMM_FRAME_READY) {
        assert_true(next < 3);
        assert_int_equal(frame.len, lengths[next]);
        next++;
        for (size_t i = 0; i < frame.len; i++) {
            assert_int_equal(frame.data[i], next);
        }
    }
    assert_int_equal(result, AMM_FRAME_MORE);
    assert_int_equal(bytes.len, 0);
    return next;
}

static void frames_come_out_whole_at_every_split(void **state)
{
    for (size_t split = 0; split <= sizeof stream; split++) {
        set_up(state);
        size_t next = feed(0, stream, split);
        assert_int_equal(feed(next, stream + split, sizeof stream - split), 3);
    }
}

static void frames_come_out_of_a_stream_of_single_bytes(void **state)
{
    (void)state;
    size_t next = 0;
    for (size_t i = 0; i < sizeof stream; i++) {
        next = feed(next, stream + i, 1);
    }
    assert_int_equal(next, 3);
}

static void impossible_lengths_break_the_stream(void **state)
{
    (void)state;
    static const uint16_t bad[] = {0, AMM_FRAME_MAX + 1, 0xffff};
    for (size_t i = 0; i < 3; i++) {
        for (size_t split = 0; split <= 2; split++) {
            uint8_t header[4] = {0};
            struct amm_span frame, bytes = {header, split};
            memset(&reader, 0, sizeof reader);
            amm_store_u16(header, bad[i]);
            if (split < 2) {
                assert_int_equal(amm_frame_next(&reader, &bytes, &frame), AMM_FRAME_MORE);
            }
            bytes = split < 2 ? (struct amm_span){header + split, 4 - split}
                              : (struct amm_span){header, 4};
            assert_int_equal(amm_frame_next(&reader, &bytes, &frame), AMM_FRAME_BROKEN);
        }
    }
}

/* Everything that is written comes out of the socket again, through many turns of the ring. */
static void the_writer_keeps_order_around_its_ring(void **state)
{
    (void)state;
    struct amm_frame_writer writer;
    int ends[2];
    assert_true(amm_frame_writer_init(&writer));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    static uint8_t chunk[65536];
    uint8_t payload[1500] = {0};
    unsigned written = 0, taken = 0, refused = 0;
    memset(&reader, 0, sizeof reader);
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < 7; i++) {
            amm_store_u32(payload, written);
            size_t len = 4 + written * 37 % (sizeof payload - 4);
            bool ok = amm_frame_add(&writer, amm_view(payload, 4), amm_view(payload + 4, len - 4));
            written += ok ? 1 : 0;
            refused += ok ? 0 : 1;
        }
        assert_true(amm_frame_flush(&writer, ends[0]));
        ssize_t got = round % 3 == 0
                          ? amm_tcp_read(ends[1], (struct amm_span){chunk, 4000 + (size_t)round})
                          : 0;
        struct amm_span bytes = {chunk, (size_t)got}, frame;
        while (got > 0 && amm_frame_next(&reader, &bytes, &frame) == AMM_FRAME_READY) {
            assert_int_equal(amm_load_u32(frame.data), taken);
            assert_int_equal(frame.len, 4 + taken * 37 % (sizeof payload - 4));
            taken++;
        }
    }
    assert_true(taken > 500 && refused > 0 && written > taken);
    amm_frame_writer_deinit(&writer);
    close(ends[0]);
    close(ends[1]);
}

static void a_full_queue_refuses_whole_frames(void **state)
{
    (void)state;
    struct amm_frame_writer writer;
    uint8_t payload[AMM_FRAME_MAX] = {0};
    assert_true(amm_frame_writer_init(&writer));
    size_t n = 0;
    while (amm_frame_add(&writer, amm_view(payload, sizeof payload), amm_view(NULL, 0))) {
        n++;
    }
    assert_int_equal(n, AMM_FRAME_QUEUE / (2 + AMM_FRAME_MAX));
    assert_int_equal(writer.len, n * (2 + AMM_FRAME_MAX));
    assert_false(amm_frame_add(&writer, amm_view(payload, 0), amm_view(NULL, 0)));
    assert_false(amm_frame_add(&writer, amm_view(payload, sizeof payload), amm_view(payload, 1)));
    amm_frame_writer_deinit(&writer);
}

static void a_closed_connection_is_told(void **state)
{
    (void)state;
    struct amm_frame_writer writer;
    int ends[2];
    uint8_t byte;
    assert_true(amm_frame_writer_init(&writer));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(amm_tcp_read(ends[0], (struct amm_span){&byte, 1}), 0);
    close(ends[1]);
    assert_true(amm_frame_add(&writer, amm_view("x", 1), amm_view(NULL, 0)));
    assert_false(amm_frame_flush(&writer, ends[0]));
    assert_int_equal(amm_tcp_read(ends[0], (struct amm_span){&byte, 1}), -1);
    amm_frame_writer_deinit(&writer);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_whole_at_every_split),
        cmocka_unit_test_setup(frames_come_out_of_a_stream_of_single_bytes, set_up),
        cmocka_unit_test(impossible_lengths_break_the_stream),
        cmocka_unit_test(the_writer_keeps_order_around_its_ring),
        cmocka_unit_test(a_full_queue_refuses_whole_frames),
        cmocka_unit_test(a_closed_connection_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
