/* Opening: the lock of the one owner, checks, settings of the connection, all statements. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { BUSY_MS = 5000 };

bool sqlite_do(sqlite3 *db, const char *sql, char error[AMM_STORE_ERROR])
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) {
        return true;
    }
    snprintf(error, AMM_STORE_ERROR, "%s (SQLite %d)", sqlite3_errmsg(db),
             sqlite3_extended_errcode(db));
    return false;
}

int64_t sqlite_ask(sqlite3 *db, const char *sql, int64_t missing)
{
    sqlite3_stmt *statement = NULL;
    int64_t answer = missing;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        answer = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return answer;
}

sqlite3 *sqlite_connect(const char *path, int flags, char error[AMM_STORE_ERROR])
{
    sqlite3 *db = NULL;
    int code =
        sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK) {
        snprintf(error, AMM_STORE_ERROR, "%s", db != NULL ? sqlite3_errmsg(db) : "out of memory");
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (!sqlite_do(db,
                   "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; "
                   "PRAGMA cell_size_check = ON",
                   error)) {
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

bool sqlite_path(char out[SQLITE_PATH], const char *database, const char *ending)
{
    struct amm_writer w = amm_writer(out, SQLITE_PATH);
    amm_write_str(&w, database);
    amm_write_str(&w, ending);
    amm_write_u8(&w, 0);
    if (w.failed) {
        out[0] = '\0';
    }
    return !w.failed;
}

int sqlite_lock(const char *database, char error[AMM_STORE_ERROR])
{
    char path[SQLITE_PATH];
    if (!sqlite_path(path, database, ".lock")) {
        snprintf(error, AMM_STORE_ERROR, "the path of the database is too long");
        return -1;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        snprintf(error, AMM_STORE_ERROR, "%.300s: %s", path, strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(error, AMM_STORE_ERROR, "%s is in use by another process: stop that one first",
                 database);
        close(fd);
        return -1;
    }
    return fd;
}

/* A file that is neither empty nor ours is not touched. */
static bool check_file(sqlite3 *db, bool *is_new, char error[AMM_STORE_ERROR])
{
    int64_t application = sqlite_ask(db, "PRAGMA application_id", -1);
    int64_t tables = sqlite_ask(db, "SELECT COUNT(*) FROM sqlite_master", -1);
    if (application < 0 || tables < 0) {
        snprintf(error, AMM_STORE_ERROR, "%s: restore a backup (ammd --restore FILE)",
                 sqlite3_errmsg(db));
        return false;
    }
    *is_new = tables == 0 && application == 0;
    if (!*is_new && application != SQLITE_APPLICATION) {
        snprintf(error, AMM_STORE_ERROR, "is a database of another program");
        return false;
    }
    if (sqlite3_db_readonly(db, "main") == 1) {
        snprintf(error, AMM_STORE_ERROR,
                 "cannot be written: look at its owner and mode, and "
                 "whether the disk is read-only");
        return false;
    }
    return true;
}

/* quick_check reads every page; what it finds now would be found later by a gateway. */
static bool check_pages(sqlite3 *db, char error[AMM_STORE_ERROR])
{
    sqlite3_stmt *statement = NULL;
    bool ok = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_ROW;
    const char *words = ok ? (const char *)sqlite3_column_text(statement, 0) : sqlite3_errmsg(db);
    ok = ok && words != NULL && strcmp(words, "ok") == 0;
    if (!ok) {
        snprintf(error, AMM_STORE_ERROR,
                 "is damaged (%.200s): restore a backup (ammd --restore "
                 "FILE)",
                 words != NULL ? words : "");
    }
    sqlite3_finalize(statement);
    return ok;
}

static bool check_statement(struct sqlite_store *s, unsigned number, char error[AMM_STORE_ERROR])
{
    const struct statement_text *text = &store_statements[number];
    sqlite3_stmt **slot = &s->statements[number];
    if (sqlite3_prepare_v3(s->db, text->sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL) !=
        SQLITE_OK) {
        snprintf(error, AMM_STORE_ERROR, "does not fit this program (%s: %s)", text->name,
                 sqlite3_errmsg(s->db));
        return false;
    }
    if ((size_t)sqlite3_bind_parameter_count(*slot) != strlen(text->parameters) ||
        (size_t)sqlite3_column_count(*slot) != strlen(text->columns)) {
        snprintf(error, AMM_STORE_ERROR, "%s has %d parameters and %d columns, declared are %s, %s",
                 text->name, sqlite3_bind_parameter_count(*slot), sqlite3_column_count(*slot),
                 text->parameters, text->columns);
        return false;
    }
    return true;
}

static bool set_up(struct sqlite_store *s, char error[AMM_STORE_ERROR])
{
    bool ok =
        check_file(s->db, &s->store.is_new, error) && check_pages(s->db, error) &&
        /* The checkpoint is a worker's (amm_store_checkpoint); this is for when none comes. */
        sqlite_do(s->db,
                  "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                  "PRAGMA wal_autocheckpoint = 20000",
                  error) &&
        sqlite_migrate(s->db, sqlite_migrations, sqlite_n_migrations, error);
    for (unsigned i = 0; ok && i < AMM_STATEMENT_COUNT; i++) {
        ok = check_statement(s, i, error);
    }
    return ok;
}

static struct sqlite_store *allocate(char error[AMM_STORE_ERROR])
{
    struct sqlite_store *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(error, AMM_STORE_ERROR, "out of memory");
        return NULL;
    }
    store_init(&s->store, &sqlite_backend);
    s->lock = -1;
    return s;
}

/* Puts the file's name before what is wrong with it. */
static void name_file(const char *database, char error[AMM_STORE_ERROR])
{
    char words[AMM_STORE_ERROR];
    if (strstr(error, database) == NULL) {
        snprintf(words, sizeof words, "%s", error);
        snprintf(error, AMM_STORE_ERROR, "%.200s: %.300s", database, words);
    }
}

struct amm_store *amm_store_open(const struct amm_store_settings *settings,
                                 char error[AMM_STORE_ERROR])
{
    struct sqlite_store *s = allocate(error);
    if (s == NULL) {
        return NULL;
    }
    s->lock = sqlite_lock(settings->database, error);
    if (s->lock >= 0) {
        /* No more than the owner may read it: password hashes. */
        int fd = open(settings->database, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0) {
            close(fd); /* SQLite says what is wrong otherwise */
        }
        s->db = sqlite_connect(settings->database, SQLITE_OPEN_READWRITE, error);
    }
    if (s->db == NULL || !set_up(s, error)) {
        name_file(settings->database, error);
        sqlite_backend.close(&s->store);
        return NULL;
    }
    return &s->store;
}

struct amm_store *amm_store_reader(const struct amm_store_settings *settings,
                                   char error[AMM_STORE_ERROR])
{
    struct sqlite_store *s = allocate(error);
    if (s == NULL) {
        return NULL;
    }
    s->db = sqlite_connect(settings->database, SQLITE_OPEN_READONLY, error);
    if (s->db == NULL) {
        name_file(settings->database, error);
        sqlite_backend.close(&s->store);
        return NULL;
    }
    return &s->store;
}
