/* The API of gateways, parameters, events and operations, and POST /checkin, through the whole
 * core. */
#include "api_world.h"

#include "manager/checkin_service.h"
#include "manager/enrolment_parts.h"
#include "manager/fleet.h"
#include "manager/fleet_module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* No link to amm-cad: nothing is known of the tunnel's settings. */
static struct enrolment enrolment;

static void start_service(struct manager *m, void *context)
{
    (void)context;
    m->enrolment = &enrolment;
    checkin_service_start(m);
}

static int set_up(void **state)
{
    struct api_world *world = api_world_new();
    core_unit(&world->m, start_service, NULL);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    api_world_free(*state);
    return 0;
}

/* As the system administrator, with a status that must be. */
static struct api_world *ask(void **state, int status, const char *method, const char *target,
                             const char *body)
{
    struct api_world *world = *state;
    int got = call(world, &root, method, target, body);
    if (got != status) {
        fail_msg("%s %s: %d %s %s", method, target, got, member(world, "error"),
                 member(world, "text"));
    }
    return world;
}

static json_t *items(const struct api_world *world)
{
    return json_object_get(world->answer.body, "items");
}

static const char *text_at(const json_t *list, size_t i, const char *name)
{
    const char *text = json_string_value(json_object_get(json_array_get(list, i), name));
    return text ? text : "";
}

/* Admits a gateway, with a certificate of that key. */
struct admitting {
    int64_t id;
    uint8_t key;
    int64_t not_after, revoked_at;
    uint8_t kind;
};

static void admit(struct manager *m, void *context)
{
    const struct admitting *what = context;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, what->id);
    struct fleet_identity identity = {.id = what->key,
                                      .not_after = what->not_after,
                                      .revoked_at = what->revoked_at,
                                      .kind = what->kind,
                                      .key_hash = {what->key}};
    assert_true(
        fleet_gateway_set_access(m->fleet, gateway, FLEET_ADMITTED, NULL, m->now.wall, NULL));
    assert_non_null(fleet_identity_put(m->fleet, gateway, &identity));
}

/* ---- gateways ---- */

static void a_gateway_is_added_changed_moved_and_found(void **state)
{
    struct api_world *world =
        ask(state, 201, "POST", "/api/v1/gateways",
            "{\"name\":\"truck-7\",\"serial\":\"SN7\",\"note\":\"red\",\"kind\":\"amm\"}");
    assert_string_equal(member(world, "id"), "1");
    assert_string_equal(member(world, "access"), "new");
    assert_string_equal(member(world, "sync"), "pending-registration");
    assert_string_equal(member(world, "group"), "0");
    ask(state, 409, "POST", "/api/v1/gateways", "{\"name\":\"truck-7\"}");
    assert_string_equal(member(world, "field"), "name");
    ask(state, 409, "POST", "/api/v1/gateways", "{\"name\":\"truck-8\",\"serial\":\"SN7\"}");
    ask(state, 400, "POST", "/api/v1/gateways", "{\"name\":\"truck 8\"}");
    assert_string_equal(member(world, "error"), "bad-name");
    ask(state, 400, "POST", "/api/v1/gateways", "{}");
    ask(state, 400, "POST", "/api/v1/gateways", "{\"name\":\"a\",\"colour\":\"red\"}");
    int64_t group = make_group(world, 1, 0, "north");
    char body[64];
    snprintf(body, sizeof body, "{\"group\":\"%lld\",\"note\":\"blue\"}", (long long)group);
    ask(state, 200, "PATCH", "/api/v1/gateways/1", body);
    assert_string_equal(member(world, "group"), "1");
    assert_string_equal(member(world, "note"), "blue");
    ask(state, 404, "PATCH", "/api/v1/gateways/1", "{\"group\":\"99\"}");
    ask(state, 200, "GET", "/api/v1/gateways/1", NULL);
    assert_non_null(json_object_get(world->answer.body, "requirements"));
    ask(state, 404, "GET", "/api/v1/gateways/2", NULL);
    ask(state, 200, "GET", "/api/v1/gateways?group=1&text=TRUCK&total=true", NULL);
    assert_int_equal(json_array_size(items(world)), 1);
    assert_string_equal(member(world, "total"), "1");
    ask(state, 200, "GET", "/api/v1/gateways?kind=openvpn", NULL);
    assert_int_equal(json_array_size(items(world)), 0);
    ask(state, 200, "GET", "/api/v1/gateways/counts", NULL);
    assert_string_equal(member(world, "total"), "1");
}

