/* The core's process: reads what is on disk, and runs until the helper or a signal ends it. */
#pragma once

#include "config.h"

/* The child of ace_helper_run: its exit code. */
int ace_core_main(const struct ace_config *config, int helper);
