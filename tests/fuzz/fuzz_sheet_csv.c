/* CSV that people upload. */
#include "sheet_sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sheet_sink state = {0};
    struct amm_sheet_sink sink = {sheet_sink_row, &state};
    char error[AMM_SHEET_ERROR];
    bool ok = amm_sheet_read_csv(amm_view(data, size), &sink, error);
    if (ok != (error[0] == '\0') || !amm_sheet_utf8_ok(amm_view_str(error))) {
        abort();
    }
    return 0;
}
