/* Users and the roles that are bound to them. */
#include "manager/directory.h"
#include "manager/fleet.h"
#include "manager/job.h"
#include "manager/nouns.h"
#include "manager/password.h"

#include <stdio.h>
#include <stdlib.h>

#define ROLES "viewer|operator|tenant-admin|system-admin"

/* ---- shared with tokens ---- */

json_t *binding_json(const struct access_binding *binding)
{
    return json_pack("{s:s, s:o, s:o}", "role", access_role_name(binding->role), "tenant",
                     job_json_id(binding->tenant), "group", job_json_id(binding->group));
}

void branch_text(struct manager *m, int64_t tenant, int64_t group, char *out, size_t room)
{
    const struct fleet_tenant *found = fleet_tenant_find(m->fleet, tenant);
    const struct fleet_group *at = group != 0 ? fleet_group_find(m->fleet, group) : NULL;
    if (tenant == 0) {
        snprintf(out, room, "server");
    } else {
        snprintf(out, room, "tenant %s%s%s", found != NULL ? found->slug : "?",
                 at != NULL ? ", group " : "", at != NULL ? at->name : "");
    }
}

/* The branch must be there, as far as the actor can see. */
static bool branch_exists(struct job *job, const struct access_binding *binding)
{
    struct access_object object = {binding->tenant, binding->group};
    const struct fleet_group *group =
        binding->tenant != 0 ? fleet_branch_find(job->m->fleet, binding->tenant, binding->group)
                             : NULL;
    bool exists = binding->tenant == 0 ? binding->group == 0 : group != NULL;
    if (exists && (binding->tenant == 0 || job_allows(job, ACCESS_VIEW, &object))) {
        return true;
    }
    job_missing(job, binding->group != 0 ? "group" : "tenant");
    return false;
}

bool binding_of_body(struct job *job, struct access_binding *out)
{
    *out = (struct access_binding){access_role_find(job_text(job, "role", "")),
                                   job_id(job, "tenant", 0), job_id(job, "group", 0)};
    if (out->role == ROLE_SYSTEM_ADMIN && (out->tenant != 0 || out->group != 0)) {
        job_error(job, 400, "bad-value", "tenant",
                  "a system administrator is one of the whole server: leave tenant and group out");
        return false;
    }
    if (!branch_exists(job, out)) {
        return false;
    }
    if (!access_covers(job->m->fleet, &job->actor, out)) {
        job_error(job, 403, "forbidden", "role", "you cannot give rights that you do not have");
        return false;
    }
    return true;
}

/* ---- finding and showing ---- */

static bool user_find(struct manager *m, int64_t id, struct access_object *out)
{
    const struct user *user = directory_user(m->directory, id);
    *out = (struct access_object){user != NULL ? user->tenant : 0, 0};
    return user != NULL;
}

/* Whoever manages a user could become him: so he must have every right of that user himself. */
bool user_may_manage(const struct job *job, const struct user *user)
{
    struct access_object tenant = {user->tenant, 0};
    bool covers = job_allows(job, ACCESS_ADMIN, &tenant);
    for (uint32_t i = 0; covers && i < user->n_bindings; i++) {
        covers = access_covers(job->m->fleet, &job->actor, &user->bindings[i].what);
    }
    return covers;
}

static bool demand_manage(struct job *job, const struct user *user)
{
    if (!user_may_manage(job, user)) {
        job_error(job, 403, "forbidden", NULL, "this user has rights that you do not have");
        return false;
    }
    return true;
}

static json_t *user_json(struct manager *m, const struct user *user)
{
    char login_name[ACTOR_NAME_MAX];
    json_t *roles = json_array();
    for (uint32_t i = 0; i < user->n_bindings; i++) {
        json_t *binding = binding_json(&user->bindings[i].what);
        json_object_set_new(binding, "id", job_json_id(user->bindings[i].id));
        json_array_append_new(roles, binding);
    }
    directory_login_name(m, user, login_name, sizeof login_name);
    return json_pack("{s:o, s:o, s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:o}", "id",
                     job_json_id(user->id), "tenant", job_json_id(user->tenant), "name", user->name,
                     "login_name", login_name, "title", user->title, "disabled", user->disabled,
                     "must_change_password", user->must_change, "created_at",
                     (json_int_t)user->created_at, "password_at", (json_int_t)user->password_at,
                     "roles", roles);
}

