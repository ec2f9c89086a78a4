/* Inside the codec: a cursor over a head, classes of bytes, and how a rule is broken.
 *
 * Everything is decided in the order of the bytes, at the first one that breaks a rule: so the
 * verdict does not depend on how the bytes were cut on their way. */
#pragma once

#include "http/message.h"
#include "http/rules.h"

#define HTTP_RULE(name, reason, status, text) RULE_##name,
enum http_rule { RULE_NONE, AMM_HTTP_RULES(HTTP_RULE) };
#undef HTTP_RULE

/* Fills in `error` and gives BAD. Of responses (`tolerant`) the status is always 502. */
enum amm_http_result http_break(struct amm_http_error *error, enum http_rule rule, bool tolerant);

struct http_scan {
    const uint8_t *at, *end;
    bool tolerant; /* a response */
    struct amm_http_error *error;
};

static inline enum amm_http_result http_scan_break(const struct http_scan *scan,
                                                   enum http_rule rule)
{
    return http_break(scan->error, rule, scan->tolerant);
}

/* The head's part of `bytes`. */
struct http_scan http_scan_begin(struct amm_view bytes, bool tolerant,
                                 struct amm_http_error *error);

/* Turns a MORE into BAD when the head has had all the bytes that it may have, and an OK into the
 * number of bytes used. */
enum amm_http_result http_scan_end(const struct http_scan *scan, struct amm_view bytes,
                                   enum amm_http_result result, size_t *used);

/* At a CR or LF: takes the end of a line. */
enum amm_http_result http_scan_line_end(struct http_scan *scan);

/* Takes `literal`; BAD with `rule` at the first other byte. */
enum amm_http_result http_scan_literal(struct http_scan *scan, const char *literal,
                                       enum http_rule rule);

/* Sets of bytes, a bit each. */
struct http_class {
    uint64_t bits[4];
};

extern const struct http_class http_token_class;      /* names, tokens */
extern const struct http_class http_value_class;      /* all but control bytes; with HTAB */
extern const struct http_class http_method_class;     /* capital letters, '-' */
extern const struct http_class http_path_class;       /* what stands in a target before '?' */
extern const struct http_class http_query_class;      /* and behind it */
extern const struct http_class http_unreserved_class; /* never needs to be encoded */
extern const struct http_class http_segment_class;    /* may stand in a path as it is */

static inline bool http_in(const struct http_class *set, uint8_t byte)
{
    return (set->bits[byte >> 6] >> (byte & 63) & 1) != 0;
}

static inline bool http_all_in(const struct http_class *set, struct amm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!http_in(set, text.data[i])) {
            return false;
        }
    }
    return true;
}

static inline bool http_is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* Without the blanks around it. */
struct amm_view http_trim(struct amm_view text);

/* 0 to 15, or -1. */
int http_hex_digit(uint8_t byte);

/* Takes the next element of a comma-separated list, trimmed; false at the end. `list` moves on;
 * empty elements come as such. */
bool http_next_element(struct amm_view *list, struct amm_view *element);

/* What stands before the parameters of an element. */
struct amm_view http_token_of(struct amm_view element);

/* Decimal digits only, at most 18 of them, so that no sum overflows. */
bool http_number(struct amm_view text, uint64_t *value);
