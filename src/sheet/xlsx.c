/* The cells of an XLSX sheet. */
#include "workbook.h"
#include "xml.h"

#include <stdio.h>
#include <stdlib.h>

enum { REFERENCE_MAX = 16 };

enum cell_type {
    TYPE_NUMBER,
    TYPE_SHARED,
    TYPE_STRING,
    TYPE_INLINE,
    TYPE_BOOL,
    TYPE_FAULT,
    TYPE_DATE
};

struct rows {
    struct workbook *book;
    const struct amm_sheet_sink *sink;
    uint32_t number, last; /* of the row; of the one before */
    unsigned column;       /* of the cell */
    unsigned next_column;  /* of a cell without r= */
    bool in_sheet_data, in_row, in_cell, in_value, in_formula, in_phonetic, has_formula;
    enum cell_type type;
    uint32_t style;
    uint16_t n;
    size_t used, start; /* of `text`; where the cell's begins */
    bool was_stopped;   /* by the sink */
    struct amm_sheet_cell cells[AMM_SHEET_COLUMNS];
    uint8_t text[AMM_SHEET_LINE];
};

static void refuse_cell(struct xml *xml, const char *what)
{
    struct rows *rows = xml->context;
    char column[AMM_SHEET_COLUMN_NAME];
    xml_refuse(xml, "%s%u: %s", amm_sheet_column(rows->column, column), rows->number, what);
}

static bool parse_row_number(const char *text, uint32_t *out)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    *out = (uint32_t)number;
    return text[0] >= '1' && text[0] <= '9' && *end == '\0' && number <= UINT32_MAX;
}

static void start_row(struct xml *xml, const char **attributes)
{
    struct rows *rows = xml->context;
    const char *r = xml_attribute(attributes, "r");
    uint32_t number = rows->last + 1;
    if (r != NULL && (!parse_row_number(r, &number) || number <= rows->last)) {
        xml_refuse(xml, "The workbook is damaged: row \"%.16s\" follows row %u.", r, rows->last);
        return;
    }
    if (number > AMM_SHEET_ROWS) {
        xml_refuse(xml,
                   "Row %u: a sheet has at most 200000 rows below its headings. Delete the "
                   "empty ones, or split it.",
                   number);
        return;
    }
    rows->number = rows->last = number;
    rows->in_row = true;
    rows->n = 0;
    rows->used = 0;
    rows->next_column = 0;
}

/* "C119": letters, then the row's own number. */
static bool parse_reference(const struct rows *rows, const char *r, unsigned *column)
{
    char letters[AMM_SHEET_COLUMN_NAME];
    size_t n = strcspn(r, "0123456789");
    uint32_t number;
    if (n == 0 || n >= sizeof letters || strlen(r) > REFERENCE_MAX) {
        return false;
    }
    memcpy(letters, r, n);
    letters[n] = '\0';
    return amm_sheet_column_parse(letters, column) && parse_row_number(r + n, &number) &&
           number == rows->number;
}

static enum cell_type type_of(const char *t)
{
    static const struct {
        const char *name;
        enum cell_type type;
    } types[] = {
        {"n", TYPE_NUMBER}, {"s", TYPE_SHARED}, {"str", TYPE_STRING}, {"inlineStr", TYPE_INLINE},
        {"b", TYPE_BOOL},   {"e", TYPE_FAULT},  {"d", TYPE_DATE}};
    for (size_t i = 0; t != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(t, types[i].name) == 0) {
            return types[i].type;
        }
    }
    return TYPE_NUMBER;
}

static void start_cell(struct xml *xml, const char **attributes)
{
    struct rows *rows = xml->context;
    const char *r = xml_attribute(attributes, "r"), *s = xml_attribute(attributes, "s");
    rows->column = rows->next_column;
    if (r != NULL && !parse_reference(rows, r, &rows->column)) {
        xml_refuse(xml,
                   "Row %u: cell \"%.16s\" is not one of this row's columns A to IV. Delete "
                   "the columns that are not needed.",
                   rows->number, r);
        return;
    }
    if (rows->column >= AMM_SHEET_COLUMNS) {
        xml_refuse(xml, "Row %u: a sheet has at most 256 columns.", rows->number);
        return;
    }
    if (rows->column < rows->next_column) {
        refuse_cell(xml, "the workbook is damaged: the cells of this row are in disorder.");
        return;
    }
    rows->next_column = rows->column + 1;
    rows->in_cell = true;
    rows->has_formula = rows->in_value = rows->in_formula = false;
    rows->type = type_of(xml_attribute(attributes, "t"));
    rows->style = s != NULL ? (uint32_t)strtoul(s, NULL, 10) : 0;
    rows->start = rows->used;
}

