#include "limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define HOUR (3600 * AMM_SECOND)

static struct amm_limiter limiter;

static void limits(uint32_t per_bucket, uint32_t total)
{
    struct amm_limiter_config config = {per_bucket, total};
    amm_limiter_init(&limiter, &config, (struct amm_siphash_key){1, 2});
}

/* How many of `n` are answered. */
static unsigned answered(amm_time now, uint64_t bucket, unsigned n)
{
    unsigned yes = 0;
    for (unsigned i = 0; i < n; i++) {
        yes += amm_limiter_take(&limiter, now, bucket, bucket);
    }
    return yes;
}

static void a_bucket_answers_its_rate_and_then_waits(void **state)
{
    (void)state;
    limits(10, 1000);
    assert_int_equal(answered(HOUR, 7, 50), 10);
    assert_int_equal(answered(HOUR + AMM_SECOND / 2, 7, 50), 5);
    assert_int_equal(answered(HOUR + 100 * AMM_SECOND, 7, 50), 10); /* silence saves up one burst */
}

static void one_bucket_does_not_use_up_another(void **state)
{
    (void)state;
    limits(10, 1000);
    assert_int_equal(answered(HOUR, 7, 50), 10);
    assert_int_equal(answered(HOUR, 8, 50), 10);
}

static void a_completed_handshake_gives_its_token_back(void **state)
{
    (void)state;
    limits(2, 8);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(answered(HOUR, 7, 1), 1);
        amm_limiter_refund(&limiter, 7);
    }
    assert_int_equal(answered(HOUR, 7, 50), 2);
    assert_int_equal(answered(HOUR, 9, 1), 1); /* the total was given back as well */
}

static void the_total_is_bounded_whoever_asks(void **state)
{
    unsigned yes = 0;
    (void)state;
    limits(10, 100);
    for (uint64_t bucket = 1; bucket <= 1000; bucket++) {
        yes += answered(HOUR, bucket, 1);
    }
    assert_int_equal(yes, 75); /* the reserved quarter is not for strangers */
}

static void known_prefixes_have_a_share_that_strangers_cannot_use_up(void **state)
{
    (void)state;
    limits(10, 100);
    amm_limiter_know(&limiter, 5000001);
    amm_limiter_know(&limiter, 5000002);
    for (uint64_t bucket = 1; bucket <= 1000; bucket++) {
        answered(HOUR, bucket, 1);
    }
    assert_int_equal(answered(HOUR, 5000001, 50), 10);
    assert_int_equal(answered(HOUR, 5000002, 5), 5);
    assert_int_equal(answered(HOUR, 5000003, 1), 0);
    /* Known by its prefix, limited by a bucket of its own. */
    assert_true(amm_limiter_take(&limiter, HOUR, 99, 5000001));
    assert_false(amm_limiter_take(&limiter, HOUR, 99, 98));
}

static void what_is_refused_costs_nothing(void **state)
{
    (void)state;
    limits(10, 1000);
    assert_int_equal(answered(HOUR, 7, 100000), 10);
    assert_int_equal(answered(HOUR + AMM_SECOND / 10, 7, 1), 1);
    assert_int_equal(answered(HOUR, 8, 1), 1);
}

static void a_flood_of_names_does_not_forget_the_known_or_the_busy(void **state)
{
    (void)state;
    limits(10, 4000000);
    amm_limiter_know(&limiter, 4242);
    assert_int_equal(answered(HOUR, 7, 10), 10);
    for (uint64_t bucket = 100; bucket < 5100; bucket++) {
        answered(HOUR + AMM_MILLISECOND, bucket, 1);
    }
    assert_true(amm_limiter_knows(&limiter, 4242));
    assert_int_equal(answered(HOUR + AMM_MILLISECOND, 7, 10), 0);
}

static void the_set_of_known_names_is_bounded_and_keeps_the_newest(void **state)
{
    (void)state;
    limits(10, 100);
    for (uint64_t name = 1; name <= 100000; name++) {
        amm_limiter_know(&limiter, name);
    }
    assert_true(amm_limiter_knows(&limiter, 100000));
    assert_false(amm_limiter_knows(&limiter, 1));
    assert_false(amm_limiter_knows(&limiter, 0));
}

static void a_rate_of_zero_answers_nobody(void **state)
{
    (void)state;
    limits(0, 100);
    assert_int_equal(answered(HOUR, 7, 10), 0);
    limits(10, 0);
    assert_int_equal(answered(HOUR, 7, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_answers_its_rate_and_then_waits),
        cmocka_unit_test(one_bucket_does_not_use_up_another),
        cmocka_unit_test(a_completed_handshake_gives_its_token_back),
        cmocka_unit_test(the_total_is_bounded_whoever_asks),
        cmocka_unit_test(known_prefixes_have_a_share_that_strangers_cannot_use_up),
        cmocka_unit_test(what_is_refused_costs_nothing),
        cmocka_unit_test(a_flood_of_names_does_not_forget_the_known_or_the_busy),
        cmocka_unit_test(the_set_of_known_names_is_bounded_and_keeps_the_newest),
        cmocka_unit_test(a_rate_of_zero_answers_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
