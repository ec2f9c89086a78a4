/* The commands of gateways that are more than one request, or whose answer is no table. */
#include "fleet.h"

#include "io/file.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>

enum { REMOTES = 16, VALUES = 64 };

struct options {
    const char *names[8]; /* words without an option */
    int n_names;
    const char *tenant, *group, *serial, *kind, *note, *port, *output, *wrap, *days, *count;
    const char *remotes[REMOTES];
    int n_remotes;
};

static bool parse(int argc, char **argv, struct options *out)
{
    static const struct option options[] = {
        {"tenant", required_argument, NULL, 't'}, {"group", required_argument, NULL, 'g'},
        {"serial", required_argument, NULL, 's'}, {"kind", required_argument, NULL, 'k'},
        {"note", required_argument, NULL, 'n'},   {"port", required_argument, NULL, 'p'},
        {"output", required_argument, NULL, 'o'}, {"wrap", required_argument, NULL, 'w'},
        {"days", required_argument, NULL, 'd'},   {"count", required_argument, NULL, 'c'},
        {"remote", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0},
    };
    int option;
    *out = (struct options){0};
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **to = option == 't'   ? &out->tenant
                          : option == 'g' ? &out->group
                          : option == 's' ? &out->serial
                          : option == 'k' ? &out->kind
                          : option == 'n' ? &out->note
                          : option == 'p' ? &out->port
                          : option == 'o' ? &out->output
                          : option == 'w' ? &out->wrap
                          : option == 'd' ? &out->days
                          : option == 'c' ? &out->count
                          : option == 'r' && out->n_remotes < REMOTES
                              ? &out->remotes[out->n_remotes++]
                              : NULL;
        if (!to) {
            return false;
        }
        *to = optarg;
    }
    for (; optind < argc && out->n_names < 8; optind++) {
        out->names[out->n_names++] = argv[optind];
    }
    return optind == argc;
}

/* Adds the ids of tenant and group to a body, as far as they were named. */
static bool add_branch(struct ctl_api *api, const struct options *o, json_t *body,
                       enum ctl_exit *status)
{
    char tenant[32] = "", group[32] = "0";
    if (o->tenant) {
        if (!ctl_find_id(api, CTL_TENANT, o->tenant, NULL, tenant, status)) {
            return false;
        }
        json_object_set_new(body, "tenant", json_string(tenant));
    }
    if (o->group && strcmp(o->group, "/") != 0) {
        if (!ctl_find_id(api, CTL_GROUP, o->group, o->tenant ? tenant : NULL, group, status)) {
            return false;
        }
    }
    if (o->group) {
        json_object_set_new(body, "group", json_string(group));
    }
    return true;
}

static bool set_text(json_t *body, const char *member, const char *value)
{
    return !value || json_object_set_new(body, member, json_string(value)) == 0;
}

static void make_target(struct ctl_target *target, const char *id, const char *rest)
{
    ctl_target_init(target, "/api/v1/gateways");
    ctl_target_segment(target, id);
    amm_write_str(&target->w, rest);
    amm_write_u8(&target->w, 0);
}

/* ---- tokens ---- */

/* Makes tokens and prints them; `id`: for this gateway, or NULL. */
static bool make_tokens(const struct ctl *ctl, struct ctl_api *api, const struct options *o,
                        const char *id, enum ctl_exit *status)
{
    json_t *body = json_object(), *item;
    size_t i;
    set_text(body, "gateway", id);
    set_text(body, "note", id ? NULL : o->note);
    if (o->count) {
        json_object_set_new(body, "count", json_integer(strtol(o->count, NULL, 10)));
    }
    if (!id && !add_branch(api, o, body, status)) {
        json_decref(body);
        return false;
    }
    json_t *made = ctl_api_call(api, "POST", "/api/v1/enrolment-tokens", body, status);
    if (made && ctl->json) {
        ctl_print_json(json_incref(made));
    } else if (made) {
        json_array_foreach(json_object_get(made, "items"), i, item)
        {
            const char *text = json_string_value(json_object_get(item, "token"));
            puts(text ? text : "-");
        }
    }
    json_decref(made);
    return made != NULL;
}

