#include "tunnel_world.h"

#include "domain/msci.h"
#include "io/file.h"
#include "io/unix.h"
#include "manager/metrics.h"
#include "manager/parameters.h"
#include "manager/stream.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the manager's core, in miniature ---- */

struct call {
    void (*run)(struct manager *m, void *data);
    void *data;
};

enum { TIMERS = 16, WATCHES = 8, SHOWN = 8 };

static struct tunnel_world *here;
static struct call posted[TUNNEL_WORLD_POSTED], undo[TUNNEL_WORLD_NOTES], after[TUNNEL_WORLD_NOTES];
static size_t n_posted, n_undo, n_after;
static struct manager_timer *timers[TIMERS];
static struct manager_watch *watches[WATCHES];
static unsigned interests[WATCHES];
static struct amm_ipc_peer shown[SHOWN];
static size_t n_shown;

static void note(struct call *calls, size_t *n, void (*run)(struct manager *, void *),
                 const void *data, size_t len)
{
    void *copy = malloc(len + 1);
    assert_true(*n < TUNNEL_WORLD_NOTES && copy != NULL);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    calls[(*n)++] = (struct call){run, copy};
}

void manager_undo(struct manager *m, void (*run)(struct manager *, void *), const void *data,
                  size_t len)
{
    (void)m;
    note(undo, &n_undo, run, data, len);
}

void manager_after(struct manager *m, void (*run)(struct manager *, void *), const void *data,
                   size_t len)
{
    (void)m;
    note(after, &n_after, run, data, len);
}

void manager_fail(struct manager *m)
{
    (void)m;
    here->unit_failed = true;
}

void manager_post(struct manager *m, void (*run)(struct manager *, void *), void *context)
{
    (void)m;
    assert_true(n_posted < TUNNEL_WORLD_POSTED);
    posted[n_posted++] = (struct call){run, context};
}

void manager_timer_set(struct manager *m, struct manager_timer *timer, amm_time at)
{
    (void)m;
    unsigned i = timer->position;
    for (i = 0; i < TIMERS && timers[i] != timer; i++) {
    }
    for (unsigned j = 0; i == TIMERS && j < TIMERS; j++) {
        i = timers[j] == NULL ? j : i;
    }
    assert_true(i < TIMERS);
    timer->at = at;
    timers[i] = at == AMM_NEVER ? NULL : timer;
}

bool manager_watch_add(struct manager *m, struct manager_watch *watch, unsigned interest)
{
    (void)m;
    for (unsigned i = 0; i < WATCHES; i++) {
        if (watches[i] == NULL) {
            watches[i] = watch;
            interests[i] = interest;
            return true;
        }
    }
    return false;
}

void manager_watch_remove(struct manager *m, struct manager_watch *watch)
{
    (void)m;
    for (unsigned i = 0; i < WATCHES; i++) {
        watches[i] = watches[i] == watch ? NULL : watches[i];
    }
}

bool manager_listen_tunnel(struct manager *m, int fd)
{
    (void)m;
    close(fd);
    return true;
}

void manager_unlisten_tunnel(struct manager *m)
{
    (void)m;
}

enum amm_store_result manager_store_state(const struct manager *m)
{
    (void)m;
    return here->store_is_full ? AMM_STORE_FULL : AMM_STORE_OK;
}

bool stream_is_heard(const struct manager *m)
{
    (void)m;
    return true;
}

void stream_publish(struct manager *m, const struct access_object *scope, const char *kind,
                    json_t *data)
{
    (void)m;
    assert_string_equal(kind, "tunnel");
    assert_true(scope->tenant != 0);
    assert_non_null(data);
    json_decref(data);
}

void metrics_add(struct metrics *out, enum metric_kind kind, const char *name, const char *help,
                 const char *labels, double value)
{
    (void)out, (void)kind, (void)name, (void)help, (void)labels, (void)value;
}

/* Ends the unit and its batch as core.c does. */
void tunnel_world_end(struct tunnel_world *w)
{
    if (w->unit_failed) {
        amm_store_back(w->world.store);
        while (n_undo > 0) {
            n_undo--;
            undo[n_undo].run(&w->m, undo[n_undo].data);
            free(undo[n_undo].data);
        }
        while (n_after > 0) {
            free(after[--n_after].data);
        }
        fleet_rollback(w->world.fleet, 0);
        assert_int_equal(amm_store_commit(w->world.store), AMM_STORE_OK);
        return;
    }
    world_commit(&w->world);
    while (n_undo > 0) {
        free(undo[--n_undo].data);
    }
    for (size_t i = 0; i < n_after; i++) {
        after[i].run(&w->m, after[i].data);
        free(after[i].data);
    }
    n_after = 0;
}

