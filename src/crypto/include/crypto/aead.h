/* AEAD for the data channel: raw keys outside, expanded keys in a bounded cache per thread.
 *
 * A peer keeps 32 raw key bytes (an expanded AES-256-GCM key is 1008 bytes and costs 0.1 us to
 * make); `struct amm_aead` belongs to one thread and keeps the expanded form of the keys used last.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values are stored in state memory: never renumber. */
enum amm_cipher {
    AMM_CIPHER_NONE = 0,
    AMM_CIPHER_AES_256_GCM = 1,
    AMM_CIPHER_AES_128_GCM = 2,
    AMM_CIPHER_CHACHA20_POLY1305 = 3,
};

enum { AMM_AEAD_KEY_MAX = 32, AMM_AEAD_NONCE = 12, AMM_AEAD_TAG = 16 };

/* "AES-256-GCM"; "none" for AMM_CIPHER_NONE. */
const char *amm_cipher_name(enum amm_cipher cipher);

/* Case-insensitive; AMM_CIPHER_NONE if the name is not one of ours. */
enum amm_cipher amm_cipher_find(struct amm_view name);

/* 32, 16 or 32 bytes. */
size_t amm_cipher_key_len(enum amm_cipher cipher);

/* A raw key. `serial` is its identity in the caches: unique among all keys of the process (give
 * each new key the next number of a counter), never 0. */
struct amm_aead_key {
    uint8_t bytes[AMM_AEAD_KEY_MAX];
    uint64_t serial;
    uint8_t cipher; /* enum amm_cipher */
    uint8_t reserved[7];
};

enum amm_aead_backend {
    AMM_AEAD_BEST,  /* ipsec-mb where the CPU and the build have it, else OpenSSL */
    AMM_AEAD_LIGHT, /* OpenSSL, and the best one from the first AMM_AEAD_LIGHT_BYTES on: for a small
                       machine with little to do, as the best one takes 2 MiB */
    AMM_AEAD_OPENSSL, /* reference */
    AMM_AEAD_NULL, /* tests only: no secrecy, a keyed checksum as the tag, so that wrong keys still
                      fail */
};

enum { AMM_AEAD_LIGHT_BYTES = 32 * 1024 * 1024 };

struct amm_aead;

/* `cache` is the number of expanded keys to keep (a key is used in one direction); about 1 KiB
 * each. NULL if out of memory. Owner: one thread. */
struct amm_aead *amm_aead_new(enum amm_aead_backend backend, size_t cache);
struct amm_aead *amm_aead_free(struct amm_aead *aead);

/* "ipsec-mb (avx512)", "openssl", "null": for the log and `ammctl tunnel status`. */
const char *amm_aead_name(const struct amm_aead *aead);

/* Encrypts `text[len]` in place and writes the tag. Never allocates after the key's first use, but
 * for the one change of AMM_AEAD_LIGHT. */
void amm_aead_seal(struct amm_aead *aead, const struct amm_aead_key *key,
                   const uint8_t nonce[AMM_AEAD_NONCE], struct amm_view aad, uint8_t *text,
                   size_t len, uint8_t tag[AMM_AEAD_TAG]);

/* Decrypts `text[len]` in place; false if the tag does not match, and then `text` is useless. */
bool amm_aead_open(struct amm_aead *aead, const struct amm_aead_key *key,
                   const uint8_t nonce[AMM_AEAD_NONCE], struct amm_view aad, uint8_t *text,
                   size_t len, const uint8_t tag[AMM_AEAD_TAG]);

/* Forgets the expanded form of a key that will not be used again, and wipes it. */
void amm_aead_forget(struct amm_aead *aead, const struct amm_aead_key *key);
