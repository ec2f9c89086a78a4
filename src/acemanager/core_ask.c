#include "core_parts.h"

#include "base/base64.h"
#include "crypto/est.h"
#include "http/message.h"
#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANAGER_NAME "amm-manager"

/* ---- the server ---- */

/* "https://HOST:PORT" in the registry's canonical form; anything else is no server. */
static bool parse_url(const char *url, struct core_server *out)
{
    static const char scheme[] = "https://";
    *out = (struct core_server){0};
    const char *host = url + sizeof scheme - 1, *colon = strrchr(url, ':');
    if (strncmp(url, scheme, sizeof scheme - 1) != 0 || !colon || colon <= host) {
        return false;
    }
    size_t len = (size_t)(colon - host);
    if (host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (len == 0 || len >= sizeof out->host || port < 1 || port > 65535) {
        return false;
    }
    snprintf(out->url, sizeof out->url, "%s", url);
    snprintf(out->host, sizeof out->host, "%.*s", (int)len, host);
    out->port = (uint16_t)port;
    return true;
}

/* Another server is another identity: the former one is of no use there, and its CA proves nothing.
 */
static void leave_server(struct ace_core *core)
{
    char error[ACE_PATH + 96], path[ACE_PATH];
    amm_log(AMM_LOG_INFO, "server-changed", amm_field_text("from", core->memory.server),
            amm_field_text("to", core->server.url));
    bool ok = ace_identity_forget(&core->identity, error, sizeof error);
    core_storage(core, ok, error);
    core_path(core, "tunnel", path);
    ace_record_remove(core->files, path);
    amm_tunnel_settings_deinit(&core->settings);
    core->is_stopped = false;
    core_identity_changed(core);
}

void core_server_read(struct ace_core *core)
{
    struct amm_msci_value value;
    char error[AMM_MSCI_ERROR];
    const char *url = ace_parameters_text(core->parameters, AMM_MSCI_SERVER_URL);
    if (!url[0] && amm_msci_from_text(amm_msci_find(AMM_MSCI_SERVER_URL),
                                      amm_view_str(core->config->server), &value, error)) {
        url = value.text;
    }
    if (strcmp(url, core->server.url) == 0) {
        return;
    }
    ace_exchange_cancel(core->exchange);
    core->asking = CORE_ASKS_NOTHING;
    parse_url(url, &core->server);
    core_retry_reset(core, &core->enrol);
    core_retry_reset(core, &core->renew);
    core_retry_reset(core, &core->tunnel_retry);
    ace_checkins_forget(core->checkins, core->system.mono);
    if (core->server.url[0] && strcmp(core->server.url, core->memory.server) != 0) {
        if (core->memory.server[0]) {
            leave_server(core);
        }
        snprintf(core->memory.server, sizeof core->memory.server, "%s", core->server.url);
        core_memory_save(core);
    }
}

void core_identity_changed(struct ace_core *core)
{
    core->tls = amm_http_tls_unref(core->tls);
    ace_exchange_forget(core->exchange);
    ace_clock_certificate(&core->clock, core->identity.not_before, core->identity.not_after);
    core->tunnel_generation++;
    ace_checkins_forget(core->checkins, core->system.mono);
}

/* ---- what is next ---- */

bool core_enrols(const struct ace_core *core, struct amm_token *token)
{
    return (!core->identity.certificate || core->identity_state == ACE_IDENTITY_REFUSED) &&
           amm_token_parse(token, ace_parameters_text(core->parameters, AMM_MSCI_ENROLMENT_TOKEN));
}

static bool is_expired(const struct ace_core *core)
{
    return core->identity.certificate && core_now(core).wall > core->identity.not_after;
}

/* What keeps a gateway from enrolling, said once. */
static void say_identity(struct ace_core *core)
{
    struct amm_token token = {0};
    if (core->identity.certificate) {
        if (core->identity_state == ACE_IDENTITY_NONE ||
            core->identity_state == ACE_IDENTITY_ENROLLING) {
            core_identity_say(core, ACE_IDENTITY_VALID, "");
        }
        if (ace_clock_is_trusted(&core->clock) && is_expired(core) &&
            core->identity_state == ACE_IDENTITY_VALID) {
            core_identity_say(core, ACE_IDENTITY_EXPIRED, "");
        }
    } else if (!core_enrols(core, &token)) {
        core_identity_say(core, ACE_IDENTITY_NONE, "");
    } else if (core->identity_state == ACE_IDENTITY_NONE) {
        core_identity_say(core, ACE_IDENTITY_ENROLLING, "");
    }
    amm_wipe(&token, sizeof token);
}

static bool may_try(const struct ace_core *core, const struct core_retry *retry)
{
    return core->system.mono >= retry->at;
}

/* CA, time, certificate: without one of them there are no check-ins. */
static enum core_question next_before_checkins(const struct ace_core *core, bool enrols,
                                               const struct amm_token *token)
{
    if (!may_try(core, &core->enrol)) {
        return CORE_ASKS_NOTHING;
    }
    if (enrols && !ace_identity_has_ca(&core->identity, token->ca_pin)) {
        return CORE_ASKS_CAS;
    }
    if (!core->identity.ca) {
        return CORE_ASKS_NOTHING;
    }
    if (!ace_clock_is_trusted(&core->clock)) {
        return core->system.mono >= core->time_at ? CORE_ASKS_TIME : CORE_ASKS_NOTHING;
    }
    return enrols ? CORE_ASKS_ENROLMENT : CORE_ASKS_NOTHING;
}

static enum core_question next_with_certificate(const struct ace_core *core)
{
    bool renews =
        core->wants_renewal || ace_identity_wants_renewal(&core->identity, core_now(core).wall);
    if (renews && may_try(core, &core->renew)) {
        return CORE_ASKS_RENEWAL;
    }
    if (is_expired(core)) {
        return CORE_ASKS_NOTHING; /* nothing else would be answered */
    }
    if (core->wants_cas && may_try(core, &core->renew)) {
        return CORE_ASKS_CAS;
    }
    if ((core->wants_tunnel || !core->settings.hash[0]) && may_try(core, &core->tunnel_retry) &&
        !core->is_stopped) {
        return CORE_ASKS_TUNNEL;
    }
    return core->system.mono >= ace_checkins_deadline(core->checkins) ? CORE_ASKS_CHECKIN
                                                                      : CORE_ASKS_NOTHING;
}

static enum core_question next_question(const struct ace_core *core)
{
    struct amm_token token = {0};
    if (!core->server.url[0]) {
        return CORE_ASKS_NOTHING;
    }
    bool enrols = core_enrols(core, &token);
    bool is_ready =
        core->identity.ca && core->identity.certificate && ace_clock_is_trusted(&core->clock);
    enum core_question question = CORE_ASKS_NOTHING;
    if (!is_ready || enrols) {
        question = next_before_checkins(core, enrols, &token);
    }
    amm_wipe(&token, sizeof token);
    return question == CORE_ASKS_NOTHING && is_ready ? next_with_certificate(core) : question;
}

amm_time core_ask_deadline(const struct ace_core *core)
{
    if (core->asking != CORE_ASKS_NOTHING) {
        return ace_exchange_deadline(core->exchange);
    }
    if (!core->server.url[0]) {
        return AMM_NEVER;
    }
    amm_time now = core->system.mono;
    bool is_ready = core->identity.certificate && ace_clock_is_trusted(&core->clock);
    amm_time at = is_ready ? ace_checkins_deadline(core->checkins) : AMM_NEVER;
    const amm_time others[] = {core->enrol.at, core->renew.at, core->tunnel_retry.at,
                               core->time_at};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        at = others[i] > now ? amm_time_min(at, others[i]) : at;
    }
    /* What waits for something else (a token, the clock) is looked at when that changes. */
    return at > now ? at : AMM_NEVER;
}

