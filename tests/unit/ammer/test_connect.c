#include "connect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct bench {
    struct amm_settings settings;
    struct amm_seeded_random seeded;
    struct amm_connect connect;
    amm_time now;
};

static void add_remote(struct bench *b, uint8_t transport)
{
    b->settings.remotes[b->settings.n_remotes++] = (struct amm_remote){"h", 1, transport, 0};
}

static void bench_start(struct bench *b, uint64_t seed)
{
    amm_seeded_random_init(&b->seeded, seed);
    b->now = 1000 * AMM_SECOND;
    amm_connect_init(&b->connect, &b->settings, amm_seeded_random(&b->seeded), b->now);
}

static void two_transports(struct bench *b, uint64_t seed)
{
    *b = (struct bench){0};
    amm_settings_init(&b->settings);
    add_remote(b, AMM_TCP); /* 0 */
    add_remote(b, AMM_UDP); /* 1 */
    add_remote(b, AMM_UDP); /* 2 */
    bench_start(b, seed);
}

static void one_remote(struct bench *b, uint64_t seed)
{
    *b = (struct bench){0};
    amm_settings_init(&b->settings);
    add_remote(b, AMM_UDP);
    bench_start(b, seed);
}

static amm_duration fail_and_measure(struct bench *b, struct amm_connect_end end)
{
    amm_connect_ended(&b->connect, b->now, &end);
    return amm_connect_deadline(&b->connect) - b->now;
}

static int next_try(struct bench *b)
{
    if (amm_connect_deadline(&b->connect) > b->now) {
        b->now = amm_connect_deadline(&b->connect);
    }
    return amm_connect_due(&b->connect, b->now);
}

static void the_first_try_is_at_once_and_udp_goes_before_tcp(void **state)
{
    (void)state;
    struct bench b;
    two_transports(&b, 1);
    assert_int_equal(amm_connect_due(&b.connect, b.now), 1);
    assert_int_equal(fail_and_measure(&b, (struct amm_connect_end){0}), 0);
    assert_int_equal(next_try(&b), 2);
    assert_int_equal(fail_and_measure(&b, (struct amm_connect_end){0}), 0);
    assert_int_equal(next_try(&b), 0);
    amm_duration wait = fail_and_measure(&b, (struct amm_connect_end){0});
    assert_in_range(wait, 0, 10 * AMM_SECOND);
    assert_int_equal(next_try(&b), 1);
}

static void a_remote_is_not_due_twice(void **state)
{
    (void)state;
    struct bench b;
    one_remote(&b, 1);
    assert_int_equal(amm_connect_due(&b.connect, b.now), 0);
    assert_int_equal(amm_connect_due(&b.connect, b.now), -1);
    amm_connect_up(&b.connect);
    assert_int_equal(amm_connect_due(&b.connect, b.now + 3600 * AMM_SECOND), -1);
}

/* The n-th wait of many gateways: within its limit, spread over all of it. */
static void waits_double_with_full_jitter_up_to_two_minutes(void **state)
{
    (void)state;
    static const uint64_t limits[] = {10, 20, 40, 80, 120, 120};
    for (size_t n = 0; n < 6; n++) {
        amm_duration least = AMM_NEVER, most = 0;
        for (uint64_t seed = 1; seed <= 400; seed++) {
            struct bench b;
            one_remote(&b, seed);
            amm_duration wait = 0;
            for (size_t i = 0; i <= n; i++) {
                assert_int_equal(next_try(&b), 0);
                wait = fail_and_measure(&b, (struct amm_connect_end){0});
            }
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        amm_duration limit = (amm_duration)limits[n] * AMM_SECOND;
        assert_true(most <= limit);
        assert_true(most > limit - limit / 20);
        assert_true(least < limit / 20);
    }
}

static void the_loss_of_a_tunnel_starts_again_at_ten_seconds_with_the_same_remote(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct bench b;
        two_transports(&b, seed);
        for (int i = 0; i < 10; i++) { /* three rounds failed: the next wait could be up to 80 s */
            next_try(&b);
            fail_and_measure(&b, (struct amm_connect_end){0});
        }
        int remote = next_try(&b);
        amm_connect_answered(&b.connect);
        amm_connect_up(&b.connect);
        assert_true(fail_and_measure(&b, (struct amm_connect_end){0}) <= 10 * AMM_SECOND);
        assert_int_equal(next_try(&b), remote);
    }
}

