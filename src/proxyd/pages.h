/* The proxy's own pages: short, self-contained HTML that says what happened and what to do. */
#pragma once

#include "http/server.h"
#include "proxyd/session.h"

enum page {
    PAGE_NO_SESSION,  /* 404: no remote session has this name: it ended, or never was */
    PAGE_NO_COOKIE,   /* 403: another browser, or the link was copied */
    PAGE_BAD_TICKET,  /* 403: used, too old, or wrong */
    PAGE_FOREIGN,     /* 403: another site sent the browser here */
    PAGE_NO_WORKER,   /* 403: service workers */
    PAGE_VIEW_ONLY,   /* 403 */
    PAGE_TOO_LARGE,   /* 431 */
    PAGE_BAD_REQUEST, /* 400: below /.amm/ */
    PAGE_UNREACHABLE, /* 502: no connection: `detail` says why */
    PAGE_KEY_CHANGED, /* 502: another key than the pinned one */
    PAGE_NO_TLS,      /* 502: `detail` */
    PAGE_BAD_ANSWER,  /* 502: not HTTP, or refused: `detail` */
    PAGE_NO_ANSWER,   /* 504: nothing came in time */
    PAGE_NO_SIGN_IN,  /* 502: the gateway did not take the assertion: `detail` */
    PAGE_NO_MANAGER,  /* 503: ammd has been away for too long */
    PAGE_BUSY,        /* 503: too many connections */
    PAGE_OPENING,     /* 200: entered; goes on to / by itself */
    PAGE_LEFT,        /* 200: ended by the operator */
    PAGE_STATUS,      /* 200: what this remote session is, and a button that ends it */
};

/* Answers with the page. `session` may be NULL; `detail` is a sentence or NULL and is escaped;
 * `fields` are further field lines, or empty. */
void pages_answer(struct amm_http_server *server, struct amm_http_ref ref, enum page page,
                  const struct session *session, const char *detail, struct amm_view fields);

int pages_status(enum page page);

/* The same as bytes, for tests: false if it does not fit. */
bool pages_write(enum page page, const struct session *session, const char *detail,
                 struct amm_writer *w);
