/* Tenants and their nested groups: the tree is the fleet's (fleet.h). */
#include "manager/directory.h"
#include "manager/fleet.h"
#include "manager/job.h"
#include "manager/nouns.h"
#include "manager/remote.h"
#include "manager/stream.h"
#include "manager/thresholds.h"

#include <stdlib.h>

static void answer_refusal(struct job *job, const struct fleet_error *error)
{
    job_error(job, error->status, error->name, error->field[0] != '\0' ? error->field : NULL, "%s",
              error->text);
}

/* Consoles show the tree: they learn of changes at once. */
static void publish(const struct job *job, const char *kind, int64_t tenant, int64_t group,
                    const char *change)
{
    struct access_object scope = {tenant, group};
    if (stream_is_heard(job->m)) {
        stream_publish(job->m, &scope, kind,
                       json_pack("{s:o, s:o, s:s}", "id", job_json_id(group != 0 ? group : tenant),
                                 "tenant", job_json_id(tenant), "change", change));
    }
}

/* ---- tenants ---- */

static bool tenant_find(struct manager *m, int64_t id, struct access_object *out)
{
    *out = (struct access_object){id, 0};
    return fleet_tenant_find(m->fleet, id) != NULL;
}

/* `is_admin`: sees limits and counts of the whole tenant. */
static json_t *tenant_json(const struct fleet_tenant *tenant, bool is_admin)
{
    json_t *body = json_pack("{s:o, s:s, s:s}", "id", job_json_id(tenant->id), "slug", tenant->slug,
                             "title", tenant->title);
    if (is_admin) {
        json_object_update_new(body, json_pack("{s:I, s:I, s:I, s:o}", "created_at",
                                               (json_int_t)tenant->created_at, "gateways",
                                               (json_int_t)tenant->n_gateways, "gateways_max",
                                               (json_int_t)tenant->gateways_max, "tunnel_policy",
                                               tunnel_policy_json(tenant->root)));
    }
    return body;
}

/* True if the actor sees anything of the tenant: all of it, or a group. */
static bool sees_tenant(const struct job *job, int64_t tenant)
{
    struct access_object whole = {tenant, 0};
    if (job_allows(job, ACCESS_VIEW, &whole)) {
        return true;
    }
    for (uint32_t i = 0; i < job->actor.n_bindings; i++) {
        const struct access_binding *binding = &job->actor.bindings[i];
        struct access_object branch = {binding->tenant, binding->group};
        if (binding->tenant == tenant && job_allows(job, ACCESS_VIEW, &branch)) {
            return true;
        }
    }
    return false;
}

static bool is_admin_of(const struct job *job, int64_t tenant)
{
    struct access_object whole = {tenant, 0};
    return job_allows(job, ACCESS_ADMIN, &whole);
}

