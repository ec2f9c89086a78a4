/* The API of the tunnel: who sees which numbers, moves that are refused, pools that clash; without
 * a tunnel server. */
#include "api_world.h"

#include "io/file.h"
#include "manager/parameters.h"
#include "manager/tunnel_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 4 };

static void configure(struct api_world *world)
{
    static const char *const pools[] = {"10.4.32.0/19", "10.4.96.0/19"};
    struct amm_tunneld_config *tunneld = &world->config.tunneld;
    snprintf(tunneld->roster, AMM_CONF_TEXT, "%s/gateways.conf", world->folder);
    snprintf(tunneld->pools, AMM_CONF_TEXT, "%s/pools.conf", world->folder);
    snprintf(tunneld->control_socket, AMM_CONF_TEXT, "%s/tunneld.sock", world->folder);
    tunneld->n_ports = 2;
    for (unsigned i = 0; i < 2; i++) {
        struct amm_port_config *port = &tunneld->ports[i];
        port->port = (uint16_t)(1190 + i);
        port->limit = LIMIT;
        snprintf(port->pool_text, sizeof port->pool_text, "%s", pools[i]);
        assert_true(amm_pool_parse(&port->pool, pools[i], AMM_NET30));
    }
}

static void start(struct manager *m, void *context)
{
    char error[256];
    (void)context;
    assert_true(tunnel_module.start(m, error, sizeof error));
}

static int set_up(void **state)
{
    struct api_world *world = api_world_new();
    configure(world);
    assert_true(core_unit(&world->m, start, NULL));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct api_world *world = *state;
    tunnel_module.stop(&world->m);
    api_world_free(world);
    return 0;
}

static void ask(struct api_world *world, const struct caller *who, int status, const char *method,
                const char *target, const char *body)
{
    int got = call(world, who, method, target, body);
    if (got != status) {
        fail_msg("%s %s: %d %s %s", method, target, got, member(world, "error"),
                 member(world, "text"));
    }
}

/* A router of a tenant with a place; its id as text (static storage). */
static const char *router(struct api_world *world, const char *name, int64_t tenant)
{
    static char id[24];
    char body[160];
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"kind\":\"openvpn\",\"tenant\":\"%lld\"}", name,
             (long long)tenant);
    ask(world, &root, 201, "POST", "/api/v1/gateways", body);
    snprintf(id, sizeof id, "%s", member(world, "id"));
    snprintf(body, sizeof body, "/api/v1/gateways/%s/tunnel", id);
    ask(world, &root, 200, "PUT", body, "{\"port\":1190}");
    return id;
}

static int64_t number_at(struct api_world *world, size_t i, const char *path)
{
    const json_t *item = json_array_get(json_object_get(world->answer.body, "items"), i);
    char name[32];
    size_t len = strcspn(path, ".");
    snprintf(name, sizeof name, "%.*s", (int)len, path);
    item = json_object_get(item, name);
    item = path[len] == '.' ? json_object_get(item, path + len + 1) : item;
    return json_is_integer(item) ? json_integer_value(item) : -1;
}

static void a_tenant_sees_its_own_numbers_and_what_is_free(void **state)
{
    struct api_world *world = *state;
    int64_t ours = make_tenant(world, "acme"), others = make_tenant(world, "other");
    router(world, "a", ours);
    router(world, "b", others);
    router(world, "c", others);
    make_user(world, "eve", ours, ROLE_TENANT_ADMIN, ours, 0);
    struct caller eve = {.cookie = log_in(world, "eve@acme")};
    ask(world, &eve, 200, "GET", "/api/v1/tunnel/ports", NULL);
    assert_int_equal(number_at(world, 0, "gateways.places"), 1);
    assert_int_equal(number_at(world, 0, "free"), LIMIT - 3);
    assert_int_equal(number_at(world, 0, "taken"), -1); /* not hers to know */
    assert_int_equal(number_at(world, 0, "up"), -1);
    assert_int_equal(number_at(world, 1, "free"), LIMIT);
    ask(world, &root, 200, "GET", "/api/v1/tunnel/ports", NULL);
    assert_int_equal(number_at(world, 0, "gateways.places"), 3);
    assert_int_equal(number_at(world, 0, "taken"), 3);
    ask(world, &eve, 200, "GET", "/api/v1/tunnel", NULL);
    assert_string_equal(member(world, "known"), "false");
    assert_string_equal(member(world, "problem"), "");
    ask(world, &root, 200, "GET", "/api/v1/tunnel", NULL);
    assert_non_null(strstr(member(world, "problem"), "tunneld.sock"));
}

