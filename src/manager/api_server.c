/* The server itself: state, backups, description of the API, event stream. */
#include "io/log.h"
#include "manager/job.h"
#include "manager/nouns.h"
#include "manager/openapi.h"
#include "manager/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

/* ---- state ---- */

static void server_handle(struct job *job)
{
    enum amm_store_result state = manager_store_state(job->m);
    job_json(job, 200,
             json_pack("{s:s, s:I, s:s}", "version", AMM_VERSION, "time",
                       (json_int_t)job->m->now.wall, "store", amm_store_result_name(state)));
}

/* ---- backup ---- */

struct backup {
    struct job *job;
    const char *database;
    char path[AMM_CONF_TEXT + 48];
    char error[AMM_STORE_ERROR];
    bool is_done;
    int64_t bytes;
};

static void backup_work(void *context)
{
    struct backup *backup = context;
    struct amm_store_settings settings = {.database = backup->database};
    struct stat info;
    backup->is_done = amm_store_backup(&settings, backup->path, backup->error);
    if (backup->is_done && stat(backup->path, &info) == 0) {
        backup->bytes = info.st_size;
    }
}

static void backup_resume(struct job *job, void *context)
{
    struct backup *backup = context;
    job_audit(job, 0, backup->path, "backup");
    if (backup->is_done) {
        job_json(job, 201,
                 json_pack("{s:s, s:I}", "file", backup->path, "bytes", (json_int_t)backup->bytes));
    } else {
        amm_log(AMM_LOG_ERROR, "backup-failed", amm_field_text("text", backup->error));
        job_error(job, 507, "backup-failed", NULL, "%s", backup->error);
    }
}

static void backup_done(struct manager *m, void *context)
{
    struct backup *backup = context;
    (void)m;
    job_resume(backup->job, backup_resume, backup);
}

/* The folder is the configuration's, the name the time's: nobody writes where he likes. */
static void backup_handle(struct job *job)
{
    struct backup *backup = calloc(1, sizeof *backup);
    struct tm utc;
    char name[40];
    gmtime_r(&(time_t){job->m->now.wall}, &utc);
    strftime(name, sizeof name, "fleet-%Y%m%d-%H%M%S.db", &utc);
    if (backup != NULL) {
        backup->job = job;
        backup->database = job->m->config->database;
        snprintf(backup->path, sizeof backup->path, "%s/%s", job->m->config->backups, name);
    }
    job_keep(job, backup, free);
    if (backup == NULL || !manager_work(job->m, backup_work, backup_done, backup)) {
        job_retry(job, 503, 5, "busy", "the server is busy: try again");
        return;
    }
    job_defer(job);
}

/* ---- description ---- */

/* Always the same: made once. */
static void openapi_handle(struct job *job)
{
    static char *text;
    if (text == NULL) {
        json_t *made = openapi_make();
        text = made != NULL ? json_dumps(made, JSON_COMPACT) : NULL;
        json_decref(made);
    }
    if (text == NULL) {
        job_retry(job, 503, 1, "no-memory", "the server is short of memory");
        return;
    }
    job_bytes(job, 200, "application/json", amm_view_str(text));
}

static const struct field no_body[] = {{.name = NULL}};

const struct route server_routes[] = {
    {.method = "GET",
     .path = "/api/v1/server",
     .action = ACCESS_VIEW,
     .handle = server_handle,
     .summary = "Version, time and the state of the store"},
    {.method = "POST",
     .path = "/api/v1/backup",
     .action = ACCESS_SYSTEM,
     .body = no_body,
     .handle = backup_handle,
     .summary = "Write a backup to the folder of the configuration"},
    {.method = "GET",
     .path = "/api/v1/openapi.json",
     .action = ACCESS_OPEN,
     .handle = openapi_handle,
     .summary = "This description"},
    {.method = "GET",
     .path = "/api/v1/events/stream",
     .action = ACCESS_VIEW,
     .flags = ROUTE_STREAMS,
     .handle = stream_handle,
     .summary = "Server-Sent Events of what you may see; Last-Event-ID goes on where one stopped"},
    {.method = NULL},
};
