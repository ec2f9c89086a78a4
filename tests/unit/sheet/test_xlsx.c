/* XLSX: what is taken, and the bad workbooks of threats 53 and 54, each refused in its own words.
 */
#include "book.h"
#include "sheet/sheet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct seen {
    char text[8192];
    size_t len, rows;
};

static bool take(void *context, const struct amm_sheet_row *row)
{
    struct seen *seen = context;
    static const char kinds[] = "tnbdfx";
    char column[AMM_SHEET_COLUMN_NAME];
    seen->rows++;
    for (uint16_t i = 0; i < row->n && seen->len < sizeof seen->text - 400; i++) {
        const struct amm_sheet_cell *cell = &row->cells[i];
        seen->len += (size_t)snprintf(
            seen->text + seen->len, sizeof seen->text - seen->len, "%s%u%c=%.*s|",
            amm_sheet_column(cell->column, column), row->number, kinds[cell->kind],
            cell->text.len > 200 ? 200 : (int)cell->text.len, (const char *)cell->text.data);
    }
    return true;
}

static bool read_it(struct amm_span file, struct seen *seen, char *error)
{
    struct amm_sheet_sink sink = {take, seen};
    *seen = (struct seen){0};
    return amm_sheet_read(amm_view_of(file), &sink, error);
}

static void takes(struct amm_span file, const char *rows)
{
    struct seen seen;
    char error[AMM_SHEET_ERROR];
    if (!read_it(file, &seen, error)) {
        fail_msg("%s", error);
    }
    assert_string_equal(seen.text, rows);
    free(file.data);
}

static void refuses(struct amm_span file, const char *why)
{
    struct seen seen;
    char error[AMM_SHEET_ERROR];
    assert_false(read_it(file, &seen, error));
    if (strstr(error, why) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", why, error);
    }
    free(file.data);
}

static void cells_of_all_kinds(void **state)
{
    (void)state;
    takes(book("<row r='1'><c r='A1' t='s'><v>0</v></c><c r='B1' t='s'><v>1</v></c></row>"
               "<row r='3'><c r='B3'><v>1192</v></c><c r='C3' t='b'><v>1</v></c>"
               "<c t='inlineStr'><is><t>in</t><r><t>line</t></r></is></c>"
               "<c r='F3' t='str'><v>x</v></c><c r='G3' t='e'><v>#N/A</v></c></row>",
               "<sst><si><t>a&amp;b</t></si><si><r><t>ri</t></r><r><t>ch</t></r>"
               "<rPh><t>no</t></rPh></si></sst>",
               NULL),
          "A1t=a&b|B1t=rich|B3n=1192|C3b=TRUE|D3t=inline|F3t=x|G3x=#N/A|");
    /* Without any r=. */
    takes(
        book("<row><c><v>1</v></c><c/><c><v>3</v></c></row><row><c><v>4</v></c></row>", NULL, NULL),
        "A1n=1|C1n=3|A2n=4|");
    takes(book("<row r='1'><c r='A1'><f>A2+1</f><v>7</v></c><c r='B1'><v>7</v><f>X</f></c>"
               "<c r='C1'><f t='shared' si='0'/><v>1</v></c></row>",
               NULL, NULL),
          "A1f=A2+1|B1f=X|C1f==|");
    takes(book("<row r='1'><c r='A1'><v>3.5E+14</v></c></row>", NULL, NULL), "A1n=3.5E+14|");
    takes(book("", NULL, NULL), "");
}

