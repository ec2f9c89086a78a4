/* Accounts of the pages: `user` and `viewer`, with hashed passwords in one file.
 *
 * scrypt of OpenSSL (N=2^13, r=8, p=10: the OWASP minimum that needs only 8 MiB, for the time of
 * one hash): a router has no memory to spare, and OpenSSL 3.0 has no argon2, which would be one
 * more library. The parameters stand in each hash, so they may grow. */
#pragma once

#include "base/bytes.h"
#include "base/random.h"
#include "web_session.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    WEB_PASSWORD_MIN = 8,
    WEB_PASSWORD_MAX = 128,
    WEB_HASH = 160, /* "scrypt$13$8$10$salt$hash" */
    WEB_FIRST = 15, /* "k7mq-2xhd-9vtr" with NUL */
};

struct web_account {
    char hash[WEB_HASH]; /* "": no login with this account */
    bool is_first;       /* still the password of the label */
};

struct web_accounts {
    char path[512], label[512];
    struct web_account at[WEB_USER + 1]; /* by role */
};

/* Reads the accounts from `folder`; without a file they are made: `user` with the password of the
 * label file, which is made with a new random one if it is not there; `viewer` without a password.
 * False with a sentence if a file cannot be read or written: then nobody can log in. */
bool web_accounts_open(struct web_accounts *accounts, const char *folder, const char *serial,
                       const struct amm_random *random, char *error, size_t room);

/* Sets a password that was hashed by web_password_hash, on disk before it returns. */
bool web_accounts_set(struct web_accounts *accounts, enum web_role role, const char hash[WEB_HASH],
                      char *error, size_t room);

/* NULL if it may be a password, else what is wrong with it. */
const char *web_password_objection(const char *password);

/* Slow (a quarter of a second and more); any thread. False: out of memory. */
bool web_password_hash(const char *password, const struct amm_random *random, char out[WEB_HASH]);

/* The same time whether or not there is such a password: `hash` may be "" (never right). */
bool web_password_right(const char *password, const char *hash);
