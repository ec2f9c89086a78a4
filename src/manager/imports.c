/* Imports: the list, the store, what is shown of them. */
#include "imports_parts.h"

#include "io/log.h"
#include "manager/fleet_module.h"
#include "manager/stream.h"
#include "sheet/jail.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TICK = 60, NEVER_APPLIED = 7 * 86400, KEPT = 90 * 86400 };
#define TELL_EVERY (250 * AMM_MILLISECOND)

static struct import *first;
static int helper = -1;
static struct manager_timer tick;

/* ---- names ---- */

const char *import_state_name(enum import_state state)
{
    static const char *const names[IMPORT_STATES] = {"reading", "mapping", "ready",  "applying",
                                                     "applied", "held",    "undone", "failed"};
    return names[state];
}

const char *import_phase_name(enum import_phase phase)
{
    static const char *const names[PHASES] = {"none",  "reading", "judging", "rows",
                                              "moves", "undoing", "removing"};
    return names[phase];
}

const char *import_verdict_name(enum import_verdict verdict)
{
    static const char *const names[VERDICTS] = {"none", "change", "new", "same", "check", "bad"};
    return names[verdict];
}

const char *import_row_state_name(enum row_state state)
{
    static const char *const names[ROW_STATES] = {"none",    "waiting", "applied", "failed",
                                                  "undoing", "undone",  "conflict"};
    return names[state];
}

const char *import_move_name(enum row_move move)
{
    static const char *const names[MOVES] = {"none",    "waiting", "waiting",
                                             "ordered", "back",    "failed"};
    return names[move];
}

/* ---- the list ---- */

struct import *import_first(struct manager *m)
{
    (void)m;
    return first;
}

struct import *import_find(struct manager *m, int64_t id)
{
    (void)m;
    struct import *import = first;
    while (import != NULL && import->id != id) {
        import = import->next;
    }
    return import;
}

static void import_free(struct manager *m, struct import *import)
{
    import_read_drop(m, import);
    import_check_drop(import);
    manager_timer_set(m, &import->timer, AMM_NEVER);
    free(import->columns);
    free(import);
}

static void forget(struct manager *m, struct import *import)
{
    struct import **at = &first;
    while (*at != import) {
        at = &(*at)->next;
    }
    *at = import->next;
    import_free(m, import);
}

void import_gone(struct manager *m, int64_t id)
{
    struct import *import = import_find(m, id);
    if (import != NULL) {
        forget(m, import);
    }
}

/* ---- the store ---- */

static char *figures_to_text(const struct import *import)
{
    json_t *list = json_array();
    for (size_t i = 0; i < import->n_ports; i++) {
        const struct import_port *port = &import->ports[i];
        json_array_append_new(list, json_pack("[i,i,i,i,i,i]", port->port, port->now, port->in,
                                              port->out, port->limit, port->left));
    }
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    return text;
}

static void figures_of_text(struct import *import, const char *text)
{
    json_t *list = json_loads(text, 0, NULL);
    size_t i;
    json_t *item;
    import->n_ports = 0;
    json_array_foreach(list, i, item)
    {
        int n[6] = {0};
        if (i < PLACES_PORTS_MAX &&
            json_unpack(item, "[i,i,i,i,i,i]", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]) == 0) {
            import->ports[import->n_ports++] =
                (struct import_port){(uint16_t)n[0], (uint32_t)n[1], (uint32_t)n[2],
                                     (uint32_t)n[3], (uint32_t)n[4], (uint32_t)n[5]};
        }
    }
    json_decref(list);
}

static bool text_of_column(const struct amm_rows *rows, unsigned column, char **out)
{
    struct amm_view view = amm_rows_view(rows, column);
    *out = strndup((const char *)view.data, view.len);
    return *out != NULL;
}

