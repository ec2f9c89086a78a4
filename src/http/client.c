#include "http/client.h"

#include "io/loop.h"
#include "io/tcp.h"
#include "io/unix.h"
#include "stream.h"
#include "tls_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { INTERIM_MAX = 16, CLIENT_ERROR = 256 };

enum client_state {
    CLIENT_NEW,
    CLIENT_CONNECTING,
    CLIENT_GREETING, /* TLS */
    CLIENT_IDLE,     /* no request */
    CLIENT_HEAD,     /* of the answer; the request may still be on its way out */
    CLIENT_BODY,
    CLIENT_OVER,
};

struct amm_http_client {
    struct amm_http_client_settings settings; /* its strings are owned */
    struct tls_expectation expected;
    struct amm_http_session *resume;
    enum client_state state;
    struct http_stream stream;
    struct amm_address local;
    unsigned interest;
    amm_time deadline;

    uint8_t *out; /* the request; NULL: none */
    size_t out_len, out_at;
    bool out_failed; /* the server takes no more, but may have answered */
    bool is_waiting; /* a request came before the connection was there */
    char method[AMM_HTTP_METHOD_MAX + 1];

    struct amm_http_response response;
    struct amm_http_body body;
    unsigned interim; /* answers before the answer */
    size_t in_at, in_len;
    uint8_t in[AMM_HTTP_HEAD_MAX];

    enum amm_tls_failure tls_failure;
    char error[CLIENT_ERROR];
};

/* ---- life ---- */

static char *copy_text(const char *text, bool *ok)
{
    char *copy = text ? strdup(text) : NULL;
    *ok &= copy != NULL || text == NULL;
    return copy;
}

/* "name:8443" and "[::1]:8443" without the port, "[::1]" without the brackets. */
static bool host_without_port(const char *host, char out[TLS_HOST_MAX + 1])
{
    size_t len = strlen(host);
    if (host[0] == '[') {
        host++;
        len = strcspn(host, "]");
    } else if (strchr(host, ':') == strrchr(host, ':')) {
        len = strcspn(host, ":");
    }
    if (len > TLS_HOST_MAX) {
        return false;
    }
    memcpy(out, host, len);
    out[len] = '\0';
    return true;
}

static bool take_pin(uint8_t out[32], bool *has, struct amm_view pin)
{
    *has = pin.len > 0;
    if (pin.len == 32) {
        memcpy(out, pin.data, 32);
    }
    return pin.len == 0 || pin.len == 32;
}

static bool take_expectation(struct tls_expectation *out,
                             const struct amm_http_client_settings *settings)
{
    const char *name = settings->server_name;
    bool fits = name ? strlen(name) <= TLS_HOST_MAX : host_without_port(settings->host, out->name);
    if (name && fits) {
        memcpy(out->name, name, strlen(name) + 1);
    }
    return fits && take_pin(out->key_pin, &out->has_key_pin, settings->key_pin) &&
           take_pin(out->ca_pin, &out->has_ca_pin, settings->ca_pin);
}

static amm_duration or_default(amm_duration duration, int seconds)
{
    return duration > 0 ? duration : seconds * AMM_SECOND;
}

struct amm_http_client *amm_http_client_new(const struct amm_http_client_settings *settings,
                                            struct amm_now now)
{
    struct amm_http_client *client = calloc(1, sizeof *client);
    if (!client) {
        return NULL;
    }
    bool ok = true;
    client->settings = *settings;
    client->settings.unix_path = copy_text(settings->unix_path, &ok);
    client->settings.host = copy_text(settings->host, &ok);
    client->settings.bind_device = copy_text(settings->bind_device, &ok);
    client->settings.server_name = NULL;
    client->settings.key_pin = client->settings.ca_pin = (struct amm_view){0};
    client->settings.tls = settings->tls ? amm_http_tls_ref(settings->tls) : NULL;
    client->settings.connect_deadline = or_default(settings->connect_deadline, 15);
    client->settings.answer_deadline = or_default(settings->answer_deadline, 30);
    client->settings.idle_deadline = or_default(settings->idle_deadline, 30);
    client->stream.fd = -1;
    client->deadline = now.mono; /* something is to be done at once */
    if (!ok || !take_expectation(&client->expected, settings)) {
        return amm_http_client_free(client);
    }
    return client;
}

