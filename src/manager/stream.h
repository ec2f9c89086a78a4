/* Server-Sent Events at /api/v1/events/stream. Fleet thread. */
#pragma once

#include "manager/access.h"
#include "manager/manager.h"

#include <jansson.h>

/* Tells everyone who may view `scope`, once the batch is durable. `kind` is a stable name in static
 * storage ("gateway", "tunnel", "operation", "event"); takes the reference of `data`. Cheap when
 * nobody listens: ask stream_is_heard first if making `data` costs something. */
void stream_publish(struct manager *m, const struct access_object *scope, const char *kind,
                    json_t *data);
bool stream_is_heard(const struct manager *m);
