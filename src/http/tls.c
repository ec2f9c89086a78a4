/* Contexts: settings, certificates by name, and the hooks of session resumption. */
#include "tls_internal.h"

#include "crypto/mac.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SESSION_SECONDS_MAX = 7 * 86400 };

static bool refuse(char *error, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool refuse(char *error, size_t room, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, room, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- sessions ---- */

static bool session_id(const SSL_SESSION *session, struct tls_session_id *out)
{
    unsigned len = 0;
    const uint8_t *id = SSL_SESSION_get_id(session, &len);
    if (len == 0 || len > TLS_SESSION_ID) {
        return false;
    }
    *out = (struct tls_session_id){.len = (uint8_t)len};
    memcpy(out->bytes, id, len);
    return true;
}

/* Takes the client's certificate out of a serialised session (SSL_SESSION is a SEQUENCE, the
 * certificate its element [3]); the new length, 0 if it is not what was expected. To parse a
 * certificate takes OpenSSL 3.0 longer than the rest of a resumed handshake, and who the client is,
 * stands in the cache beside it. */
static size_t without_certificate(uint8_t *bytes, size_t len)
{
    enum { CERTIFICATE = 3 };
    const uint8_t *at = bytes, *end = bytes + len;
    uint8_t head[8], *out = head, body[TLS_SESSION_MAX];
    long inner;
    int tag, class;
    size_t kept = 0;
    if ((ASN1_get_object(&at, &inner, &tag, &class, (long)len) & 0x80) || tag != V_ASN1_SEQUENCE ||
        at + inner != end) {
        return 0;
    }
    while (at < end) {
        const uint8_t *element = at;
        if (ASN1_get_object(&at, &inner, &tag, &class, end - at) & 0x80) {
            return 0;
        }
        at += inner;
        if (class != V_ASN1_CONTEXT_SPECIFIC || tag != CERTIFICATE) {
            memcpy(body + kept, element, (size_t)(at - element));
            kept += (size_t)(at - element);
        }
    }
    ASN1_put_object(&out, 1, (int)kept, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
    memcpy(bytes, head, (size_t)(out - head));
    memcpy(bytes + (out - head), body, kept);
    amm_wipe(body, kept);
    return (size_t)(out - head) + kept;
}

/* OpenSSL made a session for a client: it goes to the cache as bytes. */
static int keep_server_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_end *end = SSL_get_app_data(ssl);
    uint8_t bytes[TLS_SESSION_MAX], *at = bytes;
    struct tls_session_id id;
    int whole = i2d_SSL_SESSION(session, NULL);
    if (whole <= 0 || whole > TLS_SESSION_MAX || !session_id(session, &id)) {
        return 0;
    }
    whole = i2d_SSL_SESSION(session, &at);
    size_t len = without_certificate(bytes, (size_t)whole);
    bool resumed = SSL_session_reused(ssl) == 1;
    bool known = resumed ? end->from_has_identity : end->has_identity;
    const struct amm_identity *client = resumed ? &end->from_identity : &end->verdict.identity;
    tls_sessions_put(end->context->sessions, &id, amm_view(bytes, len), known ? client : NULL,
                     resumed ? &end->from : NULL);
    amm_wipe(bytes, (size_t)whole);
    return 0;
}

static SSL_SESSION *find_server_session(SSL *ssl, const unsigned char *id, int len, int *copy)
{
    struct tls_end *end = SSL_get_app_data(ssl);
    uint8_t bytes[TLS_SESSION_MAX];
    const uint8_t *at = bytes;
    *copy = 0; /* the reference goes to OpenSSL */
    if (len <= 0 || len > TLS_SESSION_ID) {
        return NULL;
    }
    end->from = (struct tls_session_id){.len = (uint8_t)len};
    memcpy(end->from.bytes, id, (size_t)len);
    size_t found = tls_sessions_get(end->context->sessions, &end->from, bytes, &end->from_identity,
                                    &end->from_has_identity);
    SSL_SESSION *session = found > 0 ? d2i_SSL_SESSION(NULL, &at, (long)found) : NULL;
    amm_wipe(bytes, found);
    return session;
}

/* A copy, because OpenSSL marks its own as not resumable when the connection ends uncleanly. */
static int keep_client_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_end *end = SSL_get_app_data(ssl);
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy) {
        SSL_SESSION_free(end->newest);
        end->newest = copy;
    }
    return 0;
}

