/* The CAs, and which gateways are lost if one of them goes. */
#include "manager/enrolment_parts.h"

#include "api_enrolment.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t lost_with(struct manager *m, const uint8_t issuer[32])
{
    int64_t n = 0;
    amm_store_number(m->store, AMM_SQL_IDENTITY_COUNT_OF_ISSUER,
                     AMM_WITH(amm_blob(issuer, 32), amm_number(m->now.wall)), &n);
    return n;
}

/* Adds the certificates of a PEM text, the one that issues first. */
static void add_all(struct manager *m, json_t *items, const char *kind, const char *pem)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    bool is_first = true;
    for (const char *at = pem; at && (at = strstr(at, begin)) != NULL; at++) {
        struct amm_identity identity;
        int64_t from, until;
        char error[128], key[65];
        if (!amm_pki_identity(at, &identity, error, sizeof error) ||
            !amm_pki_validity(at, &from, &until, error, sizeof error)) {
            continue;
        }
        amm_hex(key, amm_view(identity.key, sizeof identity.key));
        json_array_append_new(items,
                              json_pack("{s:s, s:s, s:s, s:b, s:I, s:I, s:I}", "key", key, "kind",
                                        kind, "name", identity.name, "issues", is_first, "from",
                                        (json_int_t)from, "until", (json_int_t)until, "gateways",
                                        (json_int_t)lost_with(m, identity.key)));
        is_first = false;
    }
}

void enrolment_authorities(struct job *job)
{
    const struct enrolment *e = job->m->enrolment;
    if (!e->cacerts) {
        enrolment_unavailable(job, NULL);
        return;
    }
    json_t *items = json_array();
    add_all(job->m, items, "gateway", e->texts.gateway_cas);
    add_all(job->m, items, "connection-file", e->texts.profile_cas);
    job_list(job, items, 0);
}

void enrolment_authority_gateways(struct job *job)
{
    struct manager *m = job->m;
    struct job_page page = job_page(job);
    uint8_t issuer[32];
    if (strlen(job->arguments[0]) != 64 || !amm_unhex(issuer, 32, job->arguments[0])) {
        job_not_found(job);
        return;
    }
    json_t *items = json_array();
    int64_t last = 0;
    unsigned n = 0;
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_IDENTITY_GATEWAYS_OF_ISSUER,
                        AMM_WITH(amm_blob(issuer, 32), amm_number(m->now.wall),
                                 amm_number(page.after), amm_number(page.limit)));
    while (amm_rows_next(rows)) {
        const struct fleet_gateway *gateway =
            fleet_gateway_find(m->fleet, amm_rows_number(rows, 0));
        last = amm_rows_number(rows, 0);
        n++;
        if (gateway) {
            json_array_append_new(items, gateway_to_json(gateway, m->now.wall, NULL));
        }
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        json_decref(items);
        job_store_error(job, result);
        return;
    }
    job_list(job, items, n == page.limit ? last : 0);
}
