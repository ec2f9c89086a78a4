/* Requests to the API from their bytes to the answer: route, credentials, origin, query, body, and
 * the handlers of what the core owns. Each runs as a unit that is rolled back. Whatever comes,
 * there is one answer, it is JSON where it says so, and its header lines cannot be split. */
#include "manager/audit_chain.h"
#include "manager/core.h"
#include "manager/directory.h"
#include "manager/fleet.h"
#include "manager/job_parts.h"
#include "manager/limits.h"
#include "manager/stream.h"
#include "manager/thresholds.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEMAND(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (false)

static char folder[] = "/tmp/amm-fuzz-XXXXXX";
static struct manager_config config;
static struct manager m = {.config = &config};
static struct amm_seeded_random seeded;
static unsigned answers;

static void tidy(void)
{
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    threshold_module.stop(&m);
    m.directory = directory_free(m.directory);
    m.fleet = fleet_free(m.fleet);
    m.audit = audit_free(m.audit);
    m.stream = stream_free(m.stream);
    m.limits = limits_free(m.limits);
    m.core = core_free(m.core);
    m.store = amm_store_free(m.store);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char path[AMM_CONF_TEXT + 8];
        snprintf(path, sizeof path, "%s%s", config.database, endings[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void start(struct manager *manager, void *context)
{
    char error[512];
    int64_t id, binding, login;
    struct access_binding viewer = {ROLE_VIEWER, TENANT_MAIN, 0};
    struct user_new what = {TENANT_MAIN, "anna", "", "no hash", false};
    (void)context;
    m.limits = limits_new(&m.random);
    m.stream = stream_new(manager);
    m.audit = audit_new(m.store, error, sizeof error);
    m.fleet = fleet_load(m.store, m.now.wall, error, sizeof error);
    m.directory = directory_new(manager, error, sizeof error);
    DEMAND(m.limits && m.stream && m.audit && m.fleet && m.directory);
    DEMAND(threshold_module.start(manager, error, sizeof error));
    DEMAND(directory_user_add(manager, &what, &id) == AMM_STORE_OK);
    DEMAND(directory_binding_add(manager, directory_user(m.directory, id), &viewer, &binding) ==
           AMM_STORE_OK);
    /* The random numbers are seeded: the secret stands in the corpus. */
    char secret[SECRET_TEXT];
    struct amm_address remote = {.family = AMM_FAMILY_IPV4};
    DEMAND(directory_login_add(manager, directory_user(m.directory, id), &remote, secret, &login) ==
           AMM_STORE_OK);
    if (getenv("SHOW_SECRET") != NULL) {
        printf("%s\n", secret);
    }
}

static void open_world(void)
{
    char error[AMM_STORE_ERROR];
    amm_seeded_random_init(&seeded, 1);
    m.random = amm_seeded_random(&seeded);
    DEMAND(mkdtemp(folder));
    snprintf(config.database, sizeof config.database, "%s/fleet.db", folder);
    config.workers = 1;
    config.login_idle = config.login_life = 1000000;
    config.login_rate = 1000;
    m.store = amm_store_open(&(struct amm_store_settings){.database = config.database}, error);
    m.core = m.store != NULL ? core_new(&m) : NULL;
    DEMAND(m.core);
    DEMAND(core_unit(&m, start, NULL));
    atexit(tidy);
}

static void take(void *context, const struct job *job, const struct amm_http_reply *reply)
{
    (void)context;
    answers++;
    DEMAND(reply->status >= 200 && reply->status <= 599);
    if (reply->body.len > 0 && strcmp(reply->content_type, "application/json") == 0) {
        json_t *body = json_loadb((const char *)reply->body.data, reply->body.len, 0, NULL);
        DEMAND(body != NULL);
        DEMAND(reply->status < 400 || json_object_get(body, "error") != NULL);
        json_decref(body);
    }
    /* Each field line is name, colon, text, CR LF. */
    for (size_t i = 0; i < reply->fields.len; i++) {
        uint8_t c = reply->fields.data[i];
        DEMAND(c >= ' ' || c == '\t' || (c == '\r' && reply->fields.data[i + 1] == '\n') ||
               (c == '\n' && i > 0 && reply->fields.data[i - 1] == '\r'));
    }
    DEMAND(job != NULL);
}

static void nothing(struct job *job)
{
    job_empty(job);
}

/* Modules that are not started, answers that go on, and files that are written: the handler is left
 * out, what comes before it is not. */
static bool is_ours(const struct route *route)
{
    static const char *const nouns[] = {"/api/v1/log",    "/api/v1/me",     "/api/v1/users",
                                        "/api/v1/tokens", "/api/v1/tenant", "/api/v1/groups",
                                        "/api/v1/audit",  "/api/v1/server", "/api/v1/openapi.json",
                                        "/api/v1/tree",   "/api/v1/dash",   "/api/v1/thresholds",
                                        "/api/v1/search"};
    for (size_t i = 0; i < sizeof nouns / sizeof nouns[0]; i++) {
        if (strncmp(route->path, nouns[i], strlen(nouns[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void run(struct manager *manager, void *context)
{
    job_run(manager, context);
    manager_fail(manager);
}

static void ask(const struct amm_http_request *request, struct amm_view body, unsigned listener,
                const struct route_match *match)
{
    struct route route = *match->route;
    struct route_match copy = *match;
    struct amm_http_call call = {.request = request,
                                 .body = body,
                                 .remote = {.family = AMM_FAMILY_IPV4, .ip = {192, 0, 2, 1}},
                                 .listener = listener,
                                 .uid = listener == LISTENER_LOCAL ? 0 : UINT32_MAX};
    if (!is_ours(&route)) {
        route.handle = nothing;
        route.find = NULL;
    }
    copy.route = &route;
    struct job *job = job_new(&m, &call, &copy);
    DEMAND(job != NULL);
    job_part(job)->sink = take;
    answers = 0;
    core_unit(&m, run, job);
    while (answers == 0) {
        core_step(&m, true); /* a password that is being looked at */
    }
    DEMAND(answers == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned listeners[] = {LISTENER_LOCAL, LISTENER_CONSOLE, LISTENER_GATEWAYS,
                                         LISTENER_METRICS};
    struct amm_http_request request;
    struct amm_http_error error;
    struct route_match match;
    size_t used;
    if (m.store == NULL) {
        open_world();
    }
    if (size < 1 || amm_http_request_parse(&request, amm_view(data + 1, size - 1), &used, &error) !=
                        AMM_HTTP_OK) {
        return 0;
    }
    unsigned listener = listeners[data[0] % 4];
    if (route_find(request.method, request.path, listener, &match) == ROUTE_FOUND &&
        listener != LISTENER_METRICS) {
        ask(&request, amm_view(data + 1 + used, size - 1 - used), listener, &match);
    }
    return 0;
}
