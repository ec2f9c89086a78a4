/* The local socket on which an ammer tells its state (ipc/client_state.h). */
#pragma once

#include "ipc/client_state.h"

/* `group` may ask, too, by name or number; "": nobody else. -1 with a sentence. */
int state_server_open(const char *path, const char *group, char *error, size_t room);

/* Answers everybody who has connected. */
void state_server_answer(int fd, const struct amm_client_state *state);

/* Asks the ammer that serves `path`; false with a sentence. */
bool state_ask(const char *path, struct amm_client_state *out, char *error, size_t room);
