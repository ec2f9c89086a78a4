/* Units, batches, timers, workers: what is kept, what goes back, and in which order. */
#include "api_world.h"

#include "manager/audit.h"
#include "manager/audit_chain.h"
#include "manager/limits.h"
#include "manager/retention.h"
#include "manager/timers.h"
#include "sqlite.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int open_world(void **state)
{
    *state = api_world_new();
    return 0;
}

static int close_world(void **state)
{
    api_world_free(*state);
    return 0;
}

/* ---- a model of one number, and what happened ---- */

static int model;
static char trace[256];

static void put_back(struct manager *m, void *data)
{
    (void)m;
    memcpy(&model, data, sizeof model);
}

static void note(struct manager *m, void *data)
{
    (void)m;
    strncat(trace, data, sizeof trace - strlen(trace) - 1);
}

struct plan {
    int value;
    const char *name;
    bool fails, breaks;
};

static void follow(struct manager *m, void *context)
{
    const struct plan *plan = context;
    char text[24];
    manager_undo(m, put_back, &model, sizeof model);
    model = plan->value;
    snprintf(text, sizeof text, "%d", plan->value);
    assert_int_equal(
        amm_store_run(m->store, AMM_SQL_META_SET, AMM_WITH(amm_text("model"), amm_text(text))),
        AMM_STORE_OK);
    manager_after(m, note, plan->name, strlen(plan->name) + 1);
    if (plan->fails) {
        manager_fail(m);
    }
    if (plan->breaks) {
        amm_store_rollback(m->store); /* as a full disk does */
    }
}

static int stored(struct manager *m)
{
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_META_GET, AMM_WITH(amm_text("model")));
    char text[24] = "0";
    if (amm_rows_next(rows)) {
        amm_rows_text(rows, 0, text, sizeof text);
    }
    assert_int_equal(amm_rows_end(rows), AMM_STORE_OK);
    return atoi(text);
}

static void a_failed_unit_goes_back_alone(void **state)
{
    struct manager *m = &((struct api_world *)*state)->m;
    struct plan plans[] = {{1, "a", false, false},
                           {2, "b", true, false},
                           {3, "c", false, false},
                           {4, "d", true, false}};
    model = 0;
    trace[0] = '\0';
    for (unsigned i = 0; i < 4; i++) {
        manager_post(m, follow, &plans[i]);
    }
    core_step(m, true);
    assert_int_equal(model, 3);
    assert_int_equal(stored(m), 3);
    assert_string_equal(trace, "ac"); /* in order, and only what was kept */
}

static void a_lost_batch_goes_back_as_a_whole(void **state)
{
    struct manager *m = &((struct api_world *)*state)->m;
    struct plan plans[] = {{1, "a", false, false},
                           {2, "b", false, false},
                           {3, "c", false, true},
                           {4, "d", false, false}};
    struct plan first = {7, "x", false, false};
    model = 0;
    trace[0] = '\0';
    assert_true(core_unit(m, follow, &first));
    manager_post(m, follow, &plans[0]);
    manager_post(m, follow, &plans[1]);
    manager_post(m, follow, &plans[2]);
    manager_post(m, follow, &plans[3]);
    core_step(m, true);
    assert_int_equal(model, stored(m));
    assert_int_equal(model, 4); /* what came behind the failure is a transaction of its own */
    assert_string_equal(trace, "xd");
    struct core_counters counters;
    core_counters(m->core, &counters);
    assert_int_equal(counters.lost, 1);
}

static void a_lost_batch_leaves_what_was_before(void **state)
{
    struct manager *m = &((struct api_world *)*state)->m;
    struct plan first = {7, "x", false, false}, kept = {1, "a", false, false},
                breaks = {2, "b", false, true};
    model = 0;
    trace[0] = '\0';
    assert_true(core_unit(m, follow, &first));
    manager_post(m, follow, &kept);
    manager_post(m, follow, &breaks);
    core_step(m, true);
    assert_int_equal(model, 7);
    assert_int_equal(stored(m), 7);
    assert_string_equal(trace, "x");
}

/* ---- the disk is full ---- */

/* As if the disk had no page left; the limit belongs to the connection of the store. */
static void limit_pages(struct api_world *world, bool full)
{
    sqlite3 *db = ((struct sqlite_store *)world->m.store)->db;
    sqlite_ask(db, full ? "PRAGMA max_page_count = 1" : "PRAGMA max_page_count = 1000000", 0);
}

