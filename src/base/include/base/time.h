/* Time, as the engine sees it: passed in, never asked for.
 *
 * All timers run on the monotonic clock, so that a step of the wall clock moves nothing. Wall time
 * is carried beside it because certificates, revocation lists and the `time` field of
 * control-channel wraps need it. */
#pragma once

#include <stdint.h>

/* Monotonic nanoseconds since an arbitrary start; also a point in simulated time. */
typedef int64_t amm_time;

/* Nanoseconds between two points. */
typedef int64_t amm_duration;

#define AMM_NEVER INT64_MAX
#define AMM_MICROSECOND ((amm_duration)1000)
#define AMM_MILLISECOND ((amm_duration)1000000)
#define AMM_SECOND ((amm_duration)1000000000)

struct amm_now {
    amm_time mono;
    int64_t wall; /* seconds since 1970-01-01 UTC */
};

/* `at + after`, kept at AMM_NEVER when either is "never" or the sum would overflow. */
static inline amm_time amm_time_after(amm_time at, amm_duration after)
{
    return after >= AMM_NEVER - at ? AMM_NEVER : at + after;
}

static inline amm_time amm_time_min(amm_time a, amm_time b)
{
    return a < b ? a : b;
}
