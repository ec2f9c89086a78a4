/* What the files of the data path share. All of it belongs to the loop.
 *
 *   flow.c           the table, what the server calls, quotas
 *   flow_request.c   a request to the gateway
 *   flow_answer.c    what comes back */
#pragma once

#include "base/wheel.h"
#include "http/client.h"
#include "proxyd/flow.h"
#include "proxyd/gate.h"
#include "proxyd/pages.h"
#include "proxyd/proxyd.h"
#include "proxyd/record.h"

enum {
    FLOWS_PER_GATEWAY = 256, /* connections to one gateway, of all remote sessions */
    KEPT_PER_SESSION = 8,    /* without a request */
    FLOW_AHEAD = 32 * 1024,  /* bytes on their way to a browser before the gateway has to wait */
    CREDIT_STEP = 8 * 1024,
    GATEWAY_BUCKETS = 256,

    /* seconds */
    CONNECT_TIME = 15,
    ANSWER_TIME = 300,  /* a router that writes its software answers when it has done so */
    PAUSE_TIME = 60,    /* between two pieces of a body */
    BROWSER_TIME = 300, /* a browser may ask where to save a download before it takes more */
    KEEP_TIME = 20,
    FRESH_TIME = 2, /* a request that cannot be repeated takes a kept connection only that long */
    BODY_RATE = 100 /* bytes a second: a gateway on the worst of mobile networks is faster */
};

/* A head that outlives its request: views into `bytes`. */
struct asked {
    struct amm_http_request request;
    uint8_t bytes[];
};

/* A connection to a gateway, and the request that is on it. */
struct flow {
    struct flows *flows;
    struct session *session;
    struct flow *next; /* of the session */
    uint32_t index;    /* in the table */
    struct amm_http_client *client;
    struct proxyd_watch watch; /* fd -1: not in the loop */
    unsigned interest;
    amm_time kept_until; /* without a request; AMM_NEVER: has one */
    amm_time used;       /* when the last request was over */

    struct asked *asked;          /* NULL: none */
    struct translate_body *links; /* of the HTML that comes; NULL: it passes as it is */
    struct amm_http_ref ref;
    bool was_used;   /* the connection had a request before */
    bool may_repeat; /* if it breaks before an answer comes */
    bool is_upgrade; /* asked for, and in the end: is one */
    bool body_open;  /* more comes from the browser */
    bool answered;   /* the browser has the head */
    bool streams;    /* and the body is to follow */
    bool is_pipe, page_ended;
    size_t credit;     /* bytes that the browser may send now */
    uint64_t bytes_in; /* to the gateway */
    uint64_t bytes_out;
    int status;
    int64_t began_wall;
    amm_time began;
};

struct gateway_use {
    struct gateway_use *next;
    uint64_t gateway;
    unsigned n;
};

struct flows {
    struct proxyd *proxyd;
    struct flow **at; /* by index; NULL: free */
    uint32_t *free;
    uint32_t n, n_free;
    struct amm_wheel *wheel;
    struct flow **of_browser; /* by the connection of the server */
    uint32_t n_browsers;
    struct gateway_use *gateways[GATEWAY_BUCKETS];
};

/* ---- flow.c ---- */

/* The flow that answers this request; NULL: none (any more). */
struct flow *flow_of(const struct flows *flows, struct amm_http_ref ref);

/* Closes it and frees it; its request must be over. */
void flow_free(struct flow *flow);

/* The request is over: notes it for the audit, forgets it. */
void flow_forget(struct flow *flow);

/* The request is over and the connection can be used again. */
void flow_keep(struct flow *flow);

/* Goes on as far as possible. The flow may be gone then. */
void flow_run(struct flow *flow);

/* A new connection for the flow, instead of the one it may have; false: out of memory. */
bool flow_connect(struct flow *flow);

/* ---- flow_request.c ---- */

struct asked *asked_new(const struct amm_http_request *request); /* NULL: out of memory */

/* Puts the request of flow->asked on its way. OK: it is. Else nothing was sent, and `*page` says
 * what the browser is to be told. */
bool flow_ask(struct flow *flow, enum page *page);

/* True if the same request may be made twice without harm. */
bool flow_is_repeatable(const struct amm_http_request *request);

/* ---- flow_answer.c ---- */

/* False: the flow is gone. */
bool flow_take(struct flow *flow, const struct amm_http_event *event);