/* Sessions are good only where the same would be asked of a newcomer. */
static bool name_sessions(struct amm_http_tls *tls, const struct amm_http_tls_settings *settings)
{
    uint8_t hash[32];
    const char *ca = settings->ca ? settings->ca : "";
    size_t len = strlen(ca);
    uint8_t *text = malloc(len + 2);
    if (!text) {
        return false;
    }
    memcpy(text, ca, len);
    text[len] = settings->certificate_optional;
    text[len + 1] = settings->expired_clients;
    bool ok = amm_sha256(amm_view(text, len + 2), hash) &&
              SSL_CTX_set_session_id_context(tls->ssl, hash, sizeof hash) == 1;
    free(text);
    return ok;
}

static bool resume_server(struct amm_http_tls *tls, const struct amm_http_tls_settings *settings,
                          char *error, size_t room)
{
    if (!name_sessions(tls, settings)) {
        return refuse(error, room, "TLS: out of memory");
    }
    if (settings->sessions_of && settings->sessions_of->sessions) {
        tls->sessions = tls_sessions_ref(settings->sessions_of->sessions);
    } else if (settings->sessions > 0) {
        tls->sessions = tls_sessions_new(settings->sessions);
        if (!tls->sessions) {
            return refuse(error, room, "TLS: out of memory");
        }
    }
    if (!tls->sessions) {
        return true;
    }
    unsigned seconds = settings->session_seconds;
    seconds = seconds == 0 || seconds > SESSION_SECONDS_MAX ? SESSION_SECONDS_MAX : seconds;
    SSL_CTX_set_timeout(tls->ssl, (long)seconds);
    SSL_CTX_set_session_cache_mode(tls->ssl, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL |
                                                 SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(tls->ssl, keep_server_session);
    SSL_CTX_sess_set_get_cb(tls->ssl, find_server_session);
    return SSL_CTX_set_num_tickets(tls->ssl, 1) == 1; /* 0 would end the line of resumptions */
}

static void resume_client(struct amm_http_tls *tls)
{
    SSL_CTX_set_session_cache_mode(tls->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL |
                                                 SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(tls->ssl, keep_client_session);
}

/* ---- certificates by name ---- */

/* "*.example.net" is for one label more; names are compared without case. */
static bool name_matches(const char *pattern, const char *name)
{
    if (pattern[0] == '*' && pattern[1] == '.') {
        const char *dot = strchr(name, '.');
        return dot && dot != name && strcasecmp(pattern + 1, dot) == 0;
    }
    return strcasecmp(pattern, name) == 0;
}

/* OpenSSL's hook before the server's certificate is chosen. */
static int choose_certificate(SSL *ssl, void *context)
{
    const struct amm_http_tls *tls = context;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    for (const struct tls_named *named = name ? tls->named : NULL; named; named = named->next) {
        if (!name_matches(named->name, name)) {
            continue;
        }
        if (SSL_use_certificate(ssl, sk_X509_value(named->own.chain, 0)) != 1 ||
            SSL_use_PrivateKey(ssl, named->own.key) != 1 || SSL_clear_chain_certs(ssl) != 1) {
            return 0;
        }
        for (int i = 1; i < sk_X509_num(named->own.chain); i++) {
            if (SSL_add1_chain_cert(ssl, sk_X509_value(named->own.chain, i)) != 1) {
                return 0;
            }
        }
        return 1;
    }
    return 1;
}

bool amm_http_tls_add(struct amm_http_tls *tls, const char *name, const char *certificate,
                      const char *key, char *error, size_t room)
{
    if (tls->is_client || strlen(name) == 0 || strlen(name) > TLS_HOST_MAX) {
        return refuse(error, room, "server name: 1 to %d characters are allowed", TLS_HOST_MAX);
    }
    struct tls_named *named = calloc(1, sizeof *named);
    if (!named) {
        return refuse(error, room, "TLS: out of memory");
    }
    memcpy(named->name, name, strlen(name) + 1);
    if (!amm_ssl_own_read(&named->own, tls->lib, certificate, key, error, room)) {
        free(named);
        ERR_clear_error();
        return false;
    }
    struct tls_named **end = &tls->named;
    while (*end) {
        end = &(*end)->next;
    }
    *end = named;
    SSL_CTX_set_cert_cb(tls->ssl, choose_certificate, tls);
    return true;
}

/* ---- contexts ---- */

/* A client that sends a session id of the old kind expects the messages that make TLS 1.3 look like
 * 1.2 (RFC 8446, D.4); ours does not, and saves their bytes. */
static int look_at_hello(SSL *ssl, int *alert, void *context)
{
    (void)alert;
    (void)context;
    const unsigned char *id;
    if (SSL_client_hello_get0_session_id(ssl, &id) > 0) {
        SSL_set_options(ssl, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    } else {
        SSL_clear_options(ssl, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

static bool apply_lean(SSL_CTX *ssl)
{
    SSL_CTX_clear_options(ssl, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(ssl, "TLS_AES_128_GCM_SHA256") == 1 &&
           SSL_CTX_set1_groups_list(ssl, "X25519") == 1 &&
           SSL_CTX_set1_sigalgs_list(ssl, "ecdsa_secp256r1_sha256") == 1;
}

static bool load_trust(struct amm_http_tls *tls, const struct amm_http_tls_settings *settings,
                       char *error, size_t room)
{
    if (!settings->ca) {
        SSL_CTX_set_verify(tls->ssl, tls->is_client ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
        return true;
    }
    STACK_OF(X509) *trusted = amm_ssl_certificates(tls->lib, settings->ca, "ca", error, room);
    bool ok = trusted && amm_ssl_trust(tls->ssl, trusted, error, room);
    sk_X509_pop_free(trusted, X509_free);
    tls->has_trust = ok;
    bool must = !tls->is_client && !settings->certificate_optional;
    SSL_CTX_set_verify(tls->ssl, SSL_VERIFY_PEER | (must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    return ok;
}

static bool load_own(struct amm_http_tls *tls, const struct amm_http_tls_settings *settings,
                     char *error, size_t room)
{
    if (tls->is_client && !settings->certificate && !settings->key) {
        return true;
    }
    struct amm_ssl_own own;
    bool ok = amm_ssl_own_read(&own, tls->lib, settings->certificate, settings->key, error, room) &&
              amm_ssl_own_use(&own, tls->ssl, error, room);
    amm_ssl_own_release(&own);
    if (!ok || !settings->sent_ca) {
        return ok;
    }
    STACK_OF(X509) *sent =
        amm_ssl_certificates(tls->lib, settings->sent_ca, "sent ca", error, room);
    for (int i = 0; i < sk_X509_num(sent); i++) {
        if (SSL_CTX_add1_chain_cert(tls->ssl, sk_X509_value(sent, i)) != 1) {
            ok = refuse(error, room, "sent ca: a certificate is not usable");
        }
    }
    ok = ok && sent;
    sk_X509_pop_free(sent, X509_free);
    return ok;
}

static bool set_up(struct amm_http_tls *tls, const struct amm_http_tls_settings *settings,
                   char *error, size_t room)
{
    tls->lib = OSSL_LIB_CTX_new();
    tls->ssl = tls->lib ? SSL_CTX_new_ex(tls->lib, NULL, TLS_method()) : NULL;
    if (!tls->ssl || !amm_ssl_restrict(tls->ssl) ||
        (tls->is_client && settings->lean_hello && !apply_lean(tls->ssl))) {
        return refuse(error, room, "TLS: OpenSSL lacks an algorithm or memory");
    }
    SSL_CTX_set_mode(tls->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(tls->ssl, 1);
    SSL_CTX_set_cert_verify_callback(tls->ssl, http_tls_verify, tls);
    if (!load_trust(tls, settings, error, room) || !load_own(tls, settings, error, room)) {
        return false;
    }
    if (tls->is_client) {
        resume_client(tls);
        return true;
    }
    SSL_CTX_set_options(tls->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_client_hello_cb(tls->ssl, look_at_hello, NULL);
    return resume_server(tls, settings, error, room);
}

struct amm_http_tls *amm_http_tls_new(const struct amm_http_tls_settings *settings, char *error,
                                      size_t room)
{
    struct amm_http_tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        refuse(error, room, "TLS: out of memory");
        return NULL;
    }
    atomic_init(&tls->refs, 1);
    tls->is_client = settings->is_client;
    tls->any_date = settings->is_client && settings->ignore_dates;
    tls->any_leaf_date = !settings->is_client && settings->expired_clients;
    bool ok = set_up(tls, settings, error, room);
    ERR_clear_error();
    return ok ? tls : amm_http_tls_unref(tls);
}

struct amm_http_tls *amm_http_tls_ref(struct amm_http_tls *tls)
{
    atomic_fetch_add(&tls->refs, 1);
    return tls;
}

struct amm_http_tls *amm_http_tls_unref(struct amm_http_tls *tls)
{
    if (tls && atomic_fetch_sub(&tls->refs, 1) == 1) {
        SSL_CTX_free(tls->ssl);
        while (tls->named) {
            struct tls_named *named = tls->named;
            tls->named = named->next;
            amm_ssl_own_release(&named->own);
            free(named);
        }
        tls_sessions_unref(tls->sessions);
        OSSL_LIB_CTX_free(tls->lib);
        free(tls);
    }
    return NULL;
}

unsigned amm_http_tls_sessions(const struct amm_http_tls *tls)
{
    return tls->sessions ? tls_sessions_count(tls->sessions) : 0;
}
