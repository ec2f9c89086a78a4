/* Which fields are changed, and why: the one table, from which doc/remote-access-headers.md is made
 * (amm-proxyd --print-headers). */
#include "translate_parts.h"

#include <stdio.h>

#define HOP "belongs to one connection (RFC 9110, 7.6.1)"
#define FRAMED "each side is framed anew, so that nobody frames a message otherwise"
#define LOCAL                                                                                      \
    "the page must see a browser beside it, not a proxy, and must not be told where one is"
#define REACH "would reach further than this remote session"
#define ABOUT_US "ours alone"

const struct translate_rule translate_request_rules[] = {
    {"host", TRANSLATE_HOST, "the page's own address and port",
     "pages check it against DNS rebinding and make their links from it"},
    {"origin", TRANSLATE_OWN_ORIGIN, "the page's own origin; of another site: removed",
     "pages compare it with Host"},
    {"referer", TRANSLATE_OWN_REFERER, "the page's own address; of another site: removed",
     "pages compare it with Host; where the operator came from is not the gateway's business"},
    {"destination", TRANSLATE_OWN_REFERER, "the page's own address; another one: removed",
     "WebDAV servers compare it with Host"},
    {"cookie", TRANSLATE_OUR_COOKIE, "without our own cookie",
     "it proves the operator; cookies of other sessions are never sent, since each has a host "
     "name of its own"},
    {"authorization", TRANSLATE_CREDENTIALS,
     "kept; added from the gateway's record if the browser sends none", "signs the operator in"},
    {"upgrade", TRANSLATE_UPGRADE, "kept for WebSocket and alike; h2c and TLS removed",
     "another HTTP would pass unseen"},
    {"service-worker", TRANSLATE_WORKER, "the request is refused (403)",
     "a service worker would go on in the browser when the session has ended"},
    {"upgrade-insecure-requests", TRANSLATE_NOT_PLAIN, "removed if the page is plain HTTP",
     "it would lead the browser to HTTPS, which the page does not have"},
    {"x-http-method-override", TRANSLATE_NOT_VIEWING, "removed in a session that may only look",
     "would turn a GET into something else"},
    {"x-http-method", TRANSLATE_NOT_VIEWING, "removed in a session that may only look",
     "would turn a GET into something else"},
    {"x-method-override", TRANSLATE_NOT_VIEWING, "removed in a session that may only look",
     "would turn a GET into something else"},
    {"forwarded", TRANSLATE_DROP, "removed", LOCAL},
    {"x-forwarded*", TRANSLATE_DROP, "removed", LOCAL},
    {"x-real-ip", TRANSLATE_DROP, "removed", LOCAL},
    {"x-client-ip", TRANSLATE_DROP, "removed", LOCAL},
    {"x-cluster-client-ip", TRANSLATE_DROP, "removed", LOCAL},
    {"x-original-*", TRANSLATE_DROP, "removed", LOCAL},
    {"x-rewrite-url", TRANSLATE_DROP, "removed", LOCAL},
    {"x-remote-*", TRANSLATE_DROP, "removed", "some pages take it for who is signed in"},
    {"remote-*", TRANSLATE_DROP, "removed", "some pages take it for who is signed in"},
    {"true-client-ip", TRANSLATE_DROP, "removed", LOCAL},
    {"cf-*", TRANSLATE_DROP, "removed", LOCAL},
    {"via", TRANSLATE_DROP, "removed", LOCAL},
    {"amm-*", TRANSLATE_DROP, "removed", ABOUT_US},
    {"alt-used", TRANSLATE_DROP, "removed", "names our host"},
    {"early-data", TRANSLATE_DROP, "removed", HOP},
    {"access-control-request-private-network", TRANSLATE_DROP, "removed",
     "no other site may ask for the gateway's network"},
    {"proxy-*", TRANSLATE_DROP, "removed", HOP},
    {"connection", TRANSLATE_FRAMING, "replaced; the fields that it names are removed", HOP},
    {"keep-alive", TRANSLATE_DROP, "removed", HOP},
    {"te", TRANSLATE_DROP, "removed", HOP},
    {"trailer", TRANSLATE_DROP, "removed", HOP},
    {"http2-settings", TRANSLATE_DROP, "removed", HOP},
    {"expect", TRANSLATE_DROP, "removed; answered here", HOP},
    {"transfer-encoding", TRANSLATE_FRAMING, "replaced", FRAMED},
    {"content-length", TRANSLATE_FRAMING, "replaced", FRAMED},
    {.name = NULL},
};

