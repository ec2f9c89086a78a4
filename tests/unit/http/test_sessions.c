/* The cache of TLS sessions by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tls_sessions.h"

#include <stdlib.h>

static struct tls_session_id id_of(uint32_t number)
{
    struct tls_session_id id = {.len = TLS_SESSION_ID};
    amm_store_u32(id.bytes, number * 2654435761u);
    amm_store_u32(id.bytes + 28, number);
    return id;
}

static void put(struct tls_sessions *sessions, uint32_t number, uint32_t from)
{
    struct tls_session_id id = id_of(number), before = id_of(from);
    char text[16] = "session";
    tls_sessions_put(sessions, &id, amm_view(text, 8), NULL, from ? &before : NULL);
}

static bool has(struct tls_sessions *sessions, uint32_t number)
{
    static uint8_t out[TLS_SESSION_MAX];
    struct tls_session_id id = id_of(number);
    struct amm_identity client;
    bool known;
    return tls_sessions_get(sessions, &id, out, &client, &known) > 0;
}

static void what_is_put_is_found(void **state)
{
    (void)state;
    struct tls_sessions *sessions = tls_sessions_new(3);
    struct tls_session_id id = id_of(1);
    struct amm_identity client = {.name = "gw-1", .not_after = 4711}, found;
    uint8_t out[TLS_SESSION_MAX];
    bool known;
    tls_sessions_put(sessions, &id, amm_view_str("abc"), &client, NULL);
    assert_int_equal(tls_sessions_get(sessions, &id, out, &found, &known), 3);
    assert_memory_equal(out, "abc", 3);
    assert_true(known);
    assert_memory_equal(&found, &client, sizeof found);
    tls_sessions_put(sessions, &id, amm_view_str("anew"), NULL, &id); /* the same id once more */
    assert_int_equal(tls_sessions_get(sessions, &id, out, &found, &known), 4);
    assert_false(known);
    assert_int_equal(tls_sessions_count(sessions), 1);
    assert_false(has(sessions, 2));
    assert_null(tls_sessions_unref(sessions));
}

static void what_does_not_fit_is_not_kept(void **state)
{
    (void)state;
    static uint8_t big[TLS_SESSION_MAX + 1];
    struct tls_sessions *sessions = tls_sessions_new(3);
    struct tls_session_id id = id_of(1), little = {.len = 3};
    tls_sessions_put(sessions, &id, amm_view(big, sizeof big), NULL, NULL);
    tls_sessions_put(sessions, &id, amm_view(NULL, 0), NULL, NULL);
    tls_sessions_put(sessions, &little, amm_view_str("abc"), NULL, NULL);
    assert_int_equal(tls_sessions_count(sessions), 0);
    tls_sessions_put(sessions, &id, amm_view(big, TLS_SESSION_MAX), NULL, NULL);
    assert_int_equal(tls_sessions_count(sessions), 1);
    tls_sessions_unref(sessions);
}

static void the_least_recently_used_goes_first(void **state)
{
    (void)state;
    struct tls_sessions *sessions = tls_sessions_new(3);
    put(sessions, 1, 0);
    put(sessions, 2, 0);
    put(sessions, 3, 0);
    assert_true(has(sessions, 1));
    put(sessions, 4, 0);
    assert_true(has(sessions, 1) && !has(sessions, 2) && has(sessions, 3) && has(sessions, 4));
    assert_int_equal(tls_sessions_count(sessions), 3);
    tls_sessions_unref(sessions);
}

static void a_line_of_resumptions_keeps_its_last_two(void **state)
{
    (void)state;
    struct tls_sessions *sessions = tls_sessions_new(10);
    put(sessions, 1, 0);
    put(sessions, 2, 1);
    assert_true(has(sessions, 1) && has(sessions, 2));
    put(sessions, 3, 2);
    assert_true(!has(sessions, 1) && has(sessions, 2) && has(sessions, 3));
    put(sessions, 4, 2); /* the third never arrived */
    assert_true(has(sessions, 2) && !has(sessions, 3) && has(sessions, 4));
    put(sessions, 5, 4);
    assert_true(!has(sessions, 2) && has(sessions, 4) && has(sessions, 5));
    assert_int_equal(tls_sessions_count(sessions), 2);
    put(sessions, 6, 99); /* from one that is gone */
    assert_int_equal(tls_sessions_count(sessions), 3);
    tls_sessions_unref(sessions);
}

/* Against a list that forgets by the same rules, slowly. */
static void many_steps_agree_with_a_model(void **state)
{
    (void)state;
    enum { ROOM = 17, STEPS = 20000 };
    uint32_t recent[ROOM], n = 0; /* newest first */
    struct tls_sessions *sessions = tls_sessions_new(ROOM);
    srand(1);
    for (uint32_t step = 1; step <= STEPS; step++) {
        if (n > 0 && rand() % 2) {
            uint32_t at = (uint32_t)rand() % n, number = recent[at];
            assert_true(has(sessions, number));
            memmove(recent + 1, recent, at * sizeof recent[0]);
            recent[0] = number;
        } else {
            put(sessions, step, 0);
            n = n < ROOM ? n + 1 : ROOM;
            memmove(recent + 1, recent, (n - 1) * sizeof recent[0]);
            recent[0] = step;
        }
        assert_int_equal(tls_sessions_count(sessions), n);
    }
    for (uint32_t i = 0; i < n; i++) {
        assert_true(has(sessions, recent[i]));
    }
    tls_sessions_unref(sessions);
}

/* Lines among themselves: whatever happens, the bound holds and nothing is used after its end. */
static void lines_that_cross_stay_within_bounds(void **state)
{
    (void)state;
    for (unsigned room = 1; room < 9; room++) {
        struct tls_sessions *sessions = tls_sessions_new(room);
        srand(room);
        for (uint32_t step = 1; step < 5000; step++) {
            put(sessions, step, (uint32_t)(rand() % 4 ? step - 1 - (uint32_t)rand() % 10 : 0));
            assert_true(tls_sessions_count(sessions) <= room);
            assert_true(has(sessions, step));
        }
        tls_sessions_unref(sessions);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found),
        cmocka_unit_test(what_does_not_fit_is_not_kept),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(a_line_of_resumptions_keeps_its_last_two),
        cmocka_unit_test(many_steps_agree_with_a_model),
        cmocka_unit_test(lines_that_cross_stay_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
