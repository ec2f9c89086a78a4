#include "request.h"

#include <stdlib.h>

/* What the command line said, by parameter; NULL: nothing. */
struct given {
    const char *values[16];
};

static int usage_of(const struct ctl_command *command)
{
    const char *help = strstr(command->usage, "  ");
    int len = help ? (int)(help - command->usage) : (int)strlen(command->usage);
    return ctl_fail(CTL_USAGE, "usage: %s %.*s", command->name, len, command->usage);
}

static size_t count_parameters(const struct ctl_request *request)
{
    size_t n = 0;
    while (request->parameters && request->parameters[n].name) {
        n++;
    }
    return n;
}

static bool is_option(const struct ctl_parameter *p)
{
    return p->name[0] == '-';
}

/* Index of the option, or of the next free place for a word without one; the count: neither. */
static size_t parameter_for(const struct ctl_request *request, size_t n, const struct given *given,
                            const char *word)
{
    bool wants_option = word[0] == '-' && word[1] == '-';
    for (size_t i = 0; i < n; i++) {
        const struct ctl_parameter *p = &request->parameters[i];
        if (is_option(p) ? wants_option && strcmp(p->name, word) == 0
                         : !wants_option && !given->values[i]) {
            return i;
        }
    }
    return n;
}

static bool take_arguments(const struct ctl_command *command, int argc, char **argv,
                           struct given *given)
{
    const struct ctl_request *request = command->request;
    size_t n = count_parameters(request);
    for (int i = 1; i < argc; i++) {
        size_t at = parameter_for(request, n, given, argv[i]);
        if (at == n) {
            ctl_fail(CTL_USAGE, "\"%s\" is not known here", argv[i]);
            return false;
        }
        const struct ctl_parameter *p = &request->parameters[at];
        if (is_option(p) && p->value != CTL_FLAG) {
            if (++i == argc) {
                ctl_fail(CTL_USAGE, "%s needs a value", p->name);
                return false;
            }
        }
        given->values[at] = argv[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (request->parameters[i].required && !given->values[i]) {
            ctl_fail(CTL_USAGE, "%s is missing", request->parameters[i].name);
            return false;
        }
    }
    return true;
}

/* ---- names to ids ---- */

struct search {
    enum ctl_value what;
    const char *name;
    char id[32];
    unsigned found;
    json_t *groups; /* id -> {name, parent}, of those seen so far: parents come first */
};

static void group_path(const json_t *groups, const char *id, char *out, size_t room)
{
    const json_t *group = json_object_get(groups, id);
    const char *parent = json_string_value(json_object_get(group, "parent"));
    const char *name = json_string_value(json_object_get(group, "name"));
    char above[512] = "";
    if (parent && strcmp(parent, "0") != 0 && json_object_get(groups, parent)) {
        group_path(groups, parent, above, sizeof above);
    }
    snprintf(out, room, "%s%s%s", above, above[0] ? "/" : "", name ? name : "");
}

static bool matches(struct search *search, const json_t *item, const char *id)
{
    char path[1024];
    const char *member = search->what == CTL_TENANT    ? "slug"
                         : search->what == CTL_USER    ? "login_name"
                         : search->what == CTL_GATEWAY ? "name"
                                                       : NULL;
    if (search->what == CTL_GROUP) {
        json_object_set(search->groups, id, (json_t *)(uintptr_t)item);
        group_path(search->groups, id, path, sizeof path);
        return strcmp(path, search->name) == 0;
    }
    const char *value = json_string_value(json_object_get(item, member));
    return value && strcmp(value, search->name) == 0;
}

static void look_at(void *context, const json_t *item)
{
    struct search *search = context;
    const char *id = json_string_value(json_object_get(item, "id"));
    if (id && matches(search, item, id)) {
        snprintf(search->id, sizeof search->id, "%s", id);
        search->found++;
    }
}

/* "name@tenant": its parts. False if there is no such tenant. */
static bool split_gateway(struct ctl_api *api, const char *text, char name[128], char tenant[32],
                          enum ctl_exit *status)
{
    const char *at = strrchr(text, '@');
    size_t len = at ? (size_t)(at - text) : strlen(text);
    tenant[0] = '\0';
    snprintf(name, 128, "%.*s", (int)(len < 127 ? len : 127), text);
    return !at || ctl_find_id(api, CTL_TENANT, at + 1, NULL, tenant, status);
}

bool ctl_find_id(struct ctl_api *api, enum ctl_value what, const char *name, const char *tenant,
                 char out[32], enum ctl_exit *status)
{
    static const char *const nouns[] = {[CTL_TENANT] = "tenant",
                                        [CTL_GROUP] = "group",
                                        [CTL_USER] = "user",
                                        [CTL_GATEWAY] = "gateway"};
    static const char *const paths[] = {[CTL_TENANT] = "/api/v1/tenants",
                                        [CTL_GROUP] = "/api/v1/groups",
                                        [CTL_USER] = "/api/v1/users",
                                        [CTL_GATEWAY] = "/api/v1/gateways"};
    char part[128], of[32] = "";
    struct search search = {.what = what, .name = name};
    struct ctl_target target;
    if (what == CTL_GATEWAY) {
        if (!split_gateway(api, name, part, of, status)) {
            return false;
        }
        search.name = part;
    }
    ctl_target_init(&target, paths[what]);
    ctl_target_query(&target, "text", what == CTL_GATEWAY ? part : NULL);
    ctl_target_query(&target, "tenant", of[0] ? of : what == CTL_GROUP ? tenant : NULL);
    amm_write_u8(&target.w, 0);
    search.groups = json_object();
    *status = ctl_api_list(api, target.text, look_at, &search);
    json_decref(search.groups);
    if (*status == CTL_OK && search.found != 1) {
        *status = (enum ctl_exit)ctl_fail(CTL_NOT_FOUND,
                                          search.found ? "%s \"%s\" is not unique: name its tenant"
                                                       : "there is no %s \"%s\" that you may see",
                                          nouns[what], name);
    }
    snprintf(out, 32, "%s", search.id);
    return *status == CTL_OK;
}

/* ---- the request ---- */

struct making {
    struct ctl_api *api;
    const struct ctl_request *request;
    const struct given *given;
    char tenant[32]; /* id of the tenant that was named; "": none */
    json_t *body;
    enum ctl_exit status;
};

/* The value as the API takes it; `room` is for what was looked up. */
static const char *resolved(struct making *making, const struct ctl_parameter *p, const char *value,
                            char room[32])
{
    switch (p->value) {
    case CTL_TENANT:
        snprintf(room, 32, "%s", making->tenant);
        return room;
    case CTL_GROUP:
        if (strcmp(value, "/") == 0) {
            return "0";
        }
        return ctl_find_id(making->api, p->value, value, making->tenant[0] ? making->tenant : NULL,
                           room, &making->status)
                   ? room
                   : NULL;
    case CTL_USER:
    case CTL_GATEWAY:
        return ctl_find_id(making->api, p->value, value, NULL, room, &making->status) ? room : NULL;
    case CTL_TEXT:
    case CTL_NUMBER:
    case CTL_SECONDS:
    case CTL_FLAG:
    case CTL_ID:
    case CTL_JSON:
        break;
    }
    return value;
}

static bool add_to_body(struct making *making, const struct ctl_parameter *p, const char *value)
{
    char *end;
    json_t *json = NULL;
    if (p->value == CTL_FLAG) {
        json = json_true();
    } else if (p->value == CTL_NUMBER) {
        long long number = strtoll(value, &end, 10);
        json = *value && *end == '\0' ? json_integer(number) : NULL;
        if (!json) {
            making->status =
                (enum ctl_exit)ctl_fail(CTL_USAGE, "%s: \"%s\" is no number", p->name, value);
            return false;
        }
    } else if (p->value == CTL_SECONDS) {
        uint32_t seconds;
        if (!ctl_seconds_parse(value, &seconds)) {
            making->status = (enum ctl_exit)ctl_fail(
                CTL_USAGE, "%s takes a time up to a day: 90s, 10m, 2h", p->name);
            return false;
        }
        json = json_integer(seconds);
    } else if (p->value == CTL_JSON) {
        json_error_t error;
        json = json_loads(value, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (!json) {
            making->status =
                (enum ctl_exit)ctl_fail(CTL_USAGE, "%s: no JSON: %s", p->name, error.text);
            return false;
        }
    } else {
        json = json_string(value);
        if (!json) {
            making->status =
                (enum ctl_exit)ctl_fail(CTL_USAGE, "%s: the value is not UTF-8", p->name);
            return false;
        }
    }
    if (!making->body) {
        making->body = json_object();
    }
    return json_object_set_new(making->body, p->member, json) == 0;
}

/* The tenant first: groups are looked for in it. */
static bool find_tenant(struct making *making)
{
    for (size_t i = 0; making->request->parameters && making->request->parameters[i].name; i++) {
        const char *value = making->given->values[i];
        if (value && making->request->parameters[i].value == CTL_TENANT) {
            return ctl_find_id(making->api, CTL_TENANT, value, NULL, making->tenant,
                               &making->status);
        }
    }
    return true;
}

/* Fills the "{}" of the path, then query and body. */
static bool make(struct making *making, struct ctl_target *target)
{
    const struct ctl_parameter *parameters = making->request->parameters;
    const char *path = making->request->path;
    char room[32], fixed[CTL_TARGET];
    if (!find_tenant(making)) {
        return false;
    }
    ctl_target_init(target, "");
    for (int pass = 0; pass < 2; pass++) { /* paths stand before queries */
        for (size_t i = 0; parameters && parameters[i].name; i++) {
            const char *value = making->given->values[i];
            bool is_path = parameters[i].place == CTL_IN_PATH;
            if (!value || is_path != (pass == 0)) {
                continue;
            }
            value = resolved(making, &parameters[i], value, room);
            if (!value) {
                return false;
            }
            if (is_path) {
                size_t len = (size_t)(strstr(path, "/{}") - path);
                snprintf(fixed, sizeof fixed, "%.*s", (int)len, path);
                amm_write_str(&target->w, fixed);
                ctl_target_segment(target, value);
                path += len + 3;
            } else if (parameters[i].place == CTL_IN_QUERY) {
                ctl_target_query(target, parameters[i].member,
                                 parameters[i].value == CTL_FLAG ? "true" : value);
            } else if (!add_to_body(making, &parameters[i], value)) {
                return false;
            }
        }
        if (pass == 0) {
            amm_write_str(&target->w, path);
        }
    }
    amm_write_u8(&target->w, 0);
    if (target->w.failed) {
        making->status = (enum ctl_exit)ctl_fail(CTL_USAGE, "the command line is too long");
    }
    return !target->w.failed;
}

static void show(const struct ctl *ctl, const struct ctl_request *request, json_t *answer)
{
    if (request->columns) {
        ctl_print_object(ctl, answer, request->columns);
    } else if (ctl->json && !json_is_null(answer)) {
        ctl_print_json(answer);
    } else {
        json_decref(answer);
    }
    if (request->done && !ctl->json) {
        puts(request->done);
    }
}

int ctl_request_run(const struct ctl *ctl, const struct ctl_command *command, int argc, char **argv)
{
    const struct ctl_request *request = command->request;
    struct given given = {0};
    struct ctl_target target;
    if (!take_arguments(command, argc, argv, &given)) {
        return usage_of(command);
    }
    struct making making = {.request = request, .given = &given, .status = CTL_OK};
    making.api = ctl_api_open(ctl, &making.status);
    if (making.api && make(&making, &target)) {
        if (request->list) {
            making.status =
                ctl_api_print_list(ctl, making.api, target.text, request->columns, request->list);
        } else {
            bool needs_body = making.body || strcmp(request->method, "POST") == 0 ||
                              strcmp(request->method, "PATCH") == 0;
            json_t *body = making.body || !needs_body ? making.body : json_object();
            json_t *answer =
                ctl_api_call(making.api, request->method, target.text, body, &making.status);
            making.body = NULL;
            if (answer) {
                show(ctl, request, answer);
            }
        }
    }
    json_decref(making.body);
    ctl_api_close(making.api);
    return making.status;
}
