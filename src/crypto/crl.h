/* A set of revocation lists: immutable once read, replaced as a whole. Private to this folder.
 *
 * OpenSSL's own check would verify the signature of the whole list in every handshake (milliseconds
 * for 100 000 entries). Here each list is verified once, against the trusted issuers, when it is
 * read. */
#pragma once

#include "crypto/identity.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

struct crl_set;

enum crl_answer { CRL_GOOD, CRL_REVOKED, CRL_NO_LIST, CRL_OUT_OF_DATE };

/* Reads every list of the text. NULL with a sentence in `error` if there is none, if one is
 * damaged, is not signed by one of `trusted`, or carries a critical extension. Dates are checked
 * only at use. */
struct crl_set *crl_set_new(OSSL_LIB_CTX *lib, const char *pem, const STACK_OF(X509) * trusted,
                            char *error, size_t room);
struct crl_set *crl_set_free(struct crl_set *set);

/* True if every list is in date at `wall`, and every issuer in `old` (may be NULL) has a list in
 * `set`. */
bool crl_set_replaces(const struct crl_set *set, const struct crl_set *old, int64_t wall,
                      char *error, size_t room);

/* The status of the certificate with `serial`, issued by the key with hash `issuer`. */
enum crl_answer crl_set_ask(const struct crl_set *set, const uint8_t issuer[32],
                            const uint8_t serial[20], int64_t wall);
