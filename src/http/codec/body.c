/* Bodies: by length, in chunks (RFC 9112 7.1), or to the end of the connection. */
#include "scan.h"

enum state {
    SIZE_FIRST, /* the first hex digit */
    SIZE,
    SIZE_BLANK, /* responses only */
    EXTENSION_NAME_FIRST,
    EXTENSION_NAME,
    EXTENSION_VALUE_FIRST,
    EXTENSION_TOKEN,
    EXTENSION_QUOTED,
    EXTENSION_ESCAPED,
    EXTENSION_QUOTED_END,
    SIZE_LF,
    CONTENT,
    CONTENT_CR,
    CONTENT_LF,
    TRAILER_FIRST, /* of a line: a name, or the CR of the last line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
    BROKEN, /* `line` is the rule */
};

void amm_http_body_begin(struct amm_http_body *body, enum amm_http_framing framing, uint64_t length,
                         bool tolerant)
{
    *body = (struct amm_http_body){.framing = framing, .state = SIZE_FIRST, .tolerant = tolerant};
    body->left = framing == AMM_HTTP_LENGTH ? length : 0;
}

/* Goes on to `state` if `good`, else breaks the rule. */
static enum http_rule go(struct amm_http_body *body, bool good, enum state state,
                         enum http_rule rule)
{
    body->state = (uint8_t)state;
    return good ? RULE_NONE : rule;
}

/* Behind the size, the blanks or an extension: the line ends, or an extension begins. */
static enum http_rule size_end(struct amm_http_body *body, uint8_t byte, enum http_rule rule)
{
    return byte == '\r' ? go(body, true, SIZE_LF, rule)
                        : go(body, byte == ';', EXTENSION_NAME_FIRST, rule);
}

static enum http_rule take_size(struct amm_http_body *body, uint8_t byte)
{
    int digit = http_hex_digit(byte);
    if (digit >= 0 && body->state != SIZE_BLANK) {
        if (body->left > (uint64_t)INT64_MAX >> 4) {
            return RULE_CHUNK_SIZE_MAX;
        }
        body->left = body->left << 4 | (uint64_t)digit;
        return go(body, body->line <= 16, SIZE, RULE_CHUNK_SIZE);
    }
    if (body->state == SIZE_FIRST) {
        return RULE_CHUNK_SIZE;
    }
    if (body->tolerant && http_is_blank(byte)) {
        return go(body, true, SIZE_BLANK, RULE_CHUNK_SIZE);
    }
    return size_end(body, byte, RULE_CHUNK_SIZE);
}

/* ;name, ;name=token, ;name="quoted": read and forgotten. */
static enum http_rule take_extension(struct amm_http_body *body, uint8_t byte)
{
    const enum http_rule rule = RULE_CHUNK_EXTENSION;
    bool token = http_in(&http_token_class, byte);
    switch (body->state) {
    case EXTENSION_NAME_FIRST:
        return go(body, token, EXTENSION_NAME, rule);
    case EXTENSION_NAME:
        return token         ? RULE_NONE
               : byte == '=' ? go(body, true, EXTENSION_VALUE_FIRST, rule)
                             : size_end(body, byte, rule);
    case EXTENSION_VALUE_FIRST:
        return byte == '"' ? go(body, true, EXTENSION_QUOTED, rule)
                           : go(body, token, EXTENSION_TOKEN, rule);
    case EXTENSION_TOKEN:
        return token ? RULE_NONE : size_end(body, byte, rule);
    case EXTENSION_QUOTED:
        return go(body, http_in(&http_value_class, byte),
                  byte == '"'    ? EXTENSION_QUOTED_END
                  : byte == '\\' ? EXTENSION_ESCAPED
                                 : EXTENSION_QUOTED,
                  rule);
    case EXTENSION_ESCAPED:
        return go(body, http_in(&http_value_class, byte), EXTENSION_QUOTED, rule);
    default: /* EXTENSION_QUOTED_END */
        return size_end(body, byte, rule);
    }
}

