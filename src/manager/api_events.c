/* Events of a gateway and of the fleet; stats. */
#include "domain/stats.h"
#include "fleet_module.h"
#include "manager/job.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

enum { SCAN_MOST = 10000 }; /* rows that one answer looks at */

static json_t *text_column(const struct amm_rows *rows, unsigned column)
{
    struct amm_view text = amm_rows_view(rows, column);
    return json_stringn(text.len > 0 ? (const char *)text.data : "", text.len);
}

static json_t *event_json(const struct amm_rows *rows, const struct fleet_gateway *gateway)
{
    struct amm_view data = amm_rows_view(rows, 7);
    json_t *json = json_pack(
        "{s:o, s:o, s:s, s:s, s:I, s:I, s:o, s:o}", "id", job_json_id(amm_rows_number(rows, 0)),
        "gateway", job_json_id(gateway->id), "name", gateway->name, "source",
        amm_rows_number(rows, 2) != 0 ? "gateway" : "server", "at",
        (json_int_t)amm_rows_number(rows, 3), "received_at", (json_int_t)amm_rows_number(rows, 4),
        "kind", text_column(rows, 5), "text", text_column(rows, 6));
    if (json && data.len > 0) {
        json_object_set_new(json, "data", json_loadb((const char *)data.data, data.len, 0, NULL));
    }
    return json;
}

static const struct field event_query[] = {
    ROUTE_PAGE,
    {"kind", FIELD_TEXT, false, 1, 32, NULL, "of this kind only"},
    {"since", FIELD_NUMBER, false, 0, INT64_MAX, NULL, "received at or after, seconds since 1970"},
    {0}};

static const struct field fleet_event_query[] = {
    ROUTE_PAGE,
    {"kind", FIELD_TEXT, false, 1, 32, NULL, "of this kind only"},
    {"since", FIELD_NUMBER, false, 0, INT64_MAX, NULL, "received at or after, seconds since 1970"},
    {"tenant", FIELD_ID, false, 1, 0, NULL, "of this tenant"},
    {"group", FIELD_ID, false, 1, 0, NULL, "of gateways in this group or below it"},
    {0}};

/* Newest first, of gateways in marked groups. The page may be short and still have a next one: what
 * others may not see, or nobody asked for, is skipped. */
static void answer_events(struct job *job, struct amm_rows *rows, uint32_t mark, unsigned limit)
{
    json_t *items = json_array();
    char kind[AMM_CHECKIN_KIND] = "", wanted[AMM_CHECKIN_KIND];
    bool has_kind = job_query_text(job, "kind", wanted, sizeof wanted);
    int64_t since = job_query_number(job, "since", 0), last = 0;
    size_t seen = 0;
    bool has_more = false;
    while (!has_more && amm_rows_next(rows)) {
        struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, amm_rows_number(rows, 1));
        seen++;
        last = amm_rows_number(rows, 0);
        amm_rows_text(rows, 5, kind, sizeof kind);
        if (amm_rows_number(rows, 4) < since) {
            break; /* received in the order of ids */
        }
        if (gateway && gateway->group->mark == mark && (!has_kind || strcmp(kind, wanted) == 0)) {
            json_array_append_new(items, event_json(rows, gateway));
        }
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

static void gateway_events(struct job *job)
{
    struct job_page page = job_page(job);
    struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, job->id);
    uint32_t mark = fleet_mark_new(job->m->fleet);
    gateway->group->mark = mark;
    answer_events(job,
                  amm_store_query(job->m->store, AMM_SQL_EVENT_OF_GATEWAY,
                                  AMM_WITH(amm_number(job->id), amm_number(job->object.tenant),
                                           amm_number(page.after ? page.after : INT64_MAX),
                                           amm_number(SCAN_MOST))),
                  mark, page.limit);
}

static int64_t query_id(const struct job *job, const char *name)
{
    char text[24];
    return job_query_text(job, name, text, sizeof text) ? strtoll(text, NULL, 10) : 0;
}

static void fleet_events(struct job *job)
{
    struct job_page page = job_page(job);
    struct fleet *fleet = job->m->fleet;
    int64_t tenant = query_id(job, "tenant"), group = query_id(job, "group");
    struct fleet_group *branch = group != 0    ? fleet_group_find(fleet, group)
                                 : tenant != 0 ? fleet_branch_find(fleet, tenant, 0)
                                               : NULL;
    if (branch) {
        struct access_object place = {branch->tenant->id, branch->id};
        branch = job_allows(job, ACCESS_VIEW, &place) ? branch : NULL;
    }
    if ((group != 0 || tenant != 0) && (!branch || (tenant != 0 && branch->tenant->id != tenant))) {
        job_not_found(job);
        return;
    }
    if (!branch && job_only_tenant(job) != 0) {
        branch = fleet_branch_find(fleet, job_only_tenant(job), 0);
    }
    struct amm_value before = amm_number(page.after ? page.after : INT64_MAX);
    uint32_t mark = job_mark_visible(job, branch);
    struct amm_rows *rows = branch ? amm_store_query(job->m->store, AMM_SQL_EVENT_OF_TENANT,
                                                     AMM_WITH(amm_number(branch->tenant->id),
                                                              before, amm_number(SCAN_MOST)))
                                   : amm_store_query(job->m->store, AMM_SQL_EVENT_ALL,
                                                     AMM_WITH(before, amm_number(SCAN_MOST)));
    answer_events(job, rows, mark, page.limit);
}

const struct route event_routes[] = {
    {.method = "GET",
     .path = "/api/v1/events",
     .action = ACCESS_VIEW,
     .query = fleet_event_query,
     .handle = fleet_events,
     .summary = "Events of all gateways that the actor sees, newest first"},
    {.method = "GET",
     .path = "/api/v1/gateways/{id}/events",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .query = event_query,
     .handle = gateway_events,
     .summary = "Events of a gateway, newest first"},
    {0},
};

/* ---- stats ---- */

static void gateway_stats(struct job *job)
{
    const struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, job->id);
    json_t *stats = gateway_stats_to_json(gateway);
    job_json(job, 200,
             stats ? json_pack("{s:o, s:o}", "stats", stats, "at",
                               gateway->last_checkin != 0 ? json_integer(gateway->last_checkin)
                                                          : json_null())
                   : NULL);
}

static void known_stats(struct job *job)
{
    static const char *const types[] = {[AMM_STAT_NUMBER] = "number",
                                        [AMM_STAT_TEXT] = "text",
                                        [AMM_STAT_BOOL] = "bool",
                                        [AMM_STAT_ADDRESS] = "address",
                                        [AMM_STAT_PREFIXES] = "prefixes"};
    json_t *items = json_array();
    for (size_t i = 0; i < amm_stats_count; i++) {
        const struct amm_stat *stat = &amm_stats[i];
        json_array_append_new(items, json_pack("{s:s, s:s, s:b, s:b, s:s, s:s}", "name", stat->name,
                                               "type", types[stat->type], "labelled",
                                               (int)stat->labelled, "history", (int)stat->history,
                                               "unit", stat->unit, "doc", stat->doc));
    }
    job_list(job, items, 0);
}

const struct route stat_routes[] = {
    {.method = "GET",
     .path = "/api/v1/stats",
     .action = ACCESS_SELF,
     .handle = known_stats,
     .summary = "Stats that the server knows by name (doc/stats.md)"},
    {.method = "GET",
     .path = "/api/v1/gateways/{id}/stats",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .handle = gateway_stats,
     .summary = "Last known values of a gateway"},
    {0},
};
