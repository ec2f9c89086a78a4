/* Request heads. Strict: doc/protocol/http.md says what is refused and why. */
#include "fields.h"

static bool ends_word(uint8_t byte)
{
    return byte == ' ' || byte == '\r' || byte == '\n';
}

static enum amm_http_result parse_method(struct http_scan *scan, struct amm_view *method)
{
    const uint8_t *start = scan->at;
    while (scan->at < scan->end && http_in(&http_method_class, *scan->at) &&
           scan->at - start < AMM_HTTP_METHOD_MAX) {
        scan->at++;
    }
    if (scan->at == scan->end) {
        return AMM_HTTP_MORE;
    }
    *method = amm_view(start, (size_t)(scan->at - start));
    if (*scan->at != ' ' || method->len == 0 || *start == '-') {
        return http_scan_break(scan, RULE_METHOD);
    }
    if (amm_view_equal(*method, amm_view_str("CONNECT"))) {
        return http_scan_break(scan, RULE_METHOD_CONNECT);
    }
    scan->at++;
    return AMM_HTTP_OK;
}

/* Where in a target we are. */
struct target {
    bool in_query;
    unsigned left;  /* hex digits that an escape in the path still needs */
    unsigned value; /* of the escape */
};

static enum http_rule target_byte(struct target *target, uint8_t byte)
{
    if (target->left > 0) {
        int digit = http_hex_digit(byte);
        target->left--;
        target->value = target->value << 4 | (unsigned)(digit & 15);
        bool nul = target->left == 0 && target->value == 0;
        return digit < 0 || nul ? RULE_TARGET_ESCAPE : RULE_NONE;
    }
    if (byte == '?') {
        target->in_query = true;
    } else if (byte == '%' && !target->in_query) {
        target->left = 2;
        target->value = 0;
    }
    const struct http_class *set = target->in_query ? &http_query_class : &http_path_class;
    return http_in(set, byte) ? RULE_NONE : RULE_TARGET_BYTE;
}

/* "." or "..", each dot perhaps as %2e. */
static bool is_dots(struct amm_view segment)
{
    unsigned dots = 0;
    while (segment.len > 0) {
        bool plain = segment.data[0] == '.';
        if (!plain && !(segment.len > 2 && amm_http_is(amm_view(segment.data, 3), "%2e"))) {
            return false;
        }
        size_t len = plain ? 1 : 3;
        segment = amm_view(segment.data + len, segment.len - len);
        dots++;
    }
    return dots == 1 || dots == 2;
}

static bool has_dots(struct amm_view path)
{
    const uint8_t *at = path.data, *end = at + path.len;
    while (at < end) {
        at++; /* the slash */
        const uint8_t *slash = memchr(at, '/', (size_t)(end - at));
        const uint8_t *stop = slash ? slash : end;
        if (is_dots(amm_view(at, (size_t)(stop - at)))) {
            return true;
        }
        at = stop;
    }
    return false;
}

/* "/path?query" up to the blank. */
static enum amm_http_result parse_origin(struct http_scan *scan, struct amm_http_request *out)
{
    const uint8_t *start = scan->at;
    struct target target = {0};
    for (; scan->at < scan->end && !ends_word(*scan->at); scan->at++) {
        if (scan->at - start == AMM_HTTP_TARGET_MAX) {
            return http_scan_break(scan, RULE_TARGET_LENGTH);
        }
        enum http_rule rule = target_byte(&target, *scan->at);
        if (rule != RULE_NONE) {
            return http_scan_break(scan, rule);
        }
    }
    if (scan->at == scan->end) {
        return AMM_HTTP_MORE;
    }
    if (target.left > 0) {
        return http_scan_break(scan, RULE_TARGET_ESCAPE);
    }
    out->target = amm_view(start, (size_t)(scan->at - start));
    const uint8_t *question = memchr(start, '?', out->target.len);
    out->path = amm_view(start, question ? (size_t)(question - start) : out->target.len);
    out->query = question ? amm_view(question + 1, (size_t)(scan->at - question - 1))
                          : amm_view(scan->at, 0);
    return has_dots(out->path) ? http_scan_break(scan, RULE_TARGET_DOTS) : AMM_HTTP_OK;
}

