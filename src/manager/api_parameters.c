/* Parameters: of gateways, templates of groups, the registry, histories. */
#include "domain/msci.h"
#include "fleet_module.h"
#include "manager/job.h"
#include "parameters.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

static struct fleet_gateway *gateway_of(const struct job *job)
{
    return fleet_gateway_find(job->m->fleet, job->id);
}

/* ---- showing ---- */

static json_t *value_json(uint32_t id, const char *text)
{
    const struct amm_msci *msci = amm_msci_find(id);
    struct amm_msci_value value;
    snprintf(value.text, sizeof value.text, "%s", text);
    return msci && strlen(text) < sizeof value.text ? amm_msci_to_json(msci, &value)
                                                    : json_string(text);
}

static json_t *desired_json(const struct fleet_desired *desired, const struct fleet_group *from)
{
    return json_pack("{s:o, s:s, s:o, s:I, s:s}", "value", value_json(desired->id, desired->value),
                     "from",
                     from             ? "template"
                     : desired->local ? "gateway"
                                      : "own",
                     "group", from ? job_json_id(from->id) : json_null(), "at",
                     (json_int_t)desired->at, "by", desired->by);
}

/* What is known of one parameter of a gateway; NULL: nothing. */
static json_t *parameter_json(const struct fleet_gateway *gateway, uint32_t id)
{
    char name[16], reported[AMM_PARAMETER_TEXT_MAX];
    struct value value;
    const struct amm_msci *msci = amm_msci_find(id);
    const struct fleet_group *from;
    const struct fleet_desired *desired = fleet_desired(gateway, id, &from);
    snprintf(name, sizeof name, "%u", id);
    bool has = values_find(gateway->reported, VALUES_PARAMETERS, name, &value);
    if (!has && !desired) {
        return NULL;
    }
    json_t *json = json_pack("{s:i}", "id", (int)id);
    if (msci) {
        json_object_set_new(json, "name", json_string(msci->name));
    }
    if (has) {
        json_object_set_new(json, "reported", value_to_json(&value));
    }
    if (desired) {
        bool differs = !fleet_reported(gateway, id, reported, sizeof reported) ||
                       strcmp(reported, desired->value) != 0;
        json_object_set_new(json, "desired", desired_json(desired, from));
        json_object_set_new(json, "pending", json_boolean(differs && !desired->local));
    }
    return json;
}

static void append(json_t *list, json_t *item)
{
    if (item) {
        json_array_append_new(list, item);
    }
}

/* Those of the registry in its order, then what the gateway reports beside it. */
static void show(struct job *job)
{
    const struct fleet_gateway *gateway = gateway_of(job);
    json_t *items = json_array(), *reported = values_to_json(gateway->reported, VALUES_PARAMETERS);
    const char *name;
    json_t *value;
    for (size_t i = 0; i < amm_msci_count(); i++) {
        append(items, parameter_json(gateway, amm_msci_at(i)->id));
    }
    json_object_foreach(reported, name, value)
    {
        unsigned long id = strtoul(name, NULL, 10);
        if (id <= UINT32_MAX && !amm_msci_find((uint32_t)id)) {
            append(items, json_pack("{s:i, s:O}", "id", (int)id, "reported", value));
        }
    }
    json_decref(reported);
    json_t *json = json_pack(
        "{s:o, s:s, s:s, s:I, s:I}", "items", items, "sync", fleet_sync_name(gateway->sync),
        "sync_text", fleet_sync_text(gateway->sync), "revision", (json_int_t)gateway->revision,
        "revision_taken", (json_int_t)gateway->revision_taken);
    if (json && gateway->revision_failed != 0) {
        json_object_set_new(json, "settings_error", json_string(gateway->settings_error));
    }
    job_json(job, 200, json);
}

static void show_one(struct job *job)
{
    int64_t id;
    if (!job_argument_number(job, 1, 1, UINT32_MAX, &id)) {
        return;
    }
    json_t *json = parameter_json(gateway_of(job), (uint32_t)id);
    if (json) {
        job_json(job, 200, json);
    } else {
        job_not_found(job);
    }
}

/* ---- setting ---- */

static const struct field set_body[] = {
    {"values", FIELD_OBJECT, true, 0, 0, NULL,
     "by MSCIID or name; null takes the setting away. All of them or none."},
    {0}};

static void audit_values(struct job *job, int64_t tenant, const char *object, const json_t *values)
{
    char *text = json_dumps(values, JSON_COMPACT);
    job_audit(job, tenant, object, "%s", text ? text : "");
    free(text);
}

