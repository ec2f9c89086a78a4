/* Pages with settings: Services > MSCI, Services > Time, Security. Fields come from the MSCI
 * registry. */
#include "web_format.h"
#include "web_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CARDS = 4, FIELDS = 6, LIST_WORDS = 8, LISTENS = 16 };

struct settings_page {
    const char *path, *heading;
    struct {
        const char *key, *title;
        uint32_t ids[FIELDS + 1]; /* ended by 0 */
    } cards[CARDS + 1];           /* ended by title NULL */
    void (*more)(json_t *view, struct web_call *call);
};

static void more_time(json_t *view, struct web_call *call);
static void more_security(json_t *view, struct web_call *call);

static const struct settings_page settings_pages[] = {
    {"services/msci",
     "MSCI",
     {{"server",
       "Server",
       {AMM_MSCI_SERVER_URL, AMM_MSCI_ENROLMENT_TOKEN, AMM_MSCI_CHECK_IN_INTERVAL,
        AMM_MSCI_LOW_DATA}},
      {"tunnel",
       "AMM Management Tunnel",
       {AMM_MSCI_TUNNEL, AMM_MSCI_TUNNEL_PORT, AMM_MSCI_KEEP_ALIVE, AMM_MSCI_HTTPS_PORT}},
      {"gateway", "Gateway", {AMM_MSCI_DEVICE_NAME}}},
     NULL},
    {"services/time", "Time", {{"ntp", "NTP", {AMM_MSCI_NTP, AMM_MSCI_NTP_SERVERS}}}, more_time},
    {"security",
     "Security",
     {{"acemanager", "ACEmanager", {AMM_MSCI_REMOTE_ACCESS, AMM_MSCI_IDLE_TIME}},
      {"relay",
       "Remote access to the LAN",
       {AMM_MSCI_RELAY_TARGETS, AMM_MSCI_RELAY_PORT, AMM_MSCI_RELAY_RATE}}},
     more_security},
};

/* What was typed and refused, to be shown again. */
struct typed {
    uint32_t id;
    char text[AMM_MSCI_VALUE];
    char error[AMM_MSCI_ERROR];
};

struct form {
    const struct settings_page *page;
    size_t n;
    struct typed at[CARDS * FIELDS];
    bool came_back; /* the page shows what was typed, not what is stored */
    bool is_refused;
};

static const struct settings_page *page_of(struct amm_view path)
{
    for (size_t i = 0; i < sizeof settings_pages / sizeof *settings_pages; i++) {
        if (path.len > 1 && amm_view_equal(amm_view(path.data + 1, path.len - 1),
                                           amm_view_str(settings_pages[i].path))) {
            return &settings_pages[i];
        }
    }
    return NULL;
}

/* ---- fields ---- */

static bool is_select(const struct amm_msci *msci)
{
    return msci->type == AMM_MSCI_CHOICE ||
           (msci->type == AMM_MSCI_NUMBER && msci->max - msci->min < LIST_WORDS);
}

static void add_option(json_t *options, const char *value, const char *selected)
{
    json_array_append_new(
        options, json_pack("{ss sb}", "value", value, "selected", strcmp(value, selected) == 0));
}

static void add_options(json_t *field, const struct amm_msci *msci, const char *selected)
{
    json_t *options = json_array();
    char word[AMM_MSCI_VALUE];
    if (msci->type == AMM_MSCI_CHOICE) {
        for (size_t i = 0; amm_msci_choice(msci, i, word, sizeof word); i++) {
            add_option(options, word, selected);
        }
    } else {
        for (int64_t i = msci->min; i <= msci->max; i++) {
            snprintf(word, sizeof word, "%" PRId64, i);
            add_option(options, word, selected);
        }
    }
    json_object_set_new(field, "options", options);
    json_object_set_new(field, "is_choice", json_true());
}

static void add_input(json_t *field, const struct ace_parameter *p, const char *shown)
{
    const struct amm_msci *msci = p->msci;
    json_object_set_new(field, "is_field", json_true());
    web_set(field, "inputmode",
            msci->type == AMM_MSCI_NUMBER ? "numeric"
            : msci->type == AMM_MSCI_URL  ? "url"
                                          : "text");
    web_set(field, "value", msci->is_secret ? "" : shown);
    if (msci->is_secret) {
        const char *stored = p->pending ? p->pending : p->value;
        web_set(field, "placeholder", stored[0] ? "set; it is not shown again" : "not set");
    }
}

