/* CSV: what is taken, what is refused and in which words (threats 55). */
#include "sheet/sheet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Rows as "1:A=x|C=y;2:..." */
struct seen {
    char text[4096];
    size_t len;
};

static bool take(void *context, const struct amm_sheet_row *row)
{
    struct seen *seen = context;
    static const char kinds[] = "tnbdfx";
    char column[AMM_SHEET_COLUMN_NAME];
    if (seen->len > sizeof seen->text - 400) {
        return true;
    }
    seen->len +=
        (size_t)snprintf(seen->text + seen->len, sizeof seen->text - seen->len, "%u:", row->number);
    for (uint16_t i = 0; i < row->n && seen->len < sizeof seen->text - 300; i++) {
        const struct amm_sheet_cell *cell = &row->cells[i];
        seen->len += (size_t)snprintf(
            seen->text + seen->len, sizeof seen->text - seen->len, "%s%c=%.*s|",
            amm_sheet_column(cell->column, column), kinds[cell->kind],
            cell->text.len > 200 ? 200 : (int)cell->text.len, (const char *)cell->text.data);
    }
    return true;
}

static void expect(const char *file, size_t len, const char *rows)
{
    struct seen seen = {0};
    struct amm_sheet_sink sink = {take, &seen};
    char error[AMM_SHEET_ERROR];
    /* A copy of exactly that size, so that a byte too far is found. */
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, file, len);
    if (!amm_sheet_read(amm_view(copy, len), &sink, error)) {
        fail_msg("%s: %s", file, error);
    }
    assert_string_equal(seen.text, rows);
    free(copy);
}

static void refused(const char *file, size_t len, const char *why)
{
    struct seen seen = {0};
    struct amm_sheet_sink sink = {take, &seen};
    char error[AMM_SHEET_ERROR];
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, file, len);
    assert_false(amm_sheet_read(amm_view(copy, len), &sink, error));
    if (strstr(error, why) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", why, error);
    }
    free(copy);
}

#define EXPECT(file, rows) expect((file), sizeof(file) - 1, (rows))
#define REFUSED(file, why) refused((file), sizeof(file) - 1, (why))

static void usual_files(void **state)
{
    (void)state;
    EXPECT("a,b\r\n1,2\r\n", "1:At=a|Bt=b|2:At=1|Bt=2|");
    EXPECT("a;b\n1;2", "1:At=a|Bt=b|2:At=1|Bt=2|");
    EXPECT("a\tb\n1\t2\n", "1:At=a|Bt=b|2:At=1|Bt=2|");
    EXPECT("\xef\xbb\xbf"
           "a,b\n",
           "1:At=a|Bt=b|");
    EXPECT("sep=;\r\na,b;c\r\n", "2:At=a,b|Bt=c|");
    EXPECT("a,b\rc,d\ne,f\r\n", "1:At=a|Bt=b|2:At=c|Bt=d|3:At=e|Bt=f|");
    EXPECT("\"a,\"\"b\"\"\",\"c\r\nd\"\n", "1:At=a,\"b\"|Bt=c\r\nd|");
    EXPECT("a,,c\n,,\n\nx\n", "1:At=a|Ct=c|4:At=x|");
    EXPECT("=A1,-5,'=x,'quoted'\n", "1:Af==A1|Bt=-5|Ct==x|Dt='quoted'|");
    EXPECT("\"\"\n\"\",x\n", "2:Bt=x|");
    EXPECT("B\xc3\xbcro\n", "1:At=B\xc3\xbcro|");
    EXPECT("", "");
    EXPECT("PK", "1:At=PK|");
}

static void odd_files(void **state)
{
    (void)state;
    REFUSED("a,b\n1,\"2\n3,4\n", "B2: the quote that begins here never ends");
    REFUSED("a,\"b", "B1: the quote that begins here does not end on its line");
    REFUSED("a,b\"c\n", "B1: a lone quote");
    REFUSED("\"a\"b,c\n", "A1: text stands behind the closing quote");
    REFUSED("a,b\0c\n", "NUL bytes");
    REFUSED("\xff\xfe\x61\x00", "UTF-16");
    REFUSED("\xfe\xff\x00\x61", "UTF-16");
    REFUSED("+/v8-a", "UTF-7");
    REFUSED("B\xfcro\n", "A1: the text is not UTF-8");
    REFUSED("a,\xed\xa0\x80\n", "B1: the text is not UTF-8");
    REFUSED("a,\xc0\xaf\n", "B1: the text is not UTF-8");
    REFUSED("a,\xf4\x90\x80\x80\n", "B1: the text is not UTF-8");
    REFUSED("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "password");
}

static void limits(void **state)
{
    (void)state;
    size_t len = 100u << 20;
    char *file = malloc(len);
    memset(file, 'x', len);
    refused(file, len, "larger than 32 MiB");
    len = AMM_SHEET_FILE;
    refused(file, len, "A1: the row is longer than 262144 bytes");
    refused(file, AMM_SHEET_CELL + 1, "A1: a cell has at most 4096 bytes");
    memset(file, ',', 16384);
    file[300] = 'x';
    refused(file, 16384, "a sheet has at most 256 columns");
    for (size_t i = 0; i < len; i += 2) {
        memcpy(file + i, "x\n", 2);
    }
    refused(file, 2 * (AMM_SHEET_ROWS + 1), "A200002: a sheet has at most 200000 rows");
    free(file);
}

static void names_of_columns(void **state)
{
    (void)state;
    char name[AMM_SHEET_COLUMN_NAME];
    unsigned column;
    assert_string_equal(amm_sheet_column(0, name), "A");
    assert_string_equal(amm_sheet_column(25, name), "Z");
    assert_string_equal(amm_sheet_column(26, name), "AA");
    assert_string_equal(amm_sheet_column(255, name), "IV");
    for (unsigned i = 0; i < AMM_SHEET_COLUMNS; i++) {
        assert_true(amm_sheet_column_parse(amm_sheet_column(i, name), &column));
        assert_int_equal(column, i);
    }
    static const char *const wrong[] = {"", "IW", "AAAA", "A1", "1", "ZZZZZZZZ"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(amm_sheet_column_parse(wrong[i], &column));
    }
}

static void shortened_numbers(void **state)
{
    (void)state;
    static const char *const yes[] = {"3.5E+14", "3,5E+14", "35E+13", "1e-5", "-3.5E+14"};
    static const char *const no[] = {"",         "E+14",  "3.5E14", "3E5", "350000000000000",
                                     "3.5E+14x", "3.E+1", "1190"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        assert_true(amm_sheet_is_shortened(amm_view_str(yes[i])));
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        assert_false(amm_sheet_is_shortened(amm_view_str(no[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_files),
        cmocka_unit_test(odd_files),
        cmocka_unit_test(limits),
        cmocka_unit_test(names_of_columns),
        cmocka_unit_test(shortened_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
