/* Who may do what: the one place. Deny by default.
 *
 * A role is bound to a branch: the whole server (tenant 0), a tenant (group 0), or a group with the
 * groups below it. Whoever has no right to *see* an object is told that it is not there (404); who
 * sees it but may not do that gets 403. Fleet thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fleet;

enum access_role { /* numbers are stored */
                   ROLE_NONE,
                   ROLE_VIEWER,   /* sees */
                   ROLE_OPERATOR, /* and changes gateways: settings, operations, remote sessions */
                   ROLE_TENANT_ADMIN, /* and gateways' enrolment, groups, users of the branch */
                   ROLE_SYSTEM_ADMIN, /* and the server: tenants, ports, backups; always the whole
                                         server */
};
const char *access_role_name(enum access_role role); /* "tenant-admin" */
enum access_role access_role_find(const char *name); /* ROLE_NONE: there is none */

enum access_action {
    ACCESS_OPEN,    /* anyone, without a login; the handler judges (login, check-in) */
    ACCESS_SELF,    /* whoever is logged in, about himself */
    ACCESS_VIEW,    /* ROLE_VIEWER */
    ACCESS_OPERATE, /* ROLE_OPERATOR */
    ACCESS_ADMIN,   /* ROLE_TENANT_ADMIN */
    ACCESS_SYSTEM,  /* ROLE_SYSTEM_ADMIN */
};

/* Where a thing stands. tenant 0: it is the server's (system administrators only); group 0:
 * directly under the tenant. */
struct access_object {
    int64_t tenant, group;
};

struct access_binding {
    enum access_role role;
    int64_t tenant, group; /* 0: all */
};

enum { ACTOR_BINDINGS_MAX = 32, ACTOR_NAME_MAX = 160 };

enum actor_kind {
    ACTOR_NOBODY,
    ACTOR_LOCAL, /* root on the unix socket */
    ACTOR_LOGIN, /* browser with a cookie */
    ACTOR_TOKEN, /* API token */
};

/* Who asks. A token does what its user may *and* `scope` allows. */
struct actor {
    enum actor_kind kind;
    int64_t user;                /* id; 0: none */
    int64_t tenant;              /* of the user */
    int64_t credential;          /* id of login or token */
    char name[ACTOR_NAME_MAX];   /* "root@local", "anna", "anna@tenant", "anna@tenant/token" */
    bool must_change_password;   /* then nothing but that */
    struct access_binding scope; /* tokens; else role SYSTEM_ADMIN, the whole server */
    uint32_t n_bindings;
    struct access_binding bindings[ACTOR_BINDINGS_MAX];
};

/* The authorisation function. */
bool access_allows(struct fleet *fleet, const struct actor *actor, enum access_action action,
                   const struct access_object *object);

/* True if the actor could do `action` to some object: lists, which then filter by access_allows. */
bool access_allows_somewhere(const struct actor *actor, enum access_action action);

/* True if the actor may give or take this binding: he has at least as much himself, and at least
 * ROLE_TENANT_ADMIN there. */
bool access_covers(struct fleet *fleet, const struct actor *actor,
                   const struct access_binding *binding);
