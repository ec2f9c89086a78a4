/* TCP transport: non-blocking, close-on-exec, TCP_NODELAY sockets, and the frames on them: a 16-bit
 * length, then that many bytes (WIRE-1). */
#pragma once

#include "base/address.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { AMM_FRAME_MAX = 1768, AMM_FRAME_QUEUE = 256 * 1024 };

/* [::] serves IPv4 too. -1 with a sentence; errno is kept. */
int amm_tcp_listen(const struct amm_address *local, bool reuse_port, char *error, size_t room);

/* The same for this interface only (NULL: any): what comes in by another one is not answered, even
 * if it is for that address. */
int amm_tcp_listen_by(const struct amm_address *local, const char *device, bool reuse_port,
                      char *error, size_t room);

/* -1 if there is none, or out of descriptors (EMFILE, ENFILE: the caller stops polling for a
 * while). */
int amm_tcp_accept(int fd, struct amm_address *remote, struct amm_address *local);

/* Starts to connect; writable when decided, then ask amm_tcp_connect_result: 0 or an errno. */
int amm_tcp_connect(const struct amm_address *remote, char *error, size_t room);

/* The same by this interface only; NULL: any. A name needs CAP_NET_RAW before Linux 5.7. */
int amm_tcp_connect_by(const struct amm_address *remote, const char *device, char *error,
                       size_t room);

int amm_tcp_connect_result(int fd, struct amm_address *local);

/* Bytes read, 0 if there are none now, -1 if the connection is over. */
ssize_t amm_tcp_read(int fd, struct amm_span buffer);

/* ---- frames in: no I/O; any split of the stream ---- */

struct amm_frame_reader {
    uint16_t have; /* bytes in `partial` */
    uint8_t partial[2 + AMM_FRAME_MAX];
};

enum amm_frame_result {
    AMM_FRAME_READY,
    AMM_FRAME_MORE,   /* *bytes is used up; what is missing is remembered */
    AMM_FRAME_BROKEN, /* length 0 or above AMM_FRAME_MAX: close the connection */
};

/* Takes the next frame from `*bytes` (a chunk as read) and moves it on. `*frame` points into the
 * chunk or into the reader and may be changed in place; it is valid until the next call with this
 * reader. */
enum amm_frame_result amm_frame_next(struct amm_frame_reader *reader, struct amm_span *bytes,
                                     struct amm_span *frame);

/* ---- frames out: a bounded queue ---- */

struct amm_frame_writer {
    uint8_t *ring; /* AMM_FRAME_QUEUE bytes, touched only as far as it is used */
    size_t start, len, touched;
};

bool amm_frame_writer_init(struct amm_frame_writer *writer); /* false: out of memory */
void amm_frame_writer_deinit(struct amm_frame_writer *writer);

/* Queues one frame of head followed by tail (either may be empty); false if it does not fit:
 * dropped whole. */
bool amm_frame_add(struct amm_frame_writer *writer, struct amm_view head, struct amm_view tail);

/* Sends what the socket takes. False if the connection is over. While writer->len is not 0: wait
 * for writable. */
bool amm_frame_flush(struct amm_frame_writer *writer, int fd);
