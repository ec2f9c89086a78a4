#include "manager/audit.h"

#include "base/bytes.h"
#include "io/log.h"
#include "manager/audit_chain.h"

#include <stdio.h>
#include <stdlib.h>

enum { DETAIL_MAX = 1000, REFUSED = 256 };
#define SAY_EVERY (86400 * AMM_SECOND)

struct audit {
    struct {
        struct audit_refusal refusal;
        amm_time until;
    } refused[REFUSED]; /* the last of each slot */
    int64_t id;         /* of the last row */
    uint8_t hash[AUDIT_HASH];
    struct manager_timer say;
};

/* What goes back with a unit. */
struct end {
    int64_t id;
    uint8_t hash[AUDIT_HASH];
};

struct audit *audit_new(struct amm_store *store, char *error, size_t room)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (audit == NULL) {
        snprintf(error, room, "out of memory");
        return NULL;
    }
    struct amm_rows *rows = amm_store_query(store, AMM_SQL_AUDIT_LAST, AMM_WITHOUT);
    if (amm_rows_next(rows)) {
        struct amm_view hash = amm_rows_view(rows, 1);
        audit->id = amm_rows_number(rows, 0);
        memcpy(audit->hash, hash.data, hash.len < AUDIT_HASH ? hash.len : AUDIT_HASH);
    }
    if (amm_rows_end(rows) != AMM_STORE_OK) {
        snprintf(error, room, "cannot read the audit log: %s", amm_store_error(store));
        free(audit);
        return NULL;
    }
    return audit;
}

struct audit *audit_free(struct audit *audit)
{
    free(audit);
    return NULL;
}

void audit_end(const struct audit *audit, int64_t *id, uint8_t hash[AUDIT_HASH])
{
    *id = audit->id;
    memcpy(hash, audit->hash, AUDIT_HASH);
}

/* Kept elsewhere with the log, it shows a chain that was cut short. */
static void say(struct manager *m, struct manager_timer *timer)
{
    char hash[2 * AUDIT_HASH + 1];
    amm_hex(hash, amm_view(m->audit->hash, AUDIT_HASH));
    amm_log(AMM_LOG_INFO, "audit", amm_field_number("entries", m->audit->id),
            amm_field_text("hash", hash));
    manager_timer_set(m, timer, amm_time_after(m->now.mono, SAY_EVERY));
}

void audit_start(struct manager *m)
{
    m->audit->say.fire = say;
    manager_timer_set(m, &m->audit->say, m->now.mono);
}

static void go_back(struct manager *m, void *data)
{
    const struct end *end = data;
    m->audit->id = end->id;
    memcpy(m->audit->hash, end->hash, AUDIT_HASH);
}

/* Text that a terminal or a reader line by line takes for what it is. */
static void clean(char *out, size_t room, const char *text)
{
    size_t len = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0' && len + 1 < room;
         at++) {
        out[len++] = *at < ' ' || *at == 0x7f ? '_' : (char)*at;
    }
    out[amm_text_part(out, len)] = '\0'; /* cut here, or by who wrote the text */
}

bool audit_add(struct manager *m, const struct audit_entry *entry)
{
    struct audit *audit = m->audit;
    char actor[200], remote[80], action[200], object[200], result[64], detail[DETAIL_MAX + 1];
    clean(actor, sizeof actor, entry->actor);
    clean(remote, sizeof remote, entry->remote);
    clean(action, sizeof action, entry->action);
    clean(object, sizeof object, entry->object);
    clean(result, sizeof result, entry->result);
    clean(detail, sizeof detail, entry->detail);
    struct audit_row row = {.id = audit->id + 1,
                            .at = m->now.wall,
                            .tenant = entry->tenant,
                            .text = {amm_view_str(actor), amm_view_str(remote),
                                     amm_view_str(action), amm_view_str(object),
                                     amm_view_str(result), amm_view_str(detail)}};
    uint8_t hash[AUDIT_HASH];
    if (!audit_row_hash(audit->hash, &row, hash)) {
        return false;
    }
    struct end before = {.id = audit->id};
    memcpy(before.hash, audit->hash, AUDIT_HASH);
    manager_undo(m, go_back, &before, sizeof before);
    if (amm_store_run(m->store, AMM_SQL_AUDIT_ADD,
                      AMM_WITH(amm_number(row.id), amm_number(row.at), amm_number(row.tenant),
                               amm_text(actor), amm_text(remote), amm_text(action),
                               amm_text(object), amm_text(result), amm_text(detail),
                               amm_blob(hash, sizeof hash))) != AMM_STORE_OK) {
        return false;
    }
    audit->id = row.id;
    memcpy(audit->hash, hash, sizeof hash);
    return true;
}

bool audit_is_repeated(struct manager *m, const struct audit_refusal *refusal)
{
    uint64_t hash = ((uint64_t)refusal->user * 31 + (uint64_t)refusal->credential) * 31 +
                    (uintptr_t)refusal->route / 64;
    struct audit *audit = m->audit;
    size_t i = hash % REFUSED;
    const struct audit_refusal *last = &audit->refused[i].refusal;
    if (last->user == refusal->user && last->credential == refusal->credential &&
        last->route == refusal->route && m->now.mono < audit->refused[i].until) {
        return true;
    }
    audit->refused[i].refusal = *refusal;
    audit->refused[i].until = amm_time_after(m->now.mono, 60 * AMM_SECOND);
    return false;
}
