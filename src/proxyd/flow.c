/* The table of connections to gateways, what the server calls, and quotas. */
#include "flow_parts.h"

#include "proxyd/link.h"

#include <stdlib.h>

/* ---- the table ---- */

struct flow *flow_of(const struct flows *flows, struct amm_http_ref ref)
{
    struct flow *flow =
        ref.connection < flows->n_browsers ? flows->of_browser[ref.connection] : NULL;
    return flow && flow->ref.generation == ref.generation ? flow : NULL;
}

static struct gateway_use **gateway_at(struct flows *flows, uint64_t gateway)
{
    struct gateway_use **at = &flows->gateways[gateway % GATEWAY_BUCKETS];
    while (*at && (*at)->gateway != gateway) {
        at = &(*at)->next;
    }
    return at;
}

/* One connection more to that gateway; false: it has enough, or memory is short. */
static bool use_gateway(struct flows *flows, uint64_t gateway)
{
    struct gateway_use **at = gateway_at(flows, gateway);
    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (!*at) {
            return false;
        }
        (*at)->gateway = gateway;
    }
    if ((*at)->n >= FLOWS_PER_GATEWAY) {
        return false;
    }
    (*at)->n++;
    return true;
}

static void leave_gateway(struct flows *flows, uint64_t gateway)
{
    struct gateway_use **at = gateway_at(flows, gateway), *use = *at;
    if (use && --use->n == 0) {
        *at = use->next;
        free(use);
    }
}

static void unwatch(struct flow *flow)
{
    if (flow->watch.fd >= 0) {
        proxyd_unwatch(flow->flows->proxyd, &flow->watch);
        flow->watch.fd = -1;
    }
}

void flow_free(struct flow *flow)
{
    struct flows *flows = flow->flows;
    struct flow **at = &flow->session->flows;
    while (*at != flow) {
        at = &(*at)->next;
    }
    *at = flow->next;
    flow->session->n_flows--;
    leave_gateway(flows, flow->session->about.gateway);
    unwatch(flow);
    flow->client = amm_http_client_free(flow->client);
    amm_wheel_set(flows->wheel, flow->index, AMM_NEVER);
    flows->at[flow->index] = NULL;
    flows->free[flows->n_free++] = flow->index;
    free(flow);
}

static void ready(struct proxyd *proxyd, struct proxyd_watch *watch, const struct amm_ready *event)
{
    (void)proxyd;
    (void)event;
    flow_run((struct flow *)((char *)watch - offsetof(struct flow, watch)));
}

static struct flow *flow_new(struct flows *flows, struct session *session)
{
    if (flows->n_free == 0 || session->n_flows >= FLOWS_PER_SESSION) {
        return NULL;
    }
    struct flow *flow = calloc(1, sizeof *flow);
    if (!flow || !use_gateway(flows, session->about.gateway)) {
        free(flow);
        return NULL;
    }
    flow->flows = flows;
    flow->session = session;
    flow->watch = (struct proxyd_watch){.ready = ready, .fd = -1};
    flow->kept_until = AMM_NEVER;
    flow->index = flows->free[--flows->n_free];
    flows->at[flow->index] = flow;
    flow->next = session->flows;
    session->flows = flow;
    session->n_flows++;
    if (!flow_connect(flow)) {
        flow_free(flow);
        return NULL;
    }
    return flow;
}

