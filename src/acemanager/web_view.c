#include "web_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "web_format.h"

/* ---- small parts ---- */

void web_set(json_t *object, const char *key, const char *text)
{
    if (text && text[0]) {
        json_object_set_new(object, key, web_string(text));
    }
}

void web_format(json_t *object, const char *key, const char *format, ...)
{
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    web_set(object, key, text);
}

/* The list `key` of an object, made if it is not there; borrowed. */
static json_t *list(json_t *object, const char *key)
{
    json_t *array = json_object_get(object, key);
    if (!array) {
        array = json_array();
        json_object_set_new(object, key, array);
    }
    return array;
}

static json_t *append(json_t *array)
{
    json_t *object = json_object();
    json_array_append_new(array, object);
    return object;
}

const char *web_address(const struct amm_address *address, char out[AMM_ADDRESS_TEXT])
{
    amm_address_text(address, out);
    char *colon = strrchr(out, ':');
    if (colon) {
        *colon = '\0';
    }
    size_t len = strlen(out);
    if (out[0] == '[' && len > 1) {
        memmove(out, out + 1, len - 2);
        out[len - 2] = '\0';
    }
    return out;
}

/* ---- notes, cards, rows, tables ---- */

json_t *web_note(json_t *view, const char *kind, const char *text)
{
    json_t *note = append(list(view, "notes"));
    web_set(note, "kind", kind);
    web_set(note, "lamp", kind);
    web_note_line(note, text);
    return note;
}

void web_note_line(json_t *note, const char *text)
{
    json_array_append_new(list(note, "lines"), web_string(text));
}

static json_t *action(json_t *owner, const char *label)
{
    json_t *button = append(list(owner, "actions"));
    json_object_set_new(owner, "has_actions", json_true());
    web_set(button, "label", label);
    return button;
}

void web_action(json_t *owner, const char *path, const char *what, const char *label)
{
    json_t *button = action(owner, label);
    web_set(button, "path", path);
    web_set(button, "what", what);
}

void web_action_link(json_t *owner, const char *link, const char *label)
{
    json_t *button = action(owner, label);
    web_set(button, "link", link);
    json_object_set_new(button, "is_file", json_boolean(strstr(link, "bundle") != NULL));
}

json_t *web_card(json_t *view, const char *list_name, const char *key, const char *title)
{
    char has[32];
    json_t *card = append(list(view, list_name));
    snprintf(has, sizeof has, "has_%s", list_name);
    json_object_set_new(view, has, json_true());
    web_set(card, "key", key);
    web_set(card, "title", title);
    return card;
}

void web_card_lamp(json_t *card, const char *lamp, const char *word)
{
    web_set(card, "lamp", lamp);
    web_set(card, "word", word);
}

json_t *web_row(json_t *card, const char *name)
{
    json_t *row = append(list(card, "rows"));
    json_object_set_new(card, "has_rows", json_true());
    web_set(row, "name", name);
    return row;
}

void web_row_text(json_t *card, const char *name, const char *text)
{
    if (text && text[0]) {
        web_set(web_row(card, name), "text", text);
    }
}

void web_row_mono(json_t *card, const char *name, const char *text)
{
    if (text && text[0]) {
        web_set(web_row(card, name), "mono", text);
    }
}

void web_row_lamp(json_t *card, const char *name, const char *lamp, const char *word,
                  const char *more)
{
    json_t *row = web_row(card, name);
    web_set(row, "lamp", lamp);
    web_set(row, "word", word);
    web_set(row, "more", more);
}

void web_row_time(json_t *card, const char *name, int64_t wall, const struct web_call *call)
{
    char words[WEB_WORDS];
    json_t *time = web_time(wall, call->now.wall);
    if (time) {
        json_t *row = web_row(card, name);
        json_object_set_new(row, "time", time);
        bool is_ahead = wall > call->now.wall;
        web_format(row, "more", is_ahead ? "(in %s)" : "(%s)",
                   is_ahead ? web_duration(wall - call->now.wall, words)
                            : web_ago(call->now.wall - wall, words));
    }
}

json_t *web_table(json_t *card, const char *label, const char *head)
{
    json_t *table = json_object();
    json_object_set_new(card, "table", table);
    web_set(table, "label", label);
    for (const char *at = head; at && *at;) {
        json_t *column = append(list(table, "head"));
        int len = (int)strcspn(at, "|");
        bool is_number = at[0] == '#';
        web_format(column, "text", "%.*s", len - is_number, at + is_number);
        if (is_number) {
            json_object_set_new(column, "num", json_true());
        }
        at += len + (at[len] == '|');
    }
    return table;
}

