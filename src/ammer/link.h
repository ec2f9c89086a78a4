/* The outer side of a client: one UDP socket or TCP connection to one server, in batches.
 *
 * The UDP socket is not bound to a local address, so that a change of the gateway's network or
 * address needs no care: the next packet leaves over the new way and the session floats. Datagrams
 * of anybody but the server are dropped here. One owner thread. */
#pragma once

#include "base/address.h"
#include "io/loop.h"
#include "io/tcp.h"
#include "io/udp.h"

struct link_buffers;

struct link {
    int fd; /* -1: closed */
    struct amm_path path;
    bool is_connecting; /* TCP: not decided yet */
    bool is_broken;     /* TCP: the connection is over; UDP: the socket cannot send there at all */
    bool wants_write;
    struct amm_loop *loop;
    uint64_t tag;
    struct link_buffers *buffers;
};

/* Makes the buffers; `tag` marks the link's descriptor in `loop`. False if out of memory. */
bool link_init(struct link *link, struct amm_loop *loop, uint64_t tag);
void link_deinit(struct link *link);

/* Opens a socket to `remote` (a former one is closed); a TCP connection is established later, see
 * link_ready. */
bool link_open(struct link *link, const struct amm_address *remote, enum amm_transport transport,
               char *error, size_t room);
void link_close(struct link *link);

/* What the loop reported for the link. True if a TCP connection has just been established; a failed
 * one is is_broken, with the reason in `error`. */
bool link_ready(struct link *link, const struct amm_ready *ready, char *error, size_t room);

/* The next datagram that has come, to be changed in place; valid until the next call. False if
 * there is none now. */
bool link_next(struct link *link, struct amm_span *datagram);

/* Queues a datagram; it leaves with link_flush at the latest. */
void link_send(struct link *link, struct amm_view datagram);

/* Room for one datagram in the batch that is being gathered, at least AMM_LINK_ROOM bytes. Write it
 * there and pass what was written to link_commit, which accepts datagrams that begin a few bytes
 * later, too. */
enum { AMM_LINK_ROOM = 2048 };
uint8_t *link_room(struct link *link);
void link_commit(struct link *link, struct amm_view datagram);

/* Sends what was gathered. */
void link_flush(struct link *link);
