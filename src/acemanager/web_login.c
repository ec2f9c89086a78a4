#include "web_login.h"

#include "io/log.h"
#include "web_format.h"
#include "web_guard.h"
#include "web_remote.h"
#include "web_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the form of who has no session yet ----
 *
 * A random cookie, and in the form its HMAC: a stranger's page can neither read nor make it. */

static void login_form_token(struct web_call *call, char out[WEB_TOKEN_TEXT])
{
    char cookie[WEB_TOKEN_TEXT];
    struct amm_view old =
        call->request ? web_cookie(&call->request->fields, WEB_COOKIE_LOGIN) : amm_view(NULL, 0);
    if (old.len == WEB_TOKEN_TEXT - 1) {
        web_hmac_text(call->pages->login_key, old, out);
        return;
    }
    web_random_text(&call->pages->random, cookie);
    web_answer_cookie(call, WEB_COOKIE_LOGIN, cookie);
    web_hmac_text(call->pages->login_key, amm_view_str(cookie), out);
}

static bool login_form_ok(struct web_call *call, char csrf[WEB_TOKEN_TEXT])
{
    char typed[WEB_TOKEN_TEXT + 8];
    struct amm_view cookie = web_cookie(&call->request->fields, WEB_COOKIE_LOGIN);
    if (cookie.len != WEB_TOKEN_TEXT - 1 || !web_form(call, "csrf", typed, sizeof typed) ||
        strlen(typed) != WEB_TOKEN_TEXT - 1) {
        return false;
    }
    web_hmac_text(call->pages->login_key, cookie, csrf);
    return amm_equal_secret(typed, csrf, WEB_TOKEN_TEXT);
}

static void show_form(struct web_call *call, int status, const char *account, const char *csrf,
                      const char *kind, const char *text)
{
    json_t *notes = json_array();
    if (text[0]) {
        json_array_append_new(notes, json_pack("{ss ss s[o] sb}", "kind", kind, "lamp", kind,
                                               "lines", web_string(text), "alert", true));
    }
    web_answer_view(call, status, "login",
                    json_pack("{ss ss so so}", "title", "Log in, ACEmanager", "csrf", csrf,
                              "account", web_string(account), "notes", notes));
}

void web_login_show(struct web_call *call)
{
    char csrf[WEB_TOKEN_TEXT];
    if (call->session) {
        web_answer_redirect(call, "/status");
        return;
    }
    /* a cookie without its session: it has ended */
    bool had_one = web_cookie(&call->request->fields, WEB_COOKIE).len > 0;
    login_form_token(call, csrf);
    if (had_one) {
        web_answer_cookie(call, WEB_COOKIE, "");
    }
    if (call->pages->accounts_error[0]) {
        char text[400];
        snprintf(text, sizeof text, "Nobody can log in: %s.", call->pages->accounts_error);
        show_form(call, 200, "", csrf, "down", text);
        return;
    }
    show_form(call, 200, "user", csrf, "info", had_one ? "You are logged out." : "");
}

/* ---- logging in ---- */

static bool read_credentials(const struct web_call *call, struct web_hasher_job *job)
{
    if (!web_form(call, "account", job->account, sizeof job->account) ||
        !web_form(call, "password", job->password, sizeof job->password)) {
        return false;
    }
    job->role = web_role_find(amm_view_str(job->account));
    return true;
}

static void refuse_for(struct web_call *call, uint32_t seconds, const char *account,
                       const char *csrf)
{
    char text[160], number[16];
    snprintf(number, sizeof number, "%" PRIu32, seconds);
    snprintf(text, sizeof text,
             "Too many wrong passwords. The next one is looked at in %" PRIu32 " s.", seconds);
    web_answer_field(call, "Retry-After", number);
    show_form(call, 429, account, csrf, "degraded", text);
}

