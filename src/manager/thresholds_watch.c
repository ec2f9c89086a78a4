/* When gateways are looked at, and what follows. */
#include "thresholds_parts.h"

#include "events.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    AT_ONCE = 256,           /* gateways of one unit */
    SWEEP_SECONDS = 60,      /* all are looked at for what only time changes */
    HURRY_AT_ONCE = 2000,    /* the same when a definition has changed */
    COST_AT_ONCE = 20000000, /* steps of patterns in one unit: about 50 ms */
    INTERESTING = FLEET_CREATED | FLEET_DELETED | FLEET_MOVED | FLEET_ACCESS | FLEET_CHECKED_IN |
                  FLEET_VALUES | FLEET_TUNNEL | FLEET_EDITED,
};

/* ---- one gateway ---- */

/* Records of a unit that is undone are read again. */
static void undone(struct manager *m, void *data)
{
    threshold_standing_reload(m, *(const int64_t *)data);
}

static const char *kind_of(enum threshold_state state)
{
    return state == THRESHOLD_ERROR     ? "threshold-error"
           : state == THRESHOLD_WARNING ? "threshold-warning"
                                        : "threshold-ok";
}

static bool save_state(struct thresholds *t, const struct fleet_gateway *gateway,
                       const struct threshold_record *record)
{
    enum amm_store_result result =
        record->state == THRESHOLD_OK
            ? amm_store_run(t->m->store, AMM_SQL_THRESHOLD_STATE_DROP,
                            AMM_WITH(amm_number(gateway->id), amm_number(record->threshold)))
            : amm_store_run(t->m->store, AMM_SQL_THRESHOLD_STATE_SET,
                            AMM_WITH(amm_number(gateway->id), amm_number(record->threshold),
                                     amm_number(record->state), amm_number(record->since)));
    return result == AMM_STORE_OK;
}

/* A gateway whose value swings raises no more events than any other may (event_may_keep); its state
 * is right all the same. */
static bool raise_event(struct thresholds *t, struct fleet_gateway *gateway,
                        const struct threshold *threshold, const struct threshold_cell *cell,
                        enum threshold_state state)
{
    char text[300], id[24];
    t->raised++;
    if (!event_may_keep(t->m->fleet, gateway, t->m->now)) {
        return true;
    }
    threshold_text(threshold, cell, state, text, sizeof text);
    snprintf(id, sizeof id, "%lld", (long long)threshold->id);
    json_t *data = json_pack("{s:s, s:s}", "threshold", id, "state", threshold_state_name(state));
    bool good = event_add(t->m->fleet, gateway, kind_of(state), text, data, t->m->now.wall);
    json_decref(data);
    return good;
}

static struct threshold_record *record_for(struct thresholds *t, int64_t gateway, int64_t threshold)
{
    struct threshold_standing *standing = threshold_standing_of(t, gateway, true);
    struct threshold_record *record = threshold_record_of(standing, threshold);
    if (standing == NULL || record != NULL) {
        return record;
    }
    if (standing->n == standing->room) {
        uint32_t room = standing->room + 2;
        struct threshold_record *bigger = realloc(standing->at, room * sizeof *bigger);
        if (bigger == NULL) {
            return NULL;
        }
        standing->at = bigger;
        standing->room = room;
    }
    record = &standing->at[standing->n++];
    *record = (struct threshold_record){
        .threshold = threshold, .state = THRESHOLD_OK, .pending_at = AMM_NEVER};
    return record;
}

