/* Desired parameters and who wins (GP-45, GP-48).
 *
 * What is desired of a gateway is its own setting, else that of the nearest group above it that has
 * one (its template). What differs from what the gateway reports is sent, as one set with a
 * revision that grows with every change.
 *
 * The gateway's own page may change the same parameters. The newest change wins, parameter by
 * parameter: a local change that is newer than the setting of the server (a template's time is when
 * it was set) becomes an own setting marked `local`, which masks the templates and is not sent; an
 * older one is noted and then overwritten. Newer is judged by the gateway's clock, held between the
 * last check-in and now by ours; a gateway without a clock counts as "now". At the same second the
 * server wins. Each change is kept in the history: which parameter, old, new, when, by whom.
 *
 * Owner: the fleet thread. */
#pragma once

#include "domain/msci.h"
#include "fleet.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Values as operators give them: an object by MSCIID or name, value or null (takes the setting
 * away). All or nothing: one that cannot be taken refuses all, by name. A check of ids, access and
 * values alone is parameters_check. */
bool parameters_check(const json_t *values, struct fleet_error *error);
bool parameters_set(struct fleet *fleet, struct fleet_gateway *gateway, const json_t *values,
                    const char *by, int64_t now, struct fleet_error *error);
bool parameters_set_template(struct fleet *fleet, struct fleet_group *group, const json_t *values,
                             const char *by, int64_t now, struct fleet_error *error);

/* One value, from another module (the tunnel's allocation): the same as parameters_set. */
bool parameters_set_one(struct fleet *fleet, struct fleet_gateway *gateway, uint32_t id,
                        const char *value, const char *by, int64_t now, struct fleet_error *error);

/* Offers a set again that the gateway could not take. */
bool parameters_retry(struct fleet *fleet, struct fleet_gateway *gateway,
                      struct fleet_error *error);

/* For a gateway whose hardware was replaced: what was set on the old one's page, and what it had
 * reported besides, becomes desired of the new one. */
bool parameters_adopt(struct fleet *fleet, struct fleet_gateway *gateway, const char *by,
                      int64_t now, struct fleet_error *error);

/* A local change that came with a check-in. */
bool parameters_local_change(struct fleet *fleet, struct fleet_gateway *gateway,
                             const struct amm_checkin_change *change, bool clock_is_good,
                             int64_t now);

/* Desired values that differ from the reported ones, by MSCIID; NULL: nothing. A new reference;
 * *failed: out of memory. */
json_t *parameters_pending(const struct fleet_gateway *gateway, bool *failed);

/* The same, to be sent now with gateway->revision, which grows when the set is another one than was
 * offered last, or when the gateway says that it has taken that and still differs. NULL also for a
 * set that it could not take and that nobody has changed since. The caller writes the numbers
 * (fleet_seen_write). */
json_t *parameters_offer(struct fleet *fleet, struct fleet_gateway *gateway, bool *failed);

/* True if there is something pending, without making it. */
bool parameters_are_pending(const struct fleet_gateway *gateway);
