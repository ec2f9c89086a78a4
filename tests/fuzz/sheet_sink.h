/* What a reader of sheets hands on must be in the form that it promises. */
#pragma once

#include "sheet/stream.h"

#include <stdlib.h>

struct sheet_sink {
    uint32_t last;
};

static inline bool sheet_sink_row(void *context, const struct amm_sheet_row *row)
{
    static uint8_t bytes[AMM_SHEET_RECORD];
    static struct amm_sheet_cell cells[AMM_SHEET_COLUMNS];
    struct sheet_sink *sink = context;
    struct amm_sheet_row again;
    struct amm_writer w = amm_writer(bytes, sizeof bytes);
    if (row->number <= sink->last || !amm_sheet_row_encode(&w, row) ||
        !amm_sheet_row_decode(amm_view(bytes, amm_writer_len(&w)), cells, &again) ||
        again.n != row->n) {
        abort();
    }
    sink->last = row->number;
    return true;
}
