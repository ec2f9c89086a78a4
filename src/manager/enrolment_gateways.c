/* What people do to a gateway's identity: look at it, revoke it, replace the gateway, make a
 * connection file. */
#include "manager/enrolment_parts.h"

#include "domain/token.h"
#include "api_enrolment.h"
#include "events.h"
#include "parameters.h"
#include "pki/connection_file.h"
#include "tunnel.h"

#include <stdio.h>
#include <stdlib.h>

static void name_for_audit(const struct fleet_gateway *gateway, char out[FLEET_TUNNEL_NAME + 32])
{
    char name[FLEET_TUNNEL_NAME];
    fleet_tunnel_name(gateway, name);
    snprintf(out, FLEET_TUNNEL_NAME + 32, "gateway %lld %s", (long long)gateway->id, name);
}

/* ---- certificates ---- */

static bool list_one(void *context, const struct enrolment_identity *identity)
{
    char serial[2 * AMM_CAD_SERIAL + 1], issuer[65], key[65];
    amm_hex(serial, amm_view(identity->serial, sizeof identity->serial));
    amm_hex(issuer, amm_view(identity->issuer, sizeof identity->issuer));
    amm_hex(key, amm_view(identity->key_hash, sizeof identity->key_hash));
    json_t *o = json_pack(
        "{s:o, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "id", job_json_id(identity->id), "kind",
        identity->kind == AMM_CAD_PROFILE ? "connection-file" : "gateway", "serial", serial,
        "authority", issuer, "key", key, "from", (json_int_t)identity->not_before, "until",
        (json_int_t)identity->not_after, "issued", (json_int_t)identity->created_at);
    if (o && identity->revoked_at != 0) {
        json_object_set_new(o, "revoked", json_integer(identity->revoked_at));
    }
    json_array_append_new(context, o);
    return true;
}

void enrolment_gateway_certificates(struct job *job)
{
    json_t *items = json_array();
    enum amm_store_result result = enrolment_identities(
        job->m, AMM_SQL_IDENTITY_OF, AMM_WITH(amm_number(job->id), amm_number(job->object.tenant)),
        list_one, items);
    if (result != AMM_STORE_OK) {
        json_decref(items);
        job_store_error(job, result);
        return;
    }
    job_list(job, items, 0);
}

/* ---- revoke, replace ---- */

void enrolment_gateway_revoke(struct job *job)
{
    struct manager *m = job->m;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, job->id);
    struct fleet_error error;
    char what[FLEET_TUNNEL_NAME + 32];
    const char *reason = job_text(job, "reason", "");
    if (!enrolment_revoke(m, gateway, FLEET_REVOKED, reason, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    if (!event_add(m->fleet, gateway, "revoked",
                   reason[0] ? reason : "its certificates were revoked", NULL, m->now.wall)) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    name_for_audit(gateway, what);
    job_audit(job, job->object.tenant, what, "%s", reason);
    job_json(job, 200, gateway_to_json(gateway, m->now.wall, NULL));
}

/* The new router takes the place of the old one: name, group, port, address, settings and history
 * stay; the old identity ends here. */
void enrolment_gateway_replace(struct job *job)
{
    struct manager *m = job->m;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, job->id);
    struct fleet_error error;
    char what[FLEET_TUNNEL_NAME + 32], former[FLEET_SERIAL_MAX + 1], text[AMM_TOKEN_TEXT];
    const char *serial = job_text(job, "serial", "");
    int64_t id;
    snprintf(former, sizeof former, "%s", gateway->serial);
    if (serial[0] != '\0' && strcmp(serial, former) == 0) {
        job_error(job, 400, "same-serial", "serial", "That is the gateway that is to be replaced.");
        return;
    }
    struct enrolment_token_new token = {
        .tenant = job->object.tenant,
        .group = job->object.group,
        .gateway = gateway->id,
        .expires_at = m->now.wall + job_number(job, "expires_in", 30 * ENROLMENT_DAY),
        .note = "replacement",
        .created_by = job->actor.name};
    if (!enrolment_revoke(m, gateway, FLEET_NEW, "replaced", &error) ||
        (gateway->kind != FLEET_OPENVPN &&
         !parameters_adopt(m->fleet, gateway, job->actor.name, m->now.wall, &error)) ||
        !fleet_gateway_edit(m->fleet, gateway, serial, NULL, NULL, &error) ||
        !enrolment_token_make(m, &token, &id, text, &error)) {
        job_fleet_error(job, &error);
        return;
    }
    if (!event_add(m->fleet, gateway, "replaced", "waits for the new gateway to enrol", NULL,
                   m->now.wall)) {
        job_store_error(job, AMM_STORE_FAILED);
        return;
    }
    name_for_audit(gateway, what);
    job_audit(job, job->object.tenant, what, "serial %s is followed by %s", former, serial);
    job_field(job, "Cache-Control", "no-store");
    job_json(job, 200,
             json_pack("{s:o, s:{s:o, s:s, s:I}}", "gateway",
                       gateway_to_json(gateway, m->now.wall, NULL), "token", "id", job_json_id(id),
                       "token", text, "expires", (json_int_t)token.expires_at));
    amm_wipe(text, sizeof text);
}

