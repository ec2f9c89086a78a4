#include "limiter.h"

#include <string.h>

#define BURST AMM_SECOND

/* Time one answer costs at `rate` per second; more than a whole burst when the rate is 0. */
static amm_duration cost_at(uint32_t rate)
{
    return rate == 0 ? 2 * BURST : BURST / rate;
}

void amm_limiter_init(struct amm_limiter *limiter, const struct amm_limiter_config *config,
                      struct amm_siphash_key key)
{
    uint32_t reserved = config->total / 4;
    memset(limiter, 0, sizeof *limiter);
    limiter->key = key;
    limiter->bucket_interval = cost_at(config->per_bucket);
    limiter->general_interval = cost_at(config->total - reserved);
    limiter->reserved_interval = cost_at(reserved);
}

static amm_time later(amm_time a, amm_time b)
{
    return a > b ? a : b;
}

/* When the bucket would be full again after one more answer. */
static amm_time after_one(amm_time full, amm_time now, amm_duration interval)
{
    return later(full, now) + interval;
}

static bool has_token(amm_time full, amm_time now, amm_duration interval)
{
    return after_one(full, now, interval) <= now + BURST;
}

static uint64_t set_of(const struct amm_limiter *limiter, uint64_t name)
{
    return amm_siphash(&limiter->key, &name, sizeof name);
}

static struct amm_limiter_bucket *find(struct amm_limiter *limiter, uint64_t name)
{
    struct amm_limiter_bucket *set = limiter->buckets[set_of(limiter, name) % AMM_LIMITER_SETS];
    for (unsigned i = 0; i < AMM_LIMITER_WAYS; i++) {
        if (set[i].full != 0 && set[i].name == name) {
            return &set[i];
        }
    }
    return NULL;
}

/* The bucket that is forgotten for `name`: one unused, or else the fullest, which loses least. */
static struct amm_limiter_bucket *replace(struct amm_limiter *limiter, uint64_t name)
{
    struct amm_limiter_bucket *set = limiter->buckets[set_of(limiter, name) % AMM_LIMITER_SETS];
    struct amm_limiter_bucket *victim = &set[0];
    for (unsigned i = 1; i < AMM_LIMITER_WAYS; i++) {
        if (set[i].full < victim->full) {
            victim = &set[i];
        }
    }
    *victim = (struct amm_limiter_bucket){name, 0};
    return victim;
}

bool amm_limiter_take(struct amm_limiter *limiter, amm_time now, uint64_t bucket, uint64_t prefix)
{
    struct amm_limiter_bucket *b = find(limiter, bucket);
    if (!has_token(b ? b->full : 0, now, limiter->bucket_interval)) {
        return false;
    }
    if (has_token(limiter->general, now, limiter->general_interval)) {
        limiter->general = after_one(limiter->general, now, limiter->general_interval);
    } else if (has_token(limiter->reserved, now, limiter->reserved_interval) &&
               (amm_limiter_knows(limiter, prefix) || amm_limiter_knows(limiter, bucket))) {
        limiter->reserved = after_one(limiter->reserved, now, limiter->reserved_interval);
    } else {
        return false;
    }
    if (!b) {
        b = replace(limiter, bucket);
    }
    b->full = after_one(b->full, now, limiter->bucket_interval);
    return true;
}

void amm_limiter_refund(struct amm_limiter *limiter, uint64_t bucket)
{
    struct amm_limiter_bucket *b = find(limiter, bucket);
    if (b) {
        b->full -= limiter->bucket_interval;
    }
    limiter->general -= limiter->general_interval;
}

static unsigned known_at(const uint64_t *set, uint64_t name)
{
    unsigned at = 0;
    while (at < AMM_LIMITER_WAYS && set[at] != name) {
        at++;
    }
    return at;
}

void amm_limiter_know(struct amm_limiter *limiter, uint64_t name)
{
    uint64_t *set = limiter->known[set_of(limiter, name) % AMM_LIMITER_KNOWN_SETS];
    unsigned at = known_at(set, name);
    if (at == AMM_LIMITER_WAYS) {
        at = AMM_LIMITER_WAYS - 1; /* the one known longest is forgotten */
    }
    memmove(&set[1], &set[0], at * sizeof set[0]);
    set[0] = name;
}

bool amm_limiter_knows(const struct amm_limiter *limiter, uint64_t name)
{
    const uint64_t *set = limiter->known[set_of(limiter, name) % AMM_LIMITER_KNOWN_SETS];
    return name != 0 && known_at(set, name) < AMM_LIMITER_WAYS;
}
