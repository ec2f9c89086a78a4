/* Life of a client, its requests, and what the owner may know. */
#include "client_parts.h"

#include <stdlib.h>

/* ---- life ---- */

static char *copy_text(const char *text, bool *ok)
{
    char *copy = text ? strdup(text) : NULL;
    *ok &= copy != NULL || text == NULL;
    return copy;
}

bool client_host_without_port(const char *host, char out[TLS_HOST_MAX + 1])
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
    bool fits =
        name ? strlen(name) <= TLS_HOST_MAX : client_host_without_port(settings->host, out->name);
    if (name && fits) {
        memcpy(out->name, name, strlen(name) + 1);
    }
    out->any_key = settings->first_use && settings->key_pin.len == 0;
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
    client->out_by = client->in_by = AMM_NEVER;
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
        client_forget_request(client);
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

static bool is_free(const struct amm_http_client *client)
{
    return !client->out && !client->is_waiting && client->state <= CLIENT_IDLE;
}

/* What has been written into out[room] is the request so far. */
static bool take_request(struct amm_http_client *client, struct amm_view method,
                         struct amm_writer *w, size_t room)
{
    uint8_t *out = w->start;
    if (w->failed) {
        amm_wipe(out, room);
        free(out);
        return false;
    }
    client->out = out;
    client->out_room = room;
    client->out_len = amm_writer_len(w);
    client->out_at = 0;
    client->out_open = client->out_failed = client->may_upgrade = client->is_endless = false;
    client->interim = 0;
    client->is_waiting = true;
    memcpy(client->method, method.data, method.len);
    client->method[method.len] = '\0';
    return true;
}

bool amm_http_client_request(struct amm_http_client *client, struct amm_view method,
                             struct amm_view target, struct amm_view fields, struct amm_view body)
{
    size_t room =
        method.len + target.len + strlen(client->settings.host) + fields.len + body.len + 96;
    uint8_t *out = is_free(client) && method.len <= AMM_HTTP_METHOD_MAX ? malloc(room) : NULL;
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
    return take_request(client, method, &w, room);
}

static void write_frame(struct amm_writer *w, const struct amm_http_ask *ask)
{
    if (ask->upgrade) {
        amm_http_write_field(w, "Connection", amm_view_str("Upgrade"));
    }
    if (ask->framing == AMM_HTTP_CHUNKED) {
        amm_http_write_field(w, "Transfer-Encoding", amm_view_str("chunked"));
    } else if (ask->framing == AMM_HTTP_LENGTH || asks_for_length(ask->method)) {
        amm_http_write_number(w, "Content-Length",
                              ask->framing == AMM_HTTP_LENGTH ? ask->length : 0);
    }
    amm_http_write_end(w);
}

bool amm_http_client_begin(struct amm_http_client *client, const struct amm_http_ask *ask)
{
    bool has_body =
        ask->framing == AMM_HTTP_CHUNKED || (ask->framing == AMM_HTTP_LENGTH && ask->length > 0);
    size_t room = ask->method.len + ask->target.len + strlen(client->settings.host) +
                  ask->fields.len + 128 + (has_body ? AMM_HTTP_CLIENT_ROOM : 0);
    uint8_t *out =
        is_free(client) && ask->method.len <= AMM_HTTP_METHOD_MAX && ask->framing != AMM_HTTP_TO_END
            ? malloc(room)
            : NULL;
    if (!out) {
        return false;
    }
    struct amm_writer w = amm_writer(out, room);
    amm_http_write_request_line(&w, ask->method, ask->target);
    if (!ask->has_host) {
        amm_http_write_field(&w, "Host", amm_view_str(client->settings.host));
    }
    amm_write_view(&w, ask->fields);
    write_frame(&w, ask);
    if (!take_request(client, ask->method, &w, room)) {
        return false;
    }
    client->out_open = has_body;
    client->out_framing = ask->framing;
    client->out_left = ask->length;
    client->may_upgrade = ask->upgrade;
    return true;
}

bool client_begin_pipe(struct amm_http_client *client)
{
    client_forget_request(client);
    client->out = malloc(AMM_HTTP_CLIENT_ROOM);
    client->out_room = client->out ? AMM_HTTP_CLIENT_ROOM : 0;
    client->out_open = client->is_pipe = true;
    client->out_framing = AMM_HTTP_TO_END;
    return client->out != NULL;
}

bool amm_http_client_pipe(struct amm_http_client *client)
{
    return is_free(client) && client->state < CLIENT_IDLE && client_begin_pipe(client);
}

