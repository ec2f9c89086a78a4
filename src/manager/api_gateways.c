/* /api/v1/gateways */
#include "crypto/identity.h"
#include "enrolment.h"
#include "events.h"
#include "fleet_module.h"
#include "gateway_filters.h"
#include "manager/job.h"
#include "manager/remote.h"

#include <stdio.h>
#include <stdlib.h>

enum { BULK_MAX = 10000, BULK_BODY = 4 * 1024 * 1024, REASON_MAX = 200 };

static struct fleet_gateway *gateway_of(const struct job *job)
{
    return fleet_gateway_find(job->m->fleet, job->id);
}

/* Position of a name in an enum's names; the route has checked that it is one of them. */
static uint8_t parse_name(const char *text, const char *(*name)(unsigned), unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(text, name(i)) == 0) {
            return (uint8_t)i;
        }
    }
    return QUERY_ANY;
}

static const char *kind_name(unsigned i)
{
    return fleet_kind_name(i);
}

static const char *access_name(unsigned i)
{
    return fleet_access_name(i);
}

static const char *sync_name(unsigned i)
{
    return fleet_sync_name(i);
}

static void audit_gateway(struct job *job, const struct fleet_gateway *gateway, const char *detail)
{
    char object[FLEET_NAME_MAX + 40];
    snprintf(object, sizeof object, "gateway %lld %s", (long long)gateway->id, gateway->name);
    job_audit(job, gateway->group->tenant->id, object, "%s", detail);
}

/* ---- lists ---- */

static const struct field list_query[] = {
    GATEWAY_ORDER,
    {"stats", FIELD_TEXT, false, 1, 1000, NULL, "stats to come along, separated by commas"},
    {"fields", FIELD_CHOICE, false, 0, 0, "all|tree", "tree: what a row of the tree shows"},
    GATEWAY_FILTERS,
    {0}};

static const struct field count_query[] = {GATEWAY_FILTERS, {0}};

static void list(struct job *job)
{
    struct gateway_query query;
    char stats[1024];
    if (!gateway_filters_take(job, &query) || !gateway_order_take(job, &query)) {
        return;
    }
    struct gateway_page *page = malloc(sizeof *page);
    json_t *items = page ? json_array() : NULL, *json = items ? json_object() : NULL;
    if (!json) {
        json_decref(items);
        job_json(job, 503, NULL);
    } else if (!gateway_query_run(job->m->fleet, &query, page)) {
        json_decref(items);
        json_decref(json);
        job_error(job, 400, "bad-value", "after",
                  "This is not the `next` of a page before, in this order.");
    } else {
        char fields[8] = "all";
        bool has_stats = job_query_text(job, "stats", stats, sizeof stats);
        job_query_text(job, "fields", fields, sizeof fields);
        bool is_tree = strcmp(fields, "tree") == 0;
        for (size_t i = 0; i < page->n; i++) {
            json_array_append_new(
                items,
                is_tree ? gateway_to_json_compact(page->at[i], job->m->now.wall)
                        : gateway_to_json(page->at[i], job->m->now.wall, has_stats ? stats : NULL));
        }
        json_object_set_new(json, "items", items);
        if (page->has_more) {
            json_object_set_new(json, "next", json_string(page->next));
        }
        if (query.want_total) {
            json_object_set_new(json, "total", json_integer((json_int_t)page->total));
        }
        job_json(job, 200, json);
    }
    free(page);
}

static json_t *numbers(const uint32_t *counts, const char *(*name)(unsigned), unsigned n)
{
    json_t *json = json_object();
    for (unsigned i = 0; i < n; i++) {
        json_object_set_new(json, name(i), json_integer(counts[i]));
    }
    return json;
}

