#include "conformance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define OK(call) assert_int_equal(call, AMM_STORE_OK)

static int64_t add_tenant(struct amm_store *store, const char *slug)
{
    int64_t id = 0;
    OK(amm_store_number(store, AMM_SQL_TENANT_ADD,
                        AMM_WITH(amm_text(slug), amm_text("T"), amm_number(7)), &id));
    return id;
}

static unsigned tenants(struct amm_store *store)
{
    struct amm_rows *rows = amm_store_query(store, AMM_SQL_TENANT_ALL, AMM_WITHOUT);
    unsigned n = 0;
    while (amm_rows_next(rows)) {
        n++;
    }
    OK(amm_rows_end(rows));
    return n;
}

static void reopen(struct conformance *c)
{
    amm_store_free(c->store);
    c->store = amm_store_open(&c->settings, c->error);
    assert_non_null(c->store);
}

static void a_new_database_has_the_main_tenant(void **state)
{
    struct conformance *c = *state;
    assert_true(amm_store_is_new(c->store));
    struct amm_rows *rows = amm_store_query(c->store, AMM_SQL_TENANT_ALL, AMM_WITHOUT);
    char slug[8];
    assert_true(amm_rows_next(rows));
    assert_int_equal(amm_rows_number(rows, 0), 1);
    amm_rows_text(rows, 1, slug, sizeof slug);
    assert_string_equal(slug, "main");
    assert_false(amm_rows_next(rows));
    OK(amm_rows_end(rows));
    reopen(c);
    assert_false(amm_store_is_new(c->store));
}

static void a_commit_is_kept_and_a_rollback_is_not(void **state)
{
    struct conformance *c = *state;
    OK(amm_store_begin(c->store));
    assert_true(add_tenant(c->store, "kept") > 1);
    OK(amm_store_commit(c->store));
    OK(amm_store_begin(c->store));
    add_tenant(c->store, "gone");
    assert_int_equal(tenants(c->store), 3);
    amm_store_rollback(c->store);
    assert_int_equal(tenants(c->store), 2);
    OK(amm_store_begin(c->store));
    add_tenant(c->store, "unfinished");
    reopen(c); /* as after a crash */
    assert_int_equal(tenants(c->store), 2);
}

static void savepoints_nest(void **state)
{
    struct conformance *c = *state;
    OK(amm_store_begin(c->store));
    add_tenant(c->store, "a");
    OK(amm_store_savepoint(c->store));
    add_tenant(c->store, "b");
    OK(amm_store_savepoint(c->store));
    add_tenant(c->store, "c");
    amm_store_back(c->store);
    assert_int_equal(tenants(c->store), 3); /* main, a, b */
    OK(amm_store_release(c->store));
    OK(amm_store_savepoint(c->store));
    add_tenant(c->store, "d");
    amm_store_back(c->store);
    OK(amm_store_commit(c->store));
    assert_int_equal(tenants(c->store), 3);
    assert_int_not_equal(amm_store_release(c->store), AMM_STORE_OK); /* none is open */
    assert_int_not_equal(amm_store_savepoint(c->store), AMM_STORE_OK);
    assert_int_not_equal(amm_store_commit(c->store), AMM_STORE_OK);
}

static void a_conflict_undoes_its_statement_only(void **state)
{
    struct conformance *c = *state;
    int64_t id = 0;
    OK(amm_store_begin(c->store));
    add_tenant(c->store, "a");
    assert_int_equal(amm_store_number(c->store, AMM_SQL_TENANT_ADD,
                                      AMM_WITH(amm_text("a"), amm_text("T"), amm_number(7)), &id),
                     AMM_STORE_CONFLICT);
    assert_int_equal(id, 0);
    assert_true(amm_store_in_transaction(c->store));
    assert_int_equal(amm_store_failure(c->store), AMM_STORE_OK);
    add_tenant(c->store, "b");
    /* A reference to what is not there, and removal of what is referred to. */
    assert_int_equal(
        amm_store_run(c->store, AMM_SQL_GROUP_ADD,
                      AMM_WITH(amm_number(999), amm_number(0), amm_text("g"), amm_number(1))),
        AMM_STORE_CONFLICT);
    OK(amm_store_run(c->store, AMM_SQL_GROUP_ADD,
                     AMM_WITH(amm_number(2), amm_number(0), amm_text("g"), amm_number(1))));
    assert_int_equal(amm_store_run(c->store, AMM_SQL_TENANT_REMOVE, AMM_WITH(amm_number(2))),
                     AMM_STORE_CONFLICT);
    OK(amm_store_commit(c->store));
    assert_int_equal(tenants(c->store), 3);
}

