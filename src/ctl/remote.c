#include "remote.h"

#include "http/client.h"

#include <getopt.h>
#include <stdlib.h>
#include <time.h>

enum { POLL_SECONDS = 2 };

#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define COLUMNS_END                                                                                \
    {                                                                                              \
        .head = NULL                                                                               \
    }
#define NAME                                                                                       \
    {                                                                                              \
        "NAME", CTL_GATEWAY, CTL_IN_PATH, NULL, true                                               \
    }

/* ---- commands that are one request ---- */

static const struct ctl_column session_columns[] = {
    {"ID", "id", CTL_SHOW_TEXT},
    {"GATEWAY", "gateway_name", CTL_SHOW_TEXT},
    {"OPERATOR", "operator", CTL_SHOW_TEXT},
    {"STATE", "state", CTL_SHOW_TEXT},
    {"OPENED", "opened_at", CTL_SHOW_TIME},
    {"LAST", "last_at", CTL_SHOW_AGE},
    {"FROM", "remote", CTL_SHOW_TEXT},
    {"REQUESTS", "requests", CTL_SHOW_TEXT},
    {"REASON", "reason", CTL_SHOW_TEXT},
    {"ENDED", "end_reason", CTL_SHOW_TEXT},
    COLUMNS_END,
};
static const struct ctl_column request_columns[] = {
    {"AT", "at", CTL_SHOW_TIME},
    {"KIND", "kind", CTL_SHOW_TEXT},
    {"METHOD", "method", CTL_SHOW_TEXT},
    {"PATH", "path", CTL_SHOW_TEXT},
    {"STATUS", "status", CTL_SHOW_TEXT},
    {"MS", "ms", CTL_SHOW_TEXT},
    {"IN", "bytes_in", CTL_SHOW_BYTES},
    {"OUT", "bytes_out", CTL_SHOW_BYTES},
    COLUMNS_END,
};
static const struct ctl_parameter id_named[] = {{"ID", CTL_ID, CTL_IN_PATH, NULL, true}, END};
static const struct ctl_parameter named[] = {NAME, END};
static const struct ctl_parameter list_parameters[] = {
    {"--state", CTL_TEXT, CTL_IN_QUERY, "state", false}, END};

const struct ctl_command ctl_remote_commands[] = {
    {.name = "list",
     .usage = "[--state waiting|ready|open|ended|live]  remote sessions, newest first",
     .request = &(const struct ctl_request){"GET", "/api/v1/remote-sessions", list_parameters,
                                            session_columns, "no remote sessions", NULL}},
    {.name = "show",
     .usage = "ID  one of them",
     .request = &(const struct ctl_request){"GET", "/api/v1/remote-sessions/{}", id_named,
                                            session_columns, NULL, NULL}},
    {.name = "requests",
     .usage = "ID  what was asked in it",
     .request = &(const struct ctl_request){"GET", "/api/v1/remote-sessions/{}/requests", id_named,
                                            request_columns, "nothing was asked", NULL}},
    {.name = "end",
     .usage = "ID  cut it now",
     .request = &(const struct ctl_request){"DELETE", "/api/v1/remote-sessions/{}", id_named, NULL,
                                            NULL, "ended"}},
    {.name = NULL},
};

const struct ctl_request ctl_gateway_sessions_request = {
    "GET", "/api/v1/gateways/{}/remote-sessions", named, session_columns, "no remote sessions",
    NULL};

static const struct ctl_parameter key_parameters[] = {
    NAME, {"SHA256", CTL_TEXT, CTL_IN_BODY, "sha256", true}, END};
const struct ctl_request ctl_gateway_page_key_request = {
    "POST", "/api/v1/gateways/{}/page-key",          key_parameters, NULL,
    NULL,   "accepted: its page can be opened again"};

static const struct ctl_parameter forwards_parameters[] = {
    NAME, {"ALLOW", CTL_TEXT, CTL_IN_BODY, "allow", true}, END};
static const struct ctl_column forwards_columns[] = {{"allowed", "allow", CTL_SHOW_TEXT},
                                                     COLUMNS_END};
const struct ctl_request ctl_gateway_forwards_request = {
    "PUT", "/api/v1/gateways/{}/forwards", forwards_parameters, forwards_columns, NULL, NULL};

static const struct ctl_parameter policy_parameters[] = {
    {"GROUP", CTL_GROUP, CTL_IN_PATH, NULL, true},
    {"POLICY", CTL_TEXT, CTL_IN_BODY, "policy", true},
    {"--window", CTL_TEXT, CTL_IN_BODY, "window", false},
    END};
static const struct ctl_column policy_columns[] = {
    {"policy", "policy", CTL_SHOW_TEXT}, {"window (UTC)", "window", CTL_SHOW_TEXT}, COLUMNS_END};
const struct ctl_request ctl_group_policy_request = {
    "PUT", "/api/v1/groups/{}/tunnel-policy", policy_parameters, policy_columns, NULL, NULL};

/* ---- the test ---- */

static void print_steps(const json_t *answer)
{
    const json_t *step;
    size_t i;
    json_array_foreach(json_object_get(answer, "steps"), i, step)
    {
        char name[CTL_CELL], text[CTL_CELL];
        const json_t *ok = json_object_get(step, "ok");
        printf("%-6s %-7s %s\n", ctl_show(json_object_get(step, "name"), CTL_SHOW_TEXT, name),
               json_is_true(ok)    ? "good"
               : json_is_false(ok) ? "FAILED"
                                   : "skipped",
               ctl_show(json_object_get(step, "text"), CTL_SHOW_TEXT, text));
    }
}

