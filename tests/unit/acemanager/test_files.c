/* src/acemanager/files.h: records over power cuts. */
#include "files.h"

#include "power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char error[ACE_PATH + 96];

static bool put(struct power *p, const char *path, const char *text)
{
    return ace_record_write(&p->files, path, amm_view_str(text), error, sizeof error);
}

static bool holds(const char *path, const char *text)
{
    struct amm_span content;
    enum ace_record found = ace_record_read(path, 4096, &content);
    if (found != ACE_RECORD_GOOD && found != ACE_RECORD_PREVIOUS) {
        return false;
    }
    bool same = strcmp((const char *)content.data, text) == 0;
    free(content.data);
    return same;
}

static void a_record_is_the_former_or_the_new_one(void **state)
{
    (void)state;
    static const enum power_fault faults[] = {POWER_CUT, POWER_NO_ROOM, POWER_ERROR};
    unsigned cuts = 0;
    for (unsigned seed = 0; seed < 120; seed++) {
        for (unsigned at = 1; at <= 12; at++) {
            struct power p;
            char path[ACE_PATH];
            power_init(&p, seed * 100 + at);
            power_path(&p, "record", path);
            assert_true(put(&p, path, "one"));
            assert_true(put(&p, path, "two"));
            p.count = 0;
            p.fault_at = at;
            p.fault = faults[seed % 3];
            bool ok = put(&p, path, "three");
            cuts += p.is_off;
            if (p.is_off) {
                power_restore(&p);
            }
            power_repair(&p);
            assert_true(holds(path, "three") || (!ok && holds(path, "two")));
            assert_true(put(&p, path, "four"));
            assert_true(holds(path, "four"));
            power_deinit(&p);
        }
    }
    assert_true(cuts > 200);
}

static void damage_falls_back_to_the_one_before(void **state)
{
    (void)state;
    struct power p;
    char path[ACE_PATH];
    struct amm_span content;
    power_init(&p, 1);
    power_path(&p, "record", path);
    assert_int_equal(ace_record_read(path, 4096, &content), ACE_RECORD_NONE);
    assert_true(put(&p, path, "one"));
    assert_true(put(&p, path, "two"));
    FILE *file = fopen(path, "r+");
    fseek(file, -1, SEEK_END);
    fputc('x', file);
    fclose(file);
    assert_int_equal(ace_record_read(path, 4096, &content), ACE_RECORD_PREVIOUS);
    assert_string_equal((char *)content.data, "one");
    free(content.data);
    /* The damaged one does not push the good one out. */
    assert_true(put(&p, path, "three"));
    truncate(path, 3);
    assert_int_equal(ace_record_read(path, 4096, &content), ACE_RECORD_PREVIOUS);
    assert_string_equal((char *)content.data, "one");
    free(content.data);
    assert_true(ace_record_remove(&p.files, path));
    assert_int_equal(ace_record_read(path, 4096, &content), ACE_RECORD_NONE);
    power_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_the_former_or_the_new_one),
        cmocka_unit_test(damage_falls_back_to_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
