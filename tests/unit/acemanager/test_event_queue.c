/* src/acemanager/event_queue.h */
#include "event_queue.h"

#include "power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct power power;
static struct ace_event_queue *queue;
static char error[ACE_PATH + 96];
static const struct ace_event_time now = {1793500000, true, 1, 100};

static void reopen(void)
{
    ace_event_queue_free(queue);
    queue = ace_event_queue_open(&power.files, power.folder, error, sizeof error);
    assert_non_null(queue);
}

static void begin(uint64_t seed)
{
    power_init(&power, seed);
    queue = NULL;
    reopen();
}

static void end(void)
{
    queue = ace_event_queue_free(queue);
    power_deinit(&power);
}

static void add(unsigned number)
{
    char text[32];
    snprintf(text, sizeof text, "event %u", number);
    ace_event_queue_add(queue, &now, "test", text, NULL);
}

static bool flush(void)
{
    return ace_event_queue_flush(queue, error, sizeof error);
}

static size_t oldest(struct amm_checkin_event *out, size_t n)
{
    size_t have = ace_event_queue_oldest(queue, 0, &now, out, n);
    for (size_t i = 0; i < have; i++) {
        json_decref(out[i].data);
        out[i].data = NULL;
    }
    return have;
}

static void events_come_in_order_and_once(void **state)
{
    (void)state;
    struct amm_checkin_event out[16];
    begin(1);
    for (unsigned i = 1; i <= 10; i++) {
        add(i);
    }
    assert_int_equal(oldest(out, 16), 0); /* what is not on disk is not told */
    assert_int_equal(ace_event_queue_ready(queue), 0);
    assert_true(flush());
    assert_int_equal(ace_event_queue_ready(queue), 10);
    assert_int_equal(oldest(out, 4), 4);
    assert_int_equal(out[0].id, 1);
    assert_string_equal(out[3].text, "event 4");
    assert_true(ace_event_queue_acknowledge(queue, 4, error, sizeof error));
    assert_true(ace_event_queue_acknowledge(queue, 99, error, sizeof error)); /* not ours */
    reopen();
    assert_int_equal(ace_event_queue_waiting(queue), 6);
    assert_int_equal(ace_event_queue_ready(queue), 6);
    assert_int_equal(oldest(out, 16), 6);
    assert_int_equal(out[0].id, 5);
    assert_int_equal(ace_event_queue_newest(queue, &now, out, 16), 10); /* the page shows all */
    assert_string_equal(out[0].text, "event 10");
    add(11);
    assert_int_equal(ace_event_queue_newest(queue, &now, out, 1), 1);
    assert_string_equal(out[0].text, "event 11");
    end();
}

static void the_newest_ten_thousand_are_kept(void **state)
{
    (void)state;
    enum { MORE = 300 };
    struct amm_checkin_event out[1];
    begin(2);
    for (unsigned i = 1; i <= ACE_EVENTS_MAX + MORE; i++) {
        add(i);
        if (i % 100 == 0) {
            assert_true(flush());
        }
    }
    assert_int_equal(ace_event_queue_waiting(queue), ACE_EVENTS_MAX);
    assert_int_equal(ace_event_queue_lost(queue), MORE);
    assert_int_equal(oldest(out, 1), 1);
    assert_int_equal(out[0].id, MORE + 1);
    reopen();
    assert_int_equal(ace_event_queue_waiting(queue), ACE_EVENTS_MAX);
    assert_int_equal(ace_event_queue_lost(queue), MORE);
    assert_true(ace_event_queue_acknowledge(queue, ACE_EVENTS_MAX + MORE, error, sizeof error));
    reopen();
    assert_int_equal(ace_event_queue_waiting(queue), 0);
    assert_int_equal(ace_event_queue_last(queue), ACE_EVENTS_MAX + MORE);
    end();
}

static void times_before_the_clock_was_set_are_put_right(void **state)
{
    (void)state;
    struct amm_checkin_event out[2];
    const struct ace_event_time early = {30, false, 7, 5}, later = {1793500000, true, 7, 65},
                                other = {1793500000, true, 8, 65};
    begin(3);
    ace_event_queue_add(queue, &early, "boot", "power on", NULL);
    assert_true(flush());
    assert_int_equal(ace_event_queue_oldest(queue, 0, &later, out, 2), 1);
    assert_int_equal(out[0].at, 1793500000 - 60);
    assert_int_equal(ace_event_queue_oldest(queue, 0, &other, out, 2), 1);
    assert_int_equal(out[0].at, 30); /* of another start: nobody knows */
    end();
}

