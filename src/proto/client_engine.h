/* What the client composition asks of its engine beyond proto/engine.h. */
#pragma once

#include "proto/engine.h"

/* Takes the oldest command for the data plane out of turn; the other events stay. */
bool amm_engine_take_plane_command(struct amm_engine *engine, struct amm_plane_command *out);

/* The client's only session; a ref that fits none if there is none. */
struct amm_session_ref amm_engine_client_session(const struct amm_engine *engine);