bool flow_connect(struct flow *flow)
{
    const struct session *session = flow->session;
    const struct amm_proxy_session *about = &session->about;
    bool is_port = about->kind == AMM_PROXY_FORWARD;
    const struct amm_http_client_settings settings = {
        .address = about->address,
        .host = session->names.page_host,
        .tls = session->names.page_secure && !is_port ? flow->flows->proxyd->pages : NULL,
        .server_name = "",
        .key_pin = about->has_pin ? amm_view(about->pin, sizeof about->pin) : amm_view(NULL, 0),
        .first_use = !about->has_pin,
        .interim = true,
        .tolerant_end = true,
        .body_rate = BODY_RATE,
        .connect_deadline = CONNECT_TIME * AMM_SECOND,
        .answer_deadline = ANSWER_TIME * AMM_SECOND,
        .idle_deadline = PAUSE_TIME * AMM_SECOND,
    };
    unwatch(flow);
    amm_http_client_free(flow->client);
    flow->client = amm_http_client_new(&settings, flow->flows->proxyd->now);
    return flow->client != NULL;
}

/* ---- requests end ---- */

void flow_forget(struct flow *flow)
{
    struct proxyd *proxyd = flow->flows->proxyd;
    const struct amm_http_request *request = &flow->asked->request;
    const struct record_row row = {.kind = flow->session->about.kind == AMM_PROXY_FORWARD
                                               ? AMM_PROXY_REQUEST_FORWARD
                                           : flow->is_pipe ? AMM_PROXY_REQUEST_UPGRADE
                                                           : AMM_PROXY_REQUEST_PAGE,
                                   .status = flow->status,
                                   .began_wall = flow->began_wall,
                                   .lasted = proxyd->now.mono - flow->began,
                                   .bytes_in = flow->bytes_in,
                                   .bytes_out = flow->bytes_out,
                                   .method = request->method,
                                   .path = request->path};
    record_add(proxyd->record, flow->session, &row);
    if (flow_of(flow->flows, flow->ref) == flow) {
        flow->flows->of_browser[flow->ref.connection] = NULL;
    }
    free(flow->asked);
    flow->asked = NULL;
    free(flow->links);
    flow->links = NULL;
}

/* The oldest of those that are kept, beyond what a session may keep. */
static void keep_few(struct session *session)
{
    struct flow *oldest = NULL;
    unsigned n = 0;
    for (struct flow *flow = session->flows; flow; flow = flow->next) {
        if (!flow->asked) {
            n++;
            oldest = !oldest || flow->used < oldest->used ? flow : oldest;
        }
    }
    if (n > KEPT_PER_SESSION) {
        flow_free(oldest);
    }
}

void flow_keep(struct flow *flow)
{
    struct flows *flows = flow->flows;
    flow->used = flows->proxyd->now.mono;
    flow->kept_until = amm_time_after(flow->used, KEEP_TIME * AMM_SECOND);
    amm_http_client_pause(flow->client, false);
    flow->was_used = true;
    struct session *session = flow->session;
    flow_run(flow); /* it may have closed at once */
    keep_few(session);
}

/* ---- going on ---- */

static void watch(struct flow *flow)
{
    struct proxyd *proxyd = flow->flows->proxyd;
    int fd = amm_http_client_fd(flow->client);
    unsigned interest = amm_http_client_interest(flow->client);
    if (flow->watch.fd >= 0 && (flow->watch.fd != fd || interest == 0)) {
        unwatch(
            flow); /* without interest the loop would still tell of a hang-up, again and again */
    }
    if (flow->watch.fd < 0 && fd >= 0 && interest != 0) {
        flow->watch.fd = fd;
        if (!proxyd_watch(proxyd, &flow->watch, interest)) {
            flow->watch.fd = -1;
        }
    } else if (flow->watch.fd >= 0 && interest != flow->interest) {
        proxyd_rewatch(proxyd, &flow->watch, interest);
    }
    flow->interest = interest;
    amm_wheel_set(flow->flows->wheel, flow->index,
                  amm_time_min(amm_http_client_deadline(flow->client), flow->kept_until));
}

/* The browser may send as much as there is room for, in steps that are worth a message. */
static void give_credit(struct flow *flow)
{
    size_t room = amm_http_client_room(flow->client);
    if (!flow->asked || !flow->body_open || !amm_http_client_is_up(flow->client) ||
        room <= flow->credit) {
        return;
    }
    if (flow->credit == 0 || room - flow->credit >= CREDIT_STEP) {
        amm_http_take(flow->flows->proxyd->server, flow->ref, room - flow->credit);
        flow->credit = room;
    }
}

