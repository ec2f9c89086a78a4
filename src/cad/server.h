/* The socket of amm-cad: at most CAD_CLIENTS connections of ammd's user (and root), requests in
 * order, backpressure by not reading. One thread. */
#pragma once

#include "cad/service.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CAD_CLIENTS = 8 };

struct cad_server;

/* Listens at `path` for the users `manager` and 0. NULL with a sentence. */
struct cad_server *cad_server_new(struct cad_service *service, struct cad_record *record,
                                  const char *path, uid_t manager, gid_t group,
                                  char error[CAD_ERROR]);

/* Takes SIGTERM and SIGINT as orders to stop; blocks them. */
bool cad_server_take_signals(struct cad_server *server);

/* Serves until a signal comes. */
void cad_server_run(struct cad_server *server);
struct cad_server *cad_server_free(struct cad_server *server);
