/* Who is here through the server, and who was: a card of Status, and Admin > Remote visits. */
#include "web_format.h"
#include "web_view.h"

#include <inttypes.h>
#include <stdio.h>

enum { LATEST = 5 };

static void time_cell(json_t *line, int64_t wall, const struct web_call *call)
{
    json_t *cell = web_cell(line, NULL);
    json_t *time = web_time(wall, call->now.wall);
    if (time) {
        json_object_set_new(cell, "time", time);
    }
}

static void mono_cell(json_t *line, const char *text)
{
    json_object_set_new(web_cell(line, text[0] ? text : "–"), "mono", json_true());
}

static const char *what_of(const struct web_visit *v)
{
    return v->target[0] ? v->target : "ACEmanager";
}

/* ---- those that are here ---- */

static const struct web_session *session_of(const struct web_call *call, const struct web_visit *v)
{
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        const struct web_session *session = &call->pages->sessions.at[i];
        if (session->is_remote && session->visit == v->number) {
            return session;
        }
    }
    return NULL;
}

static void visitor_line(json_t *table, const struct web_call *call, const struct web_visit *v)
{
    char words[WEB_WORDS];
    const struct web_session *session = session_of(call, v);
    int64_t ago =
        session ? (call->now.mono - session->used) / AMM_SECOND : call->now.wall - v->last;
    bool is_own = session && session == call->session;
    json_t *line = web_line(table);
    web_cell(line, v->who.name);
    mono_cell(line, v->who.from);
    web_cell(line, web_role_name(v->who.role));
    mono_cell(line, what_of(v));
    time_cell(line, v->since, call);
    web_cell(line, web_ago(ago, words));
    json_t *end = web_cell_number(line, is_own ? "you" : NULL);
    if (!is_own && call->session->role == WEB_USER) {
        web_set(end, "path", "visitors/end");
        web_set(end, "what", v->who.label);
        web_set(end, "label", "End");
    }
}

static void card_visitors(json_t *view, const char *list, const struct web_call *call)
{
    const struct web_visits *visits = &call->pages->visits;
    size_t n = 0;
    json_t *card = web_card(view, list, "visitors", "Remote visitors");
    json_object_set_new(card, "wide", json_true());
    for (size_t i = visits->n; i > 0; i--) {
        n += visits->at[i - 1].until == 0;
    }
    web_card_lamp(card, n ? "info" : "unknown", n ? "Somebody is here" : "Nobody");
    if (n == 0) {
        web_set(
            card, "text",
            ace_remote_key(call->pages->core)
                ? "Nobody is here through the server."
                : "Nobody can come through the server yet: a check-in brings the server’s key.");
        return;
    }
    json_t *table =
        web_table(card, "Remote visitors", "Operator|From|Role|Reaches|Since|Last request|#End");
    for (size_t i = visits->n; i > 0; i--) {
        if (visits->at[i - 1].until == 0) {
            visitor_line(table, call, &visits->at[i - 1]);
        }
    }
    web_set(card, "text",
            "They came from the server, through the tunnel. End cuts all of an operator’s remote "
            "session at once.");
}

/* ---- those that were ---- */

static void visit_line(json_t *table, const struct web_call *call, const struct web_visit *v)
{
    char in[WEB_WORDS], out[WEB_WORDS], text[160];
    json_t *line = web_line(table);
    time_cell(line, v->since, call);
    web_cell(line, v->who.name);
    mono_cell(line, v->who.from);
    mono_cell(line, what_of(v));
    if (v->until == 0) {
        web_cell(line, "still here");
    } else {
        time_cell(line, v->until, call);
    }
    web_cell(line, web_end_words(v->end));
    if (v->target[0]) {
        snprintf(text, sizeof text, "%s / %s", web_bytes(v->in, in), web_bytes(v->out, out));
    }
    web_cell_number(line, v->target[0] ? text : "–");
}

static void card_visits(json_t *view, const struct web_call *call, size_t most)
{
    const struct web_visits *visits = &call->pages->visits;
    json_t *card = web_card(view, "more", "visits", "Remote visits");
    json_t *table =
        web_table(card, "Remote visits", "Came|Operator|From|Reached|Until|Ended by|#In / out");
    json_object_set_new(card, "wide", json_true());
    for (size_t i = visits->n; i > 0 && visits->n - i < most; i--) {
        visit_line(table, call, &visits->at[i - 1]);
    }
    if (visits->n == 0) {
        web_set(table, "empty", "Nobody has been here through the server.");
    }
    if (visits->error[0]) {
        web_format(card, "text", "The log is in memory only: %s.", visits->error);
    } else if (most < WEB_VISITS) {
        web_action_link(card, "admin/visits", "All remote visits");
    }
}

void web_visitors_card(json_t *view, const struct web_call *call)
{
    card_visitors(view, "more", call);
    if (call->pages->visits.n > 0) {
        card_visits(view, call, LATEST);
    }
}

void web_visits_show(struct web_call *call)
{
    json_t *view = web_view_new(call, "admin/visits", "Remote visits");
    card_visitors(view, "cards", call);
    card_visits(view, call, WEB_VISITS);
    web_answer_view(call, 200, "page", view);
}
