/* Changes of tunnel ports, in stages: 1, then 10, then 5 % at a time. */
#include "imports_parts.h"

#include "domain/msci.h"
#include "manager/fleet_parts.h"
#include "manager/tunnel.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST = 1, SECOND = 10, SHARE = 20, ENOUGH = 95, LOOKED_AT = 20000, VISITED_MAX = 1000 };

#define VISITED "A remote session is open on it. The move waits until it ends."

static bool write_move(struct manager *m, const struct import *import, uint32_t row,
                       enum row_move move, int64_t at, const char *text)
{
    return amm_store_run(m->store, AMM_SQL_IMPORT_ROW_MOVED,
                         AMM_WITH(amm_number(move), amm_number(at), amm_text(text),
                                  amm_number(import->id), amm_number(row))) == AMM_STORE_OK;
}

/* ---- ordering one ---- */

struct ordered {
    uint32_t row, to, from;
    int64_t gateway, at;
};

static void take_row(const struct amm_rows *rows, struct ordered *out)
{
    struct amm_view text = amm_rows_view(rows, 4);
    json_t *was = json_loadb((const char *)text.data, text.len, 0, NULL);
    *out = (struct ordered){.row = (uint32_t)amm_rows_number(rows, 0),
                            .gateway = amm_rows_number(rows, 1),
                            .to = (uint32_t)amm_rows_number(rows, 2),
                            .at = amm_rows_number(rows, 3),
                            .from = (uint32_t)json_integer_value(json_object_get(was, "move"))};
    json_decref(was);
}

static enum step order(struct manager *m, struct import *import, const struct ordered *move)
{
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, move->gateway);
    struct fleet_error error = {0};
    char by[ACTOR_NAME_MAX + 40];
    if (gateway == NULL) {
        return import_refused(import, move->row, "The gateway is gone.", 404);
    }
    if (import_is_visited(m, gateway)) {
        return import_refused(import, move->row, VISITED, 409);
    }
    /* One that is down cannot show that it is back: it moves, and nobody waits for it. */
    int64_t at = gateway->tunnel.up_port != 0 ? m->now.wall : -m->now.wall;
    bool is_there = gateway->tunnel.port == move->to;
    if (!is_there && !tunnel_move(m, gateway, move->to, import_by(import, by), &error)) {
        return import_refused(import, move->row, error.text, error.status);
    }
    if (!write_move(m, import, move->row, is_there ? MOVE_BACK : MOVE_ORDERED, at, "")) {
        return STEP_STORE;
    }
    import->stage_ordered++;
    import->moves[MOVE_NEXT]--;
    import->moves[is_there ? MOVE_BACK : MOVE_ORDERED]++;
    return STEP_DONE;
}

enum step import_moves_step(struct manager *m, struct import *import)
{
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_IMPORT_MOVES,
                        AMM_WITH(amm_number(import->id), amm_number(MOVE_NEXT), amm_number(1)));
    struct ordered move = {0};
    bool found = amm_rows_next(rows);
    if (found) {
        take_row(rows, &move);
    }
    if (amm_rows_end(rows) != AMM_STORE_OK) {
        return STEP_STORE;
    }
    return found ? order(m, import, &move) : STEP_NONE;
}

/* A place that is not free yet may be so once others have left, and a remote session ends: the row
 * waits for another stage. */
bool import_move_failed(struct manager *m, struct import *import)
{
    bool is_full = strstr(import->failed_text, " is full") != NULL;
    bool is_visited = strcmp(import->failed_text, VISITED) == 0;
    import->stage_blocked += is_full;
    if (!write_move(m, import, import->failed_row,
                    is_full || is_visited ? MOVE_WAITING : MOVE_FAILED, m->now.wall,
                    import->failed_text)) {
        return false;
    }
    import_count(m, import);
    return true;
}

/* ---- who is back ---- */

