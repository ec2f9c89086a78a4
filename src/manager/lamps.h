/* The two lamps of a gateway, and how many gateways of each state a branch has. Fleet thread. */
#pragma once

#include "fleet.h"

enum lamp {
    LAMP_UP,
    LAMP_DEGRADED, /* late, poor radio, not heard of for a while */
    LAMP_DOWN,
    LAMP_PENDING, /* on its way */
    LAMP_UNKNOWN, /* never seen; a router that does not check in */
    LAMP_RESTING, /* off on purpose */
    LAMPS,
};
const char *lamp_name(enum lamp lamp); /* "up" */

/* Up: in time. Degraded: late (fleet_is_late). Down: twice as late. */
enum lamp lamp_checkin(const struct fleet_gateway *gateway, int64_t now);

/* Up. Degraded: up with poor radio, or amm-tunneld has not been heard since. Pending: down while it
 * moves to another port. Resting: down because the policy of its groups says so. Unknown: has never
 * had one. */
enum lamp lamp_tunnel(const struct fleet_gateway *gateway, int64_t now);

/* True if the radio is so weak that a tunnel over it cannot be relied on: RSRP below -118 dBm, RSSI
 * below -110 dBm, or SINR below -3 dB (3GPP 36.133 reports RSRP down to -140 dBm; below -118 most
 * modems drop to the lowest rate). */
bool gateway_radio_is_poor(const struct fleet_gateway *gateway);

/* When the last check-in is not late any more but missing; INT64_MAX if it has never checked in. */
int64_t gateway_missing_at(const struct fleet_gateway *gateway);

/* Adds a gateway. */
void branch_counts_add(struct branch_counts *counts, const struct fleet_gateway *gateway,
                       int64_t now);

/* Fills `counts` of every group, with what is below it. Looks at all gateways (a few ms for
 * 100 000), so at most once a second unless groups or members have changed since. */
void fleet_count_branches(struct fleet *fleet, int64_t now);