void tunnel_world_begin(struct tunnel_world *w)
{
    w->unit_failed = false;
    world_begin(&w->world);
}

static void run_posted(struct tunnel_world *w)
{
    for (size_t i = 0; i < n_posted; i++) {
        tunnel_world_begin(w);
        posted[i].run(&w->m, posted[i].data);
        tunnel_world_end(w);
    }
    n_posted = 0;
}

static bool fire_timers(struct tunnel_world *w)
{
    bool fired = false;
    for (unsigned i = 0; i < TIMERS; i++) {
        struct manager_timer *timer = timers[i];
        if (timer != NULL && timer->at <= w->m.now.mono) {
            timers[i] = NULL;
            tunnel_world_begin(w);
            timer->fire(&w->m, timer);
            tunnel_world_end(w);
            fired = true;
        }
    }
    return fired;
}

static bool serve_watches(struct tunnel_world *w)
{
    bool served = false;
    for (unsigned i = 0; i < WATCHES; i++) {
        struct manager_watch *watch = watches[i];
        struct pollfd ask = {.fd = watch != NULL ? watch->fd : -1, .events = POLLIN};
        if (watch != NULL && poll(&ask, 1, 0) == 1) {
            struct amm_ready ready = {.readable = true};
            tunnel_world_begin(w);
            watch->ready(&w->m, watch, &ready);
            tunnel_world_end(w);
            served = true;
        }
    }
    return served;
}

/* ---- the tunnel server ---- */

static void say(int fd, const struct amm_ipc_message *message)
{
    uint8_t packet[AMM_IPC_MAX];
    size_t len = amm_ipc_encode(message, packet, sizeof packet);
    assert_true(len > 0);
    assert_int_equal(amm_unix_send(fd, amm_view(packet, len), NULL, 0), AMM_UNIX_OK);
}

static void say_status(struct tunnel_world *w, int fd)
{
    struct amm_ipc_message message = {.type = AMM_IPC_SERVER,
                                      .server = {.version = "test", .started = 1700000000}};
    say(fd, &message);
    for (size_t i = 0; i < w->config.tunneld.n_ports; i++) {
        const struct amm_port_config *port = &w->config.tunneld.ports[i];
        message = (struct amm_ipc_message){.type = AMM_IPC_PORT,
                                           .port = {.port = port->port,
                                                    .network = port->pool.network,
                                                    .prefix = port->pool.prefix,
                                                    .limit = port->limit,
                                                    .ping = 60}};
        say(fd, &message);
    }
    for (size_t i = 0; i < n_shown; i++) {
        message = (struct amm_ipc_message){.type = AMM_IPC_PEER, .peer = shown[i]};
        say(fd, &message);
    }
    say(fd, &(struct amm_ipc_message){.type = AMM_IPC_DONE});
}

static void answer(struct tunnel_world *w, int *fd, const struct amm_ipc_message *request)
{
    struct amm_ipc_message done = {.type = AMM_IPC_DONE};
    if (request->type == AMM_IPC_WATCH) {
        w->watch = *fd;
        say_status(w, *fd);
        *fd = -1;
        return;
    }
    if (request->type == AMM_IPC_RELOAD) {
        w->reloads++;
        if (w->reload_answer != NULL) {
            done.type = AMM_IPC_FAILED;
            snprintf(done.text, sizeof done.text, "%s", w->reload_answer);
        }
    } else if (request->type == AMM_IPC_KICK) {
        snprintf(w->kicked, sizeof w->kicked, "%s", request->ask.name);
    }
    say(*fd, &done);
}

static bool serve_link(struct tunnel_world *w)
{
    static int fresh[2] = {-1, -1};
    bool served = false;
    int fd;
    while (w->listening >= 0 && (fd = amm_unix_accept(w->listening)) >= 0) {
        unsigned i = fresh[0] < 0 ? 0 : 1;
        assert_true(fresh[i] < 0);
        fresh[i] = fd;
        served = true;
    }
    for (unsigned i = 0; i < 2; i++) {
        uint8_t packet[AMM_IPC_MAX];
        size_t len, none = 0;
        struct amm_ipc_message request;
        if (fresh[i] < 0) {
            continue;
        }
        enum amm_unix_result got =
            amm_unix_receive(fresh[i], (struct amm_span){packet, sizeof packet}, &len, NULL, &none);
        if (got == AMM_UNIX_CLOSED || w->listening < 0) {
            close(fresh[i]);
            fresh[i] = -1;
        } else if (got == AMM_UNIX_OK) {
            assert_true(amm_ipc_decode(&request, amm_view(packet, len)));
            answer(w, &fresh[i], &request);
            served = true;
        }
    }
    return served;
}