static void many_are_added_as_a_whole_or_not_at_all(void **state)
{
    struct api_world *world =
        ask(state, 400, "POST", "/api/v1/gateways",
            "{\"gateways\":[{\"name\":\"a\"},{\"name\":\"a\"},{\"name\":\"b\",\"serial\":\"x y\"},"
            "{\"name\":\"c\",\"kind\":\"toaster\"},7,{\"nam\":\"d\"},{\"name\":\"e\"}]}");
    assert_string_equal(member(world, "error"), "rows-refused");
    assert_string_equal(member(world, "good"), "2");
    const json_t *rows = json_object_get(world->answer.body, "rows");
    assert_int_equal(json_array_size(rows), 5);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "row")), 1);
    assert_string_equal(text_at(rows, 0, "field"), "name");
    assert_string_equal(text_at(rows, 1, "field"), "serial");
    ask(state, 200, "GET", "/api/v1/gateways", NULL);
    assert_int_equal(json_array_size(items(world)), 0);
    ask(state, 200, "POST", "/api/v1/gateways",
        "{\"gateways\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"dry_run\":true}");
    ask(state, 200, "GET", "/api/v1/gateways", NULL);
    assert_int_equal(json_array_size(items(world)), 0);
    ask(state, 201, "POST", "/api/v1/gateways",
        "{\"gateways\":[{\"name\":\"b\"},{\"name\":\"a\"},{\"name\":\"c\"}]}");
    assert_int_equal(json_array_size(json_object_get(world->answer.body, "ids")), 3);
    ask(state, 200, "GET", "/api/v1/gateways?limit=2", NULL);
    assert_string_equal(text_at(items(world), 0, "name"), "a");
    assert_string_equal(member(world, "next"), "t:b:1");
    ask(state, 200, "GET", "/api/v1/gateways?limit=2&after=t:b:1", NULL);
    assert_string_equal(text_at(items(world), 0, "name"), "c");
    assert_null(json_object_get(world->answer.body, "next"));
    ask(state, 400, "GET", "/api/v1/gateways?after=nonsense", NULL);
    ask(state, 400, "GET", "/api/v1/gateways?stat=a%3C", NULL);
    assert_string_equal(member(world, "field"), "stat");
    ask(state, 400, "GET", "/api/v1/gateways?sort=colour", NULL);
    ask(state, 400, "GET", "/api/v1/gateways?colour=red", NULL);
}

/* ---- other tenants ---- */

