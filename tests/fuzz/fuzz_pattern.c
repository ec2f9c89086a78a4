/* Display filters: a pattern, NUL, a text. Whatever both say, it ends, and a match lies in the
 * text. */
#include "manager/pattern.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct pattern pattern;
    char text[PATTERN_MAX + 8], error[300];
    const uint8_t *end = len > 0 ? memchr(data, 0, len) : NULL;
    size_t n = end ? (size_t)(end - data) : len, from, to;
    if (n >= sizeof text) {
        return 0;
    }
    memcpy(text, data, n);
    text[n] = '\0';
    if (pattern_compile(&pattern, text, error, sizeof error)) {
        struct amm_view in = end ? amm_view(end + 1, len - n - 1) : amm_view(data, 0);
        if (pattern_find(&pattern, in, &from, &to) && (from > to || to > in.len)) {
            abort();
        }
    }
    return 0;
}
