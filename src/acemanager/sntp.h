/* One question and one answer of SNTP (RFC 4330, RFC 5905): bytes and judgement, without I/O.
 *
 * The question says nothing about us: its transmit time is a random number, which the answer must
 * bring back, so that nobody who does not see the question can answer it. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACE_SNTP_PACKET = 48, ACE_SNTP_PORT = 123 };

void ace_sntp_question(uint8_t out[ACE_SNTP_PACKET], uint64_t cookie);

/* Our times in milliseconds since 1970, by the clock that is to be judged. */
struct ace_sntp_times {
    int64_t sent, received;
};

struct ace_sntp_answer {
    int64_t offset_ms; /* how far our clock is behind */
    int64_t delay_ms;  /* of the way there and back */
    uint8_t stratum;   /* 1 to 15 */
};

/* False with a reason in words (static storage): not an answer to this question, or a server that
 * says itself that it knows no time ("asks us to stay away" for a kiss of death). `pivot` (seconds
 * since 1970) picks the era of NTP's 32-bit seconds: the answer lies within 68 years around it. */
bool ace_sntp_parse(struct ace_sntp_answer *out, struct amm_view packet, uint64_t cookie,
                    const struct ace_sntp_times *times, int64_t pivot, const char **why);

/* Picks the answer that most of `n` (up to 8) agree with, within a second; of equal groups the one
 * of lower stratum. -1 if there is no answer, or if there are several and no two agree. */
int ace_sntp_choose(const struct ace_sntp_answer *answers, size_t n);
