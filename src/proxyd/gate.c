#include "proxyd/gate.h"

#include "base/base64.h"
#include "crypto/mac.h"
#include "io/log.h"
#include "proxyd/entry.h"
#include "proxyd/flow.h"
#include "proxyd/link.h"
#include "proxyd/pages.h"
#include "proxyd/proxyd.h"
#include "proxyd/record.h"

#include <stdio.h>

#include "translate_parts.h"

enum { TICKET_TEXT = 64, FIELDS = 512 };

/* ---- answers ---- */

static void note(struct proxyd *proxyd, const struct session *session,
                 const struct amm_http_call *call, enum amm_proxy_request_kind kind, int status)
{
    const struct record_row row = {.kind = kind,
                                   .status = status,
                                   .began_wall = proxyd->now.wall,
                                   .method = call->request->method,
                                   .path = call->request->path};
    record_add(proxyd->record, session, &row);
}

void gate_refuse(struct proxyd *proxyd, const struct session *session,
                 const struct amm_http_call *call, enum page page)
{
    if (session != NULL) {
        note(proxyd, session, call, AMM_PROXY_REQUEST_REFUSED, pages_status(page));
    }
    pages_answer(call->server, call->ref, page, session, NULL, (struct amm_view){0});
}

void gate_end(struct proxyd *proxyd, struct session *session, enum amm_proxy_end reason)
{
    char label[AMM_PROXY_LABEL + 1];
    memcpy(label, session->about.label, sizeof label);
    flows_cut(proxyd->flows, session);
    amm_log(AMM_LOG_INFO, "session-ended", amm_field_text("gateway", session->about.tunnel),
            amm_field_text("operator", session->about.operator_name),
            amm_field_text("reason", amm_proxy_end_name(reason)));
    sessions_remove(proxyd->sessions, session);
    link_ended(proxyd->link, label, reason);
}

/* ---- who may ask ---- */

static struct amm_view field(const struct amm_http_call *call, const char *name)
{
    return amm_http_field(&call->request->fields, name);
}

static bool is_method(const struct amm_http_call *call, const char *method)
{
    return amm_view_equal(call->request->method, amm_view_str(method));
}

/* The browser has the cookie, but another site made it ask: a neighbour below the same domain, for
 * instance the page of another gateway, to which SameSite=Strict is no border. Following a link is
 * all that it may. */
static bool comes_from_here(const struct session *session, const struct amm_http_call *call)
{
    struct amm_view site = field(call, "sec-fetch-site"), origin = field(call, "origin");
    if (origin.data != NULL && !translate_same(origin, session->names.browser_origin) &&
        !translate_same(origin, "null")) {
        return false;
    }
    if (site.data == NULL || amm_http_is(site, "same-origin") || amm_http_is(site, "none")) {
        return true;
    }
    return is_method(call, "GET") && origin.data == NULL &&
           amm_http_is(field(call, "sec-fetch-mode"), "navigate") &&
           amm_http_is(field(call, "sec-fetch-dest"), "document");
}

/* ---- /.amm/ ---- */

bool gate_is_own(const struct amm_http_request *request)
{
    return translate_begins(request->path, "/.amm/") &&
           !amm_view_equal(request->path, amm_view_str("/.amm/forward"));
}

/* A new cookie for the browser that has brought the ticket; another one that was here before is
 * out. */
static void give_cookie(struct proxyd *proxyd, struct session *session,
                        const struct amm_address *remote, struct amm_writer *fields)
{
    uint8_t secret[32];
    char text[AMM_BASE64_ROOM(sizeof secret)], value[160];
    bool secure = session->names.browser_secure;
    amm_random_fill(&proxyd->random, secret, sizeof secret);
    amm_base64_encode(text, sizeof text, amm_view(secret, sizeof secret), AMM_BASE64_URL);
    if (!amm_sha256(amm_view(secret, sizeof secret), session->about.cookie)) {
        fields->failed = true;
        return;
    }
    flows_cut(proxyd->flows, session);
    session->about.has_cookie = 1;
    session->entered = true;
    session->entered_from = *remote;
    snprintf(value, sizeof value, "%s=%s; Path=/; HttpOnly; SameSite=Strict%s",
             translate_cookie_name(secure), text, secure ? "; Secure" : "");
    amm_http_write_field(fields, "Set-Cookie", amm_view_str(value));
    amm_wipe(secret, sizeof secret);
    amm_wipe(text, sizeof text);
    amm_wipe(value, sizeof value);
}

