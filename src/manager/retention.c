#include "manager/retention.h"

#include "io/log.h"
#include "manager/audit.h"
#include "manager/audit_chain.h"
#include "manager/events.h"
#include "store/store.h"

#include <stdio.h>

enum { EVERY = 10, AT_ONCE = 1000 }; /* seconds; rows of one piece */

static struct manager_timer tick;
static struct event_clock event_clock;
static unsigned turn;
static int64_t audit_gone; /* entries deleted since the last note of it */

static bool expire(struct manager *m, enum amm_statement statement, uint32_t keep)
{
    return keep == 0 || amm_store_run(m->store, statement,
                                      AMM_WITH(amm_number(m->now.wall - keep),
                                               amm_number(AT_ONCE))) == AMM_STORE_OK;
}

/* ---- the audit log ---- */

/* The oldest ones that have had their time, never the last of all. 0: none; -1: the store cannot be
 * read. */
static int64_t find_audit_end(struct manager *m, int64_t before, uint8_t hash[AUDIT_HASH])
{
    uint8_t ignored[AUDIT_HASH];
    int64_t last, end = 0;
    audit_end(m->audit, &last, ignored);
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_AUDIT_OLDEST, AMM_WITH(amm_number(AT_ONCE)));
    while (amm_rows_next(rows)) {
        struct amm_view stored = amm_rows_view(rows, 2);
        if (amm_rows_number(rows, 1) >= before || amm_rows_number(rows, 0) == last ||
            stored.len != AUDIT_HASH) {
            break;
        }
        end = amm_rows_number(rows, 0);
        memcpy(hash, stored.data, AUDIT_HASH);
    }
    return amm_rows_end(rows) == AMM_STORE_OK ? end : -1;
}

/* Says so in the log itself, once the old ones are gone. */
static bool note_audit(struct manager *m)
{
    char detail[120];
    if (audit_gone == 0) {
        return true;
    }
    snprintf(detail, sizeof detail, "%lld entries deleted for their age", (long long)audit_gone);
    struct audit_entry entry = {0, "server", "", "retention", "audit log", "ok", detail};
    audit_gone = 0;
    return audit_add(m, &entry);
}

bool retention_audit(struct manager *m)
{
    uint32_t keep = m->config->keep_audit;
    uint8_t hash[AUDIT_HASH];
    int64_t end = keep != 0 ? find_audit_end(m, m->now.wall - keep, hash) : 0;
    if (end <= 0) {
        return end == 0 && note_audit(m);
    }
    if (!audit_start_note(m->store, end, hash) ||
        amm_store_run(m->store, AMM_SQL_AUDIT_EXPIRE, AMM_WITH(amm_number(end))) != AMM_STORE_OK) {
        return false;
    }
    audit_gone += amm_store_changes(m->store);
    return true;
}

/* ---- the module ---- */

static void fire(struct manager *m, struct manager_timer *timer)
{
    const struct manager_config *config = m->config;
    bool ok = true;
    manager_timer_set(m, timer, amm_time_after(m->now.mono, EVERY * AMM_SECOND));
    if (manager_store_state(m) != AMM_STORE_OK || !event_clock_is_steady(&event_clock, m->now)) {
        return;
    }
    switch (turn++ % 4) {
    case 0:
        ok = expire(m, AMM_SQL_HISTORY_EXPIRE, config->keep_parameters);
        break;
    case 1:
        ok = expire(m, AMM_SQL_STAT_HISTORY_EXPIRE, config->keep_stats);
        break;
    case 2:
        ok = expire(m, AMM_SQL_IDENTITY_EXPIRE, config->keep_identities);
        break;
    default:
        ok = retention_audit(m);
    }
    if (!ok) {
        manager_fail(m);
    }
}

static bool start(struct manager *m, char *error, size_t room)
{
    (void)error;
    (void)room;
    event_clock = (struct event_clock){0};
    turn = 0;
    audit_gone = 0;
    tick = (struct manager_timer){.fire = fire};
    manager_timer_set(m, &tick, amm_time_after(m->now.mono, EVERY * AMM_SECOND));
    return true;
}

const struct manager_module retention_module = {.name = "retention", .start = start};
