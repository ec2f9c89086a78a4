/* Tenants and groups: rules and changes. */
#include "fleet_parts.h"

#include <stdio.h>

bool fleet_name_ok(const char *name)
{
    size_t len = strlen(name);
    return len <= FLEET_NAME_MAX && amm_text_ok(name, FLEET_NAME_MAX, false) &&
           strpbrk(name, "<>\"\\") == NULL && name[0] != ' ' && name[len - 1] != ' ';
}

static bool slug_ok(const char *slug)
{
    size_t len = strlen(slug);
    return len >= 1 && len <= FLEET_SLUG_MAX &&
           strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && slug[0] != '-' &&
           slug[len - 1] != '-';
}

static bool title_ok(const char *title)
{
    return strlen(title) <= FLEET_TITLE_MAX && amm_text_ok(title, FLEET_TITLE_MAX, false) &&
           strpbrk(title, "<>\"\\") == NULL;
}

static bool bad_title(struct fleet_error *error)
{
    return fleet_refuse(error, 400, "bad-title", "title",
                        "A title has 1 to %d bytes without < > \" \\ and control characters.",
                        FLEET_TITLE_MAX);
}

static bool bad_name(struct fleet_error *error)
{
    return fleet_refuse(error, 400, "bad-name", "name",
                        "A name has 1 to %d bytes without < > \" \\ and control characters, and no "
                        "blank at either end.",
                        FLEET_NAME_MAX);
}

/* ---- tenants ---- */

struct fleet_tenant *fleet_tenant_add(struct fleet *fleet, const char *slug, const char *title,
                                      int64_t now, struct fleet_error *error)
{
    int64_t id;
    if (!slug_ok(slug)) {
        fleet_refuse(error, 400, "bad-slug", "slug",
                     "A slug has 1 to %d lower-case letters, digits and '-', not at either end.",
                     FLEET_SLUG_MAX);
        return NULL;
    }
    if (!title_ok(title)) {
        bad_title(error);
        return NULL;
    }
    if (fleet_tenant_by_slug(fleet, slug)) {
        fleet_refuse(error, 409, "exists", "slug", "There is a tenant with this slug.");
        return NULL;
    }
    enum amm_store_result result =
        amm_store_number(fleet->store, AMM_SQL_TENANT_ADD,
                         AMM_WITH(amm_text(slug), amm_text(title), amm_number(now)), &id);
    if (result != AMM_STORE_OK) {
        fleet_store_refused(fleet, result, error);
        return NULL;
    }
    struct fleet_tenant *tenant = fleet_tenant_insert(fleet, id, slug);
    if (!tenant) {
        fleet_no_memory(error);
        return NULL;
    }
    snprintf(tenant->title, sizeof tenant->title, "%s", title);
    snprintf(tenant->root->name, sizeof tenant->root->name, "%.*s", FLEET_NAME_MAX, title);
    tenant->created_at = tenant->root->created_at = now;
    fleet_touch_tenant(fleet, tenant);
    return tenant;
}

bool fleet_tenant_retitle(struct fleet *fleet, struct fleet_tenant *tenant, const char *title,
                          struct fleet_error *error)
{
    if (!title_ok(title)) {
        return bad_title(error);
    }
    enum amm_store_result result = amm_store_run(fleet->store, AMM_SQL_TENANT_RETITLE,
                                                 AMM_WITH(amm_text(title), amm_number(tenant->id)));
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_tenant(fleet, tenant);
    snprintf(tenant->title, sizeof tenant->title, "%s", title);
    snprintf(tenant->root->name, sizeof tenant->root->name, "%.*s", FLEET_NAME_MAX, title);
    return true;
}

bool fleet_tenant_limit(struct fleet *fleet, struct fleet_tenant *tenant, uint32_t gateways_max,
                        struct fleet_error *error)
{
    enum amm_store_result result =
        amm_store_run(fleet->store, AMM_SQL_TENANT_LIMIT,
                      AMM_WITH(amm_number(gateways_max), amm_number(tenant->id)));
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_tenant(fleet, tenant);
    tenant->gateways_max = gateways_max;
    return true;
}

