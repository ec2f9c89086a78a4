/* Revoking: in the store at once, at amm-cad and the tunnel server when that is durable. */
#include "manager/enrolment_parts.h"

#include "audit.h"
#include "io/log.h"
#include "tunnel.h"

#include <stdio.h>
#include <stdlib.h>

/* Seconds: until the tunnel server has the new lists, and then some. No longer, because it is the
 * name that is held, and a replacement bears the same. */
enum { KICK_HOLD = 10 };

static bool store_refuses(enum amm_store_result result, struct fleet_error *error)
{
    return fleet_refuse(error, result == AMM_STORE_FULL ? 507 : 503, amm_store_result_name(result),
                        NULL, "The server cannot save anything at the moment.");
}

/* ---- telling amm-cad ---- */

struct due {
    uint8_t serial[AMM_CAD_SERIAL], kind;
    int64_t at;
};

static void tell(struct manager *m, const struct due *due);

/* amm-cad has it: the row is not needed any more. In a unit of its own. */
static void forget_due(struct manager *m, void *context)
{
    struct due *due = context;
    if (amm_store_run(m->store, AMM_SQL_REVOCATION_DUE_DONE,
                      AMM_WITH(amm_blob(due->serial, sizeof due->serial))) != AMM_STORE_OK) {
        manager_fail(m); /* it is told again at the next link: that does no harm */
    }
    free(due);
    enrolment_lists_fetch(m);
}

static void told(struct manager *m, void *context, const struct amm_cad_message *answer)
{
    struct due *due = context;
    if (answer && answer->type == AMM_CAD_DONE) {
        manager_post(m, forget_due, due);
        return;
    }
    if (answer) { /* told again by the tick, as without an answer */
        amm_log(AMM_LOG_ERROR, "cad-revokes-not",
                amm_field_text("why", answer->type == AMM_CAD_FAILED ? answer->failed.words : "?"));
    }
    free(due);
}

static void tell(struct manager *m, const struct due *due)
{
    struct amm_cad_message request = {.type = AMM_CAD_REVOKE,
                                      .revoke = {.kind = due->kind, .at = due->at}};
    struct due *copy = malloc(sizeof *copy);
    memcpy(request.revoke.serial, due->serial, sizeof request.revoke.serial);
    if (copy) {
        *copy = *due;
    }
    if (!copy || !cad_link_ask(m->enrolment->link, &request, told, copy)) {
        free(copy); /* told again by the tick */
    }
}

static void tell_when_durable(struct manager *m, void *data)
{
    struct due due;
    memcpy(&due, data, sizeof due);
    tell(m, &due);
}

bool enrolment_revocation_due(struct manager *m, const uint8_t serial[AMM_CAD_SERIAL], uint8_t kind,
                              struct fleet_error *error)
{
    struct due due = {.kind = kind, .at = m->now.wall};
    memcpy(due.serial, serial, sizeof due.serial);
    enum amm_store_result result = amm_store_run(
        m->store, AMM_SQL_REVOCATION_DUE_ADD,
        AMM_WITH(amm_blob(serial, AMM_CAD_SERIAL), amm_number(kind), amm_number(due.at)));
    if (result != AMM_STORE_OK) {
        return store_refuses(result, error);
    }
    manager_after(m, tell_when_durable, &due, sizeof due);
    return true;
}

/* ---- revoking a gateway ---- */

struct collected {
    struct enrolment_identity *at;
    size_t n;
    bool failed;
};

static bool collect(void *context, const struct enrolment_identity *identity)
{
    struct collected *all = context;
    struct enrolment_identity *more = reallocarray(all->at, all->n + 1, sizeof *more);
    all->failed = more == NULL;
    if (more) {
        all->at = more;
        all->at[all->n++] = *identity;
    }
    return more != NULL;
}

