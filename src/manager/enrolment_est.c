/* EST (GP-20 to GP-25): cacerts, simpleenroll with a token, simplereenroll with a certificate. */
#include "manager/enrolment_parts.h"

#include "base/base64.h"
#include "crypto/est.h"
#include "crypto/mac.h"
#include "domain/token.h"
#include "api_enrolment.h"

#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 16384, CREDENTIALS_MAX = FLEET_SERIAL_MAX + 1 + AMM_TOKEN_TEXT };

static void refuse_body(struct job *job, const char *why)
{
    job->m->enrolment->refused++;
    job_error(job, 400, "bad-request", NULL, "%s", why);
}

static void refuse_busy(struct job *job)
{
    job_retry(job, 503, ENROLMENT_RETRY, "busy", "The same is under way already; try again soon.");
}

/* ---- answers ---- */

static void answer_certificate(struct job *job, const char *certificate)
{
    char *body, error[256];
    size_t len;
    if (!amm_est_certificates_write(certificate, &body, &len, error, sizeof error)) {
        job_retry(job, 503, ENROLMENT_RETRY, "memory", error);
        return;
    }
    job_bytes(job, 200, AMM_EST_CERTIFICATES_TYPE, amm_view(body, len));
    free(body);
}

static void issued(struct job *job, struct enrolment_issue *issue, struct fleet_gateway *gateway,
                   const struct amm_cad_issued *certificate)
{
    (void)issue, (void)gateway;
    answer_certificate(job, certificate->certificate);
}

/* A certificate that was issued before, to the gateway that has not got it. */
static void take_again(struct job *job, void *context, const struct amm_cad_message *answer)
{
    (void)context;
    if (answer && answer->type == AMM_CAD_ISSUED) {
        answer_certificate(job, answer->issued.certificate);
    } else if (answer && answer->type == AMM_CAD_FAILED &&
               answer->failed.reason == AMM_CAD_REVOKED_BEFORE) {
        job_error(job, 403, "revoked", NULL, "The certificate was revoked.");
    } else {
        enrolment_unavailable(job, answer);
    }
}

static void give_again(struct job *job, const struct enrolment_identity *identity,
                       const uint8_t key[AMM_P256_KEY], const struct fleet_gateway *gateway)
{
    struct amm_cad_message request = {.type = AMM_CAD_ISSUE};
    enrolment_certificate_name(gateway, request.issue.name);
    request.issue.kind = identity->kind;
    memcpy(request.issue.approval, identity->approval, sizeof identity->approval);
    memcpy(request.issue.key, key, AMM_P256_KEY);
    enrolment_ask(job, &request, take_again, NULL, NULL);
}

void enrolment_cacerts(struct job *job)
{
    const struct enrolment *e = job->m->enrolment;
    if (!e->cacerts) {
        enrolment_unavailable(job, NULL);
        return;
    }
    job_bytes(job, 200, AMM_EST_CERTIFICATES_TYPE, amm_view(e->cacerts, e->cacerts_len));
}

/* ---- certificates of a key ---- */

struct of_key {
    const uint8_t *serial; /* not NULL: the one with that number */
    struct enrolment_identity newest;
    bool found, is_revoked; /* is_revoked: one of them is */
};

static bool look_at_key(void *context, const struct enrolment_identity *identity)
{
    struct of_key *of_key = context;
    of_key->is_revoked |= identity->revoked_at != 0;
    if (!of_key->serial || memcmp(of_key->serial, identity->serial, AMM_CAD_SERIAL) == 0) {
        of_key->newest = *identity;
        of_key->found = true;
    }
    return true;
}

static enum amm_store_result find_by_key(struct manager *m, const uint8_t key[AMM_P256_KEY],
                                         struct of_key *out)
{
    uint8_t hash[AMM_SHA256_LEN];
    if (!amm_sha256(amm_view(key, AMM_P256_KEY), hash)) {
        return AMM_STORE_FAILED;
    }
    return enrolment_identities(m, AMM_SQL_IDENTITY_BY_KEY, AMM_WITH(amm_blob(hash, sizeof hash)),
                                look_at_key, out);
}

/* ---- enrolment with a token ---- */

/* Of HTTP Basic: serial number and token. */
struct credentials {
    char serial[FLEET_SERIAL_MAX + 1];
    struct amm_token token;
};

