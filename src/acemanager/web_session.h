/* Logins of the pages. They live in memory only: a restart ends them all.
 *
 * The browser has a random token in a cookie; here is only its hash. Each session has a second
 * random text, which every form carries and every change must bring back (CSRF). Owner: the core's
 * thread. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEB_SESSIONS = 8,        /* at once; the one that was idle longest makes room */
    WEB_TOKEN = 32,          /* random bytes */
    WEB_TOKEN_TEXT = 43 + 1, /* base64url with NUL */
    WEB_FLASH = 320,
};

enum web_role {
    WEB_NOBODY,
    WEB_VIEWER, /* may look */
    WEB_USER,   /* may change everything */
};

/* "viewer", "user": also the names of the accounts. */
const char *web_role_name(enum web_role role);
enum web_role web_role_find(struct amm_view name); /* WEB_NOBODY: none */

struct web_session {
    enum web_role role; /* WEB_NOBODY: free */
    uint32_t number;    /* for people and forms: no secret; never used twice */
    uint8_t token_hash[32];
    char csrf[WEB_TOKEN_TEXT];
    struct amm_address remote; /* from where it was opened */
    bool in_tunnel;
    struct amm_now opened;
    amm_time used;                         /* by a request that a person made */
    char flash_kind[12], flash[WEB_FLASH]; /* said once, on the next page; "" for none */
};

struct web_sessions {
    struct amm_random random;
    amm_duration idle; /* a session ends after this time without a request */
    uint32_t last_number;
    struct web_session at[WEB_SESSIONS];
};

enum { WEB_SESSION_HOURS = 12 }; /* no session is older */

void web_sessions_init(struct web_sessions *sessions, struct amm_random random);

/* A new session; `token` is for the cookie, and is nowhere else: wipe it. */
struct web_session *web_session_open(struct web_sessions *sessions, enum web_role role,
                                     const struct amm_address *remote, bool in_tunnel,
                                     struct amm_now now, char token[WEB_TOKEN_TEXT]);

/* The session of a cookie's token; NULL if there is none or it is over. `by_person` false: a page
 * refreshes itself, which does not keep the session from ending. */
struct web_session *web_session_find(struct web_sessions *sessions, struct amm_view token,
                                     amm_time mono, bool by_person);

void web_session_close(struct web_session *session);

/* All of a role but `but` (may be NULL): after a change of the password. */
void web_sessions_close_role(struct web_sessions *sessions, enum web_role role,
                             const struct web_session *but);

/* By its number; false if there is none. */
bool web_session_close_number(struct web_sessions *sessions, uint32_t number);

/* True if the form brought the session's own text. */
bool web_session_csrf_ok(const struct web_session *session, const char *text);

void web_session_flash(struct web_session *session, const char *kind, const char *text);

/* 32 random bytes as base64url. */
void web_random_text(const struct amm_random *random, char out[WEB_TOKEN_TEXT]);

/* SHA-256 and HMAC-SHA-256 as the pages need them; the text is base64url. */
void web_sha256(struct amm_view bytes, uint8_t out[32]);
void web_hmac_text(const uint8_t key[32], struct amm_view bytes, char out[WEB_TOKEN_TEXT]);
