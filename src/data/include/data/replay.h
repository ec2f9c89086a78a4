/* Replay window: which packet ids of one key were seen. Asked after authentication, never before.
 */
#pragma once

#include "base/drop.h"

#include <stdint.h>

enum { AMM_REPLAY_WINDOW = 2048 };

/* Flat, all zero when new. Ids start at 1; 0 is never valid. */
struct amm_replay {
    uint32_t highest;
    uint32_t reserved;
    uint64_t seen[AMM_REPLAY_WINDOW / 64]; /* ring of bits, bit id % AMM_REPLAY_WINDOW */
};

/* Accepts a packet id once. Returns AMM_DROP_COUNT if it is new (and remembers it), else the
 * reason: AMM_DROP_DATA_REPLAY or AMM_DROP_DATA_TOO_OLD. An id exactly AMM_REPLAY_WINDOW below the
 * highest is too old. */
enum amm_drop amm_replay_check(struct amm_replay *replay, uint32_t id);
