/* Every noun of the API: a new one adds its array here. */
#include "manager/nouns.h"

const struct route *const route_tables[] = {
    login_routes, user_routes,   token_routes,   tenant_routes, group_routes,
    audit_routes, server_routes, metrics_routes, NULL,
};