static bool revoke_identity(struct manager *m, struct fleet_gateway *gateway,
                            const struct enrolment_identity *identity, const char *reason,
                            struct fleet_error *error)
{
    struct fleet_identity changed = {.id = identity->id,
                                     .kind = (uint8_t)identity->kind,
                                     .not_before = identity->not_before,
                                     .not_after = identity->not_after,
                                     .revoked_at = m->now.wall};
    memcpy(changed.key_hash, identity->key_hash, sizeof changed.key_hash);
    enum amm_store_result result =
        amm_store_run(m->store, AMM_SQL_IDENTITY_REVOKE,
                      AMM_WITH(amm_number(m->now.wall), amm_text(reason), amm_number(identity->id),
                               amm_number(identity->tenant)));
    if (result != AMM_STORE_OK) {
        return store_refuses(result, error);
    }
    return (fleet_identity_put(m->fleet, gateway, &changed) ||
            fleet_refuse(error, 503, "memory", NULL, "The server is out of memory.")) &&
           enrolment_revocation_due(m, identity->serial, identity->kind, error);
}

bool enrolment_revoke(struct manager *m, struct fleet_gateway *gateway, enum fleet_access access,
                      const char *reason, struct fleet_error *error)
{
    struct collected all = {0};
    enum amm_store_result result = enrolment_identities(
        m, AMM_SQL_IDENTITY_OF,
        AMM_WITH(amm_number(gateway->id), amm_number(gateway->group->tenant->id)), collect, &all);
    bool ok = result == AMM_STORE_OK && !all.failed;
    if (!ok) {
        store_refuses(result, error);
    }
    for (size_t i = 0; ok && i < all.n; i++) {
        ok = all.at[i].revoked_at != 0 ||
             revoke_identity(m, gateway, &all.at[i], reason ? reason : "", error);
    }
    free(all.at);
    /* Tokens that were made for it are the old owner's. */
    if (ok) {
        result = amm_store_run(m->store, AMM_SQL_ENROLMENT_TOKEN_REVOKE_GATEWAY,
                               AMM_WITH(amm_number(m->now.wall), amm_number(gateway->id),
                                        amm_number(gateway->group->tenant->id)));
        ok = result == AMM_STORE_OK || store_refuses(result, error);
    }
    ok = ok && fleet_gateway_set_access(m->fleet, gateway, access, reason, m->now.wall, error);
    if (ok) {
        m->enrolment->revoked++;
        tunnel_kick(m, gateway, KICK_HOLD);
    }
    return ok;
}

/* ---- both sides know the same ---- */

bool enrolment_revocations_tell(struct manager *m)
{
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_REVOCATION_DUE_ALL, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        struct due due = {.kind = (uint8_t)amm_rows_number(rows, 1),
                          .at = amm_rows_number(rows, 2)};
        struct amm_view serial = amm_rows_view(rows, 0);
        if (serial.len == sizeof due.serial) {
            memcpy(due.serial, serial.data, serial.len);
            tell(m, &due);
        }
    }
    return amm_rows_end(rows) == AMM_STORE_OK;
}

/* A part of what amm-cad has revoked, on its way into a unit. */
struct part {
    struct amm_cad_revoked revoked;
};

static bool remember_identity(void *context, const struct enrolment_identity *identity)
{
    *(struct enrolment_identity *)context = *identity;
    return false;
}

/* The store thinks that the certificate is good: it was restored from before the revocation. */
static bool learn(struct manager *m, const struct enrolment_identity *identity)
{
    static const char reason[] = "revoked before the database was restored";
    struct fleet_error error;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, identity->gateway);
    bool has_good = false;
    if (!gateway || !revoke_identity(m, gateway, identity, reason, &error)) {
        return gateway == NULL;
    }
    for (const struct fleet_identity *i = gateway->identities; i; i = i->next) {
        has_good |= i->revoked_at == 0;
    }
    amm_log(AMM_LOG_WARNING, "revocation-learned", amm_field_text("gateway", gateway->name));
    if (has_good || gateway->access == FLEET_REVOKED) {
        return true;
    }
    tunnel_kick(m, gateway, KICK_HOLD);
    return fleet_gateway_set_access(m->fleet, gateway, FLEET_REVOKED, reason, m->now.wall, &error);
}

