/* The reference backend. An expanded key is an EVP context that stays with its cache place and is
 * re-keyed for the next key: that costs no allocation unless the cipher changes. */
#include "aead_backend.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { CIPHER_END = AMM_CIPHER_CHACHA20_POLY1305 + 1 };

struct state {
    EVP_CIPHER *ciphers[CIPHER_END];
};

struct expanded {
    _Alignas(64) EVP_CIPHER_CTX *context;
};

static void openssl_close(void *data)
{
    struct state *state = data;
    for (size_t i = 0; i < CIPHER_END; i++) {
        EVP_CIPHER_free(state->ciphers[i]);
    }
    free(state);
}

static void *openssl_open(void)
{
    static const char *const names[CIPHER_END] = {
        [AMM_CIPHER_AES_256_GCM] = "AES-256-GCM",
        [AMM_CIPHER_AES_128_GCM] = "AES-128-GCM",
        [AMM_CIPHER_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
    };
    struct state *state = calloc(1, sizeof *state);
    for (size_t i = AMM_CIPHER_AES_256_GCM; state && i < CIPHER_END; i++) {
        state->ciphers[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
        if (!state->ciphers[i]) {
            openssl_close(state);
            return NULL;
        }
    }
    return state;
}

static const char *openssl_name(const void *state)
{
    (void)state;
    return "openssl";
}

static void openssl_forget(void *data)
{
    struct expanded *expanded = data;
    EVP_CIPHER_CTX_free(expanded->context); /* wipes the key schedule */
    expanded->context = NULL;
}

static bool openssl_expand(void *data, void *place, const struct amm_aead_key *key)
{
    struct state *state = data;
    struct expanded *expanded = place;
    if (key->cipher == AMM_CIPHER_NONE || key->cipher >= CIPHER_END) {
        return false;
    }
    if (!expanded->context) {
        expanded->context = EVP_CIPHER_CTX_new();
    }
    EVP_CIPHER *cipher = state->ciphers[key->cipher];
    return expanded->context &&
           EVP_CipherInit_ex2(expanded->context, cipher, key->bytes, NULL, 1, NULL) == 1;
}

static bool run(EVP_CIPHER_CTX *context, struct amm_view aad, struct amm_span text)
{
    int n;
    if (text.len > INT32_MAX || aad.len > INT32_MAX) {
        return false;
    }
    if (aad.len > 0 && EVP_CipherUpdate(context, NULL, &n, aad.data, (int)aad.len) != 1) {
        return false;
    }
    return text.len == 0 || EVP_CipherUpdate(context, text.data, &n, text.data, (int)text.len) == 1;
}

static bool openssl_seal(void *state, void *place, const struct amm_aead_key *key,
                         const uint8_t *nonce, struct amm_view aad, struct amm_span text,
                         uint8_t *tag)
{
    (void)state;
    (void)key;
    EVP_CIPHER_CTX *context = ((struct expanded *)place)->context;
    uint8_t rest[AMM_AEAD_TAG];
    int n;
    return EVP_CipherInit_ex2(context, NULL, NULL, nonce, 1, NULL) == 1 &&
           run(context, aad, text) && EVP_CipherFinal_ex(context, rest, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AMM_AEAD_TAG, tag) == 1;
}

static bool openssl_unseal(void *state, void *place, const struct amm_aead_key *key,
                           const uint8_t *nonce, struct amm_view aad, struct amm_span text,
                           const uint8_t *tag)
{
    (void)state;
    (void)key;
    EVP_CIPHER_CTX *context = ((struct expanded *)place)->context;
    uint8_t rest[AMM_AEAD_TAG];
    int n;
    return EVP_CipherInit_ex2(context, NULL, NULL, nonce, 0, NULL) == 1 &&
           run(context, aad, text) &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AMM_AEAD_TAG, (void *)tag) == 1 &&
           EVP_CipherFinal_ex(context, rest, &n) == 1;
}

const struct aead_backend aead_openssl = {
    .expanded_size = sizeof(struct expanded),
    .open = openssl_open,
    .close = openssl_close,
    .name = openssl_name,
    .expand = openssl_expand,
    .seal = openssl_seal,
    .unseal = openssl_unseal,
    .forget = openssl_forget,
};
