#include "domain/token.h"

#include "base/base64.h"

#include <stddef.h>
#include <string.h>

static const char mark[] = "amm1.";

enum { MARK = sizeof mark - 1, SECRET_TEXT = 22, PIN_TEXT = 43 };

void amm_token_format(char out[AMM_TOKEN_TEXT], const struct amm_token *token)
{
    memcpy(out, mark, MARK);
    amm_base64_encode(out + MARK, AMM_TOKEN_TEXT - MARK,
                      amm_view(token->secret, sizeof token->secret), AMM_BASE64_URL);
    out[MARK + SECRET_TEXT] = '.';
    amm_base64_encode(out + MARK + SECRET_TEXT + 1, PIN_TEXT + 1,
                      amm_view(token->ca_pin, sizeof token->ca_pin), AMM_BASE64_URL);
}

static bool take(uint8_t *out, size_t room, const char *text, size_t chars)
{
    size_t len = 0;
    return amm_base64_decode(out, room, &len, amm_view(text, chars), AMM_BASE64_URL) && len == room;
}

bool amm_token_parse(struct amm_token *out, const char *text)
{
    struct amm_token token;
    const char *secret = text + MARK, *pin = secret + SECRET_TEXT + 1;
    if (strlen(text) != AMM_TOKEN_TEXT - 1 || memcmp(text, mark, MARK) != 0 ||
        secret[SECRET_TEXT] != '.' ||
        !take(token.secret, sizeof token.secret, secret, SECRET_TEXT) ||
        !take(token.ca_pin, sizeof token.ca_pin, pin, PIN_TEXT)) {
        return false;
    }
    *out = token;
    return true;
}
