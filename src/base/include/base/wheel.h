/* A timer wheel over numbered entries: one deadline per entry, O(1) to set, move and cancel.
 *
 * Entries are numbers (peer or session indexes), not pointers, because what they time lives in
 * state memory that can be mapped elsewhere. Deadlines are rounded up to a tick of 16.8 ms: an
 * entry never expires early. One owner thread. */
#pragma once

#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AMM_WHEEL_NONE UINT32_MAX

struct amm_wheel;

/* A wheel for entries 0 .. n-1, about 16 bytes each; NULL if out of memory. */
struct amm_wheel *amm_wheel_new(uint32_t n, amm_time now);
struct amm_wheel *amm_wheel_free(struct amm_wheel *wheel);

/* Sets or moves the deadline of `entry`; AMM_NEVER cancels. A deadline in a tick that
 * amm_wheel_expire has been through comes with the next tick. */
void amm_wheel_set(struct amm_wheel *wheel, uint32_t entry, amm_time deadline);

/* Removes and returns one entry whose deadline is at or before `now`, or AMM_WHEEL_NONE. Call until
 * NONE. */
uint32_t amm_wheel_expire(struct amm_wheel *wheel, amm_time now);

/* When to call amm_wheel_expire next: never later than the earliest deadline rounded up, possibly
 * earlier (a cascade); AMM_NEVER if nothing is set. */
amm_time amm_wheel_deadline(const struct amm_wheel *wheel);
