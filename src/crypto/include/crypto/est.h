/* Bodies of EST (RFC 7030 with the corrections of RFC 8951): base64 without armour around a PKCS#10
 * request one way, and around certificates (certs-only PKCS#7: SignedData without content and
 * without signers) the other way. */
#pragma once

#include "base/bytes.h"
#include "crypto/csr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_EST_BODY_MAX = 65536, AMM_EST_CERTIFICATES_MAX = 16 };

#define AMM_EST_CERTIFICATES_TYPE "application/pkcs7-mime; smime-type=certs-only"
#define AMM_EST_REQUEST_TYPE "application/pkcs10"

/* The body of an answer with all certificates of a PEM text, in their order; `*out` is malloc'd
 * text of `*len` bytes with a NUL behind them. */
bool amm_est_certificates_write(const char *certificates, char **out, size_t *len, char *error,
                                size_t room);

/* The certificates of such a body as PEM text, in their order; `*out` is malloc'd. Refused: a body
 * that is not exact base64 (line ends apart), signers, content, more than AMM_EST_CERTIFICATES_MAX
 * certificates or none, bytes left over. Nothing is verified but the form: who may be trusted is
 * the caller's question. */
bool amm_est_certificates_read(struct amm_view body, char **out, char *error, size_t room);

/* The one certificate of a PEM text whose public key has the SHA-256 `pin`: the server CA among the
 * answers of "cacerts", by the second half of a token. False if there is none. */
bool amm_est_pinned(const char *certificates, const uint8_t pin[32], char out[AMM_PEM_MAX]);

/* The key of the request in a body; base64 with or without line ends. */
bool amm_est_request_read(struct amm_view body, uint8_t key[AMM_P256_KEY], char *error,
                          size_t room);

/* The body of a request; malloc'd. */
bool amm_est_request_write(const char *key, const char *name, char **out, size_t *len, char *error,
                           size_t room);
