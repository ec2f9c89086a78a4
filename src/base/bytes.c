#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

bool amm_view_equal(struct amm_view a, struct amm_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool amm_equal_secret(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < len; i++) {
        difference |= (uint8_t)(x[i] ^ y[i]);
    }
    return difference == 0;
}

void amm_wipe(void *data, size_t len)
{
    if (data != NULL) {
        explicit_bzero(data, len);
    }
}

static const uint8_t *take(struct amm_reader *r, size_t len)
{
    if (r->failed || (size_t)(r->end - r->at) < len) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += len;
    return p;
}

uint8_t amm_read_u8(struct amm_reader *r)
{
    const uint8_t *p = take(r, 1);
    return p ? p[0] : 0;
}

uint16_t amm_read_u16(struct amm_reader *r)
{
    const uint8_t *p = take(r, 2);
    return p ? amm_load_u16(p) : 0;
}

uint32_t amm_read_u32(struct amm_reader *r)
{
    const uint8_t *p = take(r, 4);
    return p ? amm_load_u32(p) : 0;
}

uint64_t amm_read_u64(struct amm_reader *r)
{
    const uint8_t *p = take(r, 8);
    return p ? (uint64_t)amm_load_u32(p) << 32 | amm_load_u32(p + 4) : 0;
}

struct amm_view amm_read_bytes(struct amm_reader *r, size_t len)
{
    const uint8_t *p = take(r, len);
    return p ? amm_view(p, len) : amm_view(NULL, 0);
}

void amm_read_copy(struct amm_reader *r, void *out, size_t len)
{
    const uint8_t *p = take(r, len);
    if (p == NULL) {
        memset(out, 0, len);
    } else if (len > 0) {
        memcpy(out, p, len);
    }
}

struct amm_view amm_read_rest(struct amm_reader *r)
{
    return amm_read_bytes(r, amm_reader_left(r));
}

uint8_t *amm_write_gap(struct amm_writer *w, size_t len)
{
    if (w->failed || (size_t)(w->end - w->at) < len) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->at;
    w->at += len;
    return p;
}

void amm_write_u8(struct amm_writer *w, uint8_t value)
{
    uint8_t *p = amm_write_gap(w, 1);
    if (p) {
        p[0] = value;
    }
}

void amm_write_u16(struct amm_writer *w, uint16_t value)
{
    uint8_t *p = amm_write_gap(w, 2);
    if (p) {
        amm_store_u16(p, value);
    }
}

void amm_write_u32(struct amm_writer *w, uint32_t value)
{
    uint8_t *p = amm_write_gap(w, 4);
    if (p) {
        amm_store_u32(p, value);
    }
}

void amm_write_u64(struct amm_writer *w, uint64_t value)
{
    amm_write_u32(w, (uint32_t)(value >> 32));
    amm_write_u32(w, (uint32_t)value);
}

void amm_write_bytes(struct amm_writer *w, const void *data, size_t len)
{
    uint8_t *p = amm_write_gap(w, len);
    if (p && len > 0) {
        memcpy(p, data, len);
    }
}

void amm_write_view(struct amm_writer *w, struct amm_view view)
{
    amm_write_bytes(w, view.data, view.len);
}

void amm_write_str(struct amm_writer *w, const char *text)
{
    amm_write_bytes(w, text, strlen(text));
}

void amm_write_text(struct amm_writer *w, const char *format, ...)
{
    if (w->failed) {
        return;
    }
    size_t room = (size_t)(w->end - w->at);
    char text[1024]; /* vsnprintf wants room for the NUL, which the message does not have */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text || (size_t)n > room) {
        w->failed = true;
        return;
    }
    amm_write_bytes(w, text, (size_t)n);
}

void amm_text_clean(char *out, size_t room, struct amm_view text)
{
    if (room == 0) {
        return;
    }
    size_t n = text.len < room - 1 ? text.len : room - 1;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = text.data[i];
        out[i] = c >= 0x20 && c < 0x7f ? (char)c : '_';
    }
    out[n] = '\0';
}

int amm_text_part(const char *text, size_t most)
{
    size_t len = strnlen(text, most), back = 1;
    while (back < 4 && back < len && ((unsigned char)text[len - back] & 0xc0) == 0x80) {
        back++;
    }
    unsigned char first = len > 0 ? (unsigned char)text[len - back] : 0;
    size_t whole = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    return (int)(whole > back ? len - back : len);
}

void amm_hex(char *out, struct amm_view view)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < view.len; i++) {
        out[2 * i] = digits[view.data[i] >> 4];
        out[2 * i + 1] = digits[view.data[i] & 15];
    }
    out[2 * view.len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool amm_unhex(uint8_t *out, size_t len, const char *text)
{
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