static void rows_start(struct xml *xml, const char *name, const char **attributes)
{
    struct rows *rows = xml->context;
    if (xml_is(name, "sheetData")) {
        rows->in_sheet_data = true;
    } else if (rows->in_sheet_data && !rows->in_row && xml_is(name, "row")) {
        start_row(xml, attributes);
    } else if (rows->in_row && !rows->in_cell && xml_is(name, "c")) {
        start_cell(xml, attributes);
    } else if (rows->in_cell && xml_is(name, "f")) {
        rows->has_formula = rows->in_formula = true;
        rows->used = rows->start; /* a value before its formula does not count */
    } else if (rows->in_cell && xml_is(name, "rPh")) {
        rows->in_phonetic = true;
    } else if (rows->in_cell && !rows->has_formula && !rows->in_phonetic &&
               (xml_is(name, "v") || (xml_is(name, "t") && rows->type == TYPE_INLINE))) {
        rows->in_value = true;
    }
}

static void rows_text(struct xml *xml, const char *text, size_t len)
{
    struct rows *rows = xml->context;
    if (!rows->in_value && !rows->in_formula) {
        return;
    }
    if (rows->used - rows->start + len > AMM_SHEET_CELL) {
        refuse_cell(xml, "a cell has at most 4096 bytes.");
    } else if (rows->used + len > sizeof rows->text) {
        refuse_cell(xml, "the row is longer than 262144 bytes.");
    } else {
        memcpy(rows->text + rows->used, text, len);
        rows->used += len;
    }
}

static bool find_shared(const struct rows *rows, struct amm_view index, struct amm_view *out)
{
    const struct workbook *book = rows->book;
    char digits[12];
    char *end;
    if (index.len == 0 || index.len >= sizeof digits || index.data[0] < '0' ||
        index.data[0] > '9') {
        return false;
    }
    memcpy(digits, index.data, index.len);
    digits[index.len] = '\0';
    unsigned long i = strtoul(digits, &end, 10);
    if (*end != '\0' || i >= book->n_strings) {
        return false;
    }
    uint32_t from = i > 0 ? book->ends[i - 1] : 0;
    *out = amm_view(book->text + from, book->ends[i] - from);
    return true;
}

/* What the cell is. False: refused. */
static bool finish_cell(struct xml *xml, struct amm_sheet_cell *cell)
{
    struct rows *rows = xml->context;
    cell->text = amm_view(rows->text + rows->start, rows->used - rows->start);
    cell->column = (uint16_t)rows->column;
    cell->kind = AMM_SHEET_TEXT;
    if (rows->has_formula) {
        cell->kind = AMM_SHEET_FORMULA;
        cell->text = cell->text.len > 0 ? cell->text : amm_view_str("=");
        return true;
    }
    if (cell->text.len == 0) {
        return true;
    }
    switch (rows->type) {
    case TYPE_NUMBER:
        cell->kind = rows->style < rows->book->n_styles && rows->book->is_date[rows->style]
                         ? AMM_SHEET_DATE
                         : AMM_SHEET_NUMBER;
        return true;
    case TYPE_SHARED:
        if (!find_shared(rows, cell->text, &cell->text)) {
            refuse_cell(xml, "the workbook is damaged: the cell's text is not in it.");
            return false;
        }
        if (cell->text.len > AMM_SHEET_CELL) {
            refuse_cell(xml, "a cell has at most 4096 bytes.");
            return false;
        }
        return true;
    case TYPE_BOOL:
        cell->kind = AMM_SHEET_BOOL;
        cell->text =
            amm_view_str(cell->text.len == 1 && cell->text.data[0] == '1' ? "TRUE" : "FALSE");
        return true;
    case TYPE_FAULT:
        cell->kind = AMM_SHEET_FAULT;
        return true;
    case TYPE_DATE:
        cell->kind = AMM_SHEET_DATE;
        return true;
    case TYPE_STRING:
    case TYPE_INLINE:
        return true;
    }
    return true;
}