static void a_tenant_sees_nothing_of_another(void **state)
{
    struct api_world *world = *state;
    int64_t acme = make_tenant(world, "acme");
    char body[200];
    make_user(world, "anna", acme, ROLE_TENANT_ADMIN, acme, 0);
    ask(state, 201, "POST", "/api/v1/gateways", "{\"name\":\"secret-1\",\"serial\":\"SX\"}");
    ask(state, 200, "PATCH", "/api/v1/gateways/1/parameters", "{\"values\":{\"60008\":30}}");
    struct admitting admitting = {1, 7, world->m.now.wall + 1000, 0, 1};
    core_unit(&world->m, admit, &admitting);
    ask(state, 200, "POST", "/api/v1/gateways/1/quarantine", "{\"reason\":\"secret\"}");
    ask(state, 200, "GET", "/api/v1/events", NULL);
    assert_int_equal(json_array_size(items(world)), 1);
    ask(state, 201, "POST", "/api/v1/gateways/1/operations", "{\"kind\":\"reboot\"}");
    char operation[64];
    snprintf(operation, sizeof operation, "/api/v1/operations/%s", member(world, "id"));
    struct caller anna = {.cookie = log_in(world, "anna@acme")};
    static const char *const own[] = {"/api/v1/gateways", "/api/v1/events", "/api/v1/operations",
                                      "/api/v1/gateways?text=secret", "/api/v1/gateways?stat=!x"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        assert_int_equal(call(world, &anna, "GET", own[i], NULL), 200);
        assert_int_equal(json_array_size(items(world)), 0);
    }
    assert_int_equal(call(world, &anna, "GET", "/api/v1/gateways?total=true", NULL), 200);
    assert_string_equal(member(world, "total"), "0");
    assert_int_equal(call(world, &anna, "GET", "/api/v1/gateways/counts", NULL), 200);
    assert_string_equal(member(world, "total"), "0");
    static const char *const foreign[] = {"/api/v1/gateways/1",
                                          "/api/v1/gateways/1/parameters",
                                          "/api/v1/gateways/1/stats",
                                          "/api/v1/gateways/1/events",
                                          "/api/v1/gateways/1/operations",
                                          "/api/v1/gateways?tenant=1",
                                          "/api/v1/events?tenant=1",
                                          "/api/v1/operations?tenant=1",
                                          "/api/v1/tenants/1/parameters",
                                          "/api/v1/gateways/1/parameters/history"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        int status = call(world, &anna, "GET", foreign[i], NULL);
        if (status != 404) {
            fail_msg("%s: %d", foreign[i], status);
        }
    }
    assert_int_equal(call(world, &anna, "GET", operation, NULL), 404);
    snprintf(body, sizeof body, "%s/cancel", operation);
    assert_int_equal(call(world, &anna, "POST", body, NULL), 404);
    assert_int_equal(call(world, &anna, "POST", "/api/v1/gateways/1/quarantine", "{}"), 404);
    assert_int_equal(
        call(world, &anna, "POST", "/api/v1/gateways", "{\"name\":\"x\",\"tenant\":\"1\"}"), 404);
    /* What another has, and what nobody has: the same words. */
    int64_t hidden = make_group(world, 1, 0, "hidden");
    static const char *const paths[] = {"/api/v1/gateways", "/api/v1/groups"};
    static const char *const members[] = {"group", "parent"};
    for (size_t i = 0; i < 2; i++) {
        char words[2][200];
        for (size_t nobodys = 0; nobodys < 2; nobodys++) {
            snprintf(body, sizeof body, "{\"name\":\"x\",\"tenant\":\"%lld\",\"%s\":\"%lld\"}",
                     i == 0 ? 1LL : (long long)acme, members[i],
                     nobodys ? 999999LL : (long long)hidden);
            assert_int_equal(call(world, &anna, "POST", paths[i], body), 404);
            snprintf(words[nobodys], sizeof words[0], "%s %s", member(world, "field"),
                     member(world, "text"));
        }
        assert_string_equal(words[0], words[1]);
    }
    /* A serial number that is taken says so, and nothing of who has it. */
    assert_int_equal(
        call(world, &anna, "POST", "/api/v1/gateways", "{\"name\":\"x\",\"serial\":\"SX\"}"), 409);
    char *text = json_dumps(world->answer.body, 0);
    assert_null(strstr(text, "secret"));
    free(text);
    assert_int_equal(call(world, &anna, "POST", "/api/v1/gateways", "{\"name\":\"secret-1\"}"),
                     201);
    /* And not into the group of another. */
    int64_t group = make_group(world, 1, 0, "theirs");
    snprintf(body, sizeof body, "{\"group\":\"%lld\"}", (long long)group);
    assert_int_equal(call(world, &anna, "PATCH", "/api/v1/gateways/2", body), 404);
}

