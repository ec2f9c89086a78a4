#include "scan.h"

const struct http_class http_token_class = {{0x03ff6cfa00000000, 0x57ffffffc7fffffe, 0, 0}};
const struct http_class http_value_class = {
    {0xffffffff00000200, 0x7fffffffffffffff, UINT64_MAX, UINT64_MAX}};
const struct http_class http_method_class = {{0x0000200000000000, 0x0000000007fffffe, 0, 0}};
/* Visible ASCII without what URLs never carry raw ('"', '#', '<', '>'). Browsers leave '{', '|',
 * '}', '^', '`' and '\' as they are, the last one behind '?' only. */
const struct http_class http_query_class = {{0xaffffff200000000, 0x7fffffffffffffff, 0, 0}};
const struct http_class http_path_class = {{0xaffffff200000000, 0x7fffffffefffffff, 0, 0}};
const struct http_class http_unreserved_class = {{0x03ff600000000000, 0x47fffffe87fffffe, 0, 0}};
const struct http_class http_segment_class = {{0x2fff7fd200000000, 0x47fffffe87ffffff, 0, 0}};

enum amm_http_result http_break(struct amm_http_error *error, enum http_rule rule, bool tolerant)
{
#define HTTP_RULE(name, reason, status, text) [RULE_##name] = {status, reason, text},
    static const struct {
        int status;
        const char *reason, *text;
    } rules[] = {AMM_HTTP_RULES(HTTP_RULE)};
#undef HTTP_RULE
    error->status = tolerant ? 502 : rules[rule].status;
    error->reason = rules[rule].reason;
    size_t len = strnlen(rules[rule].text, sizeof error->text - 1);
    memcpy(error->text, rules[rule].text, len);
    error->text[len] = 0;
    return AMM_HTTP_BAD;
}

struct http_scan http_scan_begin(struct amm_view bytes, bool tolerant, struct amm_http_error *error)
{
    size_t len = bytes.len < AMM_HTTP_HEAD_MAX ? bytes.len : AMM_HTTP_HEAD_MAX;
    return (struct http_scan){bytes.data, len > 0 ? bytes.data + len : bytes.data, tolerant, error};
}

enum amm_http_result http_scan_end(const struct http_scan *scan, struct amm_view bytes,
                                   enum amm_http_result result, size_t *used)
{
    if (result == AMM_HTTP_MORE && bytes.len >= AMM_HTTP_HEAD_MAX) {
        return http_scan_break(scan, RULE_HEAD_LENGTH);
    }
    if (result == AMM_HTTP_OK) {
        *used = (size_t)(scan->at - bytes.data);
    }
    return result;
}

enum amm_http_result http_scan_line_end(struct http_scan *scan)
{
    if (*scan->at == '\n') {
        if (!scan->tolerant) {
            return http_scan_break(scan, RULE_BARE_LF);
        }
        scan->at++;
        return AMM_HTTP_OK;
    }
    if (scan->at + 1 == scan->end) {
        return AMM_HTTP_MORE;
    }
    if (scan->at[1] != '\n') {
        return http_scan_break(scan, RULE_BARE_CR);
    }
    scan->at += 2;
    return AMM_HTTP_OK;
}

enum amm_http_result http_scan_literal(struct http_scan *scan, const char *literal,
                                       enum http_rule rule)
{
    for (; *literal != 0; literal++, scan->at++) {
        if (scan->at == scan->end) {
            return AMM_HTTP_MORE;
        }
        if (*scan->at != (uint8_t)*literal) {
            return http_scan_break(scan, rule);
        }
    }
    return AMM_HTTP_OK;
}

struct amm_view http_trim(struct amm_view text)
{
    while (text.len > 0 && http_is_blank(text.data[0])) {
        text = amm_view(text.data + 1, text.len - 1);
    }
    while (text.len > 0 && http_is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

int http_hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

bool http_next_element(struct amm_view *list, struct amm_view *element)
{
    if (list->data == NULL) {
        return false;
    }
    const uint8_t *comma = list->len > 0 ? memchr(list->data, ',', list->len) : NULL;
    size_t len = comma ? (size_t)(comma - list->data) : list->len;
    *element = http_trim(amm_view(list->data, len));
    *list = comma ? amm_view(comma + 1, list->len - len - 1) : amm_view(NULL, 0);
    return true;
}

struct amm_view http_token_of(struct amm_view element)
{
    const uint8_t *semicolon = element.len > 0 ? memchr(element.data, ';', element.len) : NULL;
    return semicolon ? http_trim(amm_view(element.data, (size_t)(semicolon - element.data)))
                     : element;
}

bool http_number(struct amm_view text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *value = *value * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.len > 0 && text.len <= 18;
}
