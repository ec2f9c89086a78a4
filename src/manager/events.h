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

/* Deletes what is older than `before`, at most `most`; returns how many. */
size_t events_expire(struct fleet *fleet, int64_t before, size_t most);
