/* /api/v1/tunnel/refused: who was refused, why, and a gateway made of whom we could know. */
#include "fleet_module.h"
#include "ipc/cad.h"
#include "manager/nouns.h"
#include "manager/tunnel_parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { CERTIFICATE_LIFE = 3650 * 86400 };

struct row {
    int64_t id, tenant, at, first_at, repeats, port;
    char name[AMM_NAME_MAX + 1], remote[AMM_ADDRESS_TEXT], transport[8], client[48], reason[48],
        text[AMM_IPC_TEXT];
    bool has_key;
    uint8_t key[FLEET_KEY_HASH], serial[20];
};

static void read_row(const struct amm_rows *rows, struct row *out)
{
    *out = (struct row){.id = amm_rows_number(rows, 0),
                        .tenant = amm_rows_number(rows, 1),
                        .at = amm_rows_number(rows, 2),
                        .first_at = amm_rows_number(rows, 3),
                        .repeats = amm_rows_number(rows, 4),
                        .port = amm_rows_number(rows, 5)};
    struct amm_view key = amm_rows_view(rows, 12), serial = amm_rows_view(rows, 13);
    amm_rows_text(rows, 6, out->name, sizeof out->name);
    amm_rows_text(rows, 7, out->remote, sizeof out->remote);
    amm_rows_text(rows, 8, out->transport, sizeof out->transport);
    amm_rows_text(rows, 9, out->client, sizeof out->client);
    amm_rows_text(rows, 10, out->reason, sizeof out->reason);
    amm_rows_text(rows, 11, out->text, sizeof out->text);
    out->has_key = key.len == sizeof out->key && serial.len == sizeof out->serial;
    if (out->has_key) {
        memcpy(out->key, key.data, sizeof out->key);
        memcpy(out->serial, serial.data, sizeof out->serial);
    }
}

static struct fleet_gateway *gateway_of(struct job *job, const struct row *row)
{
    return row->name[0] != '\0' ? fleet_gateway_by_tunnel_name(job->m->fleet, row->name) : NULL;
}

/* A gateway's: who sees the gateway. A name that nobody has: who could add a gateway of that name,
 * if a certificate proves the name; else the system administrator. */
static bool may_see(struct job *job, const struct row *row)
{
    const struct fleet_gateway *gateway = gateway_of(job, row);
    struct access_object place = {row->tenant, 0};
    if (gateway != NULL) {
        place = gateway_object(gateway);
    }
    return job_allows(job,
                      gateway != NULL    ? ACCESS_VIEW
                      : row->tenant != 0 ? ACCESS_ADMIN
                                         : ACCESS_SYSTEM,
                      &place);
}

/* Its certificate is of a CA that we know, and only the name was missing. */
static bool can_create(struct job *job, const struct row *row)
{
    struct access_object place = {row->tenant, 0};
    return row->has_key && row->tenant != 0 && strcmp(row->reason, "not-on-roster") == 0 &&
           gateway_of(job, row) == NULL && fleet_identity_find(job->m->fleet, row->key) == NULL &&
           job_allows(job, ACCESS_ADMIN, &place);
}

/* "no place for it (add it with: ammctl gateway add)": what failed, and the cure. */
static void split_cure(const struct row *row, char *what, char *cure)
{
    size_t len = strlen(row->text);
    const char *open = len > 0 && row->text[len - 1] == ')' ? strstr(row->text, " (") : NULL;
    size_t first = open ? (size_t)(open - row->text) : len;
    snprintf(what, AMM_IPC_TEXT, "%.*s", (int)first, row->text);
    snprintf(cure, AMM_IPC_TEXT, "%.*s", open ? (int)(len - first - 3) : 0, row->text + first + 2);
}

static json_t *row_json(struct job *job, const struct row *row)
{
    const struct fleet_gateway *gateway = gateway_of(job, row);
    char key[2 * FLEET_KEY_HASH + 1], what[AMM_IPC_TEXT], cure[AMM_IPC_TEXT];
    amm_hex(key, amm_view(row->key, row->has_key ? sizeof row->key : 0));
    split_cure(row, what, cure);
    return json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:b}", "id",
        job_json_id(row->id), "at", (json_int_t)row->at, "first_at", (json_int_t)row->first_at,
        "repeats", (json_int_t)row->repeats, "port", (json_int_t)row->port, "name", row->name,
        "gateway", gateway ? job_json_id(gateway->id) : json_null(), "remote", row->remote,
        "transport", row->transport, "client", row->client, "reason", row->reason, "text", what,
        "cure", cure, "key_hash", row->has_key ? json_string(key) : json_null(), "can_create",
        can_create(job, row));
}

static void list_handle(struct job *job)
{
    struct job_page page = job_page(job);
    json_t *items = json_array();
    int64_t next = 0, last = 0;
    struct amm_rows *rows = amm_store_query(
        job->m->store, AMM_SQL_REFUSED_BEFORE,
        AMM_WITH(amm_number(page.after != 0 ? page.after : INT64_MAX), amm_number(REFUSED_KEPT)));
    while (next == 0 && amm_rows_next(rows)) {
        struct row row;
        read_row(rows, &row);
        if (!may_see(job, &row)) {
            continue;
        }
        if (json_array_size(items) == page.limit) {
            next = last;
        } else {
            json_array_append_new(items, row_json(job, &row));
            last = row.id;
        }
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        json_decref(items);
        job_store_error(job, result);
        return;
    }
    job_list(job, items, next);
}

/* ---- a gateway of it ---- */

