/* domain/version.h */
#include "domain/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int compare(const char *left, const char *right)
{
    struct amm_version a, b;
    assert_true(amm_version_parse(&a, left));
    assert_true(amm_version_parse(&b, right));
    int way = amm_version_compare(&a, &b);
    assert_int_equal(amm_version_compare(&b, &a), -way);
    return way;
}

static void components_are_numbers(void **state)
{
    (void)state;
    assert_int_equal(compare("1.0.3.005", "1.0.3.5"), 0);
    assert_int_equal(compare("4.9", "4.15"), -1);
    assert_int_equal(compare("4.15.0", "4.15"), 0);
    assert_int_equal(compare("4.15.0.1", "4.15"), 1);
    assert_int_equal(compare("2.17.5", "2.17.10"), -1);
    assert_int_equal(compare("4.16-rc1", "4.16"), 0);
    assert_int_equal(compare("999999999", "1000"), 1);
}

static void what_is_no_version_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", ".1", "1.", "1..2", "v1", "1.2a", "1234567890", "-1", "1.2.3.4.5.6.7.8.9", " 1"};
    struct amm_version out;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(amm_version_parse(&out, bad[i]));
        assert_false(amm_version_at_least(bad[i], "0"));
    }
}

static void least_is_asked_for(void **state)
{
    (void)state;
    assert_true(amm_version_at_least("1.0.3.005", "1.0.3.005"));
    assert_true(amm_version_at_least("1.0.3.10", "1.0.3.005"));
    assert_false(amm_version_at_least("1.0.2.999", "1.0.3.005"));
    assert_false(amm_version_at_least("4.9.8", "4.15"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components_are_numbers),
        cmocka_unit_test(what_is_no_version_is_refused),
        cmocka_unit_test(least_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
