#include "manager/job_parts.h"

#include "io/clock.h"
#include "io/log.h"
#include "manager/audit.h"
#include "manager/directory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOST_RETRY = 5, DETAIL_ROOM = 256 };

/* ---- making one ---- */

static struct amm_view copy_view(uint8_t **at, struct amm_view view)
{
    struct amm_view copy = amm_view(*at, view.len);
    if (view.len > 0) {
        memcpy(*at, view.data, view.len);
    }
    *at += view.len;
    return copy;
}

static bool copy_request(struct job_part *part, const struct amm_http_call *call)
{
    const struct amm_http_request *request = call->request;
    size_t len = request->path.len + request->query.len + call->body.len + 1;
    for (size_t i = 0; i < request->fields.n; i++) {
        len += request->fields.at[i].name.len + request->fields.at[i].value.len;
    }
    uint8_t *at = part->bytes = malloc(len);
    if (at == NULL) {
        return false;
    }
    part->job.path = copy_view(&at, request->path);
    part->job.query = copy_view(&at, request->query);
    part->job.body = copy_view(&at, call->body);
    part->fields.n = request->fields.n;
    for (size_t i = 0; i < request->fields.n; i++) {
        part->fields.at[i].name = copy_view(&at, request->fields.at[i].name);
        part->fields.at[i].value = copy_view(&at, request->fields.at[i].value);
    }
    return true;
}

static bool copy_arguments(struct job *job, const struct route_match *match)
{
    for (unsigned i = 0; i < match->n_arguments; i++) {
        char *copy = strdup(match->arguments[i]);
        if (copy == NULL) {
            return false;
        }
        job->arguments[job->n_arguments++] = copy;
    }
    return true;
}

/* Some answers give a secret, this once. */
static void drop_answer(struct job_part *part)
{
    if (part->body != NULL) {
        amm_wipe(part->body, part->body_len);
    }
    free(part->body);
    part->body = NULL;
    part->body_len = 0;
    part->content_type = NULL;
    part->is_stream = false;
}

static void drop_job(void *context)
{
    job_free(context);
}

struct job *job_new(struct manager *m, const struct amm_http_call *call,
                    const struct route_match *match)
{
    struct job_part *part = calloc(1, sizeof *part);
    if (part == NULL) {
        return NULL;
    }
    struct job *job = &part->job;
    job->m = m;
    job->route = match->route;
    job->remote = call->remote;
    job->local = call->local;
    job->in_tunnel = call->listener == LISTENER_TUNNEL;
    job->listener = job->in_tunnel ? LISTENER_GATEWAYS : call->listener;
    job->uid = call->uid;
    job->is_tls = call->is_tls;
    job->resumed = call->resumed;
    job->is_head = amm_view_equal(call->request->method, amm_view_str("HEAD"));
    part->server = call->server;
    part->ref = call->ref;
    part->item = (struct core_item){.run = job_run, .drop = drop_job, .context = job};
    part->audit_tenant = -1;
    if (call->client != NULL) {
        part->identity = *call->client;
        job->client = &part->identity;
    }
    if (!copy_request(part, call) || !copy_arguments(job, match)) {
        job_free(job);
        return NULL;
    }
    return job;
}

void job_free(struct job *job)
{
    struct job_part *part = job_part(job);
    if (job == NULL) {
        return;
    }
    if (part->drop != NULL) {
        part->drop(part->kept);
    }
    for (unsigned i = 0; i < job->n_arguments; i++) {
        free((char *)job->arguments[i]);
    }
    if (part->bytes != NULL && job->body.len > 0) {
        amm_wipe(part->bytes + (job->body.data - part->bytes), job->body.len); /* passwords */
    }
    json_decref(job->input);
    free(part->bytes);
    drop_answer(part);
    free(part);
}

struct amm_view job_header(const struct job *job, const char *lower)
{
    return amm_http_field(&job_part(job)->fields, lower);
}

/* ---- answers ---- */

static void answer(struct job *job, int status, const char *content_type, char *body, size_t len)
{
    struct job_part *part = job_part(job);
    drop_answer(part);
    part->status = status;
    part->content_type = content_type;
    part->body = body;
    part->body_len = len;
    part->is_answered = true;
}

/* Without memory there are still words. */
static void answer_no_memory(struct job *job)
{
    answer(job, 503, NULL, NULL, 0);
    manager_fail(job->m);
}

