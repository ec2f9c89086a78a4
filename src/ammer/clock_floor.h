/* Is the wall clock believable? Decided before every TLS handshake: certificate dates are never
 * ignored, so with a clock of 1970 no handshake could succeed, and with one that an attacker has
 * set back an expired certificate would live again.
 *
 * The floor is the latest of: the release of this program, the first day of the own certificate,
 * and the time that was saved when a server last proved itself. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 2026-11-01: no clock is right that is earlier than this program. Moved up with each release. */
#define AMM_CLOCK_RELEASE ((int64_t)1793491200)

struct amm_clock_floor {
    int64_t at;       /* seconds since 1970 */
    const char *from; /* "this release", "the certificate's first day", "the time saved last" */
};

/* `not_before` and `saved` are 0 where unknown. A saved time behind `not_after` (0: unknown) of the
 * own certificate is not believed: it would lock the gateway out for good. */
struct amm_clock_floor amm_clock_floor(int64_t not_before, int64_t saved, int64_t not_after);

/* True if TLS may start. */
bool amm_clock_is_sane(int64_t wall, const struct amm_clock_floor *floor);

/* "clock is 1970-01-01: waiting for time (it cannot be before 2026-11-01, this release)" */
void amm_clock_words(char *out, size_t room, int64_t wall, const struct amm_clock_floor *floor);

/* What stands in the file of the saved time: decimal seconds and a newline. 0 if it is anything
 * else. */
int64_t amm_clock_saved_parse(const char *text);

/* What stands in the file of the offset: decimal seconds with or without a sign, and a newline.
 * False, and `*out` stays, if it is anything else. */
bool amm_clock_offset_parse(const char *text, int64_t *out);
