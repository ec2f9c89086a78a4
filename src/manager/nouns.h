/* The route arrays of all nouns, collected in routes.c. */
#pragma once

#include "manager/job.h"
#include "manager/route.h"

extern const struct route login_routes[];
extern const struct route user_routes[];
extern const struct route token_routes[];
extern const struct route tenant_routes[];
extern const struct route group_routes[];
extern const struct route audit_routes[];
extern const struct route server_routes[];
extern const struct route metrics_routes[];
extern const struct route preference_routes[];

/* Shared by several nouns (api_users.c). Ids as strings, "0" for all of it. */
json_t *binding_json(const struct access_binding *binding);

/* Reads role, tenant and group of the body; checks that they exist, go together, and that the actor
 * may give that much away. False if it has answered. */
bool binding_of_body(struct job *job, struct access_binding *out);

/* True if the actor administers this user: his tenant, and no right of his that the actor lacks. */
struct user;
bool user_may_manage(const struct job *job, const struct user *user);

/* "server", "tenant main", "tenant main, group depot/north". */
void branch_text(struct manager *m, int64_t tenant, int64_t group, char *out, size_t room);
