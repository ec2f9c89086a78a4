/* Remote sessions: who gets in, where to, and what ends them. */
#include "remote_world.h"

#include "domain/checkin.h"

#include "base/base64.h"
#include "io/file.h"
#include "manager/tunnel.h"

#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int set_up(void **state)
{
    struct remote_world *w = remote_world_new();
    remote_world_serve(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    remote_world_free(*state);
    return 0;
}

static const char *path_of(int64_t gateway, const char *rest)
{
    static char path[4][120];
    static unsigned turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "/api/v1/gateways/%lld/%s", (long long)gateway, rest);
    return out;
}

static const char *session_path(int64_t id, const char *rest)
{
    static char path[4][120];
    static unsigned turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "/api/v1/remote-sessions/%lld%s", (long long)id, rest);
    return out;
}

static struct caller user(struct remote_world *w, const char *name, int64_t tenant,
                          enum access_role role)
{
    char login[80];
    make_user(w->api, name, tenant, role, tenant, 0);
    snprintf(login, sizeof login, tenant == 1 ? "%s" : "%s@acme", name);
    return (struct caller){.cookie = log_in(w->api, login), .network = 2};
}

static void enter(struct remote_world *w, int64_t id)
{
    struct amm_proxy_message message = {
        .type = AMM_PROXY_ENTERED,
        .entered = {.cookie = {9},
                    .at = w->api->m.now.wall,
                    .remote = {.ip = {203, 0, 113, 5}, .port = 1, .family = AMM_FAMILY_IPV4}}};
    snprintf(message.entered.label, sizeof message.entered.label, "%s",
             remote_world_session(w, id)->label);
    remote_world_say(w, &message);
}

static void say_key(struct remote_world *w, int64_t id, uint8_t key, bool changed)
{
    struct amm_proxy_message message = {.type = AMM_PROXY_KEY,
                                        .key = {.sha256 = {key}, .changed = changed}};
    snprintf(message.key.label, sizeof message.key.label, "%s", remote_world_session(w, id)->label);
    remote_world_say(w, &message);
}

/* Looked at, it has ended for that reason, and amm-proxyd was told to cut it. */
static void assert_ends(struct remote_world *w, int64_t id, const char *reason)
{
    char label[AMM_PROXY_LABEL + 1];
    snprintf(label, sizeof label, "%s", remote_world_session(w, id)->label);
    remote_world_tick(w);
    assert_string_equal(remote_world_end(w, id), reason);
    do {
        remote_world_expect(w, AMM_PROXY_CLOSE);
    } while (strcmp(w->last.ending.label, label) != 0);
    assert_null(remote_world_session(w, id)); /* its end is saved */
}

/* ---- opening ---- */

static void a_click_leads_to_the_one_gateway_through_its_tunnel(void **state)
{
    struct remote_world *w = *state;
    struct caller anna = user(w, "anna", 1, ROLE_OPERATOR);
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    uint64_t epoch = remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &anna, gateway);
    uint8_t ticket[32], hash[32];
    size_t len;
    assert_string_equal(member(w->api, "state"), "ready");
    assert_string_equal(member(w->api, "reason"), "case 4711");
    assert_non_null(strstr(member(w->api, "enter"), ".gw.example.net:8444/.amm/enter"));
    assert_true(amm_base64_decode(ticket, sizeof ticket, &len,
                                  amm_view_str(member(w->api, "ticket")), AMM_BASE64_URL));
    SHA256(ticket, sizeof ticket, hash);
    const struct amm_proxy_session *told = &remote_world_expect(w, AMM_PROXY_SESSION)->session;
    assert_memory_equal(told->ticket, hash, sizeof hash);
    assert_true(told->has_ticket && !told->has_cookie && !told->view_only);
    assert_int_equal(told->epoch, epoch);
    assert_int_equal(told->role, AMM_PROXY_USER);
    assert_int_equal(told->credentials, AMM_PROXY_ASSERTION);
    assert_int_equal(told->address.port, 9443);
    assert_int_equal(told->address.ip[0], 10);
    assert_string_equal(told->serial, "SN-truck-7");
    assert_string_equal(told->operator_name, "anna");
    assert_int_equal(told->operator_address.ip[2], 2);
    enter(w, id);
    remote_world_tick(w);
    remote_world_ask(w, &anna, 200, "GET", session_path(id, ""), NULL);
    assert_string_equal(member(w->api, "state"), "open");
    assert_string_equal(member(w->api, "remote"), "203.0.113.5:1");
    assert_string_equal(member(w->api, "ticket"), "");
}

