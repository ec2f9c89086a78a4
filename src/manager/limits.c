#include "manager/limits.h"

#include "base/siphash.h"

#include <stdlib.h>
#include <string.h>

enum { SETS = 2048, WAYS = 8 };

/* `full_at`: when the bucket would be full again; the later, the fewer are left. */
struct bucket {
    uint64_t key; /* 0: free */
    amm_time full_at;
};

struct limits {
    struct amm_siphash_key secret;
    struct bucket sets[SETS][WAYS];
};

struct limits *limits_new(const struct amm_random *random)
{
    struct limits *limits = calloc(1, sizeof *limits);
    if (limits != NULL) {
        limits->secret = (struct amm_siphash_key){amm_random_u64(random), amm_random_u64(random)};
    }
    return limits;
}

struct limits *limits_free(struct limits *limits)
{
    free(limits);
    return NULL;
}

uint64_t limits_key(const struct limits *limits, uint32_t what, const void *data, size_t len)
{
    struct amm_siphash_key secret = {limits->secret.k0 ^ what, limits->secret.k1};
    uint64_t key = amm_siphash(&secret, data, len);
    return key != 0 ? key : 1;
}

static struct bucket *find(const struct limits *limits, uint64_t key)
{
    const struct bucket *set = limits->sets[key % SETS];
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            return (struct bucket *)&set[i];
        }
    }
    return NULL;
}

static struct bucket *make(struct limits *limits, uint64_t key)
{
    struct bucket *set = limits->sets[key % SETS], *quiet = &set[0];
    for (unsigned i = 1; i < WAYS; i++) {
        if (set[i].full_at < quiet->full_at) {
            quiet = &set[i];
        }
    }
    *quiet = (struct bucket){.key = key};
    return quiet;
}

/* Seconds until one more would fit, 0 if it does now. */
static unsigned wait_of(const struct bucket *bucket, const struct limit *limit, amm_time now)
{
    amm_time full_at = bucket != NULL && bucket->full_at > now ? bucket->full_at : now;
    amm_duration over = full_at + limit->refill - now - (amm_duration)limit->burst * limit->refill;
    return over <= 0 ? 0 : (unsigned)((over + AMM_SECOND - 1) / AMM_SECOND);
}

unsigned limits_wait(const struct limits *limits, uint64_t key, const struct limit *limit,
                     amm_time now)
{
    return wait_of(find(limits, key), limit, now);
}

unsigned limits_take(struct limits *limits, uint64_t key, const struct limit *limit, amm_time now)
{
    struct bucket *bucket = find(limits, key);
    unsigned wait = wait_of(bucket, limit, now);
    if (wait > 0) {
        return wait;
    }
    bucket = bucket != NULL ? bucket : make(limits, key);
    bucket->full_at = (bucket->full_at > now ? bucket->full_at : now) + limit->refill;
    return 0;
}

void limits_forget(struct limits *limits, uint64_t key)
{
    struct bucket *bucket = find(limits, key);
    if (bucket != NULL) {
        *bucket = (struct bucket){0};
    }
}