void tunnel_world_settle(struct tunnel_world *w)
{
    for (unsigned i = 0;; i++) {
        bool more = serve_link(w);
        more |= serve_watches(w);
        more |= n_posted > 0;
        run_posted(w);
        more |= fire_timers(w);
        if (!more) {
            return;
        }
        assert_true(i < 1000000); /* it never comes to rest */
    }
}

void tunnel_world_wait(struct tunnel_world *w, amm_duration time)
{
    amm_time end = w->m.now.mono + time;
    for (;;) {
        amm_time next = end;
        for (unsigned i = 0; i < TIMERS; i++) {
            next = timers[i] != NULL ? amm_time_min(next, timers[i]->at) : next;
        }
        next = next > w->m.now.mono ? next : w->m.now.mono;
        w->m.now.wall += next / AMM_SECOND - w->m.now.mono / AMM_SECOND;
        w->m.now.mono = next;
        w->world.now = w->m.now.wall;
        tunnel_world_settle(w);
        if (next == end) {
            return;
        }
    }
}

static void socket_path(const struct tunnel_world *w, char *out, size_t room)
{
    snprintf(out, room, "%s/tunneld.sock", w->world.folder);
}

void tunnel_world_show(struct tunnel_world *w, const struct amm_ipc_peer *peer)
{
    (void)w;
    assert_true(n_shown < SHOWN);
    shown[n_shown++] = *peer;
}

void tunnel_world_serve(struct tunnel_world *w)
{
    char path[160], error[128];
    socket_path(w, path, sizeof path);
    w->listening = amm_unix_listen(path, 0600, (gid_t)-1, error, sizeof error);
    assert_true(w->listening >= 0);
    tunnel_world_wait(w, 6 * AMM_SECOND);
    assert_true(tunnel_link_is_up(w->t));
    n_shown = 0;
}

void tunnel_world_vanish(struct tunnel_world *w)
{
    char path[160];
    socket_path(w, path, sizeof path);
    close(w->listening);
    unlink(path);
    w->listening = -1;
    close(w->watch);
    tunnel_world_settle(w);
    assert_false(tunnel_link_is_up(w->t));
}

void tunnel_world_event(struct tunnel_world *w, enum amm_ipc_event_kind kind,
                        const struct fleet_gateway *gateway, uint16_t port, uint32_t peer_id,
                        const char *from, const char *reason)
{
    struct amm_ipc_message message = {
        .type = AMM_IPC_EVENT,
        .event = {.kind = (uint8_t)kind,
                  .at = w->m.now.wall,
                  .port = port,
                  .transport = AMM_UDP,
                  .peer_id = peer_id,
                  .inner_ip = places_address(w->t->places, port, amm_peer_id_slot(peer_id))}};
    char name[FLEET_TUNNEL_NAME];
    fleet_tunnel_name(gateway, name);
    snprintf(message.event.name, sizeof message.event.name, "%.64s", name);
    snprintf(message.event.reason, sizeof message.event.reason, "%s", reason);
    assert_true(amm_address_parse(&message.event.remote, from, 0));
    say(w->watch, &message);
    tunnel_world_settle(w);
}

/* ---- the module ---- */

static void configure(struct tunnel_world *w, uint32_t limit)
{
    static const char *const pools[] = {"10.4.32.0/19", "10.4.96.0/19", "10.4.160.0/19",
                                        "10.4.224.0/19"};
    struct amm_tunneld_config *tunneld = &w->config.tunneld;
    snprintf(tunneld->roster, sizeof tunneld->roster, "%s/gateways.conf", w->world.folder);
    socket_path(w, tunneld->control_socket, sizeof tunneld->control_socket);
    tunneld->n_ports = 4;
    for (unsigned i = 0; i < 4; i++) {
        tunneld->ports[i].port = (uint16_t)(1190 + i);
        tunneld->ports[i].limit = limit;
        assert_true(amm_pool_parse(&tunneld->ports[i].pool, pools[i], AMM_NET30));
    }
}

static void start(struct tunnel_world *w)
{
    char error[256] = "";
    w->m.store = w->world.store;
    w->m.fleet = w->world.fleet;
    tunnel_world_begin(w);
    if (!tunnel_module.start(&w->m, error, sizeof error)) {
        fail_msg("%s", error);
    }
    w->t = w->m.tunnel;
    tunnel_world_end(w);
    tunnel_world_settle(w);
}

