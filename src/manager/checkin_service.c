#include "checkin_service.h"

#include "checkin.h"
#include "checkin_rules.h"
#include "crypto/identity.h"
#include "domain/gateway_answers.h"
#include "enrolment.h"
#include "fleet_module.h"
#include "io/log.h"
#include "manager/core.h"
#include "manager/history.h"
#include "manager/remote.h"

#include <stdlib.h>

/* One check-in a second in the long run, thirty at once: a gateway that is being set up comes
 * often, one that is broken must not cost the others. */
#define CHECKIN_COST AMM_SECOND
#define CHECKIN_BURST (30 * AMM_SECOND)

static struct comeback comeback;

static struct {
    uint64_t taken, repeated, old, full, refused, later, too_often, malformed;
} counters;

void checkin_service_start(struct manager *m)
{
    comeback_init(&comeback, m->now.mono);
    memset(&counters, 0, sizeof counters);
}

uint32_t checkin_service_slot(amm_time now)
{
    return comeback_slot(&comeback, now);
}

void checkin_service_metrics(struct metrics *out)
{
    static const char help[] = "Check-ins by what became of them.";
    const struct {
        const char *labels;
        uint64_t number;
    } rows[] = {
        {"result=\"taken\"", counters.taken},
        {"result=\"repeated\"", counters.repeated},
        {"result=\"old\"", counters.old},
        {"result=\"refused\"", counters.refused},
        {"result=\"later\"", counters.later},
        {"result=\"too-often\"", counters.too_often},
        {"result=\"malformed\"", counters.malformed},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        metrics_add(out, METRIC_COUNTER, "checkins_total", help, rows[i].labels,
                    (double)rows[i].number);
    }
    metrics_add(out, METRIC_COUNTER, "checkins_full_asked_total",
                "Check-ins that built on a state that the server did not have.", NULL,
                (double)counters.full);
    metrics_add(out, METRIC_GAUGE, "checkins_rate_limit",
                "Check-ins a second that retry slots are given out for.", NULL, comeback.rate);
}

/* ---- who may not ---- */

/* GP-5: `fatal` ends the tunnel. What was written about it (a quarantine) stays: so this is no
 * job_error, which would take it back. */
static void refuse(struct job *job, const char *name, const char *text, bool is_fatal)
{
    json_t *json = json_pack("{s:s, s:s}", "error", name, "text", text);
    if (json && is_fatal) {
        json_object_set_new(json, "fatal", json_true());
    }
    counters.refused++;
    job_json(job, 403, json);
}

static const char *access_text(const struct fleet_gateway *gateway)
{
    switch ((enum fleet_access)gateway->access) {
    case FLEET_QUARANTINED:
        return "This gateway is in quarantine; an operator must release it.";
    case FLEET_REVOKED:
        return "This gateway's certificates are revoked; it must enrol anew.";
    case FLEET_NEW:
        return "This gateway is not admitted; it must enrol.";
    case FLEET_ADMITTED:
    case FLEET_ACCESSES:
        break;
    }
    return "";
}

/* NULL: answered. */
static struct fleet_gateway *who(struct job *job)
{
    struct fleet_gateway *gateway = NULL;
    if (!job->client) {
        counters.refused++;
        job_error(job, 401, "certificate-needed", NULL,
                  "A check-in needs the gateway's certificate.");
        return NULL;
    }
    switch (enrolment_judge(job->m, job->client, &gateway)) {
    case ENROLMENT_GOOD:
        break;
    case ENROLMENT_UNKNOWN:
        refuse(job, "unknown-certificate", "The server does not know this certificate; enrol anew.",
               true);
        return NULL;
    case ENROLMENT_REVOKED:
        refuse(job, "revoked", "This certificate is revoked; the gateway must enrol anew.", true);
        return NULL;
    case ENROLMENT_TUNNEL_ONLY:
        refuse(job, "connection-file",
               "This certificate came with a connection file: it is for the tunnel only. A gateway "
               "with software of ours enrols.",
               false);
        return NULL;
    case ENROLMENT_EXPIRED:
        refuse(job, "expired", "This certificate has expired; renew it.", false);
        return NULL;
    case ENROLMENT_NOT_YET:
        refuse(job, "not-yet-valid", "This certificate is not valid yet by the server's clock.",
               false);
        return NULL;
    case ENROLMENT_LATER:
        job_retry(job, 503, ENROLMENT_LATER_SECONDS, "revocations-unknown",
                  "The server was restored from a backup and does not know yet what is revoked.");
        return NULL;
    }
    if (!fleet_gateway_is_admitted(gateway)) {
        refuse(job, fleet_access_name(gateway->access), access_text(gateway), true);
        return NULL;
    }
    return gateway;
}

