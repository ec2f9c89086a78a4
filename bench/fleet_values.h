/* What the made-up gateways of the manager's benches say: 20 stats of a cellular gateway and a few
 * parameters. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    BENCH_NAME = 16,
    BENCH_STATS = 20,
    BENCH_TUNNELS = 6000, /* the first ones have their tunnel enabled: three ports nearly full */
};

/* "bench-012345", and its serial number. */
void bench_name(uint32_t number, char out[BENCH_NAME]);
void bench_serial(uint32_t number, char out[BENCH_NAME]);

/* A new reference. `turn` is how often it has checked in: 0 gives all stats, any other those that
 * change from one check-in to the next (four of signal strength, one of temperature). */
json_t *bench_stats(uint32_t number, uint64_t turn);
json_t *bench_parameters(uint32_t number);

/* A hash without meaning but that it differs between numbers: splitmix64. */
uint64_t bench_mix(uint64_t x);
