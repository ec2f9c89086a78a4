/* /api/v1/operations, and those of a gateway. */
#include "fleet_module.h"
#include "manager/job.h"
#include "operations.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

enum { SCAN_MOST = 5000 };

#define STATES "queued|taken|running|done|failed|refused|cancelled|expired|open"

/* ---- lists ---- */

static const struct field gateway_query[] = {
    ROUTE_PAGE,
    {"state", FIELD_CHOICE, false, 0, 0, STATES, "in this state; open: not ended"},
    {0}};

static const struct field all_query[] = {
    ROUTE_PAGE,
    {"state", FIELD_CHOICE, false, 0, 0, STATES, "in this state; open: not ended"},
    {"kind", FIELD_TEXT, false, 1, 32, NULL, "of this kind"},
    {"tenant", FIELD_ID, false, 1, 0, NULL, "of this tenant"},
    {0}};

static bool is_wanted(const struct operation *operation, const char *state, const char *kind)
{
    bool state_fits =
        state[0] == '\0' ||
        (strcmp(state, "open") == 0 ? operation->ended_at == 0
                                    : strcmp(state, operation_state_name(operation->state)) == 0);
    return state_fits && (kind[0] == '\0' || strcmp(kind, operation->kind->name) == 0);
}

/* Newest first; of gateways in marked groups. */
static void answer_operations(struct job *job, struct amm_rows *rows, uint32_t mark, unsigned limit)
{
    json_t *items = json_array();
    char state[16] = "", kind[AMM_CHECKIN_KIND] = "";
    int64_t last = 0;
    size_t seen = 0;
    bool has_more = false;
    job_query_text(job, "state", state, sizeof state);
    if (job->id == 0) {
        job_query_text(job, "kind", kind, sizeof kind);
    }
    while (!has_more && amm_rows_next(rows)) {
        struct operation operation;
        operation_of_row(rows, &operation);
        const struct fleet_gateway *gateway =
            fleet_gateway_find(job->m->fleet, operation.gateway_id);
        seen++;
        last = operation.row;
        if (gateway && gateway->group->mark == mark && is_wanted(&operation, state, kind)) {
            json_array_append_new(items, operation_to_json(job->m->fleet, &operation));
        }
        operation_deinit(&operation);
        has_more = json_array_size(items) == limit || seen == SCAN_MOST;
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        json_decref(items);
        job_store_error(job, result);
        return;
    }
    job_list(job, items, has_more ? last : 0);
}

static void list_gateway(struct job *job)
{
    struct job_page page = job_page(job);
    struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, job->id);
    uint32_t mark = fleet_mark_new(job->m->fleet);
    gateway->group->mark = mark;
    answer_operations(job,
                      amm_store_query(job->m->store, AMM_SQL_OPERATION_OF_GATEWAY,
                                      AMM_WITH(amm_number(job->id), amm_number(job->object.tenant),
                                               amm_number(page.after ? page.after : INT64_MAX),
                                               amm_number(SCAN_MOST))),
                      mark, page.limit);
}

static void list_all(struct job *job)
{
    struct job_page page = job_page(job);
    char text[24];
    struct fleet_group *branch = NULL;
    int64_t tenant = job_query_text(job, "tenant", text, sizeof text) ? strtoll(text, NULL, 10) : 0;
    if (tenant != 0) {
        struct access_object place = {tenant, 0};
        branch = fleet_branch_find(job->m->fleet, tenant, 0);
        if (!branch || !job_allows(job, ACCESS_VIEW, &place)) {
            job_not_found(job);
            return;
        }
    } else if (job_only_tenant(job) != 0) {
        branch = fleet_branch_find(job->m->fleet, job_only_tenant(job), 0);
    }
    struct amm_value before = amm_number(page.after ? page.after : INT64_MAX);
    uint32_t mark = job_mark_visible(job, branch);
    struct amm_rows *rows = branch ? amm_store_query(job->m->store, AMM_SQL_OPERATION_OF_TENANT,
                                                     AMM_WITH(amm_number(branch->tenant->id),
                                                              before, amm_number(SCAN_MOST)))
                                   : amm_store_query(job->m->store, AMM_SQL_OPERATION_ALL,
                                                     AMM_WITH(before, amm_number(SCAN_MOST)));
    answer_operations(job, rows, mark, page.limit);
}

static void list_kinds(struct job *job)
{
    json_t *items = json_array();
    for (size_t i = 0; i < operation_kinds_count; i++) {
        const struct operation_kind *kind = &operation_kinds[i];
        if (!kind->is_reserved) {
            json_array_append_new(items,
                                  json_pack("{s:s, s:s, s:b}", "kind", kind->name, "doc", kind->doc,
                                            "destructive", (int)kind->is_destructive));
        }
    }
    job_list(job, items, 0);
}

