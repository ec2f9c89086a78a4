/* How values over time are packed: a block is a row of samples, each of all marked stats that a
 * gateway had at a moment. Pure.
 *
 * A sample: offset (2 bytes, seconds since the block's hour), length of what follows (2 bytes),
 * then entries: series (1), with 0x80 a label behind it (length, bytes); value (varint: whole
 * numbers, zigzag and shifted by one; 1: a double follows, 8 bytes). About 4 bytes an entry.
 * Offsets may go beyond the hour: what could not be written in time is still where it was meant to
 * be. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HISTORY_HOUR = 3600,
    HISTORY_BLOCK_MAX = 16384, /* bytes; what comes beyond is dropped: about 300 samples an hour */
    HISTORY_SAMPLE_MAX = 4096,
    /* Series are numbers of stats (domain/stats.h), which never change, and behind them: */
    HISTORY_TRAFFIC = 0x70, /* + enum history_purpose: bytes since the sample before */
    HISTORY_SERIES = 0x80,
};

enum history_purpose {
    HISTORY_CHECKIN,    /* bodies of check-ins and their answers */
    HISTORY_TUNNEL_IN,  /* inner bytes from the gateway */
    HISTORY_TUNNEL_OUT, /* to it */
    HISTORY_PAGE,       /* its web page, in remote sessions; part of the tunnel's */
    HISTORY_PURPOSES,
};

struct history_value {
    bool is_real;
    int64_t integer;
    double real; /* also of an integer */
};

/* Begins a sample; entries follow; then its end. A writer that has failed has no room: the caller
 * forgets the sample. */
struct history_writer {
    struct amm_writer w;
    size_t length_at;
};
void history_sample_begin(struct history_writer *out, void *room, size_t size, uint16_t offset);
void history_entry(struct history_writer *out, uint8_t series, struct amm_view label,
                   const struct history_value *value);
/* The length of the sample; 0: no entries, or no room. */
size_t history_sample_end(struct history_writer *out);

/* Reads a block: sample by sample, entry by entry. What is damaged ends it. */
struct history_reader {
    struct amm_reader block, sample;
};
void history_read(struct history_reader *out, struct amm_view block);
bool history_next_sample(struct history_reader *reader, uint16_t *offset);
bool history_next_entry(struct history_reader *reader, uint8_t *series, struct amm_view *label,
                        struct history_value *value);
