#include "core_parts.h"

#include "crypto/signed_time.h"
#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_LIMIT = 256 * 1024 };

void core_identity_say(struct ace_core *core, enum ace_identity_state state, const char *error)
{
    if (state != core->identity_state || strcmp(error, core->identity_error) != 0) {
        core->identity_state = state;
        snprintf(core->identity_error, sizeof core->identity_error, "%s", error);
        core->changed = true;
        amm_log(error[0] ? AMM_LOG_WARNING : AMM_LOG_INFO, "identity",
                amm_field_text("state", ace_identity_state_name(state)),
                amm_field_text("why", error));
    }
}

/* ---- enrolment ---- */

/* The state to go with an error of enrolment or renewal. */
static enum ace_identity_state state_now(const struct ace_core *core)
{
    if (!core->identity.certificate) {
        return ACE_IDENTITY_ENROLLING;
    }
    return core_now(core).wall > core->identity.not_after ? ACE_IDENTITY_EXPIRED
                                                          : ACE_IDENTITY_VALID;
}

static void answered_cas(struct ace_core *core, const struct ace_answer *a)
{
    struct amm_token token;
    char error[ACE_PATH + 96];
    const char *text = ace_parameters_text(core->parameters, AMM_MSCI_ENROLMENT_TOKEN);
    bool by_pin = core->asks_by_pin;
    struct core_retry *retry = by_pin ? &core->enrol : &core->renew;
    bool ok = (!by_pin || amm_token_parse(&token, text)) &&
              ace_identity_take_ca(&core->identity, a->body, by_pin ? token.ca_pin : NULL, error,
                                   sizeof error);
    if (!ok) {
        core_identity_say(core, state_now(core), error);
        core_retry_failed(core, retry);
        return;
    }
    core->wants_cas = false;
    core->tls = amm_http_tls_unref(core->tls);
    ace_exchange_forget(core->exchange);
    core_retry_reset(core, retry);
}

static void answered_time(struct ace_core *core, const struct ace_answer *a)
{
    struct amm_time_answer answer;
    struct amm_refusal refusal;
    char error[256] = "";
    bool ok = amm_time_answer_decode(&answer, a->body, &refusal);
    if (!ok) {
        snprintf(error, sizeof error, "the server's time cannot be read: %s %s", refusal.field,
                 refusal.text);
    } else {
        const struct amm_time_claim claim = {answer.time, answer.signature, answer.certificate};
        ok = memcmp(answer.nonce, core->nonce, sizeof core->nonce) == 0 &&
             amm_time_accept(&claim, core->nonce, core->identity.ca, core->clock.floor.at, error,
                             sizeof error);
    }
    int64_t step = ok ? answer.time - core_now(core).wall : 0;
    amm_time_answer_deinit(&answer);
    memset(core->nonce, 0, sizeof core->nonce); /* once */
    if (!ok) {
        amm_log(AMM_LOG_WARNING, "time-refused", amm_field_text("why", error));
        core_identity_say(core, core->identity_state, error);
        core_retry_failed(core, &core->enrol);
        return;
    }
    core_retry_reset(core, &core->enrol);
    core_time_offer(core, AMM_CLOCK_SERVER, step * 1000);
    core_identity_say(core, core->identity_state, "");
}

static void answered_certificate(struct ace_core *core, const struct ace_answer *a, bool is_renewal)
{
    char error[ACE_PATH + 96];
    struct core_retry *retry = is_renewal ? &core->renew : &core->enrol;
    if (!ace_identity_take(&core->identity, a->body, error, sizeof error)) {
        core_identity_say(core, state_now(core), error);
        core_retry_failed(core, retry);
        return;
    }
    core_retry_reset(core, retry);
    if (is_renewal && ace_identity_wants_renewal(&core->identity, core_now(core).wall)) {
        core_retry_after(core, &core->renew,
                         CORE_REFUSED_AGAIN); /* another one would be no better */
    }
    core->wants_renewal = false;
    core->wants_cas = true; /* a server that changes its CA has both while it does */
    core->is_stopped = false;
    core_identity_changed(core);
    core_identity_say(core, ACE_IDENTITY_VALID, "");
    ace_event(core, is_renewal ? "certificate-renewed" : "enrolled", core->identity.name, NULL);
    if (!is_renewal) { /* used up */
        bool ok = ace_parameters_put(core->parameters, AMM_MSCI_ENROLMENT_TOKEN, "",
                                     core_now(core).wall, "enrolment", error, sizeof error);
        core_storage(core, ok, error);
        core_parameters_changed(core);
    }
    if (core->renew_operation[0]) {
        core_operation_end(core, core->renew_operation, AMM_OPERATION_DONE, core->identity.name,
                           NULL);
        core->renew_operation[0] = '\0';
    }
}

/* ---- tunnel settings ---- */

static void settings_path(const struct ace_core *core, char out[ACE_PATH])
{
    core_path(core, "tunnel", out);
}

