/* Rules of the check-in that need no store: which check-in is new (GP-41), which numbers betray a
 * copied gateway, and when a gateway may come when all come at once. Pure; the caller's thread. */
#pragma once

#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- numbers ---- */

struct checkin_numbers {
    uint64_t seq;    /* 0: none yet */
    uint32_t boot;   /* how often it has started */
    uint64_t digest; /* of the body */
    bool has_boot;   /* an idle gateway leaves it out */
};

enum checkin_age {
    CHECKIN_NEW,
    CHECKIN_REPEAT, /* of the last one: the answer was lost */
    CHECKIN_OLD,    /* before the last one */
};

struct checkin_verdict {
    enum checkin_age age;
    bool is_clone; /* one gateway cannot have sent both */
    char how[120]; /* in words, if is_clone */
};

/* Old check-ins in one hour that a slow network may explain: a request that was given up and
 * repeated on another connection. */
enum { CHECKIN_STALE_MAX = 3 };

/* One gateway's seq and boot grow together over its life, and a seq names one body. So these betray
 * two users of one identity:
 *
 *     higher seq, lower boot         the copy that started less often goes on
 *     same seq, another body         both have counted from the same copy
 *     lower seq, higher boot         a copy, or an old image, was started
 *     lower seq, again and again     `stale` of them before this one
 */
struct checkin_verdict checkin_judge(const struct checkin_numbers *last,
                                     const struct checkin_numbers *message, unsigned stale);

/* ---- everybody at once ---- */

/* Hands out retry slots when more check-ins wait than can be handled in a second: each gateway gets
 * its own moment, at the rate that was measured while all came. */
struct comeback {
    _Atomic uint32_t rate;      /* check-ins a second that were handled at full load */
    _Atomic amm_time next_slot; /* first one that is free */
    amm_time window;            /* start of the running measurement */
    uint32_t handled;           /* in it */
    bool was_full;              /* in it, somebody was sent away */
};

#define COMEBACK_WAIT AMM_SECOND             /* of the backlog, from which on slots are given */
#define COMEBACK_WAIT_SLOT (10 * AMM_SECOND) /* the same for one that comes in its slot */
enum {
    COMEBACK_EARLY = 2, /* seconds around a slot that still count */
    COMEBACK_LATE = 60,
    COMEBACK_MOST = 14400, /* seconds, of Retry-After */
};

void comeback_init(struct comeback *comeback, amm_time now);

/* The owner's thread: a check-in is about to be handled while `backlog` others wait; `slot_wall` is
 * the slot that its gateway was given before (0: none). Returns 0 if it may go on, else the seconds
 * of Retry-After. */
uint32_t comeback_admit(struct comeback *comeback, struct amm_now now, uint32_t backlog,
                        int64_t slot_wall);

/* Any thread: the seconds of Retry-After for a request that found no place in the queue at all. */
uint32_t comeback_slot(struct comeback *comeback, amm_time now);