json_t *web_line(json_t *table)
{
    return append(list(table, "lines"));
}

json_t *web_cell(json_t *line, const char *text)
{
    json_t *cell = append(list(line, "cells"));
    web_set(cell, "text", text);
    return cell;
}

json_t *web_cell_number(json_t *line, const char *text)
{
    json_t *cell = web_cell(line, text);
    json_object_set_new(cell, "num", json_true());
    return cell;
}

/* ---- the frame ---- */

struct tab {
    const char *name, *first, *prefix; /* first page; paths that belong to it */
};

static const struct tab tabs[] = {
    {"Status", "status", "status"},
    {"WAN/Cellular", "wan", "wan"},
    {"LAN", "lan", "lan"},
    {"Security", "security", "security"},
    {"Services", "services/msci", "services"},
    {"Applications", "applications", "applications"},
    {"Admin", "admin/password", "admin"},
};

static const struct {
    const char *tab, *name, *path;
    bool changes; /* not for viewers */
} pages_below[] = {
    {"Services", "MSCI", "services/msci", false},
    {"Services", "Time", "services/time", false},
    {"Admin", "Change password", "admin/password", true},
    {"Admin", "Diagnostics", "admin/diagnostics", false},
    {"Admin", "Remote visits", "admin/visits", false},
    {"Admin", "Reboot", "admin/reboot", true},
    {"Admin", "Factory reset", "admin/reset", true},
};

static void add_tabs(json_t *view, const struct web_call *call, const char *path)
{
    const char *current = "";
    bool may_write = call->session->role == WEB_USER;
    for (size_t i = 0; i < sizeof tabs / sizeof *tabs; i++) {
        size_t len = strlen(tabs[i].prefix);
        bool is_current =
            strncmp(path, tabs[i].prefix, len) == 0 && (path[len] == '\0' || path[len] == '/');
        json_t *tab = append(list(view, "tabs"));
        web_set(tab, "name", tabs[i].name);
        bool is_admin = strcmp(tabs[i].name, "Admin") == 0;
        web_set(tab, "path", is_admin && !may_write ? "admin/diagnostics" : tabs[i].first);
        json_object_set_new(tab, "current", json_boolean(is_current));
        current = is_current ? tabs[i].name : current;
    }
    web_set(view, "tab", current);
    for (size_t i = 0; i < sizeof pages_below / sizeof *pages_below; i++) {
        if (strcmp(pages_below[i].tab, current) == 0 && (may_write || !pages_below[i].changes)) {
            json_t *below = append(list(view, "sub"));
            web_set(below, "name", pages_below[i].name);
            web_set(below, "path", pages_below[i].path);
            json_object_set_new(below, "current",
                                json_boolean(strcmp(path, pages_below[i].path) == 0));
            json_object_set_new(view, "has_sub", json_true());
        }
    }
}

static void add_about(json_t *view, const struct web_call *call, const char *heading)
{
    struct ace_about about;
    json_t *object = json_object();
    ace_about(call->pages->core, &about);
    web_set(object, "name", about.name);
    web_format(object, "product", "%s, %s", about.model, about.software);
    json_object_set_new(view, "about", object);
    web_format(view, "title", "%s, %s, ACEmanager", heading, about.name);
    web_set(view, "heading", heading);
    char words[AMM_ASSERTION_PERSON + 32];
    const struct web_session *session = call->session;
    snprintf(words, sizeof words, "%s%s%s", session->is_remote ? session->who.name : "",
             session->is_remote ? ", " : "",
             session->role == WEB_USER ? "user" : "viewer, may look only");
    json_object_set_new(view, "account", json_pack("{so}", "words", web_string(words)));
}

const char *web_by(const struct web_session *session, char out[WEB_BY])
{
    static const char mark[] = " (remote)";
    if (session->is_remote) {
        snprintf(out, WEB_BY, "%.*s%s", amm_text_part(session->who.name, WEB_BY - sizeof mark),
                 session->who.name, mark);
    } else {
        snprintf(out, WEB_BY, "%s", web_role_name(session->role));
    }
    return out;
}

