/* Admin, and the commands: activate, check in, reboot, reset. */
#include "web_format.h"
#include "web_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { EVENTS = 50, BUNDLE_EVENTS = 200 };

/* ---- commands ---- */

void web_activate_take(struct web_call *call)
{
    char error[256], by[WEB_BY], text[400];
    struct ace_parameter port;
    bool moves = ace_parameter_get(call->pages->core, AMM_MSCI_HTTPS_PORT, &port) && port.pending;
    char to[16] = "";
    if (moves) {
        snprintf(to, sizeof to, "%.8s", port.pending);
    }
    if (!ace_activate(call->pages->core, web_by(call->session, by), error, sizeof error)) {
        snprintf(text, sizeof text, "Not activated: %s.", error);
        web_session_flash(call->session, "down", text);
    } else if (moves) {
        snprintf(text, sizeof text,
                 "ACEmanager moves to port %s. Open this page again with :%s behind the address.",
                 to, to);
        web_answer_error(call, 200, "On another port now", text);
        return;
    } else {
        web_session_flash(call->session, "up", "The saved settings are in use.");
    }
    web_answer_redirect(call, "/services/msci");
}

void web_checkin_take(struct web_call *call)
{
    ace_checkin_now(call->pages->core);
    web_session_flash(call->session, "info", "A check-in is under way.");
    web_answer_redirect(call, "/status");
}

static void wait_page(struct web_call *call, const char *heading, const char *first,
                      const char *second)
{
    web_answer_view(call, 200, "waiting",
                    json_pack("{ss ss s{ss s[ss]}}", "title", heading, "heading", heading, "wait",
                              "lamp", "pending", "lines", first, second));
}

/* ---- reboot ---- */

static json_t *confirm_view(struct web_call *call, const char *path, const char *heading,
                            const char *const *paragraphs)
{
    json_t *view = web_view_new(call, path, heading);
    json_t *list = json_array();
    for (size_t i = 0; paragraphs[i]; i++) {
        json_array_append_new(list, json_string(paragraphs[i]));
    }
    json_object_set_new(view, "paragraphs", list);
    return view;
}

void web_reboot_show(struct web_call *call)
{
    static const char *const paragraphs[] = {"The gateway starts anew. Connections of the LAN are "
                                             "cut for as long as that takes; the tunnel "
                                             "comes back by itself.",
                                             "Settings that were saved but not in use take over.",
                                             NULL};
    json_t *view = confirm_view(call, "admin/reboot", "Reboot", paragraphs);
    json_object_set_new(view, "button",
                        json_pack("{ss ss ss}", "kind", "primary", "label", "Reboot now", "keep",
                                  "Leave it running"));
    web_answer_view(call, 200, "confirm", view);
}

void web_reboot_take(struct web_call *call)
{
    char error[256], by[WEB_BY], text[WEB_FLASH];
    if (!ace_reboot(call->pages->core, web_by(call->session, by), error, sizeof error)) {
        snprintf(text, sizeof text, "Not rebooted: %.250s.", error);
        web_session_flash(call->session, "down", text);
        web_answer_redirect(call, "/admin/reboot");
        return;
    }
    wait_page(
        call, "Rebooting", "The gateway starts anew.",
        "Log in again when it is back. Where scripts are allowed, this page goes on by itself.");
}

/* ---- factory reset ---- */

static void show_reset(struct web_call *call, int status, const char *error)
{
    static const char *const paragraphs[] = {"All settings go back to their defaults, and the "
                                             "password back to that of the label. Server URL, "
                                             "tunnel port and identity stay: the gateway goes on "
                                             "checking in, with the tunnel disabled until "
                                             "it is enabled again.",
                                             "The gateway reboots.", NULL};
    json_t *view = confirm_view(call, "admin/reset", "Factory reset", paragraphs);
    json_t *typed = json_pack("{ss}", "name", "reset");
    web_set(typed, "error", error);
    json_object_set_new(view, "typed", typed);
    json_object_set_new(view, "button",
                        json_pack("{ss ss ss}", "kind", "danger", "label", "Reset the gateway",
                                  "keep", "Keep the settings"));
    web_answer_view(call, status, "confirm", view);
}

void web_reset_show(struct web_call *call)
{
    show_reset(call, 200, NULL);
}

void web_reset_take(struct web_call *call)
{
    char typed[16], forget[8], error[256], by[WEB_BY], text[WEB_FLASH];
    if (!web_form(call, "typed", typed, sizeof typed) || strcmp(typed, "reset") != 0) {
        show_reset(call, 422, "Nothing was reset: the word is “reset”, without capitals.");
        return;
    }
    bool forgets = web_form(call, "forget", forget, sizeof forget);
    if (!ace_factory_reset(call->pages->core, web_by(call->session, by), forgets, error,
                           sizeof error)) {
        snprintf(text, sizeof text, "Nothing was reset: %.250s.", error);
        web_session_flash(call->session, "down", text);
        web_answer_redirect(call, "/admin/reset");
        return;
    }
    wait_page(call, "Resetting", "The gateway goes back to its defaults and reboots.",
              "Log in as user with the password of the label.");
}

/* ---- diagnostics ---- */

