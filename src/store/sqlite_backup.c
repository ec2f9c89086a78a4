/* Copies of the database: made while its owner goes on, and put in its place. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(char error[AMM_STORE_ERROR], const char *what, const char *path)
{
    snprintf(error, AMM_STORE_ERROR, "%s %.300s: %s", what, path, strerror(errno));
    return false;
}

static bool sync_path(const char *path, int flags, char error[AMM_STORE_ERROR])
{
    int fd = open(path, flags | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok) {
        fail(error, "cannot make durable", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool sync_folder_of(const char *path, char error[AMM_STORE_ERROR])
{
    char copy[SQLITE_PATH];
    sqlite_path(copy, path, "");
    return sync_path(dirname(copy), O_RDONLY | O_DIRECTORY, error);
}

/* VACUUM INTO: a whole, packed database without -wal, from one moment. */
static bool copy_database(const char *from, const char *to, char error[AMM_STORE_ERROR])
{
    unlink(to);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail(error, "cannot make", to);
    }
    close(fd);
    sqlite3 *db = sqlite_connect(from, SQLITE_OPEN_READONLY, error);
    sqlite3_stmt *statement = NULL;
    bool ok = db != NULL;
    if (ok && (sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &statement, NULL) != SQLITE_OK ||
               sqlite3_bind_text(statement, 1, to, -1, SQLITE_STATIC) != SQLITE_OK ||
               sqlite3_step(statement) != SQLITE_DONE)) {
        snprintf(error, AMM_STORE_ERROR, "cannot copy %.200s: %.200s", from, sqlite3_errmsg(db));
        ok = false;
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    ok = ok && sync_path(to, O_RDONLY, error);
    if (!ok) {
        unlink(to);
    }
    return ok;
}

bool amm_store_backup(const struct amm_store_settings *settings, const char *to,
                      char error[AMM_STORE_ERROR])
{
    char unfinished[SQLITE_PATH];
    sqlite_path(unfinished, to, ".unfinished");
    if (!copy_database(settings->database, unfinished, error)) {
        return false;
    }
    if (rename(unfinished, to) != 0) {
        fail(error, "cannot make", to);
        unlink(unfinished);
        return false;
    }
    return sync_folder_of(to, error);
}

bool sqlite_settle(const char *database, char error[AMM_STORE_ERROR])
{
    sqlite3 *db = sqlite_connect(database, SQLITE_OPEN_READWRITE, error);
    bool ok = db != NULL && sqlite_do(db,
                                      "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = "
                                      "DELETE",
                                      error);
    sqlite3_close(db);
    return ok;
}

bool amm_store_checkpoint(const struct amm_store_settings *settings, char error[AMM_STORE_ERROR])
{
    sqlite3 *db = sqlite_connect(settings->database, SQLITE_OPEN_READWRITE, error);
    int code = SQLITE_OK;
    if (db != NULL) {
        sqlite3_exec(db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
        code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        if (code != SQLITE_OK && code != SQLITE_BUSY) {
            snprintf(error, AMM_STORE_ERROR, "cannot move the log of %.200s into it: %.200s",
                     settings->database, sqlite3_errmsg(db));
        }
    }
    sqlite3_close(db);
    return db != NULL && (code == SQLITE_OK || code == SQLITE_BUSY);
}

/* ---- restore ---- */

static int64_t epoch_of(const char *database)
{
    char ignored[AMM_STORE_ERROR];
    sqlite3 *db = sqlite_connect(database, SQLITE_OPEN_READONLY, ignored);
    int64_t epoch =
        db ? sqlite_ask(db, "SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'epoch'", 0) : 0;
    sqlite3_close(db);
    return epoch;
}

/* What must not come back to life with an old copy. */
static enum amm_store_result forget_the_past(struct amm_store *store, int64_t epoch, int64_t now)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)epoch);
    enum amm_store_result result = amm_store_begin(store);
    if (result == AMM_STORE_OK) {
        result = amm_store_run(store, AMM_SQL_LOGIN_REMOVE_ALL, AMM_WITHOUT);
    }
    if (result == AMM_STORE_OK) {
        result = amm_store_run(store, AMM_SQL_TOKEN_REMOVE_ALL, AMM_WITHOUT);
    }
    if (result == AMM_STORE_OK) {
        result = amm_store_run(store, AMM_SQL_ENROLMENT_REVOKE_OPEN, AMM_WITH(amm_number(now)));
    }
    if (result == AMM_STORE_OK) {
        result = amm_store_run(store, AMM_SQL_OPERATION_DROP_OPEN, AMM_WITH(amm_number(now)));
    }
    if (result == AMM_STORE_OK) {
        result = amm_store_run(store, AMM_SQL_REMOTE_DROP_LIVE, AMM_WITH(amm_number(now)));
    }
    if (result == AMM_STORE_OK) {
        result = amm_store_run(store, AMM_SQL_META_SET,
                               AMM_WITH(amm_text(AMM_META_EPOCH), amm_text(text)));
    }
    return result == AMM_STORE_OK ? amm_store_commit(store) : result;
}