static int compare_ids(const void *a, const void *b)
{
    const struct fleet_tenant *const *x = a, *const *y = b;
    return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

static void tenants_handle(struct job *job)
{
    struct job_page page = job_page(job);
    struct fleet *fleet = job->m->fleet;
    size_t n = fleet_tenant_count(fleet);
    struct fleet_tenant **all = malloc((n + 1) * sizeof(struct fleet_tenant *));
    json_t *items = json_array();
    int64_t next = 0;
    for (size_t i = 0; all != NULL && i < n; i++) {
        all[i] = fleet_tenant_at(fleet, i);
    }
    if (all != NULL) {
        qsort(all, n, sizeof(struct fleet_tenant *), compare_ids);
    }
    for (size_t i = 0; all != NULL && i < n; i++) {
        if (all[i]->id <= page.after || !sees_tenant(job, all[i]->id)) {
            continue;
        }
        if (json_array_size(items) == page.limit) {
            next = job_id_of_last(items);
            break;
        }
        json_array_append_new(items, tenant_json(all[i], is_admin_of(job, all[i]->id)));
    }
    free(all);
    job_list(job, items, next);
}

static void tenant_handle(struct job *job)
{
    job_json(job, 200,
             tenant_json(fleet_tenant_find(job->m->fleet, job->id), is_admin_of(job, job->id)));
}

static void tenant_add_handle(struct job *job)
{
    struct fleet_error error = {0};
    const struct fleet_tenant *tenant = fleet_tenant_add(
        job->m->fleet, job_text(job, "slug", ""), job_text(job, "title", job_text(job, "slug", "")),
        job->m->now.wall, &error);
    if (tenant == NULL) {
        answer_refusal(job, &error);
        return;
    }
    if (!thresholds_begin_tenant(job->m, tenant->id, &error)) {
        answer_refusal(job, &error);
        return;
    }
    job_audit(job, tenant->id, tenant->slug, "tenant added");
    publish(job, "tenant", tenant->id, 0, "added");
    job_json(job, 201, tenant_json(tenant, true));
}

static void tenant_change_handle(struct job *job)
{
    struct fleet_tenant *tenant = fleet_tenant_find(job->m->fleet, job->id);
    struct access_object server = {0, 0};
    struct fleet_error error = {0};
    if (job_has(job, "gateways_max") && !job_allows(job, ACCESS_SYSTEM, &server)) {
        job_error(job, 403, "forbidden", "gateways_max", "a system administrator sets this limit");
        return;
    }
    job_audit(job, tenant->id, tenant->slug, "tenant changed");
    publish(job, "tenant", tenant->id, 0, "changed");
    if ((job_has(job, "title") &&
         !fleet_tenant_retitle(job->m->fleet, tenant, job_text(job, "title", ""), &error)) ||
        (job_has(job, "gateways_max") &&
         !fleet_tenant_limit(job->m->fleet, tenant, (uint32_t)job_number(job, "gateways_max", 0),
                             &error))) {
        answer_refusal(job, &error);
        return;
    }
    job_json(job, 200, tenant_json(tenant, true));
}

static bool has_users(const struct job *job, int64_t tenant)
{
    for (size_t i = 0; i < directory_users(job->m->directory); i++) {
        if (directory_user_at(job->m->directory, i)->tenant == tenant) {
            return true;
        }
    }
    return false;
}

static void tenant_remove_handle(struct job *job)
{
    struct fleet_tenant *tenant = fleet_tenant_find(job->m->fleet, job->id);
    struct fleet_error error = {0};
    if (job->id == TENANT_MAIN) {
        job_error(job, 409, "in-use", NULL, "the tenant main stays");
        return;
    }
    if (has_users(job, job->id)) {
        job_error(job, 409, "in-use", NULL, "the tenant still has users: remove them first");
        return;
    }
    job_audit(job, tenant->id, tenant->slug, "tenant removed");
    publish(job, "tenant", tenant->id, 0, "removed");
    enum amm_store_result result = directory_branch_removed(job->m, tenant->id, 0);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else if (!fleet_tenant_remove(job->m->fleet, tenant, &error)) {
        answer_refusal(job, &error);
    } else {
        job_empty(job);
    }
}

/* ---- groups ---- */

static bool group_find(struct manager *m, int64_t id, struct access_object *out)
{
    const struct fleet_group *group = fleet_group_find(m->fleet, id);
    *out = (struct access_object){group != NULL ? group->tenant->id : 0, id};
    return group != NULL;
}

static json_t *group_json(const struct fleet_group *group)
{
    return json_pack("{s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:o}", "id", job_json_id(group->id),
                     "tenant", job_json_id(group->tenant->id), "parent",
                     job_json_id(group->parent != NULL ? group->parent->id : 0), "name",
                     group->name, "created_at", (json_int_t)group->created_at, "gateways",
                     (json_int_t)group->n_gateways, "gateways_below",
                     (json_int_t)fleet_group_gateways_below(group), "tunnel_policy",
                     tunnel_policy_json(group));
}

/* Walks the tree in order: parents before what is below them. */
static void list_groups(const struct job *job, const struct fleet_group *group, json_t *items)
{
    for (const struct fleet_group *child = group->first_child; child != NULL;
         child = child->next_sibling) {
        struct access_object object = {child->tenant->id, child->id};
        if (job_allows(job, ACCESS_VIEW, &object)) {
            json_array_append_new(items, group_json(child));
        }
        list_groups(job, child, items);
    }
}

static int compare_json_ids(const void *a, const void *b)
{
    json_t *const *x = a, *const *y = b;
    long long left = atoll(json_string_value(json_object_get(*x, "id")));
    long long right = atoll(json_string_value(json_object_get(*y, "id")));
    return left < right ? -1 : left > right;
}

/* All groups that the actor sees, then the page of them: there are few thousands at most. */
static void groups_handle(struct job *job)
{
    struct job_page page = job_page(job);
    int64_t tenant = job_query_number(job, "tenant", 0), next = 0;
    json_t *all = json_array(), *items = json_array();
    for (size_t i = 0; i < fleet_tenant_count(job->m->fleet); i++) {
        const struct fleet_tenant *one = fleet_tenant_at(job->m->fleet, i);
        if (tenant == 0 || one->id == tenant) {
            list_groups(job, one->root, all);
        }
    }
    size_t n = json_array_size(all);
    json_t **sorted = malloc((n + 1) * sizeof(json_t *));
    for (size_t i = 0; sorted != NULL && i < n; i++) {
        sorted[i] = json_array_get(all, i);
    }
    if (sorted != NULL) {
        qsort(sorted, n, sizeof(json_t *), compare_json_ids);
    }
    for (size_t i = 0; sorted != NULL && i < n; i++) {
        if (atoll(json_string_value(json_object_get(sorted[i], "id"))) <= page.after) {
            continue;
        }
        if (json_array_size(items) == page.limit) {
            next = job_id_of_last(items);
            break;
        }
        json_array_append(items, sorted[i]);
    }
    free(sorted);
    json_decref(all);
    job_list(job, items, next);
}

static void group_handle(struct job *job)
{
    job_json(job, 200, group_json(fleet_group_find(job->m->fleet, job->id)));
}

/* The group of the body that must be there and be administered by the actor: `parent`, in `tenant`.
 */
static struct fleet_group *parent_of_body(struct job *job, int64_t tenant)
{
    struct access_object where = {tenant, job_id(job, "parent", 0)};
    struct fleet_group *parent = fleet_branch_find(job->m->fleet, where.tenant, where.group);
    if (parent == NULL) {
        job_missing(job, where.group != 0 ? "parent" : "tenant");
        return NULL;
    }
    return job_demand(job, ACCESS_ADMIN, &where, where.group != 0 ? "parent" : "tenant") ? parent
                                                                                         : NULL;
}

static void group_add_handle(struct job *job)
{
    struct fleet_error error = {0};
    int64_t tenant = job_id(job, "tenant", job->actor.tenant);
    struct fleet_group *parent = parent_of_body(job, tenant);
    if (parent == NULL) {
        return;
    }
    const struct fleet_group *group =
        fleet_group_add(job->m->fleet, parent, job_text(job, "name", ""), job->m->now.wall, &error);
    if (group == NULL) {
        answer_refusal(job, &error);
        return;
    }
    job_audit(job, tenant, group->name, "group added");
    publish(job, "group", tenant, group->id, "added");
    job_json(job, 201, group_json(group));
}

static void group_change_handle(struct job *job)
{
    struct fleet_group *group = fleet_group_find(job->m->fleet, job->id);
    struct fleet_error error = {0};
    job_audit(job, group->tenant->id, group->name, "group changed");
    publish(job, "group", group->tenant->id, group->id, "changed");
    if (job_has(job, "name") &&
        !fleet_group_rename(job->m->fleet, group, job_text(job, "name", ""), &error)) {
        answer_refusal(job, &error);
        return;
    }
    if (job_has(job, "parent")) {
        struct access_object from = {group->tenant->id, group->parent ? group->parent->id : 0};
        struct fleet_group *parent = parent_of_body(job, group->tenant->id);
        /* What leaves a branch must be given up by who administers that branch. */
        if (parent == NULL || !job_demand(job, ACCESS_ADMIN, &from, "parent")) {
            return;
        }
        if (!fleet_group_move(job->m->fleet, group, parent, &error)) {
            answer_refusal(job, &error);
            return;
        }
    }
    job_json(job, 200, group_json(group));
}

static void publish_removed(const struct job *job, const struct fleet_group *group)
{
    struct access_object above = {group->tenant->id, group->parent ? group->parent->id : 0};
    if (stream_is_heard(job->m)) {
        stream_publish(job->m, &above, "group",
                       json_pack("{s:o, s:o, s:s}", "id", job_json_id(group->id), "tenant",
                                 job_json_id(group->tenant->id), "change", "removed"));
    }
}

static void group_remove_handle(struct job *job)
{
    struct fleet_group *group = fleet_group_find(job->m->fleet, job->id);
    struct access_object from = {group->tenant->id, group->parent ? group->parent->id : 0};
    struct fleet_error error = {0};
    if (!job_demand(job, ACCESS_ADMIN, &from, NULL)) {
        return;
    }
    job_audit(job, group->tenant->id, group->name, "group removed");
    /* By the group above: when it is told, this one cannot be found any more. */
    publish_removed(job, group);
    enum amm_store_result result = directory_branch_removed(job->m, group->tenant->id, group->id);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else if (!fleet_group_remove(job->m->fleet, group, &error)) {
        answer_refusal(job, &error);
    } else {
        job_empty(job);
    }
}

static const struct field page_query[] = {ROUTE_PAGE, {.name = NULL}};

static const struct field group_query[] = {
    ROUTE_PAGE,
    {"tenant", FIELD_ID, false, 1, 0, NULL, "groups of this tenant only"},
    {.name = NULL},
};

static const struct field tenant_body[] = {
    {"slug", FIELD_TEXT, true, 1, FLEET_SLUG_MAX, NULL,
     "part of tunnel and login names; never changes"},
    {"title", FIELD_TEXT, false, 1, FLEET_TITLE_MAX, NULL, "name in full"},
    {.name = NULL},
};

static const struct field tenant_change_body[] = {
    {"title", FIELD_TEXT, false, 1, FLEET_TITLE_MAX, NULL, "name in full"},
    {"gateways_max", FIELD_NUMBER, false, 0, 10000000, NULL, "gateways at most; 0: no limit"},
    {.name = NULL},
};

static const struct field group_body[] = {
    {"name", FIELD_TEXT, true, 1, 4 * FLEET_NAME_MAX, NULL, "unique among its siblings"},
    {"tenant", FIELD_ID, false, 1, 0, NULL, "your own if not given"},
    {"parent", FIELD_ID, false, 0, 0, NULL, "group above; not given: directly under the tenant"},
    {.name = NULL},
};

static const struct field group_change_body[] = {
    {"name", FIELD_TEXT, false, 1, 4 * FLEET_NAME_MAX, NULL, "unique among its siblings"},
    {"parent", FIELD_ID, false, 0, 0, NULL, "move below this group; \"0\": under the tenant"},
    {.name = NULL},
};

const struct route tenant_routes[] = {
    {.method = "GET",
     .path = "/api/v1/tenants",
     .action = ACCESS_VIEW,
     .query = page_query,
     .handle = tenants_handle,
     .summary = "Tenants of which you see something"},
    {.method = "POST",
     .path = "/api/v1/tenants",
     .action = ACCESS_SYSTEM,
     .body = tenant_body,
     .handle = tenant_add_handle,
     .summary = "Add a tenant"},
    {.method = "GET",
     .path = "/api/v1/tenants/{id}",
     .action = ACCESS_VIEW,
     .find = tenant_find,
     .handle = tenant_handle,
     .summary = "One tenant"},
    {.method = "PATCH",
     .path = "/api/v1/tenants/{id}",
     .action = ACCESS_ADMIN,
     .find = tenant_find,
     .body = tenant_change_body,
     .handle = tenant_change_handle,
     .summary = "Change a tenant"},
    {.method = "DELETE",
     .path = "/api/v1/tenants/{id}",
     .action = ACCESS_SYSTEM,
     .find = tenant_find,
     .handle = tenant_remove_handle,
     .summary = "Remove a tenant without gateways, groups and users"},
    {.method = NULL},
};

const struct route group_routes[] = {
    {.method = "GET",
     .path = "/api/v1/groups",
     .action = ACCESS_VIEW,
     .query = group_query,
     .handle = groups_handle,
     .summary = "Groups that you see"},
    {.method = "POST",
     .path = "/api/v1/groups",
     .action = ACCESS_ADMIN,
     .body = group_body,
     .handle = group_add_handle,
     .summary = "Add a group"},
    {.method = "GET",
     .path = "/api/v1/groups/{id}",
     .action = ACCESS_VIEW,
     .find = group_find,
     .handle = group_handle,
     .summary = "One group"},
    {.method = "PATCH",
     .path = "/api/v1/groups/{id}",
     .action = ACCESS_ADMIN,
     .find = group_find,
     .body = group_change_body,
     .handle = group_change_handle,
     .summary = "Rename or move a group"},
    {.method = "DELETE",
     .path = "/api/v1/groups/{id}",
     .action = ACCESS_ADMIN,
     .find = group_find,
     .handle = group_remove_handle,
     .summary = "Remove an empty group"},
    {.method = NULL},
};
