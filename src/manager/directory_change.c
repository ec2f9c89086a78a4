/* Changes of users, bindings, logins and tokens: the store first, then memory. */
#include "manager/directory_parts.h"

#include "base/base64.h"
#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { SECRET_BYTES = 32, SAVE_SEEN_EVERY = 60 };
#define PURGE_EVERY (300 * AMM_SECOND)

/* ---- the way back ---- */

static void read_again(struct manager *m, void *data)
{
    (void)data;
    if (m->directory != NULL && !directory_read(m, m->directory)) {
        amm_log(AMM_LOG_ERROR, "users-unreadable",
                amm_field_text("text", amm_store_error(m->store)));
    }
}

/* Before each change. */
static void note_undo(struct manager *m)
{
    manager_undo(m, read_again, NULL, 0);
}

static void remove_at(struct list *list, size_t at)
{
    free(list->at[at]);
    list->n--;
    memmove(&list->at[at], &list->at[at + 1], (list->n - at) * sizeof list->at[0]);
}

static void remove_id(struct list *list, int64_t id)
{
    for (size_t i = 0; i < list->n; i++) {
        if (*(const int64_t *)list->at[i] == id) {
            remove_at(list, i);
            return;
        }
    }
}

/* ---- users ---- */

enum amm_store_result directory_user_add(struct manager *m, const struct user_new *what,
                                         int64_t *id)
{
    note_undo(m);
    enum amm_store_result result = amm_store_number(
        m->store, AMM_SQL_USER_ADD,
        AMM_WITH(amm_number(what->tenant), amm_text(what->name), amm_text(what->title),
                 amm_text(what->encoded), amm_number(what->must_change), amm_number(m->now.wall)),
        id);
    if (result != AMM_STORE_OK) {
        return result;
    }
    struct user *user = directory_grow(&m->directory->users, sizeof *user);
    if (user == NULL) {
        return AMM_STORE_FAILED;
    }
    user->id = *id;
    user->tenant = what->tenant;
    snprintf(user->name, sizeof user->name, "%s", what->name);
    snprintf(user->title, sizeof user->title, "%s", what->title);
    snprintf(user->password, sizeof user->password, "%s", what->encoded);
    user->must_change = what->must_change;
    user->created_at = user->password_at = m->now.wall;
    return AMM_STORE_OK;
}

/* Ends all logins of a user but one. */
static enum amm_store_result end_logins(struct manager *m, int64_t user, int64_t keep)
{
    struct list *logins = &m->directory->logins;
    for (size_t i = logins->n; i > 0; i--) {
        const struct login *login = logins->at[i - 1];
        if (login->user == user && login->id != keep) {
            enum amm_store_result result = directory_login_remove(m, login->id);
            if (result != AMM_STORE_OK) {
                return result;
            }
        }
    }
    return AMM_STORE_OK;
}

enum amm_store_result directory_user_change(struct manager *m, struct user *user, const char *title,
                                            bool disabled)
{
    note_undo(m);
    enum amm_store_result result =
        amm_store_run(m->store, AMM_SQL_USER_CHANGE,
                      AMM_WITH(amm_text(title), amm_number(disabled), amm_number(user->id)));
    if (result != AMM_STORE_OK) {
        return result;
    }
    snprintf(user->title, sizeof user->title, "%s", title);
    user->disabled = disabled;
    return disabled ? end_logins(m, user->id, 0) : AMM_STORE_OK;
}

enum amm_store_result directory_user_password(struct manager *m, struct user *user,
                                              const char *encoded, bool must_change, int64_t keep)
{
    note_undo(m);
    enum amm_store_result result =
        amm_store_run(m->store, AMM_SQL_USER_PASSWORD,
                      AMM_WITH(amm_text(encoded), amm_number(must_change), amm_number(m->now.wall),
                               amm_number(user->id)));
    if (result != AMM_STORE_OK) {
        return result;
    }
    snprintf(user->password, sizeof user->password, "%s", encoded);
    user->must_change = must_change;
    user->password_at = m->now.wall;
    return end_logins(m, user->id, keep);
}

enum amm_store_result directory_user_remove(struct manager *m, struct user *user)
{
    note_undo(m);
    int64_t id = user->id;
    enum amm_store_result result =
        amm_store_run(m->store, AMM_SQL_USER_REMOVE, AMM_WITH(amm_number(id)));
    if (result != AMM_STORE_OK) {
        return result;
    }
    struct list *logins = &m->directory->logins, *tokens = &m->directory->tokens;
    for (size_t i = logins->n; i > 0; i--) {
        if (((const struct login *)logins->at[i - 1])->user == id) {
            remove_at(logins, i - 1);
        }
    }
    for (size_t i = tokens->n; i > 0; i--) {
        if (((const struct token *)tokens->at[i - 1])->user == id) {
            remove_at(tokens, i - 1);
        }
    }
    remove_id(&m->directory->users, id);
    return AMM_STORE_OK;
}

/* ---- bindings ---- */