/* ---- who must wait ---- */

static bool may_come_now(struct job *job, struct fleet_gateway *gateway)
{
    struct manager *m = job->m;
    struct core_counters core;
    amm_time now = m->now.mono;
    amm_time paid = gateway->paid_until > now ? gateway->paid_until : now;
    if (paid - now > CHECKIN_BURST) {
        counters.too_often++;
        job_retry(job, 429, (unsigned)((paid - now - CHECKIN_BURST) / AMM_SECOND + 1), "too-often",
                  "This gateway checks in too often.");
        return false;
    }
    core_counters(m->core, &core);
    uint32_t later =
        comeback_admit(&comeback, m->now, core.waiting[CORE_GATEWAYS], gateway->slot_at);
    if (later > 0) {
        counters.later++;
        gateway->slot_at = m->now.wall + later;
        job_retry(job, 503, later, "busy", "Too many gateways at once; this is your slot.");
        return false;
    }
    gateway->paid_until = paid + CHECKIN_COST;
    return true;
}

/* ---- the check-in ---- */

static void count(const struct fleet_gateway *gateway, uint64_t seq_before,
                  const struct amm_checkin *message, bool full)
{
    if (gateway->seq != seq_before) {
        counters.taken++;
    } else if (message->seq == seq_before) {
        counters.repeated++;
    } else {
        counters.old++;
    }
    counters.full += full;
}

static void send(struct job *job, const struct fleet_gateway *gateway,
                 const struct amm_checkin_answer *answer)
{
    size_t len;
    char *text = amm_checkin_answer_encode(answer, &len);
    if (!text) {
        job_retry(job, 503, 60, "out-of-memory", "The server is out of memory.");
        return;
    }
    job_bytes(job, 200, "application/json", amm_view(text, len));
    history_traffic(job->m, gateway->id, HISTORY_CHECKIN, job->body.len + len);
    free(text);
}

static void fleet_failed(struct job *job, const struct fleet_error *error)
{
    amm_log(AMM_LOG_WARNING, "checkin-failed", amm_field_text("error", error->name),
            amm_field_text("text", error->text));
    job_retry(job, 503, 60, "store-refuses", "The server cannot save anything at the moment.");
}

static void take(struct job *job, struct fleet_gateway *gateway, struct amm_checkin *message)
{
    struct manager *m = job->m;
    const char *tunnel_hash = enrolment_tunnel_hash(m);
    struct checkin_input input = {
        .message = message,
        .digest = checkin_digest(job->body),
        .now = m->now,
        .remote_key = remote_assertion_key(m),
        .tunnel_hash = tunnel_hash[0] != '\0' ? tunnel_hash : NULL,
    };
    struct amm_checkin_answer answer;
    struct fleet_error error = {0};
    bool quarantined = false;
    uint64_t seq_before = gateway->seq;
    if (!checkin_take(m->fleet, gateway, &input, &answer, &quarantined, &error)) {
        fleet_failed(job, &error);
        return;
    }
    for (size_t i = 0; !quarantined && i < message->n_events; i++) {
        remote_take_event(m, gateway, &message->events[i]);
    }
    if (quarantined) {
        refuse(job, fleet_access_name(gateway->access), access_text(gateway), true);
    } else {
        count(gateway, seq_before, message, answer.full);
        send(job, gateway, &answer);
    }
    amm_checkin_answer_deinit(&answer);
}

static void handle(struct job *job)
{
    struct amm_checkin message;
    struct amm_refusal refusal;
    struct fleet_gateway *gateway = who(job);
    if (!gateway || !may_come_now(job, gateway)) {
        return;
    }
    if (amm_checkin_decode(&message, job->body, &refusal)) {
        take(job, gateway, &message);
    } else {
        counters.malformed++;
        job_error(job, 400, "malformed", refusal.field[0] != '\0' ? refusal.field : NULL, "%s",
                  refusal.text);
    }
    amm_checkin_deinit(&message);
}

const struct route checkin_routes[] = {
    {.method = "POST",
     .path = "/checkin",
     .listeners = LISTENER_GATEWAYS,
     .action = ACCESS_OPEN,
     .flags = ROUTE_RAW_BODY | ROUTE_UNAUDITED,
     .body_max = AMM_CHECKIN_BODY_MAX,
     .handle = handle,
     .summary = "A gateway checks in (doc/gateway-protocol.md, section 5)"},
    {0},
};
