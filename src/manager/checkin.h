/* What a check-in does (doc/gateway-protocol.md, section 5): a decoded message changes the fleet
 * and becomes an answer. The HTTP side is checkin_route.c.
 *
 * In one transaction: events are saved, results and local changes noted, values taken in, and what
 * the gateway shall do and set is picked. The answer says only what is saved, so it leaves behind
 * the commit. The same message again changes nothing and gets the same answer. Owner: the fleet
 * thread. */
#pragma once

#include "base/time.h"
#include "fleet.h"

#include <stdbool.h>
#include <stdint.h>

struct checkin_input {
    struct amm_checkin *message; /* what it holds may be moved out */
    uint64_t digest;             /* of the body: checkin_digest */
    struct amm_now now;
    const uint8_t
        *remote_key; /* AMM_REMOTE_KEY bytes: of amm-proxyd, for the gateways (GP-71); NULL: none */
    const char *tunnel_hash; /* of the tunnel settings as they are for this gateway; NULL: none */
};

uint64_t checkin_digest(struct amm_view body);

/* True: `*answer` is to be sent after the commit, amm_checkin_answer_deinit it. If the gateway was
 * quarantined by this (two live uses of its identity) *quarantined is set, and the answer is a
 * refusal instead. False: nothing may stay of it, the unit must be rolled back; `*error` is for the
 * gateway, which will try again. */
bool checkin_take(struct fleet *fleet, struct fleet_gateway *gateway,
                  const struct checkin_input *input, struct amm_checkin_answer *answer,
                  bool *quarantined, struct fleet_error *error);

/* Notes gateways whose check-in has not come: an event "late" once. Looks at the next `most` of the
 * fleet with each call, so that a large fleet does not stop the thread. */
bool checkin_scan_late(struct fleet *fleet, size_t most, int64_t now);
