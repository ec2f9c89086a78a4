/* A request to a gateway: its head as the page needs it, its body in pieces. */
#include "flow_parts.h"

#include "proxyd/entry.h"

#include <stdlib.h>

/* ---- a head that stays ---- */

static struct amm_view keep(uint8_t **at, struct amm_view text)
{
    struct amm_view kept = amm_view(*at, text.len);
    if (text.len > 0) {
        memcpy(*at, text.data, text.len);
    }
    *at += text.len;
    return text.data ? kept : text;
}

struct asked *asked_new(const struct amm_http_request *request)
{
    size_t len = request->method.len + request->target.len + request->host.len;
    for (size_t i = 0; i < request->fields.n; i++) {
        len += request->fields.at[i].name.len + request->fields.at[i].value.len;
    }
    struct asked *asked = malloc(sizeof *asked + len);
    if (!asked) {
        return NULL;
    }
    struct amm_http_request *copy = &asked->request;
    uint8_t *at = asked->bytes;
    *copy = *request;
    copy->method = keep(&at, request->method);
    copy->target = keep(&at, request->target);
    copy->host = keep(&at, request->host);
    copy->path = amm_view(copy->target.data, request->path.len);
    if (request->query.len > 0) {
        copy->query = amm_view(copy->target.data + (request->query.data - request->target.data),
                               request->query.len);
    }
    for (size_t i = 0; i < request->fields.n; i++) {
        copy->fields.at[i].name = keep(&at, request->fields.at[i].name);
        copy->fields.at[i].value = keep(&at, request->fields.at[i].value);
    }
    return asked;
}

bool flow_is_repeatable(const struct amm_http_request *request)
{
    return request->framing == AMM_HTTP_NO_BODY && !request->upgrade &&
           (amm_view_equal(request->method, amm_view_str("GET")) ||
            amm_view_equal(request->method, amm_view_str("HEAD")) ||
            amm_view_equal(request->method, amm_view_str("OPTIONS")));
}

/* ---- on its way ---- */

/* A port of a router is a pipe at once; our own gateways have a relay, also for their own ports
 * (then the target has no address). */
static bool ask_for_port(struct flow *flow, enum page *page)
{
    const struct session *session = flow->session;
    char assertion[AMM_ASSERTION_MAX];
    uint8_t bytes[AMM_ASSERTION_MAX + 128];
    struct amm_writer fields = amm_writer(bytes, sizeof bytes);
    *page = PAGE_BAD_REQUEST;
    if (!flow->asked->request.upgrade ||
        !amm_http_field_has(&flow->asked->request.fields, "upgrade", "amm-forward")) {
        return false;
    }
    *page = PAGE_BUSY;
    if (session->about.relay.port == 0) {
        return amm_http_client_pipe(flow->client);
    }
    if (!entry_assert(flow->flows->proxyd, session, AMM_ASSERTION_RELAY, assertion)) {
        *page = PAGE_NO_SIGN_IN;
        return false;
    }
    amm_http_write_field(&fields, "Upgrade", amm_view_str("amm-relay"));
    amm_http_write_field(&fields, "AMM-Assertion", amm_view_str(assertion));
    bool ok = amm_http_client_begin(
        flow->client, &(struct amm_http_ask){.method = amm_view_str("GET"),
                                             .target = amm_view_str("/relay"),
                                             .fields = amm_view(bytes, amm_writer_len(&fields)),
                                             .upgrade = true});
    amm_wipe(assertion, sizeof assertion);
    amm_wipe(bytes, sizeof bytes);
    return ok;
}

static enum page page_of(enum translate_verdict verdict)
{
    return verdict == TRANSLATE_TOO_LARGE   ? PAGE_TOO_LARGE
           : verdict == TRANSLATE_VIEW_ONLY ? PAGE_VIEW_ONLY
                                            : PAGE_NO_WORKER;
}

bool flow_ask(struct flow *flow, enum page *page)
{
    const struct amm_http_request *request = &flow->asked->request;
    if (flow->session->about.kind == AMM_PROXY_FORWARD) {
        return ask_for_port(flow, page);
    }
    uint8_t bytes[AMM_HTTP_HEAD_MAX + TRANSLATE_GROWTH];
    struct amm_writer fields = amm_writer(bytes, sizeof bytes);
    enum translate_verdict verdict =
        translate_request(&flow->session->names, request, &flow->is_upgrade, &fields);
    if (verdict != TRANSLATE_OK) {
        *page = page_of(verdict);
        return false;
    }
    *page = PAGE_BUSY;
    bool ok = amm_http_client_begin(
        flow->client, &(struct amm_http_ask){.method = request->method,
                                             .target = request->target,
                                             .fields = amm_view(bytes, amm_writer_len(&fields)),
                                             .has_host = true,
                                             .framing = request->framing,
                                             .length = request->length,
                                             .upgrade = flow->is_upgrade});
    amm_wipe(bytes, amm_writer_len(&fields)); /* cookies, passwords */
    return ok;
}
