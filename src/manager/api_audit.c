/* Reading and checking the audit log. */
#include "manager/audit_chain.h"
#include "manager/job.h"
#include "manager/nouns.h"

#include <stdlib.h>

static json_t *row_json(const struct amm_rows *rows)
{
    struct audit_row row;
    struct amm_view stored;
    char hash[2 * AUDIT_HASH + 1] = "";
    audit_row_read(rows, &row, &stored);
    if (stored.len == AUDIT_HASH) {
        amm_hex(hash, stored);
    }
    json_t *body = json_pack("{s:o, s:I, s:o, s:s}", "id", job_json_id(row.id), "at",
                             (json_int_t)row.at, "tenant", job_json_id(row.tenant), "hash", hash);
    static const char *const names[AUDIT_TEXTS] = {"actor",  "remote", "action",
                                                   "object", "result", "detail"};
    for (unsigned i = 0; i < AUDIT_TEXTS; i++) {
        json_object_set_new(body, names[i],
                            json_stringn((const char *)row.text[i].data, row.text[i].len));
    }
    return body;
}

/* Newest first. A tenant's entries, or with `tenant` 0 all. */
static struct amm_rows *ask(const struct job *job, int64_t tenant, const struct job_page *page)
{
    int64_t before = page->after > 0 ? page->after : INT64_MAX, limit = page->limit + 1;
    if (tenant == 0) {
        return amm_store_query(job->m->store, AMM_SQL_AUDIT_BEFORE,
                               AMM_WITH(amm_number(before), amm_number(limit)));
    }
    return amm_store_query(job->m->store, AMM_SQL_AUDIT_TENANT_BEFORE,
                           AMM_WITH(amm_number(tenant), amm_number(before), amm_number(limit)));
}

static void audit_handle(struct job *job)
{
    struct job_page page = job_page(job);
    struct access_object server = {0, 0};
    bool sees_all = job_allows(job, ACCESS_SYSTEM, &server);
    int64_t tenant = job_query_number(job, "tenant", sees_all ? 0 : job->actor.tenant), next = 0;
    struct access_object object = {tenant, 0};
    if (!job_demand(job, ACCESS_ADMIN, &object, "tenant")) {
        return;
    }
    struct amm_rows *rows = ask(job, tenant, &page);
    json_t *items = json_array();
    while (amm_rows_next(rows)) {
        if (json_array_size(items) == page.limit) {
            next = job_id_of_last(items);
            break;
        }
        json_array_append_new(items, row_json(rows));
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        json_decref(items);
        job_store_error(job, result);
        return;
    }
    job_list(job, items, next);
}

/* ---- verifying ---- */

struct verify {
    struct job *job;
    struct audit_check check;
    const char *database;
};

static void verify_work(void *context)
{
    struct verify *verify = context;
    struct amm_store_settings settings = {.database = verify->database};
    struct amm_store *store = amm_store_reader(&settings, verify->check.error);
    if (store != NULL) {
        audit_verify(store, &verify->check);
        amm_store_free(store);
    }
}

static void verify_resume(struct job *job, void *context)
{
    struct verify *verify = context;
    char hash[2 * AUDIT_HASH + 1];
    if (verify->check.error[0] != '\0') {
        job_error(job, 500, "store-failed", NULL, "%s", verify->check.error);
    } else {
        amm_hex(hash, amm_view(verify->check.hash, AUDIT_HASH));
        json_t *body = json_pack("{s:b, s:I, s:I, s:s}", "is_whole", verify->check.is_whole,
                                 "entries", (json_int_t)verify->check.rows, "begins_behind",
                                 (json_int_t)verify->check.before, "hash", hash);
        if (!verify->check.is_whole) {
            json_object_set_new(body, "broken_at", job_json_id(verify->check.broken_at));
        }
        job_json(job, 200, body);
    }
}

static void verify_done(struct manager *m, void *context)
{
    struct verify *verify = context;
    (void)m;
    job_resume(verify->job, verify_resume, verify);
}

static void verify_handle(struct job *job)
{
    struct verify *verify = calloc(1, sizeof *verify);
    if (verify != NULL) {
        verify->job = job;
        verify->database = job->m->config->database;
    }
    job_keep(job, verify, free);
    if (verify == NULL || !manager_work(job->m, verify_work, verify_done, verify)) {
        job_retry(job, 503, 5, "busy", "the server is busy: try again");
        return;
    }
    job_defer(job);
}

static const struct field list_query[] = {
    ROUTE_PAGE,
    {"tenant", FIELD_ID, false, 1, 0, NULL, "entries of this tenant only"},
    {.name = NULL},
};

const struct route audit_routes[] = {
    {.method = "GET",
     .path = "/api/v1/audit",
     .action = ACCESS_ADMIN,
     .query = list_query,
     .handle = audit_handle,
     .summary = "The audit log, newest first"},
    {.method = "GET",
     .path = "/api/v1/audit/verify",
     .action = ACCESS_SYSTEM,
     .handle = verify_handle,
     .summary = "Check the chain of the audit log's hashes"},
    {.method = NULL},
};
