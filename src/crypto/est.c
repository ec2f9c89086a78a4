#include "crypto/est.h"
#include "base/base64.h"
#include "der.h"
#include "x509.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <stdlib.h>

/* id-signedData and, as the type of a content that is not there, id-data (RFC 2315). */
static const uint8_t signed_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                      0xf7, 0x0d, 0x01, 0x07, 0x02};
static const uint8_t no_content[] = {0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48,
                                     0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01};
static const uint8_t version_1[] = {0x02, 0x01, 0x01};

/* Base64 text with line ends; malloc'd. */
static bool to_body(struct amm_view der, char **out, size_t *len)
{
    size_t room = AMM_BASE64_ROOM(der.len);
    *out = malloc(room);
    *len = *out ? amm_base64_encode(*out, room, der, AMM_BASE64_LINES) : 0;
    if (*len == 0) {
        free(*out);
        *out = NULL;
    }
    return *out != NULL;
}

/* The bytes of a body; malloc'd. */
static bool from_body(struct amm_view body, struct amm_span *out, char *error, size_t room)
{
    *out = (struct amm_span){NULL, 0};
    if (body.len > AMM_EST_BODY_MAX) {
        return refuse(error, room, "the body is larger than %d bytes", AMM_EST_BODY_MAX);
    }
    uint8_t *bytes = malloc(body.len + 1);
    if (!bytes) {
        return refuse(error, room, "out of memory");
    }
    if (!amm_base64_decode(bytes, body.len, &out->len, body, AMM_BASE64_LINES) || out->len == 0) {
        free(bytes);
        return refuse(error, room, "the body is not base64 (without armour, with padding)");
    }
    out->data = bytes;
    return true;
}

/* ---- certificates ---- */

/* PKCS7_content_new would add an empty content, which readers then want to see signed. */
static PKCS7 *certs_only(STACK_OF(X509) * certificates)
{
    PKCS7 *message = PKCS7_new();
    bool ok = message && PKCS7_set_type(message, NID_pkcs7_signed) == 1;
    if (ok) {
        message->d.sign->contents->type = OBJ_nid2obj(NID_pkcs7_data);
    }
    for (int i = 0; ok && i < sk_X509_num(certificates); i++) {
        ok = PKCS7_add_certificate(message, sk_X509_value(certificates, i)) == 1;
    }
    if (!ok) {
        PKCS7_free(message);
        return NULL;
    }
    return message;
}

bool amm_est_certificates_write(const char *certificates, char **out, size_t *len, char *error,
                                size_t room)
{
    STACK_OF(X509) *all = certificates_from_pem(NULL, certificates, "certificates", error, room);
    if (!all) {
        return false;
    }
    PKCS7 *message = certs_only(all);
    uint8_t *der = NULL;
    int size = message ? i2d_PKCS7(message, &der) : -1;
    bool ok = size > 0 && to_body(amm_view(der, (size_t)size), out, len);
    OPENSSL_free(der);
    PKCS7_free(message);
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();
    return ok || refuse(error, room, "out of memory");
}

/* ContentInfo ::= SEQUENCE { id-signedData, [0] SEQUENCE { INTEGER 1, SET algorithms,
 * SEQUENCE { id-data }, [0] certificates, [1] lists OPTIONAL, SET signers } }. The sets are empty.
 */
static bool find_certificates(struct amm_view der, struct amm_reader *out)
{
    struct amm_reader r = amm_reader(der);
    struct amm_reader info = der_enter(&r, DER_SEQUENCE);
    der_expect(&info, signed_data, sizeof signed_data);
    struct amm_reader outer = der_enter(&info, DER_CONTEXT_0);
    struct amm_reader inner = der_enter(&outer, DER_SEQUENCE);
    der_expect(&inner, version_1, sizeof version_1);
    bool has_signers = der_read(&inner, DER_SET).content.len > 0;
    der_expect(&inner, no_content, sizeof no_content);
    *out = der_enter(&inner, DER_CONTEXT_0);
    if (der_is_next(&inner, DER_CONTEXT_1)) {
        der_read(&inner, DER_CONTEXT_1);
    }
    has_signers |= der_read(&inner, DER_SET).content.len > 0;
    return amm_reader_done(&r) && amm_reader_done(&info) && amm_reader_done(&outer) &&
           amm_reader_done(&inner) && !has_signers;
}

/* Appends the next certificate as PEM text. */
static bool append_pem(BIO *bio, struct amm_view der)
{
    const uint8_t *at = der.data;
    X509 *certificate = der.len <= CERTIFICATE_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    bool ok = certificate && at == der.data + der.len && PEM_write_bio_X509(bio, certificate) == 1;
    X509_free(certificate);
    return ok;
}

bool amm_est_certificates_read(struct amm_view body, char **out, char *error, size_t room)
{
    struct amm_span der;
    struct amm_reader certificates;
    *out = NULL;
    if (!from_body(body, &der, error, room)) {
        return false;
    }
    BIO *bio = BIO_new(BIO_s_mem());
    int n = 0;
    bool ok = bio && find_certificates(amm_view_of(der), &certificates);
    while (ok && amm_reader_left(&certificates) > 0) {
        struct amm_view one = der_read(&certificates, DER_SEQUENCE).whole;
        ok = !certificates.failed && ++n <= AMM_EST_CERTIFICATES_MAX && append_pem(bio, one);
    }
    if (ok && n > 0) {
        char *text;
        long len = BIO_get_mem_data(bio, &text);
        *out = strndup(text, (size_t)len);
    }
    BIO_free(bio);
    free(der.data);
    ERR_clear_error();
    return *out || refuse(error, room, "the body does not hold certificates alone (PKCS#7)");
}

bool amm_est_pinned(const char *certificates, const uint8_t pin[32], char out[AMM_PEM_MAX])
{
    char unused[128];
    bool found = false;
    STACK_OF(X509) *all =
        certificates_from_pem(NULL, certificates, "certificates", unused, sizeof unused);
    for (int i = 0; !found && i < sk_X509_num(all); i++) {
        X509 *certificate = sk_X509_value(all, i);
        uint8_t hash[32];
        if (key_hash(certificate, hash) && memcmp(hash, pin, sizeof hash) == 0) {
            BIO *bio = BIO_new(BIO_s_mem());
            int n = bio && PEM_write_bio_X509(bio, certificate) == 1
                        ? BIO_read(bio, out, AMM_PEM_MAX - 1)
                        : 0;
            found = n > 0 && BIO_ctrl_pending(bio) == 0;
            out[n > 0 ? n : 0] = '\0';
            BIO_free(bio);
        }
    }
    sk_X509_pop_free(all, X509_free);
    return found;
}

/* ---- requests ---- */

bool amm_est_request_read(struct amm_view body, uint8_t key[AMM_P256_KEY], char *error, size_t room)
{
    struct amm_span der;
    if (!from_body(body, &der, error, room)) {
        return false;
    }
    bool ok = amm_csr_take_key(amm_view_of(der), key, error, room);
    free(der.data);
    return ok;
}

bool amm_est_request_write(const char *key, const char *name, char **out, size_t *len, char *error,
                           size_t room)
{
    uint8_t der[AMM_CSR_MAX];
    size_t size = 0;
    *out = NULL;
    return amm_csr_make(key, name, der, &size, error, room) &&
           (to_body(amm_view(der, size), out, len) || refuse(error, room, "out of memory"));
}