static void a_full_disk_is_said_and_is_over(void **state)
{
    struct api_world *w = *state;
    char body[300], big[200];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    limit_pages(w, true);
    int status = 201;
    for (unsigned i = 0; i < 200 && status == 201; i++) {
        snprintf(body, sizeof body, "{\"name\":\"%.40s-%u\"}", big, i);
        status = call(w, &root, "POST", "/api/v1/groups", body);
    }
    assert_int_equal(status, 507);
    assert_string_equal(member(w, "error"), "disk-full");
    assert_non_null(strstr(w->answer.headers, "Retry-After"));
    assert_int_equal(manager_store_state(&w->m), AMM_STORE_FULL);
    assert_int_equal(call(w, &root, "GET", "/api/v1/server", NULL), 200);
    assert_string_equal(member(w, "store"), "full");
    assert_int_equal(call(w, &root, "POST", "/api/v1/groups", "{\"name\":\"y\"}"), 507);
    /* model and store say the same */
    assert_int_equal(call(w, &root, "GET", "/api/v1/groups?limit=1000", NULL), 200);
    size_t in_memory = json_array_size(json_object_get(w->answer.body, "items")), in_store = 0;
    struct amm_rows *rows = amm_store_query(w->m.store, AMM_SQL_GROUP_ALL, AMM_WITHOUT);
    while (amm_rows_next(rows)) {
        in_store++;
    }
    assert_int_equal(amm_rows_end(rows), AMM_STORE_OK);
    assert_int_equal(in_memory, in_store);
    limit_pages(w, false);
    while (manager_store_state(&w->m) != AMM_STORE_OK) {
        core_step(&w->m, true); /* the probe's timer */
    }
    assert_int_equal(call(w, &root, "POST", "/api/v1/groups", "{\"name\":\"y\"}"), 201);
}

/* ---- audit ---- */

static void verify(struct api_world *w, struct audit_check *check)
{
    audit_verify(w->m.store, check);
}

