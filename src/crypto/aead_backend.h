/* What stands behind `struct amm_aead`: one table per library. Private to this folder. */
#pragma once

#include "crypto/aead.h"

struct aead_backend {
    /* Bytes of one expanded key, a multiple of 64. Zeroed memory is an expanded key that was never
     * set. */
    size_t expanded_size;

    /* The thread's state; NULL if the library or the CPU cannot do it, or memory is short. */
    void *(*open)(void);
    void (*close)(void *state);
    const char *(*name)(const void *state);

    /* Fills `expanded` (zeroed, or holding another key) for `key`; false if memory is short. */
    bool (*expand)(void *state, void *expanded, const struct amm_aead_key *key);

    /* Both work in place. unseal compares the tag in constant time and returns false if it is
     * wrong. */
    bool (*seal)(void *state, void *expanded, const struct amm_aead_key *key, const uint8_t *nonce,
                 struct amm_view aad, struct amm_span text, uint8_t *tag);
    bool (*unseal)(void *state, void *expanded, const struct amm_aead_key *key,
                   const uint8_t *nonce, struct amm_view aad, struct amm_span text,
                   const uint8_t *tag);

    /* Wipes and releases what `expand` made, leaving zeros. */
    void (*forget)(void *expanded);
};

extern const struct aead_backend aead_openssl;
extern const struct aead_backend aead_null;
#ifdef AMM_HAVE_IPSEC_MB
extern const struct aead_backend aead_ipsecmb;
#endif
