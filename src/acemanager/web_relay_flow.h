/* One relayed connection, without the rules that let it in: two sockets and a buffer for each
 * direction. For web_relay.c. */
#pragma once

#include "base/bytes.h"
#include "base/time.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RELAY_BUFFER = 16384 };

/* What all connections together may move in one direction: a bucket of one second. */
struct relay_bucket {
    uint64_t rate; /* bytes a second */
    uint64_t tokens;
    amm_time filled;
};
void relay_bucket_fill(struct relay_bucket *bucket, uint64_t rate, amm_time now);

enum { RELAY_PROXY, RELAY_TARGET }; /* the two ends */

struct relay_end {
    int fd; /* -1: none */
    uint64_t tag;
    unsigned interest;
    bool in_loop;
    bool is_hung; /* the loop said so: it says so for ever */
};

/* From one end to the other. */
struct relay_way {
    uint8_t data[RELAY_BUFFER];
    size_t at, len; /* data[at .. at + len) waits to be written */
    bool ended;     /* the reading end has no more */
    bool passed_on; /* and the other end was told */
    uint64_t total;
};

struct relay_pair {
    struct relay_end ends[2];
    struct relay_way ways[2]; /* by the end that is read */
    bool is_broken;
    bool wants_tokens; /* stopped by the bucket */
};

/* Moves what can be moved. True if anything was. After it, is_broken or both ways passed_on: it is
 * over. */
bool relay_pair_move(struct relay_pair *pair, struct relay_bucket buckets[2]);
bool relay_pair_is_over(const struct relay_pair *pair);

/* Tells the loop what it waits for now. */
void relay_pair_watch(struct relay_pair *pair, struct amm_loop *loop);
void relay_pair_close(struct relay_pair *pair, struct amm_loop *loop);
