/* One TLS session through memory BIOs. The engine hands bytes in, in any pieces, and takes bytes
 * out. */
#include "tls_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

/* More than this in one go without a step is a peer that floods us: a chain at its limit is half of
 * it. */
enum { UNREAD_MAX = 65536, RECORD_MAX = 16384 };

/* More than this waiting for a peer that takes nothing is answers it has asked for without end (TLS
 * 1.3 key updates): our own flights and a PUSH_REPLY are half of it. */
enum { UNSENT_MAX = 65536 };

static struct amm_tls *session_close(struct amm_tls *tls)
{
    if (tls) {
        SSL_free(tls->ssl); /* frees both BIOs and wipes the keys */
        amm_wipe(tls, sizeof *tls);
        free(tls);
    }
    return NULL;
}

static struct amm_tls *session_open(struct amm_tls_context *context, int64_t wall)
{
    struct amm_tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        return NULL;
    }
    tls->context = context;
    tls->wall = wall;
    tls->ssl = SSL_new(context->ssl);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (!tls->ssl || !tls->in || !tls->out) {
        BIO_free(tls->in);
        BIO_free(tls->out);
        return session_close(tls);
    }
    SSL_set_bio(tls->ssl, tls->in, tls->out); /* takes them */
    SSL_set_app_data(tls->ssl, tls);
    if (context->role == AMM_SERVER) {
        SSL_set_accept_state(tls->ssl);
    } else {
        SSL_set_connect_state(tls->ssl);
    }
    return tls;
}

static void fail(struct amm_tls *tls, enum amm_tls_failure failure, const char *detail)
{
    tls->state = AMM_TLS_FAILED;
    tls->verdict.failure = failure;
    snprintf(tls->verdict.detail, sizeof tls->verdict.detail, "%s", detail);
}

static void session_feed(struct amm_tls *tls, struct amm_view bytes)
{
    if (tls->state == AMM_TLS_FAILED || bytes.len == 0) {
        return;
    }
    if (bytes.len > UNREAD_MAX - BIO_ctrl_pending(tls->in)) {
        fail(tls, AMM_TLS_PROTOCOL, "the peer sends more than a handshake needs");
        return;
    }
    if (BIO_ctrl_pending(tls->out) > UNSENT_MAX) {
        fail(tls, AMM_TLS_PROTOCOL, "the peer asks for more than it takes");
        return;
    }
    if (BIO_write(tls->in, bytes.data, (int)bytes.len) != (int)bytes.len) {
        fail(tls, AMM_TLS_PROTOCOL, "out of memory");
    }
}

static void fail_by_queue(struct amm_tls *tls)
{
    tls->state = AMM_TLS_FAILED;
    amm_ssl_take_error(&tls->verdict);
}

/* After a call that returned `result`: false if the session is over. */
static bool survives(struct amm_tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return true;
    case SSL_ERROR_ZERO_RETURN:
        fail(tls, AMM_TLS_PEER_ALERT, "TLS alert: close notify");
        return false;
    default:
        fail_by_queue(tls);
        return false;
    }
}

static void finish_handshake(struct amm_tls *tls)
{
    if (!tls->has_identity) {
        fail(tls, AMM_TLS_NO_CERTIFICATE, "TLS: no certificate was verified");
        return;
    }
    tls->state = AMM_TLS_OPEN;
    snprintf(tls->version, sizeof tls->version, "%s %s", SSL_get_version(tls->ssl),
             SSL_get_cipher_name(tls->ssl));
}

static enum amm_tls_state session_step(struct amm_tls *tls)
{
    ERR_clear_error();
    if (tls->state == AMM_TLS_HANDSHAKE) {
        int result = SSL_do_handshake(tls->ssl);
        if (result == 1) {
            finish_handshake(tls);
        } else {
            survives(tls, result);
        }
    }
    if (tls->state == AMM_TLS_OPEN) {
        /* In TLS 1.3 the server's refusal of a client certificate arrives when the client is done.
         */
        uint8_t byte;
        int result = SSL_peek(tls->ssl, &byte, 1);
        if (result <= 0) {
            survives(tls, result);
        }
    }
    return tls->state;
}

static size_t session_drain(struct amm_tls *tls, uint8_t *out, size_t room)
{
    int n = BIO_read(tls->out, out, room < INT32_MAX ? (int)room : INT32_MAX);
    return n > 0 ? (size_t)n : 0;
}

static size_t session_read(struct amm_tls *tls, uint8_t *out, size_t room)
{
    if (tls->state != AMM_TLS_OPEN || room == 0) {
        return 0;
    }
    ERR_clear_error();
    size_t n = 0;
    int result = SSL_read_ex(tls->ssl, out, room, &n);
    if (result <= 0) {
        survives(tls, result);
        return 0;
    }
    return n;
}

static bool session_write(struct amm_tls *tls, struct amm_view plain)
{
    if (tls->state != AMM_TLS_OPEN || plain.len == 0 || plain.len > RECORD_MAX) {
        return false;
    }
    ERR_clear_error();
    size_t n = 0;
    int result = SSL_write_ex(tls->ssl, plain.data, plain.len, &n);
    if (result <= 0) {
        survives(tls, result);
        return false;
    }
    return true;
}

static bool session_export(struct amm_tls *tls, const char *label, uint8_t *out, size_t len)
{
    ERR_clear_error();
    return tls->state == AMM_TLS_OPEN &&
           SSL_export_keying_material(tls->ssl, out, len, label, strlen(label), NULL, 0, 0) == 1;
}

static const struct amm_identity *session_identity(struct amm_tls *tls)
{
    return &tls->verdict.identity;
}

static enum amm_tls_failure session_failure(struct amm_tls *tls, const char **detail)
{
    *detail = tls->verdict.detail;
    return tls->verdict.failure;
}

static const char *session_version(struct amm_tls *tls)
{
    return tls->version;
}

const struct amm_tls_ops amm_tls_openssl = {
    .open = session_open,
    .close = session_close,
    .feed = session_feed,
    .step = session_step,
    .drain = session_drain,
    .read = session_read,
    .write = session_write,
    .export_key = session_export,
    .identity = session_identity,
    .failure = session_failure,
    .version = session_version,
};
