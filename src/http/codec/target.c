/* Paths and queries: one thing has one name, and decoded text is text. */
#include "scan.h"

/* One byte, decoded. False if an escape is cut short or has no hex digits. */
static bool next_byte(struct amm_view *text, bool in_query, uint8_t *byte, bool *escaped)
{
    *byte = text->data[0];
    *escaped = *byte == '%';
    size_t used = 1;
    if (*escaped) {
        int high = text->len > 2 ? http_hex_digit(text->data[1]) : -1;
        int low = text->len > 2 ? http_hex_digit(text->data[2]) : -1;
        if (high < 0 || low < 0) {
            return false;
        }
        *byte = (uint8_t)(high << 4 | low);
        used = 3;
    } else if (in_query && *byte == '+') {
        *byte = ' ';
    }
    *text = amm_view(text->data + used, text->len - used);
    return true;
}

/* UTF-8 (RFC 3629) byte by byte: the shortest form only, no surrogates, nothing beyond U+10FFFF. */
struct utf8 {
    unsigned left;     /* bytes that have to follow */
    uint8_t low, high; /* what the next one may be */
};

static bool utf8_take(struct utf8 *utf8, uint8_t byte)
{
    if (utf8->left > 0) {
        bool good = byte >= utf8->low && byte <= utf8->high;
        *utf8 = (struct utf8){utf8->left - 1, 0x80, 0xbf};
        return good;
    }
    if (byte < 0x80) {
        return byte >= ' ' && byte != 0x7f;
    }
    utf8->left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    utf8->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    utf8->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    return byte >= 0xc2 && byte <= 0xf4;
}

bool amm_http_decode(struct amm_view text, bool in_query, char *out, size_t room)
{
    struct utf8 utf8 = {0};
    size_t len = 0;
    bool good = room > 0, escaped;
    while (good && text.len > 0) {
        uint8_t byte;
        good =
            next_byte(&text, in_query, &byte, &escaped) && utf8_take(&utf8, byte) && len < room - 1;
        if (good) {
            out[len++] = (char)byte;
        }
    }
    good = good && utf8.left == 0;
    if (room > 0) {
        out[good ? len : 0] = 0;
    }
    return good;
}

/* True if `text` decodes to `name`. */
static bool names(struct amm_view text, const char *name)
{
    bool escaped;
    for (; text.len > 0; name++) {
        uint8_t byte;
        if (!next_byte(&text, true, &byte, &escaped) || byte == 0 || byte != (uint8_t)*name) {
            return false;
        }
    }
    return *name == 0;
}

bool amm_http_query(struct amm_view query, const char *name, char *out, size_t room)
{
    const uint8_t *at = query.data, *end = query.len > 0 ? at + query.len : at;
    while (at < end) {
        const uint8_t *next = memchr(at, '&', (size_t)(end - at));
        struct amm_view part = amm_view(at, (size_t)((next ? next : end) - at));
        const uint8_t *equals = part.len > 0 ? memchr(at, '=', part.len) : NULL;
        size_t len = equals ? (size_t)(equals - at) : part.len;
        if (names(amm_view(at, len), name)) {
            size_t skip = equals ? len + 1 : len;
            return amm_http_decode(amm_view(at + skip, part.len - skip), true, out, room);
        }
        at = next ? next + 1 : end;
    }
    if (room > 0) {
        out[0] = 0;
    }
    return false;
}

/* Has this form only, and stands for itself. */
static bool segment_byte(struct amm_view before, uint8_t byte, bool escaped)
{
    if (!escaped) {
        return http_in(&http_segment_class, byte);
    }
    for (size_t i = 1; i < 3; i++) {
        if (before.data[i] >= 'a') {
            return false; /* %2a for %2A */
        }
    }
    return byte != '/' && !http_in(&http_unreserved_class, byte);
}

static bool is_segment(struct amm_view segment)
{
    struct utf8 utf8 = {0};
    if (segment.len == 0 || amm_view_equal(segment, amm_view_str(".")) ||
        amm_view_equal(segment, amm_view_str(".."))) {
        return false;
    }
    while (segment.len > 0) {
        struct amm_view before = segment;
        uint8_t byte;
        bool escaped;
        if (!next_byte(&segment, false, &byte, &escaped) || !segment_byte(before, byte, escaped) ||
            !utf8_take(&utf8, byte)) {
            return false;
        }
    }
    return utf8.left == 0;
}

bool amm_http_path_is_canonical(struct amm_view path)
{
    if (path.len == 0 || path.data[0] != '/') {
        return false;
    }
    if (path.len == 1) {
        return true;
    }
    for (size_t at = 1; at <= path.len;) {
        const uint8_t *slash = at < path.len ? memchr(path.data + at, '/', path.len - at) : NULL;
        size_t end = slash ? (size_t)(slash - path.data) : path.len;
        if (!is_segment(amm_view(path.data + at, end - at))) {
            return false;
        }
        at = end + 1;
    }
    return true;
}