static void who_may_only_look_gets_it_to_look_only(void **state)
{
    struct remote_world *w = *state;
    struct caller vera = user(w, "vera", 1, ROLE_VIEWER);
    int64_t gateway = remote_world_gateway(w, "box", "openvpn", 1);
    remote_world_up(w, gateway);
    remote_world_ask(w, &root, 204, "PUT", path_of(gateway, "page-credentials"),
                     "{\"type\":\"basic\",\"user\":\"admin\",\"password\":\"s3cret-word\"}");
    int64_t id = remote_world_open(w, &vera, gateway);
    const struct amm_proxy_session *told = &remote_world_expect(w, AMM_PROXY_SESSION)->session;
    assert_int_equal(told->role, AMM_PROXY_VIEWER);
    assert_true(told->view_only);
    assert_int_equal(told->credentials, AMM_PROXY_NO_CREDENTIALS);
    assert_string_equal(told->secret, "");
    remote_world_ask(w, &vera, 403, "POST", path_of(gateway, "remote-sessions"),
                     "{\"forward\":\"gateway:22\"}");
    remote_world_ask(w, &vera, 403, "GET", session_path(id, "/requests"), NULL);
    remote_world_ask(w, &vera, 204, "DELETE", session_path(id, ""), NULL); /* her own */
}

static void another_tenants_remote_sessions_are_not_there(void **state)
{
    struct remote_world *w = *state;
    int64_t acme = make_tenant(w->api, "acme");
    struct caller eve = user(w, "eve", acme, ROLE_TENANT_ADMIN);
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &root, gateway);
    remote_world_ask(w, &eve, 404, "POST", path_of(gateway, "remote-sessions"), "{}");
    remote_world_ask(w, &eve, 404, "GET", session_path(id, ""), NULL);
    remote_world_ask(w, &eve, 404, "DELETE", session_path(id, ""), NULL);
    remote_world_ask(w, &eve, 404, "POST", session_path(id, "/ticket"), "{}");
    remote_world_ask(w, &eve, 404, "GET", session_path(id, "/requests"), NULL);
    remote_world_ask(w, &eve, 200, "GET", "/api/v1/remote-sessions", NULL);
    assert_int_equal(json_array_size(json_object_get(w->api->answer.body, "items")), 0);
    struct caller other = user(w, "otto", 1, ROLE_OPERATOR);
    remote_world_ask(w, &other, 403, "POST", session_path(id, "/ticket"), "{}");
    remote_world_ask(w, &other, 204, "DELETE", session_path(id, ""), NULL);
    assert_string_equal(remote_world_end(w, id), "closed");
}

static void what_cannot_be_opened_says_why(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    const char *path = path_of(gateway, "remote-sessions");
    struct caller vera = user(w, "vera", 1, ROLE_VIEWER);
    remote_world_ask(w, &root, 409, "POST", path, "{}");
    assert_string_equal(member(w->api, "error"), "tunnel-down");
    assert_string_equal(member(w->api, "text"), "The tunnel has never been up.");
    assert_string_equal(member(w->api, "can_order"), "true");
    assert_true(strtol(member(w->api, "expected_wait"), NULL, 10) > 0);
    remote_world_ask(w, &vera, 409, "POST", path, "{\"order_tunnel\":true}");
    assert_string_equal(member(w->api, "error"), "cannot-order");
    remote_world_vanish(w);
    remote_world_ask(w, &root, 503, "POST", path, "{}");
    assert_string_equal(member(w->api, "error"), "remote-access-off");
    remote_world_ask(w, &root, 503, "POST",
                     path_of(remote_world_gateway(w, "b", "openvpn", 1), "remote-sessions"), "{}");
}

