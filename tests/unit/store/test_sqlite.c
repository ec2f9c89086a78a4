/* The conformance suite on SQLite, and what only a file can suffer. */
#include "conformance.h"
#include "sqlite.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define OK(call) assert_int_equal(call, AMM_STORE_OK)

struct fixture {
    struct conformance c; /* first */
    char folder[64], path[96], backup[96];
};

int conformance_open(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/amm-store-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/fleet.db", f->folder);
    snprintf(f->backup, sizeof f->backup, "%s/backup.db", f->folder);
    f->c.settings = (struct amm_store_settings){.database = f->path, .now = 1000};
    f->c.store = amm_store_open(&f->c.settings, f->c.error);
    assert_non_null(f->c.store);
    *state = f;
    return 0;
}

int conformance_close(void **state)
{
    static const char *const endings[] = {"fleet.db",
                                          "fleet.db-wal",
                                          "fleet.db-shm",
                                          "fleet.db.lock",
                                          "backup.db",
                                          "fleet.db.before-restore",
                                          "fleet.db.before-restore-wal"};
    struct fixture *f = *state;
    char path[128];
    amm_store_free(f->c.store);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", f->folder, endings[i]);
        unlink(path);
    }
    int left = rmdir(f->folder); /* nothing else may lie around */
    free(f);
    return left;
}

static enum amm_store_result set(struct amm_store *store, const char *name, const char *value)
{
    return amm_store_run(store, AMM_SQL_META_SET, AMM_WITH(amm_text(name), amm_text(value)));
}

static void get(struct amm_store *store, const char *name, char *out, size_t room)
{
    struct amm_rows *rows = amm_store_query(store, AMM_SQL_META_GET, AMM_WITH(amm_text(name)));
    out[0] = '\0';
    if (amm_rows_next(rows)) {
        amm_rows_text(rows, 0, out, room);
    }
    OK(amm_rows_end(rows));
}

static void save(struct amm_store *store, const char *name, const char *value)
{
    OK(amm_store_begin(store));
    OK(set(store, name, value));
    OK(amm_store_commit(store));
}

static void close_store(struct fixture *f)
{
    f->c.store = amm_store_free(f->c.store);
}

static void expect_refusal(struct fixture *f, const char *words)
{
    assert_null(amm_store_open(&f->c.settings, f->c.error));
    if (strstr(f->c.error, words) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", words, f->c.error);
    }
    assert_non_null(strstr(f->c.error, f->path));
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void it_is_durable_and_for_its_owner_only(void **state)
{
    struct fixture *f = *state;
    struct sqlite_store *s = (struct sqlite_store *)f->c.store;
    struct stat info;
    assert_int_equal(sqlite_ask(s->db, "PRAGMA synchronous", -1), 2); /* FULL */
    assert_int_equal(sqlite_ask(s->db, "PRAGMA foreign_keys", -1), 1);
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void newer_tables_are_refused(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    run_sql(f->path, "PRAGMA user_version = 99");
    expect_refusal(f, "newer program");
}

static void another_program_s_file_is_refused(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    run_sql(f->path, "PRAGMA application_id = 7");
    expect_refusal(f, "another program");
}

static void tables_that_do_not_fit_are_refused(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    run_sql(f->path, "ALTER TABLE tenant RENAME COLUMN title TO name");
    expect_refusal(f, "does not fit");
}

static void overwrite(const char *path, off_t at, size_t len)
{
    int fd = open(path, O_WRONLY);
    char junk[4096];
    memset(junk, 0xa5, sizeof junk);
    assert_true(fd >= 0 && pwrite(fd, junk, len, at) == (ssize_t)len);
    close(fd);
}

static void a_damaged_file_is_refused(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    overwrite(f->path, 3 * 4096, 4096);
    expect_refusal(f, "restore a backup");
    overwrite(f->path, 0, 100);
    expect_refusal(f, "restore a backup");
}

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in != NULL && out != NULL);
    for (int c; (c = fgetc(in)) != EOF;) {
        fputc(c, out);
    }
    fclose(in);
    fclose(out);
}

static void a_torn_log_loses_nothing_that_was_committed_before(void **state)
{
    struct fixture *f = *state;
    char log[128], copied_log[128], lock[128], value[16];
    struct stat info;
    snprintf(log, sizeof log, "%s-wal", f->path);
    snprintf(copied_log, sizeof copied_log, "%s-wal", f->backup);
    snprintf(lock, sizeof lock, "%s.lock", f->backup);
    save(f->c.store, "one", "1");
    assert_int_equal(stat(log, &info), 0);
    save(f->c.store, "two", "2");
    /* As the machine left them: the second commit is half on the disk. */
    copy_file(f->path, f->backup);
    copy_file(log, copied_log);
    assert_int_equal(truncate(copied_log, info.st_size + 100), 0);
    struct amm_store_settings settings = {.database = f->backup};
    struct amm_store *store = amm_store_open(&settings, f->c.error);
    assert_non_null(store);
    get(store, "one", value, sizeof value);
    assert_string_equal(value, "1");
    get(store, "two", value, sizeof value);
    assert_string_equal(value, "");
    amm_store_free(store);
    unlink(lock);
}

