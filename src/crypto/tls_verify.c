/* Verification of the peer: limits before any signature is computed, then OpenSSL's path validation
 * at the caller's time, then role, revocation and name. */
#include "tls_internal.h"

#include <openssl/x509v3.h>
#include <stdio.h>

/* Remembers the failure for the session and the error that OpenSSL turns into an alert. */
static int refuse_chain(struct amm_tls *tls, X509_STORE_CTX *chain, int error,
                        enum amm_tls_failure failure, const X509 *certificate, const char *why)
{
    char name[AMM_NAME_MAX + 1] = "?";
    if (certificate) {
        name_for_people(certificate, name);
    }
    tls->failure = failure;
    snprintf(tls->detail, sizeof tls->detail, "certificate of %s: %s", name, why);
    X509_STORE_CTX_set_error(chain, error);
    return 0;
}

static enum amm_tls_failure failure_of(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return AMM_TLS_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return AMM_TLS_NOT_YET_VALID;
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_INVALID_NON_CA:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
    case X509_V_ERR_CERT_REJECTED:
        return AMM_TLS_WRONG_ROLE;
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
        return AMM_TLS_TOO_BIG;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
    case X509_V_ERR_CA_MD_TOO_WEAK:
    case X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH:
        return AMM_TLS_BAD_SIGNATURE;
    default:
        return AMM_TLS_UNKNOWN_ISSUER;
    }
}

/* What a peer may send at all; refused before it costs us public-key work. */
static int check_limits(struct amm_tls *tls, X509_STORE_CTX *chain)
{
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(chain);
    int n = sk_X509_num(sent);
    if (n > CHAIN_MAX) {
        return refuse_chain(tls, chain, X509_V_ERR_CERT_CHAIN_TOO_LONG, AMM_TLS_TOO_BIG,
                            X509_STORE_CTX_get0_cert(chain), "more than 4 certificates");
    }
    for (int i = 0; i < n; i++) {
        X509 *certificate = sk_X509_value(sent, i);
        int size = i2d_X509(certificate, NULL);
        if (size < 0 || size > CERTIFICATE_MAX) {
            return refuse_chain(tls, chain, X509_V_ERR_CERT_CHAIN_TOO_LONG, AMM_TLS_TOO_BIG,
                                certificate, "larger than 8 KiB");
        }
        if (!key_is_acceptable(certificate)) {
            return refuse_chain(tls, chain, X509_V_ERR_EE_KEY_TOO_SMALL, AMM_TLS_TOO_BIG,
                                certificate, "key is not RSA 2048-4096, P-256, P-384 or Ed25519");
        }
    }
    return 1;
}

static int check_path(struct amm_tls *tls, X509_STORE_CTX *chain)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(chain);
    X509_VERIFY_PARAM_set_time(param, tls->wall);
    X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX - 2); /* counts what is between leaf and anchor */
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    if (tls->context->no_role_check) {
        X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY);
    }
    if (X509_verify_cert(chain) == 1) {
        return 1;
    }
    int error = X509_STORE_CTX_get_error(chain);
    if (error == X509_V_OK) {
        error = X509_V_ERR_UNSPECIFIED;
    }
    return refuse_chain(tls, chain, error, failure_of(error),
                        X509_STORE_CTX_get_current_cert(chain),
                        X509_verify_cert_error_string(error));
}

/* OpenSSL lets a certificate without the extension pass as both; here it must say what it is for.
 */
static int check_role(struct amm_tls *tls, X509_STORE_CTX *chain, X509 *leaf)
{
    uint32_t wanted = tls->context->role == AMM_SERVER ? XKU_SSL_CLIENT : XKU_SSL_SERVER;
    uint32_t usage = X509_get_extended_key_usage(leaf);
    if (tls->context->no_role_check || (usage != UINT32_MAX && (usage & wanted) != 0)) {
        return 1;
    }
    return refuse_chain(tls, chain, X509_V_ERR_INVALID_PURPOSE, AMM_TLS_WRONG_ROLE, leaf,
                        wanted == XKU_SSL_CLIENT ? "extended key usage lacks clientAuth"
                                                 : "extended key usage lacks serverAuth");
}

static int check_link(struct amm_tls *tls, X509_STORE_CTX *chain, const X509 *certificate,
                      const struct amm_identity *link)
{
    switch (crl_set_ask(tls->context->crls, link->issuer, link->serial, tls->wall)) {
    case CRL_GOOD:
        return 1;
    case CRL_REVOKED:
        return refuse_chain(tls, chain, X509_V_ERR_CERT_REVOKED, AMM_TLS_REVOKED, certificate,
                            "revoked");
    case CRL_NO_LIST:
        return refuse_chain(tls, chain, X509_V_ERR_UNABLE_TO_GET_CRL, AMM_TLS_NO_CRL, certificate,
                            "no revocation list of its issuer");
    case CRL_OUT_OF_DATE:
        return refuse_chain(tls, chain, X509_V_ERR_CRL_HAS_EXPIRED, AMM_TLS_NO_CRL, certificate,
                            "the revocation list of its issuer is out of date");
    }
    return 0;
}

