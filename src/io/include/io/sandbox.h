/* What our servers can no longer do once they serve. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* No program can be started, no other process looked into, no kernel interface that a server of
 * ours has no business with: for all threads, for good. False with a sentence. */
bool amm_sandbox_enter(char *error, size_t room);
