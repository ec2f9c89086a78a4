/* What is the same for every backend: the table of statements, checks of parameters, transaction
 * depth. */
#include "backend.h"

#include <ctype.h>
#include <stdio.h>

const struct statement_text store_statements[AMM_STATEMENT_COUNT] = {
#define SQL(name, parameters, columns, text) {#name, parameters, columns, text},
#include "store/statements/all.def"
#undef SQL
};

static const char *const result_names[] = {
    [AMM_STORE_OK] = "ok",
    [AMM_STORE_NONE] = "none",
    [AMM_STORE_CONFLICT] = "conflict",
    [AMM_STORE_FULL] = "full",
    [AMM_STORE_READ_ONLY] = "read-only",
    [AMM_STORE_BUSY] = "busy",
    [AMM_STORE_CORRUPT] = "corrupt",
    [AMM_STORE_FAILED] = "failed",
};

const char *amm_store_result_name(enum amm_store_result result)
{
    return result_names[result];
}

void store_init(struct amm_store *store, const struct backend *backend)
{
    store->backend = backend;
    for (unsigned i = 0; i < AMM_STATEMENT_COUNT; i++) {
        store->rows[i] = (struct amm_rows){.store = store, .statement = (enum amm_statement)i};
    }
    store->refused = (struct amm_rows){.store = store, .result = AMM_STORE_FAILED};
}

struct amm_store *amm_store_free(struct amm_store *store)
{
    if (store != NULL) {
        amm_store_rollback(store);
        store->backend->close(store);
    }
    return NULL;
}

bool amm_store_is_new(const struct amm_store *store)
{
    return store->is_new;
}

const char *amm_store_error(const struct amm_store *store)
{
    return store->error;
}

/* ---- transactions ---- */

bool amm_store_in_transaction(const struct amm_store *store)
{
    return store->backend->in_transaction(store);
}

enum amm_store_result amm_store_failure(const struct amm_store *store)
{
    return store->failure;
}

enum amm_store_result amm_store_begin(struct amm_store *store)
{
    store->depth = 0;
    store->failure = AMM_STORE_OK;
    return store->backend->control(store, STORE_BEGIN, 0);
}

enum amm_store_result amm_store_commit(struct amm_store *store)
{
    if (!amm_store_in_transaction(store)) {
        snprintf(store->error, sizeof store->error, "the transaction was rolled back before");
        return AMM_STORE_FAILED;
    }
    store->depth = 0;
    return store->backend->control(store, STORE_COMMIT, 0);
}

void amm_store_rollback(struct amm_store *store)
{
    store->depth = 0;
    if (amm_store_in_transaction(store)) {
        store->backend->control(store, STORE_ROLLBACK, 0);
    }
}

enum amm_store_result amm_store_savepoint(struct amm_store *store)
{
    if (!amm_store_in_transaction(store)) {
        snprintf(store->error, sizeof store->error, "no transaction for a savepoint");
        return AMM_STORE_FAILED;
    }
    enum amm_store_result result =
        store->backend->control(store, STORE_SAVEPOINT, store->depth + 1);
    store->depth += result == AMM_STORE_OK;
    return result;
}

enum amm_store_result amm_store_release(struct amm_store *store)
{
    if (!amm_store_in_transaction(store) || store->depth == 0) {
        snprintf(store->error, sizeof store->error, "the savepoint was rolled back before");
        return AMM_STORE_FAILED;
    }
    return store->backend->control(store, STORE_RELEASE, store->depth--);
}

void amm_store_back(struct amm_store *store)
{
    if (amm_store_in_transaction(store) && store->depth > 0) {
        store->backend->control(store, STORE_BACK, store->depth--);
    }
}

/* ---- statements ---- */

static bool kind_fits(char kind, const struct amm_value *value)
{
    switch (value->kind) {
    case AMM_VALUE_NULL:
        return isupper((unsigned char)kind);
    case AMM_VALUE_NUMBER:
        return tolower((unsigned char)kind) == 'i';
    case AMM_VALUE_TEXT:
        return tolower((unsigned char)kind) == 't';
    case AMM_VALUE_BYTES:
        return tolower((unsigned char)kind) == 'b';
    }
    return false;
}