/* The row that the path names; false: answered. */
static bool find_row(struct job *job, struct row *out)
{
    int64_t id;
    if (!job_argument_number(job, 0, 1, INT64_MAX, &id)) {
        return false;
    }
    struct amm_rows *rows =
        amm_store_query(job->m->store, AMM_SQL_REFUSED_ONE, AMM_WITH(amm_number(id)));
    bool found = amm_rows_next(rows);
    if (found) {
        read_row(rows, out);
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        job_store_error(job, result);
    } else if (!found || !may_see(job, out)) {
        job_not_found(job);
    } else {
        return true;
    }
    return false;
}

/* The certificate that was shown becomes the gateway's, so that revoking the gateway revokes it.
 * Its dates were judged by the tunnel server and will be; here it may live as long as any. */
static bool add_identity(struct job *job, struct fleet_gateway *gateway, const struct row *row,
                         enum amm_cad_kind kind, struct fleet_error *error)
{
    struct manager *m = job->m;
    struct fleet_identity identity = {.not_before = m->now.wall,
                                      .not_after = m->now.wall + CERTIFICATE_LIFE};
    memcpy(identity.key_hash, row->key, sizeof identity.key_hash);
    enum amm_store_result result =
        amm_store_number(m->store, AMM_SQL_IDENTITY_ADD,
                         AMM_WITH(amm_number(gateway->group->tenant->id), amm_number(gateway->id),
                                  amm_number(kind), amm_blob(row->serial, sizeof row->serial),
                                  amm_blob("", 0), amm_blob(row->key, sizeof row->key),
                                  amm_blob("", 0), amm_number(0), amm_number(identity.not_before),
                                  amm_number(identity.not_after), amm_number(m->now.wall)),
                         &identity.id);
    if (result == AMM_STORE_CONFLICT) {
        return fleet_refuse(error, 409, "exists", NULL,
                            "this certificate is another gateway's already");
    }
    if (result != AMM_STORE_OK || fleet_identity_put(m->fleet, gateway, &identity) == NULL) {
        return fleet_refuse(error, 503, "store-refuses", NULL, "the gateway could not be saved");
    }
    return true;
}

/* Where it goes: into a group of the tenant whose name its certificate has. NULL: answered. */
static struct fleet_group *target_of(struct job *job, const struct row *row)
{
    struct fleet_group *group =
        fleet_branch_find(job->m->fleet, row->tenant, job_id(job, "group", 0));
    if (group == NULL) {
        job_missing(job, "group");
        return NULL;
    }
    struct access_object place = {group->tenant->id, group->id};
    return job_demand(job, ACCESS_ADMIN, &place, "group") ? group : NULL;
}

static void create_handle(struct job *job)
{
    struct row row;
    struct fleet_error error;
    char own[FLEET_NAME_MAX + 1], tunnel_name[FLEET_TUNNEL_NAME], object[FLEET_NAME_MAX + 40];
    if (!find_row(job, &row)) {
        return;
    }
    if (!can_create(job, &row)) {
        job_error(job, 409, "cannot-create", NULL, "no gateway can be made of this one: %s",
                  gateway_of(job, &row) != NULL ? "there is one with its name already"
                  : !row.has_key ? "it has shown no certificate of a CA that this server knows"
                                 : "what failed was something else than a missing gateway");
        return;
    }
    struct fleet_group *group = target_of(job, &row);
    if (group == NULL) {
        return;
    }
    snprintf(own, sizeof own, "%.*s", (int)strcspn(row.name, "@"), row.name);
    if (strcmp(job_text(job, "name", own), own) != 0) {
        job_error(job, 400, "other-name", "name",
                  "its certificate says %s, and a gateway is known to the tunnel server by that: "
                  "the name has to be %s",
                  row.name, own);
        return;
    }
    bool is_ours = strcmp(job_text(job, "kind", "openvpn"), "amm") == 0;
    struct fleet_gateway_new what = {
        .group = group, .name = own, .kind = is_ours ? FLEET_OURS : FLEET_OPENVPN};
    struct fleet_gateway *gateway =
        fleet_gateway_add(job->m->fleet, &what, job->m->now.wall, &error);
    bool good =
        gateway != NULL &&
        add_identity(job, gateway, &row, is_ours ? AMM_CAD_GATEWAY : AMM_CAD_PROFILE, &error) &&
        fleet_gateway_set_access(job->m->fleet, gateway, FLEET_ADMITTED, NULL, job->m->now.wall,
                                 &error) &&
        tunnel_place(job->m, gateway, &error);
    if (!good) {
        job_fleet_error(job, &error);
        return;
    }
    fleet_tunnel_name(gateway, tunnel_name);
    snprintf(object, sizeof object, "gateway %lld %s", (long long)gateway->id, gateway->name);
    job_audit(job, group->tenant->id, object, "added from the certificate of a refused join");
    job_json(job, 201, gateway_to_json_whole(job->m->fleet, gateway, job->m->now.wall));
}

static const struct field list_query[] = {ROUTE_PAGE, {0}};

static const struct field create_body[] = {
    {"name", FIELD_TEXT, false, 1, FLEET_NAME_MAX, NULL, "as in its certificate; default that"},
    {"group", FIELD_ID, false, 0, 0, NULL, "default: directly under the tenant"},
    {"kind", FIELD_CHOICE, false, 0, 0, "openvpn|amm", "default openvpn"},
    {0}};

const struct route refused_routes[] = {
    {.method = "GET",
     .path = "/api/v1/tunnel/refused",
     .action = ACCESS_VIEW,
     .query = list_query,
     .handle = list_handle,
     .summary = "The last 1000 refused joins, newest first, with reason and cure"},
    {.method = "POST",
     .path = "/api/v1/tunnel/refused/{id}/create-gateway",
     .action = ACCESS_ADMIN,
     .body = create_body,
     .handle = create_handle,
     .summary = "Adds a gateway for the certificate of a refused join, if a known CA signed it"},
    {.method = NULL},
};
