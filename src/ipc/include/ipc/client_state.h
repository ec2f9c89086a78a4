/* The state of a running ammer, as it tells it on its local socket: a program connects
 * (SOCK_SEQPACKET), gets one packet and the connection is closed. The packet is text, `key=value`
 * lines in a fixed order, so that a later version can add keys; unknown keys are skipped. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_CLIENT_STATE_MAX = 2048 };

enum amm_client_phase {
    AMM_PHASE_WAITING_FOR_TIME,
    AMM_PHASE_RESOLVING,
    AMM_PHASE_CONNECTING,
    AMM_PHASE_AUTHENTICATING,
    AMM_PHASE_UP,
    AMM_PHASE_BACKING_OFF,
    AMM_PHASE_REFUSED, /* by the server, for good; tried again slowly */
    AMM_PHASE_COUNT,
};

/* "waiting-for-time" */
const char *amm_client_phase_name(enum amm_client_phase phase);

struct amm_client_state {
    enum amm_client_phase phase;
    int64_t since;              /* wall seconds; when the phase began */
    char remote[300];           /* "host:port/udp" as configured; "" before the first try */
    struct amm_address address; /* outer address of the server; family NONE if unknown */
    uint32_t inner_ip;          /* 0 while there is none */
    uint32_t server_ip;         /* the server's own address inside the tunnel; 0 if unknown */
    uint64_t epoch;             /* of the tunnel: the server's session id; 0 while not up */
    char tun[16];
    char server[65]; /* name in the server's certificate; "" while not up */
    char cipher[24];
    char tls[64];
    uint32_t joins;    /* how often the tunnel came up since the start */
    uint32_t next_try; /* seconds from now; 0 if none is planned */
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; /* inner, of this session */
    char last_error[200];                                /* in words; "" if there was none */
};

/* The length, or 0 if it does not fit. Text is cleaned: one line each, printable ASCII. */
size_t amm_client_state_encode(const struct amm_client_state *state, uint8_t *out, size_t room);

/* False if it is malformed: no phase, a value that cannot be parsed, a line that is no key=value.
 */
bool amm_client_state_decode(struct amm_client_state *out, struct amm_view packet);

/* As one JSON object with a newline; the length, or 0 if it does not fit. */
size_t amm_client_state_json(const struct amm_client_state *state, char *out, size_t room);
