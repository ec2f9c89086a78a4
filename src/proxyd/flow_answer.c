/* What a gateway sends: framed anew for the browser, or told in words why it cannot be passed on.
 */
#include "flow_parts.h"

#include "io/log.h"
#include "proxyd/link.h"

#include <stdlib.h>

enum { NUMBER_MAX = 18, LINKS_SLICE = 2048 };

/* ---- refused ---- */

/* The browser is told in words, if it has heard nothing yet; else it sees that something is
 * missing. The flow is gone. */
static bool fail(struct flow *flow, enum page page, const char *detail)
{
    struct amm_http_server *server = flow->flows->proxyd->server;
    if (flow->answered) {
        amm_http_cut(server, flow->ref);
    } else {
        flow->status = pages_status(page);
        pages_answer(server, flow->ref, page, flow->session, detail, (struct amm_view){0});
    }
    amm_log(AMM_LOG_INFO, "request-failed", amm_field_text("gateway", flow->session->about.tunnel),
            amm_field_text("why", detail));
    flow_forget(flow);
    flow_free(flow);
    return false;
}

static enum page page_of(const struct amm_http_event *event)
{
    if (event->tls_failure == AMM_TLS_WRONG_PIN) {
        return PAGE_KEY_CHANGED;
    }
    switch (event->failure) {
    case AMM_HTTP_UNREACHABLE:
        return PAGE_UNREACHABLE;
    case AMM_HTTP_NO_TLS:
        return PAGE_NO_TLS;
    case AMM_HTTP_LATE:
        return PAGE_NO_ANSWER;
    case AMM_HTTP_LOST:
    case AMM_HTTP_MALFORMED:
        break;
    }
    return PAGE_BAD_ANSWER;
}

static bool take_failure(struct flow *flow, const struct amm_http_event *event)
{
    uint8_t key[AMM_PROXY_HASH];
    enum page page;
    if (!flow->asked) { /* it was kept, and its server has closed it */
        flow_free(flow);
        return false;
    }
    if (flow->may_repeat && flow->was_used && !flow->answered && event->failure == AMM_HTTP_LOST) {
        flow->was_used = false;
        return flow_connect(flow) && flow_ask(flow, &page)
                   ? true
                   : fail(flow, PAGE_BUSY, "The proxy is short of memory.");
    }
    if (event->tls_failure == AMM_TLS_WRONG_PIN && amm_http_client_key(flow->client, key)) {
        link_key(flow->flows->proxyd->link, flow->session, key, true);
    }
    return fail(flow, page_of(event), event->error);
}

/* ---- the key of a page that nobody has seen yet ---- */

static bool take_key(struct flow *flow, const uint8_t *key)
{
    struct session *session = flow->session;
    if (!session->about.has_pin) {
        link_key(flow->flows->proxyd->link, session, key, false);
    } else if (!amm_equal_secret(session->about.pin, key, AMM_PROXY_HASH)) {
        link_key(flow->flows->proxyd->link, session, key, true);
        return fail(flow, PAGE_KEY_CHANGED, "its key is not the pinned one");
    }
    amm_http_client_trust(flow->client);
    return true;
}

/* ---- heads ---- */

static const char *words_of(enum translate_verdict verdict)
{
    switch (verdict) {
    case TRANSLATE_TOO_LARGE:
        return "The head of its answer is too large.";
    case TRANSLATE_BAD_UPGRADE:
        return "It changes the protocol to one that was not asked for.";
    case TRANSLATE_NO_PROXY:
        return "It asks for the password of a proxy (407), which it is not.";
    case TRANSLATE_OTHER_SCHEME:
        return "It leads from HTTP to HTTPS, or the other way round: set the scheme and the port "
               "of "
               "its page in the gateway's record.";
    case TRANSLATE_OK:
    case TRANSLATE_REFUSED:
    case TRANSLATE_VIEW_ONLY:
        break;
    }
    return "Its answer cannot be passed on.";
}

