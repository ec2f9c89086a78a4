#include "manager/core.h"

#include "io/clock.h"
#include "io/log.h"
#include "manager/audit.h"
#include "manager/fleet.h"
#include "manager/job_parts.h"
#include "manager/timers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    BATCH_MAX = 256, /* items of each lane in one commit */
    CHECKPOINT_BATCHES = 2000,
    WORKERS_WAITING = 64,
};
#define WAKE_TAG UINT64_MAX
#define PROBE_EVERY AMM_SECOND
#define CHECKPOINT_EVERY (10 * AMM_SECOND)

/* A call that waits for the end of the unit or of the batch, with its bytes behind it. */
struct note {
    void (*call)(struct manager *m, void *data);
    void *data;
};

struct notes {
    size_t n, room;
    struct note *at;
};

struct lane {
    struct core_item *first, **last;
    unsigned waiting;
};

struct watch_slot {
    struct manager_watch *watch;
    uint32_t generation;
};

struct core {
    struct amm_loop *loop;
    int wake;
    atomic_bool stopped;

    pthread_mutex_t lock; /* of the lanes */
    struct lane lanes[CORE_LANES];

    struct timers timers;
    struct watch_slot *slots;
    uint32_t n_slots;

    struct notes undo, after;
    size_t undo_mark, after_mark, fleet_mark;
    bool unit_failed, in_unit;
    struct job *answered, **answered_last; /* of this batch */
    struct job *deferred;                  /* of this batch */

    enum amm_store_result state;
    struct manager_timer probe, checkpoint;
    uint64_t checkpointed; /* batches at the last checkpoint */
    bool checkpoint_runs;
    struct workers *workers;
    struct core_counters counters;
};

/* ---- notes ---- */

static void notes_add(struct notes *notes, void (*call)(struct manager *, void *), const void *data,
                      size_t len)
{
    if (notes->n == notes->room) {
        size_t room = notes->room ? 2 * notes->room : 64;
        struct note *at = realloc(notes->at, room * sizeof *at);
        if (at == NULL) {
            abort(); /* going on without the way back would let model and store differ */
        }
        notes->at = at;
        notes->room = room;
    }
    void *copy = malloc(len > 0 ? len : 1);
    if (copy == NULL) {
        abort();
    }
    if (len > 0) {
        memcpy(copy, data, len);
    }
    notes->at[notes->n++] = (struct note){call, copy};
}

static void notes_cut(struct notes *notes, size_t mark)
{
    while (notes->n > mark) {
        free(notes->at[--notes->n].data);
    }
}

/* Newest first; a call may not add notes. */
static void notes_undo(struct manager *m, struct notes *notes, size_t mark)
{
    while (notes->n > mark) {
        struct note note = notes->at[--notes->n];
        note.call(m, note.data);
        free(note.data);
    }
}

void manager_undo(struct manager *m, void (*undo)(struct manager *, void *), const void *data,
                  size_t len)
{
    notes_add(&m->core->undo, undo, data, len);
}

void manager_after(struct manager *m, void (*after)(struct manager *, void *), const void *data,
                   size_t len)
{
    notes_add(&m->core->after, after, data, len);
}

void manager_fail(struct manager *m)
{
    m->core->unit_failed = true;
}

/* ---- units and batches ---- */

static void set_state(struct manager *m, enum amm_store_result state)
{
    struct core *core = m->core;
    if (state == core->state) {
        return;
    }
    core->state = state;
    if (state == AMM_STORE_OK) {
        amm_log(AMM_LOG_INFO, "store-ok", amm_field_text("text", "writing works again"));
        return;
    }
    amm_log(AMM_LOG_ERROR, "store-refuses", amm_field_text("state", amm_store_result_name(state)),
            amm_field_text("text", amm_store_error(m->store)));
    manager_timer_set(m, &core->probe, amm_time_after(m->now.mono, PROBE_EVERY));
}

/* All of the batch is gone, in the store already: the model follows, and nobody is told that
 * something was saved. */
static void batch_lost(struct manager *m, enum amm_store_result why)
{
    struct core *core = m->core;
    amm_store_rollback(m->store);
    core->counters.lost++;
    notes_undo(m, &core->undo, 0);
    notes_cut(&core->after, 0);
    if (m->fleet != NULL) {
        fleet_rollback(m->fleet, 0);
    }
    set_state(m, why);
    for (struct job *job = core->answered; job != NULL; job = job_part(job)->next) {
        job_lose(job);
    }
    for (struct job *job = core->deferred; job != NULL; job = job_part(job)->next) {
        job_lose(job);
    }
}

