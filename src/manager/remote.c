/* The remote sessions in memory: adding, ending, saving; and once a second the look at all of them
 * whether they may go on. */
#include "manager/remote_parts.h"

#include "io/log.h"
#include "manager/audit.h"
#include "manager/directory.h"
#include "manager/fleet_module.h"
#include "manager/metrics.h"
#include "manager/stream.h"
#include "manager/tunnel.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SAVE_SECONDS = 10, /* between two writings of numbers */
    KEPT = 90 * 86400, /* after the end */
    EXPIRE_AT_ONCE = 50,
};
#define TICK AMM_SECOND
#define EXPIRE_EVERY (10 * AMM_SECOND)
#define POLICIES_EVERY (20 * AMM_SECOND)

/* ---- names ---- */

static const struct {
    const char *name, *words;
} own_ends[] = {
    [REMOTE_END_NO_TUNNEL - REMOTE_END_NO_TUNNEL] = {"no-tunnel",
                                                     "The tunnel did not come up in time."},
    [REMOTE_END_TOKEN - REMOTE_END_NO_TUNNEL] = {"token", "The API token is no longer good."},
    [REMOTE_END_ACCESS -
        REMOTE_END_NO_TUNNEL] = {"access", "The gateway was put in quarantine or revoked."},
    [REMOTE_END_KEY -
        REMOTE_END_NO_TUNNEL] = {"key-changed", "The gateway's page shows another key."},
    [REMOTE_END_MOVED - REMOTE_END_NO_TUNNEL] = {"moved", "The gateway's page is elsewhere now."},
};
enum { OWN_ENDS = sizeof own_ends / sizeof own_ends[0] };

static bool is_own_end(unsigned end)
{
    return end >= REMOTE_END_NO_TUNNEL && end - REMOTE_END_NO_TUNNEL < OWN_ENDS;
}

const char *remote_end_name(unsigned end)
{
    return is_own_end(end) ? own_ends[end - REMOTE_END_NO_TUNNEL].name : amm_proxy_end_name(end);
}

const char *remote_end_words(unsigned end)
{
    return is_own_end(end) ? own_ends[end - REMOTE_END_NO_TUNNEL].words : amm_proxy_end_words(end);
}

const char *remote_state_name(const struct remote_session *session)
{
    return session->ended_at != 0     ? "ended"
           : session->epoch == 0      ? "waiting"
           : session->entered_at == 0 ? "ready"
                                      : "open";
}

/* ---- finding ---- */

