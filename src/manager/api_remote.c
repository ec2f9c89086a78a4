/* /api/v1/remote-sessions, and those of a gateway. */
#include "manager/remote_parts.h"

#include "base/base64.h"
#include "manager/fleet_module.h"
#include "manager/operations.h"
#include "manager/tunnel.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SCAN_MOST = 5000,
    PROBE_MS = 1000,
    MINUTES_MAX = 1440,
    CHECKIN_SLACK = 20, /* seconds from a check-in to a tunnel */
    TICKET = 32,
};
#define STATES "waiting|ready|open|ended|live"

/* ---- tickets ---- */

/* The text goes to the operator, once; amm-proxyd and we know its hash. */
static void make_ticket(struct manager *m, struct remote_session *session,
                        char out[AMM_BASE64_ROOM(TICKET)])
{
    uint8_t bytes[TICKET];
    amm_random_fill(&m->random, bytes, sizeof bytes);
    SHA256(bytes, sizeof bytes, session->ticket);
    amm_base64_encode(out, AMM_BASE64_ROOM(TICKET), amm_view(bytes, sizeof bytes), AMM_BASE64_URL);
    amm_wipe(bytes, sizeof bytes);
    session->has_ticket = true;
    session->ticket_until = m->now.wall + AMM_PROXY_TICKET_LIFE;
}

static void answer_ticket(struct job *job, int status, const struct remote_session *session,
                          char ticket[AMM_BASE64_ROOM(TICKET)])
{
    char url[AMM_PROXY_HOST + 64], enter[sizeof url + 16];
    json_t *json = remote_session_json(job->m, session);
    remote_link_url(job->m->remote, session->label, url, sizeof url);
    snprintf(enter, sizeof enter, "%s/.amm/enter", url);
    json_object_set_new(json, "ticket", json_string(ticket));
    json_object_set_new(json, "enter", json_string(enter));
    job_json(job, status, json);
    amm_wipe(ticket, AMM_BASE64_ROOM(TICKET));
}

/* ---- opening ---- */

static void audit_gateway(struct job *job, const struct fleet_gateway *gateway, const char *detail)
{
    char object[FLEET_NAME_MAX + 40];
    snprintf(object, sizeof object, "gateway %lld %s", (long long)gateway->id, gateway->name);
    job_audit(job, gateway->group->tenant->id, object, "%s", detail);
}

static bool proxy_is_there(struct job *job)
{
    if (remote_link_is_up(job->m->remote)) {
        return true;
    }
    job_retry(job, 503, 5, "remote-access-off",
              "amm-proxyd is not connected: see whether it runs, and its log");
    return false;
}

/* When an ordered tunnel can be up at the earliest, seconds from now. */
static int64_t expected_wait(const struct job *job, const struct fleet_gateway *gateway)
{
    int64_t next = gateway->last_checkin + fleet_interval(gateway) - job->m->now.wall;
    return (next > 0 ? next : 0) + CHECKIN_SLACK;
}

static bool can_order(const struct job *job, const struct fleet_gateway *gateway)
{
    struct access_object place = gateway_object(gateway);
    return gateway->kind == FLEET_OURS && gateway->last_checkin != 0 &&
           fleet_gateway_is_admitted(gateway) && job_allows(job, ACCESS_OPERATE, &place);
}

/* 409 with what the console needs to offer the next step. */
static void answer_down(struct job *job, const struct fleet_gateway *gateway, const char *name,
                        const char *why, const char *cure)
{
    bool may_order = strcmp(name, "tunnel-down") == 0 && can_order(job, gateway);
    json_t *json = json_pack("{s:s, s:s, s:s, s:b}", "error", name, "text", why, "cure", cure,
                             "can_order", (int)may_order);
    if (json != NULL && gateway->tunnel.since != 0) {
        json_object_set_new(json, "since", json_integer(gateway->tunnel.since));
    }
    if (json != NULL && may_order) {
        json_object_set_new(json, "expected_wait", json_integer(expected_wait(job, gateway)));
    }
    job_json(job, 409, json);
}