static void users_handle(struct job *job)
{
    struct job_page page = job_page(job);
    int64_t tenant = job_query_number(job, "tenant", 0), next = 0;
    json_t *items = json_array();
    for (size_t i = 0; i < directory_users(job->m->directory); i++) {
        const struct user *user = directory_user_at(job->m->directory, i);
        struct access_object object = {user->tenant, 0};
        if (user->id <= page.after || (tenant != 0 && user->tenant != tenant) ||
            !job_allows(job, ACCESS_ADMIN, &object)) {
            continue;
        }
        if (json_array_size(items) == page.limit) {
            next = job_id_of_last(items);
            break;
        }
        json_array_append_new(items, user_json(job->m, user));
    }
    job_list(job, items, next);
}

static void user_handle(struct job *job)
{
    job_json(job, 200, user_json(job->m, directory_user(job->m->directory, job->id)));
}

/* ---- adding, with or without a password ---- */

/* What a worker hashes. */
struct hashing {
    struct job *job;
    int64_t user, tenant;
    char name[USER_NAME_MAX + 1], title[USER_TITLE_MAX + 1];
    char password[PASSWORD_MAX + 1], encoded[PASSWORD_ENCODED_MAX];
    bool is_generated;
    struct amm_random random;
    void (*finish)(struct job *job, struct hashing *hashing);
};

static void hashing_drop(void *context)
{
    amm_wipe(context, sizeof(struct hashing));
    free(context);
}

/* Belongs to the job. NULL: answered. */
static struct hashing *hashing_new(struct job *job)
{
    struct hashing *hashing = calloc(1, sizeof *hashing);
    if (hashing == NULL) {
        job_retry(job, 503, 2, "no-memory", "the server is short of memory: try again");
        return NULL;
    }
    hashing->job = job;
    job_keep(job, hashing, hashing_drop);
    return hashing;
}

static void hash(void *context)
{
    struct hashing *hashing = context;
    if (!password_hash(hashing->password, &hashing->random, hashing->encoded)) {
        hashing->encoded[0] = '\0';
    }
}

static void hash_resume(struct job *job, void *context)
{
    struct hashing *hashing = context;
    if (hashing->encoded[0] == '\0') {
        job_retry(job, 503, 2, "busy", "the server is short of memory: try again");
    } else {
        hashing->finish(job, hashing);
    }
}

static void hashed(struct manager *m, void *context)
{
    struct hashing *hashing = context;
    (void)m;
    job_resume(hashing->job, hash_resume, hashing);
}

/* Takes the password of the body, or makes one, and defers. */
static void hash_password(struct job *job, struct hashing *hashing)
{
    char reason[128];
    const char *given = job_text(job, "password", NULL);
    if (given != NULL && !password_is_fine(given, hashing->name, reason, sizeof reason)) {
        job_error(job, 400, "bad-password", "password", "%s", reason);
        return;
    }
    hashing->random = job->m->random;
    hashing->is_generated = given == NULL;
    if (given != NULL) {
        snprintf(hashing->password, sizeof hashing->password, "%s", given);
    } else {
        password_generate(&job->m->random, hashing->password);
    }
    if (!manager_work(job->m, hash, hashed, hashing)) {
        job_retry(job, 503, 2, "busy", "too many passwords at the same time: try again");
        return;
    }
    job_defer(job);
}

static void answer_user(struct job *job, int status, const struct user *user,
                        const struct hashing *hashing)
{
    json_t *body = user_json(job->m, user);
    if (hashing->is_generated) {
        json_object_set_new(body, "password", json_string(hashing->password)); /* this once */
    }
    job_json(job, status, body);
}

static void add_finish(struct job *job, struct hashing *hashing)
{
    struct access_object tenant = {hashing->tenant, 0};
    struct user_new what = {hashing->tenant, hashing->name, hashing->title, hashing->encoded, true};
    int64_t id = 0;
    if (!job_demand(job, ACCESS_ADMIN, &tenant, "tenant")) { /* as of now */
        return;
    }
    enum amm_store_result result = directory_user_add(job->m, &what, &id);
    job_audit(job, hashing->tenant, hashing->name, "user added");
    if (result == AMM_STORE_CONFLICT) {
        job_error(job, 409, "exists", "name", "there is a user of that name in the tenant");
    } else if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else {
        answer_user(job, 201, directory_user(job->m->directory, id), hashing);
    }
}

