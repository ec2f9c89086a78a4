/* Applying the rows of an import, and undoing them: one row a unit. */
#include "imports_parts.h"

#include "domain/msci.h"
#include "manager/fleet_parts.h"
#include "parameters.h"

#include <stdio.h>
#include <stdlib.h>

/* A row as the store has it. */
struct stored_row {
    uint32_t number;
    int64_t gateway;
    enum row_move move;
    uint32_t move_to;
    json_t *was, *became; /* objects */
    uint8_t *bytes;       /* malloc'd */
    struct amm_sheet_cell cells[AMM_SHEET_COLUMNS];
    struct amm_sheet_row row;
};

const char *import_by(const struct import *import, char out[ACTOR_NAME_MAX + 40])
{
    snprintf(out, ACTOR_NAME_MAX + 40, "%s (import %lld)", import->actor_name,
             (long long)import->id);
    return out;
}

enum step import_refused(struct import *import, uint32_t row, const char *text, int status)
{
    if (status == 503 || status == 507) {
        return STEP_STORE;
    }
    import->failed_row = row;
    snprintf(import->failed_text, sizeof import->failed_text, "%s", text);
    return STEP_FAILED;
}

static json_t *object_of(const struct amm_rows *rows, unsigned column)
{
    struct amm_view text = amm_rows_view(rows, column);
    json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);
    return json != NULL ? json : json_object();
}

/* The first row in that state; NULL: there is none, or (*ok false) the store said no. */
static struct stored_row *next_row(struct manager *m, const struct import *import,
                                   enum row_state state, bool *ok)
{
    struct stored_row *row = NULL;
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_IMPORT_ROW_NEXT,
                                            AMM_WITH(amm_number(import->id), amm_number(state)));
    *ok = true;
    if (amm_rows_next(rows)) {
        struct amm_view bytes = amm_rows_view(rows, 1);
        row = calloc(1, sizeof *row);
        *ok = row != NULL && (row->bytes = malloc(bytes.len + 1)) != NULL;
        if (*ok) {
            memcpy(row->bytes, bytes.data, bytes.len);
            row->number = (uint32_t)amm_rows_number(rows, 0);
            row->gateway = amm_rows_number(rows, 3);
            row->was = object_of(rows, 4);
            row->became = object_of(rows, 5);
            row->move = (enum row_move)amm_rows_number(rows, 6);
            row->move_to = (uint32_t)amm_rows_number(rows, 7);
            *ok = amm_sheet_row_decode(amm_view(row->bytes, bytes.len), row->cells, &row->row);
        }
    }
    *ok = amm_rows_end(rows) == AMM_STORE_OK && *ok;
    return row;
}

static void drop_row(struct stored_row *row)
{
    if (row != NULL) {
        json_decref(row->was);
        json_decref(row->became);
        free(row->bytes);
        free(row);
    }
}

static bool write_row(struct manager *m, const struct import *import, const struct stored_row *row,
                      enum row_state state, const char *text)
{
    char *was = json_dumps(row->was, JSON_COMPACT), *became = json_dumps(row->became, JSON_COMPACT);
    bool ok = was != NULL && became != NULL &&
              amm_store_run(m->store, AMM_SQL_IMPORT_ROW_DONE,
                            AMM_WITH(amm_number(state), amm_number(row->gateway), amm_text(text),
                                     amm_number(row->move), amm_text(was), amm_text(became),
                                     amm_number(row->move_to), amm_number(import->id),
                                     amm_number(row->number))) == AMM_STORE_OK;
    free(was);
    free(became);
    return ok;
}

/* ---- what stands in a gateway now, for comparing and for going back ---- */

/* Its own setting; NULL: it has none (a template's or the page's word is not its own). */
static const char *own_setting(const struct fleet_gateway *gateway, uint32_t id)
{
    const struct fleet_desired *desired = fleet_settings_find(&gateway->desired, (uint16_t)id);
    return desired != NULL && !desired->local ? desired->value : NULL;
}

