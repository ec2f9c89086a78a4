#include "crypto/hash.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct amm_hash {
    EVP_MD_CTX *context;
};

struct amm_hash *amm_hash_new(void)
{
    struct amm_hash *hash = calloc(1, sizeof *hash);
    if (hash && (hash->context = EVP_MD_CTX_new()) &&
        EVP_DigestInit_ex2(hash->context, EVP_sha512(), NULL) == 1) {
        return hash;
    }
    return amm_hash_free(hash);
}

struct amm_hash *amm_hash_free(struct amm_hash *hash)
{
    if (hash) {
        EVP_MD_CTX_free(hash->context);
    }
    free(hash);
    return NULL;
}

bool amm_hash_add(struct amm_hash *hash, struct amm_view bytes)
{
    return EVP_DigestUpdate(hash->context, bytes.data, bytes.len) == 1;
}

bool amm_hash_value(const struct amm_hash *hash, uint8_t out[AMM_SHA512_LEN])
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool ok = copy && EVP_MD_CTX_copy_ex(copy, hash->context) == 1 &&
              EVP_DigestFinal_ex(copy, out, NULL) == 1;
    EVP_MD_CTX_free(copy);
    return ok;
}
