/* Logging in and out, and what concerns the user himself. */
#include "manager/authenticate.h"
#include "manager/directory.h"
#include "manager/job.h"
#include "manager/job_parts.h"
#include "manager/limits.h"
#include "manager/nouns.h"
#include "manager/password.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIMIT_PREFIX = 10, LIMIT_ACCOUNT_HERE, LIMIT_ACCOUNT, LIMIT_OWN, LOGIN_NAME_MAX = 160 };

/* An account: a few attempts from one network, more from all others together. Whoever is logged in
 * from a network already is not locked out of it by what others try elsewhere. */
static const struct limit account_here = {5, 30 * AMM_SECOND};
static const struct limit account_anywhere = {50, 10 * AMM_SECOND};
static const struct limit own_password = {5, 30 * AMM_SECOND};

/* ---- answers about the user himself ---- */

static json_t *actor_json(const struct job *job)
{
    static const char *const kinds[] = {[ACTOR_NOBODY] = "nobody",
                                        [ACTOR_LOCAL] = "local",
                                        [ACTOR_LOGIN] = "login",
                                        [ACTOR_TOKEN] = "token"};
    const struct actor *actor = &job->actor;
    json_t *roles = json_array();
    for (uint32_t i = 0; i < actor->n_bindings; i++) {
        json_array_append_new(roles, binding_json(&actor->bindings[i]));
    }
    json_t *me = json_pack("{s:s, s:s, s:b, s:o}", "name", actor->name, "kind", kinds[actor->kind],
                           "must_change_password", actor->must_change_password, "roles", roles);
    if (actor->user != 0) {
        json_object_set_new(me, "id", job_json_id(actor->user));
        json_object_set_new(me, "tenant", job_json_id(actor->tenant));
    }
    if (actor->kind == ACTOR_TOKEN) {
        json_object_set_new(me, "scope", binding_json(&actor->scope));
    }
    return me;
}

static void me_handle(struct job *job)
{
    job_json(job, 200, actor_json(job));
}

/* ---- cookies ---- */

static void set_cookie(struct job *job, const char *secret)
{
    char cookie[256];
    snprintf(cookie, sizeof cookie, "%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s",
             authenticate_cookie_name(job), secret, job->is_tls ? "; Secure" : "",
             *secret == '\0' ? "; Max-Age=0" : "");
    job_field(job, "Set-Cookie", cookie);
}

/* ---- login ---- */

/* What goes to a worker and back. */
struct attempt {
    struct job *job;
    int64_t user; /* 0: there is none */
    char name[LOGIN_NAME_MAX + 1];
    char password[PASSWORD_MAX + 1];
    char encoded[PASSWORD_ENCODED_MAX];
    bool is_right;
    /* a change of the password */
    char fresh[PASSWORD_MAX + 1];
    char fresh_encoded[PASSWORD_ENCODED_MAX];
    bool wants_fresh;
    struct amm_random random;
};

static void attempt_drop(void *context)
{
    amm_wipe(context, sizeof(struct attempt));
    free(context);
}

/* Belongs to the job. NULL: answered. */
static struct attempt *attempt_new(struct job *job)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL) {
        job_retry(job, 503, 2, "no-memory", "the server is short of memory: try again");
        return NULL;
    }
    attempt->job = job;
    job_keep(job, attempt, attempt_drop);
    return attempt;
}

static uint64_t key_of_prefix(const struct job *job)
{
    uint64_t prefix = amm_address_prefix(&job->remote);
    return limits_key(job->m->limits, LIMIT_PREFIX, &prefix, sizeof prefix);
}

/* By the user if there is one: he has more than one way to be written. */
static uint64_t key_of_account(const struct job *job, const char *name, const struct user *user,
                               bool here)
{
    uint8_t bytes[2 * sizeof(uint64_t) + LOGIN_NAME_MAX];
    struct amm_writer w = amm_writer(bytes, sizeof bytes);
    amm_write_u64(&w, here ? amm_address_prefix(&job->remote) : 0);
    amm_write_u64(&w, user != NULL ? (uint64_t)user->id : 0);
    amm_write_str(&w, user != NULL ? "" : name);
    return limits_key(job->m->limits, here ? LIMIT_ACCOUNT_HERE : LIMIT_ACCOUNT, bytes,
                      amm_writer_len(&w));
}

static bool refuse_flood(struct job *job, unsigned wait)
{
    if (wait > 0) {
        job_retry(job, 429, wait, "too-many", "too many attempts: wait");
    }
    return wait > 0;
}

