/* /api/v1/tree: all groups that the actor sees, with what is below them in numbers. */
#include "fleet_module.h"
#include "lamps.h"

static bool sees(const struct job *job, const struct fleet_group *group)
{
    struct access_object place = {group->tenant->id, group->id};
    return job_allows(job, ACCESS_VIEW, &place);
}

/* What stands above a branch that the actor's role is bound to is not his to see: the branch is
 * then at the top. */
static json_t *group_to_json(const struct job *job, const struct fleet_group *group)
{
    const struct branch_counts *n = &group->counts;
    bool has_parent = group->parent && sees(job, group->parent);
    return json_pack(
        "{s:o, s:o, s:s, s:I, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I}, s:I}", "id",
        job_json_id(group->id), "parent", has_parent ? job_json_id(group->parent->id) : json_null(),
        "name", group->parent ? group->name : group->tenant->title, "count",
        (json_int_t)n->gateways, "checkin", "up", (json_int_t)n->checkin_up, "late",
        (json_int_t)n->checkin_late, "missing", (json_int_t)n->checkin_missing, "never",
        (json_int_t)n->checkin_never, "tunnel", "up", (json_int_t)n->tunnel_up, "down",
        (json_int_t)n->tunnel_down, "resting", (json_int_t)n->tunnel_resting, "never",
        (json_int_t)n->tunnel_never, "pending", (json_int_t)n->pending);
}

static void add_groups(const struct job *job, json_t *list, const struct fleet_group *group)
{
    if (sees(job, group)) {
        json_array_append_new(list, group_to_json(job, group));
    }
    for (const struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        add_groups(job, list, child);
    }
}

static void show(struct job *job)
{
    struct fleet *fleet = job->m->fleet;
    json_t *tenants = json_array();
    fleet_count_branches(fleet, job->m->now.wall);
    for (size_t i = 0; i < fleet_tenant_count(fleet); i++) {
        const struct fleet_tenant *tenant = fleet_tenant_at(fleet, i);
        json_t *groups = json_array();
        add_groups(job, groups, tenant->root);
        if (json_array_size(groups) == 0) {
            json_decref(groups);
            continue;
        }
        json_array_append_new(tenants, json_pack("{s:o, s:s, s:s, s:o}", "id",
                                                 job_json_id(tenant->id), "slug", tenant->slug,
                                                 "name", tenant->title, "groups", groups));
    }
    job_json(job, 200, json_pack("{s:o}", "tenants", tenants));
}

const struct route tree_routes[] = {
    {.method = "GET",
     .path = "/api/v1/tree",
     .action = ACCESS_VIEW,
     .handle = show,
     .summary = "All groups with counts: what the tree on the left shows without its gateways"},
    {0},
};
