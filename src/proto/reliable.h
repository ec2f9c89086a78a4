/* Reliability of one key id's control messages: window, acknowledgements, retransmission
 * (doc/protocol/reliability.md). Flat, bounded, no allocation; about 27 KiB inside a negotiation.
 */
#pragma once

#include "base/bytes.h"
#include "base/time.h"

enum {
    AMM_MESSAGE_MAX = 1200,    /* payload we send */
    AMM_MESSAGE_RX_MAX = 1536, /* payload we take: whatever fits one unfragmented datagram */
    AMM_SEND_WINDOW = 6,
    AMM_RECEIVE_WINDOW = 12,
    AMM_RECENT_ACKS = 8,
};

/* What survives the negotiation, in state memory: enough to acknowledge and discard what the peer
 * repeats. */
struct amm_reliable_numbers {
    uint32_t next_tx, next_rx;
    uint32_t recent[AMM_RECENT_ACKS]; /* ids acknowledged last, newest first */
    uint8_t n_recent;
    uint8_t fresh; /* bit i: recent[i] has not been sent yet */
    uint8_t reserved[2];
};

struct amm_sent_message {
    amm_time due;         /* when it is sent (again) */
    amm_time sent;        /* last transmission */
    amm_duration timeout; /* after the next transmission */
    uint32_t id;
    uint16_t len;
    uint8_t opcode;
    uint8_t later_acks; /* ids above this one acknowledged since its last transmission */
    uint16_t transmissions;
    bool used;
    uint8_t data[AMM_MESSAGE_MAX];
};

struct amm_received_message {
    uint16_t len;
    uint8_t opcode;
    bool used;
    uint8_t data[AMM_MESSAGE_RX_MAX];
};

struct amm_reliable {
    struct amm_reliable_numbers numbers;
    amm_duration first_timeout;
    amm_duration rtt; /* smoothed; 0 unknown */
    struct amm_sent_message out[AMM_SEND_WINDOW];
    struct amm_received_message in[AMM_RECEIVE_WINDOW]; /* slot = id mod window */
};

/* A message to send or to deliver. The payload is borrowed until the next call with this
 * `reliable`. */
struct amm_message {
    uint32_t id;
    uint8_t opcode;
    struct amm_view payload;
};

/* `next_tx`, `next_rx`: 0 and 0 for a new key; 1 and 1 for a server session made from a cookie.
 * `first_timeout`: before the first retransmission (1 s); doubles each time up to 8 s. */
void amm_reliable_init(struct amm_reliable *r, uint32_t next_tx, uint32_t next_rx,
                       amm_duration first_timeout);

/* ---- sending ---- */

/* How many more messages the send window takes now. */
unsigned amm_reliable_room(const struct amm_reliable *r);

/* Queues a message, due at once. False if the window is full or the payload longer than
 * AMM_MESSAGE_MAX. */
bool amm_reliable_send(struct amm_reliable *r, amm_time now, uint8_t opcode,
                       struct amm_view payload);

/* The next message that is due, lowest id first, counted as sent now; false if none is. */
bool amm_reliable_next_to_send(struct amm_reliable *r, amm_time now, struct amm_message *out);

/* The peer acknowledged `id`. True if that was news. Unknown and old ids are fine. */
bool amm_reliable_ack(struct amm_reliable *r, amm_time now, uint32_t id);

/* True when every message sent has been acknowledged. */
bool amm_reliable_is_idle(const struct amm_reliable *r);

/* When amm_reliable_next_to_send has something again; AMM_NEVER if nothing is in flight. */
amm_time amm_reliable_deadline(const struct amm_reliable *r);

/* ---- receiving ---- */

enum amm_receipt {
    AMM_RECEIPT_STORED,    /* new: acknowledge; drain amm_reliable_next_delivery */
    AMM_RECEIPT_DUPLICATE, /* seen before: acknowledge again */
    AMM_RECEIPT_REFUSED,   /* outside the window, or too long: no acknowledgement (drop
                              MESSAGE_WINDOW) */
};

/* Takes a message; notes the acknowledgement itself where one is due. */
enum amm_receipt amm_reliable_receive(struct amm_reliable *r, uint32_t id, uint8_t opcode,
                                      struct amm_view payload);

/* The next message in order; false if it has not come yet. */
bool amm_reliable_next_delivery(struct amm_reliable *r, struct amm_message *out);

/* ---- acknowledgements; on the numbers, so that they work with and without a negotiation ---- */

/* True if acknowledgements wait that no packet has carried yet. */
bool amm_acks_waiting(const struct amm_reliable_numbers *numbers);

/* Fills `acks` with up to `limit` (at most 8) ids: those not sent yet first, then the last ones
 * again. Their number; they count as sent. */
uint8_t amm_acks_take(struct amm_reliable_numbers *numbers, uint32_t *acks, unsigned limit);

/* A message for a key whose TLS is gone: noted for acknowledgement and forgotten. False if it is
 * outside the window (no acknowledgement). */
bool amm_numbers_discard(struct amm_reliable_numbers *numbers, uint32_t id);
