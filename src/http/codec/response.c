/* Response heads. Tolerant where nothing depends on it, because the web servers of gateways are
 * old; never about the frame. */
#include "fields.h"

static enum amm_http_result parse_status(struct http_scan *scan, struct amm_http_response *out)
{
    enum amm_http_result result = http_scan_literal(scan, "HTTP/1.", RULE_STATUS_LINE);
    for (int i = 0; result == AMM_HTTP_OK && i < 5; i++, scan->at++) { /* "1 200" */
        if (scan->at == scan->end) {
            return AMM_HTTP_MORE;
        }
        unsigned digit = (unsigned)(*scan->at - '0');
        bool good = i == 0   ? digit <= 1
                    : i == 1 ? *scan->at == ' '
                    : i == 2 ? digit >= 1 && digit <= 9
                             : digit <= 9;
        if (!good) {
            return http_scan_break(scan, RULE_STATUS_LINE);
        }
        if (i == 0) {
            out->minor = (uint8_t)digit;
        } else if (i > 1) {
            out->status = out->status * 10 + (int)digit;
        }
    }
    return result;
}

static enum amm_http_result parse_line(struct http_scan *scan, struct amm_http_response *out)
{
    enum amm_http_result result = parse_status(scan, out);
    if (result != AMM_HTTP_OK || scan->at == scan->end) {
        return result == AMM_HTTP_OK ? AMM_HTTP_MORE : result;
    }
    const uint8_t *start = scan->at;
    if (*start == ' ') {
        while (scan->at < scan->end && http_in(&http_value_class, *scan->at)) {
            scan->at++;
        }
        if (scan->at == scan->end) {
            return AMM_HTTP_MORE;
        }
    }
    if (*scan->at != '\r' && *scan->at != '\n') {
        return http_scan_break(scan, RULE_STATUS_LINE);
    }
    out->reason = http_trim(amm_view(start, (size_t)(scan->at - start)));
    return http_scan_line_end(scan);
}

/* RFC 9112 6.3, in its order. */
static enum amm_http_result judge(struct http_scan *scan, struct amm_http_response *out,
                                  struct amm_view method)
{
    struct http_frame frame;
    enum amm_http_result result = http_frame(&frame, scan, &out->fields);
    if (result != AMM_HTTP_OK) {
        return result;
    }
    struct http_connection connection = http_connection(&out->fields);
    bool success = out->status >= 200 && out->status < 300;
    if (success && amm_view_equal(method, amm_view_str("CONNECT"))) {
        return http_scan_break(scan, RULE_STATUS_CONNECT);
    }
    out->keep_alive = !connection.close && (out->minor >= 1 || connection.keep_alive);
    if (out->status == 101) {
        out->upgrade = true;
        out->keep_alive = false;
        return amm_http_field_count(&out->fields, "upgrade") > 0
                   ? AMM_HTTP_OK
                   : http_scan_break(scan, RULE_UPGRADE_MISSING);
    }
    bool announced = frame.framing == AMM_HTTP_CHUNKED || frame.length > 0;
    if (out->status < 200) {
        out->keep_alive = !announced; /* the answer itself is still to come */
    } else if (out->status == 204) {
        /* A server that announces a body here may also send it, into the next answer. */
        out->keep_alive &= !announced;
    } else if (out->status != 304 && !amm_view_equal(method, amm_view_str("HEAD"))) {
        out->framing = frame.framing == AMM_HTTP_NO_BODY ? AMM_HTTP_TO_END : frame.framing;
        out->length = frame.length;
        out->keep_alive &= out->framing != AMM_HTTP_TO_END;
        out->keep_alive &= out->framing != AMM_HTTP_CHUNKED || out->minor >= 1;
    }
    return AMM_HTTP_OK;
}

enum amm_http_result amm_http_response_parse(struct amm_http_response *out, struct amm_view method,
                                             struct amm_view bytes, size_t *used,
                                             struct amm_http_error *error)
{
    struct http_scan scan = http_scan_begin(bytes, true, error);
    *out = (struct amm_http_response){0};
    enum amm_http_result result = parse_line(&scan, out);
    result = result == AMM_HTTP_OK ? http_fields_parse(&scan, &out->fields) : result;
    result = result == AMM_HTTP_OK ? judge(&scan, out, method) : result;
    return http_scan_end(&scan, bytes, result, used);
}