static void a_full_disk_ends_the_transaction_and_is_over_by_itself(void **state)
{
    struct fixture *f = *state;
    struct sqlite_store *s = (struct sqlite_store *)f->c.store;
    char big[5000], value[16];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    save(f->c.store, "before", "1");
    int64_t pages = sqlite_ask(s->db, "PRAGMA page_count", 0);
    char limit[64];
    snprintf(limit, sizeof limit, "PRAGMA max_page_count = %lld", (long long)pages);
    sqlite_ask(s->db, limit, 0);
    OK(amm_store_begin(f->c.store));
    OK(set(f->c.store, "small", "2"));
    assert_int_equal(set(f->c.store, "big", big), AMM_STORE_FULL);
    assert_false(amm_store_in_transaction(f->c.store));
    assert_int_equal(amm_store_failure(f->c.store), AMM_STORE_FULL);
    assert_int_equal(amm_store_commit(f->c.store), AMM_STORE_FAILED);
    get(f->c.store, "small", value, sizeof value);
    assert_string_equal(value, ""); /* nothing half-written; reading goes on */
    get(f->c.store, "before", value, sizeof value);
    assert_string_equal(value, "1");
    sqlite_ask(s->db, "PRAGMA max_page_count = 1000000", 0);
    save(f->c.store, "big", big);
    assert_int_equal(amm_store_failure(f->c.store), AMM_STORE_OK);
}

/* The size of files is limited: write(2) fails as on a full disk. In a process of its own. */
static void a_log_that_cannot_grow_loses_nothing(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    pid_t pid = fork();
    if (pid == 0) {
        struct amm_store *store = amm_store_open(&f->c.settings, f->c.error);
        char big[20000], value[16];
        memset(big, 'x', sizeof big - 1);
        big[sizeof big - 1] = '\0';
        save(store, "before", "1");
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit old, small = {16384, RLIM_INFINITY};
        getrlimit(RLIMIT_FSIZE, &old);
        setrlimit(RLIMIT_FSIZE, &small);
        int bad = 0;
        bad |= amm_store_begin(store) != AMM_STORE_OK;
        set(store, "big", big);
        bad |= (amm_store_in_transaction(store) ? amm_store_commit(store)
                                                : amm_store_failure(store)) == AMM_STORE_OK;
        bad |= amm_store_in_transaction(store);
        setrlimit(RLIMIT_FSIZE, &old);
        get(store, "before", value, sizeof value);
        bad |= strcmp(value, "1") != 0;
        get(store, "big", value, sizeof value);
        bad |= value[0] != '\0';
        save(store, "after", "2");
        amm_store_free(store);
        _exit(bad);
    }
    int status;
    char value[16];
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    f->c.store = amm_store_open(&f->c.settings, f->c.error);
    assert_non_null(f->c.store);
    get(f->c.store, "after", value, sizeof value);
    assert_string_equal(value, "2");
}

/* Each commit is told through a pipe when it is OK; the writer is killed at some moment. */
static void write_until_killed(const struct fixture *f, int told)
{
    char error[AMM_STORE_ERROR], number[16];
    struct amm_store *store = amm_store_open(&f->c.settings, error);
    for (uint32_t i = 1; store != NULL; i++) {
        snprintf(number, sizeof number, "%u", i);
        if (amm_store_begin(store) != AMM_STORE_OK || set(store, "a", number) != AMM_STORE_OK ||
            set(store, "b", number) != AMM_STORE_OK || amm_store_commit(store) != AMM_STORE_OK ||
            write(told, &i, sizeof i) != sizeof i) {
            break;
        }
    }
    _exit(1);
}

static void a_kill_loses_nothing_that_was_told(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    for (unsigned round = 0; round < 15; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
            write_until_killed(f, ends[1]);
        }
        close(ends[1]);
        uint32_t last = 0, one;
        for (unsigned n = 0; n < 1 + round * 7 && read(ends[0], &one, sizeof one) == sizeof one;
             n++) {
            last = one;
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(ends[0], &one, sizeof one) == sizeof one) {
            last = one;
        }
        close(ends[0]);
        char a[16], b[16];
        f->c.store = amm_store_open(&f->c.settings, f->c.error);
        assert_non_null(f->c.store);
        get(f->c.store, "a", a, sizeof a);
        get(f->c.store, "b", b, sizeof b);
        assert_string_equal(a, b); /* whole or not at all */
        assert_true((uint32_t)atoi(a) == last || (uint32_t)atoi(a) == last + 1);
        close_store(f);
    }
}

