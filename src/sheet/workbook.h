/* What cells refer to: shared strings, and which styles show a number as a date. */
#pragma once

#include "package.h"

struct workbook {
    struct package package;
    char sheet[160], strings[160], styles[160]; /* parts; "": none */
    char *text;                                 /* all shared strings, one behind the other */
    size_t text_len, text_room;
    uint32_t *ends; /* where each ends in `text` */
    uint32_t n_strings, strings_room;
    bool *is_date; /* of each style of cells */
    uint32_t n_styles, styles_room;
};

/* False with a sentence in package.error. Call book_close in any case. */
bool book_open(struct workbook *book, struct amm_view file, char *error);
void book_close(struct workbook *book);

/* xlsx_cells.c: the rows of the sheet. */
bool book_read_rows(struct workbook *book, const struct amm_sheet_sink *sink);
