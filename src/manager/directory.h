/* Users, role bindings, logins and API tokens in memory. They are few (thousands), and each request
 * needs them. Fleet thread.
 *
 * Tenants and groups are the fleet's (manager/fleet.h): one tree, one owner.
 *
 * Changes write to the store first and to memory then. When a unit is rolled back, all is read
 * again from the store: that is rare, and cannot be wrong. */
#pragma once

#include "manager/access.h"
#include "manager/manager.h"

#include "base/address.h"

enum {
    TENANT_MAIN = 1,
    USER_NAME_MAX = 64,
    USER_TITLE_MAX = 128,
    PASSWORD_ENCODED_MAX = 128,
    SECRET_HASH = 32,
    LOGINS_OF_USER = 20, /* one more ends the oldest */
    TOKENS_OF_USER = 50,
};

struct binding {
    int64_t id, created_at;
    struct access_binding what;
};

struct user {
    int64_t id, tenant;
    char name[USER_NAME_MAX + 1]; /* unique in its tenant: letters, digits, '-', '_', '.' */
    char title[USER_TITLE_MAX + 1];
    char password[PASSWORD_ENCODED_MAX];
    bool must_change, disabled;
    int64_t created_at, password_at;
    uint32_t n_bindings;
    struct binding bindings[ACTOR_BINDINGS_MAX];
};

struct login {
    int64_t id, user;
    uint8_t hash[SECRET_HASH];
    char remote[AMM_ADDRESS_TEXT];
    int64_t prefix;                          /* amm_address_prefix */
    int64_t created_at, seen_at, expires_at; /* wall */
    amm_time idle_since, dies_at; /* monotonic: a jump of the clock ends nobody's login */
    int64_t saved_at;             /* seen_at in the store */
};

struct token {
    int64_t id, user;
    char name[USER_NAME_MAX + 1];
    uint8_t hash[SECRET_HASH];
    struct access_binding scope;
    int64_t created_at, expires_at, used_at, saved_at;
};

/* Reads all. NULL with a sentence. */
struct directory *directory_new(struct manager *m, char *error, size_t room);
struct directory *directory_free(struct directory *directory);

/* Sets the timer that removes logins which have ended by themselves. */
void directory_start(struct manager *m);

/* ---- finding; NULL: none; valid until the unit ends ---- */

struct user *directory_user(const struct directory *directory, int64_t id);
struct user *directory_user_at(const struct directory *directory, size_t i); /* by id */
size_t directory_users(const struct directory *directory);
struct login *directory_login(const struct directory *directory, int64_t id);
struct login *directory_login_at(const struct directory *directory, size_t i);
size_t directory_logins(const struct directory *directory);
struct token *directory_token(const struct directory *directory, int64_t id);
struct token *directory_token_at(const struct directory *directory, size_t i);
size_t directory_tokens(const struct directory *directory);

/* "anna" of the tenant main, "anna@slug" of another. */
struct user *directory_user_by_login_name(struct manager *m, const char *login_name);
void directory_login_name(struct manager *m, const struct user *user, char *out, size_t room);

/* By the secret that the client shows; also if it is out of date (see directory_*_actor). */
struct login *directory_login_by_secret(const struct directory *directory, const char *secret);
struct token *directory_token_by_secret(const struct directory *directory, const char *secret);

/* Who that is now. False: expired, disabled, gone. */
bool directory_login_actor(struct manager *m, const struct login *login, struct actor *out);
bool directory_token_actor(struct manager *m, const struct token *token, struct actor *out);
void directory_local_actor(struct actor *out);

/* The same actor a moment later: rights as they are now. False: no more. */
bool directory_actor_again(struct manager *m, struct actor *actor);

/* ---- changing; not OK: the unit must fail ---- */

struct user_new {
    int64_t tenant;
    const char *name, *title, *encoded;
    bool must_change;
};
enum amm_store_result directory_user_add(struct manager *m, const struct user_new *what,
                                         int64_t *id);
enum amm_store_result directory_user_change(struct manager *m, struct user *user, const char *title,
                                            bool disabled);
/* Ends all logins of the user but `keep` (0: all). */
enum amm_store_result directory_user_password(struct manager *m, struct user *user,
                                              const char *encoded, bool must_change, int64_t keep);
enum amm_store_result directory_user_remove(struct manager *m, struct user *user);
enum amm_store_result directory_binding_add(struct manager *m, struct user *user,
                                            const struct access_binding *what, int64_t *id);
enum amm_store_result directory_binding_remove(struct manager *m, struct user *user, int64_t id);

/* Bindings and tokens of a branch that is being removed: group 0, all of the tenant. */
enum amm_store_result directory_branch_removed(struct manager *m, int64_t tenant, int64_t group);

enum { SECRET_TEXT = 48 }; /* a secret with its NUL */

/* `secret` is for the client, once; the store has its hash only. */
enum amm_store_result directory_login_add(struct manager *m, const struct user *user,
                                          const struct amm_address *remote,
                                          char secret[SECRET_TEXT], int64_t *id);
enum amm_store_result directory_login_remove(struct manager *m, int64_t id);
void directory_login_seen(struct manager *m, struct login *login);

struct token_new {
    const char *name;
    struct access_binding scope;
    int64_t expires_at; /* 0: never */
};
enum amm_store_result directory_token_add(struct manager *m, const struct user *user,
                                          const struct token_new *what, char secret[SECRET_TEXT],
                                          int64_t *id);
enum amm_store_result directory_token_remove(struct manager *m, int64_t id);
void directory_token_used(struct manager *m, struct token *token);

/* True if this user has a login from that prefix at the moment. */
bool directory_prefix_is_known(const struct directory *directory, int64_t user, uint64_t prefix);

/* True if somebody can administer the server. */
bool directory_has_system_admin(const struct directory *directory);

/* 1 to 64 letters, digits, '-', '_', '.'. */
bool directory_name_ok(const char *name);