static bool has_room(struct job *job, const struct fleet_gateway *gateway)
{
    const struct remote *remote = job->m->remote;
    const struct manager_config *config = job->m->config;
    if (remote->n >= AMM_PROXY_SESSIONS) {
        job_retry(job, 503, 60, "busy", "there are too many remote sessions on this server");
        return false;
    }
    if (remote_count_user(remote, (uint8_t)job->actor.kind, job->actor.user) >=
        config->remote_of_user) {
        job_error(job, 429, "too-many", NULL,
                  "you have %u remote sessions already: end one that you do not need",
                  config->remote_of_user);
        return false;
    }
    if (remote_count_gateway(remote, gateway->id, false) >= config->remote_of_gateway) {
        job_error(job, 429, "too-many", NULL,
                  "%u remote sessions lead to this gateway already: end one",
                  config->remote_of_gateway);
        return false;
    }
    return true;
}

/* A forward needs the operator's right, and the list of both ends. */
static bool check_forward(struct job *job, const struct fleet_gateway *gateway,
                          char out[AMM_RELAY_TARGET])
{
    const struct remote_page *page = remote_page_find(job->m, gateway->id);
    const char *text = job_text(job, "forward", "");
    struct access_object place = gateway_object(gateway);
    struct amm_relay_list list = {0};
    struct amm_address target;
    out[0] = '\0';
    if (text[0] == '\0') {
        return true;
    }
    if (!job_demand(job, ACCESS_OPERATE, &place, "forward")) {
        return false;
    }
    if (!amm_relay_target_parse(&target, amm_view_str(text))) {
        job_error(job, 400, "bad-value", "forward",
                  "a host and port behind the gateway, or one of its own: 192.168.13.100:22, "
                  "gateway:22");
        return false;
    }
    if (page == NULL || !amm_relay_parse(&list, amm_view_str(page->forwards), NULL) ||
        !amm_relay_allows(&list, &target)) {
        job_error(job, 403, "not-allowed", "forward",
                  "the server's list of this gateway does not have %s: an administrator adds it "
                  "(ammctl gateway forwards)",
                  text);
        return false;
    }
    if (gateway->kind != FLEET_OURS && target.family != AMM_FAMILY_NONE) {
        job_error(job, 409, "no-relay", "forward",
                  "hosts behind a router without software of ours cannot be reached; its own "
                  "ports can: gateway:22");
        return false;
    }
    if (gateway->kind == FLEET_OURS && remote_relay_port(gateway) == 0) {
        job_error(job, 409, "no-relay", "forward",
                  "the gateway relays nothing: its own list (MSCIID 60012) is empty, or has not "
                  "been reported yet");
        return false;
    }
    amm_relay_target_text(&target, out);
    return true;
}

static uint16_t forward_port(const struct fleet_gateway *gateway, const char *forward)
{
    struct amm_address target;
    return gateway->kind == FLEET_OURS                              ? remote_relay_port(gateway)
           : amm_relay_target_parse(&target, amm_view_str(forward)) ? target.port
                                                                    : 0;
}