bool fleet_tenant_remove(struct fleet *fleet, struct fleet_tenant *tenant,
                         struct fleet_error *error)
{
    if (strcmp(tenant->slug, "main") == 0) {
        return fleet_refuse(error, 409, "main-tenant", NULL, "The first tenant stays.");
    }
    if (tenant->n_gateways > 0 || tenant->root->first_child) {
        return fleet_refuse(error, 409, "not-empty", NULL,
                            "The tenant has gateways or groups; remove them first.");
    }
    enum amm_store_result result =
        amm_store_run(fleet->store, AMM_SQL_TENANT_REMOVE, AMM_WITH(amm_number(tenant->id)));
    if (result == AMM_STORE_CONFLICT) {
        return fleet_refuse(error, 409, "not-empty", NULL,
                            "The tenant has users or enrolment tokens; remove them first.");
    }
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_tenant(fleet, tenant);
    fleet_tenant_forget(fleet, tenant);
    return true;
}

/* ---- groups ---- */

static const struct fleet_group *child_of_name(const struct fleet_group *parent, const char *name)
{
    const struct fleet_group *child = parent->first_child;
    while (child && strcmp(child->name, name) != 0) {
        child = child->next_sibling;
    }
    return child;
}

static bool name_taken(const struct fleet_group *parent, const char *name,
                       struct fleet_error *error)
{
    return child_of_name(parent, name) &&
           !fleet_refuse(error, 409, "exists", "name", "There is a group of this name here.");
}

static unsigned height(const struct fleet_group *group)
{
    unsigned most = 0;
    for (const struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        unsigned h = 1 + height(child);
        most = h > most ? h : most;
    }
    return most;
}

static bool too_deep(struct fleet_error *error)
{
    return fleet_refuse(error, 400, "too-deep", "parent", "Groups nest %d deep at most.",
                        FLEET_DEPTH_MAX);
}

struct fleet_group *fleet_group_add(struct fleet *fleet, struct fleet_group *parent,
                                    const char *name, int64_t now, struct fleet_error *error)
{
    int64_t id;
    if (!fleet_name_ok(name)) {
        bad_name(error);
        return NULL;
    }
    if (parent->depth >= FLEET_DEPTH_MAX) {
        too_deep(error);
        return NULL;
    }
    if (name_taken(parent, name, error)) {
        return NULL;
    }
    enum amm_store_result result =
        amm_store_number(fleet->store, AMM_SQL_GROUP_ADD,
                         AMM_WITH(amm_number(parent->tenant->id), amm_number(parent->id),
                                  amm_text(name), amm_number(now)),
                         &id);
    if (result != AMM_STORE_OK) {
        fleet_store_refused(fleet, result, error);
        return NULL;
    }
    struct fleet_group *group = fleet_group_insert(fleet, parent->tenant, id);
    if (!group) {
        fleet_no_memory(error);
        return NULL;
    }
    snprintf(group->name, sizeof group->name, "%s", name);
    group->created_at = now;
    fleet_group_attach(group, parent);
    fleet_touch_one_group(fleet, group, 0);
    return group;
}

static bool is_root(const struct fleet_group *group, struct fleet_error *error)
{
    return !group->parent &&
           !fleet_refuse(error, 409, "root-group", NULL,
                         "This group is the tenant itself; it stays where and what it is.");
}

bool fleet_group_rename(struct fleet *fleet, struct fleet_group *group, const char *name,
                        struct fleet_error *error)
{
    if (is_root(group, error)) {
        return false;
    }
    if (!fleet_name_ok(name)) {
        return bad_name(error);
    }
    if (strcmp(group->name, name) == 0) {
        return true;
    }
    if (name_taken(group->parent, name, error)) {
        return false;
    }
    enum amm_store_result result = amm_store_run(
        fleet->store, AMM_SQL_GROUP_RENAME,
        AMM_WITH(amm_text(name), amm_number(group->id), amm_number(group->tenant->id)));
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_one_group(fleet, group, 0);
    struct fleet_group *parent = group->parent;
    fleet_group_detach(group);
    snprintf(group->name, sizeof group->name, "%s", name);
    fleet_group_attach(group, parent);
    return true;
}