void web_login_take(struct web_call *call)
{
    struct ace_pages *pages = call->pages;
    struct web_hasher_job job = {
        .kind = WEB_LOGIN, .ref = call->ref, .remote = call->remote, .in_tunnel = call->in_tunnel};
    if (!login_form_ok(call, job.login_token)) {
        char csrf[WEB_TOKEN_TEXT];
        login_form_token(call, csrf);
        show_form(call, 403, "user", csrf, "degraded",
                  "The form was out of date, so the password was not looked at. Log in again.");
        return;
    }
    if (!read_credentials(call, &job)) {
        show_form(call, 422, "user", job.login_token, "down", "Account or password is missing.");
        amm_wipe(&job, sizeof job);
        return;
    }
    uint32_t wait = web_limit_wait(&pages->limit, &call->remote, call->now.mono);
    snprintf(job.hash, sizeof job.hash, "%s",
             job.role == WEB_NOBODY ? "" : pages->accounts.at[job.role].hash);
    if (wait > 0) {
        refuse_for(call, wait, job.account, job.login_token);
    } else if (!web_hasher_submit(pages->hasher, &job)) {
        refuse_for(call, 1, job.account, job.login_token);
    } else {
        web_limit_try(&pages->limit, &call->remote, call->now.mono);
        call->later = true;
    }
    amm_wipe(&job, sizeof job);
}

static void tell_wrong(struct web_call *call, const struct web_hasher_job *job)
{
    amm_log(AMM_LOG_WARNING, "login-refused", amm_field_text("account", web_role_name(job->role)),
            amm_field_address("from", &call->remote));
    ace_event(call->pages->core, "login-refused", "wrong account or password on ACEmanager", NULL);
}

void web_login_hashed(struct web_call *call, const struct web_hasher_job *job)
{
    struct ace_pages *pages = call->pages;
    if (!job->is_right) {
        tell_wrong(call, job);
        show_form(call, 403, job->account, job->login_token, "down",
                  "Account or password is wrong. Upper and lower case count.");
        return;
    }
    web_limit_right(&pages->limit, &call->remote);
    call->session = web_session_open(&pages->sessions, job->role, &call->remote, job->in_tunnel,
                                     call->now, call->fresh_token);
    amm_log(AMM_LOG_INFO, "login", amm_field_text("account", web_role_name(job->role)),
            amm_field_address("from", &call->remote));
    web_answer_cookie(call, WEB_COOKIE, call->fresh_token);
    web_answer_cookie(call, WEB_COOKIE_LOGIN, "");
    web_answer_redirect(call, "/status");
}

/* ---- logging out ---- */

void web_logout_take(struct web_call *call)
{
    if (call->session->is_remote) {
        web_session_close(&call->pages->sessions, call->session, WEB_END_LEFT);
        call->session = NULL;
        web_remote_gone(call, WEB_END_LEFT);
        return;
    }
    web_session_close(&call->pages->sessions, call->session, WEB_END_LEFT);
    call->session = NULL;
    web_answer_cookie(call, WEB_COOKIE, "");
    web_answer_field(call, "Clear-Site-Data", "\"cache\"");
    web_answer_redirect(call, "/login");
}

void web_sessions_end(struct web_call *call)
{
    char what[16];
    if (web_form(call, "what", what, sizeof what)) {
        uint32_t number = (uint32_t)strtoul(what, NULL, 10);
        bool found = number != call->session->number &&
                     web_session_close_number(&call->pages->sessions, number);
        web_session_flash(call->session, found ? "up" : "info",
                          found ? "The other login has ended." : "That login had ended already.");
    }
    web_answer_redirect(call, "/security");
}

/* ---- changing a password ---- */

static void show_password(struct web_call *call, int status, const char *account,
                          const char *bad_field, const char *bad_text)
{
    struct ace_pages *pages = call->pages;
    json_t *view = web_view_new(call, "admin/password", "Change password");
    bool viewer_may = pages->accounts.at[WEB_VIEWER].hash[0] != '\0';
    json_t *accounts = json_array();
    for (enum web_role role = WEB_USER; role > WEB_NOBODY; role--) {
        const char *name = web_role_name(role);
        json_array_append_new(
            accounts, json_pack("{ss sb}", "name", name, "selected", strcmp(name, account) == 0));
    }
    json_object_set_new(view, "accounts", accounts);
    web_set(view, "own_account", web_role_name(call->session->role));
    web_set(view, "viewer_state",
            viewer_may ? "viewer has a password."
                       : "viewer cannot log in until it has a password.");
    json_object_set_new(view, "bad", json_pack("{ss}", bad_field, bad_text));
    web_view_first_password(view, call);
    web_answer_view(call, status, "password", view);
}