/* Judges one threshold. Nothing is kept of a gateway that is simply OK and stays so. */
static bool judge(struct thresholds *t, struct fleet_gateway *gateway,
                  const struct threshold *threshold, size_t *cost, bool *is_undoable)
{
    struct threshold_cell cell;
    struct threshold_record *record =
        threshold_record_of(threshold_standing_of(t, gateway->id, false), threshold->id);
    if (threshold->warning.op == OP_NONE && threshold->error.op == OP_NONE && record == NULL) {
        return true;
    }
    threshold_cell(threshold, gateway, t->m->now.wall, &cell);
    *cost += threshold_cost(threshold, &cell);
    if (cell.says == STAT_KEEPS) {
        return true;
    }
    enum threshold_state judged =
        threshold_judge(threshold, &cell, record ? record->state : THRESHOLD_OK);
    if (record == NULL && judged <= THRESHOLD_OK) {
        return true;
    }
    if (!*is_undoable) {
        manager_undo(t->m, undone, &gateway->id, sizeof gateway->id);
        *is_undoable = true;
    }
    record = record ? record : record_for(t, gateway->id, threshold->id);
    if (record == NULL) {
        return true; /* out of memory: the next look tries again */
    }
    bool was_pending = record->pending_at != AMM_NEVER;
    bool has_changed = threshold_step(threshold, record, judged, t->m->now);
    t->n_pending += (record->pending_at != AMM_NEVER) - was_pending;
    return !has_changed || (save_state(t, gateway, record) &&
                            raise_event(t, gateway, threshold, &cell, record->state));
}

static bool is_among(const struct threshold **list, size_t n, int64_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i]->id == id) {
            return true;
        }
    }
    return false;
}

/* Records that say nothing any more, or whose threshold does not reach the gateway any more. */
static bool tidy(struct thresholds *t, const struct fleet_gateway *gateway,
                 const struct threshold **list, size_t n)
{
    struct threshold_standing *standing = threshold_standing_of(t, gateway->id, false);
    uint32_t kept = 0;
    for (uint32_t i = 0; standing != NULL && i < standing->n; i++) {
        struct threshold_record *record = &standing->at[i];
        bool is_mine = is_among(list, n, record->threshold);
        if (is_mine && (record->state != THRESHOLD_OK || record->pending_at != AMM_NEVER)) {
            standing->at[kept++] = *record;
            continue;
        }
        t->n_pending -= record->pending_at != AMM_NEVER;
        if (!is_mine && record->state != THRESHOLD_OK) {
            manager_undo(t->m, undone, &gateway->id, sizeof gateway->id);
            record->state = THRESHOLD_OK;
            if (!save_state(t, gateway, record)) {
                return false;
            }
        }
    }
    if (standing != NULL) {
        standing->n = kept;
        if (kept == 0) {
            threshold_standing_drop(t, gateway->id);
        }
    }
    return true;
}

/* False: the store refused; the unit is to be undone. */
static bool look_at(struct thresholds *t, struct fleet_gateway *gateway, size_t *cost)
{
    const struct threshold *list[THRESHOLDS_REACHING];
    size_t n = thresholds_reaching(t, gateway->group, gateway, list);
    bool is_undoable = false;
    t->judged++;
    for (size_t i = 0; i < n; i++) {
        if (!judge(t, gateway, list[i], cost, &is_undoable)) {
            return false;
        }
    }
    if (!tidy(t, gateway, list, n)) {
        return false;
    }
    uint8_t before = gateway->alarm;
    threshold_show_worst(t, gateway);
    if (gateway->alarm != before) {
        fleet_touch(t->m->fleet, gateway, FLEET_EVENTS); /* browsers get its new row */
    }
    return true;
}

/* ---- those that have changed ---- */

static void look_at_due(struct manager *m, void *context);

static void post(struct thresholds *t)
{
    if (!t->is_posted) {
        t->is_posted = true;
        manager_post(t->m, look_at_due, t);
    }
}

static void look_at_due(struct manager *m, void *context)
{
    struct thresholds *t = context;
    size_t cost = 0;
    t->is_posted = false;
    if (manager_store_state(m) != AMM_STORE_OK) {
        return; /* the tick goes on with them */
    }
    for (size_t i = 0; i < AT_ONCE && t->n_due > 0 && cost < COST_AT_ONCE; i++) {
        struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, t->due[--t->n_due]);
        if (gateway == NULL) {
            continue;
        }
        gateway->threshold_due = false;
        if (!look_at(t, gateway, &cost)) {
            manager_fail(m); /* the sweep comes by again */
            return;
        }
    }
    if (t->n_due > 0) {
        post(t);
    }
}