const struct translate_rule translate_response_rules[] = {
    {"location", TRANSLATE_ADDRESS, "the page's own address, with any port, becomes the session's",
     "the browser cannot reach the gateway's address"},
    {"content-location", TRANSLATE_ADDRESS, "the same", "relative links are resolved with it"},
    {"refresh", TRANSLATE_REFRESH, "the same", "as Location"},
    {"link", TRANSLATE_LINKS, "the same, for each link", "as Location"},
    {"sourcemap", TRANSLATE_ADDRESS, "the same", "as Location"},
    {"set-cookie", TRANSLATE_COOKIE_SET,
     "Domain removed, Secure as the browser's side needs it; ours, nameless ones, more than 50 and "
     "those above 4096 bytes removed",
     "a cookie belongs to one remote session"},
    {"set-cookie2", TRANSLATE_DROP, "removed", "as Set-Cookie, and long gone"},
    {"content-security-policy", TRANSLATE_POLICY,
     "the page's own address becomes 'self', reports removed; frame-ancestors 'self' added",
     "the page must find its own files; nobody else may frame it"},
    {"content-security-policy-report-only", TRANSLATE_DROP, "removed",
     "it only sends reports, elsewhere"},
    {"x-frame-options", TRANSLATE_FRAME_OPTION, "DENY stays, all else is SAMEORIGIN; added",
     "old browsers; old pages frame themselves"},
    {"cross-origin-opener-policy", TRANSLATE_SET, "same-origin",
     "no other site keeps a handle on the window"},
    {"cross-origin-resource-policy", TRANSLATE_SET, "same-origin",
     "no other site may load its files"},
    {"referrer-policy", TRANSLATE_SET, "same-origin",
     "other sites must not learn the session's name; the page's own checks need it"},
    {"x-robots-tag", TRANSLATE_SET, "noindex, nofollow", "nothing here is for search engines"},
    {"strict-transport-security", TRANSLATE_DROP, "removed", REACH},
    {"public-key-pins*", TRANSLATE_DROP, "removed", REACH},
    {"expect-ct", TRANSLATE_DROP, "removed", REACH},
    {"alt-svc", TRANSLATE_DROP, "removed", "would lead the browser past the proxy"},
    {"clear-site-data", TRANSLATE_DROP, "removed", REACH ", and end it"},
    {"service-worker-allowed", TRANSLATE_DROP, "removed", "there are no service workers here"},
    {"report-to", TRANSLATE_DROP, "removed", "reports would go elsewhere"},
    {"reporting-endpoints", TRANSLATE_DROP, "removed", "reports would go elsewhere"},
    {"nel", TRANSLATE_DROP, "removed", "reports would go elsewhere"},
    {"cross-origin-opener-policy-report-only", TRANSLATE_DROP, "removed",
     "reports would go elsewhere"},
    {"cross-origin-embedder-policy-report-only", TRANSLATE_DROP, "removed",
     "reports would go elsewhere"},
    {"access-control-*", TRANSLATE_DROP, "removed",
     "would let other sites read the page; the page itself needs none"},
    {"timing-allow-origin", TRANSLATE_DROP, "removed", "as Access-Control-Allow-Origin"},
    {"server-timing", TRANSLATE_DROP, "removed", "as Access-Control-Allow-Origin"},
    {"speculation-rules", TRANSLATE_DROP, "removed", "would load pages that nobody asked for"},
    {"supports-loading-mode", TRANSLATE_DROP, "removed", "as Access-Control-Allow-Origin"},
    {"set-login", TRANSLATE_DROP, "removed", REACH},
    {"attribution-reporting-*", TRANSLATE_DROP, "removed", "reports would go elsewhere"},
    {"amm-*", TRANSLATE_DROP, "removed", ABOUT_US},
    {"proxy-*", TRANSLATE_DROP, "removed; a status 407 is answered with 502",
     "a gateway is no proxy, and must not ask for the password of one"},
    {"upgrade", TRANSLATE_UPGRADE, "kept with 101 to a protocol that was asked for", HOP},
    {"connection", TRANSLATE_FRAMING, "replaced; the fields that it names are removed", HOP},
    {"keep-alive", TRANSLATE_DROP, "removed", HOP},
    {"te", TRANSLATE_DROP, "removed", HOP},
    {"trailer", TRANSLATE_DROP, "removed", HOP},
    {"transfer-encoding", TRANSLATE_FRAMING, "replaced", FRAMED},
    {"content-length", TRANSLATE_FRAMING, "replaced; the same where the length is known", FRAMED},
    {.name = NULL},
};

