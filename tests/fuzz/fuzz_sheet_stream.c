/* What comes from amm-sheet, which may have been taken over by a sheet. */
#include "sheet_sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sheet_sink state = {0};
    struct amm_sheet_sink sink = {sheet_sink_row, &state};
    struct amm_sheet_receiver receiver = {0};
    size_t half = size / 2;
    if (amm_sheet_receive(&receiver, amm_view(data, half), &sink)) {
        amm_sheet_receive(&receiver, amm_view(data + half, size - half), &sink);
    }
    if (receiver.last_row != state.last || !amm_sheet_utf8_ok(amm_view_str(receiver.error))) {
        abort();
    }
    amm_sheet_receiver_deinit(&receiver);
    return 0;
}
