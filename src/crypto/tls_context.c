/* Settings, trust and own certificate. Each context has its own OSSL_LIB_CTX: with a shared one,
 * threads that do handshakes spend up to half their time in OpenSSL's locks. */
#include "tls_internal.h"

#include <openssl/err.h>
#include <stdlib.h>

static bool apply_protocol(SSL_CTX *ssl, const struct amm_tls_settings *settings)
{
    if (!amm_ssl_restrict(ssl)) {
        return false;
    }
    SSL_CTX_clear_options(ssl, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    SSL_CTX_set_quiet_shutdown(ssl, 1);
    SSL_CTX_set_verify(ssl,
                       settings->role == AMM_SERVER
                           ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                           : SSL_VERIFY_PEER,
                       NULL);
    return SSL_CTX_set_max_proto_version(ssl, settings->tls13_off ? TLS1_2_VERSION : 0) == 1;
}

static bool load_trust(struct amm_tls_context *context, const char *ca, char *error, size_t room)
{
    if (!ca) {
        return refuse(error, room, "ca: missing");
    }
    context->trusted = certificates_from_pem(context->lib, ca, "ca", error, room);
    return context->trusted && amm_ssl_trust(context->ssl, context->trusted, error, room);
}

static bool load_own(struct amm_tls_context *context, const struct amm_tls_settings *settings,
                     char *error, size_t room)
{
    if (!settings->certificate && !settings->key && settings->optional_certificate) {
        return true;
    }
    struct amm_ssl_own own;
    bool ok =
        amm_ssl_own_read(&own, context->lib, settings->certificate, settings->key, error, room) &&
        amm_ssl_own_use(&own, context->ssl, error, room);
    amm_ssl_own_release(&own);
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
