/* UDP sockets that receive and send batches.
 *
 * A *batch* is one buffer of datagrams of the same size (the last may be shorter), received by
 * UDP_GRO or sent by UDP_SEGMENT. A batch is not a peer: all of it has one remote address, but each
 * datagram is checked by itself.
 *
 * Path MTU discovery by ICMP is off (IP_PMTUDISC_OMIT): a forged "fragmentation needed" cannot
 * shrink a path, and a datagram above the interface's MTU leaves fragmented. Sockets are
 * non-blocking and close-on-exec. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_UDP_BUFFER = 65536, AMM_UDP_MANY = 64 };

struct amm_udp_settings {
    struct amm_address local; /* [::] serves IPv4 too; family NONE: like [::] with any port */
    bool reuse_port;          /* one group of sockets for threads */
    bool gro;
    unsigned buffer; /* bytes of socket buffer each way; 0: 4 MiB. Forced if privileged. */
};

/* A bound socket, or -1 with a sentence in `error[room]`; errno is kept (EADDRINUSE). */
int amm_udp_open(const struct amm_udp_settings *settings, char *error, size_t room);

struct amm_udp_batch {
    struct amm_address remote;
    struct amm_address local; /* the address that was asked; .port is the socket's */
    size_t len;
    size_t segment; /* bytes of each datagram but the last; `len` for a single one; 0: empty
                       datagram */
};

enum amm_udp_result {
    AMM_UDP_OK,
    AMM_UDP_AGAIN,  /* nothing there, or the send buffer is full: drop and count */
    AMM_UDP_SPLIT,  /* sent, but as single datagrams: the batch did not fit the path's MTU, use a
                       smaller segment */
    AMM_UDP_FAILED, /* this packet cannot be sent (no route, refused by the firewall); or the socket
                       is broken */
};

/* One receive into `buffer` (AMM_UDP_BUFFER bytes if the socket has GRO). `local_port` is written
 * to out->local.port. Pending ICMP errors are swallowed. Datagrams that were cut off are dropped.
 */
enum amm_udp_result amm_udp_receive(int fd, uint16_t local_port, struct amm_span buffer,
                                    struct amm_udp_batch *out);

struct amm_udp_slot {
    struct amm_span buffer;
    struct amm_udp_batch got;
};

/* Fills up to n (at most AMM_UDP_MANY) slots in one call; how many were filled. */
unsigned amm_udp_receive_many(int fd, uint16_t local_port, struct amm_udp_slot *slots, unsigned n);

/* Sends `bytes` as datagrams of `segment` bytes (0: one datagram), from local->ip unless local is
 * NULL or its family NONE. More than 64 segments or 64 KiB are cut into several calls here. */
enum amm_udp_result amm_udp_send(int fd, const struct amm_address *remote,
                                 const struct amm_address *local, struct amm_view bytes,
                                 size_t segment);

struct amm_udp_packet {
    struct amm_address remote, local; /* local as in amm_udp_send */
    struct amm_view bytes;            /* at most 64 segments and 64 KiB */
    size_t segment;
    enum amm_udp_result result;
};

/* Sends n packets to different peers with as few calls as possible; fills each `result`. */
void amm_udp_send_many(int fd, struct amm_udp_packet *packets, unsigned n);
