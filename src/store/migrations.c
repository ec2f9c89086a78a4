/* The versions of the tables, and the way from one to the next. */
#include "sqlite.h"

#include <stdio.h>

/* The two words that differ between backends (schema/all.def). */
#define SQL_ID "INTEGER PRIMARY KEY AUTOINCREMENT"
#define SQL_BYTES "BLOB"
#define TABLE(text) text,

static const char *const version_1[] = {
#include "schema/all.def"
    NULL,
};

static const char *const version_2[] = {
#include "schema/version_2.def"
    NULL,
};

/* What stands here has been made somewhere: a change is another version, never one of these. */
const struct sqlite_migration sqlite_migrations[] = {{version_1}, {version_2}};
const unsigned sqlite_n_migrations = sizeof sqlite_migrations / sizeof sqlite_migrations[0];

unsigned amm_store_schema_version(void)
{
    return sqlite_n_migrations;
}

/* One version, whole or not at all. */
static bool migrate_to(sqlite3 *db, unsigned version, const struct sqlite_migration *migration,
                       char error[AMM_STORE_ERROR])
{
    char number[96];
    snprintf(number, sizeof number, "PRAGMA application_id = %d; PRAGMA user_version = %u",
             SQLITE_APPLICATION, version);
    bool ok = sqlite_do(db, "BEGIN IMMEDIATE", error);
    for (const char *const *step = migration->steps; ok && *step != NULL; step++) {
        ok = sqlite_do(db, *step, error);
    }
    ok = ok && sqlite_do(db, number, error) && sqlite_do(db, "COMMIT", error);
    if (!ok) {
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return ok;
}

bool sqlite_migrate(sqlite3 *db, const struct sqlite_migration *migrations, unsigned n,
                    char error[AMM_STORE_ERROR])
{
    int64_t version = sqlite_ask(db, "PRAGMA user_version", -1);
    if (version < 0 || version > (int64_t)n) {
        snprintf(error, AMM_STORE_ERROR,
                 "was made by a newer program (tables of version %lld, this one knows %u): start "
                 "that program, or restore a backup of before",
                 (long long)version, n);
        return false;
    }
    for (unsigned next = (unsigned)version; next < n; next++) {
        if (!migrate_to(db, next + 1, &migrations[next], error)) {
            return false;
        }
    }
    return true;
}
