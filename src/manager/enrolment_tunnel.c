/* GET /time and GET /tunnel: what a gateway asks before it has a clock, and before it has a tunnel.
 */
#include "manager/enrolment_parts.h"

#include "domain/gateway_answers.h"
#include "api_enrolment.h"
#include "proto/wrap.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- time ---- */

_Static_assert((int)AMM_TIME_ANSWER_NONCE == (int)AMM_CLAIM_NONCE &&
                   (int)AMM_TIME_ANSWER_SIGNATURE == (int)AMM_SIGNATURE,
               "the answer carries what is signed");

struct question {
    uint8_t nonce[AMM_CLAIM_NONCE];
};

static void free_question(struct manager *m, void *context, const struct amm_cad_message *answer)
{
    (void)m, (void)answer;
    free(context);
}

static void answer_time(struct job *job, void *context, const struct amm_cad_message *answer)
{
    struct question *question = context;
    const struct enrolment *e = job->m->enrolment;
    if (!answer || answer->type != AMM_CAD_SIGNED_TIME || !e->texts.time_certificate) {
        enrolment_unavailable(job, answer && answer->type == AMM_CAD_FAILED ? answer : NULL);
        free(question);
        return;
    }
    struct amm_time_answer time = {.time = answer->signed_time.wall,
                                   .certificate = e->texts.time_certificate};
    memcpy(time.nonce, question->nonce, sizeof time.nonce);
    memcpy(time.signature, answer->signed_time.signature, sizeof time.signature);
    size_t len;
    char *text = amm_time_answer_encode(&time, &len);
    if (text) {
        job_field(job, "Cache-Control", "no-store");
        job_bytes(job, 200, "application/json", amm_view(text, len));
    } else {
        job_retry(job, 503, ENROLMENT_RETRY, "memory", "out of memory");
    }
    free(text);
    free(question);
}

void enrolment_time(struct job *job)
{
    struct amm_cad_message request = {.type = AMM_CAD_TIME};
    char nonce[2 * AMM_CLAIM_NONCE + 1] = "";
    job_query_text(job, "nonce", nonce, sizeof nonce);
    if (strlen(nonce) != sizeof nonce - 1 || !amm_unhex(request.nonce, AMM_CLAIM_NONCE, nonce)) {
        job_error(job, 400, "bad-nonce", "nonce", "The nonce is 32 hexadecimal digits.");
        return;
    }
    struct question *question = malloc(sizeof *question);
    if (!question) {
        job_retry(job, 503, ENROLMENT_RETRY, "memory", "out of memory");
        return;
    }
    memcpy(question->nonce, request.nonce, sizeof question->nonce);
    enrolment_ask(job, &request, answer_time, free_question, question);
}

/* ---- tunnel settings ---- */

/* Puts `host` into the answer; what a gateway could not take is left out. */
static void add_remote(struct amm_tunnel_settings *out, struct amm_view host)
{
    if (out->n_remotes < AMM_TUNNEL_REMOTES && host.len > 0 && host.len < sizeof out->remotes[0]) {
        memcpy(out->remotes[out->n_remotes], host.data, host.len);
        out->remotes[out->n_remotes++][host.len] = '\0';
    }
}

/* The hosts that the configuration names, separated by blanks or commas. */
static void add_configured(struct amm_tunnel_settings *out, const char *list)
{
    while (*list != '\0') {
        list += strspn(list, ", ");
        size_t len = strcspn(list, ", ");
        add_remote(out, amm_view(list, len));
        list += len;
    }
}

static bool is_tunnel_address(const struct amm_tunneld_config *tunneld,
                              const struct amm_address *address)
{
    char text[AMM_ADDRESS_TEXT];
    uint32_t ip;
    struct amm_address plain = *address;
    snprintf(text, sizeof text, "%s", amm_address_text(&plain, text));
    text[strcspn(text, ":")] = '\0';
    for (uint8_t i = 0; address->family == AMM_FAMILY_IPV4 && i < tunneld->n_ports; i++) {
        const struct amm_pool *pool = &tunneld->ports[i].pool;
        if (amm_ipv4_parse(&ip, text) && (ip & amm_pool_mask(pool)) == pool->network) {
            return true;
        }
    }
    return false;
}

/* Without names in the configuration a gateway uses the address at which it has reached us, unless
 * that is inside its tunnel. */
static bool fill_remotes(const struct job *job, struct amm_tunnel_settings *out)
{
    const struct manager_config *config = job->m->config;
    char text[AMM_ADDRESS_TEXT];
    add_configured(out, config->tunnel_hosts);
    if (out->n_remotes > 0) {
        return true;
    }
    if (job->local.family == AMM_FAMILY_NONE || is_tunnel_address(&config->tunneld, &job->local)) {
        return false;
    }
    amm_address_text(&job->local, text);
    char *colon = strrchr(text, ':'); /* address:port, [address]:port */
    if (colon) {
        *colon = '\0';
    }
    const char *start = text[0] == '[' ? text + 1 : text;
    add_remote(out, amm_view(start, strcspn(start, "]")));
    return out->n_remotes > 0;
}