static void a_branch_is_all_that_its_operator_sees(void **state)
{
    struct api_world *world = *state;
    int64_t north = make_group(world, 1, 0, "north"), south = make_group(world, 1, 0, "south");
    char body[200];
    make_user(world, "ben", 1, ROLE_OPERATOR, 1, north);
    const int64_t groups[] = {0, north, south};
    for (unsigned i = 0; i < 3; i++) {
        snprintf(body, sizeof body, "{\"name\":\"gw-%u\",\"group\":\"%lld\"}", i,
                 (long long)groups[i]);
        ask(state, 201, "POST", "/api/v1/gateways", body);
        snprintf(body, sizeof body, "/api/v1/gateways/%u/operations", i + 1);
        ask(state, 201, "POST", body, "{\"kind\":\"reboot\"}");
        struct admitting admitting = {i + 1, (uint8_t)(7 + i), world->m.now.wall + 1000, 0, 1};
        core_unit(&world->m, admit, &admitting);
        snprintf(body, sizeof body, "/api/v1/gateways/%u/quarantine", i + 1);
        ask(state, 200, "POST", body, "{}");
    }
    struct caller ben = {.cookie = log_in(world, "ben")};
    assert_int_equal(call(world, &ben, "GET", "/api/v1/gateways", NULL), 200);
    assert_int_equal(json_array_size(items(world)), 1);
    assert_string_equal(text_at(items(world), 0, "name"), "gw-1");
    assert_int_equal(call(world, &ben, "GET", "/api/v1/operations", NULL), 200);
    assert_int_equal(json_array_size(items(world)), 1);
    assert_int_equal(call(world, &ben, "GET", "/api/v1/events", NULL), 200);
    assert_int_equal(json_array_size(items(world)), 1);
    assert_string_equal(text_at(items(world), 0, "name"), "gw-1");
    assert_int_equal(call(world, &ben, "GET", "/api/v1/gateways/3", NULL), 404);
    assert_int_equal(
        call(world, &ben, "PATCH", "/api/v1/gateways/2/parameters", "{\"values\":{\"60008\":30}}"),
        200);
    assert_int_equal(
        call(world, &ben, "PATCH", "/api/v1/groups/1/parameters", "{\"values\":{\"60008\":30}}"),
        200);
    assert_int_equal(
        call(world, &ben, "PATCH", "/api/v1/tenants/1/parameters", "{\"values\":{\"60008\":30}}"),
        404);
    /* Not out of his branch, and no more than an operator. */
    snprintf(body, sizeof body, "{\"group\":\"%lld\"}", (long long)south);
    assert_int_equal(call(world, &ben, "PATCH", "/api/v1/gateways/2", body), 404);
    assert_int_equal(call(world, &ben, "DELETE", "/api/v1/gateways/2", NULL), 403);
    assert_int_equal(call(world, &ben, "POST", "/api/v1/gateways", "{\"name\":\"x\"}"), 403);
}

/* ---- settings ---- */

static void settings_are_shown_with_their_origin_and_their_history(void **state)
{
    struct api_world *world = ask(state, 201, "POST", "/api/v1/gateways", "{\"name\":\"gw\"}");
    make_group(world, 1, 0, "north");
    ask(state, 200, "PATCH", "/api/v1/gateways/1", "{\"group\":\"1\"}");
    ask(state, 200, "PATCH", "/api/v1/tenants/1/parameters",
        "{\"values\":{\"AMM Management Tunnel\":\"Enable\"}}");
    ask(state, 200, "PATCH", "/api/v1/groups/1/parameters", "{\"values\":{\"60008\":25}}");
    ask(state, 200, "PATCH", "/api/v1/gateways/1/parameters", "{\"values\":{\"1154\":\"Seven\"}}");
    ask(state, 200, "GET", "/api/v1/gateways/1/parameters/60001", NULL);
    const json_t *desired = json_object_get(world->answer.body, "desired");
    assert_string_equal(json_string_value(json_object_get(desired, "value")), "Enable");
    assert_string_equal(json_string_value(json_object_get(desired, "from")), "template");
    assert_string_equal(json_string_value(json_object_get(desired, "group")), "0");
    assert_string_equal(member(world, "pending"), "true");
    ask(state, 200, "GET", "/api/v1/gateways/1/parameters", NULL);
    assert_int_equal(json_array_size(items(world)), 3);
    ask(state, 400, "PATCH", "/api/v1/gateways/1/parameters",
        "{\"values\":{\"60008\":30,\"10034\":1194}}");
    assert_string_equal(member(world, "field"), "10034");
    ask(state, 404, "GET", "/api/v1/gateways/1/parameters/60003", NULL);
    ask(state, 200, "PATCH", "/api/v1/gateways/1/parameters", "{\"values\":{\"1154\":null}}");
    ask(state, 200, "GET", "/api/v1/gateways/1/parameters/history?limit=1", NULL);
    assert_int_equal(json_array_size(items(world)), 1);
    assert_string_equal(text_at(items(world), 0, "old"), "Seven");
    assert_string_equal(text_at(items(world), 0, "by"), "root@local");
    char target[80];
    snprintf(target, sizeof target, "/api/v1/gateways/1/parameters/history?limit=1&after=%s",
             member(world, "next"));
    ask(state, 200, "GET", target, NULL);
    assert_string_equal(text_at(items(world), 0, "new"), "Seven");
    ask(state, 200, "PATCH", "/api/v1/gateways/1/parameters", "{\"values\":{\"1154\":\"\"}}");
    ask(state, 200, "GET", "/api/v1/gateways/1/parameters/history?limit=1", NULL);
    assert_string_equal(text_at(items(world), 0, "new"), ""); /* no value is a value */
    ask(state, 200, "GET", "/api/v1/groups/1/parameters/history", NULL);
    assert_int_equal(json_array_size(items(world)), 1);
    ask(state, 200, "GET", "/api/v1/parameters", NULL);
    assert_true(json_array_size(items(world)) > 20);
    ask(state, 200, "GET", "/api/v1/stats", NULL);
    assert_true(json_array_size(items(world)) > 40);
}