static void another_tenants_tunnel_is_not_there(void **state)
{
    struct api_world *world = *state;
    int64_t ours = make_tenant(world, "acme"), others = make_tenant(world, "other");
    char path[80], kick[96];
    snprintf(path, sizeof path, "/api/v1/gateways/%s/tunnel", router(world, "b", others));
    snprintf(kick, sizeof kick, "%s/kick", path);
    make_user(world, "eve", ours, ROLE_TENANT_ADMIN, ours, 0);
    struct caller eve = {.cookie = log_in(world, "eve@acme")};
    ask(world, &eve, 404, "GET", path, NULL);
    ask(world, &eve, 404, "PUT", path, "{\"port\":1191}");
    ask(world, &eve, 404, "POST", kick, "{}");
    ask(world, &eve, 403, "POST", "/api/v1/tunnel/drain", "{}");
    ask(world, &eve, 403, "PUT", "/api/v1/tunnel/pools",
        "{\"port\":1190,\"pool\":\"10.9.0.0/19\"}");
}

static void what_is_asked_of_a_server_that_is_away_can_be_asked_again(void **state)
{
    struct api_world *world = *state;
    char path[80];
    snprintf(path, sizeof path, "/api/v1/gateways/%s/tunnel/kick", router(world, "a", 1));
    ask(world, &root, 503, "POST", path, "{}");
    assert_string_equal(member(world, "error"), "tunnel-server-away");
    assert_non_null(strstr(world->answer.headers, "Retry-After: 5"));
    ask(world, &root, 200, "GET", "/api/v1/tunnel/refused", NULL); /* the store has them */
    ask(world, &root, 503, "POST", "/api/v1/tunnel/drain", "{\"port\":1190}");
    ask(world, &root, 400, "POST", "/api/v1/tunnel/drain", "{\"port\":7}");
}

/* ---- refused joins ---- */

struct refusal {
    const char *name, *reason;
    uint8_t key, ip;
    int64_t at;
};

static void refuse(struct manager *m, void *context)
{
    const struct refusal *refusal = context;
    struct amm_ipc_event event = {
        .kind = AMM_IPC_REFUSED,
        .at = refusal->at,
        .port = 1190,
        .remote = {.ip = {192, 0, 2, refusal->ip}, .port = 4000, .family = AMM_FAMILY_IPV4},
        .transport = AMM_UDP};
    snprintf(event.name, sizeof event.name, "%s", refusal->name);
    snprintf(event.reason, sizeof event.reason, "%s", refusal->reason);
    snprintf(event.text, sizeof event.text, "not known here (add it with: ammctl gateway add)");
    event.login.key[0] = event.login.serial[0] = refusal->key;
    tunnel_event(m->tunnel, &event);
}

static void say_no(struct api_world *world, const char *name, const char *reason, uint8_t key,
                   uint8_t ip, int64_t at)
{
    struct refusal refusal = {name, reason, key, ip, at};
    assert_true(core_unit(&world->m, refuse, &refusal));
}

static size_t refusals(struct api_world *world, const struct caller *who)
{
    ask(world, who, 200, "GET", "/api/v1/tunnel/refused?limit=1000", NULL);
    return json_array_size(json_object_get(world->answer.body, "items"));
}

static const char *text_at(struct api_world *world, size_t i, const char *name)
{
    const json_t *item = json_array_get(json_object_get(world->answer.body, "items"), i);
    const char *text = json_string_value(json_object_get(item, name));
    return text ? text : "";
}

static void refused_joins_are_kept_and_folded(void **state)
{
    struct api_world *world = *state;
    int64_t acme = make_tenant(world, "acme");
    make_user(world, "eve", acme, ROLE_TENANT_ADMIN, acme, 0);
    make_user(world, "vic", acme, ROLE_VIEWER, acme, 0);
    struct caller eve = {.cookie = log_in(world, "eve@acme")},
                  vic = {.cookie = log_in(world, "vic@acme")};
    for (unsigned i = 0; i < 20; i++) {
        say_no(world, "truck@acme", "not-on-roster", 7, 1, 1000 + 10 * (int64_t)i);
    }
    say_no(world, "", "timeout", 0, 2, 1300);
    say_no(world, "bus", "not-on-roster", 8, 3, 1400);
    say_no(world, "made-up@acme", "expired", 0, 4, 1500); /* no certificate proves it */
    assert_int_equal(refusals(world, &root), 4);
    assert_string_equal(text_at(world, 3, "text"), "not known here");
    assert_string_equal(text_at(world, 3, "cure"), "add it with: ammctl gateway add");
    assert_true(number_at(world, 3, "repeats") >= 5);
    assert_int_equal(number_at(world, 3, "first_at"), 1000);
    assert_true(number_at(world, 3, "at") >= 1150);
    assert_int_equal(refusals(world, &eve), 1);
    assert_string_equal(text_at(world, 0, "name"), "truck@acme");
    assert_int_equal(refusals(world, &vic), 0);
    /* A stranger who makes up names and addresses fills no disk. */
    for (unsigned i = 0; i < 3000; i++) {
        char name[24];
        snprintf(name, sizeof name, "x%u", i);
        say_no(world, name, "tls-failed", 0, (uint8_t)i, 2000);
    }
    assert_true(refusals(world, &root) <= 4 + REFUSED_BURST + 50);
}