void web_password_show(struct web_call *call)
{
    show_password(call, 200, "user", "none", "");
}

static bool read_change(struct web_call *call, struct web_hasher_job *job)
{
    char again[WEB_PASSWORD_MAX + 1];
    const char *objection = NULL;
    bool ok = web_form(call, "account", job->account, sizeof job->account) &&
              (job->role = web_role_find(amm_view_str(job->account))) != WEB_NOBODY &&
              web_form(call, "current", job->password, sizeof job->password) &&
              web_form(call, "again", again, sizeof again);
    if (!ok) {
        show_password(call, 422, "user", "current",
                      "Something is missing, or longer than 128 characters.");
    } else if (!web_form(call, "new", job->new_password, sizeof job->new_password)) {
        show_password(call, 422, job->account, "new", "Longer than 128 characters, or missing.");
        ok = false;
    } else if ((objection = web_password_objection(job->new_password)) != NULL) {
        show_password(call, 422, job->account, "new", objection);
        ok = false;
    } else if (strcmp(job->new_password, again) != 0) {
        show_password(call, 422, job->account, "again", "Not the same as the one above.");
        ok = false;
    }
    amm_wipe(again, sizeof again);
    return ok;
}

void web_password_take(struct web_call *call)
{
    struct ace_pages *pages = call->pages;
    struct web_hasher_job job = {.kind = WEB_CHANGE,
                                 .ref = call->ref,
                                 .remote = call->remote,
                                 .in_tunnel = call->in_tunnel,
                                 .session = call->session->number};
    if (!read_change(call, &job)) {
        amm_wipe(&job, sizeof job);
        return;
    }
    uint32_t wait = web_limit_wait(&pages->limit, &call->remote, call->now.mono);
    snprintf(job.hash, sizeof job.hash, "%s", pages->accounts.at[call->session->role].hash);
    if (wait > 0 || !web_hasher_submit(pages->hasher, &job)) {
        show_password(call, 429, job.account, "current",
                      "Too many wrong passwords. Wait a moment, then try again.");
    } else {
        web_limit_try(&pages->limit, &call->remote, call->now.mono);
        call->later = true;
    }
    amm_wipe(&job, sizeof job);
}

static struct web_session *session_by_number(struct ace_pages *pages, uint32_t number)
{
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        if (pages->sessions.at[i].role != WEB_NOBODY && pages->sessions.at[i].number == number) {
            return &pages->sessions.at[i];
        }
    }
    return NULL;
}

void web_password_hashed(struct web_call *call, const struct web_hasher_job *job)
{
    struct ace_pages *pages = call->pages;
    char error[256], text[WEB_FLASH];
    call->session = session_by_number(pages, job->session);
    if (!call->session) {
        web_answer_redirect(call, "/login");
        return;
    }
    if (!job->is_right) {
        tell_wrong(call, job);
        show_password(call, 422, job->account, "current", "This is not your password.");
        return;
    }
    web_limit_right(&pages->limit, &call->remote);
    if (job->failed) {
        show_password(call, 503, job->account, "current",
                      "The password was not changed: the gateway is out of memory. Try again.");
        return;
    }
    if (!web_accounts_set(&pages->accounts, job->role, job->new_hash, error, sizeof error)) {
        snprintf(text, sizeof text, "The password was not changed: %.200s.", error);
        show_password(call, 500, job->account, "current", text);
        return;
    }
    web_sessions_close_role(&pages->sessions, job->role, call->session);
    snprintf(text, sizeof text, "The password of %s is changed.", web_role_name(job->role));
    web_session_flash(call->session, "up", text);
    ace_event(pages->core, "password-changed", text, NULL);
    web_answer_redirect(call, "/admin/password");
}
