/* /api/v1/imports: sheets. */
#include "imports_parts.h"

#include "fleet_module.h"
#include "manager/job.h"
#include "sheet/write.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUSY = 5 };

static bool import_find_object(struct manager *m, int64_t id, struct access_object *out)
{
    const struct import *import = import_find(m, id);
    if (import == NULL || import->phase == PHASE_DROP) {
        return false;
    }
    *out = (struct access_object){import->tenant, import->group};
    return true;
}

static struct import *import_of(const struct job *job)
{
    return import_find(job->m, job->id);
}

static void answer(struct job *job, int status, const struct import *import)
{
    job_json(job, status, import_to_json(job->m, import));
}

static void audit(struct job *job, const struct import *import, const char *what)
{
    char object[IMPORT_FILENAME + 48];
    snprintf(object, sizeof object, "import %lld %s", (long long)import->id, import->filename);
    job_audit(job, import->tenant, object, "%s", what);
}

/* ---- upload ---- */

static const struct field upload_query[] = {
    {"tenant", FIELD_ID, false, 1, 0, NULL, "whose gateways; default: the actor's"},
    {"group", FIELD_ID, false, 0, 0, NULL, "only gateways of this group or below it"},
    {"filename", FIELD_TEXT, false, 1, IMPORT_FILENAME, NULL, "for people"},
    {0}};

/* Where the sheet's gateways stand. Whoever has rights in one group only means that. */
static bool take_place(struct job *job, struct access_object *out)
{
    char text[24];
    const struct actor *actor = &job->actor;
    int64_t tenant = job_query_text(job, "tenant", text, sizeof text) ? strtoll(text, NULL, 10) : 0;
    int64_t group = job_query_text(job, "group", text, sizeof text) ? strtoll(text, NULL, 10) : 0;
    if (tenant == 0 && group == 0 && actor->n_bindings == 1) {
        tenant = actor->bindings[0].tenant;
        group = actor->bindings[0].group;
    }
    if (tenant == 0 && group != 0) {
        const struct fleet_group *named = fleet_group_find(job->m->fleet, group);
        tenant = named != NULL ? named->tenant->id : 0;
    }
    *out = (struct access_object){tenant != 0 ? tenant : actor->tenant, group};
    if (fleet_branch_find(job->m->fleet, out->tenant, out->group) == NULL) {
        job_missing(job, group != 0 ? "group" : "tenant");
        return false;
    }
    return job_demand(job, ACCESS_OPERATE, out, group != 0 ? "group" : "tenant");
}

static bool has_room(struct job *job, int64_t tenant)
{
    unsigned n = 0;
    for (const struct import *import = import_first(job->m); import != NULL;
         import = import->next) {
        n += import->tenant == tenant;
    }
    if (n >= IMPORTS_KEPT) {
        job_error(job, 409, "too-many", NULL,
                  "There are %u imports already: remove some (DELETE /api/v1/imports/{id}).", n);
        return false;
    }
    if (import_reading(job->m) >= IMPORTS_READING) {
        job_retry(job, 503, BUSY, "busy", "Other sheets are being read: try again in a moment.");
        return false;
    }
    return true;
}

static void upload(struct job *job)
{
    struct access_object place;
    struct import what = {0};
    char error[160];
    if (!take_place(job, &place) || !has_room(job, place.tenant)) {
        return;
    }
    if (job->body.len == 0) {
        job_error(job, 400, "empty", NULL, "The body is the sheet: a CSV or XLSX file.");
        return;
    }
    what.tenant = place.tenant;
    what.group = place.group;
    what.actor = job->actor;
    snprintf(what.actor_name, sizeof what.actor_name, "%s", job->actor.name);
    if (!job_query_text(job, "filename", what.filename, sizeof what.filename)) {
        snprintf(what.filename, sizeof what.filename, "sheet");
    }
    struct import *import = import_add(job->m, &what);
    if (import == NULL) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    if (!import_read(job->m, import, job->body, error, sizeof error)) {
        job_error(job, 503, "no-reader", NULL, "%s", error);
        return;
    }
    audit(job, import, "uploaded");
    answer(job, 201, import);
}

/* ---- showing ---- */

static const struct field list_query[] = {
    ROUTE_PAGE, {"tenant", FIELD_ID, false, 1, 0, NULL, "of this tenant only"}, {0}};

