/* /api/v1/thresholds */
#include "fleet_module.h"
#include "gateway_filters.h"
#include "manager/stream.h"
#include "thresholds.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PREVIEW_NAMES = 20,
    PREVIEW_COST = 20000000, /* steps of patterns: about 50 ms */
};

#define TYPES "list of amm, aleos, openvpn; none: any"

#define MEMBERS                                                                                    \
    {"stat",                                                                                       \
     FIELD_TEXT,                                                                                   \
     false,                                                                                        \
     1,                                                                                            \
     AMM_STAT_NAME_MAX,                                                                            \
     NULL,                                                                                         \
     "a stat: reported, or ManagementTunnel-IPAddress, ManagementTunnel-Port, Heartbeat, "         \
     "ConfigurationState"},                                                                        \
        {"stat_label",                                                                             \
         FIELD_TEXT,                                                                               \
         false,                                                                                    \
         0,                                                                                        \
         AMM_STAT_NAME_MAX,                                                                        \
         NULL,                                                                                     \
         "matching label of a labelled stat"},                                                     \
        {"gateway_types", FIELD_ARRAY, false, 0, FLEET_KINDS, NULL, TYPES},                        \
        {"default",                                                                                \
         FIELD_TEXT,                                                                               \
         false,                                                                                    \
         0,                                                                                        \
         THRESHOLD_VALUE_MAX,                                                                      \
         NULL,                                                                                     \
         "what is meant when nothing is reported"},                                                \
        {"display_filter",                                                                         \
         FIELD_TEXT,                                                                               \
         false,                                                                                    \
         0,                                                                                        \
         PATTERN_MAX,                                                                              \
         NULL,                                                                                     \
         "regular expression: what it matches is shown"},                                          \
        {"dashboard_group", FIELD_NUMBER, false, 0, 99, NULL, "groups stand from left to right"},  \
        {"order", FIELD_NUMBER, false, 0, 9999, NULL, "inside its group"},                         \
        {"warning",                                                                                \
         FIELD_ANY,                                                                                \
         false,                                                                                    \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         "null, or {\"op\": lt|le|gt|ge|eq|ne|missing|present|matches, \"value\"}"},               \
        {"error", FIELD_ANY, false, 0, 0, NULL, "likewise"},                                       \
        {"hysteresis",                                                                             \
         FIELD_ANY,                                                                                \
         false,                                                                                    \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         "how far a number must come back behind the mark"},                                       \
        {"hold_s",                                                                                 \
         FIELD_NUMBER,                                                                             \
         false,                                                                                    \
         0,                                                                                        \
         THRESHOLD_HOLD_MAX,                                                                       \
         NULL,                                                                                     \
         "seconds that a condition must hold before it counts"},                                   \
    {                                                                                              \
        "unit", FIELD_TEXT, false, 0, THRESHOLD_UNIT_MAX, NULL, "shown behind values"              \
    }

#define PLACE                                                                                      \
    {"tenant", FIELD_ID, false, 1, 0, NULL, "default: the actor's"},                               \
        {"group", FIELD_ID, false, 0, 0, NULL, "for all gateways in it and below; \"0\": all"},    \
    {                                                                                              \
        "gateway", FIELD_ID, false, 1, 0, NULL, "for this one only"                                \
    }

static const struct field list_query[] = {
    {"tenant", FIELD_ID, false, 1, 0, NULL, "of this tenant"},
    {"group", FIELD_ID, false, 0, 0, NULL, "those that count there, inherited ones, too"},
    {"gateway", FIELD_ID, false, 1, 0, NULL, "those that count for this gateway"},
    {0}};

static const struct field add_body[] = {
    {"label", FIELD_TEXT, true, 1, THRESHOLD_LABEL_MAX, NULL, "head of the column"},
    PLACE,
    MEMBERS,
    {0}};

