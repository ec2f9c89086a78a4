/* Who a TLS peer is, as far as the tunnel needs it, and why a certificate was refused. */
#pragma once

#include <stdint.h>

enum { AMM_NAME_MAX = 64 };

/* Flat: stands in state memory so that a live tunnel can be cut when its certificate is revoked,
 * and so that a renegotiation can be compared with the first login. */
struct amm_identity {
    char name[AMM_NAME_MAX + 1]; /* common name: 1-64 printable characters without '/' or space */
    uint8_t serial[20];          /* certificate serial number, right-aligned */
    uint8_t issuer[32];          /* SHA-256 of the issuer's subject public key info */
    uint8_t certificate[32];     /* SHA-256 of the certificate */
    uint8_t key[32];             /* SHA-256 of the subject public key info */
    int64_t not_after;           /* seconds since 1970 */
};

/* Why a handshake failed. Kept per session as "last error", counted, and said in one log line. */
enum amm_tls_failure {
    AMM_TLS_OK = 0,
    AMM_TLS_NO_CERTIFICATE, /* the peer sent none */
    AMM_TLS_UNKNOWN_ISSUER, /* not signed by a CA that this side trusts */
    AMM_TLS_EXPIRED,
    AMM_TLS_NOT_YET_VALID,
    AMM_TLS_REVOKED,
    AMM_TLS_WRONG_ROLE, /* extended key usage is not the peer's role, or key usage forbids it */
    AMM_TLS_WRONG_NAME, /* not the expected server name, or a name that cannot be a gateway's */
    AMM_TLS_TOO_BIG,    /* chain, certificate or key beyond the limits of doc/protocol */
    AMM_TLS_BAD_SIGNATURE,
    AMM_TLS_VERSION,    /* no common protocol version */
    AMM_TLS_NO_CIPHER,  /* no common cipher suite */
    AMM_TLS_PEER_ALERT, /* the peer refused us; the alert is in the text */
    AMM_TLS_PROTOCOL,   /* anything else that TLS calls an error */
    AMM_TLS_NO_CRL,    /* revocation lists are in use, and the issuer's is missing or out of date */
    AMM_TLS_WRONG_PIN, /* HTTP clients: not the key, or not the CA, that was pinned */
    AMM_TLS_FAILURE_COUNT,
};

/* "expired": stable name. */
const char *amm_tls_failure_name(enum amm_tls_failure failure);

/* "certificate has expired (check the clock of the gateway, or renew the certificate)": for a
 * person. */
const char *amm_tls_failure_text(enum amm_tls_failure failure);
