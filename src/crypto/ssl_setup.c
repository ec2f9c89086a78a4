/* Protocol, trust and own certificate of an SSL_CTX. */
#include "crypto/ssl.h"
#include "x509.h"

static const char suites_12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const char suites_13[] =
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";

/* P-256 first: with the assembler of OpenSSL it is the cheapest. P-384 stands here because TLS 1.2
 * refuses certificates on a curve that is not in this list. */
static const char groups[] = "P-256:X25519:P-384";
static const char signatures[] =
    "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ed25519:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"
    "rsa_pss_rsae_sha512:rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:rsa_pkcs1_sha256:"
    "rsa_pkcs1_sha384:rsa_pkcs1_sha512";

/* OpenSSL's security level: 112 bits, no SHA-1. */
enum { SECURITY_LEVEL = 2 };

bool amm_ssl_restrict(SSL_CTX *ssl)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_security_level(ssl, SECURITY_LEVEL);
    SSL_CTX_set_max_cert_list(ssl, CHAIN_MAX * CERTIFICATE_MAX);
    return SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
           SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, suites_12) == 1 &&
           SSL_CTX_set_ciphersuites(ssl, suites_13) == 1 &&
           SSL_CTX_set1_groups_list(ssl, groups) == 1 &&
           SSL_CTX_set1_sigalgs_list(ssl, signatures) == 1;
}

STACK_OF(X509) * amm_ssl_certificates(OSSL_LIB_CTX *lib, const char *pem, const char *what,
                                      char *error, size_t room)
{
    return certificates_from_pem(lib, pem, what, error, room);
}

bool amm_ssl_trust(SSL_CTX *ssl, const STACK_OF(X509) * trusted, char *error, size_t room)
{
    X509_STORE *store = X509_STORE_new();
    if (!store) {
        return refuse(error, room, "ca: out of memory");
    }
    for (int i = 0; i < sk_X509_num(trusted); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(trusted, i)) != 1) {
            X509_STORE_free(store);
            return refuse(error, room, "ca: a certificate is not usable");
        }
    }
    SSL_CTX_set_cert_store(ssl, store); /* takes it */
    return true;
}

bool amm_ssl_own_read(struct amm_ssl_own *out, OSSL_LIB_CTX *lib, const char *certificate,
                      const char *key, char *error, size_t room)
{
    *out = (struct amm_ssl_own){0};
    if (!certificate || !key) {
        return refuse(error, room, "%s: missing", certificate ? "key" : "cert");
    }
    out->chain = certificates_from_pem(lib, certificate, "cert", error, room);
    out->key = out->chain ? key_from_pem(lib, key, "key", error, room) : NULL;
    bool ok = out->key != NULL;
    if (ok &&
        (sk_X509_num(out->chain) > CHAIN_MAX || !key_is_acceptable(sk_X509_value(out->chain, 0)))) {
        ok = refuse(
            error, room,
            "cert: at most 4 certificates, with RSA 2048-4096, P-256, P-384 or Ed25519 keys");
    }
    if (ok && X509_check_private_key(sk_X509_value(out->chain, 0), out->key) != 1) {
        ok = refuse(error, room, "key: does not belong to the certificate");
    }
    if (!ok) {
        amm_ssl_own_release(out);
    }
    return ok;
}

void amm_ssl_own_release(struct amm_ssl_own *own)
{
    EVP_PKEY_free(own->key);
    sk_X509_pop_free(own->chain, X509_free);
    *own = (struct amm_ssl_own){0};
}

bool amm_ssl_own_use(const struct amm_ssl_own *own, SSL_CTX *ssl, char *error, size_t room)
{
    if (SSL_CTX_use_certificate(ssl, sk_X509_value(own->chain, 0)) != 1) {
        return refuse(error, room, "cert: a certificate is not usable");
    }
    for (int i = 1; i < sk_X509_num(own->chain); i++) {
        if (SSL_CTX_add1_chain_cert(ssl, sk_X509_value(own->chain, i)) != 1) {
            return refuse(error, room, "cert: a certificate is not usable");
        }
    }
    return SSL_CTX_use_PrivateKey(ssl, own->key) == 1 ||
           refuse(error, room, "key: does not belong to the certificate");
}

bool amm_ssl_key_hash(const X509 *certificate, uint8_t out[32])
{
    return key_hash(certificate, out);
}
