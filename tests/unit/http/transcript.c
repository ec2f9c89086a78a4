#include "transcript.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN = 60, QUOTED = SHOWN * 4 + 32 };

struct transcript *transcript_new(bool is_response, struct amm_view method)
{
    struct transcript *t = calloc(1, sizeof *t);
    if (t == NULL) {
        abort();
    }
    t->is_response = is_response;
    t->method = method;
    return t;
}

static void __attribute__((format(printf, 2, 3))) say(struct transcript *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int len = vsnprintf(t->text + t->text_len, sizeof t->text - t->text_len, format, list);
    va_end(list);
    t->text_len += len > 0 ? (size_t)len : 0;
    if (t->text_len >= sizeof t->text) {
        abort();
    }
}

void transcript_quote(char *out, size_t room, struct amm_view bytes)
{
    struct amm_writer w = amm_writer(out, room);
    amm_write_u8(&w, '"');
    for (size_t i = 0; i < bytes.len && i < SHOWN; i++) {
        uint8_t byte = bytes.data[i];
        if (byte == '\r' || byte == '\n') {
            amm_write_str(&w, byte == '\r' ? "\\r" : "\\n");
        } else if (byte < ' ' || byte > '~' || byte == '"' || byte == '\\') {
            amm_write_text(&w, "\\x%02x", byte);
        } else {
            amm_write_u8(&w, byte);
        }
    }
    amm_write_u8(&w, '"');
    if (bytes.len > SHOWN) {
        amm_write_text(&w, "...%zu", bytes.len);
    }
    amm_write_u8(&w, 0);
    if (w.failed) {
        abort();
    }
}

static const char *frame_text(enum amm_http_framing framing, uint64_t length, char out[32])
{
    switch (framing) {
    case AMM_HTTP_LENGTH:
        snprintf(out, 32, "length:%llu", (unsigned long long)length);
        return out;
    case AMM_HTTP_CHUNKED:
        return "chunked";
    case AMM_HTTP_TO_END:
        return "end";
    case AMM_HTTP_NO_BODY:
        break;
    }
    return "none";
}

/* A whole message is behind us. */
static void finish(struct transcript *t)
{
    char quoted[QUOTED];
    if (t->body.framing != AMM_HTTP_NO_BODY) {
        transcript_quote(quoted, sizeof quoted, amm_view(t->content, t->content_len));
        say(t, " %s", quoted);
    }
    say(t, "\n");
    t->in_body = false;
    t->content_len = 0;
    t->seen = t->at;
    t->over = !t->keep_alive;
}

static void refuse(struct transcript *t, const struct amm_http_error *error)
{
    if (error->text[0] == 0) {
        abort();
    }
    say(t, "bad %s %d\n", error->reason, error->status);
    t->over = t->refused = true;
}

static enum amm_http_result parse_request(struct transcript *t, struct amm_view bytes,
                                          struct amm_http_error *error)
{
    struct amm_http_request head;
    char frame[32];
    size_t used = 0;
    enum amm_http_result result = amm_http_request_parse(&head, bytes, &used, error);
    if (result == AMM_HTTP_OK) {
        t->at += used;
        t->keep_alive = head.keep_alive;
        amm_http_body_begin(&t->body, head.framing, head.length, false);
        char target[QUOTED];
        transcript_quote(target, sizeof target, head.target);
        say(t, "%.*s %s %s %s%s%s", (int)head.method.len, (const char *)head.method.data, target,
            frame_text(head.framing, head.length, frame), head.keep_alive ? "keep" : "close",
            head.expect_continue ? " continue" : "", head.upgrade ? " upgrade" : "");
    }
    return result;
}

static enum amm_http_result parse_response(struct transcript *t, struct amm_view bytes,
                                           struct amm_http_error *error)
{
    struct amm_http_response head;
    char frame[32];
    size_t used = 0;
    enum amm_http_result result = amm_http_response_parse(&head, t->method, bytes, &used, error);
    if (result == AMM_HTTP_OK) {
        t->at += used;
        t->keep_alive = head.keep_alive;
        amm_http_body_begin(&t->body, head.framing, head.length, true);
        say(t, "%d %s %s%s", head.status, frame_text(head.framing, head.length, frame),
            head.keep_alive ? "keep" : "close", head.upgrade ? " upgrade" : "");
    }
    return result;
}

/* False: nothing more can be done with what is here. */
static bool step_head(struct transcript *t, const uint8_t *data, size_t len)
{
    struct amm_http_error error = {0};
    struct amm_view bytes = amm_view(data + t->at, len - t->at);
    bool news = t->seen <= t->at || bytes.len >= AMM_HTTP_HEAD_MAX ||
                memchr(data + t->seen, '\n', len - t->seen) != NULL;
    t->seen = len;
    if (bytes.len == 0 || (t->lazy && !news)) {
        return false;
    }
    enum amm_http_result result =
        t->is_response ? parse_response(t, bytes, &error) : parse_request(t, bytes, &error);
    if (result == AMM_HTTP_BAD) {
        refuse(t, &error);
    }
    t->in_body = result == AMM_HTTP_OK;
    return result == AMM_HTTP_OK;
}

static bool step_body(struct transcript *t, const uint8_t *data, size_t len)
{
    struct amm_http_error error = {0};
    struct amm_view in = amm_view(data + t->at, len - t->at), content;
    enum amm_http_result result = amm_http_body_next(&t->body, &in, &content, &error);
    t->at = len - in.len;
    switch (result) {
    case AMM_HTTP_OK:
        if (content.len == 0 || t->content_len + content.len > sizeof t->content) {
            abort();
        }
        memcpy(t->content + t->content_len, content.data, content.len);
        t->content_len += content.len;
        return true;
    case AMM_HTTP_MORE:
        if (in.len != 0) {
            abort();
        }
        return false;
    case AMM_HTTP_END:
        if (!amm_http_body_may_end(&t->body)) {
            abort();
        }
        finish(t);
        return true;
    case AMM_HTTP_BAD:
        say(t, "\n");
        refuse(t, &error);
        break;
    }
    return false;
}

void transcript_feed(struct transcript *t, const uint8_t *data, size_t len)
{
    while (!t->over && (t->in_body ? step_body(t, data, len) : step_head(t, data, len))) {
    }
}

void transcript_end(struct transcript *t, size_t len)
{
    if (t->refused) {
        return;
    }
    if (t->over) {
        if (len > t->at) {
            say(t, "rest %zu\n", len - t->at);
        }
    } else if (t->in_body && t->body.framing == AMM_HTTP_TO_END) {
        finish(t);
    } else if (t->in_body) {
        say(t, "\nmore\n");
    } else if (len > t->at) {
        say(t, "more\n");
    }
}