static void what_cannot_be_undone_wants_the_name_once_more(void **state)
{
    struct api_world *world = ask(state, 201, "POST", "/api/v1/gateways", "{\"name\":\"gw\"}");
    ask(state, 400, "POST", "/api/v1/gateways/1/operations", "{\"kind\":\"factory-reset\"}");
    assert_string_equal(member(world, "error"), "confirm");
    ask(state, 201, "POST", "/api/v1/gateways/1/operations",
        "{\"kind\":\"factory-reset\",\"confirm\":\"gw\",\"key\":\"k\"}");
    char id[64], target[128];
    snprintf(id, sizeof id, "%s", member(world, "id"));
    ask(state, 201, "POST", "/api/v1/gateways/1/operations",
        "{\"kind\":\"factory-reset\",\"confirm\":\"gw\",\"key\":\"k\"}");
    assert_string_equal(member(world, "id"), id);
    ask(state, 409, "POST", "/api/v1/gateways/1/operations", "{\"kind\":\"reboot\",\"key\":\"k\"}");
    snprintf(target, sizeof target, "/api/v1/operations/%s/cancel", id);
    ask(state, 200, "POST", target, NULL);
    assert_string_equal(member(world, "state"), "cancelled");
    ask(state, 200, "POST", target, NULL);
    ask(state, 200, "GET", "/api/v1/gateways/1/operations?state=open", NULL);
    assert_int_equal(json_array_size(items(world)), 0);
    ask(state, 404, "GET", "/api/v1/operations/nonsense", NULL);
    /* A router without our software cannot be asked. */
    ask(state, 201, "POST", "/api/v1/gateways", "{\"name\":\"r\",\"kind\":\"openvpn\"}");
    ask(state, 409, "POST", "/api/v1/gateways/2/operations", "{\"kind\":\"reboot\"}");
    assert_string_equal(member(world, "error"), "not-supported");
}

/* ---- check-ins ---- */

static void take(void *context, const struct job *job, const struct amm_http_reply *reply)
{
    struct answer *answer = context;
    (void)job;
    answer->is_there = true;
    answer->status = reply->status;
    answer->body = json_loadb((const char *)reply->body.data, reply->body.len, 0, NULL);
    snprintf(answer->headers, sizeof answer->headers, "%.*s", (int)reply->fields.len,
             (const char *)reply->fields.data);
}

/* POST /checkin with the certificate of that key (0: none). */
static int check_in(struct api_world *world, uint8_t key, int64_t not_after, const char *body)
{
    struct amm_identity client = {.name = "gw", .key = {key}, .not_after = not_after};
    struct amm_http_request request = {.method = amm_view_str("POST"),
                                       .path = amm_view_str("/checkin")};
    struct route_match match;
    assert_int_equal(route_find(request.method, request.path, LISTENER_GATEWAYS, &match),
                     ROUTE_FOUND);
    struct amm_http_call made = {.request = &request,
                                 .body = amm_view_str(body),
                                 .listener = LISTENER_GATEWAYS,
                                 .uid = UINT32_MAX,
                                 .client = key ? &client : NULL,
                                 .is_tls = true};
    struct job *job = job_new(&world->m, &made, &match);
    json_decref(world->answer.body);
    world->answer = (struct answer){0};
    job_part(job)->sink = take;
    job_part(job)->sink_context = &world->answer;
    assert_true(core_queue(world->m.core, &job_part(job)->item, CORE_GATEWAYS, 0));
    while (!world->answer.is_there) {
        core_step(&world->m, true);
    }
    return world->answer.status;
}

