/* Host names to addresses without holding up the loop: one query at a time, in a thread of its own,
 * because getaddrinfo can take half a minute when a network is half up. The thread shares nothing
 * with the loop but its query, which whoever comes last frees. */
#pragma once

#include "base/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_RESOLVE_MAX = 8 };

struct amm_resolve_result {
    struct amm_address
        addresses[AMM_RESOLVE_MAX]; /* in the order the system prefers; both families */
    unsigned n;
    char error[96]; /* "" if there are addresses */
};

struct amm_resolver;

struct amm_resolver *amm_resolver_new(void); /* NULL: out of memory or descriptors */
struct amm_resolver *amm_resolver_free(struct amm_resolver *resolver);

/* Readable when an answer is there. */
int amm_resolver_fd(const struct amm_resolver *resolver);

/* Asks; an answer to a former question is dropped. `family`: enum amm_family, NONE for both. False
 * if no thread can start. */
bool amm_resolver_ask(struct amm_resolver *resolver, const char *host, uint16_t port,
                      uint8_t family);

/* Takes the answer; false if it is not there yet. */
bool amm_resolver_take(struct amm_resolver *resolver, struct amm_resolve_result *out);
