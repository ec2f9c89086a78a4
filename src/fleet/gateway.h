/* One simulated gateway: a client, its socket and its certificate. */
#pragma once

#include "identity.h"
#include "io/loop.h"
#include "io/tcp.h"
#include "options.h"
#include "proto/client.h"
#include "report.h"

/* What all gateways of the process share. */
struct fleet {
    const struct fleet_options *options;
    struct amm_loop *loop;
    struct amm_aead *aead;
    struct amm_drops drops;
    struct amm_random random;
    struct fleet_numbers numbers;
    struct shared_tun *tun; /* NULL: inner packets are answered here */
    struct amm_now now;
};

enum gateway_state {
    GATEWAY_RESTING,
    GATEWAY_CONNECTING,
    GATEWAY_JOINING,
    GATEWAY_UP,
    GATEWAY_REFUSED
};

struct stream { /* TCP */
    struct amm_frame_reader reader;
    struct amm_frame_writer writer;
};

struct gateway {
    struct fleet *fleet;
    uint32_t number; /* index in the fleet; tag in the loop */
    enum gateway_state state;
    struct identity identity;
    struct amm_client *client;
    int fd;
    struct amm_path path;
    struct stream *stream;
    amm_time began;     /* of this attempt */
    amm_time retry;     /* RESTING: when the next attempt is due */
    amm_time next_echo; /* AMM_NEVER: none */
    uint32_t inner_ip, server_ip;
    uint16_t sequence;
};

/* Starts an attempt; a failure is counted and tried again. The certificate must be there. */
void gateway_join(struct gateway *gateway);

/* The socket is ready. */
void gateway_ready(struct gateway *gateway, const struct amm_ready *ready);

/* Its deadline has passed. */
void gateway_expire(struct gateway *gateway);

amm_time gateway_deadline(const struct gateway *gateway);

/* Sends an inner packet of `len` bytes at out + AMM_DATA_OVERHEAD. */
void gateway_send_inner(struct gateway *gateway, uint8_t *out, size_t len);

/* Says goodbye (unless `silently`) and frees everything. */
void gateway_close(struct gateway *gateway, bool silently);