void job_json(struct job *job, int status, json_t *body)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(body);
    if (text == NULL) {
        answer_no_memory(job);
        return;
    }
    answer(job, status, "application/json", text, strlen(text));
}

void job_list(struct job *job, json_t *items, int64_t next)
{
    json_t *page = json_object();
    json_object_set_new(page, "items", items);
    if (next != 0) {
        json_object_set_new(page, "next", job_json_id(next));
    }
    job_json(job, 200, page);
}

void job_bytes(struct job *job, int status, const char *content_type, struct amm_view body)
{
    char *copy = malloc(body.len + 1);
    if (copy == NULL) {
        answer_no_memory(job);
        return;
    }
    if (body.len > 0) {
        memcpy(copy, body.data, body.len);
    }
    answer(job, status, content_type, copy, body.len);
}

void job_empty(struct job *job)
{
    answer(job, 204, NULL, NULL, 0);
}

void job_stream(struct job *job, const char *content_type)
{
    answer(job, 200, content_type, NULL, 0);
    job_part(job)->is_stream = true;
}

void job_field(struct job *job, const char *name, const char *value)
{
    struct job_part *part = job_part(job);
    struct amm_writer w =
        amm_writer(part->headers + part->headers_len, sizeof part->headers - part->headers_len);
    amm_http_write_field(&w, name, amm_view_str(value));
    part->headers_len += amm_writer_len(&w);
}

static void answer_error(struct job *job, int status, const char *name, const char *field,
                         const char *text)
{
    json_t *body = json_pack("{s:s, s:s}", "error", name, "text", text);
    if (field != NULL) {
        json_object_set_new(body, "field", json_string(field));
    }
    job_json(job, status, body);
    snprintf(job_part(job)->error_name, JOB_ERROR_NAME_MAX, "%s", name);
    manager_fail(job->m);
}

void job_error(struct job *job, int status, const char *name, const char *field, const char *format,
               ...)
{
    char text[DETAIL_ROOM * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    text[amm_text_part(text, sizeof text)] = '\0';
    answer_error(job, status, name, field, text);
}

void job_retry(struct job *job, int status, unsigned seconds, const char *name, const char *text)
{
    char number[16];
    snprintf(number, sizeof number, "%u", seconds);
    job_field(job, "Retry-After", number);
    answer_error(job, status, name, NULL, text);
}

void job_store_error(struct job *job, enum amm_store_result result)
{
    switch (result) {
    case AMM_STORE_CONFLICT:
        answer_error(job, 409, "conflict", NULL, "this is there already, or is still in use");
        return;
    case AMM_STORE_FULL:
        job_retry(job, 507, LOST_RETRY, "disk-full",
                  "the server's disk is full: nothing was changed");
        return;
    case AMM_STORE_READ_ONLY:
        job_retry(job, 507, LOST_RETRY, "disk-read-only",
                  "the server's disk cannot be written: nothing was changed");
        return;
    case AMM_STORE_OK:
    case AMM_STORE_NONE:
    case AMM_STORE_BUSY:
    case AMM_STORE_CORRUPT:
    case AMM_STORE_FAILED:
        break;
    }
    amm_log(AMM_LOG_ERROR, "store-failed", amm_field_text("text", amm_store_error(job->m->store)));
    job_retry(job, 503, LOST_RETRY, "store-failed",
              "the server's database refuses: nothing was changed; its log says why");
}

void job_missing(struct job *job, const char *field)
{
    answer_error(job, 404, "not-found", field, "there is no such thing, or not for you");
}

void job_not_found(struct job *job)
{
    job_missing(job, NULL);
}

json_t *job_json_id(int64_t id)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)id);
    return json_string(text);
}

int64_t job_id_of_last(const json_t *items)
{
    size_t n = json_array_size(items);
    const char *id =
        n > 0 ? json_string_value(json_object_get(json_array_get(items, n - 1), "id")) : NULL;
    return id != NULL ? strtoll(id, NULL, 10) : 0;
}

/* ---- running ---- */

bool job_is_answered(const struct job *job)
{
    return job_part(job)->is_answered;
}

void job_defer(struct job *job)
{
    job_part(job)->is_deferred = true;
}

static bool is_change(const struct job *job)
{
    return strcmp(job->route->method, "GET") != 0;
}

