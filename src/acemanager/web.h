/* The pages, as their files see them. Owner: the core's thread. */
#pragma once

#include "acemanager/pages.h"
#include "http/server.h"
#include "web_account.h"
#include "web_hasher.h"
#include "web_limit.h"
#include "web_remote.h"
#include "web_session.h"
#include "web_template.h"

#include <jansson.h>

struct web_relay;
struct web_door; /* sockets and TLS: web_door.c */

struct ace_pages {
    struct ace_core *core;
    struct amm_random random;
    uint8_t login_key[32]; /* what forms of people who have no session yet are signed with */
    struct web_sessions sessions;
    struct web_limit limit;
    struct web_accounts accounts;
    char accounts_error[256]; /* why nobody can log in; "" */
    struct web_hasher *hasher;
    struct web_remote remote;
    struct web_visits visits;
    struct web_relay *relay; /* web_relay.h; NULL: none */

    /* How an answer leaves: amm_http_answer, or a test's own. */
    void (*send)(struct ace_pages *pages, struct amm_http_ref ref,
                 const struct amm_http_reply *reply);
    struct amm_http_server *server;
    struct web_door *door;
};

enum {
    WEB_FORM_MAX = 16 * 1024, /* of a form's body */
    WEB_FIELDS = 2048,        /* head fields of an answer */
};

/* One request and its answer. */
struct web_call {
    struct ace_pages *pages;
    const struct amm_http_request *request; /* NULL: the answer comes later than the request */
    struct amm_view form;                   /* body of a POST */
    struct amm_http_ref ref;
    struct amm_address remote, local;
    struct amm_now now;
    bool in_tunnel;              /* through the management tunnel */
    struct web_session *session; /* NULL: not logged in */

    /* the answer */
    bool later; /* somebody else will send it */
    int status;
    const char *type;
    struct web_text body;
    struct amm_writer fields;
    uint8_t field_bytes[WEB_FIELDS];
    char fresh_token[WEB_TOKEN_TEXT]; /* of a session that has just been opened; "" */
};

/* web_serve.c: from the HTTP server's request to the answer. `http` and its views are only used
 * while it runs. */
void web_serve(struct ace_pages *pages, const struct amm_http_call *http);

/* Answers whoever waits for a password to be hashed. */
void web_serve_hashed(struct ace_pages *pages);

/* The largest body of a request (amm_http_settings.body_limit). */
size_t web_body_limit(const struct amm_http_request *request);

/* Takes over what parameters say: idle time. */
void web_settle(struct ace_pages *pages);

/* web_answer.c */
void web_answer_begin(struct web_call *call); /* 200, security fields */
void web_answer_field(struct web_call *call, const char *name, const char *value);
void web_answer_view(struct web_call *call, int status, const char *template_name, json_t *view);
void web_answer_redirect(struct web_call *call, const char *path);
void web_answer_error(struct web_call *call, int status, const char *heading, const char *text);
void web_answer_cookie(struct web_call *call, const char *name, const char *value);
void web_answer_send(struct web_call *call);

/* The value of a form's field, decoded; false if it is not there or no text. */
bool web_form(const struct web_call *call, const char *name, char *out, size_t room);

#define WEB_COOKIE "__Host-ace"
#define WEB_COOKIE_LOGIN "__Host-ace-login"

/* web_route.c */
enum web_change { WEB_READS, WEB_CHANGES };
struct web_route {
    const char *path;
    enum web_change change;
    enum web_role least; /* who may; WEB_NOBODY: anyone */
    void (*handle)(struct web_call *call);
    bool own_csrf; /* checks its form's token itself */
};
extern const struct web_route web_routes[];
extern const size_t web_routes_count;
const struct web_route *web_route_find(struct amm_view path, enum web_change change);
