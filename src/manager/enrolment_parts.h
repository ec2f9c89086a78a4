/* What the files of the enrolment share. */
#pragma once

#include "domain/token.h"
#include "fleet_module.h"
#include "manager/cad_link.h"
#include "manager/enrolment.h"
#include "manager/job.h"
#include "manager/manager.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENROLMENT_DAY = 86400,
    ENROLMENT_SLEEP_DAYS = 400, /* an expired certificate may renew so long (GP-25) */
    ENROLMENT_AGAIN = 3600,     /* seconds in which a lost answer may be asked for again (GP-24) */
    ENROLMENT_RETRY = 5,        /* seconds: amm-cad is away, or the same thing is under way */
    ENROLMENT_WAITING_RETRY = 60, /* seconds: a person has to approve */
    ENROLMENT_SCAN = 5000         /* rows that one answer looks at: others may not be seen */
};

/* Texts that amm-cad gives at each new link; NULL: not known yet. */
struct enrolment_texts {
    char *gateway_cas, *profile_cas, *time_certificate, *server_ca, *tunnel_certificate;
};

struct enrolment_call;

struct enrolment {
    struct manager *m;
    struct cad_link *link;
    struct manager_timer tick;
    struct enrolment_texts texts;
    unsigned texts_missing; /* answers that are still to come */
    uint8_t server_ca_pin[32];
    char *cacerts; /* body of the EST answer; NULL while the texts are not known */
    size_t cacerts_len;
    char tunnel_hash[17], tunnel_server[AMM_NAME_MAX + 1];
    struct enrolment_call *calls;   /* that wait for amm-cad */
    struct enrolment_issue *issues; /* that are under way */

    /* the tunnel server's revocation list (enrolment_lists.c) */
    uint64_t list_number;  /* that amm-cad had when the list was asked for; 0: unknown */
    uintptr_t lists_round; /* counts the times it was asked for */
    char *lists;           /* as the parts come */
    size_t lists_len, lists_room;
    bool lists_busy, lists_again, lists_failed;

    /* joining revocations with amm-cad (enrolment_revoke.c) */
    bool revocations_unknown; /* since a restore */
    bool join_failed;         /* a part of the answer could not be saved */

    uint64_t enrolled, renewed, refused, revoked; /* since the start, for metrics */
};

/* Reads whether the database was restored since revocations were last joined. */
bool enrolment_epoch_read(struct manager *m, char *error, size_t room);

/* ---- rows ---- */

struct enrolment_token {
    int64_t id, tenant, group, gateway;
    char note[257], created_by[ACTOR_NAME_MAX], used_by[FLEET_SERIAL_MAX + 1];
    int64_t created_at, expires_at, used_at, revoked_at;
};

enum enrolment_state { ENROLMENT_WAITING, ENROLMENT_APPROVED, ENROLMENT_REFUSED };

struct enrolment_request {
    int64_t id, tenant, group, gateway, token;
    char serial[FLEET_SERIAL_MAX + 1];
    uint8_t key[AMM_P256_KEY], approval[AMM_CAD_APPROVAL];
    enum enrolment_state state;
    char remote[AMM_ADDRESS_TEXT], decided_by[ACTOR_NAME_MAX];
    int64_t created_at, decided_at;
};

struct enrolment_identity {
    int64_t id, tenant, gateway;
    uint8_t kind, serial[AMM_CAD_SERIAL], issuer[32], key_hash[32], approval[AMM_CAD_APPROVAL];
    int64_t token, not_before, not_after, created_at, revoked_at;
};

/* The rows of a statement, one by one: `take` returns false to stop. */
enum amm_store_result
enrolment_tokens(struct manager *m, enum amm_statement statement, const struct amm_value *values,
                 size_t n, bool (*take)(void *context, const struct enrolment_token *token),
                 void *context);
enum amm_store_result
enrolment_requests(struct manager *m, enum amm_statement statement, const struct amm_value *values,
                   size_t n, bool (*take)(void *context, const struct enrolment_request *request),
                   void *context);
enum amm_store_result enrolment_identities(
    struct manager *m, enum amm_statement statement, const struct amm_value *values, size_t n,
    bool (*take)(void *context, const struct enrolment_identity *identity), void *context);