static void ids_never_repeat(void **state)
{
    struct conformance *c = *state;
    OK(amm_store_begin(c->store));
    int64_t first = add_tenant(c->store, "a");
    OK(amm_store_run(c->store, AMM_SQL_TENANT_REMOVE, AMM_WITH(amm_number(first))));
    assert_int_equal(amm_store_changes(c->store), 1);
    assert_true(add_tenant(c->store, "a") > first);
    OK(amm_store_run(c->store, AMM_SQL_TENANT_REMOVE, AMM_WITH(amm_number(first))));
    assert_int_equal(amm_store_changes(c->store), 0);
    OK(amm_store_commit(c->store));
}

static void writing_needs_a_transaction(void **state)
{
    struct conformance *c = *state;
    assert_int_equal(
        amm_store_run(c->store, AMM_SQL_META_SET, AMM_WITH(amm_text("a"), amm_text("b"))),
        AMM_STORE_FAILED);
    assert_int_equal(tenants(c->store), 1); /* reading does not */
}

static void parameters_are_checked(void **state)
{
    struct conformance *c = *state;
    OK(amm_store_begin(c->store));
    assert_int_equal(amm_store_run(c->store, AMM_SQL_META_SET, AMM_WITH(amm_text("a"))),
                     AMM_STORE_FAILED);
    assert_int_equal(
        amm_store_run(c->store, AMM_SQL_META_SET, AMM_WITH(amm_text("a"), amm_number(1))),
        AMM_STORE_FAILED);
    assert_int_equal(amm_store_run(c->store, AMM_SQL_META_SET, AMM_WITH(amm_text("a"), amm_null())),
                     AMM_STORE_FAILED);
    assert_true(amm_store_in_transaction(c->store)); /* our bugs end no transaction */
    OK(amm_store_run(c->store, AMM_SQL_META_SET, AMM_WITH(amm_text("a"), amm_text("b"))));
    OK(amm_store_commit(c->store));
}

static void values_come_back_as_they_were(void **state)
{
    struct conformance *c = *state;
    static const char hard[] = "'; DROP TABLE tenant; -- \xc3\xa4 \xf0\x9f\x9a\x9b \x1b[31m %n";
    uint8_t bytes[32];
    int64_t user = 0;
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 8); /* with a zero at the start */
    }
    OK(amm_store_begin(c->store));
    OK(amm_store_number(c->store, AMM_SQL_USER_ADD,
                        AMM_WITH(amm_number(1), amm_text("u"), amm_text(hard), amm_text(""),
                                 amm_number(INT64_MIN), amm_number(INT64_MAX)),
                        &user));
    OK(amm_store_run(c->store, AMM_SQL_LOGIN_ADD,
                     AMM_WITH(amm_number(user), amm_blob(bytes, sizeof bytes), amm_text("r"),
                              amm_number(-1), amm_number(2), amm_number(3))));
    OK(amm_store_commit(c->store));
    reopen(c);
    struct amm_rows *rows = amm_store_query(c->store, AMM_SQL_USER_ALL, AMM_WITHOUT);
    char text[sizeof hard];
    assert_true(amm_rows_next(rows));
    amm_rows_text(rows, 3, text, sizeof text);
    assert_string_equal(text, hard);
    assert_int_equal(amm_rows_view(rows, 4).len, 0);
    assert_non_null(amm_rows_view(rows, 4).data);
    assert_true(amm_rows_number(rows, 5) == INT64_MIN);
    assert_true(amm_rows_number(rows, 7) == INT64_MAX);
    /* Another kind than the column's, and columns that are not there, are nothing. */
    assert_int_equal(amm_rows_number(rows, 3), 0);
    assert_int_equal(amm_rows_view(rows, 0).len, 0);
    assert_int_equal(amm_rows_number(rows, 99), 0);
    OK(amm_rows_end(rows));
    rows = amm_store_query(c->store, AMM_SQL_LOGIN_ALL, AMM_WITHOUT);
    assert_true(amm_rows_next(rows));
    assert_true(amm_view_equal(amm_rows_view(rows, 2), amm_view(bytes, sizeof bytes)));
    assert_int_equal(amm_rows_number(rows, 4), -1);
    OK(amm_rows_end(rows));
}

