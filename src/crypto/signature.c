#include "crypto/signature.h"
#include "x509.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

struct amm_signer {
    EVP_PKEY *key;
    uint8_t public[AMM_SIGNATURE_KEY];
};

bool amm_signature_key_new(char *key, char *error, size_t room)
{
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    BIO *bio = BIO_new(BIO_s_mem());
    int n = pair && bio && PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL) == 1
                ? BIO_read(bio, key, AMM_PEM_MAX - 1)
                : 0;
    key[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
    EVP_PKEY_free(pair);
    return n > 0 || refuse(error, room, "cannot make a key");
}

struct amm_signer *amm_signer_new(const char *key, const char *what, char *error, size_t room)
{
    struct amm_signer *signer = calloc(1, sizeof *signer);
    size_t len = AMM_SIGNATURE_KEY;
    if (!signer) {
        refuse(error, room, "out of memory");
        return NULL;
    }
    signer->key = key_from_pem(NULL, key, what, error, room);
    if (signer->key && EVP_PKEY_is_a(signer->key, "ED25519") &&
        EVP_PKEY_get_raw_public_key(signer->key, signer->public, &len) == 1) {
        return signer;
    }
    if (signer->key) {
        refuse(error, room, "%s: not an Ed25519 key", what);
    }
    return amm_signer_free(signer);
}

struct amm_signer *amm_signer_free(struct amm_signer *signer)
{
    if (signer) {
        EVP_PKEY_free(signer->key);
    }
    free(signer);
    return NULL;
}

void amm_signer_key(const struct amm_signer *signer, uint8_t key[AMM_SIGNATURE_KEY])
{
    memcpy(key, signer->public, AMM_SIGNATURE_KEY);
}

bool amm_sign(const struct amm_signer *signer, struct amm_view bytes,
              uint8_t signature[AMM_SIGNATURE])
{
    size_t len = AMM_SIGNATURE;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool ok = digest && EVP_DigestSignInit(digest, NULL, NULL, NULL, signer->key) == 1 &&
              EVP_DigestSign(digest, signature, &len, bytes.data, bytes.len) == 1 &&
              len == AMM_SIGNATURE;
    EVP_MD_CTX_free(digest);
    return ok;
}

bool amm_signature_verify(const uint8_t key[AMM_SIGNATURE_KEY], struct amm_view bytes,
                          const uint8_t signature[AMM_SIGNATURE])
{
    EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, AMM_SIGNATURE_KEY);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool ok = public && digest && EVP_DigestVerifyInit(digest, NULL, NULL, NULL, public) == 1 &&
              EVP_DigestVerify(digest, signature, AMM_SIGNATURE, bytes.data, bytes.len) == 1;
    EVP_MD_CTX_free(digest);
    EVP_PKEY_free(public);
    ERR_clear_error();
    return ok;
}
