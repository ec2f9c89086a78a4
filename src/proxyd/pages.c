#include "proxyd/pages.h"

#include "base/base64.h"
#include "crypto/mac.h"

#include <stdio.h>
#include <string.h>

enum { PAGE_BYTES = 16384, FIELD_BYTES = 8192 };

/* No file, no script: a page must work when everything else does not. */
static const char style[] =
    ":root{color-scheme:light dark;--bg:#f5f6f8;--surface:#fff;--border:#dde1e7;--text:#171c24;"
    "--text-2:#434d5b;--accent:#2f5bd7;--on-accent:#fff;--sunken:#eceff3;--down:#cf3430;"
    "--up:#1c8549;--shadow:0 4px 16px rgb(18 24 33/12%)}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--surface:#1a2029;--border:#2c3542;"
    "--text:#e8ecf2;--text-2:#b3bdca;--accent:#7d9cf5;--on-accent:#10141a;--sunken:#10141a;"
    "--down:#f0736c;--up:#5cc58a;--shadow:none}}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;"
    "background:var(--bg);color:var(--text);font:1rem/1.5 -apple-system,\"Segoe UI\",Inter,Roboto,"
    "Ubuntu,\"Noto Sans\",\"Liberation Sans\",system-ui,sans-serif}"
    "main{width:100%;max-width:34rem;background:var(--surface);border:1px solid var(--border);"
    "border-top:3px solid var(--down);border-radius:.5rem;box-shadow:var(--shadow);padding:2rem}"
    "main.good{border-top-color:var(--up)}"
    "p.over{margin:0 0 .25rem;color:var(--text-2);font-size:.8125rem}"
    "h1{margin:0 0 1rem;font-size:1.375rem;line-height:1.25;font-weight:600;"
    "overflow-wrap:anywhere}"
    "p{margin:0 0 .75rem;overflow-wrap:anywhere}p:last-child{margin:0}"
    "p.detail{background:var(--sunken);border-radius:.375rem;padding:.625rem .75rem;"
    "font:.8125rem/1.5 ui-monospace,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.375rem 1.25rem;margin:0 0 1.25rem}"
    "dt{color:var(--text-2)}dd{margin:0;overflow-wrap:anywhere}"
    "form{margin:0 0 .75rem}"
    "a,button{display:inline-block;font:inherit;font-weight:500;color:var(--on-accent);"
    "background:var(--accent);border:0;border-radius:.375rem;padding:.5rem 1rem;cursor:pointer;"
    "text-decoration:none}"
    "button{background:none;color:var(--accent);box-shadow:inset 0 0 0 1px var(--accent)}"
    "a:focus-visible,button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}";

struct text {
    int status;
    const char *title, *what, *cure;
    const char *link; /* words of a link to the start of the page; NULL: none */
};

