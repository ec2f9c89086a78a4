#include "manager/access.h"

#include "manager/fleet.h"

#include <stddef.h>
#include <string.h>

static const char *const role_names[] = {
    [ROLE_NONE] = "none",
    [ROLE_VIEWER] = "viewer",
    [ROLE_OPERATOR] = "operator",
    [ROLE_TENANT_ADMIN] = "tenant-admin",
    [ROLE_SYSTEM_ADMIN] = "system-admin",
};

const char *access_role_name(enum access_role role)
{
    return role <= ROLE_SYSTEM_ADMIN ? role_names[role] : role_names[ROLE_NONE];
}

enum access_role access_role_find(const char *name)
{
    for (enum access_role role = ROLE_VIEWER; role <= ROLE_SYSTEM_ADMIN; role++) {
        if (strcmp(name, role_names[role]) == 0) {
            return role;
        }
    }
    return ROLE_NONE;
}

/* The least role that may do it. */
static enum access_role needed(enum access_action action)
{
    switch (action) {
    case ACCESS_OPEN:
    case ACCESS_SELF:
        return ROLE_NONE;
    case ACCESS_VIEW:
        return ROLE_VIEWER;
    case ACCESS_OPERATE:
        return ROLE_OPERATOR;
    case ACCESS_ADMIN:
        return ROLE_TENANT_ADMIN;
    case ACCESS_SYSTEM:
        return ROLE_SYSTEM_ADMIN;
    }
    return ROLE_SYSTEM_ADMIN;
}

/* A system administrator is one of the whole server, or not at all. */
static bool role_reaches(const struct access_binding *binding, enum access_role least)
{
    return binding->role >= least && binding->role <= ROLE_SYSTEM_ADMIN &&
           (binding->role != ROLE_SYSTEM_ADMIN || (binding->tenant == 0 && binding->group == 0));
}

/* True if the object stands in the branch of the binding. What cannot be found is in no group. */
static bool branch_has(struct fleet *fleet, const struct access_binding *binding,
                       const struct access_object *object)
{
    if (binding->tenant == 0) {
        return true;
    }
    if (object->tenant != binding->tenant) {
        return false;
    }
    if (binding->group == 0) {
        return true;
    }
    if (fleet == NULL || object->group == 0) {
        return false;
    }
    const struct fleet_group *branch = fleet_branch_find(fleet, binding->tenant, binding->group);
    const struct fleet_group *group = fleet_branch_find(fleet, object->tenant, object->group);
    return branch != NULL && group != NULL && fleet_group_within(group, branch);
}

static bool binding_allows(struct fleet *fleet, const struct access_binding *binding,
                           enum access_role least, const struct access_object *object)
{
    return role_reaches(binding, least) && branch_has(fleet, binding, object);
}

bool access_allows(struct fleet *fleet, const struct actor *actor, enum access_action action,
                   const struct access_object *object)
{
    enum access_role least = needed(action);
    if (least == ROLE_NONE) {
        return action == ACCESS_OPEN || actor->kind != ACTOR_NOBODY;
    }
    if (actor->kind == ACTOR_NOBODY || !binding_allows(fleet, &actor->scope, least, object)) {
        return false;
    }
    for (uint32_t i = 0; i < actor->n_bindings; i++) {
        if (binding_allows(fleet, &actor->bindings[i], least, object)) {
            return true;
        }
    }
    return false;
}

bool access_allows_somewhere(const struct actor *actor, enum access_action action)
{
    enum access_role least = needed(action);
    if (least == ROLE_NONE) {
        return action == ACCESS_OPEN || actor->kind != ACTOR_NOBODY;
    }
    if (actor->kind == ACTOR_NOBODY || !role_reaches(&actor->scope, least)) {
        return false;
    }
    for (uint32_t i = 0; i < actor->n_bindings; i++) {
        if (role_reaches(&actor->bindings[i], least)) {
            return true;
        }
    }
    return false;
}

bool access_covers(struct fleet *fleet, const struct actor *actor,
                   const struct access_binding *binding)
{
    struct access_object object = {binding->tenant, binding->group};
    enum access_action action =
        binding->role == ROLE_SYSTEM_ADMIN || binding->tenant == 0 ? ACCESS_SYSTEM : ACCESS_ADMIN;
    return access_allows(fleet, actor, action, &object);
}