static void dates_are_known_by_their_style(void **state)
{
    (void)state;
    takes(
        book("<row r='1'><c r='A1' s='0'><v>1</v></c><c r='B1' s='1'><v>2</v></c>"
             "<c r='C1' s='2'><v>3</v></c><c r='D1' s='3'><v>4</v></c><c r='E1' s='4'><v>5</v></c>"
             "<c r='F1' t='d'><v>2026-11-24</v></c></row>",
             NULL,
             "<styleSheet><numFmts><numFmt numFmtId='164' formatCode='yyyy\\-mm\\-dd'/>"
             "<numFmt numFmtId='165' formatCode='[h]:mm'/>"
             "<numFmt numFmtId='166' formatCode='&quot;days&quot; 0 [Red]'/></numFmts>"
             "<cellStyleXfs><xf numFmtId='14'/></cellStyleXfs><cellXfs><xf numFmtId='0'/>"
             "<xf numFmtId='14'/><xf numFmtId='164'/><xf numFmtId='165'/><xf numFmtId='166'/>"
             "</cellXfs></styleSheet>"),
        "A1n=1|B1d=2|C1d=3|D1d=4|E1n=5|F1d=2026-11-24|");
}

static void bad_cells(void **state)
{
    (void)state;
    static const struct {
        const char *sheet, *why;
    } cases[] = {
        {"<row r='99999999'><c><v>1</v></c></row>", "a sheet has at most 200000 rows"},
        {"<row r='4294967297'><c><v>1</v></c></row>", "is damaged"},
        {"<row r='0'><c><v>1</v></c></row>", "is damaged"},
        {"<row r='-1'><c><v>1</v></c></row>", "is damaged"},
        {"<row r='2'/><row r='1'/>", "follows row 2"},
        {"<row r='1'><c r='ZZZZZZZZ1'><v>1</v></c></row>", "columns A to IV"},
        {"<row r='1'><c r='XFD1'><v>1</v></c></row>", "columns A to IV"},
        {"<row r='1'><c r='A2'><v>1</v></c></row>", "is not one of this row's"},
        {"<row r='1'><c r='B1'><v>1</v></c><c r='A1'><v>1</v></c></row>", "in disorder"},
        {"<row r='1'><c r='A1'><v>1</v></c><c r='A1'><v>1</v></c></row>", "in disorder"},
        {"<row r='1'><c r='A1' t='s'><v>4294967299</v></c></row>", "A1: the workbook is damaged"},
        {"<row r='1'><c r='A1' t='s'><v>0</v></c></row>", "A1: the workbook is damaged"},
        {"<row r='1'><c r='A1' t='s'><v>x</v></c></row>", "A1: the workbook is damaged"},
        {"<row r='1'><c r='A1'><v>1</v></c>", "XML is broken"},
        {"<row r='1'>&boom;</row>", "XML is broken"},
        {"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a>"
         "</a></a></a></a></a></a></a></a>",
         "nested too deeply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refuses(book(cases[i].sheet, NULL, NULL), cases[i].why);
    }
}

static char *repeat(const char *head, const char *piece, size_t n, const char *tail)
{
    size_t len = strlen(piece), used = strlen(head);
    char *text = malloc(used + n * len + strlen(tail) + 1);
    memcpy(text, head, used);
    for (size_t i = 0; i < n; i++, used += len) {
        memcpy(text + used, piece, len);
    }
    memcpy(text + used, tail, strlen(tail) + 1);
    return text;
}

static void too_much_of_it(void **state)
{
    (void)state;
    char *text = repeat("<sst>", "<si><t>a</t></si>", 1000000, "</sst>");
    refuses(book("", text, NULL), "200 times"); /* that many equal ones are a bomb already */
    free(text);
    text = repeat("<row r='1'>", "<c><v>1</v></c>", 16384, "</row>");
    refuses(book(text, NULL, NULL), "at most 256 columns");
    free(text);
    text = repeat("", "<row><c><v>1</v></c></row>", 200002, "");
    refuses(book(text, NULL, NULL), "200");
    free(text);
    text = repeat("<row r='1'><c t='inlineStr'><is><t>", "0123456789abcdef", 400,
                  "</t></is></c></row>");
    refuses(book(text, NULL, NULL), "A1: a cell has at most 4096 bytes");
    free(text);
    /* 50 MB in 50 kB: stopped long before. */
    char *zeros = calloc(1, 50u << 20);
    struct book_part parts[] = {{"xl/workbook.xml", BOOK_WORKBOOK, 0},
                                {"xl/_rels/workbook.xml.rels", BOOK_RELATIONS, 0},
                                {"xl/worksheets/sheet1.xml", zeros, 50u << 20},
                                {NULL, NULL, 0}};
    memset(zeros, ' ', 50u << 20);
    parts[1].text = "<Relationships>" BOOK_RELATION("rId1", "worksheet",
                                                    "worksheets/sheet1.xml") "</Relationships>";
    refuses(book_of(parts), "a zip bomb");
    free(zeros);
}

/* Shared strings that do not pack well: a million of them meets its own limit. */
static void a_million_texts(void **state)
{
    (void)state;
    enum { N = 700000, EACH = 40 };
    char *text = malloc((size_t)N * EACH + 64);
    uint32_t random = 1;
    size_t used = 5;
    memcpy(text, "<sst>", 5);
    for (unsigned i = 0; i < N; i++) {
        random = random * 1664525 + 1013904223;
        used += (size_t)snprintf(text + used, EACH, "<si><t>%08x%06x</t></si>", random, i);
    }
    memcpy(text + used, "</sst>", 7);
    refuses(book("", text, NULL), "more than 600000 different texts");
    free(text);
}

static void documents_that_name_others(void **state)
{
    (void)state;
    static const char *const sheets[] = {
        "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><worksheet/>",
        "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><worksheet>&a;</worksheet>",
        "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>"
        "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><worksheet>&c;</worksheet>",
        "<?xml version='1.0'?><!DOCTYPE x PUBLIC '-//x' 'http://192.0.2.1/x'><worksheet/>"};
    for (size_t where = 0; where < 4; where++) {
        for (size_t i = 0; i < sizeof sheets / sizeof sheets[0]; i++) {
            struct book_part parts[] = {
                {"xl/workbook.xml", where == 0 ? sheets[i] : BOOK_WORKBOOK, 0},
                {"xl/_rels/workbook.xml.rels", where == 1 ? sheets[i] : BOOK_RELATIONS, 0},
                {"xl/sharedStrings.xml", where == 2 ? sheets[i] : "<sst/>", 0},
                {"xl/styles.xml", "<s/>", 0},
                {"xl/worksheets/sheet1.xml", where == 3 ? sheets[i] : "<worksheet/>", 0},
                {NULL, NULL, 0}};
            refuses(book_of(parts), "has a document type (DTD)");
        }
    }
}

static void relations_that_lead_elsewhere(void **state)
{
    (void)state;
    static const struct {
        const char *relations, *why;
    } cases[] = {
        {BOOK_RELATION("rId1", "worksheet", "../../../etc/passwd"), "leads out of it"},
        {BOOK_RELATION("rId1", "worksheet", "file:///etc/passwd"), "leads out of it"},
        {BOOK_RELATION("rId1", "worksheet", "a%2e%2e/x"), "leads out of it"},
        {"<Relationship Id='rId1' Type='x/worksheet' TargetMode='External' Target='http://x/'/>",
         "refers to another file or address"},
        {BOOK_RELATION("rId9", "worksheet", "worksheets/sheet1.xml"), "its sheet is not in it"},
        {BOOK_RELATION("rId1", "worksheet", "worksheets/none.xml"), "has no part"},
        {"<Relationship Id='rId1'/>", "a relationship without a target"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char relations[400];
        snprintf(relations, sizeof relations, "<Relationships>%s</Relationships>",
                 cases[i].relations);
        struct book_part parts[] = {{"xl/workbook.xml", BOOK_WORKBOOK, 0},
                                    {"xl/_rels/workbook.xml.rels", relations, 0},
                                    {"xl/worksheets/sheet1.xml", "<worksheet/>", 0},
                                    {NULL, NULL, 0}};
        refuses(book_of(parts), cases[i].why);
    }
}

static void odd_parts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *why;
    } cases[] = {{"../evil", "leads out of it"},
                 {"/etc/passwd", "leads out of it"},
                 {"a/../b", "leads out of it"},
                 {"c:\\x", "leads out of it"},
                 {"xl/vbaProject.bin", "macros"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct book_part parts[] = {
            {"xl/workbook.xml", BOOK_WORKBOOK, 0}, {cases[i].name, "x", 0}, {NULL, NULL, 0}};
        refuses(book_of(parts), cases[i].why);
    }
    struct book_part parts[202] = {{NULL, NULL, 0}};
    char names[201][16];
    for (size_t i = 0; i < 201; i++) {
        snprintf(names[i], sizeof names[i], "p%zu", i);
        parts[i] = (struct book_part){names[i], "x", 0};
    }
    refuses(book_of(parts), "more than 200 parts");
    static const char utf16[] = "<\0w\0o\0r\0k\0/\0>\0";
    struct book_part wide[] = {{"xl/workbook.xml", utf16, sizeof utf16 - 1}, {NULL, NULL, 0}};
    refuses(book_of(wide), "XML is UTF-16");
}

/* ---- the ZIP file itself, changed byte by byte ---- */

static size_t find(struct amm_span file, uint32_t magic, unsigned nth)
{
    for (size_t i = 0; i + 4 <= file.len; i++) {
        uint32_t here = file.data[i] | (uint32_t)file.data[i + 1] << 8 |
                        (uint32_t)file.data[i + 2] << 16 | (uint32_t)file.data[i + 3] << 24;
        if (here == magic && nth-- == 0) {
            return i;
        }
    }
    fail_msg("no %08x", magic);
    return 0;
}

enum { ENTRY = 0x02014b50, END = 0x06054b50 };

static struct amm_span good(void)
{
    return book("<row r='1'><c r='A1'><v>1</v></c></row>", NULL, NULL);
}

static void layouts(void **state)
{
    (void)state;
    struct amm_span file = good();
    size_t entry = find(file, ENTRY, 1);
    memcpy(file.data + entry + 42, file.data + find(file, ENTRY, 0) + 42, 4); /* same bytes */
    refuses(file, "damaged");                                                 /* other name */

    file = good(); /* the first part reaches into the second */
    entry = find(file, ENTRY, 0);
    file.data[entry + 20] = (uint8_t)(file.data[entry + 20] + 40);
    refuses(file, "overlap");

    file = good();
    entry = find(file, ENTRY, 0);
    file.data[entry + 8] |= 1;
    refuses(file, "encrypted");

    file = good();
    entry = find(file, ENTRY, 0);
    file.data[entry + 10] = 14; /* LZMA */
    refuses(file, "packed in a way");

    file = good();
    memset(file.data + find(file, END, 0) + 16, 0xff, 4);
    refuses(file, "damaged");

    file = good();
    file.len -= 30; /* cut off */
    refuses(file, "damaged");

    for (size_t cut = 4; cut < 200; cut++) {
        file = good();
        file.len = cut;
        refuses(file, "damaged");
    }
}

/* A byte of the packed data changed: a broken part, never another sheet, never a crash. */
static void each_byte(void **state)
{
    (void)state;
    struct amm_span file = good();
    for (size_t i = 0; i < file.len; i++) {
        struct amm_span copy = {malloc(file.len), file.len};
        struct seen seen;
        char error[AMM_SHEET_ERROR];
        memcpy(copy.data, file.data, file.len);
        copy.data[i] ^= 0x55;
        if (read_it(copy, &seen, error)) {
            assert_true(seen.rows <= 1);
        } else {
            assert_string_not_equal(error, "");
        }
        free(copy.data);
    }
    free(file.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_of_all_kinds),
        cmocka_unit_test(dates_are_known_by_their_style),
        cmocka_unit_test(bad_cells),
        cmocka_unit_test(too_much_of_it),
        cmocka_unit_test(a_million_texts),
        cmocka_unit_test(documents_that_name_others),
        cmocka_unit_test(relations_that_lead_elsewhere),
        cmocka_unit_test(odd_parts),
        cmocka_unit_test(layouts),
        cmocka_unit_test(each_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
