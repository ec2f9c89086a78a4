/* The chain of the audit log's hashes. No state: any thread. */
#pragma once

#include "base/bytes.h"
#include "store/store.h"

struct audit;
struct manager;

enum { AUDIT_HASH = 32, AUDIT_TEXTS = 6 };

struct audit_row {
    int64_t id, at, tenant;
    struct amm_view text[AUDIT_TEXTS]; /* actor, remote, action, object, result, detail */
};

/* SHA-256 of the hash before, the numbers and, each with its length, the texts. False: OpenSSL
 * fails. */
bool audit_row_hash(const uint8_t before[AUDIT_HASH], const struct audit_row *row,
                    uint8_t out[AUDIT_HASH]);

/* Reads a row of AUDIT_FROM or AUDIT_BEFORE; `stored` is its hash. */
void audit_row_read(const struct amm_rows *rows, struct audit_row *out, struct amm_view *stored);

struct audit_check {
    bool is_whole;
    int64_t before; /* id of the last entry that was deleted for its age; 0: none was */
    int64_t rows;
    int64_t broken_at;           /* id of the first row that does not fit; 0: none */
    uint8_t hash[AUDIT_HASH];    /* of the last row that fits */
    char error[AMM_STORE_ERROR]; /* reading failed; "" otherwise */
};

/* Goes through all of it, on a connection of the caller's thread. */
void audit_verify(struct amm_store *store, struct audit_check *out);

/* Notes, inside a unit, that entries up to `id`, whose hash is this, are deleted: where the rest of
 * the chain begins. False: the store refused. */
bool audit_start_note(struct amm_store *store, int64_t id, const uint8_t hash[AUDIT_HASH]);

struct audit *audit_new(struct amm_store *store, char *error, size_t room);
struct audit *audit_free(struct audit *audit);
void audit_start(struct manager *m); /* sets the timer of the log line */
void audit_end(const struct audit *audit, int64_t *id, uint8_t hash[AUDIT_HASH]);
