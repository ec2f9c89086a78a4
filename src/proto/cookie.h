/* The stateless handshake cookie: the server's session id is a MAC over who asked, when, and with
 * which key, so that nothing is stored until the answer proves the address
 * (doc/protocol/cookie.md). */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/siphash.h"
#include "base/time.h"

struct amm_cookie_key {
    struct amm_siphash_key key; /* random at start; never leaves the engine */
    amm_duration slot;          /* half the hand window */
};

/* What a cookie is bound to. */
struct amm_cookie_claim {
    const struct amm_path *path; /* remote and local address, transport, port index */
    uint64_t client_sid;
    uint64_t wkc; /* amm_cookie_wkc of the client's WKc; 0 without tls-crypt-v2 */
};

/* Keyed short hash of WKc: binds the cookie to it, and names the rate-limit bucket of that key.
 * Never 0. */
uint64_t amm_cookie_wkc(const struct amm_cookie_key *key, struct amm_view wkc);

/* The server session id to answer with. Never 0. Constant within a time slot. */
uint64_t amm_cookie_make(const struct amm_cookie_key *key, const struct amm_cookie_claim *claim,
                         amm_time now);

/* True if `cookie` was made for `claim` in the slot of `now` or one of the two before; never a
 * later one. Takes the same time whatever the answer. */
bool amm_cookie_check(const struct amm_cookie_key *key, const struct amm_cookie_claim *claim,
                      amm_time now, uint64_t cookie);