/* Newest first. */
static void list(struct job *job)
{
    struct job_page page = job_page(job);
    char text[24];
    int64_t tenant = job_query_text(job, "tenant", text, sizeof text) ? strtoll(text, NULL, 10) : 0;
    json_t *items = json_array();
    int64_t before = page.after != 0 ? page.after : INT64_MAX, last = 0;
    while (json_array_size(items) < page.limit) {
        const struct import *best = NULL;
        for (const struct import *import = import_first(job->m); import != NULL;
             import = import->next) {
            struct access_object place = {import->tenant, import->group};
            if (import->id < before && (tenant == 0 || import->tenant == tenant) &&
                import->phase != PHASE_DROP && job_allows(job, ACCESS_VIEW, &place)) {
                best = import; /* the list is in the order of ids */
            }
        }
        if (best == NULL) {
            last = 0;
            break;
        }
        json_array_append_new(items, import_to_json(job->m, best));
        before = last = best->id;
    }
    job_list(job, items, last);
}

static void show(struct job *job)
{
    answer(job, 200, import_of(job));
}

/* ---- columns ---- */

static const struct field mapping_body[] = {
    {"columns", FIELD_ARRAY, true, 0, AMM_SHEET_COLUMNS, NULL,
     "objects with column (\"C\") and target: an MSCIID or the name of a parameter, serial, name, "
     "group, label, note, kind, or ignore. Columns that are not named stay as they are"},
    {0}};

/* The sheet may be judged (again) so long as nothing of it was applied. */
static bool may_change(struct job *job, const struct import *import)
{
    if (import->phase == PHASE_NONE &&
        (import->state == IMPORT_MAPPING || import->state == IMPORT_READY)) {
        return true;
    }
    job_error(job, 409, "wrong-state", NULL, "The import is %s.",
              import->state == IMPORT_READING ? "being read" : import_state_name(import->state));
    return false;
}

static void map(struct job *job)
{
    struct import *import = import_of(job);
    struct fleet_error error;
    if (!may_change(job, import)) {
        return;
    }
    /* A refusal leaves the columns as they were: written down and read again. */
    if (!import_save(job->m, import)) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    if (!import_map(import, json_object_get(job->input, "columns"), &error)) {
        job_fleet_error(job, &error);
        return;
    }
    snprintf(import->actor_name, sizeof import->actor_name, "%s", job->actor.name);
    import->options = 0;
    if (import_check_begin(job->m, import, &job->actor)) {
        import_go(job->m, import);
        audit(job, import, "columns");
        answer(job, 202, import);
    } else {
        job_store_error(job, AMM_STORE_FAILED);
    }
}

/* ---- rows ---- */

static const struct field rows_query[] = {
    {"verdict", FIELD_CHOICE, false, 0, 0, "all|good|bad|change|new|same|check", "default all"},
    ROUTE_PAGE,
    {0}};

static json_t *cell_to_json(const struct import *import, const json_t *cell)
{
    unsigned column = (unsigned)json_integer_value(json_object_get(cell, "c"));
    char letters[AMM_SHEET_COLUMN_NAME], target[16];
    const char *header = "";
    int32_t means = TARGET_IGNORE;
    for (uint16_t i = 0; i < import->n_columns; i++) {
        if (import->columns[i].column == column) {
            header = import->columns[i].header;
            means = import->columns[i].target;
        }
    }
    json_t *json = json_pack("{s:s, s:s, s:s}", "column", amm_sheet_column(column, letters),
                             "header", header, "target", import_target_name(means, target));
    static const char *const members[] = {"now", "new", "error", "allowed"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *value = json_object_get(cell, members[i]);
        if (value != NULL) {
            json_object_set(json, members[i], value);
        }
    }
    return json;
}

/* Columns as in the statements IMPORT_ROWS_SHOWN. */
static json_t *row_to_json(struct manager *m, const struct import *import,
                           const struct amm_rows *rows)
{
    struct amm_view detail = amm_rows_view(rows, 5);
    char text[IMPORT_TEXT];
    json_t *stored = json_loadb((const char *)detail.data, detail.len, 0, NULL), *cell;
    json_t *cells = json_array();
    size_t i;
    json_array_foreach(stored, i, cell)
    {
        json_array_append_new(cells, cell_to_json(import, cell));
    }
    json_decref(stored);
    amm_rows_text(rows, 2, text, sizeof text);
    int64_t id = amm_rows_number(rows, 3);
    const struct fleet_gateway *gateway = id != 0 ? fleet_gateway_find(m->fleet, id) : NULL;
    return json_pack(
        "{s:I, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "row",
        (json_int_t)amm_rows_number(rows, 0), "gateway", id != 0 ? job_json_id(id) : json_null(),
        "name", gateway != NULL ? gateway->name : "", "serial",
        gateway != NULL ? gateway->serial : "", "verdict",
        import_verdict_name((enum import_verdict)amm_rows_number(rows, 1)), "state",
        import_row_state_name((enum row_state)amm_rows_number(rows, 4)), "move",
        import_move_name((enum row_move)amm_rows_number(rows, 6)), "text", text, "cells", cells);
}