static void a_gateway_is_made_of_a_refused_certificate(void **state)
{
    struct api_world *world = *state;
    int64_t acme = make_tenant(world, "acme"), other = make_tenant(world, "other");
    make_user(world, "eve", acme, ROLE_TENANT_ADMIN, acme, 0);
    make_user(world, "mal", other, ROLE_TENANT_ADMIN, other, 0);
    struct caller eve = {.cookie = log_in(world, "eve@acme")},
                  mal = {.cookie = log_in(world, "mal@other")};
    static const char path[] = "/api/v1/tunnel/refused/1/create-gateway";
    say_no(world, "truck@acme", "not-on-roster", 7, 1, 1000);
    say_no(world, "late@acme", "expired", 8, 1, 1000);
    ask(world, &mal, 404, "POST", path, "{}");
    ask(world, &eve, 404, "POST", "/api/v1/tunnel/refused/99/create-gateway", "{}");
    ask(world, &eve, 404, "POST", "/api/v1/tunnel/refused/x/create-gateway", "{}");
    ask(world, &eve, 400, "POST", path, "{\"name\":\"bus\"}");
    ask(world, &eve, 404, "POST", path, "{\"group\":\"99\"}");
    ask(world, &eve, 409, "POST", "/api/v1/tunnel/refused/2/create-gateway", "{}");
    assert_int_equal(refusals(world, &eve), 2);
    assert_true(json_is_true(json_object_get(
        json_array_get(json_object_get(world->answer.body, "items"), 1), "can_create")));
    ask(world, &eve, 201, "POST", path, "{\"name\":\"truck\"}");
    assert_string_equal(member(world, "access"), "admitted");
    assert_string_equal(member(world, "kind"), "openvpn");
    const struct fleet_gateway *gateway =
        fleet_gateway_by_tunnel_name(world->m.fleet, "truck@acme");
    assert_true(gateway->tunnel.port != 0); /* it may join now */
    assert_non_null(gateway->identities);
    assert_int_equal(gateway->identities->key_hash[0], 7);
    ask(world, &eve, 409, "POST", path, "{}");
    /* The same certificate again, under another name. */
    say_no(world, "twin@acme", "not-on-roster", 7, 1, 5000);
    ask(world, &eve, 409, "POST", "/api/v1/tunnel/refused/3/create-gateway", "{}");
}

static void a_move_to_a_full_port_is_refused_and_changes_nothing(void **state)
{
    struct api_world *world = *state;
    char path[80], name[8];
    for (int i = 0; i < LIMIT; i++) {
        snprintf(name, sizeof name, "r%d", i);
        router(world, name, 1);
    }
    ask(world, &root, 201, "POST", "/api/v1/gateways", "{\"name\":\"late\",\"kind\":\"openvpn\"}");
    snprintf(path, sizeof path, "/api/v1/gateways/%s/tunnel", member(world, "id"));
    ask(world, &root, 409, "PUT", path, "{\"port\":1190}");
    assert_string_equal(member(world, "text"),
                        "port 1190 is full: 4 of 4 places are taken; free: 4 on 1191");
    ask(world, &root, 400, "PUT", path, "{\"port\":1199}");
    ask(world, &root, 200, "PUT", path, "{\"port\":1191}");
    assert_string_equal(member(world, "port"), "1191");
    assert_string_equal(member(world, "state"), "unknown");
}

/* ---- pools ---- */

static void report(struct manager *m, void *context)
{
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, *(int64_t *)context);
    json_t *stats = json_pack("{s:s, s:s}", "LAN-Prefixes", "192.168.1.0/24 10.9.3.0/24 ::/0 junk",
                              "WAN-Prefixes", "0.0.0.0/0 100.64.0.0/10");
    struct values *values = NULL;
    assert_true(values_merge(&values, gateway->stats, VALUES_STATS, stats, NULL, NULL));
    values_free(gateway->stats);
    gateway->stats = values;
    json_decref(stats);
}

