/* The relay: TCP connections of the proxy to hosts of the LAN, and to ports of the gateway itself
 * (doc/gateway-protocol.md, GP-80 to GP-86). A part of the core's loop with descriptors of its own.
 * Listens at the tunnel address while the list of targets is not empty. Owner: the core's thread.
 */
#pragma once

#include "web_session.h"

struct ace_pages;
struct web_relay;

enum {
    WEB_RELAY_FLOWS = 16, /* at once */
    WEB_RELAY_OF_ONE = 8, /* of one remote session */
};

/* Attaches itself to the core. NULL: out of memory or descriptors. */
struct web_relay *web_relay_new(struct ace_pages *pages);
struct web_relay *web_relay_free(struct web_relay *relay); /* NULL is fine */

/* Cuts the connections of a remote session; NULL: all. */
void web_relay_cut(struct web_relay *relay, const char *label, enum web_end why);