/* ---- connection files ---- */

/* What a file needs, from the first unit to the last. Holds a private key: made here, given once,
 * never saved. */
struct file {
    int64_t gateway;
    uint16_t days;
    enum amm_wrap_mode wrap;
    size_t n_remotes;
    char remotes[PKI_REMOTES_MAX][254];
    char key[AMM_PEM_MAX], wrap_key[AMM_CAD_TEXT];
};

static void free_file(void *more)
{
    struct file *file = more;
    amm_wipe(file, sizeof *file);
    free(file);
}

static void drop_file(struct manager *m, void *context, const struct amm_cad_message *answer)
{
    (void)m, (void)answer;
    free_file(context);
}

static void fill_ports(const struct amm_tunneld_config *tunneld, uint16_t own,
                       struct pki_connection *out)
{
    if (own != 0) {
        out->ports[out->n_ports++] = own;
    }
    for (uint8_t i = 0; i < tunneld->n_ports && out->n_ports < PKI_PORTS_MAX; i++) {
        if (tunneld->ports[i].port != own) {
            out->ports[out->n_ports++] = tunneld->ports[i].port;
        }
    }
}

static void give_file(struct job *job, struct enrolment_issue *issue, struct fleet_gateway *gateway,
                      const struct amm_cad_issued *issued)
{
    const struct enrolment *e = job->m->enrolment;
    const struct file *file = issue->more;
    char name[FLEET_TUNNEL_NAME], disposition[FLEET_TUNNEL_NAME + 64];
    fleet_tunnel_name(gateway, name);
    struct pki_connection connection = {.name = name,
                                        .server_name = e->tunnel_server,
                                        .wrap = file->wrap,
                                        .wrap_key = file->wrap_key,
                                        .ca = e->texts.server_ca,
                                        .certificate = issued->certificate,
                                        .key = file->key,
                                        .n_remotes = file->n_remotes};
    for (size_t i = 0; i < file->n_remotes; i++) {
        connection.remotes[i] = file->remotes[i];
    }
    fill_ports(&job->m->config->tunneld, gateway->tunnel.port, &connection);
    uint8_t *text = malloc(PKI_CONNECTION_MAX);
    struct amm_writer w = amm_writer(text, text ? PKI_CONNECTION_MAX : 0);
    if (pki_connection_write(&w, &connection)) {
        snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.ovpn\"", name);
        job_field(job, "Content-Disposition", disposition);
        job_field(job, "Cache-Control", "no-store");
        job_bytes(job, 200, "application/x-openvpn-profile", amm_view(text, amm_writer_len(&w)));
    } else {
        enrolment_disown(job->m, issued->serial, AMM_CAD_PROFILE);
        job_error(job, 409, "too-large", NULL,
                  "The connection file would be too large: too many "
                  "hosts or ports.");
    }
    amm_wipe(text, text ? PKI_CONNECTION_MAX : 0);
    free(text);
}

/* Settings that a person chose, else those of the server. False: answered. */
static bool fill_remotes(struct job *job, struct file *file)
{
    const char *list = job->m->config->tunnel_hosts;
    json_t *given = job->input ? json_object_get(job->input, "remotes") : NULL, *one;
    size_t i;
    json_array_foreach(given, i, one)
    {
        const char *text = json_string_value(one);
        if (!text || !pki_host_ok(text) || i >= PKI_REMOTES_MAX) {
            job_error(job, 400, "bad-host", "remotes", "Names or addresses, at most %d.",
                      PKI_REMOTES_MAX);
            return false;
        }
        snprintf(file->remotes[file->n_remotes++], sizeof file->remotes[0], "%s", text);
    }
    while (given == NULL && *list != '\0' && file->n_remotes < PKI_REMOTES_MAX) {
        list += strspn(list, ", ");
        size_t len = strcspn(list, ", ");
        if (len > 0 && len < sizeof file->remotes[0]) {
            snprintf(file->remotes[file->n_remotes++], sizeof file->remotes[0], "%.*s", (int)len,
                     list);
        }
        list += len;
    }
    if (file->n_remotes == 0) {
        job_error(job, 409, "no-hosts", "remotes",
                  "The server does not know its own name: give remotes, or set tunnel-hosts.");
    }
    return file->n_remotes > 0;
}

