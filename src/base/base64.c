#include "base/base64.h"

enum { LINE = 64 };

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t amm_base64_encode(char *out, size_t room, struct amm_view bytes, enum amm_base64_form form)
{
    const char *alphabet = form == AMM_BASE64_URL ? url : standard;
    struct amm_writer w = amm_writer(out, room);
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t n = bytes.len - at < 3 ? bytes.len - at : 3;
        uint32_t group = (uint32_t)bytes.data[at] << 16;
        group |= n > 1 ? (uint32_t)bytes.data[at + 1] << 8 : 0;
        group |= n > 2 ? bytes.data[at + 2] : 0;
        for (size_t i = 0; i <= n; i++) {
            amm_write_u8(&w, (uint8_t)alphabet[group >> (18 - 6 * i) & 63]);
        }
        for (size_t i = n; i < 3 && form != AMM_BASE64_URL; i++) {
            amm_write_u8(&w, '=');
        }
        bool is_last = at + 3 >= bytes.len;
        if (form == AMM_BASE64_LINES && (is_last || (at + 3) / 3 % (LINE / 4) == 0)) {
            amm_write_u8(&w, '\n');
        }
    }
    amm_write_u8(&w, 0);
    return w.failed ? 0 : amm_writer_len(&w) - 1;
}

/* 0 to 63, or -1. */
static int digit_of(uint8_t c, enum amm_base64_form form)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == (form == AMM_BASE64_URL ? '-' : '+')) {
        return 62;
    }
    return c == (form == AMM_BASE64_URL ? '_' : '/') ? 63 : -1;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool amm_base64_decode(uint8_t *out, size_t room, size_t *len, struct amm_view text,
                       enum amm_base64_form form)
{
    struct amm_writer w = amm_writer(out, room);
    uint32_t bits = 0;
    size_t digits = 0, padding = 0;
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (form == AMM_BASE64_LINES && is_blank(c)) {
            continue;
        }
        if (c == '=' && form != AMM_BASE64_URL) {
            padding++;
            continue;
        }
        int digit = digit_of(c, form);
        if (digit < 0 || padding > 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (++digits % 4 != 1) { /* each digit but the first of four completes a byte */
            amm_write_u8(&w, (uint8_t)(bits >> (6 - 2 * ((digits - 1) % 4))));
        }
    }
    size_t over = digits % 4;
    uint32_t unused = over == 2 ? bits & 15 : over == 3 ? bits & 3 : 0;
    size_t wanted = form == AMM_BASE64_URL || over == 0 ? 0 : 4 - over;
    if (w.failed || over == 1 || unused != 0 || padding != wanted) {
        return false;
    }
    *len = amm_writer_len(&w);
    return true;
}
