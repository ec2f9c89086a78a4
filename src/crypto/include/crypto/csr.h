/* Certificate requests (PKCS#10, RFC 2986), of which only the public key counts (GP-22).
 *
 * A key is ECDSA P-256, always the same 91 bytes of SubjectPublicKeyInfo: named curve, uncompressed
 * point. Nothing else of a request is looked at but that it is whole and signed by that key: names,
 * dates and purposes come from the server. Functions return false and write one sentence to
 * `error[room]`. */
#pragma once

#include "base/bytes.h"
#include "crypto/pki.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_CSR_MAX = 4096 };

/* Takes the key from the DER bytes of a request. Refused: bytes that are not exactly one request
 * (lengths in their shortest form, nothing behind it), another type of key, a point that is not on
 * the curve, a signature other than ECDSA with SHA-256 by that very key. */
bool amm_csr_take_key(struct amm_view der, uint8_t key[AMM_P256_KEY], char *error, size_t room);

/* Makes a request for the key in PEM text `key`, with `name` as common name; DER to
 * out[AMM_CSR_MAX].
 */
bool amm_csr_make(const char *key, const char *name, uint8_t out[AMM_CSR_MAX], size_t *len,
                  char *error, size_t room);
