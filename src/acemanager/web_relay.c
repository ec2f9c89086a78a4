#include "web_relay.h"

#include "domain/gateway_answers.h"
#include "io/log.h"
#include "io/tcp.h"
#include "web.h"
#include "web_relay_flow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ASKING = 4, /* more connections than flows, so that a refusal can be said */
    PLACES = WEB_RELAY_FLOWS + ASKING,
    HEAD_MAX = 4096,  /* of the request; the assertion is the largest part */
    HEAD_SECONDS = 5, /* until the request is there */
    CONNECT_SECONDS = 10,
    IDLE_SECONDS = 900,
    RETRY_SECONDS = 5, /* until an address that could not be had is tried again */
    TOKENS_MS = 50,    /* a pause when the rate is used up */
    TAG_LISTEN = 1000,
};

enum phase { FREE, HEAD, CONNECTING, OPEN };

struct flow {
    enum phase phase;
    amm_time deadline;
    struct web_visitor who;
    struct amm_address target; /* as asked */
    uint32_t visit;
    uint64_t counted[2]; /* of the ways' totals, in the log already */
    struct relay_pair *pair;
};

struct web_relay {
    struct ace_pages *pages;
    struct amm_loop *loop;
    int listener; /* -1: none */
    struct ace_listen at;
    amm_time retry;
    struct relay_bucket buckets[2];
    struct flow flows[PLACES];
};

static amm_time mono_now(const struct web_relay *relay)
{
    return ace_core_now(relay->pages->core).mono;
}

/* ---- the log ---- */

static void count(struct web_relay *relay, struct flow *flow)
{
    struct web_visit *visit = web_visits_find(&relay->pages->visits, flow->visit);
    if (visit) {
        visit->in += flow->pair->ways[RELAY_PROXY].total - flow->counted[RELAY_PROXY];
        visit->out += flow->pair->ways[RELAY_TARGET].total - flow->counted[RELAY_TARGET];
        flow->counted[RELAY_PROXY] = flow->pair->ways[RELAY_PROXY].total;
        flow->counted[RELAY_TARGET] = flow->pair->ways[RELAY_TARGET].total;
        web_visits_touch(&relay->pages->visits, flow->visit, ace_core_now(relay->pages->core));
    }
}

/* Connections of one remote session to one target are one visit, as long as there is one. */
static void enter_log(struct web_relay *relay, struct flow *flow)
{
    char target[AMM_RELAY_TARGET];
    struct web_visits *visits = &relay->pages->visits;
    amm_relay_target_text(&flow->target, target);
    for (size_t i = 0; i < visits->n && flow->visit == 0; i++) {
        const struct web_visit *v = &visits->at[i];
        if (v->until == 0 && strcmp(v->who.label, flow->who.label) == 0 &&
            strcmp(v->target, target) == 0) {
            flow->visit = v->number;
        }
    }
    if (flow->visit == 0) {
        flow->visit =
            web_visits_begin(visits, &flow->who, target, ace_core_now(relay->pages->core));
    }
    struct web_visit *visit = web_visits_find(visits, flow->visit);
    if (visit) {
        visit->connections++;
    }
    web_visits_step(visits, mono_now(relay));
}

static void leave_log(struct web_relay *relay, struct flow *flow, enum web_end why)
{
    uint32_t visit = flow->visit;
    count(relay, flow);
    flow->visit = 0;
    for (size_t i = 0; i < PLACES; i++) {
        if (relay->flows[i].phase != FREE && relay->flows[i].visit == visit) {
            return;
        }
    }
    web_visits_end(&relay->pages->visits, visit, why, ace_core_now(relay->pages->core));
}

/* ---- ends ---- */

static void end_flow(struct web_relay *relay, struct flow *flow, enum web_end why)
{
    if (flow->visit != 0) {
        leave_log(relay, flow, why);
    }
    relay_pair_close(flow->pair, relay->loop);
    free(flow->pair);
    *flow = (struct flow){.phase = FREE};
}

void web_relay_cut(struct web_relay *relay, const char *label, enum web_end why)
{
    for (size_t i = 0; i < PLACES; i++) {
        struct flow *flow = &relay->flows[i];
        if (flow->phase != FREE && (!label || strcmp(flow->who.label, label) == 0)) {
            end_flow(relay, flow, why);
        }
    }
}