/* "serial", "note", "kind", "group", or an MSCIID. A new reference. */
static json_t *value_now(const struct fleet_gateway *gateway, const char *key)
{
    if (strcmp(key, "serial") == 0) {
        return json_string(gateway->serial);
    }
    if (strcmp(key, "note") == 0) {
        return json_string(gateway->note);
    }
    if (strcmp(key, "kind") == 0) {
        return json_integer(gateway->kind);
    }
    if (strcmp(key, "group") == 0) {
        return json_integer((json_int_t)gateway->group->id);
    }
    const char *own = own_setting(gateway, (uint32_t)strtoul(key, NULL, 10));
    return own != NULL ? json_string(own) : json_null();
}

static void note_all(const struct import_plan *plan, const struct fleet_gateway *gateway,
                     json_t *out)
{
    static const char *const fields[] = {"serial", "note", "kind", "group"};
    const bool wanted[] = {plan->sets_serial, plan->note != NULL, plan->sets_kind,
                           plan->group != NULL};
    const char *key;
    json_t *value;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (wanted[i]) {
            json_object_set_new(out, fields[i], value_now(gateway, fields[i]));
        }
    }
    json_object_foreach(plan->values, key, value)
    {
        json_object_set_new(out, key, value_now(gateway, key));
    }
}

/* ---- one row ---- */

static bool create(struct manager *m, struct import_plan *plan, struct stored_row *row,
                   struct fleet_error *error)
{
    struct fleet_gateway_new what = {plan->group, plan->name, plan->serial, plan->note, plan->kind};
    plan->gateway = fleet_gateway_add(m->fleet, &what, m->now.wall, error);
    if (plan->gateway == NULL) {
        return false;
    }
    json_object_set_new(row->was, "created", json_true());
    plan->note = NULL;
    plan->group = NULL;
    plan->sets_kind = plan->sets_serial = false;
    return true;
}

static bool change(struct manager *m, const struct import *import, struct import_plan *plan,
                   struct fleet_error *error)
{
    struct fleet_gateway *gateway = plan->gateway;
    char by[ACTOR_NAME_MAX + 40];
    bool edits = plan->sets_serial || plan->sets_kind || plan->note != NULL;
    return (!edits ||
            fleet_gateway_edit(m->fleet, gateway, plan->sets_serial ? plan->serial : NULL,
                               plan->note, plan->sets_kind ? &plan->kind : NULL, error)) &&
           (plan->group == NULL || fleet_gateway_move(m->fleet, gateway, plan->group, error)) &&
           (plan->values == NULL || parameters_set(m->fleet, gateway, plan->values,
                                                   import_by(import, by), m->now.wall, error));
}

static void plan_move(const struct import_plan *plan, struct stored_row *row)
{
    row->move = plan->is_move ? MOVE_WAITING : MOVE_NONE;
    row->move_to = plan->port;
    if (plan->is_move) {
        json_object_set_new(row->was, "move", json_integer(plan->gateway->tunnel.port));
        json_object_set_new(row->became, "move", json_integer(plan->port));
    }
}

static enum step apply_row(struct manager *m, struct import *import, struct stored_row *row)
{
    struct import_plan plan;
    struct fleet_error error = {0};
    enum step result = STEP_DONE;
    if (!import_plan(m, import, NULL, &row->row, &plan)) {
        result = STEP_STORE;
    } else if (plan.verdict == VERDICT_BAD) {
        result = import_refused(import, row->number, plan.text, 409);
    } else if (plan.verdict == VERDICT_NEW && !(import->options & OPTION_CREATE)) {
        result = import_refused(import, row->number, "The gateway is gone.", 409);
    } else {
        bool is_new = plan.gateway == NULL;
        if (!is_new) {
            note_all(&plan, plan.gateway, row->was);
        }
        bool ok = (!is_new || create(m, &plan, row, &error)) && change(m, import, &plan, &error);
        if (ok) {
            plan_move(&plan, row);
            note_all(&plan, plan.gateway, row->became);
            row->gateway = plan.gateway->id;
            result = write_row(m, import, row, ROW_APPLIED, plan.text) ? STEP_DONE : STEP_STORE;
        } else {
            result = import_refused(import, row->number, error.text, error.status);
        }
    }
    import_plan_deinit(&plan);
    return result;
}

enum step import_apply_step(struct manager *m, struct import *import)
{
    bool ok;
    struct stored_row *row = next_row(m, import, ROW_TODO, &ok);
    enum step result = !ok ? STEP_STORE : row == NULL ? STEP_NONE : apply_row(m, import, row);
    drop_row(row);
    return result;
}

