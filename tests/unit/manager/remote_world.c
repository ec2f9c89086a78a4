#include "remote_world.h"

#include "io/clock.h"
#include "io/unix.h"
#include "manager/tunnel.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- life ---- */

static void start(struct manager *m, void *context)
{
    char error[512] = "";
    (void)context;
    bool ok = tunnel_module.start(m, error, sizeof error) &&
              remote_module.prepare(m, error, sizeof error) &&
              remote_module.start(m, error, sizeof error);
    if (!ok) {
        fail_msg("%s", error);
    }
}

static void configure(struct manager_config *config, const char *folder)
{
    struct amm_tunneld_config *tunneld = &config->tunneld;
    snprintf(tunneld->roster, AMM_CONF_TEXT, "%s/gateways.conf", folder);
    snprintf(tunneld->control_socket, AMM_CONF_TEXT, "%s/tunneld.sock", folder);
    snprintf(tunneld->proxy_user, AMM_CONF_TEXT, "%u", (unsigned)geteuid());
    snprintf(config->remote_socket, AMM_CONF_TEXT, "%s/remote.sock", folder);
    snprintf(config->credentials_key, AMM_CONF_TEXT, "%s/credentials.key", folder);
    config->remote_idle = 900;
    config->remote_life = 28800;
    config->remote_of_user = 5;
    config->remote_of_gateway = 3;
    tunneld->n_ports = 1;
    tunneld->ports[0].port = 1190;
    tunneld->ports[0].limit = 100;
    assert_true(amm_pool_parse(&tunneld->ports[0].pool, "10.4.32.0/19", AMM_NET30));
}

struct remote_world *remote_world_new(void)
{
    struct remote_world *w = calloc(1, sizeof *w);
    w->proxy = -1;
    w->api = api_world_new();
    configure(&w->api->config, w->api->folder);
    assert_true(core_unit(&w->api->m, start, NULL));
    return w;
}

static void stop(struct remote_world *w)
{
    remote_world_vanish(w);
    remote_module.stop(&w->api->m);
    tunnel_module.stop(&w->api->m);
}

void remote_world_free(struct remote_world *w)
{
    stop(w);
    api_world_free(w->api);
    free(w);
}

void remote_world_restart(struct remote_world *w)
{
    stop(w);
    for (size_t i = 0; i < fleet_gateway_count(w->api->m.fleet); i++) {
        fleet_gateway_at(w->api->m.fleet, i)->tunnel = (struct fleet_tunnel){0};
    }
    assert_true(core_unit(&w->api->m, start, NULL));
}

/* ---- amm-proxyd ---- */

void remote_world_say(struct remote_world *w, const struct amm_proxy_message *message)
{
    uint8_t bytes[AMM_PROXY_MAX];
    size_t len = amm_proxy_encode(message, bytes, sizeof bytes);
    assert_true(len > 0);
    assert_int_equal(amm_unix_send(w->proxy, amm_view(bytes, len), NULL, 0), AMM_UNIX_OK);
    core_step(&w->api->m, true);
}

static void answer_test(struct remote_world *w, const struct amm_proxy_test *test)
{
    struct amm_proxy_message message = {.type = AMM_PROXY_RESULT, .result = {.id = test->id}};
    for (uint8_t step = 0; step <= AMM_PROXY_STEP_LAST; step++) {
        if (test->steps & 1 << step) {
            message.result.list[message.result.n++] = (struct amm_proxy_step_result){
                .step = step, .verdict = AMM_PROXY_STEP_OK, .milliseconds = 3, .text = "good"};
        }
    }
    remote_world_say(w, &message);
}

/* One message, if there is one. */
static bool receive(struct remote_world *w)
{
    uint8_t bytes[AMM_PROXY_MAX];
    size_t len;
    if (w->proxy < 0 || amm_unix_receive(w->proxy, (struct amm_span){bytes, sizeof bytes}, &len,
                                         NULL, NULL) != AMM_UNIX_OK) {
        return false;
    }
    assert_true(amm_proxy_decode(&w->last, amm_view(bytes, len)));
    if (w->last.type == AMM_PROXY_TEST) {
        struct amm_proxy_test test = w->last.test;
        answer_test(w, &test);
    }
    return true;
}

const struct amm_proxy_message *remote_world_expect(struct remote_world *w, uint8_t type)
{
    do {
        if (!receive(w)) {
            fail_msg("amm-proxyd was not told what it should be (%u)", type);
        }
    } while (w->last.type != type);
    return &w->last;
}

void remote_world_serve(struct remote_world *w)
{
    char error[256];
    struct amm_proxy_message hello = {.type = AMM_PROXY_HELLO,
                                      .hello = {.pid = 7,
                                                .secure = 1,
                                                .port = 8444,
                                                .domain = "gw.example.net",
                                                .has_assertion_key = 1,
                                                .assertion_key = {1, 2, 3}}};
    w->proxy = amm_unix_connect(w->api->config.remote_socket, error, sizeof error);
    assert_true(w->proxy >= 0);
    while (w->api->m.remote->link.peer.fd < 0) {
        core_step(&w->api->m, true);
    }
    remote_world_say(w, &hello);
    remote_world_expect(w, AMM_PROXY_WELCOME);
}

