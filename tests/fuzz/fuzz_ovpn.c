/* Plain `.ovpn` files, which come from other people's systems. */
#include "ovpn.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct amm_settings settings;
    static struct amm_ovpn_report report;
    memset(&report, 0, sizeof report);
    amm_settings_init(&settings);
    bool ok = amm_ovpn_parse(&settings, "f", amm_view(data, size), &report);
    if (ok != (report.error[0] == 0) || report.notes_len >= sizeof report.notes ||
        (ok && (settings.n_remotes == 0 || settings.n_remotes > AMM_SETTINGS_REMOTES))) {
        abort();
    }
    amm_settings_deinit(&settings);
    return 0;
}
