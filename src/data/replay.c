#include "data/replay.h"

#include <stdatomic.h>
#include <string.h>

enum { WORDS = AMM_REPLAY_WINDOW / 64 };

/* Clears the bits of the ids from `first` up to `last` without it; fewer than a window of them. */
static void forget_between(struct amm_replay *replay, uint32_t first, uint32_t last)
{
    while (first != last) {
        uint32_t bit = first % 64;
        uint32_t left = last - first;
        uint32_t n = 64 - bit < left ? 64 - bit : left;
        uint64_t mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << bit;
        replay->seen[first / 64 % WORDS] &= ~mask;
        first += n;
    }
}

enum amm_drop amm_replay_check(struct amm_replay *replay, uint32_t id)
{
    uint64_t *word = &replay->seen[id / 64 % WORDS];
    uint64_t bit = UINT64_C(1) << id % 64;
    if (id > replay->highest) {
        uint32_t before = replay->highest;
        /* `highest` first: a process killed in between leaves ids that look seen, never ids that
         * look new. */
        replay->highest = id;
        atomic_signal_fence(memory_order_seq_cst);
        if (id - before >= AMM_REPLAY_WINDOW) {
            memset(replay->seen, 0, sizeof replay->seen);
        } else {
            forget_between(replay, before + 1, id);
        }
        *word |= bit;
        return AMM_DROP_COUNT;
    }
    if (id == 0) {
        return AMM_DROP_DATA_REPLAY;
    }
    if (replay->highest - id >= AMM_REPLAY_WINDOW) {
        return AMM_DROP_DATA_TOO_OLD;
    }
    if (*word & bit) {
        return AMM_DROP_DATA_REPLAY;
    }
    *word |= bit;
    return AMM_DROP_COUNT;
}
