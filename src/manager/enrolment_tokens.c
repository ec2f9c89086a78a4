/* Enrolment tokens: made, listed, taken back by people. */
#include "manager/enrolment_parts.h"

#include "crypto/mac.h"
#include "domain/token.h"
#include "api_enrolment.h"

#include <stdio.h>

enum { LIFE_USUAL = 30 * ENROLMENT_DAY };

bool enrolment_token_make(struct manager *m, const struct enrolment_token_new *what, int64_t *id,
                          char text[AMM_TOKEN_TEXT], struct fleet_error *error)
{
    struct amm_token token;
    uint8_t hash[AMM_SHA256_LEN];
    if (!m->enrolment->cacerts) {
        return fleet_refuse(error, 503, "cad-down", NULL,
                            "amm-cad has not answered yet since the start; a token names its CA.");
    }
    amm_random_fill(&m->random, token.secret, sizeof token.secret);
    memcpy(token.ca_pin, m->enrolment->server_ca_pin, sizeof token.ca_pin);
    amm_token_format(text, &token);
    bool hashed = amm_sha256(amm_view(token.secret, sizeof token.secret), hash);
    amm_wipe(&token, sizeof token);
    enum amm_store_result result =
        hashed
            ? amm_store_number(m->store, AMM_SQL_ENROLMENT_TOKEN_ADD,
                               AMM_WITH(amm_number(what->tenant), amm_number(what->group),
                                        amm_number(what->gateway), amm_blob(hash, sizeof hash),
                                        amm_text(what->note), amm_number(m->now.wall),
                                        amm_text(what->created_by), amm_number(what->expires_at)),
                               id)
            : AMM_STORE_FAILED;
    return result == AMM_STORE_OK ||
           fleet_refuse(error, result == AMM_STORE_FULL ? 507 : 503, amm_store_result_name(result),
                        NULL, "The server cannot save anything at the moment.");
}

static const char *state_of(const struct enrolment_token *token, int64_t now)
{
    return token->used_at             ? "used"
           : token->revoked_at        ? "revoked"
           : token->expires_at <= now ? "expired"
                                      : "open";
}

static json_t *to_json(const struct enrolment_token *token, int64_t now)
{
    json_t *o = json_pack("{s:o, s:o, s:o, s:s, s:s, s:I, s:s, s:I}", "id", job_json_id(token->id),
                          "tenant", job_json_id(token->tenant), "group", job_json_id(token->group),
                          "state", state_of(token, now), "note", token->note, "created",
                          (json_int_t)token->created_at, "by", token->created_by, "expires",
                          (json_int_t)token->expires_at);
    if (o && token->gateway != 0) {
        json_object_set_new(o, "gateway", job_json_id(token->gateway));
    }
    if (o && token->used_at != 0) {
        json_object_set_new(o, "used", json_integer(token->used_at));
        json_object_set_new(o, "serial", json_string(token->used_by));
    }
    return o;
}

/* Where the new tokens belong: a gateway, or a group of a tenant. False: answered. */
static bool find_place(struct job *job, struct enrolment_token_new *out)
{
    struct fleet *fleet = job->m->fleet;
    int64_t gateway_id = job_id(job, "gateway", 0);
    if (gateway_id != 0) {
        const struct fleet_gateway *gateway = fleet_gateway_find(fleet, gateway_id);
        struct access_object where = gateway ? gateway_object(gateway) : (struct access_object){0};
        if (!gateway) {
            job_missing(job, "gateway");
            return false;
        }
        if (!job_demand(job, ACCESS_ADMIN, &where, "gateway")) {
            return false;
        }
        if (gateway->access != FLEET_NEW && gateway->access != FLEET_REVOKED) {
            job_error(job, 409, "enrolled", "gateway",
                      "The gateway has enrolled; revoke or replace it first.");
            return false;
        }
        *out = (struct enrolment_token_new){
            .tenant = where.tenant, .group = where.group, .gateway = gateway_id};
        return true;
    }
    struct access_object where = {job_id(job, "tenant", 0), job_id(job, "group", 0)};
    if (where.tenant == 0) {
        job_error(job, 400, "missing", "tenant", "A token is for a gateway, or for a tenant.");
        return false;
    }
    if (!fleet_branch_find(fleet, where.tenant, where.group)) {
        job_missing(job, where.group != 0 ? "group" : "tenant");
        return false;
    }
    *out = (struct enrolment_token_new){.tenant = where.tenant, .group = where.group};
    return job_demand(job, ACCESS_ADMIN, &where, where.group != 0 ? "group" : "tenant");
}

