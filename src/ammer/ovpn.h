/* Plain `.ovpn` files : what stock clients take, read into struct amm_settings.
 *
 * A directive is one of five things: taken over; without effect here and silently so (`verb`,
 * `nobind`); without effect and named in a note (anything unknown); never obeyed and named
 * (scripts, plugins, default routes); or an error, because the tunnel would be broken or weaker
 * than the file demands (`fragment`, `dev tap`).
 *
 * Pure functions over bytes: files that a directive names are read later. Any thread. */
#pragma once

#include "settings.h"

enum {
    AMM_OVPN_FILE_MAX = 512 * 1024,
    AMM_OVPN_LINE_MAX = 1024,
    AMM_OVPN_ARGUMENTS = 16,
};

struct amm_ovpn_report {
    char error[320];  /* "office.ovpn:12: fragment: ..."; "" if there is none */
    char notes[8192]; /* one line each, ended by a newline; what does not fit is counted only */
    size_t notes_len;
    unsigned n_notes;
};

/* Reads `text` into `settings`, which amm_settings_init has prepared. `file` is the name for
 * messages. False with `report->error` set; call amm_settings_deinit in both cases. */
bool amm_ovpn_parse(struct amm_settings *settings, const char *file, struct amm_view text,
                    struct amm_ovpn_report *report);

/* ---- lexer (ovpn_lex.c) ---- */

enum amm_ovpn_token { AMM_OVPN_END, AMM_OVPN_LINE, AMM_OVPN_BLOCK, AMM_OVPN_BROKEN };

struct amm_ovpn_lexer {
    struct amm_view text;
    size_t at;
    unsigned line; /* of the token read last, from 1 */

    char *arguments[AMM_OVPN_ARGUMENTS]; /* LINE: the words; [0] is the directive */
    unsigned n_arguments;
    char words[AMM_OVPN_LINE_MAX + AMM_OVPN_ARGUMENTS];
    struct amm_view
        body; /* BLOCK: what stands between <name> and </name>; the name is arguments[0] */
    unsigned body_line; /* line of the body's first character */
    const char *broken; /* BROKEN: why */
};

void amm_ovpn_lexer_init(struct amm_ovpn_lexer *lexer, struct amm_view text, unsigned first_line);
enum amm_ovpn_token amm_ovpn_lexer_next(struct amm_ovpn_lexer *lexer);