static enum amm_store_result last_failure(const struct manager *m)
{
    return m->core->state != AMM_STORE_OK ? m->core->state : AMM_STORE_FAILED;
}

static void unit_begin(struct manager *m)
{
    struct core *core = m->core;
    if (!amm_store_in_transaction(m->store)) {
        amm_store_begin(m->store); /* nothing can be done about a failure: the unit's end tells */
    }
    amm_store_savepoint(m->store);
    core->undo_mark = core->undo.n;
    core->after_mark = core->after.n;
    core->fleet_mark = m->fleet != NULL ? fleet_mark(m->fleet) : 0;
    core->unit_failed = false;
    core->in_unit = true;
    core->counters.units++;
}

static bool unit_end(struct manager *m)
{
    struct core *core = m->core;
    bool kept = !core->unit_failed;
    core->in_unit = false;
    core->counters.failed += !kept;
    if (!amm_store_in_transaction(m->store)) {
        enum amm_store_result why = amm_store_failure(m->store);
        batch_lost(m, why != AMM_STORE_OK ? why : last_failure(m));
        return false;
    }
    if (kept) {
        enum amm_store_result result = amm_store_release(m->store);
        if (result != AMM_STORE_OK) {
            batch_lost(m, result);
        }
        return result == AMM_STORE_OK;
    }
    amm_store_back(m->store);
    notes_undo(m, &core->undo, core->undo_mark);
    notes_cut(&core->after, core->after_mark);
    if (m->fleet != NULL) {
        fleet_rollback(m->fleet, core->fleet_mark);
    }
    return false;
}

bool core_unit_split(struct manager *m)
{
    bool kept = unit_end(m);
    unit_begin(m);
    return kept;
}

void core_answered(struct manager *m, struct job *job)
{
    struct core *core = m->core;
    job_part(job)->next = NULL;
    *core->answered_last = job;
    core->answered_last = &job_part(job)->next;
}

void core_deferred(struct manager *m, struct job *job)
{
    job_part(job)->next = m->core->deferred;
    m->core->deferred = job;
}

/* What waits for the commit; each may add to the notes (for the next batch's end). */
static void run_after(struct manager *m)
{
    struct notes notes = m->core->after;
    m->core->after = (struct notes){0};
    for (size_t i = 0; i < notes.n; i++) {
        notes.at[i].call(m, notes.at[i].data);
        free(notes.at[i].data);
    }
    free(notes.at);
}

static void send_answers(struct manager *m)
{
    struct core *core = m->core;
    struct job *job = core->answered;
    core->answered = core->deferred = NULL;
    core->answered_last = &core->answered;
    while (job != NULL) {
        struct job *next = job_part(job)->next;
        job_send(job);
        job = next;
    }
}

static bool batch_end(struct manager *m)
{
    struct core *core = m->core;
    bool kept = true;
    if (amm_store_in_transaction(m->store)) {
        enum amm_store_result result = amm_store_commit(m->store);
        kept = result == AMM_STORE_OK;
        core->counters.batches++;
        if (!kept) {
            batch_lost(m, result);
        }
    }
    if (kept) {
        notes_cut(&core->undo, 0);
        if (m->fleet != NULL) {
            fleet_committed(m->fleet);
        }
        run_after(m);
    }
    send_answers(m);
    return kept;
}

static bool run_unit(struct manager *m, void (*run)(struct manager *m, void *context),
                     void *context)
{
    unit_begin(m);
    run(m, context);
    return unit_end(m);
}

bool core_unit(struct manager *m, void (*run)(struct manager *m, void *context), void *context)
{
    m->now = amm_now();
    bool kept = run_unit(m, run, context);
    return batch_end(m) && kept;
}

enum amm_store_result manager_store_state(const struct manager *m)
{
    return m->core->state;
}

/* ---- the store's state, and its log ---- */

static void probe_ended(struct manager *m, void *data)
{
    (void)data;
    set_state(m, AMM_STORE_OK);
}

/* A small write: when its commit is through, there is space again. */
static void probe(struct manager *m, struct manager_timer *timer)
{
    (void)timer;
    if (m->core->state == AMM_STORE_OK) {
        return;
    }
    manager_timer_set(m, &m->core->probe, amm_time_after(m->now.mono, PROBE_EVERY));
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)m->now.wall);
    if (amm_store_run(m->store, AMM_SQL_META_SET, AMM_WITH(amm_text("probe"), amm_text(text))) ==
        AMM_STORE_OK) {
        manager_after(m, probe_ended, NULL, 0);
    } else {
        manager_fail(m);
    }
}