static const char *hint_of(const struct ace_parameter *p, const struct web_call *call, char *out,
                           size_t room)
{
    char words[WEB_WORDS];
    snprintf(out, room, "%s", p->msci->help);
    if (p->at && p->by && strcmp(p->by, "default") != 0) {
        size_t len = strlen(out);
        const char *by = strcmp(p->by, "server") == 0 ? "the server" : p->by;
        snprintf(out + len, room - len, " Set by %.*s, %s.", amm_text_part(by, 32), by,
                 web_ago(call->now.wall - p->at, words));
    }
    return out;
}

static const struct typed *typed_of(const struct form *form, uint32_t id)
{
    for (size_t i = 0; i < form->n; i++) {
        if (form->at[i].id == id) {
            return &form->at[i];
        }
    }
    return NULL;
}

static json_t *field_of(const struct web_call *call, const struct form *form, uint32_t id)
{
    struct ace_parameter p;
    char hint[400];
    json_t *field = json_object();
    if (!ace_parameter_get(call->pages->core, id, &p)) {
        return field;
    }
    const struct typed *typed = form->came_back ? typed_of(form, id) : NULL;
    const char *stored = p.pending ? p.pending : p.value;
    const char *shown = typed ? typed->text : stored;
    json_object_set_new(field, "id", json_integer(id));
    json_object_set_new(field, "public", json_boolean(id < 60000));
    web_set(field, "name", p.msci->name);
    web_set(field, "unit", p.msci->unit);
    web_set(field, "hint", hint_of(&p, call, hint, sizeof hint));
    if (p.pending && !p.msci->is_secret) {
        web_set(field, "in_use", p.value[0] ? p.value : "nothing");
    }
    if (call->session->role != WEB_USER || p.msci->access == AMM_MSCI_READ_ONLY) {
        web_set(field, "value", !p.msci->is_secret ? stored : stored[0] ? "set" : "");
        return field;
    }
    json_object_set_new(field, "is_input", json_true());
    web_set(field, "stored", p.msci->is_secret ? "" : stored);
    if (typed && !p.msci->is_secret) {
        json_object_set_new(field, "changed", json_boolean(strcmp(typed->text, stored) != 0));
    }
    web_set(field, "error", typed ? typed->error : NULL);
    if (is_select(p.msci)) {
        add_options(field, p.msci, shown);
    } else {
        add_input(field, &p, shown);
    }
    return field;
}

static void card_lamp(json_t *card, const char *key, struct web_call *call)
{
    struct ace_tunnel_view tunnel;
    struct ace_checkin_view checkin;
    struct ace_identity_view identity;
    struct web_state state;
    if (strcmp(key, "tunnel") == 0) {
        ace_tunnel_view(call->pages->core, &tunnel);
        state = web_tunnel_state(&tunnel);
    } else if (strcmp(key, "server") == 0) {
        ace_checkin_view(call->pages->core, &checkin);
        ace_identity_view(call->pages->core, &identity);
        state = web_checkin_state(&checkin, &identity);
        state.word = strcmp(state.word, "On time") == 0 ? "Check-in on time" : state.word;
    } else {
        return;
    }
    web_card_lamp(card, state.lamp, state.word);
}

static void show(struct web_call *call, int status, const struct form *form)
{
    const struct settings_page *page = form->page;
    json_t *view = web_view_new(call, page->path, page->heading);
    if (call->session->role == WEB_USER) {
        json_object_set_new(view, "form",
                            json_pack("{ss}", "unsaved", form->is_refused ? "Not applied" : ""));
    }
    for (size_t i = 0; page->cards[i].title; i++) {
        json_t *card = web_card(view, "cards", page->cards[i].key, page->cards[i].title);
        json_t *fields = json_array();
        for (size_t k = 0; page->cards[i].ids[k]; k++) {
            json_array_append_new(fields, field_of(call, form, page->cards[i].ids[k]));
        }
        json_object_set_new(card, "fields", fields);
        card_lamp(card, page->cards[i].key, call);
    }
    if (form->is_refused) {
        json_t *note =
            web_note(view, "down", "Nothing was changed: the marked values cannot be taken.");
        json_object_set_new(note, "alert", json_true());
    }
    web_set(view, "footer",
            "The number beside a name is its MSCIID, where it has a public one. Changes go to the "
            "server "
            "with the next check-in.");
    if (page->more) {
        page->more(view, call);
    }
    web_answer_view(call, status, "page", view);
}

void web_settings_show(struct web_call *call)
{
    struct form form = {.page = page_of(call->request->path)};
    show(call, 200, &form);
}

/* ---- what was typed ---- */

/* "10034: 1194 is no tunnel port." without the number: the name stands beside it. */
static const char *without_number(const char *error)
{
    const char *colon = strstr(error, ": ");
    return colon && strspn(error, "0123456789") == (size_t)(colon - error) ? colon + 2 : error;
}

