/* What amm-cad may still do once it serves: read, write and save through the descriptors that it
 * has, take connections at its socket, and end. Anything else kills it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True where it cannot be had, too (another architecture, a sanitizer build): then `*in_force` is
 * false. */
bool cad_sandbox_enter(bool *in_force, char *error, size_t room);
