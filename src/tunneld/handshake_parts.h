/* What the files of a handshake thread share. */
#pragma once

#include "handshake.h"
#include "io/loop.h"
#include "io/udp.h"
#include "stream.h"

enum {
    HANDSHAKE_RECEIVE = 8,
    HANDSHAKE_CHUNK = 4096,      /* bytes read from a TCP connection at once */
    HANDSHAKE_STREAMS = 512,     /* connections without a joined peer */
    HANDSHAKE_PER_PREFIX = 128,  /* of them, with one prefix */
    HANDSHAKE_MOVE_ROOM = 12288, /* a command, a connection and what was read of it */
};

/* A walk over the established sessions that closes those which may not stay. */
struct handshake_review {
    bool active;
    bool orphans; /* also those whose peer did not survive the former process */
    uint32_t cursor, token, closed;
    uint32_t ports;              /* DRAIN, KICK: bit per port index */
    char name[AMM_NAME_MAX + 1]; /* KICK: of these ports, this gateway only */
};

struct amm_handshake {
    struct amm_shared *shared;
    struct amm_handshake_face *face;
    struct amm_drops *drops;
    uint16_t index;
    struct amm_loop *loop;
    struct amm_engine *engine;
    struct amm_tls_context *tls;
    struct amm_authority *authority;
    int sockets[AMM_LISTENERS_MAX];   /* by listener; -1 for TCP */
    int listening[AMM_LISTENERS_MAX]; /* by listener; -1 for UDP */
    bool accept_paused;
    amm_time accept_again;
    struct amm_streams streams;
    uint32_t n_unjoined;
    bool streams_changed; /* some are broken or closing */
    amm_time judged;
    struct amm_stream *reading; /* whose chunk is being looked at, and what is left of it */
    struct amm_span rest;
    bool congested;
    uint32_t storm; /* most handshakes under way since memory was given back */
    bool leaving;
    uint32_t goodbye_token;
    struct handshake_review review;
    struct amm_udp_slot slots[HANDSHAKE_RECEIVE];
    uint8_t *buffer; /* HANDSHAKE_RECEIVE * AMM_UDP_BUFFER */
    struct amm_control_out out;
    struct amm_event event;
};

enum {
    HANDSHAKE_TAG_BELL = 0,
    HANDSHAKE_TAG_UDP = 1,
    HANDSHAKE_TAG_LISTEN = 2,
    HANDSHAKE_TAG_TCP = 3
};

static inline uint64_t handshake_tag(uint32_t kind, uint32_t number)
{
    return (uint64_t)kind << 32 | number;
}

/* ---- handshake_settle.c: what the engine wants ---- */

/* Handles the engine's events and sends its packets. Stops early, with `congested` set, while a
 * worker's ring has no room for a command. */
void amm_handshake_settle(struct amm_handshake *h, struct amm_now now);

/* `identity` as far as it is known. */
void amm_handshake_report_refused(struct amm_handshake *h, struct amm_now now,
                                  const struct amm_path *path, const struct amm_identity *identity,
                                  const char *reason, const char *text);
void amm_handshake_report_moved(struct amm_handshake *h, struct amm_now now,
                                const struct amm_peer *peer, const struct amm_path *path);

/* ---- handshake_tcp.c ---- */

void amm_handshake_accept(struct amm_handshake *h, struct amm_now now, uint32_t listener);
void amm_handshake_read(struct amm_handshake *h, struct amm_now now, struct amm_stream *stream);

/* Gives the connection of a peer that is about to join to its worker; the command for the peer went
 * before. */
void amm_handshake_move(struct amm_handshake *h, struct amm_stream *stream, uint16_t worker);

/* Closes what is broken, done or late. */
void amm_handshake_tend_streams(struct amm_handshake *h, struct amm_now now);
void amm_handshake_resume_accept(struct amm_handshake *h, struct amm_now now);

/* ---- handshake_review.c: orders, and sessions that must end ---- */

void amm_handshake_take_orders(struct amm_handshake *h, struct amm_now now);

/* Looks at some sessions more; does nothing while there is no review. */
void amm_handshake_review(struct amm_handshake *h, struct amm_now now);

/* A session that has just joined: its verdict may be older than the roster or the revocation lists
 * that are in use now, and the walk over the sessions passed while it was not established. */
void amm_handshake_judge(struct amm_handshake *h, struct amm_now now,
                         const struct amm_event *joined);

/* Brings the places of the authority and the workers' peers in line with the sessions of a former
 * process. */
void amm_handshake_reconcile(struct amm_handshake *h);