static enum amm_http_result parse_target(struct http_scan *scan, struct amm_http_request *out)
{
    if (scan->at == scan->end) {
        return AMM_HTTP_MORE;
    }
    if (*scan->at == '/') {
        return parse_origin(scan, out);
    }
    if (*scan->at == '*' && amm_view_equal(out->method, amm_view_str("OPTIONS"))) {
        out->target = out->path = amm_view(scan->at, 1);
        scan->at++;
        out->query = amm_view(scan->at, 0);
        return scan->at == scan->end  ? AMM_HTTP_MORE
               : ends_word(*scan->at) ? AMM_HTTP_OK
                                      : http_scan_break(scan, RULE_TARGET_FORM);
    }
    return http_scan_break(scan, ends_word(*scan->at) ? RULE_REQUEST_LINE : RULE_TARGET_FORM);
}

/* The digits of "HTTP/1.1". */
static enum amm_http_result parse_version(struct http_scan *scan, uint8_t *minor)
{
    if (scan->at == scan->end) {
        return AMM_HTTP_MORE;
    }
    if (*scan->at != '1') {
        bool digit = *scan->at >= '0' && *scan->at <= '9';
        return http_scan_break(scan, digit ? RULE_VERSION : RULE_REQUEST_LINE);
    }
    enum amm_http_result result = http_scan_literal(scan, "1.", RULE_REQUEST_LINE);
    if (result != AMM_HTTP_OK || scan->at == scan->end) {
        return result == AMM_HTTP_OK ? AMM_HTTP_MORE : result;
    }
    *minor = (uint8_t)(*scan->at - '0');
    if (*minor > 1) {
        return http_scan_break(scan, *minor <= 9 ? RULE_VERSION : RULE_REQUEST_LINE);
    }
    scan->at++;
    return AMM_HTTP_OK;
}

static enum amm_http_result parse_line(struct http_scan *scan, struct amm_http_request *out)
{
    enum amm_http_result result = parse_method(scan, &out->method);
    result = result == AMM_HTTP_OK ? parse_target(scan, out) : result;
    result = result == AMM_HTTP_OK ? http_scan_literal(scan, " HTTP/", RULE_REQUEST_LINE) : result;
    result = result == AMM_HTTP_OK ? parse_version(scan, &out->minor) : result;
    if (result != AMM_HTTP_OK || scan->at == scan->end) {
        return result == AMM_HTTP_OK ? AMM_HTTP_MORE : result;
    }
    if (*scan->at != '\r' && *scan->at != '\n') {
        return http_scan_break(scan, RULE_REQUEST_LINE);
    }
    return http_scan_line_end(scan);
}

/* ":" and a number up to 65535, or nothing. */
static bool is_port(struct amm_view text)
{
    uint64_t port;
    return text.len == 0 ||
           (text.data[0] == ':' && text.len <= 6 &&
            http_number(amm_view(text.data + 1, text.len - 1), &port) && port <= UINT16_MAX);
}

/* A name, an IPv4 address, or an IPv6 address in brackets; then perhaps a port. */
static bool is_host(struct amm_view host)
{
    size_t at = 0;
    if (host.len == 0 || host.len > AMM_HTTP_HOST_MAX) {
        return false;
    }
    if (host.data[0] == '[') {
        for (at = 1; at < host.len && host.data[at] != ']'; at++) {
            uint8_t byte = host.data[at];
            if (http_hex_digit(byte) < 0 && byte != ':' && byte != '.') {
                return false;
            }
        }
        if (at == host.len || at == 1) {
            return false;
        }
        at++;
    } else {
        while (at < host.len && host.data[at] != '~' &&
               http_in(&http_unreserved_class, host.data[at])) {
            at++;
        }
    }
    return at > 0 && is_port(amm_view(host.data + at, host.len - at));
}

