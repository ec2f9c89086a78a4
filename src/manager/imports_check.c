/* Judging all rows of a sheet, 500 a unit: a verdict for each, gateways that are named twice,
 * places per port. */
#include "imports_parts.h"

#include "base/siphash.h"
#include "manager/tunnel_parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIECE = 500, FIRST_SLOTS = 1024 };

/* Which row has named a gateway first: open addressing, at most half full. Keys are hashes of 64
 * bits under a key that nobody outside knows. */
struct import_seen {
    struct amm_siphash_key key;
    uint32_t n, slots;
    struct {
        uint64_t hash;
        uint32_t row; /* 0: free */
    } * at;
};

void import_check_drop(struct import *import)
{
    if (import->seen != NULL) {
        free(import->seen->at);
        free(import->seen);
        import->seen = NULL;
    }
}

static struct import_seen *seen_new(struct manager *m)
{
    struct import_seen *seen = calloc(1, sizeof *seen);
    if (seen != NULL) {
        amm_random_fill(&m->random, &seen->key, sizeof seen->key);
    }
    return seen;
}

static bool seen_grow(struct import_seen *seen)
{
    struct import_seen old = *seen;
    seen->slots = old.slots != 0 ? 2 * old.slots : FIRST_SLOTS;
    seen->at = calloc(seen->slots, sizeof *seen->at);
    if (seen->at == NULL) {
        *seen = old;
        return false;
    }
    for (uint32_t i = 0; i < old.slots; i++) {
        uint32_t to = (uint32_t)old.at[i].hash & (seen->slots - 1);
        while (old.at[i].row != 0 && seen->at[to].row != 0) {
            to = (to + 1) & (seen->slots - 1);
        }
        if (old.at[i].row != 0) {
            seen->at[to].hash = old.at[i].hash;
            seen->at[to].row = old.at[i].row;
        }
    }
    free(old.at);
    return true;
}

/* The row that has named it before, or 0 (and from now on `row` has). */
static bool seen_before(struct import_seen *seen, const char *what, uint32_t row, uint32_t *before)
{
    uint64_t hash = amm_siphash(&seen->key, what, strlen(what));
    *before = 0;
    if (2 * (seen->n + 1) > seen->slots && !seen_grow(seen)) {
        return false;
    }
    uint32_t to = (uint32_t)hash & (seen->slots - 1);
    for (; seen->at[to].row != 0; to = (to + 1) & (seen->slots - 1)) {
        if (seen->at[to].hash == hash) {
            *before = seen->at[to].row;
            return true;
        }
    }
    seen->at[to].hash = hash;
    seen->at[to].row = row;
    seen->n++;
    return true;
}

/* ---- one row ---- */

/* The first row counts, whatever is in the second: nobody knows which of the two is meant. */
static bool check_twice(struct import *import, struct import_plan *plan, uint32_t row)
{
    char key[FLEET_NAME_MAX + 2];
    uint32_t before, other = 0;
    if (plan->gateway != NULL) {
        snprintf(key, sizeof key, "g%lld", (long long)plan->gateway->id);
    } else if (plan->name[0] != '\0') {
        snprintf(key, sizeof key, "n%s", plan->name);
    } else {
        return true;
    }
    if (!seen_before(import->seen, key, row, &before)) {
        return false;
    }
    if (plan->gateway == NULL && plan->serial[0] != '\0') {
        snprintf(key, sizeof key, "s%s", plan->serial);
        if (!seen_before(import->seen, key, row, &other)) {
            return false;
        }
    }
    before = before != 0 ? before : other;
    if (before != 0) {
        size_t len = strlen(plan->text);
        snprintf(plan->text + len, sizeof plan->text - len,
                 "%sSame gateway as row %u. Keep one of the two.", len > 0 ? " " : "", before);
        plan->verdict = VERDICT_BAD;
    }
    return true;
}

static struct import_port *port_of(struct import *import, uint32_t port)
{
    for (size_t i = 0; i < import->n_ports; i++) {
        if (import->ports[i].port == port) {
            return &import->ports[i];
        }
    }
    return NULL;
}

/* It takes a place on another port than the one, or two, that it has. */
static void count_places(struct import *import, const struct import_plan *plan)
{
    struct import_port *to = port_of(import, plan->port);
    const struct fleet_gateway *gateway = plan->gateway;
    if (to == NULL || plan->verdict == VERDICT_BAD || plan->verdict == VERDICT_SAME ||
        (gateway != NULL &&
         (gateway->tunnel.port == plan->port || gateway->tunnel.move_port == plan->port))) {
        return;
    }
    struct import_port *from = gateway != NULL ? port_of(import, gateway->tunnel.port) : NULL;
    to->in++;
    if (from != NULL) {
        from->out++;
    }
}

static bool judge_row(struct manager *m, struct import *import, const struct amm_sheet_row *row)
{
    struct import_plan plan;
    const struct actor *actor = import->actor.kind != ACTOR_NOBODY ? &import->actor : NULL;
    bool ok = import_plan(m, import, actor, row, &plan) && check_twice(import, &plan, row->number);
    char *detail = ok ? json_dumps(plan.cells, JSON_COMPACT) : NULL;
    if (detail != NULL) {
        count_places(import, &plan);
        bool has_port = plan.verdict != VERDICT_BAD && plan.verdict != VERDICT_SAME;
        ok = amm_store_run(m->store, AMM_SQL_IMPORT_ROW_JUDGE,
                           AMM_WITH(amm_number(plan.verdict),
                                    amm_number(plan.gateway != NULL ? plan.gateway->id : 0),
                                    amm_text(detail), amm_text(plan.text),
                                    amm_number(has_port ? plan.port : 0), amm_number(ROW_IDLE),
                                    amm_number(import->id), amm_number(row->number))) ==
             AMM_STORE_OK;
    }
    free(detail);
    import_plan_deinit(&plan);
    return ok && detail != NULL;
}

