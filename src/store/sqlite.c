/* Statements and transactions on one SQLite connection. */
#include "sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct sqlite_store *self(struct amm_store *store)
{
    return (struct sqlite_store *)store;
}

static const struct sqlite_store *self_const(const struct amm_store *store)
{
    return (const struct sqlite_store *)store;
}

enum amm_store_result sqlite_result(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return AMM_STORE_OK;
    case SQLITE_CONSTRAINT:
        return AMM_STORE_CONFLICT;
    case SQLITE_FULL:
        return AMM_STORE_FULL;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return AMM_STORE_READ_ONLY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return AMM_STORE_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return AMM_STORE_CORRUPT;
    default:
        return AMM_STORE_FAILED;
    }
}

/* Turns what SQLite said into a result with words. Whatever is not the statement's own fault ends
 * the transaction here: SQLite does so for some of these failures only, and callers need one rule.
 */
static enum amm_store_result fail(struct sqlite_store *s, int code, const char *what)
{
    enum amm_store_result result = sqlite_result(code);
    snprintf(s->store.error, sizeof s->store.error, "%s: %s (SQLite %d)", what,
             sqlite3_errmsg(s->db), sqlite3_extended_errcode(s->db));
    if (result != AMM_STORE_CONFLICT) {
        s->store.failure = result;
    }
    if (result != AMM_STORE_CONFLICT && !sqlite3_get_autocommit(s->db)) {
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        s->store.depth = 0;
    }
    return result;
}

static sqlite3_stmt *prepare(struct sqlite_store *s, sqlite3_stmt **slot, const char *sql,
                             int *code)
{
    *code = SQLITE_OK;
    if (*slot == NULL) {
        *code = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
    }
    return *slot;
}

static enum amm_store_result run_once(struct sqlite_store *s, sqlite3_stmt *statement,
                                      const char *what)
{
    int code = sqlite3_step(statement);
    enum amm_store_result result =
        code == SQLITE_DONE || code == SQLITE_ROW ? AMM_STORE_OK : fail(s, code, what);
    sqlite3_reset(statement);
    return result;
}

static enum amm_store_result control(struct amm_store *store, enum store_control what,
                                     unsigned depth)
{
    static const char *const words[] = {
        [STORE_BEGIN] = "BEGIN",       [STORE_COMMIT] = "COMMIT",
        [STORE_ROLLBACK] = "ROLLBACK", [STORE_SAVEPOINT] = "SAVEPOINT s",
        [STORE_RELEASE] = "RELEASE s", [STORE_BACK] = "ROLLBACK TO s",
    };
    struct sqlite_store *s = self(store);
    (void)depth; /* savepoints of one name nest in SQLite: the newest is meant */
    int code;
    sqlite3_stmt *statement = prepare(s, &s->controls[what], words[what], &code);
    if (statement == NULL) {
        return fail(s, code, words[what]);
    }
    enum amm_store_result result = run_once(s, statement, words[what]);
    if (what == STORE_BACK && result == AMM_STORE_OK) {
        return control(store, STORE_RELEASE, depth); /* ROLLBACK TO leaves it open */
    }
    return result;
}

static bool in_transaction(const struct amm_store *store)
{
    return !sqlite3_get_autocommit(self_const(store)->db);
}

static int bind(sqlite3_stmt *statement, int at, const struct amm_value *value)
{
    const void *bytes = value->bytes.len > 0 ? (const void *)value->bytes.data : "";
    switch (value->kind) {
    case AMM_VALUE_NULL:
        return sqlite3_bind_null(statement, at);
    case AMM_VALUE_NUMBER:
        return sqlite3_bind_int64(statement, at, value->number);
    case AMM_VALUE_TEXT:
        return sqlite3_bind_text64(statement, at, bytes, value->bytes.len, SQLITE_TRANSIENT,
                                   SQLITE_UTF8);
    case AMM_VALUE_BYTES:
        return sqlite3_bind_blob64(statement, at, bytes, value->bytes.len, SQLITE_TRANSIENT);
    }
    return SQLITE_MISUSE;
}

static enum amm_store_result start(struct amm_store *store, enum amm_statement number,
                                   const struct amm_value *values, size_t n)
{
    struct sqlite_store *s = self(store);
    const struct statement_text *text = &store_statements[number];
    int code;
    sqlite3_stmt *statement = prepare(s, &s->statements[number], text->sql, &code);
    if (statement == NULL) {
        return fail(s, code, text->name);
    }
    if (!sqlite3_stmt_readonly(statement) && sqlite3_get_autocommit(s->db)) {
        snprintf(store->error, sizeof store->error, "%s: writes outside a transaction", text->name);
        return AMM_STORE_FAILED;
    }
    for (size_t i = 0; i < n && code == SQLITE_OK; i++) {
        code = bind(statement, (int)i + 1, &values[i]);
    }
    return code == SQLITE_OK ? AMM_STORE_OK : fail(s, code, text->name);
}

static enum store_step step(struct amm_store *store, enum amm_statement number,
                            enum amm_store_result *failure)
{
    struct sqlite_store *s = self(store);
    int code = sqlite3_step(s->statements[number]);
    if (code == SQLITE_ROW) {
        return STORE_STEP_ROW;
    }
    if (code == SQLITE_DONE) {
        return STORE_STEP_END;
    }
    *failure = fail(s, code, store_statements[number].name);
    return STORE_STEP_FAILED;
}

static void finish(struct amm_store *store, enum amm_statement number)
{
    sqlite3_stmt *statement = self(store)->statements[number];
    if (statement != NULL) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    }
}

static int64_t changes(const struct amm_store *store)
{
    return sqlite3_changes64(self_const(store)->db);
}

static bool is_null(const struct amm_store *store, enum amm_statement number, unsigned column)
{
    return sqlite3_column_type(self_const(store)->statements[number], (int)column) == SQLITE_NULL;
}

static int64_t get_number(const struct amm_store *store, enum amm_statement number, unsigned column)
{
    return sqlite3_column_int64(self_const(store)->statements[number], (int)column);
}

static struct amm_view get_view(const struct amm_store *store, enum amm_statement number,
                                unsigned column)
{
    sqlite3_stmt *statement = self_const(store)->statements[number];
    const void *data = sqlite3_column_blob(statement, (int)column);
    int len = sqlite3_column_bytes(statement, (int)column);
    return amm_view(data, data != NULL ? (size_t)len : 0);
}

static void close_store(struct amm_store *store)
{
    struct sqlite_store *s = self(store);
    for (size_t i = 0; i < AMM_STATEMENT_COUNT; i++) {
        sqlite3_finalize(s->statements[i]);
    }
    for (size_t i = 0; i < sizeof s->controls / sizeof s->controls[0]; i++) {
        sqlite3_finalize(s->controls[i]);
    }
    sqlite3_close(s->db);
    if (s->lock >= 0) {
        close(s->lock);
    }
    free(s);
}

const struct backend sqlite_backend = {
    .close = close_store,
    .control = control,
    .in_transaction = in_transaction,
    .start = start,
    .step = step,
    .finish = finish,
    .changes = changes,
    .is_null = is_null,
    .number = get_number,
    .view = get_view,
};