static void checkpoint_work(void *context)
{
    const struct manager *m = context;
    char error[AMM_STORE_ERROR];
    struct amm_store_settings settings = {.database = m->config->database};
    if (!amm_store_checkpoint(&settings, error)) {
        amm_log(AMM_LOG_WARNING, "checkpoint-failed", amm_field_text("text", error));
    }
}

static void checkpoint_done(struct manager *m, void *context)
{
    (void)context;
    m->core->checkpoint_runs = false;
}

/* In a worker, so that the fleet thread does not wait for the disk twice. */
static void checkpoint(struct manager *m, struct manager_timer *timer)
{
    struct core *core = m->core;
    manager_timer_set(m, timer, amm_time_after(m->now.mono, CHECKPOINT_EVERY));
    if (!core->checkpoint_runs && core->counters.batches != core->checkpointed) {
        core->checkpointed = core->counters.batches;
        core->checkpoint_runs = manager_work(m, checkpoint_work, checkpoint_done, m);
    }
}

/* ---- queue ---- */

static void wake(struct core *core)
{
    uint64_t one = 1;
    if (write(core->wake, &one, sizeof one) < 0) {
        /* EAGAIN: it is awake. */
    }
}

bool core_queue(struct core *core, struct core_item *item, enum core_lane which, unsigned limit)
{
    struct lane *lane = &core->lanes[which];
    item->next = NULL;
    pthread_mutex_lock(&core->lock);
    bool room = limit == 0 || lane->waiting < limit;
    bool was_empty = lane->first == NULL;
    if (room) {
        *lane->last = item;
        lane->last = &item->next;
        lane->waiting++;
    }
    pthread_mutex_unlock(&core->lock);
    if (room && was_empty) {
        wake(core);
    }
    return room;
}

/* Takes at most BATCH_MAX items off a lane. */
static struct core_item *take(struct core *core, struct lane *lane, bool *more)
{
    pthread_mutex_lock(&core->lock);
    struct core_item *first = lane->first, **end = &lane->first;
    unsigned n = 0;
    while (*end != NULL && n < BATCH_MAX) {
        end = &(*end)->next;
        n++;
    }
    struct core_item *rest = *end;
    *end = NULL;
    lane->first = rest;
    if (rest == NULL) {
        lane->last = &lane->first;
    }
    lane->waiting -= n;
    *more |= rest != NULL;
    pthread_mutex_unlock(&core->lock);
    return n > 0 ? first : NULL;
}

static void run_items(struct manager *m, struct core_item *item)
{
    while (item != NULL) {
        struct core_item *next = item->next;
        bool is_own = item->is_own;
        run_unit(m, item->run, item->context); /* a job may be gone behind this */
        if (is_own) {
            free(item);
        }
        item = next;
    }
}

void manager_post(struct manager *m, void (*run)(struct manager *m, void *context), void *context)
{
    struct core_item *item = malloc(sizeof *item);
    if (item == NULL) {
        abort(); /* whoever posts has no way to do without */
    }
    *item = (struct core_item){.run = run, .context = context, .is_own = true};
    core_queue(m->core, item, CORE_URGENT, 0);
}

bool manager_work(struct manager *m, void (*work)(void *context),
                  void (*done)(struct manager *m, void *context), void *context)
{
    return m->core->workers != NULL && workers_add(m->core->workers, work, done, context);
}

/* ---- timers and descriptors ---- */

void manager_timer_set(struct manager *m, struct manager_timer *timer, amm_time at)
{
    if (!timers_set(&m->core->timers, timer, at)) {
        abort(); /* a timer that is forgotten stops a part of the manager for ever */
    }
}

static void fire(struct manager *m, void *context)
{
    struct manager_timer *timer = context;
    timer->fire(m, timer);
}

bool manager_watch_add(struct manager *m, struct manager_watch *watch, unsigned interest)
{
    struct core *core = m->core;
    uint32_t slot = 0;
    while (slot < core->n_slots && core->slots[slot].watch != NULL) {
        slot++;
    }
    if (slot == core->n_slots) {
        struct watch_slot *slots = realloc(core->slots, (slot + 1) * sizeof *slots);
        if (slots == NULL) {
            return false;
        }
        core->slots = slots;
        core->slots[slot] = (struct watch_slot){0};
        core->n_slots++;
    }
    uint64_t tag = (uint64_t)++core->slots[slot].generation << 32 | slot;
    if (!amm_loop_add(core->loop, watch->fd, interest, tag)) {
        return false;
    }
    watch->number = slot;
    core->slots[slot].watch = watch;
    return true;
}

bool manager_watch_change(struct manager *m, struct manager_watch *watch, unsigned interest)
{
    uint64_t tag = (uint64_t)m->core->slots[watch->number].generation << 32 | watch->number;
    return amm_loop_change(m->core->loop, watch->fd, interest, tag);
}