static bool is_wanted(const char *verdict, enum import_verdict is)
{
    return strcmp(verdict, "all") == 0 || strcmp(verdict, import_verdict_name(is)) == 0 ||
           (strcmp(verdict, "good") == 0 &&
            (is == VERDICT_CHANGE || is == VERDICT_NEW || is == VERDICT_CHECK));
}

static struct amm_rows *query_rows(struct manager *m, const struct import *import,
                                   const char *verdict, int64_t after, unsigned limit)
{
    for (unsigned i = VERDICT_CHANGE; i < VERDICTS; i++) {
        if (strcmp(verdict, import_verdict_name(i)) == 0) {
            return amm_store_query(m->store, AMM_SQL_IMPORT_ROWS_SHOWN_OF,
                                   AMM_WITH(amm_number(import->id), amm_number(i),
                                            amm_number(after), amm_number(limit)));
        }
    }
    return amm_store_query(m->store, AMM_SQL_IMPORT_ROWS_SHOWN,
                           AMM_WITH(amm_number(import->id), amm_number(after), amm_number(limit)));
}

/* "good" is three verdicts: it is looked for among all rows, so many at once and no more. */
static void show_rows(struct job *job)
{
    enum { LOOKED_AT = 5000 };
    const struct import *import = import_of(job);
    struct job_page page = job_page(job);
    char verdict[16];
    if (!job_query_text(job, "verdict", verdict, sizeof verdict)) {
        snprintf(verdict, sizeof verdict, "all");
    }
    bool is_mixed = strcmp(verdict, "good") == 0;
    unsigned limit = is_mixed ? LOOKED_AT : page.limit, seen = 0;
    int64_t last = 0;
    json_t *items = json_array();
    struct amm_rows *rows = query_rows(job->m, import, verdict, page.after, limit);
    while (json_array_size(items) < page.limit && amm_rows_next(rows)) {
        last = amm_rows_number(rows, 0);
        seen++;
        if (is_wanted(verdict, (enum import_verdict)amm_rows_number(rows, 1))) {
            json_array_append_new(items, row_to_json(job->m, import, rows));
        }
    }
    bool is_full = json_array_size(items) == page.limit || seen == limit;
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        json_decref(items);
        job_store_error(job, result);
        return;
    }
    job_list(job, items, is_full ? last : 0);
}

/* ---- applying ---- */

static const struct field apply_body[] = {
    {"only_good", FIELD_BOOL, false, 0, 0, NULL,
     "leave rows that are refused out; else all rows or none"},
    {"create_unknown", FIELD_BOOL, false, 0, 0, NULL, "make gateways that are not known yet"},
    {0}};

static void apply(struct job *job)
{
    struct import *import = import_of(job);
    bool only_good = job_bool(job, "only_good", false);
    bool creates = job_bool(job, "create_unknown", false);
    if (import->state != IMPORT_READY || import->phase != PHASE_NONE) {
        job_error(job, 409, "wrong-state", NULL, "Only an import that is ready can be applied.");
        return;
    }
    if (!only_good && import->verdicts[VERDICT_BAD] > 0) {
        job_error(job, 409, "rows-refused", NULL,
                  "%u rows are refused. Correct the sheet, or apply only the good rows.",
                  import->verdicts[VERDICT_BAD]);
        return;
    }
    if (!only_good && !creates && import->verdicts[VERDICT_NEW] > 0) {
        job_error(job, 409, "unknown-gateways", "create_unknown",
                  "%u rows name gateways that are not known. Have them created, or apply only the "
                  "other rows.",
                  import->verdicts[VERDICT_NEW]);
        return;
    }
    snprintf(import->actor_name, sizeof import->actor_name, "%s", job->actor.name);
    import->options = OPTION_APPLY | (only_good ? (unsigned)OPTION_ONLY_GOOD : 0) |
                      (creates ? (unsigned)OPTION_CREATE : 0);
    if (!import_check_begin(job->m, import, &job->actor)) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    import_go(job->m, import);
    audit(job, import, only_good ? "applied, only good rows" : "applied, all rows");
    answer(job, 202, import);
}

static void hold(struct job *job)
{
    struct import *import = import_of(job);
    if (import->state != IMPORT_APPLYING || import->phase == PHASE_JUDGE) {
        job_error(job, 409, "wrong-state", NULL, "Nothing of it is under way.");
        return;
    }
    if (!import_turn(job->m, import, IMPORT_HELD, import->phase, "On hold.")) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    audit(job, import, "hold");
    answer(job, 200, import);
}