static void there_are_only_so_many(void **state)
{
    struct remote_world *w = *state;
    struct caller anna = user(w, "anna", 1, ROLE_OPERATOR);
    int64_t a = remote_world_gateway(w, "a", "amm", 1), b = remote_world_gateway(w, "b", "amm", 1);
    remote_world_up(w, a);
    remote_world_up(w, b);
    for (int i = 0; i < 3; i++) {
        remote_world_open(w, &anna, a);
    }
    remote_world_ask(w, &anna, 429, "POST", path_of(a, "remote-sessions"), "{}");
    remote_world_open(w, &anna, b);
    int64_t last = remote_world_open(w, &anna, b);
    remote_world_ask(w, &anna, 429, "POST", path_of(b, "remote-sessions"), "{}");
    remote_world_ask(w, &anna, 204, "DELETE", session_path(last, ""), NULL);
    remote_world_open(w, &anna, b);
}

/* ---- ends ---- */

static void it_ends_with_the_login(void **state)
{
    struct remote_world *w = *state;
    struct caller anna = user(w, "anna", 1, ROLE_OPERATOR);
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &anna, gateway);
    enter(w, id);
    remote_world_tick(w);
    assert_string_equal(remote_world_end(w, id), "");
    remote_world_ask(w, &anna, 204, "POST", "/api/v1/logout", NULL);
    assert_ends(w, id, "logout");
}

static void it_ends_with_the_right(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    int64_t anna_id = make_user(w->api, "anna", 1, ROLE_OPERATOR, 1, 0);
    struct caller anna = {.cookie = log_in(w->api, "anna")};
    char path[80];
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &anna, gateway);
    /* Less than he came with is as good as nothing. */
    snprintf(path, sizeof path, "/api/v1/users/%lld/roles", (long long)anna_id);
    remote_world_ask(w, &root, 201, "POST", path, "{\"role\":\"viewer\",\"tenant\":\"1\"}");
    remote_world_tick(w);
    assert_string_equal(remote_world_end(w, id), "");
    struct user *who = directory_user(w->api->m.directory, anna_id);
    snprintf(path, sizeof path, "/api/v1/users/%lld/roles/%lld", (long long)anna_id,
             (long long)who->bindings[0].id);
    remote_world_ask(w, &root, 204, "DELETE", path, NULL);
    assert_ends(w, id, "rights");
    id = remote_world_open(w, &anna, gateway); /* to look only */
    snprintf(path, sizeof path, "/api/v1/users/%lld", (long long)anna_id);
    remote_world_ask(w, &root, 200, "PATCH", path, "{\"disabled\":true}");
    assert_ends(w, id, "logout");
}

static void it_ends_with_the_token(void **state)
{
    struct remote_world *w = *state;
    struct caller anna = user(w, "anna", 1, ROLE_OPERATOR);
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    char token[SECRET_TEXT], path[80];
    remote_world_up(w, gateway);
    remote_world_ask(w, &anna, 201, "POST", "/api/v1/tokens",
                     "{\"name\":\"t\",\"role\":\"operator\"}");
    snprintf(token, sizeof token, "%s", member(w->api, "token"));
    snprintf(path, sizeof path, "/api/v1/tokens/%s", member(w->api, "id"));
    struct caller program = {.bearer = token};
    int64_t id = remote_world_open(w, &program, gateway);
    remote_world_ask(w, &anna, 204, "DELETE", path, NULL);
    assert_ends(w, id, "token");
}

static void it_ends_with_the_tunnel(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &root, gateway);
    remote_world_up(w, gateway); /* the same address, another tunnel */
    assert_ends(w, id, "tunnel");
    id = remote_world_open(w, &root, gateway);
    remote_world_down(w, gateway);
    assert_ends(w, id, "tunnel");
}

