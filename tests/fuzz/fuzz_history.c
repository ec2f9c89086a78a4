/* Blocks of values over time, as the store gives them back: a damaged one ends early. */
#include "manager/history_block.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct history_reader reader;
    struct history_value value;
    struct amm_view label;
    uint16_t offset;
    uint8_t series;
    history_read(&reader, amm_view(data, len));
    while (history_next_sample(&reader, &offset)) {
        while (history_next_entry(&reader, &series, &label, &value)) {
            if (series >= HISTORY_SERIES || label.len > 255 || !isfinite(value.real)) {
                abort();
            }
        }
    }
    return 0;
}