/* Says no, in one piece that a fresh socket takes, and closes. */
static void refuse(struct web_relay *relay, struct flow *flow, int status, const char *why,
                   const char *words)
{
    uint8_t room[1024];
    size_t len = 0;
    struct amm_error_answer error = {0};
    struct amm_writer w = amm_writer(room, sizeof room);
    snprintf(error.error, sizeof error.error, "%s", why);
    snprintf(error.text, sizeof error.text, "%s", words);
    char *text = amm_error_answer_encode(&error, &len);
    amm_http_write_status(&w, status);
    amm_http_write_field(&w, "Content-Type", amm_view_str("application/json"));
    amm_http_write_field(&w, "Connection", amm_view_str("close"));
    amm_http_write_number(&w, "Content-Length", text ? len : 0);
    amm_http_write_end(&w);
    amm_write_view(&w, amm_view(text ? text : "", text ? len : 0));
    int fd = flow->pair->ends[RELAY_PROXY].fd;
    if (send(fd, room, amm_writer_len(&w), MSG_NOSIGNAL) > 0) {
        shutdown(fd, SHUT_WR);
    }
    free(text);
    char target[AMM_RELAY_TARGET] = "";
    if (flow->target.port != 0) {
        amm_relay_target_text(&flow->target, target);
    }
    amm_log(AMM_LOG_WARNING, "relay-refused", amm_field_text("why", why),
            amm_field_text("operator", flow->who.name), amm_field_text("target", target));
    end_flow(relay, flow, WEB_END_LEFT);
}

/* ---- where to ---- */

