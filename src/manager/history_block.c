#include "history_block.h"

#include <math.h>

enum { LABELLED = 0x80 };

/* ---- numbers ---- */

static void write_varint(struct amm_writer *w, uint64_t number)
{
    while (number >= 0x80) {
        amm_write_u8(w, (uint8_t)(number | 0x80));
        number >>= 7;
    }
    amm_write_u8(w, (uint8_t)number);
}

static uint64_t read_varint(struct amm_reader *r)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = amm_read_u8(r);
        number |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return number;
        }
    }
    r->failed = true;
    return 0;
}

/* Beyond this a whole number goes as a double. */
#define WHOLE_MAX ((int64_t)1 << 52)

static void write_value(struct amm_writer *w, const struct history_value *value)
{
    if (!value->is_real && value->integer < WHOLE_MAX && value->integer > -WHOLE_MAX) {
        uint64_t zigzag = ((uint64_t)value->integer << 1) ^ (uint64_t)(value->integer >> 63);
        write_varint(w, zigzag << 1);
        return;
    }
    uint64_t bits;
    memcpy(&bits, &value->real, sizeof bits);
    amm_write_u8(w, 1);
    amm_write_u64(w, bits);
}

static void read_value(struct amm_reader *r, struct history_value *out)
{
    uint64_t number = read_varint(r);
    *out = (struct history_value){.is_real = (number & 1) != 0};
    if (out->is_real) {
        uint64_t bits = amm_read_u64(r);
        memcpy(&out->real, &bits, sizeof out->real);
        return;
    }
    number >>= 1;
    out->integer = (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
    out->real = (double)out->integer;
}

/* ---- samples ---- */

void history_sample_begin(struct history_writer *out, void *room, size_t size, uint16_t offset)
{
    out->w = amm_writer(room, size);
    amm_write_u16(&out->w, offset);
    out->length_at = amm_writer_len(&out->w);
    amm_write_u16(&out->w, 0);
}

void history_entry(struct history_writer *out, uint8_t series, struct amm_view label,
                   const struct history_value *value)
{
    bool is_labelled = label.len > 0;
    amm_write_u8(&out->w, (uint8_t)(series | (is_labelled ? LABELLED : 0)));
    if (is_labelled) {
        amm_write_u8(&out->w, (uint8_t)label.len);
        amm_write_view(&out->w, amm_view(label.data, label.len & 0xff));
    }
    write_value(&out->w, value);
}

size_t history_sample_end(struct history_writer *out)
{
    size_t len = amm_writer_len(&out->w);
    size_t entries = len > out->length_at + 2 ? len - out->length_at - 2 : 0;
    if (entries == 0 || entries > UINT16_MAX) {
        return 0;
    }
    uint8_t *at = out->w.start + out->length_at;
    at[0] = (uint8_t)(entries >> 8);
    at[1] = (uint8_t)entries;
    return len;
}

void history_read(struct history_reader *out, struct amm_view block)
{
    out->block = amm_reader(block);
    out->sample = amm_reader(amm_view(NULL, 0));
}

bool history_next_sample(struct history_reader *reader, uint16_t *offset)
{
    if (amm_reader_left(&reader->block) == 0) {
        return false;
    }
    *offset = amm_read_u16(&reader->block);
    struct amm_view entries = amm_read_bytes(&reader->block, amm_read_u16(&reader->block));
    reader->sample = amm_reader(entries);
    return !reader->block.failed;
}

bool history_next_entry(struct history_reader *reader, uint8_t *series, struct amm_view *label,
                        struct history_value *value)
{
    struct amm_reader *r = &reader->sample;
    if (amm_reader_left(r) == 0) {
        return false;
    }
    uint8_t head = amm_read_u8(r);
    *series = head & (HISTORY_SERIES - 1);
    *label = head & LABELLED ? amm_read_bytes(r, amm_read_u8(r)) : amm_view(NULL, 0);
    read_value(r, value);
    return !r->failed && isfinite(value->real);
}
