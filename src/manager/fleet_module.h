/* The fleet in ammd: its module (timers, metrics, event stream), its routes, and what
 * handlers of other parts need. Fleet thread. */
#pragma once

#include "fleet.h"
#include "manager/job.h"

#include <jansson.h>

extern const struct manager_module fleet_module;

extern const struct route checkin_routes[];   /* POST /checkin, for gateways */
extern const struct route gateway_routes[];   /* /api/v1/gateways */
extern const struct route parameter_routes[]; /* parameters of gateways, templates of groups */
extern const struct route stat_routes[];
extern const struct route event_routes[];
extern const struct route operation_routes[];
extern const struct route tree_routes[];      /* api_tree.c */
extern const struct route dashboard_routes[]; /* api_dashboard.c */
extern const struct route search_routes[];

/* route.find of {id} */
bool gateway_find_object(struct manager *m, int64_t id, struct access_object *out);
bool group_find_object(struct manager *m, int64_t id, struct access_object *out);
bool tenant_find_object(struct manager *m, int64_t id, struct access_object *out);

struct access_object gateway_object(const struct fleet_gateway *gateway);

/* Answers with what the fleet said. */
void job_fleet_error(struct job *job, const struct fleet_error *error);

/* Marks the groups of a branch (NULL: all) that the actor may view, for a scan; see
 * fleet_group_mark_branch. */
uint32_t job_mark_visible(struct job *job, struct fleet_group *branch);

/* The one tenant in which all rights of the actor are; 0: they are in several, or everywhere. */
int64_t job_only_tenant(const struct job *job);

/* For trees and dashboards: id, name, label, tenant, group, kind, lamps. NULL: out of memory. */
json_t *gateway_to_json_compact(const struct fleet_gateway *gateway, int64_t now);

/* A gateway for lists, with those of `stats` that are wanted ("CellLink-RSSI,Platform", NULL:
 * none); and with everything. New references; NULL: out of memory. */
json_t *gateway_to_json(const struct fleet_gateway *gateway, int64_t now, const char *stats);
json_t *gateway_to_json_whole(const struct fleet *fleet, const struct fleet_gateway *gateway,
                              int64_t now);

/* Who adds members to each gateway in full (a module above this one). One; before the thread runs.
 */
void gateway_json_extend(void (*extend)(void *context, const struct fleet_gateway *gateway,
                                        json_t *json),
                         void *context);

/* All stats, with the address in the tunnel. */
json_t *gateway_stats_to_json(const struct fleet_gateway *gateway);
