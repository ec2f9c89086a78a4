/* A stand-in for TLS with the shape of crypto/tls.h: deterministic, cheap, without secrecy.
 *
 * It has what the control channel depends on: flights of realistic size that need splitting and
 * reliability, certificates in the flights, a transcript check, records that one read returns one
 * at a time, an exporter on which both ends agree, refusals and alerts. Every record carries its
 * number and a keyed checksum, so a byte that is lost, doubled, reordered or changed below TLS ends
 * in AMM_TLS_FAILED, and is counted as a stream error: that is how tests see that control messages
 * come once and in order. */
#pragma once

#include "base/random.h"
#include "crypto/tls.h"

extern const struct amm_tls_ops amm_tls_fake;

/* Zero means the default where one is named. */
struct amm_fake_tls_settings {
    enum amm_role role;
    const char *name;       /* own common name; NULL: no certificate is sent */
    uint64_t serial;        /* own serial number; the key hash is made of name and serial */
    uint8_t issuer;         /* own issuer, and the only one that is trusted */
    uint64_t seed;          /* of this context's randomness */
    int64_t not_after;      /* end of the own certificate; default: far away */
    bool two_round_trips;   /* shape of TLS 1.2 (server finishes last) instead of 1.3; same on both
                               sides */
    uint16_t hello_len;     /* client's first flight, 280 */
    uint16_t server_flight; /* 1200 */
    uint16_t client_flight; /* 1000 */
};

/* NULL if out of memory. Free after its sessions are closed. */
struct amm_tls_context *amm_fake_tls_context_new(const struct amm_fake_tls_settings *settings);
struct amm_tls_context *amm_fake_tls_context_free(struct amm_tls_context *context);

/* Every later handshake of this context fails with `failure` when the peer's certificate comes
 * (AMM_TLS_OK: no longer). The peer gets an alert. */
void amm_fake_tls_refuse(struct amm_tls_context *context, enum amm_tls_failure failure);

/* Sends other names and serials from now on: an identity that changes at renegotiation. */
void amm_fake_tls_rename(struct amm_tls_context *context, const char *name, uint64_t serial);

struct amm_fake_tls_stats {
    uint32_t live;          /* sessions that are open()ed and not closed */
    uint32_t finished;      /* handshakes that reached OPEN */
    uint32_t stream_errors; /* bytes below TLS were not what the other side sent */
    uint32_t alerts;        /* alerts received */
    uint64_t records;       /* application records read */
};
struct amm_fake_tls_stats amm_fake_tls_stats(const struct amm_tls_context *context);
