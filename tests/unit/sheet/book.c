#include "book.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <zip.h>

#include <cmocka.h>

struct amm_span book_of(const struct book_part *parts)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_source_keep(source);
    zip_t *zip = zip_open_from_source(source, ZIP_TRUNCATE, &error);
    assert_non_null(zip);
    for (; parts->name != NULL; parts++) {
        size_t len = parts->len != 0 ? parts->len : strlen(parts->text);
        zip_source_t *part = zip_source_buffer(zip, parts->text, len, 0);
        assert_true(zip_file_add(zip, parts->name, part, ZIP_FL_ENC_UTF_8) >= 0);
    }
    assert_int_equal(zip_close(zip), 0);
    zip_stat_t stat;
    assert_int_equal(zip_source_stat(source, &stat), 0);
    struct amm_span file = {malloc(stat.size), stat.size};
    assert_int_equal(zip_source_open(source), 0);
    assert_int_equal(zip_source_read(source, file.data, file.len), (zip_int64_t)file.len);
    zip_source_close(source);
    zip_source_free(source);
    zip_error_fini(&error);
    return file;
}

struct amm_span book(const char *sheet_data, const char *strings, const char *styles)
{
    size_t room = strlen(sheet_data) + 256;
    char *sheet = malloc(room);
    snprintf(sheet, room, "<worksheet><sheetData>%s</sheetData></worksheet>", sheet_data);
    struct book_part parts[] = {
        {"xl/workbook.xml", BOOK_WORKBOOK, 0},
        {"xl/_rels/workbook.xml.rels", BOOK_RELATIONS, 0},
        {"xl/worksheets/sheet1.xml", sheet, 0},
        {"xl/sharedStrings.xml", strings != NULL ? strings : "<sst/>", 0},
        {"xl/styles.xml", styles != NULL ? styles : "<styleSheet/>", 0},
        {NULL, NULL, 0},
    };
    struct amm_span file = book_of(parts);
    free(sheet);
    return file;
}
