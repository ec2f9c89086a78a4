/* Numbers of a fleet: what is printed each second and what is written at the end. */
#pragma once

#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct samples {
    uint32_t *us; /* microseconds */
    size_t n, room;
};

/* Adds one; silently full when out of memory or at ten million. */
void samples_add(struct samples *samples, amm_duration value);
void samples_deinit(struct samples *samples);

struct fleet_numbers {
    uint32_t count, started, up;
    uint64_t joined, failed, lost; /* events; a gateway that is lost joins again */
    uint64_t renewed;
    uint64_t echo_sent, echo_received,
        answered; /* inner: requests, replies to them, requests of others answered */
    amm_duration all_joined_after; /* 0: not all did */
    struct samples joins, echoes;
    char last_failure[200];
};

/* "12.0 s  up 512/1000  failed 0  lost 0 ..." */
void fleet_progress(const struct fleet_numbers *numbers, amm_duration since);

/* Writes the JSON report; `drops` counts by reason. False with a message. */
struct amm_drops;
bool fleet_report_write(const char *path, struct fleet_numbers *numbers,
                        const struct amm_drops *drops, char *error, size_t room);
