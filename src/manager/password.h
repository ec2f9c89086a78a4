/* Passwords: Argon2id (19 MiB, 2 passes, 1 lane: 20 ms and no more than that in memory for each
 * worker). Slow on purpose: in workers only. */
#pragma once

#include "base/random.h"
#include "manager/directory.h"

#include <stdbool.h>
#include <stddef.h>

enum { PASSWORD_MIN = 10, PASSWORD_MAX = 256, PASSWORD_GENERATED = 24 };

/* Good enough? `name`: of the user. Otherwise a sentence. */
bool password_is_fine(const char *password, const char *name, char *reason, size_t room);

/* False: no memory. Any thread. */
bool password_hash(const char *password, const struct amm_random *random,
                   char encoded[PASSWORD_ENCODED_MAX]);
bool password_verify(const char *password, const char *encoded);

/* What is verified for a user who does not exist, so that he takes as long as one who does. */
const char *password_decoy(void);

/* "k7fq-9mzd-…": 80 bits. */
void password_generate(const struct amm_random *random, char out[PASSWORD_GENERATED]);
