/* What the files of the engine share. Nothing outside src/proto includes this.
 *
 *   engine.c            making, adopting, the table of sessions
 *   input.c             whose packet is it?
 *   admission.c         strangers: stateless answers, cookies, new sessions (server)
 *   commands.c          what the outside has decided
 *   negotiation.c       TLS and reliability of one key
 *   progress.c          all of them: number, order, moving on, deadlines
 *   handshake_server.c  what a server does with it     handshake_client.c  what a client does
 *   renegotiation.c     soft resets, either side
 *   output.c            composing packets
 *   events.c            the queue to the outside, and the end of sessions
 *
 * Rule against use after free: a negotiation is freed only by amm_engine_settle (and by what ends a
 * session from outside), never in the middle of handling a packet. Handlers mark it
 * (`session_over`, `finished`). */
#pragma once

#include "base/wheel.h"
#include "chains.h"
#include "client_engine.h"
#include "cookie.h"
#include "limiter.h"
#include "negotiation.h"
#include "session.h"
#include "text.h"

enum {
    LOOSE_PACKETS = 64, /* packets composed at once: stateless resets, ACKs of finished keys */
    LOOSE_MAX = 160,
    PARKED_PACKETS = 16,
    SAME_SID_MAX = 4,          /* sessions with one client session id */
    EVENTS_PENDING_MAX = 1024, /* above this the outside has stopped listening: input is dropped */
};

#define LINGER_REFUSED (5 * AMM_SECOND)
#define LINGER_FAILED (2 * AMM_SECOND)
#define LINGER_QUIET (1 * AMM_SECOND)
#define SWITCH_DELAY (2 * AMM_SECOND)
#define SAY_LIMIT (3 * AMM_SECOND)
#define PULL_INTERVAL (5 * AMM_SECOND)
#define EVICT_IDLE (1 * AMM_SECOND)
#define PARKED_LIFE (3 * AMM_SECOND)
#define FIRST_TIMEOUT (1 * AMM_SECOND)
#define ADOPT_SPREAD (10 * AMM_SECOND) /* overdue renewals of adopted sessions */

/* Per session, in the process only. */
struct runtime {
    struct negotiation *negotiation;
    uint32_t next_ready; /* queue of sessions that may have something to send */
    uint32_t next_free;
    bool is_ready;
};

struct loose_packet {
    struct amm_path path;
    uint16_t len;
    uint8_t data[LOOSE_MAX];
};

/* Message 2 that overtook message 1 of a new session. */
struct parked_packet {
    amm_time since; /* 0: free */
    uint64_t client_sid;
    struct amm_path path;
    uint16_t len;
    uint8_t data[AMM_CONTROL_MAX];
};

struct event_queue {
    struct amm_event *ring;
    uint32_t room, head, n; /* room is a power of two */
};

struct amm_engine {
    struct amm_engine_config config;
    struct amm_engine_env env;
    struct amm_drops *drops;
    struct session_table *table;
    struct amm_session *sessions;
    struct runtime *runtime;
    uint32_t first_free, n_sessions;
    uint32_t ready_first, ready_last;
    struct amm_chains by_sid;  /* server: client session id */
    struct amm_chains by_link; /* server, TCP: path.link */
    struct amm_wheel *wheel;
    struct negotiation *oldest, *newest;
    uint32_t n_negotiations;
    struct event_queue events;
    struct loose_packet *loose;
    uint32_t loose_head, n_loose;
    struct amm_wrap_clock clock;

    /* server */
    struct amm_wrap_context
        *port_wraps; /* of each port's static mode; never changed, only copied */
    struct amm_limiter *limiter;
    struct amm_cookie_key cookie;
    struct parked_packet *parked;
    uint32_t next_parked;

    char username[AMM_CREDENTIAL_MAX], password[AMM_CREDENTIAL_MAX];
    char version[32], platform[16];
    char event_text[160]; /* of the event taken last */
    uint8_t scratch[AMM_CONTROL_MAX];
    uint8_t record[AMM_KEY_METHOD_MAX];
};

