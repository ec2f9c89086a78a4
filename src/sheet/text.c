/* Columns, UTF-8, numbers that were shortened. */
#include "sheet/sheet.h"

const char *amm_sheet_column(unsigned column, char out[AMM_SHEET_COLUMN_NAME])
{
    char letters[AMM_SHEET_COLUMN_NAME];
    size_t n = 0, at = 0;
    for (unsigned left = column + 1; left > 0 && n + 1 < sizeof letters; left = (left - 1) / 26) {
        letters[n++] = (char)('A' + (left - 1) % 26);
    }
    while (n > 0) {
        out[at++] = letters[--n];
    }
    out[at] = '\0';
    return out;
}

bool amm_sheet_column_parse(const char *name, unsigned *out)
{
    unsigned column = 0;
    size_t n = 0;
    for (; name[n] != '\0' && n < AMM_SHEET_COLUMN_NAME - 1; n++) {
        char letter = (char)(name[n] | 0x20);
        if (letter < 'a' || letter > 'z') {
            return false;
        }
        column = column * 26 + (unsigned)(letter - 'a') + 1;
    }
    if (n == 0 || name[n] != '\0' || column > AMM_SHEET_COLUMNS) {
        return false;
    }
    *out = column - 1;
    return true;
}

static size_t digits(struct amm_view text, size_t at)
{
    size_t n = 0;
    while (at + n < text.len && text.data[at + n] >= '0' && text.data[at + n] <= '9') {
        n++;
    }
    return n;
}

bool amm_sheet_is_shortened(struct amm_view text)
{
    size_t at = text.len > 0 && (text.data[0] == '-' || text.data[0] == '+');
    size_t n = digits(text, at);
    if (n == 0) {
        return false;
    }
    at += n;
    if (at < text.len && (text.data[at] == '.' || text.data[at] == ',')) {
        n = digits(text, at + 1);
        if (n == 0) {
            return false;
        }
        at += n + 1;
    }
    if (at + 2 >= text.len || (text.data[at] != 'E' && text.data[at] != 'e') ||
        (text.data[at + 1] != '+' && text.data[at + 1] != '-')) {
        return false;
    }
    n = digits(text, at + 2);
    return n > 0 && at + 2 + n == text.len;
}

/* How many bytes follow a first byte, and the smallest second byte and the largest; 0xff: none. */
static unsigned followers(uint8_t first, uint8_t *min, uint8_t *max)
{
    *min = 0x80;
    *max = 0xbf;
    if (first < 0x80) {
        return first == 0 ? 0xff : 0;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return 1;
    }
    if (first >= 0xe0 && first <= 0xef) {
        *min = first == 0xe0 ? 0xa0 : *min;
        *max = first == 0xed ? 0x9f : *max;
        return 2;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        *min = first == 0xf0 ? 0x90 : *min;
        *max = first == 0xf4 ? 0x8f : *max;
        return 3;
    }
    return 0xff;
}

bool amm_sheet_utf8_ok(struct amm_view text)
{
    for (size_t i = 0; i < text.len;) {
        uint8_t min, max;
        unsigned n = followers(text.data[i], &min, &max);
        if (n == 0xff || text.len - i <= n) {
            return false;
        }
        for (unsigned k = 1; k <= n; k++) {
            uint8_t byte = text.data[i + k];
            if (byte < (k == 1 ? min : 0x80) || byte > (k == 1 ? max : 0xbf)) {
                return false;
            }
        }
        i += n + 1;
    }
    return true;
}
