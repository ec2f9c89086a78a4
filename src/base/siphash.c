#include "base/siphash.h"

static uint64_t rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static void round_once(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t load_le(const uint8_t *p, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++) {
        x |= (uint64_t)p[i] << (8 * i);
    }
    return x;
}

uint64_t amm_siphash(const struct amm_siphash_key *key, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
                     key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u};
    size_t whole = len / 8;
    for (size_t i = 0; i < whole; i++, p += 8) {
        uint64_t m = load_le(p, 8);
        v[3] ^= m;
        round_once(v);
        round_once(v);
        v[0] ^= m;
    }
    uint64_t last = load_le(p, len % 8) | (uint64_t)len << 56;
    v[3] ^= last;
    round_once(v);
    round_once(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) {
        round_once(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