static void a_remote_that_does_not_answer_is_overdue_and_one_that_does_is_not(void **state)
{
    (void)state;
    struct bench b;
    one_remote(&b, 1);
    amm_connect_due(&b.connect, b.now);
    assert_int_equal(amm_connect_deadline(&b.connect), b.now + 10 * AMM_SECOND);
    assert_false(amm_connect_is_overdue(&b.connect, b.now + 10 * AMM_SECOND - 1));
    assert_true(amm_connect_is_overdue(&b.connect, b.now + 10 * AMM_SECOND));
    amm_connect_answered(&b.connect);
    assert_false(amm_connect_is_overdue(&b.connect, b.now + 3600 * AMM_SECOND));
    assert_true(amm_connect_deadline(&b.connect) == AMM_NEVER);
}

static void a_wait_that_the_server_asked_for_is_kept_and_spread(void **state)
{
    (void)state;
    amm_duration least = AMM_NEVER, most = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct bench b;
        two_transports(&b, seed);
        next_try(&b);
        amm_duration wait =
            fail_and_measure(&b, (struct amm_connect_end){.backoff = 300, .same_remote = true});
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
        assert_int_equal(next_try(&b), 1);
    }
    assert_true(least >= 300 * AMM_SECOND);
    assert_true(most <= 376 * AMM_SECOND);
    assert_true(most - least > 30 * AMM_SECOND);
}

static void a_refusal_that_names_no_wait_does_not_spin_on_one_remote(void **state)
{
    (void)state;
    amm_duration sum = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct bench b;
        two_transports(&b, seed);
        next_try(&b);
        sum += fail_and_measure(&b, (struct amm_connect_end){.same_remote = true});
    }
    assert_true(sum > 50 * AMM_SECOND);
}

static void the_next_remote_is_taken_when_the_server_asks_even_after_a_tunnel(void **state)
{
    (void)state;
    struct bench b;
    two_transports(&b, 3);
    assert_int_equal(next_try(&b), 1);
    amm_connect_up(&b.connect);
    fail_and_measure(&b, (struct amm_connect_end){.next_remote = true});
    assert_int_equal(next_try(&b), 2);
}

static void a_refusal_for_good_is_tried_again_every_quarter_of_an_hour(void **state)
{
    (void)state;
    struct bench b;
    one_remote(&b, 5);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next_try(&b), 0);
        assert_int_equal(fail_and_measure(&b, (struct amm_connect_end){.refused_for_good = true}),
                         900 * AMM_SECOND);
        assert_true(b.connect.is_refused);
    }
    next_try(&b);
    assert_false(b.connect.is_refused);
}

static void random_order_keeps_udp_before_tcp_and_loses_none(void **state)
{
    (void)state;
    bool differs = false;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct bench b = {0};
        amm_settings_init(&b.settings);
        b.settings.remote_random = true;
        for (int i = 0; i < 8; i++) {
            add_remote(&b, i % 2 ? AMM_TCP : AMM_UDP);
        }
        bench_start(&b, seed);
        unsigned seen = 0;
        for (unsigned i = 0; i < 8; i++) {
            int remote = next_try(&b);
            fail_and_measure(&b, (struct amm_connect_end){0});
            seen |= 1U << remote;
            assert_int_equal(b.settings.remotes[remote].transport, i < 4 ? AMM_UDP : AMM_TCP);
            differs |= i == 0 && remote != 0;
        }
        assert_int_equal(seen, 0xFF);
    }
    assert_true(differs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_try_is_at_once_and_udp_goes_before_tcp),
        cmocka_unit_test(a_remote_is_not_due_twice),
        cmocka_unit_test(waits_double_with_full_jitter_up_to_two_minutes),
        cmocka_unit_test(the_loss_of_a_tunnel_starts_again_at_ten_seconds_with_the_same_remote),
        cmocka_unit_test(a_remote_that_does_not_answer_is_overdue_and_one_that_does_is_not),
        cmocka_unit_test(a_wait_that_the_server_asked_for_is_kept_and_spread),
        cmocka_unit_test(a_refusal_that_names_no_wait_does_not_spin_on_one_remote),
        cmocka_unit_test(the_next_remote_is_taken_when_the_server_asks_even_after_a_tunnel),
        cmocka_unit_test(a_refusal_for_good_is_tried_again_every_quarter_of_an_hour),
        cmocka_unit_test(random_order_keeps_udp_before_tcp_and_loses_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
