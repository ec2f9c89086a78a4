/* A store in a folder of its own, a fleet on it, and one gateway after another checking in: what
 * the fleet thread does, without threads. */
#pragma once

#include "manager/checkin.h"
#include "manager/fleet.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct world {
    char folder[64], database[96];
    struct amm_store *store;
    struct fleet *fleet;
    int64_t now;
    bool was_quarantined;
    struct fleet_error error;
    const char *tunnel_hash;
    const uint8_t *remote_key;
};

void world_open(struct world *world);
void world_close(struct world *world); /* removes the folder */
/* Everything in memory is thrown away and read from the store again. */
void world_restart(struct world *world);

/* Between these two the transaction of a batch with one unit is open. */
void world_begin(struct world *world);
void world_commit(struct world *world);
void world_rollback(struct world *world); /* the unit */

struct fleet_gateway *world_gateway(struct world *world, const char *name); /* added, admitted */

/* A check-in from its JSON text; the answer as JSON, NULL if it failed or was refused. */
json_t *world_checkin(struct world *world, int64_t gateway_id, const char *message);
