#include "reading.h"

#include "http/message.h"

#include <stdio.h>
#include <stdlib.h>

struct message *reading_begin(struct reading *reading)
{
    if (reading->n == MESSAGES_MAX) {
        abort();
    }
    struct message *message = &reading->at[reading->n];
    *message = (struct message){.body = amm_view(reading->bodies + reading->bodies_len, 0)};
    return message;
}

void reading_body(struct reading *reading, struct message *message, struct amm_view content)
{
    if (content.len > sizeof reading->bodies - reading->bodies_len) {
        abort();
    }
    memcpy(reading->bodies + reading->bodies_len, content.data, content.len);
    reading->bodies_len += content.len;
    message->body.len += content.len;
}

void reading_refuse(struct reading *reading, const char *reason)
{
    reading->end = END_REFUSED;
    snprintf(reading->reason, sizeof reading->reason, "%s", reason);
}

struct head {
    enum amm_http_framing framing;
    uint64_t length;
    bool closes, no_more; /* of this protocol */
};

static enum amm_http_result parse_head(struct message *message, struct head *head,
                                       struct amm_view bytes, enum reading_of what, size_t *used,
                                       struct amm_http_error *error)
{
    static struct amm_http_request request;
    static struct amm_http_response response;
    enum amm_http_result result;
    if (what == READ_REQUESTS) {
        result = amm_http_request_parse(&request, bytes, used, error);
        if (result == AMM_HTTP_OK) {
            amm_text_clean(message->method, sizeof message->method, request.method);
            message->target = request.target;
            *head = (struct head){request.framing, request.length,
                                  !request.keep_alive || request.upgrade, false};
        }
        return result;
    }
    const char *method = what == READ_RESPONSES ? "GET" : "HEAD";
    result = amm_http_response_parse(&response, amm_view_str(method), bytes, used, error);
    if (result == AMM_HTTP_OK) {
        snprintf(message->method, sizeof message->method, "%d", response.status);
        *head = (struct head){response.framing, response.length, !response.keep_alive,
                              response.upgrade};
    }
    return result;
}

/* Takes the body; false if it does not end here. */
static bool read_body(struct reading *out, struct message *message, const struct head *head,
                      struct amm_view *in, bool tolerant)
{
    struct amm_http_body body;
    struct amm_http_error error;
    struct amm_view content;
    enum amm_http_result result;
    amm_http_body_begin(&body, head->framing, head->length, tolerant);
    while ((result = amm_http_body_next(&body, in, &content, &error)) == AMM_HTTP_OK) {
        reading_body(out, message, content);
    }
    if (result == AMM_HTTP_BAD) {
        reading_refuse(out, error.reason);
    } else if (!amm_http_body_may_end(&body)) {
        out->end = END_MORE;
    }
    return amm_http_body_may_end(&body);
}

void reading_by_codec(struct reading *out, struct amm_view bytes, enum reading_of what)
{
    struct amm_view in = bytes;
    out->n = out->bodies_len = 0;
    out->end = END_CLEAN;
    out->reason[0] = 0;
    while (in.len > 0) {
        struct amm_http_error error;
        struct head head = {0};
        size_t used = 0;
        struct message *message = reading_begin(out);
        enum amm_http_result result = parse_head(message, &head, in, what, &used, &error);
        if (result == AMM_HTTP_BAD) {
            reading_refuse(out, error.reason);
            return;
        }
        if (result == AMM_HTTP_MORE) {
            out->end = END_MORE;
            return;
        }
        in = amm_view(in.data + used, in.len - used);
        if (!read_body(out, message, &head, &in, what != READ_REQUESTS)) {
            return;
        }
        message->end = (size_t)(in.data - bytes.data);
        out->n++;
        if (head.closes || head.no_more) {
            out->end = END_CLOSED;
            return;
        }
    }
}