/* ---- TLS ---- */

enum trust { BY_PIN, BY_CA_WITHOUT_DATES, BY_CA, WITH_CERTIFICATE };

static struct amm_http_tls *make_tls(struct ace_core *core, enum trust trust)
{
    char error[256];
    const struct amm_http_tls_settings settings = {
        .is_client = true,
        .certificate = trust == WITH_CERTIFICATE ? core->identity.certificate : NULL,
        .key = trust == WITH_CERTIFICATE ? core->identity.key : NULL,
        .ca = trust == BY_PIN ? NULL : core->identity.ca,
        .lean_hello = trust == WITH_CERTIFICATE,
        .ignore_dates = trust == BY_PIN || trust == BY_CA_WITHOUT_DATES,
    };
    struct amm_http_tls *tls = amm_http_tls_new(&settings, error, sizeof error);
    if (!tls) {
        amm_log(AMM_LOG_ERROR, "tls", amm_field_text("why", error));
    }
    return tls;
}

/* ---- asking ---- */

struct draft {
    const char *method, *target;
    enum trust trust;
    uint8_t fields[1024];
    size_t fields_len;
    char target_room[96];
    char *body; /* malloc'd, or NULL */
    const char *borrowed;
    size_t len;
    struct amm_token token; /* its pin, with BY_PIN */
};