/* One row; NONE: there is none. */
enum amm_store_result enrolment_token_one(struct manager *m, enum amm_statement statement,
                                          struct amm_value value, struct enrolment_token *out);
enum amm_store_result enrolment_request_one(struct manager *m, enum amm_statement statement,
                                            struct amm_value value, struct enrolment_request *out);

/* ---- asking amm-cad for a job ---- */

/* Defers the job; when amm-cad has answered, `then` runs in a unit of the job's own. `answer` NULL:
 * amm-cad is away. `context` belongs to `then`; when the job's actor has lost his rights meanwhile
 * it is not called, and `drop` (may be NULL) is, later. The request leaves when the unit is
 * durable. */
typedef void (*enrolment_then)(struct job *job, void *context,
                               const struct amm_cad_message *answer);
void enrolment_ask(struct job *job, const struct amm_cad_message *request, enrolment_then then,
                   void (*drop)(struct manager *m, void *context,
                                const struct amm_cad_message *answer),
                   void *context);

/* Answers 503 with Retry-After: amm-cad is away, or what it has said. */
void enrolment_unavailable(struct job *job, const struct amm_cad_message *answer);

/* Drops what was answered before then and no job has taken; and, when the manager stops, all. */
void enrolment_calls_sweep(struct manager *m, amm_time before);
void enrolment_calls_end(struct manager *m);

/* ---- issuing (enrolment_issue.c) ---- */

/* What is to be issued, and what the answer becomes. */
struct enrolment_issue {
    int64_t request; /* row of enrolment_request; 0: none (connection files) */
    int64_t tenant, gateway, token;
    uint8_t kind, approval[AMM_CAD_APPROVAL], key[AMM_P256_KEY], renews[AMM_CAD_SERIAL];
    uint16_t days;
    char serial[FLEET_SERIAL_MAX + 1];    /* of the gateway, enrolments */
    struct enrolment_issue *next, **back; /* of those that are under way */
    void *more;                           /* of `issued` */
    /* In a unit, with the identity written: answers the job. */
    void (*issued)(struct job *job, struct enrolment_issue *issue, struct fleet_gateway *gateway,
                   const struct amm_cad_issued *certificate);
    void (*free_more)(void *more);
};

/* True if a certificate is being issued with this token, or for this gateway: the same thing twice
 * at a time would be two certificates. The caller answers 503. */
bool enrolment_is_issuing(const struct manager *m, int64_t token, int64_t gateway);

/* The tunnel name as the common name of a certificate; false if it is too long for one. */
bool enrolment_certificate_name(const struct fleet_gateway *gateway, char out[AMM_NAME_MAX + 1]);

/* Takes over `issue` (calloc'd). Asks amm-cad, writes the identity, uses up the token. */
void enrolment_issue(struct job *job, struct enrolment_issue *issue);

/* A certificate that amm-cad has issued and nobody will own: revoked, in a unit of its own. */
void enrolment_disown(struct manager *m, const uint8_t serial[AMM_CAD_SERIAL], uint8_t kind);

/* ---- revoking (enrolment_revoke.c) ---- */

/* Notes that amm-cad is to be told, in this unit; it is told when that is durable. */
bool enrolment_revocation_due(struct manager *m, const uint8_t serial[AMM_CAD_SERIAL], uint8_t kind,
                              struct fleet_error *error);

/* Tells amm-cad what it has not confirmed; twice does no harm. False: the store cannot be read. */
bool enrolment_revocations_tell(struct manager *m);

/* A new link stands: tell what is due, learn what the store does not know. */
void enrolment_revocations_join(struct manager *m);

/* ---- the tunnel server's list (enrolment_lists.c) ---- */

void enrolment_lists_fetch(struct manager *m);
bool enrolment_lists_prepare(struct manager *m, char *error, size_t room);

/* ---- tokens (enrolment_tokens.c) ---- */

/* A new token for the gateway (or, with `gateway` 0, for one in the group); the row is written. */
struct enrolment_token_new {
    int64_t tenant, group, gateway, expires_at;
    const char *note, *created_by;
};
bool enrolment_token_make(struct manager *m, const struct enrolment_token_new *what, int64_t *id,
                          char text[AMM_TOKEN_TEXT], struct fleet_error *error);