static void user_add_handle(struct job *job)
{
    struct access_object tenant = {job_id(job, "tenant", job->actor.tenant), 0};
    const char *name = job_text(job, "name", "");
    if (!job_demand(job, ACCESS_ADMIN, &tenant, "tenant")) {
        return;
    }
    if (fleet_tenant_find(job->m->fleet, tenant.tenant) == NULL) {
        job_error(job, 404, "not-found", "tenant", "there is no such tenant");
        return;
    }
    if (!directory_name_ok(name)) {
        job_error(job, 400, "bad-value", "name", "name: 1 to 64 letters, digits, '-', '_', '.'");
        return;
    }
    struct hashing *hashing = hashing_new(job);
    if (hashing == NULL) {
        return;
    }
    hashing->tenant = tenant.tenant;
    hashing->finish = add_finish;
    snprintf(hashing->name, sizeof hashing->name, "%s", name);
    snprintf(hashing->title, sizeof hashing->title, "%s", job_text(job, "title", ""));
    hash_password(job, hashing);
}

/* ---- changing ---- */

static bool is_self(const struct job *job, const struct user *user)
{
    return job->actor.user == user->id;
}

/* False, and answered, if somebody could administer the server before, and nobody can any more. */
static bool keeps_an_admin(struct job *job, bool had_one)
{
    if (!had_one || directory_has_system_admin(job->m->directory)) {
        return true;
    }
    job_error(job, 409, "last-admin", NULL, "this is the last system administrator");
    return false;
}

static void user_change_handle(struct job *job)
{
    struct user *user = directory_user(job->m->directory, job->id);
    bool disabled = job_bool(job, "disabled", user->disabled);
    if (!demand_manage(job, user)) {
        return;
    }
    if (disabled && is_self(job, user)) {
        job_error(job, 409, "yourself", "disabled", "you cannot disable yourself");
        return;
    }
    bool had_one = directory_has_system_admin(job->m->directory);
    enum amm_store_result result =
        directory_user_change(job->m, user, job_text(job, "title", user->title), disabled);
    job_audit(job, user->tenant, user->name, "%s", disabled ? "disabled" : "changed");
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else if (keeps_an_admin(job, had_one)) {
        job_json(job, 200, user_json(job->m, user));
    }
}

static void reset_finish(struct job *job, struct hashing *hashing)
{
    struct user *user = directory_user(job->m->directory, hashing->user);
    if (user == NULL || !demand_manage(job, user)) {
        if (user == NULL) {
            job_not_found(job);
        }
        return;
    }
    enum amm_store_result result = directory_user_password(job->m, user, hashing->encoded, true, 0);
    job_audit(job, user->tenant, user->name, "password reset");
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else {
        answer_user(job, 200, user, hashing);
    }
}

static void user_password_handle(struct job *job)
{
    const struct user *user = directory_user(job->m->directory, job->id);
    if (!demand_manage(job, user)) {
        return;
    }
    struct hashing *hashing = hashing_new(job);
    if (hashing == NULL) {
        return;
    }
    hashing->user = user->id;
    hashing->finish = reset_finish;
    snprintf(hashing->name, sizeof hashing->name, "%s", user->name);
    hash_password(job, hashing);
}

static void user_remove_handle(struct job *job)
{
    struct user *user = directory_user(job->m->directory, job->id);
    if (!demand_manage(job, user)) {
        return;
    }
    if (is_self(job, user)) {
        job_error(job, 409, "yourself", NULL, "you cannot remove yourself");
        return;
    }
    bool had_one = directory_has_system_admin(job->m->directory);
    job_audit(job, user->tenant, user->name, "user removed");
    enum amm_store_result result = directory_user_remove(job->m, user);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else if (keeps_an_admin(job, had_one)) {
        job_empty(job);
    }
}

/* ---- roles ---- */

static void role_add_handle(struct job *job)
{
    struct user *user = directory_user(job->m->directory, job->id);
    struct access_binding binding;
    char branch[160];
    int64_t id = 0;
    if (!demand_manage(job, user) || !binding_of_body(job, &binding)) {
        return;
    }
    if (user->n_bindings == ACTOR_BINDINGS_MAX) {
        job_error(job, 409, "too-many", NULL, "a user has at most %d roles", ACTOR_BINDINGS_MAX);
        return;
    }
    enum amm_store_result result = directory_binding_add(job->m, user, &binding, &id);
    branch_text(job->m, binding.tenant, binding.group, branch, sizeof branch);
    job_audit(job, user->tenant, user->name, "role %s of %s given", access_role_name(binding.role),
              branch);
    if (result == AMM_STORE_CONFLICT) {
        job_error(job, 409, "exists", "role", "the user has this role there already");
    } else if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else {
        job_json(job, 201, user_json(job->m, user));
    }
}

static const struct binding *find_binding(const struct user *user, int64_t id)
{
    for (uint32_t i = 0; i < user->n_bindings; i++) {
        if (user->bindings[i].id == id) {
            return &user->bindings[i];
        }
    }
    return NULL;
}

