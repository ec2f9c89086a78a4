/* Thresholds in the manager: which there are, which reach a gateway, how each gateway stands, and
 * the events when that changes. The store is the truth for the definitions and for every state that
 * is not OK; memory holds the same (a record only where a gateway is not simply OK).
 *
 * A gateway is looked at again behind each check-in and tunnel event, and all of them once a minute
 * for what only time changes (Heartbeat, hold times). Fleet thread. */
#pragma once

#include "manager/job.h"
#include "threshold_rules.h"

struct thresholds;

extern const struct manager_module threshold_module;
extern const struct route threshold_routes[];

enum {
    THRESHOLDS_OF_TENANT = 100, /* of branches */
    THRESHOLDS_OF_GATEWAY = 16,
    THRESHOLDS_REACHING = THRESHOLDS_OF_TENANT + THRESHOLDS_OF_GATEWAY, /* one gateway */
};

/* Those that count for a gateway, or (gateway NULL) for a branch: nearest first; of one label only
 * the nearest. Returns how many. Pointers are good until the end of the job. */
size_t thresholds_reaching(const struct thresholds *thresholds, const struct fleet_group *group,
                           const struct fleet_gateway *gateway,
                           const struct threshold *out[THRESHOLDS_REACHING]);
/* In the order of columns: dashboard group, order, id. */
void thresholds_sort(const struct threshold **list, size_t n);

struct threshold *threshold_find(const struct thresholds *thresholds, int64_t id); /* or NULL */

/* How many stand at that place (gateway 0: at the group); calls `each` with them. */
size_t thresholds_at(const struct thresholds *thresholds, int64_t tenant, int64_t group,
                     int64_t gateway,
                     void (*each)(void *context, const struct threshold *threshold), void *context);

/* Inside a unit. `what` is copied but for its patterns, which are made anew. False with an error.
 */
struct threshold *threshold_add(struct manager *m, const struct threshold *what,
                                struct fleet_error *error);
bool threshold_change(struct manager *m, struct threshold *threshold, const json_t *members,
                      struct fleet_error *error);
bool threshold_remove(struct manager *m, struct threshold *threshold, struct fleet_error *error);
/* The one that each tenant begins with: "Tunnel", an error while ManagementTunnel-IPAddress is
 * missing. */
bool thresholds_begin_tenant(struct manager *m, int64_t tenant, struct fleet_error *error);

/* How a gateway stands against one of them; `since` (may be NULL): wall seconds, 0: not known. */
enum threshold_state thresholds_state(const struct thresholds *thresholds,
                                      const struct fleet_gateway *gateway,
                                      const struct threshold *threshold, int64_t *since);
