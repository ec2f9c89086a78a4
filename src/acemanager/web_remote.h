/* Operators who come through the server (doc/gateway-protocol.md, GP-72 to GP-76): signing in by an
 * assertion, ending, and what the pages show of them. Owner: the core's thread. */
#pragma once

#include "domain/assertion.h"
#include "web_session.h"
#include "web_visits.h"

#include "http/server.h"

struct ace_pages;
struct web_call;

enum {
    WEB_REMOTE_WAITING = 4, /* sign-ins that wait for ammer's word about the tunnel */
    WEB_REMOTE_LABELS = 16,
};

struct web_remote {
    struct amm_assertion_seen seen;
    struct {
        amm_time until; /* 0: free */
        uint64_t look;
        struct amm_http_ref ref;
        struct amm_address remote;
        char assertion[AMM_ASSERTION_MAX];
    } waiting[WEB_REMOTE_WAITING];
    /* Remote sessions that were ended here: their assertions are not taken any more. */
    char ended[WEB_REMOTE_LABELS][AMM_ASSERTION_LABEL + 1];
    size_t next_ended;
    amm_time review; /* of the sessions */
};

void web_remote_init(struct ace_pages *pages);

/* POST /remote-session. Who asks is not a browser: none of its checks has been made. */
bool web_remote_is(const struct amm_http_request *request);
void web_remote_take(struct web_call *call);

/* Verifies by what the gateway is now; `*why` is a stable name for a refusal, `*words` a sentence
 * (static). Says what follows from a refusal: the log, the question for another key. */
bool web_remote_verify(struct ace_pages *pages, enum amm_assertion_kind kind, struct amm_view text,
                       struct amm_now now, struct amm_assertion *out,
                       enum amm_assertion_verdict *verdict, const char **why, const char **words);

/* The answer to a cookie whose remote session has ended. */
void web_remote_gone(struct web_call *call, enum web_end why);

/* What is due by time, or because the tunnel is another one. */
void web_remote_step(struct ace_pages *pages);
amm_time web_remote_deadline(const struct ace_pages *pages);

void web_visitors_end(struct web_call *call); /* POST /visitors/end */
void web_visits_show(struct web_call *call);  /* GET /admin/visits */
