/* Events: of gateways (GP-47) and of the server about them, in one log.
 *
 * Saved before they are acknowledged; kept for a time that the configuration says. Owner: the fleet
 * thread. */
#pragma once

#include "fleet.h"

#include <stdbool.h>
#include <stdint.h>

enum event_source { EVENT_OF_GATEWAY, EVENT_OF_SERVER };

/* An event that the server noticed itself: "tunnel-up", "late", "clone". `data` (may be NULL) is
 * borrowed. */
bool event_add(struct fleet *fleet, struct fleet_gateway *gateway, const char *kind,
               const char *text, const json_t *data, int64_t now);

/* One that came with a check-in. */
bool event_add_reported(struct fleet *fleet, struct fleet_gateway *gateway,
                        const struct amm_checkin_event *event, int64_t now);

/* Deletes what is older than `before`, at most `most`; returns how many. */
size_t events_expire(struct fleet *fleet, int64_t before, size_t most);