struct amm_http_client *amm_http_client_free(struct amm_http_client *client)
{
    if (client) {
        http_stream_close(&client->stream);
        amm_http_session_free(client->resume);
        amm_http_tls_unref(client->settings.tls);
        free((char *)client->settings.unix_path);
        free((char *)client->settings.host);
        free((char *)client->settings.bind_device);
        if (client->out) {
            amm_wipe(client->out, client->out_len); /* it may have a password or a token */
        }
        free(client->out);
        free(client);
    }
    return NULL;
}

/* ---- requests ---- */

static bool asks_for_length(struct amm_view method)
{
    return amm_view_equal(method, amm_view_str("POST")) ||
           amm_view_equal(method, amm_view_str("PUT")) ||
           amm_view_equal(method, amm_view_str("PATCH"));
}

bool amm_http_client_request(struct amm_http_client *client, struct amm_view method,
                             struct amm_view target, struct amm_view fields, struct amm_view body)
{
    if (client->out || client->state == CLIENT_HEAD || client->state == CLIENT_BODY ||
        client->state == CLIENT_OVER || method.len > AMM_HTTP_METHOD_MAX) {
        return false;
    }
    size_t room =
        method.len + target.len + strlen(client->settings.host) + fields.len + body.len + 96;
    uint8_t *out = malloc(room);
    if (!out) {
        return false;
    }
    struct amm_writer w = amm_writer(out, room);
    amm_http_write_request_line(&w, method, target);
    amm_http_write_field(&w, "Host", amm_view_str(client->settings.host));
    amm_write_view(&w, fields);
    if (body.len > 0 || asks_for_length(method)) {
        amm_http_write_number(&w, "Content-Length", body.len);
    }
    amm_http_write_end(&w);
    amm_write_view(&w, body);
    if (w.failed) {
        amm_wipe(out, room);
        free(out);
        return false;
    }
    client->out = out;
    client->out_len = amm_writer_len(&w);
    client->out_at = 0;
    client->out_failed = false;
    client->interim = 0;
    client->is_waiting = true;
    memcpy(client->method, method.data, method.len);
    client->method[method.len] = '\0';
    return true;
}

static void forget_request(struct amm_http_client *client)
{
    if (client->out) {
        amm_wipe(client->out, client->out_len);
    }
    free(client->out);
    client->out = NULL;
    client->out_len = client->out_at = 0;
}

/* ---- the end ---- */

static void fail(struct amm_http_client *client, struct amm_http_event *out, const char *text)
{
    if (text) {
        snprintf(client->error, sizeof client->error, "%s", text);
    }
    client->state = CLIENT_OVER;
    client->deadline = AMM_NEVER;
    forget_request(client);
    http_stream_hang_up(&client->stream);
    *out = (struct amm_http_event){
        .kind = AMM_HTTP_EVENT_FAILED, .error = client->error, .tls_failure = client->tls_failure};
}

/* After a read, write or handshake that went wrong. */
static void fail_by_stream(struct amm_http_client *client, enum stream_result result,
                           struct amm_http_event *out, const char *otherwise)
{
    if (result == STREAM_FAILED) {
        const char *detail;
        client->tls_failure = http_stream_failure(&client->stream, &detail);
        fail(client, out, detail);
    } else {
        fail(client, out, otherwise);
    }
}

