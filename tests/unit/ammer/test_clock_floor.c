#include "clock_floor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { DAY = 86400 };

static void a_clock_of_1970_waits_and_says_so(void **state)
{
    (void)state;
    char words[160];
    struct amm_clock_floor floor = amm_clock_floor(0, 0, 0);
    assert_false(amm_clock_is_sane(0, &floor));
    amm_clock_words(words, sizeof words, 0, &floor);
    assert_string_equal(
        words,
        "clock is 1970-01-01: waiting for time (it cannot be before 2026-11-01, this release)");
}

static void the_floor_itself_is_sane_and_the_second_before_is_not(void **state)
{
    (void)state;
    struct amm_clock_floor floor = amm_clock_floor(0, 0, 0);
    assert_true(amm_clock_is_sane(floor.at, &floor));
    assert_false(amm_clock_is_sane(floor.at - 1, &floor));
    assert_false(amm_clock_is_sane(-1, &floor));
}

static void the_latest_of_release_certificate_and_saved_time_counts(void **state)
{
    (void)state;
    int64_t certificate = AMM_CLOCK_RELEASE + 10 * DAY, saved = AMM_CLOCK_RELEASE + 20 * DAY;
    assert_int_equal(amm_clock_floor(certificate, 0, 0).at, certificate);
    assert_int_equal(amm_clock_floor(certificate, saved, 0).at, saved);
    assert_string_equal(amm_clock_floor(certificate, saved, 0).from, "the time saved last");
    assert_int_equal(amm_clock_floor(saved, certificate, 0).at, saved);
    assert_int_equal(amm_clock_floor(DAY, DAY, 0).at, AMM_CLOCK_RELEASE);
}

static void a_saved_time_behind_the_certificate_is_not_believed(void **state)
{
    (void)state;
    int64_t not_after = AMM_CLOCK_RELEASE + 100 * DAY;
    assert_int_equal(amm_clock_floor(0, not_after + 1, not_after).at, AMM_CLOCK_RELEASE);
    assert_int_equal(amm_clock_floor(0, not_after, not_after).at, not_after);
}

static void a_clock_far_in_the_future_is_left_to_the_certificates(void **state)
{
    (void)state;
    struct amm_clock_floor floor = amm_clock_floor(0, 0, 0);
    assert_true(amm_clock_is_sane(INT64_C(4294967296), &floor)); /* 2106 */
}

static void saved_times_are_read_strictly(void **state)
{
    (void)state;
    assert_int_equal(amm_clock_saved_parse("1793491201\n"), 1793491201);
    assert_int_equal(amm_clock_saved_parse("1793491201"), 1793491201);
    assert_int_equal(amm_clock_saved_parse(""), 0);
    assert_int_equal(amm_clock_saved_parse("-5\n"), 0);
    assert_int_equal(amm_clock_saved_parse("17 93"), 0);
    assert_int_equal(amm_clock_saved_parse("99999999999999999999"), 0);
}

static void offsets_are_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-", "x", "1x", "--1", "+1", " 1", "1 \n", "00x"};
    int64_t offset = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(amm_clock_offset_parse(bad[i], &offset));
        assert_int_equal(offset, 7);
    }
    assert_true(amm_clock_offset_parse("-1793491200\n", &offset));
    assert_int_equal(offset, -1793491200);
    assert_true(amm_clock_offset_parse("12", &offset));
    assert_int_equal(offset, 12);
    assert_true(amm_clock_offset_parse("0\n", &offset));
    assert_int_equal(offset, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_of_1970_waits_and_says_so),
        cmocka_unit_test(the_floor_itself_is_sane_and_the_second_before_is_not),
        cmocka_unit_test(the_latest_of_release_certificate_and_saved_time_counts),
        cmocka_unit_test(a_saved_time_behind_the_certificate_is_not_believed),
        cmocka_unit_test(a_clock_far_in_the_future_is_left_to_the_certificates),
        cmocka_unit_test(saved_times_are_read_strictly),
        cmocka_unit_test(offsets_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
