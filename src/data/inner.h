/* Checks of what comes out of a tunnel (DATA-9): the first of the three layers that keep
 * gateways away from each other and from the server's own services. */
#pragma once

#include "base/bytes.h"
#include "base/drop.h"
#include "data/plane.h"

/* Largest inner packet taken from a foreign peer whose own MTU is the usual one. */
enum { AMM_INNER_MAX = 1500 };

/* Is it an IPv4 packet with a sound header? Cuts what stands behind the packet's own length.
 * Returns AMM_DROP_COUNT or the reason against it. */
enum amm_drop amm_inner_sane(struct amm_span *inner, size_t largest);

/* The same, and may a gateway with address `own` send it to the server's tunnel address `server`?
 */
enum amm_drop amm_inner_from_gateway(const struct amm_plane_config *config, uint32_t server,
                                     uint32_t own, struct amm_span *inner);

/* The same in a client: is it for us? */
enum amm_drop amm_inner_from_server(const struct amm_plane_config *config, uint32_t own,
                                    struct amm_span *inner);
