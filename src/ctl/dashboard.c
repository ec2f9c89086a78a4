/* ammctl tree, threshold: what the console's dashboard shows. */
#include "request.h"

#include <stdio.h>

#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

static const struct ctl_column threshold_columns[] = {
    {"ID", "id", CTL_SHOW_TEXT},
    {"LABEL", "label", CTL_SHOW_TEXT},
    {"STAT", "stat", CTL_SHOW_TEXT},
    {"OF IT", "stat_label", CTL_SHOW_TEXT},
    {"TENANT", "tenant", CTL_SHOW_TEXT},
    {"GROUP", "group", CTL_SHOW_TEXT},
    {"GATEWAY", "gateway", CTL_SHOW_TEXT},
    {"COLUMN", "dashboard_group", CTL_SHOW_TEXT},
    {"WARNING", "warning.op", CTL_SHOW_TEXT},
    {"AT", "warning.value", CTL_SHOW_TEXT},
    {"ERROR", "error.op", CTL_SHOW_TEXT},
    {"AT", "error.value", CTL_SHOW_TEXT},
    {"UNIT", "unit", CTL_SHOW_TEXT},
    {.head = NULL},
};

static const struct ctl_column preview_columns[] = {
    {"gateways", "total", CTL_SHOW_TEXT}, {"looked at", "looked_at", CTL_SHOW_TEXT},
    {"ok", "ok", CTL_SHOW_TEXT},          {"warning", "warning", CTL_SHOW_TEXT},
    {"error", "error", CTL_SHOW_TEXT},    {"without a value", "missing", CTL_SHOW_TEXT},
    {"first", "gateways", CTL_SHOW_TEXT}, {.head = NULL},
};

static const struct ctl_parameter list_parameters[] = {
    {"--tenant", CTL_TENANT, CTL_IN_QUERY, "tenant", false},
    {"--group", CTL_GROUP, CTL_IN_QUERY, "group", false},
    {"--gateway", CTL_GATEWAY, CTL_IN_QUERY, "gateway", false},
    END,
};

#define PLACE                                                                                      \
    {"--tenant", CTL_TENANT, CTL_IN_BODY, "tenant", false},                                        \
        {"--group", CTL_GROUP, CTL_IN_BODY, "group", false},                                       \
    {                                                                                              \
        "--gateway", CTL_GATEWAY, CTL_IN_BODY, "gateway", false                                    \
    }

#define MEMBERS                                                                                    \
    {"--stat-label", CTL_TEXT, CTL_IN_BODY, "stat_label", false},                                  \
        {"--types", CTL_JSON, CTL_IN_BODY, "gateway_types", false},                                \
        {"--default", CTL_TEXT, CTL_IN_BODY, "default", false},                                    \
        {"--filter", CTL_TEXT, CTL_IN_BODY, "display_filter", false},                              \
        {"--column", CTL_NUMBER, CTL_IN_BODY, "dashboard_group", false},                           \
        {"--order", CTL_NUMBER, CTL_IN_BODY, "order", false},                                      \
        {"--warning", CTL_JSON, CTL_IN_BODY, "warning", false},                                    \
        {"--error", CTL_JSON, CTL_IN_BODY, "error", false},                                        \
        {"--hysteresis", CTL_JSON, CTL_IN_BODY, "hysteresis", false},                              \
        {"--hold", CTL_SECONDS, CTL_IN_BODY, "hold_s", false},                                     \
    {                                                                                              \
        "--unit", CTL_TEXT, CTL_IN_BODY, "unit", false                                             \
    }

static const struct ctl_parameter add_parameters[] = {
    {"LABEL", CTL_TEXT, CTL_IN_BODY, "label", true},
    {"STAT", CTL_TEXT, CTL_IN_BODY, "stat", true},
    PLACE,
    MEMBERS,
    END,
};

static const struct ctl_parameter preview_parameters[] = {
    {"STAT", CTL_TEXT, CTL_IN_BODY, "stat", true},
    PLACE,
    MEMBERS,
    END,
};

static const struct ctl_parameter set_parameters[] = {
    {"ID", CTL_ID, CTL_IN_PATH, NULL, true},
    {"--label", CTL_TEXT, CTL_IN_BODY, "label", false},
    {"--stat", CTL_TEXT, CTL_IN_BODY, "stat", false},
    MEMBERS,
    END,
};