static bool has_failed(const json_t *answer)
{
    const json_t *step;
    size_t i;
    json_array_foreach(json_object_get(answer, "steps"), i, step)
    {
        if (json_is_false(json_object_get(step, "ok"))) {
            return true;
        }
    }
    return false;
}

static void gateway_target(struct ctl_target *target, const char *id, const char *rest)
{
    ctl_target_init(target, "/api/v1/gateways");
    ctl_target_segment(target, id);
    amm_write_str(&target->w, rest);
    amm_write_u8(&target->w, 0);
}

int ctl_remote_test(const struct ctl *ctl, int argc, char **argv)
{
    enum ctl_exit status;
    struct ctl_target target;
    char id[32];
    if (argc != 2) {
        return ctl_fail(CTL_USAGE, "usage: gateway test NAME");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    json_t *answer = NULL;
    if (api && ctl_find_id(api, CTL_GATEWAY, argv[1], NULL, id, &status)) {
        gateway_target(&target, id, "/test");
        answer = ctl_api_call(api, "POST", target.text, json_object(), &status);
    }
    if (answer && has_failed(answer)) {
        status = CTL_FAILED;
    }
    if (answer && ctl->json) {
        ctl_print_json(json_incref(answer));
    } else if (answer) {
        print_steps(answer);
    }
    json_decref(answer);
    ctl_api_close(api);
    return status;
}

/* ---- beginning and ending ---- */

bool ctl_remote_parse(int argc, char **argv, struct remote_options *out)
{
    static const struct option options[] = {
        {"reason", required_argument, NULL, 'r'},
        {"ca", required_argument, NULL, 'c'},
        {"order", no_argument, NULL, 'o'},
        {"print", no_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    int option;
    *out = (struct remote_options){0};
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            out->reason = optarg;
            break;
        case 'c':
            out->ca = optarg;
            break;
        case 'o':
            out->order = true;
            break;
        case 'p':
            out->print = true;
            break;
        default:
            return false;
        }
    }
    for (; optind < argc && out->n_names < 2; optind++) {
        out->names[out->n_names++] = argv[optind];
    }
    return optind == argc;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void session_target(struct ctl_target *target, const json_t *session, const char *rest)
{
    ctl_target_init(target, "/api/v1/remote-sessions");
    ctl_target_segment(target, text_of(session, "id"));
    amm_write_str(&target->w, rest);
    amm_write_u8(&target->w, 0);
}

/* Until the ordered tunnel is up, or the manager has given up; takes over `session`. */
static json_t *wait_until_ready(struct ctl_api *api, json_t *session, enum ctl_exit *status)
{
    struct ctl_target target;
    struct timespec pause = {.tv_sec = POLL_SECONDS};
    fprintf(stderr, "the tunnel is ordered; expected in about %lld s\n",
            (long long)json_integer_value(json_object_get(session, "expected_wait")));
    session_target(&target, session, "");
    while (session && strcmp(text_of(session, "state"), "waiting") == 0) {
        nanosleep(&pause, NULL);
        json_decref(session);
        session = ctl_api_call(api, "GET", target.text, NULL, status);
    }
    if (session && strcmp(text_of(session, "state"), "ready") != 0) {
        *status = (enum ctl_exit)ctl_fail(CTL_NOT_FOUND, "%s", text_of(session, "end_reason"));
        json_decref(session);
        return NULL;
    }
    if (session) {
        session_target(&target, session, "/ticket");
        json_decref(session);
        session = ctl_api_call(api, "POST", target.text, json_object(), status);
    }
    return session;
}

json_t *ctl_remote_begin(struct ctl_api *api, const struct remote_options *options,
                         const char *forward, enum ctl_exit *status)
{
    struct ctl_target target;
    char id[32];
    if (!ctl_find_id(api, CTL_GATEWAY, options->names[0], NULL, id, status)) {
        return NULL;
    }
    json_t *body = json_object();
    if (options->reason) {
        json_object_set_new(body, "reason", json_string(options->reason));
    }
    if (forward) {
        json_object_set_new(body, "forward", json_string(forward));
    }
    if (options->order) {
        json_object_set_new(body, "order_tunnel", json_true());
    }
    gateway_target(&target, id, "/remote-sessions");
    json_t *session = ctl_api_call(api, "POST", target.text, body, status);
    return session && strcmp(text_of(session, "state"), "waiting") == 0
               ? wait_until_ready(api, session, status)
               : session;
}

void ctl_remote_end(struct ctl_api *api, const json_t *session)
{
    struct ctl_target target;
    enum ctl_exit ignored;
    session_target(&target, session, "");
    json_decref(ctl_api_call(api, "DELETE", target.text, NULL, &ignored));
}

int ctl_remote_open(const struct ctl *ctl, int argc, char **argv)
{
    struct remote_options options;
    enum ctl_exit status;
    if (!ctl_remote_parse(argc, argv, &options) || options.n_names != 1) {
        return ctl_fail(CTL_USAGE, "usage: gateway open NAME [--reason TEXT] [--order] [--print]");
    }
    struct ctl_api *api = ctl_api_open(ctl, &status);
    json_t *session = api ? ctl_remote_begin(api, &options, NULL, &status) : NULL;
    if (session && (options.print || ctl->json)) {
        ctl_print_json(json_incref(session));
    } else if (session) {
        status = ctl_remote_page(text_of(session, "enter"), text_of(session, "ticket"));
        if (status != CTL_OK) {
            ctl_remote_end(api, session);
        }
    }
    json_decref(session);
    ctl_api_close(api);
    return status;
}
