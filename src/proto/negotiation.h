/* The making of one key: TLS, reliability and key exchange of one key id. On the heap while it
 * lasts; their number is bounded (amm_engine_config.n_negotiations). Owned by its session's slot in
 * the engine. */
#pragma once

#include "key_method.h"
#include "keys.h"
#include "proto/engine.h"
#include "reliable.h"

/* Where a negotiation stands. `C` client only, `S` server only, `R` renegotiations only. */
enum negotiation_step {
    STEP_RESET,   /* own reset is out, the peer's has not come */
    STEP_KEYS,    /* TLS, until the peer's key exchange message has come */
    STEP_VERDICT, /* S: the outside decides */
    STEP_INSTALL, /* the data plane installs the keys */
    STEP_CONFIRM, /* own key exchange message must be acknowledged */
    STEP_PULL,    /* S: PUSH_REQUEST is waited for. C: PUSH_REPLY is */
    STEP_PUSH,    /* S: PUSH_REPLY must be acknowledged */
    STEP_SWITCH,  /* R: the peer gets time to install its keys before we send with ours */
    STEP_REFUSE,  /* S: own key exchange message must be acknowledged, then the refusal is said */
    STEP_LINGER,  /* last words are on their way; then the session ends */
    STEP_IDLE,    /* C: done; TLS is kept for what the server may say */
};

/* How a session ends: what goes into AMM_EVENT_CLOSED. */
struct ending {
    enum amm_close_reason reason;
    enum amm_tls_failure failure;
    bool try_next_remote, is_final;
    uint16_t backoff;
    char text[160];
};

struct negotiation {
    uint32_t session; /* index */
    enum negotiation_step step;
    uint8_t key_id;
    bool own_start; /* R: this side began */
    bool tls_failed;
    bool key_method_sent;
    bool push_requested; /* S */
    bool resend_wkc;     /* C: message 1 goes out as opcode 11 */
    bool has_raw_key;
    bool linger_ends_session; /* else lingering ends the negotiation only */
    bool session_over;        /* the session ends with `ending` when the current call is through */
    bool finished;            /* the negotiation does; the session goes on */
    bool say;                 /* S, R: was started only to say `refusal` */

    struct negotiation *older, *newer; /* by last progress */
    amm_time started, progress;
    amm_time act_at;       /* next PUSH_REQUEST, end of SWITCH or LINGER; AMM_NEVER */
    amm_time give_up;      /* end of the hand window */
    uint64_t limit_bucket; /* S: whose token is given back when the handshake completes; 0 none */

    struct amm_tls *tls;
    struct amm_key_exchange exchange;
    uint8_t raw_key[AMM_STATIC_KEY]; /* the session's own wrap key, for the dynamic key */
    uint8_t *partial; /* a key exchange message that came in several records; NULL else */
    size_t partial_len;

    enum amm_refusal refusal;
    uint16_t refusal_backoff;
    struct ending ending;

    char occ[AMM_OPTIONS_MAX]; /* S: the client's options string */
    char username[AMM_CREDENTIAL_MAX], password[AMM_CREDENTIAL_MAX];
    struct amm_peer_info info;
    struct amm_push push;
    struct amm_push_reader pushed; /* C */
    struct amm_reliable reliable;
};

/* Heap memory with randomness for the key exchange, unlinked; NULL if there is none. */
struct negotiation *amm_negotiation_new(const struct amm_random *random);

/* Closes TLS, wipes and frees. */
struct negotiation *amm_negotiation_free(struct negotiation *n, const struct amm_tls_ops *tls);

/* Passes messages that came in order to TLS and moves it on. False if TLS has failed (for the first
 * time). */
bool amm_negotiation_feed(struct negotiation *n, const struct amm_tls_ops *tls);

/* Moves TLS output into the send window, in messages of at most `chunk` bytes (the first of key id
 * 0 in a client that resends WKc: `first_chunk`). */
void amm_negotiation_drain(struct negotiation *n, const struct amm_tls_ops *tls, amm_time now,
                           size_t chunk, size_t first_chunk);

/* Everything that this side wants the peer to have has been acknowledged. Valid after a drain. */
bool amm_negotiation_is_quiet(const struct negotiation *n);

enum amm_tls_state amm_negotiation_tls_state(struct negotiation *n, const struct amm_tls_ops *tls);

/* Adds a TLS record to the key exchange message under way and decodes it. */
enum amm_parse amm_negotiation_key_method(struct negotiation *n, enum amm_role sender,
                                          struct amm_view record, struct amm_key_method *out);
