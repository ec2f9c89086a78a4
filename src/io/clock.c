#include "io/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

struct amm_now amm_now(void)
{
    struct timespec mono, wall;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct amm_now){
        .mono = (amm_time)mono.tv_sec * AMM_SECOND + mono.tv_nsec,
        .wall = wall.tv_sec,
    };
}

static void fill_from_kernel(void *context, void *out, size_t len)
{
    (void)context;
    uint8_t *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            abort(); /* a program must not go on with keys that nobody drew */
        }
        at += got;
        len -= (size_t)got;
    }
}

struct amm_random amm_kernel_random(void)
{
    return (struct amm_random){.fill = fill_from_kernel, .context = NULL};
}