static inline bool is_server(const struct amm_engine *engine)
{
    return engine->config.role == AMM_SERVER;
}

static inline uint32_t session_index(const struct amm_engine *engine,
                                     const struct amm_session *session)
{
    return (uint32_t)(session - engine->sessions);
}

/* Names the tunnel at both ends, for its whole life. */
static inline uint64_t amm_engine_epoch(const struct amm_engine *engine,
                                        const struct amm_session *session)
{
    return is_server(engine) ? session->own_sid : session->peer_sid;
}

static inline struct negotiation *negotiation_of(const struct amm_engine *engine,
                                                 const struct amm_session *session)
{
    return engine->runtime[session_index(engine, session)].negotiation;
}

static inline const struct amm_wrap_config *wrap_config_of(const struct amm_engine *engine,
                                                           const struct amm_session *session)
{
    return &engine->config.wraps[session->path.port_index];
}

/* ---- engine.c; a client's engine has one session ---- */

struct amm_session_ref amm_engine_ref(const struct amm_engine *engine,
                                      const struct amm_session *session);

/* A free record, begun and known under its names; NULL if the table is full. */
struct amm_session *amm_engine_take_session(struct amm_engine *engine, const struct amm_path *path,
                                            uint64_t own_sid, uint64_t peer_sid);

/* Wipes the record and everything that belongs to it, without a word. */
void amm_engine_forget_session(struct amm_engine *engine, struct amm_session *session);

/* ---- progress.c ---- */

/* A negotiation for `key_id`, TLS open; evicts the handshake that has waited longest if there are
 * too many. NULL with a counted drop. */
struct negotiation *amm_engine_negotiate(struct amm_engine *engine, struct amm_now now,
                                         struct amm_session *session, uint8_t key_id,
                                         uint32_t next_message);

/* Ends the half-open handshake `n` to make room; false if it made progress a moment ago. */
bool amm_engine_evict(struct amm_engine *engine, struct amm_now now, const struct negotiation *n);

/* Detaches and frees the session's negotiation; its numbers stay behind for late repetitions. */
void amm_engine_drop_negotiation(struct amm_engine *engine, struct amm_session *session);

/* Moves a negotiation on as far as it goes, then settles. */
void amm_engine_run(struct amm_engine *engine, struct amm_now now, struct amm_session *session);

/* Carries out what handlers marked, queues the session for output and sets its deadline. */
void amm_engine_settle(struct amm_engine *engine, struct amm_now now, struct amm_session *session);

/* The peer has said something new: its handshake is the last to be evicted. */
void amm_engine_made_progress(struct amm_engine *engine, struct amm_now now, struct negotiation *n);

/* ---- input.c ---- */

/* Feeds a control packet of this session that was authenticated and decoded. */
void amm_engine_take_control(struct amm_engine *engine, struct amm_now now,
                             struct amm_session *session, const struct amm_control *control);

/* ---- admission.c ---- */

/* Makes what admission needs. False if out of memory. */
bool amm_engine_init_admission(struct amm_engine *engine);

/* A packet of no known session. True unless it is malformed or not authentic. */
bool amm_engine_admit(struct amm_engine *engine, struct amm_now now, const struct amm_path *path,
                      struct amm_view packet, const struct amm_control *peek);

/* ---- handshakes ---- */

/* Takes one TLS record of plaintext. */
void amm_server_record(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                       struct negotiation *n, struct amm_view record);
void amm_client_record(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                       struct negotiation *n, struct amm_view record);

/* Takes the next step if it can; true if it did. TLS is open. */
bool amm_server_advance(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        struct negotiation *n);
bool amm_client_advance(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        struct negotiation *n);

void amm_server_verdict(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        struct negotiation *n, const struct amm_command *command);

/* Begins to say the refusal of `n` (n->say) on an established session. */
void amm_server_say(struct amm_engine *engine, struct negotiation *n);

/* The data plane has no room for the peer, or none for its new keys. */
void amm_server_not_installed(struct amm_engine *engine, struct amm_session *session,
                              struct negotiation *n);