static const struct text texts[] = {
    [PAGE_NO_SESSION] = {404, "This remote session is over",
                         "It has ended, or there never was one with this address.",
                         "Open the gateway again from the console: click ACEmanager.", NULL},
    [PAGE_NO_COOKIE] =
        {403, "This browser has not entered here",
         "The address of a remote session works only in the browser that was led here from the "
         "console. If it is this one, and you came by a link of another site, go on from here.",
         "Else open the gateway from the console: click ACEmanager.", "Go on"},
    [PAGE_BAD_TICKET] = {403, "This way in was used or is too old",
                         "A click in the console opens the way for 30 seconds and once.",
                         "Close this tab and click ACEmanager in the console again.", NULL},
    [PAGE_FOREIGN] = {403, "Refused: another site sent this request",
                      "Only the gateway's own page may change something here.",
                      "If you followed a link, go on to the gateway's page from here.",
                      "To the gateway's page"},
    [PAGE_NO_WORKER] = {403, "Service workers are not run through remote access",
                        "They would go on in this browser when the remote session has ended.",
                        "The page works without it, or with `ammctl gateway forward`.", NULL},
    [PAGE_VIEW_ONLY] = {403, "This remote session may only look",
                        "Your role does not allow changes on this gateway's page.",
                        "Ask an administrator for the role operator.", "Back to the page"},
    [PAGE_TOO_LARGE] = {431, "The request is too large",
                        "Its address and fields together are more than the gateway can be sent.",
                        "Delete this site's cookies in the browser and open the gateway again.",
                        NULL},
    [PAGE_BAD_REQUEST] = {400, "This request makes no sense here",
                          "The address, the method or the form is not one of remote access.",
                          "Open the gateway from the console: click ACEmanager.", NULL},
    [PAGE_UNREACHABLE] =
        {502, "The gateway's page does not answer",
         "The remote session is open, but no connection to the page came about.",
         "See in the console whether the tunnel is up; its button Test says more. Try again then.",
         "Try again"},
    [PAGE_KEY_CHANGED] =
        {502, "The gateway's page shows another key",
         "It is not the key that was seen before. Nothing was sent to it. That is so after a "
         "factory reset or an exchange of the device, or when somebody stands in between.",
         "If you know why, accept the new key in the console, on the gateway's page, and try "
         "again.",
         "Try again"},
    [PAGE_NO_TLS] = {502, "No secure connection to the gateway's page",
                     "The page was reached, but TLS with it failed.",
                     "Check in the console, on the gateway's page, whether it speaks HTTPS on this "
                     "port.",
                     "Try again"},
    [PAGE_BAD_ANSWER] = {502, "The gateway's answer cannot be used",
                         "What it sent breaks the rules of HTTP in a way that is not safe to pass "
                         "on.",
                         "Try again. If it stays so, `ammctl gateway forward` leads to the page "
                         "without translation.",
                         "Try again"},
    [PAGE_NO_ANSWER] = {504, "The gateway's page did not answer in time",
                        "The connection is there, but no answer came.",
                        "Slow radio links need a while. Try again.", "Try again"},
    [PAGE_NO_SIGN_IN] = {502, "The gateway did not sign you in",
                         "The page was reached, but it did not take your remote session.",
                         "Go on and sign in there by hand, or see the gateway's events.",
                         "Go on to its page"},
    [PAGE_NO_MANAGER] = {503, "Remote access waits for the manager",
                         "Whether you may be here cannot be checked at the moment.",
                         "It goes on by itself when ammd is back. Try again in a minute.",
                         "Try again"},
    [PAGE_BUSY] = {503, "Too many connections",
                   "This remote session or the server has as many as it may.",
                   "Close tabs of this gateway, or wait a little, and try again.", "Try again"},
    [PAGE_OPENING] = {200, "Opening the gateway's page", "It goes on by itself.",
                      "If it does not, go on from here.", "Go on"},
    [PAGE_LEFT] = {200, "The remote session has ended",
                   "Nobody reaches the gateway by this address any more.",
                   "This tab can be closed.", NULL},
    [PAGE_STATUS] = {200, "Remote session", NULL, NULL, "Back to the page"},
};

int pages_status(enum page page)
{
    return texts[page].status;
}

static void escape(struct amm_writer *w, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            amm_write_str(w, "&lt;");
            break;
        case '>':
            amm_write_str(w, "&gt;");
            break;
        case '&':
            amm_write_str(w, "&amp;");
            break;
        case '"':
            amm_write_str(w, "&quot;");
            break;
        case '\'':
            amm_write_str(w, "&#39;");
            break;
        default:
            amm_write_u8(w, (uint8_t)*text);
        }
    }
}

static void paragraph(struct amm_writer *w, const char *open, const char *text, const char *close)
{
    if (text != NULL && text[0] != '\0') {
        amm_write_str(w, open);
        escape(w, text);
        amm_write_str(w, close);
    }
}