static void fill(struct job *job, const struct fleet_gateway *gateway, const char *forward,
                 struct remote_session *out)
{
    struct manager *m = job->m;
    struct access_object place = gateway_object(gateway);
    const char *reason = job_text(job, "reason", "");
    uint8_t random[16];
    *out = (struct remote_session){
        .kind = forward[0] != '\0' ? AMM_PROXY_FORWARD : AMM_PROXY_PAGE,
        .role = job_allows(job, ACCESS_OPERATE, &place) ? AMM_PROXY_USER : AMM_PROXY_VIEWER,
        .tenant = gateway->group->tenant->id,
        .gateway = gateway->id,
        .actor_kind = (uint8_t)job->actor.kind,
        .user = job->actor.user,
        .credential = job->actor.credential,
        .opened_at = m->now.wall,
        .until = m->now.wall + m->config->remote_life,
        .scheme = AMM_PROXY_HTTPS,
        .port = forward[0] != '\0' ? forward_port(gateway, forward) : 0,
    };
    amm_random_fill(&m->random, random, sizeof random);
    amm_proxy_label(random, out->label);
    snprintf(out->gateway_name, sizeof out->gateway_name, "%s", gateway->name);
    snprintf(out->operator_name, sizeof out->operator_name, "%s", job->actor.name);
    snprintf(out->reason, sizeof out->reason, "%.*s", amm_text_part(reason, AMM_PROXY_TEXT - 1),
             reason);
    snprintf(out->forward, sizeof out->forward, "%s", forward);
    snprintf(out->opened_from, sizeof out->opened_from, "local");
    if (job->remote.family != AMM_FAMILY_NONE) {
        amm_address_text(&job->remote, out->opened_from);
    }
}

static void create(struct job *job, const struct fleet_gateway *gateway,
                   const struct remote_target *target, const char *forward)
{
    struct remote_session made;
    enum amm_store_result result;
    char ticket[AMM_BASE64_ROOM(TICKET)], detail[300];
    fill(job, gateway, forward, &made);
    made.epoch = target->epoch;
    made.inner_ip = target->inner_ip;
    made.port = made.port != 0 ? made.port : target->port;
    made.scheme = target->scheme;
    made.ready_at = job->m->now.wall;
    make_ticket(job->m, &made, ticket);
    const struct remote_session *session = remote_add(job->m, &made, &result);
    if (session == NULL) {
        amm_wipe(ticket, sizeof ticket);
        job_store_error(job, result);
        return;
    }
    snprintf(detail, sizeof detail, "remote session %lld opened%s%s%s%s%s", (long long)session->id,
             made.role == AMM_PROXY_VIEWER ? " to look only" : "",
             forward[0] ? ", forward to " : "", forward, made.reason[0] ? ": " : "", made.reason);
    audit_gateway(job, gateway, detail);
    answer_ticket(job, 201, session, ticket);
}

/* ---- a tunnel on demand ---- */

static void order(struct job *job, struct fleet_gateway *gateway, const char *forward)
{
    struct remote_session made;
    struct operation operation;
    struct fleet_error error;
    enum amm_store_result result;
    int64_t wait = expected_wait(job, gateway);
    json_t *args =
        json_pack("{s:I}", "minutes", (json_int_t)job_number(job, "minutes", REMOTE_ORDER_MINUTES));
    struct operation_new what = {.kind = "tunnel",
                                 .args = args,
                                 .expires_in = wait + fleet_interval(gateway) + REMOTE_WAIT_MORE,
                                 .by = job->actor.name};
    bool ok = operation_add(job->m->fleet, gateway, &what, job->m->now.wall, &operation, &error);
    json_decref(args);
    if (!ok) {
        job_fleet_error(job, &error);
        return;
    }
    operation_deinit(&operation);
    fill(job, gateway, forward, &made);
    made.wait_until = job->m->now.wall + what.expires_in;
    const struct remote_session *session = remote_add(job->m, &made, &result);
    if (session == NULL) {
        job_store_error(job, result);
        return;
    }
    audit_gateway(job, gateway, "remote session asked for, tunnel ordered");
    json_t *json = remote_session_json(job->m, session);
    json_object_set_new(json, "expected_wait", json_integer(wait));
    job_json(job, 202, json);
}

/* ---- the click ---- */

struct opening {
    struct job *job;
    char forward[AMM_RELAY_TARGET];
    struct amm_proxy_result result;
    bool is_answered;
};

