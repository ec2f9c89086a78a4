/* TLS through memory, behind a table of functions: the engine moves bytes and never sees a socket.
 *
 * The real table (amm_tls_openssl) is OpenSSL through memory BIOs. Tests use a stand-in with the
 * same shape (tests/support/fake_tls.h): deterministic and cheap, for the simulator and the
 * fuzzers. */
#pragma once

#include "base/bytes.h"
#include "crypto/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum amm_role { AMM_CLIENT = 0, AMM_SERVER = 1 };

enum amm_tls_state { AMM_TLS_HANDSHAKE, AMM_TLS_OPEN, AMM_TLS_FAILED };

/* One TLS session; the table's functions know what is behind it. */
struct amm_tls;

/* Settings, trust and own certificate; shared by the sessions of one thread. */
struct amm_tls_context;

struct amm_tls_ops {
    /* `wall` is the time for certificate dates. NULL if out of memory. */
    struct amm_tls *(*open)(struct amm_tls_context *context, int64_t wall);
    struct amm_tls *(*close)(struct amm_tls *tls); /* wipes and frees; accepts NULL; returns NULL */

    /* Takes bytes from the peer (all of them) and drives the handshake. Call step afterwards. */
    void (*feed)(struct amm_tls *tls, struct amm_view bytes);

    /* Moves on as far as possible and says where it stands. The client's first call makes the
     * ClientHello. */
    enum amm_tls_state (*step)(struct amm_tls *tls);

    /* Takes up to `room` bytes that must go to the peer, in order; 0 if there are none. */
    size_t (*drain)(struct amm_tls *tls, uint8_t *out, size_t room);

    /* Reads the plaintext of at most one record; 0 if there is none. Only in state OPEN. */
    size_t (*read)(struct amm_tls *tls, uint8_t *out, size_t room);

    /* Writes `plain` as one record. Only in state OPEN; false on an error that ends the session. */
    bool (*write)(struct amm_tls *tls, struct amm_view plain);

    /* RFC 5705 exporter without context. */
    bool (*export_key)(struct amm_tls *tls, const char *label, uint8_t *out, size_t len);

    /* The peer's identity; valid once OPEN, until close. */
    const struct amm_identity *(*identity)(struct amm_tls *tls);

    /* After FAILED: why, and one more detail for the log ("TLS alert: unknown ca"), never NULL. */
    enum amm_tls_failure (*failure)(struct amm_tls *tls, const char **detail);

    /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
    const char *(*version)(struct amm_tls *tls);
};

extern const struct amm_tls_ops amm_tls_openssl;

/* ---- the OpenSSL context ---- */

/* All strings are PEM text, borrowed for the call. */
struct amm_tls_settings {
    enum amm_role role;
    const char *ca;          /* one or more trusted issuers */
    const char *certificate; /* own leaf, then any intermediates */
    const char *key;         /* own private key */
    const char *crl;         /* NULL, or one or more revocation lists; then each issuer needs one */
    const char *server_name; /* client: expected common name of the server, or NULL for any */
    bool server_name_is_prefix; /* client: `server_name` is a prefix (verify-x509-name NAME
                                   name-prefix) */
    bool no_role_check; /* client: accept a server certificate without serverAuth (foreign servers)
                         */
    bool optional_certificate; /* client: own certificate may be absent (auth-user-pass only) */
    bool tls13_off;            /* tests: negotiate TLS 1.2 */
};

/* Makes a context with its own OSSL_LIB_CTX, so that threads do not share OpenSSL's locks.
 * On failure returns NULL and writes what is wrong to `error[room]` ("ca: no certificate found").
 */
struct amm_tls_context *amm_tls_context_new(const struct amm_tls_settings *settings, char *error,
                                            size_t room);
struct amm_tls_context *amm_tls_context_free(struct amm_tls_context *context);

/* Replaces the revocation lists for handshakes from now on. On failure the old ones stay, the
 * return is false and `error` says why: a broken list never means "accept all". Same thread as the
 * handshakes. */
bool amm_tls_context_set_crl(struct amm_tls_context *context, const char *crl_pem, int64_t wall,
                             char *error, size_t room);

/* True if the loaded lists revoke this identity; to cut live tunnels after a reload. */
bool amm_tls_context_revokes(const struct amm_tls_context *context,
                             const struct amm_identity *identity);

/* ---- own certificate of one session (OpenSSL only) ---- */

/* A leaf certificate with its key, to be used instead of the context's by sessions that are told so
 * right after `open`. For simulated fleets: thousands of names, one context. NULL with a sentence
 * in `error`. */
struct amm_tls_certificate;
struct amm_tls_certificate *amm_tls_certificate_new(struct amm_tls_context *context,
                                                    const char *certificate, const char *key,
                                                    char *error, size_t room);
struct amm_tls_certificate *amm_tls_certificate_free(struct amm_tls_certificate *own);
bool amm_tls_use_certificate(struct amm_tls *tls, const struct amm_tls_certificate *own);