static void text_is_cut_at_a_character(void **state)
{
    struct conformance *c = *state;
    char text[4];
    OK(amm_store_begin(c->store));
    OK(amm_store_run(c->store, AMM_SQL_META_SET,
                     AMM_WITH(amm_text("t"), amm_text("ab\xe2\x82\xac"))));
    struct amm_rows *rows = amm_store_query(c->store, AMM_SQL_META_GET, AMM_WITH(amm_text("t")));
    assert_true(amm_rows_next(rows));
    amm_rows_text(rows, 0, text, sizeof text);
    assert_string_equal(text, "ab");
    OK(amm_rows_end(rows));
    OK(amm_store_commit(c->store));
}

static void rows_of_a_statement_are_open_once(void **state)
{
    struct conformance *c = *state;
    struct amm_rows *rows = amm_store_query(c->store, AMM_SQL_TENANT_ALL, AMM_WITHOUT);
    assert_true(amm_rows_next(rows));
    struct amm_rows *again = amm_store_query(c->store, AMM_SQL_TENANT_ALL, AMM_WITHOUT);
    assert_false(amm_rows_next(again));
    assert_int_equal(amm_rows_end(again), AMM_STORE_FAILED);
    assert_false(amm_rows_next(rows));
    OK(amm_rows_end(rows));
    assert_int_equal(tenants(c->store), 1);
}

static void a_removed_user_takes_everything_along(void **state)
{
    struct conformance *c = *state;
    int64_t user = 0;
    uint8_t hash[32] = {1};
    OK(amm_store_begin(c->store));
    OK(amm_store_number(c->store, AMM_SQL_USER_ADD,
                        AMM_WITH(amm_number(1), amm_text("u"), amm_text(""), amm_text(""),
                                 amm_number(0), amm_number(0)),
                        &user));
    OK(amm_store_run(c->store, AMM_SQL_LOGIN_ADD,
                     AMM_WITH(amm_number(user), amm_blob(hash, 32), amm_text("r"), amm_number(0),
                              amm_number(2), amm_number(3))));
    OK(amm_store_run(c->store, AMM_SQL_USER_REMOVE, AMM_WITH(amm_number(user))));
    struct amm_rows *rows = amm_store_query(c->store, AMM_SQL_LOGIN_ALL, AMM_WITHOUT);
    assert_false(amm_rows_next(rows));
    OK(amm_rows_end(rows));
    OK(amm_store_commit(c->store));
}

static void a_reader_sees_what_is_committed(void **state)
{
    struct conformance *c = *state;
    struct amm_store *reader = amm_store_reader(&c->settings, c->error);
    assert_non_null(reader);
    OK(amm_store_begin(c->store));
    add_tenant(c->store, "a");
    assert_int_equal(tenants(reader), 1);
    OK(amm_store_commit(c->store));
    assert_int_equal(tenants(reader), 2);
    assert_int_equal(amm_store_begin(reader), AMM_STORE_OK);
    assert_int_equal(
        amm_store_run(reader, AMM_SQL_META_SET, AMM_WITH(amm_text("a"), amm_text("b"))),
        AMM_STORE_READ_ONLY);
    amm_store_free(reader);
}

static void a_second_owner_is_refused(void **state)
{
    struct conformance *c = *state;
    assert_null(amm_store_open(&c->settings, c->error));
    assert_non_null(strstr(c->error, "in use"));
}

int conformance_run(const char *name)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, conformance_open, conformance_close)
        TEST(a_new_database_has_the_main_tenant),
        TEST(a_commit_is_kept_and_a_rollback_is_not),
        TEST(savepoints_nest),
        TEST(a_conflict_undoes_its_statement_only),
        TEST(ids_never_repeat),
        TEST(writing_needs_a_transaction),
        TEST(parameters_are_checked),
        TEST(values_come_back_as_they_were),
        TEST(text_is_cut_at_a_character),
        TEST(rows_of_a_statement_are_open_once),
        TEST(a_removed_user_takes_everything_along),
        TEST(a_reader_sees_what_is_committed),
        TEST(a_second_owner_is_refused),
    };
    return _cmocka_run_group_tests(name, tests, sizeof tests / sizeof tests[0], NULL, NULL);
}