static void set(struct job *job)
{
    struct fleet_gateway *gateway = gateway_of(job);
    const json_t *values = json_object_get(job->input, "values");
    struct fleet_error error;
    char object[FLEET_NAME_MAX + 48];
    if (!parameters_set(job->m->fleet, gateway, values, job->actor.name, job->m->now.wall,
                        &error)) {
        job_fleet_error(job, &error);
        return;
    }
    snprintf(object, sizeof object, "gateway %lld %s", (long long)gateway->id, gateway->name);
    audit_values(job, gateway->group->tenant->id, object, values);
    show(job);
}

static void retry(struct job *job)
{
    struct fleet_error error;
    if (!parameters_retry(job->m->fleet, gateway_of(job), &error)) {
        job_fleet_error(job, &error);
        return;
    }
    show(job);
}

/* ---- templates ---- */

static void show_template(struct job *job, const struct fleet_group *group)
{
    json_t *items = json_array();
    for (uint32_t i = 0; i < group->template.n; i++) {
        const struct fleet_desired *desired = &group->template.at[i];
        const struct amm_msci *msci = amm_msci_find(desired->id);
        append(items,
               json_pack("{s:i, s:s, s:o, s:I, s:s}", "id", (int)desired->id, "name",
                         msci ? msci->name : "", "value", value_json(desired->id, desired->value),
                         "at", (json_int_t)desired->at, "by", desired->by));
    }
    job_json(job, 200, json_pack("{s:o}", "items", items));
}

static void set_template(struct job *job, struct fleet_group *group)
{
    const json_t *values = json_object_get(job->input, "values");
    struct fleet_error error;
    char object[FLEET_NAME_MAX + 48];
    if (!parameters_set_template(job->m->fleet, group, values, job->actor.name, job->m->now.wall,
                                 &error)) {
        job_fleet_error(job, &error);
        return;
    }
    snprintf(object, sizeof object, "template of group %lld %s", (long long)group->id, group->name);
    audit_values(job, group->tenant->id, object, values);
    show_template(job, group);
}

static struct fleet_group *group_of(const struct job *job)
{
    return fleet_group_find(job->m->fleet, job->id);
}

static struct fleet_group *root_of(const struct job *job)
{
    return fleet_tenant_find(job->m->fleet, job->id)->root;
}

static void show_group(struct job *job)
{
    show_template(job, group_of(job));
}

static void set_group(struct job *job)
{
    set_template(job, group_of(job));
}

static void show_tenant(struct job *job)
{
    show_template(job, root_of(job));
}

static void set_tenant(struct job *job)
{
    set_template(job, root_of(job));
}

/* ---- history ---- */

static const struct field page_query[] = {ROUTE_PAGE, {0}};

static json_t *text_or_null(const struct amm_rows *rows, unsigned column)
{
    struct amm_view text = amm_rows_view(rows, column);
    return amm_rows_is_null(rows, column) ? json_null()
                                          : json_stringn((const char *)text.data, text.len);
}

/* Newest first: `after` is the id of the last one before. */
static void answer_history(struct job *job, struct amm_rows *rows, unsigned limit)
{
    json_t *items = json_array();
    int64_t last = 0;
    while (amm_rows_next(rows)) {
        char by[AMM_STAT_TEXT_MAX];
        const struct amm_msci *msci = amm_msci_find((uint32_t)amm_rows_number(rows, 1));
        amm_rows_text(rows, 6, by, sizeof by);
        last = amm_rows_number(rows, 0);
        append(items, json_pack("{s:o, s:I, s:s, s:o, s:o, s:b, s:I, s:s}", "id", job_json_id(last),
                                "parameter", (json_int_t)amm_rows_number(rows, 1), "name",
                                msci ? msci->name : "", "old", text_or_null(rows, 2), "new",
                                text_or_null(rows, 3), "local", amm_rows_number(rows, 4) != 0, "at",
                                (json_int_t)amm_rows_number(rows, 5), "by", by));
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        json_decref(items);
        job_store_error(job, result);
        return;
    }
    job_list(job, items, json_array_size(items) == limit ? last : 0);
}

static int64_t before(const struct job_page *page)
{
    return page->after != 0 ? page->after : INT64_MAX;
}

static void gateway_history(struct job *job)
{
    struct job_page page = job_page(job);
    answer_history(job,
                   amm_store_query(job->m->store, AMM_SQL_HISTORY_OF_GATEWAY,
                                   AMM_WITH(amm_number(job->id), amm_number(job->object.tenant),
                                            amm_number(before(&page)), amm_number(page.limit))),
                   page.limit);
}