static const struct ctl_parameter one[] = {{"ID", CTL_ID, CTL_IN_PATH, NULL, true}, END};

#define OPTIONS                                                                                    \
    "[--stat-label L] [--types JSON] [--default V] [--filter RE] [--column N] [--order N] "        \
    "[--warning JSON] [--error JSON] [--hysteresis N] [--hold TIME] [--unit U]"

const struct ctl_command ctl_threshold_commands[] = {
    {.name = "list",
     .usage = "[--tenant T] [--group PATH | --gateway NAME]  all, or those that count there",
     .request = &(const struct ctl_request){"GET", "/api/v1/thresholds", list_parameters,
                                            threshold_columns, "no thresholds", NULL}},
    {.name = "add",
     .usage = "LABEL STAT [--tenant T] [--group PATH | --gateway NAME] " OPTIONS
              "  a column of the dashboard; '{\"op\": \"lt\", \"value\": -100}' is a condition",
     .request = &(const struct ctl_request){"POST", "/api/v1/thresholds", add_parameters,
                                            threshold_columns, NULL, NULL}},
    {.name = "set",
     .usage = "ID [--label L] [--stat S] [options of add]  change one; null takes a condition away",
     .request = &(const struct ctl_request){"PATCH", "/api/v1/thresholds/{}", set_parameters,
                                            threshold_columns, NULL, NULL}},
    {.name = "remove",
     .usage = "ID  remove one",
     .request = &(const struct ctl_request){"DELETE", "/api/v1/thresholds/{}", one, NULL, NULL,
                                            "removed"}},
    {.name = "preview",
     .usage = "STAT [place and options of add]  how many gateways would meet it now",
     .request = &(const struct ctl_request){"POST", "/api/v1/thresholds/preview",
                                            preview_parameters, preview_columns, NULL, NULL}},
    {.name = NULL},
};

/* ---- tree ---- */

static json_int_t count(const json_t *group, const char *of, const char *name)
{
    const json_t *from = of ? json_object_get(group, of) : group;
    return json_integer_value(json_object_get(from, name));
}

/* How deep a group stands: its parent is one of those before it. */
static int depth_of(const json_t *groups, size_t i)
{
    const char *parent = json_string_value(json_object_get(json_array_get(groups, i), "parent"));
    for (size_t k = 0; parent != NULL && k < i; k++) {
        const char *id = json_string_value(json_object_get(json_array_get(groups, k), "id"));
        if (id != NULL && strcmp(id, parent) == 0) {
            return 1 + depth_of(groups, k);
        }
    }
    return 0;
}

static void print_groups(const json_t *groups)
{
    enum { NAME_AT = 40 };
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        const char *name = json_string_value(json_object_get(group, "name"));
        int depth = 2 * depth_of(groups, i);
        printf("%*s%-*s %7lld %7lld %7lld %7lld %7lld\n", depth, "", NAME_AT - depth,
               name != NULL ? name : "", (long long)count(group, NULL, "count"),
               (long long)count(group, "checkin", "late"),
               (long long)count(group, "checkin", "missing"),
               (long long)count(group, "tunnel", "up"), (long long)count(group, "tunnel", "down"));
    }
}

static int tree_run(const struct ctl *ctl, int argc, char **argv)
{
    enum ctl_exit status = CTL_OK;
    (void)argv;
    if (argc > 1) {
        return ctl_fail(CTL_USAGE, "tree takes nothing behind it");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    json_t *tree = api ? ctl_api_call(api, "GET", "/api/v1/tree", NULL, &status) : NULL;
    ctl_api_close(api);
    if (tree == NULL) {
        return status;
    }
    if (ctl->json) {
        ctl_print_json(tree);
        return CTL_OK;
    }
    const json_t *tenants = json_object_get(tree, "tenants");
    printf("%-40s %7s %7s %7s %7s %7s\n", "", "ALL", "LATE", "MISSING", "UP", "DOWN");
    for (size_t i = 0; i < json_array_size(tenants); i++) {
        print_groups(json_object_get(json_array_get(tenants, i), "groups"));
    }
    json_decref(tree);
    return CTL_OK;
}

const struct ctl_command ctl_tree_commands[] = {
    {"tree", "  groups with how many gateways below are late, missing, up, down", tree_run, false,
     NULL, NULL},
    {.name = NULL},
};