/* What the steps of a test say: "" if the step was not taken or went well. */
static const char *failed_step(const struct amm_proxy_result *result, uint8_t step)
{
    for (uint8_t i = 0; i < result->n; i++) {
        if (result->list[i].step == step) {
            return result->list[i].verdict == AMM_PROXY_STEP_FAILED ? result->list[i].text : "";
        }
    }
    return "";
}

static void answer_not_ready(struct job *job, struct fleet_gateway *gateway,
                             const struct remote_target *target, const char *forward)
{
    switch (target->state) {
    case REMOTE_PAGE_TUNNEL_DOWN:
    case REMOTE_PAGE_WAITING:
        if (!job_bool(job, "order_tunnel", false)) {
            answer_down(job, gateway, "tunnel-down", target->why, target->cure);
        } else if (!can_order(job, gateway)) {
            job_error(job, 409, "cannot-order", "order_tunnel",
                      "only an operator can order a tunnel, and only of a gateway with software of "
                      "ours that has checked in");
        } else {
            order(job, gateway, forward);
        }
        return;
    case REMOTE_PAGE_KEY_CHANGED:
        answer_down(job, gateway, "page-key-changed", target->why, target->cure);
        return;
    case REMOTE_PAGE_UNAVAILABLE:
    case REMOTE_PAGE_READY:
    case REMOTE_PAGE_STATES:
        break;
    }
    answer_down(job, gateway, "page-unavailable", target->why, target->cure);
}

/* A forward does not need a page. */
static bool is_ready(const struct remote_target *target, const char *forward)
{
    return target->state == REMOTE_PAGE_READY || (forward[0] != '\0' && target->epoch != 0);
}

static void judge_forward(struct manager *m, const struct fleet_gateway *gateway,
                          struct remote_target *target)
{
    struct tunnel_up up;
    if (fleet_gateway_is_admitted(gateway) && tunnel_is_up(m, gateway, &up)) {
        target->epoch = up.epoch;
        target->inner_ip = up.inner_ip;
    }
}

static void probed(struct job *job, void *context)
{
    const struct opening *opening = context;
    struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, job->id);
    struct remote_target target;
    if (gateway == NULL || !gateway_find_object(job->m, job->id, &job->object) ||
        !job_allows(job, ACCESS_VIEW, &job->object)) {
        job_not_found(job);
        return;
    }
    if (!opening->is_answered) {
        proxy_is_there(job);
        if (!job_is_answered(job)) {
            job_retry(job, 503, 5, "remote-access-off", "amm-proxyd did not answer");
        }
        return;
    }
    const char *tcp = failed_step(&opening->result, AMM_PROXY_STEP_TCP);
    const char *ping = failed_step(&opening->result, AMM_PROXY_STEP_PING);
    if (tcp[0] != '\0') {
        answer_down(job, gateway, ping[0] != '\0' ? "tunnel-silent" : "page-silent", tcp,
                    ping[0] != '\0'
                        ? "The tunnel counts as up, but nothing comes back: try again in a minute."
                        : "The gateway answers, its page does not: see whether it runs there.");
        return;
    }
    remote_page_judge(job->m, gateway, &target); /* things may have changed meanwhile */
    if (!is_ready(&target, opening->forward)) {
        answer_not_ready(job, gateway, &target, opening->forward);
    } else if (has_room(job, gateway)) {
        create(job, gateway, &target, opening->forward);
    }
}

static void probe_ended(struct manager *m, void *context, const struct amm_proxy_result *result)
{
    struct opening *opening = context;
    (void)m;
    opening->is_answered = result != NULL;
    if (result != NULL) {
        opening->result = *result;
    }
    job_resume(opening->job, probed, opening);
}

