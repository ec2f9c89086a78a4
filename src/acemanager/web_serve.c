#include "web.h"

#include "web_assets.h"
#include "web_guard.h"
#include "web_login.h"

#include <stdio.h>

static bool is_get(const struct amm_http_request *request)
{
    return amm_view_equal(request->method, amm_view_str("GET")) ||
           amm_view_equal(request->method, amm_view_str("HEAD"));
}

static bool is_post(const struct amm_http_request *request)
{
    return amm_view_equal(request->method, amm_view_str("POST"));
}

size_t web_body_limit(const struct amm_http_request *request)
{
    return is_post(request) ? WEB_FORM_MAX : 0;
}

void web_settle(struct ace_pages *pages)
{
    pages->sessions.idle = ace_parameter_number(pages->core, AMM_MSCI_IDLE_TIME) * 60 * AMM_SECOND;
}

static bool is_in_tunnel(struct ace_pages *pages, const struct amm_address *local)
{
    struct ace_listen listens[32];
    size_t n = ace_listens(pages->core, listens, 32);
    for (size_t i = 0; i < n && i < 32; i++) {
        if (listens[i].is_tunnel && listens[i].address.family == local->family &&
            memcmp(listens[i].address.ip, local->ip, sizeof local->ip) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- files ---- */

static bool serve_file(struct web_call *call)
{
    static const char folder[] = "/assets/";
    struct amm_view path = call->request->path;
    size_t skip = sizeof folder - 1;
    if (path.len <= skip || memcmp(path.data, folder, skip) != 0 || !is_get(call->request)) {
        return false;
    }
    const struct web_asset *asset = web_asset_file(amm_view(path.data + skip, path.len - skip));
    if (!asset) {
        return false;
    }
    call->type = asset->type;
    web_text_add(&call->body, amm_view(asset->data, asset->len));
    /* its name has a hash of its content */
    web_answer_field(call, "Cache-Control", "max-age=31536000, immutable");
    return true;
}

/* ---- who asks, and whether this may be asked ---- */

static bool refuse(struct web_call *call, int status, const char *heading, const char *text)
{
    web_answer_error(call, status, heading, text);
    return false;
}

/* Before anything is looked at but the head. */
static bool may_come_in(struct web_call *call)
{
    const struct amm_http_request *request = call->request;
    if (!web_host_ok(request->host)) {
        return refuse(
            call, 421, "Not under this name",
            "ACEmanager is opened by the gateway’s address, such as "
            "https://192.168.13.31:9443, not by a name. A name could be pointed here by a "
            "stranger.");
    }
    if (!is_get(request) && !is_post(request)) {
        web_answer_field(call, "Allow", "GET, HEAD, POST");
        return refuse(call, 405, "Not possible here", "Only pages and forms are served here.");
    }
    if (!amm_http_path_is_canonical(request->path)) {
        return refuse(call, 404, "No such page", "There is no page with this address.");
    }
    if (is_get(request) ? !web_may_read(request) : !web_may_change(request)) {
        return refuse(
            call, 403, "Not from here",
            "The request came from another site, so it was not carried out. Open the page "
            "itself and do it there.");
    }
    return true;
}

static bool is_form(const struct amm_http_request *request)
{
    static const char form[] = "application/x-www-form-urlencoded";
    struct amm_view type = amm_http_field(&request->fields, "content-type");
    const uint8_t *end = type.len > 0 ? memchr(type.data, ';', type.len) : NULL;
    return amm_http_is(end ? amm_view(type.data, (size_t)(end - type.data)) : type, form);
}

static bool may_change(struct web_call *call, const struct web_route *route)
{
    char csrf[WEB_TOKEN_TEXT + 8];
    if (!is_form(call->request)) {
        return refuse(call, 415, "Not a form", "Changes are sent as forms.");
    }
    if (route->own_csrf) {
        return true;
    }
    if (!web_form(call, "csrf", csrf, sizeof csrf) || !web_session_csrf_ok(call->session, csrf)) {
        return refuse(
            call, 403, "Form out of date",
            "The form belongs to another login, so nothing was changed. Open the page and "
            "fill it in again.");
    }
    return true;
}

static void dispatch(struct web_call *call)
{
    enum web_change change = is_get(call->request) ? WEB_READS : WEB_CHANGES;
    const struct web_route *route = web_route_find(call->request->path, change);
    if (!route) {
        web_answer_error(call, 404, "No such page", "There is no page with this address.");
        return;
    }
    if (route->least != WEB_NOBODY && !call->session) {
        web_answer_redirect(call, "/login");
        return;
    }
    if (change == WEB_CHANGES && !may_change(call, route)) {
        return;
    }
    if (route->least != WEB_NOBODY && call->session->role < route->least) {
        web_answer_error(call, 403, "Not with this account",
                         "The account viewer may look at everything and change nothing. Log in as "
                         "user to change it.");
        return;
    }
    route->handle(call);
}

/* False if the cookie was answered: its remote session is over, or is not of this tunnel. */
static bool find_session(struct web_call *call)
{
    struct amm_view token = web_cookie(&call->request->fields, WEB_COOKIE);
    bool by_person = amm_http_field_count(&call->request->fields, "x-refresh") == 0;
    if (token.data) {
        struct web_sessions *sessions = &call->pages->sessions;
        enum web_end why;
        call->session = web_session_find(sessions, token, call->now.mono, by_person);
        if (call->session && call->session->is_remote && !call->in_tunnel) {
            call->session = NULL;
        } else if (call->session && call->session->is_remote &&
                   call->session->who.epoch != ace_tunnel_epoch(call->pages->core)) {
            web_session_close(sessions, call->session, WEB_END_EPOCH);
            call->session = NULL;
        }
        if (!call->session && call->in_tunnel && web_session_has_ended(sessions, token, &why)) {
            web_remote_gone(call, why);
            return false;
        }
        if (call->session && call->session->is_remote && by_person) {
            web_visits_touch(&call->pages->visits, call->session->visit, call->now);
        }
    }
    return true;
}

void web_serve(struct ace_pages *pages, const struct amm_http_call *http)
{
    struct web_call call = {
        .pages = pages,
        .request = http->request,
        .form = http->body,
        .ref = http->ref,
        .remote = http->remote,
        .local = http->local,
        .now = ace_core_now(pages->core),
        .in_tunnel = is_in_tunnel(pages, &http->local),
    };
    web_answer_begin(&call);
    if (web_remote_is(http->request)) {
        web_remote_take(&call);
    } else if (may_come_in(&call) && !serve_file(&call) && find_session(&call)) {
        dispatch(&call);
    }
    web_answer_send(&call);
}

void web_serve_hashed(struct ace_pages *pages)
{
    struct web_hasher_job job;
    while (web_hasher_take(pages->hasher, &job)) {
        struct web_call call = {
            .pages = pages,
            .ref = job.ref,
            .remote = job.remote,
            .now = ace_core_now(pages->core),
            .in_tunnel = job.in_tunnel,
        };
        web_answer_begin(&call);
        if (job.kind == WEB_LOGIN) {
            web_login_hashed(&call, &job);
        } else {
            web_password_hashed(&call, &job);
        }
        web_answer_send(&call);
        amm_wipe(&job, sizeof job);
    }
}
