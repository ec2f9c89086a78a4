/* SHA-512 of something that comes in pieces: an image on its way to disk. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum { AMM_SHA512_LEN = 64 };

struct amm_hash;

struct amm_hash *amm_hash_new(void); /* NULL: out of memory */
struct amm_hash *amm_hash_free(struct amm_hash *hash);
bool amm_hash_add(struct amm_hash *hash, struct amm_view bytes); /* false: out of memory */

/* Of everything so far; more may be added afterwards. False: out of memory. */
bool amm_hash_value(const struct amm_hash *hash, uint8_t out[AMM_SHA512_LEN]);
