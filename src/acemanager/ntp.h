/* Asks NTP servers in turn, one question a round, and tells what most of them agree on (sntp.h). On
 * the owner's loop. */
#pragma once

#include "acemanager/core.h"
#include "base/random.h"
#include "base/time.h"
#include "io/loop.h"

enum {
    ACE_NTP_SERVERS = AMM_MSCI_LIST,
    ACE_NTP_EVERY = 3600, /* seconds between rounds when the last went well */
    ACE_NTP_AGAIN = 15,   /* after the first that failed; doubles to ACE_NTP_LONGEST */
    ACE_NTP_LONGEST = 1024,
};

struct ace_ntp;

struct ace_ntp *ace_ntp_new(struct amm_loop *loop, struct amm_random random, uint64_t resolver_tag,
                            uint64_t socket_tag);
struct ace_ntp *ace_ntp_free(struct ace_ntp *ntp);

/* Names or addresses separated by ", "; "" switches it off. A change begins a round at once. */
void ace_ntp_servers(struct ace_ntp *ntp, const char *servers, amm_time now);

amm_time ace_ntp_deadline(const struct ace_ntp *ntp);

/* Does what can be done; call when a tag is ready or the deadline is there. `now` is by the clock
 * to be judged. True if a round has ended with a time: `*offset_ms` is how far the clock is behind.
 */
bool ace_ntp_step(struct ace_ntp *ntp, struct amm_now now, int64_t *offset_ms);

/* True if the last round ended without a time: there is nothing to wait for. */
bool ace_ntp_has_failed(const struct ace_ntp *ntp);

/* The clock was moved: times of a question under way are worth nothing. */
void ace_ntp_clock_moved(struct ace_ntp *ntp, amm_time now);

size_t ace_ntp_view(const struct ace_ntp *ntp, const struct ace_ntp_view **out);