static const struct field change_body[] = {
    {"label", FIELD_TEXT, false, 1, THRESHOLD_LABEL_MAX, NULL, "head of the column"}, MEMBERS, {0}};

static const struct field preview_body[] = {
    {"label", FIELD_TEXT, false, 0, THRESHOLD_LABEL_MAX, NULL, "may be left out here"},
    PLACE,
    MEMBERS,
    {0}};

/* ---- where it stands ---- */

static bool place_of(struct manager *m, const struct threshold *threshold,
                     struct access_object *out)
{
    const struct fleet_gateway *gateway =
        threshold->gateway != 0 ? fleet_gateway_find(m->fleet, threshold->gateway) : NULL;
    if (threshold->gateway != 0) {
        if (gateway != NULL) {
            *out = gateway_object(gateway);
        }
        return gateway != NULL;
    }
    *out = (struct access_object){threshold->tenant, threshold->group};
    return fleet_branch_find(m->fleet, threshold->tenant, threshold->group) != NULL;
}

static bool find(struct manager *m, int64_t id, struct access_object *out)
{
    const struct threshold *threshold = threshold_find(m->thresholds, id);
    return threshold != NULL && place_of(m, threshold, out);
}

static json_t *to_json(const struct threshold *threshold)
{
    json_t *json = threshold_write(threshold);
    json_object_set_new(json, "id", job_json_id(threshold->id));
    json_object_set_new(json, "tenant", job_json_id(threshold->tenant));
    if (threshold->gateway != 0) {
        json_object_set_new(json, "gateway", job_json_id(threshold->gateway));
    } else {
        json_object_set_new(json, "group", job_json_id(threshold->group));
    }
    return json;
}

/* Where a new one, or a preview, is for: fills tenant, group, gateway. False: answered. */
static bool take_place(struct job *job, enum access_action action, struct threshold *out,
                       struct fleet_group **group, struct fleet_gateway **gateway)
{
    struct fleet *fleet = job->m->fleet;
    int64_t id = job_id(job, "gateway", 0), group_id = job_id(job, "group", 0);
    *gateway = id != 0 ? fleet_gateway_find(fleet, id) : NULL;
    if (id != 0) {
        *group = *gateway ? (*gateway)->group : NULL;
    } else if (group_id != 0) {
        *group = fleet_group_find(fleet, group_id);
    } else {
        *group = fleet_branch_find(fleet, job_id(job, "tenant", job->actor.tenant), 0);
    }
    const char *member = id != 0 ? "gateway" : group_id != 0 ? "group" : "tenant";
    if (*group == NULL || (id != 0 && group_id != 0 && (*group)->id != group_id) ||
        (job_has(job, "tenant") && (*group)->tenant->id != job_id(job, "tenant", 0))) {
        job_missing(job, member);
        return false;
    }
    out->tenant = (*group)->tenant->id;
    out->group = id != 0 ? 0 : (*group)->id;
    out->gateway = id;
    struct access_object place = {(*group)->tenant->id, (*group)->id};
    return job_demand(job, action, &place, member);
}

/* For the audit log, and for whoever shows columns. */
static void audit(struct job *job, const struct threshold *threshold, const char *what)
{
    char object[THRESHOLD_LABEL_MAX + 40];
    struct access_object place;
    if (place_of(job->m, threshold, &place)) {
        stream_publish(job->m, &place, "threshold",
                       json_pack("{s:o, s:s}", "id", job_json_id(threshold->id), "change", what));
    }
    snprintf(object, sizeof object, "threshold %lld %s", (long long)threshold->id,
             threshold->label);
    job_audit(job, threshold->tenant, object, "%s", what);
}

/* ---- lists ---- */

struct listing {
    struct job *job;
    json_t *items;
};

static void list_one(void *context, const struct threshold *threshold)
{
    struct listing *listing = context;
    json_array_append_new(listing->items, to_json(threshold));
}