/* What somebody changed, what somebody was refused for want of rights, and wrong logins. Refusals
 * of strangers and of floods are not: they would fill the disk. */
static bool is_audited(const struct job *job)
{
    int status = job_part(job)->status;
    bool is_refusal = (status == 403 && job->actor.kind != ACTOR_NOBODY) ||
                      (status == 401 && job->route->action == ACCESS_OPEN);
    return !(job->route->flags & ROUTE_UNAUDITED) && (status >= 400 ? is_refusal : is_change(job));
}

/* The same refusal of the same actor stands there once a minute: who polls what he may not see
 * would fill the disk. Wrong logins are limited by their rate. */
static bool is_repeated_refusal(const struct job *job)
{
    const struct audit_refusal refusal = {job->actor.user, job->actor.credential, job->route};
    return job_part(job)->status == 403 && job->actor.user != 0 &&
           audit_is_repeated(job->m, &refusal);
}

void job_audit(struct job *job, int64_t tenant, const char *object, const char *format, ...)
{
    struct job_part *part = job_part(job);
    va_list args;
    va_start(args, format);
    vsnprintf(part->audit_detail, sizeof part->audit_detail, format, args);
    va_end(args);
    snprintf(part->audit_object, sizeof part->audit_object, "%s", object);
    part->audit_tenant = tenant;
}

static bool write_audit(struct job *job)
{
    struct job_part *part = job_part(job);
    char remote[AMM_ADDRESS_TEXT] = "local", action[192], object[JOB_OBJECT_MAX];
    if (job->remote.family != AMM_FAMILY_NONE) {
        amm_address_text(&job->remote, remote);
    }
    snprintf(action, sizeof action, "%s %s", job->route->method, job->route->path);
    amm_text_clean(object, sizeof object, amm_view_str(part->audit_object));
    if (object[0] == '\0' && job->n_arguments > 0) {
        amm_text_clean(object, sizeof object, amm_view_str(job->arguments[0]));
    }
    int64_t tenant = part->audit_tenant >= 0  ? part->audit_tenant
                     : job->object.tenant > 0 ? job->object.tenant
                                              : job->actor.tenant;
    return audit_add(job->m, &(struct audit_entry){
                                 .tenant = tenant,
                                 .actor = job->actor.kind != ACTOR_NOBODY ? job->actor.name : "-",
                                 .remote = remote,
                                 .action = action,
                                 .object = object,
                                 .result = part->status < 400 ? "ok" : part->error_name,
                                 .detail = part->audit_detail,
                             });
}

/* Behind the handler: the entry of the audit log, then the place in the batch. */
static void settle(struct job *job)
{
    struct job_part *part = job_part(job);
    if (!part->is_answered) {
        if (!part->is_deferred) {
            answer_error(job, 500, "internal", NULL, "the server has no answer: this is a bug");
        } else {
            core_deferred(job->m, job);
            return;
        }
    }
    bool refused = part->status >= 400;
    if (!refused && is_audited(job) && !write_audit(job)) {
        job_store_error(job, amm_store_failure(job->m->store));
        refused = true;
    }
    if (refused && is_audited(job) && part->error_name[0] != '\0' && !is_repeated_refusal(job)) {
        core_unit_split(job->m); /* what the handler wrote goes; the entry stays */
        if (!write_audit(job)) {
            manager_fail(job->m);
        }
    }
    core_answered(job->m, job);
}

/* While the disk is full nothing is tried that would write. */
static bool store_is_ready(struct job *job)
{
    enum amm_store_result state = manager_store_state(job->m);
    if (state == AMM_STORE_OK || !is_change(job)) {
        return true;
    }
    if (job->listener == LISTENER_GATEWAYS) {
        job_retry(job, 503, 60, "store-refuses", "the server cannot save anything at the moment");
    } else {
        job_store_error(job, state);
    }
    return false;
}

void job_run(struct manager *m, void *context)
{
    struct job *job = context;
    (void)m;
    if (job_authenticate(job) && job_judge(job) && store_is_ready(job) && job_check_input(job)) {
        job->route->handle(job);
    }
    settle(job);
}

static void run_again(struct manager *m, void *context)
{
    struct job *job = context;
    struct job_part *part = job_part(job);
    part->is_deferred = false;
    if (part->is_lost) {
        job_store_error(job, manager_store_state(m) != AMM_STORE_OK ? manager_store_state(m)
                                                                    : AMM_STORE_FAILED);
    } else if (job->actor.kind != ACTOR_NOBODY && !directory_actor_again(m, &job->actor)) {
        job_error(job, 401, "login-needed", NULL, "your login has ended: log in again");
    } else {
        part->resume(job, part->resume_context);
    }
    settle(job);
}

