/* TCP connections, as a thread keeps them: framing in, a bounded queue out, found by connection
 * number.
 *
 * A connection starts at a handshake thread; when its peer joins, the descriptor goes to the peer's
 * worker, and the handshake thread only remembers where. One owner thread a
 * table. */
#pragma once

#include "base/address.h"
#include "base/time.h"
#include "base/drop.h"
#include "io/loop.h"
#include "io/tcp.h"

#include <stdbool.h>
#include <stdint.h>

enum { AMM_STREAM_HERE = UINT16_MAX };

/* A peer whose queue has not moved for so long is slow: closed. */
#define AMM_STREAM_PATIENCE (10 * AMM_SECOND)

struct amm_stream {
    struct amm_path path; /* path.link is the connection number */
    int fd;               /* -1 once it is elsewhere or closed */
    uint16_t owner; /* a worker's number, or AMM_STREAM_HERE; on a worker: the handshake thread */
    bool closing;   /* close once the queue is empty */
    bool broken;    /* close now */
    bool spoke;     /* handshake thread: sent something that the engine took */
    bool dirty;     /* frames were queued in this burst */
    bool waits;     /* asked the loop to tell when it is writable */
    amm_time deadline; /* handshake thread: the peer has joined by then */
    amm_time moved;    /* when the queue last moved, while `waits` */
    uint32_t peer_id;
    struct amm_frame_reader *reader;
    struct amm_frame_writer writer;
    struct amm_stream *next_in_bucket, *next, *previous, *next_dirty;
};

struct amm_streams {
    struct amm_stream *buckets[1024];
    struct amm_stream *first, *first_dirty;
    uint32_t n, n_waiting;
};

/* A new connection with buffers; NULL: out of memory (`fd` is left to the caller). */
struct amm_stream *amm_stream_add(struct amm_streams *streams, int fd, const struct amm_path *path);

/* NULL if there is none of that number. */
struct amm_stream *amm_stream_find(const struct amm_streams *streams, uint32_t link);

/* Closes the descriptor if it is still there, and forgets the connection. */
void amm_stream_remove(struct amm_streams *streams, struct amm_stream *stream);

/* Gives the buffers back: the descriptor lives on elsewhere. */
void amm_stream_release_buffers(struct amm_stream *stream);

/* Queues one frame and marks the stream dirty. False if the queue is full: dropped whole. */
bool amm_stream_queue(struct amm_streams *streams, struct amm_stream *stream,
                      struct amm_view frame);

/* Takes the next dirty stream off the list; NULL: none. */
struct amm_stream *amm_stream_take_dirty(struct amm_streams *streams);

/* Sends what the socket takes and asks the loop for the rest (`tag` is the stream's in the loop).
 * Marks the stream broken if the connection is over or, while closing, done. */
void amm_stream_flush(struct amm_streams *streams, struct amm_stream *stream, struct amm_loop *loop,
                      uint64_t tag, amm_time now);

/* Marks the streams whose queue stands still as broken, and counts them. For once a second while
 * n_waiting is not 0. */
void amm_streams_judge(struct amm_streams *streams, struct amm_drops *drops, amm_time now);
