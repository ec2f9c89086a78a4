/* What the tunnel (TLS through memory, crypto/tls.h) and HTTP (TLS over sockets) share: protocol,
 * limits, own certificate, trust, the checks of a peer's chain, and OpenSSL's errors in our words.
 *
 * For code that owns SSL objects; the one public header of this folder that shows OpenSSL.
 * Functions that fail write one sentence to `error[room]`. */
#pragma once

#include "base/bytes.h"
#include "crypto/identity.h"
#include "crypto/tls.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* TLS 1.2 or later, ECDHE with AEAD, 112 bits; no tickets, renegotiation, compression or cache;
 * certificate chains of at most 4 x 8 KiB. */
bool amm_ssl_restrict(SSL_CTX *ssl);

/* All certificates of a PEM text, in order; NULL if there is none or one is damaged. `what` leads
 * the error ("ca"). The caller frees the stack and its certificates. */
STACK_OF(X509) * amm_ssl_certificates(OSSL_LIB_CTX *lib, const char *pem, const char *what,
                                      char *error, size_t room);

/* Trusts these, and nothing else. The stack stays the caller's. */
bool amm_ssl_trust(SSL_CTX *ssl, const STACK_OF(X509) * trusted, char *error, size_t room);

/* An own certificate with what is sent along, and its key. */
struct amm_ssl_own {
    STACK_OF(X509) * chain; /* the leaf first */
    EVP_PKEY *key;
};

/* False: `out` is empty. */
bool amm_ssl_own_read(struct amm_ssl_own *out, OSSL_LIB_CTX *lib, const char *certificate,
                      const char *key, char *error, size_t room);
void amm_ssl_own_release(struct amm_ssl_own *own);
bool amm_ssl_own_use(const struct amm_ssl_own *own, SSL_CTX *ssl, char *error, size_t room);

/* SHA-256 of the certificate's SubjectPublicKeyInfo. False: out of memory. */
bool amm_ssl_key_hash(const X509 *certificate, uint8_t out[32]);

/* ---- the peer's chain ---- */

struct amm_ssl_rules {
    enum amm_role own;  /* of this side; the peer's certificate must be for the other one */
    bool no_role_check; /* foreign servers without extended key usage */
    bool any_date;      /* no date is looked at */
    bool any_leaf_date; /* only those of the issuers are */
    int64_t wall;       /* seconds since 1970 */
};

/* Who the peer is, or why not. */
struct amm_ssl_verdict {
    enum amm_tls_failure failure;
    char detail[192]; /* for the log */
    struct amm_identity identity;
};

/* The checks give 1, or 0 with the reason in `verdict` and an error from which OpenSSL makes an
 * alert. They are made for the callback of SSL_CTX_set_cert_verify_callback, in this order. */

/* What a peer may send at all; refused before it costs public-key work. */
int amm_ssl_check_limits(X509_STORE_CTX *chain, struct amm_ssl_verdict *verdict);

/* OpenSSL's path validation; then `identity` is filled but for the name. */
int amm_ssl_check_path(X509_STORE_CTX *chain, const struct amm_ssl_rules *rules,
                       struct amm_ssl_verdict *verdict);

/* OpenSSL lets a certificate without extended key usage pass as both; here it must say what it is
 * for. */
int amm_ssl_check_role(X509_STORE_CTX *chain, const struct amm_ssl_rules *rules,
                       struct amm_ssl_verdict *verdict);

/* A gateway's name is a key of the whole system, so it is strict: one common name, 1-64 printable
 * characters without '/' and space. */
int amm_ssl_check_gateway_name(X509_STORE_CTX *chain, struct amm_ssl_verdict *verdict);

/* The common name made fit for logs goes to `identity.name`, "?" if there is none. */
void amm_ssl_take_name(X509_STORE_CTX *chain, struct amm_ssl_verdict *verdict);

/* Refuses; `certificate` names the culprit in the detail, NULL if there is none. */
int amm_ssl_refuse(X509_STORE_CTX *chain, struct amm_ssl_verdict *verdict, int x509_error,
                   enum amm_tls_failure failure, const X509 *certificate, const char *why);

/* The identity without name and issuer (which is the certificate's own key), as from a resumed
 * session. False: serial number longer than 20 bytes, or out of memory. */
bool amm_ssl_identity(const X509 *certificate, struct amm_identity *out);

/* Turns OpenSSL's error queue into a failure with its detail, and empties it. If the verification
 * refused, what `verdict` says stays. */
void amm_ssl_take_error(struct amm_ssl_verdict *verdict);