bool fleet_group_move(struct fleet *fleet, struct fleet_group *group, struct fleet_group *parent,
                      struct fleet_error *error)
{
    if (is_root(group, error)) {
        return false;
    }
    if (parent->tenant != group->tenant) {
        return fleet_refuse(error, 400, "other-tenant", "parent", "A group stays in its tenant.");
    }
    if (fleet_group_within(parent, group)) {
        return fleet_refuse(error, 400, "below-itself", "parent",
                            "A group cannot stand below itself.");
    }
    if (parent->depth + 1 + height(group) > FLEET_DEPTH_MAX) {
        return too_deep(error);
    }
    if (parent == group->parent) {
        return true;
    }
    if (name_taken(parent, group->name, error)) {
        return false;
    }
    enum amm_store_result result = amm_store_run(
        fleet->store, AMM_SQL_GROUP_MOVE,
        AMM_WITH(amm_number(parent->id), amm_number(group->id), amm_number(group->tenant->id)));
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    /* Its gateways have other templates above them now. */
    fleet_touch_one_group(fleet, group, FLEET_SETTINGS | FLEET_MOVED);
    fleet_group_detach(group);
    fleet_group_attach(group, parent);
    fleet_sync_update_below(fleet, group);
    return true;
}

bool fleet_group_set_clone_policy(struct fleet *fleet, struct fleet_group *group,
                                  enum fleet_clone_policy policy, struct fleet_error *error)
{
    enum amm_store_result result =
        group->parent ? amm_store_run(fleet->store, AMM_SQL_GROUP_CLONE_POLICY,
                                      AMM_WITH(amm_number(policy), amm_number(group->id),
                                               amm_number(group->tenant->id)))
                      : amm_store_run(fleet->store, AMM_SQL_TENANT_CLONE_POLICY,
                                      AMM_WITH(amm_number(policy), amm_number(group->tenant->id)));
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_one_group(fleet, group, 0);
    group->clone_policy = (uint8_t)policy;
    return true;
}

/* ---- when tunnels are up ---- */

const char *fleet_tunnel_policy_name(enum fleet_tunnel_policy policy)
{
    static const char *const names[] = {"inherit", "always", "on-demand", "scheduled"};
    return names[policy < FLEET_TUNNEL_POLICIES ? policy : FLEET_TUNNEL_INHERIT];
}

bool fleet_group_set_tunnel_policy(struct fleet *fleet, struct fleet_group *group,
                                   enum fleet_tunnel_policy policy, uint16_t from, uint16_t to,
                                   struct fleet_error *error)
{
    struct amm_value window[] = {amm_number(policy), amm_number(from), amm_number(to),
                                 amm_number(group->parent ? group->id : group->tenant->id),
                                 amm_number(group->tenant->id)};
    enum amm_store_result result =
        group->parent ? amm_store_run(fleet->store, AMM_SQL_GROUP_TUNNEL_POLICY, window, 5)
                      : amm_store_run(fleet->store, AMM_SQL_TENANT_TUNNEL_POLICY, window, 4);
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_one_group(fleet, group, FLEET_SETTINGS);
    group->tunnel_policy = (uint8_t)policy;
    group->window_from = from;
    group->window_to = to;
    return true;
}

const struct fleet_group *fleet_tunnel_policy_group(const struct fleet_group *group)
{
    while (group && group->tunnel_policy == FLEET_TUNNEL_INHERIT) {
        group = group->parent;
    }
    return group;
}

bool fleet_tunnel_policy_wants(const struct fleet_group *group, int64_t now)
{
    const struct fleet_group *from = fleet_tunnel_policy_group(group);
    if (!from || from->tunnel_policy == FLEET_TUNNEL_ALWAYS) {
        return true;
    }
    int64_t minute = now % 86400 / 60;
    bool after = minute >= from->window_from, before = minute < from->window_to;
    return from->tunnel_policy == FLEET_TUNNEL_SCHEDULED &&
           (from->window_from < from->window_to ? after && before : after || before);
}

bool fleet_group_remove(struct fleet *fleet, struct fleet_group *group, struct fleet_error *error)
{
    if (is_root(group, error)) {
        return false;
    }
    if (group->n_gateways > 0 || group->first_child) {
        return fleet_refuse(error, 409, "not-empty", NULL,
                            "The group has gateways or groups; move or remove them first.");
    }
    struct amm_value key[] = {amm_number(group->tenant->id), amm_number(group->id)};
    enum amm_store_result result = amm_store_run(fleet->store, AMM_SQL_TEMPLATE_DROP, key, 2);
    if (result == AMM_STORE_OK) {
        result = amm_store_run(fleet->store, AMM_SQL_THRESHOLD_DROP, key, 2);
    }
    if (result == AMM_STORE_OK) {
        result = amm_store_run(fleet->store, AMM_SQL_GROUP_REMOVE,
                               AMM_WITH(amm_number(group->id), amm_number(group->tenant->id)));
    }
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    fleet_touch_one_group(fleet, group, 0);
    fleet_group_forget(fleet, group);
    return true;
}