/* ---- undoing ---- */

static void say_conflict(char *text, size_t room, const char *key)
{
    size_t len = strlen(text);
    snprintf(text + len, room - len, "%s%s was changed since and stays.", len > 0 ? " " : "", key);
}

static bool put_back(struct manager *m, const struct import *import, struct fleet_gateway *gateway,
                     const char *key, const json_t *value, struct fleet_error *error)
{
    char by[ACTOR_NAME_MAX + 40];
    if (strcmp(key, "serial") == 0) {
        return fleet_gateway_edit(m->fleet, gateway, json_string_value(value), NULL, NULL, error);
    }
    if (strcmp(key, "note") == 0) {
        return fleet_gateway_edit(m->fleet, gateway, NULL, json_string_value(value), NULL, error);
    }
    if (strcmp(key, "kind") == 0) {
        enum fleet_kind kind = (enum fleet_kind)json_integer_value(value);
        return fleet_gateway_edit(m->fleet, gateway, NULL, NULL, &kind, error);
    }
    if (strcmp(key, "group") == 0) {
        struct fleet_group *group =
            fleet_branch_find(m->fleet, import->tenant, json_integer_value(value));
        return group != NULL ? fleet_gateway_move(m->fleet, gateway, group, error)
                             : fleet_refuse(error, 409, "gone", "group", "Its group is gone.");
    }
    json_t *values = json_pack("{s:O}", key, value);
    const struct amm_msci *msci = amm_msci_find((uint32_t)strtoul(key, NULL, 10));
    struct amm_msci_value text;
    if (json_is_string(value) && msci != NULL) { /* numbers are stored as text */
        snprintf(text.text, sizeof text.text, "%s", json_string_value(value));
        json_object_set_new(
            values, key, msci->is_secret ? json_string(text.text) : amm_msci_to_json(msci, &text));
    }
    bool ok = parameters_set(m->fleet, gateway, values, import_by(import, by), m->now.wall, error);
    json_decref(values);
    return ok;
}

/* One that has come to life since is not taken away with its certificate and its history. */
static bool undo_create(struct manager *m, struct fleet_gateway *gateway, char *text, size_t room,
                        struct fleet_error *error)
{
    if (gateway->access != FLEET_NEW || gateway->first_checkin != 0) {
        snprintf(text, room, "The gateway has enrolled since and stays.");
        return true;
    }
    return fleet_gateway_remove(m->fleet, gateway, error);
}

/* A move that was ordered is ordered back, in stages like any other. */
static void undo_move(const struct fleet_gateway *gateway, struct stored_row *row, char *text,
                      size_t room)
{
    char became[16];
    const char *own = own_setting(gateway, AMM_MSCI_TUNNEL_PORT);
    bool was_ordered = row->move == MOVE_ORDERED || row->move == MOVE_BACK;
    uint32_t to = (uint32_t)json_integer_value(json_object_get(row->was, "move"));
    snprintf(became, sizeof became, "%lld",
             (long long)json_integer_value(json_object_get(row->became, "move")));
    row->move = MOVE_NONE;
    if (was_ordered && own != NULL && strcmp(own, became) == 0) {
        row->move = MOVE_WAITING;
        row->move_to = to;
    } else if (was_ordered) {
        say_conflict(text, room, "10034");
    }
}

static bool undo_values(struct manager *m, const struct import *import,
                        struct fleet_gateway *gateway, struct stored_row *row, char *text,
                        size_t room, struct fleet_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(row->was, key, value)
    {
        if (strcmp(key, "move") == 0) {
            continue;
        }
        json_t *now = value_now(gateway, key);
        bool is_ours = json_equal(now, json_object_get(row->became, key));
        json_decref(now);
        if (!is_ours) {
            say_conflict(text, room, key);
        } else if (!put_back(m, import, gateway, key, value, error)) {
            return false;
        }
    }
    return true;
}