/* What the store has of it; what is only in memory stays. */
static bool take_row(const struct amm_rows *rows, struct import *import)
{
    char *mapping = NULL, *figures = NULL;
    bool ok = text_of_column(rows, 10, &mapping) && text_of_column(rows, 11, &figures);
    import->id = amm_rows_number(rows, 0);
    import->tenant = amm_rows_number(rows, 1);
    import->group = amm_rows_number(rows, 2);
    amm_rows_text(rows, 3, import->filename, sizeof import->filename);
    amm_rows_text(rows, 4, import->actor_name, sizeof import->actor_name);
    import->created_at = amm_rows_number(rows, 5);
    import->changed_at = amm_rows_number(rows, 6);
    import->state = (enum import_state)amm_rows_number(rows, 7);
    import->phase = (enum import_phase)amm_rows_number(rows, 8);
    amm_rows_text(rows, 9, import->text, sizeof import->text);
    import->options = (unsigned)amm_rows_number(rows, 12);
    import->stage = (uint32_t)amm_rows_number(rows, 13);
    import->undo_until = amm_rows_number(rows, 14);
    ok = ok && import_columns_of_text(import, mapping);
    if (ok) {
        figures_of_text(import, figures);
    }
    free(mapping);
    free(figures);
    return ok;
}

static void count_by(struct manager *m, enum amm_statement statement, int64_t id, uint32_t *out,
                     size_t n)
{
    struct amm_rows *rows = amm_store_query(m->store, statement, AMM_WITH(amm_number(id)));
    memset(out, 0, n * sizeof *out);
    while (amm_rows_next(rows)) {
        int64_t kind = amm_rows_number(rows, 0);
        if (kind >= 0 && (size_t)kind < n) {
            out[kind] = (uint32_t)amm_rows_number(rows, 1);
        }
    }
    amm_rows_end(rows);
}

void import_count(struct manager *m, struct import *import)
{
    count_by(m, AMM_SQL_IMPORT_COUNT_VERDICTS, import->id, import->verdicts, VERDICTS);
    count_by(m, AMM_SQL_IMPORT_COUNT_STATES, import->id, import->rows, ROW_STATES);
    count_by(m, AMM_SQL_IMPORT_COUNT_MOVES, import->id, import->moves, MOVES);
    import->n_rows = 0;
    for (size_t i = 0; i < VERDICTS; i++) {
        import->n_rows += import->verdicts[i];
    }
}

/* The unit was rolled back: as the store has it; what it never had is gone. */
static void read_again(struct manager *m, void *data)
{
    int64_t id = *(int64_t *)data;
    struct import *import = import_find(m, id);
    if (import == NULL) {
        return;
    }
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_IMPORT_ONE, AMM_WITH(amm_number(id)));
    bool is_there = amm_rows_next(rows);
    if (is_there) {
        take_row(rows, import);
    }
    amm_rows_end(rows);
    if (is_there) {
        import_count(m, import);
        import_check_drop(import);
    } else {
        forget(m, import);
    }
}

bool import_save(struct manager *m, struct import *import)
{
    char *mapping = import_columns_to_text(import), *figures = figures_to_text(import);
    bool ok = mapping != NULL && figures != NULL;
    manager_undo(m, read_again, &import->id, sizeof import->id);
    import->changed_at = m->now.wall;
    ok = ok && amm_store_run(m->store, AMM_SQL_IMPORT_SAVE,
                             AMM_WITH(amm_text(import->actor_name), amm_number(import->changed_at),
                                      amm_number(import->state), amm_number(import->phase),
                                      amm_text(import->text), amm_text(mapping), amm_text(figures),
                                      amm_number(import->options), amm_number(import->stage),
                                      amm_number(import->undo_until), amm_number(import->id),
                                      amm_number(import->tenant))) == AMM_STORE_OK;
    free(mapping);
    free(figures);
    return ok;
}

bool import_turn(struct manager *m, struct import *import, enum import_state state,
                 enum import_phase phase, const char *text)
{
    import->state = state;
    import->phase = phase;
    import->done = import->of = 0;
    if (text != NULL) {
        snprintf(import->text, sizeof import->text, "%s", text);
    }
    if (!import_save(m, import)) {
        manager_fail(m);
        return false;
    }
    import_count(m, import);
    import_tell(m, import, true);
    return true;
}

static struct import *import_new(void)
{
    return calloc(1, sizeof(struct import));
}

