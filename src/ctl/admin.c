/* ammctl tenant, group, user, token, audit: who works with the fleet, and in which part of it. */
#include "remote.h"

#define COLUMN_ID                                                                                  \
    {                                                                                              \
        "ID", "id", CTL_SHOW_TEXT                                                                  \
    }
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define COLUMNS_END                                                                                \
    {                                                                                              \
        .head = NULL                                                                               \
    }

/* ---- tenant ---- */

static const struct ctl_column tenant_columns[] = {
    COLUMN_ID,
    {"SLUG", "slug", CTL_SHOW_TEXT},
    {"TITLE", "title", CTL_SHOW_TEXT},
    {"GATEWAYS", "gateways", CTL_SHOW_TEXT},
    {"AT MOST", "gateways_max", CTL_SHOW_TEXT},
    COLUMNS_END,
};

static const struct ctl_parameter tenant_add[] = {
    {"SLUG", CTL_TEXT, CTL_IN_BODY, "slug", true},
    {"--title", CTL_TEXT, CTL_IN_BODY, "title", false},
    END,
};

static const struct ctl_parameter tenant_set[] = {
    {"SLUG", CTL_TENANT, CTL_IN_PATH, NULL, true},
    {"--title", CTL_TEXT, CTL_IN_BODY, "title", false},
    {"--gateways-max", CTL_NUMBER, CTL_IN_BODY, "gateways_max", false},
    END,
};

static const struct ctl_parameter tenant_named[] = {
    {"SLUG", CTL_TENANT, CTL_IN_PATH, NULL, true},
    END,
};

const struct ctl_command ctl_tenant_commands[] = {
    {.name = "list",
     .usage = "  tenants, and how many gateways they have",
     .request = &(const struct ctl_request){"GET", "/api/v1/tenants", NULL, tenant_columns,
                                            "no tenants", NULL}},
    {.name = "add",
     .usage = "SLUG [--title TITLE]  add a tenant",
     .request = &(const struct ctl_request){"POST", "/api/v1/tenants", tenant_add, tenant_columns,
                                            NULL, NULL}},
    {.name = "set",
     .usage = "SLUG [--title TITLE] [--gateways-max N]  change a tenant",
     .request = &(const struct ctl_request){"PATCH", "/api/v1/tenants/{}", tenant_set,
                                            tenant_columns, NULL, NULL}},
    {.name = "remove",
     .usage = "SLUG  remove a tenant without gateways, groups and users",
     .request = &(const struct ctl_request){"DELETE", "/api/v1/tenants/{}", tenant_named, NULL,
                                            NULL, "removed"}},
    {.name = NULL},
};

/* ---- group ---- */

static const struct ctl_column group_columns[] = {
    COLUMN_ID,
    {"NAME", "name", CTL_SHOW_TEXT},
    {"BELOW", "parent", CTL_SHOW_TEXT},
    {"TENANT", "tenant", CTL_SHOW_TEXT},
    {"GATEWAYS", "gateways_below", CTL_SHOW_TEXT},
    COLUMNS_END,
};

static const struct ctl_parameter group_list[] = {
    {"--tenant", CTL_TENANT, CTL_IN_QUERY, "tenant", false},
    END,
};

static const struct ctl_parameter group_add[] = {
    {"NAME", CTL_TEXT, CTL_IN_BODY, "name", true},
    {"--below", CTL_GROUP, CTL_IN_BODY, "parent", false},
    {"--tenant", CTL_TENANT, CTL_IN_BODY, "tenant", false},
    END,
};

static const struct ctl_parameter group_set[] = {
    {"PATH", CTL_GROUP, CTL_IN_PATH, NULL, true},
    {"--name", CTL_TEXT, CTL_IN_BODY, "name", false},
    {"--below", CTL_GROUP, CTL_IN_BODY, "parent", false},
    END,
};

static const struct ctl_parameter group_named[] = {
    {"PATH", CTL_GROUP, CTL_IN_PATH, NULL, true},
    END,
};

