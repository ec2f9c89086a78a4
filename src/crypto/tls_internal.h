/* What the three files of the OpenSSL session share: tls_context.c, tls_verify.c, tls_openssl.c. */
#pragma once

#include "crl.h"
#include "crypto/ssl.h"
#include "crypto/tls.h"
#include "x509.h"

#include <openssl/ssl.h>

/* A gateway that was verified before: its certificate hangs directly on a trusted CA, whose
 * signature is right. What may change (dates, revocation) is checked again at each use; what cannot
 * is not. */
struct verified_chain {
    uint8_t certificate[32]; /* SHA-256; zero: empty */
    uint8_t issuer[32];      /* SHA-256 of the CA's public key info */
    int64_t from, until;     /* when both certificates are valid */
};

enum { VERIFIED_CHAINS = 1024 };

struct amm_tls_context {
    OSSL_LIB_CTX *lib;
    SSL_CTX *ssl;
    STACK_OF(X509) * trusted;
    struct crl_set *crls;            /* NULL: revocation is not checked */
    struct verified_chain *verified; /* VERIFIED_CHAINS places by hash; server only, else NULL */
    enum amm_role role;
    bool no_role_check;
    bool name_is_prefix;
    bool names_a_server; /* expected_name is set */
    char expected_name[AMM_NAME_MAX + 1];
};

struct amm_tls {
    struct amm_tls_context *context;
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    int64_t wall;
    enum amm_tls_state state;
    bool has_identity;
    struct amm_ssl_verdict verdict;
    char version[64];
};

/* OpenSSL's hook for the whole verification of the peer's chain. 1 accepts; 0 refuses, and then the
 * session knows why. `context` is the struct amm_tls_context. */
int tls_verify(X509_STORE_CTX *chain, void *context);