static void end_cell(struct xml *xml)
{
    struct rows *rows = xml->context;
    struct amm_sheet_cell *cell = &rows->cells[rows->n];
    rows->in_cell = rows->in_phonetic = false;
    if (rows->type == TYPE_INLINE || rows->type == TYPE_STRING) {
        rows->used =
            rows->start + package_unescape(rows->text + rows->start, rows->used - rows->start);
    }
    if (!finish_cell(xml, cell) || cell->text.len == 0) {
        return;
    }
    if (!amm_sheet_utf8_ok(cell->text)) {
        refuse_cell(xml, "the text is not UTF-8.");
        return;
    }
    rows->n++;
}

/* Texts of shared strings do not stand in the row's own buffer: all of it must fit a record. */
static bool fits(const struct rows *rows)
{
    size_t len = 0;
    for (uint16_t i = 0; i < rows->n; i++) {
        len += rows->cells[i].text.len;
    }
    return len <= AMM_SHEET_LINE;
}

static void end_row(struct xml *xml)
{
    struct rows *rows = xml->context;
    struct amm_sheet_row row = {rows->number, rows->n, rows->cells};
    rows->in_row = false;
    if (row.n == 0) {
        return;
    }
    if (!fits(rows)) {
        xml_refuse(xml, "Row %u is longer than 262144 bytes.", rows->number);
    } else if (!rows->sink->row(rows->sink->context, &row)) {
        rows->was_stopped = true;
        XML_StopParser(xml->parser, XML_FALSE);
    }
}

static void rows_end(struct xml *xml, const char *name)
{
    struct rows *rows = xml->context;
    if (rows->in_formula && xml_is(name, "f")) {
        rows->in_formula = false;
    } else if (rows->in_value && (xml_is(name, "v") || xml_is(name, "t"))) {
        rows->in_value = false;
    } else if (rows->in_phonetic && xml_is(name, "rPh")) {
        rows->in_phonetic = false;
    } else if (rows->in_cell && xml_is(name, "c")) {
        end_cell(xml);
    } else if (rows->in_row && !rows->in_cell && xml_is(name, "row")) {
        end_row(xml);
    } else if (!rows->in_row && xml_is(name, "sheetData")) {
        rows->in_sheet_data = false;
    }
}

bool book_read_rows(struct workbook *book, const struct amm_sheet_sink *sink)
{
    struct rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL) {
        snprintf(book->package.error, AMM_SHEET_ERROR, "There is no memory to read the sheet.");
        return false;
    }
    rows->book = book;
    rows->sink = sink;
    struct xml xml = {.context = rows, .start = rows_start, .end = rows_end, .text = rows_text};
    bool ok = xml_read(&xml, &book->package, book->sheet);
    if (rows->was_stopped) {
        book->package.error[0] = '\0';
    }
    free(rows);
    return ok;
}

bool amm_sheet_read_xlsx(struct amm_view file, const struct amm_sheet_sink *sink,
                         char error[AMM_SHEET_ERROR])
{
    struct workbook book;
    error[0] = '\0';
    bool ok = book_open(&book, file, error) && book_read_rows(&book, sink);
    book_close(&book);
    /* Our words are ASCII; what they quote of the file may be anything, and cut anywhere. */
    for (char *at = error; *at != '\0'; at++) {
        *at = *at >= ' ' && *at < 0x7f ? *at : '?';
    }
    return ok;
}

bool amm_sheet_read(struct amm_view file, const struct amm_sheet_sink *sink,
                    char error[AMM_SHEET_ERROR])
{
    static const uint8_t compound[] = {0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1};
    if (file.len > AMM_SHEET_FILE) {
        snprintf(error, AMM_SHEET_ERROR, "The file is larger than 32 MiB.");
        return false;
    }
    if (file.len >= sizeof compound && memcmp(file.data, compound, sizeof compound) == 0) {
        snprintf(error, AMM_SHEET_ERROR,
                 "The workbook is protected by a password, or in the old XLS format. Save it as "
                 "XLSX without a password.");
        return false;
    }
    if (file.len >= 4 && memcmp(file.data, "PK", 2) == 0 && file.data[2] < 8) {
        return amm_sheet_read_xlsx(file, sink, error);
    }
    return amm_sheet_read_csv(file, sink, error);
}
