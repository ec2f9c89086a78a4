/* src/acemanager/operations.h and memory.h */
#include "memory.h"
#include "operations.h"

#include "power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct power power;
static char path[ACE_PATH], error[ACE_PATH + 96];
static struct ace_operations *o;

static void reopen(void)
{
    ace_operations_free(o);
    o = ace_operations_open(&power.files, path, error, sizeof error);
    assert_non_null(o);
}

static void begin(uint64_t seed)
{
    power_init(&power, seed);
    power_path(&power, "operations", path);
    o = NULL;
    reopen();
}

static void end(void)
{
    o = ace_operations_free(o);
    power_deinit(&power);
}

static size_t results(struct amm_checkin_result out[AMM_CHECKIN_RESULTS], uint64_t *mark)
{
    size_t n = ace_operations_results(o, out, mark);
    for (size_t i = 0; i < n; i++) {
        json_decref(out[i].data);
    }
    return n;
}

static bool start_one(const char *id)
{
    return ace_operations_begin(o, id, "reboot", 3, error, sizeof error);
}

static void done(const char *id, const char *text)
{
    ace_operations_end(o, id, AMM_OPERATION_DONE, text, NULL, error, sizeof error);
}

static void results_are_told_until_they_are_heard(void **state)
{
    (void)state;
    struct amm_checkin_result out[AMM_CHECKIN_RESULTS];
    uint64_t first, second;
    begin(1);
    assert_true(start_one("a"));
    assert_int_equal(results(out, &first), 1);
    assert_int_equal(out[0].state, AMM_OPERATION_RUNNING);
    done("a", "fine");
    assert_int_equal(results(out, &second), 1);
    ace_operations_heard(o, first); /* of before it had ended */
    assert_int_equal(results(out, &second), 1);
    assert_string_equal(out[0].text, "fine");
    ace_operations_heard(o, second);
    assert_int_equal(results(out, &second), 0);
    ace_operations_again(o, "a"); /* the server asks once more */
    assert_int_equal(results(out, &second), 1);
    ace_operations_end(o, "settings-8", AMM_OPERATION_FAILED, "no", json_pack("{ss}", "x", "y"),
                       error, sizeof error);
    reopen();
    assert_int_equal(results(out, &second), 2);
    assert_int_equal(out[1].state, AMM_OPERATION_FAILED);
    end();
}

static void an_operation_is_begun_once_over_power_cuts(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 60; seed++) {
        begin(100 + seed);
        assert_true(start_one("first"));
        done("first", "");
        power.count = 0;
        power.fault_at = 1 + seed % 10;
        bool began = start_one("second");
        if (power.is_off) {
            power_restore(&power);
        }
        power_repair(&power);
        reopen();
        assert_non_null(ace_operations_find(o, "first"));
        assert_true(!began || ace_operations_find(o, "second")); /* what was done is known */
        end();
    }
}

static void the_oldest_that_was_heard_makes_room(void **state)
{
    (void)state;
    struct amm_checkin_result out[AMM_CHECKIN_RESULTS];
    uint64_t mark;
    char id[16];
    begin(2);
    for (unsigned i = 0; i < ACE_OPERATIONS; i++) {
        snprintf(id, sizeof id, "op-%u", i);
        assert_true(start_one(id));
    }
    assert_false(start_one("more")); /* all are running */
    done("op-5", "");
    results(out, &mark);
    done("op-3", "");
    ace_operations_heard(o, mark);
    assert_true(start_one("more"));
    assert_null(ace_operations_find(o, "op-5"));
    assert_non_null(ace_operations_find(o, "op-3")); /* not told yet */
    assert_int_equal(results(out, &mark), ACE_OPERATIONS - (ACE_OPERATIONS - 2));
    end();
}

/* ---- memory ---- */

static void a_start_is_counted_a_crash_is_not(void **state)
{
    (void)state;
    struct ace_memory m = {0};
    assert_true(ace_memory_start(&m, "boot-a", 1));
    assert_int_equal(m.boot, 1);
    assert_string_equal(m.reason, "first start");
    assert_false(ace_memory_start(&m, "boot-a", 2));
    assert_int_equal(m.boot, 1);
    assert_true(ace_memory_start(&m, "boot-b", 3));
    assert_string_equal(m.reason, "power on");
    snprintf(m.next_reason, sizeof m.next_reason, "reboot by user");
    assert_true(ace_memory_start(&m, "boot-b", 77)); /* without the kernel */
    assert_int_equal(m.boot, 3);
    assert_string_equal(m.reason, "reboot by user");
    assert_int_equal(m.boot_mono, 77);
    assert_false(ace_memory_start(&m, "boot-b", 78));
}

static void bytes_begin_anew_each_month(void **state)
{
    (void)state;
    struct ace_memory m = {0};
    ace_memory_count(&m, 0, ACE_TUNNEL, 5, 6);            /* the clock is not known */
    ace_memory_count(&m, 1793491200, ACE_TUNNEL, 10, 20); /* 2026-11-01 */
    assert_int_equal(m.month, 1793491200);
    assert_int_equal(m.bytes[ACE_TUNNEL].in, 15);
    ace_memory_count(&m, 1796083199, ACE_CHECKINS, 1, 1);
    assert_int_equal(m.bytes[ACE_TUNNEL].out, 26);
    ace_memory_count(&m, 1796083200, ACE_CHECKINS, 2, 3); /* 2026-12-01 */
    assert_int_equal(m.month, 1796083200);
    assert_int_equal(m.bytes[ACE_TUNNEL].in, 0);
    assert_int_equal(m.bytes[ACE_CHECKINS].out, 3);
}

static void memory_comes_back_as_it_went_or_jumps_ahead(void **state)
{
    (void)state;
    struct ace_memory m = {.boot = 7, .seq = 96, .clock = 1793500000, .month = 1793491200}, out;
    snprintf(m.server, sizeof m.server, "https://amm.example.net:8443");
    m.bytes[ACE_SOFTWARE].in = 99;
    power_init(&power, 3);
    power_path(&power, "memory", path);
    assert_true(ace_memory_read(&out, path, error, sizeof error));
    assert_int_equal(out.boot, 0);
    assert_true(ace_memory_write(&m, &power.files, path, error, sizeof error));
    assert_true(ace_memory_read(&out, path, error, sizeof error));
    assert_memory_equal(&m, &out, sizeof m);
    m.seq = 128;
    assert_true(ace_memory_write(&m, &power.files, path, error, sizeof error));
    FILE *file = fopen(path, "w");
    fputs("rotten", file);
    fclose(file);
    assert_false(ace_memory_read(&out, path, error, sizeof error));
    assert_int_equal(out.seq, 128); /* the one before, and its next block */
    power_deinit(&power);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_told_until_they_are_heard),
        cmocka_unit_test(an_operation_is_begun_once_over_power_cuts),
        cmocka_unit_test(the_oldest_that_was_heard_makes_room),
        cmocka_unit_test(a_start_is_counted_a_crash_is_not),
        cmocka_unit_test(bytes_begin_anew_each_month),
        cmocka_unit_test(memory_comes_back_as_it_went_or_jumps_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