static void report_end(struct remote_world *w, int64_t gateway, const char *kind, const char *label)
{
    struct amm_checkin_event event = {.id = 1, .data = json_pack("{ss}", "label", label)};
    snprintf(event.kind, sizeof event.kind, "%s", kind);
    remote_take_event(&w->api->m, fleet_gateway_find(w->api->m.fleet, gateway), &event);
    json_decref(event.data);
}

static void it_ends_when_the_gateway_says_so(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    int64_t other = remote_world_gateway(w, "truck-8", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &root, gateway);
    char label[AMM_PROXY_LABEL + 1];
    snprintf(label, sizeof label, "%s", remote_world_session(w, id)->label);
    report_end(w, other, "remote-session-ended", label);
    report_end(w, gateway, "reboot", label);
    report_end(w, gateway, "remote-session-ended", "aaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_string_equal(remote_world_end(w, id), "");
    report_end(w, gateway, "remote-session-ended", label);
    assert_ends(w, id, amm_proxy_end_name(AMM_PROXY_END_GATEWAY));
}

static void it_ends_with_the_gateway(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &root, gateway);
    remote_world_ask(w, &root, 200, "POST", path_of(gateway, "quarantine"), "{}");
    assert_ends(w, id, "access");
    remote_world_ask(w, &root, 409, "POST", path_of(gateway, "remote-sessions"), "{}");
    assert_string_equal(member(w->api, "error"), "page-unavailable");
    remote_world_ask(w, &root, 200, "POST", path_of(gateway, "release"), "{}");
    id = remote_world_open(w, &root, gateway);
    struct amm_proxy_message message = {.type = AMM_PROXY_ENDED,
                                        .ending = {.reason = AMM_PROXY_END_GATEWAY}};
    snprintf(message.ending.label, sizeof message.ending.label, "%s",
             remote_world_session(w, id)->label);
    remote_world_say(w, &message);
    assert_string_equal(remote_world_end(w, id), "gateway");
    assert_string_equal(member(w->api, "end_reason"), "It was ended at the gateway.");
}

static void remove_gateway(struct manager *m, void *context)
{
    struct fleet_error error;
    assert_true(
        fleet_gateway_remove(m->fleet, fleet_gateway_find(m->fleet, *(int64_t *)context), &error));
}

static void it_ends_when_the_gateway_is_removed(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &root, gateway);
    assert_true(core_unit(&w->api->m, remove_gateway, &gateway));
    assert_ends(w, id, "removed");
    /* What was done there is still known. */
    remote_world_ask(w, &root, 200, "GET", session_path(id, ""), NULL);
    assert_string_equal(member(w->api, "gateway_name"), "truck-7");
}

static void it_ends_when_its_time_is_over(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    int64_t now = w->api->m.now.wall;
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &root, gateway);
    remote_world_session(w, id)->until = now - 1;
    assert_ends(w, id, "life");
    id = remote_world_open(w, &root, gateway);
    enter(w, id);
    remote_world_session(w, id)->entered_at = remote_world_session(w, id)->last_at = now - 970;
    assert_ends(w, id, "idle");
    id = remote_world_open(w, &root, gateway);
    remote_world_session(w, id)->ready_at = remote_world_session(w, id)->opened_at = now - 200;
    remote_world_session(w, id)->ticket_until = now - 170;
    assert_ends(w, id, "unused");
}

static void its_end_stands_in_the_audit_log(void **state)
{
    struct remote_world *w = *state;
    struct caller anna = user(w, "anna", 1, ROLE_OPERATOR);
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &anna, gateway);
    remote_world_ask(w, &anna, 204, "DELETE", session_path(id, ""), NULL);
    remote_world_tick(w);
    remote_world_ask(w, &root, 200, "GET", "/api/v1/audit", NULL);
    char *text = json_dumps(w->api->answer.body, JSON_COMPACT);
    assert_non_null(strstr(text, "remote session 1 opened: case 4711"));
    assert_non_null(strstr(text, "remote session ended"));
    assert_non_null(strstr(text, "gateway 1 truck-7"));
    free(text);
}