void manager_watch_remove(struct manager *m, struct manager_watch *watch)
{
    amm_loop_remove(m->core->loop, watch->fd);
    m->core->slots[watch->number].watch = NULL;
}

struct watch_call {
    struct manager_watch *watch;
    const struct amm_ready *ready;
};

static void call_watch(struct manager *m, void *context)
{
    struct watch_call *call = context;
    call->watch->ready(m, call->watch, call->ready);
}

static void run_ready(struct manager *m, const struct amm_ready *ready)
{
    struct core *core = m->core;
    if (ready->tag == WAKE_TAG) {
        uint64_t ignored;
        if (read(core->wake, &ignored, sizeof ignored) < 0) {
            /* EAGAIN: nothing to take. */
        }
        return;
    }
    uint32_t slot = (uint32_t)ready->tag;
    if (slot < core->n_slots && core->slots[slot].watch != NULL &&
        core->slots[slot].generation == ready->tag >> 32) {
        struct watch_call call = {core->slots[slot].watch, ready};
        run_unit(m, call_watch, &call);
    }
}

/* ---- life ---- */

static bool run_batch(struct manager *m, const struct amm_ready *ready, unsigned n)
{
    struct core *core = m->core;
    bool more = false;
    m->now = amm_now();
    for (unsigned i = 0; i < n; i++) {
        run_ready(m, &ready[i]);
    }
    struct manager_timer *timer;
    for (unsigned i = 0;
         i < BATCH_MAX && (timer = timers_expire(&core->timers, m->now.mono)) != NULL; i++) {
        run_unit(m, fire, timer); /* more than that, or one that is set for now again, comes next */
    }
    for (unsigned lane = 0; lane < CORE_LANES; lane++) {
        run_items(m, take(core, &core->lanes[lane], &more));
    }
    batch_end(m);
    return more;
}

bool core_step(struct manager *m, bool wait)
{
    struct amm_ready ready[AMM_LOOP_READY];
    amm_time deadline = wait ? timers_deadline(&m->core->timers) : 0;
    return run_batch(m, ready, amm_loop_wait(m->core->loop, deadline, ready));
}

void core_run(struct manager *m)
{
    struct core *core = m->core;
    m->now = amm_now();
    manager_timer_set(m, &core->checkpoint, amm_time_after(m->now.mono, CHECKPOINT_EVERY));
    for (bool more = false; !atomic_load(&core->stopped);) {
        more = core_step(m, !more);
    }
    /* What has been taken is brought to an end. */
    core->workers = workers_free(core->workers);
    while (core_step(m, false)) {
    }
}

void core_stop(struct core *core)
{
    atomic_store(&core->stopped, true);
    wake(core);
}

void core_counters(const struct core *core, struct core_counters *out)
{
    *out = core->counters;
    for (unsigned lane = 0; lane < CORE_LANES; lane++) {
        out->waiting[lane] = core->lanes[lane].waiting; /* a torn view of a gauge is good enough */
    }
}

struct core *core_new(struct manager *m)
{
    struct core *core = calloc(1, sizeof *core);
    if (core == NULL) {
        return NULL;
    }
    pthread_mutex_init(&core->lock, NULL);
    for (unsigned lane = 0; lane < CORE_LANES; lane++) {
        core->lanes[lane].last = &core->lanes[lane].first;
    }
    core->answered_last = &core->answered;
    core->probe.fire = probe;
    core->checkpoint.fire = checkpoint;
    core->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    core->loop = amm_loop_new();
    core->workers = workers_new(m, m->config->workers, WORKERS_WAITING);
    if (core->wake < 0 || core->loop == NULL || core->workers == NULL ||
        !amm_loop_add(core->loop, core->wake, AMM_READ, WAKE_TAG)) {
        return core_free(core);
    }
    return core;
}

struct core *core_free(struct core *core)
{
    if (core == NULL) {
        return NULL;
    }
    workers_free(core->workers);
    for (unsigned lane = 0; lane < CORE_LANES; lane++) {
        for (struct core_item *item = core->lanes[lane].first, *next; item != NULL; item = next) {
            next = item->next;
            bool is_own = item->is_own;
            if (item->drop != NULL) {
                item->drop(item->context);
            }
            if (is_own) {
                free(item);
            }
        }
    }
    notes_cut(&core->undo, 0);
    notes_cut(&core->after, 0);
    free(core->undo.at);
    free(core->after.at);
    timers_deinit(&core->timers);
    free(core->slots);
    amm_loop_free(core->loop);
    if (core->wake >= 0) {
        close(core->wake);
    }
    pthread_mutex_destroy(&core->lock);
    free(core);
    return NULL;
}