void core_settings_read(struct ace_core *core)
{
    char path[ACE_PATH];
    struct amm_span content;
    struct amm_refusal refusal;
    settings_path(core, path);
    enum ace_record found = ace_record_read(path, SETTINGS_LIMIT, &content);
    if (found != ACE_RECORD_GOOD && found != ACE_RECORD_PREVIOUS) {
        return;
    }
    if (!amm_tunnel_settings_decode(&core->settings, amm_view_of(content), &refusal)) {
        amm_tunnel_settings_deinit(&core->settings); /* asked for anew */
    }
    amm_wipe(content.data, content.len);
    free(content.data);
}

static void answered_tunnel(struct ace_core *core, const struct ace_answer *a)
{
    struct amm_tunnel_settings settings;
    struct amm_refusal refusal;
    char path[ACE_PATH], error[ACE_PATH + 96];
    if (!amm_tunnel_settings_decode(&settings, a->body, &refusal)) {
        amm_tunnel_settings_deinit(&settings);
        amm_log(AMM_LOG_WARNING, "tunnel-settings", amm_field_text("field", refusal.field),
                amm_field_text("why", refusal.text));
        core_retry_failed(core, &core->tunnel_retry);
        return;
    }
    settings_path(core, path);
    bool ok = ace_record_write(core->files, path, a->body, error, sizeof error);
    core_storage(core, ok, error); /* in force even if they are asked for anew at the next start */
    amm_tunnel_settings_deinit(&core->settings);
    core->settings = settings;
    core->wants_tunnel = false;
    core->tunnel_generation++;
    core_retry_reset(core, &core->tunnel_retry);
    ace_checkins_soon(core->checkins, core->system.mono); /* the server learns the hash */
}

/* ---- check-ins ---- */

static void take_desired(struct ace_core *core, const struct amm_checkin_answer *answer, bool again)
{
    char error[ACE_PATH + 96], id[AMM_CHECKIN_ID];
    int64_t port = ace_parameters_number(core->parameters, AMM_MSCI_TUNNEL_PORT);
    enum ace_desired desired = ace_parameters_take(core->parameters, answer->revision, answer->set,
                                                   again, core_now(core).wall, error, sizeof error);
    snprintf(id, sizeof id, "settings-%lld", (long long)answer->revision);
    switch (desired) {
    case ACE_DESIRED_OLD:
        return;
    case ACE_DESIRED_LATER:
        core_storage(core, false, error);
        return;
    case ACE_DESIRED_REFUSED:
        core_storage(core, true, "");
        core_operation_end(core, id, AMM_OPERATION_FAILED, error, NULL);
        return;
    case ACE_DESIRED_TAKEN:
        core_storage(core, true, "");
        break;
    }
    if (ace_parameters_number(core->parameters, AMM_MSCI_TUNNEL_PORT) != port) {
        core->move_revision = answer->revision;
    }
    core_parameters_changed(core);
    ace_checkins_soon(core->checkins, core->system.mono);
}

static void take_remote_key(struct ace_core *core, const struct amm_checkin_answer *answer)
{
    char error[ACE_PATH + 96];
    core->doubts_remote_key = false;
    if (answer->has_remote_key) {
        bool ok =
            ace_identity_take_remote_key(&core->identity, answer->remote_key, error, sizeof error);
        core_storage(core, ok, error);
        core->changed = core->changed || ok;
        if (ok) {
            amm_log(AMM_LOG_INFO, "remote-access-key", amm_field_text("from", core->server.host));
        }
    }
}

static void take_checkin(struct ace_core *core, const struct ace_outcome *outcome)
{
    char error[ACE_PATH + 96];
    const struct amm_checkin_answer *answer = outcome->answer;
    core->last_checkin = core_now(core).wall;
    core->last_in_tunnel = core->asks_in_tunnel;
    core->is_stopped = false;
    core_time_offer(core, AMM_CLOCK_SERVER, (answer->time - core_now(core).wall) * 1000);
    if (answer->events > 0 && ace_event_queue_ready(core->events) > 0) {
        bool ok = ace_event_queue_acknowledge(core->events, answer->events, error, sizeof error);
        core_storage(core, ok, error);
    }
    if (outcome->acknowledged) {
        ace_parameters_heard(core->parameters, outcome->change_mark);
        ace_operations_heard(core->operations, outcome->result_mark);
        core_identity_say(core, ACE_IDENTITY_VALID, "");
        if (ace_event_queue_ready(core->events) > 0) {
            ace_checkins_soon(core->checkins, core->system.mono);
        }
    }
    for (size_t i = 0; i < answer->refused.n; i++) {
        amm_log(AMM_LOG_WARNING, "value-refused",
                amm_field_text("field", answer->refused.at[i].field),
                amm_field_text("why", answer->refused.at[i].text));
    }
    take_remote_key(core, answer);
    core->wants_tunnel = answer->tunnel[0] && strcmp(answer->tunnel, core->settings.hash) != 0;
    if (answer->set) {
        take_desired(core, answer, false);
    }
    core_operations_take(core, answer);
}

