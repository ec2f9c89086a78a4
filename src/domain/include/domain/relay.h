/* What a gateway may be asked to reach for an operator (doc/gateway-protocol.md, GP-80 to GP-86):
 * single hosts and ports behind it, and ports of its own. Both the gateway's list (MSCIID 60012)
 * and the server's have this form. Pure; any thread. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_RELAY_ENTRIES = 16,
    AMM_RELAY_LIST = 256,                     /* bytes of a list's text, with the NUL */
    AMM_RELAY_TARGET = AMM_ADDRESS_TEXT + 16, /* bytes of a target's text, with the NUL */
    AMM_RELAY_PREFIX_LEAST = 16,              /* no entry is wider than a /16 (IPv6: /64) */
    AMM_RELAY_PREFIX_LEAST_IPV6 = 64,
};

struct amm_relay_entry {
    struct amm_address network; /* port 0; family NONE: the gateway itself */
    uint8_t prefix;             /* bits */
    uint16_t first, last;       /* ports, both included */
};

struct amm_relay_list {
    size_t n;
    struct amm_relay_entry at[AMM_RELAY_ENTRIES];
};

/* "192.168.13.100:22, 192.168.13.0/24:80-81, gateway:22": commas, semicolons or blanks between.
 * "" is a list that allows nothing. False if one entry is none; then `*bad` (may be NULL) is that
 * part of the text. Loopback, link-local, multicast and unspecified addresses are no entries. */
bool amm_relay_parse(struct amm_relay_list *out, struct amm_view text, struct amm_view *bad);

/* The canonical text; false if it does not fit. */
bool amm_relay_text(const struct amm_relay_list *list, char out[AMM_RELAY_LIST]);

/* True if the list allows this target; family NONE is the gateway itself. */
bool amm_relay_allows(const struct amm_relay_list *list, const struct amm_address *target);

/* One target: "192.168.13.100:22", "[fd00::5]:80", "gateway:22". */
bool amm_relay_target_parse(struct amm_address *out, struct amm_view text);
const char *amm_relay_target_text(const struct amm_address *target, char out[AMM_RELAY_TARGET]);
