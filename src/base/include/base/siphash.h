/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed 64-bit hash. Keys hash tables that an
 * attacker can write to, and makes the stateless handshake cookie, whose size on the wire is eight
 * bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct amm_siphash_key {
    uint64_t k0, k1;
};

uint64_t amm_siphash(const struct amm_siphash_key *key, const void *data, size_t len);
