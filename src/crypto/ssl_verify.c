/* Verification of a peer: limits before any signature is computed, then OpenSSL's path validation
 * at the caller's time, then role and name. And OpenSSL's errors as failures of ours. */
#include "crypto/ssl.h"
#include "x509.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

int amm_ssl_refuse(X509_STORE_CTX *chain, struct amm_ssl_verdict *verdict, int x509_error,
                   enum amm_tls_failure failure, const X509 *certificate, const char *why)
{
    char name[AMM_NAME_MAX + 1] = "?";
    if (certificate) {
        name_for_people(certificate, name);
    }
    verdict->failure = failure;
    snprintf(verdict->detail, sizeof verdict->detail, "certificate of %s: %s", name, why);
    X509_STORE_CTX_set_error(chain, x509_error);
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

int amm_ssl_check_limits(X509_STORE_CTX *chain, struct amm_ssl_verdict *verdict)
{
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(chain);
    int n = sk_X509_num(sent);
    if (n > CHAIN_MAX) {
        return amm_ssl_refuse(chain, verdict, X509_V_ERR_CERT_CHAIN_TOO_LONG, AMM_TLS_TOO_BIG,
                              X509_STORE_CTX_get0_cert(chain), "more than 4 certificates");
    }
    for (int i = 0; i < n; i++) {
        X509 *certificate = sk_X509_value(sent, i);
        int size = i2d_X509(certificate, NULL);
        if (size < 0 || size > CERTIFICATE_MAX) {
            return amm_ssl_refuse(chain, verdict, X509_V_ERR_CERT_CHAIN_TOO_LONG, AMM_TLS_TOO_BIG,
                                  certificate, "larger than 8 KiB");
        }
        if (!key_is_acceptable(certificate)) {
            return amm_ssl_refuse(chain, verdict, X509_V_ERR_EE_KEY_TOO_SMALL, AMM_TLS_TOO_BIG,
                                  certificate, "key is not RSA 2048-4096, P-256, P-384 or Ed25519");
        }
    }
    return 1;
}

bool amm_ssl_identity(const X509 *certificate, struct amm_identity *out)
{
    return identity_from(certificate, certificate, out);
}

/* The hook for single errors of a path: the dates of the leaf are for somebody else to judge. */
static int forgive_leaf_dates(int ok, X509_STORE_CTX *chain)
{
    int error = X509_STORE_CTX_get_error(chain);
    if (!ok && X509_STORE_CTX_get_error_depth(chain) == 0 &&
        (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID)) {
        X509_STORE_CTX_set_error(chain, X509_V_OK);
        return 1;
    }
    return ok;
}

/* OpenSSL takes the caller's time as a time_t. In the libraries of 32-bit systems that has 32 bits,
 * while ours has 64 everywhere: dates are compared here then. */
static const bool openssl_knows_time = sizeof(long) >= sizeof(int64_t);

/* The form that RFC 5280 demands, and X509_cmp_time with it: seconds, and Z. */
static bool read_date(const ASN1_TIME *date, int64_t *out)
{
    int len = ASN1_STRING_length(date);
    return (len == 13 || len == 15) && ASN1_STRING_get0_data(date)[len - 1] == 'Z' &&
           time_from_asn1(date, out);
}

static int date_error(const X509 *certificate, int64_t wall)
{
    int64_t from, until;
    if (!read_date(X509_get0_notBefore(certificate), &from)) {
        return X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD;
    }
    if (!read_date(X509_get0_notAfter(certificate), &until)) {
        return X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD;
    }
    return from > wall     ? X509_V_ERR_CERT_NOT_YET_VALID
           : until <= wall ? X509_V_ERR_CERT_HAS_EXPIRED
                           : X509_V_OK;
}

/* From the anchor to the leaf, as OpenSSL does it. */
static int check_dates(X509_STORE_CTX *chain, const struct amm_ssl_rules *rules,
                       struct amm_ssl_verdict *verdict)
{
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(chain);
    for (int i = sk_X509_num(path) - 1; i >= (rules->any_leaf_date ? 1 : 0); i--) {
        const X509 *certificate = sk_X509_value(path, i);
        int error = date_error(certificate, rules->wall);
        if (error != X509_V_OK) {
            return amm_ssl_refuse(chain, verdict, error, failure_of(error), certificate,
                                  X509_verify_cert_error_string(error));
        }
    }
    return 1;
}

int amm_ssl_check_path(X509_STORE_CTX *chain, const struct amm_ssl_rules *rules,
                       struct amm_ssl_verdict *verdict)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(chain);
    X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX - 2); /* counts what is between leaf and anchor */
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    if (rules->any_date || !openssl_knows_time) {
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
    } else {
        X509_VERIFY_PARAM_set_time(param, rules->wall); /* has precedence over that flag */
    }
    if (rules->any_leaf_date) {
        X509_STORE_CTX_set_verify_cb(chain, forgive_leaf_dates);
    }
    if (rules->no_role_check) {
        X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY);
    }
    if (X509_verify_cert(chain) != 1) {
        int error = X509_STORE_CTX_get_error(chain);
        if (error == X509_V_OK) {
            error = X509_V_ERR_UNSPECIFIED;
        }
        return amm_ssl_refuse(chain, verdict, error, failure_of(error),
                              X509_STORE_CTX_get_current_cert(chain),
                              X509_verify_cert_error_string(error));
    }
    if (!rules->any_date && !check_dates(chain, rules, verdict)) {
        return 0;
    }
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(chain);
    const X509 *issuer = sk_X509_num(path) > 1 ? sk_X509_value(path, 1) : leaf;
    if (!identity_from(leaf, issuer, &verdict->identity)) {
        return amm_ssl_refuse(chain, verdict, X509_V_ERR_UNSPECIFIED, AMM_TLS_TOO_BIG, leaf,
                              "serial number is longer than 20 bytes");
    }
    return 1;
}