static void append(struct import *import)
{
    struct import **at = &first;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = import;
}

struct import *import_add(struct manager *m, const struct import *what)
{
    struct import *import = import_new();
    int64_t id;
    if (import == NULL ||
        amm_store_number(
            m->store, AMM_SQL_IMPORT_ADD,
            AMM_WITH(amm_number(what->tenant), amm_number(what->group), amm_text(what->filename),
                     amm_text(what->actor_name), amm_number(m->now.wall), amm_number(m->now.wall),
                     amm_number(IMPORT_READING), amm_number(PHASE_READ), amm_text(""),
                     amm_text("[]"), amm_text("[]"), amm_number(0), amm_number(0), amm_number(0)),
            &id) != AMM_STORE_OK) {
        free(import);
        return NULL;
    }
    *import = *what;
    import->id = id;
    import->created_at = import->changed_at = m->now.wall;
    import->state = IMPORT_READING;
    import->phase = PHASE_READ;
    append(import);
    manager_undo(m, read_again, &id, sizeof id);
    return import;
}

/* ---- showing ---- */

static json_t *ports_to_json(const struct import *import)
{
    json_t *list = json_array();
    for (size_t i = 0; i < import->n_ports; i++) {
        const struct import_port *port = &import->ports[i];
        json_array_append_new(list, json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "port",
                                              port->port, "now", port->now, "in", port->in, "out",
                                              port->out, "after", port->now + port->in - port->out,
                                              "limit", port->limit, "free_for_you", port->left));
    }
    return list;
}

static json_t *rows_to_json(const struct import *import)
{
    const uint32_t *n = import->verdicts;
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "total", import->n_rows,
                     "good", n[VERDICT_CHANGE] + n[VERDICT_NEW] + n[VERDICT_CHECK], "bad",
                     n[VERDICT_BAD], "unchanged", n[VERDICT_SAME], "change", n[VERDICT_CHANGE],
                     "new", n[VERDICT_NEW], "check", n[VERDICT_CHECK], "applied",
                     import->rows[ROW_APPLIED], "failed", import->rows[ROW_FAILED], "conflicts",
                     import->rows[ROW_CONFLICT]);
}

json_t *import_to_json(struct manager *m, const struct import *import)
{
    const uint32_t *moves = import->moves;
    (void)m;
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:o, s:o, s:o}", "id",
                  job_json_id(import->id), "tenant", job_json_id(import->tenant), "group",
                  job_json_id(import->group), "filename", import->filename, "state",
                  import_state_name(import->state), "phase", import_phase_name(import->phase), "by",
                  import->actor_name, "at", (json_int_t)import->created_at, "changed_at",
                  (json_int_t)import->changed_at, "text", import->text, "columns",
                  import_columns_to_json(import), "rows", rows_to_json(import), "ports",
                  ports_to_json(import));
    if (json == NULL) {
        return NULL;
    }
    json_object_set_new(json, "progress",
                        json_pack("{s:i, s:i}", "done", import->done, "of", import->of));
    json_object_set_new(json, "moves",
                        json_pack("{s:i, s:i, s:i, s:i, s:i}", "stage", import->stage, "done",
                                  moves[MOVE_ORDERED] + moves[MOVE_BACK] + moves[MOVE_FAILED],
                                  "back", moves[MOVE_BACK], "failed", moves[MOVE_FAILED], "waiting",
                                  moves[MOVE_WAITING] + moves[MOVE_NEXT]));
    json_object_set_new(json, "only_good", json_boolean(import->options & OPTION_ONLY_GOOD));
    json_object_set_new(json, "create_unknown", json_boolean(import->options & OPTION_CREATE));
    json_object_set_new(json, "undo_until",
                        import->undo_until != 0 ? json_integer((json_int_t)import->undo_until)
                                                : json_null());
    return json;
}

void import_tell(struct manager *m, struct import *import, bool now)
{
    struct access_object place = {import->tenant, import->group};
    if ((!now && m->now.mono < amm_time_after(import->told_at, TELL_EVERY)) ||
        !stream_is_heard(m)) {
        return;
    }
    import->told_at = m->now.mono;
    stream_publish(m, &place, "import", import_to_json(m, import));
}