/* ---- restarts ---- */

static void a_proxy_that_comes_again_is_told_what_lives(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &root, gateway);
    enter(w, id);
    remote_world_vanish(w);
    remote_world_tick(w);
    assert_string_equal(remote_world_end(w, id), "");
    remote_world_serve(w);
    const struct amm_proxy_session *told = &remote_world_expect(w, AMM_PROXY_SESSION)->session;
    assert_true(told->has_cookie && told->cookie[0] == 9 && !told->has_ticket);
    remote_world_expect(w, AMM_PROXY_SYNCED);
}

static void a_restart_of_the_manager_loses_none(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &root, gateway);
    enter(w, id);
    remote_world_tick(w);
    remote_world_restart(w);
    /* The tunnel server has not been heard yet: nothing is known, which is not the same as down. */
    fleet_gateway_find(w->api->m.fleet, gateway)->tunnel.stale = true;
    remote_world_tick(w);
    assert_string_equal(remote_world_end(w, id), "");
    assert_true(remote_world_session(w, id)->has_cookie);
    assert_non_null(remote_assertion_key(&w->api->m)); /* the proxy need not be there */
    fleet_gateway_find(w->api->m.fleet, gateway)->tunnel.stale = false;
    remote_world_serve(w);
    assert_ends(w, id, "tunnel");
}

/* ---- keys ---- */

static void a_key_is_learned_once_and_another_waits_for_a_person(void **state)
{
    struct remote_world *w = *state;
    struct caller anna = user(w, "anna", 1, ROLE_OPERATOR);
    struct caller chief = user(w, "chief", 1, ROLE_TENANT_ADMIN);
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &anna, gateway);
    assert_false(remote_world_expect(w, AMM_PROXY_SESSION)->session.has_pin);
    say_key(w, id, 5, false);
    remote_world_tick(w);
    remote_world_open(w, &anna, gateway);
    assert_int_equal(remote_world_expect(w, AMM_PROXY_SESSION)->session.pin[0], 5);
    say_key(w, id, 6, true);
    assert_string_equal(remote_world_end(w, id), "key-changed");
    remote_world_ask(w, &anna, 409, "POST", path_of(gateway, "remote-sessions"), "{}");
    assert_string_equal(member(w->api, "error"), "page-key-changed");
    remote_world_ask(w, &anna, 200, "GET", path_of(gateway, "page-key"), NULL);
    char body[100];
    snprintf(body, sizeof body, "{\"sha256\":\"%s\"}", member(w->api, "new"));
    remote_world_ask(w, &anna, 403, "POST", path_of(gateway, "page-key"), body);
    remote_world_ask(w, &chief, 409, "POST", path_of(gateway, "page-key"),
                     "{\"sha256\":"
                     "\"0700000000000000000000000000000000000000000000000000000000000000\"}");
    remote_world_ask(w, &chief, 204, "POST", path_of(gateway, "page-key"), body);
    remote_world_tick(w);
    remote_world_open(w, &anna, gateway);
    do {
        remote_world_expect(w, AMM_PROXY_SESSION);
    } while (w->last.session.pin[0] != 6);
}

/* ---- credentials ---- */

