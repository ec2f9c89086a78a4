/* Messages of the control sockets: what decodes also encodes again, to bytes that decode to the
 * same. */
#include "ipc/cad.h"
#include "ipc/client_state.h"
#include "ipc/proxy.h"
#include "ipc/tunnel.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(struct amm_view packet)
{
    static struct amm_ipc_message message;
    static uint8_t again[AMM_IPC_MAX];
    memset(&message, 0, sizeof message);
    if (amm_ipc_decode(&message, packet)) {
        size_t len = amm_ipc_encode(&message, again, sizeof again);
        if (!amm_view_equal(packet, amm_view(again, len))) {
            abort();
        }
    }
}

static void check_cad(struct amm_view packet)
{
    static struct amm_cad_message message;
    static uint8_t again[AMM_CAD_MAX];
    if (amm_cad_decode(&message, packet)) {
        size_t len = amm_cad_encode(&message, again, sizeof again);
        if (!amm_view_equal(packet, amm_view(again, len))) {
            abort();
        }
    }
}

static void check_proxy(struct amm_view packet)
{
    static struct amm_proxy_message message;
    static uint8_t again[AMM_PROXY_MAX];
    if (amm_proxy_decode(&message, packet)) {
        size_t len = amm_proxy_encode(&message, again, sizeof again);
        if (!amm_view_equal(packet, amm_view(again, len))) {
            abort();
        }
    }
}

/* Text: what was read once and written is in its final form. */
static void check_state(struct amm_view packet)
{
    static struct amm_client_state state;
    static uint8_t once[AMM_IPC_MAX], again[AMM_IPC_MAX];
    memset(&state, 0, sizeof state);
    if (!amm_client_state_decode(&state, packet)) {
        return;
    }
    size_t len = amm_client_state_encode(&state, once, sizeof once);
    memset(&state, 0, sizeof state);
    if (len > 0 && (!amm_client_state_decode(&state, amm_view(once, len)) ||
                    amm_client_state_encode(&state, again, sizeof again) != len ||
                    memcmp(once, again, len) != 0)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_message(amm_view(data, size));
    check_cad(amm_view(data, size));
    check_proxy(amm_view(data, size));
    check_state(amm_view(data, size));
    return 0;
}
