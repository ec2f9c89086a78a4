/* The route table: each request that ammd answers is one row. Router, authorisation, checks of
 * query and body, OpenAPI and the tests (route x role x tenant) read the same row.
 *
 * Each noun has an array of its own, ended by method NULL; routes.c lists the arrays. */
#pragma once

#include "http/message.h"
#include "manager/access.h"
#include "manager/manager.h"

struct job;

enum { ROUTE_ARGUMENTS_MAX = 3, ROUTE_ARGUMENT_MAX = 128 };

enum field_kind {
    FIELD_TEXT,   /* min..max: bytes of UTF-8, no control characters */
    FIELD_NUMBER, /* min..max */
    FIELD_BOOL,
    FIELD_ID,     /* of another object: decimal digits as a JSON string; "0" only if min is 0 */
    FIELD_CHOICE, /* one of `choices`, "a|b|c" */
    FIELD_OBJECT, /* any JSON object; the handler checks what is in it */
    FIELD_ARRAY,  /* of whatever; at most max elements */
    FIELD_ANY,
};

/* A member of a JSON body, or a parameter of a query (then TEXT, NUMBER, BOOL, ID, CHOICE). What is
 * not listed is refused. Ended by name NULL. */
struct field {
    const char *name;
    enum field_kind kind;
    bool required;
    int64_t min, max;
    const char *choices;
    const char *doc;
};

enum route_flag {
    ROUTE_STREAMS = 1,   /* the answer goes on after the job (Server-Sent Events) */
    ROUTE_RAW_BODY = 2,  /* the body is not JSON for us: job->body */
    ROUTE_UNAUDITED = 4, /* changes nothing that the audit log cares about, though it is no GET */
    ROUTE_PASSWORD = 8,  /* also for a user who must change the password first */
};

struct route {
    const char *method;
    const char *path;   /* "/api/v1/gateways/{id}/parameters/{mscid}"; canonical */
    unsigned listeners; /* enum manager_listener; 0: CONSOLE | LOCAL */
    enum access_action action;
    /* What {id}, the first argument, is: finds where it stands; false if there is none. NULL: no
     * object, and then the actor needs the right somewhere and the handler looks closer
     * (job_allows). */
    bool (*find)(struct manager *m, int64_t id, struct access_object *out);
    unsigned flags;
    size_t body_max; /* 0: 64 KiB for POST, PUT, PATCH; none for others */
    const struct field *query;
    const struct field *body;
    void (*handle)(struct job *job);
    const char *summary; /* one line, for OpenAPI and the audit log's reader */
};

extern const struct route *const route_tables[]; /* ended by NULL */

enum route_result { ROUTE_FOUND, ROUTE_NOT_FOUND, ROUTE_WRONG_METHOD, ROUTE_BAD_PATH };

struct route_match {
    const struct route *route;
    unsigned n_arguments;
    char arguments[ROUTE_ARGUMENTS_MAX][ROUTE_ARGUMENT_MAX]; /* decoded */
    char allowed[64];                                        /* WRONG_METHOD: "GET, POST" */
};

/* Any thread. HEAD finds GET's route. A path that is not canonical is BAD_PATH, never rewritten;
 * one trailing slash is taken. */
enum route_result route_find(struct amm_view method, struct amm_view path, unsigned listener,
                             struct route_match *out);

/* "GET /api/v1/users/{id}" of each row, for tests: calls `each` until it returns false. */
void route_each(bool (*each)(void *context, const struct route *route), void *context);
