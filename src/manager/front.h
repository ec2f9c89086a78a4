/* The front: listeners and the threads that do TLS and HTTP. They find the route, copy the request
 * into a job and queue it; nothing else. */
#pragma once

#include "http/server.h"
#include "manager/manager.h"

struct front;

/* Opens every listener and reads certificates and keys: as root. NULL with a sentence. */
struct front *front_new(struct manager *m, char *error, size_t room);

/* Starts the threads. */
bool front_start(struct front *front, char *error, size_t room);

/* Nothing new comes in behind this; answers may still leave. */
void front_stop(struct front *front);
struct front *front_free(struct front *front);

/* Reads certificates and keys again, as the user that ammd runs as; connections that are there go
 * on. False: what could not be read stays as it was. */
void front_reload(struct front *front);

/* Any thread. */
void front_counters(const struct front *front, struct amm_http_counters *out);