static const char *lateness(const struct amm_http_client *client)
{
    switch (client->state) {
    case CLIENT_NEW:
    case CLIENT_CONNECTING:
        return "the server does not answer (no connection in time)";
    case CLIENT_GREETING:
        return "the server does not answer (no TLS handshake in time)";
    case CLIENT_HEAD:
        return client->out_at < client->out_len ? "the server does not take the request in time"
                                                : "no answer in time";
    case CLIENT_BODY:
        return "the answer stopped on its way";
    case CLIENT_IDLE:
    case CLIENT_OVER:
        break;
    }
    return "too late";
}

/* ---- steps: true if there is something more to do at once ---- */

static bool start(struct amm_http_client *client, struct amm_now now, struct amm_http_event *out)
{
    char error[CLIENT_ERROR];
    int fd = client->settings.unix_path
                 ? amm_unix_connect_stream(client->settings.unix_path, error, sizeof error)
                 : amm_tcp_connect_by(&client->settings.address, client->settings.bind_device,
                                      error, sizeof error);
    if (fd < 0) {
        fail(client, out, error);
        return false;
    }
    if (!http_stream_open(&client->stream, fd, client->settings.tls, &client->expected, now.wall)) {
        fail(client, out, "out of memory");
        return false;
    }
    if (client->settings.tls) {
        char name[TLS_HOST_MAX + 1];
        http_stream_prepare(&client->stream,
                            host_without_port(client->settings.host, name) ? name : NULL,
                            client->resume);
    }
    client->resume = amm_http_session_free(client->resume);
    client->state = CLIENT_CONNECTING;
    client->interest = AMM_WRITE;
    client->deadline = amm_time_after(now.mono, client->settings.connect_deadline);
    return true;
}

static bool connecting(struct amm_http_client *client, struct amm_http_event *out)
{
    struct pollfd ready = {.fd = client->stream.fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) <= 0) {
        return false;
    }
    int cause =
        client->settings.unix_path ? 0 : amm_tcp_connect_result(client->stream.fd, &client->local);
    if (cause != 0) {
        char text[AMM_ADDRESS_TEXT], error[CLIENT_ERROR];
        snprintf(error, sizeof error, "%s: %s", amm_address_text(&client->settings.address, text),
                 strerror(cause));
        fail(client, out, error);
        return false;
    }
    client->state = CLIENT_GREETING;
    return true;
}

static bool greeting(struct amm_http_client *client, struct amm_http_event *out)
{
    enum stream_result result = http_stream_handshake(&client->stream);
    if (result == STREAM_READABLE || result == STREAM_WRITABLE) {
        client->interest = result == STREAM_READABLE ? AMM_READ : AMM_WRITE;
        return false;
    }
    if (result != STREAM_OK) {
        client->tls_failure = AMM_TLS_PROTOCOL;
        fail_by_stream(client, result, out,
                       "the server closed the connection in the TLS handshake");
        return false;
    }
    client->state = CLIENT_IDLE;
    client->deadline = AMM_NEVER;
    client->interest = AMM_READ;
    return true;
}

/* Writes what can be written; the answer may come before all is out. */
static void write_request(struct amm_http_client *client, struct amm_now now)
{
    while (client->out_at < client->out_len && !client->out_failed) {
        size_t n;
        enum stream_result result = http_stream_write(&client->stream, client->out + client->out_at,
                                                      client->out_len - client->out_at, &n);
        if (result == STREAM_READABLE || result == STREAM_WRITABLE) {
            client->interest = AMM_READ | (result == STREAM_WRITABLE ? AMM_WRITE : 0);
            return;
        }
        if (result != STREAM_OK) {
            client->out_failed = true; /* why, or the answer, is there to be read */
            break;
        }
        client->out_at += n;
        bool is_out = client->out_at == client->out_len;
        client->deadline = amm_time_after(now.mono, is_out ? client->settings.answer_deadline
                                                           : client->settings.idle_deadline);
    }
    client->interest = AMM_READ;
}

enum got { GOT_BYTES, GOT_NONE, GOT_END, GOT_FAILURE };