static void enter(struct proxyd *proxyd, struct session *session, const struct amm_http_call *call)
{
    char ticket[TICKET_TEXT] = "";
    uint8_t bytes[FIELDS];
    if (!is_method(call, "POST")) {
        gate_refuse(proxyd, session, call, PAGE_BAD_REQUEST);
        return;
    }
    bool ok = amm_http_query(call->body, "ticket", ticket, sizeof ticket) &&
              session_use_ticket(session, amm_view_str(ticket), proxyd->now.wall);
    amm_wipe(ticket, sizeof ticket);
    if (!ok) {
        gate_refuse(proxyd, session, call, PAGE_BAD_TICKET);
        return;
    }
    struct amm_writer fields = amm_writer(bytes, sizeof bytes);
    give_cookie(proxyd, session, &call->remote, &fields);
    session_touch(session, proxyd->now);
    link_entered(proxyd->link, session, &call->remote);
    note(proxyd, session, call, AMM_PROXY_REQUEST_OWN, pages_status(PAGE_OPENING));
    amm_log(AMM_LOG_INFO, "entered", amm_field_text("gateway", session->about.tunnel),
            amm_field_text("operator", session->about.operator_name),
            amm_field_address("remote", &call->remote));
    struct amm_view written = amm_view(bytes, amm_writer_len(&fields));
    if (session->about.credentials != AMM_PROXY_ASSERTION) {
        pages_answer(call->server, call->ref, PAGE_OPENING, session, NULL, written);
    } else if (!entry_start(proxyd, session, call->ref, written)) {
        pages_answer(call->server, call->ref, PAGE_BUSY, session, NULL, written);
    }
    amm_wipe(bytes, sizeof bytes);
}

static void leave(struct proxyd *proxyd, struct session *session, const struct amm_http_call *call)
{
    uint8_t bytes[FIELDS];
    char value[128];
    struct amm_writer fields = amm_writer(bytes, sizeof bytes);
    snprintf(value, sizeof value, "%s=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict%s",
             translate_cookie_name(session->names.browser_secure),
             session->names.browser_secure ? "; Secure" : "");
    amm_http_write_field(&fields, "Set-Cookie", amm_view_str(value));
    /* Not "cookies": they go for the whole domain, the console's included. */
    amm_http_write_field(&fields, "Clear-Site-Data", amm_view_str("\"cache\", \"storage\""));
    note(proxyd, session, call, AMM_PROXY_REQUEST_OWN, pages_status(PAGE_LEFT));
    pages_answer(call->server, call->ref, PAGE_LEFT, session, NULL,
                 amm_view(bytes, amm_writer_len(&fields)));
    gate_end(proxyd, session, AMM_PROXY_END_LEFT);
}

/* What needs the cookie below /.amm/. */
static void own(struct proxyd *proxyd, struct session *session, const struct amm_http_call *call)
{
    struct amm_view path = call->request->path;
    if (amm_view_equal(path, amm_view_str("/.amm/leave")) && is_method(call, "POST")) {
        leave(proxyd, session, call);
    } else if (amm_view_equal(path, amm_view_str("/.amm/status")) && is_method(call, "GET")) {
        pages_answer(call->server, call->ref, PAGE_STATUS, session, NULL, (struct amm_view){0});
    } else {
        gate_refuse(proxyd, session, call, PAGE_BAD_REQUEST);
    }
}

struct session *gate_admit(struct proxyd *proxyd, const struct amm_http_call *call)
{
    struct session *session = sessions_of_host(proxyd->sessions, call->request->host);
    if (!link_may_serve(proxyd->link)) {
        gate_refuse(proxyd, NULL, call, PAGE_NO_MANAGER);
        return NULL;
    }
    if (session == NULL) {
        gate_refuse(proxyd, NULL, call, PAGE_NO_SESSION);
        return NULL;
    }
    if (amm_view_equal(call->request->path, amm_view_str("/.amm/enter"))) {
        enter(proxyd, session, call);
        return NULL;
    }
    if (!session_has_cookie(session, call->request)) {
        gate_refuse(proxyd, NULL, call, PAGE_NO_COOKIE);
        note(proxyd, session, call, AMM_PROXY_REQUEST_REFUSED, pages_status(PAGE_NO_COOKIE));
        return NULL;
    }
    if (!comes_from_here(session, call)) {
        gate_refuse(proxyd, session, call, PAGE_FOREIGN);
        return NULL;
    }
    if (session_touch(session, proxyd->now)) {
        link_active(proxyd->link, session);
    }
    if (gate_is_own(call->request)) {
        own(proxyd, session, call);
        return NULL;
    }
    bool is_forward = amm_view_equal(call->request->path, amm_view_str("/.amm/forward"));
    if (is_forward != (session->about.kind == AMM_PROXY_FORWARD)) {
        gate_refuse(proxyd, session, call, PAGE_BAD_REQUEST);
        return NULL;
    }
    return session;
}
