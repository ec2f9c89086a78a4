/* The ZIP file that a workbook is: its layout is judged by ourselves, before libzip sees it; then
 * parts are inflated one after another, and what comes out is counted. */
#pragma once

#include "sheet/sheet.h"

#include <zip.h>

struct package {
    zip_t *zip;
    uint64_t inflated; /* of all parts so far */
    char *error;       /* [AMM_SHEET_ERROR] */
};

/* False with a sentence in error. */
bool package_open(struct package *package, struct amm_view file, char *error);
void package_close(struct package *package);

bool package_has(const struct package *package, const char *part);

/* Inflates a part and hands it on piece by piece; `take` says false to stop (and has said why).
 * False: that, a part that is not there or broken, or a limit; error has the sentence. */
bool package_read(struct package *package, const char *part,
                  bool (*take)(void *context, const char *piece, size_t len, bool is_last),
                  void *context);

/* "xl/worksheets/sheet1.xml" from a relationship's target, as seen from xl/. False: it leads
 * elsewhere. */
bool package_target(const char *target, char *out, size_t room);

/* Undoes in place how workbooks write characters that XML does not have: "_x000D_" is a carriage
 * return, "_x005F_" the line that would begin such a thing (ECMA-376 22.9.2.19). The new length. */
size_t package_unescape(uint8_t *text, size_t len);

/* ---- layout.c ---- */

/* The central directory: at most AMM_SHEET_ENTRIES parts, no two of the same bytes or the same
 * name, nothing encrypted, no names that lead out of the package, no macros. */
bool package_layout_ok(struct amm_view file, char error[AMM_SHEET_ERROR]);
