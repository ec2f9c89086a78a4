/* /api/v1/me/preferences: theme, columns, saved filters, single keys. The server keeps the object
 * and does not look into it: it is shown to nobody but who saved it. */
#include "manager/job.h"
#include "manager/nouns.h"

#include <stdlib.h>

enum { PREFERENCES_MAX = 16384 };

/* False: answered. Root on the unix socket is nobody who could have preferences. */
static bool has_user(struct job *job)
{
    if (job->actor.user == 0) {
        job_error(job, 409, "no-user", NULL, "preferences belong to a user: log in as one");
    }
    return job->actor.user != 0;
}

static void get_handle(struct job *job)
{
    if (!has_user(job)) {
        return;
    }
    struct amm_rows *rows = amm_store_query(job->m->store, AMM_SQL_PREFERENCE_GET,
                                            AMM_WITH(amm_number(job->actor.user)));
    json_t *json = NULL;
    if (amm_rows_next(rows)) {
        struct amm_view text = amm_rows_view(rows, 0);
        json = json_loadb((const char *)text.data, text.len, 0, NULL);
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        json_decref(json);
        job_store_error(job, result);
        return;
    }
    job_json(job, 200, json ? json : json_object());
}

static void put_handle(struct job *job)
{
    if (!has_user(job)) {
        return;
    }
    json_t *json =
        json_loadb((const char *)job->body.data, job->body.len, JSON_REJECT_DUPLICATES, NULL);
    char *text = json_is_object(json) ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text == NULL || strlen(text) > PREFERENCES_MAX) {
        job_error(job, 400, "bad-value", NULL,
                  "preferences are one JSON object of at most %d bytes", PREFERENCES_MAX);
    } else {
        enum amm_store_result result =
            amm_store_run(job->m->store, AMM_SQL_PREFERENCE_SET,
                          AMM_WITH(amm_number(job->actor.user), amm_text(text)));
        if (result == AMM_STORE_OK) {
            job_json(job, 200, json_incref(json));
        } else {
            job_store_error(job, result);
        }
    }
    free(text);
    json_decref(json);
}

const struct route preference_routes[] = {
    {.method = "GET",
     .path = "/api/v1/me/preferences",
     .action = ACCESS_SELF,
     .handle = get_handle,
     .summary = "What one has saved of how one likes the console; {} if nothing"},
    {.method = "PUT",
     .path = "/api/v1/me/preferences",
     .action = ACCESS_SELF,
     .flags = ROUTE_RAW_BODY | ROUTE_UNAUDITED,
     .body_max = PREFERENCES_MAX,
     .handle = put_handle,
     .summary = "Saves it: any JSON object of at most 16 KiB"},
    {0},
};