static bool draft_cas(struct ace_core *core, struct draft *d)
{
    d->method = "GET";
    d->target = "/.well-known/est/cacerts";
    d->trust = core_enrols(core, &d->token) ? BY_PIN : WITH_CERTIFICATE;
    return true;
}

static bool draft_time(struct ace_core *core, struct draft *d)
{
    char hex[2 * sizeof core->nonce + 1];
    amm_random_fill(&core->random, core->nonce, sizeof core->nonce);
    amm_hex(hex, amm_view(core->nonce, sizeof core->nonce));
    snprintf(d->target_room, sizeof d->target_room, "/time?nonce=%s", hex);
    d->method = "GET";
    d->target = d->target_room;
    d->trust = BY_CA_WITHOUT_DATES;
    return true;
}

static void write_login(struct ace_core *core, struct amm_writer *w)
{
    char login[256], text[AMM_BASE64_ROOM(sizeof login)];
    char value[sizeof text + 8];
    int len = snprintf(login, sizeof login, "%s:%s", core->serial,
                       ace_parameters_text(core->parameters, AMM_MSCI_ENROLMENT_TOKEN));
    amm_base64_encode(text, sizeof text, amm_view(login, (size_t)len), AMM_BASE64);
    snprintf(value, sizeof value, "Basic %s", text);
    amm_http_write_field(w, "Authorization", amm_view_str(value));
    amm_wipe(login, sizeof login);
    amm_wipe(text, sizeof text);
    amm_wipe(value, sizeof value);
}

static bool draft_certificate(struct ace_core *core, struct draft *d, bool is_renewal)
{
    char error[256];
    struct amm_writer w = amm_writer(d->fields, sizeof d->fields);
    d->method = "POST";
    d->target = is_renewal ? "/.well-known/est/simplereenroll" : "/.well-known/est/simpleenroll";
    d->trust = is_renewal ? WITH_CERTIFICATE : BY_CA;
    amm_http_write_field(&w, "Content-Type", amm_view_str(AMM_EST_REQUEST_TYPE));
    if (!is_renewal) {
        write_login(core, &w);
    }
    d->fields_len = amm_writer_len(&w);
    bool ok =
        ace_identity_request(&core->identity, core->serial, &d->body, &d->len, error, sizeof error);
    core_storage(core, ok, error);
    return ok && d->fields_len > 0;
}

static bool draft_tunnel(struct ace_core *core, struct draft *d)
{
    (void)core;
    d->method = "GET";
    d->target = "/tunnel";
    d->trust = WITH_CERTIFICATE;
    return true;
}

/* Numbers are on disk as used before they are: a whole block with one write. On a disk that takes
 * nothing the time of day does instead: it, too, only grows, also over a restart. */