static void write_status(struct amm_writer *w, const struct session *session)
{
    char until[AMM_HTTP_DATE];
    amm_http_date(session->about.until, until);
    amm_write_str(w, "<dl>");
    paragraph(w, "<dt>Gateway</dt><dd>", session->about.name, "</dd>");
    paragraph(w, "<dt>Operator</dt><dd>", session->about.operator_name, "</dd>");
    paragraph(w, "<dt>Why</dt><dd>", session->about.reason, "</dd>");
    paragraph(w, "<dt>May</dt><dd>",
              session->about.view_only || session->about.role == AMM_PROXY_VIEWER
                  ? "look"
                  : "look and change",
              "</dd>");
    paragraph(w, "<dt>Ends at the latest</dt><dd>", until, "</dd>");
    amm_write_str(w, "</dl><form method=\"post\" action=\"/.amm/leave\"><p><button>End the remote "
                     "session</button></p></form>");
}

bool pages_write(enum page page, const struct session *session, const char *detail,
                 struct amm_writer *w)
{
    const struct text *text = &texts[page];
    amm_write_str(w, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                     "<meta name=\"referrer\" content=\"same-origin\"><title>");
    escape(w, text->title);
    amm_write_str(w, "</title><style>");
    amm_write_str(w, style);
    amm_write_text(w, "</style></head><body><main%s>",
                   text->status == 200 ? " class=\"good\"" : "");
    paragraph(w, "<p class=\"over\">Gateway ", session ? session->about.name : NULL, "</p>");
    paragraph(w, "<h1>", text->title, "</h1>");
    if (page == PAGE_STATUS && session != NULL) {
        write_status(w, session);
    }
    paragraph(w, "<p>", text->what, "</p>");
    paragraph(w, "<p class=\"detail\">", detail, "</p>");
    paragraph(w, "<p>", text->cure, "</p>");
    paragraph(w, "<p><a href=\"/\">", text->link, "</a></p>");
    amm_write_str(w, "</main></body></html>\n");
    return !w->failed;
}

/* The style's hash allows it, and nothing else. */
static void write_fields(struct amm_writer *w, enum page page)
{
    uint8_t hash[AMM_SHA256_LEN];
    char text[AMM_BASE64_ROOM(AMM_SHA256_LEN)], policy[256];
    if (!amm_sha256(amm_view(style, sizeof style - 1), hash) ||
        amm_base64_encode(text, sizeof text, amm_view(hash, sizeof hash), AMM_BASE64) == 0) {
        text[0] = '\0';
    }
    snprintf(policy, sizeof policy,
             "default-src 'none'; style-src 'sha256-%s'; form-action 'self'; base-uri 'none'; "
             "frame-ancestors 'none'",
             text);
    amm_http_write_field(w, "Content-Security-Policy", amm_view_str(policy));
    amm_http_write_field(w, "X-Frame-Options", amm_view_str("DENY"));
    amm_http_write_field(w, "X-Content-Type-Options", amm_view_str("nosniff"));
    amm_http_write_field(w, "Cross-Origin-Opener-Policy", amm_view_str("same-origin"));
    amm_http_write_field(w, "Cross-Origin-Resource-Policy", amm_view_str("same-origin"));
    amm_http_write_field(w, "Referrer-Policy", amm_view_str("same-origin"));
    amm_http_write_field(w, "X-Robots-Tag", amm_view_str("noindex, nofollow"));
    amm_http_write_field(w, "Cache-Control", amm_view_str("no-store"));
    if (page == PAGE_OPENING) {
        amm_http_write_field(w, "Refresh", amm_view_str("0; url=/"));
    }
    if (texts[page].status == 503) {
        amm_http_write_field(w, "Retry-After", amm_view_str("10"));
    }
}

void pages_answer(struct amm_http_server *server, struct amm_http_ref ref, enum page page,
                  const struct session *session, const char *detail, struct amm_view fields)
{
    uint8_t body[PAGE_BYTES], head[FIELD_BYTES + AMM_HTTP_HEAD_MAX];
    struct amm_writer b = amm_writer(body, sizeof body), h = amm_writer(head, sizeof head);
    write_fields(&h, page);
    amm_write_view(&h, fields);
    pages_write(page, session, detail, &b);
    struct amm_http_reply reply = {.status = texts[page].status,
                                   .content_type = "text/html; charset=utf-8",
                                   .fields = amm_view(head, amm_writer_len(&h)),
                                   .body = amm_view(body, amm_writer_len(&b))};
    amm_http_answer(server, ref, &reply);
}
