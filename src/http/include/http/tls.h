/* TLS for HTTP, both sides: OpenSSL 3 over a socket.
 *
 * Server: one leaf certificate, or several by server name. Client certificates can be asked for;
 * whom the CAs do not know ends the handshake. Sessions are resumed by session id from a bounded
 * cache of our own (no tickets: a ticket carries the client certificate, 1.2 kB a connection, and
 * OpenSSL's own cache takes 11 KiB a session). On resumption OpenSSL checks nothing: whoever asks
 * for the identity must check expiry and revocation at each request.
 *
 * A context may be shared by threads, but then they wait for each other in OpenSSL's locks: each
 * has its own OSSL_LIB_CTX, so make one for each thread and let them share the cache of sessions
 * (`sessions_of`), which has a lock of its own that is held for a copy. */
#pragma once

#include "base/bytes.h"
#include "crypto/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_http_tls; /* counted by reference */

/* Strings are PEM text, borrowed for the call. */
struct amm_http_tls_settings {
    bool is_client;
    const char *certificate; /* leaf, then intermediates; client: NULL, none */
    const char *key;
    const char
        *ca; /* server: issuers of client certificates, NULL: none is asked for. Client: issuers
                of servers; NULL: a server is trusted by its pin alone (http/client.h) */

    /* server */
    bool certificate_optional; /* a client may come without one */
    bool expired_clients; /* a client certificate outside its dates is taken all the same: whoever
                             handles a request judges amm_identity.not_after, and can answer in
                             words */
    const char *sent_ca;  /* CA certificates sent behind the chain, for clients that pin one; NULL:
                             none */
    unsigned sessions;    /* cache size, about 600 bytes each; 0: no resumption */
    unsigned session_seconds; /* how long a session may be resumed, counted anew at each resumption;
                                 at most, and by default (0), 7 days */
    struct amm_http_tls *sessions_of; /* use the cache of this context instead; a session is resumed
                                         only under the same `ca`, `certificate_optional` and
                                         `expired_clients` */

    /* client */
    bool lean_hello;   /* TLS 1.3 with X25519, one suite and one signature scheme: 240 bytes less */
    bool ignore_dates; /* certificate dates are not looked at (the first question for time) */
};

/* NULL with one sentence in `error[room]` that names what is wrong ("ca: no certificate found"). */
struct amm_http_tls *amm_http_tls_new(const struct amm_http_tls_settings *settings, char *error,
                                      size_t room);
struct amm_http_tls *amm_http_tls_ref(struct amm_http_tls *tls);
struct amm_http_tls *amm_http_tls_unref(struct amm_http_tls *tls); /* accepts NULL; returns NULL */

/* Server: another certificate for a server name (exact, or "*.example.net" for one label more); who
 * asks for no name, or for one that is not here, gets that of the settings. Before the context is
 * used. */
bool amm_http_tls_add(struct amm_http_tls *tls, const char *name, const char *certificate,
                      const char *key, char *error, size_t room);

/* Sessions in the cache now; any thread. */
unsigned amm_http_tls_sessions(const struct amm_http_tls *tls);