static void probe(struct job *job, const struct remote_target *target, const char *forward)
{
    struct opening *opening = calloc(1, sizeof *opening);
    if (opening == NULL) {
        job_json(job, 503, NULL);
        return;
    }
    opening->job = job;
    snprintf(opening->forward, sizeof opening->forward, "%s", forward);
    struct amm_proxy_test test = {
        .address = remote_inner_address(target->inner_ip, target->port),
        .scheme = target->scheme,
        .steps = 1 << AMM_PROXY_STEP_PING | 1 << AMM_PROXY_STEP_TCP,
        .milliseconds = PROBE_MS,
    };
    job_keep(job, opening, free);
    if (remote_test_ask(job->m, &test, probe_ended, opening)) {
        job_defer(job);
    } else {
        job_retry(job, 503, 2, "busy", "amm-proxyd has too much to do at the moment");
    }
}

static void open_handle(struct job *job)
{
    struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, job->id);
    struct remote_target target;
    char forward[AMM_RELAY_TARGET];
    if (!proxy_is_there(job) || !check_forward(job, gateway, forward) || !has_room(job, gateway)) {
        return;
    }
    remote_page_judge(job->m, gateway, &target);
    if (forward[0] != '\0') {
        judge_forward(job->m, gateway, &target);
    }
    if (!is_ready(&target, forward)) {
        answer_not_ready(job, gateway, &target, forward);
    } else if (forward[0] != '\0') {
        create(job, gateway, &target, forward);
    } else {
        probe(job, &target, forward);
    }
}

/* ---- one ---- */

/* From memory, else from the store. False: there is none. */
static bool find_session(struct manager *m, int64_t id, struct remote_session *out)
{
    const struct remote_session *live = remote_find(m->remote, id);
    if (live != NULL) {
        *out = *live;
        return true;
    }
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_REMOTE_ONE, AMM_WITH(amm_number(id)));
    bool found = amm_rows_next(rows);
    if (found) {
        remote_session_of_row(rows, out);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && found;
}

static bool session_find_object(struct manager *m, int64_t id, struct access_object *out)
{
    struct remote_session session;
    if (m->remote == NULL || !find_session(m, id, &session)) {
        return false;
    }
    *out = remote_session_object(m, &session);
    return true;
}

static void show(struct job *job)
{
    struct remote_session session;
    if (find_session(job->m, job->id, &session)) {
        job_json(job, 200, remote_session_json(job->m, &session));
    } else {
        job_not_found(job);
    }
}

static bool is_mine(const struct job *job, const struct remote_session *session)
{
    return session->actor_kind == job->actor.kind && session->user == job->actor.user;
}

static struct remote_session *live_session(struct job *job)
{
    struct remote_session *session = remote_find(job->m->remote, job->id);
    if (session == NULL || session->ended_at != 0) {
        job_error(job, 409, "ended", NULL, "this remote session has ended");
        return NULL;
    }
    return session;
}

static void audit_session(struct job *job, const struct remote_session *session, const char *what)
{
    char object[FLEET_NAME_MAX + 40];
    snprintf(object, sizeof object, "gateway %lld %s", (long long)session->gateway,
             session->gateway_name);
    job_audit(job, session->tenant, object, "remote session %lld of %s: %s", (long long)session->id,
              session->operator_name, what);
}

static void send_ticket(struct manager *m, void *data)
{
    const struct remote_session *session = remote_find(m->remote, *(int64_t *)data);
    if (session != NULL && session->ended_at == 0) {
        remote_link_ticket(m, session);
    }
}

/* Only whoever opened it gets in: the audit log names him. */
static void ticket_handle(struct job *job)
{
    struct remote_session *session = live_session(job);
    char ticket[AMM_BASE64_ROOM(TICKET)];
    if (session == NULL) {
        return;
    }
    if (!is_mine(job, session)) {
        job_error(job, 403, "forbidden", NULL, "only who opened a remote session can enter it");
        return;
    }
    unsigned end = remote_why_end(job->m, session);
    if (end != REMOTE_END_NONE) {
        job_error(job, 409, "ended", NULL, "%s", remote_end_words(end));
        return;
    }
    if (session->epoch == 0) {
        job_error(job, 409, "waiting", NULL, "it still waits for the tunnel");
        return;
    }
    if (!proxy_is_there(job)) {
        return;
    }
    make_ticket(job->m, session, ticket);
    manager_after(job->m, send_ticket, &session->id, sizeof session->id);
    audit_session(job, session, "a new ticket");
    answer_ticket(job, 200, session, ticket);
}

