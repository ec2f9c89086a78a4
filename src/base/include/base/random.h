/* Randomness is given to the engine, never fetched by it: the daemons give the kernel's generator,
 * the simulator and the fuzzers a seeded one, so that a run can be repeated. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct amm_random {
    void (*fill)(void *context, void *out, size_t len);
    void *context;
};

static inline void amm_random_fill(const struct amm_random *random, void *out, size_t len)
{
    random->fill(random->context, out, len);
}

uint64_t amm_random_u64(const struct amm_random *random);

/* Uniform in 0 .. bound-1; bound > 0. */
uint64_t amm_random_below(const struct amm_random *random, uint64_t bound);

/* xoshiro256** (Blackman and Vigna) seeded through splitmix64. Never for keys of a real tunnel. */
struct amm_seeded_random {
    uint64_t state[4];
};

void amm_seeded_random_init(struct amm_seeded_random *seeded, uint64_t seed);
struct amm_random amm_seeded_random(struct amm_seeded_random *seeded);
