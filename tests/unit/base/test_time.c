/* base/time: "never" stays never. */
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void a_sum_that_would_overflow_is_never(void **state)
{
    (void)state;
    assert_true(amm_time_after(5, 7) == 12);
    assert_true(amm_time_after(AMM_NEVER, 1) == AMM_NEVER);
    assert_true(amm_time_after(1, AMM_NEVER) == AMM_NEVER);
    assert_true(amm_time_after(AMM_NEVER - 5, 4) == AMM_NEVER - 1);
    assert_true(amm_time_after(AMM_NEVER - 5, 5) == AMM_NEVER);
    assert_true(amm_time_after(AMM_NEVER - 5, 6) == AMM_NEVER);
}

static void the_earlier_time_is_taken(void **state)
{
    (void)state;
    assert_true(amm_time_min(3, 4) == 3);
    assert_true(amm_time_min(AMM_NEVER, 4) == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_that_would_overflow_is_never),
        cmocka_unit_test(the_earlier_time_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
