/* Whether a gateway that proved its identity may join here, and which place it gets.
 *
 * One `struct amm_authority` per handshake thread; what threads share (how many places of a port
 * are in use, the generation of each slot) stands in `struct amm_places` and is atomic. Refusals
 * are in words and heal by themselves: stock clients exit on a plain AUTH_FAILED (TEXT-5). */
#pragma once

#include "proto/engine.h"
#include "roster.h"

#include <stdatomic.h>

/* The places of one tunnel port. */
struct amm_places {
    uint16_t port;
    struct amm_pool pool;
    uint32_t n_slots;            /* amm_pool_slots */
    uint32_t limit;              /* gateways that may be here at once */
    uint16_t ping, ping_restart; /* seconds, pushed */
    uint16_t mtu;                /* pushed */
    void *peers;                 /* peer records (amm_peer_table_at), in state memory */
    _Atomic uint16_t
        *generations; /* [n_slots + 1], in state memory: a peer id is not used again soon */
    _Atomic uint32_t *sessions; /* [n_slots + 1]: sessions that hold the slot, in any thread */
    _Atomic uint32_t used;      /* slots with a session */
    _Atomic amm_time draining;  /* shown in the status; 0: not */
};

/* Why not, for the event stream and the log. */
enum amm_denial {
    AMM_DENIAL_NONE,
    AMM_DENIAL_NOT_ON_ROSTER,
    AMM_DENIAL_OTHER_PORT,
    AMM_DENIAL_PORT_FULL,
    AMM_DENIAL_HELD,
    AMM_DENIAL_DRAINING,
};
const char *amm_denial_name(enum amm_denial denial); /* "not-on-roster" */

struct amm_authority;

/* `n_sessions`: session indexes of the engine that asks. NULL: out of memory. */
struct amm_authority *amm_authority_new(struct amm_places *places, uint8_t n_places,
                                        uint32_t n_sessions, struct amm_roster *roster);
struct amm_authority *amm_authority_free(struct amm_authority *authority);

/* Takes over the caller's reference. */
void amm_authority_set_roster(struct amm_authority *authority, struct amm_roster *roster);

/* Refuses `name` on every port until `until`. */
void amm_authority_hold(struct amm_authority *authority, const char *name, amm_time until,
                        amm_time now);

/* Refuses everybody on a port until `until`. */
void amm_authority_drain(struct amm_authority *authority, uint8_t port_index, amm_time until);

/* Answers an AUTHORISE event: fills the VERDICT command. With yes, the session holds its place
 * until amm_authority_release. A session that holds a place already (renegotiation) keeps it and
 * its peer id. */
enum amm_denial amm_authority_decide(struct amm_authority *authority, struct amm_now now,
                                     const struct amm_event *event, struct amm_command *verdict);

/* True if the last answer to this session was no. */
bool amm_authority_denied(const struct amm_authority *authority, struct amm_session_ref session);

/* A session that was found in state memory holds its place again. */
void amm_authority_adopt(struct amm_authority *authority, struct amm_session_ref session,
                         uint8_t port_index, uint32_t peer_id);

/* The peer id of the place that the session holds, or 0. */
uint32_t amm_authority_place(const struct amm_authority *authority, struct amm_session_ref session);

/* True if `name` still has the slot of `peer_id` on the port. */
bool amm_authority_allows(const struct amm_authority *authority, const char *name,
                          uint8_t port_index, uint32_t peer_id);

/* True if `name` has a line for any port. */
bool amm_authority_knows(const struct amm_authority *authority, const char *name);

/* The session is over. Sessions that hold nothing are ignored. */
void amm_authority_release(struct amm_authority *authority, struct amm_session_ref session);
