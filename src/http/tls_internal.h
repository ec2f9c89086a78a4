/* What the files of TLS share: tls.c (contexts), tls_verify.c, stream.c. */
#pragma once

#include "crypto/ssl.h"
#include "http/tls.h"
#include "tls_sessions.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

enum { TLS_HOST_MAX = 255 };

/* A certificate for a server name. */
struct tls_named {
    struct tls_named *next;
    char name[TLS_HOST_MAX + 1];
    struct amm_ssl_own own;
};

struct amm_http_tls {
    atomic_uint refs;
    bool is_client, any_date, any_leaf_date;
    bool has_trust; /* client: there is a `ca` */
    OSSL_LIB_CTX *lib;
    SSL_CTX *ssl;
    struct tls_sessions *sessions; /* NULL: no resumption */
    struct tls_named *named;
};

/* What a client asks of the server beyond the context's trust. */
struct tls_expectation {
    char name[TLS_HOST_MAX + 1]; /* empty: any */
    uint8_t key_pin[32], ca_pin[32];
    bool has_key_pin, has_ca_pin;
    bool any_key; /* without a pin: the owner looks at the key before anything is said */
};

/* One end of a TLS connection; the app data of its SSL. */
struct tls_end {
    struct amm_http_tls *context; /* a reference */
    SSL *ssl;
    int64_t wall;
    bool has_identity; /* `verdict.identity` is who the peer proved to be */
    bool open, resumed;
    bool has_ca_key;
    bool has_shown_key;
    uint8_t shown_key[32];                  /* of the server's own certificate */
    uint8_t ca_key[32];                     /* of the last certificate that a server sent */
    const struct tls_expectation *expected; /* client; else NULL */
    struct amm_ssl_verdict verdict;

    /* the session that is offered or was found in the cache, before it is known whether it is taken
     */
    struct tls_session_id from; /* server */
    bool from_has_identity;
    struct amm_identity from_identity;

    SSL_SESSION *newest; /* client: a copy of the last session that the server gave */
};

/* What a client keeps of a connection. */
struct amm_http_session {
    struct amm_http_tls *context; /* a reference: OpenSSL's session hangs on it */
    SSL_SESSION *session;
    struct amm_identity server;
    uint8_t ca_key[32];
    char name[TLS_HOST_MAX + 1];
};

/* OpenSSL's hook for the whole verification of the peer's chain. 1 accepts; 0 refuses, and then the
 * end's verdict says why. */
int http_tls_verify(X509_STORE_CTX *chain, void *context);