void job_keep(struct job *job, void *context, void (*drop)(void *context))
{
    job_part(job)->kept = context;
    job_part(job)->drop = drop;
}

void job_resume(struct job *job, void (*resume)(struct job *job, void *context), void *context)
{
    struct job_part *part = job_part(job);
    part->resume = resume;
    part->resume_context = context;
    part->item = (struct core_item){.run = run_again, .drop = drop_job, .context = job};
    core_queue(job->m->core, &part->item, CORE_URGENT, 0);
}

void job_lose(struct job *job)
{
    struct job_part *part = job_part(job);
    part->is_lost = true;
    if (!part->is_answered || part->status >= 400) {
        return;
    }
    part->headers_len = 0; /* a cookie of a login that was not saved */
    if (is_change(job)) {
        job_store_error(job, manager_store_state(job->m));
    } else {
        job_retry(job, 503, 1, "try-again",
                  "the answer rested on a change that could not be saved");
    }
}

#define CONSOLE_FIELDS                                                                             \
    "Cache-Control: no-store\r\n"                                                                  \
    "X-Content-Type-Options: nosniff\r\n"                                                          \
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"                      \
    "Referrer-Policy: no-referrer\r\n"

struct amm_view job_console_fields(uint32_t listener, bool is_tls)
{
    if (listener != LISTENER_CONSOLE) {
        return amm_view("", 0);
    }
    return amm_view_str(is_tls ? CONSOLE_FIELDS "Strict-Transport-Security: max-age=31536000\r\n"
                               : CONSOLE_FIELDS);
}

void job_send(struct job *job)
{
    struct job_part *part = job_part(job);
    struct amm_view more = job_console_fields(job->listener, job->is_tls);
    struct amm_writer w =
        amm_writer(part->headers + part->headers_len, sizeof part->headers - part->headers_len);
    amm_write_view(&w, more);
    part->headers_len += amm_writer_len(&w);
    struct amm_http_reply reply = {
        .status = part->status,
        .content_type = part->content_type,
        .fields = amm_view(part->headers, part->headers_len),
        .body = amm_view(part->body, part->body_len),
        .file = -1,
        .stream = part->is_stream,
    };
    if (part->sink != NULL) {
        part->sink(part->sink_context, job, &reply);
    } else {
        amm_http_answer(part->server, part->ref, &reply);
    }
    job_free(job);
}

/* ---- rights ---- */

bool job_allows(const struct job *job, enum access_action action,
                const struct access_object *object)
{
    return access_allows(job->m->fleet, &job->actor, action, object);
}

bool job_demand(struct job *job, enum access_action action, const struct access_object *object,
                const char *field)
{
    if (job_allows(job, action, object)) {
        return true;
    }
    if (job_allows(job, ACCESS_VIEW, object)) {
        job_error(job, 403, "forbidden", field, "your role does not allow this there");
    } else {
        job_missing(job, field);
    }
    return false;
}

/* The route's own demand. What the actor may not even see is not there. */
bool job_judge(struct job *job)
{
    const struct route *route = job->route;
    if (route->action != ACCESS_OPEN && job->actor.kind == ACTOR_NOBODY) {
        job_field(job, "WWW-Authenticate", "Bearer");
        job_error(job, 401, "login-needed", NULL, "log in, or send an API token");
        return false;
    }
    if (route->action != ACCESS_OPEN && job->actor.must_change_password &&
        !(route->flags & ROUTE_PASSWORD)) {
        job_error(job, 403, "password-change-needed", NULL,
                  "choose a password of your own first: POST /api/v1/me/password");
        return false;
    }
    if (route->find == NULL) {
        if (access_allows_somewhere(&job->actor, route->action)) {
            return true;
        }
        job_error(job, 403, "forbidden", NULL, "your role does not allow this");
        return false;
    }
    if (!job_argument_number(job, 0, 1, INT64_MAX, &job->id)) {
        return false;
    }
    if (!route->find(job->m, job->id, &job->object)) {
        job_not_found(job);
        return false;
    }
    return job_demand(job, route->action, &job->object, NULL);
}
