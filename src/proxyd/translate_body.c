/* Absolute links in HTML: a page that makes them from its Host field would lead the browser to an
 * address that only the proxy can reach. */
#include "translate_parts.h"

#include <strings.h>

/* Content that is one document of plain text, of which nobody else holds a checksum. */
bool translate_body_wanted(const struct amm_http_request *asked,
                           const struct amm_http_response *response)
{
    struct amm_view type = amm_http_field(&response->fields, "content-type");
    struct amm_view coding = amm_http_field(&response->fields, "content-encoding");
    struct amm_view policy = amm_http_field(&response->fields, "content-security-policy");
    return translate_begins(type, "text/html") && (type.len == 9 || type.data[9] == ';') &&
           (coding.len == 0 || amm_http_is(coding, "identity")) && response->status != 206 &&
           response->framing != AMM_HTTP_NO_BODY && !amm_http_is(asked->method, "head") &&
           (policy.len == 0 || memmem(policy.data, policy.len, "'sha", 4) == NULL) &&
           !amm_http_field_has(&response->fields, "cache-control", "no-transform");
}

static void add(struct translate_body *body, const char *from_scheme, const char *from_host,
                const char *to_scheme, const char *to_host)
{
    struct translate_link *link = &body->links[body->n++];
    struct amm_writer from = amm_writer(link->from, sizeof link->from);
    struct amm_writer to = amm_writer(link->to, sizeof link->to);
    amm_write_str(&from, from_scheme);
    amm_write_str(&from, from_host);
    amm_write_str(&to, to_scheme);
    amm_write_str(&to, to_host);
    link->from_len = amm_writer_len(&from);
    link->to_len = amm_writer_len(&to);
}

void translate_body_begin(struct translate_body *body, const struct translate_names *names)
{
    const char *page = names->page_host, *browser = names->browser_host;
    bool from = names->page_secure, to = names->browser_secure;
    body->n = 0;
    body->held = 0;
    body->before = 0;
    add(body, from ? "https://" : "http://", page, to ? "https://" : "http://", browser);
    add(body, from ? "wss://" : "ws://", page, to ? "wss://" : "ws://", browser);
    /* in the JSON of scripts */
    add(body, from ? "https:\\/\\/" : "http:\\/\\/", page, to ? "https:\\/\\/" : "http:\\/\\/",
        browser);
    add(body, from ? "wss:\\/\\/" : "ws:\\/\\/", page, to ? "wss:\\/\\/" : "ws:\\/\\/", browser);
}

static bool is_of_name(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == ':' || c == '@' || c == '_';
}

enum look { NOTHING, LINK, TOO_SHORT };

/* What begins at the start of `text`. `last`: nothing comes behind it. */
static enum look look(const struct translate_body *body, struct amm_view text, bool last,
                      const struct translate_link **found)
{
    for (unsigned i = 0; i < body->n; i++) {
        const struct translate_link *link = &body->links[i];
        size_t len = text.len < link->from_len ? text.len : link->from_len;
        if (memcmp(text.data, link->from, len) != 0) {
            continue;
        }
        if (text.len <= link->from_len && !last) {
            return TOO_SHORT; /* also: the byte behind it decides */
        }
        if (len == link->from_len && (text.len == len || !is_of_name(text.data[len]))) {
            *found = link;
            return LINK;
        }
    }
    return NOTHING;
}

/* Takes what is decided from the start of `text`; how many bytes that were. */
static size_t rewrite(struct translate_body *body, struct amm_view text, bool last,
                      struct amm_writer *out)
{
    size_t at = 0, plain = 0;
    while (at < text.len) {
        const struct translate_link *link;
        uint8_t c = text.data[at];
        /* The schemes begin with 'h' and 'w', and not in the middle of a word. */
        enum look seen = (c == 'h' || c == 'w') && !is_of_name(body->before)
                             ? look(body, amm_view(text.data + at, text.len - at), last, &link)
                             : NOTHING;
        if (seen == TOO_SHORT) {
            break;
        }
        if (seen == LINK) {
            amm_write_bytes(out, text.data + plain, at - plain);
            amm_write_bytes(out, link->to, link->to_len);
            at += link->from_len;
            plain = at;
            body->before = 'x';
        } else {
            body->before = c;
            at++;
        }
    }
    amm_write_bytes(out, text.data + plain, at - plain);
    return at;
}

bool translate_body(struct translate_body *body, struct amm_view *content, bool last,
                    struct amm_writer *out)
{
    /* What was held back, with as much behind it as decides about it. */
    while (body->held > 0 && (content->len > 0 || last)) {
        size_t room = sizeof body->hold - body->held;
        size_t more = content->len < room ? content->len : room;
        if (more > 0) {
            memcpy(body->hold + body->held, content->data, more);
        }
        struct amm_view joined = amm_view(body->hold, body->held + more);
        size_t taken = rewrite(body, joined, last && more == content->len, out);
        if (taken < body->held) { /* only when all of the content is in it */
            body->held += more;
            memmove(body->hold, body->hold + taken, body->held - taken);
            body->held -= taken;
            *content = amm_view(NULL, 0);
            return !out->failed;
        }
        *content =
            amm_view(content->data + (taken - body->held), content->len - (taken - body->held));
        body->held = 0;
    }
    if (content->len > 0) {
        size_t taken = rewrite(body, *content, last, out);
        body->held = content->len - taken;
        if (body->held > 0) {
            memcpy(body->hold, content->data + taken, body->held);
        }
        *content = amm_view(NULL, 0);
    }
    return !out->failed;
}
