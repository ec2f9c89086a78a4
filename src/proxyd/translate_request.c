/* Heads of requests. */
#include "translate_parts.h"

/* Protocols that may take over a connection: what is spoken then is not looked into. HTTP/2 without
 * TLS, and TLS, would be HTTP again that passes unseen. */
static bool protocol_ok(struct amm_view value)
{
    struct amm_view part;
    while (translate_part(&value, ',', &part)) {
        part = translate_trim(part);
        if (translate_same(part, "h2c") || translate_begins(part, "http/") ||
            translate_begins(part, "tls")) {
            return false;
        }
    }
    return true;
}

static bool is_viewing(struct amm_view method)
{
    return amm_view_equal(method, amm_view_str("GET")) ||
           amm_view_equal(method, amm_view_str("HEAD")) ||
           amm_view_equal(method, amm_view_str("OPTIONS"));
}

/* An origin or an address: ours becomes the page's; nothing is written for another one. */
static void write_own(const struct translate_names *names, struct amm_view name,
                      struct amm_view value, bool is_origin, struct amm_writer *w)
{
    uint8_t text[AMM_HTTP_HEAD_MAX];
    struct amm_writer out = amm_writer(text, sizeof text);
    if (is_origin && translate_same(value, "null")) {
        amm_http_write_field_view(w, name, value);
        return;
    }
    size_t len = strlen(names->browser_origin);
    if (!translate_begins(value, names->browser_origin) ||
        (value.len > len && (is_origin || strchr("/?#", value.data[len]) == NULL))) {
        return;
    }
    struct amm_view rest = amm_view(value.data + len, value.len - len);
    amm_write_str(&out, names->page_origin);
    amm_write_view(&out, translate_begins(rest, "/.amm/") ? amm_view_str("/") : rest);
    if (out.failed) {
        w->failed = true;
        return;
    }
    amm_http_write_field_view(w, name, amm_view(text, amm_writer_len(&out)));
}

static void write_cookies(struct amm_view name, struct amm_view value, struct amm_writer *w)
{
    uint8_t text[AMM_HTTP_HEAD_MAX];
    struct amm_writer out = amm_writer(text, sizeof text);
    translate_cookie_request(value, &out);
    if (amm_writer_len(&out) > 0) {
        amm_http_write_field_view(w, name, amm_view(text, amm_writer_len(&out)));
    }
}

static enum translate_verdict write_field(const struct translate_names *names,
                                          const struct amm_http_field *field, bool upgrade,
                                          struct amm_writer *w)
{
    const struct translate_rule *rule = translate_request_rule(field->name);
    bool keep = rule == NULL;
    if (rule != NULL) {
        switch ((int)rule->action) {
        case TRANSLATE_OWN_ORIGIN:
        case TRANSLATE_OWN_REFERER:
            write_own(names, field->name, field->value, rule->action == TRANSLATE_OWN_ORIGIN, w);
            break;
        case TRANSLATE_OUR_COOKIE:
            write_cookies(field->name, field->value, w);
            break;
        case TRANSLATE_UPGRADE:
            keep = upgrade;
            break;
        case TRANSLATE_WORKER:
            return TRANSLATE_REFUSED;
        case TRANSLATE_NOT_VIEWING:
            keep = !names->view_only;
            break;
        case TRANSLATE_NOT_PLAIN:
            keep = names->page_secure;
            break;
        case TRANSLATE_CREDENTIALS:
            keep = true;
            break;
        default: /* removed, or written elsewhere */
            break;
        }
    }
    if (keep) {
        amm_http_write_field_view(w, field->name, field->value);
    }
    return TRANSLATE_OK;
}

/* What Connection names belongs to the connection. Not what protects the page: who could name it
 * there would take it away. */
static bool is_named(const struct amm_http_fields *fields, struct amm_view name)
{
    static const char *const kept[] = {"host",         "origin",         "referer",
                                       "cookie",       "authorization",  "upgrade",
                                       "content-type", "service-worker", NULL};
    char lower[64];
    for (unsigned i = 0; kept[i] != NULL; i++) {
        if (translate_same(name, kept[i])) {
            return false;
        }
    }
    if (name.len >= sizeof lower) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
    }
    lower[name.len] = '\0';
    return amm_http_field_has(fields, "connection", lower);
}

enum translate_verdict translate_request(const struct translate_names *names,
                                         const struct amm_http_request *request, bool *upgrade,
                                         struct amm_writer *w)
{
    *upgrade = request->upgrade && protocol_ok(amm_http_field(&request->fields, "upgrade"));
    if (names->view_only && !is_viewing(request->method)) {
        return TRANSLATE_VIEW_ONLY;
    }
    amm_http_write_field(w, "Host", amm_view_str(names->page_host));
    for (size_t i = 0; i < request->fields.n; i++) {
        const struct amm_http_field *field = &request->fields.at[i];
        if (is_named(&request->fields, field->name)) {
            continue;
        }
        enum translate_verdict verdict = write_field(names, field, *upgrade, w);
        if (verdict != TRANSLATE_OK) {
            return verdict;
        }
    }
    if (names->authorization[0] != '\0' &&
        amm_http_field_count(&request->fields, "authorization") == 0) {
        amm_http_write_field(w, "Authorization", amm_view_str(names->authorization));
    }
    return w->failed ? TRANSLATE_TOO_LARGE : TRANSLATE_OK;
}
