/* Workbooks that the tests make: right ones, and those that no spreadsheet program makes. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

struct book_part {
    const char *name;
    const char *text; /* NULL: ends the list, or (has_more) `fill` */
    size_t len;       /* 0: strlen */
};

/* A ZIP file of these parts (ended by name NULL); malloc'd. */
struct amm_span book_of(const struct book_part *parts);

/* One with a sheet whose sheetData is this, with these shared strings (NULL: none) and styles
 * (NULL: none). */
struct amm_span book(const char *sheet_data, const char *strings, const char *styles);

#define BOOK_WORKBOOK                                                                              \
    "<workbook xmlns='x' xmlns:r='y'><sheets><sheet name='One' sheetId='1' "                       \
    "r:id='rId1'/></sheets></workbook>"
#define BOOK_RELATION(id, type, target)                                                            \
    "<Relationship Id='" id "' Type='http://x/" type "' Target='" target "'/>"
#define BOOK_RELATIONS                                                                             \
    "<Relationships>" BOOK_RELATION("rId1", "worksheet", "worksheets/sheet1.xml")                  \
        BOOK_RELATION("rId2", "sharedStrings", "sharedStrings.xml")                                \
            BOOK_RELATION("rId3", "styles", "styles.xml") "</Relationships>"
