/* Writing sheets. What gateways and people have said must not become a formula in the program that
 * opens the file: in XLSX all cells but numbers are stored as text, in CSV a cell that begins with
 * = + - @ TAB CR or LF gets a ' in front (the reader takes it away again).
 *
 * One writer, one thread. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_sheet_writer;

enum amm_sheet_format { AMM_SHEET_CSV, AMM_SHEET_XLSX };

/* NULL: out of memory. `title`: name of the sheet (XLSX), at most 31 characters, or it is "Sheet1".
 */
struct amm_sheet_writer *amm_sheet_writer(enum amm_sheet_format format, const char *title);

/* One cell after another; `text` is UTF-8, cut to 4096 bytes. A failure shows at the end. */
void amm_sheet_put_text(struct amm_sheet_writer *writer, const char *text);
void amm_sheet_put_number(struct amm_sheet_writer *writer, int64_t number);
void amm_sheet_put_real(struct amm_sheet_writer *writer, double number);
void amm_sheet_put_row(struct amm_sheet_writer *writer); /* ends a row */

/* Ends and frees; *out->data is malloc'd, the caller's. False: out of memory, `out` is empty. */
bool amm_sheet_writer_end(struct amm_sheet_writer *writer, struct amm_span *out);
void amm_sheet_writer_drop(struct amm_sheet_writer *writer); /* without a file; NULL is fine */
