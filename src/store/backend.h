/* What a backend gives to store.c: the database without checks and without transaction depth. */
#pragma once

#include "store/store.h"

struct statement_text {
    const char *name, *parameters, *columns, *sql;
};
extern const struct statement_text store_statements[AMM_STATEMENT_COUNT];

enum store_step { STORE_STEP_ROW, STORE_STEP_END, STORE_STEP_FAILED };

enum store_control {
    STORE_BEGIN,
    STORE_COMMIT,
    STORE_ROLLBACK,
    STORE_SAVEPOINT,
    STORE_RELEASE,
    STORE_BACK
};

struct backend {
    void (*close)(struct amm_store *store);

    /* `depth` numbers savepoints from 1. */
    enum amm_store_result (*control)(struct amm_store *store, enum store_control what,
                                     unsigned depth);
    bool (*in_transaction)(const struct amm_store *store);

    /* Binds and makes ready. The bytes of `values` stay until `finish`. */
    enum amm_store_result (*start)(struct amm_store *store, enum amm_statement statement,
                                   const struct amm_value *values, size_t n);
    enum store_step (*step)(struct amm_store *store, enum amm_statement statement,
                            enum amm_store_result *failure);
    void (*finish)(struct amm_store *store, enum amm_statement statement);
    int64_t (*changes)(const struct amm_store *store);

    bool (*is_null)(const struct amm_store *store, enum amm_statement statement, unsigned column);
    int64_t (*number)(const struct amm_store *store, enum amm_statement statement, unsigned column);
    struct amm_view (*view)(const struct amm_store *store, enum amm_statement statement,
                            unsigned column);
};

/* One for each statement: a statement has its rows open once. */
struct amm_rows {
    struct amm_store *store;
    enum amm_statement statement;
    enum amm_store_result result;
    bool is_open, has_row;
};

/* The first member of what a backend allocates. */
struct amm_store {
    const struct backend *backend;
    unsigned depth; /* savepoints that are open */
    bool is_new;
    enum amm_store_result failure; /* since begin; set by the backend, not for conflicts */
    char error[AMM_STORE_ERROR];
    struct amm_rows rows[AMM_STATEMENT_COUNT];
    struct amm_rows refused; /* for a query of a statement whose rows are still open */
};

void store_init(struct amm_store *store, const struct backend *backend);