/* Counted before the password is looked at, so that the answer costs the same either way. */
static bool within_limits(struct job *job, const char *name, const struct user *user)
{
    struct limits *limits = job->m->limits;
    amm_time now = job->m->now.mono;
    struct limit prefix = {job->m->config->login_rate,
                           60 * AMM_SECOND / job->m->config->login_rate};
    if (job->listener == LISTENER_LOCAL) {
        return true;
    }
    if (refuse_flood(job, limits_take(limits, key_of_prefix(job), &prefix, now)) ||
        refuse_flood(
            job, limits_take(limits, key_of_account(job, name, user, true), &account_here, now))) {
        return false;
    }
    if (user != NULL &&
        directory_prefix_is_known(job->m->directory, user->id, amm_address_prefix(&job->remote))) {
        return true;
    }
    return !refuse_flood(
        job, limits_take(limits, key_of_account(job, name, user, false), &account_anywhere, now));
}

static void verify(void *context)
{
    struct attempt *attempt = context;
    attempt->is_right = password_verify(attempt->password, attempt->encoded);
    if (attempt->is_right && attempt->wants_fresh &&
        !password_hash(attempt->fresh, &attempt->random, attempt->fresh_encoded)) {
        attempt->fresh_encoded[0] = '\0';
    }
}

static void log_in(struct job *job, const struct attempt *attempt, const struct user *user)
{
    struct manager *m = job->m;
    char secret[SECRET_TEXT];
    int64_t id = 0;
    enum amm_store_result result = directory_login_add(m, user, &job->remote, secret, &id);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
        return;
    }
    limits_forget(m->limits, key_of_account(job, attempt->name, user, true));
    directory_login_actor(m, directory_login(m->directory, id), &job->actor);
    set_cookie(job, secret);
    amm_wipe(secret, sizeof secret);
    job_audit(job, user->tenant, attempt->name, "logged in");
    job_json(job, 200, actor_json(job));
}

static void login_resume(struct job *job, void *context)
{
    struct attempt *attempt = context;
    const struct user *user = directory_user(job->m->directory, attempt->user);
    bool is_right = attempt->is_right && user != NULL && !user->disabled &&
                    strcmp(user->password, attempt->encoded) == 0;
    if (is_right) {
        log_in(job, attempt, user);
    } else {
        job_audit(job, user != NULL ? user->tenant : 0, attempt->name, "login refused");
        job_error(job, 401, "wrong-login", NULL, "name or password is wrong");
    }
}

static void verified(struct manager *m, void *context)
{
    struct attempt *attempt = context;
    (void)m;
    job_resume(attempt->job, login_resume, attempt);
}

static void start(struct job *job, struct attempt *attempt,
                  void (*done)(struct manager *m, void *context))
{
    if (!manager_work(job->m, verify, done, attempt)) {
        job_retry(job, 503, 2, "busy", "too many logins at the same time: try again");
        return;
    }
    job_defer(job);
}

static void login_handle(struct job *job)
{
    const char *name = job_text(job, "user", "");
    const struct user *user = directory_user_by_login_name(job->m, name);
    if (!within_limits(job, name, user)) {
        return;
    }
    struct attempt *attempt = attempt_new(job);
    if (attempt == NULL) {
        return;
    }
    attempt->user = user != NULL ? user->id : 0;
    snprintf(attempt->name, sizeof attempt->name, "%s", name);
    snprintf(attempt->password, sizeof attempt->password, "%s", job_text(job, "password", ""));
    snprintf(attempt->encoded, sizeof attempt->encoded, "%s",
             user != NULL ? user->password : password_decoy());
    start(job, attempt, verified);
}

static void logout_handle(struct job *job)
{
    if (job->actor.kind == ACTOR_LOGIN) {
        enum amm_store_result result = directory_login_remove(job->m, job->actor.credential);
        if (result != AMM_STORE_OK) {
            job_store_error(job, result);
            return;
        }
        set_cookie(job, "");
    }
    job_audit(job, job->actor.tenant, job->actor.name, "logged out");
    job_empty(job);
}

/* ---- the own password ---- */

static void password_resume(struct job *job, void *context)
{
    struct attempt *attempt = context;
    struct user *user = directory_user(job->m->directory, attempt->user);
    if (user == NULL || !attempt->is_right || strcmp(user->password, attempt->encoded) != 0) {
        job_error(job, 403, "wrong-password", "old", "the old password is wrong");
    } else if (attempt->fresh_encoded[0] == '\0') {
        job_retry(job, 503, 2, "busy", "the server is short of memory: try again");
    } else {
        int64_t keep = job->actor.kind == ACTOR_LOGIN ? job->actor.credential : 0;
        enum amm_store_result result =
            directory_user_password(job->m, user, attempt->fresh_encoded, false, keep);
        job_audit(job, user->tenant, job->actor.name, "own password changed");
        if (result == AMM_STORE_OK) {
            job_empty(job);
        } else {
            job_store_error(job, result);
        }
    }
}

static void password_verified(struct manager *m, void *context)
{
    struct attempt *attempt = context;
    (void)m;
    job_resume(attempt->job, password_resume, attempt);
}

