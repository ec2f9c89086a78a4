/* For tests that need speed and repeatability, not secrecy: the text stays as it is and the tag is
 * a keyed checksum, so that a wrong key, nonce, header or text still fails. */
#include "aead_backend.h"
#include "base/siphash.h"

static void *null_open(void)
{
    static uint8_t nothing;
    return &nothing;
}

static void null_close(void *state)
{
    (void)state;
}

static const char *null_name(const void *state)
{
    (void)state;
    return "null";
}

static bool null_expand(void *state, void *expanded, const struct amm_aead_key *key)
{
    (void)state;
    (void)expanded;
    return amm_cipher_key_len(key->cipher) != 0;
}

static void checksum(const struct amm_aead_key *key, const uint8_t *nonce, struct amm_view aad,
                     struct amm_span text, uint8_t *tag)
{
    struct amm_siphash_key chain = {key->cipher, 0};
    chain.k0 ^= amm_siphash(&chain, key->bytes, amm_cipher_key_len(key->cipher));
    chain.k1 ^= amm_siphash(&chain, nonce, AMM_AEAD_NONCE);
    chain.k0 ^= amm_siphash(&chain, aad.data, aad.len);
    chain.k1 ^= amm_siphash(&chain, text.data, text.len);
    memcpy(tag, &chain, AMM_AEAD_TAG);
}

static bool null_seal(void *state, void *expanded, const struct amm_aead_key *key,
                      const uint8_t *nonce, struct amm_view aad, struct amm_span text, uint8_t *tag)
{
    (void)state;
    (void)expanded;
    checksum(key, nonce, aad, text, tag);
    return true;
}

static bool null_unseal(void *state, void *expanded, const struct amm_aead_key *key,
                        const uint8_t *nonce, struct amm_view aad, struct amm_span text,
                        const uint8_t *tag)
{
    (void)state;
    (void)expanded;
    uint8_t right[AMM_AEAD_TAG];
    checksum(key, nonce, aad, text, right);
    return amm_equal_secret(right, tag, sizeof right);
}

static void null_forget(void *expanded)
{
    (void)expanded;
}

const struct aead_backend aead_null = {
    .expanded_size = 64,
    .open = null_open,
    .close = null_close,
    .name = null_name,
    .expand = null_expand,
    .seal = null_seal,
    .unseal = null_unseal,
    .forget = null_forget,
};
