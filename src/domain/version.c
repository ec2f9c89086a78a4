#include "domain/version.h"

#include <string.h>

enum { DIGITS_MAX = 9 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool amm_version_parse(struct amm_version *out, const char *text)
{
    struct amm_version version = {0};
    for (;;) {
        uint32_t value = 0;
        unsigned digits = 0;
        for (; is_digit(*text); text++) {
            if (++digits > DIGITS_MAX) {
                return false;
            }
            value = value * 10 + (uint32_t)(*text - '0');
        }
        if (digits == 0 || version.n == AMM_VERSION_PARTS) {
            return false;
        }
        version.part[version.n++] = value;
        if (*text != '.') {
            break;
        }
        text++;
    }
    if (*text != '\0' && !strchr("-+~ ", *text)) {
        return false;
    }
    *out = version;
    return true;
}

int amm_version_compare(const struct amm_version *a, const struct amm_version *b)
{
    for (unsigned i = 0; i < AMM_VERSION_PARTS; i++) {
        uint32_t left = i < a->n ? a->part[i] : 0, right = i < b->n ? b->part[i] : 0;
        if (left != right) {
            return left < right ? -1 : 1;
        }
    }
    return 0;
}

bool amm_version_at_least(const char *text, const char *least)
{
    struct amm_version a, b;
    return amm_version_parse(&a, text) && amm_version_parse(&b, least) &&
           amm_version_compare(&a, &b) >= 0;
}