static enum step undo_row(struct manager *m, struct import *import, struct stored_row *row)
{
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, row->gateway);
    struct fleet_error error = {0};
    char text[IMPORT_TEXT] = "";
    bool ok = true;
    if (gateway == NULL) {
        snprintf(text, sizeof text, "The gateway is gone.");
    } else if (json_is_true(json_object_get(row->was, "created"))) {
        ok = undo_create(m, gateway, text, sizeof text, &error);
    } else {
        ok = undo_values(m, import, gateway, row, text, sizeof text, &error);
        if (json_object_get(row->was, "move") != NULL) {
            undo_move(gateway, row, text, sizeof text);
        }
    }
    if (!ok) {
        return import_refused(import, row->number, error.text, error.status);
    }
    return write_row(m, import, row, text[0] != '\0' ? ROW_CONFLICT : ROW_UNDONE, text)
               ? STEP_DONE
               : STEP_STORE;
}

enum step import_undo_step(struct manager *m, struct import *import)
{
    bool ok;
    struct stored_row *row = next_row(m, import, ROW_UNDO, &ok);
    enum step result = !ok ? STEP_STORE : row == NULL ? STEP_NONE : undo_row(m, import, row);
    drop_row(row);
    return result;
}

/* ---- beginnings and ends ---- */

static bool set_states(struct manager *m, const struct import *import, enum row_state from,
                       enum row_state to)
{
    return amm_store_run(m->store, AMM_SQL_IMPORT_ROWS_STATE,
                         AMM_WITH(amm_number(to), amm_number(import->id), amm_number(from))) ==
           AMM_STORE_OK;
}

bool import_apply_begin(struct manager *m, struct import *import)
{
    static const enum import_verdict good[] = {VERDICT_CHANGE, VERDICT_CHECK, VERDICT_NEW};
    size_t n = import->options & OPTION_CREATE ? 3 : 2;
    for (size_t i = 0; i < n; i++) {
        if (amm_store_run(m->store, AMM_SQL_IMPORT_ROWS_BEGIN,
                          AMM_WITH(amm_number(ROW_TODO), amm_number(import->id),
                                   amm_number(good[i]))) != AMM_STORE_OK) {
            return false;
        }
    }
    import->stage = 0;
    import->undo_until = m->now.wall + IMPORT_UNDO;
    if (!import_turn(m, import, IMPORT_APPLYING, PHASE_ROWS, "")) {
        return false;
    }
    import->of = import->rows[ROW_TODO];
    return true;
}

bool import_undo_begin(struct manager *m, struct import *import)
{
    bool ok =
        set_states(m, import, ROW_TODO, ROW_IDLE) && set_states(m, import, ROW_APPLIED, ROW_UNDO);
    import->options |= OPTION_UNDOING;
    import->stage = 0;
    import->failed_row = 0;
    if (!ok || !import_turn(m, import, IMPORT_APPLYING, PHASE_UNDO, NULL)) {
        return false;
    }
    import->of = import->rows[ROW_UNDO];
    return true;
}

bool import_step_failed(struct manager *m, struct import *import)
{
    bool is_undo = import->phase == PHASE_UNDO;
    if (amm_store_run(m->store, AMM_SQL_IMPORT_ROW_STATE,
                      AMM_WITH(amm_number(is_undo ? ROW_CONFLICT : ROW_FAILED),
                               amm_text(import->failed_text), amm_number(import->id),
                               amm_number(import->failed_row))) != AMM_STORE_OK) {
        return false;
    }
    if (is_undo || import->options & OPTION_ONLY_GOOD) {
        return true;
    }
    snprintf(import->text, sizeof import->text,
             "Row %u could not be done, so nothing of the sheet is: %.300s", import->failed_row,
             import->failed_text);
    import->options |= OPTION_ROLLBACK;
    return import_undo_begin(m, import);
}

void import_rows_end(struct manager *m, struct import *import)
{
    bool is_undo = import->options & OPTION_UNDOING;
    import_count(m, import);
    if (import->moves[MOVE_WAITING] + import->moves[MOVE_NEXT] > 0) {
        import_turn(m, import, IMPORT_APPLYING, PHASE_MOVES, NULL);
        return;
    }
    enum import_state state = import->options & OPTION_ROLLBACK ? IMPORT_FAILED
                              : is_undo                         ? IMPORT_UNDONE
                                                                : IMPORT_APPLIED;
    if (is_undo) {
        import->undo_until = 0;
    }
    import_turn(m, import, state, PHASE_NONE, NULL);
}
