/* The module: start and stop, what amm-cad tells at each new link, verdicts on certificates. */
#include "manager/enrolment_parts.h"

#include "crypto/est.h"
#include "crypto/mac.h"
#include "api_enrolment.h"
#include "io/log.h"
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TICK_SECONDS = 30,
    CALL_SECONDS = 120, /* an answer that no job has taken for so long will not be taken */
    TOKEN_DAYS = 400,   /* ended tokens and requests are forgotten */
};

/* ---- texts ---- */

static void set_text(char **slot, const char *text)
{
    char *copy = strdup(text);
    if (copy) {
        free(*slot);
        *slot = copy;
    }
}

/* The hash of everything that GET /tunnel says but for the key (GP-30). */
static void make_tunnel_hash(struct enrolment *e)
{
    const struct amm_tunneld_config *tunneld = &e->m->config->tunneld;
    uint8_t digest[AMM_SHA256_LEN];
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        return;
    }
    fprintf(out, "%s\n%s\n%s\n%s\n%u\n", e->m->config->tunnel_hosts, e->tunnel_server,
            e->texts.server_ca, tunneld->cipher_names, tunneld->mtu);
    for (uint8_t i = 0; i < tunneld->n_ports; i++) {
        fprintf(out, "%u %u %d\n", tunneld->ports[i].port, tunneld->ports[i].wrap,
                tunneld->ports[i].tls_crypt_v2);
    }
    if (fclose(out) == 0 && amm_sha256(amm_view(text, len), digest)) {
        amm_hex(e->tunnel_hash, amm_view(digest, 8));
    }
    free(text);
}

/* All texts are there: what follows from them. */
static void settle_texts(struct enrolment *e)
{
    struct amm_identity identity;
    char *both = NULL, *body = NULL, error[256] = "out of memory";
    size_t len;
    if (asprintf(&both, "%s%s", e->texts.server_ca, e->texts.gateway_cas) < 0) {
        both = NULL;
    }
    bool ok = both && amm_est_certificates_write(both, &body, &len, error, sizeof error) &&
              amm_pki_identity(e->texts.server_ca, &identity, error, sizeof error);
    if (ok) {
        memcpy(e->server_ca_pin, identity.key, sizeof e->server_ca_pin);
        ok = amm_pki_identity(e->texts.tunnel_certificate, &identity, error, sizeof error);
    }
    if (ok) {
        snprintf(e->tunnel_server, sizeof e->tunnel_server, "%s", identity.name);
        free(e->cacerts);
        e->cacerts = body;
        e->cacerts_len = len;
        make_tunnel_hash(e);
    } else {
        free(body);
        amm_log(AMM_LOG_ERROR, "cad-texts", amm_field_text("why", error));
    }
    free(both);
}

static char **slot_of(struct enrolment *e, enum amm_cad_authorities which)
{
    switch (which) {
    case AMM_CAD_GATEWAY_CAS:
        return &e->texts.gateway_cas;
    case AMM_CAD_PROFILE_CAS:
        return &e->texts.profile_cas;
    case AMM_CAD_TIME_CERTIFICATE:
        return &e->texts.time_certificate;
    case AMM_CAD_SERVER_CA:
        return &e->texts.server_ca;
    case AMM_CAD_TUNNEL_CERTIFICATE:
        return &e->texts.tunnel_certificate;
    }
    return NULL;
}

static void text_came(struct manager *m, void *context, const struct amm_cad_message *answer)
{
    struct enrolment *e = m->enrolment;
    char **slot = slot_of(e, (enum amm_cad_authorities)(uintptr_t)context);
    if (answer && answer->type == AMM_CAD_TEXT_IS && slot) {
        set_text(slot, answer->text);
    }
    if (e->texts_missing > 0 && --e->texts_missing == 0 && e->texts.gateway_cas &&
        e->texts.profile_cas && e->texts.time_certificate && e->texts.server_ca &&
        e->texts.tunnel_certificate) {
        settle_texts(e);
    }
}

static void state_came(struct manager *m, void *context, const struct amm_cad_message *answer)
{
    struct enrolment *e = m->enrolment;
    (void)context;
    if (answer && answer->type == AMM_CAD_STATE &&
        (answer->state.list_number != e->list_number || e->lists_failed)) {
        e->list_number = answer->state.list_number;
        enrolment_lists_fetch(m);
    }
}

static void ask_state(struct manager *m)
{
    cad_link_ask(m->enrolment->link, &(struct amm_cad_message){.type = AMM_CAD_STATUS}, state_came,
                 NULL);
}

static void link_is_up(struct manager *m)
{
    struct enrolment *e = m->enrolment;
    e->list_number = 0;
    e->texts_missing = 0;
    for (int which = AMM_CAD_GATEWAY_CAS; which <= AMM_CAD_TUNNEL_CERTIFICATE; which++) {
        struct amm_cad_message request = {.type = AMM_CAD_AUTHORITIES, .which = (uint8_t)which};
        e->texts_missing +=
            cad_link_ask(e->link, &request, text_came, (void *)(uintptr_t)which) ? 1 : 0;
    }
    enrolment_revocations_join(m);
    ask_state(m);
}

/* ---- the module ---- */

