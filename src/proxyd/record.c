#include "proxyd/record.h"

#include "proxyd/session.h"

#include <stdlib.h>

enum { ROWS = 4096 }; /* about 1.5 MB: 20 s of 200 requests a second */

struct record {
    unsigned start, n;
    uint64_t dropped;
    struct amm_proxy_request rows[ROWS];
};

struct record *record_new(void)
{
    return calloc(1, sizeof(struct record));
}

struct record *record_free(struct record *record)
{
    free(record);
    return NULL;
}

void record_add(struct record *record, const struct session *session, const struct record_row *row)
{
    if (record->n == ROWS) {
        record->start = (record->start + 1) % ROWS;
        record->n--;
        record->dropped++;
    }
    struct amm_proxy_request *out = &record->rows[(record->start + record->n++) % ROWS];
    *out = (struct amm_proxy_request){
        .kind = (uint8_t)row->kind,
        .status = (uint16_t)(row->status < 0 || row->status > 999 ? 0 : row->status),
        .at = row->began_wall,
        .milliseconds = (uint32_t)(row->lasted / AMM_MILLISECOND),
        .bytes_in = row->bytes_in,
        .bytes_out = row->bytes_out,
    };
    memcpy(out->label, session->about.label, sizeof out->label);
    amm_text_clean(out->method, sizeof out->method, row->method);
    amm_text_clean(out->path, sizeof out->path, row->path);
}

bool record_batch(const struct record *record, struct amm_proxy_requests *out)
{
    out->n = (uint16_t)(record->n < AMM_PROXY_REQUESTS ? record->n : AMM_PROXY_REQUESTS);
    for (unsigned i = 0; i < out->n; i++) {
        out->list[i] = record->rows[(record->start + i) % ROWS];
    }
    return out->n > 0;
}

void record_sent(struct record *record, unsigned n)
{
    record->start = (record->start + n) % ROWS;
    record->n -= n;
}

uint64_t record_dropped(const struct record *record)
{
    return record->dropped;
}
