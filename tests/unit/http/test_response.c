/* responses.txt: what is tolerated, what is refused and by which rule, and how it is framed. */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char path[] = HTTP_TABLE; /* the file, from the build */

static void each_response_ends_as_the_table_says(void **state)
{
    (void)state;
    table_expect(path, true, 140);
}

static void a_cut_anywhere_changes_nothing(void **state)
{
    (void)state;
    table_cut(path, true);
}

static void byte_by_byte_changes_nothing(void **state)
{
    (void)state;
    table_drip(path, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_response_ends_as_the_table_says),
        cmocka_unit_test(a_cut_anywhere_changes_nothing),
        cmocka_unit_test(byte_by_byte_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