static void count(struct job *job)
{
    struct gateway_query query;
    struct gateway_counts counts;
    if (!gateway_filters_take(job, &query)) {
        return;
    }
    gateway_query_count(job->m->fleet, &query, &counts);
    job_json(job, 200,
             json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:o}", "total", (int)counts.total,
                       "tunnel_up", (int)counts.tunnel_up, "late", (int)counts.late, "clone",
                       (int)counts.cloned, "kind", numbers(counts.by_kind, kind_name, FLEET_KINDS),
                       "access", numbers(counts.by_access, access_name, FLEET_ACCESSES), "sync",
                       numbers(counts.by_sync, sync_name, FLEET_SYNCS)));
}

static void show(struct job *job)
{
    job_json(job, 200, gateway_to_json_whole(job->m->fleet, gateway_of(job), job->m->now.wall));
}

/* ---- adding ---- */

#define NEW_MEMBERS                                                                                \
    {"serial", FIELD_TEXT, false, 0, FLEET_SERIAL_MAX, NULL, "unique in the server"},              \
        {"note", FIELD_TEXT, false, 0, 1024, NULL, "for people"},                                  \
        {"kind", FIELD_CHOICE, false, 0, 0, GATEWAY_KINDS, "default amm"},                         \
        {"tenant", FIELD_ID, false, 1, 0, NULL, "default: the actor's"},                           \
    {                                                                                              \
        "group", FIELD_ID, false, 0, 0, NULL, "default: directly under the tenant"                 \
    }

static const struct field add_body[] = {
    {"name", FIELD_TEXT, false, 1, FLEET_NAME_MAX, NULL, "unique in the tenant; never changes"},
    NEW_MEMBERS,
    {"gateways", FIELD_ARRAY, false, 1, BULK_MAX, NULL,
     "many: objects with name, serial, note and kind; all of them or none"},
    {"dry_run", FIELD_BOOL, false, 0, 0, NULL, "check only"},
    {0}};

/* Where new ones go, with the right to; NULL: answered. */
static struct fleet_group *target_group(struct job *job)
{
    int64_t id = job_id(job, "group", 0);
    struct fleet_group *group =
        id != 0 ? fleet_group_find(job->m->fleet, id)
                : fleet_branch_find(job->m->fleet, job_id(job, "tenant", job->actor.tenant), 0);
    int64_t tenant = job_id(job, "tenant", 0);
    if (!group || (tenant != 0 && group->tenant->id != tenant)) {
        job_missing(job, id != 0 ? "group" : "tenant");
        return NULL;
    }
    struct access_object place = {group->tenant->id, group->id};
    return job_demand(job, ACCESS_ADMIN, &place, id != 0 ? "group" : "tenant") ? group : NULL;
}

static void add_one(struct job *job, struct fleet_group *group)
{
    struct fleet_error error;
    struct fleet_gateway_new what = {
        .group = group,
        .name = job_text(job, "name", ""),
        .serial = job_text(job, "serial", ""),
        .note = job_text(job, "note", ""),
        .kind = parse_name(job_text(job, "kind", "amm"), kind_name, FLEET_KINDS),
    };
    struct fleet_gateway *gateway =
        fleet_gateway_add(job->m->fleet, &what, job->m->now.wall, &error);
    if (!gateway) {
        job_fleet_error(job, &error);
        return;
    }
    audit_gateway(job, gateway, "added");
    job_json(job, 201, gateway_to_json_whole(job->m->fleet, gateway, job->m->now.wall));
}

