/* Joins that the tunnel server has refused: the last REFUSED_KEPT, in the store, so that the
 * operator finds at noon what a gateway said at night. Part of the tunnel module. Fleet thread.
 *
 * Whoever is refused comes again every few seconds, and a stranger may come as often as he likes:
 * the same again is folded into the row that is there, and new rows are taken at REFUSED_PER_SECOND
 * with a store for REFUSED_BURST; more are counted and dropped. */
#pragma once

#include "base/time.h"
#include "ipc/tunnel.h"
#include "manager/manager.h"

enum {
    REFUSED_KEPT = 1000,
    REFUSED_RECENT = 256, /* rows that repetitions are folded into */
    REFUSED_FOLD = 600,   /* seconds; later it is a row of its own */
    REFUSED_WRITE = 30,   /* a repetition is written down at most so often, seconds */
    REFUSED_PER_SECOND = 5,
    REFUSED_BURST = 200,
};

struct refused_recent {
    uint64_t hash; /* of name, address, reason; 0: free */
    int64_t id, first_at, written_at, repeats;
};

/* Zeroed at first; in struct tunnel. */
struct refused {
    struct refused_recent recent[REFUSED_RECENT];
    unsigned next;
    int64_t last_id;
    amm_time paid_until; /* monotonic: how far rows are ahead of the rate */
    uint64_t dropped;
};

/* Inside a unit. What the store refuses is lost: it is said again. */
void refused_note(struct manager *m, struct refused *refused, const struct amm_ipc_event *event);
