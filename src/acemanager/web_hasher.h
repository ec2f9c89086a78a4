/* Passwords are hashed in a thread of their own: a hash takes a quarter of a second and more, and
 * the core's thread keeps the tunnel. */
#pragma once

#include "base/random.h"
#include "http/server.h"
#include "web_account.h"
#include "web_session.h"

#include <stdbool.h>

enum { WEB_HASHER_JOBS = 4 }; /* waiting or done; a login beyond them is asked to come later */

enum web_hasher_kind { WEB_LOGIN, WEB_CHANGE };

struct web_hasher_job {
    enum web_hasher_kind kind;
    struct amm_http_ref ref; /* the request that waits for the answer */
    struct amm_address remote;
    bool in_tunnel;
    char account[33];                    /* as typed */
    enum web_role role;                  /* of the account; WEB_NOBODY: no such account */
    char password[WEB_PASSWORD_MAX + 1]; /* to be compared with `hash` */
    char hash[WEB_HASH];
    char login_token[WEB_TOKEN_TEXT];        /* LOGIN: of the form, for the next one */
    uint32_t session;                        /* CHANGE: number of who asked */
    char new_password[WEB_PASSWORD_MAX + 1]; /* CHANGE: hashed if `password` was right */

    /* the result */
    bool is_right, failed;
    char new_hash[WEB_HASH];
};

struct web_hasher;

struct web_hasher *
web_hasher_new(struct amm_random random); /* starts the thread; NULL: it cannot */
struct web_hasher *web_hasher_free(struct web_hasher *hasher); /* waits for the job under way */

int web_hasher_fd(const struct web_hasher *hasher); /* readable when a job is done */

/* Copies the job; false if there are too many. */
bool web_hasher_submit(struct web_hasher *hasher, const struct web_hasher_job *job);

/* The next job that is done; false if there is none. Wipe it. */
bool web_hasher_take(struct web_hasher *hasher, struct web_hasher_job *out);
