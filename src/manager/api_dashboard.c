/* /api/v1/dashboard */
#include "dashboard.h"
#include "fleet_module.h"
#include "gateway_filters.h"

#include <stdlib.h>

static const struct field list_query[] = {GATEWAY_ORDER, GATEWAY_FILTERS, {0}};
static const struct field summary_query[] = {GATEWAY_FILTERS, {0}};

/* Worst first, unless another order is asked for. */
static bool take_query(struct job *job, struct gateway_query *query)
{
    char sort[160];
    if (!gateway_filters_take(job, query) || !gateway_order_take(job, query)) {
        return false;
    }
    if (!job_query_text(job, "sort", sort, sizeof sort)) {
        gateway_query_sort(query, "worst");
    }
    return true;
}

static json_t *row_json(struct job *job, const struct dashboard_columns *columns,
                        const struct fleet_gateway *gateway)
{
    return json_pack("{s:o, s:o}", "gateway", gateway_to_json_compact(gateway, job->m->now.wall),
                     "cells", dashboard_cells(job, columns, gateway));
}

static void answer_page(struct job *job, struct fleet_group *branch,
                        const struct gateway_query *query, const struct gateway_page *page)
{
    struct dashboard_columns columns;
    json_t *items = json_array();
    dashboard_columns(job, branch, &columns);
    for (size_t i = 0; i < page->n; i++) {
        json_array_append_new(items, row_json(job, &columns, page->at[i]));
    }
    json_t *json =
        json_pack("{s:o, s:o}", "columns", dashboard_columns_json(&columns), "items", items);
    if (json != NULL && page->has_more) {
        json_object_set_new(json, "next", json_string(page->next));
    }
    if (json != NULL && query->want_total) {
        json_object_set_new(json, "total", json_integer((json_int_t)page->total));
    }
    job_json(job, 200, json);
}

static void list_handle(struct job *job)
{
    struct fleet_group *branch;
    struct gateway_query query;
    if (!gateway_filters_branch(job, &branch) || !take_query(job, &query)) {
        return;
    }
    struct gateway_page *page = malloc(sizeof *page);
    if (page == NULL) {
        job_json(job, 503, NULL);
        return;
    }
    query.want_total = true; /* the ranked order looks at all of them anyway */
    if (gateway_query_run(job->m->fleet, &query, page)) {
        answer_page(job, branch, &query, page);
    } else {
        job_error(job, 400, "bad-value", "after",
                  "This is not the `next` of a page before, in this order.");
    }
    free(page);
}

static void summary_handle(struct job *job)
{
    struct gateway_query query;
    if (!gateway_filters_take(job, &query)) {
        return;
    }
    json_t *json = dashboard_summary(job, &query);
    if (json != NULL) {
        json_object_set_new(json, "ports", dashboard_ports(job));
    }
    job_json(job, 200, json);
}

const struct route dashboard_routes[] = {
    {.method = "GET",
     .path = "/api/v1/dashboard",
     .action = ACCESS_VIEW,
     .query = list_query,
     .handle = list_handle,
     .summary = "Gateways with the values and states of the branch's thresholds, worst first"},
    {.method = "GET",
     .path = "/api/v1/dashboard/summary",
     .action = ACCESS_VIEW,
     .query = summary_query,
     .handle = summary_handle,
     .summary = "A branch in numbers: check-ins, tunnels, ports, and what needs a look"},
    {0},
};