int amm_ssl_check_role(X509_STORE_CTX *chain, const struct amm_ssl_rules *rules,
                       struct amm_ssl_verdict *verdict)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    uint32_t wanted = rules->own == AMM_SERVER ? XKU_SSL_CLIENT : XKU_SSL_SERVER;
    uint32_t usage = X509_get_extended_key_usage(leaf);
    if (rules->no_role_check || (usage != UINT32_MAX && (usage & wanted) != 0)) {
        return 1;
    }
    return amm_ssl_refuse(chain, verdict, X509_V_ERR_INVALID_PURPOSE, AMM_TLS_WRONG_ROLE, leaf,
                          wanted == XKU_SSL_CLIENT ? "extended key usage lacks clientAuth"
                                                   : "extended key usage lacks serverAuth");
}

int amm_ssl_check_gateway_name(X509_STORE_CTX *chain, struct amm_ssl_verdict *verdict)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    char name[AMM_NAME_MAX + 1];
    size_t len = 0;
    if (common_name(leaf, name, &len) && name_is_good(name, len)) {
        return 1;
    }
    return amm_ssl_refuse(chain, verdict, X509_V_ERR_APPLICATION_VERIFICATION, AMM_TLS_WRONG_NAME,
                          leaf, "common name cannot be a gateway's name");
}

void amm_ssl_take_name(X509_STORE_CTX *chain, struct amm_ssl_verdict *verdict)
{
    name_for_people(X509_STORE_CTX_get0_cert(chain), verdict->identity.name);
}

static enum amm_tls_failure failure_of_reason(int reason)
{
    switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return AMM_TLS_NO_CERTIFICATE;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
        return AMM_TLS_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        return AMM_TLS_NO_CIPHER;
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
        return AMM_TLS_TOO_BIG;
    case SSL_R_BAD_SIGNATURE:
        return AMM_TLS_BAD_SIGNATURE;
    default:
        return AMM_TLS_PROTOCOL;
    }
}

void amm_ssl_take_error(struct amm_ssl_verdict *verdict)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    bool is_ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
    ERR_clear_error();
    if (is_ssl && reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict->failure != AMM_TLS_OK) {
        return;
    }
    if (is_ssl && reason >= SSL_AD_REASON_OFFSET) {
        verdict->failure = AMM_TLS_PEER_ALERT;
        snprintf(verdict->detail, sizeof verdict->detail, "TLS alert: %s",
                 SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
        return;
    }
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    verdict->failure = is_ssl ? failure_of_reason(reason) : AMM_TLS_PROTOCOL;
    snprintf(verdict->detail, sizeof verdict->detail, "TLS: %s",
             text ? text : "the peer ended the session");
}