const struct ctl_command ctl_group_commands[] = {
    {.name = "list",
     .usage = "[--tenant SLUG]  groups, those above first",
     .request = &(const struct ctl_request){"GET", "/api/v1/groups", group_list, group_columns,
                                            "no groups", NULL}},
    {.name = "add",
     .usage = "NAME [--below PATH] [--tenant SLUG]  add a group",
     .request = &(const struct ctl_request){"POST", "/api/v1/groups", group_add, group_columns,
                                            NULL, NULL}},
    {.name = "set",
     .usage = "PATH [--name NAME] [--below PATH]  rename or move; --below / is the top",
     .request = &(const struct ctl_request){"PATCH", "/api/v1/groups/{}", group_set, group_columns,
                                            NULL, NULL}},
    {.name = "tunnel-policy",
     .usage = "PATH always|on-demand|scheduled|inherit [--window HH:MM-HH:MM]  when its gateways "
              "keep their tunnel up (UTC)",
     .request = &ctl_group_policy_request},
    {.name = "remove",
     .usage = "PATH  remove an empty group",
     .request = &(const struct ctl_request){"DELETE", "/api/v1/groups/{}", group_named, NULL, NULL,
                                            "removed"}},
    {.name = NULL},
};

/* ---- user ---- */

static const struct ctl_column user_columns[] = {
    COLUMN_ID,
    {"NAME", "login_name", CTL_SHOW_TEXT},
    {"TITLE", "title", CTL_SHOW_TEXT},
    {"DISABLED", "disabled", CTL_SHOW_YES},
    {"MUST CHANGE", "must_change_password", CTL_SHOW_YES},
    {"ROLES", "roles", CTL_SHOW_TEXT},
    COLUMNS_END,
};

/* With the one-time password, which is shown this once. */
static const struct ctl_column user_made_columns[] = {
    COLUMN_ID,
    {"name", "login_name", CTL_SHOW_TEXT},
    {"one-time password", "password", CTL_SHOW_TEXT},
    COLUMNS_END,
};

static const struct ctl_parameter user_list[] = {
    {"--tenant", CTL_TENANT, CTL_IN_QUERY, "tenant", false},
    END,
};

static const struct ctl_parameter user_add[] = {
    {"NAME", CTL_TEXT, CTL_IN_BODY, "name", true},
    {"--title", CTL_TEXT, CTL_IN_BODY, "title", false},
    {"--tenant", CTL_TENANT, CTL_IN_BODY, "tenant", false},
    END,
};

static const struct ctl_parameter user_named[] = {
    {"NAME", CTL_USER, CTL_IN_PATH, NULL, true},
    END,
};

static const struct ctl_parameter user_role[] = {
    {"NAME", CTL_USER, CTL_IN_PATH, NULL, true},
    {"ROLE", CTL_TEXT, CTL_IN_BODY, "role", true},
    {"--tenant", CTL_TENANT, CTL_IN_BODY, "tenant", false},
    {"--group", CTL_GROUP, CTL_IN_BODY, "group", false},
    END,
};

static const struct ctl_parameter user_unrole[] = {
    {"NAME", CTL_USER, CTL_IN_PATH, NULL, true},
    {"ID", CTL_ID, CTL_IN_PATH, NULL, true},
    END,
};

const struct ctl_command ctl_user_commands[] = {
    {.name = "list",
     .usage = "[--tenant SLUG]  users with their roles",
     .request = &(const struct ctl_request){"GET", "/api/v1/users", user_list, user_columns,
                                            "no users that you administer", NULL}},
    {.name = "add",
     .usage = "NAME [--title NAME] [--tenant SLUG]  add a user; prints a one-time password",
     .request = &(const struct ctl_request){"POST", "/api/v1/users", user_add, user_made_columns,
                                            NULL, NULL}},
    {.name = "password",
     .usage = "NAME  a new one-time password; ends all logins of the user",
     .request = &(const struct ctl_request){"POST", "/api/v1/users/{}/password", user_named,
                                            user_made_columns, NULL, NULL}},
    {.name = "grant",
     .usage = "NAME viewer|operator|tenant-admin|system-admin [--tenant SLUG] [--group PATH]  "
              "give a role in a branch",
     .request = &(const struct ctl_request){"POST", "/api/v1/users/{}/roles", user_role, NULL, NULL,
                                            "granted"}},
    {.name = "take",
     .usage = "NAME ID  take the role with this id away",
     .request = &(const struct ctl_request){"DELETE", "/api/v1/users/{}/roles/{}", user_unrole,
                                            NULL, NULL, "taken away"}},
    {.name = "remove",
     .usage = "NAME  remove a user with logins and tokens",
     .request = &(const struct ctl_request){"DELETE", "/api/v1/users/{}", user_named, NULL, NULL,
                                            "removed"}},
    {.name = NULL},
};

