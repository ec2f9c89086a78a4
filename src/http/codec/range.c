#include "scan.h"

/* Digits; a number too large for 64 bits is UINT64_MAX, for it is beyond every size anyway. */
static bool position(struct amm_view text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *value = *value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *value * 10 + digit;
    }
    return text.len > 0;
}

enum amm_http_range amm_http_range(struct amm_view value, uint64_t size, uint64_t *first,
                                   uint64_t *last)
{
    enum { UNIT = 6 };
    *first = *last = 0;
    if (value.len < UNIT || !amm_http_is(amm_view(value.data, UNIT), "bytes=")) {
        return AMM_HTTP_RANGE_NONE;
    }
    value = http_trim(amm_view(value.data + UNIT, value.len - UNIT));
    const uint8_t *dash = value.len > 0 ? memchr(value.data, '-', value.len) : NULL;
    if (dash == NULL) {
        return AMM_HTTP_RANGE_NONE;
    }
    struct amm_view from = amm_view(value.data, (size_t)(dash - value.data));
    struct amm_view to = amm_view(dash + 1, value.len - from.len - 1);
    uint64_t a = 0, b = UINT64_MAX;
    if ((from.len > 0 && !position(from, &a)) || (to.len > 0 && !position(to, &b)) ||
        (from.len == 0 && to.len == 0) || (from.len > 0 && a > b)) {
        return AMM_HTTP_RANGE_NONE;
    }
    if (from.len == 0) { /* the last b bytes */
        a = b < size ? size - b : 0;
        b = b > 0 ? UINT64_MAX : 0;
        if (b == 0) {
            return AMM_HTTP_RANGE_UNSATISFIABLE;
        }
    }
    if (a >= size) {
        return AMM_HTTP_RANGE_UNSATISFIABLE;
    }
    *first = a;
    *last = b < size ? b : size - 1;
    return AMM_HTTP_RANGE_OK;
}
