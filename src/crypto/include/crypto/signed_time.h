/* The server's time, signed for gateways whose clock is not trusted (GP-10 to GP-12).
 *
 * An Ed25519 key signs "amm-time-1", a zero byte, the asker's nonce and the time. Its certificate
 * is issued by the server CA, has the common name amm-time and the purpose timeStamping. */
#pragma once

#include "base/bytes.h"
#include "crypto/signature.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_CLAIM_NONCE = 16 };

#define AMM_CLAIM_NAME "amm-time"

/* False only when memory is short. */
bool amm_time_sign(const struct amm_signer *signer, const uint8_t nonce[AMM_CLAIM_NONCE],
                   int64_t wall, uint8_t signature[AMM_SIGNATURE]);

/* What a server answers. */
struct amm_time_claim {
    int64_t wall;             /* seconds since 1970 */
    const uint8_t *signature; /* AMM_SIGNATURE bytes */
    const char *certificate;  /* PEM */
};

/* True if the time may be taken: the certificate is issued by one of the CAs in the PEM text `ca`,
 * has the right name, purpose and type of key, the signature covers our `nonce`, and the time is
 * not below `floor`. The certificate's dates are left open: whoever asks has no clock to judge them
 * by. It must have been issued for a time that had come, though: a claim before its first day is
 * refused too, and so is one after its last. */
bool amm_time_accept(const struct amm_time_claim *claim, const uint8_t nonce[AMM_CLAIM_NONCE],
                     const char *ca, int64_t floor, char *error, size_t room);
