/* The clocks and the kernel's random generator: fetched here, passed down everywhere else. Any
 * thread. */
#pragma once

#include "base/random.h"
#include "base/time.h"

/* CLOCK_MONOTONIC and CLOCK_REALTIME. */
struct amm_now amm_now(void);

/* getrandom(2); never fails once the kernel's pool is seeded, and waits for that. */
struct amm_random amm_kernel_random(void);