static bool read_credentials(struct amm_view header, struct credentials *out)
{
    static const char scheme[] = "Basic ";
    char text[CREDENTIALS_MAX + 1];
    size_t len = 0;
    bool ok = header.len > sizeof scheme - 1 &&
              strncasecmp((const char *)header.data, scheme, sizeof scheme - 1) == 0;
    ok = ok && amm_base64_decode(
                   (uint8_t *)text, CREDENTIALS_MAX, &len,
                   amm_view(header.data + sizeof scheme - 1, header.len - (sizeof scheme - 1)),
                   AMM_BASE64);
    text[len] = '\0';
    char *colon = ok && strlen(text) == len ? strrchr(text, ':') : NULL; /* a token has none */
    ok = colon && colon > text && colon - text <= FLEET_SERIAL_MAX;
    if (ok) {
        snprintf(out->serial, sizeof out->serial, "%.*s", (int)(colon - text), text);
        ok = amm_token_parse(&out->token, colon + 1);
    }
    amm_wipe(text, sizeof text);
    return ok;
}

static void refuse_token(struct job *job)
{
    job->m->enrolment->refused++;
    job_field(job, "WWW-Authenticate", "Basic realm=\"amm\"");
    job_error(job, 401, "token", NULL, "The token is wrong, used, expired or was taken back.");
}

/* Finds the token's row; the secret is compared as a hash, so that neither the database nor the
 * time that it takes says anything about it. */
static enum amm_store_result find_token(struct manager *m, const struct credentials *credentials,
                                        struct enrolment_token *out)
{
    uint8_t hash[AMM_SHA256_LEN];
    if (memcmp(credentials->token.ca_pin, m->enrolment->server_ca_pin, AMM_TOKEN_PIN) != 0) {
        return AMM_STORE_NONE;
    }
    if (!amm_sha256(amm_view(credentials->token.secret, AMM_TOKEN_SECRET), hash)) {
        return AMM_STORE_FAILED;
    }
    return enrolment_token_one(m, AMM_SQL_ENROLMENT_TOKEN_FIND, amm_blob(hash, sizeof hash), out);
}

/* A name for a gateway that nobody has named: its serial number. */
static void name_of_serial(const char *serial, char out[FLEET_NAME_MAX + 1])
{
    size_t len = 0;
    for (; serial[len] != '\0' && len < FLEET_NAME_MAX; len++) {
        out[len] = serial[len] == ':' || serial[len] == '/' ? '-' : serial[len];
    }
    out[len] = '\0';
}

/* The gateway that the token is for; NULL with `error`. Whoever has enrolled already is not taken
 * over: its owner must release it first (GP-23). */
static struct fleet_gateway *find_gateway(struct manager *m, const struct enrolment_token *token,
                                          const char *serial, struct fleet_error *error)
{
    struct fleet_gateway *gateway = token->gateway != 0
                                        ? fleet_gateway_find(m->fleet, token->gateway)
                                        : fleet_gateway_by_serial(m->fleet, serial);
    if (token->gateway != 0 && !gateway) {
        fleet_refuse(error, 401, "token", NULL, "The token's gateway was removed.");
        return NULL;
    }
    struct fleet_group *branch = fleet_branch_find(m->fleet, token->tenant, token->group);
    if (!branch) {
        fleet_refuse(error, 401, "token", NULL, "The token's group was removed.");
        return NULL;
    }
    if (!gateway) {
        char name[FLEET_NAME_MAX + 1];
        name_of_serial(serial, name);
        struct fleet_gateway_new new = {
            .group = branch, .name = name, .serial = serial, .kind = FLEET_OURS};
        return fleet_gateway_add(m->fleet, &new, m->now.wall, error);
    }
    bool is_free =
        gateway->access == FLEET_NEW || (token->gateway != 0 && gateway->access == FLEET_REVOKED);
    bool is_its_own = token->gateway != 0
                          ? gateway->serial[0] == '\0' || strcmp(gateway->serial, serial) == 0
                          : fleet_group_within(gateway->group, branch);
    if (!is_free || !is_its_own) {
        fleet_refuse(error, 409, "claimed", NULL,
                     "This serial number belongs to a gateway that has enrolled already, or the "
                     "token is for another one. Its owner must release it (gateway replace, or "
                     "revoke and a new token).");
        return NULL;
    }
    if (strcmp(gateway->serial, serial) != 0 &&
        !fleet_gateway_edit(m->fleet, gateway, serial, NULL, NULL, error)) {
        return NULL;
    }
    return gateway;
}

/* The row that says what is asked for; a new key with the same token starts anew. False: answered.
 */