/* ---- token ---- */

static const struct ctl_column token_columns[] = {
    COLUMN_ID,
    {"NAME", "name", CTL_SHOW_TEXT},
    {"USER", "user_name", CTL_SHOW_TEXT},
    {"ROLE", "scope.role", CTL_SHOW_TEXT},
    {"UNTIL", "expires_at", CTL_SHOW_TIME},
    {"LAST USED", "used_at", CTL_SHOW_TIME},
    COLUMNS_END,
};

static const struct ctl_column token_made_columns[] = {
    COLUMN_ID,
    {"name", "name", CTL_SHOW_TEXT},
    {"token (shown this once)", "token", CTL_SHOW_TEXT},
    COLUMNS_END,
};

static const struct ctl_parameter token_add[] = {
    {"NAME", CTL_TEXT, CTL_IN_BODY, "name", true},
    {"ROLE", CTL_TEXT, CTL_IN_BODY, "role", true},
    {"--tenant", CTL_TENANT, CTL_IN_BODY, "tenant", false},
    {"--group", CTL_GROUP, CTL_IN_BODY, "group", false},
    {"--days", CTL_NUMBER, CTL_IN_BODY, "days", false},
    END,
};

static const struct ctl_parameter token_named[] = {
    {"ID", CTL_ID, CTL_IN_PATH, NULL, true},
    END,
};

const struct ctl_command ctl_token_commands[] = {
    {.name = "list",
     .usage = "  API tokens: your own, and those of users whom you administer",
     .request = &(const struct ctl_request){"GET", "/api/v1/tokens", NULL, token_columns,
                                            "no API tokens", NULL}},
    {.name = "add",
     .usage = "NAME ROLE [--tenant SLUG] [--group PATH] [--days N]  make one; needs a login",
     .request = &(const struct ctl_request){"POST", "/api/v1/tokens", token_add, token_made_columns,
                                            NULL, NULL}},
    {.name = "revoke",
     .usage = "ID  it ends at once",
     .request = &(const struct ctl_request){"DELETE", "/api/v1/tokens/{}", token_named, NULL, NULL,
                                            "revoked"}},
    {.name = NULL},
};

/* ---- audit ---- */

static const struct ctl_column audit_columns[] = {
    COLUMN_ID,
    {"AT", "at", CTL_SHOW_TIME},
    {"WHO", "actor", CTL_SHOW_TEXT},
    {"FROM", "remote", CTL_SHOW_TEXT},
    {"WHAT", "action", CTL_SHOW_TEXT},
    {"ON", "object", CTL_SHOW_TEXT},
    {"RESULT", "result", CTL_SHOW_TEXT},
    {"DETAIL", "detail", CTL_SHOW_TEXT},
    COLUMNS_END,
};

static const struct ctl_column verified_columns[] = {
    {"unbroken", "is_whole", CTL_SHOW_YES},
    {"entries", "entries", CTL_SHOW_TEXT},
    {"last hash", "hash", CTL_SHOW_TEXT},
    {"text", "text", CTL_SHOW_TEXT},
    COLUMNS_END,
};

const struct ctl_command ctl_audit_commands[] = {
    {.name = "list",
     .usage = "  who did what",
     .request = &(const struct ctl_request){"GET", "/api/v1/audit", NULL, audit_columns,
                                            "nothing yet", NULL}},
    {.name = "verify",
     .usage = "  walk the chain of hashes",
     .request = &(const struct ctl_request){"GET", "/api/v1/audit/verify", NULL, verified_columns,
                                            NULL, NULL}},
    {.name = NULL},
};