/* The copy becomes a database of this program's version, checked whole, with the past forgotten. */
static bool prepare_copy(const char *copy, int64_t old_epoch, int64_t now,
                         char error[AMM_STORE_ERROR])
{
    struct amm_store *store =
        amm_store_open(&(struct amm_store_settings){.database = copy, .now = now}, error);
    if (store == NULL) {
        return false;
    }
    bool ok = !amm_store_is_new(store);
    if (!ok) {
        snprintf(error, AMM_STORE_ERROR, "the backup is empty");
    } else {
        int64_t epoch = epoch_of(copy);
        ok = forget_the_past(store, (epoch > old_epoch ? epoch : old_epoch) + 1, now) ==
             AMM_STORE_OK;
        if (!ok) {
            snprintf(error, AMM_STORE_ERROR, "%s", amm_store_error(store));
        }
    }
    amm_store_free(store);
    return ok && sqlite_settle(copy, error) && sync_path(copy, O_RDONLY, error);
}

static void remove_with(const char *path, const char *ending)
{
    char name[SQLITE_PATH];
    if (sqlite_path(name, path, ending)) {
        unlink(name);
    }
}

/* A log that belongs to another file would be replayed into this one. */
static bool move_log_away(const char *database, char error[AMM_STORE_ERROR])
{
    char log[SQLITE_PATH], away[SQLITE_PATH];
    sqlite_path(log, database, "-wal");
    sqlite_path(away, database, ".before-restore-wal");
    unlink(away);
    if (rename(log, away) != 0 && errno != ENOENT) {
        return fail(error, "cannot move", log);
    }
    remove_with(database, "-shm");
    return true;
}

static bool exchange(const char *database, const char *copy, char error[AMM_STORE_ERROR])
{
    char before[SQLITE_PATH], ignored[AMM_STORE_ERROR];
    sqlite_path(before, database, ".before-restore");
    if (access(database, F_OK) == 0) {
        sqlite_settle(database, ignored); /* a damaged one is kept as it is, with its log */
        unlink(before);
        if (!move_log_away(database, error)) {
            return false;
        }
        if (link(database, before) != 0) {
            return fail(error, "cannot keep the old database as", before);
        }
    }
    if (rename(copy, database) != 0) {
        return fail(error, "cannot replace", database);
    }
    return sync_folder_of(database, error);
}

bool amm_store_restore(const struct amm_store_settings *settings, const char *from,
                       char error[AMM_STORE_ERROR])
{
    char copy[SQLITE_PATH];
    int lock = sqlite_lock(settings->database, error);
    if (lock < 0) {
        return false;
    }
    sqlite_path(copy, settings->database, ".restoring");
    bool ok = access(from, R_OK) == 0 || fail(error, "cannot read", from);
    ok = ok && copy_database(from, copy, error) &&
         prepare_copy(copy, epoch_of(settings->database), settings->now, error) &&
         exchange(settings->database, copy, error);
    remove_with(copy, "");
    remove_with(copy, "-wal");
    remove_with(copy, "-shm");
    remove_with(copy, ".lock");
    close(lock);
    return ok;
}