/* The length that the answer to HEAD, and a 304, only speak of. The codec has checked its form. */
static bool spoken_length(const struct amm_http_response *response, uint64_t *length)
{
    struct amm_view text = amm_http_field(&response->fields, "content-length");
    *length = 0;
    for (size_t i = 0; i < text.len && i < NUMBER_MAX; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *length = *length * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.len > 0 && text.len <= NUMBER_MAX;
}

static void frame(const struct amm_http_response *response, struct amm_http_reply *reply)
{
    reply->bare = reply->paced = true;
    reply->status = response->status;
    reply->stream = response->framing != AMM_HTTP_NO_BODY;
    reply->length = response->length;
    reply->has_length = response->framing == AMM_HTTP_LENGTH ||
                        (!reply->stream && spoken_length(response, &reply->length));
}

/* One of our own gateways says that somebody there has ended the remote session (GP-75). */
static bool says_ended(const struct flow *flow, const struct amm_http_response *response)
{
    return response->status == 401 && flow->session->about.credentials == AMM_PROXY_ASSERTION &&
           amm_http_is(amm_http_field(&response->fields, "amm-remote-session"), "ended");
}

/* Without memory the page passes as it is: some of its links will not work. */
static void begin_links(struct flow *flow)
{
    flow->links = malloc(sizeof *flow->links);
    if (flow->links) {
        translate_body_begin(flow->links, &flow->session->names);
    }
}

static bool pass_head(struct flow *flow, const struct amm_http_response *response)
{
    uint8_t bytes[AMM_HTTP_HEAD_MAX + TRANSLATE_GROWTH];
    struct amm_writer fields = amm_writer(bytes, sizeof bytes);
    enum translate_verdict verdict =
        translate_response(&flow->session->names, &flow->asked->request, response, &fields);
    if (verdict != TRANSLATE_OK) {
        return fail(flow, PAGE_BAD_ANSWER, words_of(verdict));
    }
    struct amm_http_reply reply = {.fields = amm_view(bytes, amm_writer_len(&fields))};
    if (translate_body_wanted(&flow->asked->request, response)) {
        begin_links(flow);
    }
    frame(response, &reply);
    reply.has_length = reply.has_length && !flow->links;
    flow->answered = true;
    flow->is_upgrade = false;
    flow->streams = reply.stream;
    flow->status = response->status;
    flow->page_ended = says_ended(flow, response);
    if (!amm_http_answer(flow->flows->proxyd->server, flow->ref, &reply)) {
        return fail(flow, PAGE_BUSY, "the browser has left");
    }
    return true;
}

/* 103 and the like. */
static bool pass_interim(struct flow *flow, const struct amm_http_response *response)
{
    uint8_t bytes[AMM_HTTP_HEAD_MAX + TRANSLATE_GROWTH];
    struct amm_writer fields = amm_writer(bytes, sizeof bytes);
    flow->may_repeat = false;
    if (response->status != 100 && !flow->answered &&
        translate_response(&flow->session->names, &flow->asked->request, response, &fields) ==
            TRANSLATE_OK) {
        amm_http_inform(flow->flows->proxyd->server, flow->ref, response->status,
                        amm_view(bytes, amm_writer_len(&fields)));
    }
    return true;
}

/* `response` NULL: a connection to a port. */
static bool pass_upgrade(struct flow *flow, const struct amm_http_response *response)
{
    uint8_t bytes[AMM_HTTP_HEAD_MAX + TRANSLATE_GROWTH];
    struct amm_writer fields = amm_writer(bytes, sizeof bytes);
    enum translate_verdict verdict = TRANSLATE_OK;
    if (flow->session->about.kind == AMM_PROXY_FORWARD) {
        amm_http_write_field(&fields, "Upgrade", amm_view_str("amm-forward"));
    } else {
        verdict = response ? translate_response(&flow->session->names, &flow->asked->request,
                                                response, &fields)
                           : TRANSLATE_BAD_UPGRADE;
    }
    if (verdict != TRANSLATE_OK) {
        return fail(flow, PAGE_BAD_ANSWER, words_of(verdict));
    }
    flow->answered = flow->streams = flow->is_upgrade = flow->is_pipe = flow->body_open = true;
    flow->may_repeat = false;
    flow->status = 101;
    flow->credit = 0;
    const struct amm_http_reply reply = {.status = 101,
                                         .fields = amm_view(bytes, amm_writer_len(&fields)),
                                         .bare = true,
                                         .upgrade = true};
    if (!amm_http_answer(flow->flows->proxyd->server, flow->ref, &reply)) {
        return fail(flow, PAGE_BUSY, "the browser has left");
    }
    return true;
}

/* ---- bodies ---- */

/* HTML in slices, since each may grow. False: the browser has left. */
static bool send_links(struct flow *flow, struct amm_view content, bool last)
{
    static uint8_t out[TRANSLATE_BODY_ROOM(LINKS_SLICE + TRANSLATE_ORIGIN * 2)];
    struct amm_http_server *server = flow->flows->proxyd->server;
    bool ok = true;
    do {
        size_t len = content.len < LINKS_SLICE ? content.len : LINKS_SLICE;
        struct amm_view slice = amm_view(content.data, len);
        struct amm_writer w = amm_writer(out, sizeof out);
        content = amm_view(len > 0 ? content.data + len : NULL, content.len - len);
        ok = translate_body(flow->links, &slice, last, &w);
        size_t written = amm_writer_len(&w);
        ok = ok && (written == 0 || amm_http_send(server, flow->ref, amm_view(out, written)));
    } while (ok && content.len > 0);
    return ok;
}

static bool pass_body(struct flow *flow, struct amm_view content)
{
    struct amm_http_server *server = flow->flows->proxyd->server;
    flow->bytes_out += content.len;
    if (flow->links ? !send_links(flow, content, false)
                    : !amm_http_send(server, flow->ref, content)) {
        return fail(flow, PAGE_BUSY, "the browser has left");
    }
    if (amm_http_waiting(server, flow->ref) >= FLOW_AHEAD) {
        amm_http_client_pause(flow->client, true);
    }
    return true;
}

/* The answer is whole; of a pipe: that direction. */
static bool take_end(struct flow *flow, bool keep_alive)
{
    struct session *session = flow->session;
    bool page_ended = flow->page_ended;
    if (flow->links && !send_links(flow, amm_view(NULL, 0), true)) {
        return fail(flow, PAGE_BUSY, "the browser has left");
    }
    if (flow->streams) {
        amm_http_send(flow->flows->proxyd->server, flow->ref, amm_view(NULL, 0));
    }
    if (flow->is_pipe && amm_http_client_fd(flow->client) >= 0) {
        return true; /* ours still goes */
    }
    flow_forget(flow);
    session->page_ended |= page_ended;
    if (keep_alive) {
        flow_keep(flow);
    } else {
        flow_free(flow);
    }
    return false;
}

bool flow_take(struct flow *flow, const struct amm_http_event *event)
{
    switch (event->kind) {
    case AMM_HTTP_EVENT_NONE:
        return true;
    case AMM_HTTP_EVENT_KEY:
        return take_key(flow, event->key);
    case AMM_HTTP_EVENT_INTERIM:
        return pass_interim(flow, event->response);
    case AMM_HTTP_EVENT_HEAD:
        return pass_head(flow, event->response);
    case AMM_HTTP_EVENT_UPGRADED:
        return pass_upgrade(flow, event->response);
    case AMM_HTTP_EVENT_BODY:
        return pass_body(flow, event->content);
    case AMM_HTTP_EVENT_DONE:
        return take_end(flow, event->keep_alive);
    case AMM_HTTP_EVENT_FAILED:
        break;
    }
    return take_failure(flow, event);
}