static void take_part(struct manager *m, void *context)
{
    struct part *part = context;
    for (uint16_t i = 0; i < part->revoked.n; i++) {
        struct enrolment_identity identity = {0};
        enrolment_identities(m, AMM_SQL_IDENTITY_BY_SERIAL,
                             AMM_WITH(amm_blob(part->revoked.list[i].serial, AMM_CAD_SERIAL)),
                             remember_identity, &identity);
        if (identity.id != 0 && identity.revoked_at == 0 && !learn(m, &identity)) {
            manager_fail(m);
            m->enrolment->join_failed = true;
            break;
        }
    }
    free(part);
}

/* ---- after a restore ---- */

static int64_t read_meta(struct manager *m, const char *name)
{
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_META_GET, AMM_WITH(amm_text(name)));
    char text[24] = "";
    if (amm_rows_next(rows)) {
        amm_rows_text(rows, 0, text, sizeof text);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && text[0] != '\0' ? strtoll(text, NULL, 10) : -1;
}

bool enrolment_epoch_read(struct manager *m, char *error, size_t room)
{
    int64_t epoch = read_meta(m, AMM_META_EPOCH), joined = read_meta(m, AMM_META_REVOKED_EPOCH);
    if (epoch < 0 || joined < 0) {
        snprintf(error, room, "cannot read the epoch of the database: %s",
                 amm_store_error(m->store));
        return false;
    }
    m->enrolment->revocations_unknown = epoch != joined;
    if (epoch != joined) {
        amm_log(AMM_LOG_WARNING, "revocations-unknown",
                amm_field_text("why", "the database was restored"),
                amm_field_text("cure", "gateways wait until amm-cad is reached"));
    }
    return true;
}

static void let_in(struct manager *m, void *data)
{
    (void)data;
    m->enrolment->revocations_unknown = false;
    amm_log(AMM_LOG_INFO, "revocations-known", amm_field_text("from", "amm-cad"));
}

/* Behind the last part: each of them is a unit that was posted before this one. */
static void joined(struct manager *m, void *context)
{
    char text[24];
    (void)context;
    if (!m->enrolment->revocations_unknown || m->enrolment->join_failed) {
        return;
    }
    snprintf(text, sizeof text, "%lld", (long long)read_meta(m, AMM_META_EPOCH));
    if (amm_store_run(m->store, AMM_SQL_META_SET,
                      AMM_WITH(amm_text(AMM_META_REVOKED_EPOCH), amm_text(text))) == AMM_STORE_OK) {
        manager_after(m, let_in, NULL, 0);
    } else {
        manager_fail(m); /* at the next link */
    }
}

static void part_came(struct manager *m, void *context, const struct amm_cad_message *answer)
{
    (void)context;
    if (answer && answer->type == AMM_CAD_DONE) {
        manager_post(m, joined, NULL);
    }
    if (!answer || answer->type != AMM_CAD_REVOKED) {
        return;
    }
    struct part *part = malloc(sizeof *part);
    if (part) {
        part->revoked = answer->revoked;
        manager_post(m, take_part, part);
    } else {
        m->enrolment->join_failed = true;
    }
}

void enrolment_revocations_join(struct manager *m)
{
    m->enrolment->join_failed = false;
    if (!enrolment_revocations_tell(m)) {
        amm_log(AMM_LOG_ERROR, "revocations-unread", amm_field_text("why", "the store"));
    }
    cad_link_ask(m->enrolment->link, &(struct amm_cad_message){.type = AMM_CAD_REVOCATIONS},
                 part_came, NULL);
}