/* One object of a bulk; what is wrong with it goes to `error` by name. */
static struct fleet_gateway *add_row(struct job *job, struct fleet_group *group, const json_t *row,
                                     struct fleet_error *error)
{
    static const char *const known[] = {"name", "serial", "note", "kind"};
    const char *text[4] = {"", "", "", "amm"};
    const char *name;
    json_t *value;
    if (!json_is_object(row)) {
        fleet_refuse(error, 400, "bad-value", "gateways", "A gateway is an object.");
        return NULL;
    }
    json_object_foreach((json_t *)row, name, value)
    {
        size_t i = 0;
        while (i < 4 && strcmp(name, known[i]) != 0) {
            i++;
        }
        if (i == 4 || !json_is_string(value) ||
            strlen(json_string_value(value)) != json_string_length(value)) {
            fleet_refuse(error, 400, "bad-value", i < 4 ? known[i] : "gateways",
                         "Members are the texts name, serial, note and kind.");
            return NULL;
        }
        text[i] = json_string_value(value);
    }
    uint8_t kind = parse_name(text[3], kind_name, FLEET_KINDS);
    if (kind == QUERY_ANY) {
        fleet_refuse(error, 400, "bad-value", "kind", "A kind is one of " GATEWAY_KINDS ".");
        return NULL;
    }
    struct fleet_gateway_new what = {group, text[0], text[1], text[2], kind};
    return fleet_gateway_add(job->m->fleet, &what, job->m->now.wall, error);
}

static json_t *row_error(size_t row, const struct fleet_error *error)
{
    return json_pack("{s:I, s:s, s:s, s:s}", "row", (json_int_t)row, "field", error->field, "error",
                     error->name, "text", error->text);
}

/* All or nothing: each row is tried, so that one answer names all that are wrong. */
static void add_many(struct job *job, struct fleet_group *group)
{
    enum { ERRORS_SHOWN = 100 };
    json_t *ids = json_array(), *errors = json_array();
    size_t row, wrong = 0;
    json_t *item;
    json_array_foreach(json_object_get(job->input, "gateways"), row, item)
    {
        struct fleet_error error;
        struct fleet_gateway *gateway = add_row(job, group, item, &error);
        if (gateway) {
            json_array_append_new(ids, job_json_id(gateway->id));
        } else if (error.status == 503 || error.status == 507) {
            json_decref(ids);
            json_decref(errors);
            job_fleet_error(job, &error);
            return;
        } else if (wrong++ < ERRORS_SHOWN) {
            json_array_append_new(errors, row_error(row, &error));
        }
    }
    size_t good = json_array_size(ids);
    bool dry_run = job_bool(job, "dry_run", false);
    char detail[64];
    snprintf(detail, sizeof detail, "%zu gateways added", good);
    job_audit(job, group->tenant->id, "gateways", "%s", detail);
    if (wrong > 0 || dry_run) {
        json_decref(ids);
        job_json(job, wrong > 0 ? 400 : 200,
                 json_pack("{s:s, s:s, s:I, s:I, s:o}", "error",
                           wrong > 0 ? "rows-refused" : "none", "text",
                           wrong > 0 ? "Some rows cannot be taken; nothing was changed."
                                     : "All rows can be taken; nothing was changed.",
                           "good", (json_int_t)good, "wrong", (json_int_t)wrong, "rows", errors));
        manager_fail(job->m); /* what the good ones wrote goes, too */
        return;
    }
    json_decref(errors);
    job_json(job, 201, json_pack("{s:o}", "ids", ids));
}

static void add(struct job *job)
{
    bool is_bulk = job_has(job, "gateways");
    if (is_bulk == job_has(job, "name")) {
        job_error(job, 400, "bad-value", "name", "Either `name` of one, or `gateways`.");
        return;
    }
    struct fleet_group *group = target_group(job);
    if (!group) {
        return;
    }
    if (is_bulk) {
        add_many(job, group);
    } else {
        add_one(job, group);
    }
}

/* ---- changing ---- */

static const struct field edit_body[] = {
    {"serial", FIELD_TEXT, false, 0, FLEET_SERIAL_MAX, NULL, "unique in the server; \"\": unknown"},
    {"note", FIELD_TEXT, false, 0, 1024, NULL, "for people"},
    {"kind", FIELD_CHOICE, false, 0, 0, GATEWAY_KINDS, "what it is"},
    {"group", FIELD_ID, false, 0, 0, NULL, "moves it there; \"0\": directly under the tenant"},
    {"page_scheme", FIELD_CHOICE, false, 0, 0, "http|https", "of its page, of kind openvpn"},
    {"page_port", FIELD_NUMBER, false, 1, 65535, NULL, "of its page, of kind openvpn"},
    {0}};

