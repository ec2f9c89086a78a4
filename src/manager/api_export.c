/* /api/v1/export.csv, export.xlsx: the list of gateways as a sheet, with the filters of the list.
 *
 * A page of gateways a unit, so that nobody waits for a large fleet; the file is finished in a
 * worker. Headings are those that an import knows, so that an export can be changed and uploaded.
 */
#include "domain/msci.h"
#include "fleet_module.h"
#include "manager/gateway_filters.h"
#include "manager/imports.h"
#include "manager/job.h"
#include "sheet/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COLUMNS_MAX = 64, COLUMNS_TEXT = 2000, BUSY = 5, GROUP_PATH = 600 };

static const char default_columns[] =
    "name,serial,label,group,kind,note,10034,access,sync,address,last_checkin";

enum field_name {
    NAME,
    SERIAL,
    LABEL,
    GROUP,
    KIND,
    NOTE,
    ACCESS,
    SYNC,
    TUNNEL,
    ADDRESS,
    CHECKIN,
    N_NAMES
};
static const char *const names[N_NAMES] = {"name",   "serial",  "label",       "group",
                                           "kind",   "note",    "access",      "sync",
                                           "tunnel", "address", "last_checkin"};

struct column {
    int field;                   /* enum field_name; -1: a parameter or a stat */
    const struct amm_msci *msci; /* NULL: a stat */
    char stat[AMM_STAT_NAME_MAX + 1];
};

struct export
{
    struct job *job;
    enum amm_sheet_format format;
    struct amm_sheet_writer *writer;
    struct amm_span file;
    size_t n_columns;
    struct column columns[COLUMNS_MAX];
    char after[QUERY_CURSOR];
    struct gateway_page page;
};

static void export_drop(void *context)
{
    struct export *export = context;
    amm_sheet_writer_drop(export->writer);
    free(export->file.data);
    free(export);
}

/* ---- columns ---- */

static bool parse_column(const char *text, size_t len, struct column *out)
{
    *out = (struct column){.field = -1};
    for (int i = 0; i < N_NAMES; i++) {
        if (strlen(names[i]) == len && strncmp(names[i], text, len) == 0) {
            out->field = i;
            return true;
        }
    }
    out->msci = amm_msci_find_word(amm_view(text, len));
    if (out->msci != NULL) {
        return true;
    }
    if (len == 0 || len >= sizeof out->stat) {
        return false;
    }
    memcpy(out->stat, text, len);
    out->stat[len] = '\0';
    return amm_stat_name_ok(out->stat);
}

static bool take_columns(struct job *job, struct export *export)
{
    char text[COLUMNS_TEXT];
    if (!job_query_text(job, "columns", text, sizeof text)) {
        snprintf(text, sizeof text, "%s", default_columns);
    }
    for (const char *at = text; export->n_columns < COLUMNS_MAX;) {
        size_t len = strcspn(at, ",");
        if (!parse_column(at, len, &export->columns[export->n_columns++])) {
            break;
        }
        if (at[len] == '\0') {
            return true;
        }
        at += len + 1;
    }
    job_error(job, 400, "bad-value", "columns",
              "At most %d columns, with commas between: name, serial, label, group, kind, note, "
              "access, sync, tunnel, address, last_checkin, an MSCIID, or the name of a stat.",
              COLUMNS_MAX);
    return false;
}

/* ---- cells ---- */

static void path_of(const struct fleet_group *group, char out[GROUP_PATH])
{
    const struct fleet_group *chain[FLEET_DEPTH_MAX + 1];
    size_t n = 0, len = 0;
    for (; group->parent != NULL && n <= FLEET_DEPTH_MAX; group = group->parent) {
        chain[n++] = group;
    }
    snprintf(out, GROUP_PATH, "/");
    while (n > 0 && len < GROUP_PATH) {
        n--;
        len += (size_t)snprintf(out + len, GROUP_PATH - len, "%s%s", len > 0 ? "/" : "",
                                chain[n]->name);
    }
}

