/* A hash table from 64-bit names to entry numbers, chained through arrays: no allocation after it
 * is made. Names come from the network, so the hash is keyed. Several entries may have one name. */
#pragma once

#include "base/siphash.h"

#include <stdbool.h>

#define AMM_CHAIN_END UINT32_MAX

struct amm_chains {
    struct amm_siphash_key key;
    uint32_t mask;
    uint32_t *heads; /* mask + 1 */
    uint32_t *next;  /* n */
    uint64_t *names; /* n */
};

/* For entries 0 .. n-1. False if out of memory; free it in any case. */
bool amm_chains_init(struct amm_chains *chains, uint32_t n, struct amm_siphash_key key);
void amm_chains_deinit(struct amm_chains *chains);

/* `entry` must not be in the table. */
void amm_chains_add(struct amm_chains *chains, uint32_t entry, uint64_t name);

/* Nothing happens if it is not in the table. */
void amm_chains_remove(struct amm_chains *chains, uint32_t entry, uint64_t name);

/* Walks the entries called `name`, newest first: the one after `entry`, or the first. AMM_CHAIN_END
 * at the end. */
uint32_t amm_chains_first(const struct amm_chains *chains, uint64_t name);
uint32_t amm_chains_next(const struct amm_chains *chains, uint32_t entry);
