/* Rings between two threads, and the bell that wakes the second one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/loop.h"
#include "tunneld/ring.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { RECORDS = 200000, RING = 4096 };

static void push(struct amm_ring *ring, uint32_t value, size_t len)
{
    uint32_t *record = amm_ring_reserve(ring, len);
    assert_non_null(record);
    *record = value;
    amm_ring_commit(ring);
}

static void a_record_comes_out_as_it_went_in(void **state)
{
    (void)state;
    struct amm_ring *ring = amm_ring_new(RING);
    size_t len = 0;
    char *record = amm_ring_reserve(ring, 6);
    memcpy(record, "hello", 6);
    assert_null(amm_ring_peek(ring, &len));
    amm_ring_commit(ring);
    assert_string_equal(amm_ring_peek(ring, &len), "hello");
    assert_int_equal(len, 6);
    amm_ring_release(ring);
    assert_null(amm_ring_peek(ring, &len));
    amm_ring_free(ring);
}

static void a_full_ring_refuses_and_loses_nothing(void **state)
{
    (void)state;
    struct amm_ring *ring = amm_ring_new(RING);
    uint32_t n = 0;
    uint32_t *record;
    size_t len;
    while ((record = amm_ring_reserve(ring, 100))) {
        *record = n++;
        amm_ring_commit(ring);
    }
    assert_true(n > RING / 128 && n < RING / 100);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(*(uint32_t *)amm_ring_peek(ring, &len), i);
        amm_ring_release(ring);
    }
    push(ring, 1, 100);
    amm_ring_free(ring);
}

static void a_record_larger_than_a_quarter_is_refused(void **state)
{
    (void)state;
    struct amm_ring *ring = amm_ring_new(RING);
    assert_null(amm_ring_reserve(ring, RING / 4));
    assert_non_null(amm_ring_reserve(ring, RING / 4 - 8));
    amm_ring_free(ring);
}

static void what_fits_can_be_reserved_at_any_position(void **state)
{
    (void)state;
    struct amm_ring *ring = amm_ring_new(RING);
    size_t len;
    for (uint32_t i = 0; i < 1000; i++) {
        while (amm_ring_fits(ring, 600)) {
            push(ring, i, 600);
        }
        assert_non_null(amm_ring_peek(ring, &len));
        amm_ring_release(ring);
        push(ring, i, 8 + i % 64); /* moves the place where records wrap */
        assert_non_null(amm_ring_peek(ring, &len));
        amm_ring_release(ring);
        while (amm_ring_peek(ring, &len)) {
            amm_ring_release(ring);
        }
    }
    amm_ring_free(ring);
}

/* ---- two threads ---- */

struct pair {
    struct amm_ring *ring;
    struct amm_bell bell;
};

static size_t len_of(uint32_t i)
{
    return 4 + i * 7919u % 500;
}

static void *produce(void *argument)
{
    struct pair *pair = argument;
    for (uint32_t i = 0; i < RECORDS; i++) {
        uint8_t *record;
        while (!(record = amm_ring_reserve(pair->ring, len_of(i)))) {
            amm_bell_ring(&pair->bell);
        }
        memset(record, (int)(i & 0xff), len_of(i));
        memcpy(record, &i, sizeof i);
        amm_ring_commit(pair->ring);
        amm_bell_ring(&pair->bell);
    }
    return NULL;
}

/* Sleeps for good if a wake-up is lost; meson's limit ends the test then. */
static void *wait_for_record(struct pair *pair, size_t *len)
{
    void *record;
    while (!(record = amm_ring_peek(pair->ring, len))) {
        struct pollfd poll_bell = {.fd = pair->bell.fd, .events = POLLIN};
        amm_bell_doze(&pair->bell);
        if (!amm_ring_peek(pair->ring, len)) {
            poll(&poll_bell, 1, -1);
        }
        amm_bell_answer(&pair->bell);
    }
    return record;
}

static void records_cross_threads_whole_in_order_and_wake_the_sleeper(void **state)
{
    (void)state;
    struct pair pair = {.ring = amm_ring_new(RING)};
    pthread_t thread;
    assert_true(amm_bell_init(&pair.bell));
    assert_int_equal(pthread_create(&thread, NULL, produce, &pair), 0);
    for (uint32_t i = 0; i < RECORDS; i++) {
        size_t len;
        uint32_t number;
        const uint8_t *record = wait_for_record(&pair, &len);
        memcpy(&number, record, sizeof number);
        if (number != i || len != len_of(i) || (len > 4 && record[len - 1] != (i & 0xff))) {
            fail_msg("record %u: number %u, length %zu", i, number, len);
        }
        amm_ring_release(pair.ring);
    }
    pthread_join(thread, NULL);
    amm_bell_deinit(&pair.bell);
    amm_ring_free(pair.ring);
}

/* The ringer is interrupted between its two steps, and the owner wakes for another reason. */
static void a_bell_that_rings_late_is_heard_once(void **state)
{
    (void)state;
    struct amm_bell bell;
    struct amm_ready ready[AMM_LOOP_READY];
    const uint64_t one = 1;
    struct amm_loop *loop = amm_loop_new();
    assert_true(amm_bell_init(&bell));
    assert_true(amm_loop_add(loop, bell.fd, AMM_READ | AMM_EDGE, 0));
    amm_bell_doze(&bell);
    assert_true(atomic_exchange(&bell.asleep, 0));
    amm_bell_answer(&bell);
    assert_int_equal(write(bell.fd, &one, sizeof one), sizeof one);
    for (unsigned round = 0; round < 3; round++) {
        amm_bell_doze(&bell);
        assert_int_equal(amm_loop_wait(loop, 0, ready), round == 0);
        amm_bell_answer(&bell);
    }
    amm_bell_doze(&bell);
    amm_bell_ring(&bell);
    assert_int_equal(amm_loop_wait(loop, 0, ready), 1);
    amm_bell_answer(&bell);
    amm_bell_deinit(&bell);
    amm_loop_free(loop);
}

static void a_bell_is_silent_while_its_owner_is_awake(void **state)
{
    (void)state;
    struct amm_bell bell;
    struct pollfd poll_bell = {.events = POLLIN};
    assert_true(amm_bell_init(&bell));
    poll_bell.fd = bell.fd;
    amm_bell_ring(&bell);
    assert_int_equal(poll(&poll_bell, 1, 0), 0);
    amm_bell_doze(&bell);
    amm_bell_ring(&bell);
    assert_int_equal(poll(&poll_bell, 1, 0), 1);
    amm_bell_answer(&bell);
    assert_int_equal(poll(&poll_bell, 1, 0), 0);
    amm_bell_deinit(&bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_out_as_it_went_in),
        cmocka_unit_test(a_full_ring_refuses_and_loses_nothing),
        cmocka_unit_test(a_record_larger_than_a_quarter_is_refused),
        cmocka_unit_test(what_fits_can_be_reserved_at_any_position),
        cmocka_unit_test(records_cross_threads_whole_in_order_and_wake_the_sleeper),
        cmocka_unit_test(a_bell_is_silent_while_its_owner_is_awake),
        cmocka_unit_test(a_bell_that_rings_late_is_heard_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
