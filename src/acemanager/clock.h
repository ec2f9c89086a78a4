/* The gateway's clock: is it to be trusted, by whose word, and what may move it. Pure: time comes
 * in, decisions go out.
 *
 * Floor: the latest of the software's release, the first day of the own certificate, and the last
 * time that a server has *proved* (signed, or inside a checked TLS connection). NTP, GPS and the
 * cellular network prove nothing: they may set the clock above the floor and below the ceiling, but
 * they never raise the floor, so that whoever forges them cannot lock a gateway out.
 *
 * Ceiling: the end of the own certificate, else ten years behind the release. A clock beyond it
 * (2038, 2106) is not trusted until a server has proved the time: either the clock is wrong, or the
 * certificate has run out, and in both cases the server knows better.
 *
 * Against a proved time the other sources may differ by two minutes. */
#pragma once

#include "base/time.h"
#include "clock_floor.h"
#include "domain/checkin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ace_clock {
    int64_t offset; /* seconds that are added to the system's clock */
    enum amm_clock_source source;
    int64_t since;  /* wall time at which the source was heard last */
    amm_time heard; /* the same on the monotonic clock */
    int64_t saved, not_before, not_after;
    struct amm_clock_floor floor;
    int64_t ceiling;
    int64_t proved; /* wall time that a server proved in this run; 0: none */
    amm_time proved_at;
};

/* `saved`: the proved time that is on disk, 0 without; the certificate's days are 0 without one. */
void ace_clock_init(struct ace_clock *clock, int64_t saved, int64_t not_before, int64_t not_after,
                    struct amm_now system);

/* Another certificate. */
void ace_clock_certificate(struct ace_clock *clock, int64_t not_before, int64_t not_after);

/* The system's time, moved by the offset. */
struct amm_now ace_clock_now(const struct ace_clock *clock, struct amm_now system);

bool ace_clock_is_trusted(const struct ace_clock *clock);

enum ace_clock_verdict {
    ACE_CLOCK_TAKEN, /* move the clock by `step_ms`, see ace_clock_shift; 0: it is right as it is */
    ACE_CLOCK_OUTRANKED, /* a better source was heard not long ago */
    ACE_CLOCK_BELOW,     /* below the floor */
    ACE_CLOCK_ABOVE,     /* beyond the ceiling */
    ACE_CLOCK_DISAGREES, /* with a time that a server proved */
};
/* "below the floor", ... */
const char *ace_clock_verdict_text(enum ace_clock_verdict verdict);

/* A source says that our clock (`now`, of ace_clock_now) is behind by `*step_ms`. TAKEN: the clock
 * is trusted from now on; *step_ms becomes how far to move it. A SERVER's word is a proof. */
enum ace_clock_verdict ace_clock_offer(struct ace_clock *clock, struct amm_now now,
                                       enum amm_clock_source source, int64_t *step_ms);

/* The clock was moved by whole seconds by the offset (not the system's own). */
void ace_clock_shift(struct ace_clock *clock, int64_t seconds);

/* A server's certificate seemed expired or not yet valid, or ours did to it: unless a server has
 * proved the time, the clock is to blame. */
void ace_clock_doubt(struct ace_clock *clock);

/* The proved time to be saved now, because the one on disk is older than a day; 0: none. Counts as
 * saved then. */
int64_t ace_clock_to_save(struct ace_clock *clock, struct amm_now now);
