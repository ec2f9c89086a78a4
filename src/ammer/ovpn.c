#include "ovpn_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

enum { WORDS_MAX = 256 };

/* Words of the file are quoted in notes and errors: no control character gets to a terminal. */
static void format_clean(char out[WORDS_MAX], const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void format_clean(char out[WORDS_MAX], const char *format, va_list arguments)
{
    char words[WORDS_MAX];
    vsnprintf(words, sizeof words, format, arguments);
    amm_text_clean(out, WORDS_MAX, amm_view_str(words));
}

void ovpn_note(struct ovpn_parser *p, const char *format, ...)
{
    char clean[WORDS_MAX];
    va_list ap;
    va_start(ap, format);
    format_clean(clean, format, ap);
    va_end(ap);
    struct amm_ovpn_report *r = p->report;
    r->n_notes++;
    size_t room = sizeof r->notes - r->notes_len;
    int len = snprintf(r->notes + r->notes_len, room, "%s:%u: %s\n", p->file, p->line, clean);
    if (len > 0 && (size_t)len < room) {
        r->notes_len += (size_t)len;
    } else {
        r->notes[r->notes_len] = '\0';
    }
}

bool ovpn_fail(struct ovpn_parser *p, const char *format, ...)
{
    char clean[WORDS_MAX];
    va_list ap;
    va_start(ap, format);
    format_clean(clean, format, ap);
    va_end(ap);
    snprintf(p->report->error, sizeof p->report->error, "%.48s:%u: %s", p->file, p->line, clean);
    return false;
}

static void fill_remotes(struct ovpn_parser *p, unsigned first, const struct remote_defaults *from)
{
    for (unsigned i = first; i < p->settings->n_remotes; i++) {
        struct amm_remote *remote = &p->settings->remotes[i];
        if (!p->loose[i].has_port && from->has_port) {
            remote->port = from->port;
            p->loose[i].has_port = true;
        }
        if (!p->loose[i].has_transport && from->has_transport) {
            remote->transport = from->transport;
            remote->family = from->family;
            p->loose[i].has_transport = true;
        }
    }
}

/* ---- blocks ---- */

static bool take_material(struct ovpn_parser *p, const char *name, enum amm_material_kind kind,
                          struct amm_view body)
{
    if (body.len > AMM_MATERIAL_MAX) {
        return ovpn_fail(p, "<%s>: longer than %d bytes", name, AMM_MATERIAL_MAX);
    }
    if (p->settings->materials[kind].text) {
        return ovpn_fail(p, "<%s>: given twice", name);
    }
    if (!amm_material_set(&p->settings->materials[kind], body)) {
        return ovpn_fail(p, "<%s>: contains a NUL character", name);
    }
    return true;
}

static bool take_connection(struct ovpn_parser *p, struct amm_view body, unsigned first_line)
{
    struct amm_ovpn_lexer lexer;
    amm_ovpn_lexer_init(&lexer, body, first_line);
    p->in_connection = true;
    p->block = (struct remote_defaults){0};
    p->block_first = p->settings->n_remotes;
    for (;;) {
        enum amm_ovpn_token token = amm_ovpn_lexer_next(&lexer);
        p->line = lexer.line;
        if (token == AMM_OVPN_END) {
            break;
        }
        if (token == AMM_OVPN_BROKEN) {
            return ovpn_fail(p, "%s", lexer.broken);
        }
        if (token == AMM_OVPN_BLOCK) {
            return ovpn_fail(p, "<%s>: not allowed inside <connection>", lexer.arguments[0]);
        }
        if (!ovpn_obey(p, lexer.arguments, lexer.n_arguments)) {
            return false;
        }
    }
    fill_remotes(p, p->block_first, &p->block);
    p->in_connection = false;
    return true;
}

static bool take_block(struct ovpn_parser *p, const struct amm_ovpn_lexer *lexer)
{
    static const struct {
        const char *name;
        enum amm_material_kind kind;
        enum amm_wrap_mode wrap;
    } blocks[] = {
        {"ca", AMM_MATERIAL_CA, AMM_WRAP_NONE},
        {"cert", AMM_MATERIAL_CERTIFICATE, AMM_WRAP_NONE},
        {"key", AMM_MATERIAL_KEY, AMM_WRAP_NONE},
        {"crl-verify", AMM_MATERIAL_CRL, AMM_WRAP_NONE},
        {"auth-user-pass", AMM_MATERIAL_LOGIN, AMM_WRAP_NONE},
        {"tls-auth", AMM_MATERIAL_WRAP, AMM_WRAP_AUTH},
        {"tls-crypt", AMM_MATERIAL_WRAP, AMM_WRAP_CRYPT},
        {"tls-crypt-v2", AMM_MATERIAL_WRAP, AMM_WRAP_CRYPT_V2},
    };
    const char *name = lexer->arguments[0];
    if (strcmp(name, "connection") == 0) {
        return take_connection(p, lexer->body, lexer->body_line);
    }
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        if (strcmp(name, blocks[i].name) != 0) {
            continue;
        }
        if (blocks[i].wrap != AMM_WRAP_NONE && !ovpn_set_wrap(p, name, blocks[i].wrap)) {
            return false;
        }
        p->settings->needs_login |= blocks[i].kind == AMM_MATERIAL_LOGIN;
        return take_material(p, name, blocks[i].kind, lexer->body);
    }
    const struct ovpn_directive *d = ovpn_directive_find(name);
    if (d && d->outcome == OVPN_UNSUPPORTED) {
        return ovpn_fail(p, "<%s>: %s", name, d->why);
    }
    if (!d || d->outcome != OVPN_QUIET) {
        ovpn_note(p, "<%.60s>: unknown block, ignored", name);
    }
    return true;
}