/* tls-crypt-v2 where every port takes it, else what the first port has. */
static enum amm_wrap_mode wrap_of(const struct amm_tunneld_config *tunneld)
{
    bool all = tunneld->n_ports > 0;
    for (uint8_t i = 0; i < tunneld->n_ports; i++) {
        all = all && tunneld->ports[i].tls_crypt_v2;
    }
    return all                     ? AMM_WRAP_CRYPT_V2
           : tunneld->n_ports == 0 ? AMM_WRAP_NONE
                                   : (enum amm_wrap_mode)tunneld->ports[0].wrap;
}

static void answer_tunnel(struct job *job, void *context, const struct amm_cad_message *answer)
{
    const struct enrolment *e = job->m->enrolment;
    const struct amm_tunneld_config *tunneld = &job->m->config->tunneld;
    struct amm_tunnel_settings settings = {
        .ca = e->texts.server_ca, .wrap_key = "", .mtu = (uint16_t)tunneld->mtu};
    (void)context;
    if (!e->texts.server_ca || !answer ||
        (answer->type != AMM_CAD_TEXT_IS && answer->type != AMM_CAD_DONE)) {
        enrolment_unavailable(job, answer);
        return;
    }
    if (!fill_remotes(job, &settings)) {
        job_retry(job, 503, ENROLMENT_WAITING_RETRY, "no-hosts",
                  "The server does not know its own name; set tunnel-hosts.");
        return;
    }
    char *key = answer->type == AMM_CAD_TEXT_IS ? strdup(answer->text) : NULL;
    settings.wrap_key = key ? key : settings.wrap_key;
    memcpy(settings.hash, e->tunnel_hash, sizeof e->tunnel_hash);
    snprintf(settings.server_name, sizeof settings.server_name, "%s", e->tunnel_server);
    snprintf(settings.wrap, sizeof settings.wrap, "%s", amm_wrap_mode_name(wrap_of(tunneld)));
    snprintf(settings.ciphers, sizeof settings.ciphers, "%.*s", (int)sizeof settings.ciphers - 1,
             tunneld->cipher_names);
    for (uint8_t i = 0; i < tunneld->n_ports; i++) {
        settings.ports[settings.n_ports++] = tunneld->ports[i].port;
    }
    size_t len;
    char *text = amm_tunnel_settings_encode(&settings, &len);
    if (text) {
        job_field(job, "Cache-Control", "no-store");
        job_bytes(job, 200, "application/json", amm_view(text, len));
        amm_wipe(text, len);
    } else {
        job_retry(job, 503, ENROLMENT_RETRY, "memory", "out of memory");
    }
    if (key) {
        amm_wipe(key, strlen(key));
    }
    free(key);
    free(text);
}

/* False: answered. Other parts say the same to a check-in. */
static bool is_admitted(struct job *job)
{
    struct fleet_gateway *gateway;
    if (!job->client) {
        job_error(job, 401, "no-certificate", NULL, "A gateway shows its certificate here.");
        return false;
    }
    enum enrolment_verdict verdict = enrolment_judge(job->m, job->client, &gateway);
    if (verdict == ENROLMENT_LATER) {
        job_retry(job, 503, ENROLMENT_LATER_SECONDS, "revocations-unknown",
                  "The server was restored from a backup and does not know yet what is revoked.");
        return false;
    }
    static const char *const names[] = {[ENROLMENT_UNKNOWN] = "unknown-certificate",
                                        [ENROLMENT_REVOKED] = "revoked",
                                        [ENROLMENT_EXPIRED] = "expired",
                                        [ENROLMENT_TUNNEL_ONLY] = "connection-file",
                                        [ENROLMENT_NOT_YET] = "not-yet-valid"};
    if (verdict != ENROLMENT_GOOD) {
        job_error(job, 403, names[verdict], NULL, "The certificate cannot be used: %s.",
                  names[verdict]);
        return false;
    }
    if (!fleet_gateway_is_admitted(gateway)) {
        job_error(job, 403, fleet_access_name((enum fleet_access)gateway->access), NULL,
                  "The gateway is not admitted.");
        return false;
    }
    return true;
}

void enrolment_tunnel(struct job *job)
{
    struct amm_cad_message request = {.type = AMM_CAD_WRAP};
    enum amm_wrap_mode wrap = wrap_of(&job->m->config->tunneld);
    if (!is_admitted(job)) {
        return;
    }
    if (wrap == AMM_WRAP_NONE) {
        answer_tunnel(job, NULL, &(struct amm_cad_message){.type = AMM_CAD_DONE});
        return;
    }
    request.which = wrap == AMM_WRAP_AUTH    ? AMM_CAD_TLS_AUTH
                    : wrap == AMM_WRAP_CRYPT ? AMM_CAD_TLS_CRYPT
                                             : AMM_CAD_TLS_CRYPT_V2;
    enrolment_ask(job, &request, answer_tunnel, NULL, NULL);
}
