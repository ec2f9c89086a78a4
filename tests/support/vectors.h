/* Golden vectors: lookup by id in tests/golden/vectors.txt. The file's head says what its form is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { VECTOR_MAX = 2048 };

/* The value's text. Fails the running cmocka test if the id is not there. The path of the file
 * comes with the build (AMM_VECTORS). The buffer is static: use it before the next call. */
const char *vector_text(const char *id);

/* Decodes the value's hex digits and returns how many bytes there are; fails the test if they do
 * not fit. */
size_t vector_bytes(const char *id, uint8_t *out, size_t room);

/* K of the vectors: 00 01 .. ff. */
void vector_static_key(uint8_t key[256]);