static bool reserve_seq(struct ace_core *core)
{
    uint64_t seq = ace_checkins_next_seq(core->checkins);
    if (seq == 0 || seq <= core->memory.seq) {
        return true;
    }
    uint64_t former = core->memory.seq;
    core->memory.seq = seq + ACE_SEQ_BLOCK - 1;
    if (core_memory_save(core)) {
        core->seq_by_time = false;
        return true;
    }
    core->memory.seq = former;
    if (ace_clock_is_trusted(&core->clock) && core_now(core).wall > 0) {
        if (!core->seq_by_time) {
            ace_checkins_skip(core->checkins, (uint64_t)core_now(core).wall);
            core->seq_by_time = true;
        }
        return true;
    }
    char why[AMM_CHECKIN_TEXT];
    snprintf(why, sizeof why, "the disk cannot be written: %.200s", core->storage_error);
    ace_checkins_failed(core->checkins, core->system.mono, why);
    return false;
}

static void release_report(struct ace_report *r)
{
    for (size_t i = 0; i < r->n_changes; i++) {
        json_decref(r->changes[i].value);
    }
    for (size_t i = 0; i < r->n_events; i++) {
        json_decref(r->events[i].data);
    }
    for (size_t i = 0; i < r->n_results; i++) {
        json_decref(r->results[i].data);
    }
    free(r->changes);
    free(r->events);
    free(r->results);
    json_decref((json_t *)r->stats);
    json_decref((json_t *)r->parameters);
}

static bool fill_report(struct ace_core *core, struct ace_report *r)
{
    struct ace_event_time time = core_event_time(core);
    amm_assertion_key_name(ace_remote_key(core), core->remote_key_name);
    *r = (struct ace_report){
        .stats = core_stats_reported(core),
        .parameters = ace_parameters_reported(core->parameters),
        .boot = core->memory.boot,
        .uptime = core_uptime(core),
        .time = core_now(core).wall,
        .clock = core->clock.source,
        .revision = ace_parameters_revision(core->parameters),
        .tunnel = core->settings.hash,
        .remote_key = core->remote_key_name,
        .asks_remote_key = core->doubts_remote_key || !core->identity.has_remote_key,
        .changes = calloc(AMM_CHECKIN_CHANGES, sizeof *r->changes),
        .events = calloc(AMM_CHECKIN_EVENTS, sizeof *r->events),
        .results = calloc(AMM_CHECKIN_RESULTS, sizeof *r->results),
    };
    if (!r->stats || !r->parameters || !r->changes || !r->events || !r->results) {
        return false;
    }
    r->n_changes =
        ace_parameters_changes(core->parameters, r->changes, AMM_CHECKIN_CHANGES, &r->change_mark);
    r->n_events = ace_event_queue_oldest(core->events, 0, &time, r->events, AMM_CHECKIN_EVENTS);
    r->n_results = ace_operations_results(core->operations, r->results, &r->result_mark);
    return true;
}

static bool draft_checkin(struct ace_core *core, struct draft *d)
{
    struct ace_report report = {0};
    struct amm_writer w = amm_writer(d->fields, sizeof d->fields);
    if (!reserve_seq(core)) {
        return false;
    }
    bool is_new = ace_checkins_next_seq(core->checkins) != 0;
    bool ok = !is_new || fill_report(core, &report);
    d->borrowed =
        ok ? ace_checkins_begin(core->checkins, core->system.mono, is_new ? &report : NULL, &d->len)
           : NULL;
    release_report(&report);
    if (!d->borrowed) {
        ace_checkins_failed(core->checkins, core->system.mono, "out of memory");
        return false;
    }
    d->method = "POST";
    d->target = "/checkin";
    d->trust = WITH_CERTIFICATE;
    amm_http_write_field(&w, "Content-Type", amm_view_str("application/json"));
    d->fields_len = amm_writer_len(&w);
    return true;
}