/* True if the field was sent and says something else than what is stored. */
static bool read_field(struct web_call *call, uint32_t id, struct typed *typed)
{
    struct ace_parameter p;
    struct amm_msci_value value;
    char name[16], error[AMM_MSCI_ERROR];
    snprintf(name, sizeof name, "p%" PRIu32, id);
    *typed = (struct typed){.id = id};
    if (!ace_parameter_get(call->pages->core, id, &p) || p.msci->access == AMM_MSCI_READ_ONLY) {
        return false;
    }
    if (!web_form(call, name, typed->text, sizeof typed->text)) {
        char whole[1024];
        if (!amm_http_query(call->form, name, whole, sizeof whole)) {
            return false; /* not sent, or no text: browsers send text */
        }
        snprintf(typed->error, sizeof typed->error, "Too long: at most 255 bytes.");
        return true;
    }
    if (p.msci->is_secret && !typed->text[0]) {
        return false; /* left as it is */
    }
    if (!amm_msci_from_text(p.msci, amm_view_str(typed->text), &value, error)) {
        snprintf(typed->error, sizeof typed->error, "%s", without_number(error));
        return true;
    }
    bool is_changed = strcmp(value.text, p.pending ? p.pending : p.value) != 0;
    if (is_changed && id == AMM_MSCI_RELAY_TARGETS && call->in_tunnel) {
        snprintf(typed->error, sizeof typed->error,
                 "What can be reached through this gateway is set from its LAN only.");
    }
    return is_changed;
}

static void read_form(struct web_call *call, struct form *form, size_t *changed)
{
    *changed = 0;
    for (size_t i = 0; form->page->cards[i].title; i++) {
        for (const uint32_t *id = form->page->cards[i].ids; *id; id++) {
            struct typed *typed = &form->at[form->n];
            if (read_field(call, *id, typed)) {
                form->n++;
                (*changed)++;
                form->is_refused |= typed->error[0] != '\0';
            }
        }
    }
}

static void applied(struct web_call *call, size_t n)
{
    char text[WEB_FLASH];
    snprintf(text, sizeof text, n == 1 ? "1 setting is saved." : "%zu settings are saved.", n);
    web_session_flash(call->session, "up", text);
}

void web_settings_take(struct web_call *call)
{
    struct form form = {.page = page_of(call->request->path), .came_back = true};
    struct ace_setting settings[CARDS * FIELDS];
    struct ace_objection objection = {0};
    char path[64], by[WEB_BY];
    size_t n;
    read_form(call, &form, &n);
    if (form.is_refused) {
        show(call, 422, &form);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        settings[i] = (struct ace_setting){form.at[i].id, amm_view_str(form.at[i].text)};
    }
    if (n > 0 && !ace_parameters_set(call->pages->core, settings, n, web_by(call->session, by),
                                     &objection)) {
        struct typed *typed = NULL;
        for (size_t i = 0; i < form.n; i++) {
            typed = form.at[i].id == objection.id ? &form.at[i] : typed;
        }
        if (typed) {
            snprintf(typed->error, sizeof typed->error, "%s", without_number(objection.text));
            form.is_refused = true;
        } else {
            web_session_flash(call->session, "down", objection.text);
        }
        show(call, typed ? 422 : 500, &form);
    } else {
        if (n > 0) {
            applied(call, n);
            web_settle(call->pages);
        } else {
            web_session_flash(call->session, "info", "Nothing was changed.");
        }
        snprintf(path, sizeof path, "/%s", form.page->path);
        web_answer_redirect(call, path);
    }
    amm_wipe(&form, sizeof form);
}

/* ---- Services > Time ---- */

static void ntp_line(json_t *table, const struct ace_ntp_view *ntp, const struct web_call *call)
{
    char words[WEB_WORDS];
    json_t *line = web_line(table);
    bool is_good = ntp->last && !ntp->error[0];
    json_object_set_new(web_cell(line, ntp->server), "mono", json_true());
    json_t *state = web_cell(line, NULL);
    web_set(state, "lamp", is_good ? "up" : ntp->error[0] ? "down" : "unknown");
    web_set(state, "word", is_good ? "Answers" : ntp->error[0] ? "No answer" : "Not asked yet");
    web_cell(line, ntp->last ? web_ago(call->now.wall - ntp->last, words) : "–");
    json_t *offset = web_cell_number(line, ntp->last ? NULL : "–");
    if (ntp->last) {
        web_format(offset, "text", "%s%" PRId64 WEB_NARROW "ms",
                   ntp->offset_ms < 0   ? "−"
                   : ntp->offset_ms > 0 ? "+"
                                        : "",
                   ntp->offset_ms < 0 ? -ntp->offset_ms : ntp->offset_ms);
    }
    json_t *stratum = web_cell_number(line, ntp->last ? NULL : "–");
    if (ntp->last) {
        web_format(stratum, "text", "%u", ntp->stratum);
    }
    json_object_set_new(web_cell(line, ntp->error), "long", json_true());
}

