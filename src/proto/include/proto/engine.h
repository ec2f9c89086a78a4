/* The control channel of the tunnel, both roles, without I/O.
 *
 *   input    a control packet came in           output     a control packet must go out
 *   expire   a deadline has passed              next_event what the outside must know or do
 *   command  what the outside decided
 *
 * Call any of them, then drain output() and next_event() until both are empty (the last packet of a
 * session makes an event while it is sent), then sleep until deadline(). Nothing calls back; no
 * event needs its answer before the next call. Time, randomness and TLS are given; there are no
 * threads, sockets or clocks here, and bad input is a counted drop, never an error. One engine, one
 * thread at a time. A server runs one engine per handshake thread; each owns the sessions whose
 * client session id falls to it.
 *
 * Two kinds of memory: a *session* is flat, small and lives in state memory as long as its tunnel;
 * a *negotiation* (TLS, reliability, buffers) lives on the heap, only while a key is being made,
 * and their number is bounded. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/drop.h"
#include "base/random.h"
#include "base/time.h"
#include "crypto/identity.h"
#include "crypto/tls.h"
#include "data/plane.h"
#include "proto/push.h"
#include "proto/wrap.h"

enum {
    AMM_CONTROL_MAX = 2048
}; /* largest control packet taken; ours stay at or below 1206 bytes */

struct amm_engine;
struct amm_session; /* flat record in state memory; layout in proto/session.h */

struct amm_engine_config {
    enum amm_role role;
    uint16_t thread; /* number that goes into session refs */

    /* Server: settings per tunnel port, by path.port_index. Client: one. Borrowed for the engine's
     * life. */
    const struct amm_wrap_config *wraps;
    uint8_t n_wraps;

    uint8_t ciphers[3];     /* enum amm_cipher in order of preference; AMM_CIPHER_NONE ends the list
                               early */
    bool dynamic_tls_crypt; /* negotiate it where the peer can */
    bool exporter; /* key derivation by TLS exporter where the peer can; false: always the PRF
                      (tests) */

    uint32_t n_sessions;      /* records in `sessions` */
    uint32_t n_negotiations;  /* bound on handshakes under way, 512 */
    amm_duration hand_window; /* 60 s */
    amm_duration
        half_open_window; /* server: a handshake without progress is evicted after this, 30 s */
    amm_duration
        renegotiate; /* 0: only the peer does; else the time after which this side starts */
    amm_duration renegotiate_min; /* server: soft resets of a peer closer than this are dropped, 5
                                     s; 0 tests */
    amm_duration tran_window;     /* 3600 s */

    /* Server: unanswered resets per prefix and second that are answered (token bucket), and in all.
     */
    uint32_t resets_per_prefix, resets_total;

    /* Client */
    const char *username, *password; /* NULL: not sent. Copied. */
    const char *version;             /* IV_VER, "amm-0.1.0" */
    const char *platform;            /* IV_PLAT, "linux" */
    uint16_t mtu;                    /* IV_MTU: largest tun-mtu this side can take, 1500 */
    uint16_t ping, ping_restart;     /* seconds; for servers that push none. 0: none */
    uint16_t keep_alive; /* seconds; a client pings at least so often, whatever is pushed. 0: as
                            pushed */
    bool release_tls; /* free TLS after joining, as a server does; then nothing that the server says
                         in words later is heard. For fleets of simulated clients */
};

/* The limits and windows of doc/protocol; set role, wraps and table sizes yourself. */
void amm_engine_config_defaults(struct amm_engine_config *config);

struct amm_engine_env {
    struct amm_random random;
    const struct amm_tls_ops *tls;
    struct amm_tls_context *tls_context; /* outlives the engine */
};

/* Bytes of `sessions` memory for n sessions. */
size_t amm_session_table_size(uint32_t n);

/* `sessions`: zeroed when new, or left by a former process; belongs to the caller. Established
 * sessions found there go on (their wraps with a larger time); what was still negotiating is
 * dropped without a word, so that the client starts again. `drops` is counted into by this engine
 * only. NULL if out of memory. */
struct amm_engine *amm_engine_new(const struct amm_engine_config *config,
                                  const struct amm_engine_env *env, void *sessions,
                                  struct amm_drops *drops, struct amm_now now);
struct amm_engine *amm_engine_free(struct amm_engine *engine);

/* ---- packets ---- */

/* Takes a control packet. False if it was dropped as malformed or unauthenticated: a TCP connection
 * is closed then (WIRE-1), a UDP datagram is just gone. The engine keeps no pointer to `packet`. */
bool amm_engine_input(struct amm_engine *engine, struct amm_now now, const struct amm_path *path,
                      struct amm_view packet);

struct amm_control_out {
    struct amm_path path;
    size_t len;
    uint8_t data[AMM_CONTROL_MAX];
};

/* The next control packet to send; false when there is none. */
bool amm_engine_output(struct amm_engine *engine, struct amm_now now, struct amm_control_out *out);

amm_time amm_engine_deadline(const struct amm_engine *engine);
void amm_engine_expire(struct amm_engine *engine, struct amm_now now);

/* ---- events ---- */

