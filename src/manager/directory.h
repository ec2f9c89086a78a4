/* Users, role bindings, logins and API tokens in memory. They are few (thousands), and each request
 * needs them. Fleet thread.
 *
 * DECISION: there is one tree of tenants and groups, and it is the fleet's (manager/fleet.h): load,
 * add, rename, move, remove and its rollback stand there and nowhere else. access.c walks that tree;
 * the routes of /tenants and /groups (M1) call fleet_tenant_* and fleet_group_*. The struct tenant
 * and struct group below go; core.c calls fleet_mark, fleet_rollback and fleet_committed around its
 * units and commits. */
#pragma once

#include "manager/access.h"
#include "manager/manager.h"

enum { DIRECTORY_NAME_MAX = 64, DIRECTORY_TITLE_MAX = 128, DIRECTORY_GROUP_DEPTH = 8 };

enum { TENANT_MAIN = 1 };

struct tenant {
    int64_t id;
    char slug[DIRECTORY_NAME_MAX + 1];
    char title[DIRECTORY_TITLE_MAX + 1];
    int64_t created_at;
};

struct group {
    int64_t id, tenant;
    int64_t parent; /* 0: directly under the tenant */
    char name[DIRECTORY_NAME_MAX + 1];
    int64_t created_at;
};

/* NULL if there is none. Valid until the unit ends. */
const struct tenant *directory_tenant(const struct directory *directory, int64_t id);
const struct tenant *directory_tenant_by_slug(const struct directory *directory, const char *slug);
const struct group *directory_group(const struct directory *directory, int64_t id);

/* True if `group` is `ancestor` or stands below it. */
bool directory_group_is_within(const struct directory *directory, int64_t group, int64_t ancestor);

/* "depot/north": names from the top; cut to fit. */
void directory_group_path(const struct directory *directory, int64_t group, char *out, size_t room);
