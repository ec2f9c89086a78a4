/* When the gateways of a branch keep their tunnel up: always, on demand, at certain times.
 *
 * The policy is put into effect by the parameter 60001 in the group's template: a gateway learns of
 * a change with its next check-in. What an operator sets on a gateway itself (or on a group below)
 * has its way, as with every template. An ordered tunnel (operation "tunnel") comes up whatever
 * 60001 says. Routers without software of ours are not concerned. */
#include "manager/fleet_module.h"
#include "manager/parameters.h"
#include "manager/remote_parts.h"

#include <stdio.h>

#define POLICIES "always|on-demand|scheduled|inherit"
#define BY_POLICY "server (tunnel policy)"

/* What the group's own template says of 60001; NULL: nothing. */
static const char *template_value(const struct fleet_group *group)
{
    for (uint32_t i = 0; i < group->template.n; i++) {
        if (group->template.at[i].id == AMM_MSCI_TUNNEL) {
            return group->template.at[i].value;
        }
    }
    return NULL;
}

/* Brings the template in line with the policy; `value` NULL takes it away. */
static bool set_template(struct manager *m, struct fleet_group *group, const char *value,
                         const char *by, struct fleet_error *error)
{
    const char *now = template_value(group);
    if ((now == NULL && value == NULL) ||
        (now != NULL && value != NULL && strcmp(now, value) == 0)) {
        return true;
    }
    json_t *values = json_object();
    json_object_set_new(values, "60001", value != NULL ? json_string(value) : json_null());
    bool ok = parameters_set_template(m->fleet, group, values, by, m->now.wall, error);
    json_decref(values);
    return ok;
}

static const char *value_of(const struct fleet_group *group, int64_t now)
{
    return group->tunnel_policy == FLEET_TUNNEL_INHERIT ? NULL
           : fleet_tunnel_policy_wants(group, now)      ? "Enable"
                                                        : "Disable";
}

static void apply_below(struct manager *m, struct fleet_group *group)
{
    struct fleet_error error;
    if (group->tunnel_policy == FLEET_TUNNEL_SCHEDULED &&
        !set_template(m, group, value_of(group, m->now.wall), BY_POLICY, &error)) {
        manager_fail(m);
        return;
    }
    for (struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        apply_below(m, child);
    }
}

void tunnel_policies_apply(struct manager *m)
{
    for (size_t i = 0; i < fleet_tenant_count(m->fleet); i++) {
        apply_below(m, fleet_tenant_at(m->fleet, i)->root);
    }
}

/* ---- the API ---- */

static bool take_minute(const char *text, uint16_t *out)
{
    bool has_form = text[0] >= '0' && text[0] <= '2' && text[1] >= '0' && text[1] <= '9' &&
                    text[2] == ':' && text[3] >= '0' && text[3] <= '5' && text[4] >= '0' &&
                    text[4] <= '9';
    unsigned hour = has_form ? (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0') : 24;
    *out =
        (uint16_t)(has_form ? hour * 60 + (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0')
                            : 0);
    return hour < 24;
}

/* "22:00-06:00" */
static bool take_window(const char *text, uint16_t *from, uint16_t *to)
{
    return strlen(text) == 11 && text[5] == '-' && take_minute(text, from) &&
           take_minute(text + 6, to) && *from != *to;
}

json_t *tunnel_policy_json(const struct fleet_group *group)
{
    char window[16];
    snprintf(window, sizeof window, "%02u:%02u-%02u:%02u", group->window_from / 60U % 24,
             group->window_from % 60U, group->window_to / 60U % 24, group->window_to % 60U);
    return json_pack(
        "{s:s, s:o}", "policy", fleet_tunnel_policy_name(group->tunnel_policy), "window",
        group->tunnel_policy == FLEET_TUNNEL_SCHEDULED ? json_string(window) : json_null());
}

static void set_policy(struct job *job, struct fleet_group *group)
{
    const char *name = job_text(job, "policy", "inherit"), *window = job_text(job, "window", "");
    enum fleet_tunnel_policy policy = FLEET_TUNNEL_INHERIT;
    struct fleet_error error;
    uint16_t from = 0, to = 0;
    while (strcmp(fleet_tunnel_policy_name(policy), name) != 0) {
        policy++;
    }
    if ((policy == FLEET_TUNNEL_SCHEDULED) != (window[0] != '\0') ||
        (window[0] != '\0' && !take_window(window, &from, &to))) {
        job_error(job, 400, "bad-value", "window",
                  "a scheduled tunnel has a window as in \"22:00-06:00\" (UTC); others have none");
        return;
    }
    if (!fleet_group_set_tunnel_policy(job->m->fleet, group, policy, from, to, &error) ||
        !set_template(job->m, group, value_of(group, job->m->now.wall), job->actor.name, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    job_audit(job, group->tenant->id, "tunnel policy", "%s: %s %s", group->name, name, window);
    job_json(job, 200, tunnel_policy_json(group));
}

static void set_group(struct job *job)
{
    set_policy(job, fleet_group_find(job->m->fleet, job->id));
}

static void set_tenant(struct job *job)
{
    set_policy(job, fleet_tenant_find(job->m->fleet, job->id)->root);
}

static const struct field policy_body[] = {
    {"policy", FIELD_CHOICE, true, 0, 0, POLICIES, "when tunnels of this branch are up"},
    {"window", FIELD_TEXT, false, 0, 11, NULL, "of a scheduled one: \"22:00-06:00\", UTC"},
    {.name = NULL}};

const struct route tunnel_policy_routes[] = {
    {.method = "PUT",
     .path = "/api/v1/groups/{id}/tunnel-policy",
     .action = ACCESS_ADMIN,
     .find = group_find_object,
     .body = policy_body,
     .handle = set_group,
     .summary = "When gateways of this group keep their tunnel up"},
    {.method = "PUT",
     .path = "/api/v1/tenants/{id}/tunnel-policy",
     .action = ACCESS_ADMIN,
     .find = tenant_find_object,
     .body = policy_body,
     .handle = set_tenant,
     .summary = "The same for a whole tenant"},
    {.method = NULL},
};