/* A call that does not fit its statement is a bug; it is refused, not guessed at. */
static bool check_values(struct amm_store *store, enum amm_statement statement,
                         const struct amm_value *values, size_t n)
{
    const struct statement_text *text = &store_statements[statement];
    if (strlen(text->parameters) != n) {
        snprintf(store->error, sizeof store->error, "%s takes %zu parameters, not %zu", text->name,
                 strlen(text->parameters), n);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!kind_fits(text->parameters[i], &values[i])) {
            snprintf(store->error, sizeof store->error, "%s: parameter $%zu is of another kind",
                     text->name, i + 1);
            return false;
        }
    }
    return true;
}

struct amm_rows *amm_store_query(struct amm_store *store, enum amm_statement statement,
                                 const struct amm_value *values, size_t n)
{
    struct amm_rows *rows = &store->rows[statement];
    if (rows->is_open) {
        snprintf(store->error, sizeof store->error, "%s: its rows are still being read",
                 store_statements[statement].name);
        return &store->refused;
    }
    rows->is_open = true;
    rows->has_row = false;
    rows->result = check_values(store, statement, values, n)
                       ? store->backend->start(store, statement, values, n)
                       : AMM_STORE_FAILED;
    return rows;
}

bool amm_rows_next(struct amm_rows *rows)
{
    if (rows->result != AMM_STORE_OK) {
        return false;
    }
    enum amm_store_result failure = AMM_STORE_FAILED;
    switch (rows->store->backend->step(rows->store, rows->statement, &failure)) {
    case STORE_STEP_ROW:
        rows->has_row = true;
        return true;
    case STORE_STEP_END:
        rows->result = AMM_STORE_NONE; /* no further step */
        break;
    case STORE_STEP_FAILED:
        rows->result = failure;
        break;
    }
    rows->has_row = false;
    return false;
}

enum amm_store_result amm_rows_end(struct amm_rows *rows)
{
    if (rows == &rows->store->refused) {
        return AMM_STORE_FAILED;
    }
    rows->store->backend->finish(rows->store, rows->statement);
    rows->is_open = rows->has_row = false;
    return rows->result == AMM_STORE_NONE ? AMM_STORE_OK : rows->result;
}

static char column_kind(const struct amm_rows *rows, unsigned column)
{
    const char *columns = store_statements[rows->statement].columns;
    return column < strlen(columns) ? (char)tolower((unsigned char)columns[column]) : '\0';
}

bool amm_rows_is_null(const struct amm_rows *rows, unsigned column)
{
    return !rows->has_row || rows->store->backend->is_null(rows->store, rows->statement, column);
}

int64_t amm_rows_number(const struct amm_rows *rows, unsigned column)
{
    if (!rows->has_row || column_kind(rows, column) != 'i') {
        return 0;
    }
    return rows->store->backend->number(rows->store, rows->statement, column);
}

struct amm_view amm_rows_view(const struct amm_rows *rows, unsigned column)
{
    char kind = column_kind(rows, column);
    if (!rows->has_row || (kind != 't' && kind != 'b')) {
        return amm_view("", 0);
    }
    struct amm_view view = rows->store->backend->view(rows->store, rows->statement, column);
    return view.len > 0 ? view : amm_view("", 0);
}

void amm_rows_text(const struct amm_rows *rows, unsigned column, char *out, size_t room)
{
    struct amm_view text = amm_rows_view(rows, column);
    size_t len = text.len < room ? text.len : room - 1;
    while (len < text.len && len > 0 && (text.data[len] & 0xc0) == 0x80) {
        len--;
    }
    if (len > 0) {
        memcpy(out, text.data, len);
    }
    out[len] = '\0';
}

enum amm_store_result amm_store_run(struct amm_store *store, enum amm_statement statement,
                                    const struct amm_value *values, size_t n)
{
    struct amm_rows *rows = amm_store_query(store, statement, values, n);
    while (amm_rows_next(rows)) {
        /* A row of RETURNING that nobody wants. */
    }
    return amm_rows_end(rows);
}

int64_t amm_store_changes(const struct amm_store *store)
{
    return store->backend->changes(store);
}

enum amm_store_result amm_store_number(struct amm_store *store, enum amm_statement statement,
                                       const struct amm_value *values, size_t n, int64_t *out)
{
    struct amm_rows *rows = amm_store_query(store, statement, values, n);
    bool found = false;
    int64_t number = 0;
    while (amm_rows_next(rows)) {
        number = found ? number : amm_rows_number(rows, 0);
        found = true;
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result == AMM_STORE_OK && found) {
        *out = number;
    }
    return result == AMM_STORE_OK && !found ? AMM_STORE_NONE : result;
}
