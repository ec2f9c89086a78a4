/* The server's cache of TLS sessions, serialised: bounded, least recently used goes first. Any
 * thread; a lock is held for a copy. Private to this folder.
 *
 * TLS 1.3 makes a new session at each resumption, and the one before stays good, in case the new
 * one never arrived. Of such a line of sessions only the last two are kept: otherwise one gateway
 * with a check-in a minute would push out a thousand others. */
#pragma once

#include "base/bytes.h"
#include "crypto/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_SESSION_ID = 32, TLS_SESSION_MAX = 8192 };

struct tls_session_id {
    uint8_t bytes[TLS_SESSION_ID];
    uint8_t len;
};

struct tls_sessions; /* counted by reference */

struct tls_sessions *tls_sessions_new(unsigned n); /* NULL: out of memory */
struct tls_sessions *tls_sessions_ref(struct tls_sessions *sessions);
struct tls_sessions *tls_sessions_unref(struct tls_sessions *sessions); /* accepts NULL */

/* Keeps a copy of the serialised session and of who the client proved to be (NULL: nobody). `from`
 * is the session that it was resumed from, NULL: none. What does not fit is not kept. */
void tls_sessions_put(struct tls_sessions *sessions, const struct tls_session_id *id,
                      struct amm_view session, const struct amm_identity *client,
                      const struct tls_session_id *from);

/* Copies out; the length of the session, 0 if it is not there. */
size_t tls_sessions_get(struct tls_sessions *sessions, const struct tls_session_id *id,
                        uint8_t out[TLS_SESSION_MAX], struct amm_identity *client,
                        bool *has_client);

unsigned tls_sessions_count(struct tls_sessions *sessions);
