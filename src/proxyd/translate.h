/* What is changed in the heads between browser and gateway. Pure: heads in, field lines out.
 *
 * To the gateway, a request looks as if a browser beside it had sent it: its own address in Host,
 * Origin and Referer, nothing about proxies, none of our cookies. To the browser, an answer can
 * reach no further than the one host name of its remote session. doc/remote-access-headers.md has
 * the table, made from the one in translate_rules.c. Everything else passes as it is, in its order,
 * because old pages depend on odd things.
 *
 * Of bodies only absolute links in plain HTML are changed: see the document.
 *
 * Any thread; no allocation. */
#pragma once

#include "http/message.h"
#include "ipc/proxy.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    TRANSLATE_ORIGIN = AMM_PROXY_HOST + 8, /* "https://" and a host, with the NUL */
    TRANSLATE_AUTHORIZATION = 6 + (AMM_PROXY_PERSON + AMM_PROXY_SECRET + 2) / 3 * 4 + 1,
    TRANSLATE_COOKIES = 50,  /* Set-Cookie fields of one answer that pass */
    TRANSLATE_COOKIE = 4096, /* bytes of one */
    TRANSLATE_GROWTH = 4096, /* bytes that a head may grow: room for the writer is
                                AMM_HTTP_HEAD_MAX + TRANSLATE_GROWTH */
};

/* Both names of a page: computed once for a remote session. */
struct translate_names {
    bool browser_secure, page_secure;
    char browser_host[AMM_PROXY_HOST];     /* "label.gw.example.net:8444"; no default port */
    char browser_origin[TRANSLATE_ORIGIN]; /* with "https://" or "http://" */
    char page_host[AMM_PROXY_HOST];        /* "192.168.13.31:9443"; no default port */
    char page_origin[TRANSLATE_ORIGIN];
    char page_name[AMM_PROXY_HOST];              /* without the port */
    char page_address[AMM_ADDRESS_TEXT];         /* its address in the tunnel, without the port */
    char authorization[TRANSLATE_AUTHORIZATION]; /* "Basic ..." or empty; a secret */
    bool view_only;
};

/* False if the names of the session are no host names. `domain` and `port` as browsers use them. */
bool translate_names_init(struct translate_names *names, const struct amm_proxy_session *session,
                          const char *domain, uint16_t port, bool browser_secure);

enum translate_verdict {
    TRANSLATE_OK,
    TRANSLATE_TOO_LARGE,    /* the head does not fit: 431 of a request, 502 of an answer */
    TRANSLATE_REFUSED,      /* a service worker script: 403 */
    TRANSLATE_VIEW_ONLY,    /* a method that changes something: 403 */
    TRANSLATE_BAD_UPGRADE,  /* 101 that was not asked for, or to another protocol: 502 */
    TRANSLATE_OTHER_SCHEME, /* it leads to itself under the other scheme, which the browser would
                               follow for ever: 502 */
    TRANSLATE_NO_PROXY,     /* 407 of a gateway, which is no proxy: 502 */
};

/* Writes the field lines of a request, Host first. Not: Content-Length, Transfer-Encoding,
 * Connection and the empty line, which are the sender's; with `*upgrade` set the sender adds
 * "Connection: Upgrade" (the Upgrade field is written here). */
enum translate_verdict translate_request(const struct translate_names *names,
                                         const struct amm_http_request *request, bool *upgrade,
                                         struct amm_writer *w);

/* The same for an answer, 1xx too; `asked` is the request that it answers. Framing and Connection
 * are the sender's again; for 101 it adds "Connection: Upgrade". */
enum translate_verdict translate_response(const struct translate_names *names,
                                          const struct amm_http_request *asked,
                                          const struct amm_http_response *response,
                                          struct amm_writer *w);

/* ---- links in HTML ---- */

struct translate_link {
    size_t from_len, to_len;
    char from[TRANSLATE_ORIGIN + 4], to[TRANSLATE_ORIGIN + 4];
};

struct translate_body {
    unsigned n;
    struct translate_link links[4];
    uint8_t before; /* the last byte that was passed on */
    size_t held;    /* bytes that may be the start of a link */
    uint8_t hold[2 * (TRANSLATE_ORIGIN + 4)];
};

/* True if links in this answer are translated: then its length is not known any more. */
bool translate_body_wanted(const struct amm_http_request *asked,
                           const struct amm_http_response *response);

void translate_body_begin(struct translate_body *body, const struct translate_names *names);

/* Takes all of `*content`, writes what it becomes. Room for TRANSLATE_BODY_ROOM of its length is
 * enough. `last`: with the end of the document; `*content` may be empty. False: no room. */
#define TRANSLATE_BODY_ROOM(len) (((len) / 10 + 2) * sizeof(struct translate_link) / 2 + (len))
bool translate_body(struct translate_body *body, struct amm_view *content, bool last,
                    struct amm_writer *out);

/* ---- parts, for tests and the gate ---- */

/* Our cookie's name: "__Host-amm-remote", on plain http "amm-remote". */
const char *translate_cookie_name(bool secure);

/* Writes `url` as the browser must see it: absolute or protocol-relative addresses of the page
 * become those of the remote session, everything else stays. False if it does not fit. */
bool translate_url(const struct translate_names *names, struct amm_view url, struct amm_writer *w);

/* The table of doc/remote-access-headers.md. False if `room` is too small. */
bool translate_document(char *out, size_t room);