static bool new_password_is_fine(struct job *job, const struct user *user)
{
    char reason[128];
    if (!password_is_fine(job_text(job, "new", ""), user->name, reason, sizeof reason)) {
        job_error(job, 400, "bad-password", "new", "%s", reason);
        return false;
    }
    if (strcmp(job_text(job, "new", ""), job_text(job, "old", "")) == 0) {
        job_error(job, 400, "bad-password", "new", "the new password is the old one");
        return false;
    }
    return true;
}

static void password_handle(struct job *job)
{
    const struct user *user = directory_user(job->m->directory, job->actor.user);
    if (user == NULL || job->actor.kind != ACTOR_LOGIN) {
        job_error(job, 403, "forbidden", NULL, "only somebody who is logged in has a password");
        return;
    }
    uint64_t key = limits_key(job->m->limits, LIMIT_OWN, &user->id, sizeof user->id);
    if (!new_password_is_fine(job, user) ||
        refuse_flood(job, limits_take(job->m->limits, key, &own_password, job->m->now.mono))) {
        return;
    }
    struct attempt *attempt = attempt_new(job);
    if (attempt == NULL) {
        return;
    }
    attempt->user = user->id;
    attempt->wants_fresh = true;
    attempt->random = job->m->random;
    snprintf(attempt->password, sizeof attempt->password, "%s", job_text(job, "old", ""));
    snprintf(attempt->fresh, sizeof attempt->fresh, "%s", job_text(job, "new", ""));
    snprintf(attempt->encoded, sizeof attempt->encoded, "%s", user->password);
    start(job, attempt, password_verified);
}

/* ---- the own logins ---- */

static void logins_handle(struct job *job)
{
    const struct directory *directory = job->m->directory;
    json_t *items = json_array();
    for (size_t i = 0; i < directory_logins(directory); i++) {
        const struct login *login = directory_login_at(directory, i);
        if (login->user == job->actor.user) {
            json_array_append_new(
                items,
                json_pack("{s:o, s:s, s:I, s:I, s:I, s:b}", "id", job_json_id(login->id), "remote",
                          login->remote, "created_at", (json_int_t)login->created_at, "seen_at",
                          (json_int_t)login->seen_at, "expires_at", (json_int_t)login->expires_at,
                          "is_this",
                          job->actor.kind == ACTOR_LOGIN && job->actor.credential == login->id));
        }
    }
    job_list(job, items, 0);
}

static bool login_find(struct manager *m, int64_t id, struct access_object *out)
{
    const struct login *login = directory_login(m->directory, id);
    const struct user *user = login ? directory_user(m->directory, login->user) : NULL;
    *out = (struct access_object){user != NULL ? user->tenant : 0, 0};
    return user != NULL;
}

static void login_end_handle(struct job *job)
{
    const struct login *login = directory_login(job->m->directory, job->id);
    if (login->user != job->actor.user || job->actor.user == 0) {
        job_not_found(job);
        return;
    }
    enum amm_store_result result = directory_login_remove(job->m, job->id);
    if (result == AMM_STORE_OK) {
        job_empty(job);
    } else {
        job_store_error(job, result);
    }
}

static const struct field login_body[] = {
    {"user", FIELD_TEXT, true, 1, LOGIN_NAME_MAX, NULL, "name, or name@tenant outside of main"},
    {"password", FIELD_TEXT, true, 1, PASSWORD_MAX, NULL, "the password"},
    {.name = NULL},
};

static const struct field password_body[] = {
    {"old", FIELD_TEXT, true, 1, PASSWORD_MAX, NULL, "the password so far"},
    {"new", FIELD_TEXT, true, PASSWORD_MIN, PASSWORD_MAX, NULL, "the one from now on"},
    {.name = NULL},
};

const struct route login_routes[] = {
    {.method = "POST",
     .path = "/api/v1/login",
     .action = ACCESS_OPEN,
     .body = login_body,
     .handle = login_handle,
     .summary = "Log in: sets the cookie of a new login"},
    {.method = "POST",
     .path = "/api/v1/logout",
     .action = ACCESS_SELF,
     .flags = ROUTE_PASSWORD,
     .handle = logout_handle,
     .summary = "End the login"},
    {.method = "GET",
     .path = "/api/v1/me",
     .action = ACCESS_SELF,
     .flags = ROUTE_PASSWORD,
     .handle = me_handle,
     .summary = "Who is asking, with which roles"},
    {.method = "POST",
     .path = "/api/v1/me/password",
     .action = ACCESS_SELF,
     .flags = ROUTE_PASSWORD,
     .body = password_body,
     .handle = password_handle,
     .summary = "Change the own password; ends all other logins"},
    {.method = "GET",
     .path = "/api/v1/logins",
     .action = ACCESS_SELF,
     .handle = logins_handle,
     .summary = "The own logins"},
    {.method = "DELETE",
     .path = "/api/v1/logins/{id}",
     .action = ACCESS_SELF,
     .find = login_find,
     .handle = login_end_handle,
     .summary = "End one of the own logins"},
    {.method = NULL},
};