static void list_below(struct listing *listing, const struct fleet_group *group)
{
    struct access_object place = {group->tenant->id, group->id};
    if (job_allows(listing->job, ACCESS_VIEW, &place)) {
        thresholds_at(listing->job->m->thresholds, group->tenant->id, group->id, 0, list_one,
                      listing);
    }
    for (const struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        list_below(listing, child);
    }
}

/* Those that count there, also from groups above that the actor does not see: they are columns of
 * what he sees. */
static void list_reaching(struct job *job, const struct fleet_group *group,
                          const struct fleet_gateway *gateway)
{
    const struct threshold *list[THRESHOLDS_REACHING];
    size_t n = thresholds_reaching(job->m->thresholds, group, gateway, list);
    json_t *items = json_array();
    thresholds_sort(list, n);
    for (size_t i = 0; i < n; i++) {
        bool is_own = gateway ? list[i]->gateway != 0 : list[i]->group == group->id;
        json_t *json = to_json(list[i]);
        json_object_set_new(json, "inherited", json_boolean(!is_own));
        json_array_append_new(items, json);
    }
    job_list(job, items, 0);
}

static void list_handle(struct job *job)
{
    struct fleet *fleet = job->m->fleet;
    struct fleet_group *group;
    char text[24];
    if (job_query_text(job, "gateway", text, sizeof text)) {
        struct fleet_gateway *gateway = fleet_gateway_find(fleet, strtoll(text, NULL, 10));
        struct access_object place = {0};
        if (gateway != NULL) {
            place = gateway_object(gateway);
        }
        if (gateway == NULL || !job_allows(job, ACCESS_VIEW, &place)) {
            job_not_found(job);
        } else {
            list_reaching(job, gateway->group, gateway);
        }
        return;
    }
    if (!gateway_filters_branch(job, &group)) {
        return;
    }
    if (group != NULL) {
        list_reaching(job, group, NULL);
        return;
    }
    struct listing listing = {job, json_array()};
    for (size_t i = 0; i < fleet_tenant_count(fleet); i++) {
        list_below(&listing, fleet_tenant_at(fleet, i)->root);
    }
    job_list(job, listing.items, 0);
}

static void show_handle(struct job *job)
{
    job_json(job, 200, to_json(threshold_find(job->m->thresholds, job->id)));
}

/* ---- changing ---- */

static void add_handle(struct job *job)
{
    struct threshold what = {0};
    struct fleet_group *group;
    struct fleet_gateway *gateway;
    struct fleet_error error;
    if (!take_place(job, ACCESS_OPERATE, &what, &group, &gateway)) {
        return;
    }
    struct threshold *made =
        threshold_read(&what, job->input, &error) ? threshold_add(job->m, &what, &error) : NULL;
    threshold_clear(&what);
    if (made == NULL) {
        job_fleet_error(job, &error);
        return;
    }
    audit(job, made, "added");
    job_json(job, 201, to_json(made));
}

