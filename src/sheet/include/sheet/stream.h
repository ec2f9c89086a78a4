/* Rows on their way from the process that reads a sheet to the one that wants them: a plain stream
 * of records on a pipe.
 *
 *   u8 'R'  u32 length  u32 row  u16 cells  { u16 column, u8 kind, u16 length, text } ...
 *   u8 'E'  u32 length  u32 rows                                            the end, whole
 *   u8 'F'  u32 length  sentence                                            the end, refused
 *
 * The receiver trusts the sender with nothing: lengths, order, kinds and UTF-8 are checked again.
 */
#pragma once

#include "sheet/sheet.h"

enum { AMM_SHEET_RECORD = 7 + AMM_SHEET_COLUMNS * 5 + AMM_SHEET_LINE };

/* Writes a sheet's rows and its end to `fd` (blocking). False: the other end is gone. */
bool amm_sheet_send(struct amm_view file, int fd);

/* The receiver: zeroed at first; bytes go in as they come. */
struct amm_sheet_receiver {
    uint8_t *buffer; /* malloc'd, at most AMM_SHEET_RECORD + 5 */
    size_t len, room;
    uint32_t last_row, rows;
    bool is_over;                /* an end has come */
    char error[AMM_SHEET_ERROR]; /* ... and this is why; "": it is whole */
};

/* Takes bytes and calls the sink for each row that is whole. False: it is over (see is_over and
 * error), the sink said no, or the sender does not keep to the form (error says so). */
bool amm_sheet_receive(struct amm_sheet_receiver *receiver, struct amm_view bytes,
                       const struct amm_sheet_sink *sink);
void amm_sheet_receiver_deinit(struct amm_sheet_receiver *receiver);

/* ---- a row as bytes: the body of 'R', and what is kept of it ---- */

/* False: it does not fit. */
bool amm_sheet_row_encode(struct amm_writer *w, const struct amm_sheet_row *row);
/* `cells` has room for AMM_SHEET_COLUMNS; texts stay in `bytes`. False: not in the form. */
bool amm_sheet_row_decode(struct amm_view bytes, struct amm_sheet_cell *cells,
                          struct amm_sheet_row *out);
