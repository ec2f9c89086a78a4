#include "x509.h"
#include "crypto/mac.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

bool refuse(char *error, size_t room, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, room, format, arguments);
    va_end(arguments);
    return false;
}

/* OpenSSL would ask the terminal for the password of an encrypted file. */
static int no_password(char *out, int room, int writing, void *data)
{
    (void)out;
    (void)room;
    (void)writing;
    (void)data;
    return -1;
}

/* True if the last read failed only because the text has no further block. */
static bool was_end_of_pem(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

STACK_OF(X509) * certificates_from_pem(OSSL_LIB_CTX *lib, const char *pem, const char *what,
                                       char *error, size_t room)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    STACK_OF(X509) *all = sk_X509_new_null();
    bool good = bio && all;
    while (good) {
        X509 *certificate = X509_new_ex(lib, NULL);
        ERR_clear_error();
        if (!certificate || !PEM_read_bio_X509(bio, &certificate, no_password, NULL)) {
            good = was_end_of_pem();
            X509_free(certificate);
            break;
        }
        if (!sk_X509_push(all, certificate)) {
            X509_free(certificate);
            good = false;
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    if (good && sk_X509_num(all) > 0) {
        return all;
    }
    refuse(error, room, good ? "%s: no certificate found" : "%s: a certificate is damaged", what);
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

EVP_PKEY *key_from_pem(OSSL_LIB_CTX *lib, const char *pem, const char *what, char *error,
                       size_t room)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key =
        bio ? PEM_read_bio_PrivateKey_ex(bio, NULL, no_password, NULL, lib, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (!key) {
        refuse(error, room, "%s: no private key found (it must be PEM text without a password)",
               what);
    }
    return key;
}

bool is_p256(const uint8_t key[AMM_P256_KEY])
{
    /* SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING { 0 unused, 4, X, Y } } */
    static const uint8_t head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    return memcmp(key, head, sizeof head) == 0;
}

EVP_PKEY *key_from_p256(const uint8_t key[AMM_P256_KEY], char *error, size_t room)
{
    const uint8_t *at = key;
    EVP_PKEY *parsed = is_p256(key) ? d2i_PUBKEY(NULL, &at, AMM_P256_KEY) : NULL;
    ERR_clear_error();
    if (!parsed) {
        refuse(error, room, "the public key is not ECDSA P-256 (named curve, uncompressed point)");
    }
    return parsed;
}

bool key_hash(const X509 *certificate, uint8_t out[32])
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    bool ok = len > 0 && amm_sha256(amm_view(der, (size_t)len), out);
    OPENSSL_free(der);
    return ok;
}

static bool certificate_hash(const X509 *certificate, uint8_t out[32])
{
    uint8_t *der = NULL;
    int len = i2d_X509(certificate, &der);
    bool ok = len > 0 && amm_sha256(amm_view(der, (size_t)len), out);
    OPENSSL_free(der);
    return ok;
}

static bool serial_of(const X509 *certificate, uint8_t *out, int room)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    bool ok = number && !BN_is_negative(number) && BN_bn2binpad(number, out, room) == room;
    BN_free(number);
    return ok;
}

bool time_from_asn1(const ASN1_TIME *time, int64_t *out)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1) {
        return false;
    }
    *out = timegm(&parts);
    return true;
}

/* Not ASN1_TIME_set: its time_t is 32 bits wide in the libraries of 32-bit systems. */
bool time_to_asn1(int64_t wall, ASN1_TIME *out)
{
    time_t seconds = wall;
    struct tm parts;
    char text[sizeof "99991231235959Z"];
    if (!out || !gmtime_r(&seconds, &parts)) {
        return false;
    }
    return strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &parts) == sizeof text - 1 &&
           ASN1_TIME_set_string_X509(out, text) == 1;
}

bool identity_from(const X509 *certificate, const X509 *issuer, struct amm_identity *out)
{
    return serial_of(certificate, out->serial, sizeof out->serial) &&
           key_hash(issuer, out->issuer) && certificate_hash(certificate, out->certificate) &&
           key_hash(certificate, out->key) &&
           time_from_asn1(X509_get0_notAfter(certificate), &out->not_after);
}

bool common_name(const X509 *certificate, char out[AMM_NAME_MAX + 1], size_t *len)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) {
        return false;
    }
    uint8_t *text = NULL;
    int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool fits = n >= 0 && n <= AMM_NAME_MAX;
    if (fits) {
        memcpy(out, text, (size_t)n);
        out[n] = '\0';
        *len = (size_t)n;
    }
    OPENSSL_free(text);
    return fits;
}

bool name_is_good(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (name[i] < 0x21 || name[i] > 0x7e || name[i] == '/') {
            return false;
        }
    }
    return len >= 1 && len <= AMM_NAME_MAX;
}

void name_for_people(const X509 *certificate, char out[AMM_NAME_MAX + 1])
{
    char name[AMM_NAME_MAX + 1];
    size_t len;
    if (common_name(certificate, name, &len) && len > 0) {
        amm_text_clean(out, AMM_NAME_MAX + 1, amm_view(name, len));
    } else {
        memcpy(out, "?", 2);
    }
}

static bool is_named_curve(EVP_PKEY *key)
{
    char group[32];
    int explicit_parameters = 0;
    EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                           &explicit_parameters);
    return !explicit_parameters && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0);
}

bool key_is_acceptable(const X509 *certificate)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    if (!key) {
        return false;
    }
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) {
        int bits = EVP_PKEY_get_bits(key);
        return bits >= RSA_MIN && bits <= RSA_MAX;
    }
    return EVP_PKEY_is_a(key, "ED25519") || (EVP_PKEY_is_a(key, "EC") && is_named_curve(key));
}
