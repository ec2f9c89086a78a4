/* Every noun of the API: a new one adds its array here. */
#include "manager/enrolment.h"
#include "manager/fleet_module.h"
#include "manager/history.h"
#include "manager/imports.h"
#include "manager/nouns.h"
#include "manager/thresholds.h"
#include "manager/remote.h"
#include "manager/tunnel.h"

const struct route *const route_tables[] = {
    login_routes,     user_routes,        token_routes,         tenant_routes,    group_routes,
    audit_routes,     server_routes,      metrics_routes,       checkin_routes,   gateway_routes,
    parameter_routes, stat_routes,        event_routes,         operation_routes, enrolment_routes,
    tunnel_routes,    tunnel_pool_routes, tree_routes,          dashboard_routes, threshold_routes,
    search_routes,    preference_routes,  refused_routes,       import_routes,    export_routes,
    remote_routes,    remote_page_routes, tunnel_policy_routes, history_routes,   NULL,
};
