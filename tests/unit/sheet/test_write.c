/* What is written is read back, and never as a formula (threats 56). */
#include "sheet/sheet.h"
#include "sheet/write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const hostile[] = {
    "=HYPERLINK(\"http://x\",\"y\")",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "=",
    "'=x",
    "a,b;c\td\"e",
    "line\nbreak",
    " blank ",
    "ü€😀",
    "3.5E+14",
    "1234567890123456",
};
enum { N = sizeof hostile / sizeof hostile[0] };

struct check {
    size_t row, formulas;
};

static bool take(void *context, const struct amm_sheet_row *row)
{
    struct check *check = context;
    if (row->number == 1) {
        return true;
    }
    for (uint16_t i = 0; i < row->n; i++) {
        check->formulas += row->cells[i].kind == AMM_SHEET_FORMULA;
    }
    const struct amm_sheet_cell *cell = &row->cells[0];
    assert_int_equal(cell->kind, AMM_SHEET_TEXT);
    if (cell->text.len != strlen(hostile[check->row]) ||
        memcmp(cell->text.data, hostile[check->row], cell->text.len) != 0) {
        fail_msg("%s came back as %.*s", hostile[check->row], (int)cell->text.len,
                 (const char *)cell->text.data);
    }
    check->row++;
    return true;
}

static struct amm_span write_all(enum amm_sheet_format format)
{
    struct amm_sheet_writer *writer = amm_sheet_writer(format, "Gateways");
    struct amm_span file;
    assert_non_null(writer);
    amm_sheet_put_text(writer, "text");
    amm_sheet_put_text(writer, "number");
    amm_sheet_put_row(writer);
    for (size_t i = 0; i < N; i++) {
        amm_sheet_put_text(writer, hostile[i]);
        amm_sheet_put_number(writer, i % 2 ? INT64_MAX : (int64_t)i);
        amm_sheet_put_real(writer, -0.5);
        amm_sheet_put_row(writer);
    }
    assert_true(amm_sheet_writer_end(writer, &file));
    return file;
}

static void read_back(enum amm_sheet_format format)
{
    struct amm_span file = write_all(format);
    struct check check = {0};
    struct amm_sheet_sink sink = {take, &check};
    char error[AMM_SHEET_ERROR];
    if (!amm_sheet_read(amm_view_of(file), &sink, error)) {
        fail_msg("%s", error);
    }
    assert_int_equal(check.row, N);
    assert_int_equal(check.formulas, 0);
    free(file.data);
}

static void csv_comes_back(void **state)
{
    (void)state;
    read_back(AMM_SHEET_CSV);
    struct amm_span file = write_all(AMM_SHEET_CSV);
    /* As any other program sees it: no cell begins with one of the signs. */
    for (size_t i = 1; i < file.len; i++) {
        bool begins = file.data[i - 1] == ',' ||
                      (file.data[i - 1] == '"' && i > 1 && file.data[i - 2] == '\n');
        if (begins && file.data[i] == '=') {
            fail_msg("a formula at byte %zu", i);
        }
    }
    free(file.data);
}

static void xlsx_comes_back(void **state)
{
    (void)state;
    read_back(AMM_SHEET_XLSX);
}

static void dropped_in_the_middle(void **state)
{
    (void)state;
    for (enum amm_sheet_format format = AMM_SHEET_CSV; format <= AMM_SHEET_XLSX; format++) {
        struct amm_sheet_writer *writer = amm_sheet_writer(format, NULL);
        amm_sheet_put_text(writer, "x");
        amm_sheet_writer_drop(writer);
    }
    amm_sheet_writer_drop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(csv_comes_back),
                                       cmocka_unit_test(xlsx_comes_back),
                                       cmocka_unit_test(dropped_in_the_middle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
