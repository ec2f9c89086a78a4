/* What ammd can no longer do once it serves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* No program can be started, no other process looked into, no kernel interface that a manager has
 * no business with: for all threads, for good. False with a sentence. */
bool sandbox_enter(char *error, size_t room);