/* What has become of one that was ordered. MOVE_ORDERED: it is on its way. */
static enum row_move fate(struct manager *m, const struct fleet_gateway *gateway,
                          const struct ordered *move, const char **why)
{
    char desired[AMM_PARAMETER_TEXT_MAX] = "";
    int64_t since = llabs(move->at), now = m->now.wall;
    *why = "";
    if (gateway == NULL) {
        *why = "The gateway is gone.";
        return MOVE_FAILED;
    }
    const struct fleet_tunnel *tunnel = &gateway->tunnel;
    if (tunnel->port == move->to && tunnel->up_port == move->to) {
        return MOVE_BACK;
    }
    bool is_wanted = fleet_effective(gateway, AMM_MSCI_TUNNEL_PORT, desired, sizeof desired) &&
                     strtoul(desired, NULL, 10) == move->to;
    if (!is_wanted) {
        *why = tunnel->last_error != NULL ? tunnel->last_error
                                          : "The move was taken back: 10034 is another one again.";
        return MOVE_FAILED;
    }
    if (move->at < 0 || tunnel->stale) {
        return MOVE_ORDERED;
    }
    if (tunnel->up_port == 0) {
        since = tunnel->since > since ? tunnel->since : since;
        if (now - since > IMPORT_STAGE_WAIT) {
            *why = "It did not come back within 10 min; it is ordered back.";
            return MOVE_FAILED;
        }
    } else if (now - since > IMPORT_STAGE_WAIT + 2 * (int64_t)fleet_interval(gateway)) {
        *why = "It has not taken the order: its check-in has not come.";
        return MOVE_FAILED;
    }
    return MOVE_ORDERED;
}

/* Its old place, if it still has none but the new one. What cannot be done now stays as it is. */
static void order_back(struct manager *m, const struct import *import,
                       struct fleet_gateway *gateway, const struct ordered *move)
{
    char by[ACTOR_NAME_MAX + 40];
    struct fleet_error ignored;
    if (gateway != NULL && gateway->tunnel.up_port == 0 && move->from != 0) {
        tunnel_move(m, gateway, move->from, import_by(import, by), &ignored);
    }
}

static bool look_at_ordered(struct manager *m, struct import *import)
{
    struct amm_rows *rows = amm_store_query(
        m->store, AMM_SQL_IMPORT_MOVES,
        AMM_WITH(amm_number(import->id), amm_number(MOVE_ORDERED), amm_number(LOOKED_AT)));
    bool ok = true, changed = false;
    while (ok && amm_rows_next(rows)) {
        struct ordered move;
        const char *why;
        take_row(rows, &move);
        struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, move.gateway);
        enum row_move now = fate(m, gateway, &move, &why);
        if (now == MOVE_ORDERED) {
            continue;
        }
        ok = write_move(m, import, move.row, now, move.at, why);
        changed = true;
        if (now == MOVE_FAILED && ok) {
            order_back(m, import, gateway, &move);
        }
    }
    ok = amm_rows_end(rows) == AMM_STORE_OK && ok;
    if (ok && changed) {
        import_count(m, import);
        import_tell(m, import, true);
    }
    return ok;
}

static uint32_t since_stage(struct manager *m, const struct import *import, enum row_move move)
{
    int64_t n = 0, from = import->stage_at > 0 ? import->stage_at : 1;
    amm_store_number(m->store, AMM_SQL_IMPORT_MOVES_SINCE,
                     AMM_WITH(amm_number(import->id), amm_number(move), amm_number(from)), &n);
    return (uint32_t)n;
}

/* ---- stages ---- */

static uint32_t stage_size(const struct import *import, uint32_t stage)
{
    uint32_t total = 0;
    for (unsigned i = MOVE_WAITING; i < MOVES; i++) {
        total += import->moves[i];
    }
    uint32_t share = (total + SHARE - 1) / SHARE;
    return stage == 1 ? FIRST : stage == 2 ? SECOND : share > 0 ? share : 1;
}