enum amm_store_result directory_binding_add(struct manager *m, struct user *user,
                                            const struct access_binding *what, int64_t *id)
{
    if (user->n_bindings == ACTOR_BINDINGS_MAX) {
        return AMM_STORE_CONFLICT;
    }
    note_undo(m);
    enum amm_store_result result = amm_store_number(
        m->store, AMM_SQL_BINDING_ADD,
        AMM_WITH(amm_number(user->id), amm_number(what->role), amm_number(what->tenant),
                 amm_number(what->group), amm_number(m->now.wall)),
        id);
    if (result == AMM_STORE_OK) {
        user->bindings[user->n_bindings++] = (struct binding){*id, m->now.wall, *what};
    }
    return result;
}

static void forget_binding(struct user *user, uint32_t at)
{
    user->n_bindings--;
    memmove(&user->bindings[at], &user->bindings[at + 1],
            (user->n_bindings - at) * sizeof user->bindings[0]);
}

enum amm_store_result directory_binding_remove(struct manager *m, struct user *user, int64_t id)
{
    note_undo(m);
    enum amm_store_result result = amm_store_run(m->store, AMM_SQL_BINDING_REMOVE,
                                                 AMM_WITH(amm_number(id), amm_number(user->id)));
    for (uint32_t i = 0; result == AMM_STORE_OK && i < user->n_bindings; i++) {
        if (user->bindings[i].id == id) {
            forget_binding(user, i);
            break;
        }
    }
    return result;
}

static bool is_of_branch(const struct access_binding *binding, int64_t tenant, int64_t group)
{
    return binding->tenant == tenant && (group == 0 || binding->group == group);
}

static void forget_branch(struct directory *directory, int64_t tenant, int64_t group)
{
    for (size_t i = 0; i < directory->users.n; i++) {
        struct user *user = directory->users.at[i];
        for (uint32_t b = user->n_bindings; b > 0; b--) {
            if (is_of_branch(&user->bindings[b - 1].what, tenant, group)) {
                forget_binding(user, b - 1);
            }
        }
    }
    for (size_t i = directory->tokens.n; i > 0; i--) {
        const struct token *token = directory->tokens.at[i - 1];
        if (is_of_branch(&token->scope, tenant, group)) {
            remove_at(&directory->tokens, i - 1);
        }
    }
}

enum amm_store_result directory_branch_removed(struct manager *m, int64_t tenant, int64_t group)
{
    note_undo(m);
    struct amm_value which = amm_number(group != 0 ? group : tenant);
    enum amm_store_result result = amm_store_run(
        m->store, group ? AMM_SQL_BINDING_REMOVE_GROUP : AMM_SQL_BINDING_REMOVE_TENANT, &which, 1);
    if (result == AMM_STORE_OK) {
        result = amm_store_run(
            m->store, group ? AMM_SQL_TOKEN_REMOVE_GROUP : AMM_SQL_TOKEN_REMOVE_TENANT, &which, 1);
    }
    if (result == AMM_STORE_OK) {
        forget_branch(m->directory, tenant, group);
    }
    return result;
}

/* ---- logins ---- */

static void make_secret(struct manager *m, const char *prefix, char out[SECRET_TEXT])
{
    uint8_t bytes[SECRET_BYTES];
    amm_random_fill(&m->random, bytes, sizeof bytes);
    int len = snprintf(out, SECRET_TEXT, "%s", prefix);
    amm_base64_encode(out + len, SECRET_TEXT - (size_t)len, amm_view(bytes, sizeof bytes),
                      AMM_BASE64_URL);
    amm_wipe(bytes, sizeof bytes);
}

/* One more than a user may have ends his oldest. */
static enum amm_store_result make_room(struct manager *m, int64_t user)
{
    const struct login *oldest = NULL;
    unsigned n = 0;
    for (size_t i = 0; i < m->directory->logins.n; i++) {
        const struct login *login = m->directory->logins.at[i];
        if (login->user == user) {
            n++;
            oldest = oldest == NULL || login->idle_since < oldest->idle_since ? login : oldest;
        }
    }
    return n < LOGINS_OF_USER ? AMM_STORE_OK : directory_login_remove(m, oldest->id);
}

enum amm_store_result directory_login_add(struct manager *m, const struct user *user,
                                          const struct amm_address *remote,
                                          char secret[SECRET_TEXT], int64_t *id)
{
    struct login made = {.user = user->id,
                         .prefix = (int64_t)amm_address_prefix(remote),
                         .created_at = m->now.wall,
                         .seen_at = m->now.wall,
                         .saved_at = m->now.wall,
                         .expires_at = m->now.wall + m->config->login_life};
    note_undo(m);
    enum amm_store_result result = make_room(m, user->id);
    if (result != AMM_STORE_OK) {
        return result;
    }
    make_secret(m, "", secret);
    directory_secret_hash(secret, made.hash);
    snprintf(made.remote, sizeof made.remote, "local");
    if (remote->family != AMM_FAMILY_NONE) {
        amm_address_text(remote, made.remote);
    }
    result = amm_store_number(m->store, AMM_SQL_LOGIN_ADD,
                              AMM_WITH(amm_number(made.user), amm_blob(made.hash, sizeof made.hash),
                                       amm_text(made.remote), amm_number(made.prefix),
                                       amm_number(made.created_at), amm_number(made.expires_at)),
                              id);
    struct login *login =
        result == AMM_STORE_OK ? directory_grow(&m->directory->logins, sizeof *login) : NULL;
    if (login == NULL) {
        return result == AMM_STORE_OK ? AMM_STORE_FAILED : result;
    }
    *login = made;
    login->id = *id;
    directory_login_time(m, login);
    return AMM_STORE_OK;
}