void flow_run(struct flow *flow)
{
    struct amm_http_event event;
    do {
        amm_http_client_step(flow->client, flow->flows->proxyd->now, &event);
        if (!flow_take(flow, &event)) {
            return;
        }
    } while (event.kind != AMM_HTTP_EVENT_NONE);
    if (flow->is_pipe && amm_http_client_fd(flow->client) < 0) { /* both directions have ended */
        flow_forget(flow);
        flow_free(flow);
        return;
    }
    give_credit(flow);
    watch(flow);
}

/* ---- what the server calls ---- */

/* A connection that the session has; NULL: none that will do. */
static struct flow *kept_flow(struct session *session, bool may_repeat, amm_time now)
{
    struct flow *newest = NULL;
    for (struct flow *flow = session->flows; flow; flow = flow->next) {
        bool will_do = may_repeat || now < amm_time_after(flow->used, FRESH_TIME * AMM_SECOND);
        if (!flow->asked && will_do && (!newest || flow->used > newest->used)) {
            newest = flow;
        }
    }
    return newest;
}

/* When a session has no place for another connection: one that waits for a request gives way. */
static void make_place(struct session *session)
{
    if (session->n_flows < FLOWS_PER_SESSION) {
        return;
    }
    for (struct flow *flow = session->flows; flow; flow = flow->next) {
        if (!flow->asked) {
            flow_free(flow);
            return;
        }
    }
}

static void begin(struct flow *flow, const struct amm_http_call *call, struct asked *asked)
{
    const struct amm_now *now = &flow->flows->proxyd->now;
    flow->asked = asked;
    flow->ref = call->ref;
    flow->kept_until = AMM_NEVER;
    flow->may_repeat = flow_is_repeatable(call->request);
    flow->body_open = call->request->framing == AMM_HTTP_CHUNKED ||
                      (call->request->framing == AMM_HTTP_LENGTH && call->request->length > 0);
    flow->answered = flow->streams = flow->is_pipe = flow->is_upgrade = flow->page_ended = false;
    flow->credit = 0;
    flow->bytes_in = flow->bytes_out = 0;
    flow->status = 0;
    flow->began = now->mono;
    flow->began_wall = now->wall;
    flow->flows->of_browser[call->ref.connection] = flow;
}

static void handle(void *context, const struct amm_http_call *call)
{
    struct flows *flows = context;
    struct proxyd *proxyd = flows->proxyd;
    struct session *session = gate_admit(proxyd, call);
    if (!session) {
        return;
    }
    struct flow *flow = kept_flow(session, flow_is_repeatable(call->request), proxyd->now.mono);
    if (!flow) {
        make_place(session);
        flow = flow_new(flows, session);
    }
    struct asked *asked = flow ? asked_new(call->request) : NULL;
    if (!asked) {
        if (flow) {
            flow_free(flow);
        }
        gate_refuse(proxyd, session, call, PAGE_BUSY);
        return;
    }
    begin(flow, call, asked);
    enum page page;
    if (flow_ask(flow, &page)) {
        flow_run(flow);
        return;
    }
    gate_refuse(proxyd, session, call, page);
    flows->of_browser[call->ref.connection] = NULL;
    free(flow->asked);
    flow->asked = NULL;
    flow_free(flow);
}

static bool streams(void *context, const struct amm_http_call *call)
{
    (void)context;
    return !gate_is_own(call->request);
}

static size_t body_limit(void *context, const struct amm_http_call *call)
{
    (void)context;
    (void)call;
    return GATE_BODY_MAX;
}