/* Asks for every certificate below the anchor; the anchor is trusted by configuration. */
static int check_revocation(struct amm_tls *tls, X509_STORE_CTX *chain, X509 *leaf)
{
    if (!tls->context->crls) {
        return 1;
    }
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(chain); /* NULL if the leaf was known */
    if (!check_link(tls, chain, leaf, &tls->identity)) {
        return 0;
    }
    for (int i = 1; i + 1 < sk_X509_num(path); i++) {
        X509 *certificate = sk_X509_value(path, i);
        struct amm_identity link;
        if (!identity_from(certificate, sk_X509_value(path, i + 1), &link)) {
            return refuse_chain(tls, chain, X509_V_ERR_UNSPECIFIED, AMM_TLS_TOO_BIG, certificate,
                                "serial number is longer than 20 bytes");
        }
        if (!check_link(tls, chain, certificate, &link)) {
            return 0;
        }
    }
    return 1;
}

static bool is_expected_server(const struct amm_tls_context *context, const char *name, size_t len)
{
    size_t wanted = strlen(context->expected_name);
    return (context->name_is_prefix ? len >= wanted : len == wanted) &&
           memcmp(name, context->expected_name, wanted) == 0;
}

/* A gateway's name is a key of the whole system, so it is strict. The name of a foreign server
 * serves only the log, unless the configuration expects a certain one. */
static int check_name(struct amm_tls *tls, X509_STORE_CTX *chain, X509 *leaf)
{
    const struct amm_tls_context *context = tls->context;
    char name[AMM_NAME_MAX + 1];
    size_t len = 0;
    bool found = common_name(leaf, name, &len);
    if (context->role == AMM_SERVER && (!found || !name_is_good(name, len))) {
        return refuse_chain(tls, chain, X509_V_ERR_APPLICATION_VERIFICATION, AMM_TLS_WRONG_NAME,
                            leaf, "common name cannot be a gateway's name");
    }
    if (context->names_a_server && (!found || !is_expected_server(context, name, len))) {
        char why[AMM_NAME_MAX + 40];
        snprintf(why, sizeof why, "the server should be %s", context->expected_name);
        return refuse_chain(tls, chain, X509_V_ERR_HOSTNAME_MISMATCH, AMM_TLS_WRONG_NAME, leaf,
                            why);
    }
    name_for_people(leaf, tls->identity.name);
    return 1;
}

static struct verified_chain *place_of(const struct amm_tls_context *context,
                                       const uint8_t hash[32])
{
    return &context->verified[amm_load_u32(hash) % VERIFIED_CHAINS];
}

/* True if this very certificate was verified before and its dates still hold. */
static bool was_verified(struct amm_tls *tls)
{
    if (!tls->context->verified) {
        return false;
    }
    const struct verified_chain *known = place_of(tls->context, tls->identity.certificate);
    if (memcmp(known->certificate, tls->identity.certificate, sizeof known->certificate) != 0 ||
        tls->wall < known->from || tls->wall > known->until) {
        return false;
    }
    memcpy(tls->identity.issuer, known->issuer, sizeof known->issuer);
    return true;
}

/* Only the plain case of a gateway directly under a trusted CA is remembered. */
static void remember(struct amm_tls *tls, X509_STORE_CTX *chain, const X509 *leaf)
{
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(chain);
    if (!tls->context->verified || sk_X509_num(path) != 2) {
        return;
    }
    const X509 *anchor = sk_X509_value(path, 1);
    int64_t from[2], until[2];
    if (!time_from_asn1(X509_get0_notBefore(leaf), &from[0]) ||
        !time_from_asn1(X509_get0_notBefore(anchor), &from[1]) ||
        !time_from_asn1(X509_get0_notAfter(leaf), &until[0]) ||
        !time_from_asn1(X509_get0_notAfter(anchor), &until[1])) {
        return;
    }
    struct verified_chain *place = place_of(tls->context, tls->identity.certificate);
    memcpy(place->certificate, tls->identity.certificate, sizeof place->certificate);
    memcpy(place->issuer, tls->identity.issuer, sizeof place->issuer);
    place->from = from[0] > from[1] ? from[0] : from[1];
    place->until = until[0] < until[1] ? until[0] : until[1];
}

/* Verifies the path, unless this certificate is known, and completes the identity with the issuer.
 */
static int check_chain(struct amm_tls *tls, X509_STORE_CTX *chain, X509 *leaf)
{
    if (!identity_from(leaf, leaf, &tls->identity)) {
        return refuse_chain(tls, chain, X509_V_ERR_UNSPECIFIED, AMM_TLS_TOO_BIG, leaf,
                            "serial number is longer than 20 bytes");
    }
    if (was_verified(tls)) {
        return 1;
    }
    if (!check_path(tls, chain)) {
        return 0;
    }
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(chain);
    if (sk_X509_num(path) > 1 && !key_hash(sk_X509_value(path, 1), tls->identity.issuer)) {
        return refuse_chain(tls, chain, X509_V_ERR_OUT_OF_MEM, AMM_TLS_PROTOCOL, leaf,
                            "out of memory");
    }
    remember(tls, chain, leaf);
    return 1;
}

int tls_verify(X509_STORE_CTX *chain, void *context)
{
    (void)context;
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct amm_tls *tls = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    tls->has_identity = check_limits(tls, chain) && check_chain(tls, chain, leaf) &&
                        check_role(tls, chain, leaf) && check_revocation(tls, chain, leaf) &&
                        check_name(tls, chain, leaf);
    return tls->has_identity;
}
