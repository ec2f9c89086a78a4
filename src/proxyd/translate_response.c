/* Heads of answers. */
#include "translate_parts.h"

static void write_refresh(const struct translate_names *names, struct amm_view value,
                          struct amm_writer *out)
{
    size_t at = 0;
    while (at < value.len && value.data[at] != ';' && value.data[at] != ',') {
        at++;
    }
    while (at < value.len &&
           (value.data[at] == ';' || value.data[at] == ',' || translate_is_blank(value.data[at]))) {
        at++;
    }
    struct amm_view url = amm_view(value.data + at, value.len - at);
    if (translate_begins(url, "url")) {
        struct amm_view rest = translate_trim(amm_view(url.data + 3, url.len - 3));
        if (rest.len > 0 && rest.data[0] == '=') {
            url = translate_trim(amm_view(rest.data + 1, rest.len - 1));
        }
    }
    struct amm_view behind = {0};
    if (url.len > 0 && (url.data[0] == '"' || url.data[0] == '\'')) {
        struct amm_view rest = amm_view(url.data + 1, url.len - 1);
        translate_part(&rest, (char)url.data[0], &url);
        behind =
            amm_view(url.data + url.len, (size_t)(value.data + value.len - url.data) - url.len);
    }
    amm_write_bytes(out, value.data, (size_t)(url.data - value.data));
    translate_url(names, url, out);
    amm_write_view(out, behind);
}

static void write_links(const struct translate_names *names, struct amm_view value,
                        struct amm_writer *out)
{
    bool quoted = false;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.data[i];
        amm_write_u8(out, c);
        if (c == '"') {
            quoted = !quoted;
        } else if (c == '\\' && quoted && i + 1 < value.len) {
            amm_write_u8(out, value.data[++i]);
        } else if (c == '<' && !quoted) {
            const uint8_t *end = memchr(value.data + i, '>', value.len - i);
            size_t len = end ? (size_t)(end - value.data) - i - 1 : value.len - i - 1;
            translate_url(names, amm_view(value.data + i + 1, len), out);
            i += len;
        }
    }
}

/* The changed value in `out`; false: the field must not pass. */
static bool change(const struct translate_names *names, const struct translate_rule *rule,
                   struct amm_view value, struct amm_writer *out)
{
    switch ((int)rule->action) {
    case TRANSLATE_ADDRESS:
        return translate_url(names, value, out);
    case TRANSLATE_REFRESH:
        write_refresh(names, value, out);
        return true;
    case TRANSLATE_LINKS:
        write_links(names, value, out);
        return true;
    case TRANSLATE_COOKIE_SET:
        return translate_cookie_response(names, value, out);
    case TRANSLATE_POLICY:
        return translate_policy(names, value, out);
    default: /* removed, or written elsewhere */
        return false;
    }
}

/* What Connection names is of the connection, but for what this file must see. */
static bool is_named(const struct amm_http_fields *fields, const struct amm_http_field *field)
{
    char lower[64];
    if (field->name.len >= sizeof lower || translate_response_rule(field->name) != NULL ||
        amm_http_is(field->name, "content-type") || amm_http_is(field->name, "content-encoding")) {
        return false;
    }
    for (size_t i = 0; i < field->name.len; i++) {
        uint8_t c = field->name.data[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
    }
    lower[field->name.len] = '\0';
    return amm_http_field_has(fields, "connection", lower);
}

/* True if one of the protocols that were asked for is `protocol`. */
static bool was_asked(const struct amm_http_request *asked, struct amm_view protocol)
{
    struct amm_view rest = amm_http_field(&asked->fields, "upgrade"), part;
    char name[64];
    if (protocol.len == 0 || protocol.len >= sizeof name) {
        return false;
    }
    memcpy(name, protocol.data, protocol.len);
    name[protocol.len] = '\0';
    while (translate_part(&rest, ',', &part)) {
        if (translate_same(translate_trim(part), name)) {
            return true;
        }
    }
    return false;
}

/* "http://gateway/x" answered with "https://gateway/x": through the proxy both are one. */
static bool is_loop(const struct translate_names *names, const struct amm_http_request *asked,
                    const struct amm_http_response *response)
{
    struct amm_view to = amm_http_field(&response->fields, "location"), rest;
    bool socket, secure = translate_begins(to, "https:");
    return response->status >= 300 && response->status < 400 &&
           (secure || translate_begins(to, "http:")) && secure != names->page_secure &&
           translate_is_own(names, to, &socket, &rest) &&
           (amm_view_equal(rest, asked->target) || (rest.len == 0 && asked->target.len == 1));
}

static void write_fixed(const struct amm_http_response *response, struct amm_writer *w)
{
    static const char *const deny = "DENY";
    struct amm_view frame = amm_http_field(&response->fields, "x-frame-options");
    amm_http_write_field(w, "Content-Security-Policy", amm_view_str("frame-ancestors 'self'"));
    amm_http_write_field(w, "X-Frame-Options",
                         amm_view_str(translate_same(frame, deny) ? deny : "SAMEORIGIN"));
    amm_http_write_field(w, "Cross-Origin-Opener-Policy", amm_view_str("same-origin"));
    amm_http_write_field(w, "Cross-Origin-Resource-Policy", amm_view_str("same-origin"));
    amm_http_write_field(w, "Referrer-Policy", amm_view_str("same-origin"));
    amm_http_write_field(w, "X-Robots-Tag", amm_view_str("noindex, nofollow"));
}

static void write_field(const struct translate_names *names, const struct amm_http_field *field,
                        bool upgrade, unsigned *cookies, struct amm_writer *w)
{
    uint8_t text[AMM_HTTP_HEAD_MAX + TRANSLATE_GROWTH];
    const struct translate_rule *rule = translate_response_rule(field->name);
    if (rule == NULL || (rule->action == TRANSLATE_UPGRADE && upgrade)) {
        amm_http_write_field_view(w, field->name, field->value);
        return;
    }
    struct amm_writer out = amm_writer(text, sizeof text);
    if (!change(names, rule, field->value, &out) ||
        (rule->action == TRANSLATE_COOKIE_SET && ++*cookies > TRANSLATE_COOKIES)) {
        return;
    }
    w->failed |= out.failed;
    amm_http_write_field_view(w, field->name, amm_view(text, amm_writer_len(&out)));
}

enum translate_verdict translate_response(const struct translate_names *names,
                                          const struct amm_http_request *asked,
                                          const struct amm_http_response *response,
                                          struct amm_writer *w)
{
    unsigned cookies = 0;
    bool upgrade = response->status == 101;
    if (upgrade && (!asked->upgrade || !response->upgrade ||
                    !was_asked(asked, amm_http_field(&response->fields, "upgrade")))) {
        return TRANSLATE_BAD_UPGRADE;
    }
    if (response->status == 407) {
        return TRANSLATE_NO_PROXY;
    }
    if (is_loop(names, asked, response)) {
        return TRANSLATE_OTHER_SCHEME;
    }
    for (size_t i = 0; i < response->fields.n; i++) {
        const struct amm_http_field *field = &response->fields.at[i];
        if (!is_named(&response->fields, field)) {
            write_field(names, field, upgrade, &cookies, w);
        }
    }
    if (response->status >= 200) {
        write_fixed(response, w);
    }
    return w->failed ? TRANSLATE_TOO_LARGE : TRANSLATE_OK;
}
