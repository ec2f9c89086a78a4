#include "crypto/csr.h"
#include "der.h"
#include "x509.h"

#include <openssl/err.h>
#include <openssl/x509.h>

/* AlgorithmIdentifier ecdsa-with-SHA256, without parameters (RFC 5758, 3.2). */
static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t version_0[] = {0x02, 0x01, 0x00};

struct request {
    struct amm_view signed_part, key, signature;
};

/* CertificationRequest ::= SEQUENCE { info, algorithm, BIT STRING signature }, where
 * info ::= SEQUENCE { INTEGER 0, subject, key, [0] attributes }. */
static bool split(struct amm_view der, struct request *out, bool *is_our_algorithm)
{
    struct amm_reader r = amm_reader(der);
    struct amm_reader request = der_enter(&r, DER_SEQUENCE);
    struct der_element info = der_read(&request, DER_SEQUENCE);
    struct der_element algorithm = der_read(&request, DER_SEQUENCE);
    struct amm_reader signature = der_enter(&request, DER_BIT_STRING);
    uint8_t unused_bits = amm_read_u8(&signature);
    out->signature = amm_read_rest(&signature);

    struct amm_reader inside = amm_reader(info.content);
    der_expect(&inside, version_0, sizeof version_0);
    der_read(&inside, DER_SEQUENCE);
    out->key = der_read(&inside, DER_SEQUENCE).whole;
    der_read(&inside, DER_CONTEXT_0);

    out->signed_part = info.whole;
    *is_our_algorithm =
        amm_view_equal(algorithm.whole, amm_view(ecdsa_sha256, sizeof ecdsa_sha256));
    return amm_reader_done(&r) && amm_reader_done(&request) && amm_reader_done(&inside) &&
           !signature.failed && unused_bits == 0 && der.len <= AMM_CSR_MAX;
}

static bool is_signed_by(const struct request *request, EVP_PKEY *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestVerify(context, request->signature.data, request->signature.len,
                               request->signed_part.data, request->signed_part.len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return ok;
}

bool amm_csr_take_key(struct amm_view der, uint8_t key[AMM_P256_KEY], char *error, size_t room)
{
    struct request request;
    bool is_our_algorithm = false;
    if (!split(der, &request, &is_our_algorithm)) {
        return refuse(error, room, "the request is not exactly one PKCS#10 request in DER");
    }
    if (request.key.len != AMM_P256_KEY) {
        return refuse(error, room, "the key of the request is not ECDSA P-256");
    }
    EVP_PKEY *parsed = key_from_p256(request.key.data, error, room);
    if (!parsed) {
        return false;
    }
    bool ok = is_our_algorithm && is_signed_by(&request, parsed);
    EVP_PKEY_free(parsed);
    if (!ok) {
        return refuse(error, room,
                      is_our_algorithm ? "the request is not signed by its own key"
                                       : "the request is not signed with ECDSA and SHA-256");
    }
    memcpy(key, request.key.data, AMM_P256_KEY);
    return true;
}

static bool fill(X509_REQ *request, EVP_PKEY *key, const char *name)
{
    X509_NAME *subject = X509_REQ_get_subject_name(request);
    return X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
           X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const uint8_t *)name,
                                      -1, -1, 0) == 1 &&
           X509_REQ_set_pubkey(request, key) == 1 && X509_REQ_sign(request, key, EVP_sha256()) > 0;
}

bool amm_csr_make(const char *key, const char *name, uint8_t out[AMM_CSR_MAX], size_t *len,
                  char *error, size_t room)
{
    if (!name_is_good(name, strlen(name))) {
        return refuse(error, room, "name: 1-64 printable characters without '/' and space");
    }
    EVP_PKEY *pair = key_from_pem(NULL, key, "key", error, room);
    if (!pair) {
        return false;
    }
    X509_REQ *request = X509_REQ_new();
    int size = request && fill(request, pair, name) ? i2d_X509_REQ(request, NULL) : -1;
    uint8_t *at = out;
    bool ok = size > 0 && size <= AMM_CSR_MAX && i2d_X509_REQ(request, &at) == size;
    *len = ok ? (size_t)size : 0;
    X509_REQ_free(request);
    EVP_PKEY_free(pair);
    ERR_clear_error();
    return ok || refuse(error, room, "cannot make the request");
}