#define FIRST                                                                                      \
    "{\"v\":1,\"seq\":1,\"boot\":1,\"base\":\"\",\"hash\":\"aaaaaaaaaaaaaaaa\",\"stats\":"         \
    "{\"CellLink-RSSI\":-71},\"events\":[{\"id\":1,\"at\":5,\"kind\":\"boot\",\"text\":\"<b>\"}]}"

static void a_check_in_is_for_who_has_a_good_certificate(void **state)
{
    struct api_world *world = ask(state, 201, "POST", "/api/v1/gateways", "{\"name\":\"gw\"}");
    int64_t later = world->m.now.wall + 1000, before = world->m.now.wall - 1000;
    struct admitting good = {1, 7, later, 0, 1}, revoked = {1, 8, later, 5, 1};
    struct admitting file = {1, 6, later, 0, FLEET_IDENTITY_CONNECTION_FILE};
    core_unit(&world->m, admit, &good);
    core_unit(&world->m, admit, &file);
    core_unit(&world->m, admit, &revoked);
    assert_int_equal(check_in(world, 0, 0, FIRST), 401);
    assert_int_equal(check_in(world, 9, later, FIRST), 403);
    assert_string_equal(member(world, "error"), "unknown-certificate");
    assert_string_equal(member(world, "fatal"), "true");
    assert_int_equal(check_in(world, 8, later, FIRST), 403);
    assert_string_equal(member(world, "error"), "revoked");
    assert_string_equal(member(world, "fatal"), "true");
    assert_int_equal(check_in(world, 6, later, FIRST), 403);
    assert_string_equal(member(world, "error"), "connection-file");
    assert_int_equal(check_in(world, 7, before, FIRST), 403);
    assert_string_equal(member(world, "error"), "expired");
    assert_string_equal(member(world, "fatal"), "");
    assert_int_equal(check_in(world, 7, later, "{\"v\":1}"), 400);
    assert_int_equal(check_in(world, 7, later, "[1,2"), 400);
    assert_int_equal(check_in(world, 7, later, FIRST), 200);
    assert_string_equal(member(world, "events"), "1");
    assert_string_equal(member(world, "interval"), "900");

    ask(state, 200, "GET", "/api/v1/gateways?stats=CellLink-RSSI,Platform&stat=CellLink-RSSI%3C-70",
        NULL);
    const json_t *stats = json_object_get(json_array_get(items(world), 0), "stats");
    assert_int_equal(json_integer_value(json_object_get(stats, "CellLink-RSSI")), -71);
    ask(state, 200, "GET", "/api/v1/gateways/1/events?kind=boot", NULL);
    assert_int_equal(json_array_size(items(world)), 1);
    assert_string_equal(text_at(items(world), 0, "text"), "<b>");
    ask(state, 200, "GET", "/api/v1/gateways/1/stats", NULL);

    ask(state, 200, "POST", "/api/v1/gateways/1/quarantine", "{\"reason\":\"stolen\"}");
    assert_int_equal(check_in(world, 7, later, FIRST), 403);
    assert_string_equal(member(world, "error"), "quarantined");
    assert_string_equal(member(world, "fatal"), "true");
    ask(state, 200, "POST", "/api/v1/gateways/1/release", NULL);
    ask(state, 409, "POST", "/api/v1/gateways/1/release", NULL);
    assert_int_equal(check_in(world, 7, later, FIRST), 200);
}

static void add_identity_row(struct manager *m, void *context)
{
    static const uint8_t serial[20] = {1}, issuer[32], key_hash[32] = {7}, approval[16];
    int64_t id;
    assert_int_equal(
        amm_store_number(m->store, AMM_SQL_IDENTITY_ADD,
                         AMM_WITH(amm_number(1), amm_number(1), amm_number(1),
                                  amm_blob(serial, sizeof serial), amm_blob(issuer, sizeof issuer),
                                  amm_blob(key_hash, sizeof key_hash),
                                  amm_blob(approval, sizeof approval), amm_number(0), amm_number(0),
                                  amm_number(*(const int64_t *)context), amm_number(0)),
                         &id),
        AMM_STORE_OK);
}

static void forget_ended(struct manager *m, void *context)
{
    fleet_identity_expire(m->fleet, *(const int64_t *)context);
}

