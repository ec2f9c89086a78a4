/* The inside of a job: front.c makes it, core.c runs and sends it, job*.c fill it. */
#pragma once

#include "manager/core.h"
#include "manager/job.h"

enum {
    JOB_HEADERS_MAX = 2048, /* of the answer */
    JOB_OBJECT_MAX = 160,
    JOB_DETAIL_MAX = 512,
    JOB_ERROR_NAME_MAX = 48,
};

struct job_part {
    struct job job; /* first */
    struct core_item item;
    struct job *next; /* of the batch */
    struct amm_http_server *server;
    struct amm_http_ref ref;
    struct amm_identity identity;
    struct amm_http_fields fields; /* of the request; views into `bytes` */
    uint8_t *bytes;

    bool is_answered, is_deferred, is_lost, by_cookie;
    void (*resume)(struct job *job, void *context);
    void *resume_context;
    void *kept; /* job_keep */
    void (*drop)(void *kept);

    int status;
    const char *content_type;
    uint8_t headers[JOB_HEADERS_MAX];
    size_t headers_len;
    char *body; /* malloc'd */
    size_t body_len;
    bool is_stream;
    char error_name[JOB_ERROR_NAME_MAX];

    int64_t audit_tenant;
    char audit_object[JOB_OBJECT_MAX];
    char audit_detail[JOB_DETAIL_MAX];

    /* Tests take the answer here; NULL: it goes to the server. */
    void (*sink)(void *context, const struct job *job, const struct amm_http_reply *reply);
    void *sink_context;
};

static inline struct job_part *job_part(const struct job *job)
{
    return (struct job_part *)job;
}

/* Copies what is needed of the call. NULL: out of memory. Any thread. */
struct job *job_new(struct manager *m, const struct amm_http_call *call,
                    const struct route_match *match);
void job_free(struct job *job);

/* The unit of a job that has come from the queue: who asks, may he, is it well formed; then the
 * handler. `context` is the job. */
void job_run(struct manager *m, void *context);

/* The batch is lost: what was answered with a success becomes a refusal. */
void job_lose(struct job *job);

/* The answer leaves; frees the job. */
void job_send(struct job *job);

/* Field lines that every answer of the console's listener has: not for caches, frames, or guesses
 * at the type. Empty for others: gateways count bytes. */
struct amm_view job_console_fields(uint32_t listener, bool is_tls);

/* Who may: false if it has answered. */
bool job_judge(struct job *job);

/* job_input.c: checks query and body against the route's fields; false if it has answered. */
bool job_check_input(struct job *job);

/* authenticate.c: fills job->actor; false if it has answered. */
bool job_authenticate(struct job *job);

/* Handlers that go on as a stream: the head leaves with the answer, the rest by amm_http_send. */
void job_stream(struct job *job, const char *content_type);