void remote_world_vanish(struct remote_world *w)
{
    if (w->proxy >= 0) {
        close(w->proxy);
        w->proxy = -1;
        while (w->api->m.remote->link.peer.fd >= 0) {
            core_step(&w->api->m, true);
        }
    }
}

void remote_world_tick(struct remote_world *w)
{
    struct manager *m = &w->api->m;
    manager_timer_set(m, &m->remote->tick, m->now.mono);
    core_step(m, true);
}

/* ---- requests ---- */

void remote_world_ask(struct remote_world *w, const struct caller *who, int status,
                      const char *method, const char *target, const char *body)
{
    call_begin(w->api, who, method, target, body);
    while (!w->api->answer.is_there) {
        core_step(&w->api->m, !(w->proxy >= 0));
        while (!w->api->answer.is_there && w->proxy >= 0) {
            struct pollfd ready = {.fd = w->proxy, .events = POLLIN};
            if (poll(&ready, 1, 0) != 1 || !receive(w)) {
                break;
            }
        }
    }
    if (w->api->answer.status != status) {
        fail_msg("%s %s: %d %s %s", method, target, w->api->answer.status, member(w->api, "error"),
                 member(w->api, "text"));
    }
}

/* ---- gateways ---- */

static void admit(struct manager *m, void *context)
{
    struct fleet_error error;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, *(int64_t *)context);
    json_t *parameters = json_pack("{s:s, s:s}", "1172", "9443", "60001", "Enable");
    assert_true(
        fleet_gateway_set_access(m->fleet, gateway, FLEET_ADMITTED, NULL, m->now.wall, &error));
    gateway->first_checkin = gateway->last_checkin = m->now.wall;
    assert_true(values_merge(&gateway->reported, NULL, VALUES_PARAMETERS, parameters, NULL, NULL));
    json_decref(parameters);
    if (!tunnel_place(m, gateway, &error)) {
        fail_msg("%s", error.text);
    }
}

int64_t remote_world_gateway(struct remote_world *w, const char *name, const char *kind,
                             int64_t tenant)
{
    char body[200];
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"kind\":\"%s\",\"tenant\":\"%lld\",\"serial\":\"SN-%s\"}", name,
             kind, (long long)tenant, name);
    remote_world_ask(w, &root, 201, "POST", "/api/v1/gateways", body);
    int64_t id = strtoll(member(w->api, "id"), NULL, 10);
    assert_true(core_unit(&w->api->m, admit, &id));
    return id;
}

struct tunnelling {
    struct remote_world *w;
    int64_t gateway;
    bool is_up;
};

static void tell(struct manager *m, void *context)
{
    struct tunnelling *what = context;
    const struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, what->gateway);
    char name[FLEET_TUNNEL_NAME];
    uint32_t *generation = &what->w->generation;
    *generation += what->is_up;
    struct amm_ipc_event event = {
        .kind = what->is_up ? AMM_IPC_JOINED : AMM_IPC_LEFT,
        .port = gateway->tunnel.port,
        .peer_id = amm_peer_id(*generation % 1000, gateway->tunnel.slot),
        .inner_ip = 0x0a042000U + 4U * gateway->tunnel.slot + 2,
        .epoch = 1000 + *generation,
        .at = m->now.wall,
        .remote = {.ip = {198, 51, 100, 7}, .port = 1190, .family = AMM_FAMILY_IPV4}};
    fleet_tunnel_name(gateway, name);
    snprintf(event.name, sizeof event.name, "%.64s", name);
    snprintf(event.reason, sizeof event.reason, "%s", what->is_up ? "" : "exit");
    tunnel_event(m->tunnel, &event);
}

uint64_t remote_world_up(struct remote_world *w, int64_t gateway)
{
    struct tunnelling what = {w, gateway, true};
    if (fleet_gateway_find(w->api->m.fleet, gateway)->tunnel.up_port != 0) {
        remote_world_down(w, gateway); /* replaced */
    }
    assert_true(core_unit(&w->api->m, tell, &what));
    return 1000 + w->generation;
}

void remote_world_down(struct remote_world *w, int64_t gateway)
{
    struct tunnelling what = {w, gateway, false};
    assert_true(core_unit(&w->api->m, tell, &what));
}

/* ---- remote sessions ---- */

int64_t remote_world_open(struct remote_world *w, const struct caller *who, int64_t gateway)
{
    char path[80];
    snprintf(path, sizeof path, "/api/v1/gateways/%lld/remote-sessions", (long long)gateway);
    remote_world_ask(w, who, 201, "POST", path, "{\"reason\":\"case 4711\"}");
    return strtoll(member(w->api, "id"), NULL, 10);
}

struct remote_session *remote_world_session(struct remote_world *w, int64_t id)
{
    return remote_find(w->api->m.remote, id);
}

const char *remote_world_end(struct remote_world *w, int64_t id)
{
    char path[80];
    snprintf(path, sizeof path, "/api/v1/remote-sessions/%lld", (long long)id);
    remote_world_ask(w, &root, 200, "GET", path, NULL);
    return strcmp(member(w->api, "state"), "ended") == 0 ? member(w->api, "end") : "";
}
