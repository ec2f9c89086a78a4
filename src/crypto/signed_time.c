#include "crypto/signed_time.h"
#include "x509.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

static const char context[] = "amm-time-1"; /* signed with its NUL */

enum { SIGNED = sizeof context + AMM_CLAIM_NONCE + sizeof(uint64_t) };

struct amm_time_signer {
    EVP_PKEY *key;
};

static void signed_bytes(uint8_t out[SIGNED], const uint8_t nonce[AMM_CLAIM_NONCE], int64_t wall)
{
    struct amm_writer w = amm_writer(out, SIGNED);
    amm_write_bytes(&w, context, sizeof context);
    amm_write_bytes(&w, nonce, AMM_CLAIM_NONCE);
    amm_write_u64(&w, (uint64_t)wall);
}

bool amm_time_key_new(char *key, char *error, size_t room)
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

struct amm_time_signer *amm_time_signer_new(const char *key, char *error, size_t room)
{
    struct amm_time_signer *signer = calloc(1, sizeof *signer);
    if (!signer) {
        refuse(error, room, "out of memory");
        return NULL;
    }
    signer->key = key_from_pem(NULL, key, "time key", error, room);
    if (signer->key && EVP_PKEY_is_a(signer->key, "ED25519")) {
        return signer;
    }
    if (signer->key) {
        refuse(error, room, "time key: not an Ed25519 key");
    }
    return amm_time_signer_free(signer);
}

struct amm_time_signer *amm_time_signer_free(struct amm_time_signer *signer)
{
    if (signer) {
        EVP_PKEY_free(signer->key);
    }
    free(signer);
    return NULL;
}

bool amm_time_sign(struct amm_time_signer *signer, const uint8_t nonce[AMM_CLAIM_NONCE],
                   int64_t wall, uint8_t signature[AMM_CLAIM_SIGNATURE])
{
    uint8_t bytes[SIGNED];
    size_t len = AMM_CLAIM_SIGNATURE;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    signed_bytes(bytes, nonce, wall);
    bool ok = digest && EVP_DigestSignInit(digest, NULL, NULL, NULL, signer->key) == 1 &&
              EVP_DigestSign(digest, signature, &len, bytes, sizeof bytes) == 1 &&
              len == AMM_CLAIM_SIGNATURE;
    EVP_MD_CTX_free(digest);
    return ok;
}

/* ---- the asking side ---- */

static bool covers(const struct amm_time_claim *claim, const uint8_t nonce[AMM_CLAIM_NONCE],
                   EVP_PKEY *key)
{
    uint8_t bytes[SIGNED];
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    signed_bytes(bytes, nonce, claim->wall);
    bool ok =
        digest && EVP_DigestVerifyInit(digest, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestVerify(digest, claim->signature, AMM_CLAIM_SIGNATURE, bytes, sizeof bytes) == 1;
    EVP_MD_CTX_free(digest);
    return ok;
}

/* By name, by what its key may be used for and by the signature; dates are left open. */
static bool is_issued_by_one_of(X509 *certificate, const STACK_OF(X509) * authorities)
{
    for (int i = 0; i < sk_X509_num(authorities); i++) {
        X509 *authority = sk_X509_value(authorities, i);
        if (X509_check_ca(authority) == 1 &&
            (X509_get_key_usage(authority) & KU_KEY_CERT_SIGN) != 0 &&
            X509_check_issued(authority, certificate) == X509_V_OK &&
            X509_verify(certificate, X509_get0_pubkey(authority)) == 1) {
            return true;
        }
    }
    return false;
}

static bool check_certificate(X509 *certificate, const STACK_OF(X509) * authorities, char *error,
                              size_t room)
{
    char name[AMM_NAME_MAX + 1];
    size_t len;
    if (!is_issued_by_one_of(certificate, authorities)) {
        return refuse(error, room, "the time key is not certified by the server CA");
    }
    if (!common_name(certificate, name, &len) || len != strlen(AMM_CLAIM_NAME) ||
        memcmp(name, AMM_CLAIM_NAME, len) != 0) {
        return refuse(error, room, "the certificate of the time key has another name than %s",
                      AMM_CLAIM_NAME);
    }
    if (X509_get_extended_key_usage(certificate) != XKU_TIMESTAMP ||
        X509_check_ca(certificate) != 0 ||
        (X509_get_key_usage(certificate) & KU_DIGITAL_SIGNATURE) == 0) {
        return refuse(error, room, "the certificate of the time key is for something else");
    }
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    return (key && EVP_PKEY_is_a(key, "ED25519")) ||
           refuse(error, room, "the time key is not an Ed25519 key");
}

static bool check_time(const struct amm_time_claim *claim, const X509 *certificate, int64_t floor,
                       char *error, size_t room)
{
    int64_t from, until;
    if (claim->wall < floor) {
        return refuse(error, room, "the time lies before the last one that was known for sure");
    }
    return (time_from_asn1(X509_get0_notBefore(certificate), &from) &&
            time_from_asn1(X509_get0_notAfter(certificate), &until) && claim->wall >= from &&
            claim->wall <= until) ||
           refuse(error, room, "the time lies outside the life of the time key");
}

bool amm_time_accept(const struct amm_time_claim *claim, const uint8_t nonce[AMM_CLAIM_NONCE],
                     const char *ca, int64_t floor, char *error, size_t room)
{
    STACK_OF(X509) *authorities = certificates_from_pem(NULL, ca, "ca", error, room);
    STACK_OF(X509) *shown =
        authorities ? certificates_from_pem(NULL, claim->certificate, "time key", error, room)
                    : NULL;
    bool ok = false;
    if (shown) {
        X509 *certificate = sk_X509_value(shown, 0);
        ok = check_certificate(certificate, authorities, error, room) &&
             (covers(claim, nonce, X509_get0_pubkey(certificate)) ||
              refuse(error, room, "the signature does not cover this time and our question")) &&
             check_time(claim, certificate, floor, error, room);
    }
    sk_X509_pop_free(shown, X509_free);
    sk_X509_pop_free(authorities, X509_free);
    ERR_clear_error();
    return ok;
}