/* Those that did not come back in their stage are not waited for any more. */
static void resume(struct job *job)
{
    struct import *import = import_of(job);
    if (import->state != IMPORT_HELD) {
        job_error(job, 409, "wrong-state", NULL, "It is not on hold.");
        return;
    }
    import->stage_at = job->m->now.wall;
    import->stage_blocked = 0;
    if (!import_turn(job->m, import, IMPORT_APPLYING, import->phase, "")) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    import_go(job->m, import);
    audit(job, import, "resume");
    answer(job, 200, import);
}

/* What is done stays, the rest is left. */
static void stop(struct job *job)
{
    struct import *import = import_of(job);
    if (import->state != IMPORT_HELD ||
        (import->phase != PHASE_ROWS && import->phase != PHASE_MOVES)) {
        job_error(job, 409, "wrong-state", NULL, "Put it on hold first.");
        return;
    }
    struct amm_store *store = job->m->store;
    struct amm_value id = amm_number(import->id);
    enum amm_store_result result = amm_store_run(
        store, AMM_SQL_IMPORT_ROWS_STATE, AMM_WITH(amm_number(ROW_IDLE), id, amm_number(ROW_TODO)));
    for (unsigned from = MOVE_WAITING; result == AMM_STORE_OK && from <= MOVE_NEXT; from++) {
        result = amm_store_run(store, AMM_SQL_IMPORT_MOVES_STATE,
                               AMM_WITH(amm_number(MOVE_NONE), id, amm_number(from)));
    }
    if (result != AMM_STORE_OK ||
        !import_turn(job->m, import, IMPORT_APPLIED, PHASE_NONE, "Stopped: the rest was left.")) {
        job_store_error(job, result != AMM_STORE_OK ? result : AMM_STORE_FAILED);
        return;
    }
    audit(job, import, "stop");
    answer(job, 200, import);
}

static void undo(struct job *job)
{
    struct import *import = import_of(job);
    bool was_applied = import->state == IMPORT_APPLIED || import->state == IMPORT_HELD;
    if (!was_applied || import->undo_until == 0 || import->options & OPTION_UNDOING) {
        job_error(job, 409, "wrong-state", NULL, "There is nothing of it to undo.");
        return;
    }
    if (job->m->now.wall > import->undo_until) {
        job_error(job, 409, "too-late", NULL, "It can be undone for 30 days.");
        return;
    }
    snprintf(import->actor_name, sizeof import->actor_name, "%s", job->actor.name);
    if (!import_undo_begin(job->m, import)) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    import_go(job->m, import);
    audit(job, import, "undo");
    answer(job, 202, import);
}

static void drop(struct job *job)
{
    struct import *import = import_of(job);
    if (import->state == IMPORT_APPLYING || import->state == IMPORT_HELD ||
        import->phase == PHASE_JUDGE) {
        job_error(job, 409, "wrong-state", NULL, "It is under way: stop it, or let it end.");
        return;
    }
    audit(job, import, "removed");
    import_read_drop(job->m, import);
    import->cursor = 0;
    if (!import_turn(job->m, import, import->state, PHASE_DROP, NULL)) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    import_go(job->m, import);
    job_empty(job);
}

/* ---- result file: in a worker, with a connection of its own ---- */

struct result {
    struct job *job;
    int64_t import;
    const char *database;
    struct amm_span file;
};

static void result_drop(void *context)
{
    struct result *result = context;
    free(result->file.data);
    free(result);
}

static void put_result_row(struct amm_sheet_writer *writer, const struct amm_rows *rows)
{
    char text[IMPORT_TEXT];
    int64_t gateway = amm_rows_number(rows, 3);
    amm_rows_text(rows, 2, text, sizeof text);
    amm_sheet_put_number(writer, amm_rows_number(rows, 0));
    snprintf(text, sizeof text, "%lld", (long long)gateway);
    amm_sheet_put_text(writer, gateway != 0 ? text : "");
    amm_sheet_put_text(writer, import_verdict_name((enum import_verdict)amm_rows_number(rows, 1)));
    amm_sheet_put_text(writer, import_row_state_name((enum row_state)amm_rows_number(rows, 4)));
    amm_sheet_put_text(writer, import_move_name((enum row_move)amm_rows_number(rows, 6)));
    amm_rows_text(rows, 2, text, sizeof text);
    amm_sheet_put_text(writer, text);
    amm_sheet_put_row(writer);
}

