#include "base/random.h"

#include <string.h>

uint64_t amm_random_u64(const struct amm_random *random)
{
    uint64_t value;
    amm_random_fill(random, &value, sizeof value);
    return value;
}

uint64_t amm_random_below(const struct amm_random *random, uint64_t bound)
{
    /* Reject the last, incomplete block of multiples: without it small values come more often. */
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value;
    do {
        value = amm_random_u64(random);
    } while (value >= limit);
    return value % bound;
}

static uint64_t rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static uint64_t seeded_next(struct amm_seeded_random *s)
{
    uint64_t result = rotate(s->state[1] * 5, 7) * 9;
    uint64_t t = s->state[1] << 17;
    s->state[2] ^= s->state[0];
    s->state[3] ^= s->state[1];
    s->state[1] ^= s->state[2];
    s->state[0] ^= s->state[3];
    s->state[2] ^= t;
    s->state[3] = rotate(s->state[3], 45);
    return result;
}

static void seeded_fill(void *context, void *out, size_t len)
{
    uint8_t *p = out;
    while (len > 0) {
        uint64_t value = seeded_next(context);
        size_t n = len < sizeof value ? len : sizeof value;
        memcpy(p, &value, n);
        p += n;
        len -= n;
    }
}

void amm_seeded_random_init(struct amm_seeded_random *seeded, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        seeded->state[i] = z ^ z >> 31;
    }
}

struct amm_random amm_seeded_random(struct amm_seeded_random *seeded)
{
    return (struct amm_random){seeded_fill, seeded};
}
