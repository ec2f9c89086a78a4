/* A request on its way through the fleet thread.
 *
 * A handler answers once (job_json, job_bytes, job_empty, job_error), or says job_defer and lets a
 * later unit answer. The answer leaves after the commit. job_error rolls back what the unit wrote.
 */
#pragma once

#include "crypto/identity.h"
#include "http/server.h"
#include "manager/access.h"
#include "manager/manager.h"
#include "manager/route.h"

#include <jansson.h>

struct job {
    struct manager *m;
    const struct route *route;
    unsigned n_arguments;
    const char *arguments[ROUTE_ARGUMENTS_MAX]; /* of the path, decoded, validated UTF-8 */
    int64_t id;                                 /* the first argument, if the route has `find` */
    struct access_object object;                /* where it stands */
    struct actor actor;
    json_t *input; /* the body, checked by route->body; NULL if it has none */

    struct amm_view path, query, body;
    struct amm_address remote, local;  /* of the socket */
    uint32_t listener;                 /* one of enum manager_listener */
    uint32_t uid;                      /* LISTENER_LOCAL */
    const struct amm_identity *client; /* LISTENER_GATEWAYS: proved at the TLS level, dates and
                                          revocation not judged; NULL: came without */
    bool is_tls, resumed;
    bool in_tunnel; /* came to a tunnel address */
    bool is_head;
};

/* The first header of that (lower-case) name; data NULL if there is none. */
struct amm_view job_header(const struct job *job, const char *lower);

/* ---- input ---- */

/* Members of `input` by name; what the route does not require may be missing: then the default. */
const char *job_text(const struct job *job, const char *name, const char *missing);
int64_t job_number(const struct job *job, const char *name, int64_t missing);
bool job_bool(const struct job *job, const char *name, bool missing);
int64_t job_id(const struct job *job, const char *name, int64_t missing); /* FIELD_ID */
bool job_has(const struct job *job, const char *name);

/* Parameters of the query, checked against route->query before. */
bool job_query_text(const struct job *job, const char *name, char *out, size_t room);
int64_t job_query_number(const struct job *job, const char *name, int64_t missing);
bool job_query_bool(const struct job *job, const char *name, bool missing);

/* Argument `i` of the path as a number of min..max; otherwise answers 404 and returns false. */
bool job_argument_number(struct job *job, unsigned i, int64_t min, int64_t max, int64_t *out);

/* Keyset paging: ?limit= (1 to 1000, default 100) and ?after= (id of the last one before). Rows of
 * these two must stand in route->query: ROUTE_PAGE. */
#define ROUTE_PAGE                                                                                 \
    {"limit", FIELD_NUMBER, false, 1, 1000, NULL, "how many at most; default 100"},                \
    {                                                                                              \
        "after", FIELD_ID, false, 0, 0, NULL, "go on behind this id (`next` of the page before)"   \
    }
struct job_page {
    unsigned limit;
    int64_t after; /* 0: from the start */
};
struct job_page job_page(const struct job *job);

/* ---- rights ---- */

/* May the actor do this to a thing that stands there? */
bool job_allows(const struct job *job, enum access_action action,
                const struct access_object *object);

/* The same; if not, answers 404 (not visible) or 403 and returns false. `field` names the member of
 * the body that named the object, or is NULL. */
bool job_demand(struct job *job, enum access_action action, const struct access_object *object,
                const char *field);

/* ---- answers ---- */

void job_json(struct job *job, int status, json_t *body); /* takes the reference; NULL: out of
                                                             memory, 503 */
/* {"items": [...], "next": "id"}: takes `items`; next 0: the end. */
void job_list(struct job *job, json_t *items, int64_t next);
void job_bytes(struct job *job, int status, const char *content_type, struct amm_view body);
void job_empty(struct job *job); /* 204 */

/* A header for the answer; before or after it is given, in the same unit. */
void job_field(struct job *job, const char *name, const char *value);

/* {"error": name, "text": ..., "field": ...}; `field` NULL: none. The unit is rolled back. */
void job_error(struct job *job, int status, const char *name, const char *field, const char *format,
               ...) __attribute__((format(printf, 5, 6)));
/* The same with Retry-After (429, 503). */
void job_retry(struct job *job, int status, unsigned seconds, const char *name, const char *text);
/* For what the store said: 507 full, 503 busy, 409 conflict ("exists"), 500. */
void job_store_error(struct job *job, enum amm_store_result result);
void job_not_found(struct job *job);
/* The same for what a member of the body names. One answer for what is not there and for what the
 * actor may not see: else ids of other tenants could be found out. */
void job_missing(struct job *job, const char *field);

/* Ids are JSON strings. */
json_t *job_json_id(int64_t id);
/* The member "id" of the last item of a page: its `next`. */
int64_t job_id_of_last(const json_t *items);

/* ---- deferred ---- */

/* The answer comes later; the job stays until then. What the unit wrote so far is committed. */
void job_defer(struct job *job);
bool job_is_answered(const struct job *job);

/* Makes `context` the job's: `drop` (any thread) frees it when the job is over, however it ends.
 * Once. */
void job_keep(struct job *job, void *context, void (*drop)(void *context));

/* Any thread: goes on with a deferred job in the fleet thread, as a unit of its own. The actor may
 * have lost his rights meanwhile: `resume` is not called then, 401 is answered (see job_keep). */
void job_resume(struct job *job, void (*resume)(struct job *job, void *context), void *context);

/* ---- audit ---- */

/* What stands in the audit log for this request, beside actor, route and result: the object in
 * words
 * ("gateway 12 truck-7") and details. Secrets never. The entry itself is written by itself for each
 * request that changes something, and for refusals (403). */
void job_audit(struct job *job, int64_t tenant, const char *object, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