enum amm_store_result directory_login_remove(struct manager *m, int64_t id)
{
    note_undo(m);
    enum amm_store_result result =
        amm_store_run(m->store, AMM_SQL_LOGIN_REMOVE, AMM_WITH(amm_number(id)));
    if (result == AMM_STORE_OK) {
        remove_id(&m->directory->logins, id);
    }
    return result;
}

static void purge(struct manager *m, struct manager_timer *timer)
{
    const struct list *logins = &m->directory->logins;
    manager_timer_set(m, timer, amm_time_after(m->now.mono, PURGE_EVERY));
    for (size_t i = logins->n; i > 0 && manager_store_state(m) == AMM_STORE_OK; i--) {
        const struct login *login = logins->at[i - 1];
        if (!directory_login_lives(m, login) &&
            directory_login_remove(m, login->id) != AMM_STORE_OK) {
            manager_fail(m);
            return;
        }
    }
}

void directory_start(struct manager *m)
{
    m->directory->purge.fire = purge;
    manager_timer_set(m, &m->directory->purge, amm_time_after(m->now.mono, PURGE_EVERY));
}

/* Saved once a minute: what is lost with a crash only makes a login end a little earlier. */
void directory_login_seen(struct manager *m, struct login *login)
{
    login->seen_at = m->now.wall;
    login->idle_since = m->now.mono;
    if ((login->seen_at - login->saved_at >= SAVE_SEEN_EVERY || login->seen_at < login->saved_at) &&
        manager_store_state(m) == AMM_STORE_OK &&
        amm_store_run(m->store, AMM_SQL_LOGIN_SEEN,
                      AMM_WITH(amm_number(login->seen_at), amm_number(login->id))) ==
            AMM_STORE_OK) {
        login->saved_at = login->seen_at;
    }
}

/* ---- tokens ---- */

enum amm_store_result directory_token_add(struct manager *m, const struct user *user,
                                          const struct token_new *what, char secret[SECRET_TEXT],
                                          int64_t *id)
{
    uint8_t hash[SECRET_HASH];
    unsigned n = 0;
    for (size_t i = 0; i < m->directory->tokens.n; i++) {
        n += ((const struct token *)m->directory->tokens.at[i])->user == user->id;
    }
    if (n >= TOKENS_OF_USER) {
        return AMM_STORE_CONFLICT;
    }
    note_undo(m);
    make_secret(m, "amm_", secret);
    directory_secret_hash(secret, hash);
    enum amm_store_result result =
        amm_store_number(m->store, AMM_SQL_TOKEN_ADD,
                         AMM_WITH(amm_number(user->id), amm_text(what->name),
                                  amm_blob(hash, sizeof hash), amm_number(what->scope.role),
                                  amm_number(what->scope.tenant), amm_number(what->scope.group),
                                  amm_number(m->now.wall), amm_number(what->expires_at)),
                         id);
    struct token *token =
        result == AMM_STORE_OK ? directory_grow(&m->directory->tokens, sizeof *token) : NULL;
    if (token == NULL) {
        return result == AMM_STORE_OK ? AMM_STORE_FAILED : result;
    }
    token->id = *id;
    token->user = user->id;
    snprintf(token->name, sizeof token->name, "%s", what->name);
    memcpy(token->hash, hash, sizeof hash);
    token->scope = what->scope;
    token->created_at = m->now.wall;
    token->expires_at = what->expires_at;
    return AMM_STORE_OK;
}

enum amm_store_result directory_token_remove(struct manager *m, int64_t id)
{
    note_undo(m);
    enum amm_store_result result =
        amm_store_run(m->store, AMM_SQL_TOKEN_REMOVE, AMM_WITH(amm_number(id)));
    if (result == AMM_STORE_OK) {
        remove_id(&m->directory->tokens, id);
    }
    return result;
}

void directory_token_used(struct manager *m, struct token *token)
{
    token->used_at = m->now.wall;
    if ((token->used_at - token->saved_at >= SAVE_SEEN_EVERY || token->used_at < token->saved_at) &&
        manager_store_state(m) == AMM_STORE_OK &&
        amm_store_run(m->store, AMM_SQL_TOKEN_USED,
                      AMM_WITH(amm_number(token->used_at), amm_number(token->id))) ==
            AMM_STORE_OK) {
        token->saved_at = token->used_at;
    }
}