/* "2026-11-24T13:05:00Z": text, so that no program takes it for its own kind of date. */
static void time_text(int64_t wall, char out[32])
{
    time_t seconds = (time_t)wall;
    struct tm parts;
    out[0] = '\0';
    if (wall != 0 && gmtime_r(&seconds, &parts) != NULL) {
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
}

static void put_field(struct amm_sheet_writer *writer, const struct fleet_gateway *gateway,
                      enum field_name field)
{
    char text[GROUP_PATH] = "", address[16];
    switch (field) {
    case NAME:
        snprintf(text, sizeof text, "%s", gateway->name);
        break;
    case SERIAL:
        snprintf(text, sizeof text, "%s", gateway->serial);
        break;
    case LABEL:
        fleet_effective(gateway, AMM_MSCI_DEVICE_NAME, text, sizeof text);
        break;
    case GROUP:
        path_of(gateway->group, text);
        break;
    case KIND:
        snprintf(text, sizeof text, "%s", fleet_kind_name(gateway->kind));
        break;
    case NOTE:
        amm_sheet_put_text(writer, gateway->note);
        return;
    case ACCESS:
        snprintf(text, sizeof text, "%s", fleet_access_name(gateway->access));
        break;
    case SYNC:
        snprintf(text, sizeof text, "%s", fleet_sync_text(gateway->sync));
        break;
    case TUNNEL:
        snprintf(text, sizeof text, "%s", gateway->tunnel.up_port != 0 ? "up" : "down");
        break;
    case ADDRESS:
        snprintf(text, sizeof text, "%s", fleet_tunnel_address(gateway, address) ? address : "");
        break;
    case CHECKIN:
        time_text(gateway->last_checkin, text);
        break;
    case N_NAMES:
        break;
    }
    amm_sheet_put_text(writer, text);
}

static void put_stat(struct amm_sheet_writer *writer, const struct fleet_gateway *gateway,
                     const char *name)
{
    struct value value;
    char text[1024], address[16];
    if (strcmp(name, "ManagementTunnel-IPAddress") == 0) {
        amm_sheet_put_text(writer, fleet_tunnel_address(gateway, address) ? address : "");
        return;
    }
    if (!values_find(gateway->stats, VALUES_STATS, name, &value)) {
        amm_sheet_put_text(writer, "");
        return;
    }
    switch (value.type) {
    case VALUE_INTEGER:
        amm_sheet_put_number(writer, value.integer);
        return;
    case VALUE_REAL:
        amm_sheet_put_real(writer, value.real);
        return;
    case VALUE_FALSE:
    case VALUE_TRUE:
        amm_sheet_put_text(writer, value.type == VALUE_TRUE ? "true" : "false");
        return;
    case VALUE_TEXT:
        snprintf(text, sizeof text, "%.*s", (int)value.text.len, (const char *)value.text.data);
        amm_sheet_put_text(writer, text);
        return;
    case VALUE_OBJECT:
        break;
    }
    json_t *json = value_to_json(&value);
    char *dump = json_dumps(json, JSON_COMPACT);
    amm_sheet_put_text(writer, dump != NULL ? dump : "");
    free(dump);
    json_decref(json);
}

static void put_gateway(struct export *export, const struct fleet_gateway *gateway)
{
    for (size_t i = 0; i < export->n_columns; i++) {
        const struct column *column = &export->columns[i];
        char text[AMM_PARAMETER_TEXT_MAX] = "";
        if (column->field >= 0) {
            put_field(export->writer, gateway, (enum field_name)column->field);
        } else if (column->msci == NULL) {
            put_stat(export->writer, gateway, column->stat);
        } else {
            if (!column->msci->is_secret) {
                fleet_effective(gateway, column->msci->id, text, sizeof text);
            }
            amm_sheet_put_text(export->writer, text);
        }
    }
    amm_sheet_put_row(export->writer);
}

static void put_heads(struct export *export)
{
    char number[16];
    for (size_t i = 0; i < export->n_columns; i++) {
        const struct column *column = &export->columns[i];
        snprintf(number, sizeof number, "%u", column->msci != NULL ? column->msci->id : 0);
        amm_sheet_put_text(export->writer, column->field >= 0     ? names[column->field]
                                           : column->msci != NULL ? number
                                                                  : column->stat);
    }
    amm_sheet_put_row(export->writer);
}

/* ---- page by page ---- */

static void finish_work(void *context)
{
    struct export *export = context;
    amm_sheet_writer_end(export->writer, &export->file);
    export->writer = NULL;
}

static void finish_resume(struct job *job, void *context)
{
    struct export *export = context;
    bool is_csv = export->format == AMM_SHEET_CSV;
    if (export->file.data == NULL) {
        job_error(job, 503, "busy", NULL, "The file could not be made: try again.");
        return;
    }
    job_field(job, "Content-Disposition",
              is_csv ? "attachment; filename=\"gateways.csv\""
                     : "attachment; filename=\"gateways.xlsx\"");
    job_bytes(job, 200,
              is_csv ? "text/csv; charset=utf-8"
                     : "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
              amm_view_of(export->file));
}

static void finish_done(struct manager *m, void *context)
{
    struct export *export = context;
    (void)m;
    job_resume(export->job, finish_resume, export);
}

static void next_page(struct job *job, void *context)
{
    struct export *export = context;
    struct gateway_query query;
    if (!gateway_filters_take(job, &query) || !gateway_order_take(job, &query)) {
        return;
    }
    query.limit = QUERY_LIMIT;
    snprintf(query.after, sizeof query.after, "%s", export->after);
    if (!gateway_query_run(job->m->fleet, &query, &export->page)) {
        job_error(job, 409, "changed", NULL, "The list changed meanwhile: try again.");
        return;
    }
    for (size_t i = 0; i < export->page.n; i++) {
        put_gateway(export, export->page.at[i]);
    }
    if (export->page.has_more) {
        snprintf(export->after, sizeof export->after, "%s", export->page.next);
        job_defer(job);
        job_resume(job, next_page, export);
    } else if (manager_work(job->m, finish_work, finish_done, export)) {
        job_defer(job);
    } else {
        job_retry(job, 503, BUSY, "busy", "the server is busy: try again");
    }
}

static void start(struct job *job, enum amm_sheet_format format)
{
    struct export *export = calloc(1, sizeof *export);
    if (export == NULL) {
        job_json(job, 503, NULL);
        return;
    }
    export->job = job;
    export->format = format;
    job_keep(job, export, export_drop);
    if (!take_columns(job, export)) {
        return;
    }
    export->writer = amm_sheet_writer(format, "Gateways");
    if (export->writer == NULL) {
        job_json(job, 503, NULL);
        return;
    }
    put_heads(export);
    next_page(job, export);
}

static void csv(struct job *job)
{
    start(job, AMM_SHEET_CSV);
}

static void xlsx(struct job *job)
{
    start(job, AMM_SHEET_XLSX);
}

static const struct field query[] = {
    {"columns", FIELD_TEXT, false, 1, COLUMNS_TEXT - 1, NULL,
     "what stands in the columns, with commas between: fields of the record, MSCIIDs, stats"},
    GATEWAY_ORDER,
    GATEWAY_FILTERS,
    {0}};

const struct route export_routes[] = {
    {.method = "GET",
     .path = "/api/v1/export.csv",
     .action = ACCESS_VIEW,
     .query = query,
     .handle = csv,
     .summary = "The list of gateways as CSV"},
    {.method = "GET",
     .path = "/api/v1/export.xlsx",
     .action = ACCESS_VIEW,
     .query = query,
     .handle = xlsx,
     .summary = "The list of gateways as XLSX"},
    {0},
};
