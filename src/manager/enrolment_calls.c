/* Jobs that wait for amm-cad. */
#include "manager/enrolment_parts.h"

#include <stdlib.h>

/* Lives from the unit that asks to the one that takes the answer. */
struct enrolment_call {
    struct enrolment_call *next, **back;
    struct job *job;
    enrolment_then then;
    void (*drop)(struct manager *m, void *context, const struct amm_cad_message *answer);
    void *context;
    amm_time answered_at; /* 0: not yet */
    bool is_lost;
    bool is_dropped;                /* `context` is gone: the job took too long to come */
    struct amm_cad_message message; /* the request, then the answer */
};

static void call_free(struct enrolment_call *call)
{
    *call->back = call->next;
    if (call->next) {
        call->next->back = call->back;
    }
    amm_wipe(call, sizeof *call);
    free(call);
}

/* In the job's own unit. */
static void resume(struct job *job, void *context)
{
    struct enrolment_call *call = context;
    if (call->is_dropped) {
        enrolment_unavailable(job, NULL);
    } else {
        call->then(job, call->context, call->is_lost ? NULL : &call->message);
    }
    call_free(call);
}

static void answered(struct manager *m, void *context, const struct amm_cad_message *answer)
{
    struct enrolment_call *call = context;
    call->is_lost = answer == NULL;
    if (answer) {
        call->message = *answer;
    }
    call->answered_at = m->now.mono;
    job_resume(call->job, resume, call);
}

/* The unit is durable. */
static void send(struct manager *m, void *data)
{
    struct enrolment_call *call;
    memcpy(&call, data, sizeof call);
    if (!cad_link_ask(m->enrolment->link, &call->message, answered, call)) {
        answered(m, call, NULL);
    }
}

static void tell_lost(struct job *job, void *context)
{
    (void)context;
    enrolment_unavailable(job, NULL);
}

/* The unit failed, and has answered; or the batch is lost, and the job waits to be told. */
static void take_back(struct manager *m, void *data)
{
    struct enrolment_call *call;
    memcpy(&call, data, sizeof call);
    struct job *job = call->job;
    if (call->drop) {
        call->drop(m, call->context, NULL);
    }
    call_free(call);
    if (!job_is_answered(job)) {
        job_resume(job, tell_lost, NULL);
    }
}

void enrolment_ask(struct job *job, const struct amm_cad_message *request, enrolment_then then,
                   void (*drop)(struct manager *m, void *context,
                                const struct amm_cad_message *answer),
                   void *context)
{
    struct enrolment *e = job->m->enrolment;
    struct enrolment_call *call = cad_link_is_up(e->link) ? calloc(1, sizeof *call) : NULL;
    if (!call) {
        then(job, context, NULL);
        return;
    }
    call->job = job;
    call->then = then;
    call->drop = drop;
    call->context = context;
    call->message = *request;
    call->next = e->calls;
    call->back = &e->calls;
    if (call->next) {
        call->next->back = &call->next;
    }
    e->calls = call;
    manager_undo(job->m, take_back, &call, sizeof call);
    manager_after(job->m, send, &call, sizeof call);
    job_defer(job);
}

void enrolment_unavailable(struct job *job, const struct amm_cad_message *answer)
{
    if (!answer) {
        job_retry(job, 503, ENROLMENT_RETRY, "cad-down",
                  "The part of the server that signs is not there; try again soon.");
    } else if (answer->type == AMM_CAD_FAILED && answer->failed.reason == AMM_CAD_BUSY) {
        job_retry(job, 503, answer->failed.retry ? answer->failed.retry : 1, "cad-busy",
                  "Too many certificates at a time; try again soon.");
    } else {
        job_retry(job, 503, ENROLMENT_WAITING_RETRY, "cad-broken",
                  "The part of the server that signs cannot do it now; its log says why.");
    }
}

static void drop(struct manager *m, struct enrolment_call *call,
                 const struct amm_cad_message *answer)
{
    if (call->drop && !call->is_dropped) {
        call->drop(m, call->context, answer);
    }
    call->is_dropped = true;
}

/* The memory of the call stays, as the job may still have it in its queue. */
void enrolment_calls_sweep(struct manager *m, amm_time before)
{
    for (struct enrolment_call *call = m->enrolment->calls; call; call = call->next) {
        if (call->answered_at && call->answered_at < before) {
            drop(m, call, call->is_lost ? NULL : &call->message);
        }
    }
}

/* Whatever amm-cad has issued is asked for again under the same approval: nothing is disowned. */
void enrolment_calls_end(struct manager *m)
{
    while (m->enrolment->calls) {
        drop(m, m->enrolment->calls, NULL);
        call_free(m->enrolment->calls);
    }
}
