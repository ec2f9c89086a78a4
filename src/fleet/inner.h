/* Inner packets of a simulated gateway, answered and made without a kernel: ICMP echo and UDP echo
 * (port 7). Pure. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum inner_kind {
    INNER_OTHER,
    INNER_ANSWERED, /* a request to `own`; the packet is the answer now */
    INNER_REPLY,    /* an echo reply to `own` */
};

/* Looks at a packet and turns a request into its answer in place. Malformed packets are OTHER. For
 * a reply the identifier and the first 8 bytes of its data are written out (0 if it is shorter). */
enum inner_kind inner_take(struct amm_span packet, uint32_t own, uint16_t *id, uint64_t *stamp);

/* Writes an ICMP echo request of `len` bytes in all (28 + 8 at least) with `stamp` as the first
 * data; the length. */
size_t inner_echo(uint8_t *out, size_t len, uint32_t from, uint32_t to, uint16_t id,
                  uint16_t sequence, uint64_t stamp);
