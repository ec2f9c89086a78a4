/* The client's side of resumption. A session is used only with the context that made it, for the
 * same name, and if it fits the pins: on resumption nobody is verified. */
#include "stream.h"
#include "tls_internal.h"

#include "http/client.h"

#include <arpa/inet.h>
#include <stdlib.h>

static bool is_address(const char *name)
{
    uint8_t ip[16];
    return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

static bool session_fits(const struct tls_end *end, const struct amm_http_session *session)
{
    const struct tls_expectation *expected = end->expected;
    return session->context == end->context && strcmp(session->name, expected->name) == 0 &&
           (!expected->has_key_pin ||
            amm_equal_secret(session->server.key, expected->key_pin, 32)) &&
           (!expected->has_ca_pin || amm_equal_secret(session->ca_key, expected->ca_pin, 32));
}

void http_stream_prepare(struct http_stream *stream, const char *name,
                         const struct amm_http_session *session)
{
    struct tls_end *end = stream->tls;
    if (name && name[0] != '\0' && !is_address(name)) {
        SSL_set_tlsext_host_name(end->ssl, name);
    }
    if (!session || !session_fits(end, session)) {
        return;
    }
    /* A copy: a handshake that fails marks its session as not resumable. */
    SSL_SESSION *copy = SSL_SESSION_dup(session->session);
    if (copy && SSL_set_session(end->ssl, copy) == 1) {
        end->from_identity = session->server;
        end->from_has_identity = true;
        memcpy(end->ca_key, session->ca_key, sizeof end->ca_key);
        end->has_ca_key = true;
    }
    SSL_SESSION_free(copy);
}

/* All but OpenSSL's session. */
static struct amm_http_session *new_session(SSL_SESSION *session, struct amm_http_tls *context)
{
    struct amm_http_session *out = calloc(1, sizeof *out);
    SSL_SESSION *copy = out ? SSL_SESSION_dup(session) : NULL;
    if (!copy) {
        free(out);
        return NULL;
    }
    out->session = copy;
    out->context = amm_http_tls_ref(context);
    return out;
}

struct amm_http_session *http_session_copy(const struct amm_http_session *session)
{
    struct amm_http_session *copy =
        session ? new_session(session->session, session->context) : NULL;
    if (copy) {
        copy->server = session->server;
        memcpy(copy->ca_key, session->ca_key, sizeof copy->ca_key);
        memcpy(copy->name, session->name, sizeof copy->name);
    }
    return copy;
}

struct amm_http_session *http_stream_session(const struct http_stream *stream)
{
    const struct tls_end *end = stream->tls;
    if (!end || !end->open || !end->newest || !end->has_identity || !end->has_ca_key) {
        return NULL;
    }
    struct amm_http_session *session = new_session(end->newest, end->context);
    if (session) {
        session->server = end->verdict.identity;
        memcpy(session->ca_key, end->ca_key, sizeof session->ca_key);
        memcpy(session->name, end->expected->name, sizeof session->name);
    }
    return session;
}

struct amm_http_session *amm_http_session_free(struct amm_http_session *session)
{
    if (session) {
        SSL_SESSION_free(session->session);
        amm_http_tls_unref(session->context);
        free(session);
    }
    return NULL;
}

const uint8_t *http_stream_ca_key(const struct http_stream *stream)
{
    const struct tls_end *end = stream->tls;
    return end && end->open && end->has_ca_key ? end->ca_key : NULL;
}
