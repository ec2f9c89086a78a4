/* Checks of what comes out of a tunnel (DATA-9): the first of the three layers that keep
 * gateways away from each other and from the server's own services. */
#pragma once

#include "base/bytes.h"
#include "base/drop.h"
#include "data/plane.h"

/* Largest inner packet taken from a foreign peer whose own MTU is the usual one. */
enum { AMM_INNER_MAX = 1500 };

/* Is it a sound IPv4 packet that a gateway with address `own` may send to the server's tunnel
 * address `server`? Cuts what stands behind the packet's own length. AMM_DROP_COUNT, or the reason
 * against it. */
enum amm_drop amm_inner_from_gateway(const struct amm_plane_config *config, uint32_t server,
                                     uint32_t own, struct amm_span *inner);

/* Is it a sound IPv4 packet for `own`, this client? */
enum amm_drop amm_inner_from_server(const struct amm_plane_config *config, uint32_t own,
                                    struct amm_span *inner);