enum amm_event_kind {
    AMM_EVENT_AUTHORISE, /* server: say VERDICT; nothing is pushed and no key is installed before */
    AMM_EVENT_PLANE,     /* hand `plane` to the data plane of plane.port_index and peer id */
    AMM_EVENT_PUSHED,    /* client: the server's options; `push` */
    AMM_EVENT_JOINED,    /* the tunnel is up (server: the client acknowledged PUSH_REPLY) */
    AMM_EVENT_RENEWED,   /* a renegotiation is done */
    AMM_EVENT_MESSAGE, /* client: the server said something: `text` ("INFO,..."), shown to a person
                        */
    AMM_EVENT_CLOSED, /* the session is over: `reason`, `text`; an established peer's plane entry is
                         removed by an earlier PLANE event. TCP: close the connection of `path`
                         after output() */
};

/* Why a session ended or never came to be. */
enum amm_close_reason {
    AMM_CLOSE_TLS,       /* `failure` says which check */
    AMM_CLOSE_REFUSED,   /* server: the verdict; client: AUTH_FAILED */
    AMM_CLOSE_NO_CIPHER, /* no common data cipher */
    AMM_CLOSE_TIMEOUT,   /* handshake not finished */
    AMM_CLOSE_SILENT,    /* ping-restart */
    AMM_CLOSE_EXIT,      /* the peer left */
    AMM_CLOSE_REPLACED,  /* a newer session of the same gateway */
    AMM_CLOSE_KICKED,    /* command */
    AMM_CLOSE_REVOKED,   /* command */
    AMM_CLOSE_RESTART,   /* client: the server asked for a reconnect */
    AMM_CLOSE_LINK,      /* TCP connection lost */
    AMM_CLOSE_PROTOCOL,  /* malformed after authentication, identity changed at renegotiation, keys
                            spent */
};
const char *amm_close_reason_name(enum amm_close_reason reason);

struct amm_event {
    enum amm_event_kind kind;
    struct amm_session_ref session;
    uint64_t epoch; /* the server's session id: both ends know it, and no other tunnel has it. 0 in
                       a client that has not heard it yet */
    struct amm_path path;
    enum amm_close_reason reason; /* CLOSED */
    enum amm_tls_failure failure; /* CLOSED with CLOSE_TLS */
    bool was_joined;              /* CLOSED */
    bool try_next_remote; /* CLOSED in a client: the server asked for its next remote (RESTART,[N];
                             AUTH_FAILED,TEMP with "advance remote") */
    bool is_final;        /* CLOSED in a client: plain AUTH_FAILED or HALT */
    uint16_t backoff;     /* CLOSED in a client: seconds the server asked us to wait; 0 none */
    char text[160];       /* words for a log or a person; cleaned */
    struct amm_identity
        identity;              /* AUTHORISE, JOINED, and CLOSED where it is known (name[0] != 0) */
    struct amm_peer_info info; /* AUTHORISE, JOINED */
    const char *username,
        *password; /* AUTHORISE: NULL if none; valid until the next call into the engine */
    struct amm_plane_command plane; /* PLANE */
    struct amm_push push;           /* PUSHED, JOINED */
    const char *tls_version;        /* JOINED; static storage */
};

bool amm_engine_next_event(struct amm_engine *engine, struct amm_event *out);

/* ---- commands ---- */

enum amm_command_kind {
    AMM_COMMAND_CONNECT, /* client: start a session to `path`; any former session is dropped
                            silently */
    AMM_COMMAND_VERDICT, /* answer to AUTHORISE */
    AMM_COMMAND_NOTE,    /* from the data plane */
    AMM_COMMAND_RENEGOTIATE,
    AMM_COMMAND_CLOSE,     /* end the session: an established peer is told through the data plane
                              (EXIT), with     `refusal` set a server first says it in words through a
                              soft     reset where it can */
    AMM_COMMAND_LINK_LOST, /* the TCP connection path.link is gone */
};

/* How a server says no. Refusals that may heal are TEMP or RESTART; plain AUTH_FAILED is for
 * identities that must never come back, because stock clients exit on it (TEXT-5). */
enum amm_refusal {
    AMM_REFUSE_RETRY, /* AUTH_FAILED,TEMP[backoff n,advance no]; RESTART for clients without it */
    AMM_REFUSE_NEXT_REMOTE, /* AUTH_FAILED,TEMP[backoff n,advance remote]; RESTART,[N] for others */
    AMM_REFUSE_FOR_GOOD,    /* AUTH_FAILED */
};

struct amm_command {
    enum amm_command_kind kind;
    struct amm_session_ref session; /* VERDICT, NOTE (from the note), RENEGOTIATE, CLOSE */
    struct amm_path path;           /* CONNECT, LINK_LOST */
    /* VERDICT, CLOSE */
    bool accept;
    enum amm_refusal refusal;
    uint16_t backoff;             /* seconds */
    char text[128];               /* reason in words, sent to the client and logged */
    enum amm_close_reason reason; /* CLOSE */
    struct amm_push push; /* accept: what to push; cipher, flags are filled in by the engine */
    struct amm_plane_note note; /* NOTE */
};

void amm_engine_command(struct amm_engine *engine, struct amm_now now,
                        const struct amm_command *command);

/* ---- looking inside (same thread) ---- */

uint32_t amm_engine_negotiating(const struct amm_engine *engine);
uint32_t amm_engine_sessions(const struct amm_engine *engine);

/* Walks the established sessions: start with *cursor = 0; false at the end. */
bool amm_engine_each(const struct amm_engine *engine, uint32_t *cursor, struct amm_session_ref *ref,
                     struct amm_identity *identity, uint32_t *peer_id, uint8_t *port_index);