static void run_sql(struct api_world *w, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(w->config.database, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void the_chain_shows_what_was_done_to_it(void **state)
{
    static const char *const harm[] = {
        "UPDATE audit SET actor = 'somebody' WHERE id = 3",
        "UPDATE audit SET at = at + 1 WHERE id = 3",
        "UPDATE audit SET tenant = 1 WHERE id = 3",
        "UPDATE audit SET detail = object, object = detail WHERE id = 3",
        "UPDATE audit SET action = action || substr(object, 1, 1), object = substr(object, 2) "
        "WHERE id = 3",
        "UPDATE audit SET hash = zeroblob(32) WHERE id = 3",
        "DELETE FROM audit WHERE id = 3",
        "UPDATE audit SET id = 100 WHERE id = 3",
    };
    struct api_world *w = *state;
    struct audit_check check;
    for (unsigned i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        make_tenant(w, name);
    }
    verify(w, &check);
    assert_true(check.is_whole);
    assert_int_equal(check.rows, 6);
    run_sql(w, "CREATE TABLE copy AS SELECT * FROM audit");
    for (unsigned i = 0; i < sizeof harm / sizeof harm[0]; i++) {
        run_sql(w, harm[i]);
        verify(w, &check);
        assert_false(check.is_whole);
        assert_int_equal(check.broken_at, 3);
        run_sql(w, "DELETE FROM audit; INSERT INTO audit SELECT * FROM copy");
        verify(w, &check);
        assert_true(check.is_whole);
    }
}

static void refusals_are_kept_and_lost_batches_leave_no_gap(void **state)
{
    struct api_world *w = *state;
    struct audit_check check;
    make_tenant(w, "t");
    make_user(w, "anna", 1, ROLE_VIEWER, 1, 0);
    struct caller anna = {.cookie = log_in(w, "anna")};
    assert_int_equal(call(w, &anna, "POST", "/api/v1/tenants", "{\"slug\":\"x\"}"), 403);
    assert_int_equal(call(w, &anna, "GET", "/api/v1/users", NULL), 403);
    struct plan breaks = {1, "a", false, true};
    core_unit(&w->m, follow, &breaks);
    assert_int_equal(call(w, &root, "GET", "/api/v1/audit?limit=2", NULL), 200);
    const json_t *items = json_object_get(w->answer.body, "items");
    assert_string_equal(json_string_value(json_object_get(json_array_get(items, 0), "action")),
                        "GET /api/v1/users");
    assert_string_equal(json_string_value(json_object_get(json_array_get(items, 1), "result")),
                        "forbidden");
    while (manager_store_state(&w->m) != AMM_STORE_OK) {
        core_step(&w->m, true);
    }
    make_tenant(w, "u");
    verify(w, &check);
    assert_true(check.is_whole);
}

/* Who polls what he may not see is noted once a minute. */
static void the_same_refusal_is_noted_once(void **state)
{
    struct api_world *w = *state;
    struct audit_check before, after;
    make_user(w, "anna", 1, ROLE_VIEWER, 1, 0);
    struct caller anna = {.cookie = log_in(w, "anna")};
    verify(w, &before);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(call(w, &anna, "GET", "/api/v1/users", NULL), 403);
    }
    assert_int_equal(call(w, &anna, "POST", "/api/v1/tenants", "{\"slug\":\"x\"}"), 403);
    verify(w, &after);
    assert_int_equal(after.rows, before.rows + 2);
}

static void age(struct manager *m, void *context)
{
    m->now.wall += *(const int64_t *)context;
    assert_true(retention_audit(m));
}

/* What goes goes from the beginning, and the rest is a chain that says where it begins. */
static void an_old_beginning_goes_and_the_rest_is_whole(void **state)
{
    struct api_world *w = *state;
    struct audit_check check;
    int64_t none = 0, later = 1000;
    make_tenant(w, "t");
    make_tenant(w, "u");
    make_tenant(w, "v");
    w->config.keep_audit = 500;
    assert_true(core_unit(&w->m, age, &none));
    verify(w, &check);
    assert_int_equal(check.before, 0);
    assert_true(core_unit(&w->m, age, &later));
    verify(w, &check);
    assert_true(check.is_whole);
    assert_int_equal(check.before, 2); /* never the last one */
    assert_int_equal(check.rows, 1);
    assert_true(core_unit(&w->m, age, &later));
    verify(w, &check);
    assert_true(check.is_whole);
    assert_int_equal(check.rows, 2); /* with the note of it */
    run_sql(w, "DELETE FROM audit WHERE id = 3");
    verify(w, &check);
    assert_false(check.is_whole);
    assert_int_equal(check.broken_at, 3);
}

static void hostile_text_stays_in_its_row(void **state)
{
    struct api_world *w = *state;
    struct audit_check check;
    struct caller elsewhere = {.network = 5};
    assert_int_equal(call(w, &elsewhere, "POST", "/api/v1/login",
                          "{\"user\":\"%n%s\\u202e<script>\\\"\",\"password\":\"x\"}"),
                     401);
    assert_int_equal(call(w, &root, "GET", "/api/v1/audit?limit=1", NULL), 200);
    verify(w, &check);
    assert_true(check.is_whole);
}

static void add_cut_text(struct manager *m, void *context)
{
    assert_true(audit_add(m, &(struct audit_entry){.tenant = 1,
                                                   .actor = "a",
                                                   .remote = "",
                                                   .action = "cut",
                                                   .object = "\xe2\x82\xac",
                                                   .result = "ok",
                                                   .detail = context}));
}

/* What somebody asked for cannot be kept out of sight by where its text is cut. */
static void a_text_that_was_cut_in_a_character_is_shown(void **state)
{
    struct api_world *w = *state;
    static char *const cut[] = {"euro \xe2\x82\xac\xe2\x82", "euro \xe2\x82\xac\xe2",
                                "euro \xe2\x82\xac\xc3", "euro \xe2\x82\xac\xf0\x9f\x98",
                                "euro \xe2\x82\xac"};
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        assert_true(core_unit(&w->m, add_cut_text, cut[i]));
        assert_int_equal(call(w, &root, "GET", "/api/v1/audit?limit=1", NULL), 200);
        const json_t *row = json_array_get(json_object_get(w->answer.body, "items"), 0);
        assert_string_equal(json_string_value(json_object_get(row, "object")), "\xe2\x82\xac");
        const char *detail = json_string_value(json_object_get(row, "detail"));
        assert_non_null(detail);
        assert_string_equal(detail, "euro \xe2\x82\xac");
    }
}

/* ---- timers, workers, limits ---- */

static unsigned fired;

static void count(struct manager *m, struct manager_timer *timer)
{
    (void)m;
    (void)timer;
    fired++;
}