/* The place of the first whose id is not smaller. */
static size_t place_of_id(const struct remote *remote, int64_t id)
{
    size_t low = 0, high = remote->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (remote->by_id[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t place_of_label(const struct remote *remote, const char *label)
{
    size_t low = 0, high = remote->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(remote->by_label[middle]->label, label) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct remote_session *remote_find(const struct remote *remote, int64_t id)
{
    size_t at = place_of_id(remote, id);
    return at < remote->n && remote->by_id[at]->id == id ? remote->by_id[at] : NULL;
}

struct remote_session *remote_find_label(const struct remote *remote, const char *label)
{
    size_t at = place_of_label(remote, label);
    return at < remote->n && strcmp(remote->by_label[at]->label, label) == 0 ? remote->by_label[at]
                                                                             : NULL;
}

unsigned remote_count_user(const struct remote *remote, uint8_t actor_kind, int64_t user)
{
    unsigned n = 0;
    for (size_t i = 0; i < remote->n; i++) {
        const struct remote_session *session = remote->by_id[i];
        bool is_same = user != 0 ? session->user == user : session->actor_kind == actor_kind;
        n += session->ended_at == 0 && is_same;
    }
    return n;
}

unsigned remote_count_gateway(const struct remote *remote, int64_t gateway, bool only_open)
{
    unsigned n = 0;
    for (size_t i = 0; i < remote->n; i++) {
        const struct remote_session *session = remote->by_id[i];
        n += session->ended_at == 0 && session->gateway == gateway &&
             (!only_open || session->entered_at != 0);
    }
    return n;
}

bool remote_is_awaited(const struct remote *remote, int64_t gateway)
{
    for (size_t i = 0; i < remote->n; i++) {
        const struct remote_session *session = remote->by_id[i];
        if (session->ended_at == 0 && session->gateway == gateway && session->epoch == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the two lists ---- */

static void insert(struct remote_session **list, size_t n, size_t at,
                   struct remote_session *session)
{
    memmove(&list[at + 1], &list[at], (n - at) * sizeof list[0]);
    list[at] = session;
}

static bool put_memory(struct remote *remote, struct remote_session *session)
{
    if (remote->n == remote->room) {
        size_t room = remote->room != 0 ? 2 * remote->room : 64;
        struct remote_session **by_id = realloc(remote->by_id, room * sizeof *by_id);
        remote->by_id = by_id != NULL ? by_id : remote->by_id;
        struct remote_session **by_label =
            by_id != NULL ? realloc(remote->by_label, room * sizeof *by_label) : NULL;
        if (by_label == NULL) {
            return false;
        }
        remote->by_label = by_label;
        remote->room = room;
    }
    insert(remote->by_label, remote->n, place_of_label(remote, session->label), session);
    insert(remote->by_id, remote->n, place_of_id(remote, session->id), session);
    remote->n++;
    return true;
}

static void drop_memory(struct remote *remote, int64_t id)
{
    struct remote_session *session = remote_find(remote, id);
    if (session == NULL) {
        return;
    }
    size_t id_at = place_of_id(remote, id), label_at = place_of_label(remote, session->label);
    remote->n--;
    memmove(&remote->by_id[id_at], &remote->by_id[id_at + 1],
            (remote->n - id_at) * sizeof remote->by_id[0]);
    memmove(&remote->by_label[label_at], &remote->by_label[label_at + 1],
            (remote->n - label_at) * sizeof remote->by_label[0]);
    amm_wipe(session, sizeof *session);
    free(session);
}

/* ---- changing ---- */

static void undo_add(struct manager *m, void *data)
{
    drop_memory(m->remote, *(int64_t *)data);
}

static void tell_proxy(struct manager *m, void *data)
{
    const struct remote_session *session = remote_find(m->remote, *(int64_t *)data);
    if (session != NULL) {
        remote_link_session(m, session);
    }
}

void remote_publish(struct manager *m, const struct remote_session *session)
{
    struct access_object place = remote_session_object(m, session);
    if (stream_is_heard(m)) {
        stream_publish(m, &place, "remote-session", remote_session_json(m, session));
    }
}

struct remote_session *remote_add(struct manager *m, const struct remote_session *made,
                                  enum amm_store_result *result)
{
    struct remote_session *session = malloc(sizeof *session);
    *result = AMM_STORE_FAILED;
    if (session == NULL) {
        return NULL;
    }
    *session = *made;
    *result = remote_session_insert(m, session);
    if (*result != AMM_STORE_OK || !put_memory(m->remote, session)) {
        free(session);
        return NULL;
    }
    session->saved_at = m->now.wall;
    m->remote->opened++;
    manager_undo(m, undo_add, &session->id, sizeof session->id);
    manager_after(m, tell_proxy, &session->id, sizeof session->id);
    remote_publish(m, session);
    return session;
}

void remote_changed(struct manager *m, struct remote_session *session, bool is_urgent)
{
    (void)m;
    session->is_dirty = true;
    session->is_urgent |= is_urgent;
}

void remote_make_ready(struct manager *m, struct remote_session *session,
                       const struct remote_target *target)
{
    session->epoch = target->epoch;
    session->inner_ip = target->inner_ip;
    session->port = session->port != 0 ? session->port : target->port;
    session->scheme = target->scheme;
    session->ready_at = m->now.wall;
    remote_changed(m, session, true);
    remote_link_session(m, session);
    remote_publish(m, session);
}

void remote_end(struct manager *m, struct remote_session *session, unsigned end, const char *by,
                bool tell_proxy_too)
{
    if (session->ended_at != 0) {
        return;
    }
    session->ended_at = m->now.wall;
    session->end = end;
    session->has_ticket = false;
    snprintf(session->ended_by, sizeof session->ended_by, "%s", by);
    remote_changed(m, session, true);
    if (tell_proxy_too) {
        remote_link_close(m, session->label, end); /* at once: a cut needs no disk */
    }
    m->remote->ended[end <= REMOTE_END_MOVED ? end : 0]++;
    remote_publish(m, session);
}

/* ---- may it go on? ---- */

static bool find_actor(struct manager *m, const struct remote_session *session, struct actor *actor)
{
    if (session->actor_kind == ACTOR_LOCAL) {
        directory_local_actor(actor);
        return true;
    }
    *actor = (struct actor){.kind = session->actor_kind, .credential = session->credential};
    return directory_actor_again(m, actor) && actor->user == session->user &&
           !actor->must_change_password;
}

static unsigned why_end_actor(struct manager *m, const struct remote_session *session,
                              const struct fleet_gateway *gateway)
{
    struct actor actor;
    struct access_object place = gateway_object(gateway);
    if (!find_actor(m, session, &actor)) {
        return session->actor_kind == ACTOR_TOKEN ? REMOTE_END_TOKEN : AMM_PROXY_END_LOGOUT;
    }
    enum access_action needed = session->role == AMM_PROXY_USER ? ACCESS_OPERATE : ACCESS_VIEW;
    return access_allows(m->fleet, &actor, needed, &place) ? REMOTE_END_NONE : AMM_PROXY_END_RIGHTS;
}

/* Of the page: it must be where it was. */
static bool is_moved(struct manager *m, const struct remote_session *session,
                     const struct fleet_gateway *gateway)
{
    struct remote_target target;
    if (session->kind != AMM_PROXY_PAGE) {
        return false;
    }
    remote_page_place(m, gateway, &target);
    return target.port != 0 && (target.port != session->port || target.scheme != session->scheme);
}

static unsigned why_end_gateway(struct manager *m, const struct remote_session *session,
                                const struct fleet_gateway *gateway)
{
    const struct remote_page *page = remote_page_find(m, session->gateway);
    struct tunnel_up up;
    if (gateway->group->tenant->id != session->tenant) {
        return AMM_PROXY_END_REMOVED;
    }
    if (!fleet_gateway_is_admitted(gateway)) {
        return REMOTE_END_ACCESS;
    }
    if (page != NULL && page->has_seen && session->kind == AMM_PROXY_PAGE) {
        return REMOTE_END_KEY;
    }
    if (session->epoch == 0) {
        return REMOTE_END_NONE;
    }
    if (!tunnel_is_up(m, gateway, &up)) {
        /* Behind a start of ours nothing is known for a moment, which is not the same as down. */
        return gateway->tunnel.stale ? REMOTE_END_NONE : AMM_PROXY_END_EPOCH;
    }
    if (up.epoch != session->epoch || up.inner_ip != session->inner_ip) {
        return AMM_PROXY_END_EPOCH;
    }
    return is_moved(m, session, gateway) ? REMOTE_END_MOVED : REMOTE_END_NONE;
}

static unsigned why_end_time(struct manager *m, const struct remote_session *session)
{
    int64_t now = m->now.wall;
    int64_t active =
        session->last_at > session->entered_at ? session->last_at : session->entered_at;
    if (now >= session->until) {
        return AMM_PROXY_END_LIFE;
    }
    if (session->epoch == 0) {
        return now >= session->wait_until ? REMOTE_END_NO_TUNNEL : REMOTE_END_NONE;
    }
    if (session->entered_at == 0) {
        int64_t from =
            session->ticket_until > session->ready_at ? session->ticket_until : session->ready_at;
        int64_t room =
            session->ready_at > session->opened_at ? REMOTE_ENTER_WAITED : REMOTE_ENTER_SECONDS;
        return now >= from + room ? AMM_PROXY_END_UNUSED : REMOTE_END_NONE;
    }
    /* amm-proxyd counts the idle time; this is for when it is away. ACTIVE comes each 10 s. */
    enum { SLACK = 60 };
    return now >= active + m->config->remote_idle + SLACK ? AMM_PROXY_END_IDLE : REMOTE_END_NONE;
}

unsigned remote_why_end(struct manager *m, const struct remote_session *session)
{
    const struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, session->gateway);
    if (gateway == NULL) {
        return AMM_PROXY_END_REMOVED;
    }
    unsigned end = why_end_actor(m, session, gateway);
    end = end != REMOTE_END_NONE ? end : why_end_gateway(m, session, gateway);
    return end != REMOTE_END_NONE ? end : why_end_time(m, session);
}

/* ---- once a second ---- */

static void saved_end(struct manager *m, void *data)
{
    drop_memory(m->remote, *(int64_t *)data);
}

static bool audit_end(struct manager *m, const struct remote_session *session)
{
    char object[FLEET_NAME_MAX + 40], detail[400];
    snprintf(object, sizeof object, "gateway %lld %s", (long long)session->gateway,
             session->gateway_name);
    snprintf(detail, sizeof detail,
             "remote session %lld of %s: %s %lld s, %llu requests, %llu bytes in, %llu out",
             (long long)session->id, session->operator_name, remote_end_words(session->end),
             (long long)(session->ended_at - session->opened_at),
             (unsigned long long)session->requests, (unsigned long long)session->bytes_in,
             (unsigned long long)session->bytes_out);
    return audit_add(m, &(struct audit_entry){
                            .tenant = session->tenant,
                            .actor = session->ended_by[0] != '\0' ? session->ended_by : "server",
                            .remote = "",
                            .action = "remote session ended",
                            .object = object,
                            .result = remote_end_name(session->end),
                            .detail = detail,
                        });
}

/* False: the store refuses; the next tick tries again. */
static bool save(struct manager *m, struct remote_session *session)
{
    if (remote_session_save(m, session) != AMM_STORE_OK) {
        return false;
    }
    if (session->ended_at != 0) {
        manager_after(m, saved_end, &session->id, sizeof session->id);
        return audit_end(m, session);
    }
    return true;
}

/* The unit of the tick was taken back: all of it is to be written again. */
static void undo_saved(struct manager *m, void *data)
{
    struct remote_session *session = remote_find(m->remote, *(int64_t *)data);
    if (session != NULL) {
        session->is_dirty = session->is_urgent = true;
    }
}

static void save_one(struct manager *m, struct remote_session *session)
{
    int64_t since = m->now.wall - session->saved_at;
    bool is_due = session->is_urgent || since >= SAVE_SECONDS || since < 0;
    if (!session->is_dirty || !is_due || manager_store_state(m) != AMM_STORE_OK) {
        return;
    }
    manager_undo(m, undo_saved, &session->id, sizeof session->id);
    if (!save(m, session)) {
        manager_fail(m);
        return;
    }
    session->is_dirty = session->is_urgent = false;
    session->saved_at = m->now.wall;
}

/* One that waits gets its tunnel as soon as there is one. */
static void look_for_tunnel(struct manager *m, struct remote_session *session)
{
    const struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, session->gateway);
    struct remote_target target;
    remote_page_judge(m, gateway, &target);
    if (target.epoch != 0 && (target.port != 0 || session->port != 0)) {
        remote_make_ready(m, session, &target);
    }
}

static void look_at(struct manager *m, struct remote_session *session)
{
    if (session->ended_at == 0) {
        unsigned end = remote_why_end(m, session);
        if (end != REMOTE_END_NONE) {
            remote_end(m, session, end, "", true);
        } else if (session->epoch == 0) {
            look_for_tunnel(m, session);
        }
    }
    save_one(m, session);
}

static void expire(struct manager *m)
{
    struct remote *remote = m->remote;
    if (m->now.mono >= remote->expire_at && manager_store_state(m) == AMM_STORE_OK) {
        remote->expire_at = amm_time_after(m->now.mono, EXPIRE_EVERY);
        amm_store_run(m->store, AMM_SQL_REMOTE_EXPIRE,
                      AMM_WITH(amm_number(m->now.wall - KEPT), amm_number(EXPIRE_AT_ONCE)));
    }
    if (m->now.mono >= remote->policies_at && manager_store_state(m) == AMM_STORE_OK) {
        remote->policies_at = amm_time_after(m->now.mono, POLICIES_EVERY);
        tunnel_policies_apply(m);
    }
}

static void tick(struct manager *m, struct manager_timer *timer)
{
    struct remote *remote = m->remote;
    manager_timer_set(m, timer, amm_time_after(m->now.mono, TICK));
    remote_tests_expire(m, false);
    for (size_t i = 0; i < remote->n; i++) {
        look_at(m, remote->by_id[i]);
    }
    expire(m);
}

/* Behind a commit: a gateway that is gone has no page. */
static void fleet_changed(void *context, const struct fleet_note *note)
{
    struct manager *m = context;
    if ((note->changes & FLEET_DELETED) != 0 && note->gateway_id != 0 && m->remote != NULL &&
        fleet_gateway_find(m->fleet, note->gateway_id) == NULL) {
        remote_page_forget(m, note->gateway_id);
    }
}

/* ---- JSON ---- */

struct access_object remote_session_object(struct manager *m, const struct remote_session *session)
{
    const struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, session->gateway);
    return gateway != NULL && gateway->group->tenant->id == session->tenant
               ? gateway_object(gateway)
               : (struct access_object){session->tenant, 0};
}

static void put_time(json_t *json, const char *name, int64_t at)
{
    json_object_set_new(json, name, at != 0 ? json_integer(at) : json_null());
}

json_t *remote_session_json(struct manager *m, const struct remote_session *session)
{
    char url[AMM_PROXY_HOST + 64];
    json_t *json = json_object();
    remote_link_url(m->remote, session->label, url, sizeof url);
    json_object_set_new(json, "id", job_json_id(session->id));
    json_object_set_new(json, "gateway", job_json_id(session->gateway));
    json_object_set_new(json, "gateway_name", json_string(session->gateway_name));
    json_object_set_new(json, "operator", json_string(session->operator_name));
    json_object_set_new(json, "role",
                        json_string(session->role == AMM_PROXY_VIEWER ? "viewer" : "user"));
    json_object_set_new(json, "reason", json_string(session->reason));
    json_object_set_new(json, "forward",
                        session->kind == AMM_PROXY_FORWARD ? json_string(session->forward)
                                                           : json_null());
    json_object_set_new(json, "state", json_string(remote_state_name(session)));
    put_time(json, "opened_at", session->opened_at);
    put_time(json, "ready_at", session->ready_at);
    put_time(json, "entered_at", session->entered_at);
    put_time(json, "last_at", session->last_at);
    put_time(json, "ended_at", session->ended_at);
    put_time(json, "expires_at", session->until);
    json_object_set_new(json, "idle", json_integer(m->config->remote_idle));
    bool has_ended = session->ended_at != 0;
    json_object_set_new(json, "end",
                        has_ended ? json_string(remote_end_name(session->end)) : json_null());
    json_object_set_new(json, "end_reason",
                        has_ended ? json_string(remote_end_words(session->end)) : json_null());
    json_object_set_new(json, "url",
                        has_ended || session->epoch == 0 ? json_null() : json_string(url));
    json_object_set_new(json, "requests", json_integer((json_int_t)session->requests));
    json_object_set_new(json, "bytes_in", json_integer((json_int_t)session->bytes_in));
    json_object_set_new(json, "bytes_out", json_integer((json_int_t)session->bytes_out));
    json_object_set_new(json, "opened_from", json_string(session->opened_from));
    json_object_set_new(json, "remote", json_string(session->entered_from));
    return json;
}

static void add_page(void *context, const struct fleet_gateway *gateway, json_t *json)
{
    json_object_set_new(json, "page", remote_page_json(context, gateway));
}

/* ---- the module ---- */

static struct remote_link prepared = {.listener.fd = -1, .peer.fd = -1};

static bool prepare(struct manager *m, char *error, size_t room)
{
    return remote_link_prepare(&prepared, m->config, error, room);
}

static bool load_sessions(struct manager *m)
{
    bool ok = true;
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_REMOTE_LIVE, AMM_WITHOUT);
    while (ok && amm_rows_next(rows)) {
        struct remote_session *session = malloc(sizeof *session);
        if (session != NULL) {
            remote_session_of_row(rows, session);
            session->wait_until = session->opened_at + REMOTE_WAIT_MORE + 2 * FLEET_INTERVAL;
        }
        ok = session != NULL && put_memory(m->remote, session);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && ok;
}

/* The number of rows is written now and then only: the rows themselves know better. */
static bool count_requests(struct manager *m)
{
    enum amm_store_result result = AMM_STORE_OK;
    for (size_t i = 0; i < m->remote->n && result == AMM_STORE_OK; i++) {
        struct remote_session *session = m->remote->by_id[i];
        int64_t last = 0;
        result = amm_store_number(m->store, AMM_SQL_REMOTE_REQUEST_LAST,
                                  AMM_WITH(amm_number(session->id)), &last);
        session->noted = (uint64_t)last > session->noted ? (uint64_t)last : session->noted;
    }
    return result == AMM_STORE_OK;
}

/* Those that lived when ammd stopped; whether they still may, the first tick says. */
static bool load(struct manager *m, char *error, size_t room)
{
    if (load_sessions(m) && count_requests(m)) {
        return true;
    }
    snprintf(error, room, "the remote sessions cannot be read: %s", amm_store_error(m->store));
    return false;
}

static void stop(struct manager *m)
{
    struct remote *remote = m->remote;
    if (remote == NULL) {
        return;
    }
    gateway_json_extend(NULL, NULL);
    remote_link_stop(m);
    manager_timer_set(m, &remote->tick, AMM_NEVER);
    while (remote->n > 0) {
        drop_memory(remote, remote->by_id[0]->id);
    }
    free(remote->by_id);
    free(remote->by_label);
    remote_pages_free(remote);
    remote_secret_close(remote);
    free(remote);
    m->remote = NULL;
}

static bool start(struct manager *m, char *error, size_t room)
{
    struct remote *remote = calloc(1, sizeof *remote);
    if (remote == NULL) {
        snprintf(error, room, "out of memory");
        return false;
    }
    m->remote = remote;
    remote->m = m;
    remote->link = prepared;
    remote->tick.fire = tick;
    if (!remote_secret_open(remote, m, error, room) || !remote_pages_load(m, error, room) ||
        !load(m, error, room)) {
        return false;
    }
    if (!remote_link_start(m)) {
        snprintf(error, room, "out of descriptors");
        return false;
    }
    fleet_watch(m->fleet, fleet_changed, m);
    gateway_json_extend(add_page, m);
    manager_timer_set(m, &remote->tick, amm_time_after(m->now.mono, TICK));
    return true;
}

static void metrics(struct manager *m, struct metrics *out)
{
    const struct remote *remote = m->remote;
    char label[64];
    unsigned open = 0, ready = 0, waiting = 0;
    for (size_t i = 0; i < remote->n; i++) {
        const struct remote_session *session = remote->by_id[i];
        waiting += session->ended_at == 0 && session->epoch == 0;
        ready += session->ended_at == 0 && session->epoch != 0 && session->entered_at == 0;
        open += session->ended_at == 0 && session->entered_at != 0;
    }
    static const char help[] = "remote sessions that live, by state";
    metrics_add(out, METRIC_GAUGE, "remote_sessions", help, "state=\"waiting\"", waiting);
    metrics_add(out, METRIC_GAUGE, "remote_sessions", help, "state=\"ready\"", ready);
    metrics_add(out, METRIC_GAUGE, "remote_sessions", help, "state=\"open\"", open);
    metrics_add(out, METRIC_COUNTER, "remote_sessions_opened_total", "remote sessions opened", NULL,
                (double)remote->opened);
    for (unsigned end = 1; end <= REMOTE_END_MOVED; end++) {
        if (end <= AMM_PROXY_END_LAST || is_own_end(end)) {
            snprintf(label, sizeof label, "reason=\"%s\"", remote_end_name(end));
            metrics_add(out, METRIC_COUNTER, "remote_sessions_ended_total",
                        "remote sessions ended, by why", label, (double)remote->ended[end]);
        }
    }
    metrics_add(out, METRIC_COUNTER, "remote_requests_total",
                "requests of remote sessions, as amm-proxyd told", NULL,
                (double)remote->n_requests);
    metrics_add(out, METRIC_COUNTER, "remote_requests_unsaved_total",
                "of them, those that the log could not take", NULL, (double)remote->link.lost);
    metrics_add(out, METRIC_GAUGE, "proxy_heard", "1 while amm-proxyd is connected", NULL,
                remote_link_is_up(remote));
}

const struct manager_module remote_module = {
    .name = "remote", .prepare = prepare, .start = start, .stop = stop, .metrics = metrics};

const uint8_t *remote_assertion_key(const struct manager *m)
{
    return m->remote != NULL && m->remote->link.has_key ? m->remote->link.key : NULL;
}