static void role_remove_handle(struct job *job)
{
    struct user *user = directory_user(job->m->directory, job->id);
    int64_t id;
    char branch[160];
    if (!job_argument_number(job, 1, 1, INT64_MAX, &id)) {
        return;
    }
    const struct binding *binding = find_binding(user, id);
    if (binding == NULL) {
        job_not_found(job);
        return;
    }
    if (!access_covers(job->m->fleet, &job->actor, &binding->what)) {
        job_error(job, 403, "forbidden", NULL, "you cannot take rights that you do not have");
        return;
    }
    bool had_one = directory_has_system_admin(job->m->directory);
    branch_text(job->m, binding->what.tenant, binding->what.group, branch, sizeof branch);
    job_audit(job, user->tenant, user->name, "role %s of %s taken",
              access_role_name(binding->what.role), branch);
    enum amm_store_result result = directory_binding_remove(job->m, user, id);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else if (keeps_an_admin(job, had_one)) {
        job_empty(job);
    }
}

static const struct field list_query[] = {
    ROUTE_PAGE,
    {"tenant", FIELD_ID, false, 1, 0, NULL, "users of this tenant only"},
    {.name = NULL},
};

static const struct field add_body[] = {
    {"name", FIELD_TEXT, true, 1, USER_NAME_MAX, NULL, "login name, unique in the tenant"},
    {"title", FIELD_TEXT, false, 0, USER_TITLE_MAX, NULL, "name in full"},
    {"tenant", FIELD_ID, false, 1, 0, NULL, "home of the user; your own if not given"},
    {"password", FIELD_TEXT, false, PASSWORD_MIN, PASSWORD_MAX, NULL,
     "to be changed at the first login; one is made, and answered once, if not given"},
    {.name = NULL},
};

static const struct field change_body[] = {
    {"title", FIELD_TEXT, false, 0, USER_TITLE_MAX, NULL, "name in full"},
    {"disabled", FIELD_BOOL, false, 0, 0, NULL, "true: no login, no token works"},
    {.name = NULL},
};

static const struct field password_body[] = {
    {"password", FIELD_TEXT, false, PASSWORD_MIN, PASSWORD_MAX, NULL,
     "to be changed at the next login; one is made, and answered once, if not given"},
    {.name = NULL},
};

static const struct field role_body[] = {
    {"role", FIELD_CHOICE, true, 0, 0, ROLES, "the role"},
    {"tenant", FIELD_ID, false, 0, 0, NULL, "of the branch; not given or \"0\": the whole server"},
    {"group", FIELD_ID, false, 0, 0, NULL, "of the branch; not given or \"0\": the whole tenant"},
    {.name = NULL},
};

const struct route user_routes[] = {
    {.method = "GET",
     .path = "/api/v1/users",
     .action = ACCESS_ADMIN,
     .query = list_query,
     .handle = users_handle,
     .summary = "Users of the tenants that you administer"},
    {.method = "POST",
     .path = "/api/v1/users",
     .action = ACCESS_ADMIN,
     .body = add_body,
     .handle = user_add_handle,
     .summary = "Add a user; without any role yet"},
    {.method = "GET",
     .path = "/api/v1/users/{id}",
     .action = ACCESS_ADMIN,
     .find = user_find,
     .handle = user_handle,
     .summary = "One user with roles"},
    {.method = "PATCH",
     .path = "/api/v1/users/{id}",
     .action = ACCESS_ADMIN,
     .find = user_find,
     .body = change_body,
     .handle = user_change_handle,
     .summary = "Change or disable a user"},
    {.method = "DELETE",
     .path = "/api/v1/users/{id}",
     .action = ACCESS_ADMIN,
     .find = user_find,
     .handle = user_remove_handle,
     .summary = "Remove a user with logins and tokens"},
    {.method = "POST",
     .path = "/api/v1/users/{id}/password",
     .action = ACCESS_ADMIN,
     .find = user_find,
     .body = password_body,
     .handle = user_password_handle,
     .summary = "Set a one-time password; ends all logins of the user"},
    {.method = "POST",
     .path = "/api/v1/users/{id}/roles",
     .action = ACCESS_ADMIN,
     .find = user_find,
     .body = role_body,
     .handle = role_add_handle,
     .summary = "Bind a role to a branch"},
    {.method = "DELETE",
     .path = "/api/v1/users/{id}/roles/{role}",
     .action = ACCESS_ADMIN,
     .find = user_find,
     .handle = role_remove_handle,
     .summary = "Take a role away"},
    {.method = NULL},
};