/* ---- all of them ---- */

uint32_t import_places_of(struct manager *m, int64_t tenant, uint32_t port)
{
    uint32_t n = 0;
    for (size_t i = 0; i < fleet_gateway_count(m->fleet); i++) {
        const struct fleet_gateway *gateway = fleet_gateway_at(m->fleet, i);
        n += gateway->group->tenant->id == tenant &&
             (gateway->tunnel.port == port || gateway->tunnel.move_port == port);
    }
    return n;
}

static void take_ports(struct manager *m, struct import *import)
{
    const struct places *places = m->tunnel != NULL ? m->tunnel->places : NULL;
    import->n_ports = 0;
    for (size_t i = 0; places != NULL && i < places_count(places); i++) {
        const struct places_port *port = places_at(places, i);
        import->ports[import->n_ports++] =
            (struct import_port){.port = port->port,
                                 .now = import_places_of(m, import->tenant, port->port),
                                 .limit = port->limit,
                                 .left = places_left(places, port->port)};
    }
}

bool import_check_begin(struct manager *m, struct import *import, const struct actor *actor)
{
    import_check_drop(import);
    import->seen = seen_new(m);
    import->cursor = 0;
    import->actor = *actor;
    take_ports(m, import);
    if (import->seen == NULL) {
        manager_fail(m);
        return false;
    }
    enum import_state state = import->options & OPTION_APPLY ? IMPORT_APPLYING : IMPORT_READING;
    if (!import_turn(m, import, state, PHASE_JUDGE, "")) {
        return false;
    }
    import->of = import->n_rows;
    return true;
}

/* Too many for a port: none of them goes there, and they learn why in the tenant's own numbers. */
static bool refuse_ports(struct manager *m, struct import *import)
{
    for (size_t i = 0; i < import->n_ports; i++) {
        const struct import_port *port = &import->ports[i];
        uint64_t room = (uint64_t)port->left + port->out;
        char text[IMPORT_TEXT];
        if (port->in <= room) {
            continue;
        }
        snprintf(text, sizeof text,
                 "Port %u has %u places for all. Your gateways have %u of them now, %u are free "
                 "for you; this sheet takes %u away and brings %u: %llu too many.",
                 port->port, port->limit, port->now, port->left, port->out, port->in,
                 (unsigned long long)(port->in - room));
        if (amm_store_run(m->store, AMM_SQL_IMPORT_ROW_REFUSE_PORT,
                          AMM_WITH(amm_number(VERDICT_BAD), amm_text(text), amm_number(import->id),
                                   amm_number(port->port))) != AMM_STORE_OK) {
            return false;
        }
    }
    return true;
}

static void check_end(struct manager *m, struct import *import)
{
    bool applies = import->options & OPTION_APPLY;
    import_check_drop(import);
    if (!refuse_ports(m, import)) {
        manager_fail(m);
        return;
    }
    import->options &= ~(unsigned)OPTION_APPLY;
    if (!applies) {
        import_turn(m, import, IMPORT_READY, PHASE_NONE, "");
        return;
    }
    import_count(m, import);
    if (import->verdicts[VERDICT_BAD] > 0 && !(import->options & OPTION_ONLY_GOOD)) {
        char text[160];
        snprintf(text, sizeof text,
                 "Nothing was changed: %u rows are refused. Correct them, or apply only the good "
                 "ones.",
                 import->verdicts[VERDICT_BAD]);
        import_turn(m, import, IMPORT_READY, PHASE_NONE, text);
    } else if (!import_apply_begin(m, import)) {
        manager_fail(m);
    }
}

/* A piece was undone: the table of what was seen is ahead of the store. From the first row again.
 */
static void begin_again(struct manager *m, void *data)
{
    struct import *import = import_find(m, *(int64_t *)data);
    if (import != NULL && import->phase == PHASE_JUDGE) {
        import_check_drop(import);
        import->cursor = import->done = 0;
        import->seen = seen_new(m);
        take_ports(m, import);
    }
}

void import_check_step(struct manager *m, struct import *import)
{
    struct amm_sheet_cell cells[AMM_SHEET_COLUMNS];
    uint32_t n = 0;
    bool ok = import->seen != NULL;
    manager_undo(m, begin_again, &import->id, sizeof import->id);
    struct amm_rows *rows = amm_store_query(
        m->store, AMM_SQL_IMPORT_ROWS,
        AMM_WITH(amm_number(import->id), amm_number(import->cursor), amm_number(PIECE)));
    while (ok && amm_rows_next(rows)) {
        struct amm_sheet_row row;
        ok =
            amm_sheet_row_decode(amm_rows_view(rows, 1), cells, &row) && judge_row(m, import, &row);
        import->cursor = (uint32_t)amm_rows_number(rows, 0);
        n++;
    }
    ok = amm_rows_end(rows) == AMM_STORE_OK && ok;
    import->done += n;
    if (!ok) {
        manager_fail(m);
    } else if (n < PIECE) {
        check_end(m, import);
    } else {
        import_tell(m, import, false);
    }
}
