/* What browsers are told of gateways: who has changed, gathered for half a second and in groups, so
 * that a listener gets a few messages a second whatever the fleet does. An item is the row of a
 * tree or a table as it is then, with what has changed; a gateway that changes ten times is told
 * once.
 *
 * Events of kind "gateways": {"items": [{"id", "name", ..., "lamps", "changes": ["tunnel"]}]}; of
 * one that is gone only id and changes. At most DELTAS_AT_ONCE gateways go out at a time; the
 * others wait for their turn. Fleet thread. */
#pragma once

#include "fleet.h"
#include "manager/manager.h"

enum {
    DELTAS_AT_ONCE = 200,
    DELTAS_OF_MESSAGE = 100,
    DELTAS_WAITING = 200000, /* gateways; with more, listeners are told to read the lists again */
};

struct deltas;
struct deltas *deltas_new(struct manager *m); /* NULL: out of memory */
struct deltas *deltas_free(struct deltas *deltas);

/* A note of the fleet about a gateway. */
void deltas_note(struct deltas *deltas, const struct fleet_note *note);
