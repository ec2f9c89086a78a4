/* Verification of the peer, the tunnel's part: revocation, the expected name, and gateways that
 * were verified before. The rest is in ssl_verify.c. */
#include "tls_internal.h"

#include <openssl/x509v3.h>
#include <stdio.h>

static int check_link(struct amm_tls *tls, X509_STORE_CTX *chain, const X509 *certificate,
                      const struct amm_identity *link)
{
    switch (crl_set_ask(tls->context->crls, link->issuer, link->serial, tls->wall)) {
    case CRL_GOOD:
        return 1;
    case CRL_REVOKED:
        return amm_ssl_refuse(chain, &tls->verdict, X509_V_ERR_CERT_REVOKED, AMM_TLS_REVOKED,
                              certificate, "revoked");
    case CRL_NO_LIST:
        return amm_ssl_refuse(chain, &tls->verdict, X509_V_ERR_UNABLE_TO_GET_CRL, AMM_TLS_NO_CRL,
                              certificate, "no revocation list of its issuer");
    case CRL_OUT_OF_DATE:
        return amm_ssl_refuse(chain, &tls->verdict, X509_V_ERR_CRL_HAS_EXPIRED, AMM_TLS_NO_CRL,
                              certificate, "the revocation list of its issuer is out of date");
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
    if (!check_link(tls, chain, leaf, &tls->verdict.identity)) {
        return 0;
    }
    for (int i = 1; i + 1 < sk_X509_num(path); i++) {
        X509 *certificate = sk_X509_value(path, i);
        struct amm_identity link;
        if (!identity_from(certificate, sk_X509_value(path, i + 1), &link)) {
            return amm_ssl_refuse(chain, &tls->verdict, X509_V_ERR_UNSPECIFIED, AMM_TLS_TOO_BIG,
                                  certificate, "serial number is longer than 20 bytes");
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

/* The name of a foreign server serves only the log, unless the configuration expects a certain one.
 */
static int check_name(struct amm_tls *tls, X509_STORE_CTX *chain, X509 *leaf)
{
    const struct amm_tls_context *context = tls->context;
    char name[AMM_NAME_MAX + 1];
    size_t len = 0;
    if (context->role == AMM_SERVER && !amm_ssl_check_gateway_name(chain, &tls->verdict)) {
        return 0;
    }
    if (context->names_a_server &&
        (!common_name(leaf, name, &len) || !is_expected_server(context, name, len))) {
        char why[AMM_NAME_MAX + 40];
        snprintf(why, sizeof why, "the server should be %s", context->expected_name);
        return amm_ssl_refuse(chain, &tls->verdict, X509_V_ERR_HOSTNAME_MISMATCH,
                              AMM_TLS_WRONG_NAME, leaf, why);
    }
    amm_ssl_take_name(chain, &tls->verdict);
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
    const struct verified_chain *known = place_of(tls->context, tls->verdict.identity.certificate);
    if (memcmp(known->certificate, tls->verdict.identity.certificate, sizeof known->certificate) !=
            0 ||
        tls->wall < known->from || tls->wall > known->until) {
        return false;
    }
    memcpy(tls->verdict.identity.issuer, known->issuer, sizeof known->issuer);
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
    struct verified_chain *place = place_of(tls->context, tls->verdict.identity.certificate);
    memcpy(place->certificate, tls->verdict.identity.certificate, sizeof place->certificate);
    memcpy(place->issuer, tls->verdict.identity.issuer, sizeof place->issuer);
    place->from = from[0] > from[1] ? from[0] : from[1];
    place->until = until[0] < until[1] ? until[0] : until[1];
}

/* Verifies the path, unless this certificate is known, and completes the identity with the issuer.
 */
static int check_chain(struct amm_tls *tls, X509_STORE_CTX *chain,
                       const struct amm_ssl_rules *rules, X509 *leaf)
{
    if (!amm_ssl_identity(leaf, &tls->verdict.identity)) {
        return amm_ssl_refuse(chain, &tls->verdict, X509_V_ERR_UNSPECIFIED, AMM_TLS_TOO_BIG, leaf,
                              "serial number is longer than 20 bytes");
    }
    if (was_verified(tls)) {
        return 1;
    }
    if (!amm_ssl_check_path(chain, rules, &tls->verdict)) {
        return 0;
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
    struct amm_ssl_rules rules = {
        .own = tls->context->role, .no_role_check = tls->context->no_role_check, .wall = tls->wall};
    tls->has_identity = amm_ssl_check_limits(chain, &tls->verdict) &&
                        check_chain(tls, chain, &rules, leaf) &&
                        amm_ssl_check_role(chain, &rules, &tls->verdict) &&
                        check_revocation(tls, chain, leaf) && check_name(tls, chain, leaf);
    return tls->has_identity;
}