/* The wrap of the gateway's port, or the one that was asked for, if the port takes it. */
static bool choose_wrap(struct job *job, const struct fleet_gateway *gateway, struct file *file)
{
    const struct amm_tunneld_config *tunneld = &job->m->config->tunneld;
    const char *wanted = job_text(job, "wrap", "");
    const struct amm_port_config *port = NULL;
    for (uint8_t i = 0; i < tunneld->n_ports; i++) {
        if (tunneld->ports[i].port == gateway->tunnel.port || !port) {
            port = &tunneld->ports[i];
        }
    }
    if (!port) {
        job_error(job, 409, "no-port", NULL, "The server has no tunnel port.");
        return false;
    }
    file->wrap = (enum amm_wrap_mode)port->wrap;
    if (strcmp(wanted, amm_wrap_mode_name(AMM_WRAP_CRYPT_V2)) == 0 && port->tls_crypt_v2) {
        file->wrap = AMM_WRAP_CRYPT_V2;
    } else if (wanted[0] != '\0' && strcmp(wanted, amm_wrap_mode_name(file->wrap)) != 0) {
        job_error(job, 400, "wrong-wrap", "wrap", "Port %u takes %s%s.", port->port,
                  amm_wrap_mode_name(file->wrap), port->tls_crypt_v2 ? " and tls-crypt-v2" : "");
        return false;
    }
    return true;
}

/* Takes over `file`. The wrap's key is there; now the certificate. */
static void issue_file(struct job *job, struct file *file)
{
    struct manager *m = job->m;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, file->gateway);
    char error[256];
    struct enrolment_issue *issue = gateway ? calloc(1, sizeof *issue) : NULL;
    if (!issue) {
        free_file(file);
        job_retry(job, 503, ENROLMENT_RETRY, "memory", "out of memory, or the gateway is gone");
        return;
    }
    *issue = (struct enrolment_issue){.tenant = gateway->group->tenant->id,
                                      .gateway = gateway->id,
                                      .kind = AMM_CAD_PROFILE,
                                      .days = file->days,
                                      .more = file,
                                      .free_more = free_file,
                                      .issued = give_file};
    amm_random_fill(&m->random, issue->approval, sizeof issue->approval);
    if (!amm_pki_key_new(file->key, error, sizeof error) ||
        !amm_pki_public_key(file->key, issue->key, error, sizeof error)) {
        free_file(file);
        free(issue);
        job_retry(job, 503, ENROLMENT_RETRY, "memory", error);
        return;
    }
    enrolment_issue(job, issue);
}

static void take_wrap(struct job *job, void *context, const struct amm_cad_message *answer)
{
    struct file *file = context;
    if (!answer || answer->type != AMM_CAD_TEXT_IS) {
        free_file(file);
        enrolment_unavailable(job, answer);
        return;
    }
    memcpy(file->wrap_key, answer->text, sizeof file->wrap_key);
    issue_file(job, file);
}

/* False: answered. A person who makes a file admits the gateway. */
static bool admit(struct job *job, struct fleet_gateway *gateway)
{
    struct manager *m = job->m;
    struct fleet_error error;
    if (gateway->kind == FLEET_OURS) {
        job_error(job, 409, "wrong-kind", NULL,
                  "This gateway enrols by itself, with a token; connection files are for OpenVPN "
                  "routers.");
        return false;
    }
    if (gateway->access == FLEET_QUARANTINED) {
        job_error(job, 409, "quarantined", NULL, "The gateway is in quarantine; release it first.");
        return false;
    }
    if ((gateway->access != FLEET_ADMITTED &&
         !fleet_gateway_set_access(m->fleet, gateway, FLEET_ADMITTED, NULL, m->now.wall, &error)) ||
        !tunnel_place(m, gateway, &error)) {
        job_fleet_error(job, &error);
        return false;
    }
    return true;
}

void enrolment_gateway_connection_file(struct job *job)
{
    struct fleet_gateway *gateway = fleet_gateway_find(job->m->fleet, job->id);
    struct file *file;
    if (enrolment_is_issuing(job->m, 0, gateway->id)) {
        job_retry(job, 503, ENROLMENT_RETRY, "busy", "A certificate is being made for it already.");
        return;
    }
    if (!admit(job, gateway)) {
        return;
    }
    if (!(file = calloc(1, sizeof *file))) {
        job_retry(job, 503, ENROLMENT_RETRY, "memory", "out of memory");
        return;
    }
    file->gateway = gateway->id;
    file->days = (uint16_t)job_number(job, "days", 0);
    if (!fill_remotes(job, file) || !choose_wrap(job, gateway, file)) {
        free_file(file);
        return;
    }
    char what[FLEET_TUNNEL_NAME + 32];
    name_for_audit(gateway, what);
    job_audit(job, job->object.tenant, what, "connection file");
    if (file->wrap == AMM_WRAP_NONE) {
        issue_file(job, file);
        return;
    }
    struct amm_cad_message request = {.type = AMM_CAD_WRAP};
    request.which = file->wrap == AMM_WRAP_AUTH    ? AMM_CAD_TLS_AUTH
                    : file->wrap == AMM_WRAP_CRYPT ? AMM_CAD_TLS_CRYPT
                                                   : AMM_CAD_TLS_CRYPT_V2;
    enrolment_ask(job, &request, take_wrap, drop_file, file);
}
