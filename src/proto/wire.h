/* Control packets on the wire: first byte, body, early-negotiation TLV (doc/protocol/wire.md).
 *
 *   byte0 | own_sid(8) | [wrap fields] | BODY | [WKc]
 *   BODY = n_acks(1) | n_acks x ack(4) | peer_sid(8) if n_acks > 0 | message_id(4) unless ACK_V1 |
 * payload
 *
 * A session id is a number here, its eight bytes read as big-endian; 0 is no session id. */
#pragma once

#include "base/bytes.h"
#include "base/drop.h"

enum amm_opcode {
    AMM_OP_CONTROL_SOFT_RESET_V1 = 3,
    AMM_OP_CONTROL_V1 = 4,
    AMM_OP_ACK_V1 = 5,
    AMM_OP_DATA_V1 = 6,
    AMM_OP_CONTROL_HARD_RESET_CLIENT_V2 = 7,
    AMM_OP_CONTROL_HARD_RESET_SERVER_V2 = 8,
    AMM_OP_DATA_V2 = 9,
    AMM_OP_CONTROL_HARD_RESET_CLIENT_V3 = 10, /* tls-crypt-v2: WKc follows in clear */
    AMM_OP_CONTROL_WKC_V1 = 11,               /* CONTROL_V1 with WKc following in clear */
};

enum {
    AMM_CONTROL_HEADER = 9, /* byte0 and own session id */
    AMM_ACKS_MAX = 8,
    AMM_ACKS_IN_CONTROL = 4, /* what we put into packets other than ACK_V1 */
    AMM_BODY_OVERHEAD = 1 + 4 * AMM_ACKS_MAX + 8 + 4, /* largest BODY without its payload */
};

static inline uint8_t amm_byte0(enum amm_opcode opcode, unsigned key_id)
{
    return (uint8_t)((unsigned)opcode << 3 | (key_id & 7));
}

static inline unsigned amm_byte0_opcode(uint8_t byte0)
{
    return byte0 >> 3;
}

static inline uint8_t amm_byte0_key_id(uint8_t byte0)
{
    return byte0 & 7;
}

/* The key id of the renegotiation after `key_id`: 1..7, then 1 again. */
static inline uint8_t amm_key_id_next(uint8_t key_id)
{
    return (uint8_t)(key_id == 7 ? 1 : key_id + 1);
}

/* True for the opcodes that carry WKc at their end (10, 11). */
static inline bool amm_opcode_has_wkc(unsigned opcode)
{
    return opcode == AMM_OP_CONTROL_HARD_RESET_CLIENT_V3 || opcode == AMM_OP_CONTROL_WKC_V1;
}

/* A control packet, unwrapped. */
struct amm_control {
    uint64_t own_sid;  /* the sender's */
    uint64_t peer_sid; /* 0 without acks */
    uint32_t acks[AMM_ACKS_MAX];
    uint32_t message_id; /* 0 in ACK_V1 */
    uint8_t opcode;      /* enum amm_opcode */
    uint8_t key_id;
    uint8_t n_acks;
    struct amm_view payload; /* borrowed */
    struct amm_view wkc; /* seal only, opcodes 10 and 11: appended in clear. Not set by decoding */
};

/* First look at a packet of any source, before any cryptography: length, opcode, session id. Sets
 * opcode, key_id and own_sid of `out`. False with *why (CONTROL_SHORT, CONTROL_OPCODE,
 * CONTROL_ZERO_SID). */
bool amm_control_peek(struct amm_control *out, struct amm_view packet, enum amm_drop *why);

/* Decodes BODY into `out`, whose opcode amm_control_peek (or amm_wrap_open) has set. All of `body`
 * must be accounted for. False with *why = CONTROL_MALFORMED: more than 8 acks, cut short, acks
 * with a peer session id of zero, ACK_V1 without acks or with trailing bytes. */
bool amm_control_decode(struct amm_control *out, struct amm_view body, enum amm_drop *why);

/* Writes BODY. A failed writer means that there was no room or that n_acks is above 8. */
void amm_control_encode(struct amm_writer *w, const struct amm_control *control);

/* ---- early negotiation: TLVs in the payload of a server's hard reset ---- */

enum { AMM_EARLY_RESEND_WKC = 1 };

/* "send WKc again with message 1": 00 01 00 02 00 01. Six bytes. */
void amm_early_encode(struct amm_writer *w, uint16_t flags);

/* Reads the flags; unknown types are skipped, an empty payload means none. False if malformed. */
bool amm_early_decode(uint16_t *flags, struct amm_view payload);