int ctl_fleet_token(const struct ctl *ctl, int argc, char **argv)
{
    struct options o;
    char id[32];
    enum ctl_exit status;
    if (!parse(argc, argv, &o) || o.n_names > 1) {
        return ctl_fail(CTL_USAGE,
                        "usage: token [NAME] [--tenant SLUG] [--group PATH] [--count N]");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    if (api && (o.n_names == 0 || ctl_find_id(api, CTL_GATEWAY, o.names[0], NULL, id, &status))) {
        make_tokens(ctl, api, &o, o.n_names ? id : NULL, &status);
    }
    ctl_api_close(api);
    return status;
}

/* ---- adding ---- */

static bool set_port(struct ctl_api *api, const char *id, const char *port, enum ctl_exit *status)
{
    struct ctl_target target;
    make_target(&target, id, "/parameters");
    json_t *done = ctl_api_call(
        api, "PATCH", target.text,
        json_pack("{s:{s:o}}", "values", "10034", json_integer(strtol(port, NULL, 10))), status);
    json_decref(done);
    return done != NULL;
}

/* The record, its tunnel port if one is wanted, and what the router needs next: for ours a token.
 * A port that is refused takes the record back: nothing is left half done. */
int ctl_fleet_add(const struct ctl *ctl, int argc, char **argv)
{
    struct options o;
    enum ctl_exit status;
    char id[32] = "";
    if (!parse(argc, argv, &o) || o.n_names != 1) {
        return ctl_fail(CTL_USAGE, "usage: add NAME [--serial S] [--kind amm|aleos|openvpn] "
                                   "[--group PATH] [--tenant SLUG] [--port N] [--note TEXT]");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    if (!api) {
        return status;
    }
    json_t *body = json_pack("{s:s}", "name", o.names[0]);
    bool ok = set_text(body, "serial", o.serial) && set_text(body, "kind", o.kind) &&
              set_text(body, "note", o.note) && add_branch(api, &o, body, &status);
    json_t *made =
        ok ? ctl_api_call(api, "POST", "/api/v1/gateways", json_incref(body), &status) : NULL;
    json_decref(body);
    const char *text = json_string_value(json_object_get(made, "id"));
    snprintf(id, sizeof id, "%s", text ? text : "");
    json_decref(made);
    if (id[0] && o.port && !set_port(api, id, o.port, &status)) {
        enum ctl_exit ignored;
        struct ctl_target target;
        make_target(&target, id, "");
        json_decref(ctl_api_call(api, "DELETE", target.text, NULL, &ignored));
    } else if (id[0]) {
        bool is_ours = !o.kind || strcmp(o.kind, "amm") == 0;
        if (!ctl->json) {
            printf("%s is known now; %s\n", o.names[0],
                   is_ours ? "its enrolment token, good for 30 days, shown this once:"
                           : "its connection file: ammctl gateway profile");
        }
        if (is_ours) {
            make_tokens(ctl, api, &o, id, &status);
        }
    }
    ctl_api_close(api);
    return status;
}

/* ---- parameters ---- */

/* "10034=1191" into the body; "10034=" takes the setting away. Numbers stay numbers. */
static bool add_value(json_t *values, const char *word)
{
    char name[80], *end;
    size_t len = strcspn(word, "=");
    if (word[len] != '=' || len == 0 || len >= sizeof name) {
        ctl_fail(CTL_USAGE, "\"%s\" is no setting (MSCIID=VALUE or NAME=VALUE)", word);
        return false;
    }
    snprintf(name, sizeof name, "%.*s", (int)len, word);
    const char *value = word + len + 1;
    long long number = strtoll(value, &end, 10);
    json_t *json = !*value                                          ? json_null()
                   : *end == '\0' && (value[0] != '0' || !value[1]) ? json_integer(number)
                                                                    : json_string(value);
    return json && json_object_set_new(values, name, json) == 0;
}

/* Where settings stand: a gateway, a group's template, a tenant's. */
static bool settings_target(struct ctl_api *api, const struct options *o, const char *name,
                            struct ctl_target *target, enum ctl_exit *status)
{
    char id[32], tenant[32] = "";
    if (o->tenant && !ctl_find_id(api, CTL_TENANT, o->tenant, NULL, tenant, status)) {
        return false;
    }
    if (name       ? !ctl_find_id(api, CTL_GATEWAY, name, NULL, id, status)
        : o->group ? !ctl_find_id(api, CTL_GROUP, o->group, o->tenant ? tenant : NULL, id, status)
                   : snprintf(id, sizeof id, "%s", tenant) < 0) {
        return false;
    }
    ctl_target_init(target, name       ? "/api/v1/gateways"
                            : o->group ? "/api/v1/groups"
                                       : "/api/v1/tenants");
    ctl_target_segment(target, id);
    amm_write_str(&target->w, "/parameters");
    amm_write_u8(&target->w, 0);
    return true;
}

int ctl_fleet_set(const struct ctl *ctl, int argc, char **argv)
{
    struct options o;
    struct ctl_target target;
    enum ctl_exit status;
    json_t *values = json_object();
    bool ok = parse(argc, argv, &o);
    bool is_template = ok && (o.group || o.tenant);
    int first = is_template ? 0 : 1;
    if (!ok || o.n_names <= first) {
        json_decref(values);
        return ctl_fail(CTL_USAGE, "usage: set NAME MSCIID=VALUE...   or   set --group PATH "
                                   "MSCIID=VALUE... (for all gateways in it)");
    }
    for (int i = first; ok && i < o.n_names; i++) {
        ok = add_value(values, o.names[i]);
    }
    if (!ok) {
        json_decref(values);
        return CTL_USAGE;
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    if (api && settings_target(api, &o, is_template ? NULL : o.names[0], &target, &status)) {
        json_t *answer =
            ctl_api_call(api, "PATCH", target.text, json_pack("{s:O}", "values", values), &status);
        if (answer && ctl->json) {
            ctl_print_json(json_incref(answer));
        } else if (answer) {
            puts(is_template ? "set; gateways take it with their next check-ins"
                             : "set; the gateway takes it with its next check-in");
        }
        json_decref(answer);
    }
    json_decref(values);
    ctl_api_close(api);
    return status;
}

static const struct ctl_column parameter_columns[] = {
    {"MSCIID", "id", CTL_SHOW_TEXT},         {"NAME", "name", CTL_SHOW_TEXT},
    {"REPORTED", "reported", CTL_SHOW_TEXT}, {"DESIRED", "desired.value", CTL_SHOW_TEXT},
    {"FROM", "desired.from", CTL_SHOW_TEXT}, {"BY", "desired.by", CTL_SHOW_TEXT},
    {"PENDING", "pending", CTL_SHOW_YES},    {.head = NULL},
};

int ctl_fleet_parameters(const struct ctl *ctl, int argc, char **argv)
{
    struct options o;
    struct ctl_target target;
    enum ctl_exit status;
    if (!parse(argc, argv, &o) || o.n_names > 1 || (o.n_names == 0 && !o.group && !o.tenant)) {
        return ctl_fail(CTL_USAGE, "usage: parameters NAME   or   parameters --group PATH");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    if (api && settings_target(api, &o, o.n_names ? o.names[0] : NULL, &target, &status)) {
        status = ctl_api_print_list(ctl, api, target.text, parameter_columns, "nothing is set");
    }
    ctl_api_close(api);
    return status;
}

/* ---- connection files ---- */

static enum ctl_exit write_file(const struct options *o, const char *text, size_t len)
{
    char path[PATH_MAX], error[256];
    if (o->output && strcmp(o->output, "-") == 0) {
        bool ok = fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0;
        return ok ? CTL_OK
                  : (enum ctl_exit)ctl_fail(CTL_FAILED, "cannot write the connection file");
    }
    snprintf(path, sizeof path, "%s%s", o->output ? o->output : o->names[0],
             o->output ? "" : ".ovpn");
    if (!amm_file_write(path, amm_view(text, len), 0600, error, sizeof error)) {
        return (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", error);
    }
    puts(path);
    return CTL_OK;
}

int ctl_fleet_profile(const struct ctl *ctl, int argc, char **argv)
{
    struct options o;
    struct ctl_target target;
    enum ctl_exit status;
    char id[32];
    size_t len = 0;
    if (!parse(argc, argv, &o) || o.n_names != 1) {
        return ctl_fail(CTL_USAGE, "usage: profile NAME [--remote HOST]... [--wrap W] [--days N] "
                                   "[--output FILE]");
    }
    if (strchr(o.names[0], '/') || o.names[0][0] == '.') {
        return ctl_fail(CTL_USAGE, "a gateway's name has no '/' and no leading '.'");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    if (api && ctl_find_id(api, CTL_GATEWAY, o.names[0], NULL, id, &status)) {
        json_t *body = json_object();
        set_text(body, "wrap", o.wrap);
        if (o.days) {
            json_object_set_new(body, "days", json_integer(strtol(o.days, NULL, 10)));
        }
        if (o.n_remotes) {
            json_t *remotes = json_array();
            for (int i = 0; i < o.n_remotes; i++) {
                json_array_append_new(remotes, json_string(o.remotes[i]));
            }
            json_object_set_new(body, "remotes", remotes);
        }
        make_target(&target, id, "/connection-file");
        char *text = ctl_api_text(api, "POST", target.text, body, &len, &status);
        if (text) {
            status = write_file(&o, text, len);
            amm_wipe(text, len);
            free(text);
        }
    }
    ctl_api_close(api);
    return status;
}