static void tick(struct manager *m, struct manager_timer *timer)
{
    int64_t over = m->now.wall - (int64_t)TOKEN_DAYS * ENROLMENT_DAY;
    manager_timer_set(m, timer, amm_time_after(m->now.mono, TICK_SECONDS * AMM_SECOND));
    if (cad_link_is_up(m->enrolment->link)) {
        ask_state(m);
        enrolment_revocations_tell(m); /* it may have been full, or without space on its disk */
    }
    enrolment_calls_sweep(m, m->now.mono - CALL_SECONDS * AMM_SECOND);
    if (amm_store_run(m->store, AMM_SQL_ENROLMENT_TOKEN_EXPIRE, AMM_WITH(amm_number(over))) !=
            AMM_STORE_OK ||
        amm_store_run(m->store, AMM_SQL_ENROLMENT_REQUEST_EXPIRE, AMM_WITH(amm_number(over))) !=
            AMM_STORE_OK) {
        manager_fail(m);
    }
}

static void stop(struct manager *m)
{
    struct enrolment *e = m->enrolment;
    if (!e) {
        return;
    }
    cad_link_free(e->link);
    enrolment_calls_end(m);
    manager_timer_set(m, &e->tick, AMM_NEVER);
    char **const texts[] = {&e->texts.gateway_cas,
                            &e->texts.profile_cas,
                            &e->texts.time_certificate,
                            &e->texts.server_ca,
                            &e->texts.tunnel_certificate,
                            &e->cacerts,
                            &e->lists};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(*texts[i]);
    }
    free(e);
    m->enrolment = NULL;
}

static bool start(struct manager *m, char *error, size_t room)
{
    struct enrolment *e = calloc(1, sizeof *e);
    m->enrolment = e;
    if (e) {
        e->m = m;
        e->link = cad_link_new(m, m->config->cad_socket, link_is_up);
        e->tick = (struct manager_timer){.fire = tick};
    }
    if (!e || !e->link) {
        snprintf(error, room, "out of memory");
        return false;
    }
    manager_timer_set(m, &e->tick, amm_time_after(m->now.mono, TICK_SECONDS * AMM_SECOND));
    return enrolment_epoch_read(m, error, room);
}

static void add_metrics(struct manager *m, struct metrics *out)
{
    const struct enrolment *e = m->enrolment;
    metrics_add(out, METRIC_GAUGE, "cad_up", "1 while amm-cad answers.", NULL,
                cad_link_is_up(e->link));
    metrics_add(out, METRIC_GAUGE, "revocation_list_stale",
                "1 while the tunnel server's revocation list could not be written.", NULL,
                e->lists_failed);
    metrics_add(out, METRIC_COUNTER, "enrolments_total", "Gateways that enrolled with a token.",
                NULL, (double)e->enrolled);
    metrics_add(out, METRIC_COUNTER, "renewals_total", "Certificates that gateways renewed.", NULL,
                (double)e->renewed);
    metrics_add(out, METRIC_COUNTER, "enrolments_refused_total",
                "Enrolments and renewals that were refused.", NULL, (double)e->refused);
    metrics_add(out, METRIC_COUNTER, "gateways_revoked_total", "Gateways that were revoked.", NULL,
                (double)e->revoked);
}

const struct manager_module enrolment_module = {
    .name = "enrolment",
    .prepare = enrolment_lists_prepare,
    .start = start,
    .stop = stop,
    .metrics = add_metrics,
};

const char *enrolment_tunnel_hash(const struct manager *m)
{
    return m->enrolment->tunnel_hash;
}

/* ---- verdicts ---- */

static bool recall_one(void *context, const struct enrolment_identity *identity)
{
    struct manager *m = context;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, identity->gateway);
    struct fleet_identity put = {.id = identity->id,
                                 .kind = (uint8_t)identity->kind,
                                 .not_before = identity->not_before,
                                 .not_after = identity->not_after,
                                 .revoked_at = identity->revoked_at};
    memcpy(put.key_hash, identity->key_hash, sizeof put.key_hash);
    if (gateway && identity->not_after >= m->now.wall) {
        fleet_identity_put(m->fleet, gateway, &put);
    }
    return true;
}

/* Memory drops what has ended; a clock that ran ahead for an hour made it drop what was good, and
 * "unknown" is final for a gateway. So the store has the last word. */
static struct fleet_identity *recall(struct manager *m, const struct amm_identity *client)
{
    enrolment_identities(m, AMM_SQL_IDENTITY_BY_KEY,
                         AMM_WITH(amm_blob(client->key, sizeof client->key)), recall_one, m);
    return fleet_identity_find(m->fleet, client->key);
}

enum enrolment_verdict enrolment_judge(struct manager *m, const struct amm_identity *client,
                                       struct fleet_gateway **gateway)
{
    struct fleet_identity *known = fleet_identity_find(m->fleet, client->key);
    int64_t now = m->now.wall;
    if (!known && client->not_after >= now) {
        known = recall(m, client);
    }
    *gateway = known ? known->gateway : NULL;
    if (m->enrolment->revocations_unknown) {
        return ENROLMENT_LATER;
    }
    if (client->not_after < now) {
        return ENROLMENT_EXPIRED; /* memory has forgotten it, but EST may renew it */
    }
    if (!known) {
        return ENROLMENT_UNKNOWN;
    }
    if (known->revoked_at != 0) {
        return ENROLMENT_REVOKED;
    }
    if (known->kind == FLEET_IDENTITY_CONNECTION_FILE) {
        return ENROLMENT_TUNNEL_ONLY;
    }
    return known->not_before > now + ENROLMENT_DAY ? ENROLMENT_NOT_YET : ENROLMENT_GOOD;
}