static bool keep_request(struct job *job, const struct enrolment_token *token, const char *serial,
                         const uint8_t key[AMM_P256_KEY], struct enrolment_request *out)
{
    struct manager *m = job->m;
    enum amm_store_result result =
        enrolment_request_one(m, AMM_SQL_ENROLMENT_REQUEST_OF_TOKEN, amm_number(token->id), out);
    if (result == AMM_STORE_OK && memcmp(out->key, key, AMM_P256_KEY) == 0 &&
        strcmp(out->serial, serial) == 0) {
        return true;
    }
    if (result == AMM_STORE_OK) {
        result = amm_store_run(m->store, AMM_SQL_ENROLMENT_REQUEST_REMOVE,
                               AMM_WITH(amm_number(out->id), amm_number(out->tenant)));
    }
    if (result != AMM_STORE_OK && result != AMM_STORE_NONE) {
        job_store_error(job, result);
        return false;
    }
    *out = (struct enrolment_request){.tenant = token->tenant,
                                      .group = token->group,
                                      .gateway = token->gateway,
                                      .token = token->id,
                                      .created_at = m->now.wall};
    out->state = m->config->enrolment_approval ? ENROLMENT_WAITING : ENROLMENT_APPROVED;
    snprintf(out->serial, sizeof out->serial, "%s", serial);
    memcpy(out->key, key, AMM_P256_KEY);
    amm_random_fill(&m->random, out->approval, sizeof out->approval);
    amm_address_text(&job->remote, out->remote);
    result = amm_store_number(
        m->store, AMM_SQL_ENROLMENT_REQUEST_ADD,
        AMM_WITH(amm_number(out->tenant), amm_number(out->group), amm_number(out->gateway),
                 amm_number(out->token), amm_text(out->serial), amm_blob(out->key, AMM_P256_KEY),
                 amm_blob(out->approval, sizeof out->approval), amm_number(out->state),
                 amm_text(out->remote), amm_number(out->created_at)),
        &out->id);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    }
    return result == AMM_STORE_OK;
}

/* The token is good, and the key is the requester's own. */
static void enrol(struct job *job, const struct enrolment_token *token, const char *serial,
                  const uint8_t key[AMM_P256_KEY])
{
    struct enrolment_request request;
    struct fleet_error error;
    if (enrolment_is_issuing(job->m, token->id, token->gateway)) {
        refuse_busy(job);
        return;
    }
    if (!keep_request(job, token, serial, key, &request)) {
        return;
    }
    if (request.state == ENROLMENT_REFUSED) {
        job->m->enrolment->refused++;
        job_error(job, 403, "refused", NULL, "An administrator has refused this gateway.");
        return;
    }
    if (request.state == ENROLMENT_WAITING) {
        job_field(job, "Retry-After", "60");
        job_json(job, 202, json_pack("{s:s}", "text", "Waits for approval."));
        return;
    }
    struct fleet_gateway *gateway = find_gateway(job->m, token, serial, &error);
    if (!gateway) {
        job->m->enrolment->refused++;
        job_fleet_error(job, &error);
        return;
    }
    struct enrolment_issue *issue = calloc(1, sizeof *issue);
    if (!issue) {
        job_retry(job, 503, ENROLMENT_RETRY, "memory", "out of memory");
        return;
    }
    *issue = (struct enrolment_issue){.request = request.id,
                                      .tenant = token->tenant,
                                      .gateway = gateway->id,
                                      .token = token->id,
                                      .kind = AMM_CAD_GATEWAY,
                                      .issued = issued};
    snprintf(issue->serial, sizeof issue->serial, "%s", serial);
    memcpy(issue->approval, request.approval, sizeof issue->approval);
    memcpy(issue->key, key, AMM_P256_KEY);
    enrolment_issue(job, issue);
}

static bool token_is_open(const struct enrolment_token *token, int64_t now)
{
    return token->used_at == 0 && token->revoked_at == 0 && token->expires_at > now;
}

/* The token was used, with this key, a moment ago: the answer was lost (GP-24). */
static bool was_lost(const struct enrolment_token *token, const struct of_key *of_key, int64_t now)
{
    return token->used_at != 0 && now - token->used_at < ENROLMENT_AGAIN && of_key->found &&
           of_key->newest.token == token->id;
}

