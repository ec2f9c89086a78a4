/* Control-channel wrapping: none, tls-auth, tls-crypt, tls-crypt-v2 (doc/protocol, WRAP clauses).
 */
#pragma once

#include "base/bytes.h"
#include "base/drop.h"
#include "crypto/mac.h"
#include "crypto/pki.h"
#include "crypto/tls.h"

enum amm_wrap_mode {
    AMM_WRAP_NONE = 0,
    AMM_WRAP_AUTH = 1,
    AMM_WRAP_CRYPT = 2,
    AMM_WRAP_CRYPT_V2 = 3
};

/* "none", "tls-auth", "tls-crypt", "tls-crypt-v2" */
const char *amm_wrap_mode_name(enum amm_wrap_mode mode);

/* Direction of a tls-auth key: the server is 0 and the client 1, or both use key A. */
enum amm_key_direction { AMM_DIRECTION_BOTH = 0, AMM_DIRECTION_0 = 1, AMM_DIRECTION_1 = 2 };

/* What one tunnel port (server) or one remote (client) speaks. A server takes `mode` (none,
 * tls-auth or tls-crypt) and, with `has_v2`, tls-crypt-v2 as well on the same port: the opcode of
 * the first packet tells. */
struct amm_wrap_config {
    enum amm_wrap_mode mode;
    uint8_t static_key[AMM_STATIC_KEY]; /* AUTH, CRYPT; client with CRYPT_V2: Kc */
    enum amm_digest auth_digest;        /* AUTH */
    enum amm_key_direction direction;   /* AUTH: of this side */
    bool has_v2;                        /* server */
    uint8_t v2_server_key[AMM_V2_SERVER_KEY];
    uint8_t wkc[AMM_WKC_MAX]; /* client with CRYPT_V2 */
    size_t wkc_len;
    int64_t
        v2_max_age; /* server: seconds that a client key with a timestamp is good for; 0 for ever */
};

/* Makes WKc for a new client key (ammctl gateway profile). `wall` becomes the metadata timestamp.
 */
bool amm_wkc_make(const uint8_t server_key[AMM_V2_SERVER_KEY], const uint8_t kc[AMM_STATIC_KEY],
                  int64_t wall, uint8_t wkc[AMM_WKC_MAX], size_t *wkc_len);
