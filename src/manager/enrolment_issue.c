/* From what is to be issued to an identity in the store. */
#include "manager/enrolment_parts.h"

#include "audit.h"
#include "events.h"
#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>

bool enrolment_is_issuing(const struct manager *m, int64_t token, int64_t gateway)
{
    for (const struct enrolment_issue *i = m->enrolment->issues; i; i = i->next) {
        if ((token != 0 && i->token == token) || (gateway != 0 && i->gateway == gateway)) {
            return true;
        }
    }
    return false;
}

static void note_issue(struct manager *m, struct enrolment_issue *issue)
{
    issue->next = m->enrolment->issues;
    issue->back = &m->enrolment->issues;
    if (issue->next) {
        issue->next->back = &issue->next;
    }
    m->enrolment->issues = issue;
}

static void issue_free(struct enrolment_issue *issue)
{
    *issue->back = issue->next;
    if (issue->next) {
        issue->next->back = issue->back;
    }
    if (issue->free_more) {
        issue->free_more(issue->more);
    }
    free(issue);
}

/* ---- a certificate without an owner ---- */

struct orphan {
    uint8_t serial[AMM_CAD_SERIAL], kind;
};

static void revoke_orphan(struct manager *m, void *context)
{
    struct orphan *orphan = context;
    struct fleet_error error;
    if (!enrolment_revocation_due(m, orphan->serial, orphan->kind, &error)) {
        amm_log(AMM_LOG_ERROR, "orphan-not-revoked", amm_field_text("why", error.text));
        manager_fail(m);
    }
    free(orphan);
}

void enrolment_disown(struct manager *m, const uint8_t serial[AMM_CAD_SERIAL], uint8_t kind)
{
    struct orphan *orphan = calloc(1, sizeof *orphan);
    if (orphan) {
        memcpy(orphan->serial, serial, sizeof orphan->serial);
        orphan->kind = kind;
        manager_post(m, revoke_orphan, orphan);
    }
}

/* The job is gone: what was made for it must not stay good. */
static void drop(struct manager *m, void *context, const struct amm_cad_message *answer)
{
    struct enrolment_issue *issue = context;
    if (answer && answer->type == AMM_CAD_ISSUED) {
        enrolment_disown(m, answer->issued.serial, issue->kind);
    }
    issue_free(issue);
}

/* ---- the second unit ---- */

static bool use_token(struct manager *m, const struct enrolment_issue *issue,
                      struct fleet_error *error)
{
    if (issue->token == 0) {
        return true;
    }
    enum amm_store_result result =
        amm_store_run(m->store, AMM_SQL_ENROLMENT_TOKEN_USE,
                      AMM_WITH(amm_number(m->now.wall), amm_text(issue->serial),
                               amm_number(issue->token), amm_number(issue->tenant)));
    if (result != AMM_STORE_OK) {
        return fleet_refuse(error, 503, amm_store_result_name(result), NULL,
                            "The server cannot save anything at the moment.");
    }
    return amm_store_changes(m->store) == 1 ||
           fleet_refuse(error, 401, "token", NULL, "The token was used or taken back meanwhile.");
}

static bool add_identity(struct manager *m, const struct enrolment_issue *issue,
                         struct fleet_gateway *gateway, const struct amm_cad_issued *issued,
                         struct fleet_error *error)
{
    struct amm_identity parsed;
    char why[128];
    int64_t id;
    if (!amm_pki_identity(issued->certificate, &parsed, why, sizeof why)) {
        return fleet_refuse(error, 503, "cad-broken", NULL, "amm-cad gave no certificate.");
    }
    enum amm_store_result result = amm_store_number(
        m->store, AMM_SQL_IDENTITY_ADD,
        AMM_WITH(amm_number(gateway->group->tenant->id), amm_number(gateway->id),
                 amm_number(issue->kind), amm_blob(issued->serial, sizeof issued->serial),
                 amm_blob(issued->issuer, sizeof issued->issuer),
                 amm_blob(parsed.key, sizeof parsed.key),
                 amm_blob(issue->approval, sizeof issue->approval), amm_number(issue->token),
                 amm_number(issued->not_before), amm_number(issued->not_after),
                 amm_number(m->now.wall)),
        &id);
    if (result != AMM_STORE_OK) {
        return fleet_refuse(error, 503, amm_store_result_name(result), NULL,
                            "The server cannot save anything at the moment.");
    }
    struct fleet_identity identity = {.id = id,
                                      .kind = (uint8_t)issue->kind,
                                      .not_before = issued->not_before,
                                      .not_after = issued->not_after};
    memcpy(identity.key_hash, parsed.key, sizeof identity.key_hash);
    return fleet_identity_put(m->fleet, gateway, &identity) != NULL ||
           fleet_refuse(error, 503, "memory", NULL, "The server is out of memory.");
}

/* The words of event and audit log. */
static bool tell(struct manager *m, const struct enrolment_issue *issue,
                 struct fleet_gateway *gateway, const struct amm_cad_issued *issued,
                 struct fleet_error *error)
{
    bool renews = issue->token == 0 && issue->kind == AMM_CAD_GATEWAY;
    char serial[2 * AMM_CAD_SERIAL + 1], who[FLEET_TUNNEL_NAME + 16], name[FLEET_TUNNEL_NAME];
    const char *kind = issue->token ? "enrolled" : renews ? "renewed" : "connection-file";
    amm_hex(serial, amm_view(issued->serial, sizeof issued->serial));
    fleet_tunnel_name(gateway, name);
    snprintf(who, sizeof who, "gateway %s", name);
    char detail[128];
    snprintf(detail, sizeof detail, "certificate %s", serial + strspn(serial, "0"));
    struct audit_entry entry = {.tenant = gateway->group->tenant->id,
                                .actor = who,
                                .remote = "",
                                .action = kind,
                                .object = who,
                                .result = "ok",
                                .detail = detail};
    bool ok = renews || (event_add(m->fleet, gateway, kind, detail, NULL, m->now.wall) &&
                         (issue->kind == AMM_CAD_PROFILE || audit_add(m, &entry)));
    return ok || fleet_refuse(error, 503, "store", NULL,
                              "The server cannot save anything at the moment.");
}

