#include "stream.h"

#include "tls_internal.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DRAIN = 65536, DRAIN_ROUNDS = 8 };

/* ---- the socket under OpenSSL: its own BIO would raise SIGPIPE, and counts nothing ---- */

static int bio_read(BIO *bio, char *out, int room)
{
    struct http_stream *stream = BIO_get_data(bio);
    ssize_t n;
    do {
        n = recv(stream->fd, out, (size_t)room, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    BIO_clear_retry_flags(bio);
    if (n > 0) {
        stream->in += (uint64_t)n;
    } else if (n < 0 && errno == EAGAIN) {
        BIO_set_retry_read(bio);
    } else if (n == 0) {
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    }
    return (int)n;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    struct http_stream *stream = BIO_get_data(bio);
    ssize_t n;
    do {
        n = send(stream->fd, bytes, (size_t)len,
                 MSG_DONTWAIT | MSG_NOSIGNAL | (stream->more ? MSG_MORE : 0));
    } while (n < 0 && errno == EINTR);
    BIO_clear_retry_flags(bio);
    if (n > 0) {
        stream->out += (uint64_t)n;
    } else if (n < 0 && errno == EAGAIN) {
        BIO_set_retry_write(bio);
    }
    return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "http stream");
    if (bio_method) {
        BIO_meth_set_read(bio_method, bio_read);
        BIO_meth_set_write(bio_method, bio_write);
        BIO_meth_set_ctrl(bio_method, bio_control);
    }
}

static BIO *new_bio(struct http_stream *stream)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    BIO *bio = bio_method ? BIO_new(bio_method) : NULL;
    if (bio) {
        BIO_set_data(bio, stream);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* ---- life ---- */

static struct tls_end *free_end(struct tls_end *end)
{
    if (end) {
        if (end->ssl) {
            /* Else OpenSSL calls the session a bad one. */
            SSL_set_shutdown(end->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
            SSL_free(end->ssl);
        }
        SSL_SESSION_free(end->newest);
        amm_http_tls_unref(end->context);
        free(end);
    }
    return NULL;
}

static struct tls_end *new_end(struct http_stream *stream, struct amm_http_tls *tls,
                               const struct tls_expectation *expected, int64_t wall)
{
    struct tls_end *end = calloc(1, sizeof *end);
    BIO *bio = end ? new_bio(stream) : NULL;
    if (bio) {
        end->ssl = SSL_new(tls->ssl);
    }
    if (!bio || !end->ssl) {
        BIO_free(bio);
        free(end);
        return NULL;
    }
    end->context = amm_http_tls_ref(tls);
    end->expected = expected;
    end->wall = wall;
    SSL_set_bio(end->ssl, bio, bio); /* takes it */
    SSL_set_app_data(end->ssl, end);
    if (tls->is_client) {
        SSL_set_connect_state(end->ssl);
    } else {
        SSL_set_accept_state(end->ssl);
    }
    return end;
}

bool http_stream_open(struct http_stream *stream, int fd, struct amm_http_tls *tls,
                      const struct tls_expectation *expected, int64_t wall)
{
    *stream = (struct http_stream){.fd = fd};
    if (!tls) {
        return true;
    }
    stream->tls = new_end(stream, tls, expected, wall);
    if (!stream->tls) {
        http_stream_close(stream);
        ERR_clear_error();
        return false;
    }
    return true;
}

void http_stream_hang_up(struct http_stream *stream)
{
    if (stream->fd >= 0) {
        close(stream->fd);
        stream->fd = -1;
    }
}

void http_stream_close(struct http_stream *stream)
{
    stream->tls = free_end(stream->tls);
    http_stream_hang_up(stream);
}

/* ---- moving on ---- */

/* What an OpenSSL call that did not succeed means. */
static enum stream_result outcome(struct tls_end *end, int result)
{
    switch (SSL_get_error(end->ssl, result)) {
    case SSL_ERROR_NONE:
        return STREAM_OK;
    case SSL_ERROR_WANT_READ:
        return STREAM_READABLE;
    case SSL_ERROR_WANT_WRITE:
        return STREAM_WRITABLE;
    case SSL_ERROR_ZERO_RETURN:
        return STREAM_END;
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        return STREAM_CUT;
    default:
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            ERR_clear_error();
            return STREAM_CUT;
        }
        amm_ssl_take_error(&end->verdict);
        return STREAM_FAILED;
    }
}

/* On resumption nobody was verified: the peer is who it was when the session was made. */
static void finish_handshake(struct tls_end *end)
{
    end->open = true;
    end->resumed = SSL_session_reused(end->ssl) == 1;
    if (end->resumed) {
        end->has_identity = end->from_has_identity;
        end->verdict.identity = end->from_identity;
    }
}

enum stream_result http_stream_handshake(struct http_stream *stream)
{
    struct tls_end *end = stream->tls;
    if (!end || end->open) {
        return STREAM_OK;
    }
    ERR_clear_error();
    int result = SSL_do_handshake(end->ssl);
    if (result == 1) {
        finish_handshake(end);
        return STREAM_OK;
    }
    enum stream_result why = outcome(end, result);
    return why == STREAM_END ? STREAM_CUT : why;
}

static enum stream_result plain_outcome(ssize_t n, enum stream_result again)
{
    return n == 0 ? STREAM_END : errno == EAGAIN ? again : STREAM_CUT;
}

enum stream_result http_stream_read(struct http_stream *stream, void *out, size_t room, size_t *n)
{
    *n = 0;
    if (stream->tls) {
        ERR_clear_error();
        int result = SSL_read_ex(stream->tls->ssl, out, room, n);
        return result == 1 ? STREAM_OK : outcome(stream->tls, result);
    }
    ssize_t got;
    do {
        got = recv(stream->fd, out, room, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        return plain_outcome(got, STREAM_READABLE);
    }
    stream->in += (uint64_t)got;
    *n = (size_t)got;
    return STREAM_OK;
}

enum stream_result http_stream_write(struct http_stream *stream, const void *bytes, size_t len,
                                     size_t *n)
{
    *n = 0;
    if (stream->tls) {
        ERR_clear_error();
        int result = SSL_write_ex(stream->tls->ssl, bytes, len, n);
        return result == 1 ? STREAM_OK : outcome(stream->tls, result);
    }
    ssize_t sent;
    do {
        sent = send(stream->fd, bytes, len,
                    MSG_DONTWAIT | MSG_NOSIGNAL | (stream->more ? MSG_MORE : 0));
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return plain_outcome(sent, STREAM_WRITABLE);
    }
    stream->out += (uint64_t)sent;
    *n = (size_t)sent;
    return STREAM_OK;
}

/* sendfile(2) knows no MSG_NOSIGNAL: the signal of a peer that left is blocked and taken back. */
static ssize_t send_file_quietly(int fd, int file, off_t *position, size_t len)
{
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    sigpending(&pending);
    ssize_t sent;
    do {
        sent = sendfile(fd, file, position, len);
    } while (sent < 0 && errno == EINTR);
    int cause = errno;
    if (sent < 0 && cause == EPIPE && !sigismember(&pending, SIGPIPE)) {
        sigtimedwait(&pipe, NULL, &(struct timespec){0});
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = cause;
    return sent;
}

enum stream_result http_stream_send_file(struct http_stream *stream, int file, uint64_t *at,
                                         size_t len)
{
    off_t position = (off_t)*at;
    ssize_t sent = send_file_quietly(stream->fd, file, &position, len);
    if (sent <= 0) {
        return plain_outcome(sent, STREAM_WRITABLE);
    }
    stream->out += (uint64_t)sent;
    *at += (uint64_t)sent;
    return STREAM_OK;
}

bool http_stream_has_pending(const struct http_stream *stream)
{
    return stream->tls && SSL_has_pending(stream->tls->ssl) == 1;
}

void http_stream_say_goodbye(struct http_stream *stream)
{
    if (stream->tls && stream->tls->open && stream->tls->verdict.failure == AMM_TLS_OK) {
        ERR_clear_error();
        SSL_shutdown(stream->tls->ssl);
        ERR_clear_error();
    }
    if (stream->fd >= 0) {
        shutdown(stream->fd, SHUT_WR);
    }
}

void http_stream_reset(struct http_stream *stream)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool http_stream_is_eof(const struct http_stream *stream)
{
    return stream->tls && BIO_eof(SSL_get_rbio(stream->tls->ssl));
}

bool http_stream_drain(struct http_stream *stream)
{
    uint8_t scratch[DRAIN];
    for (int i = 0; i < DRAIN_ROUNDS; i++) {
        ssize_t n = recv(stream->fd, scratch, sizeof scratch, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            return false;
        }
        if (n < 0) {
            return true;
        }
        stream->in += (uint64_t)n;
    }
    return true;
}

/* ---- the peer ---- */

const struct amm_identity *http_stream_peer(const struct http_stream *stream)
{
    const struct tls_end *end = stream->tls;
    return end && end->open && end->has_identity ? &end->verdict.identity : NULL;
}

const uint8_t *http_stream_shown_key(const struct http_stream *stream)
{
    const struct tls_end *end = stream->tls;
    return end && end->has_shown_key               ? end->shown_key
           : end && end->open && end->has_identity ? end->verdict.identity.key
                                                   : NULL;
}

bool http_stream_is_resumed(const struct http_stream *stream)
{
    return stream->tls && stream->tls->resumed;
}

enum amm_tls_failure http_stream_failure(const struct http_stream *stream, const char **detail)
{
    *detail = stream->tls ? stream->tls->verdict.detail : "";
    return stream->tls ? stream->tls->verdict.failure : AMM_TLS_OK;
}
