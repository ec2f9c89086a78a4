/* The table of remote sessions: what ammd has said, and what happened since. Owner: the loop. */
#pragma once

#include "base/random.h"
#include "base/time.h"
#include "http/message.h"
#include "ipc/proxy.h"
#include "proxyd/translate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow;
struct sessions;

struct session {
    struct amm_proxy_session about;
    struct translate_names names;
    struct flow *flows;              /* of flow.c: its connections, cut by flows_cut */
    unsigned n_flows;                /* of flow.c: at most FLOWS_PER_SESSION */
    amm_time idle_from;              /* when something was last asked */
    amm_time told;                   /* when ammd was last told (ACTIVE) */
    struct amm_address entered_from; /* the browser */
    uint8_t spent[AMM_PROXY_HASH];   /* the ticket that was used last */
    bool entered;                    /* a cookie was given */
    bool page_ended;                 /* our own gateway has said that it ended the session */
    bool seen;                       /* named since WELCOME */
    struct session *next;            /* in its bucket */
    struct session *before, *after;  /* in the list of all */
};

/* NULL: out of memory. `domain` without a leading dot, `port` as browsers use it. */
struct sessions *sessions_new(const char *domain, uint16_t port, bool secure,
                              const struct amm_random *random);
struct sessions *sessions_free(struct sessions *sessions); /* wipes; flows must be gone */

/* By label; NULL: none. */
struct session *sessions_find(const struct sessions *sessions, const char *label);

/* By the Host field of a request: `label`.`domain`, any port; NULL: none. */
struct session *sessions_of_host(const struct sessions *sessions, struct amm_view host);

/* A new one, or the change of a known one with the same target. NULL: the table is full, the
 * message makes no sense, or (`*other_target`) a session with that label leads elsewhere and must
 * be ended first. */
struct session *sessions_put(struct sessions *sessions, const struct amm_proxy_session *about,
                             struct amm_now now, bool *other_target);

/* Forgets and wipes it. Its flows must be gone. */
void sessions_remove(struct sessions *sessions, struct session *session);

/* Something was asked, or came from the browser over an upgraded connection: counts as activity.
 * True if ammd should be told (at most once in 10 s). */
bool session_touch(struct session *session, struct amm_now now);

/* The next one whose time is over, with the reason; NULL: none now. */
struct session *sessions_due(struct sessions *sessions, struct amm_now now,
                             enum amm_proxy_end *reason);

/* When to ask again, at the latest. */
amm_time sessions_deadline(const struct sessions *sessions, struct amm_now now);

/* Around the list of a (re)connection: nothing is named; then those that were not, one a call. */
void sessions_unname(struct sessions *sessions);
struct session *sessions_unnamed(struct sessions *sessions);

size_t sessions_count(const struct sessions *sessions);

/* True if the request carries the session's cookie. Constant time for the secret. */
bool session_has_cookie(const struct session *session, const struct amm_http_request *request);

/* True once for each ticket, and only in time. A wrong one does not use it up. */
bool session_use_ticket(struct session *session, struct amm_view ticket, int64_t wall);
