#include "web_remote.h"

#include "domain/gateway_answers.h"
#include "io/log.h"
#include "web.h"
#include "web_relay.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOK_SECONDS = 2 };

#define ENDED_HERE "somebody at the gateway has ended this remote session"

static const char path[] = "/remote-session";

/* ---- ends ---- */

static void told(void *context, const struct web_session *session, enum web_end why)
{
    struct ace_pages *pages = context;
    web_visits_end(&pages->visits, session->visit, why, ace_core_now(pages->core));
    amm_log(AMM_LOG_INFO, "remote-session-ended", amm_field_text("operator", session->who.name),
            amm_field_text("why", web_end_name(why)));
}

void web_remote_init(struct ace_pages *pages)
{
    pages->remote = (struct web_remote){.review = AMM_NEVER};
    pages->sessions.tell = told;
    pages->sessions.context = pages;
    web_visits_open(&pages->visits, ace_core_folder(pages->core));
}

void web_remote_gone(struct web_call *call, enum web_end why)
{
    char text[160];
    snprintf(text, sizeof text,
             "This remote session is over: %s. Open ACEmanager from the server again.",
             why == WEB_END_HERE ? "somebody at the gateway has ended it" : web_end_words(why));
    web_answer_field(call, "AMM-Remote-Session", "ended");
    web_answer_cookie(call, WEB_COOKIE, "");
    web_answer_error(call, 401, "Remote session ended", text);
}