/* Into a group of its tenant where the actor may do the same; false: answered. */
static bool move(struct job *job, struct fleet_gateway *gateway)
{
    struct fleet_error error;
    struct fleet_group *group =
        fleet_branch_find(job->m->fleet, gateway->group->tenant->id, job_id(job, "group", 0));
    if (!group) {
        job_missing(job, "group");
        return false;
    }
    struct access_object place = {group->tenant->id, group->id};
    if (!job_demand(job, ACCESS_OPERATE, &place, "group")) {
        return false;
    }
    if (!fleet_gateway_move(job->m->fleet, gateway, group, &error)) {
        job_fleet_error(job, &error);
        return false;
    }
    return true;
}

static void edit(struct job *job)
{
    struct fleet_gateway *gateway = gateway_of(job);
    struct fleet_error error;
    enum fleet_kind kind = parse_name(job_text(job, "kind", "amm"), kind_name, FLEET_KINDS);
    bool edits = job_has(job, "serial") || job_has(job, "note") || job_has(job, "kind");
    if (edits && !fleet_gateway_edit(job->m->fleet, gateway, job_text(job, "serial", NULL),
                                     job_text(job, "note", NULL),
                                     job_has(job, "kind") ? &kind : NULL, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    if (!remote_page_edit(job, gateway) || (job_has(job, "group") && !move(job, gateway))) {
        return;
    }
    audit_gateway(job, gateway, job_has(job, "group") ? "changed, moved" : "changed");
    job_json(job, 200, gateway_to_json_whole(job->m->fleet, gateway, job->m->now.wall));
}

static void remove_gateway(struct job *job)
{
    struct fleet_gateway *gateway = gateway_of(job);
    struct fleet_error error;
    audit_gateway(job, gateway, "removed");
    if (!enrolment_revoke(job->m, gateway, FLEET_REVOKED, "the gateway was removed", &error) ||
        !fleet_gateway_remove(job->m->fleet, gateway, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    job_empty(job);
}

/* ---- quarantine ---- */

static const struct field quarantine_body[] = {
    {"reason", FIELD_TEXT, false, 1, REASON_MAX, NULL, "why, for people"}, {0}};

static void quarantine(struct job *job)
{
    struct fleet_gateway *gateway = gateway_of(job);
    struct fleet_error error;
    const char *reason = job_text(job, "reason", "by an operator");
    if (gateway->access == FLEET_NEW || gateway->access == FLEET_REVOKED) {
        job_error(job, 409, "not-admitted", NULL, "The gateway has no access to be taken away.");
        return;
    }
    if (!fleet_gateway_set_access(job->m->fleet, gateway, FLEET_QUARANTINED, reason,
                                  job->m->now.wall, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    if (!event_add(job->m->fleet, gateway, "quarantined", reason, NULL, job->m->now.wall)) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    audit_gateway(job, gateway, reason);
    job_json(job, 200, gateway_to_json_whole(job->m->fleet, gateway, job->m->now.wall));
}

/* Also clears the clone flag of a gateway that was only flagged. Whoever comes first then is the
 * gateway: its numbers are taken as they are. */
static void release(struct job *job)
{
    struct fleet_gateway *gateway = gateway_of(job);
    struct fleet_error error;
    if (gateway->access != FLEET_QUARANTINED &&
        !(gateway->access == FLEET_ADMITTED && gateway->clone_flag)) {
        job_error(job, 409, "not-quarantined", NULL,
                  "The gateway is neither in quarantine nor flagged.");
        return;
    }
    if (!fleet_gateway_set_access(job->m->fleet, gateway, FLEET_ADMITTED, NULL, job->m->now.wall,
                                  &error) ||
        !fleet_gateway_restart_numbers(job->m->fleet, gateway, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    if (!event_add(job->m->fleet, gateway, "released", "", NULL, job->m->now.wall)) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    audit_gateway(job, gateway, "released");
    job_json(job, 200, gateway_to_json_whole(job->m->fleet, gateway, job->m->now.wall));
}

/* ---- clone policy of a branch ---- */

#define POLICIES "inherit|flag|quarantine"

static const struct field policy_body[] = {
    {"policy", FIELD_CHOICE, true, 0, 0, POLICIES,
     "what becomes of a gateway of whose identity two live uses are seen"},
    {0}};

static void set_policy(struct job *job, struct fleet_group *group)
{
    static const char *const names[] = {"inherit", "flag", "quarantine"};
    const char *name = job_text(job, "policy", "inherit");
    struct fleet_error error;
    enum fleet_clone_policy policy = FLEET_CLONE_INHERIT;
    while (strcmp(names[policy], name) != 0) {
        policy++;
    }
    if (!fleet_group_set_clone_policy(job->m->fleet, group, policy, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    job_audit(job, group->tenant->id, "clone policy", "%s: %s", group->name, name);
    job_empty(job);
}

static void set_group_policy(struct job *job)
{
    set_policy(job, fleet_group_find(job->m->fleet, job->id));
}

static void set_tenant_policy(struct job *job)
{
    set_policy(job, fleet_tenant_find(job->m->fleet, job->id)->root);
}

const struct route gateway_routes[] = {
    {.method = "GET",
     .path = "/api/v1/gateways",
     .action = ACCESS_VIEW,
     .query = list_query,
     .handle = list,
     .summary = "Gateways, page by page"},
    {.method = "GET",
     .path = "/api/v1/gateways/counts",
     .action = ACCESS_VIEW,
     .query = count_query,
     .handle = count,
     .summary = "How many gateways, by kind, access and state"},
    {.method = "POST",
     .path = "/api/v1/gateways",
     .action = ACCESS_ADMIN,
     .body_max = BULK_BODY,
     .body = add_body,
     .handle = add,
     .summary = "Adds a gateway, or many at once"},
    {.method = "GET",
     .path = "/api/v1/gateways/{id}",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .handle = show,
     .summary = "A gateway with its stats, certificates and what it supports"},
    {.method = "PATCH",
     .path = "/api/v1/gateways/{id}",
     .action = ACCESS_OPERATE,
     .find = gateway_find_object,
     .body = edit_body,
     .handle = edit,
     .summary = "Changes serial number, note, kind or group"},
    {.method = "DELETE",
     .path = "/api/v1/gateways/{id}",
     .action = ACCESS_ADMIN,
     .find = gateway_find_object,
     .handle = remove_gateway,
     .summary = "Removes a gateway with all it has; its certificates are revoked"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/quarantine",
     .action = ACCESS_OPERATE,
     .find = gateway_find_object,
     .body = quarantine_body,
     .handle = quarantine,
     .summary = "No tunnel and no check-in until it is released"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/release",
     .action = ACCESS_ADMIN,
     .find = gateway_find_object,
     .handle = release,
     .summary = "Ends a quarantine, clears the flag of two live uses"},
    {.method = "PUT",
     .path = "/api/v1/groups/{id}/clone-policy",
     .action = ACCESS_ADMIN,
     .find = group_find_object,
     .body = policy_body,
     .handle = set_group_policy,
     .summary = "What happens when two live uses of one identity are seen"},
    {.method = "PUT",
     .path = "/api/v1/tenants/{id}/clone-policy",
     .action = ACCESS_ADMIN,
     .find = tenant_find_object,
     .body = policy_body,
     .handle = set_tenant_policy,
     .summary = "The same for a whole tenant"},
    {0},
};
