/* What the templates are filled with. A view is JSON; out of memory shows as a missing member, and
 * web_answer_view answers 503 if nothing is left. Names of a card's and a row's members are those
 * of gateway-web/page.html, rows.html and table.html. */
#pragma once

#include "web.h"

#include <jansson.h>

/* The frame: title, tabs, state strip, who else is here, what waits to be activated, and what the
 * session was told to say, once. `path` names the page ("services/msci"). */
json_t *web_view_new(struct web_call *call, const char *path, const char *heading);

/* Who changes something, for the parameters' and the server's record: "user", or "Maria (remote)".
 * WEB_BY bytes. */
enum { WEB_BY = 65 };
const char *web_by(const struct web_session *session, char out[WEB_BY]);

/* "Maria is on this page from 198.51.100.7, ...": who is here by a session through the tunnel. */
void web_visitor_words(const struct web_session *session, struct amm_now now, char *out,
                       size_t room);

/* A note that the password is still that of the label. */
void web_view_first_password(json_t *view, const struct web_call *call);

/* A note: kind "info", "up", "pending", "degraded" or "down". The note is borrowed. */
json_t *web_note(json_t *view, const char *kind, const char *text);
void web_note_line(json_t *note, const char *text);
/* A button in a note or a card: a form that is posted to `path` with `what`, or a link. */
void web_action(json_t *owner, const char *path, const char *what, const char *label);
void web_action_link(json_t *owner, const char *link, const char *label);

/* A card of the list `list` ("cards", "more"); borrowed. */
json_t *web_card(json_t *view, const char *list, const char *key, const char *title);
void web_card_lamp(json_t *card, const char *lamp, const char *word);

/* A row "name: value" of a card; borrowed. The second form is left out if there is no text. */
json_t *web_row(json_t *card, const char *name);
void web_row_text(json_t *card, const char *name, const char *text);
void web_row_mono(json_t *card, const char *name, const char *text);
void web_row_lamp(json_t *card, const char *name, const char *lamp, const char *word,
                  const char *more);
void web_row_time(json_t *card, const char *name, int64_t wall, const struct web_call *call);

/* A table; borrowed. `head` is "Name|Last|#Offset": '#' stands before columns of numbers. */
json_t *web_table(json_t *card, const char *label, const char *head);
json_t *web_line(json_t *table);
json_t *web_cell(json_t *line, const char *text); /* borrowed, for further members */
json_t *web_cell_number(json_t *line, const char *text);

/* Sets a member unless the text is NULL or "". */
void web_set(json_t *object, const char *key, const char *text);
void web_format(json_t *object, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "192.168.13.100" without a port. */
const char *web_address(const struct amm_address *address, char out[AMM_ADDRESS_TEXT]);

/* ---- states in lamp and word, used by strip and pages alike ---- */

struct web_state {
    const char *lamp, *word;
};
struct web_state web_tunnel_state(const struct ace_tunnel_view *tunnel);
struct web_state web_checkin_state(const struct ace_checkin_view *checkin,
                                   const struct ace_identity_view *identity);
struct web_state web_clock_state(const struct ace_clock_view *clock);
const char *web_clock_source(enum amm_clock_source source);
const char *web_identity_words(enum ace_identity_state state);

/* The strip's items are appended to `list`. */
void web_strip(json_t *list, const struct web_call *call);

/* ---- pages: GET and POST handlers ---- */

void web_visitors_card(json_t *view, const struct web_call *call); /* part of Status */
void web_status_show(struct web_call *call);
void web_wan_show(struct web_call *call);
void web_lan_show(struct web_call *call);
void web_applications_show(struct web_call *call);

void web_settings_show(struct web_call *call); /* Services > MSCI, Services > Time, Security */
void web_settings_take(struct web_call *call);

void web_activate_take(struct web_call *call);
void web_checkin_take(struct web_call *call);

void web_diagnostics_show(struct web_call *call);
void web_bundle_show(struct web_call *call);
void web_reboot_show(struct web_call *call);
void web_reboot_take(struct web_call *call);
void web_reset_show(struct web_call *call);
void web_reset_take(struct web_call *call);
