/* Rate limits: token buckets by a 64-bit key (a prefix, an account), in a table of fixed size. When
 * a set of the table is full the bucket that has been quiet for longest makes room: a flood of
 * other keys can shorten somebody's wait, never lengthen it. Fleet thread. */
#pragma once

#include "base/random.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limits;

struct limit {
    uint32_t burst;      /* that many at once */
    amm_duration refill; /* one more after this */
};

struct limits *limits_new(const struct amm_random *random); /* NULL: out of memory */
struct limits *limits_free(struct limits *limits);

/* A key that cannot be chosen from outside; `what` keeps different limits apart. */
uint64_t limits_key(const struct limits *limits, uint32_t what, const void *data, size_t len);

/* Takes one. 0: taken; otherwise the seconds (at least 1) until there is one. */
unsigned limits_take(struct limits *limits, uint64_t key, const struct limit *limit, amm_time now);

/* The same without taking. */
unsigned limits_wait(const struct limits *limits, uint64_t key, const struct limit *limit,
                     amm_time now);

/* Forgets a key: the account has proved itself. */
void limits_forget(struct limits *limits, uint64_t key);
