/* TLS for HTTP, both sides: OpenSSL 3 over a socket.
 *
 * Server: one leaf certificate, or several by server name. Client certificates can be asked for;
 * whom the CAs do not know ends the handshake. Sessions are resumed by session id from a bounded
 * cache of our own (no tickets: a ticket carries the client certificate, 1.2 kB a connection, and
 * OpenSSL's own cache takes 11 KiB a session). On resumption OpenSSL checks nothing: whoever asks
 * for the identity must check expiry and revocation at each request.
 *
 * A context may be shared by threads; the cache has a lock. */
#pragma once

#include "base/bytes.h"
#include "crypto/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_http_tls; /* counted by reference */

/* PEM text, borrowed for the call. */
struct amm_http_tls_settings {
    bool is_client;
    const char *certificate; /* leaf, then intermediates; client: NULL, none */
    const char *key;
    const char *ca; /* server: issuers of client certificates, NULL: none is asked for. Client:
                       issuers of servers */
    bool certificate_optional; /* server: a client may come without one */
    unsigned sessions;         /* server: cache size; 0: no resumption */
    unsigned session_seconds;  /* server: how long a session may be resumed */
    bool lean_hello; /* client: offers X25519, one suite and one signature scheme: 240 bytes less */
    bool ignore_dates; /* client: certificate dates are not looked at (the first question for time)
                        */
};

struct amm_http_tls *amm_http_tls_new(const struct amm_http_tls_settings *settings, char *error,
                                      size_t room);
struct amm_http_tls *amm_http_tls_ref(struct amm_http_tls *tls);
struct amm_http_tls *amm_http_tls_unref(struct amm_http_tls *tls); /* accepts NULL; returns NULL */

/* Server: another certificate for a server name (exact, or "*.example.net"); the first is that of
 * the settings. Before the context is used. */
bool amm_http_tls_add(struct amm_http_tls *tls, const char *name, const char *certificate,
                      const char *key, char *error, size_t room);
