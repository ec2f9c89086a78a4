/* The store: one database behind one interface, with named statements (store/statements.h).
 *
 * A store has one owner thread and is the only writer of its database; a second program that opens
 * it is refused. What amm_store_commit has said OK to survives a power cut (SQLite: WAL,
 * synchronous=FULL). Statements run inside a transaction: amm_store_begin, any number of
 * savepoints, then amm_store_commit or amm_store_rollback. Reading needs none.
 *
 * When the disk is full or read-only, writing statements say so, the transaction is over (rolled
 * back), and reading goes on; the next transaction tries again, so that nothing has to be done when
 * there is space again. */
#pragma once

#include "base/bytes.h"
#include "store/statements.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_store;
struct amm_rows;

enum { AMM_STORE_ERROR = 512 };

enum amm_store_result {
    AMM_STORE_OK,
    AMM_STORE_NONE,     /* amm_store_number, amm_store_insert: no row */
    AMM_STORE_CONFLICT, /* a UNIQUE, NOT NULL, CHECK or REFERENCES clause says no; the statement did
                           nothing, the transaction goes on */
    AMM_STORE_FULL,     /* no space on the disk */
    AMM_STORE_READ_ONLY, /* the disk or the file cannot be written */
    AMM_STORE_BUSY,      /* another program holds the database */
    AMM_STORE_CORRUPT,   /* the file is damaged: restore a backup */
    AMM_STORE_FAILED,    /* anything else; amm_store_error has the words */
};

/* "full": stable name, for metrics and logs. */
const char *amm_store_result_name(enum amm_store_result result);

/* ---- opening ---- */

struct amm_store_settings {
    const char *database; /* SQLite: path of the file; its folder must exist */
    int64_t now;          /* wall clock, for the row of a migration */
};

/* Opens the database, makes it if there is none, and brings its tables to the version of this
 * program, each step in a transaction of its own. NULL with what is wrong and what to do in
 * `error`: damaged, made by a newer program, served by another process, not writable, no space. */
struct amm_store *amm_store_open(const struct amm_store_settings *settings,
                                 char error[AMM_STORE_ERROR]);
struct amm_store *amm_store_free(struct amm_store *store); /* rolls back; NULL is fine */

/* A second connection that only reads, for a thread of its own (a long list, verifying): it sees
 * what was committed when its first statement ran, and again after amm_store_rollback. */
struct amm_store *amm_store_reader(const struct amm_store_settings *settings,
                                   char error[AMM_STORE_ERROR]);

/* The version of the tables that this program makes. */
unsigned amm_store_schema_version(void);

/* True if amm_store_open made the database. */
bool amm_store_is_new(const struct amm_store *store);

/* What the last failure was, in words. */
const char *amm_store_error(const struct amm_store *store);

/* ---- transactions ---- */

enum amm_store_result amm_store_begin(struct amm_store *store);
enum amm_store_result amm_store_commit(struct amm_store *store);
void amm_store_rollback(struct amm_store *store); /* without a transaction: nothing */

/* False after begin, too, once a failure has rolled the transaction back: all of its work is gone,
 * and begin may be called again. */
bool amm_store_in_transaction(const struct amm_store *store);

/* What ended the last transaction that did not end by itself; OK if none did since begin. */
enum amm_store_result amm_store_failure(const struct amm_store *store);

/* Savepoints nest. `back` undoes what was written since the matching `savepoint`; `release` keeps
 * it. Each ends the savepoint. */
enum amm_store_result amm_store_savepoint(struct amm_store *store);
enum amm_store_result amm_store_release(struct amm_store *store);
void amm_store_back(struct amm_store *store);

/* ---- statements ---- */

enum amm_value_kind { AMM_VALUE_NULL, AMM_VALUE_NUMBER, AMM_VALUE_TEXT, AMM_VALUE_BYTES };

/* A parameter; text and bytes are borrowed for the call. */
struct amm_value {
    enum amm_value_kind kind;
    int64_t number;
    struct amm_view bytes;
};

static inline struct amm_value amm_null(void)
{
    return (struct amm_value){.kind = AMM_VALUE_NULL};
}