/* ---- the whole file ---- */

static bool has_material(const struct amm_settings *s, enum amm_material_kind kind)
{
    return s->materials[kind].text || s->materials[kind].path[0];
}

static bool is_small_block(const char *cipher)
{
    static const char *const names[] = {"BF-", "DES-", "CAST5-", "RC2-", "IDEA-"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncasecmp(cipher, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_ciphers(struct ovpn_parser *p)
{
    if (!p->cipher[0] || p->has_data_ciphers) {
        return true;
    }
    p->line = p->cipher_line;
    if (p->no_negotiation || is_small_block(p->cipher)) {
        return ovpn_fail(
            p,
            "cipher: %s is not supported (allowed: AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305); "
            "servers from 2.4 on have them",
            p->cipher);
    }
    ovpn_note(p, "cipher: %s is not offered; AES-GCM or CHACHA20-POLY1305 is negotiated",
              p->cipher);
    return true;
}

static bool check_whole(struct ovpn_parser *p)
{
    struct amm_settings *s = p->settings;
    if (!check_ciphers(p)) {
        return false;
    }
    p->line = 1;
    if (!p->is_client) {
        return ovpn_fail(p, "client: missing; is this a client's file?");
    }
    if (s->n_remotes == 0) {
        return ovpn_fail(p, "remote: missing; no server is named");
    }
    if (!has_material(s, AMM_MATERIAL_CA)) {
        return ovpn_fail(p, "ca: missing; without it any server would be trusted");
    }
    if (has_material(s, AMM_MATERIAL_CERTIFICATE) != has_material(s, AMM_MATERIAL_KEY)) {
        return ovpn_fail(p, "cert and key: one of them is missing");
    }
    if (s->needs_login && !has_material(s, AMM_MATERIAL_LOGIN)) {
        return ovpn_fail(
            p, "auth-user-pass: nobody can be asked here; name a file with user name and password "
               "on two lines");
    }
    if (!has_material(s, AMM_MATERIAL_CERTIFICATE) && !s->needs_login) {
        return ovpn_fail(p, "cert and key: missing");
    }
    if (s->wrap != AMM_WRAP_NONE && !has_material(s, AMM_MATERIAL_WRAP)) {
        return ovpn_fail(p, "the key of tls-auth, tls-crypt or tls-crypt-v2 is missing");
    }
    if (!p->has_role_check) {
        s->no_role_check = true;
        ovpn_note(
            p,
            "remote-cert-tls server: missing; any certificate of this CA could pose as the server");
    }
    return true;
}

bool amm_ovpn_parse(struct amm_settings *settings, const char *file, struct amm_view text,
                    struct amm_ovpn_report *report)
{
    struct ovpn_parser p = {.settings = settings, .report = report, .file = file, .line = 1};
    struct amm_ovpn_lexer lexer;
    memset(report, 0, sizeof *report);
    if (text.len > AMM_OVPN_FILE_MAX) {
        return ovpn_fail(&p, "the file is larger than %d bytes", AMM_OVPN_FILE_MAX);
    }
    amm_ovpn_lexer_init(&lexer, text, 1);
    for (;;) {
        enum amm_ovpn_token token = amm_ovpn_lexer_next(&lexer);
        p.line = lexer.line;
        if (token == AMM_OVPN_END) {
            break;
        }
        if (token == AMM_OVPN_BROKEN) {
            return ovpn_fail(&p, "%s", lexer.broken);
        }
        if (!(token == AMM_OVPN_BLOCK ? take_block(&p, &lexer)
                                      : ovpn_obey(&p, lexer.arguments, lexer.n_arguments))) {
            return false;
        }
    }
    struct remote_defaults last = {1194, AMM_UDP, AMM_FAMILY_NONE, true, true};
    fill_remotes(&p, 0, &p.whole);
    fill_remotes(&p, 0, &last);
    return check_whole(&p);
}
