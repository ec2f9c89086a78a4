#include "cookie.h"

enum { ACCEPTED_SLOTS = 3 }; /* the current one and the two before */

static void write_address(struct amm_writer *w, const struct amm_address *address)
{
    amm_write_bytes(w, address->ip, sizeof address->ip);
    amm_write_u16(w, address->port);
    amm_write_u8(w, address->family);
}

/* A session id of zero is no session id. */
static uint64_t never_zero(uint64_t hash)
{
    return hash == 0 ? 1 : hash;
}

uint64_t amm_cookie_wkc(const struct amm_cookie_key *key, struct amm_view wkc)
{
    return never_zero(amm_siphash(&key->key, wkc.data, wkc.len));
}

static uint64_t cookie_of_slot(const struct amm_cookie_key *key,
                               const struct amm_cookie_claim *claim, int64_t slot)
{
    uint8_t text[3 * 8 + 2 * 19 + 2];
    struct amm_writer w = amm_writer(text, sizeof text);
    amm_write_u64(&w, (uint64_t)slot);
    amm_write_u64(&w, claim->client_sid);
    amm_write_u64(&w, claim->wkc);
    write_address(&w, &claim->path->remote);
    write_address(&w, &claim->path->local);
    amm_write_u8(&w, claim->path->transport);
    amm_write_u8(&w, claim->path->port_index);
    return never_zero(amm_siphash(&key->key, text, sizeof text));
}

static int64_t slot_at(const struct amm_cookie_key *key, amm_time now)
{
    return now / key->slot;
}

uint64_t amm_cookie_make(const struct amm_cookie_key *key, const struct amm_cookie_claim *claim,
                         amm_time now)
{
    return cookie_of_slot(key, claim, slot_at(key, now));
}

bool amm_cookie_check(const struct amm_cookie_key *key, const struct amm_cookie_claim *claim,
                      amm_time now, uint64_t cookie)
{
    int64_t current = slot_at(key, now);
    bool ok = false;
    for (int64_t age = 0; age < ACCEPTED_SLOTS; age++) {
        uint64_t expected = cookie_of_slot(key, claim, current - age);
        ok |= amm_equal_secret(&expected, &cookie, sizeof cookie);
    }
    return ok;
}
