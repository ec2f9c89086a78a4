/* Shared by translate*.c. */
#pragma once

#include "proxyd/translate.h"

/* What happens to a field. Fields without a rule pass as they are. */
enum translate_action {
    TRANSLATE_DROP,
    TRANSLATE_FRAMING,      /* left to the sender, which frames the message anew */
    TRANSLATE_HOST,         /* written first, as the page's own */
    TRANSLATE_OWN_ORIGIN,   /* an origin: ours becomes the page's, another one is dropped */
    TRANSLATE_OWN_REFERER,  /* an address: the same */
    TRANSLATE_OUR_COOKIE,   /* our cookie is taken out */
    TRANSLATE_CREDENTIALS,  /* kept; added if there is none and the record has some */
    TRANSLATE_UPGRADE,      /* only with an upgrade that passes */
    TRANSLATE_WORKER,       /* refuses the request */
    TRANSLATE_NOT_VIEWING,  /* dropped if the session may only look */
    TRANSLATE_NOT_PLAIN,    /* dropped if the page is plain HTTP */
    TRANSLATE_ADDRESS,      /* an address: the page's becomes ours */
    TRANSLATE_REFRESH,      /* "5; url=ADDRESS" */
    TRANSLATE_LINKS,        /* "<ADDRESS>; rel=..., ..." */
    TRANSLATE_COOKIE_SET,   /* translate_cookie.c */
    TRANSLATE_POLICY,       /* translate_policy.c */
    TRANSLATE_FRAME_OPTION, /* what is not DENY becomes SAMEORIGIN */
    TRANSLATE_SET,          /* replaced by a value of ours, or added */
};

struct translate_rule {
    const char *name; /* lower-case; a '*' at the end: all that begin so */
    enum translate_action action;
    const char *what, *why; /* for the document */
};

/* NULL: passes. */
const struct translate_rule *translate_request_rule(struct amm_view name);
const struct translate_rule *translate_response_rule(struct amm_view name);

/* For tests: all of them, ended by name NULL. */
extern const struct translate_rule translate_request_rules[], translate_response_rules[];

/* Takes the cookies that are ours out of a Cookie field; `out` may then be empty. */
void translate_cookie_request(struct amm_view value, struct amm_writer *out);

/* One Set-Cookie value; false: this one must not pass. */
bool translate_cookie_response(const struct translate_names *names, struct amm_view value,
                               struct amm_writer *out);

/* One value of Content-Security-Policy; false: nothing is left of it. */
bool translate_policy(const struct translate_names *names, struct amm_view value,
                      struct amm_writer *out);

/* Splits an address: true if it is absolute or protocol-relative and leads to the page, whatever
 * port it names; then *rest is what follows the authority, and *socket says whether the scheme is
 * that of WebSockets. */
bool translate_is_own(const struct translate_names *names, struct amm_view url, bool *socket,
                      struct amm_view *rest);

/* ---- text ---- */

static inline bool translate_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct amm_view translate_trim(struct amm_view text);

/* The next part of *rest up to `mark` or the end, which *rest is moved behind; false at the end. */
bool translate_part(struct amm_view *rest, char mark, struct amm_view *part);

bool translate_same(struct amm_view a, const char *b); /* without regard to case */
bool translate_begins(struct amm_view text, const char *lower);
