/* The SQLite backend: one connection. */
#pragma once

#include "backend.h"

#include <sqlite3.h>

enum { SQLITE_PATH = 1024, SQLITE_APPLICATION = 0x414d4d66 /* "AMMf" in the file's head */ };

struct sqlite_store {
    struct amm_store store; /* first */
    sqlite3 *db;
    int lock; /* descriptor of the lock file; -1: a reader */
    sqlite3_stmt *statements[AMM_STATEMENT_COUNT];
    sqlite3_stmt *controls[STORE_BACK + 1]; /* BEGIN, COMMIT, ROLLBACK */
};

extern const struct backend sqlite_backend;

enum amm_store_result sqlite_result(int code);

/* One statement without parameters; false with words. */
bool sqlite_do(sqlite3 *db, const char *sql, char error[AMM_STORE_ERROR]);

/* The first column of the first row; `missing` if there is none. */
int64_t sqlite_ask(sqlite3 *db, const char *sql, int64_t missing);

/* Opens with what every connection has: deadlines, foreign keys, no trust in the file. */
sqlite3 *sqlite_connect(const char *path, int flags, char error[AMM_STORE_ERROR]);

/* A file beside the database; false if the name is too long. */
bool sqlite_path(char out[SQLITE_PATH], const char *database, const char *ending);

/* Takes the lock that a database's one owner holds; -1 with words. */
int sqlite_lock(const char *database, char error[AMM_STORE_ERROR]);

/* Writes what a full checkpoint needs into the database, so that no -wal file is left. */
bool sqlite_settle(const char *database, char error[AMM_STORE_ERROR]);

/* Brings the tables to the version of this program. */
struct sqlite_migration {
    const char *const *steps; /* ended by NULL */
};
bool sqlite_migrate(sqlite3 *db, const struct sqlite_migration *migrations, unsigned n,
                    char error[AMM_STORE_ERROR]);
extern const struct sqlite_migration sqlite_migrations[];
extern const unsigned sqlite_n_migrations;
