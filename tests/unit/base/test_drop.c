/* base/drop: the names are an interface (status, metrics): each is there, unlike the others, and
 * plain. */
#include "base/drop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void every_reason_has_a_name_of_its_own_and_a_sentence(void **state)
{
    (void)state;
    for (int a = 0; a < AMM_DROP_COUNT; a++) {
        const char *name = amm_drop_name((enum amm_drop)a);
        assert_true(strlen(name) > 3);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(name));
        assert_true(strlen(amm_drop_text((enum amm_drop)a)) > 10);
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(name, amm_drop_name((enum amm_drop)b));
        }
    }
    assert_string_equal(amm_drop_name(AMM_DROP_DATA_REPLAY), "data-replay");
}

static void drops_are_counted_by_reason(void **state)
{
    (void)state;
    struct amm_drops drops = {0};
    amm_drop(&drops, AMM_DROP_DATA_AUTH);
    amm_drop(&drops, AMM_DROP_DATA_AUTH);
    assert_int_equal(drops.count[AMM_DROP_DATA_AUTH], 2);
    assert_int_equal(drops.count[AMM_DROP_DATA_REPLAY], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_a_name_of_its_own_and_a_sentence),
        cmocka_unit_test(drops_are_counted_by_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