static void timers_fire_in_order_and_once(void **state)
{
    enum { N = 200 };
    static struct manager_timer timers[N];
    struct timers heap = {0};
    struct amm_seeded_random seeded;
    (void)state;
    amm_seeded_random_init(&seeded, 7);
    struct amm_random random = amm_seeded_random(&seeded);
    for (unsigned round = 0; round < 2000; round++) {
        struct manager_timer *timer = &timers[amm_random_below(&random, N)];
        bool cancel = amm_random_below(&random, 4) == 0;
        assert_true(timers_set(&heap, timer,
                               cancel ? AMM_NEVER : (amm_time)amm_random_below(&random, 1000)));
    }
    amm_time last = 0;
    unsigned n = heap.n;
    for (struct manager_timer *timer; (timer = timers_expire(&heap, 500)) != NULL; n--) {
        assert_true(timer->at >= last && timer->at <= 500);
        assert_int_equal(timer->position, 0);
        last = timer->at;
    }
    assert_int_equal(heap.n, n);
    assert_true(timers_deadline(&heap) > 500);
    timers_deinit(&heap);
}

static pthread_t fleet_thread, worker_thread;
static bool is_done;

static void work(void *context)
{
    worker_thread = pthread_self();
    *(int *)context = 1;
}

static void done(struct manager *m, void *context)
{
    (void)m;
    assert_true(pthread_equal(pthread_self(), fleet_thread));
    assert_false(pthread_equal(worker_thread, fleet_thread));
    *(int *)context += 1;
    is_done = true;
}

static void work_comes_back_to_the_fleet_thread(void **state)
{
    struct manager *m = &((struct api_world *)*state)->m;
    struct manager_timer timer = {.fire = count};
    int value = 0;
    fleet_thread = pthread_self();
    fired = 0;
    manager_timer_set(m, &timer, m->now.mono);
    assert_true(manager_work(m, work, done, &value));
    is_done = false;
    while (!is_done) {
        core_step(m, true);
    }
    assert_int_equal(value, 2);
    assert_int_equal(fired, 1);
}

static void limits_count_by_key_and_time(void **state)
{
    struct amm_seeded_random seeded;
    (void)state;
    amm_seeded_random_init(&seeded, 1);
    struct amm_random random = amm_seeded_random(&seeded);
    struct limits *limits = limits_new(&random);
    struct limit limit = {3, 10 * AMM_SECOND};
    amm_time now = 1000 * AMM_SECOND;
    uint64_t a = limits_key(limits, 1, "a", 1), b = limits_key(limits, 1, "b", 1);
    assert_true(a != b && a != limits_key(limits, 2, "a", 1));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(limits_take(limits, a, &limit, now), 0);
    }
    assert_int_equal(limits_take(limits, a, &limit, now), 10);
    assert_int_equal(limits_wait(limits, a, &limit, now + 4 * AMM_SECOND), 6);
    assert_int_equal(limits_take(limits, b, &limit, now), 0);
    assert_int_equal(limits_take(limits, a, &limit, now + 10 * AMM_SECOND), 0);
    assert_int_equal(limits_take(limits, a, &limit, now + 10 * AMM_SECOND), 10);
    limits_forget(limits, a);
    assert_int_equal(limits_take(limits, a, &limit, now), 0);
    /* A flood of other keys: never more than the burst, whatever is forgotten. */
    for (uint64_t i = 0; i < 100000; i++) {
        limits_take(limits, limits_key(limits, 3, &i, sizeof i), &limit, now);
    }
    assert_true(limits_wait(limits, b, &limit, now) <= 10);
    limits_free(limits);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(a_failed_unit_goes_back_alone),
        TEST(a_lost_batch_goes_back_as_a_whole),
        TEST(a_lost_batch_leaves_what_was_before),
        TEST(a_full_disk_is_said_and_is_over),
        TEST(the_chain_shows_what_was_done_to_it),
        TEST(refusals_are_kept_and_lost_batches_leave_no_gap),
        TEST(the_same_refusal_is_noted_once),
        TEST(an_old_beginning_goes_and_the_rest_is_whole),
        TEST(hostile_text_stays_in_its_row),
        TEST(a_text_that_was_cut_in_a_character_is_shown),
        cmocka_unit_test(timers_fire_in_order_and_once),
        TEST(work_comes_back_to_the_fleet_thread),
        cmocka_unit_test(limits_count_by_key_and_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
