/* Enrolment tokens (GP-20): `amm1.` + base64url(16 random bytes) + `.` + base64url(SHA-256 of the
 * server CA's public key). The first half proves the gateway to the server, the second the server
 * to the gateway. Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    AMM_TOKEN_SECRET = 16,
    AMM_TOKEN_PIN = 32,
    AMM_TOKEN_TEXT = 5 + 22 + 1 + 43 + 1, /* with NUL */
};

struct amm_token {
    uint8_t secret[AMM_TOKEN_SECRET]; /* wipe after use */
    uint8_t ca_pin[AMM_TOKEN_PIN];    /* SHA-256 of the server CA's SubjectPublicKeyInfo */
};

void amm_token_format(char out[AMM_TOKEN_TEXT], const struct amm_token *token);

/* Takes exactly what amm_token_format writes (one text for one token: no padding, no other
 * alphabet, no loose bits); blanks around it are the caller's to remove. */
bool amm_token_parse(struct amm_token *out, const char *text);
