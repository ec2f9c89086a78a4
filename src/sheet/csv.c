/* CSV. The separator is that of a line "sep=;", else whichever of , ; TAB the first record has most
 * of. Line ends may be CRLF, LF and CR, mixed. */
#include "sheet/sheet.h"

#include <stdio.h>
#include <stdlib.h>

struct csv {
    const uint8_t *at, *end;
    uint8_t separator;
    uint32_t number; /* of the record */
    uint16_t n;      /* cells of it that are not empty */
    unsigned column;
    size_t used; /* of `text` */
    struct amm_sheet_cell cells[AMM_SHEET_COLUMNS];
    uint8_t text[AMM_SHEET_LINE];
    char *error;
};

static bool refuse(struct csv *csv, const char *what)
{
    char column[AMM_SHEET_COLUMN_NAME];
    unsigned shown = csv->column < AMM_SHEET_COLUMNS ? csv->column : AMM_SHEET_COLUMNS - 1;
    snprintf(csv->error, AMM_SHEET_ERROR, "%s%u: %s", amm_sheet_column(shown, column), csv->number,
             what);
    return false;
}

static bool put(struct csv *csv, uint8_t byte)
{
    if (csv->used == sizeof csv->text) {
        return refuse(csv, "the row is longer than 262144 bytes. Is a quote (\") missing?");
    }
    csv->text[csv->used++] = byte;
    return true;
}

static bool at_line_end(const struct csv *csv)
{
    return csv->at == csv->end || *csv->at == '\n' || *csv->at == '\r';
}

/* In quotes; a quote inside is doubled. */
static bool read_quoted(struct csv *csv)
{
    uint32_t lines = 0;
    for (csv->at++; csv->at < csv->end; csv->at++) {
        lines += *csv->at == '\n';
        if (*csv->at != '"') {
            if (!put(csv, *csv->at)) {
                return false;
            }
            continue;
        }
        if (csv->at + 1 < csv->end && csv->at[1] == '"') {
            csv->at++;
            if (!put(csv, '"')) {
                return false;
            }
            continue;
        }
        csv->at++;
        return at_line_end(csv) || *csv->at == csv->separator ||
               refuse(csv, "text stands behind the closing quote. A quote within a cell is written "
                           "twice (\"\").");
    }
    return refuse(csv, lines > 0 ? "the quote that begins here never ends."
                                 : "the quote that begins here does not end on its line.");
}

static bool read_plain(struct csv *csv)
{
    for (; !at_line_end(csv) && *csv->at != csv->separator; csv->at++) {
        if (*csv->at == '"') {
            return refuse(csv, "a lone quote. Put the cell in quotes and write the quote twice.");
        }
        if (!put(csv, *csv->at)) {
            return false;
        }
    }
    return true;
}

static bool is_formula_sign(uint8_t byte)
{
    return byte != 0 && strchr("=+-@\t\r\n", byte) != NULL;
}

static bool take_cell(struct csv *csv, struct amm_view text)
{
    if (text.len == 0) {
        return true;
    }
    if (csv->column >= AMM_SHEET_COLUMNS) {
        return refuse(csv, "a sheet has at most 256 columns.");
    }
    /* What our own export has put in front, so that no program takes the cell for a formula. */
    size_t marks = 0;
    while (marks < text.len && text.data[marks] == '\'') {
        marks++;
    }
    bool was_marked = marks > 0 && marks < text.len && is_formula_sign(text.data[marks]);
    if (was_marked) {
        text.data++;
        text.len--;
    }
    if (text.len > AMM_SHEET_CELL) {
        return refuse(csv, "a cell has at most 4096 bytes.");
    }
    if (!amm_sheet_utf8_ok(text)) {
        return refuse(csv, "the text is not UTF-8. Save the sheet as \"CSV UTF-8\".");
    }
    csv->cells[csv->n++] = (struct amm_sheet_cell){
        .column = (uint16_t)csv->column,
        .kind = !was_marked && text.data[0] == '=' ? AMM_SHEET_FORMULA : AMM_SHEET_TEXT,
        .text = text};
    return true;
}

