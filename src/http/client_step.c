/* The state machine of a client. */
#include "client_parts.h"

#include "io/tcp.h"
#include "io/unix.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

/* ---- the end ---- */

static void hang_up(struct amm_http_client *client)
{
    client->state = CLIENT_OVER;
    client->deadline = client->out_by = client->in_by = AMM_NEVER;
    client->is_waiting = false;
    client_forget_request(client);
    http_stream_hang_up(&client->stream);
}

static void fail(struct amm_http_client *client, struct amm_http_event *out,
                 enum amm_http_failure failure, const char *text)
{
    if (text) {
        snprintf(client->error, sizeof client->error, "%s", text);
    }
    hang_up(client);
    *out = (struct amm_http_event){.kind = AMM_HTTP_EVENT_FAILED,
                                   .error = client->error,
                                   .tls_failure = client->tls_failure,
                                   .failure = failure};
}

/* After a read, write or handshake that went wrong. */
static void fail_by_stream(struct amm_http_client *client, enum stream_result result,
                           struct amm_http_event *out, const char *otherwise)
{
    if (result == STREAM_FAILED) {
        const char *detail;
        client->tls_failure = http_stream_failure(&client->stream, &detail);
        fail(client, out, AMM_HTTP_NO_TLS, detail);
    } else {
        fail(client, out, client->state == CLIENT_GREETING ? AMM_HTTP_NO_TLS : AMM_HTTP_LOST,
             otherwise);
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
    case CLIENT_OUT:
        return "the server does not take what is sent";
    case CLIENT_HEAD:
        return client->out_at < client->out_len ? "the server does not take the request in time"
                                                : "no answer in time";
    case CLIENT_BODY:
        return "the answer stopped on its way";
    case CLIENT_KEY:
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
        fail(client, out, AMM_HTTP_UNREACHABLE, error);
        return false;
    }
    if (!http_stream_open(&client->stream, fd, client->settings.tls, &client->expected, now.wall)) {
        fail(client, out, AMM_HTTP_UNREACHABLE, "out of memory");
        return false;
    }
    if (client->settings.tls) {
        char name[TLS_HOST_MAX + 1];
        http_stream_prepare(&client->stream,
                            client_host_without_port(client->settings.host, name) ? name : NULL,
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
        fail(client, out, AMM_HTTP_UNREACHABLE, error);
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
    const uint8_t *key = client->expected.any_key ? http_stream_shown_key(&client->stream) : NULL;
    if (key) {
        client->state = CLIENT_KEY;
        client->interest = 0;
        *out = (struct amm_http_event){.kind = AMM_HTTP_EVENT_KEY, .key = key};
    }
    return key == NULL;
}

/* ---- what goes out ---- */

/* Writes what can be written; the answer may come before all is out. */
static void write_request(struct amm_http_client *client, struct amm_now now)
{
    client->out_blocked = false;
    for (;;) {
        if (client->out_at == client->out_len) {
            client_frame_chunk(client);
        }
        if (client->out_at == client->out_len || client->out_failed) {
            break;
        }
        size_t n;
        enum stream_result result = http_stream_write(&client->stream, client->out + client->out_at,
                                                      client->out_len - client->out_at, &n);
        if (result == STREAM_READABLE || result == STREAM_WRITABLE) {
            client->out_blocked = result == STREAM_WRITABLE;
            if (client->out_by == AMM_NEVER) {
                client->out_by = amm_time_after(now.mono, client->settings.idle_deadline);
            }
            return;
        }
        if (result != STREAM_OK) {
            client->out_failed = true; /* why, or the answer, is there to be read */
            break;
        }
        client->out_at += n;
        client->out_by = AMM_NEVER;
    }
    client->out_by = AMM_NEVER;
    if (client->out_at == client->out_len && client->out_held == 0) {
        client->out_at = client->out_len = 0;
    }
    if (client_is_said(client) && client->state == CLIENT_HEAD && client->in_by == AMM_NEVER) {
        client->in_by = amm_time_after(now.mono, client->settings.answer_deadline);
    }
}

/* Our direction of a pipe has ended, and all of it is out. */
static void shut_pipe(struct amm_http_client *client)
{
    if (client->is_pipe && !client->is_shut && client_is_said(client)) {
        client->is_shut = true;
        http_stream_say_goodbye(&client->stream);
    }
}

/* What to wait for. */
static void show_interest(struct amm_http_client *client, bool reads)
{
    client->interest = (reads ? AMM_READ : 0) | (client->out_blocked ? AMM_WRITE : 0);
}

/* ---- what comes ---- */

enum got { GOT_BYTES, GOT_NONE, GOT_END, GOT_FAILURE };

/* A server that ends without a word in TLS, where nothing but the end says so. */
static bool is_tolerable_end(const struct amm_http_client *client)
{
    return client->settings.tolerant_end && client->state == CLIENT_BODY &&
           client->body.framing == AMM_HTTP_TO_END && http_stream_is_eof(&client->stream);
}

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
        if (is_tolerable_end(client)) {
            return GOT_END;
        }
        break;
    case STREAM_FAILED:
        break;
    }
    fail_by_stream(client, result, out,
                   client->state == CLIENT_BODY ? "the connection broke in the middle of the answer"
                                                : "the server closed the connection");
    return GOT_FAILURE;
}