static const struct translate_rule *find(const struct translate_rule *rules, struct amm_view name)
{
    for (const struct translate_rule *rule = rules; rule->name != NULL; rule++) {
        size_t len = strlen(rule->name);
        bool is_prefix = rule->name[len - 1] == '*';
        if (is_prefix ? translate_begins(name, rule->name) : translate_same(name, rule->name)) {
            return rule;
        }
    }
    return NULL;
}

const struct translate_rule *translate_request_rule(struct amm_view name)
{
    return find(translate_request_rules, name);
}

const struct translate_rule *translate_response_rule(struct amm_view name)
{
    return find(translate_response_rules, name);
}

static void table(struct amm_writer *w, const char *title, const struct translate_rule *rules)
{
    amm_write_text(w, "## %s\n\n| field | what happens | why |\n|---|---|---|\n", title);
    for (const struct translate_rule *rule = rules; rule->name != NULL; rule++) {
        amm_write_text(w, "| `%s` | %s | %s |\n", rule->name, rule->what, rule->why);
    }
}

bool translate_document(char *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room);
    amm_write_str(
        &w,
        "# Remote access: what the proxy changes in heads\n\n"
        "Made by `amm-proxyd --print-headers` from the table that the program itself uses\n"
        "(src/proxyd/translate_rules.c). What is not listed passes as it is, in its order. A `*` "
        "stands for any end\nof the name.\n\n");
    table(&w, "Requests, to the gateway", translate_request_rules);
    amm_write_str(&w, "\n");
    table(&w, "Answers, to the browser", translate_response_rules);
    amm_write_str(
        &w,
        "\n## Bodies\n\n"
        "Bodies pass byte by byte, but for one case. In an answer of type `text/html` that is not "
        "compressed, no part of a\nlarger one (206), not `no-transform`, and whose policy names no "
        "hash of a script (`'sha256-...'`), links to the page's\nown address, written out with its "
        "scheme (also `ws` and `wss`, also as `https:\\/\\/` in JSON), become those of the "
        "remote\nsession: the page made them from the Host field, and the browser cannot reach "
        "that "
        "address. The length is then not\nknown before; the answer comes in chunks. Everything "
        "else "
        "(compressed HTML, scripts, style, JSON, downloads, upgrades)\nkeeps its bytes, lengths, "
        "checksums, signatures and ranges. Where a page hides such links there, give the gateway "
        "a\n`page_scheme` and `page_port` that are those of the page, or use `ammctl gateway "
        "forward`.\n\n"
        "A page that answers a request with a redirection to itself under its other scheme (HTTP "
        "to "
        "HTTPS) is refused\nwith 502 and the cure: through the proxy the browser would follow it "
        "for "
        "ever.\n\n"
        "## What remains\n\n"
        "Scripts of one gateway's page can set cookies for the whole domain (`Domain=`), which a "
        "browser then sends to other\nremote sessions, too. They can neither read what is there, "
        "nor "
        "get in: our own cookie is `__Host-`, requests from\nother host names are refused at the "
        "door, and each remote session ends. But such a cookie can disturb a login on\nanother "
        "gateway's page. A domain of its own that browsers know as a public suffix closes that.\n");
    amm_write_u8(&w, 0);
    return !w.failed;
}