/* Says goodbye on the control channel where the server wants it there; true if it does. */
bool amm_client_say_exit(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                         struct negotiation *n);

/* The peer uses the new keys, or, in a server, has its PUSH_REPLY for sure. */
void amm_server_proven(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                       struct negotiation *n);

/* The data plane has the keys. */
void amm_server_installed(struct amm_engine *engine, struct amm_now now,
                          struct amm_session *session, struct negotiation *n);
void amm_client_installed(struct amm_engine *engine, struct amm_now now,
                          struct amm_session *session, struct negotiation *n);

void amm_client_connect_to(struct amm_engine *engine, struct amm_now now,
                           const struct amm_path *path);

/* Takes the server's hard reset. False if it is not for us. */
bool amm_client_take_reset(struct amm_engine *engine, struct amm_session *session,
                           struct negotiation *n, const struct amm_control *control);

/* ---- renegotiation.c ---- */

/* A soft reset of the peer for a key that is not being made. */
void amm_engine_soft_reset(struct amm_engine *engine, struct amm_now now,
                           struct amm_session *session, const struct amm_control *control);

/* This side starts; false if it cannot now. */
bool amm_engine_renegotiate(struct amm_engine *engine, struct amm_now now,
                            struct amm_session *session);

/* Both key exchange messages are there: makes the data keys and hands them to the plane as `op`. */
bool amm_engine_install_keys(struct amm_engine *engine, struct amm_session *session,
                             struct negotiation *n, enum amm_plane_op op);

/* The new keys are in use on both sides. */
void amm_engine_renewed(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        struct negotiation *n);

/* The renegotiation has failed: the keys in use go on until their time is over. */
void amm_engine_not_renewed(struct amm_engine *engine, struct amm_now now,
                            struct amm_session *session);

/* Sets when this side renegotiates next. */
void amm_engine_plan_renewal(struct amm_engine *engine, struct amm_now now,
                             struct amm_session *session);

/* Makes `session->dynamic` from the first TLS session. */
bool amm_engine_make_dynamic_wrap(struct amm_engine *engine, struct amm_session *session,
                                  struct negotiation *n);

/* ---- output.c ---- */

/* Bytes of payload that fit one control packet of this session. */
size_t amm_engine_chunk(const struct amm_session *session, uint8_t key_id);

/* The context that wraps this key id. */
struct amm_wrap_context *amm_session_wrap(struct amm_session *session, uint8_t key_id);

/* Room for a packet that is composed at once; NULL (counted) if too many wait. */
struct loose_packet *amm_engine_loose(struct amm_engine *engine, const struct amm_path *path);

void amm_engine_make_ready(struct amm_engine *engine, struct amm_session *session);

/* Acknowledges what came late for a key without negotiation. */
void amm_engine_acknowledge_late(struct amm_engine *engine, struct amm_now now,
                                 struct amm_session *session);

/* ---- events.c ---- */

/* Room for an event about `session` (kind, session, path are set); a dummy if memory is out. */
struct amm_event *amm_engine_event(struct amm_engine *engine, const struct amm_session *session,
                                   enum amm_event_kind kind);

/* Queues a command for the data plane; the caller may fill in keys and the rest. */
struct amm_event *amm_engine_plane(struct amm_engine *engine, const struct amm_session *session,
                                   enum amm_plane_op op);

/* Ends a session: the data plane is told `op` if it has the peer, the outside is told why, the
 * record is freed. */
void amm_engine_end(struct amm_engine *engine, struct amm_session *session,
                    const struct ending *ending, enum amm_plane_op op);

/* The same without an ending of its own. */
void amm_engine_end_because(struct amm_engine *engine, struct amm_session *session,
                            enum amm_close_reason reason, const char *text, enum amm_plane_op op);

/* Marks: this session is over when the current call is through. Texts are cut and cleaned. */
void amm_negotiation_over(struct negotiation *n, enum amm_close_reason reason, const char *text);
