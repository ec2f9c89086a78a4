#include "sheet/stream.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEAD = 5 };

bool amm_sheet_row_encode(struct amm_writer *w, const struct amm_sheet_row *row)
{
    amm_write_u32(w, row->number);
    amm_write_u16(w, row->n);
    for (uint16_t i = 0; i < row->n; i++) {
        const struct amm_sheet_cell *cell = &row->cells[i];
        amm_write_u16(w, cell->column);
        amm_write_u8(w, cell->kind);
        amm_write_u16(w, (uint16_t)cell->text.len);
        amm_write_view(w, cell->text);
    }
    return !w->failed;
}

bool amm_sheet_row_decode(struct amm_view bytes, struct amm_sheet_cell *cells,
                          struct amm_sheet_row *out)
{
    struct amm_reader r = amm_reader(bytes);
    int last = -1;
    *out = (struct amm_sheet_row){.number = amm_read_u32(&r), .cells = cells};
    out->n = amm_read_u16(&r);
    if (out->number == 0 || out->number > AMM_SHEET_ROWS || out->n > AMM_SHEET_COLUMNS) {
        return false;
    }
    for (uint16_t i = 0; i < out->n; i++) {
        cells[i].column = amm_read_u16(&r);
        cells[i].kind = amm_read_u8(&r);
        cells[i].text = amm_read_bytes(&r, amm_read_u16(&r));
        if (r.failed || cells[i].column >= AMM_SHEET_COLUMNS || (int)cells[i].column <= last ||
            cells[i].kind >= AMM_SHEET_KINDS || cells[i].text.len == 0 ||
            cells[i].text.len > AMM_SHEET_CELL || !amm_sheet_utf8_ok(cells[i].text)) {
            return false;
        }
        last = cells[i].column;
    }
    return out->n > 0 && amm_reader_done(&r);
}

/* ---- receiving ---- */

static bool wrong(struct amm_sheet_receiver *receiver)
{
    receiver->is_over = true;
    snprintf(receiver->error, sizeof receiver->error,
             "The sheet could not be read: its reader answered nonsense.");
    return false;
}

static bool take_row(struct amm_sheet_receiver *receiver, struct amm_view record,
                     const struct amm_sheet_sink *sink)
{
    struct amm_sheet_cell cells[AMM_SHEET_COLUMNS];
    struct amm_sheet_row row;
    if (!amm_sheet_row_decode(record, cells, &row) || row.number <= receiver->last_row) {
        return wrong(receiver);
    }
    receiver->last_row = row.number;
    receiver->rows++;
    return sink->row(sink->context, &row);
}

static bool take_end(struct amm_sheet_receiver *receiver, uint8_t type, struct amm_view record)
{
    if (type == 'E' && record.len == 4 && amm_load_u32(record.data) == receiver->rows) {
        receiver->is_over = true;
        return false;
    }
    if (type != 'F' || record.len == 0 || record.len >= AMM_SHEET_ERROR ||
        !amm_sheet_utf8_ok(record)) {
        return wrong(receiver);
    }
    receiver->is_over = true;
    memcpy(receiver->error, record.data, record.len);
    receiver->error[record.len] = '\0';
    return false;
}

static bool make_room(struct amm_sheet_receiver *receiver, size_t len)
{
    size_t wanted = receiver->len + len;
    if (wanted <= receiver->room) {
        return true;
    }
    uint8_t *grown = realloc(receiver->buffer, wanted);
    if (grown == NULL) {
        return false;
    }
    receiver->buffer = grown;
    receiver->room = wanted;
    return true;
}

bool amm_sheet_receive(struct amm_sheet_receiver *receiver, struct amm_view bytes,
                       const struct amm_sheet_sink *sink)
{
    if (receiver->is_over || !make_room(receiver, bytes.len)) {
        return wrong(receiver);
    }
    if (bytes.len > 0) {
        memcpy(receiver->buffer + receiver->len, bytes.data, bytes.len);
        receiver->len += bytes.len;
    }
    size_t at = 0;
    bool goes_on = true;
    while (goes_on && receiver->len - at >= HEAD) {
        uint8_t type = receiver->buffer[at];
        uint32_t len = amm_load_u32(receiver->buffer + at + 1);
        if (len > AMM_SHEET_RECORD) {
            return wrong(receiver);
        }
        if (receiver->len - at - HEAD < len) {
            break;
        }
        struct amm_view record = amm_view(receiver->buffer + at + HEAD, len);
        goes_on = type == 'R' ? take_row(receiver, record, sink) : take_end(receiver, type, record);
        at += HEAD + len;
    }
    memmove(receiver->buffer, receiver->buffer + at, receiver->len - at);
    receiver->len -= at;
    return goes_on;
}

void amm_sheet_receiver_deinit(struct amm_sheet_receiver *receiver)
{
    free(receiver->buffer);
    receiver->buffer = NULL;
}
