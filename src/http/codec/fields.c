#include "fields.h"

bool amm_http_is(struct amm_view text, const char *lower)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        byte |= byte >= 'A' && byte <= 'Z' ? 0x20 : 0;
        if (byte != (uint8_t)lower[i] || byte == 0) {
            return false;
        }
    }
    return lower[text.len] == 0;
}

struct amm_view amm_http_field(const struct amm_http_fields *fields, const char *lower)
{
    for (size_t i = 0; i < fields->n; i++) {
        if (amm_http_is(fields->at[i].name, lower)) {
            return fields->at[i].value;
        }
    }
    return amm_view(NULL, 0);
}

size_t amm_http_field_count(const struct amm_http_fields *fields, const char *lower)
{
    size_t n = 0;
    for (size_t i = 0; i < fields->n; i++) {
        n += amm_http_is(fields->at[i].name, lower);
    }
    return n;
}

bool amm_http_field_has(const struct amm_http_fields *fields, const char *lower, const char *token)
{
    for (size_t i = 0; i < fields->n; i++) {
        struct amm_view list = fields->at[i].value, element;
        if (!amm_http_is(fields->at[i].name, lower)) {
            continue;
        }
        while (http_next_element(&list, &element)) {
            if (amm_http_is(http_token_of(element), token)) {
                return true;
            }
        }
    }
    return false;
}

static enum amm_http_result parse_name(struct http_scan *scan, struct amm_view *name)
{
    const uint8_t *start = scan->at;
    while (scan->at < scan->end && http_in(&http_token_class, *scan->at)) {
        scan->at++;
    }
    *name = amm_view(start, (size_t)(scan->at - start));
    while (scan->tolerant && name->len > 0 && scan->at < scan->end && http_is_blank(*scan->at)) {
        scan->at++;
    }
    if (scan->at == scan->end) {
        return AMM_HTTP_MORE;
    }
    if (*scan->at != ':' || name->len == 0) {
        return http_scan_break(scan, RULE_FIELD_NAME);
    }
    scan->at++;
    return AMM_HTTP_OK;
}

static enum amm_http_result parse_value(struct http_scan *scan, struct amm_view *value)
{
    const uint8_t *start = scan->at;
    while (scan->at < scan->end && http_in(&http_value_class, *scan->at)) {
        scan->at++;
    }
    if (scan->at == scan->end) {
        return AMM_HTTP_MORE;
    }
    if (*scan->at != '\r' && *scan->at != '\n') {
        return http_scan_break(scan, RULE_FIELD_VALUE);
    }
    *value = http_trim(amm_view(start, (size_t)(scan->at - start)));
    return http_scan_line_end(scan);
}

enum amm_http_result http_fields_parse(struct http_scan *scan, struct amm_http_fields *fields)
{
    for (fields->n = 0;;) {
        if (scan->at == scan->end) {
            return AMM_HTTP_MORE;
        }
        if (*scan->at == '\r' || *scan->at == '\n') {
            return http_scan_line_end(scan);
        }
        if (http_is_blank(*scan->at)) {
            return http_scan_break(scan, RULE_FIELD_FOLDED);
        }
        if (fields->n == AMM_HTTP_FIELDS_MAX) {
            return http_scan_break(scan, RULE_FIELD_COUNT);
        }
        struct amm_http_field *field = &fields->at[fields->n];
        enum amm_http_result result = parse_name(scan, &field->name);
        result = result == AMM_HTTP_OK ? parse_value(scan, &field->value) : result;
        if (result != AMM_HTTP_OK) {
            return result;
        }
        fields->n++;
    }
}

struct http_connection http_connection(const struct amm_http_fields *fields)
{
    struct http_connection is = {0};
    for (size_t i = 0; i < fields->n; i++) {
        struct amm_view list = fields->at[i].value, element;
        if (!amm_http_is(fields->at[i].name, "connection")) {
            continue;
        }
        while (http_next_element(&list, &element)) {
            element = http_token_of(element);
            is.close |= amm_http_is(element, "close");
            is.keep_alive |= amm_http_is(element, "keep-alive");
            is.upgrade |= amm_http_is(element, "upgrade");
            is.names |= amm_http_is(element, "content-length") ||
                        amm_http_is(element, "transfer-encoding") || amm_http_is(element, "host");
        }
    }
    return is;
}

bool http_has_tab_beside(struct amm_view value)
{
    const uint8_t *before = value.data - 1, *behind = value.data + value.len;
    while (*before == ' ') {
        before--;
    }
    while (*behind == ' ') {
        behind++;
    }
    return *before == '\t' || *behind == '\t';
}

/* One Content-Length of a request: as it is written by everyone. */
static enum http_rule strict_length(struct amm_view value, uint64_t *length)
{
    bool good = http_number(value, length) && (value.data[0] != '0' || value.len == 1) &&
                !http_has_tab_beside(value);
    return good ? RULE_NONE : RULE_LENGTH_VALUE;
}

/* Those of a response: a list, which may say the same more than once. */
static enum http_rule tolerant_length(struct amm_view list, bool first, uint64_t *length)
{
    struct amm_view element;
    while (http_next_element(&list, &element)) {
        uint64_t value;
        if (!http_number(element, &value)) {
            return RULE_LENGTH_VALUE;
        }
        if (!first && value != *length) {
            return RULE_LENGTHS_DIFFER;
        }
        *length = value;
        first = false;
    }
    return RULE_NONE;
}

enum amm_http_result http_frame(struct http_frame *frame, const struct http_scan *scan,
                                const struct amm_http_fields *fields)
{
    enum http_rule rule = RULE_NONE;
    unsigned lengths = 0, codings = 0;
    *frame = (struct http_frame){AMM_HTTP_NO_BODY, 0};
    for (size_t i = 0; i < fields->n && rule == RULE_NONE; i++) {
        struct amm_view value = fields->at[i].value;
        if (amm_http_is(fields->at[i].name, "content-length")) {
            if (scan->tolerant) {
                rule = tolerant_length(value, lengths == 0, &frame->length);
            } else {
                rule = lengths > 0 ? RULE_LENGTH_TWICE : strict_length(value, &frame->length);
            }
            lengths++;
        } else if (amm_http_is(fields->at[i].name, "transfer-encoding")) {
            bool good = amm_http_is(value, "chunked") && !http_has_tab_beside(value);
            rule = codings > 0 ? RULE_CODING_TWICE : good ? RULE_NONE : RULE_CODING_UNKNOWN;
            codings++;
        }
        rule = rule == RULE_NONE && lengths > 0 && codings > 0 ? RULE_LENGTH_AND_CODING : rule;
    }
    if (rule != RULE_NONE) {
        return http_scan_break(scan, rule);
    }
    frame->framing = codings > 0   ? AMM_HTTP_CHUNKED
                     : lengths > 0 ? AMM_HTTP_LENGTH
                                   : AMM_HTTP_NO_BODY;
    return AMM_HTTP_OK;
}