/* Reads behind what is there; only what is not used up yet is kept. */
static enum got read_more(struct amm_http_client *client, struct amm_http_event *out)
{
    memmove(client->in, client->in + client->in_at, client->in_len - client->in_at);
    client->in_len -= client->in_at;
    client->in_at = 0;
    size_t n;
    enum stream_result result = http_stream_read(&client->stream, client->in + client->in_len,
                                                 sizeof client->in - client->in_len, &n);
    switch (result) {
    case STREAM_OK:
        client->in_len += n;
        return GOT_BYTES;
    case STREAM_READABLE:
        return GOT_NONE;
    case STREAM_WRITABLE:
        client->interest |= AMM_WRITE;
        return GOT_NONE;
    case STREAM_END:
        return GOT_END;
    case STREAM_CUT:
    case STREAM_FAILED:
        break;
    }
    fail_by_stream(client, result, out,
                   client->state == CLIENT_BODY ? "the connection broke in the middle of the answer"
                                                : "the server closed the connection");
    return GOT_FAILURE;
}

static bool idle(struct amm_http_client *client, struct amm_now now, struct amm_http_event *out)
{
    if (client->is_waiting) {
        client->is_waiting = false;
        client->state = CLIENT_HEAD;
        client->deadline = amm_time_after(now.mono, client->settings.idle_deadline);
        return true;
    }
    switch (read_more(client, out)) {
    case GOT_BYTES:
        fail(client, out, "the server sent what nobody had asked for");
        break;
    case GOT_END:
        fail(client, out, "the server closed the connection");
        break;
    case GOT_NONE:
    case GOT_FAILURE:
        break;
    }
    return false;
}

static bool is_interim(const struct amm_http_response *response)
{
    return response->status < 200 && response->status != 101;
}

static bool take_head(struct amm_http_client *client, struct amm_now now,
                      struct amm_http_event *out)
{
    if (is_interim(&client->response)) {
        if (++client->interim > INTERIM_MAX) {
            fail(client, out, "the server says 1xx without end");
            return false;
        }
        return true;
    }
    if (client->response.status == 101) {
        fail(client, out, "the server wants to change the protocol");
        return false;
    }
    amm_http_body_begin(&client->body, client->response.framing, client->response.length, true);
    client->state = CLIENT_BODY;
    client->deadline = amm_time_after(now.mono, client->settings.idle_deadline);
    *out = (struct amm_http_event){.kind = AMM_HTTP_EVENT_HEAD, .response = &client->response};
    return false;
}

static bool head(struct amm_http_client *client, struct amm_now now, struct amm_http_event *out)
{
    struct amm_http_error error;
    write_request(client, now);
    size_t used = 0;
    struct amm_view bytes = amm_view(client->in + client->in_at, client->in_len - client->in_at);
    switch (bytes.len == 0
                ? AMM_HTTP_MORE
                : amm_http_response_parse(&client->response, amm_view_str(client->method), bytes,
                                          &used, &error)) {
    case AMM_HTTP_OK:
    case AMM_HTTP_END:
        client->in_at += used;
        return take_head(client, now, out);
    case AMM_HTTP_BAD:
        fail(client, out, error.text);
        return false;
    case AMM_HTTP_MORE:
        break;
    }
    switch (read_more(client, out)) {
    case GOT_BYTES:
        return true;
    case GOT_END:
        fail(client, out, "the server closed the connection without an answer");
        break;
    case GOT_NONE:
    case GOT_FAILURE:
        break;
    }
    return false;
}

static void finish(struct amm_http_client *client, struct amm_http_event *out)
{
    bool keep_alive = client->response.keep_alive && client->out_at == client->out_len &&
                      client->in_at == client->in_len;
    forget_request(client);
    client->state = keep_alive ? CLIENT_IDLE : CLIENT_OVER;
    client->deadline = AMM_NEVER;
    client->interest = AMM_READ;
    if (!keep_alive) {
        http_stream_hang_up(&client->stream);
    }
    *out = (struct amm_http_event){
        .kind = AMM_HTTP_EVENT_DONE, .response = &client->response, .keep_alive = keep_alive};
}