static void credentials_are_never_given_back(void **state)
{
    struct remote_world *w = *state;
    struct caller anna = user(w, "anna", 1, ROLE_OPERATOR);
    int64_t gateway = remote_world_gateway(w, "box", "openvpn", 1);
    const char *path = path_of(gateway, "page-credentials");
    struct amm_span file;
    char error[256], name[AMM_CONF_TEXT];
    remote_world_up(w, gateway);
    remote_world_ask(w, &anna, 403, "PUT", path, "{\"type\":\"none\"}");
    remote_world_ask(w, &root, 204, "PUT", path,
                     "{\"type\":\"basic\",\"user\":\"admin\",\"password\":\"s3cret-word\"}");
    remote_world_ask(w, &anna, 200, "GET", path, NULL);
    assert_string_equal(member(w->api, "set"), "true");
    assert_string_equal(member(w->api, "password"), "");
    remote_world_open(w, &anna, gateway);
    const struct amm_proxy_session *told = &remote_world_expect(w, AMM_PROXY_SESSION)->session;
    assert_int_equal(told->credentials, AMM_PROXY_BASIC);
    assert_string_equal(told->user, "admin");
    assert_string_equal(told->secret, "s3cret-word");
    for (int i = 0; i < 2; i++) { /* neither the database nor its log has it */
        snprintf(name, sizeof name, "%s/fleet.db%s", w->api->folder, i ? "-wal" : "");
        if (amm_file_read(name, 64 << 20, &file, error, sizeof error)) {
            assert_null(memmem(file.data, file.len, "s3cret-word", 11));
            free(file.data);
        }
    }
    remote_world_ask(w, &root, 204, "DELETE", path, NULL);
    remote_world_ask(w, &anna, 200, "GET", path, NULL);
    assert_string_equal(member(w->api, "set"), "false");
}

static void the_page_of_a_router_is_where_its_record_says(void **state)
{
    struct remote_world *w = *state;
    int64_t ours = remote_world_gateway(w, "truck-7", "amm", 1);
    int64_t box = remote_world_gateway(w, "box", "openvpn", 1);
    char path[80];
    remote_world_up(w, box);
    int64_t id = remote_world_open(w, &root, box);
    assert_int_equal(remote_world_expect(w, AMM_PROXY_SESSION)->session.address.port, 443);
    snprintf(path, sizeof path, "/api/v1/gateways/%lld", (long long)box);
    remote_world_ask(w, &root, 200, "PATCH", path, "{\"page_scheme\":\"http\",\"page_port\":8080}");
    assert_ends(w, id, "moved");
    remote_world_open(w, &root, box);
    const struct amm_proxy_session *told = &remote_world_expect(w, AMM_PROXY_SESSION)->session;
    assert_int_equal(told->address.port, 8080);
    assert_int_equal(told->scheme, AMM_PROXY_HTTP);
    snprintf(path, sizeof path, "/api/v1/gateways/%lld", (long long)ours);
    remote_world_ask(w, &root, 409, "PATCH", path, "{\"page_port\":8080}");
}

/* ---- forwards ---- */

static void a_forward_needs_the_list(void **state)
{
    struct remote_world *w = *state;
    struct caller anna = user(w, "anna", 1, ROLE_OPERATOR);
    int64_t box = remote_world_gateway(w, "box", "openvpn", 1);
    const char *path = path_of(box, "remote-sessions");
    remote_world_up(w, box);
    remote_world_ask(w, &anna, 403, "POST", path, "{\"forward\":\"gateway:22\"}");
    assert_string_equal(member(w->api, "error"), "not-allowed");
    remote_world_ask(w, &anna, 403, "PUT", path_of(box, "forwards"), "{\"allow\":\"gateway:22\"}");
    remote_world_ask(w, &root, 400, "PUT", path_of(box, "forwards"), "{\"allow\":\"0.0.0.0/0\"}");
    remote_world_ask(w, &root, 200, "PUT", path_of(box, "forwards"),
                     "{\"allow\":\"gateway:22 192.168.1.0/24:80\"}");
    remote_world_ask(w, &anna, 201, "POST", path, "{\"forward\":\"gateway:22\"}");
    const struct amm_proxy_session *told = &remote_world_expect(w, AMM_PROXY_SESSION)->session;
    assert_int_equal(told->kind, AMM_PROXY_FORWARD);
    assert_int_equal(told->address.port, 22);
    remote_world_ask(w, &anna, 403, "POST", path, "{\"forward\":\"gateway:23\"}");
    remote_world_ask(w, &anna, 409, "POST", path, "{\"forward\":\"192.168.1.5:80\"}");
    assert_string_equal(member(w->api, "error"), "no-relay");
    remote_world_ask(w, &anna, 400, "POST", path, "{\"forward\":\"127.0.0.1:80\"}");
}

/* ---- a tunnel on demand ---- */

