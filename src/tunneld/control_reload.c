#include "control_parts.h"

#include "crypto/pki.h"
#include "io/clock.h"
#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CERTIFICATE_NOTICE = 21 * 86400 }; /* seconds */

/* ---- revocation lists shared with the threads ---- */

static struct amm_crl_text *new_crl_text(const char *text)
{
    size_t len = strlen(text) + 1;
    struct amm_crl_text *crl = malloc(sizeof *crl + len);
    if (crl) {
        atomic_init(&crl->refs, 1);
        memcpy(crl->text, text, len);
    }
    return crl;
}

struct amm_crl_text *amm_crl_text_unref(struct amm_crl_text *crl)
{
    if (crl && atomic_fetch_sub(&crl->refs, 1) == 1) {
        free(crl);
    }
    return NULL;
}

/* ---- alarms ---- */

void amm_control_alarm(struct amm_control *control, enum amm_ipc_alarm alarm, const char *text)
{
    struct amm_ipc_event event = {.kind = AMM_IPC_ALARM, .at = amm_now().wall};

    control->alarms |= alarm;
    snprintf(event.reason, sizeof event.reason, "%s", amm_ipc_alarm_name(alarm));
    amm_text_clean(event.text, sizeof event.text, amm_view_str(text));
    amm_journal_add(control->journal, &event);
    amm_control_push_events(control);
}

void amm_control_watch_certificate(struct amm_control *control, struct amm_now now)
{
    char text[AMM_IPC_TEXT];
    char day[16];
    time_t end = (time_t)control->certificate_ends;
    struct tm date;

    if (control->certificate_looked && now.mono - control->certificate_looked < AMM_CONTROL_LOOK) {
        return;
    }
    control->certificate_looked = now.mono;
    if (control->alarms & AMM_ALARM_CERTIFICATE ||
        control->certificate_ends - now.wall > CERTIFICATE_NOTICE) {
        return;
    }
    strftime(day, sizeof day, "%Y-%m-%d", gmtime_r(&end, &date));
    snprintf(
        text, sizeof text,
        "the server's certificate ends on %s; make a new one with: ammctl pki server, then restart",
        day);
    amm_control_alarm(control, AMM_ALARM_CERTIFICATE, text);
}

/* ---- files ---- */

struct amm_roster *amm_roster_load(const struct amm_shared *shared, const struct amm_blob *blob,
                                   char *error, size_t room)
{
    struct amm_roster_port ports[AMM_PORTS_MAX];

    if (!blob->text) {
        snprintf(error, room, "%s", blob->problem ? blob->problem : "no roster file is configured");
        return NULL;
    }
    for (uint8_t i = 0; i < shared->n_ports; i++) {
        ports[i] = (struct amm_roster_port){shared->places[i].port, shared->places[i].n_slots};
    }
    return amm_roster_parse(shared->config->roster, amm_view(blob->text, blob->len), ports,
                            shared->n_ports, error, room);
}

static bool is_same(const struct amm_blob *blob, const uint8_t digest[AMM_SHA256_LEN],
                    uint8_t fresh[AMM_SHA256_LEN])
{
    memset(fresh, 0, AMM_SHA256_LEN);
    return amm_sha256(amm_view(blob->text, blob->len), fresh) &&
           memcmp(fresh, digest, AMM_SHA256_LEN) == 0;
}

static bool take_roster(struct amm_control *control, const struct amm_blob *blob, char *error,
                        size_t room)
{
    struct amm_cell_order order = {.kind = AMM_CELL_ROSTER};
    uint8_t digest[AMM_SHA256_LEN];

    if (blob->text && is_same(blob, control->roster_digest, digest)) {
        control->alarms &= ~(uint32_t)AMM_ALARM_ROSTER;
        return true;
    }
    order.roster = amm_roster_load(control->shared, blob, error, room);
    if (!order.roster) {
        amm_control_alarm(control, AMM_ALARM_ROSTER, error);
        return false;
    }
    if (!amm_control_order(control, &order)) {
        amm_roster_unref(order.roster);
        snprintf(error, room, "the server is busy; reload again");
        return false;
    }
    amm_roster_unref(control->roster);
    control->roster = order.roster;
    memcpy(control->roster_digest, digest, sizeof digest);
    control->alarms &= ~(uint32_t)AMM_ALARM_ROSTER;
    return true;
}

static bool take_crl(struct amm_control *control, const struct amm_blob *blob, char *error,
                     size_t room)
{
    struct amm_cell_order order = {.kind = AMM_CELL_CRL};
    uint8_t digest[AMM_SHA256_LEN];
    struct amm_now now = amm_now();

    if (!blob->text) {
        if (blob->problem) {
            snprintf(error, room, "%s", blob->problem);
            amm_control_alarm(control, AMM_ALARM_CRL, error);
        }
        return !blob->problem;
    }
    if (is_same(blob, control->crl_digest, digest) &&
        now.mono - control->crl_taken < AMM_CONTROL_LOOK) {
        control->alarms &= ~(uint32_t)AMM_ALARM_CRL;
        return true;
    }
    if (!amm_tls_context_set_crl(control->tls, blob->text, now.wall, error, room)) {
        amm_control_alarm(control, AMM_ALARM_CRL, error);
        return false;
    }
    order.crl = new_crl_text(blob->text);
    bool sent = order.crl && amm_control_order(control, &order);
    amm_crl_text_unref(order.crl);
    if (!sent) {
        snprintf(error, room, "the server is busy; reload again");
        return false;
    }
    memcpy(control->crl_digest, digest, sizeof digest);
    control->crl_taken = now.mono;
    control->alarms &= ~(uint32_t)AMM_ALARM_CRL;
    return true;
}

static void answer_reloads(struct amm_control *control, bool good, const char *text)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd >= 0 && client->job == JOB_WAIT && client->asked == AMM_IPC_RELOAD) {
            amm_control_finish(control, client, good ? AMM_IPC_DONE : AMM_IPC_FAILED, text);
        }
    }
}

void amm_control_take_material(struct amm_control *control, struct amm_material *material)
{
    char roster_error[AMM_IPC_TEXT] = "";
    char crl_error[AMM_IPC_TEXT] = "";
    char text[2 * AMM_IPC_TEXT];
    bool roster =
        take_roster(control, &material->blobs[AMM_BLOB_ROSTER], roster_error, sizeof roster_error);
    bool crl = take_crl(control, &material->blobs[AMM_BLOB_CRL], crl_error, sizeof crl_error);
    uint32_t good = (roster ? 1U << AMM_BLOB_ROSTER : 0) | (crl ? 1U << AMM_BLOB_CRL : 0);

    if (roster && crl) {
        snprintf(text, sizeof text, "%zu places on the roster", amm_roster_count(control->roster));
    } else {
        snprintf(text, sizeof text, "%s%s%s; the last good file stays in use", roster_error,
                 roster_error[0] && crl_error[0] ? "; " : "", crl_error);
    }
    amm_log(roster && crl ? AMM_LOG_INFO : AMM_LOG_ERROR, "reloaded", amm_field_text("text", text));
    amm_channel_send(control->shared->handoff->channel, AMM_CHANNEL_ACCEPTED, good);
    answer_reloads(control, roster && crl, text);
}
