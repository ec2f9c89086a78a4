/* Reading sheets: CSV (RFC 4180, and what spreadsheet programs make of it) and XLSX (ECMA-376, the
 * first visible sheet of a workbook). Nothing is evaluated, guessed or fetched: a formula is handed
 * on as such, a number with the digits that stand in the file.
 *
 * The file is hostile. Both readers go over it once, hand on row after row, keep nothing but what
 * they must (XLSX: the shared strings), and stop at the first thing that is wrong with a sentence
 * for the person who made the sheet. They are run in a process of their own (sheet/jail.h).
 *
 * Pure but for memory; any thread. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_SHEET_FILE = 32 << 20,     /* bytes of a file */
    AMM_SHEET_INFLATED = 64 << 20, /* bytes of all parts of a workbook together */
    AMM_SHEET_RATIO = 200,         /* inflated to packed, for parts of more than ... */
    AMM_SHEET_RATIO_FLOOR = 1 << 20,
    AMM_SHEET_ENTRIES = 200, /* parts of a workbook */
    AMM_SHEET_STRINGS = 600000,
    AMM_SHEET_ROWS = 200001, /* with the row of headings; the number of the last one, too */
    AMM_SHEET_COLUMNS = 256,
    AMM_SHEET_CELL = 4096,   /* bytes of a cell's text */
    AMM_SHEET_LINE = 262144, /* bytes of a CSV record */
    AMM_SHEET_DEPTH = 16,    /* of elements in XML */
    AMM_SHEET_ERROR = 320,
    AMM_SHEET_COLUMN_NAME = 4, /* "IV" and NUL, "ZZZ" */
};

enum amm_sheet_kind {
    AMM_SHEET_TEXT,
    AMM_SHEET_NUMBER,  /* XLSX only: a cell that the program took for a number; as it is stored */
    AMM_SHEET_BOOL,    /* "TRUE" or "FALSE" */
    AMM_SHEET_DATE,    /* XLSX: a number that is shown as a date; the number */
    AMM_SHEET_FORMULA, /* the formula, as far as the file has it; never its result */
    AMM_SHEET_FAULT,   /* "#N/A" */
    AMM_SHEET_KINDS,
};

struct amm_sheet_cell {
    uint16_t column;      /* from 0; ascending within a row; empty cells are left out */
    uint8_t kind;         /* enum amm_sheet_kind */
    struct amm_view text; /* UTF-8 without NUL, 1 to AMM_SHEET_CELL bytes; borrowed for the call */
};

struct amm_sheet_row {
    uint32_t number; /* from 1, as a spreadsheet program shows it; ascending; empty rows are left
                        out */
    uint16_t n;      /* at least 1 */
    const struct amm_sheet_cell *cells;
};

/* Gets each row; false stops the reading (which then fails with an empty sentence). */
struct amm_sheet_sink {
    bool (*row)(void *context, const struct amm_sheet_row *row);
    void *context;
};

/* By what the file begins with. False with a sentence: what is wrong, where, what to do about it.
 */
bool amm_sheet_read(struct amm_view file, const struct amm_sheet_sink *sink,
                    char error[AMM_SHEET_ERROR]);
bool amm_sheet_read_csv(struct amm_view file, const struct amm_sheet_sink *sink,
                        char error[AMM_SHEET_ERROR]);
bool amm_sheet_read_xlsx(struct amm_view file, const struct amm_sheet_sink *sink,
                         char error[AMM_SHEET_ERROR]);

/* 0: "A", 26: "AA". Returns `out`. */
const char *amm_sheet_column(unsigned column, char out[AMM_SHEET_COLUMN_NAME]);
/* "aa" is 26. False: no such column of ours. */
bool amm_sheet_column_parse(const char *name, unsigned *out);

/* What a spreadsheet program makes of a long number: "3.5E+14", "3,5E+14". */
bool amm_sheet_is_shortened(struct amm_view text);

/* UTF-8 as RFC 3629 has it, without NUL. */
bool amm_sheet_utf8_ok(struct amm_view text);