static enum http_rule judge_host(struct amm_http_request *out)
{
    size_t hosts = amm_http_field_count(&out->fields, "host");
    out->host = amm_http_field(&out->fields, "host");
    if (hosts == 0) {
        return out->minor >= 1 ? RULE_HOST_MISSING : RULE_NONE;
    }
    return hosts > 1                                               ? RULE_HOST_TWICE
           : is_host(out->host) && !http_has_tab_beside(out->host) ? RULE_NONE
                                                                   : RULE_HOST_VALUE;
}

/* Who asks, for what, under which condition: one reader could take the first, another the last. */
static bool has_twins(const struct amm_http_fields *fields)
{
    static const char *const single[] = {
        "authorization", "content-type",        "origin",   "expect",        "if-modified-since",
        "if-match",      "if-unmodified-since", "if-range", "if-none-match", "content-range",
        "range",
    };
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        if (amm_http_field_count(fields, single[i]) > 1) {
            return true;
        }
    }
    return false;
}

static bool is_bodiless(struct amm_view method)
{
    return amm_view_equal(method, amm_view_str("GET")) ||
           amm_view_equal(method, amm_view_str("HEAD")) ||
           amm_view_equal(method, amm_view_str("TRACE"));
}

/* What the fields say together, after the frame. */
static enum http_rule judge_connection(struct amm_http_request *out)
{
    struct http_connection connection = http_connection(&out->fields);
    bool body = out->framing == AMM_HTTP_CHUNKED || out->length > 0;
    struct amm_view expect = amm_http_field(&out->fields, "expect");
    if (connection.names) {
        return RULE_CONNECTION_NAMES;
    }
    if (body && is_bodiless(out->method)) {
        return RULE_BODY_UNEXPECTED;
    }
    out->keep_alive = !connection.close && (out->minor >= 1 || connection.keep_alive);
    if (out->minor == 0) {
        return RULE_NONE; /* knows neither expectations nor upgrades */
    }
    if (expect.data != NULL && !amm_http_is(expect, "100-continue")) {
        return RULE_EXPECTATION;
    }
    out->expect_continue = expect.data != NULL && body;
    out->upgrade = connection.upgrade && amm_http_field_count(&out->fields, "upgrade") > 0;
    return out->upgrade && body ? RULE_UPGRADE_BODY : RULE_NONE;
}

static enum amm_http_result judge(struct http_scan *scan, struct amm_http_request *out)
{
    struct http_frame frame;
    enum http_rule rule = judge_host(out);
    rule = rule == RULE_NONE && has_twins(&out->fields) ? RULE_FIELD_TWICE : rule;
    if (rule != RULE_NONE) {
        return http_scan_break(scan, rule);
    }
    enum amm_http_result result = http_frame(&frame, scan, &out->fields);
    if (result != AMM_HTTP_OK) {
        return result;
    }
    out->framing = frame.framing;
    out->length = frame.length;
    rule = out->framing == AMM_HTTP_CHUNKED && out->minor == 0 ? RULE_CODING_VERSION
                                                               : judge_connection(out);
    return rule == RULE_NONE ? AMM_HTTP_OK : http_scan_break(scan, rule);
}

enum amm_http_result amm_http_request_parse(struct amm_http_request *out, struct amm_view bytes,
                                            size_t *used, struct amm_http_error *error)
{
    struct http_scan scan = http_scan_begin(bytes, false, error);
    enum amm_http_result result = AMM_HTTP_OK;
    *out = (struct amm_http_request){0};
    if (scan.at < scan.end && (*scan.at == '\r' || *scan.at == '\n')) {
        result = http_scan_line_end(&scan);
    }
    result = result == AMM_HTTP_OK ? parse_line(&scan, out) : result;
    result = result == AMM_HTTP_OK ? http_fields_parse(&scan, &out->fields) : result;
    result = result == AMM_HTTP_OK ? judge(&scan, out) : result;
    return http_scan_end(&scan, bytes, result, used);
}
