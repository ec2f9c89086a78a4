/* The approval queue: gateways that have shown a good token and wait for a person. */
#include "manager/enrolment_parts.h"

#include "crypto/mac.h"
#include "api_enrolment.h"

#include <stdio.h>

static const char *const state_names[] = {[ENROLMENT_WAITING] = "waiting",
                                          [ENROLMENT_APPROVED] = "approved",
                                          [ENROLMENT_REFUSED] = "refused"};

static json_t *to_json(const struct enrolment_request *request)
{
    uint8_t hash[AMM_SHA256_LEN];
    char key[2 * AMM_SHA256_LEN + 1] = "";
    if (amm_sha256(amm_view(request->key, sizeof request->key), hash)) {
        amm_hex(key, amm_view(hash, sizeof hash));
    }
    json_t *o =
        json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:I}", "id", job_json_id(request->id),
                  "tenant", job_json_id(request->tenant), "group", job_json_id(request->group),
                  "token", job_json_id(request->token), "serial", request->serial, "key", key,
                  "state", state_names[request->state], "remote", request->remote, "created",
                  (json_int_t)request->created_at);
    if (o && request->gateway != 0) {
        json_object_set_new(o, "gateway", job_json_id(request->gateway));
    }
    if (o && request->decided_at != 0) {
        json_object_set_new(o, "decided", json_integer(request->decided_at));
        json_object_set_new(o, "by", json_string(request->decided_by));
    }
    return o;
}

/* The page is full, or enough rows have been looked at: `last` is where to go on. */
struct listing {
    struct job *job;
    json_t *items;
    unsigned seen, limit;
    bool has_more;
    int64_t last;
};

static bool list_one(void *context, const struct enrolment_request *request)
{
    struct listing *listing = context;
    struct access_object where = {request->tenant, request->group};
    listing->last = request->id;
    if (request->token != 0 && job_allows(listing->job, ACCESS_VIEW, &where)) {
        json_array_append_new(listing->items, to_json(request));
    }
    listing->has_more =
        json_array_size(listing->items) == listing->limit || ++listing->seen == ENROLMENT_SCAN;
    return !listing->has_more;
}

/* Of the query; the route has checked that it is one of these. */
static enum enrolment_state wanted_state(const struct job *job)
{
    char text[16];
    enum enrolment_state state = ENROLMENT_WAITING;
    if (!job_query_text(job, "state", text, sizeof text)) {
        return state;
    }
    while (state < ENROLMENT_REFUSED && strcmp(state_names[state], text) != 0) {
        state++;
    }
    return state;
}

void enrolment_request_list(struct job *job)
{
    struct job_page page = job_page(job);
    struct listing listing = {.job = job, .items = json_array(), .limit = page.limit};
    enum enrolment_state state = wanted_state(job);
    int64_t tenant = job_query_number(job, "tenant", job_only_tenant(job));
    enum amm_store_result result =
        tenant != 0
            ? enrolment_requests(job->m, AMM_SQL_ENROLMENT_REQUEST_LIST,
                                 AMM_WITH(amm_number(tenant), amm_number(state),
                                          amm_number(page.after), amm_number(ENROLMENT_SCAN)),
                                 list_one, &listing)
            : enrolment_requests(
                  job->m, AMM_SQL_ENROLMENT_REQUEST_LIST_ALL,
                  AMM_WITH(amm_number(state), amm_number(page.after), amm_number(ENROLMENT_SCAN)),
                  list_one, &listing);
    if (result != AMM_STORE_OK) {
        json_decref(listing.items);
        job_store_error(job, result);
        return;
    }
    job_list(job, listing.items, listing.has_more ? listing.last : 0);
}

bool enrolment_request_object(struct manager *m, int64_t id, struct access_object *out)
{
    struct enrolment_request request;
    if (enrolment_request_one(m, AMM_SQL_ENROLMENT_REQUEST_GET, amm_number(id), &request) !=
            AMM_STORE_OK ||
        request.token == 0) {
        return false;
    }
    *out = (struct access_object){request.tenant, request.group};
    return true;
}

static void decide(struct job *job, enum enrolment_state state)
{
    struct manager *m = job->m;
    struct enrolment_request request;
    enum amm_store_result result =
        enrolment_request_one(m, AMM_SQL_ENROLMENT_REQUEST_GET, amm_number(job->id), &request);
    if (result == AMM_STORE_OK) {
        result = amm_store_run(m->store, AMM_SQL_ENROLMENT_REQUEST_DECIDE,
                               AMM_WITH(amm_number(state), amm_number(m->now.wall),
                                        amm_text(job->actor.name), amm_number(request.id),
                                        amm_number(request.tenant)));
    }
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
        return;
    }
    char what[FLEET_SERIAL_MAX + 32];
    snprintf(what, sizeof what, "gateway with serial %s", request.serial);
    job_audit(job, request.tenant, what, "%s", state_names[state]);
    request.state = state;
    request.decided_at = m->now.wall;
    snprintf(request.decided_by, sizeof request.decided_by, "%s", job->actor.name);
    job_json(job, 200, to_json(&request));
}

void enrolment_request_approve(struct job *job)
{
    decide(job, ENROLMENT_APPROVED);
}

void enrolment_request_refuse(struct job *job)
{
    decide(job, ENROLMENT_REFUSED);
}
