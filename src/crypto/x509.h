/* Small steps with certificates that TLS and the making of certificates share. Private to this
 * folder. */
#pragma once

#include "base/bytes.h"
#include "crypto/identity.h"
#include "crypto/pki.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

/* Limits on what a peer may present (doc/protocol). */
enum { CERTIFICATE_MAX = 8192, CHAIN_MAX = 4, RSA_MIN = 2048, RSA_MAX = 4096 };

/* Writes one sentence to `error[room]`; returns false, so that a failure is one line. */
bool refuse(char *error, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* All certificates of a PEM text, in order; NULL if there is none or one is damaged. `what` leads
 * the error
 * ("ca"). The caller frees the stack and its certificates. */
STACK_OF(X509) * certificates_from_pem(OSSL_LIB_CTX *lib, const char *pem, const char *what,
                                       char *error, size_t room);

/* The one unencrypted private key of a PEM text, or NULL. */
EVP_PKEY *key_from_pem(OSSL_LIB_CTX *lib, const char *pem, const char *what, char *error,
                       size_t room);

/* True if the bytes have the form of a P-256 key; the point may still not be on the curve. */
bool is_p256(const uint8_t key[AMM_P256_KEY]);

/* The public key, or NULL if it has another form or its point is not on the curve. */
EVP_PKEY *key_from_p256(const uint8_t key[AMM_P256_KEY], char *error, size_t room);

/* SHA-256 of the certificate's subject public key info. */
bool key_hash(const X509 *certificate, uint8_t out[32]);

/* Fills everything but the name; false if the serial number is out of range or memory is short.
 * `issuer` may be the certificate itself. */
bool identity_from(const X509 *certificate, const X509 *issuer, struct amm_identity *out);

/* The common name as it stands in the certificate, not cleaned; false if there is none or more than
 * one, or if it does not fit. */
bool common_name(const X509 *certificate, char out[AMM_NAME_MAX + 1], size_t *len);

/* True for 1-64 printable characters without '/' and space. */
bool name_is_good(const char *name, size_t len);

/* The common name made fit for logs, "?" if there is none. */
void name_for_people(const X509 *certificate, char out[AMM_NAME_MAX + 1]);

bool time_from_asn1(const ASN1_TIME *time, int64_t *out);
/* False if the year has not four digits, `out` is NULL, or memory is short. */
bool time_to_asn1(int64_t wall, ASN1_TIME *out);

/* P-256, P-384, Ed25519 or RSA of 2048-4096 bits. */
bool key_is_acceptable(const X509 *certificate);