static bool is_same_host(const struct amm_address *a, const struct amm_address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static bool is_in_network(const struct ace_listen *l, const struct amm_address *target)
{
    size_t bits = l->prefix;
    if (l->is_tunnel || l->address.family != target->family || bits == 0) {
        return false;
    }
    size_t bytes = bits / 8, rest = bits % 8;
    return memcmp(l->address.ip, target->ip, bytes) == 0 &&
           (rest == 0 || (l->address.ip[bytes] ^ target->ip[bytes]) >> (8 - rest) == 0);
}

/* The address to connect to, and the interface to leave by ("": none, it is the gateway itself).
 * False: it is not behind this gateway. */
static bool find_way(const struct web_relay *relay, const struct amm_address *target,
                     struct amm_address *to, char link[16])
{
    struct ace_listen listens[32];
    size_t n = ace_listens(relay->pages->core, listens, 32);
    bool is_own = target->family == AMM_FAMILY_NONE, found = false;
    n = n < 32 ? n : 32;
    for (size_t i = 0; i < n; i++) {
        if (is_same_host(&listens[i].address, target)) {
            return false; /* the gateway's own ports have entries of their own */
        }
        if (is_own ? !found : is_in_network(&listens[i], target)) {
            *to = is_own ? listens[i].address : *target;
            snprintf(link, 16, "%s", is_own ? "" : listens[i].link);
            found = true;
        }
    }
    to->port = target->port;
    return found;
}

static bool is_allowed(const struct web_relay *relay, const struct amm_address *target)
{
    struct amm_relay_list list;
    const char *text = ace_parameter_text(relay->pages->core, AMM_MSCI_RELAY_TARGETS);
    return amm_relay_parse(&list, amm_view_str(text), NULL) && amm_relay_allows(&list, target);
}

static bool has_room(const struct web_relay *relay, const struct flow *flow)
{
    size_t all = 0, same = 0;
    for (size_t i = 0; i < PLACES; i++) {
        const struct flow *other = &relay->flows[i];
        if (other != flow && (other->phase == CONNECTING || other->phase == OPEN)) {
            all++;
            same += strcmp(other->who.label, flow->who.label) == 0;
        }
    }
    return all < WEB_RELAY_FLOWS && same < WEB_RELAY_OF_ONE;
}

static void connect_flow(struct web_relay *relay, struct flow *flow)
{
    struct amm_address to;
    char link[16], error[160];
    struct relay_end *end = &flow->pair->ends[RELAY_TARGET];
    if (!is_allowed(relay, &flow->target)) {
        refuse(relay, flow, 403, "not-allowed",
               "the gateway's list of relay targets (MSCIID 60012) does not name this one");
    } else if (!find_way(relay, &flow->target, &to, link)) {
        refuse(relay, flow, 403, "not-on-lan", "this is no host of the gateway's LAN");
    } else if (!has_room(relay, flow)) {
        refuse(relay, flow, 503, "busy", "too many relayed connections at once");
    } else if ((end->fd = amm_tcp_connect_by(&to, link[0] ? link : NULL, error, sizeof error)) <
               0) {
        refuse(relay, flow, 502, "unreachable", error);
    } else {
        flow->phase = CONNECTING;
        flow->deadline = mono_now(relay) + CONNECT_SECONDS * AMM_SECOND;
        end->interest = AMM_WRITE;
        end->in_loop = amm_loop_add(relay->loop, end->fd, end->interest, end->tag);
    }
}

/* ---- the request ---- */

static bool is_relay_request(const struct amm_http_request *request)
{
    return amm_view_equal(request->method, amm_view_str("GET")) &&
           amm_view_equal(request->target, amm_view_str("/relay")) && request->upgrade &&
           request->framing == AMM_HTTP_NO_BODY &&
           amm_http_field_has(&request->fields, "upgrade", "amm-relay") &&
           amm_http_field_count(&request->fields, "amm-assertion") == 1;
}

static void take_request(struct web_relay *relay, struct flow *flow,
                         const struct amm_http_request *request)
{
    struct amm_assertion assertion;
    enum amm_assertion_verdict verdict;
    const char *why, *words;
    if (!is_relay_request(request)) {
        refuse(relay, flow, 400, "bad-request",
               "GET /relay with Upgrade: amm-relay and one AMM-Assertion is all that is served");
        return;
    }
    bool ok = web_remote_verify(
        relay->pages, AMM_ASSERTION_RELAY, amm_http_field(&request->fields, "amm-assertion"),
        ace_core_now(relay->pages->core), &assertion, &verdict, &why, &words);
    web_visitor_of(&flow->who, &assertion);
    flow->target = assertion.target;
    if (ok) {
        connect_flow(relay, flow);
    } else {
        if (verdict == AMM_ASSERTION_OLD_EPOCH) {
            ace_tunnel_look(relay->pages->core); /* in case it is ours that is old */
        }
        refuse(relay, flow, verdict == AMM_ASSERTION_BUSY ? 503 : 403, why, words);
    }
}

static void read_head(struct web_relay *relay, struct flow *flow)
{
    static struct amm_http_request request;
    struct amm_http_error error;
    size_t used = 0;
    struct relay_way *way = &flow->pair->ways[RELAY_PROXY];
    ssize_t got =
        recv(flow->pair->ends[RELAY_PROXY].fd, way->data + way->len, HEAD_MAX - way->len, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        end_flow(relay, flow, WEB_END_LEFT);
        return;
    }
    way->len += got > 0 ? (size_t)got : 0;
    enum amm_http_result result =
        amm_http_request_parse(&request, amm_view(way->data, way->len), &used, &error);
    if (result == AMM_HTTP_MORE && way->len < HEAD_MAX) {
        return;
    }
    if (result != AMM_HTTP_OK) {
        refuse(relay, flow, 400, "bad-request", "this is no request, or too long a one");
        return;
    }
    way->at = used; /* what comes behind it is for the target */
    way->len -= used;
    take_request(relay, flow, &request);
}

/* ---- connected ---- */

static void open_flow(struct web_relay *relay, struct flow *flow)
{
    static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                              "Upgrade: amm-relay\r\n\r\n";
    struct relay_way *back = &flow->pair->ways[RELAY_TARGET];
    memcpy(back->data, yes, sizeof yes - 1);
    back->at = 0;
    back->len = sizeof yes - 1;
    flow->pair->ways[RELAY_PROXY].total = flow->pair->ways[RELAY_PROXY].len;
    flow->phase = OPEN;
    enter_log(relay, flow);
    char target[AMM_RELAY_TARGET];
    amm_log(AMM_LOG_INFO, "relay", amm_field_text("operator", flow->who.name),
            amm_field_text("from", flow->who.from),
            amm_field_text("target", amm_relay_target_text(&flow->target, target)));
}

static void move_flow(struct web_relay *relay, struct flow *flow)
{
    amm_time now = mono_now(relay);
    if (relay_pair_move(flow->pair, relay->buckets)) {
        flow->deadline = now + IDLE_SECONDS * AMM_SECOND;
        count(relay, flow);
    }
    if (!relay_pair_is_over(flow->pair)) {
        relay_pair_watch(flow->pair, relay->loop);
    }
    if (relay_pair_is_over(flow->pair)) {
        end_flow(relay, flow, WEB_END_LEFT);
    }
}

static void take_connected(struct web_relay *relay, struct flow *flow)
{
    struct amm_address local;
    int failed = amm_tcp_connect_result(flow->pair->ends[RELAY_TARGET].fd, &local);
    if (failed != 0) {
        refuse(relay, flow, 502, "unreachable", strerror(failed));
        return;
    }
    flow->deadline = mono_now(relay) + IDLE_SECONDS * AMM_SECOND;
    open_flow(relay, flow);
    move_flow(relay, flow);
}

/* ---- coming in ---- */

static void accept_one(struct web_relay *relay, int fd)
{
    size_t place = 0;
    while (place < PLACES && relay->flows[place].phase != FREE) {
        place++;
    }
    struct relay_pair *pair = place < PLACES ? calloc(1, sizeof *pair) : NULL;
    if (!pair) {
        close(fd);
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        pair->ends[i] = (struct relay_end){.fd = -1, .tag = 2 * place + i};
    }
    struct relay_end *end = &pair->ends[RELAY_PROXY];
    end->fd = fd;
    end->interest = AMM_READ;
    end->in_loop = amm_loop_add(relay->loop, fd, end->interest, end->tag);
    relay->flows[place] = (struct flow){
        .phase = HEAD, .deadline = mono_now(relay) + HEAD_SECONDS * AMM_SECOND, .pair = pair};
    if (!end->in_loop) {
        end_flow(relay, &relay->flows[place], WEB_END_LEFT);
    }
}

static void accept_all(struct web_relay *relay)
{
    struct amm_address remote, local;
    for (int fd; (fd = amm_tcp_accept(relay->listener, &remote, &local)) >= 0;) {
        accept_one(relay, fd);
    }
}

static void take_ready(struct web_relay *relay, const struct amm_ready *ready)
{
    if (ready->tag == TAG_LISTEN) {
        accept_all(relay);
        return;
    }
    struct flow *flow = &relay->flows[ready->tag / 2];
    struct relay_end *end = flow->phase != FREE ? &flow->pair->ends[ready->tag % 2] : NULL;
    if (!end || end->fd < 0) {
        return; /* it has ended in this round */
    }
    end->is_hung |= ready->closed;
    if (flow->phase == HEAD) {
        read_head(relay, flow);
    } else if (flow->phase == CONNECTING && ready->tag % 2 == RELAY_TARGET) {
        take_connected(relay, flow);
    } else if (flow->phase == CONNECTING && ready->closed) {
        end_flow(relay, flow, WEB_END_LEFT);
    } else if (flow->phase == CONNECTING) {
        amm_loop_change(relay->loop, end->fd, 0, end->tag); /* early bytes wait in the socket */
        end->interest = 0;
    } else {
        move_flow(relay, flow);
    }
}

/* ---- the listener ---- */

static bool where(const struct web_relay *relay, struct ace_listen *out)
{
    struct ace_listen listens[32];
    struct ace_core *core = relay->pages->core;
    size_t n = ace_listens(core, listens, 32);
    if (!ace_parameter_text(core, AMM_MSCI_RELAY_TARGETS)[0]) {
        return false;
    }
    for (size_t i = 0; i < n && i < 32; i++) {
        if (listens[i].is_tunnel) {
            *out = listens[i];
            out->address.port = (uint16_t)ace_parameter_number(core, AMM_MSCI_RELAY_PORT);
            return true;
        }
    }
    return false;
}

static void close_listener(struct web_relay *relay)
{
    if (relay->listener >= 0) {
        amm_loop_remove(relay->loop, relay->listener);
        close(relay->listener);
        relay->listener = -1;
        amm_log(AMM_LOG_INFO, "relay-closed", amm_field_address("address", &relay->at.address));
    }
}

static void open_listener(struct web_relay *relay, const struct ace_listen *at)
{
    char error[160];
    int fd =
        amm_tcp_listen_by(&at->address, at->link[0] ? at->link : NULL, false, error, sizeof error);
    if (fd < 0 &&
        errno == EPERM) { /* before Linux 5.7; the assertions are asked for all the same */
        fd = amm_tcp_listen(&at->address, false, error, sizeof error);
    }
    if (fd >= 0 && !amm_loop_add(relay->loop, fd, AMM_READ, TAG_LISTEN)) {
        snprintf(error, sizeof error, "out of memory");
        close(fd);
        fd = -1;
    }
    relay->listener = fd;
    relay->retry = fd >= 0 ? AMM_NEVER : mono_now(relay) + RETRY_SECONDS * AMM_SECOND;
    relay->at = *at;
    if (fd < 0) {
        amm_log(AMM_LOG_WARNING, "relay-not-open", amm_field_address("address", &at->address),
                amm_field_text("why", error));
    } else {
        amm_log(AMM_LOG_INFO, "relay-open", amm_field_address("address", &at->address));
    }
}

static void follow(struct web_relay *relay)
{
    struct ace_listen at;
    bool is_wanted = where(relay, &at);
    bool is_same = relay->listener >= 0 && is_wanted &&
                   amm_address_equal(&at.address, &relay->at.address) &&
                   strcmp(at.link, relay->at.link) == 0;
    if (is_same) {
        return;
    }
    close_listener(relay);
    relay->retry = AMM_NEVER;
    if (is_wanted) {
        open_listener(relay, &at);
    }
}

/* ---- the part of the loop ---- */

static int part_fd(void *context)
{
    return amm_loop_fd(((struct web_relay *)context)->loop);
}

static amm_time part_deadline(void *context)
{
    const struct web_relay *relay = context;
    amm_time at = relay->retry;
    for (size_t i = 0; i < PLACES; i++) {
        const struct flow *flow = &relay->flows[i];
        if (flow->phase != FREE) {
            at = amm_time_min(at, flow->deadline);
        }
        if (flow->phase == OPEN && flow->pair->wants_tokens) {
            at = amm_time_min(at, relay->buckets[0].filled + TOKENS_MS * AMM_MILLISECOND);
        }
    }
    return at;
}

static void expire(struct web_relay *relay, amm_time now)
{
    for (size_t i = 0; i < PLACES; i++) {
        struct flow *flow = &relay->flows[i];
        if (flow->phase == FREE) {
            continue;
        }
        if (now < flow->deadline) {
            if (flow->phase == OPEN && flow->pair->wants_tokens) {
                move_flow(relay, flow);
            }
        } else if (flow->phase == CONNECTING) {
            refuse(relay, flow, 504, "timeout", "the host has not answered within 10 s");
        } else {
            end_flow(relay, flow, WEB_END_IDLE);
        }
    }
}

static void part_step(void *context)
{
    struct web_relay *relay = context;
    struct amm_ready ready[AMM_LOOP_READY];
    amm_time now = mono_now(relay);
    uint64_t rate =
        (uint64_t)ace_parameter_number(relay->pages->core, AMM_MSCI_RELAY_RATE) * 1000 / 8;
    relay_bucket_fill(&relay->buckets[0], rate, now);
    relay_bucket_fill(&relay->buckets[1], rate, now);
    unsigned n = amm_loop_wait(relay->loop, 0, ready);
    for (unsigned i = 0; i < n; i++) {
        take_ready(relay, &ready[i]);
    }
    expire(relay, now);
    if (now >= relay->retry) {
        follow(relay);
    }
}

/* Another tunnel, another list: what is not allowed any more is cut. */
static void part_changed(void *context)
{
    struct web_relay *relay = context;
    uint64_t epoch = ace_tunnel_epoch(relay->pages->core);
    for (size_t i = 0; i < PLACES; i++) {
        struct flow *flow = &relay->flows[i];
        if (flow->phase != CONNECTING && flow->phase != OPEN) {
            continue;
        }
        if (flow->who.epoch != epoch) {
            end_flow(relay, flow, WEB_END_EPOCH);
        } else if (!is_allowed(relay, &flow->target)) {
            end_flow(relay, flow, WEB_END_HERE);
        }
    }
    follow(relay);
}

struct web_relay *web_relay_new(struct ace_pages *pages)
{
    struct web_relay *relay = calloc(1, sizeof *relay);
    if (!relay) {
        return NULL;
    }
    *relay = (struct web_relay){
        .pages = pages, .loop = amm_loop_new(), .listener = -1, .retry = AMM_NEVER};
    const struct ace_part part = {.fd = part_fd,
                                  .deadline = part_deadline,
                                  .step = part_step,
                                  .changed = part_changed,
                                  .context = relay};
    if (!relay->loop || !ace_core_attach(pages->core, &part)) {
        return web_relay_free(relay);
    }
    follow(relay);
    return relay;
}

struct web_relay *web_relay_free(struct web_relay *relay)
{
    if (relay) {
        web_relay_cut(relay, NULL, WEB_END_RESTART);
        if (relay->loop) {
            close_listener(relay);
            amm_loop_free(relay->loop);
        }
        free(relay);
    }
    return NULL;
}