/* Behind a commit: nothing may be written here. */
static void fleet_changed(void *context, const struct fleet_note *note)
{
    struct thresholds *t = ((struct manager *)context)->thresholds;
    if (t == NULL || (note->changes & INTERESTING) == 0) {
        return;
    }
    if (note->gateway_id == 0) {
        thresholds_look_at_all(t);
        return;
    }
    struct fleet_gateway *gateway = fleet_gateway_find(t->m->fleet, note->gateway_id);
    if (gateway == NULL) {
        threshold_standing_drop(t, note->gateway_id);
        return;
    }
    if (gateway->threshold_due) {
        return;
    }
    if (t->n_due == t->due_room) {
        size_t room = t->due_room ? 2 * t->due_room : 64;
        int64_t *bigger = realloc(t->due, room * sizeof *bigger);
        if (bigger == NULL) {
            return; /* the sweep finds it */
        }
        t->due = bigger;
        t->due_room = room;
    }
    gateway->threshold_due = true;
    t->due[t->n_due++] = gateway->id;
    post(t);
}

/* ---- all of them ---- */

void thresholds_look_at_all(struct thresholds *t)
{
    t->sweep_left = fleet_gateway_count(t->m->fleet);
}

/* Some of those whose hold time runs, so that it is right to a few seconds. */
static bool look_at_pending(struct thresholds *t, size_t *cost)
{
    for (uint32_t i = 0; t->n_pending > 0 && i < t->standings.slots && *cost < COST_AT_ONCE; i++) {
        const struct threshold_standing *standing = t->standings.items[i];
        bool is_pending = false;
        for (uint32_t k = 0; standing != NULL && k < standing->n; k++) {
            is_pending |= standing->at[k].pending_at != AMM_NEVER;
        }
        struct fleet_gateway *gateway =
            is_pending ? fleet_gateway_find(t->m->fleet, standing->gateway) : NULL;
        *cost += 100;
        if (gateway != NULL && !look_at(t, gateway, cost)) {
            return false;
        }
    }
    return true;
}

static bool sweep(struct thresholds *t, size_t *cost)
{
    size_t n = fleet_gateway_count(t->m->fleet), most = n / SWEEP_SECONDS + 1;
    if (t->sweep_left > 0) {
        most = HURRY_AT_ONCE;
    }
    for (size_t i = 0; i < most && i < n && *cost < COST_AT_ONCE; i++) {
        t->sweep_at = t->sweep_at + 1 < n ? t->sweep_at + 1 : 0;
        t->sweep_left -= t->sweep_left > 0;
        if (!look_at(t, fleet_gateway_at(t->m->fleet, t->sweep_at), cost)) {
            return false;
        }
    }
    return true;
}

static void tick(struct manager *m, struct manager_timer *timer)
{
    struct thresholds *t = timer->context;
    size_t cost = 0;
    if (++t->ticks % SWEEP_SECONDS == 0) {
        thresholds_purge(t);
    }
    bool can_write = manager_store_state(m) == AMM_STORE_OK;
    if (can_write && (!sweep(t, &cost) || !look_at_pending(t, &cost))) {
        manager_fail(m);
    }
    if (can_write && t->n_due > 0) {
        post(t);
    }
    amm_duration pause = t->sweep_left > 0 && can_write ? AMM_SECOND / 20 : AMM_SECOND;
    manager_timer_set(m, timer, amm_time_after(m->now.mono, pause));
}

bool thresholds_watch_start(struct thresholds *t)
{
    fleet_watch(t->m->fleet, fleet_changed, t->m);
    t->tick = (struct manager_timer){.fire = tick, .context = t};
    manager_timer_set(t->m, &t->tick, amm_time_after(t->m->now.mono, AMM_SECOND));
    return true;
}
