/* Rate limit of answers to strangers (doc/protocol/cookie.md, LIMIT). A token is taken for
 * an answer and given back when its handshake completes: the limit counts what failed or never came
 * back.
 *
 * A bucket is any 64-bit name: the prefix of the sender, or the hash of a valid tls-crypt-v2 key.
 * The table is fixed; a flood of names pushes out idle ones first and never the known ones. */
#pragma once

#include "base/siphash.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

enum { AMM_LIMITER_WAYS = 8, AMM_LIMITER_SETS = 512, AMM_LIMITER_KNOWN_SETS = 512 };

struct amm_limiter_config {
    uint32_t per_bucket; /* answers a second, also the burst */
    uint32_t total; /* answers a second in all, also the burst; a quarter is kept for known names */
};

/* A bucket holds the time at which it will be full again (GCRA): one number instead of tokens and a
 * date. */
struct amm_limiter_bucket {
    uint64_t name;
    amm_time full; /* 0: unused */
};

/* About 100 KiB; belongs on the heap. */
struct amm_limiter {
    struct amm_siphash_key key;
    amm_duration bucket_interval, general_interval,
        reserved_interval; /* time that one answer costs */
    amm_time general, reserved;
    struct amm_limiter_bucket buckets[AMM_LIMITER_SETS][AMM_LIMITER_WAYS];
    uint64_t known[AMM_LIMITER_KNOWN_SETS][AMM_LIMITER_WAYS]; /* newest first within a set */
};

/* `key` is random, so that nobody can choose names that share a set. */
void amm_limiter_init(struct amm_limiter *limiter, const struct amm_limiter_config *config,
                      struct amm_siphash_key key);

/* May a packet of this bucket be answered? If so, a token is gone. What is refused costs nothing.
 * `prefix` is the sender's (the same as `bucket` without a key of its own): known prefixes and
 * buckets reach the reserved share. */
bool amm_limiter_take(struct amm_limiter *limiter, amm_time now, uint64_t bucket, uint64_t prefix);

/* The handshake that took a token has completed. */
void amm_limiter_refund(struct amm_limiter *limiter, uint64_t bucket);

/* Remembers a prefix or bucket that held an established session. */
void amm_limiter_know(struct amm_limiter *limiter, uint64_t name);
bool amm_limiter_knows(const struct amm_limiter *limiter, uint64_t name);