static void what_a_pool_clashes_with_is_listed_before_anything_changes(void **state)
{
    struct api_world *world = *state;
    int64_t id = strtoll(router(world, "a", 1), NULL, 10);
    assert_true(core_unit(&world->m, report, &id));
    ask(world, &root, 200, "POST", "/api/v1/tunnel/pools/preview",
        "{\"port\":1190,\"pool\":\"10.9.0.0/19\"}");
    const json_t *found = json_object_get(world->answer.body, "conflicts");
    assert_int_equal(json_array_size(found), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(found, 0), "kind")),
                        "lan");
    assert_string_equal(json_string_value(json_object_get(json_array_get(found, 0), "prefix")),
                        "10.9.3.0/24");
    assert_string_equal(json_string_value(json_object_get(json_array_get(found, 0), "name")), "a");
    ask(world, &root, 409, "PUT", "/api/v1/tunnel/pools",
        "{\"port\":1190,\"pool\":\"10.9.0.0/19\"}");
    assert_string_equal(member(world, "error"), "pool-conflict");

    ask(world, &root, 409, "PUT", "/api/v1/tunnel/pools",
        "{\"port\":1190,\"pool\":\"10.4.64.0/18\",\"force\":true}"); /* another port's: never */
    ask(world, &root, 400, "PUT", "/api/v1/tunnel/pools",
        "{\"port\":1190,\"pool\":\"10.4.64.1/18\"}");
    ask(world, &root, 400, "PUT", "/api/v1/tunnel/pools",
        "{\"port\":1190,\"pool\":\"10.5.0.0/24\",\"limit\":64}");
    ask(world, &root, 400, "PUT", "/api/v1/tunnel/pools", "{\"port\":7,\"pool\":\"10.5.0.0/24\"}");

    char error[128];
    struct amm_span text;
    assert_false(amm_file_read(world->config.tunneld.pools, 4096, &text, error, sizeof error));
}

static void a_changed_pool_is_written_for_the_next_start(void **state)
{
    struct api_world *world = *state;
    char error[AMM_CONF_ERROR];
    struct amm_tunneld_config next;
    router(world, "a", 1);
    ask(world, &root, 200, "PUT", "/api/v1/tunnel/pools",
        "{\"port\":1190,\"pool\":\"10.9.0.0/24\",\"limit\":50}");
    assert_string_equal(member(world, "restart_needed"), "true");
    ask(world, &root, 200, "PUT", "/api/v1/tunnel/pools",
        "{\"port\":1191,\"pool\":\"10.4.32.0/24\"}"); /* free from then on */
    next = world->config.tunneld;
    assert_true(amm_tunneld_pools_read(&next, error));
    assert_string_equal(next.ports[0].pool_text, "10.9.0.0/24");
    assert_int_equal(next.ports[0].limit, 50);
    assert_string_equal(next.ports[1].pool_text, "10.4.32.0/24");
    assert_int_equal(next.ports[1].limit, LIMIT);
    /* Nothing has changed yet. */
    ask(world, &root, 200, "GET", "/api/v1/tunnel/ports", NULL);
    assert_int_equal(number_at(world, 0, "limit"), LIMIT);
}

static void a_pool_that_is_too_small_for_who_is_there_is_refused(void **state)
{
    struct api_world *world = *state;
    for (int i = 0; i < LIMIT; i++) {
        char name[8];
        snprintf(name, sizeof name, "r%d", i);
        router(world, name, 1);
    }
    ask(world, &root, 409, "PUT", "/api/v1/tunnel/pools",
        "{\"port\":1190,\"pool\":\"10.9.0.0/28\"}");
    assert_string_equal(member(world, "error"), "pool-too-small");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_tenant_sees_its_own_numbers_and_what_is_free),
        TEST(another_tenants_tunnel_is_not_there),
        TEST(what_is_asked_of_a_server_that_is_away_can_be_asked_again),
        TEST(refused_joins_are_kept_and_folded),
        TEST(a_gateway_is_made_of_a_refused_certificate),
        TEST(a_move_to_a_full_port_is_refused_and_changes_nothing),
        TEST(what_a_pool_clashes_with_is_listed_before_anything_changes),
        TEST(a_changed_pool_is_written_for_the_next_start),
        TEST(a_pool_that_is_too_small_for_who_is_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