static void change_handle(struct job *job)
{
    struct threshold *threshold = threshold_find(job->m->thresholds, job->id);
    struct fleet_error error;
    audit(job, threshold, "changed");
    if (!threshold_change(job->m, threshold, job->input, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    job_json(job, 200, to_json(threshold));
}

static void remove_handle(struct job *job)
{
    struct threshold *threshold = threshold_find(job->m->thresholds, job->id);
    struct fleet_error error;
    audit(job, threshold, "removed");
    if (!threshold_remove(job->m, threshold, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    job_empty(job);
}

/* ---- preview ---- */

struct preview {
    struct job *job;
    const struct threshold *threshold;
    uint32_t total, looked_at, by_state[THRESHOLD_ERROR + 1], missing;
    json_t *names;
    size_t cost;
};

static void preview_one(void *context, struct fleet_gateway *gateway)
{
    struct preview *preview = context;
    const struct threshold *threshold = preview->threshold;
    struct threshold_cell cell;
    bool is_meant = threshold->gateway == 0 || threshold->gateway == gateway->id;
    if (!is_meant || (threshold->kinds & 1u << gateway->kind) == 0) {
        return;
    }
    preview->total++;
    if (preview->cost >= PREVIEW_COST) {
        return;
    }
    threshold_cell(threshold, gateway, preview->job->m->now.wall, &cell);
    preview->cost += threshold_cost(threshold, &cell);
    preview->looked_at++;
    preview->missing += cell.says == STAT_SAYS && !cell.is_there;
    enum threshold_state state = threshold_judge(threshold, &cell, THRESHOLD_OK);
    preview->by_state[state]++;
    if (state >= THRESHOLD_WARNING && json_array_size(preview->names) < PREVIEW_NAMES) {
        json_array_append_new(preview->names,
                              json_pack("{s:o, s:s, s:s, s:s}", "id", job_json_id(gateway->id),
                                        "name", gateway->name, "state", threshold_state_name(state),
                                        "value", cell.text));
    }
}

/* What it would say now, without hold times: nothing is changed. */
static void preview_handle(struct job *job)
{
    struct threshold what = {.label = "preview"};
    struct fleet_group *group;
    struct fleet_gateway *gateway;
    struct fleet_error error;
    if (!take_place(job, ACCESS_VIEW, &what, &group, &gateway)) {
        return;
    }
    json_object_del(job->input, "label");
    if (!threshold_read(&what, job->input, &error)) {
        threshold_clear(&what);
        job_fleet_error(job, &error);
        return;
    }
    struct gateway_query query;
    struct preview preview = {.job = job, .threshold = &what, .names = json_array()};
    gateway_query_init(&query, job->m->now.wall);
    query.mark = job_mark_visible(job, group);
    gateway_query_each(job->m->fleet, &query, preview_one, &preview);
    threshold_clear(&what);
    job_json(job, 200,
             json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "total",
                       (json_int_t)preview.total, "looked_at", (json_int_t)preview.looked_at, "ok",
                       (json_int_t)preview.by_state[THRESHOLD_OK], "warning",
                       (json_int_t)preview.by_state[THRESHOLD_WARNING], "error",
                       (json_int_t)preview.by_state[THRESHOLD_ERROR], "none",
                       (json_int_t)preview.by_state[THRESHOLD_NONE], "missing",
                       (json_int_t)preview.missing, "gateways", preview.names));
}

const struct route threshold_routes[] = {
    {.method = "GET",
     .path = "/api/v1/thresholds",
     .action = ACCESS_VIEW,
     .query = list_query,
     .handle = list_handle,
     .summary = "Thresholds: all of them, or those that count in a group or for a gateway"},
    {.method = "POST",
     .path = "/api/v1/thresholds",
     .action = ACCESS_OPERATE,
     .body = add_body,
     .handle = add_handle,
     .summary = "Adds a threshold to a group or a gateway"},
    {.method = "POST",
     .path = "/api/v1/thresholds/preview",
     .action = ACCESS_VIEW,
     .flags = ROUTE_UNAUDITED,
     .body = preview_body,
     .handle = preview_handle,
     .summary = "How many gateways would meet it now, and the first of them"},
    {.method = "GET",
     .path = "/api/v1/thresholds/{id}",
     .action = ACCESS_VIEW,
     .find = find,
     .handle = show_handle,
     .summary = "A threshold"},
    {.method = "PATCH",
     .path = "/api/v1/thresholds/{id}",
     .action = ACCESS_OPERATE,
     .find = find,
     .body = change_body,
     .handle = change_handle,
     .summary = "Changes a threshold"},
    {.method = "DELETE",
     .path = "/api/v1/thresholds/{id}",
     .action = ACCESS_OPERATE,
     .find = find,
     .handle = remove_handle,
     .summary = "Removes a threshold; what it says of gateways goes with it"},
    {0},
};
