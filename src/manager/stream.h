/* Server-Sent Events at /api/v1/events/stream. Fleet thread. */
#pragma once

#include "manager/access.h"
#include "manager/manager.h"

#include "http/server.h"

#include <jansson.h>

/* Tells everyone who may view `scope`, once the batch is durable. `kind` is a stable name in static
 * storage ("gateway", "tunnel", "operation", "event"); takes the reference of `data`. Cheap when
 * nobody listens: ask stream_is_heard first if making `data` costs something. */
void stream_publish(struct manager *m, const struct access_object *scope, const char *kind,
                    json_t *data);
/* Tells all listeners that too much has changed: they read what they show again. */
void stream_reset(struct manager *m);
bool stream_is_heard(const struct manager *m);

/* ---- core, front.c and the route ---- */

struct job;

struct stream *stream_new(struct manager *m); /* NULL: out of memory */
struct stream *stream_free(struct stream *stream);
void stream_start(struct manager *m); /* sets the heartbeat */
unsigned stream_listeners(const struct manager *m);

/* GET /api/v1/events/stream */
void stream_handle(struct job *job);

/* The peer has left. */
void stream_leave(struct manager *m, struct amm_http_server *server, struct amm_http_ref ref);
