/* Making keys, certificates and revocation lists: for `ammctl pki` and amm-cad.
 *
 * ECDSA P-256 with SHA-256 throughout (but for the key of crypto/signed_time.h). All output is PEM
 * text in a buffer of AMM_PEM_MAX bytes, or, for lists, malloc'd. Functions return false and write
 * one sentence to `error[room]` when they fail. */
#pragma once

#include "crypto/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_PEM_MAX = 8192 };

enum amm_certificate_role {
    AMM_CERTIFICATE_CA,      /* basicConstraints CA, keyCertSign + cRLSign */
    AMM_CERTIFICATE_SERVER,  /* extendedKeyUsage serverAuth, keyUsage digitalSignature */
    AMM_CERTIFICATE_GATEWAY, /* extendedKeyUsage clientAuth, keyUsage digitalSignature */
    AMM_CERTIFICATE_TIME,    /* extendedKeyUsage timeStamping, keyUsage digitalSignature */
};

struct amm_certificate_request {
    enum amm_certificate_role role;
    const char *name;     /* common name, 1-64 characters */
    const char *dns_name; /* NULL, or a subjectAltName for a server */
    int64_t not_before;   /* seconds since 1970 */
    int64_t not_after;
};

bool amm_pki_key_new(char key[AMM_PEM_MAX], char *error, size_t room);

/* Signs a certificate for the public half of `subject_key`; `issuer_certificate` NULL makes it
 * self-signed. */
bool amm_pki_issue(const struct amm_certificate_request *request, const char *subject_key,
                   const char *issuer_certificate, const char *issuer_key,
                   char certificate[AMM_PEM_MAX], char *error, size_t room);

/* A public P-256 key: SubjectPublicKeyInfo as DER, named curve, uncompressed point. Its SHA-256 is
 * `key` of struct amm_identity. */
enum { AMM_P256_KEY = 91 };

/* The same for a public key whose private half is elsewhere. */
bool amm_pki_issue_to(const struct amm_certificate_request *request,
                      const uint8_t public_key[AMM_P256_KEY], const char *issuer_certificate,
                      const char *issuer_key, char certificate[AMM_PEM_MAX], char *error,
                      size_t room);

/* The public half of a private P-256 key. */
bool amm_pki_public_key(const char *key, uint8_t out[AMM_P256_KEY], char *error, size_t room);

/* One revoked certificate. */
struct amm_revocation {
    uint8_t serial[20];
    int64_t at;
};

/* Makes a list that replaces the issuer's former one; `*out` is malloc'd, the caller frees it. */
bool amm_pki_crl(const char *issuer_certificate, const char *issuer_key,
                 const struct amm_revocation *revoked, size_t n, uint64_t number, int64_t now,
                 int64_t next, char **out, char *error, size_t room);

/* Reads the identity fields of a PEM certificate. `issuer` is zero unless the certificate is
 * self-signed. */
bool amm_pki_identity(const char *certificate, struct amm_identity *out, char *error, size_t room);

/* First and last second at which a PEM certificate is valid, since 1970. */
bool amm_pki_validity(const char *certificate, int64_t *not_before, int64_t *not_after, char *error,
                      size_t room);

/* A static key (tls-auth, tls-crypt), 256 bytes, as text (hex lines between "OpenVPN Static key V1"
 * marks), and back. */
enum { AMM_STATIC_KEY = 256 };
void amm_static_key_text(const uint8_t key[AMM_STATIC_KEY], char out[AMM_PEM_MAX]);
bool amm_static_key_parse(const char *text, uint8_t key[AMM_STATIC_KEY]);

/* tls-crypt-v2 keys (WRAP-8). The client key is Kc || WKc. */
enum { AMM_V2_SERVER_KEY = 128, AMM_WKC_MAX = 1024, AMM_WKC_MIN = 290 };
void amm_v2_server_key_text(const uint8_t key[AMM_V2_SERVER_KEY], char out[AMM_PEM_MAX]);
bool amm_v2_server_key_parse(const char *text, uint8_t key[AMM_V2_SERVER_KEY]);
void amm_v2_client_key_text(const uint8_t kc[AMM_STATIC_KEY], const uint8_t *wkc, size_t wkc_len,
                            char out[AMM_PEM_MAX]);
bool amm_v2_client_key_parse(const char *text, uint8_t kc[AMM_STATIC_KEY], uint8_t wkc[AMM_WKC_MAX],
                             size_t *wkc_len);
