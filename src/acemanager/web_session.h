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
#include "domain/assertion.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEB_SESSIONS = 8, /* at once; the one that was idle longest makes room */
    WEB_REMOTE = 4,   /* of them signed in by the server: they never take a local one's place */
    WEB_ENDED = 16,
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

/* Why a session, or a visit of the relay, has ended. */
enum web_end {
    WEB_END_NONE, /* it has not */
    WEB_END_LEFT, /* logged out; of the relay: the last connection was closed */
    WEB_END_IDLE,
    WEB_END_LIFE,    /* the longest time that one may last */
    WEB_END_EPOCH,   /* the tunnel is another one, or none */
    WEB_END_HERE,    /* by somebody at the gateway */
    WEB_END_ROOM,    /* another one took its place */
    WEB_END_ANEW,    /* the same remote session signed in again */
    WEB_END_ACCOUNT, /* the password was changed */
    WEB_END_RESTART, /* of the program */
    WEB_ENDS,
};
const char *web_end_name(enum web_end end);  /* "here": as in the log's file */
const char *web_end_words(enum web_end end); /* for a table; "" for NONE */
enum web_end web_end_find(const char *name); /* RESTART for what is none */

/* Who came through the server (domain/assertion.h). */
struct web_visitor {
    char name[AMM_ASSERTION_PERSON];
    char from[AMM_ADDRESS_TEXT]; /* the true address, without a port; "": not known */
    char label[AMM_ASSERTION_LABEL + 1];
    enum web_role role;
    uint64_t epoch; /* of the tunnel; not in the log */
};
void web_visitor_of(struct web_visitor *out, const struct amm_assertion *assertion);

struct web_session {
    enum web_role role; /* WEB_NOBODY: free */
    uint32_t number;    /* for people and forms: no secret; never used twice */
    uint8_t token_hash[32];
    char csrf[WEB_TOKEN_TEXT];
    struct amm_address remote; /* from where it was opened */
    bool in_tunnel;
    bool is_remote; /* signed in by the server: `who`, `visit` */
    struct web_visitor who;
    uint32_t visit; /* in the log */
    struct amm_now opened;
    amm_time used;                         /* by a request that a person made */
    char flash_kind[12], flash[WEB_FLASH]; /* said once, on the next page; "" for none */
};

struct web_sessions {
    struct amm_random random;
    amm_duration idle; /* a session ends after this time without a request */
    uint32_t last_number;
    struct web_session at[WEB_SESSIONS];
    /* Cookies of remote sessions that have ended: their next request is told so. */
    struct {
        uint8_t token_hash[32];
        enum web_end why; /* NONE: free */
    } ended[WEB_ENDED];
    size_t next_ended;
    /* Told of each remote session that ends, while it is still there; NULL: nobody. */
    void (*tell)(void *context, const struct web_session *session, enum web_end why);
    void *context;
};

/* No session is older. */
enum { WEB_SESSION_HOURS = 12, WEB_REMOTE_HOURS = 8 };

void web_sessions_init(struct web_sessions *sessions, struct amm_random random);

/* A new session; `token` is for the cookie, and is nowhere else: wipe it. */
struct web_session *web_session_open(struct web_sessions *sessions, enum web_role role,
                                     const struct amm_address *remote, bool in_tunnel,
                                     struct amm_now now, char token[WEB_TOKEN_TEXT]);

/* The session of a cookie's token; NULL if there is none or it is over. `by_person` false: a page
 * refreshes itself, which does not keep the session from ending. */
struct web_session *web_session_find(struct web_sessions *sessions, struct amm_view token,
                                     amm_time mono, bool by_person);

/* The same for who was signed in by the server. One that has the same label ends. */
struct web_session *web_session_open_remote(struct web_sessions *sessions,
                                            const struct web_visitor *who,
                                            const struct amm_address *remote, struct amm_now now,
                                            char token[WEB_TOKEN_TEXT]);

/* True if the cookie's remote session has ended, and why. */
bool web_session_has_ended(const struct web_sessions *sessions, struct amm_view token,
                           enum web_end *why);

void web_session_close(struct web_sessions *sessions, struct web_session *session,
                       enum web_end why);

/* Ends what is over: idle, too old, or of another tunnel than `epoch`. When to look again. */
amm_time web_sessions_review(struct web_sessions *sessions, amm_time mono, uint64_t epoch);

/* All of a role that came in by password, but `but` (may be NULL): after a change of the password.
 */
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
