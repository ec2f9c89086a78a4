/* Runs a program to its end: argv without a shell, `input` on standard input, environment only PATH
 * and LANG. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

/* True if it ended with 0. Otherwise `error[room]` says how it ended and the first of what it wrote
 * to standard error. argv[0] is looked up in PATH (/usr/sbin:/usr/bin:/sbin:/bin). Blocks. */
bool amm_spawn(const char *const argv[], struct amm_view input, char *error, size_t room);
