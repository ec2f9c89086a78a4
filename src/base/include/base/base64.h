/* Base64 (RFC 4648), exact: one text for one sequence of bytes. Characters outside the alphabet,
 * wrong padding and bits behind the last byte are refused, so that a text cannot be varied without
 * changing what it means. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

enum amm_base64_form {
    AMM_BASE64,       /* section 4: '+' and '/', padded with '=' */
    AMM_BASE64_URL,   /* section 5: '-' and '_', without padding */
    AMM_BASE64_LINES, /* like AMM_BASE64; decoding skips blanks and line ends anywhere, encoding
                         breaks the line after 64 characters and ends the last one (RFC 8951) */
};

/* Bytes that the text of `len` bytes takes at most, with its NUL. */
#define AMM_BASE64_ROOM(len) (((len) + 2) / 3 * 4 + ((len) + 47) / 48 + 1)

/* Writes the text and a NUL to out[room]; its length, or 0 if it does not fit (or is empty). */
size_t amm_base64_encode(char *out, size_t room, struct amm_view bytes, enum amm_base64_form form);

/* Writes the bytes to out[room] and their number to *len; false if the text is not exact or they do
 * not fit. An empty text is no byte. */
bool amm_base64_decode(uint8_t *out, size_t room, size_t *len, struct amm_view text,
                       enum amm_base64_form form);
