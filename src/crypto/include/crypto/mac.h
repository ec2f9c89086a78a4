/* MACs, hashes and key derivation of the control channel. All outputs go to caller's buffers; the
 * functions fail only if OpenSSL has no memory or lacks the algorithm, and then return false. */
#pragma once

#include "base/bytes.h"
#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digests that a tls-auth configuration may name (`auth SHA1`). */
enum amm_digest { AMM_SHA1 = 1, AMM_SHA256 = 2, AMM_SHA512 = 3 };

enum { AMM_DIGEST_MAX = 64, AMM_SHA256_LEN = 32 };

size_t amm_digest_len(enum amm_digest digest);

/* false if the name is none of SHA1, SHA256, SHA512 (case-insensitive). */
bool amm_digest_find(struct amm_view name, enum amm_digest *out);

bool amm_sha256(struct amm_view data, uint8_t out[AMM_SHA256_LEN]);

/* HMAC over the concatenation of `parts[n]`; writes amm_digest_len(digest) bytes. */
bool amm_hmac(enum amm_digest digest, struct amm_view key, const struct amm_view *parts, size_t n,
              uint8_t *out);

/* AES-256 in counter mode from the counter block `iv`, in place; the same call encrypts and
 * decrypts. */
bool amm_aes256_ctr(const uint8_t key[32], const uint8_t iv[16], uint8_t *data, size_t len);

/* The TLS 1.0 PRF (RFC 2246, 5: P_MD5 xor P_SHA1) that OpenVPN uses where no exporter was
 * negotiated. `seed` is label || seed parts. false where MD5 is forbidden (FIPS). */
bool amm_tls1_prf(struct amm_view secret, struct amm_view seed, uint8_t *out, size_t len);

/* The kernel's generator, through OpenSSL. Aborts the process if there is no randomness to be had.
 */
struct amm_random amm_system_random(void);
