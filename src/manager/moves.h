/* One gateway's way from one tunnel port to another, as a table of what is known and what follows.
 * Pure: news go in, a step comes out; who calls does the rest (places, gateways file, 10034).
 *
 *   ordered ──(taken at a check-in)──► trying ──(up on the new port)──► arrived
 *      │                                  ├──(60 s are over)──► given up
 *      └──(the gateway cannot)────────────┴──► given up
 *
 * Being up on the new port ends it from any state. Time that passes while amm-tunneld is not heard
 * does not count: the tunnel may have come up unseen. */
#pragma once

#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

/* What the gateway has for its attempt, and so how long it may be on both ports. */
#define MOVE_WINDOW (60 * AMM_SECOND)

/* After amm-tunneld is heard again: the time in which it says who is up. */
#define MOVE_GRACE (5 * AMM_SECOND)

struct move {
    uint16_t from, to; /* ports; to 0: there is no move */
    bool is_local;     /* changed on the gateway's own page: no order, and no end by time */
    bool is_taken;
    int64_t revision; /* of the settings that were offered before the order */
    amm_time until;   /* of a move that was taken; AMM_NEVER before */
};

enum move_step {
    MOVE_WAIT,
    MOVE_ARRIVED,  /* the old line goes */
    MOVE_GIVEN_UP, /* the new line goes, 10034 goes back */
};

/* A check-in of the gateway, as far as it matters here. */
struct move_checkin {
    int64_t revision;       /* of the settings that were offered last, with this answer or before */
    int64_t revision_taken; /* reported */
    int64_t revision_failed; /* that it could not take; 0: none */
    uint32_t port;           /* reported 10034; 0: never reported */
};

void move_begin(struct move *move, uint16_t from, uint16_t to, bool is_local, int64_t revision);

enum move_step move_checked_in(struct move *move, const struct move_checkin *checkin, amm_time now);

/* A tunnel of the gateway came up. */
enum move_step move_joined(const struct move *move, uint16_t port);

/* When move_expire wants to be called; AMM_NEVER: not. */
amm_time move_deadline(const struct move *move);

/* `heard_since`: since when amm-tunneld is heard without a break; AMM_NEVER: it is not. */
enum move_step move_expire(struct move *move, amm_time now, amm_time heard_since);