static void result_work(void *context)
{
    static const char *const heads[] = {"row", "gateway", "verdict", "state", "move", "text"};
    struct result *result = context;
    char error[AMM_STORE_ERROR];
    struct amm_store_settings settings = {.database = result->database};
    struct amm_store *store = amm_store_reader(&settings, error);
    struct amm_sheet_writer *writer = store != NULL ? amm_sheet_writer(AMM_SHEET_CSV, NULL) : NULL;
    if (writer != NULL) {
        for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
            amm_sheet_put_text(writer, heads[i]);
        }
        amm_sheet_put_row(writer);
        struct amm_rows *rows = amm_store_query(
            store, AMM_SQL_IMPORT_ROWS_SHOWN,
            AMM_WITH(amm_number(result->import), amm_number(0), amm_number(AMM_SHEET_ROWS)));
        while (amm_rows_next(rows)) {
            put_result_row(writer, rows);
        }
        if (amm_rows_end(rows) == AMM_STORE_OK) {
            amm_sheet_writer_end(writer, &result->file);
        } else {
            amm_sheet_writer_drop(writer);
        }
    }
    amm_store_free(store);
}

static void result_resume(struct job *job, void *context)
{
    struct result *result = context;
    char disposition[64];
    if (result->file.data == NULL) {
        job_error(job, 503, "busy", NULL, "The file could not be made: try again.");
        return;
    }
    snprintf(disposition, sizeof disposition, "attachment; filename=\"import-%lld.csv\"",
             (long long)result->import);
    job_field(job, "Content-Disposition", disposition);
    job_bytes(job, 200, "text/csv; charset=utf-8", amm_view_of(result->file));
}

static void result_done(struct manager *m, void *context)
{
    struct result *result = context;
    (void)m;
    job_resume(result->job, result_resume, result);
}

static void result_file(struct job *job)
{
    struct result *result = calloc(1, sizeof *result);
    if (result == NULL) {
        job_json(job, 503, NULL);
        return;
    }
    *result = (struct result){.job = job, .import = job->id, .database = job->m->config->database};
    job_keep(job, result, result_drop);
    if (!manager_work(job->m, result_work, result_done, result)) {
        job_retry(job, 503, BUSY, "busy", "the server is busy: try again");
        return;
    }
    job_defer(job);
}

#define OF_IMPORT(verb, tail, right)                                                               \
    .method = (verb), .path = "/api/v1/imports/{id}" tail, .action = (right),                      \
    .find = import_find_object

const struct route import_routes[] = {
    {.method = "POST",
     .path = "/api/v1/imports",
     .action = ACCESS_OPERATE,
     .flags = ROUTE_RAW_BODY,
     .body_max = AMM_SHEET_FILE,
     .query = upload_query,
     .handle = upload,
     .summary = "Uploads a sheet (CSV or XLSX) as the body; nothing is changed by it"},
    {.method = "GET",
     .path = "/api/v1/imports",
     .action = ACCESS_VIEW,
     .query = list_query,
     .handle = list,
     .summary = "Imports, newest first"},
    {OF_IMPORT("GET", "", ACCESS_VIEW), .handle = show,
     .summary = "An import: state, columns, rows by verdict, places per port, moves"},
    {OF_IMPORT("DELETE", "", ACCESS_OPERATE), .handle = drop,
     .summary = "Removes an import that is not under way; what it changed stays"},
    {OF_IMPORT("PUT", "/mapping", ACCESS_OPERATE), .body = mapping_body, .handle = map,
     .summary = "Says what columns mean, and checks all rows"},
    {OF_IMPORT("GET", "/rows", ACCESS_VIEW), .query = rows_query, .handle = show_rows,
     .summary = "Rows with their verdict and what would change"},
    {OF_IMPORT("POST", "/apply", ACCESS_OPERATE), .body = apply_body, .handle = apply,
     .summary = "Applies the rows; moves between tunnel ports go in stages"},
    {OF_IMPORT("POST", "/hold", ACCESS_OPERATE), .handle = hold, .summary = "Stops for the moment"},
    {OF_IMPORT("POST", "/resume", ACCESS_OPERATE), .handle = resume, .summary = "Goes on"},
    {OF_IMPORT("POST", "/stop", ACCESS_OPERATE), .handle = stop,
     .summary = "Ends an import that is on hold: what is done stays"},
    {OF_IMPORT("POST", "/undo", ACCESS_OPERATE), .handle = undo,
     .summary = "Takes back what still is as the import wrote it; for 30 days"},
    {OF_IMPORT("GET", "/result.csv", ACCESS_VIEW), .handle = result_file,
     .summary = "What became of each row, as a sheet"},
    {0},
};
