/* base/random: repeatable, bounded, even. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct amm_seeded_random a, b, c;
    amm_seeded_random_init(&a, 7);
    amm_seeded_random_init(&b, 7);
    amm_seeded_random_init(&c, 8);
    struct amm_random ra = amm_seeded_random(&a);
    struct amm_random rb = amm_seeded_random(&b);
    struct amm_random rc = amm_seeded_random(&c);
    for (int i = 0; i < 100; i++) {
        uint64_t value = amm_random_u64(&ra);
        assert_int_equal(value, amm_random_u64(&rb));
        assert_int_not_equal(value, amm_random_u64(&rc));
    }
}

static void an_odd_number_of_bytes_is_filled_exactly(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 1);
    struct amm_random random = amm_seeded_random(&seeded);
    for (size_t len = 0; len < 20; len++) {
        uint8_t bytes[32], untouched[32];
        memset(bytes, 0xee, sizeof bytes);
        memset(untouched, 0xee, sizeof untouched);
        amm_random_fill(&random, bytes, len);
        assert_memory_equal(bytes + len, untouched + len, sizeof bytes - len);
    }
}

static void bounded_numbers_are_in_range_and_even(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 3);
    struct amm_random random = amm_seeded_random(&seeded);
    unsigned count[5] = {0};
    for (int i = 0; i < 50000; i++) {
        uint64_t value = amm_random_below(&random, 5);
        assert_true(value < 5);
        count[value]++;
    }
    for (int i = 0; i < 5; i++) {
        assert_in_range(count[i], 9500, 10500); /* five standard deviations */
    }
    assert_int_equal(amm_random_below(&random, 1), 0);
}

/* Gives the numbers 2^64 - 1, 2^64 - 2, ... */
static void fill_from_the_top(void *context, void *out, size_t len)
{
    uint64_t *next = context;
    memcpy(out, next, len);
    --*next;
}

static void values_of_the_last_incomplete_block_are_rejected(void **state)
{
    (void)state;
    uint64_t next = UINT64_MAX;
    struct amm_random random = {fill_from_the_top, &next};
    /* 2^64 - 1 is a multiple of 5, so the block below it is whole and the value itself is not. */
    assert_int_equal(amm_random_below(&random, 5), 4);
    assert_int_equal(next, UINT64_MAX - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(an_odd_number_of_bytes_is_filled_exactly),
        cmocka_unit_test(bounded_numbers_are_in_range_and_even),
        cmocka_unit_test(values_of_the_last_incomplete_block_are_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