/* ---- bodies ---- */

size_t amm_http_client_room(const struct amm_http_client *client)
{
    if (!client->out_open || client->out_failed) {
        return 0;
    }
    size_t used = client->out_len - client->out_at + client->out_held;
    used += client->out_framing == AMM_HTTP_CHUNKED ? CHUNK_HEAD + CHUNK_TAIL : 0;
    return used < client->out_room ? client->out_room - used : 0;
}

/* All of the room behind what is there. */
static void close_ranks(struct amm_http_client *client)
{
    size_t held = client->out_held > 0 ? CHUNK_HEAD + client->out_held : 0;
    memmove(client->out, client->out + client->out_at, client->out_len + held - client->out_at);
    client->out_len -= client->out_at;
    client->out_at = 0;
}

bool amm_http_client_send(struct amm_http_client *client, struct amm_view bytes)
{
    bool fits = bytes.len <= amm_http_client_room(client) &&
                (client->out_framing != AMM_HTTP_LENGTH || bytes.len <= client->out_left);
    if (!fits || bytes.len == 0) {
        return fits;
    }
    close_ranks(client);
    if (client->out_framing == AMM_HTTP_CHUNKED) {
        memcpy(client->out + client->out_len + CHUNK_HEAD + client->out_held, bytes.data,
               bytes.len);
        client->out_held += bytes.len;
        return true;
    }
    memcpy(client->out + client->out_len, bytes.data, bytes.len);
    client->out_len += bytes.len;
    if (client->out_framing == AMM_HTTP_LENGTH) {
        client->out_left -= bytes.len;
        client->out_open = client->out_left > 0;
    }
    return true;
}

void client_frame_chunk(struct amm_http_client *client)
{
    if (client->out_held > 0) {
        uint8_t line[CHUNK_HEAD];
        uint8_t *content = client->out + client->out_len + CHUNK_HEAD;
        struct amm_writer w = amm_writer(line, sizeof line);
        amm_http_write_chunk(&w, client->out_held);
        memcpy(content - amm_writer_len(&w), line, amm_writer_len(&w));
        memcpy(content + client->out_held, "\r\n", 2);
        client->out_at = client->out_len + CHUNK_HEAD - amm_writer_len(&w);
        client->out_len += CHUNK_HEAD + client->out_held + 2;
        client->out_held = 0;
    }
    if (client->out_last) {
        memcpy(client->out + client->out_len, AMM_HTTP_LAST_CHUNK, sizeof AMM_HTTP_LAST_CHUNK - 1);
        client->out_len += sizeof AMM_HTTP_LAST_CHUNK - 1;
        client->out_last = false;
    }
}

bool client_is_said(const struct amm_http_client *client)
{
    return client->out_failed || (client->out_at == client->out_len && !client->out_open &&
                                  client->out_held == 0 && !client->out_last);
}

void amm_http_client_end(struct amm_http_client *client)
{
    if (client->out_open && client->out_framing != AMM_HTTP_LENGTH) {
        close_ranks(client);
        client->out_open = false;
        client->out_last = client->out_framing == AMM_HTTP_CHUNKED;
    }
}

void amm_http_client_pause(struct amm_http_client *client, bool paused)
{
    client->paused = paused;
}

void amm_http_client_trust(struct amm_http_client *client)
{
    if (client->state == CLIENT_KEY) {
        client->state = CLIENT_IDLE;
        client->interest = AMM_READ;
    }
}

void client_forget_request(struct amm_http_client *client)
{
    if (client->out) {
        amm_wipe(client->out, client->out_room); /* it may have a password or a token */
    }
    free(client->out);
    client->out = NULL;
    client->out_len = client->out_at = client->out_room = client->out_held = 0;
    client->out_open = client->out_last = false;
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
    return amm_time_min(client->deadline, amm_time_min(client->out_by, client->in_by));
}

void amm_http_client_bytes(const struct amm_http_client *client, uint64_t *in, uint64_t *out)
{
    *in = client->stream.in;
    *out = client->stream.out;
}

bool amm_http_client_is_up(const struct amm_http_client *client)
{
    return client->state >= CLIENT_IDLE && client->state < CLIENT_OVER;
}

const struct amm_identity *amm_http_client_server(const struct amm_http_client *client)
{
    return http_stream_peer(&client->stream);
}

bool amm_http_client_key(const struct amm_http_client *client, uint8_t out[32])
{
    const uint8_t *key = http_stream_shown_key(&client->stream);
    if (key) {
        memcpy(out, key, 32);
    }
    return key != NULL;
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