static inline struct amm_value amm_number(int64_t number)
{
    return (struct amm_value){.kind = AMM_VALUE_NUMBER, .number = number};
}

static inline struct amm_value amm_text(const char *text)
{
    return (struct amm_value){.kind = AMM_VALUE_TEXT, .bytes = amm_view_str(text)};
}

static inline struct amm_value amm_text_view(struct amm_view text)
{
    return (struct amm_value){.kind = AMM_VALUE_TEXT, .bytes = text};
}

static inline struct amm_value amm_blob(const void *data, size_t len)
{
    return (struct amm_value){.kind = AMM_VALUE_BYTES, .bytes = amm_view(data, len)};
}

/* The parameters of a call: amm_store_run(store, AMM_SQL_X, AMM_WITH(amm_number(1),
 * amm_text("a"))), or AMM_WITHOUT. */
#define AMM_WITH(...)                                                                              \
    (const struct amm_value[]){__VA_ARGS__},                                                       \
        sizeof((const struct amm_value[]){__VA_ARGS__}) / sizeof(struct amm_value)
#define AMM_WITHOUT NULL, 0

/* Runs a statement whose rows, if any, nobody wants. Writing needs a transaction. */
enum amm_store_result amm_store_run(struct amm_store *store, enum amm_statement statement,
                                    const struct amm_value *values, size_t n);

/* How many rows the last amm_store_run changed. */
int64_t amm_store_changes(const struct amm_store *store);

/* The first column (a number) of the one row that is wanted: RETURNING id, COUNT. NONE leaves *out
 * as it is. */
enum amm_store_result amm_store_number(struct amm_store *store, enum amm_statement statement,
                                       const struct amm_value *values, size_t n, int64_t *out);

/* Rows one after another. Never NULL; amm_rows_end must be called, and says whether all came. A
 * statement cannot be asked again while its rows are open. Views are valid until the next call with
 * these rows. */
struct amm_rows *amm_store_query(struct amm_store *store, enum amm_statement statement,
                                 const struct amm_value *values, size_t n);
bool amm_rows_next(struct amm_rows *rows);
bool amm_rows_is_null(const struct amm_rows *rows, unsigned column);
int64_t amm_rows_number(const struct amm_rows *rows, unsigned column); /* NULL: 0 */
/* NULL: empty. `data` is never NULL: an empty text goes to functions that take NULL for an error.
 */
struct amm_view amm_rows_view(const struct amm_rows *rows, unsigned column);

/* Copies text into out[room] with a NUL, cut to fit at the start of a character. */
void amm_rows_text(const struct amm_rows *rows, unsigned column, char *out, size_t room);
enum amm_store_result amm_rows_end(struct amm_rows *rows);

/* ---- backup and restore ---- */

/* Writes a copy of what is committed, as one file, while the owner goes on; any thread, blocks.
 * `to` is replaced in one step and survives a power cut; mode 0600. */
bool amm_store_backup(const struct amm_store_settings *settings, const char *to,
                      char error[AMM_STORE_ERROR]);

/* Moves what the log beside the database holds into it, as far as nobody is reading; any thread,
 * blocks. Without it the log grows until the owner's commit does the same. */
bool amm_store_checkpoint(const struct amm_store_settings *settings, char error[AMM_STORE_ERROR]);

/* Puts a backup in the database's place; no program may have it open. Checks the copy first; what
 * was there is kept beside it as `<database>.before-restore`. What the backup knew of logins, API
 * tokens, enrolment tokens and operations that had not ended does not come back to life, and the
 * epoch (AMM_META_EPOCH) goes up: who keeps revocations elsewhere reads them again. */
bool amm_store_restore(const struct amm_store_settings *settings, const char *from,
                       char error[AMM_STORE_ERROR]);

/* Rows of the table `meta`, by AMM_SQL_META_GET and AMM_SQL_META_SET; numbers. */
#define AMM_META_EPOCH "epoch"                 /* restores of this database */
#define AMM_META_REVOKED_EPOCH "revoked-epoch" /* in which revocations were read */