static void hostile_and_large_texts_are_harmless(void **state)
{
    (void)state;
    struct amm_checkin_event out[4];
    static char large[8192];
    memset(large, '"', sizeof large - 1);
    begin(4);
    json_t *data = json_pack("{ss}", "x", large);
    ace_event_queue_add(queue, &now, "login-refused", "a\nb\x1b[2J\xff", data);
    ace_event_queue_add(queue, &now, "login-refused", large, NULL);
    json_decref(data);
    assert_true(flush());
    reopen();
    assert_int_equal(ace_event_queue_oldest(queue, 0, &now, out, 4), 2);
    assert_string_equal(out[0].text, "a_b_[2J_");
    assert_null(out[0].data); /* too large, left out */
    assert_int_equal(strlen(out[1].text), AMM_CHECKIN_TEXT - 1);
    end();
}

static void a_rotten_line_is_counted_and_skipped(void **state)
{
    (void)state;
    struct amm_checkin_event out[4];
    char path[ACE_PATH];
    begin(5);
    for (unsigned i = 1; i <= 3; i++) {
        add(i);
    }
    assert_true(flush());
    FILE *file = fopen(power_path(&power, "events-0000000000000001", path), "r+");
    assert_non_null(file);
    char line[512];
    assert_non_null(fgets(line, sizeof line, file));
    fseek(file, (long)strlen(line) + 30, SEEK_SET);
    fputc('#', file);
    fclose(file);
    reopen();
    assert_int_equal(oldest(out, 4), 2);
    assert_int_equal(out[1].id, 3);
    assert_int_equal(ace_event_queue_lost(queue), 1);
    add(4);
    assert_true(flush());
    assert_int_equal(oldest(out, 4), 3);
    end();
}

/* What the model knows: ids that were safe, and ids that were acknowledged for sure. */
struct model {
    uint64_t safe;         /* all up to here were flushed */
    uint64_t acknowledged; /* all up to here were, and that is on disk */
    uint64_t asked;        /* acknowledged, perhaps */
};

static void check(const struct model *m)
{
    static struct amm_checkin_event out[2048];
    size_t n = oldest(out, 2048);
    uint64_t expected = n > 0 ? out[0].id : m->safe + 1;
    assert_true(expected > m->acknowledged);
    assert_true(expected <= m->asked + 1 || n == 0);
    for (size_t i = 0; i < n; i++) {
        char text[32];
        assert_int_equal(out[i].id, expected + i);
        if (out[i].id <= m->safe) {
            snprintf(text, sizeof text, "event %u", (unsigned)out[i].id);
            assert_string_equal(out[i].text, text);
        }
    }
    if (m->safe > m->asked) {
        assert_true(n > 0 && out[n - 1].id >= m->safe);
    }
    assert_true(ace_event_queue_last(queue) >= m->safe);
}

static void power_cuts_lose_nothing_that_was_safe(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 120; seed++) {
        struct model m = {0};
        begin(2000 + seed);
        struct amm_random random = power.random;
        for (unsigned life = 0; life < 6; life++) {
            power.count = 0;
            power.fault = seed % 3 == 2 ? POWER_NO_ROOM : POWER_CUT;
            power.fault_at = 1 + (unsigned)amm_random_below(&random, 60);
            for (unsigned step = 0; step < 40 && !power.is_off; step++) {
                unsigned n = (unsigned)amm_random_below(&random, 30);
                for (unsigned i = 0; i < n && !power.is_full; i++) {
                    add((unsigned)ace_event_queue_last(queue) + 1);
                }
                if (flush()) {
                    m.safe = ace_event_queue_last(queue);
                }
                if (amm_random_below(&random, 3) == 0 && m.safe > m.asked) {
                    m.asked += 1 + amm_random_below(&random, m.safe - m.asked);
                    if (ace_event_queue_acknowledge(queue, m.asked, error, sizeof error)) {
                        m.acknowledged = m.asked;
                    }
                }
            }
            if (power.is_off) {
                power_restore(&power);
                reopen();
            }
            power_repair(&power);
            if (flush()) { /* what was held while there was no room */
                m.safe =
                    ace_event_queue_last(queue) > m.safe ? ace_event_queue_last(queue) : m.safe;
            }
            check(&m);
            m.safe = ace_event_queue_last(queue);
        }
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_order_and_once),
        cmocka_unit_test(the_newest_ten_thousand_are_kept),
        cmocka_unit_test(times_before_the_clock_was_set_are_put_right),
        cmocka_unit_test(hostile_and_large_texts_are_harmless),
        cmocka_unit_test(a_rotten_line_is_counted_and_skipped),
        cmocka_unit_test(power_cuts_lose_nothing_that_was_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
