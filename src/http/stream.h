/* A connected socket with or without TLS on it: what the server's and the client's connections read
 * and write. Non-blocking; the owner's thread. Private to this folder. */
#pragma once

#include "crypto/identity.h"
#include "http/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_http_session;
struct tls_end;
struct tls_expectation;

struct http_stream {
    int fd;              /* -1: closed */
    struct tls_end *tls; /* NULL: plain */
    uint64_t in, out;    /* bytes of TCP payload */
    bool more;           /* another write follows at once: a short segment may wait for it */
};

enum stream_result {
    STREAM_OK,
    STREAM_READABLE, /* wait until the socket is readable */
    STREAM_WRITABLE, /* wait until it is writable */
    STREAM_END,      /* the peer has ended properly */
    STREAM_CUT,      /* the connection is gone; with TLS also: ended without a word */
    STREAM_FAILED,   /* TLS says no: see http_stream_failure */
};

/* Takes the descriptor over, also when memory is short (false). `tls` NULL: plain. `expected`: what
 * a client asks for; must stay as long as the stream; servers: NULL. `wall`: for certificate dates.
 */
bool http_stream_open(struct http_stream *stream, int fd, struct amm_http_tls *tls,
                      const struct tls_expectation *expected, int64_t wall);

/* Without a word; see http_stream_say_goodbye. The TLS session stays good for resumption. */
void http_stream_close(struct http_stream *stream);

/* Closes the socket, but keeps what is known of the connection until http_stream_close. */
void http_stream_hang_up(struct http_stream *stream);

/* Clients, before the handshake: asks for this name (SNI), and to resume `session` if it fits;
 * either may be NULL. */
void http_stream_prepare(struct http_stream *stream, const char *name,
                         const struct amm_http_session *session);

struct amm_http_session *http_session_copy(const struct amm_http_session *session);

/* The newest session that the server gave; the caller's. NULL: none. */
struct amm_http_session *http_stream_session(const struct http_stream *stream);

/* OK when TLS is up (at once without it). */
enum stream_result http_stream_handshake(struct http_stream *stream);

/* OK: `*n` bytes, at least one, were moved. */
enum stream_result http_stream_read(struct http_stream *stream, void *out, size_t room, size_t *n);
enum stream_result http_stream_write(struct http_stream *stream, const void *bytes, size_t len,
                                     size_t *n);

/* Plain streams: straight from a file, whose position `*at` moves. END: the file has no more. */
enum stream_result http_stream_send_file(struct http_stream *stream, int file, uint64_t *at,
                                         size_t len);

/* True if bytes may be waiting here that the kernel does not tell of. */
bool http_stream_has_pending(const struct http_stream *stream);

/* Tells the peer that nothing more comes (close_notify, FIN). What it still sends can be drained.
 */
void http_stream_say_goodbye(struct http_stream *stream);

/* What the kernel still has to send is thrown away when the socket is closed, and the peer learns
 * that the connection broke. */
void http_stream_reset(struct http_stream *stream);

/* After CUT: the peer ended its socket properly, but TLS before it not. */
bool http_stream_is_eof(const struct http_stream *stream);

/* Throws away what the peer sends, below TLS. False when it has ended. */
bool http_stream_drain(struct http_stream *stream);

/* Who the peer is; NULL: nobody, or plain. */
const struct amm_identity *http_stream_peer(const struct http_stream *stream);
bool http_stream_is_resumed(const struct http_stream *stream);

/* SHA-256 of the key of the last certificate that the server sent; NULL: none yet. */
const uint8_t *http_stream_ca_key(const struct http_stream *stream);

/* SHA-256 of the key that the peer showed, also if it was refused; NULL: none. */
const uint8_t *http_stream_shown_key(const struct http_stream *stream);

/* After FAILED: why, and a sentence that stays as long as the stream. */
enum amm_tls_failure http_stream_failure(const struct http_stream *stream, const char **detail);
