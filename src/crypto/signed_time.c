#include "crypto/signed_time.h"
#include "x509.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

static const char context[] = "amm-time-1"; /* signed with its NUL */

enum { SIGNED = sizeof context + AMM_CLAIM_NONCE + sizeof(uint64_t) };

static void signed_bytes(uint8_t out[SIGNED], const uint8_t nonce[AMM_CLAIM_NONCE], int64_t wall)
{
    struct amm_writer w = amm_writer(out, SIGNED);
    amm_write_bytes(&w, context, sizeof context);
    amm_write_bytes(&w, nonce, AMM_CLAIM_NONCE);
    amm_write_u64(&w, (uint64_t)wall);
}

bool amm_time_sign(const struct amm_signer *signer, const uint8_t nonce[AMM_CLAIM_NONCE],
                   int64_t wall, uint8_t signature[AMM_SIGNATURE])
{
    uint8_t bytes[SIGNED];
    signed_bytes(bytes, nonce, wall);
    return amm_sign(signer, amm_view(bytes, sizeof bytes), signature);
}

/* ---- the asking side ---- */

static bool covers(const struct amm_time_claim *claim, const uint8_t nonce[AMM_CLAIM_NONCE],
                   EVP_PKEY *key)
{
    uint8_t bytes[SIGNED], raw[AMM_SIGNATURE_KEY];
    size_t len = sizeof raw;
    signed_bytes(bytes, nonce, claim->wall);
    return EVP_PKEY_get_raw_public_key(key, raw, &len) == 1 &&
           amm_signature_verify(raw, amm_view(bytes, sizeof bytes), claim->signature);
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