/* The rows that are to be ordered next: the first that wait and that nobody is on the page of. How
 * many; SIZE_MAX: the store said no. */
static size_t choose(struct manager *m, const struct import *import, uint32_t *out, size_t room)
{
    size_t n = 0;
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_IMPORT_MOVES,
                        AMM_WITH(amm_number(import->id), amm_number(MOVE_WAITING),
                                 amm_number((int64_t)room + VISITED_MAX)));
    while (n < room && amm_rows_next(rows)) {
        const struct fleet_gateway *gateway =
            fleet_gateway_find(m->fleet, amm_rows_number(rows, 1));
        if (gateway == NULL || !import_is_visited(m, gateway)) {
            out[n++] = (uint32_t)amm_rows_number(rows, 0);
        }
    }
    return amm_rows_end(rows) == AMM_STORE_OK ? n : SIZE_MAX;
}

static bool begin_stage(struct manager *m, struct import *import)
{
    uint32_t stage = import->stage + 1;
    size_t room = stage_size(import, stage);
    uint32_t *chosen = calloc(room, sizeof *chosen);
    size_t n = chosen != NULL ? choose(m, import, chosen, room) : SIZE_MAX;
    bool ok = n != SIZE_MAX;
    for (size_t i = 0; ok && i < n; i++) {
        ok = write_move(m, import, chosen[i], MOVE_NEXT, 0, "");
    }
    free(chosen);
    if (!ok || n == 0) {
        return ok; /* somebody is on the page of each of them: again in a second */
    }
    import->stage = stage;
    import->stage_at = m->now.wall;
    import->stage_ordered = import->stage_blocked = 0;
    return import_turn(m, import, IMPORT_APPLYING, PHASE_MOVES, NULL);
}

static bool hold(struct manager *m, struct import *import, uint32_t failed, uint32_t counted)
{
    char text[IMPORT_TEXT];
    if (counted == 0) {
        snprintf(text, sizeof text,
                 "On hold: the ports have no place for the gateways that wait. Make room and go "
                 "on, or undo.");
    } else {
        snprintf(text, sizeof text,
                 "On hold: of %u gateways of stage %u, %u did not come back on their new port. "
                 "Look at these rows, then go on, stop, or undo.",
                 counted, import->stage, failed);
    }
    return import_turn(m, import, IMPORT_HELD, PHASE_MOVES, text);
}

static bool finish(struct manager *m, struct import *import)
{
    bool is_undo = import->options & OPTION_UNDOING;
    if (is_undo) {
        import->undo_until = 0;
    }
    enum import_state state = import->options & OPTION_ROLLBACK ? IMPORT_FAILED
                              : is_undo                         ? IMPORT_UNDONE
                                                                : IMPORT_APPLIED;
    return import_turn(m, import, state, PHASE_NONE, NULL);
}

void import_moves_look(struct manager *m, struct import *import)
{
    bool ok = look_at_ordered(m, import);
    uint32_t ordered = since_stage(m, import, MOVE_ORDERED);
    uint32_t back = since_stage(m, import, MOVE_BACK);
    uint32_t failed = since_stage(m, import, MOVE_FAILED);
    uint32_t counted = ordered + back + failed;
    uint32_t enough = (counted * ENOUGH + 99) / 100;
    if (!ok) {
        manager_fail(m);
        return;
    }
    if (import->moves[MOVE_NEXT] > 0) {
        return; /* the stage is being ordered */
    }
    if (counted - failed < enough) {
        ok = hold(m, import, failed, counted);
    } else if (import->stage > 0 && import->stage_ordered == 0 && import->stage_blocked > 0) {
        ok = hold(m, import, 0, 0);
    } else if (back >= enough) {
        ok = import->moves[MOVE_WAITING] > 0 ? begin_stage(m, import) : finish(m, import);
    }
    if (!ok) {
        manager_fail(m);
    }
}
