/* API tokens: a user's own, for programs. */
#include "manager/directory.h"
#include "manager/job.h"
#include "manager/nouns.h"

#include <stdio.h>

enum { DAY = 86400, DAYS_MAX = 3650 };

static bool token_find(struct manager *m, int64_t id, struct access_object *out)
{
    const struct token *token = directory_token(m->directory, id);
    const struct user *user = token ? directory_user(m->directory, token->user) : NULL;
    *out = (struct access_object){user != NULL ? user->tenant : 0, 0};
    return user != NULL;
}

static json_t *token_json(struct manager *m, const struct token *token)
{
    char owner[ACTOR_NAME_MAX] = "";
    const struct user *user = directory_user(m->directory, token->user);
    if (user != NULL) {
        directory_login_name(m, user, owner, sizeof owner);
    }
    json_t *body = binding_json(&token->scope);
    json_object_update_new(
        body, json_pack("{s:o, s:o, s:s, s:s, s:I, s:I, s:I}", "id", job_json_id(token->id), "user",
                        job_json_id(token->user), "user_name", owner, "name", token->name,
                        "created_at", (json_int_t)token->created_at, "expires_at",
                        (json_int_t)token->expires_at, "used_at", (json_int_t)token->used_at));
    return body;
}

/* One's own; those of the users whom one administers, too. */
static bool may_see(const struct job *job, const struct token *token)
{
    const struct user *user = directory_user(job->m->directory, token->user);
    return token->user == job->actor.user || (user != NULL && user_may_manage(job, user));
}

static void tokens_handle(struct job *job)
{
    struct job_page page = job_page(job);
    int64_t next = 0;
    json_t *items = json_array();
    for (size_t i = 0; i < directory_tokens(job->m->directory); i++) {
        const struct token *token = directory_token_at(job->m->directory, i);
        if (token->id <= page.after || !may_see(job, token)) {
            continue;
        }
        if (json_array_size(items) == page.limit) {
            next = job_id_of_last(items);
            break;
        }
        json_array_append_new(items, token_json(job->m, token));
    }
    job_list(job, items, next);
}

/* A token never has more than its user; but what it says must make sense to him. */
static bool scope_is_mine(struct job *job, const struct access_binding *scope)
{
    static const enum access_action of_role[] = {[ROLE_NONE] = ACCESS_SYSTEM,
                                                 [ROLE_VIEWER] = ACCESS_VIEW,
                                                 [ROLE_OPERATOR] = ACCESS_OPERATE,
                                                 [ROLE_TENANT_ADMIN] = ACCESS_ADMIN,
                                                 [ROLE_SYSTEM_ADMIN] = ACCESS_SYSTEM};
    struct access_object object = {scope->tenant, scope->group};
    if (scope->tenant == 0 && scope->group != 0) { /* else it would be good for the whole server */
        job_error(job, 400, "bad-value", "group",
                  "a group is one of a tenant: give the tenant too");
        return false;
    }
    bool allowed = scope->tenant != 0 ? job_demand(job, of_role[scope->role], &object, "tenant")
                                      : access_allows_somewhere(&job->actor, of_role[scope->role]);
    if (!allowed && scope->tenant == 0) {
        job_error(job, 403, "forbidden", "role", "a token cannot have a role that you do not have");
    }
    return allowed;
}

static void token_add_handle(struct job *job)
{
    const struct user *user = directory_user(job->m->directory, job->actor.user);
    int64_t days = job_number(job, "days", 90), id = 0;
    struct token_new what = {
        .name = job_text(job, "name", ""),
        .scope = {access_role_find(job_text(job, "role", "")), job_id(job, "tenant", 0),
                  job_id(job, "group", 0)},
        .expires_at = days == 0 ? 0 : job->m->now.wall + days * DAY,
    };
    char secret[SECRET_TEXT];
    if (user == NULL || job->actor.kind != ACTOR_LOGIN) {
        /* A stolen token must not be able to make itself another one. */
        job_error(job, 403, "forbidden", NULL, "tokens are made by somebody who is logged in");
        return;
    }
    if (!directory_name_ok(what.name)) {
        job_error(job, 400, "bad-value", "name", "name: 1 to 64 letters, digits, '-', '_', '.'");
        return;
    }
    if (!scope_is_mine(job, &what.scope)) {
        return;
    }
    enum amm_store_result result = directory_token_add(job->m, user, &what, secret, &id);
    job_audit(job, user->tenant, what.name, "API token made, role %s, %lld days",
              access_role_name(what.scope.role), (long long)days);
    if (result == AMM_STORE_CONFLICT) {
        job_error(job, 409, "exists", "name", "you have a token of that name, or %d tokens already",
                  TOKENS_OF_USER);
    } else if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else {
        json_t *body = token_json(job->m, directory_token(job->m->directory, id));
        json_object_set_new(body, "token", json_string(secret)); /* this once */
        job_json(job, 201, body);
    }
    amm_wipe(secret, sizeof secret);
}

static void token_remove_handle(struct job *job)
{
    const struct token *token = directory_token(job->m->directory, job->id);
    if (!may_see(job, token)) {
        job_not_found(job);
        return;
    }
    job_audit(job, job->object.tenant, token->name, "API token removed");
    enum amm_store_result result = directory_token_remove(job->m, job->id);
    if (result == AMM_STORE_OK) {
        job_empty(job);
    } else {
        job_store_error(job, result);
    }
}

static const struct field list_query[] = {ROUTE_PAGE, {.name = NULL}};

static const struct field add_body[] = {
    {"name", FIELD_TEXT, true, 1, USER_NAME_MAX, NULL, "what it is for; unique among your tokens"},
    {"role", FIELD_CHOICE, true, 0, 0, "viewer|operator|tenant-admin|system-admin",
     "at most what this role may do, and never more than you may"},
    {"tenant", FIELD_ID, false, 0, 0, NULL, "only in this tenant"},
    {"group", FIELD_ID, false, 0, 0, NULL, "only in this group of the tenant"},
    {"days", FIELD_NUMBER, false, 0, DAYS_MAX, NULL, "how long it is good; default 90, 0 for ever"},
    {.name = NULL},
};

const struct route token_routes[] = {
    {.method = "GET",
     .path = "/api/v1/tokens",
     .action = ACCESS_SELF,
     .query = list_query,
     .handle = tokens_handle,
     .summary = "API tokens: your own, and those of users whom you administer"},
    {.method = "POST",
     .path = "/api/v1/tokens",
     .action = ACCESS_SELF,
     .body = add_body,
     .handle = token_add_handle,
     .summary = "Make an API token; it is shown in this answer only"},
    {.method = "DELETE",
     .path = "/api/v1/tokens/{id}",
     .action = ACCESS_SELF,
     .find = token_find,
     .handle = token_remove_handle,
     .summary = "Remove an API token"},
    {.method = NULL},
};