/* ---- the module ---- */

int import_helper(void)
{
    return helper;
}

bool imports_start_reader(const char *program, char *error, size_t room)
{
    helper = amm_sheet_start(program, error, room);
    return helper >= 0;
}

/* amm-sheet stands beside ammd; in a build tree, in the folder of its own. Without it everything
 * else works: an upload says why it does not. */
static bool prepare(struct manager *m, char *error, size_t room)
{
    char self[400], path[440];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    (void)m;
    (void)error;
    (void)room;
    if (len <= 0) {
        return true;
    }
    self[len] = '\0';
    const char *folder = dirname(self);
    char why[256] = "";
    for (size_t i = 0; i < 2 && helper < 0; i++) {
        snprintf(path, sizeof path, i == 0 ? "%s/amm-sheet" : "%s/../sheet/amm-sheet", folder);
        imports_start_reader(path, why, sizeof why);
    }
    if (helper < 0) {
        amm_log(AMM_LOG_WARNING, "no-sheet-reader", amm_field_text("text", why));
    }
    return true;
}

/* Also what nobody has come back to; the rows go piece by piece. */
static void expire(struct manager *m, struct manager_timer *timer)
{
    manager_timer_set(m, timer, amm_time_after(m->now.mono, TICK * AMM_SECOND));
    if (manager_store_state(m) != AMM_STORE_OK) {
        return;
    }
    for (struct import *import = first; import != NULL; import = import->next) {
        bool is_idle = import->phase == PHASE_NONE;
        int64_t age = m->now.wall - import->changed_at;
        bool was_applied = import->undo_until != 0;
        if (is_idle && age > (was_applied ? KEPT : NEVER_APPLIED) &&
            import_turn(m, import, import->state, PHASE_DROP, NULL)) {
            import_go(m, import);
            return;
        }
    }
}

/* What was under way before the restart. */
static bool go_on(struct manager *m, struct import *import)
{
    switch (import->phase) {
    case PHASE_READ:
        return import_turn(m, import, IMPORT_FAILED, PHASE_NONE,
                           "The server was restarted while it read the sheet. Upload it again.");
    case PHASE_JUDGE:
        import->options &= ~(unsigned)OPTION_APPLY;
        return import_turn(m, import, IMPORT_MAPPING, PHASE_NONE,
                           "The server was restarted while it checked the sheet. Check the columns "
                           "and go on; nothing was changed.");
    case PHASE_ROWS:
    case PHASE_UNDO:
    case PHASE_MOVES:
    case PHASE_DROP:
        import_go(m, import);
        return true;
    case PHASE_NONE:
    case PHASES:
        return true;
    }
    return true;
}

static bool load(struct manager *m)
{
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_IMPORT_ALL, AMM_WITHOUT);
    bool ok = true;
    while (ok && amm_rows_next(rows)) {
        struct import *import = import_new();
        ok = import != NULL && take_row(rows, import);
        if (ok) {
            append(import);
        } else {
            free(import);
        }
    }
    return amm_rows_end(rows) == AMM_STORE_OK && ok;
}

static bool start(struct manager *m, char *error, size_t room)
{
    if (!load(m)) {
        snprintf(error, room, "imports: %s", amm_store_error(m->store));
        return false;
    }
    for (struct import *import = first; import != NULL; import = import->next) {
        import_count(m, import);
        if (!go_on(m, import)) {
            snprintf(error, room, "imports: %s", amm_store_error(m->store));
            return false;
        }
    }
    tick = (struct manager_timer){.fire = expire};
    manager_timer_set(m, &tick, amm_time_after(m->now.mono, TICK * AMM_SECOND));
    return true;
}

static void stop(struct manager *m)
{
    manager_timer_set(m, &tick, AMM_NEVER);
    while (first != NULL) {
        forget(m, first);
    }
    if (helper >= 0) {
        close(helper);
        helper = -1;
    }
}

const struct manager_module imports_module = {
    .name = "imports", .prepare = prepare, .start = start, .stop = stop};