static void template_history(struct job *job, const struct fleet_group *group)
{
    struct job_page page = job_page(job);
    answer_history(job,
                   amm_store_query(job->m->store, AMM_SQL_HISTORY_OF_GROUP,
                                   AMM_WITH(amm_number(group->tenant->id), amm_number(group->id),
                                            amm_number(before(&page)), amm_number(page.limit))),
                   page.limit);
}

static void group_history(struct job *job)
{
    template_history(job, group_of(job));
}

static void tenant_history(struct job *job)
{
    template_history(job, root_of(job));
}

/* ---- the registry ---- */

static json_t *msci_json(const struct amm_msci *msci)
{
    char allowed[AMM_MSCI_ERROR], unused[AMM_MSCI_ERROR];
    struct amm_msci_value initial;
    json_t *json = json_pack(
        "{s:i, s:s, s:s, s:s, s:b, s:b, s:s}", "id", (int)msci->id, "name", msci->name, "help",
        msci->help, "allowed", amm_msci_allowed(msci, allowed), "settable",
        (int)amm_msci_may_set(msci, AMM_MSCI_FROM_SERVER, unused), "secret", (int)msci->is_secret,
        "activation", msci->activation == AMM_MSCI_NOW ? "now" : "reboot");
    if (json && msci->unit) {
        json_object_set_new(json, "unit", json_string(msci->unit));
    }
    if (json && !msci->is_secret && amm_msci_initial(msci, &initial)) {
        json_object_set_new(json, "initial", amm_msci_to_json(msci, &initial));
    }
    return json;
}

static void registry(struct job *job)
{
    json_t *items = json_array();
    for (size_t i = 0; i < amm_msci_count(); i++) {
        append(items, msci_json(amm_msci_at(i)));
    }
    job_list(job, items, 0);
}

#define GATEWAY "/api/v1/gateways/{id}/parameters"
#define GROUP "/api/v1/groups/{id}/parameters"
#define TENANT "/api/v1/tenants/{id}/parameters"

const struct route parameter_routes[] = {
    {.method = "GET",
     .path = "/api/v1/parameters",
     .action = ACCESS_SELF,
     .handle = registry,
     .summary = "The registry of parameters (doc/msci.md)"},
    {.method = "GET",
     .path = GATEWAY,
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .handle = show,
     .summary = "Parameters of a gateway: reported, desired, pending"},
    {.method = "PATCH",
     .path = GATEWAY,
     .action = ACCESS_OPERATE,
     .find = gateway_find_object,
     .body = set_body,
     .handle = set,
     .summary = "Sets desired parameters of a gateway"},
    {.method = "GET",
     .path = GATEWAY "/history",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .query = page_query,
     .handle = gateway_history,
     .summary = "Who changed what on either side, newest first"},
    {.method = "POST",
     .path = GATEWAY "/retry",
     .action = ACCESS_OPERATE,
     .find = gateway_find_object,
     .handle = retry,
     .summary = "Offers settings again that the gateway could not take"},
    {.method = "GET",
     .path = GATEWAY "/{mscid}",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .handle = show_one,
     .summary = "One parameter of a gateway"},
    {.method = "GET",
     .path = GROUP,
     .action = ACCESS_VIEW,
     .find = group_find_object,
     .handle = show_group,
     .summary = "Template of a group: desired of all gateways below it"},
    {.method = "PATCH",
     .path = GROUP,
     .action = ACCESS_OPERATE,
     .find = group_find_object,
     .body = set_body,
     .handle = set_group,
     .summary = "Changes the template of a group"},
    {.method = "GET",
     .path = GROUP "/history",
     .action = ACCESS_VIEW,
     .find = group_find_object,
     .query = page_query,
     .handle = group_history,
     .summary = "Who changed the template of a group, newest first"},
    {.method = "GET",
     .path = TENANT,
     .action = ACCESS_VIEW,
     .find = tenant_find_object,
     .handle = show_tenant,
     .summary = "Template of a whole tenant"},
    {.method = "PATCH",
     .path = TENANT,
     .action = ACCESS_OPERATE,
     .find = tenant_find_object,
     .body = set_body,
     .handle = set_tenant,
     .summary = "Changes the template of a tenant"},
    {.method = "GET",
     .path = TENANT "/history",
     .action = ACCESS_VIEW,
     .find = tenant_find_object,
     .query = page_query,
     .handle = tenant_history,
     .summary = "Who changed the template of a tenant, newest first"},
    {0},
};
