/* The fleet thread: queue, units, batches, timers, descriptors. For job.c, front.c and main.c; the
 * modules use manager.h. */
#pragma once

#include "manager/manager.h"

struct job;

/* What waits in the queue: embedded in a job, or made by manager_post. */
struct core_item {
    struct core_item *next;
    void (*run)(struct manager *m, void *context);
    void (*drop)(void *context); /* instead of `run`, when the manager ends before; may be NULL */
    void *context;
    bool is_own; /* an allocation: freed behind `run` */
};

enum core_lane {
    CORE_URGENT,   /* posted calls, the console, ammctl */
    CORE_GATEWAYS, /* a storm of check-ins must not keep an operator waiting */
    CORE_LANES,
};

struct core *core_new(struct manager *m); /* NULL: out of memory or descriptors */
struct core *
core_free(struct core *core); /* after core_run has returned and all that post are gone */

/* Any thread. False: `limit` items wait in this lane already (0: no limit). */
bool core_queue(struct core *core, struct core_item *item, enum core_lane lane, unsigned limit);

/* Runs `run` as a unit at once: modules at the start, tests. False if it failed or could not be
 * committed. */
bool core_unit(struct manager *m, void (*run)(struct manager *m, void *context), void *context);

/* Serves until core_stop; the calling thread becomes the fleet thread. */
void core_run(struct manager *m);
/* One batch: of what is there, or (wait) of what comes next. True if more is waiting already. */
bool core_step(struct manager *m, bool wait);

void core_stop(struct core *core); /* any thread, or a signal handler */

/* ---- for job.c ---- */

/* The unit of a job has ended with an answer: it leaves when the batch is durable. */
void core_answered(struct manager *m, struct job *job);
/* The unit has ended without: it must not go on if the batch is lost. */
void core_deferred(struct manager *m, struct job *job);

/* Ends the running unit early and begins another one: for the entry of the audit log about a unit
 * that failed. True if it was kept. */
bool core_unit_split(struct manager *m);

/* Numbers for /metrics. */
struct core_counters {
    uint64_t units, failed, batches, lost;
    unsigned waiting[CORE_LANES];
};
void core_counters(const struct core *core, struct core_counters *out);

/* ---- workers.c ---- */

struct workers;
struct workers *workers_new(struct manager *m, unsigned threads, unsigned limit);
struct workers *workers_free(struct workers *workers); /* waits for what is under way */
bool workers_add(struct workers *workers, void (*work)(void *context),
                 void (*done)(struct manager *m, void *context), void *context);