void web_visitor_words(const struct web_session *session, struct amm_now now, char *out,
                       size_t room)
{
    char address[AMM_ADDRESS_TEXT], words[WEB_WORDS];
    web_ago((now.mono - session->opened.mono) / AMM_SECOND, words);
    if (session->is_remote) {
        snprintf(out, room, "%s is on this page from %s, through the server, as %s; came %.40s.",
                 session->who.name, session->who.from[0] ? session->who.from : "an unknown address",
                 web_role_name(session->role), words);
    } else {
        snprintf(out, room, "%s is on this page from %s, through the tunnel; logged in %.40s.",
                 web_role_name(session->role), web_address(&session->remote, address), words);
    }
}

/* People who look from far away are named on every page. */
static void add_visits(json_t *view, const struct web_call *call)
{
    const struct web_sessions *sessions = &call->pages->sessions;
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        const struct web_session *session = &sessions->at[i];
        char number[16];
        if (session->role == WEB_NOBODY || session == call->session || !session->in_tunnel) {
            continue;
        }
        json_t *note = append(list(view, "visits"));
        web_set(note, "kind", "info");
        web_set(note, "lamp", "info");
        json_t *lines = list(note, "lines");
        char text[AMM_ASSERTION_PERSON + 200];
        web_visitor_words(session, call->now, text, sizeof text);
        json_array_append_new(lines, web_string(text));
        if (call->session->role == WEB_USER && session->is_remote) {
            web_action(note, "visitors/end", session->who.label, "End remote session");
        } else if (call->session->role == WEB_USER) {
            snprintf(number, sizeof number, "%" PRIu32, session->number);
            web_action(note, "sessions/end", number, "End remote session");
        }
    }
}

static void add_pending(json_t *view, const struct web_call *call)
{
    json_t *note = NULL;
    bool is_port = false;
    for (size_t i = 0; i < amm_msci_count(); i++) {
        struct ace_parameter p;
        char text[640];
        if (!ace_parameter_get(call->pages->core, amm_msci_at(i)->id, &p) || !p.pending) {
            continue;
        }
        snprintf(text, sizeof text, "%s: %s is saved, %s is in use.", p.msci->name,
                 p.pending[0] ? p.pending : "nothing", p.value[0] ? p.value : "nothing");
        if (note) {
            web_note_line(note, text);
        } else {
            note = web_note(view, "pending", text);
        }
        is_port |= p.msci->id == AMM_MSCI_TUNNEL_PORT;
    }
    if (note) {
        web_set(
            note, "more",
            is_port
                ? "It takes over after a reboot, or now. If the new tunnel port does not answer "
                  "within 60 s, the old one comes back."
                : "It takes over after a reboot, or now.");
        if (call->session->role == WEB_USER) {
            web_action(note, "activate", "pending", "Activate now");
            web_action_link(note, "admin/reboot", "Reboot");
        }
    }
}

static void add_flash(json_t *view, struct web_call *call)
{
    struct web_session *session = call->session;
    bool refreshes_itself =
        call->request && amm_http_field_count(&call->request->fields, "x-refresh") > 0;
    if (session->flash[0] && !refreshes_itself) {
        json_object_set_new(web_note(view, session->flash_kind, session->flash), "quiet",
                            json_true());
        session->flash[0] = '\0';
    }
}

void web_view_first_password(json_t *view, const struct web_call *call)
{
    if (call->session->role == WEB_USER && call->pages->accounts.at[WEB_USER].is_first) {
        json_t *note = web_note(view, "info", "The password of user is still that of the label.");
        web_set(note, "more", "Whoever has seen the label can log in. Choose one of your own.");
        web_action_link(note, "admin/password", "Change password");
    }
}

json_t *web_view_new(struct web_call *call, const char *path, const char *heading)
{
    json_t *view = json_object();
    bool may_write = call->session->role == WEB_USER;
    web_set(view, "path", path);
    web_set(view, "csrf", call->session->csrf);
    json_object_set_new(view, "may_write", json_boolean(may_write));
    /* through the tunnel every byte is paid for */
    json_object_set_new(view, "refresh", json_integer(call->in_tunnel ? 60 : 15));
    add_about(view, call, heading);
    add_tabs(view, call, path);
    web_strip(list(view, "strip"), call);
    add_visits(view, call);
    add_flash(view, call);
    add_pending(view, call);
    return view;
}