static void an_ordered_tunnel_makes_it_ready_by_itself(void **state)
{
    struct remote_world *w = *state;
    struct caller anna = user(w, "anna", 1, ROLE_OPERATOR);
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_ask(w, &anna, 202, "POST", path_of(gateway, "remote-sessions"),
                     "{\"order_tunnel\":true,\"minutes\":10}");
    int64_t id = strtoll(member(w->api, "id"), NULL, 10);
    assert_string_equal(member(w->api, "state"), "waiting");
    assert_string_equal(member(w->api, "url"), "null");
    remote_world_ask(w, &anna, 409, "POST", session_path(id, "/ticket"), "{}");
    remote_world_ask(w, &anna, 200, "GET", path_of(gateway, "operations"), NULL);
    assert_int_equal(json_array_size(json_object_get(w->api->answer.body, "items")), 1);
    char whole[40];
    snprintf(whole, sizeof whole, "/api/v1/gateways/%lld", (long long)gateway);
    remote_world_ask(w, &anna, 200, "GET", whole, NULL);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(w->api->answer.body, "page"), "state")),
        "waiting");
    uint64_t epoch = remote_world_up(w, gateway);
    remote_world_tick(w);
    assert_int_equal(remote_world_expect(w, AMM_PROXY_SESSION)->session.epoch, epoch);
    remote_world_ask(w, &anna, 200, "POST", session_path(id, "/ticket"), "{}");
    assert_string_equal(member(w->api, "state"), "ready");
    remote_world_expect(w, AMM_PROXY_TICKET);
}

static void one_that_waits_in_vain_ends(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_ask(w, &root, 202, "POST", path_of(gateway, "remote-sessions"),
                     "{\"order_tunnel\":true}");
    int64_t id = strtoll(member(w->api, "id"), NULL, 10);
    remote_world_session(w, id)->wait_until = w->api->m.now.wall - 1;
    assert_ends(w, id, "no-tunnel");
}

static void a_branch_keeps_its_tunnels_as_its_policy_says(void **state)
{
    struct remote_world *w = *state;
    int64_t group = make_group(w->api, 1, 0, "vans"), below = make_group(w->api, 1, group, "north");
    char path[80], tenant[] = "/api/v1/tenants/1/tunnel-policy";
    snprintf(path, sizeof path, "/api/v1/groups/%lld/tunnel-policy", (long long)group);
    struct fleet *fleet = w->api->m.fleet;
    const struct fleet_group *leaf = fleet_group_find(fleet, below);
    assert_true(fleet_tunnel_policy_wants(leaf, 0));
    remote_world_ask(w, &root, 200, "PUT", tenant, "{\"policy\":\"on-demand\"}");
    assert_false(fleet_tunnel_policy_wants(leaf, 0));
    remote_world_ask(w, &root, 400, "PUT", path, "{\"policy\":\"scheduled\"}");
    remote_world_ask(w, &root, 400, "PUT", path,
                     "{\"policy\":\"scheduled\",\"window\":\"24:00-06:00\"}");
    remote_world_ask(w, &root, 400, "PUT", path,
                     "{\"policy\":\"always\",\"window\":\"22:00-06:00\"}");
    remote_world_ask(w, &root, 200, "PUT", path,
                     "{\"policy\":\"scheduled\",\"window\":\"22:00-06:00\"}");
    assert_string_equal(member(w->api, "window"), "22:00-06:00");
    assert_true(fleet_tunnel_policy_wants(leaf, 23 * 3600));
    assert_true(fleet_tunnel_policy_wants(leaf, 86400 + 5 * 3600));
    assert_false(fleet_tunnel_policy_wants(leaf, 6 * 3600));
    remote_world_ask(w, &root, 200, "PUT", path, "{\"policy\":\"on-demand\"}");
    assert_int_equal(fleet_group_find(fleet, group)->template.n, 1);
    assert_string_equal(fleet_group_find(fleet, group)->template.at[0].value, "Disable");
    remote_world_ask(w, &root, 200, "PUT", path, "{\"policy\":\"inherit\"}");
    assert_int_equal(fleet_group_find(fleet, group)->template.n, 0);
}