static bool settle(struct job *job, struct enrolment_issue *issue, struct fleet_gateway *gateway,
                   const struct amm_cad_issued *issued, struct fleet_error *error)
{
    struct manager *m = job->m;
    if (!use_token(m, issue, error) || !add_identity(m, issue, gateway, issued, error) ||
        !tell(m, issue, gateway, issued, error)) {
        return false;
    }
    if (issue->request != 0 && amm_store_run(m->store, AMM_SQL_ENROLMENT_REQUEST_REMOVE,
                                             AMM_WITH(amm_number(issue->request),
                                                      amm_number(issue->tenant))) != AMM_STORE_OK) {
        return fleet_refuse(error, 503, "store", NULL,
                            "The server cannot save anything at the moment.");
    }
    if (issue->token != 0 &&
        (!fleet_gateway_set_access(m->fleet, gateway, FLEET_ADMITTED, NULL, m->now.wall, error) ||
         !fleet_gateway_restart_numbers(m->fleet, gateway, error))) {
        return false;
    }
    fleet_touch(m->fleet, gateway, FLEET_ACCESS);
    return true;
}

static bool found(void *context, const struct enrolment_identity *identity)
{
    (void)identity;
    *(bool *)context = true;
    return false;
}

/* True if the store has this certificate: the same thing was asked for twice. */
static bool is_known(struct manager *m, const uint8_t serial[AMM_CAD_SERIAL])
{
    bool known = false;
    enrolment_identities(m, AMM_SQL_IDENTITY_BY_SERIAL, AMM_WITH(amm_blob(serial, AMM_CAD_SERIAL)),
                         found, &known);
    return known;
}

/* May the gateway have it still? It may have been removed, revoked or quarantined meanwhile. */
static bool is_wanted(const struct enrolment_issue *issue, const struct fleet_gateway *gateway)
{
    return gateway && gateway->group->tenant->id == issue->tenant &&
           (issue->token != 0 ? gateway->access == FLEET_NEW || gateway->access == FLEET_REVOKED
                              : gateway->access == FLEET_ADMITTED);
}

static void refuse_issue(struct job *job, const struct amm_cad_failed *failed)
{
    job->m->enrolment->refused++;
    if (failed->reason == AMM_CAD_REVOKED_BEFORE) {
        job_error(job, 403, "revoked", NULL, "The certificate was revoked.");
    } else if (failed->reason == AMM_CAD_CONFLICT) {
        job_error(job, 409, "conflict", NULL, "Another key was enrolled meanwhile.");
    } else {
        job_error(job, 400, "refused", NULL, "%s", failed->words);
    }
}

static void take_answer(struct job *job, void *context, const struct amm_cad_message *answer)
{
    struct enrolment_issue *issue = context;
    struct manager *m = job->m;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, issue->gateway);
    struct fleet_error error;
    if (answer && answer->type == AMM_CAD_FAILED && answer->failed.reason != AMM_CAD_BUSY &&
        answer->failed.reason != AMM_CAD_BROKEN) {
        refuse_issue(job, &answer->failed);
    } else if (!answer || answer->type != AMM_CAD_ISSUED) {
        enrolment_unavailable(job, answer);
    } else if (gateway && is_known(m, answer->issued.serial)) {
        issue->issued(job, issue, gateway, &answer->issued);
    } else if (!is_wanted(issue, gateway)) {
        enrolment_disown(m, answer->issued.serial, issue->kind);
        job_error(job, 403, "gone", NULL, "The gateway may not have a certificate any more.");
    } else if (!settle(job, issue, gateway, &answer->issued, &error)) {
        if (error.status == 401 || issue->request == 0) { /* else it is asked for again, by the same
                                                             approval */
            enrolment_disown(m, answer->issued.serial, issue->kind);
        }
        job_fleet_error(job, &error);
    } else {
        m->enrolment->enrolled += issue->token != 0;
        m->enrolment->renewed += issue->token == 0 && issue->kind == AMM_CAD_GATEWAY;
        issue->issued(job, issue, gateway, &answer->issued);
    }
    issue_free(issue);
}

bool enrolment_certificate_name(const struct fleet_gateway *gateway, char out[AMM_NAME_MAX + 1])
{
    char name[FLEET_TUNNEL_NAME];
    fleet_tunnel_name(gateway, name);
    size_t len = strlen(name);
    if (len > AMM_NAME_MAX) {
        out[0] = '\0';
        return false;
    }
    memcpy(out, name, len + 1);
    return true;
}

void enrolment_issue(struct job *job, struct enrolment_issue *issue)
{
    note_issue(job->m, issue);
    struct amm_cad_message request = {.type = AMM_CAD_ISSUE};
    struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, issue->gateway);
    if (!enrolment_certificate_name(gateway, request.issue.name)) {
        job_error(job, 409, "name-too-long", NULL,
                  "The name with that of the tenant has more than %d characters.", AMM_NAME_MAX);
        issue_free(issue);
        return;
    }
    request.issue.kind = issue->kind;
    request.issue.days = issue->days;
    memcpy(request.issue.approval, issue->approval, sizeof issue->approval);
    memcpy(request.issue.key, issue->key, sizeof issue->key);
    memcpy(request.issue.renews, issue->renews, sizeof issue->renews);
    enrolment_ask(job, &request, take_answer, drop, issue);
}