static void a_migration_is_whole_or_not_at_all(void **state)
{
    static const char *const broken[] = {"CREATE TABLE more (id BIGINT)", "CREATE TABLE (", NULL};
    static const char *const good[] = {"CREATE TABLE more (id BIGINT)", NULL};
    struct fixture *f = *state;
    struct sqlite_store *s = (struct sqlite_store *)f->c.store;
    char error[AMM_STORE_ERROR];
    unsigned version = amm_store_schema_version();
    struct sqlite_migration steps[8];
    assert_true(version < 8);
    memcpy(steps, sqlite_migrations, version * sizeof steps[0]);
    steps[version].steps = broken;
    assert_false(sqlite_migrate(s->db, steps, version + 1, error));
    assert_int_equal(sqlite_ask(s->db, "PRAGMA user_version", -1), version);
    assert_int_equal(
        sqlite_ask(s->db, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'more'", -1), 0);
    steps[version].steps = good;
    assert_true(sqlite_migrate(s->db, steps, version + 1, error));
    assert_int_equal(sqlite_ask(s->db, "PRAGMA user_version", -1), version + 1);
}

/* Databases of earlier programs are brought up with everything in them. */
static void every_version_is_brought_up(void **state)
{
    struct fixture *f = *state;
    char error[AMM_STORE_ERROR];
    for (unsigned version = 1; version <= amm_store_schema_version(); version++) {
        close_store(f);
        unlink(f->path);
        sqlite3 *db = NULL;
        assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
        assert_true(sqlite_migrate(db, sqlite_migrations, version, error));
        assert_true(sqlite_do(
            db, "INSERT INTO tenant (slug, title, created_at) VALUES ('b', 'B', 1)", error));
        sqlite3_close(db);
        f->c.store = amm_store_open(&f->c.settings, f->c.error);
        assert_non_null(f->c.store);
        struct sqlite_store *s = (struct sqlite_store *)f->c.store;
        assert_int_equal(sqlite_ask(s->db, "PRAGMA user_version", -1), amm_store_schema_version());
        assert_int_equal(sqlite_ask(s->db, "SELECT tunnel_policy FROM tenant WHERE slug = 'b'", -1),
                         0);
    }
}

/* ---- backup and restore ---- */

static int64_t count(struct amm_store *store, enum amm_statement statement)
{
    struct amm_rows *rows = amm_store_query(store, statement, AMM_WITHOUT);
    int64_t n = 0;
    while (amm_rows_next(rows)) {
        n++;
    }
    OK(amm_rows_end(rows));
    return n;
}

static void add_secrets(struct amm_store *store)
{
    int64_t user = 0;
    uint8_t hash[32] = {1};
    OK(amm_store_begin(store));
    OK(amm_store_number(store, AMM_SQL_USER_ADD,
                        AMM_WITH(amm_number(1), amm_text("u"), amm_text(""), amm_text(""),
                                 amm_number(0), amm_number(0)),
                        &user));
    OK(amm_store_run(store, AMM_SQL_LOGIN_ADD,
                     AMM_WITH(amm_number(user), amm_blob(hash, 32), amm_text("r"), amm_number(0),
                              amm_number(2), amm_number(3))));
    OK(amm_store_run(store, AMM_SQL_TOKEN_ADD,
                     AMM_WITH(amm_number(user), amm_text("t"), amm_blob(hash, 32), amm_number(1),
                              amm_number(0), amm_number(0), amm_number(0), amm_number(0))));
    OK(amm_store_commit(store));
}

static void a_backup_is_made_inside_a_transaction_of_the_owner(void **state)
{
    struct fixture *f = *state;
    char value[16];
    struct stat info;
    save(f->c.store, "x", "old");
    OK(amm_store_begin(f->c.store));
    OK(set(f->c.store, "x", "new"));
    assert_true(amm_store_backup(&f->c.settings, f->backup, f->c.error));
    OK(amm_store_commit(f->c.store));
    assert_int_equal(stat(f->backup, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    close_store(f);
    assert_true(amm_store_restore(&f->c.settings, f->backup, f->c.error));
    f->c.store = amm_store_open(&f->c.settings, f->c.error);
    get(f->c.store, "x", value, sizeof value);
    assert_string_equal(value, "old");
}

static void a_restore_revives_no_secrets(void **state)
{
    struct fixture *f = *state;
    char value[16];
    add_secrets(f->c.store);
    assert_true(amm_store_backup(&f->c.settings, f->backup, f->c.error));
    save(f->c.store, AMM_META_EPOCH, "41"); /* restored often since */
    close_store(f);
    assert_true(amm_store_restore(&f->c.settings, f->backup, f->c.error));
    f->c.store = amm_store_open(&f->c.settings, f->c.error);
    assert_non_null(f->c.store);
    assert_int_equal(count(f->c.store, AMM_SQL_USER_ALL), 1);
    assert_int_equal(count(f->c.store, AMM_SQL_LOGIN_ALL), 0);
    assert_int_equal(count(f->c.store, AMM_SQL_TOKEN_ALL), 0);
    get(f->c.store, AMM_META_EPOCH, value, sizeof value);
    assert_string_equal(value, "42"); /* above both */
    get(f->c.store, AMM_META_REVOKED_EPOCH, value, sizeof value);
    assert_string_equal(value, "1"); /* so that revocations are read again */
}

static void a_log_of_before_does_not_get_into_the_restored(void **state)
{
    struct fixture *f = *state;
    char value[16];
    save(f->c.store, "x", "backup");
    assert_true(amm_store_backup(&f->c.settings, f->backup, f->c.error));
    close_store(f);
    pid_t pid = fork();
    if (pid == 0) { /* dies with a log that is full of newer pages */
        struct amm_store *store = amm_store_open(&f->c.settings, f->c.error);
        save(store, "x", "newer");
        _exit(store == NULL);
    }
    waitpid(pid, NULL, 0);
    assert_true(amm_store_restore(&f->c.settings, f->backup, f->c.error));
    f->c.store = amm_store_open(&f->c.settings, f->c.error);
    get(f->c.store, "x", value, sizeof value);
    assert_string_equal(value, "backup");
}

static void a_bad_backup_changes_nothing(void **state)
{
    struct fixture *f = *state;
    char value[16];
    save(f->c.store, "x", "mine");
    assert_true(amm_store_backup(&f->c.settings, f->backup, f->c.error));
    assert_false(amm_store_restore(&f->c.settings, f->backup, f->c.error)); /* it is in use */
    assert_non_null(strstr(f->c.error, "in use"));
    close_store(f);
    overwrite(f->backup, 5 * 4096, 4096);
    assert_false(amm_store_restore(&f->c.settings, f->backup, f->c.error));
    unlink(f->backup);
    assert_false(amm_store_restore(&f->c.settings, f->backup, f->c.error));
    run_sql(f->backup, "CREATE TABLE strange (a)");
    assert_false(amm_store_restore(&f->c.settings, f->backup, f->c.error));
    f->c.store = amm_store_open(&f->c.settings, f->c.error);
    assert_non_null(f->c.store);
    get(f->c.store, "x", value, sizeof value);
    assert_string_equal(value, "mine");
}

static void a_damaged_database_can_be_replaced(void **state)
{
    struct fixture *f = *state;
    save(f->c.store, "x", "1");
    assert_true(amm_store_backup(&f->c.settings, f->backup, f->c.error));
    close_store(f);
    overwrite(f->path, 0, 4096);
    assert_true(amm_store_restore(&f->c.settings, f->backup, f->c.error));
    f->c.store = amm_store_open(&f->c.settings, f->c.error);
    assert_non_null(f->c.store);
}

static void a_checkpoint_runs_beside_the_owner(void **state)
{
    struct fixture *f = *state;
    char value[16];
    save(f->c.store, "x", "1");
    assert_true(amm_store_checkpoint(&f->c.settings, f->c.error));
    OK(amm_store_begin(f->c.store));
    OK(set(f->c.store, "x", "2"));
    assert_true(amm_store_checkpoint(&f->c.settings, f->c.error));
    OK(amm_store_commit(f->c.store));
    get(f->c.store, "x", value, sizeof value);
    assert_string_equal(value, "2");
}

int main(void)
{
    static const struct CMUnitTest own[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, conformance_open, conformance_close)
        TEST(it_is_durable_and_for_its_owner_only),
        TEST(newer_tables_are_refused),
        TEST(another_program_s_file_is_refused),
        TEST(tables_that_do_not_fit_are_refused),
        TEST(a_damaged_file_is_refused),
        TEST(a_torn_log_loses_nothing_that_was_committed_before),
        TEST(a_full_disk_ends_the_transaction_and_is_over_by_itself),
        TEST(a_log_that_cannot_grow_loses_nothing),
        TEST(a_kill_loses_nothing_that_was_told),
        TEST(a_migration_is_whole_or_not_at_all),
        TEST(every_version_is_brought_up),
        TEST(a_backup_is_made_inside_a_transaction_of_the_owner),
        TEST(a_restore_revives_no_secrets),
        TEST(a_log_of_before_does_not_get_into_the_restored),
        TEST(a_bad_backup_changes_nothing),
        TEST(a_damaged_database_can_be_replaced),
        TEST(a_checkpoint_runs_beside_the_owner),
    };
    int failed = conformance_run("store conformance: SQLite");
    return failed + cmocka_run_group_tests_name("SQLite", own, NULL, NULL);
}