static bool begin_waiting_pipe(struct amm_http_client *client, struct amm_http_event *out)
{
    amm_http_body_begin(&client->body, AMM_HTTP_TO_END, 0, true);
    client->state = CLIENT_BODY;
    client->is_endless = true;
    *out = (struct amm_http_event){.kind = AMM_HTTP_EVENT_UPGRADED};
    return false;
}

static bool idle(struct amm_http_client *client, struct amm_http_event *out)
{
    if (client->is_pipe) {
        return begin_waiting_pipe(client, out);
    }
    if (client->is_waiting) {
        client->is_waiting = false;
        client->state = CLIENT_HEAD;
        client->in_by = AMM_NEVER;
        return true;
    }
    switch (read_more(client, out)) {
    case GOT_BYTES:
        fail(client, out, AMM_HTTP_MALFORMED, "the server sent what nobody had asked for");
        break;
    case GOT_END:
        fail(client, out, AMM_HTTP_LOST, "the server closed the connection");
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

static bool take_interim(struct amm_http_client *client, struct amm_http_event *out)
{
    if (++client->interim > INTERIM_MAX) {
        fail(client, out, AMM_HTTP_MALFORMED, "the server says 1xx without end");
        return false;
    }
    if (!client->settings.interim) {
        return true;
    }
    *out = (struct amm_http_event){.kind = AMM_HTTP_EVENT_INTERIM, .response = &client->response};
    return false;
}

/* Streams of events may be silent for as long as nothing happens. */
static bool is_endless(const struct amm_http_client *client)
{
    static const char *const types[] = {"text/event-stream", "multipart/x-mixed-replace"};
    struct amm_view type = amm_http_field(&client->response.fields, "content-type");
    for (size_t i = 0; i < sizeof types / sizeof types[0] && client->settings.body_rate > 0; i++) {
        size_t len = strlen(types[i]);
        if (type.len >= len && amm_http_is(amm_view(type.data, len), types[i])) {
            return true;
        }
    }
    return false;
}

static bool take_upgrade(struct amm_http_client *client, struct amm_http_event *out)
{
    if (!client->may_upgrade) {
        fail(client, out, AMM_HTTP_MALFORMED, "the server wants to change the protocol");
        return false;
    }
    if (!client_begin_pipe(client)) {
        fail(client, out, AMM_HTTP_LOST, "out of memory");
        return false;
    }
    begin_waiting_pipe(client, out);
    out->response = &client->response;
    return false;
}

/* The body has until then for its next bytes; `n` came. */
static void earn_time(struct amm_http_client *client, struct amm_now now, size_t n)
{
    amm_time latest = amm_time_after(now.mono, client->settings.idle_deadline);
    uint32_t rate = client->settings.body_rate;
    if (client->is_endless) {
        client->in_by = AMM_NEVER;
    } else if (rate == 0 || client->in_by == AMM_NEVER) {
        client->in_by = latest;
    } else {
        amm_duration more = (amm_duration)(n * (AMM_SECOND / rate));
        client->in_by = amm_time_min(latest, amm_time_after(client->in_by, more));
    }
}

static bool take_head(struct amm_http_client *client, struct amm_now now,
                      struct amm_http_event *out)
{
    if (is_interim(&client->response)) {
        return take_interim(client, out);
    }
    client->in_by = AMM_NEVER;
    if (client->response.status == 101) {
        return take_upgrade(client, out);
    }
    amm_http_body_begin(&client->body, client->response.framing, client->response.length, true);
    client->state = CLIENT_BODY;
    client->is_endless = is_endless(client);
    earn_time(client, now, 0);
    *out = (struct amm_http_event){.kind = AMM_HTTP_EVENT_HEAD, .response = &client->response};
    return false;
}

static bool head(struct amm_http_client *client, struct amm_now now, struct amm_http_event *out)
{
    struct amm_http_error error;
    write_request(client, now);
    show_interest(client, true);
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
        fail(client, out, AMM_HTTP_MALFORMED, error.text);
        return false;
    case AMM_HTTP_MORE:
        break;
    }
    switch (read_more(client, out)) {
    case GOT_BYTES:
        return true;
    case GOT_END:
        fail(client, out, AMM_HTTP_LOST, "the server closed the connection without an answer");
        break;
    case GOT_NONE:
    case GOT_FAILURE:
        break;
    }
    return false;
}

static void finish(struct amm_http_client *client, struct amm_http_event *out)
{
    bool keep_alive = client->response.keep_alive && client_is_said(client) &&
                      !client->out_failed && client->in_at == client->in_len;
    if (keep_alive) {
        client_forget_request(client);
        client->state = CLIENT_IDLE;
        client->out_by = client->in_by = AMM_NEVER;
        client->interest = AMM_READ;
    } else {
        hang_up(client);
    }
    *out = (struct amm_http_event){
        .kind = AMM_HTTP_EVENT_DONE, .response = &client->response, .keep_alive = keep_alive};
}

/* The other direction of a pipe has ended. */
static void finish_pipe(struct amm_http_client *client, struct amm_http_event *out)
{
    client->state = CLIENT_OUT;
    client->in_by = AMM_NEVER;
    if (client->is_shut) {
        hang_up(client);
    }
    *out = (struct amm_http_event){.kind = AMM_HTTP_EVENT_DONE};
}

static bool read_body(struct amm_http_client *client, struct amm_now now,
                      struct amm_http_event *out)
{
    switch (read_more(client, out)) {
    case GOT_BYTES:
        earn_time(client, now, client->in_len);
        return true;
    case GOT_END:
        if (client->is_pipe) {
            finish_pipe(client, out);
        } else if (amm_http_body_may_end(&client->body)) {
            client->response.keep_alive = false;
            finish(client, out);
        } else {
            fail(client, out, AMM_HTTP_LOST, "the answer is cut short");
        }
        break;
    case GOT_NONE:
    case GOT_FAILURE:
        break;
    }
    return false;
}

static bool body(struct amm_http_client *client, struct amm_now now, struct amm_http_event *out)
{
    struct amm_http_error error;
    struct amm_view content;
    write_request(client, now); /* the answer may have come before all was out */
    shut_pipe(client);
    show_interest(client, !client->paused);
    if (client->paused) {
        client->in_by = AMM_NEVER;
        return false;
    }
    if (client->in_by == AMM_NEVER) {
        earn_time(client, now, 0);
    }
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
        fail(client, out, AMM_HTTP_MALFORMED, error.text);
        return false;
    case AMM_HTTP_MORE:
        break;
    }
    return read_body(client, now, out);
}

/* Only our direction of a pipe is left. */
static bool going_out(struct amm_http_client *client, struct amm_now now,
                      struct amm_http_event *out)
{
    write_request(client, now);
    show_interest(client, false);
    if (client->out_failed) {
        fail(client, out, AMM_HTTP_LOST, "the server takes no more");
    } else if (client_is_said(client)) {
        hang_up(client);
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
        return idle(client, out);
    case CLIENT_HEAD:
        return head(client, now, out);
    case CLIENT_BODY:
        return body(client, now, out);
    case CLIENT_OUT:
        return going_out(client, now, out);
    case CLIENT_KEY:
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
    bool late = client->state != CLIENT_NEW && now.mono >= amm_http_client_deadline(client);
    if (out->kind == AMM_HTTP_EVENT_NONE && late) {
        fail(client, out, AMM_HTTP_LATE, lateness(client));
    }
}
