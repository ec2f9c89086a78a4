/* One tunnel as the data path sees it: a flat struct of at most 2 KiB in state memory
 * (ARCHITECTURE.md, "Memory that outlives a process").
 *
 * The record outlives the process: no pointers, fixed widths, a layout version. The owner is
 * the worker `slot mod W`; other threads read it with amm_peer_read(). `sequence` is odd while
 * fields that belong together are changed: a reader tries again, and a new process that finds it
 * odd drops that one peer. */
#pragma once

#include "base/address.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "crypto/identity.h"
#include "data/replay.h"

#include <stdbool.h>
#include <stdint.h>

/* The data keys of one negotiation. */
struct amm_data_keys {
    uint8_t cipher; /* enum amm_cipher */
    uint8_t key_id; /* 0..7 */
    uint8_t reserved[6];
    uint8_t rx_key[AMM_AEAD_KEY_MAX], tx_key[AMM_AEAD_KEY_MAX];
    uint8_t rx_iv[8], tx_iv[8];
};

enum amm_key_state {
    AMM_KEY_EMPTY = 0,
    AMM_KEY_RECEIVE =
        1,            /* opens packets; the first one that authenticates makes it the sending key */
    AMM_KEY_SEND = 2, /* opens and, being the newest of this state, seals */
};

struct amm_key_slot {
    struct amm_aead_key rx, tx;
    uint8_t rx_iv[8], tx_iv[8];
    uint8_t state; /* enum amm_key_state */
    uint8_t key_id;
    uint8_t worn; /* NOTE_WORN was given */
    uint8_t reserved;
    uint32_t order;   /* higher is newer, among the slots of a peer */
    uint32_t tx_next; /* next packet id to send; stored before the packet leaves */
    uint32_t
        tx_reserved; /* ids below this may have been used; a process that takes over starts here */
    uint64_t tx_blocks; /* packets + 16-byte blocks sealed: bounded for AES-GCM, DATA-4 */
    uint64_t rx_blocks;
    uint64_t rx_failed; /* packets that failed authentication */
    amm_time dies;      /* end of a replaced key (lame duck), or AMM_NEVER */
    struct amm_replay replay;
};

/* Whom to tell: the control session that made this peer. */
struct amm_session_ref {
    uint32_t index;  /* in the engine's session table */
    uint32_t tag;    /* differs for each session that used this index; never 0 */
    uint16_t thread; /* handshake thread (engine) number; 0 in a client */
    uint16_t reserved;
};

enum amm_peer_state { AMM_PEER_FREE = 0, AMM_PEER_LIVE = 1 };

enum { AMM_KEY_SLOTS = 2 };

struct amm_peer {
    uint32_t sequence;
    uint8_t state;       /* enum amm_peer_state */
    uint8_t data_v1;     /* send DATA_V1: client of a server that pushed no peer id */
    uint8_t exit_wanted; /* it was told, or is about to be told, to reconnect; then it is dropped */
    uint8_t exit_sent;   /* exit messages that left */
    uint32_t peer_id;
    uint32_t inner_ip;
    struct amm_session_ref session;
    struct amm_path path;
    struct amm_key_slot keys[AMM_KEY_SLOTS];
    uint16_t ping;         /* seconds of silence of ours after which a ping is sent; 0 never */
    uint16_t ping_restart; /* seconds of silence of theirs after which the peer is gone; 0 never */
    uint16_t mss;          /* TCP MSS to clamp SYNs to */
    uint16_t segment;      /* largest batch segment (datagram bytes) its path took; 0 not limited */
    amm_time last_rx;      /* last authenticated data packet */
    amm_time last_tx;
    amm_time moved;                /* last address change */
    int64_t since;                 /* wall seconds */
    uint64_t epoch;                /* the server's session id: names the tunnel at both ends */
    uint64_t rx_packets, rx_bytes; /* inner */
    uint64_t tx_packets, tx_bytes;
    uint64_t dropped;  /* packets of this peer that were dropped after authentication */
    uint8_t last_drop; /* enum amm_drop of the last of them; AMM_DROP_COUNT none */
    char name[AMM_NAME_MAX + 1];
    uint8_t tail[6];
};

_Static_assert(sizeof(struct amm_peer) <= 2048, "a peer is at most 2 KiB");

/* Consistent copy of a record that another thread owns, without key bytes; false if it is free or
 * torn. */
bool amm_peer_read(const struct amm_peer *peer, struct amm_peer *out);