void enrolment_token_add(struct job *job)
{
    struct manager *m = job->m;
    struct enrolment_token_new what;
    struct fleet_error error;
    int64_t count = job_number(job, "count", 1);
    if (!find_place(job, &what)) {
        return;
    }
    if (what.gateway != 0 && count != 1) {
        job_error(job, 400, "too-many", "count", "A gateway needs one token.");
        return;
    }
    what.expires_at = m->now.wall + job_number(job, "expires_in", LIFE_USUAL);
    what.note = job_text(job, "note", "");
    what.created_by = job->actor.name;
    json_t *items = json_array();
    for (int64_t i = 0; items && i < count; i++) {
        char text[AMM_TOKEN_TEXT];
        int64_t id;
        if (!enrolment_token_make(m, &what, &id, text, &error)) {
            json_decref(items);
            job_fleet_error(job, &error);
            return;
        }
        json_array_append_new(items, json_pack("{s:o, s:s, s:I}", "id", job_json_id(id), "token",
                                               text, "expires", (json_int_t)what.expires_at));
        amm_wipe(text, sizeof text);
    }
    job_audit(job, what.tenant, "enrolment tokens", "%lld made", (long long)count);
    job_field(job, "Cache-Control", "no-store");
    job_json(job, 201, items ? json_pack("{s:o}", "items", items) : NULL);
}

/* ---- lists ---- */

/* The page is full, or enough rows have been looked at: `last` is where to go on. */
struct listing {
    struct job *job;
    json_t *items;
    unsigned seen, limit;
    bool has_more;
    int64_t last;
};

static bool list_one(void *context, const struct enrolment_token *token)
{
    struct listing *listing = context;
    struct access_object where = {token->tenant, token->group};
    listing->last = token->id;
    if (job_allows(listing->job, ACCESS_VIEW, &where)) {
        json_array_append_new(listing->items, to_json(token, listing->job->m->now.wall));
    }
    listing->has_more =
        json_array_size(listing->items) == listing->limit || ++listing->seen == ENROLMENT_SCAN;
    return !listing->has_more;
}

void enrolment_token_list(struct job *job)
{
    struct job_page page = job_page(job);
    struct listing listing = {.job = job, .items = json_array(), .limit = page.limit};
    int64_t tenant = job_query_number(job, "tenant", job_only_tenant(job));
    enum amm_store_result result =
        tenant != 0 ? enrolment_tokens(job->m, AMM_SQL_ENROLMENT_TOKEN_LIST,
                                       AMM_WITH(amm_number(tenant), amm_number(page.after),
                                                amm_number(ENROLMENT_SCAN)),
                                       list_one, &listing)
                    : enrolment_tokens(job->m, AMM_SQL_ENROLMENT_TOKEN_LIST_ALL,
                                       AMM_WITH(amm_number(page.after), amm_number(ENROLMENT_SCAN)),
                                       list_one, &listing);
    if (result != AMM_STORE_OK) {
        json_decref(listing.items);
        job_store_error(job, result);
        return;
    }
    job_list(job, listing.items, listing.has_more ? listing.last : 0);
}

bool enrolment_token_object(struct manager *m, int64_t id, struct access_object *out)
{
    struct enrolment_token token;
    if (enrolment_token_one(m, AMM_SQL_ENROLMENT_TOKEN_GET, amm_number(id), &token) !=
        AMM_STORE_OK) {
        return false;
    }
    *out = (struct access_object){token.tenant, token.group};
    return true;
}

void enrolment_token_show(struct job *job)
{
    struct enrolment_token token;
    enum amm_store_result result =
        enrolment_token_one(job->m, AMM_SQL_ENROLMENT_TOKEN_GET, amm_number(job->id), &token);
    if (result == AMM_STORE_NONE) {
        job_not_found(job);
    } else if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else {
        job_json(job, 200, to_json(&token, job->m->now.wall));
    }
}

void enrolment_token_remove(struct job *job)
{
    enum amm_store_result result =
        amm_store_run(job->m->store, AMM_SQL_ENROLMENT_TOKEN_REVOKE,
                      AMM_WITH(amm_number(job->m->now.wall), amm_number(job->id),
                               amm_number(job->object.tenant)));
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
        return;
    }
    char what[48];
    snprintf(what, sizeof what, "enrolment token %lld", (long long)job->id);
    job_audit(job, job->object.tenant, what, "taken back");
    job_empty(job); /* one that was used or taken back before is no error: it is as it was wanted */
}