static bool body(struct amm_http_client *client, struct amm_now now, struct amm_http_event *out)
{
    struct amm_http_error error;
    struct amm_view content;
    write_request(client, now); /* the answer may have come before all was out */
    struct amm_view bytes = amm_view(client->in + client->in_at, client->in_len - client->in_at);
    enum amm_http_result result = amm_http_body_next(&client->body, &bytes, &content, &error);
    client->in_at = client->in_len - bytes.len;
    switch (result) {
    case AMM_HTTP_OK:
        *out = (struct amm_http_event){
            .kind = AMM_HTTP_EVENT_BODY, .response = &client->response, .content = content};
        return false;
    case AMM_HTTP_END:
        finish(client, out);
        return false;
    case AMM_HTTP_BAD:
        fail(client, out, error.text);
        return false;
    case AMM_HTTP_MORE:
        break;
    }
    switch (read_more(client, out)) {
    case GOT_BYTES:
        client->deadline = amm_time_after(now.mono, client->settings.idle_deadline);
        return true;
    case GOT_END:
        if (amm_http_body_may_end(&client->body)) {
            client->response.keep_alive = false;
            finish(client, out);
        } else {
            fail(client, out, "the answer is cut short");
        }
        break;
    case GOT_NONE:
    case GOT_FAILURE:
        break;
    }
    return false;
}

static bool step(struct amm_http_client *client, struct amm_now now, struct amm_http_event *out)
{
    switch (client->state) {
    case CLIENT_NEW:
        return start(client, now, out);
    case CLIENT_CONNECTING:
        return connecting(client, out);
    case CLIENT_GREETING:
        return greeting(client, out);
    case CLIENT_IDLE:
        return idle(client, now, out);
    case CLIENT_HEAD:
        return head(client, now, out);
    case CLIENT_BODY:
        return body(client, now, out);
    case CLIENT_OVER:
        break;
    }
    return false;
}

void amm_http_client_step(struct amm_http_client *client, struct amm_now now,
                          struct amm_http_event *out)
{
    *out = (struct amm_http_event){.kind = AMM_HTTP_EVENT_NONE};
    while (step(client, now, out)) {
    }
    bool late = client->state != CLIENT_NEW && now.mono >= client->deadline;
    if (out->kind == AMM_HTTP_EVENT_NONE && late) {
        fail(client, out, lateness(client));
    }
}

/* ---- what the owner may know ---- */

int amm_http_client_fd(const struct amm_http_client *client)
{
    return client->stream.fd;
}

unsigned amm_http_client_interest(const struct amm_http_client *client)
{
    return client->interest;
}

amm_time amm_http_client_deadline(const struct amm_http_client *client)
{
    return client->deadline;
}

void amm_http_client_bytes(const struct amm_http_client *client, uint64_t *in, uint64_t *out)
{
    *in = client->stream.in;
    *out = client->stream.out;
}

const struct amm_identity *amm_http_client_server(const struct amm_http_client *client)
{
    return http_stream_peer(&client->stream);
}

bool amm_http_client_ca_key(const struct amm_http_client *client, uint8_t out[32])
{
    const uint8_t *key = http_stream_ca_key(&client->stream);
    if (key) {
        memcpy(out, key, 32);
    }
    return key != NULL;
}

struct amm_address amm_http_client_local(const struct amm_http_client *client)
{
    return client->local;
}

/* Only before the first step; `session` stays the caller's. */
void amm_http_client_resume(struct amm_http_client *client, const struct amm_http_session *session)
{
    if (client->state != CLIENT_NEW || !client->settings.tls) {
        return;
    }
    amm_http_session_free(client->resume);
    client->resume = http_session_copy(session);
}

struct amm_http_session *amm_http_client_session(struct amm_http_client *client)
{
    return http_stream_session(&client->stream);
}

bool amm_http_client_resumed(const struct amm_http_client *client)
{
    return http_stream_is_resumed(&client->stream);
}