/* The clock ran ahead by a year, and was put right again. */
static void a_certificate_that_memory_dropped_too_early_is_known_to_the_store(void **state)
{
    struct api_world *world = ask(state, 201, "POST", "/api/v1/gateways", "{\"name\":\"gw\"}");
    int64_t later = world->m.now.wall + 1000, ahead = world->m.now.wall + 366 * 86400;
    struct admitting good = {1, 7, later, 0, 1};
    core_unit(&world->m, admit, &good);
    core_unit(&world->m, add_identity_row, &later);
    core_unit(&world->m, forget_ended, &ahead);
    assert_int_equal(check_in(world, 7, later, FIRST), 200);
    assert_int_equal(check_in(world, 8, later, FIRST), 403);
    assert_string_equal(member(world, "error"), "unknown-certificate");
}

static void strangers_of_one_network_are_slowed_down(void **state)
{
    struct api_world *world = ask(state, 201, "POST", "/api/v1/gateways", "{\"name\":\"gw\"}");
    int64_t later = world->m.now.wall + 1000;
    struct admitting good = {1, 7, later, 0, 1};
    int status = 401;
    core_unit(&world->m, admit, &good);
    for (unsigned i = 0; i < 100000 && status == 401; i++) {
        status = check_in(world, 0, 0, FIRST);
    }
    assert_int_equal(status, 429);
    assert_non_null(strstr(world->answer.headers, "Retry-After: "));
    assert_int_equal(check_in(world, 7, later, FIRST), 200); /* gateways beside them are not */
}

static void a_quarantine_by_a_check_in_stays_though_it_is_refused(void **state)
{
    struct api_world *world = ask(state, 201, "POST", "/api/v1/gateways", "{\"name\":\"gw\"}");
    int64_t later = world->m.now.wall + 1000;
    struct admitting good = {1, 7, later, 0, 1};
    core_unit(&world->m, admit, &good);
    ask(state, 204, "PUT", "/api/v1/tenants/1/clone-policy", "{\"policy\":\"quarantine\"}");
    assert_int_equal(check_in(world, 7, later,
                              "{\"v\":1,\"seq\":9,\"boot\":4,\"base\":\"\",\"hash\":"
                              "\"aaaaaaaaaaaaaaaa\"}"),
                     200);
    static const char copy[] =
        "{\"v\":1,\"seq\":10,\"boot\":3,\"base\":\"\",\"hash\":\"aaaaaaaaaaaaaaaa\"}";
    assert_int_equal(check_in(world, 7, later, copy), 403);
    ask(state, 200, "GET", "/api/v1/gateways/1", NULL);
    assert_string_equal(member(world, "access"), "quarantined");
    assert_string_equal(member(world, "clone"), "true");
    assert_int_equal(check_in(world, 7, later, copy), 403);
    ask(state, 200, "GET", "/api/v1/gateways/1/events", NULL);
    assert_int_equal(json_array_size(items(world)), 1);
}

static void who_comes_too_often_is_told_when_to_come(void **state)
{
    struct api_world *world = ask(state, 201, "POST", "/api/v1/gateways", "{\"name\":\"gw\"}");
    int64_t later = world->m.now.wall + 1000;
    struct admitting good = {1, 7, later, 0, 1};
    core_unit(&world->m, admit, &good);
    int status = 200;
    for (unsigned i = 0; i < 1000 && status == 200; i++) {
        status = check_in(world, 7, later, FIRST);
    }
    assert_int_equal(status, 429);
    assert_non_null(strstr(world->answer.headers, "Retry-After: "));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_gateway_is_added_changed_moved_and_found),
        T(many_are_added_as_a_whole_or_not_at_all),
        T(a_tenant_sees_nothing_of_another),
        T(a_branch_is_all_that_its_operator_sees),
        T(settings_are_shown_with_their_origin_and_their_history),
        T(what_cannot_be_undone_wants_the_name_once_more),
        T(a_check_in_is_for_who_has_a_good_certificate),
        T(a_certificate_that_memory_dropped_too_early_is_known_to_the_store),
        T(strangers_of_one_network_are_slowed_down),
        T(a_quarantine_by_a_check_in_stays_though_it_is_refused),
        T(who_comes_too_often_is_told_when_to_come),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
