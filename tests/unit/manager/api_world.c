#include "api_world.h"

#include "manager/audit_chain.h"
#include "manager/fleet.h"
#include "manager/history.h"
#include "manager/limits.h"
#include "manager/password.h"
#include "manager/stream.h"
#include "manager/thresholds.h"

#include "io/clock.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

const struct caller nobody = {0};
const struct caller root = {.is_root = true};

static void start(struct manager *m, void *context)
{
    char error[512] = "";
    (void)context;
    m->limits = limits_new(&m->random);
    m->stream = stream_new(m);
    m->audit = audit_new(m->store, error, sizeof error);
    m->fleet = fleet_load(m->store, m->now.wall, error, sizeof error);
    m->directory = m->fleet != NULL ? directory_new(m, error, sizeof error) : NULL;
    assert_string_equal(error, "");
    assert_non_null(m->directory);
    assert_true(threshold_module.start(m, error, sizeof error));
    assert_true(history_module.start(m, error, sizeof error));
}

struct api_world *api_world_new(void)
{
    struct api_world *world = calloc(1, sizeof *world);
    char error[512];
    snprintf(world->folder, sizeof world->folder, "/tmp/amm-api-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->config.database, AMM_CONF_TEXT, "%s/fleet.db", world->folder);
    snprintf(world->config.backups, AMM_CONF_TEXT, "%s", world->folder);
    world->config.workers = 1;
    world->config.login_idle = 1800;
    world->config.login_life = 43200;
    world->config.login_rate = 1000;
    world->m.config = &world->config;
    world->m.random = amm_kernel_random();
    struct amm_store_settings settings = {world->config.database, amm_now().wall};
    world->m.store = amm_store_open(&settings, error);
    assert_non_null(world->m.store);
    world->m.core = core_new(&world->m);
    assert_true(core_unit(&world->m, start, NULL));
    return world;
}

void api_world_free(struct api_world *world)
{
    struct manager *m = &world->m;
    json_decref(world->answer.body);
    history_module.stop(m);
    threshold_module.stop(m);
    directory_free(m->directory);
    fleet_free(m->fleet);
    audit_free(m->audit);
    stream_free(m->stream);
    limits_free(m->limits);
    core_free(m->core);
    amm_store_free(m->store);
    DIR *folder = opendir(world->folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
    rmdir(world->folder);
    free(world);
}

/* ---- requests ---- */

static void take(void *context, const struct job *job, const struct amm_http_reply *reply)
{
    struct answer *answer = context;
    (void)job;
    assert_false(answer->is_there); /* once */
    answer->is_there = true;
    answer->status = reply->status;
    answer->body = json_loadb((const char *)reply->body.data, reply->body.len, 0, NULL);
    snprintf(answer->headers, sizeof answer->headers, "%.*s", (int)reply->fields.len,
             (const char *)reply->fields.data);
}

static void write_head(struct amm_writer *w, const struct caller *caller, const char *method,
                       const char *target, size_t body)
{
    amm_write_text(w, "%s %s HTTP/1.1\r\nHost: console.example\r\n", method, target);
    if (caller->bearer != NULL) {
        amm_write_text(w, "Authorization: Bearer %s\r\n", caller->bearer);
    }
    if (caller->cookie != NULL) {
        amm_write_text(w, "Cookie: other=1; __Host-amm=%s\r\n", caller->cookie);
    }
    if (caller->headers != NULL) {
        amm_write_str(w, caller->headers);
    } else if (caller->cookie != NULL) {
        amm_write_str(w, "X-AMM-Request: 1\r\n");
    }
    if (body > 0) {
        amm_write_text(w, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body);
    }
    amm_write_str(w, "\r\n");
}

bool call_begin(struct api_world *world, const struct caller *caller, const char *method,
                const char *target, const char *body)
{
    uint8_t head[8192];
    struct amm_writer w = amm_writer(head, sizeof head);
    struct amm_http_request request;
    struct amm_http_error error;
    struct route_match match;
    size_t used, len = body != NULL ? strlen(body) : 0;
    write_head(&w, caller, method, target, len);
    assert_int_equal(
        amm_http_request_parse(&request, amm_view(head, amm_writer_len(&w)), &used, &error),
        AMM_HTTP_OK);
    json_decref(world->answer.body);
    world->answer = (struct answer){0};
    bool is_local = caller->is_root || caller->uid != 0;
    unsigned listener = is_local ? LISTENER_LOCAL : LISTENER_CONSOLE;
    enum route_result result = route_find(request.method, request.path, listener, &match);
    if (result != ROUTE_FOUND) {
        world->answer.status = result == ROUTE_WRONG_METHOD ? 405 : 404;
        world->answer.is_there = true;
        return false;
    }
    struct amm_http_call made = {
        .request = &request,
        .body = amm_view(body, len),
        .remote = {.ip = {192, 0, caller->network, 7}, .port = 4000, .family = AMM_FAMILY_IPV4},
        .listener = listener,
        .uid = is_local ? caller->uid : UINT32_MAX,
        .is_tls = !is_local,
    };
    struct job *job = job_new(&world->m, &made, &match);
    job_part(job)->sink = take;
    job_part(job)->sink_context = &world->answer;
    assert_true(core_queue(world->m.core, &job_part(job)->item, CORE_URGENT, 0));
    return true;
}

int call_end(struct api_world *world)
{
    while (!world->answer.is_there) {
        core_step(&world->m, true);
    }
    return world->answer.status;
}

int call(struct api_world *world, const struct caller *caller, const char *method,
         const char *target, const char *body)
{
    call_begin(world, caller, method, target, body);
    return call_end(world);
}

const char *member(const struct api_world *world, const char *name)
{
    static char text[4][512];
    static unsigned turn;
    char *out = text[turn++ % 4];
    const json_t *value = json_object_get(world->answer.body, name);
    char *dumped = value != NULL && !json_is_string(value)
                       ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT)
                       : NULL;
    snprintf(out, sizeof text[0], "%s",
             dumped != NULL  ? dumped
             : value != NULL ? json_string_value(value)
                             : "");
    free(dumped);
    return out;
}

/* ---- people ---- */

struct making {
    const char *name;
    int64_t home, id;
    struct access_binding binding;
};

static void make(struct manager *m, void *context)
{
    /* One hash for all: it is slow on purpose. */
    static char encoded[PASSWORD_ENCODED_MAX];
    struct making *making = context;
    int64_t binding;
    if (encoded[0] == '\0') {
        assert_true(password_hash(PASSWORD, &m->random, encoded));
    }
    struct user_new what = {making->home, making->name, "", encoded, false};
    assert_int_equal(directory_user_add(m, &what, &making->id), AMM_STORE_OK);
    if (making->binding.role != ROLE_NONE) {
        assert_int_equal(directory_binding_add(m, directory_user(m->directory, making->id),
                                               &making->binding, &binding),
                         AMM_STORE_OK);
    }
}

int64_t make_user(struct api_world *world, const char *name, int64_t home, enum access_role role,
                  int64_t tenant, int64_t group)
{
    struct making making = {name, home, 0, {role, tenant, group}};
    assert_true(core_unit(&world->m, make, &making));
    return making.id;
}

const char *log_in(struct api_world *world, const char *login_name)
{
    static char secrets[4][SECRET_TEXT];
    static unsigned turn;
    char body[256], *secret = secrets[turn++ % 4];
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"" PASSWORD "\"}", login_name);
    assert_int_equal(call(world, &nobody, "POST", "/api/v1/login", body), 200);
    const char *at = strstr(world->answer.headers, "__Host-amm=");
    assert_non_null(at);
    at += strlen("__Host-amm=");
    snprintf(secret, SECRET_TEXT, "%.*s", (int)strcspn(at, ";"), at);
    return secret;
}

int64_t make_tenant(struct api_world *world, const char *slug)
{
    char body[128];
    snprintf(body, sizeof body, "{\"slug\":\"%s\"}", slug);
    assert_int_equal(call(world, &root, "POST", "/api/v1/tenants", body), 201);
    return atoll(member(world, "id"));
}

int64_t make_group(struct api_world *world, int64_t tenant, int64_t parent, const char *name)
{
    char body[256];
    snprintf(body, sizeof body, "{\"tenant\":\"%lld\",\"parent\":\"%lld\",\"name\":\"%s\"}",
             (long long)tenant, (long long)parent, name);
    assert_int_equal(call(world, &root, "POST", "/api/v1/groups", body), 201);
    return atoll(member(world, "id"));
}
