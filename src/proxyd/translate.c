#include "translate_parts.h"

#include "base/base64.h"

#include <stdio.h>
#include <strings.h>

/* ---- text ---- */

struct amm_view translate_trim(struct amm_view text)
{
    while (text.len > 0 && translate_is_blank(text.data[0])) {
        text = amm_view(text.data + 1, text.len - 1);
    }
    while (text.len > 0 && translate_is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

bool translate_part(struct amm_view *rest, char mark, struct amm_view *part)
{
    if (rest->data == NULL) {
        return false;
    }
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, mark, rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *part = amm_view(rest->data, len);
    *rest = end ? amm_view(end + 1, rest->len - len - 1) : (struct amm_view){0};
    return true;
}

bool translate_same(struct amm_view a, const char *b)
{
    return a.len == strlen(b) && strncasecmp((const char *)a.data, b, a.len) == 0;
}

/* `lower` may end with a '*', which counts for nothing. */
bool translate_begins(struct amm_view text, const char *lower)
{
    size_t len = strcspn(lower, "*");
    return text.len >= len && strncasecmp((const char *)text.data, lower, len) == 0;
}

/* ---- names ---- */

static bool host_ok(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._:[]";
    return host[0] != '\0' && strspn(host, allowed) == strlen(host);
}

/* Bytes of `host` before its port. */
static size_t name_len(const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : strrchr(host, ':');
    if (end == NULL) {
        return strlen(host);
    }
    return (size_t)(end - host) + (host[0] == '[');
}

static bool write_host(char out[AMM_PROXY_HOST], const char *name, size_t len, uint16_t port,
                       bool secure)
{
    struct amm_writer w = amm_writer(out, AMM_PROXY_HOST);
    amm_write_bytes(&w, name, len);
    if (port != (secure ? 443 : 80)) {
        amm_write_text(&w, ":%u", port);
    }
    amm_write_u8(&w, 0);
    return !w.failed;
}

static void write_origin(char out[TRANSLATE_ORIGIN], const char *host, bool secure)
{
    snprintf(out, TRANSLATE_ORIGIN, "%s%s", secure ? "https://" : "http://", host);
}

/* The page's own name: as the session says, or its address. */
static bool page_names(struct translate_names *names, const struct amm_proxy_session *session)
{
    char address[AMM_ADDRESS_TEXT];
    amm_address_text(&session->address, address);
    snprintf(names->page_address, sizeof names->page_address, "%.*s", (int)name_len(address),
             address);
    const char *host = session->host[0] != '\0' ? session->host : address;
    size_t len = name_len(host);
    unsigned port = 0;
    if (!host_ok(host) || len == 0 ||
        (host[len] == ':' && sscanf(host + len + 1, "%5u", &port) != 1) || port > 65535) {
        return false;
    }
    if (host[len] == '\0') {
        port = names->page_secure ? 443 : 80;
    }
    snprintf(names->page_name, sizeof names->page_name, "%.*s", (int)len, host);
    return write_host(names->page_host, host, len, (uint16_t)port, names->page_secure);
}

static bool write_authorization(struct translate_names *names,
                                const struct amm_proxy_session *session)
{
    char both[AMM_PROXY_PERSON + AMM_PROXY_SECRET];
    if (session->credentials != AMM_PROXY_BASIC) {
        return true;
    }
    int len = snprintf(both, sizeof both, "%s:%s", session->user, session->secret);
    memcpy(names->authorization, "Basic ", 6);
    bool ok =
        len > 0 && amm_base64_encode(names->authorization + 6, sizeof names->authorization - 6,
                                     amm_view(both, (size_t)len), AMM_BASE64) > 0;
    amm_wipe(both, sizeof both);
    return ok;
}

bool translate_names_init(struct translate_names *names, const struct amm_proxy_session *session,
                          const char *domain, uint16_t port, bool browser_secure)
{
    char host[AMM_PROXY_HOST];
    *names = (struct translate_names){.browser_secure = browser_secure,
                                      .page_secure = session->scheme == AMM_PROXY_HTTPS,
                                      .view_only = session->view_only};
    int len = snprintf(host, sizeof host, "%s.%s", session->label, domain);
    if (len < 0 || (size_t)len >= sizeof host || !host_ok(host) ||
        !write_host(names->browser_host, host, (size_t)len, port, browser_secure) ||
        !page_names(names, session) || !write_authorization(names, session)) {
        return false;
    }
    write_origin(names->browser_origin, names->browser_host, browser_secure);
    write_origin(names->page_origin, names->page_host, names->page_secure);
    return true;
}

/* ---- addresses ---- */

/* Takes "scheme:" away if it is one of those that lead to the page. */
static bool take_scheme(struct amm_view *url, bool *socket)
{
    static const char *const schemes[] = {"https:", "http:", "wss:", "ws:"};
    for (unsigned i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (translate_begins(*url, schemes[i])) {
            size_t len = strlen(schemes[i]);
            *url = amm_view(url->data + len, url->len - len);
            *socket = i >= 2;
            return true;
        }
    }
    return false;
}

/* `authority` is the page's name or its address in the tunnel, with any port or none. */
static bool names_page(const struct translate_names *names, struct amm_view authority)
{
    size_t len = authority.len;
    while (len > 0 && authority.data[len - 1] >= '0' && authority.data[len - 1] <= '9') {
        len--;
    }
    bool has_port = len > 0 && len < authority.len && authority.data[len - 1] == ':';
    struct amm_view name = amm_view(authority.data, has_port ? len - 1 : authority.len);
    return translate_same(name, names->page_name) || translate_same(name, names->page_address);
}

bool translate_is_own(const struct translate_names *names, struct amm_view url, bool *socket,
                      struct amm_view *rest)
{
    *socket = false;
    take_scheme(&url, socket); /* or protocol-relative */
    if (url.len < 2 || url.data[0] != '/' || url.data[1] != '/') {
        return false;
    }
    size_t end = 2;
    while (end < url.len && strchr("/?#\\", url.data[end]) == NULL) {
        end++;
    }
    *rest = amm_view(url.data + end, url.len - end);
    return names_page(names, amm_view(url.data + 2, end - 2));
}

bool translate_url(const struct translate_names *names, struct amm_view url, struct amm_writer *w)
{
    struct amm_view rest;
    bool socket;
    if (translate_is_own(names, url, &socket, &rest)) {
        if (socket) {
            amm_write_text(w, "%s%s", names->browser_secure ? "wss://" : "ws://",
                           names->browser_host);
        } else {
            amm_write_str(w, names->browser_origin);
        }
        amm_write_view(w, rest);
    } else {
        amm_write_view(w, url);
    }
    return !w->failed;
}