struct tunnel_world *tunnel_world_new(uint32_t limit)
{
    struct tunnel_world *w = calloc(1, sizeof *w);
    here = w;
    n_posted = n_undo = n_after = n_shown = 0;
    memset(timers, 0, sizeof timers);
    memset(watches, 0, sizeof watches);
    world_open(&w->world);
    w->listening = w->watch = w->command = -1;
    w->m.config = &w->config;
    w->m.now = (struct amm_now){.mono = 1000 * AMM_SECOND, .wall = w->world.now};
    configure(w, limit);
    start(w);
    return w;
}

void tunnel_world_restart(struct tunnel_world *w)
{
    tunnel_module.stop(&w->m);
    n_posted = 0;
    memset(timers, 0, sizeof timers);
    memset(watches, 0, sizeof watches);
    world_restart(&w->world);
    start(w);
}

void tunnel_world_free(struct tunnel_world *w)
{
    if (w->listening >= 0) {
        tunnel_world_vanish(w);
        serve_link(w);
    }
    tunnel_module.stop(&w->m);
    unlink(w->config.tunneld.roster);
    world_close(&w->world);
    free(w);
}

struct fleet_gateway *tunnel_world_gateway(struct tunnel_world *w, const char *name,
                                           enum fleet_kind kind)
{
    struct fleet_gateway_new what = {
        .group = fleet_tenant_by_slug(w->world.fleet, "main")->root, .name = name, .kind = kind};
    tunnel_world_begin(w);
    struct fleet_gateway *gateway =
        fleet_gateway_add(w->world.fleet, &what, w->m.now.wall, &w->world.error);
    assert_non_null(gateway);
    assert_true(fleet_gateway_set_access(w->world.fleet, gateway, FLEET_ADMITTED, NULL,
                                         w->m.now.wall, &w->world.error));
    if (kind == FLEET_OURS) {
        assert_true(parameters_set_one(w->world.fleet, gateway, AMM_MSCI_TUNNEL, "Enable", "test",
                                       w->m.now.wall, &w->world.error));
    }
    tunnel_world_end(w);
    tunnel_world_settle(w);
    return gateway;
}

void tunnel_world_checkin(struct tunnel_world *w, struct fleet_gateway *gateway,
                          const char *parameters, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"v\":1,\"seq\":%llu,\"base\":\"\",\"hash\":\"00000000000000aa\",\"revision\":%lld,"
             "\"parameters\":{%s}%s}",
             (unsigned long long)gateway->seq + 1, (long long)gateway->revision, parameters, more);
    json_t *reply = world_checkin(&w->world, gateway->id, text);
    assert_non_null(reply);
    json_decref(reply);
    tunnel_world_settle(w);
}

bool tunnel_world_desire(struct tunnel_world *w, struct fleet_gateway *gateway, unsigned port)
{
    json_t *values = json_pack("{s:i}", "10034", (int)port);
    tunnel_world_begin(w);
    bool ok = parameters_set(w->world.fleet, gateway, values, "anna@main", w->m.now.wall,
                             &w->world.error);
    w->unit_failed = !ok;
    tunnel_world_end(w);
    json_decref(values);
    tunnel_world_settle(w);
    return ok;
}

/* ---- what came of it ---- */

const char *tunnel_world_file(struct tunnel_world *w)
{
    static char text[65536];
    char error[128];
    struct amm_span file;
    if (!amm_file_read(w->config.tunneld.roster, sizeof text - 1, &file, error, sizeof error)) {
        fail_msg("%s", error);
    }
    const char *body = strchr((const char *)file.data, '\n');
    snprintf(text, sizeof text, "%s", body != NULL ? body + 1 : "");
    free(file.data);
    return text;
}

int64_t tunnel_world_events(struct tunnel_world *w, const struct fleet_gateway *gateway,
                            const char *kind)
{
    int64_t n = 0;
    struct amm_rows *rows =
        amm_store_query(w->world.store, AMM_SQL_EVENT_OF_GATEWAY,
                        AMM_WITH(amm_number(gateway->id), amm_number(gateway->group->tenant->id),
                                 amm_number(INT64_MAX), amm_number(1000000)));
    while (amm_rows_next(rows)) {
        char found[64];
        amm_rows_text(rows, 5, found, sizeof found);
        n += strcmp(found, kind) == 0;
    }
    amm_rows_end(rows);
    return n;
}