static bool has_label_ended(const struct web_remote *remote, const char *label)
{
    for (size_t i = 0; i < WEB_REMOTE_LABELS; i++) {
        if (strcmp(remote->ended[i], label) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- signing in ---- */

bool web_remote_is(const struct amm_http_request *request)
{
    return amm_view_equal(request->path, amm_view_str(path));
}

static void refuse(struct web_call *call, int status, const char *why, const char *words)
{
    struct amm_error_answer error = {0};
    size_t len = 0;
    snprintf(error.error, sizeof error.error, "%s", why);
    snprintf(error.text, sizeof error.text, "%s", words);
    char *text = amm_error_answer_encode(&error, &len);
    call->status = status;
    call->type = "application/json";
    web_answer_field(call, "Cache-Control", "no-store");
    web_text_add(&call->body, amm_view(text ? text : "", len));
    free(text);
    amm_log(AMM_LOG_WARNING, "remote-session-refused", amm_field_text("why", why),
            amm_field_address("from", &call->remote));
}

bool web_remote_verify(struct ace_pages *pages, enum amm_assertion_kind kind, struct amm_view text,
                       struct amm_now now, struct amm_assertion *out,
                       enum amm_assertion_verdict *verdict, const char **why, const char **words)
{
    struct ace_about about;
    ace_about(pages->core, &about);
    const struct amm_assertion_rules rules = {
        .kind = kind,
        .key = ace_remote_key(pages->core),
        .serial = about.serial,
        .epoch = ace_tunnel_epoch(pages->core),
        .now = now.wall,
    };
    *verdict = amm_assertion_verify(out, text, &rules, &pages->remote.seen);
    *why = amm_assertion_name(*verdict);
    *words = amm_assertion_words(*verdict);
    if (*verdict == AMM_ASSERTION_BAD_SIGNATURE) {
        ace_remote_key_doubt(pages->core);
    }
    if (*verdict == AMM_ASSERTION_OK && has_label_ended(&pages->remote, out->label)) {
        *why = "ended";
        *words = ENDED_HERE;
        return false;
    }
    return *verdict == AMM_ASSERTION_OK;
}

static void sign_in(struct web_call *call, const struct amm_assertion *assertion)
{
    struct ace_pages *pages = call->pages;
    struct web_visitor who;
    web_visitor_of(&who, assertion);
    struct web_session *session = web_session_open_remote(&pages->sessions, &who, &call->remote,
                                                          call->now, call->fresh_token);
    if (!session) {
        refuse(call, 503, "busy", "too many logins at once; try again later");
        return;
    }
    session->visit = web_visits_begin(&pages->visits, &who, "", call->now);
    web_visits_step(&pages->visits, call->now.mono); /* on disk before it is answered */
    pages->remote.review = call->now.mono;
    amm_log(AMM_LOG_INFO, "remote-session", amm_field_text("operator", who.name),
            amm_field_text("from", who.from), amm_field_text("role", web_role_name(who.role)));
    web_answer_cookie(call, WEB_COOKIE, call->fresh_token);
    call->status = 204;
}

/* What is known of the tunnel is some seconds old: ammer is asked before its epoch decides. */
static bool wait_for_look(struct web_call *call, struct amm_view text)
{
    struct web_remote *remote = &call->pages->remote;
    for (size_t i = 0; i < WEB_REMOTE_WAITING; i++) {
        if (remote->waiting[i].until == 0 && text.len < AMM_ASSERTION_MAX) {
            remote->waiting[i].until = call->now.mono + LOOK_SECONDS * AMM_SECOND;
            remote->waiting[i].ref = call->ref;
            remote->waiting[i].remote = call->remote;
            memcpy(remote->waiting[i].assertion, text.data, text.len);
            remote->waiting[i].assertion[text.len] = '\0';
            remote->waiting[i].look = ace_tunnel_look(call->pages->core);
            call->later = true;
            return true;
        }
    }
    return false;
}

static void decide(struct web_call *call, struct amm_view text)
{
    struct amm_assertion assertion;
    enum amm_assertion_verdict verdict;
    const char *why, *words;
    if (web_remote_verify(call->pages, AMM_ASSERTION_SIGN_IN, text, call->now, &assertion, &verdict,
                          &why, &words)) {
        sign_in(call, &assertion);
    } else {
        refuse(call, verdict == AMM_ASSERTION_BUSY ? 503 : 403, why, words);
    }
}

static void answer_waiting(struct ace_pages *pages, size_t i)
{
    struct web_remote *remote = &pages->remote;
    struct web_call call = {
        .pages = pages,
        .ref = remote->waiting[i].ref,
        .remote = remote->waiting[i].remote,
        .now = ace_core_now(pages->core),
        .in_tunnel = true,
    };
    web_answer_begin(&call);
    remote->waiting[i].until = 0;
    if (ace_tunnel_looked(pages->core, remote->waiting[i].look)) {
        decide(&call, amm_view_str(remote->waiting[i].assertion));
    } else {
        refuse(&call, 503, "busy", "the gateway cannot say which tunnel is up; try again");
    }
    amm_wipe(remote->waiting[i].assertion, sizeof remote->waiting[i].assertion);
    web_answer_send(&call);
}

static void answer_due(struct ace_pages *pages, amm_time now)
{
    for (size_t i = 0; i < WEB_REMOTE_WAITING; i++) {
        amm_time until = pages->remote.waiting[i].until;
        if (until != 0 &&
            (now >= until || ace_tunnel_looked(pages->core, pages->remote.waiting[i].look))) {
            answer_waiting(pages, i);
        }
    }
}

void web_remote_take(struct web_call *call)
{
    const struct amm_http_fields *fields = &call->request->fields;
    if (!call->in_tunnel) {
        refuse(call, 403, "not-in-tunnel",
               "the server signs operators in through the management tunnel only");
    } else if (!amm_view_equal(call->request->method, amm_view_str("POST"))) {
        web_answer_field(call, "Allow", "POST");
        refuse(call, 405, "method", "POST is the only method here");
    } else if (amm_http_field_count(fields, "amm-assertion") != 1) {
        refuse(call, 403, amm_assertion_name(AMM_ASSERTION_MALFORMED),
               "there must be one field AMM-Assertion");
    } else if (!wait_for_look(call, amm_http_field(fields, "amm-assertion"))) {
        refuse(call, 503, amm_assertion_name(AMM_ASSERTION_BUSY),
               amm_assertion_words(AMM_ASSERTION_BUSY));
    } else {
        answer_due(call->pages, call->now.mono);
    }
}

/* ---- what is due ---- */

void web_remote_step(struct ace_pages *pages)
{
    amm_time now = ace_core_now(pages->core).mono;
    bool is_time = now >= pages->remote.review;
    pages->remote.review =
        web_sessions_review(&pages->sessions, now, ace_tunnel_epoch(pages->core));
    if (is_time && pages->remote.review != AMM_NEVER) {
        ace_tunnel_look(pages->core); /* while somebody is here, its end is seen at once */
    }
    answer_due(pages, now);
    web_visits_step(&pages->visits, now);
}

amm_time web_remote_deadline(const struct ace_pages *pages)
{
    amm_time at = amm_time_min(pages->remote.review, pages->visits.due);
    for (size_t i = 0; i < WEB_REMOTE_WAITING; i++) {
        if (pages->remote.waiting[i].until != 0) {
            at = amm_time_min(at, pages->remote.waiting[i].until);
        }
    }
    return at;
}

/* ---- ending by hand ---- */

static const struct web_visitor *visitor_of(struct ace_pages *pages, const char *label)
{
    for (size_t i = 0; i < pages->visits.n; i++) {
        if (pages->visits.at[i].until == 0 && strcmp(pages->visits.at[i].who.label, label) == 0) {
            return &pages->visits.at[i].who;
        }
    }
    return NULL;
}

static void end_label(struct ace_pages *pages, const char *label)
{
    struct web_remote *remote = &pages->remote;
    size_t at = remote->next_ended++ % WEB_REMOTE_LABELS;
    snprintf(remote->ended[at], sizeof remote->ended[at], "%s", label);
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        struct web_session *session = &pages->sessions.at[i];
        if (session->is_remote && strcmp(session->who.label, remote->ended[at]) == 0) {
            web_session_close(&pages->sessions, session, WEB_END_HERE);
        }
    }
    if (pages->relay) {
        web_relay_cut(pages->relay, remote->ended[at], WEB_END_HERE);
    }
}

void web_visitors_end(struct web_call *call)
{
    struct ace_pages *pages = call->pages;
    char label[AMM_ASSERTION_LABEL + 1];
    const struct web_visitor *found =
        web_form(call, "what", label, sizeof label) ? visitor_of(pages, label) : NULL;
    if (call->session->is_remote && found && strcmp(call->session->who.label, label) == 0) {
        found = NULL; /* that is what Log out is for */
    }
    if (found) {
        char text[AMM_ASSERTION_PERSON + 64];
        struct web_visitor who = *found;
        json_t *data = json_pack("{ss ss}", "label", who.label, "operator", who.name);
        end_label(pages, label);
        web_visits_step(&pages->visits, call->now.mono);
        snprintf(text, sizeof text, "the remote session of %s was ended at the gateway", who.name);
        ace_event(pages->core, "remote-session-ended", text, data);
        json_decref(data);
        ace_checkin_now(pages->core);
        snprintf(text, sizeof text, "The remote session of %s has ended.", who.name);
        web_session_flash(call->session, "up", text);
    } else {
        web_session_flash(call->session, "info", "That remote session had ended already.");
    }
    web_answer_redirect(call, "/status");
}