static void end_handle(struct job *job)
{
    struct remote_session *session = live_session(job);
    if (session == NULL) {
        return;
    }
    if (!is_mine(job, session) && !job_demand(job, ACCESS_OPERATE, &job->object, NULL)) {
        return;
    }
    audit_session(job, session, "ended");
    remote_end(job->m, session, AMM_PROXY_END_CLOSED, job->actor.name, true);
    enum amm_store_result result = remote_session_save(job->m, session);
    if (result == AMM_STORE_OK) {
        job_empty(job);
    } else {
        job_store_error(job, result); /* it is cut; the end is saved as soon as that is possible */
    }
}

/* ---- lists ---- */

static bool is_wanted(const struct remote_session *session, const char *state)
{
    return state[0] == '\0' || strcmp(state, remote_state_name(session)) == 0 ||
           (strcmp(state, "live") == 0 && session->ended_at == 0);
}

/* Newest first; of those the actor may see. */
static void answer_list(struct job *job, struct amm_rows *rows, unsigned limit)
{
    json_t *items = json_array();
    char state[16] = "";
    int64_t last = 0;
    size_t seen = 0;
    bool has_more = false;
    job_query_text(job, "state", state, sizeof state);
    while (!has_more && amm_rows_next(rows)) {
        struct remote_session session;
        remote_session_of_row(rows, &session);
        const struct remote_session *live = remote_find(job->m->remote, session.id);
        const struct remote_session *shown = live != NULL ? live : &session;
        struct access_object place = remote_session_object(job->m, shown);
        seen++;
        last = session.id;
        if (is_wanted(shown, state) && job_allows(job, ACCESS_VIEW, &place)) {
            json_array_append_new(items, remote_session_json(job->m, shown));
        }
        has_more = json_array_size(items) == limit || seen == SCAN_MOST;
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        json_decref(items);
        job_store_error(job, result);
        return;
    }
    job_list(job, items, has_more ? last : 0);
}

static void list_gateway(struct job *job)
{
    struct job_page page = job_page(job);
    answer_list(job,
                amm_store_query(job->m->store, AMM_SQL_REMOTE_OF_GATEWAY,
                                AMM_WITH(amm_number(job->id),
                                         amm_number(page.after ? page.after : INT64_MAX),
                                         amm_number(SCAN_MOST))),
                page.limit);
}

static void list_all(struct job *job)
{
    struct job_page page = job_page(job);
    struct amm_value before = amm_number(page.after ? page.after : INT64_MAX);
    int64_t tenant = job_only_tenant(job);
    struct amm_rows *rows =
        tenant != 0 ? amm_store_query(job->m->store, AMM_SQL_REMOTE_OF_TENANT,
                                      AMM_WITH(amm_number(tenant), before, amm_number(SCAN_MOST)))
                    : amm_store_query(job->m->store, AMM_SQL_REMOTE_ALL,
                                      AMM_WITH(before, amm_number(SCAN_MOST)));
    answer_list(job, rows, page.limit);
}

static const char *kind_name(int64_t kind)
{
    static const char *const names[] = {"", "page", "upgrade", "refused", "own", "forward"};
    return kind > 0 && kind <= AMM_PROXY_REQUEST_FORWARD ? names[kind] : "unknown";
}

