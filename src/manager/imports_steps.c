/* Steps: what an import does, unit by unit, between the requests of others. */
#include "imports_parts.h"

#include <stdlib.h>

/* So many rows share a commit; nobody else waits longer than they take. */
enum { STEPS = 200, DROP_PIECE = 5000 };
#define AGAIN AMM_SECOND

static void step(struct manager *m, void *context);

static unsigned steps_of(const struct import *import)
{
    switch (import->phase) {
    case PHASE_JUDGE:
    case PHASE_DROP:
        return 1; /* pieces of their own */
    case PHASE_ROWS:
    case PHASE_UNDO:
    case PHASE_MOVES:
        return STEPS;
    case PHASE_NONE:
    case PHASE_READ:
    case PHASES:
        return 0;
    }
    return 0;
}

static void wake(struct manager *m, struct manager_timer *timer)
{
    struct import *import = timer->context;
    if (manager_store_state(m) != AMM_STORE_OK) {
        manager_timer_set(m, timer, amm_time_after(m->now.mono, AGAIN));
        return;
    }
    if (import->phase == PHASE_MOVES && import->state != IMPORT_HELD) {
        import_moves_look(m, import);
    }
    import_go(m, import);
}

static void wake_later(struct manager *m, struct import *import)
{
    import->timer.fire = wake;
    import->timer.context = import;
    manager_timer_set(m, &import->timer, amm_time_after(m->now.mono, AGAIN));
}

void import_go(struct manager *m, struct import *import)
{
    unsigned n = steps_of(import);
    if (import->in_flight > 0 || n == 0 || import->state == IMPORT_HELD) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        manager_post(m, step, (void *)(intptr_t)import->id);
    }
    import->in_flight = n;
}

/* ---- removing ---- */

static void gone(struct manager *m, void *data)
{
    import_gone(m, *(int64_t *)data);
}

static void drop_step(struct manager *m, struct import *import)
{
    import->cursor += DROP_PIECE;
    bool is_last = import->cursor > AMM_SHEET_ROWS;
    bool ok =
        amm_store_run(m->store, AMM_SQL_IMPORT_ROWS_DROP,
                      AMM_WITH(amm_number(import->id), amm_number(import->cursor))) == AMM_STORE_OK;
    if (ok && is_last) {
        ok = amm_store_run(m->store, AMM_SQL_IMPORT_DROP,
                           AMM_WITH(amm_number(import->id), amm_number(import->tenant))) ==
             AMM_STORE_OK;
        manager_after(m, gone, &import->id, sizeof import->id);
    }
    if (!ok) {
        import->cursor = 0;
        manager_fail(m);
    }
}

/* ---- rows ---- */

/* What a unit did that was undone must not count. */
static void uncount(struct manager *m, void *data)
{
    struct import *import = import_find(m, *(int64_t *)data);
    if (import != NULL) {
        import_count(m, import);
    }
}

static enum step row_step(struct manager *m, struct import *import)
{
    if (import->failed_row != 0) {
        bool ok = import->phase == PHASE_MOVES ? import_move_failed(m, import)
                                               : import_step_failed(m, import);
        import->failed_row = ok ? 0 : import->failed_row;
        return ok ? STEP_DONE : STEP_STORE;
    }
    return import->phase == PHASE_ROWS   ? import_apply_step(m, import)
           : import->phase == PHASE_UNDO ? import_undo_step(m, import)
                                         : import_moves_step(m, import);
}

/* False: the store refuses, so that there is no use in trying again at once. */
static bool take_step(struct manager *m, struct import *import)
{
    manager_undo(m, uncount, &import->id, sizeof import->id);
    enum step result = row_step(m, import);
    switch (result) {
    case STEP_DONE:
        import->done++;
        import_tell(m, import, false);
        break;
    case STEP_NONE:
        if (import->phase == PHASE_MOVES) {
            wake_later(m, import);
        } else {
            import_rows_end(m, import);
        }
        break;
    case STEP_FAILED: /* the next step writes down which, and why */
    case STEP_STORE:
        manager_fail(m);
        break;
    }
    return result != STEP_STORE;
}

static void step(struct manager *m, void *context)
{
    struct import *import = import_find(m, (int64_t)(intptr_t)context);
    if (import == NULL) {
        return;
    }
    enum import_phase before = import->phase;
    bool is_last = --import->in_flight == 0, ok = true;
    if (manager_store_state(m) != AMM_STORE_OK) {
        wake_later(m, import);
        return;
    }
    if (before == PHASE_JUDGE) {
        import_check_step(m, import);
    } else if (before == PHASE_DROP) {
        drop_step(m, import);
    } else if (steps_of(import) > 0 && import->state != IMPORT_HELD) {
        ok = take_step(m, import);
    }
    /* Moves that wait for gateways go on by the timer. */
    bool waits = !ok || (import->phase == PHASE_MOVES && import->moves[MOVE_NEXT] == 0 &&
                         import->failed_row == 0);
    if (is_last && !waits) {
        import_go(m, import);
    } else if (is_last) {
        wake_later(m, import);
    }
}
