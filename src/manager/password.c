#include "manager/password.h"

#include <argon2.h>
#include <stdio.h>
#include <string.h>

enum { MEMORY_KIB = 19456, PASSES = 2, LANES = 1, SALT = 16, TAG = 32 };

bool password_is_fine(const char *password, const char *name, char *reason, size_t room)
{
    size_t len = strlen(password);
    if (len < PASSWORD_MIN || len > PASSWORD_MAX) {
        snprintf(reason, room, "a password has %d to %d bytes", PASSWORD_MIN, PASSWORD_MAX);
        return false;
    }
    if (strspn(password, (char[]){password[0], '\0'}) == len) {
        snprintf(reason, room, "one character repeated is no password");
        return false;
    }
    if (strlen(name) >= 4 && strcasestr(password, name) != NULL && len < strlen(name) + 6) {
        snprintf(reason, room, "the password must not be the user's name");
        return false;
    }
    return true;
}

bool password_hash(const char *password, const struct amm_random *random,
                   char encoded[PASSWORD_ENCODED_MAX])
{
    uint8_t salt[SALT];
    amm_random_fill(random, salt, sizeof salt);
    return argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password, strlen(password), salt, SALT,
                                 TAG, encoded, PASSWORD_ENCODED_MAX) == ARGON2_OK;
}

bool password_verify(const char *password, const char *encoded)
{
    return argon2id_verify(encoded, password, strlen(password)) == ARGON2_OK;
}

/* The hash of nothing that anyone knows; the parameters are what counts. */
const char *password_decoy(void)
{
    return "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmUu$"
           "0tqMoQuN4Ykc0fV8a1P2Y3bJtB7mS0nXyLr5gQeWzUk";
}

void password_generate(const struct amm_random *random, char out[PASSWORD_GENERATED])
{
    static const char letters[] =
        "abcdefghjkmnpqrstvwxyz0123456789"; /* 32, none looks like another */
    size_t at = 0;
    for (unsigned i = 0; i < 16; i++) {
        if (i > 0 && i % 4 == 0) {
            out[at++] = '-';
        }
        out[at++] = letters[amm_random_below(random, sizeof letters - 1)];
    }
    out[at] = '\0';
}
