#include "chains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void entries_are_found_by_name_newest_first(void **state)
{
    (void)state;
    struct amm_chains chains;
    assert_true(amm_chains_init(&chains, 5, (struct amm_siphash_key){1, 2}));
    assert_int_equal(amm_chains_first(&chains, 77), AMM_CHAIN_END);
    amm_chains_add(&chains, 0, 77);
    amm_chains_add(&chains, 3, 78);
    amm_chains_add(&chains, 4, 77);
    assert_int_equal(amm_chains_first(&chains, 77), 4);
    assert_int_equal(amm_chains_next(&chains, 4), 0);
    assert_int_equal(amm_chains_next(&chains, 0), AMM_CHAIN_END);
    assert_int_equal(amm_chains_first(&chains, 78), 3);
    assert_int_equal(amm_chains_next(&chains, 3), AMM_CHAIN_END);
    amm_chains_deinit(&chains);
}

static void removed_entries_leave_the_others_in_place(void **state)
{
    (void)state;
    enum { N = 64 };
    struct amm_chains chains;
    assert_true(amm_chains_init(&chains, N, (struct amm_siphash_key){3, 4}));
    for (uint32_t i = 0; i < N; i++) {
        amm_chains_add(&chains, i, i / 4);
    }
    for (uint32_t i = 0; i < N; i += 2) {
        amm_chains_remove(&chains, i, i / 4);
        amm_chains_remove(&chains, i, i / 4); /* once more does nothing */
    }
    for (uint32_t name = 0; name < N / 4; name++) {
        uint32_t first = amm_chains_first(&chains, name);
        assert_int_equal(first, 4 * name + 3);
        assert_int_equal(amm_chains_next(&chains, first), 4 * name + 1);
        assert_int_equal(amm_chains_next(&chains, 4 * name + 1), AMM_CHAIN_END);
    }
    amm_chains_deinit(&chains);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_by_name_newest_first),
        cmocka_unit_test(removed_entries_leave_the_others_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