static void more_time(json_t *view, struct web_call *call)
{
    struct ace_clock_view clock;
    ace_clock_view(call->pages->core, &clock);
    struct web_state state = web_clock_state(&clock);
    json_t *card = web_card(view, "more", "answers", "Answers");
    json_t *table =
        web_table(card, "NTP servers", "Server|State|Last answer|#Offset|#Stratum|Last error");
    for (size_t i = 0; i < clock.n_ntp; i++) {
        ntp_line(table, &clock.ntp[i], call);
    }
    if (clock.n_ntp == 0) {
        web_set(table, "empty", "No NTP server is asked.");
    } else {
        web_set(card, "text",
                "Offset: how far this clock was behind (+) or ahead (−) at the last answer.");
    }
    card = web_card(view, "more", "clock", "Clock");
    web_card_lamp(card, state.lamp, state.word);
    json_t *now = web_time(call->now.wall, call->now.wall);
    json_t *row = web_row(card, "Time");
    if (now) {
        json_object_set_new(row, "time", now);
    }
    web_row_text(card, "State", clock.words);
    web_row_text(card, "Source", web_clock_source(clock.source));
    web_row_time(card, clock.source == AMM_CLOCK_SYSTEM ? "Running since" : "Set", clock.since,
                 call);
    web_row_time(card, "Never before", clock.floor, call);
    web_row_text(card, "Because of", clock.floor_from);
    web_set(
        card, "text",
        "In this order: NTP, GPS, the cellular network, the server. Without any of them the tunnel "
        "waits.");
}

/* ---- Security ---- */

static void logins(json_t *view, struct web_call *call)
{
    json_t *card = web_card(view, "more", "logins", "Logins");
    json_t *table = web_table(card, "Logins", "Account|From|Way|Since|#Login");
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        const struct web_session *session = &call->pages->sessions.at[i];
        char address[AMM_ADDRESS_TEXT], number[16];
        if (session->role == WEB_NOBODY) {
            continue;
        }
        json_t *line = web_line(table);
        web_cell(line, session->is_remote ? session->who.name : web_role_name(session->role));
        json_object_set_new(web_cell(line, session->is_remote
                                               ? session->who.from
                                               : web_address(&session->remote, address)),
                            "mono", json_true());
        web_cell(line, session->is_remote ? "server" : session->in_tunnel ? "tunnel" : "LAN");
        json_t *since = web_cell(line, NULL);
        json_t *time = web_time(session->opened.wall, call->now.wall);
        if (time) {
            json_object_set_new(since, "time", time);
        }
        bool is_own = session == call->session;
        json_t *end = web_cell_number(line, is_own ? "this one" : NULL);
        if (!is_own && call->session->role == WEB_USER && session->is_remote) {
            web_set(end, "path", "visitors/end");
            web_set(end, "what", session->who.label);
            web_set(end, "label", "End");
        } else if (!is_own && call->session->role == WEB_USER) {
            snprintf(number, sizeof number, "%" PRIu32, session->number);
            web_set(end, "path", "sessions/end");
            web_set(end, "what", number);
            web_set(end, "label", "End");
        }
    }
    web_format(card, "text",
               "Wrong passwords since the start: %" PRIu64 ". Refused without a look: %" PRIu64 ".",
               call->pages->limit.wrong, call->pages->limit.refused);
}

static void more_security(json_t *view, struct web_call *call)
{
    struct ace_listen listens[LISTENS];
    size_t n = ace_listens(call->pages->core, listens, LISTENS);
    json_t *card = web_card(view, "more", "listens", "Where ACEmanager listens");
    json_t *table = web_table(card, "Where ACEmanager listens", "Side|Interface|Address");
    for (size_t i = 0; i < n && i < LISTENS; i++) {
        char text[AMM_ADDRESS_TEXT];
        json_t *line = web_line(table);
        web_cell(line, listens[i].is_tunnel ? "tunnel" : "LAN");
        web_cell(line, listens[i].link);
        listens[i].address.port =
            (uint16_t)ace_parameter_number(call->pages->core, AMM_MSCI_HTTPS_PORT);
        json_object_set_new(web_cell(line, amm_address_text(&listens[i].address, text)), "mono",
                            json_true());
    }
    if (n == 0) {
        web_set(table, "empty", "Nowhere: there is no LAN address, and the tunnel is not up.");
    }
    web_set(card, "text", "Never on the WAN side.");
    logins(view, call);
}