static enum http_rule take_trailer(struct amm_http_body *body, uint8_t byte)
{
    bool token = http_in(&http_token_class, byte);
    switch (body->state) {
    case TRAILER_FIRST:
        return byte == '\r' ? go(body, true, LAST_LF, RULE_TRAILER)
                            : go(body, token, TRAILER_NAME, RULE_TRAILER);
    case TRAILER_NAME:
        return token ? RULE_NONE : go(body, byte == ':', TRAILER_VALUE, RULE_TRAILER);
    case TRAILER_VALUE:
        return byte == '\r'
                   ? go(body, true, TRAILER_LF, RULE_TRAILER)
                   : go(body, http_in(&http_value_class, byte), TRAILER_VALUE, RULE_TRAILER);
    case TRAILER_LF:
        return go(body, byte == '\n', TRAILER_FIRST, RULE_BARE_CR);
    default: /* LAST_LF */
        return go(body, byte == '\n', DONE, RULE_BARE_CR);
    }
}

/* A byte of the frame: in all states but CONTENT, DONE and BROKEN. */
static enum http_rule take(struct amm_http_body *body, uint8_t byte)
{
    bool wants_lf = body->state == TRAILER_LF || body->state == LAST_LF;
    switch (body->state) {
    case SIZE_LF:
        body->line = 0;
        return go(body, byte == '\n', body->left > 0 ? CONTENT : TRAILER_FIRST, RULE_BARE_CR);
    case CONTENT_CR:
        return go(body, byte == '\r', CONTENT_LF, RULE_CHUNK_END);
    case CONTENT_LF:
        body->line = 0;
        return go(body, byte == '\n', SIZE_FIRST, RULE_CHUNK_END);
    default:
        break;
    }
    if (byte == '\n' && !wants_lf) {
        return RULE_BARE_LF;
    }
    body->line++;
    if (body->state >= TRAILER_FIRST) {
        return body->line > AMM_HTTP_TRAILERS_MAX ? RULE_TRAILER_LENGTH : take_trailer(body, byte);
    }
    if (body->line > AMM_HTTP_CHUNK_LINE_MAX && byte != '\r') {
        return RULE_CHUNK_LINE;
    }
    return body->state <= SIZE_BLANK ? take_size(body, byte) : take_extension(body, byte);
}

/* The next piece of content, of at most `left` bytes. */
static void take_content(struct amm_http_body *body, struct amm_view *in, struct amm_view *content)
{
    size_t len = in->len < body->left ? in->len : (size_t)body->left;
    *content = amm_view(in->data, len);
    *in = amm_view(in->data + len, in->len - len);
    body->left -= len;
}

static enum amm_http_result next_in_chunks(struct amm_http_body *body, struct amm_view *in,
                                           struct amm_view *content, struct amm_http_error *error)
{
    while (body->state != DONE) {
        if (body->state == BROKEN) {
            return http_break(error, body->line, body->tolerant);
        }
        if (in->len == 0) {
            return AMM_HTTP_MORE;
        }
        if (body->state == CONTENT) {
            take_content(body, in, content);
            body->state = body->left > 0 ? CONTENT : CONTENT_CR;
            return AMM_HTTP_OK;
        }
        enum http_rule rule = take(body, in->data[0]);
        if (rule != RULE_NONE) {
            body->state = BROKEN;
            body->line = rule;
        } else {
            *in = amm_view(in->data + 1, in->len - 1);
        }
    }
    return AMM_HTTP_END;
}

enum amm_http_result amm_http_body_next(struct amm_http_body *body, struct amm_view *in,
                                        struct amm_view *content, struct amm_http_error *error)
{
    *content = amm_view(NULL, 0);
    switch (body->framing) {
    case AMM_HTTP_CHUNKED:
        return next_in_chunks(body, in, content, error);
    case AMM_HTTP_LENGTH:
        if (body->left == 0) {
            return AMM_HTTP_END;
        }
        break;
    case AMM_HTTP_TO_END:
        body->left = UINT64_MAX;
        break;
    case AMM_HTTP_NO_BODY:
        return AMM_HTTP_END;
    }
    if (in->len == 0) {
        return AMM_HTTP_MORE;
    }
    take_content(body, in, content);
    return AMM_HTTP_OK;
}

bool amm_http_body_may_end(const struct amm_http_body *body)
{
    switch (body->framing) {
    case AMM_HTTP_CHUNKED:
        return body->state == DONE;
    case AMM_HTTP_LENGTH:
        return body->left == 0;
    case AMM_HTTP_TO_END:
    case AMM_HTTP_NO_BODY:
        break;
    }
    return true;
}
