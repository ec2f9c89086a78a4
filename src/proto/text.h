/* Control messages in words, after the key exchange: "PUSH_REQUEST", "AUTH_FAILED,..."
 * (doc/protocol/text.md). On the wire each ends with NUL; several may stand in one TLS record. */
#pragma once

#include "base/bytes.h"
#include "proto/engine.h"

enum amm_text_kind {
    AMM_TEXT_UNKNOWN, /* well-formed, ignored */
    AMM_TEXT_PUSH_REQUEST,
    AMM_TEXT_PUSH_REPLY,   /* give `message` to amm_push_reader_add */
    AMM_TEXT_AUTH_FAILED,  /* is_temporary, backoff, next_remote */
    AMM_TEXT_AUTH_PENDING, /* timeout */
    AMM_TEXT_RESTART,      /* next_remote */
    AMM_TEXT_HALT,
    AMM_TEXT_INFO, /* INFO and INFO_PRE */
    AMM_TEXT_EXIT,
};

struct amm_text {
    enum amm_text_kind kind;
    bool is_temporary;       /* AUTH_FAILED,TEMP: try again */
    bool next_remote;        /* advance to the next remote */
    uint16_t backoff;        /* seconds to wait, 0 none */
    uint16_t timeout;        /* AUTH_PENDING: seconds, 0 none */
    struct amm_view message; /* the whole command without NUL; borrowed */
    struct amm_view reason;  /* the words for a person, may be empty; borrowed */
};

enum amm_text_result { AMM_TEXT_TAKEN, AMM_TEXT_END, AMM_TEXT_BAD };

/* Takes the next command off `*rest` (one TLS record). Trailing CR and LF are stripped, empty
 * commands skipped. BAD: not printable ASCII or not terminated; then all of the record is to be
 * dropped (CONTROL_TEXT). */
enum amm_text_result amm_text_next(struct amm_view *rest, struct amm_text *out);

/* Writers; each adds the NUL. `reason` is cut and cleaned. */
void amm_text_write(struct amm_writer *w, const char *command);

/* The refusal in words that the client of these IV_PROTO bits understands. */
void amm_text_refuse(struct amm_writer *w, enum amm_refusal refusal, uint16_t backoff,
                     uint32_t iv_proto, const char *reason);
