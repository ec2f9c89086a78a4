/* Data keys and the dynamic tls-crypt key out of a finished TLS session (doc/protocol/keys.md). */
#pragma once

#include "crypto/tls.h"
#include "data/peer.h"
#include "key_method.h"

/* Both sides' random numbers for the PRF. Secret: wipe. */
struct amm_key_exchange {
    struct amm_key_source client, server;
    uint64_t client_sid, server_sid; /* of the control channel, the same for every key id */
};

/* By TLS exporter, from the session of this key id. `role` is this side. False if the library
 * failed or a key came out as all zeros; then `out` is wiped. */
bool amm_keys_from_exporter(struct amm_data_keys *out, const struct amm_tls_ops *ops,
                            struct amm_tls *tls, enum amm_role role, enum amm_cipher cipher,
                            uint8_t key_id);

/* By the TLS 1.0 PRF, for peers without exporter. False as above, or where MD5 is forbidden. */
bool amm_keys_from_prf(struct amm_data_keys *out, const struct amm_key_exchange *exchange,
                       enum amm_role role, enum amm_cipher cipher, uint8_t key_id);

/* The 256-byte key that wraps control packets of key ids above 0, from the key id 0 session.
 * `original` is the raw key of the session's own wrap (static key or Kc), NULL without a wrap. Wipe
 * `out` after amm_wrap_init_crypt. */
bool amm_keys_dynamic(uint8_t out[AMM_STATIC_KEY], const struct amm_tls_ops *ops,
                      struct amm_tls *tls, const uint8_t *original);
