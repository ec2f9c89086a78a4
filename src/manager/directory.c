/* Users, bindings, logins and tokens: reading and finding. directory_change.c has the changes. */
#include "manager/directory_parts.h"

#include "manager/fleet.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLOCK_SLACK = 60 }; /* seconds that clocks may differ when a token's end is judged */

/* ---- reading ---- */

static bool add(struct list *list, void *what)
{
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 32;
        void **at = realloc(list->at, room * sizeof *at);
        if (at == NULL) {
            return false;
        }
        list->at = at;
        list->room = room;
    }
    list->at[list->n++] = what;
    return true;
}

static void clear(struct list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->at[i]);
    }
    list->n = 0;
}

void *directory_grow(struct list *list, size_t size)
{
    void *what = calloc(1, size);
    if (what != NULL && !add(list, what)) {
        free(what);
        what = NULL;
    }
    return what;
}

static void copy_hash(uint8_t out[SECRET_HASH], const struct amm_rows *rows, unsigned column)
{
    struct amm_view hash = amm_rows_view(rows, column);
    if (hash.len == SECRET_HASH) {
        memcpy(out, hash.data, SECRET_HASH);
    }
}

static bool read_users(struct amm_store *store, struct directory *directory)
{
    struct amm_rows *rows = amm_store_query(store, AMM_SQL_USER_ALL, AMM_WITHOUT);
    bool ok = true;
    while (ok && amm_rows_next(rows)) {
        struct user *user = directory_grow(&directory->users, sizeof *user);
        ok = user != NULL;
        if (!ok) {
            break;
        }
        user->id = amm_rows_number(rows, 0);
        user->tenant = amm_rows_number(rows, 1);
        amm_rows_text(rows, 2, user->name, sizeof user->name);
        amm_rows_text(rows, 3, user->title, sizeof user->title);
        amm_rows_text(rows, 4, user->password, sizeof user->password);
        user->must_change = amm_rows_number(rows, 5) != 0;
        user->disabled = amm_rows_number(rows, 6) != 0;
        user->created_at = amm_rows_number(rows, 7);
        user->password_at = amm_rows_number(rows, 8);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && ok;
}

static bool read_bindings(struct amm_store *store, struct directory *directory)
{
    struct amm_rows *rows = amm_store_query(store, AMM_SQL_BINDING_ALL, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        struct user *user = directory_user(directory, amm_rows_number(rows, 1));
        if (user == NULL || user->n_bindings == ACTOR_BINDINGS_MAX) {
            continue; /* fewer rights than stored are safe */
        }
        struct binding *binding = &user->bindings[user->n_bindings++];
        binding->id = amm_rows_number(rows, 0);
        binding->what = (struct access_binding){(enum access_role)amm_rows_number(rows, 2),
                                                amm_rows_number(rows, 3), amm_rows_number(rows, 4)};
        binding->created_at = amm_rows_number(rows, 5);
    }
    return amm_rows_end(rows) == AMM_STORE_OK;
}

static bool read_logins(struct manager *m, struct directory *directory)
{
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_LOGIN_ALL, AMM_WITHOUT);
    bool ok = true;
    while (ok && amm_rows_next(rows)) {
        struct login *login = directory_grow(&directory->logins, sizeof *login);
        ok = login != NULL;
        if (!ok) {
            break;
        }
        login->id = amm_rows_number(rows, 0);
        login->user = amm_rows_number(rows, 1);
        copy_hash(login->hash, rows, 2);
        amm_rows_text(rows, 3, login->remote, sizeof login->remote);
        login->prefix = amm_rows_number(rows, 4);
        login->created_at = amm_rows_number(rows, 5);
        login->seen_at = login->saved_at = amm_rows_number(rows, 6);
        login->expires_at = amm_rows_number(rows, 7);
        directory_login_time(m, login);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && ok;
}

static bool read_tokens(struct amm_store *store, struct directory *directory)
{
    struct amm_rows *rows = amm_store_query(store, AMM_SQL_TOKEN_ALL, AMM_WITHOUT);
    bool ok = true;
    while (ok && amm_rows_next(rows)) {
        struct token *token = directory_grow(&directory->tokens, sizeof *token);
        ok = token != NULL;
        if (!ok) {
            break;
        }
        token->id = amm_rows_number(rows, 0);
        token->user = amm_rows_number(rows, 1);
        amm_rows_text(rows, 2, token->name, sizeof token->name);
        copy_hash(token->hash, rows, 3);
        token->scope = (struct access_binding){(enum access_role)amm_rows_number(rows, 4),
                                               amm_rows_number(rows, 5), amm_rows_number(rows, 6)};
        token->created_at = amm_rows_number(rows, 7);
        token->expires_at = amm_rows_number(rows, 8);
        token->used_at = token->saved_at = amm_rows_number(rows, 9);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && ok;
}

/* A login goes on being as old as it was. */
static void keep_times(const struct list *old, struct directory *directory)
{
    for (size_t i = 0; i < old->n; i++) {
        const struct login *before = old->at[i];
        struct login *login = directory_login(directory, before->id);
        if (login != NULL) {
            login->idle_since = before->idle_since;
            login->dies_at = before->dies_at;
        }
    }
}

bool directory_read(struct manager *m, struct directory *directory)
{
    struct list logins = directory->logins;
    directory->logins = (struct list){0};
    clear(&directory->users);
    clear(&directory->tokens);
    bool ok = read_users(m->store, directory) && read_bindings(m->store, directory) &&
              read_logins(m, directory) && read_tokens(m->store, directory);
    if (!ok) { /* nobody may do anything: better than rights that are not in the store */
        clear(&directory->users);
        clear(&directory->logins);
        clear(&directory->tokens);
    }
    keep_times(&logins, directory);
    clear(&logins);
    free(logins.at);
    return ok;
}

/* How long a login has yet, in time that nobody can set. */
void directory_login_time(const struct manager *m, struct login *login)
{
    int64_t left = login->expires_at - m->now.wall;
    int64_t life = m->config->login_life;
    left = left < 0 ? 0 : left > life ? life : left;
    login->dies_at = amm_time_after(m->now.mono, left * AMM_SECOND);
    login->idle_since = m->now.mono;
}

struct directory *directory_new(struct manager *m, char *error, size_t room)
{
    struct directory *directory = calloc(1, sizeof *directory);
    if (directory == NULL || !directory_read(m, directory)) {
        snprintf(error, room, "cannot read the users: %s",
                 directory != NULL ? amm_store_error(m->store) : "out of memory");
        return directory_free(directory);
    }
    return directory;
}

struct directory *directory_free(struct directory *directory)
{
    if (directory != NULL) {
        struct list *lists[] = {&directory->users, &directory->logins, &directory->tokens};
        for (size_t i = 0; i < 3; i++) {
            clear(lists[i]);
            free(lists[i]->at);
        }
        free(directory);
    }
    return NULL;
}

/* ---- finding ---- */

/* All three have their id first, and lists are in the order of ids. */
static void *find(const struct list *list, int64_t id)
{
    size_t low = 0, high = list->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int64_t here = *(const int64_t *)list->at[middle];
        if (here == id) {
            return list->at[middle];
        }
        if (here < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

struct user *directory_user(const struct directory *directory, int64_t id)
{
    return find(&directory->users, id);
}

struct user *directory_user_at(const struct directory *directory, size_t i)
{
    return directory->users.at[i];
}

size_t directory_users(const struct directory *directory)
{
    return directory->users.n;
}

struct login *directory_login(const struct directory *directory, int64_t id)
{
    return find(&directory->logins, id);
}

struct login *directory_login_at(const struct directory *directory, size_t i)
{
    return directory->logins.at[i];
}

size_t directory_logins(const struct directory *directory)
{
    return directory->logins.n;
}

struct token *directory_token(const struct directory *directory, int64_t id)
{
    return find(&directory->tokens, id);
}

struct token *directory_token_at(const struct directory *directory, size_t i)
{
    return directory->tokens.at[i];
}

size_t directory_tokens(const struct directory *directory)
{
    return directory->tokens.n;
}

void directory_secret_hash(const char *secret, uint8_t out[SECRET_HASH])
{
    SHA256((const unsigned char *)secret, strlen(secret), out);
}

/* What is compared are hashes: how far two of them agree tells nothing about a secret. */
struct login *directory_login_by_secret(const struct directory *directory, const char *secret)
{
    uint8_t hash[SECRET_HASH];
    directory_secret_hash(secret, hash);
    for (size_t i = 0; i < directory->logins.n; i++) {
        struct login *login = directory->logins.at[i];
        if (memcmp(login->hash, hash, sizeof hash) == 0) {
            return login;
        }
    }
    return NULL;
}

struct token *directory_token_by_secret(const struct directory *directory, const char *secret)
{
    uint8_t hash[SECRET_HASH];
    directory_secret_hash(secret, hash);
    for (size_t i = 0; i < directory->tokens.n; i++) {
        struct token *token = directory->tokens.at[i];
        if (memcmp(token->hash, hash, sizeof hash) == 0) {
            return token;
        }
    }
    return NULL;
}

bool directory_name_ok(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= USER_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static const char *slug_of(struct manager *m, int64_t tenant)
{
    const struct fleet_tenant *found = m->fleet ? fleet_tenant_find(m->fleet, tenant) : NULL;
    return found != NULL ? found->slug : "?";
}

void directory_login_name(struct manager *m, const struct user *user, char *out, size_t room)
{
    if (user->tenant == TENANT_MAIN) {
        snprintf(out, room, "%s", user->name);
    } else {
        snprintf(out, room, "%s@%s", user->name, slug_of(m, user->tenant));
    }
}

struct user *directory_user_by_login_name(struct manager *m, const char *login_name)
{
    const char *at = strchr(login_name, '@');
    size_t len = at != NULL ? (size_t)(at - login_name) : strlen(login_name);
    int64_t tenant = TENANT_MAIN;
    if (at != NULL) {
        const struct fleet_tenant *found = m->fleet ? fleet_tenant_by_slug(m->fleet, at + 1) : NULL;
        tenant = found != NULL ? found->id : -1;
    }
    for (size_t i = 0; i < m->directory->users.n; i++) {
        struct user *user = m->directory->users.at[i];
        if (user->tenant == tenant && strlen(user->name) == len &&
            memcmp(user->name, login_name, len) == 0) {
            return user;
        }
    }
    return NULL;
}

/* ---- actors ---- */

static const struct access_binding everything = {ROLE_SYSTEM_ADMIN, 0, 0};

static void actor_of_user(struct manager *m, const struct user *user, struct actor *out)
{
    *out = (struct actor){.user = user->id,
                          .tenant = user->tenant,
                          .must_change_password = user->must_change,
                          .scope = everything,
                          .n_bindings = user->n_bindings};
    directory_login_name(m, user, out->name, sizeof out->name);
    for (uint32_t i = 0; i < user->n_bindings; i++) {
        out->bindings[i] = user->bindings[i].what;
    }
}

bool directory_login_lives(const struct manager *m, const struct login *login)
{
    amm_time idle = amm_time_after(login->idle_since, m->config->login_idle * AMM_SECOND);
    return m->now.mono < login->dies_at && m->now.mono < idle;
}

bool directory_login_actor(struct manager *m, const struct login *login, struct actor *out)
{
    const struct user *user = directory_user(m->directory, login->user);
    if (user == NULL || user->disabled || !directory_login_lives(m, login)) {
        return false;
    }
    actor_of_user(m, user, out);
    out->kind = ACTOR_LOGIN;
    out->credential = login->id;
    return true;
}

bool directory_token_actor(struct manager *m, const struct token *token, struct actor *out)
{
    const struct user *user = directory_user(m->directory, token->user);
    if (user == NULL || user->disabled ||
        (token->expires_at != 0 && m->now.wall >= token->expires_at + CLOCK_SLACK)) {
        return false;
    }
    actor_of_user(m, user, out);
    out->kind = ACTOR_TOKEN;
    out->credential = token->id;
    out->scope = token->scope;
    size_t len = strlen(out->name);
    snprintf(out->name + len, sizeof out->name - len, "/%s", token->name);
    return true;
}

void directory_local_actor(struct actor *out)
{
    *out = (struct actor){.kind = ACTOR_LOCAL,
                          .name = "root@local",
                          .tenant = TENANT_MAIN,
                          .scope = everything,
                          .n_bindings = 1,
                          .bindings = {everything}};
}

bool directory_actor_again(struct manager *m, struct actor *actor)
{
    const struct login *login;
    const struct token *token;
    switch (actor->kind) {
    case ACTOR_LOGIN:
        login = directory_login(m->directory, actor->credential);
        return login != NULL && directory_login_actor(m, login, actor);
    case ACTOR_TOKEN:
        token = directory_token(m->directory, actor->credential);
        return token != NULL && directory_token_actor(m, token, actor);
    case ACTOR_NOBODY:
    case ACTOR_LOCAL:
        break;
    }
    return true;
}

bool directory_prefix_is_known(const struct directory *directory, int64_t user, uint64_t prefix)
{
    for (size_t i = 0; i < directory->logins.n; i++) {
        const struct login *login = directory->logins.at[i];
        if (login->user == user && login->prefix == (int64_t)prefix) {
            return true;
        }
    }
    return false;
}

bool directory_has_system_admin(const struct directory *directory)
{
    for (size_t i = 0; i < directory->users.n; i++) {
        const struct user *user = directory->users.at[i];
        for (uint32_t b = 0; b < user->n_bindings && !user->disabled; b++) {
            if (user->bindings[b].what.role == ROLE_SYSTEM_ADMIN) {
                return true;
            }
        }
    }
    return false;
}
