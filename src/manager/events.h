/* Events: of gateways (GP-47) and of the server about them, in one log.
 *
 * Saved before they are acknowledged; kept for a time that the configuration says. Owner: the fleet
 * thread. */
#pragma once

#include "base/time.h"
#include "fleet.h"

#include <stdbool.h>
#include <stdint.h>

/* Counts a row that the gateway makes the server keep: an event, a change on its own page, a tunnel
 * that goes up or down. False: it has brought more than one gateway may, so that none can fill the
 * disk of all; the row is to be dropped, and the first time an event says so. A gateway that was
 * cut off for long may bring a whole queue (GP-47), then one a minute. */
bool event_may_keep(struct fleet *fleet, struct fleet_gateway *gateway, struct amm_now now);

/* An event that the server noticed itself: "tunnel-up", "late", "clone". `data` (may be NULL) is
 * borrowed. */
bool event_add(struct fleet *fleet, struct fleet_gateway *gateway, const char *kind,
               const char *text, const json_t *data, int64_t now);

/* One that came with a check-in. */
bool event_add_reported(struct fleet *fleet, struct fleet_gateway *gateway,
                        const struct amm_checkin_event *event, int64_t now);

/* What is deleted for its age is gone for good: a clock that jumped, or that nobody has put right
 * yet behind a start, gets hours to jump back. True: it has gone steadily for so long. Begins as
 * {0}. */
struct event_clock {
    int64_t offset;     /* wall minus monotonic seconds */
    amm_time steady_at; /* monotonic */
};
bool event_clock_is_steady(struct event_clock *clock, struct amm_now now);

/* Deletes what is older than `before`, at most `most`; returns how many. */
size_t events_expire(struct fleet *fleet, int64_t before, size_t most);
