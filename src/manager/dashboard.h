/* The dashboard: thresholds as columns, gateways as rows. Fleet thread. */
#pragma once

#include "gateway_query.h"
#include "thresholds.h"

enum { DASHBOARD_COLUMNS = 64 };

struct dashboard_columns {
    size_t n;
    const struct threshold *at[DASHBOARD_COLUMNS];
};

/* The columns of a branch; NULL: of all tenants that the actor sees, one for each label. */
void dashboard_columns(struct job *job, struct fleet_group *branch, struct dashboard_columns *out);

json_t *dashboard_columns_json(const struct dashboard_columns *columns);

/* [{"value", "state"}, ...] of a gateway. */
json_t *dashboard_cells(struct job *job, const struct dashboard_columns *columns,
                        const struct fleet_gateway *gateway);

/* Pie, gauge, and what needs a look, of the gateways of a query. NULL: out of memory. */
json_t *dashboard_summary(struct job *job, struct gateway_query *query);

/* Tunnel ports in the actor's own arithmetic. */
json_t *dashboard_ports(struct job *job);