static void answered_checkin(struct ace_core *core, const struct ace_answer *a)
{
    struct ace_outcome outcome;
    ace_checkins_answered(core->checkins, core->system.mono, a->status, a->retry_after, a->body,
                          &outcome);
    if (outcome.answer) {
        take_checkin(core, &outcome);
        if (ace_checkins_seq(core->checkins) > core->memory.seq) {
            core->memory.seq = ace_checkins_seq(core->checkins); /* the server knew a higher one */
            core_memory_save(core);
        }
        return;
    }
    amm_log(AMM_LOG_WARNING, "checkin-refused", amm_field_number("status", a->status),
            amm_field_text("why", outcome.error));
    if (outcome.fatal) {
        core->is_stopped = true;
        core_identity_say(core, ACE_IDENTITY_REFUSED, outcome.error);
        ace_event(core, "stopped-by-server", outcome.error, NULL);
    }
}

/* ---- answers in general ---- */

static void count_bytes(struct ace_core *core, const struct ace_answer *a)
{
    int64_t wall = ace_clock_is_trusted(&core->clock) ? core_now(core).wall : 0;
    ace_memory_count(&core->memory, wall, ACE_CHECKINS, a->bytes_in, a->bytes_out);
    core_memory_changed(core, 3600 * AMM_SECOND);
}

/* Another status than 200, to anything but a check-in. */
static void refused(struct ace_core *core, enum core_question question, const struct ace_answer *a)
{
    struct amm_error_answer error;
    char words[AMM_CHECKIN_TEXT];
    struct core_retry *retry = core_retry_of(core, question, core->asks_by_pin);
    bool waits = a->status == 202;
    amm_error_answer_decode(&error, a->body);
    snprintf(words, sizeof words, "the server answers %d: %.180s", a->status,
             error.text[0] ? error.text : error.error);
    if (question != CORE_ASKS_TUNNEL) {
        core_identity_say(core, waits ? ACE_IDENTITY_WAITING : state_now(core),
                          waits ? "waits for approval by the server's operator" : words);
    } else {
        amm_log(AMM_LOG_WARNING, "tunnel-settings", amm_field_text("why", words));
    }
    if (a->retry_after > 0) {
        core_retry_after(core, retry, a->retry_after);
    } else if (a->status >= 400 && a->status < 500 && a->status != 429) {
        core_retry_after(core, retry, CORE_REFUSED_AGAIN); /* or when a person changes something */
    } else {
        core_retry_failed(core, retry);
    }
    if (question == CORE_ASKS_RENEWAL && core->renew_operation[0]) {
        core_operation_end(core, core->renew_operation, AMM_OPERATION_FAILED, words, NULL);
        core->renew_operation[0] = '\0';
        core->wants_renewal = false;
    }
    if (error.fatal) {
        core->is_stopped = true;
        core_identity_say(core, ACE_IDENTITY_REFUSED, words);
    }
}

void core_answered(struct ace_core *core, const struct ace_answer *a)
{
    enum core_question question = core->asking;
    core->asking = CORE_ASKS_NOTHING;
    count_bytes(core, a);
    if (question == CORE_ASKS_CHECKIN) {
        answered_checkin(core, a);
        return;
    }
    if (a->status != 200) {
        refused(core, question, a);
        return;
    }
    switch (question) {
    case CORE_ASKS_CAS:
        answered_cas(core, a);
        break;
    case CORE_ASKS_TIME:
        answered_time(core, a);
        break;
    case CORE_ASKS_ENROLMENT:
        answered_certificate(core, a, false);
        break;
    case CORE_ASKS_RENEWAL:
        answered_certificate(core, a, true);
        break;
    case CORE_ASKS_TUNNEL:
        answered_tunnel(core, a);
        break;
    case CORE_ASKS_CHECKIN:
    case CORE_ASKS_NOTHING:
        break;
    }
}

void core_failed(struct ace_core *core, const struct ace_answer *a)
{
    enum core_question question = core->asking;
    core->asking = CORE_ASKS_NOTHING;
    count_bytes(core, a);
    amm_log(AMM_LOG_INFO, "server-not-reached", amm_field_text("server", core->server.host),
            amm_field_text("way", core->asks_in_tunnel ? "tunnel" : "wan"),
            amm_field_text("why", a->error));
    if (a->tls_failure == AMM_TLS_EXPIRED || a->tls_failure == AMM_TLS_NOT_YET_VALID) {
        core_time_doubt(core);
    }
    if (core->asks_in_tunnel) { /* the other way, and at once */
        core->tunnel_failed_until = core->system.mono + CORE_TUNNEL_AGAIN * AMM_SECOND;
    }
    if (question == CORE_ASKS_CHECKIN) {
        ace_checkins_failed(core->checkins, core->system.mono, a->error);
        if (core->asks_in_tunnel) {
            ace_checkins_now(core->checkins, core->system.mono);
        }
        return;
    }
    if (question != CORE_ASKS_TUNNEL) {
        core_identity_say(core, state_now(core), a->error);
    }
    if (!core->asks_in_tunnel) {
        core_retry_failed(core, core_retry_of(core, question, core->asks_by_pin));
    }
}