static void card_events(json_t *view, const struct web_call *call)
{
    static struct amm_checkin_event events[EVENTS]; /* one thread; too large for its stack */
    size_t n = ace_events_latest(call->pages->core, events, EVENTS);
    json_t *card = web_card(view, "cards", "events", "Events");
    json_t *table = web_table(card, "Events", "#No.|When|Kind|What");
    char number[24];
    for (size_t i = 0; i < n; i++) {
        json_t *line = web_line(table);
        snprintf(number, sizeof number, "%" PRIu64, events[i].id);
        web_cell_number(line, number);
        json_t *time = web_time(events[i].at, call->now.wall);
        json_t *cell = web_cell(line, time ? NULL : "–");
        if (time) {
            json_object_set_new(cell, "time", time);
        }
        web_cell(line, events[i].kind);
        json_object_set_new(web_cell(line, events[i].text), "long", json_true());
    }
    if (n == 0) {
        web_set(table, "empty", "Nothing has happened since the first start.");
    }
}

void web_diagnostics_show(struct web_call *call)
{
    struct ace_core *core = call->pages->core;
    struct ace_checkin_view checkin;
    struct ace_identity_view identity;
    char number[24];
    json_t *view = web_view_new(call, "admin/diagnostics", "Diagnostics");
    json_t *card = web_card(view, "cards", "numbers", "Check-ins and events");
    ace_checkin_view(core, &checkin);
    ace_identity_view(core, &identity);
    web_row_text(card, "Check-in", ace_checkin_state_name(checkin.state));
    web_row_text(card, "Identity", ace_identity_state_name(identity.state));
    snprintf(number, sizeof number, "%" PRIu64, checkin.seq);
    web_row_text(card, "Check-ins so far", number);
    snprintf(number, sizeof number, "%" PRIu64, ace_events_waiting(core));
    web_row_text(card, "Events waiting", number);
    snprintf(number, sizeof number, "%" PRIu64, ace_events_lost(core));
    web_row_text(card, "Events lost", number);
    web_row_text(card, "Last error", checkin.error);
    if (call->session->role == WEB_USER) {
        web_action_link(card, "admin/diagnostics/bundle", "Download all of it");
    }
    card_events(view, call);
    json_object_set_new(view, "is_live", json_true());
    web_answer_view(call, 200, "page", view);
}

/* ---- the same as a file for support ---- */

static json_t *bundle_parameters(const struct ace_core *core)
{
    json_t *parameters = json_object();
    for (size_t i = 0; i < amm_msci_count(); i++) {
        struct ace_parameter p;
        struct amm_msci_value value;
        char id[16];
        if (!ace_parameter_get(core, amm_msci_at(i)->id, &p)) {
            continue;
        }
        snprintf(id, sizeof id, "%" PRIu32, p.msci->id);
        snprintf(value.text, sizeof value.text, "%s", p.value);
        if (value.text[0] || p.msci->is_secret) {
            json_object_set_new(parameters, id, amm_msci_to_json(p.msci, &value));
        }
        amm_wipe(&value, sizeof value);
    }
    return parameters;
}

static json_t *bundle_events(const struct ace_core *core)
{
    static struct amm_checkin_event events[BUNDLE_EVENTS];
    size_t n = ace_events_latest(core, events, BUNDLE_EVENTS);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_pack("{sI sI so so sO*}", "id", (json_int_t)events[i].id,
                                              "at", (json_int_t)events[i].at, "kind",
                                              web_string(events[i].kind), "text",
                                              web_string(events[i].text), "data", events[i].data));
    }
    return list;
}

static json_t *bundle_states(struct ace_core *core)
{
    struct ace_checkin_view checkin;
    struct ace_identity_view identity;
    struct ace_tunnel_view tunnel;
    struct ace_clock_view clock;
    char address[AMM_IPV4_TEXT];
    ace_checkin_view(core, &checkin);
    ace_identity_view(core, &identity);
    ace_tunnel_view(core, &tunnel);
    ace_clock_view(core, &clock);
    return json_pack(
        "{s{ss sI si so so} s{ss so sI so} s{ss si sI so ss so} s{sb ss sI sI so}}", "checkin",
        "state", ace_checkin_state_name(checkin.state), "last", (json_int_t)checkin.last, "next",
        (int)checkin.next, "server", web_string(checkin.server), "error", web_string(checkin.error),
        "identity", "state", ace_identity_state_name(identity.state), "name",
        web_string(identity.name), "not_after", (json_int_t)identity.not_after, "error",
        web_string(identity.error), "tunnel", "state", ace_tunnel_state_name(tunnel.state), "port",
        (int)tunnel.port, "since", (json_int_t)tunnel.since, "why", web_string(tunnel.why),
        "address", amm_ipv4_text(tunnel.client.inner_ip, address), "error",
        web_string(tunnel.client.last_error), "clock", "trusted", clock.is_trusted, "source",
        amm_clock_source_name(clock.source), "since", (json_int_t)clock.since, "floor",
        (json_int_t)clock.floor, "words", web_string(clock.words));
}

void web_bundle_show(struct web_call *call)
{
    struct ace_core *core = call->pages->core;
    struct ace_about about;
    ace_about(core, &about);
    json_t *bundle =
        json_pack("{sI s{so so so so sI} so so so sO*}", "made", (json_int_t)call->now.wall,
                  "gateway", "name", web_string(about.name), "model", web_string(about.model),
                  "software", web_string(about.software), "serial", web_string(about.serial),
                  "uptime", (json_int_t)about.uptime, "states", bundle_states(core), "parameters",
                  bundle_parameters(core), "events", bundle_events(core), "stats", ace_stats(core));
    char *text = json_dumps(bundle, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (!text) {
        web_answer_error(call, 503, "Out of memory", "The file could not be made. Try again.");
    } else {
        call->type = "application/json";
        web_text_add(&call->body, amm_view_str(text));
        web_answer_field(call, "Content-Disposition", "attachment; filename=\"diagnostics.json\"");
        web_answer_field(call, "Cache-Control", "no-store");
        free(text);
    }
    json_decref(bundle);
}