static json_t *request_json(const struct amm_rows *rows)
{
    char method[AMM_PROXY_METHOD], path[AMM_PROXY_PATH];
    amm_rows_text(rows, 3, method, sizeof method);
    amm_rows_text(rows, 4, path, sizeof path);
    return json_pack(
        "{s:o, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "id",
        job_json_id(amm_rows_number(rows, 0)), "at", (json_int_t)amm_rows_number(rows, 1), "kind",
        kind_name(amm_rows_number(rows, 2)), "method", method, "path", path, "status",
        (json_int_t)amm_rows_number(rows, 5), "ms", (json_int_t)amm_rows_number(rows, 6),
        "bytes_in", (json_int_t)amm_rows_number(rows, 7), "bytes_out",
        (json_int_t)amm_rows_number(rows, 8));
}

static void requests_handle(struct job *job)
{
    struct job_page page = job_page(job);
    json_t *items = json_array();
    struct amm_rows *rows = amm_store_query(
        job->m->store, AMM_SQL_REMOTE_REQUEST_OF,
        AMM_WITH(amm_number(job->id), amm_number(page.after), amm_number((int64_t)page.limit + 1)));
    bool has_more = false;
    while (!has_more && amm_rows_next(rows)) {
        has_more = json_array_size(items) == page.limit;
        if (!has_more) {
            json_array_append_new(items, request_json(rows));
        }
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        json_decref(items);
        job_store_error(job, result);
        return;
    }
    job_list(job, items, has_more ? job_id_of_last(items) : 0);
}

/* ---- routes ---- */

static const struct field open_body[] = {
    {"reason", FIELD_TEXT, false, 0, AMM_PROXY_TEXT - 1, NULL, "why, or a ticket number; kept"},
    {"order_tunnel", FIELD_BOOL, false, 0, 0, NULL, "if it is down: order it and wait"},
    {"minutes", FIELD_NUMBER, false, 1, MINUTES_MAX, NULL,
     "that an ordered tunnel stays up; default 30"},
    {"forward", FIELD_TEXT, false, 1, AMM_RELAY_TARGET - 1, NULL,
     "no page but a TCP port: gateway:22, 192.168.13.100:22 (for ammctl)"},
    {.name = NULL}};

static const struct field list_query[] = {
    ROUTE_PAGE,
    {"state", FIELD_CHOICE, false, 0, 0, STATES, "in this state; live: not ended"},
    {.name = NULL}};

static const struct field requests_query[] = {ROUTE_PAGE, {.name = NULL}};

const struct route remote_routes[] = {
    {.method = "GET",
     .path = "/api/v1/gateways/{id}/remote-sessions",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .query = list_query,
     .handle = list_gateway,
     .summary = "Remote sessions of a gateway, newest first"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/remote-sessions",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .body = open_body,
     .handle = open_handle,
     .summary = "Opens the gateway's page; who may only look gets it to look only"},
    {.method = "GET",
     .path = "/api/v1/remote-sessions",
     .action = ACCESS_VIEW,
     .query = list_query,
     .handle = list_all,
     .summary = "Remote sessions of all gateways that the actor sees, newest first"},
    {.method = "GET",
     .path = "/api/v1/remote-sessions/{id}",
     .action = ACCESS_VIEW,
     .find = session_find_object,
     .handle = show,
     .summary = "A remote session"},
    {.method = "DELETE",
     .path = "/api/v1/remote-sessions/{id}",
     .action = ACCESS_VIEW,
     .find = session_find_object,
     .handle = end_handle,
     .summary = "Ends a remote session: one's own, or as an operator of the gateway"},
    {.method = "POST",
     .path = "/api/v1/remote-sessions/{id}/ticket",
     .action = ACCESS_VIEW,
     .find = session_find_object,
     .handle = ticket_handle,
     .summary = "A new ticket for one's own remote session, good for 30 s, once"},
    {.method = "GET",
     .path = "/api/v1/remote-sessions/{id}/requests",
     .action = ACCESS_OPERATE,
     .find = session_find_object,
     .query = requests_query,
     .handle = requests_handle,
     .summary = "What was asked in it: methods, paths, states, bytes"},
    {.method = NULL},
};
