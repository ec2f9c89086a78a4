/* The audit log: who did what, only ever added to.
 *
 * Each row has the SHA-256 of the row before and of its own members, so that a change, a removal or
 * another order of rows shows (audit_verify). Removing the newest rows shows only to who has kept a
 * later hash: it stands in each backup and, at each start and once a day, in the log. Fleet thread,
 * inside a unit. */
#pragma once

#include "manager/manager.h"

struct audit_entry {
    int64_t tenant;     /* 0: the server's */
    const char *actor;  /* "anna@tenant", "root@local", "gateway truck-7", "server" */
    const char *remote; /* address in words; "" none */
    const char *action; /* "POST /api/v1/users", "gateway revoked" */
    const char *object; /* in words */
    const char *result; /* "ok", or the stable name of the refusal */
    const char *detail; /* free text; at most 1000 bytes are kept */
};

/* False if the store refused: then the unit must fail. */
bool audit_add(struct manager *m, const struct audit_entry *entry);

/* Who was refused what (route). True if the same was asked in the minute before. */
struct audit_refusal {
    int64_t user, credential;
    const void *route;
};
bool audit_is_repeated(struct manager *m, const struct audit_refusal *refusal);
