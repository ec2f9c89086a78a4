/* Brake on wrong passwords: for each address, and for all of them together, so that many addresses
 * do not help. Nobody is locked out for good, and an address that did nothing wrong is only slowed
 * by the others when there are very many. Pure; owner: the core's thread. */
#pragma once

#include "base/address.h"
#include "base/time.h"

#include <stdint.h>

enum {
    WEB_LIMIT_ADDRESSES = 64,
    WEB_LIMIT_FREE = 5,      /* wrong ones in a row before an address waits */
    WEB_LIMIT_WAIT = 300,    /* seconds at most */
    WEB_LIMIT_FORGET = 900,  /* seconds after which an address is forgotten */
    WEB_LIMIT_TOGETHER = 60, /* wrong ones of all addresses in a burst */
    WEB_LIMIT_REFILL = 10,   /* seconds for one more of them */
};

struct web_limit {
    struct web_limit_entry {
        uint64_t key; /* IPv4 address, or /64 of IPv6; 0: free */
        uint32_t wrong;
        amm_time last;
    } at[WEB_LIMIT_ADDRESSES];
    uint32_t together; /* tokens that are used up */
    amm_time refilled;
    uint64_t refused; /* counters for the pages */
    uint64_t wrong;
};

/* 0: a password may be tried. Else the seconds to wait. */
uint32_t web_limit_wait(struct web_limit *limit, const struct amm_address *remote, amm_time mono);

/* Counted before the password is looked at, so that many tries at once count as many; a right one
 * is taken back by web_limit_right. */
void web_limit_try(struct web_limit *limit, const struct amm_address *remote, amm_time mono);
void web_limit_right(struct web_limit *limit, const struct amm_address *remote);