/* Both bytes of CRLF are one end. */
static void skip_line_end(struct csv *csv)
{
    if (csv->at < csv->end && *csv->at == '\r') {
        csv->at++;
        csv->at += csv->at < csv->end && *csv->at == '\n';
    } else if (csv->at < csv->end) {
        csv->at++;
    }
}

static bool read_record(struct csv *csv)
{
    csv->n = 0;
    csv->used = 0;
    for (csv->column = 0;; csv->column++) {
        size_t start = csv->used;
        bool ok = csv->at < csv->end && *csv->at == '"' ? read_quoted(csv) : read_plain(csv);
        if (!ok || !take_cell(csv, amm_view(csv->text + start, csv->used - start))) {
            return false;
        }
        if (at_line_end(csv)) {
            skip_line_end(csv);
            return true;
        }
        csv->at++; /* the separator */
    }
}

/* Of the first line, outside of quotes. */
static uint8_t guess_separator(const uint8_t *at, const uint8_t *end)
{
    static const uint8_t known[] = {',', ';', '\t'};
    size_t counts[sizeof known] = {0}, best = 0;
    bool in_quotes = false;
    for (; at < end && (in_quotes || (*at != '\n' && *at != '\r')); at++) {
        in_quotes ^= *at == '"';
        for (size_t i = 0; i < sizeof known && !in_quotes; i++) {
            counts[i] += *at == known[i];
        }
    }
    for (size_t i = 1; i < sizeof known; i++) {
        best = counts[i] > counts[best] ? i : best;
    }
    return known[best];
}

static bool begins(struct amm_view file, const char *with, size_t len)
{
    return file.len >= len && memcmp(file.data, with, len) == 0;
}

/* What is no UTF-8 at all, in words. */
static bool check_encoding(struct amm_view file, char *error)
{
    const char *what = NULL;
    if (begins(file, "\xff\xfe", 2) || begins(file, "\xfe\xff", 2)) {
        what = "The file is UTF-16. Save the sheet as \"CSV UTF-8\" or as XLSX.";
    } else if (begins(file, "+/v", 3)) {
        what = "The file is UTF-7. Save the sheet as \"CSV UTF-8\" or as XLSX.";
    } else if (file.len > 0 && memchr(file.data, 0, file.len) != NULL) {
        what = "The file has NUL bytes: it is no text. Save the sheet as \"CSV UTF-8\" or as XLSX.";
    }
    if (what != NULL) {
        snprintf(error, AMM_SHEET_ERROR, "%s", what);
    }
    return what == NULL;
}

static bool read_all(struct csv *csv, const struct amm_sheet_sink *sink)
{
    while (csv->at < csv->end) {
        csv->number++;
        if (csv->number > AMM_SHEET_ROWS) {
            csv->column = 0;
            return refuse(csv, "a sheet has at most 200000 rows below its headings.");
        }
        if (!read_record(csv)) {
            return false;
        }
        struct amm_sheet_row row = {csv->number, csv->n, csv->cells};
        if (csv->n > 0 && !sink->row(sink->context, &row)) {
            return false;
        }
    }
    return true;
}

bool amm_sheet_read_csv(struct amm_view file, const struct amm_sheet_sink *sink,
                        char error[AMM_SHEET_ERROR])
{
    error[0] = '\0';
    if (!check_encoding(file, error)) {
        return false;
    }
    struct csv *csv = malloc(sizeof *csv);
    if (csv == NULL) {
        snprintf(error, AMM_SHEET_ERROR, "There is no memory to read the sheet.");
        return false;
    }
    csv->at = file.data;
    csv->end = file.data != NULL ? file.data + file.len : NULL;
    csv->error = error;
    csv->number = 0;
    if (begins(file, "\xef\xbb\xbf", 3)) {
        csv->at += 3;
    }
    csv->separator = guess_separator(csv->at, csv->end);
    struct amm_view rest = amm_view(csv->at, (size_t)(csv->end - csv->at));
    if (begins(rest, "sep=", 4) && rest.len > 5 && (rest.data[5] == '\r' || rest.data[5] == '\n') &&
        strchr(",;\t|", rest.data[4]) != NULL) {
        csv->separator = rest.data[4];
        csv->number = 1;
        csv->at += 5;
        skip_line_end(csv);
    }
    bool ok = read_all(csv, sink);
    free(csv);
    return ok;
}
