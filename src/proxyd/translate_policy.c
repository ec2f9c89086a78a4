/* Content-Security-Policy: the page's rules for itself stay in force under another name. */
#include "translate_parts.h"

/* Directives that send something elsewhere. */
static bool is_report(struct amm_view name)
{
    return translate_same(name, "report-uri") || translate_same(name, "report-to");
}

/* A source expression: the page's own address with or without scheme, port and path. */
static bool is_own_source(const struct translate_names *names, struct amm_view source)
{
    struct amm_view rest;
    bool socket;
    uint8_t text[TRANSLATE_ORIGIN + 2];
    if (translate_is_own(names, source, &socket, &rest)) {
        return true;
    }
    struct amm_view host = source, all = source;
    translate_part(&all, '/', &host);
    struct amm_writer w = amm_writer(text, sizeof text);
    amm_write_str(&w, "//");
    amm_write_view(&w, host);
    if (w.failed) {
        return false;
    }
    /* "192.168.13.31:*" */
    size_t len = amm_writer_len(&w);
    if (len > 2 && text[len - 1] == '*' && text[len - 2] == ':') {
        len -= 2;
    }
    return translate_is_own(names, amm_view(text, len), &socket, &rest);
}

static void write_sources(const struct translate_names *names, struct amm_view sources,
                          struct amm_writer *out)
{
    struct amm_view source;
    bool has_self = false;
    while (translate_part(&sources, ' ', &source)) {
        source = translate_trim(source);
        if (source.len == 0) {
            continue;
        }
        bool own = is_own_source(names, source) || translate_same(source, "'self'");
        if (own && has_self) {
            continue;
        }
        has_self |= own;
        amm_write_str(out, " ");
        amm_write_view(out, own ? amm_view_str("'self'") : source);
    }
}

/* "default-src 'self' x" */
static bool write_directive(const struct translate_names *names, struct amm_view directive,
                            bool is_first, struct amm_writer *out)
{
    struct amm_view name, rest = directive;
    if (directive.len == 0 || !translate_part(&rest, ' ', &name) || is_report(name) ||
        /* A plain side has nothing to upgrade to. */
        (!names->browser_secure && translate_same(name, "upgrade-insecure-requests"))) {
        return false;
    }
    amm_write_str(out, is_first ? "" : "; ");
    amm_write_view(out, name);
    write_sources(names, rest, out);
    return true;
}

/* The directives between two commas; false if none is left. */
static bool write_policy(const struct translate_names *names, struct amm_view policy,
                         struct amm_writer *out)
{
    struct amm_view directive;
    bool any = false;
    while (translate_part(&policy, ';', &directive)) {
        any |= write_directive(names, translate_trim(directive), !any, out);
    }
    return any;
}

bool translate_policy(const struct translate_names *names, struct amm_view value,
                      struct amm_writer *out)
{
    struct amm_view policy;
    bool any = false;
    while (translate_part(&value, ',', &policy)) {
        uint8_t *before = out->at;
        amm_write_str(out, any ? ", " : "");
        if (write_policy(names, policy, out)) {
            any = true;
        } else {
            out->at = before;
        }
    }
    return any;
}
