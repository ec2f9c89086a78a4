#include "der.h"

enum { LONG_FORM = 0x80, LENGTH_BYTES_MAX = 3 };

static size_t read_length(struct amm_reader *r)
{
    size_t first = amm_read_u8(r);
    if (first < LONG_FORM) {
        return first;
    }
    size_t n = first - LONG_FORM, length = 0;
    if (n < 1 || n > LENGTH_BYTES_MAX) {
        r->failed = true;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        length = length << 8 | amm_read_u8(r);
    }
    /* Shortest form: not what fits into one byte less, nor into the tag's own byte. */
    if (length < LONG_FORM || length >> 8 * (n - 1) == 0) {
        r->failed = true;
    }
    return length;
}

struct der_element der_read(struct amm_reader *r, enum der_tag tag)
{
    struct der_element element = {{r->at, 0}, {NULL, 0}};
    if (amm_read_u8(r) != tag) {
        r->failed = true;
    }
    element.content = amm_read_bytes(r, read_length(r));
    if (!r->failed) {
        element.whole.len = (size_t)(r->at - element.whole.data);
    }
    return element;
}

struct amm_reader der_enter(struct amm_reader *r, enum der_tag tag)
{
    struct amm_reader inside = amm_reader(der_read(r, tag).content);
    inside.failed = r->failed;
    return inside;
}

bool der_is_next(const struct amm_reader *r, enum der_tag tag)
{
    return amm_reader_left(r) > 0 && *r->at == tag;
}

void der_expect(struct amm_reader *r, const void *bytes, size_t len)
{
    struct amm_view found = amm_read_bytes(r, len);
    if (!amm_view_equal(found, amm_view(bytes, len))) {
        r->failed = true;
    }
}