static bool make_draft(struct ace_core *core, enum core_question question, struct draft *d)
{
    switch (question) {
    case CORE_ASKS_CAS:
        return draft_cas(core, d);
    case CORE_ASKS_TIME:
        return draft_time(core, d);
    case CORE_ASKS_ENROLMENT:
        return draft_certificate(core, d, false);
    case CORE_ASKS_RENEWAL:
        return draft_certificate(core, d, true);
    case CORE_ASKS_TUNNEL:
        return draft_tunnel(core, d);
    case CORE_ASKS_CHECKIN:
        return draft_checkin(core, d);
    case CORE_ASKS_NOTHING:
        break;
    }
    return false;
}

static bool begin(struct ace_core *core, const struct draft *d)
{
    struct amm_address inside;
    bool in_tunnel = d->trust == WITH_CERTIFICATE && core_tunnel_server(core, &inside) &&
                     core->system.mono >= core->tunnel_failed_until;
    bool keeps = d->trust == WITH_CERTIFICATE;
    struct amm_http_tls *tls =
        keeps && core->tls ? amm_http_tls_ref(core->tls) : make_tls(core, d->trust);
    if (keeps && tls && !core->tls) {
        core->tls = amm_http_tls_ref(tls);
    }
    const struct ace_question question = {
        .host = core->server.host,
        .port = core->server.port,
        .address = in_tunnel ? &inside : NULL,
        .tls = tls,
        .server_name = MANAGER_NAME,
        .ca_pin = d->trust == BY_PIN ? amm_view(d->token.ca_pin, sizeof d->token.ca_pin)
                                     : (struct amm_view){0},
        .resumes = keeps,
        .method = d->method,
        .target = d->target,
        .fields = amm_view(d->fields, d->fields_len),
        .body = amm_view(d->body       ? d->body
                         : d->borrowed ? d->borrowed
                                       : "",
                         d->len),
    };
    core->asks_in_tunnel = in_tunnel;
    core->asks_by_pin = d->trust == BY_PIN;
    bool ok = tls && ace_exchange_begin(core->exchange, &question, core_now(core));
    amm_http_tls_unref(tls);
    return ok;
}

struct core_retry *core_retry_of(struct ace_core *core, enum core_question question, bool by_pin)
{
    switch (question) {
    case CORE_ASKS_TUNNEL:
        return &core->tunnel_retry;
    case CORE_ASKS_RENEWAL:
        return &core->renew;
    case CORE_ASKS_CAS:
        return by_pin ? &core->enrol : &core->renew;
    case CORE_ASKS_TIME:
    case CORE_ASKS_ENROLMENT:
    case CORE_ASKS_CHECKIN:
    case CORE_ASKS_NOTHING:
        break;
    }
    return &core->enrol;
}

void core_ask(struct ace_core *core)
{
    if (core->asking != CORE_ASKS_NOTHING) {
        return;
    }
    say_identity(core);
    enum core_question question = next_question(core);
    if (question == CORE_ASKS_NOTHING) {
        return;
    }
    struct draft d = {0};
    bool is_drafted = make_draft(core, question, &d);
    bool ok = is_drafted && begin(core, &d);
    amm_wipe(d.fields, sizeof d.fields);
    amm_wipe(&d.token, sizeof d.token);
    free(d.body);
    if (ok) {
        core->asking = question;
        core_exchange(core);
    } else if (question != CORE_ASKS_CHECKIN) {
        core_retry_failed(core, core_retry_of(core, question, core->asks_by_pin));
    } else if (is_drafted) {
        ace_checkins_failed(core->checkins, core->system.mono, "out of memory");
    }
}

void core_exchange(struct ace_core *core)
{
    struct ace_answer answer;
    switch (ace_exchange_step(core->exchange, core_now(core), &answer)) {
    case ACE_EXCHANGE_BUSY:
        break;
    case ACE_EXCHANGE_ANSWERED:
        core_answered(core, &answer);
        break;
    case ACE_EXCHANGE_FAILED:
        core_failed(core, &answer);
        break;
    }
}