void enrolment_simpleenroll(struct job *job)
{
    struct manager *m = job->m;
    struct credentials credentials;
    struct enrolment_token token;
    struct of_key of_key = {0};
    uint8_t key[AMM_P256_KEY];
    char error[256];
    if (!m->enrolment->cacerts) {
        enrolment_unavailable(job, NULL);
        return;
    }
    if (!read_credentials(job_header(job, "authorization"), &credentials)) {
        refuse_token(job);
        return;
    }
    enum amm_store_result result = find_token(m, &credentials, &token);
    amm_wipe(&credentials.token, sizeof credentials.token);
    if (result == AMM_STORE_NONE) {
        refuse_token(job);
        return;
    }
    if (result == AMM_STORE_OK && !fleet_gateway_serial_ok(credentials.serial)) {
        refuse_body(job,
                    "The serial number has other characters than letters, digits and - _ . : /");
        return;
    }
    if (result == AMM_STORE_OK && !amm_est_request_read(job->body, key, error, sizeof error)) {
        refuse_body(job, error);
        return;
    }
    result = result == AMM_STORE_OK ? find_by_key(m, key, &of_key) : result;
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
        return;
    }
    const struct fleet_gateway *before =
        of_key.found ? fleet_gateway_find(m->fleet, of_key.newest.gateway) : NULL;
    if (was_lost(&token, &of_key, m->now.wall) && before) {
        give_again(job, &of_key.newest, key, before);
    } else if (!token_is_open(&token, m->now.wall)) {
        refuse_token(job);
    } else if (of_key.is_revoked) {
        m->enrolment->refused++;
        job_error(job, 403, "key-revoked", NULL,
                  "A certificate of this key was revoked; enrol with a new key.");
    } else if (of_key.found) {
        /* Two gateways with one key are one to every check that follows. */
        m->enrolment->refused++;
        job_error(job, 403, "key-taken", NULL,
                  "There is a certificate of this key; each gateway makes a key of its own.");
    } else {
        enrol(job, &token, credentials.serial, key);
    }
}

/* ---- renewal ---- */

/* The row of the certificate that was shown. False: answered. */
static bool find_shown(struct job *job, struct enrolment_identity *out)
{
    struct of_key of_key = {.serial = job->client->serial};
    enum amm_store_result result = enrolment_identities(
        job->m, AMM_SQL_IDENTITY_BY_SERIAL, AMM_WITH(amm_blob(job->client->serial, AMM_CAD_SERIAL)),
        look_at_key, &of_key);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
        return false;
    }
    if (!of_key.found ||
        memcmp(of_key.newest.key_hash, job->client->key, sizeof job->client->key) != 0) {
        job_error(job, 403, "unknown-certificate", NULL,
                  "This certificate is not known here; enrol anew with a token.");
        return false;
    }
    *out = of_key.newest;
    return true;
}

/* False: answered. */
static bool may_renew(struct job *job, const struct enrolment_identity *shown,
                      const struct fleet_gateway *gateway)
{
    int64_t now = job->m->now.wall;
    if (shown->revoked_at != 0) {
        job_error(job, 403, "revoked", NULL, "The certificate was revoked.");
    } else if (!gateway || gateway->access != FLEET_ADMITTED) {
        job_error(job, 403, gateway ? fleet_access_name(gateway->access) : "removed", NULL,
                  "The gateway is not admitted.");
    } else if (shown->kind != AMM_CAD_GATEWAY) {
        job_error(job, 403, "wrong-kind", NULL,
                  "The certificate of a connection file is not renewed; make a new file.");
    } else if (now > shown->not_after + (int64_t)ENROLMENT_SLEEP_DAYS * ENROLMENT_DAY) {
        job_error(job, 403, "slept-too-long", NULL,
                  "The certificate ended more than %d days ago; enrol anew with a token.",
                  ENROLMENT_SLEEP_DAYS);
    } else if (shown->not_before > now + ENROLMENT_DAY) {
        job_retry(job, 503, ENROLMENT_WAITING_RETRY, "server-clock",
                  "The certificate is from the future: the server's clock is wrong.");
    } else {
        return true;
    }
    job->m->enrolment->refused++;
    return false;
}

