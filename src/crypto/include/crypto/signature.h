/* Ed25519 signatures (RFC 8032): keys as PEM text, public keys and signatures as bytes.
 *
 * Who signs prefixes what is signed with a context of its own ("amm-time-1", a zero byte, ...), so
 * that a signature for one purpose is none for another. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_SIGNATURE_KEY = 32, AMM_SIGNATURE = 64 };

/* A new private key as PEM text (PKCS#8); `key` holds AMM_PEM_MAX bytes: wipe it after use. */
bool amm_signature_key_new(char *key, char *error, size_t room);

/* A private key that is parsed once and signs often. One thread at a time. */
struct amm_signer;

/* NULL: `key` is no Ed25519 key in PEM; `error` says so, and calls it `what` ("time key"). */
struct amm_signer *amm_signer_new(const char *key, const char *what, char *error, size_t room);
struct amm_signer *amm_signer_free(struct amm_signer *signer); /* NULL is fine */

/* The public half. */
void amm_signer_key(const struct amm_signer *signer, uint8_t key[AMM_SIGNATURE_KEY]);

/* False only when memory is short. */
bool amm_sign(const struct amm_signer *signer, struct amm_view bytes,
              uint8_t signature[AMM_SIGNATURE]);

/* True if `signature` was made over exactly these bytes with the private half of `key`. Any thread.
 */
bool amm_signature_verify(const uint8_t key[AMM_SIGNATURE_KEY], struct amm_view bytes,
                          const uint8_t signature[AMM_SIGNATURE]);
