/* DER of what comes from the network, read exactly: tags of one byte, lengths in their shortest
 * form. Private to this folder. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

enum der_tag {
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OBJECT = 0x06,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT_0 = 0xa0,
    DER_CONTEXT_1 = 0xa1,
};

struct der_element {
    struct amm_view whole;   /* with tag and length */
    struct amm_view content; /* without */
};

/* The next element; `r` fails if it has another tag or is not exact. */
struct der_element der_read(struct amm_reader *r, enum der_tag tag);

/* The same, and a reader over its content. */
struct amm_reader der_enter(struct amm_reader *r, enum der_tag tag);

/* True if an element with that tag comes next. */
bool der_is_next(const struct amm_reader *r, enum der_tag tag);

/* Reads bytes that must be these. */
void der_expect(struct amm_reader *r, const void *bytes, size_t len);