/* The request of a gateway that renews: one at a time; a lost answer finds its approval again. */
static bool keep_renewal(struct job *job, const struct fleet_gateway *gateway,
                         const uint8_t key[AMM_P256_KEY], struct enrolment_request *out)
{
    struct manager *m = job->m;
    enum amm_store_result result = enrolment_request_one(m, AMM_SQL_ENROLMENT_REQUEST_OF_GATEWAY,
                                                         amm_number(gateway->id), out);
    if (result == AMM_STORE_OK && memcmp(out->key, key, AMM_P256_KEY) == 0) {
        return true;
    }
    if (result == AMM_STORE_OK) {
        result = amm_store_run(m->store, AMM_SQL_ENROLMENT_REQUEST_REMOVE,
                               AMM_WITH(amm_number(out->id), amm_number(out->tenant)));
    }
    if (result != AMM_STORE_OK && result != AMM_STORE_NONE) {
        job_store_error(job, result);
        return false;
    }
    *out = (struct enrolment_request){.gateway = gateway->id, .tenant = gateway->group->tenant->id};
    amm_random_fill(&m->random, out->approval, sizeof out->approval);
    amm_address_text(&job->remote, out->remote);
    result = amm_store_number(
        m->store, AMM_SQL_ENROLMENT_REQUEST_ADD,
        AMM_WITH(amm_number(out->tenant), amm_number(gateway->group->id), amm_number(gateway->id),
                 amm_number(0), amm_text(gateway->serial), amm_blob(key, AMM_P256_KEY),
                 amm_blob(out->approval, sizeof out->approval), amm_number(ENROLMENT_APPROVED),
                 amm_text(out->remote), amm_number(m->now.wall)),
        &out->id);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    }
    return result == AMM_STORE_OK;
}

static void renew(struct job *job, const struct enrolment_identity *shown,
                  const struct fleet_gateway *gateway, const uint8_t key[AMM_P256_KEY])
{
    struct enrolment_request request;
    struct enrolment_issue *issue;
    if (enrolment_is_issuing(job->m, 0, gateway->id)) {
        refuse_busy(job);
        return;
    }
    if (!keep_renewal(job, gateway, key, &request)) {
        return;
    }
    if (!(issue = calloc(1, sizeof *issue))) {
        job_retry(job, 503, ENROLMENT_RETRY, "memory", "out of memory");
        return;
    }
    *issue = (struct enrolment_issue){.request = request.id,
                                      .tenant = request.tenant,
                                      .gateway = gateway->id,
                                      .kind = AMM_CAD_GATEWAY,
                                      .issued = issued};
    memcpy(issue->approval, request.approval, sizeof issue->approval);
    memcpy(issue->key, key, AMM_P256_KEY);
    memcpy(issue->renews, shown->serial, sizeof issue->renews);
    enrolment_issue(job, issue);
}

/* Seconds until the gateway may renew again: one certificate an hour is enough for everybody. */
static int64_t too_soon(const struct fleet_gateway *gateway, const struct enrolment_identity *shown,
                        int64_t now)
{
    int64_t newest = shown->not_before;
    for (const struct fleet_identity *i = gateway->identities; i; i = i->next) {
        newest = i->not_before > newest ? i->not_before : newest;
    }
    int64_t issued_at = newest + 3600; /* amm-cad dates them back by an hour */
    return now - issued_at < ENROLMENT_AGAIN && now >= issued_at ? issued_at + ENROLMENT_AGAIN - now
                                                                 : 0;
}

void enrolment_simplereenroll(struct job *job)
{
    struct manager *m = job->m;
    struct enrolment_identity shown;
    struct of_key of_key = {0};
    uint8_t key[AMM_P256_KEY];
    char error[256];
    if (!job->client) {
        job_error(job, 401, "no-certificate", NULL,
                  "The certificate that is to be renewed must be shown.");
        return;
    }
    if (!find_shown(job, &shown)) {
        m->enrolment->refused++;
        return;
    }
    const struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, shown.gateway);
    if (!may_renew(job, &shown, gateway)) {
        return;
    }
    if (!amm_est_request_read(job->body, key, error, sizeof error)) {
        refuse_body(job, error);
        return;
    }
    enum amm_store_result result = find_by_key(m, key, &of_key);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
        return;
    }
    if (of_key.is_revoked || (of_key.found && of_key.newest.gateway != gateway->id)) {
        m->enrolment->refused++;
        job_error(job, 403, "key-taken", NULL, "This key is another gateway's, or was revoked.");
        return;
    }
    int64_t wait = too_soon(gateway, &shown, m->now.wall);
    if (of_key.found && m->now.wall - of_key.newest.created_at < ENROLMENT_AGAIN &&
        of_key.newest.id != shown.id) {
        give_again(job, &of_key.newest, key, gateway);
    } else if (wait > 0) {
        job_retry(job, 429, (unsigned)wait, "too-soon",
                  "A certificate was issued within this hour.");
    } else {
        renew(job, &shown, gateway, key);
    }
}
