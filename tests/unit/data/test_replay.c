/* data/replay: each id once, and only inside the window. */
#include "data/replay.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { W = AMM_REPLAY_WINDOW };
#define NEW AMM_DROP_COUNT
#define SEEN AMM_DROP_DATA_REPLAY
#define OLD AMM_DROP_DATA_TOO_OLD

struct step {
    uint32_t id;
    enum amm_drop verdict;
};

static void check(const struct step *steps, size_t n)
{
    struct amm_replay replay = {0};
    for (size_t i = 0; i < n; i++) {
        enum amm_drop verdict = amm_replay_check(&replay, steps[i].id);
        if (verdict != steps[i].verdict) {
            fail_msg("step %zu, id %u: verdict %d", i + 1, steps[i].id, (int)verdict);
        }
    }
}

static void ids_are_taken_once_as_in_the_vectors(void **state)
{
    (void)state;
    /* W1 with our window in place of 64: 1001 - 63 there is W + 1000 - (W - 1) here. W2 is the 2 at
     * the end. */
    static const struct step steps[] = {
        {1, NEW},         {2, NEW},     {W + 1000, NEW}, {1001, NEW}, {1000, OLD},
        {W + 1000, SEEN}, {1001, SEEN}, {0, SEEN},       {1002, NEW},
    };
    check(steps, sizeof steps / sizeof steps[0]);
    static const struct step within[] = {{1001, NEW}, {1, NEW}, {2, NEW}, {1000, NEW}, {1, SEEN}};
    check(within, sizeof within / sizeof within[0]);
}

static void the_edges_of_the_window_are_exact(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {1, NEW},         {W, NEW},                       /* W - 1 above: 1 is the oldest inside */
        {1, SEEN},        {2, NEW},         {W + 1, NEW}, /* now 1 is exactly W below */
        {1, OLD},         {2, SEEN},                      /* still inside */
        {3, NEW},         {2 * W + 1, NEW}, /* a full window ahead: all is forgotten */
        {W + 1, OLD},     {W + 2, NEW},     {W + 2, SEEN},
        {4 * W, NEW}, /* more than a window ahead */
        {3 * W + 1, NEW}, {3 * W, OLD},
    };
    check(steps, sizeof steps / sizeof steps[0]);
}

static void a_jump_clears_what_it_passes_and_nothing_else(void **state)
{
    (void)state;
    /* Across words of 64, from and to their edges: the bits of a former turn must be gone. */
    for (uint32_t from = 1; from <= 130; from++) {
        for (uint32_t jump = 1; jump <= 200; jump++) {
            struct amm_replay replay = {0};
            for (uint32_t id = 1; id <= W; id++) {
                assert_int_equal(amm_replay_check(&replay, id), NEW);
            }
            for (uint32_t id = W + 1; id <= W + from; id++) {
                assert_int_equal(amm_replay_check(&replay, id), NEW);
            }
            uint32_t top = W + from + jump;
            assert_int_equal(amm_replay_check(&replay, top), NEW);
            for (uint32_t id = W + from + 1; id<top; id += jump> 3 ? jump / 3 : 1) {
                assert_int_equal(amm_replay_check(&replay, id), NEW);
            }
            assert_int_equal(amm_replay_check(&replay, W + from), SEEN);
            assert_int_equal(amm_replay_check(&replay, top - W + 1), SEEN);
            if (jump > 64) {
                jump += 13;
            }
        }
        from += from % 64 > 2 && from % 64 < 60 ? 9 : 0;
    }
}

static void the_highest_ids_do_not_wrap(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {UINT32_MAX - 1, NEW}, {UINT32_MAX, NEW},     {UINT32_MAX, SEEN}, {UINT32_MAX - W + 1, NEW},
        {UINT32_MAX - W, OLD}, {UINT32_MAX - 5, NEW}, {0, SEEN},          {1, OLD},
    };
    check(steps, sizeof steps / sizeof steps[0]);
}

/* The naive model: a list of all ids that were taken. */
static void random_ids_get_the_verdict_of_a_list(void **state)
{
    (void)state;
    enum { RANGE = 40000 };
    bool *taken = calloc(RANGE, sizeof *taken);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct amm_seeded_random seeded;
        amm_seeded_random_init(&seeded, seed);
        struct amm_random random = amm_seeded_random(&seeded);
        struct amm_replay replay = {0};
        uint32_t highest = 0;
        memset(taken, 0, RANGE * sizeof *taken);
        for (int i = 0; i < 60000; i++) {
            uint64_t spread = amm_random_below(&random, 40) ? 70 : 3 * W;
            int64_t id =
                (int64_t)highest + (int64_t)amm_random_below(&random, 2 * spread) - (int64_t)spread;
            id = id < 0 ? 0 : id >= RANGE ? RANGE - 1 : id;
            enum amm_drop expected = id == 0 || taken[id] ? SEEN : NEW;
            if (id != 0 && id + W <= highest) {
                expected = OLD;
            }
            assert_int_equal(amm_replay_check(&replay, (uint32_t)id), expected);
            taken[id] = true;
            highest = (uint32_t)id > highest ? (uint32_t)id : highest;
            assert_int_equal(replay.highest, highest);
        }
    }
    free(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_taken_once_as_in_the_vectors),
        cmocka_unit_test(the_edges_of_the_window_are_exact),
        cmocka_unit_test(a_jump_clears_what_it_passes_and_nothing_else),
        cmocka_unit_test(the_highest_ids_do_not_wrap),
        cmocka_unit_test(random_ids_get_the_verdict_of_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