/* ---- one ---- */

static const struct field add_body[] = {
    {"kind", FIELD_TEXT, true, 1, 32, NULL, "see /api/v1/operations/kinds"},
    {"args", FIELD_OBJECT, false, 0, 0, NULL, "of the kind"},
    {"key", FIELD_TEXT, false, 1, OPERATION_KEY_MAX, NULL,
     "the same key for the same gateway is the same operation"},
    {"expires_in", FIELD_NUMBER, false, 1, OPERATION_EXPIRES_MAX, NULL,
     "seconds until it is given up; default 7 days"},
    {"confirm", FIELD_TEXT, false, 1, FLEET_NAME_MAX, NULL,
     "the gateway's name, for what cannot be undone"},
    {0}};

static void audit_operation(struct job *job, const struct fleet_gateway *gateway,
                            const struct operation *operation, const char *what)
{
    char object[FLEET_NAME_MAX + 40];
    snprintf(object, sizeof object, "gateway %lld %s", (long long)gateway->id, gateway->name);
    job_audit(job, gateway->group->tenant->id, object, "%s %s %s", operation->kind->name,
              operation->id, what);
}

static void add(struct job *job)
{
    struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, job->id);
    const struct operation_kind *kind = operation_kind_find(job_text(job, "kind", ""));
    struct operation_new what = {
        .kind = job_text(job, "kind", ""),
        .args = json_object_get(job->input, "args"),
        .key = job_text(job, "key", NULL),
        .expires_in = job_number(job, "expires_in", 0),
        .by = job->actor.name,
    };
    struct operation operation;
    struct fleet_error error;
    if (kind && kind->is_destructive && strcmp(job_text(job, "confirm", ""), gateway->name) != 0) {
        job_error(job, 400, "confirm", "confirm",
                  "This cannot be undone: give the gateway's name once more.");
        return;
    }
    if (!operation_add(job->m->fleet, gateway, &what, job->m->now.wall, &operation, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    audit_operation(job, gateway, &operation, "asked for");
    job_json(job, 201, operation_to_json(job->m->fleet, &operation));
    operation_deinit(&operation);
}

/* Ids of operations are no numbers, so the right to see it is asked here. False: answered. */
static bool find(struct job *job, enum access_action action, struct operation *out)
{
    struct fleet_error error;
    if (!operation_find(job->m->fleet, job->arguments[0], out, &error)) {
        if (error.status == 404) {
            job_not_found(job);
        } else {
            job_fleet_error(job, &error);
        }
        return false;
    }
    const struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, out->gateway_id);
    struct access_object place = {0};
    if (gateway) {
        place = gateway_object(gateway);
    }
    if (!job_demand(job, action, &place, NULL)) {
        operation_deinit(out);
        return false;
    }
    return true;
}

static void show(struct job *job)
{
    struct operation operation;
    if (find(job, ACCESS_VIEW, &operation)) {
        job_json(job, 200, operation_to_json(job->m->fleet, &operation));
        operation_deinit(&operation);
    }
}

static void cancel(struct job *job)
{
    struct operation operation;
    struct fleet_error error;
    if (!find(job, ACCESS_OPERATE, &operation)) {
        return;
    }
    if (operation_cancel(job->m->fleet, &operation, job->m->now.wall, &error)) {
        audit_operation(job, fleet_gateway_find(job->m->fleet, operation.gateway_id), &operation,
                        "cancelled");
        job_json(job, 200, operation_to_json(job->m->fleet, &operation));
    } else {
        job_fleet_error(job, &error);
    }
    operation_deinit(&operation);
}

const struct route operation_routes[] = {
    {.method = "GET",
     .path = "/api/v1/operations",
     .action = ACCESS_VIEW,
     .query = all_query,
     .handle = list_all,
     .summary = "Operations of all gateways that the actor sees, newest first"},
    {.method = "GET",
     .path = "/api/v1/operations/kinds",
     .action = ACCESS_SELF,
     .handle = list_kinds,
     .summary = "What can be asked of a gateway"},
    {.method = "GET",
     .path = "/api/v1/operations/{id}",
     .action = ACCESS_VIEW,
     .handle = show,
     .summary = "An operation with its result"},
    {.method = "POST",
     .path = "/api/v1/operations/{id}/cancel",
     .action = ACCESS_OPERATE,
     .handle = cancel,
     .summary = "Calls an operation back that the gateway has not taken"},
    {.method = "GET",
     .path = "/api/v1/gateways/{id}/operations",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .query = gateway_query,
     .handle = list_gateway,
     .summary = "Operations of a gateway, newest first"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/operations",
     .action = ACCESS_OPERATE,
     .find = gateway_find_object,
     .body = add_body,
     .handle = add,
     .summary = "Asks a gateway for something"},
    {0},
};
