/* /api/v1/search: what the field in the tree finds. */
#include "fleet_module.h"
#include "gateway_query.h"

#include <stdlib.h>

enum { FOUND_MOST = 20, GROUPS_MOST = 8, QUERY_MAX = 64 };

struct search {
    struct job *job;
    const char *text;
    json_t *items;
    size_t most;
};

static bool sees(const struct job *job, const struct fleet_group *group)
{
    struct access_object place = {group->tenant->id, group->id};
    return job_allows(job, ACCESS_VIEW, &place);
}

static void add_groups(struct search *search, const struct fleet_group *group)
{
    for (const struct fleet_group *child = group->first_child;
         child && json_array_size(search->items) < search->most; child = child->next_sibling) {
        if (sees(search->job, child) && strcasestr(child->name, search->text) != NULL) {
            json_array_append_new(search->items,
                                  json_pack("{s:s, s:o, s:s, s:o, s:o}", "kind", "group", "id",
                                            job_json_id(child->id), "name", child->name, "tenant",
                                            job_json_id(child->tenant->id), "parent",
                                            sees(search->job, child->parent)
                                                ? job_json_id(child->parent->id)
                                                : json_null()));
        }
        add_groups(search, child);
    }
}

static void add_gateway(struct search *search, const struct fleet_gateway *gateway)
{
    json_t *json = gateway_to_json_compact(gateway, search->job->m->now.wall);
    if (json != NULL) {
        json_object_set_new(json, "router", json_incref(json_object_get(json, "kind")));
        json_object_set_new(json, "kind", json_string("gateway"));
        json_object_set_new(json, "serial", json_string(gateway->serial));
        json_array_append_new(search->items, json);
    }
}

/* Whose serial number, or name in the actor's tenant, is just that comes first. */
static const struct fleet_gateway *find_exact(const struct search *search)
{
    struct job *job = search->job;
    struct fleet *fleet = job->m->fleet;
    const struct fleet_gateway *gateway = fleet_gateway_by_serial(fleet, search->text);
    if (gateway == NULL) {
        gateway = fleet_gateway_by_tunnel_name(fleet, search->text);
    }
    return gateway != NULL && sees(job, gateway->group) ? gateway : NULL;
}

static void search_handle(struct job *job)
{
    char text[QUERY_MAX + 1] = "";
    struct gateway_query query;
    struct gateway_page *page = malloc(sizeof *page);
    if (page == NULL) {
        job_json(job, 503, NULL);
        return;
    }
    job_query_text(job, "q", text, sizeof text);
    struct search search = {job, text, json_array(), GROUPS_MOST};
    const struct fleet_gateway *exact = find_exact(&search);
    if (exact != NULL) {
        add_gateway(&search, exact);
    }
    for (size_t i = 0; i < fleet_tenant_count(job->m->fleet); i++) {
        add_groups(&search, fleet_tenant_at(job->m->fleet, i)->root);
    }
    gateway_query_init(&query, job->m->now.wall);
    query.mark = job_mark_visible(job, NULL);
    query.limit = FOUND_MOST;
    memcpy(query.text, text, sizeof text);
    gateway_query_run(job->m->fleet, &query, page);
    for (size_t i = 0; i < page->n && json_array_size(search.items) < FOUND_MOST; i++) {
        if (page->at[i] != exact) {
            add_gateway(&search, page->at[i]);
        }
    }
    free(page);
    job_list(job, search.items, 0);
}

static const struct field search_query[] = {
    {"q", FIELD_TEXT, true, 1, QUERY_MAX, NULL,
     "part of a name, serial number, label, note or tunnel address of a gateway, or of a group's "
     "name"},
    {0}};

const struct route search_routes[] = {
    {.method = "GET",
     .path = "/api/v1/search",
     .action = ACCESS_VIEW,
     .query = search_query,
     .handle = search_handle,
     .summary = "Gateways and groups by a part of what they are called; at most 20"},
    {0},
};