/* What the browser sends over an upgraded connection is activity, too. */
static void note_activity(struct flow *flow)
{
    struct proxyd *proxyd = flow->flows->proxyd;
    if (flow->is_pipe && session_touch(flow->session, proxyd->now)) {
        link_active(proxyd->link, flow->session);
    }
}

static void piece(void *context, struct amm_http_ref ref, struct amm_view bytes, bool last)
{
    struct flow *flow = flow_of(context, ref);
    if (!flow) {
        return;
    }
    flow->credit -= bytes.len < flow->credit ? bytes.len : flow->credit;
    flow->bytes_in += bytes.len;
    amm_http_client_send(flow->client, bytes); /* else the gateway takes no more: it answers */
    if (last) {
        flow->body_open = false;
        amm_http_client_end(flow->client);
    }
    if (bytes.len > 0) {
        note_activity(flow);
    }
    flow_run(flow);
}

static void drained(void *context, struct amm_http_ref ref)
{
    struct flow *flow = flow_of(context, ref);
    if (flow) {
        amm_http_client_pause(flow->client, false);
        flow_run(flow);
    }
}

/* The browser has left, or its connection was closed. */
static void gone(void *context, struct amm_http_ref ref)
{
    struct flow *flow = flow_of(context, ref);
    if (flow) {
        flow_forget(flow);
        flow_free(flow);
    }
}

void flows_settings(struct flows *flows, struct amm_http_settings *settings)
{
    settings->handle = handle;
    settings->streams = streams;
    settings->body_limit = body_limit;
    settings->piece = piece;
    settings->drained = drained;
    settings->gone = gone;
    settings->context = flows;
    settings->paced_pause = BROWSER_TIME * AMM_SECOND;
    free(flows->of_browser);
    flows->of_browser = calloc(settings->connections, sizeof(struct flow *));
    flows->n_browsers = flows->of_browser ? settings->connections : 0;
}

/* ---- ends and deadlines ---- */

void flows_cut(struct flows *flows, struct session *session)
{
    while (session->flows) {
        struct flow *flow = session->flows;
        if (flow->asked) {
            amm_http_cut(flows->proxyd->server, flow->ref);
            flow_forget(flow);
        }
        flow_free(flow);
    }
}

void flows_step(struct flows *flows)
{
    amm_time now = flows->proxyd->now.mono;
    uint32_t index;
    while ((index = amm_wheel_expire(flows->wheel, now)) != AMM_WHEEL_NONE) {
        struct flow *flow = flows->at[index];
        if (flow->kept_until <= now) {
            flow_free(flow);
        } else {
            flow_run(flow);
        }
    }
}

amm_time flows_deadline(const struct flows *flows)
{
    return amm_wheel_deadline(flows->wheel);
}

/* ---- life ---- */

struct flows *flows_new(struct proxyd *proxyd)
{
    struct flows *flows = calloc(1, sizeof *flows);
    if (!flows) {
        return NULL;
    }
    flows->proxyd = proxyd;
    flows->n = 2 * proxyd->config->connections + KEPT_PER_SESSION;
    flows->at = calloc(flows->n, sizeof(struct flow *));
    flows->free = calloc(flows->n, sizeof *flows->free);
    flows->wheel = amm_wheel_new(flows->n, proxyd->now.mono);
    if (!flows->at || !flows->free || !flows->wheel) {
        return flows_free(flows);
    }
    for (uint32_t i = 0; i < flows->n; i++) {
        flows->free[i] = flows->n - 1 - i;
    }
    flows->n_free = flows->n;
    return flows;
}

struct flows *flows_free(struct flows *flows)
{
    if (!flows) {
        return NULL;
    }
    for (uint32_t i = 0; flows->at && i < flows->n; i++) {
        if (flows->at[i]) {
            free(flows->at[i]->asked);
            flow_free(flows->at[i]);
        }
    }
    amm_wheel_free(flows->wheel);
    free(flows->at);
    free(flows->free);
    free(flows->of_browser);
    free(flows);
    return NULL;
}