/* ---- the log, and the test ---- */

static void what_was_asked_is_kept(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_up(w, gateway);
    int64_t id = remote_world_open(w, &root, gateway);
    enter(w, id);
    struct amm_proxy_message message = {.type = AMM_PROXY_REQUESTS_ARE,
                                        .requests = {.n = 1,
                                                     .list = {{.kind = AMM_PROXY_REQUEST_PAGE,
                                                               .status = 200,
                                                               .at = w->api->m.now.wall,
                                                               .bytes_in = 5,
                                                               .bytes_out = 700,
                                                               .method = "POST",
                                                               .path = "/admin/reboot"}}}};
    snprintf(message.requests.list[0].label, sizeof message.requests.list[0].label, "%s",
             remote_world_session(w, id)->label);
    remote_world_say(w, &message);
    remote_world_ask(w, &root, 200, "GET", session_path(id, "/requests"), NULL);
    const json_t *row = json_array_get(json_object_get(w->api->answer.body, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "path")), "/admin/reboot");
    remote_world_ask(w, &root, 200, "GET", session_path(id, ""), NULL);
    assert_string_equal(member(w->api, "bytes_out"), "700");
    assert_string_equal(member(w->api, "requests"), "1");
}

static void a_test_says_step_by_step(void **state)
{
    struct remote_world *w = *state;
    int64_t gateway = remote_world_gateway(w, "truck-7", "amm", 1);
    remote_world_ask(w, &root, 200, "POST", path_of(gateway, "test"), "{}");
    const json_t *steps = json_object_get(w->api->answer.body, "steps");
    assert_int_equal(json_array_size(steps), 1);
    assert_true(json_is_false(json_object_get(json_array_get(steps, 0), "ok")));
    remote_world_up(w, gateway);
    remote_world_ask(w, &root, 200, "POST", path_of(gateway, "test"), "{}");
    assert_int_equal(json_array_size(json_object_get(w->api->answer.body, "steps")), 5);
}

static void words_of_a_session_that_is_not_known_are_answered(void **state)
{
    struct remote_world *w = *state;
    struct amm_proxy_message message = {.type = AMM_PROXY_ACTIVE,
                                        .active = {.label = "aaaaaaaaaaaaaaaaaaaaaaaaaa"}};
    remote_world_say(w, &message);
    assert_int_equal(remote_world_expect(w, AMM_PROXY_CLOSE)->ending.reason, AMM_PROXY_END_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_click_leads_to_the_one_gateway_through_its_tunnel),
        TEST(who_may_only_look_gets_it_to_look_only),
        TEST(another_tenants_remote_sessions_are_not_there),
        TEST(what_cannot_be_opened_says_why),
        TEST(there_are_only_so_many),
        TEST(it_ends_with_the_login),
        TEST(it_ends_with_the_right),
        TEST(it_ends_with_the_token),
        TEST(it_ends_with_the_tunnel),
        TEST(it_ends_when_the_gateway_says_so),
        TEST(it_ends_with_the_gateway),
        TEST(it_ends_when_the_gateway_is_removed),
        TEST(it_ends_when_its_time_is_over),
        TEST(its_end_stands_in_the_audit_log),
        TEST(a_proxy_that_comes_again_is_told_what_lives),
        TEST(a_restart_of_the_manager_loses_none),
        TEST(a_key_is_learned_once_and_another_waits_for_a_person),
        TEST(credentials_are_never_given_back),
        TEST(the_page_of_a_router_is_where_its_record_says),
        TEST(a_forward_needs_the_list),
        TEST(an_ordered_tunnel_makes_it_ready_by_itself),
        TEST(one_that_waits_in_vain_ends),
        TEST(a_branch_keeps_its_tunnels_as_its_policy_says),
        TEST(what_was_asked_is_kept),
        TEST(a_test_says_step_by_step),
        TEST(words_of_a_session_that_is_not_known_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
