/* Settings, trust and own certificate. Each context has its own OSSL_LIB_CTX: with a shared one,
 * threads that do handshakes spend up to half their time in OpenSSL's locks. */
#include "tls_internal.h"

#include <openssl/err.h>
#include <stdlib.h>

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

static bool apply_protocol(SSL_CTX *ssl, const struct amm_tls_settings *settings)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_clear_options(ssl, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_quiet_shutdown(ssl, 1);
    SSL_CTX_set_security_level(ssl, SECURITY_LEVEL);
    SSL_CTX_set_max_cert_list(ssl, CHAIN_MAX * CERTIFICATE_MAX);
    SSL_CTX_set_verify(ssl,
                       settings->role == AMM_SERVER
                           ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                           : SSL_VERIFY_PEER,
                       NULL);
    return SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
           SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, settings->tls13_off ? TLS1_2_VERSION : 0) == 1 &&
           SSL_CTX_set_cipher_list(ssl, suites_12) == 1 &&
           SSL_CTX_set_ciphersuites(ssl, suites_13) == 1 &&
           SSL_CTX_set1_groups_list(ssl, groups) == 1 &&
           SSL_CTX_set1_sigalgs_list(ssl, signatures) == 1;
}

static bool load_trust(struct amm_tls_context *context, const char *ca, char *error, size_t room)
{
    if (!ca) {
        return refuse(error, room, "ca: missing");
    }
    context->trusted = certificates_from_pem(context->lib, ca, "ca", error, room);
    X509_STORE *store = context->trusted ? X509_STORE_new() : NULL;
    if (!store) {
        return context->trusted ? refuse(error, room, "ca: out of memory") : false;
    }
    for (int i = 0; i < sk_X509_num(context->trusted); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(context->trusted, i)) != 1) {
            X509_STORE_free(store);
            return refuse(error, room, "ca: a certificate is not usable");
        }
    }
    SSL_CTX_set_cert_store(context->ssl, store); /* takes it */
    return true;
}

/* The leaf, then intermediates that are sent along. */
static bool use_chain(SSL_CTX *ssl, STACK_OF(X509) * chain)
{
    if (SSL_CTX_use_certificate(ssl, sk_X509_value(chain, 0)) != 1) {
        return false;
    }
    for (int i = 1; i < sk_X509_num(chain); i++) {
        if (SSL_CTX_add1_chain_cert(ssl, sk_X509_value(chain, i)) != 1) {
            return false;
        }
    }
    return true;
}

static bool load_own(struct amm_tls_context *context, const struct amm_tls_settings *settings,
                     char *error, size_t room)
{
    if (!settings->certificate && !settings->key && settings->optional_certificate) {
        return true;
    }
    if (!settings->certificate || !settings->key) {
        return refuse(error, room, "%s: missing", settings->certificate ? "key" : "cert");
    }
    STACK_OF(X509) *chain =
        certificates_from_pem(context->lib, settings->certificate, "cert", error, room);
    EVP_PKEY *key = chain ? key_from_pem(context->lib, settings->key, "key", error, room) : NULL;
    bool ok = key != NULL;
    if (ok && (sk_X509_num(chain) > CHAIN_MAX || !key_is_acceptable(sk_X509_value(chain, 0)))) {
        ok = refuse(
            error, room,
            "cert: at most 4 certificates, with RSA 2048-4096, P-256, P-384 or Ed25519 keys");
    }
    if (ok && !use_chain(context->ssl, chain)) {
        ok = refuse(error, room, "cert: a certificate is not usable");
    }
    if (ok && (X509_check_private_key(sk_X509_value(chain, 0), key) != 1 ||
               SSL_CTX_use_PrivateKey(context->ssl, key) != 1)) {
        ok = refuse(error, room, "key: does not belong to the certificate");
    }
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    return ok;
}

static bool take_settings(struct amm_tls_context *context, const struct amm_tls_settings *settings,
                          char *error, size_t room)
{
    context->role = settings->role;
    context->no_role_check = settings->no_role_check && settings->role == AMM_CLIENT;
    context->name_is_prefix = settings->server_name_is_prefix;
    if (settings->server_name && settings->role == AMM_CLIENT) {
        size_t len = strlen(settings->server_name);
        if (len == 0 || len > AMM_NAME_MAX) {
            return refuse(error, room, "server name: 1 to 64 characters are allowed");
        }
        memcpy(context->expected_name, settings->server_name, len + 1);
        context->names_a_server = true;
    }
    return true;
}

static bool set_up(struct amm_tls_context *context, const struct amm_tls_settings *settings,
                   char *error, size_t room)
{
    context->lib = OSSL_LIB_CTX_new();
    context->ssl = context->lib ? SSL_CTX_new_ex(context->lib, NULL, TLS_method()) : NULL;
    if (!context->ssl || !apply_protocol(context->ssl, settings)) {
        return refuse(error, room, "TLS: OpenSSL lacks an algorithm or memory");
    }
    SSL_CTX_set_cert_verify_callback(context->ssl, tls_verify, context);
    if (!take_settings(context, settings, error, room) ||
        !load_trust(context, settings->ca, error, room) ||
        !load_own(context, settings, error, room)) {
        return false;
    }
    if (settings->role == AMM_SERVER) {
        context->verified = calloc(VERIFIED_CHAINS, sizeof *context->verified);
        if (!context->verified) {
            return refuse(error, room, "TLS: out of memory");
        }
    }
    if (settings->crl) {
        context->crls = crl_set_new(context->lib, settings->crl, context->trusted, error, room);
        return context->crls != NULL;
    }
    return true;
}

struct amm_tls_context *amm_tls_context_new(const struct amm_tls_settings *settings, char *error,
                                            size_t room)
{
    struct amm_tls_context *context = calloc(1, sizeof *context);
    if (!context) {
        refuse(error, room, "TLS: out of memory");
        return NULL;
    }
    bool ok = set_up(context, settings, error, room);
    ERR_clear_error();
    return ok ? context : amm_tls_context_free(context);
}

struct amm_tls_context *amm_tls_context_free(struct amm_tls_context *context)
{
    if (context) {
        crl_set_free(context->crls);
        free(context->verified);
        SSL_CTX_free(context->ssl);
        sk_X509_pop_free(context->trusted, X509_free);
        OSSL_LIB_CTX_free(context->lib);
        free(context);
    }
    return NULL;
}

bool amm_tls_context_set_crl(struct amm_tls_context *context, const char *crl_pem, int64_t wall,
                             char *error, size_t room)
{
    struct crl_set *crls =
        crl_set_new(context->lib, crl_pem ? crl_pem : "", context->trusted, error, room);
    if (!crls) {
        return false;
    }
    if (!crl_set_replaces(crls, context->crls, wall, error, room)) {
        crl_set_free(crls);
        return false;
    }
    crl_set_free(context->crls);
    context->crls = crls;
    return true;
}

bool amm_tls_context_revokes(const struct amm_tls_context *context,
                             const struct amm_identity *identity)
{
    return context->crls &&
           crl_set_ask(context->crls, identity->issuer, identity->serial, 0) == CRL_REVOKED;
}
