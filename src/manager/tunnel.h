/* Everything between ammd and amm-tunneld: who may join where, who is up, moves between ports.
 *
 * A gateway's *place* is a slot on a tunnel port, and with it its address; it is fixed until the
 * gateway is removed. It gets one when it may have a tunnel: admitted, and its own software has the
 * tunnel enabled (60001) or it is an OpenVPN router. The port is the desired 10034; when nobody has
 * set that, the one with the largest share of free places, which then becomes desired.
 *
 * What amm-tunneld knows is the gateways file: written in one step before answers leave
 * (fleet_committed), taken over by a reload that follows within 200 ms. It keeps working with the
 * last one while ammd is down.
 *
 * A *move* of a gateway with software of ours is make-before-break: it has lines for both ports,
 * and 60 s from when it took the order on. When the new tunnel is up, the old line goes; when it
 * does not come up, or the gateway says that it cannot, the move is taken back and 10034 with it. A
 * local change on the gateway's page is no order: both lines stay until it is up on the new port or
 * thinks better of it. An OpenVPN router is moved at once: its old line goes, and the refusal there
 * sends it to its next remote.
 *
 * Fleet thread. */
#pragma once

#include "fleet.h"
#include "manager/manager.h"
#include "manager/route.h"

#include <stdbool.h>
#include <stdint.h>

struct tunnel;

extern const struct manager_module tunnel_module;
extern const struct route tunnel_routes[];
extern const struct route tunnel_pool_routes[];
extern const struct route refused_routes[];

/* ---- inside a unit ---- */

/* Gives the gateway its place now, if it should have one and has none: for who needs it in the same
 * unit (a connection file). Without a call it gets one behind the commit that made it eligible.
 * False: 409 "ports-full", with the numbers. */
bool tunnel_place(struct manager *m, struct fleet_gateway *gateway, struct fleet_error *error);

/* True if 10034 of the gateway may become `port`: it is one of the server's and has a free place
 * (or the gateway's own). False: 400 "no-such-port", 409 "port-full" with the arithmetic. */
bool tunnel_port_free(struct manager *m, const struct fleet_gateway *gateway, uint32_t port,
                      struct fleet_error *error);

/* Orders the gateway to another port: 10034 for one with software of ours, at once for others. */
bool tunnel_move(struct manager *m, struct fleet_gateway *gateway, uint32_t port, const char *by,
                 struct fleet_error *error);

/* The one tunnel that leads to the gateway now. False: none is up, as far as is known. */
struct tunnel_up {
    uint64_t epoch; /* names this tunnel (ipc/tunnel.h); never 0 */
    uint32_t inner_ip;
    int64_t since;
};
bool tunnel_is_up(const struct manager *m, const struct fleet_gateway *gateway,
                  struct tunnel_up *out);

/* True while the gateway may be up on two ports at once. */
bool tunnel_is_moving(const struct manager *m, const struct fleet_gateway *gateway);

/* ---- once the unit is durable; forgotten when it is rolled back ---- */

/* Tells amm-tunneld to end the gateway's tunnels and to refuse it for `hold` seconds (0: it may
 * come back at once). While amm-tunneld is not there nothing happens: then there is no tunnel. */
void tunnel_kick(struct manager *m, const struct fleet_gateway *gateway, uint32_t hold);

/* Makes amm-tunneld read gateways file and revocation list; repeated until it has, also after a
 * time without amm-tunneld. */
void tunnel_reload(struct manager *m);
