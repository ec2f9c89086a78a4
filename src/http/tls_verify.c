/* Verification of the peer. A server asks that a client is a gateway of a CA that it trusts; a
 * client asks for a CA or a pin, the role and the name. Revocation is not looked at here: sessions
 * that are resumed would escape, so that it is judged at each request. */
#include "tls_internal.h"

#include <openssl/x509v3.h>

static int refuse_server(X509_STORE_CTX *chain, struct tls_end *end, enum amm_tls_failure failure,
                         const char *why)
{
    int error =
        failure == AMM_TLS_WRONG_NAME ? X509_V_ERR_HOSTNAME_MISMATCH : X509_V_ERR_CERT_UNTRUSTED;
    return amm_ssl_refuse(chain, &end->verdict, error, failure, X509_STORE_CTX_get0_cert(chain),
                          why);
}

static X509 *last_sent(X509_STORE_CTX *chain)
{
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(chain);
    int n = sk_X509_num(sent);
    return n > 0 ? sk_X509_value(sent, n - 1) : X509_STORE_CTX_get0_cert(chain);
}

static int check_pins(X509_STORE_CTX *chain, struct tls_end *end)
{
    const struct tls_expectation *expected = end->expected;
    X509 *leaf = X509_STORE_CTX_get0_cert(chain), *ca = last_sent(chain);
    uint8_t key[32];
    if (!amm_ssl_key_hash(leaf, key) || !amm_ssl_key_hash(ca, end->ca_key)) {
        return amm_ssl_refuse(chain, &end->verdict, X509_V_ERR_OUT_OF_MEM, AMM_TLS_PROTOCOL, leaf,
                              "out of memory");
    }
    end->has_ca_key = end->has_shown_key = true;
    memcpy(end->shown_key, key, sizeof key);
    if (expected->has_key_pin && !amm_equal_secret(key, expected->key_pin, sizeof key)) {
        return refuse_server(chain, end, AMM_TLS_WRONG_PIN, "its key is not the pinned one");
    }
    if (expected->has_ca_pin &&
        (!amm_equal_secret(end->ca_key, expected->ca_pin, sizeof end->ca_key) ||
         X509_check_ca(ca) != 1)) {
        return refuse_server(chain, end, AMM_TLS_WRONG_PIN,
                             "its chain does not end in the pinned CA");
    }
    return 1;
}

/* The path ends in a CA of the context or, without any, in the pinned one that the server sent. */
static int check_server_path(X509_STORE_CTX *chain, struct tls_end *end,
                             const struct amm_ssl_rules *rules)
{
    if (end->context->has_trust) {
        return amm_ssl_check_path(chain, rules, &end->verdict);
    }
    if (!end->expected->has_ca_pin) {
        return refuse_server(chain, end, AMM_TLS_UNKNOWN_ISSUER,
                             "there is neither a CA nor a pin to know it by");
    }
    STACK_OF(X509) *anchor = sk_X509_new_null();
    if (!anchor || !sk_X509_push(anchor, last_sent(chain))) {
        sk_X509_free(anchor);
        return refuse_server(chain, end, AMM_TLS_PROTOCOL, "out of memory");
    }
    X509_STORE_CTX_set0_trusted_stack(chain, anchor);
    int ok = amm_ssl_check_path(chain, rules, &end->verdict);
    X509_STORE_CTX_set0_trusted_stack(chain, NULL);
    sk_X509_free(anchor);
    return ok;
}

static int check_server_name(X509_STORE_CTX *chain, struct tls_end *end)
{
    const char *name = end->expected->name;
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    if (name[0] == '\0' || X509_check_ip_asc(leaf, name, 0) == 1 ||
        X509_check_host(leaf, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1) {
        return 1;
    }
    return refuse_server(chain, end, AMM_TLS_WRONG_NAME,
                         "it is for another name than the server's");
}

static int check_server(X509_STORE_CTX *chain, struct tls_end *end,
                        const struct amm_ssl_rules *rules)
{
    if (!check_pins(chain, end)) {
        return 0;
    }
    const struct tls_expectation *expected = end->expected;
    if (!end->context->has_trust && (expected->has_key_pin || expected->any_key) &&
        !expected->has_ca_pin) {
        return amm_ssl_identity(X509_STORE_CTX_get0_cert(chain), &end->verdict.identity) ||
               refuse_server(chain, end, AMM_TLS_TOO_BIG, "serial number is longer than 20 bytes");
    }
    return check_server_path(chain, end, rules) &&
           amm_ssl_check_role(chain, rules, &end->verdict) && check_server_name(chain, end);
}

int http_tls_verify(X509_STORE_CTX *chain, void *context)
{
    const struct amm_http_tls *tls = context;
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_end *end = SSL_get_app_data(ssl);
    const struct amm_ssl_rules rules = {.own = tls->is_client ? AMM_CLIENT : AMM_SERVER,
                                        .any_date = tls->any_date,
                                        .any_leaf_date = tls->any_leaf_date,
                                        .wall = end->wall};
    end->has_identity = amm_ssl_check_limits(chain, &end->verdict) &&
                        (tls->is_client ? check_server(chain, end, &rules)
                                        : amm_ssl_check_path(chain, &rules, &end->verdict) &&
                                              amm_ssl_check_role(chain, &rules, &end->verdict) &&
                                              amm_ssl_check_gateway_name(chain, &end->verdict));
    if (end->has_identity) {
        amm_ssl_take_name(chain, &end->verdict);
    }
    return end->has_identity;
}
