#include "link.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GATHER_BYTES = 65536 - 1024, GATHER_DATAGRAMS = 64 };

struct link_buffers {
    uint8_t receive[AMM_UDP_BUFFER];
    struct amm_udp_batch batch;
    size_t at;             /* UDP: into `receive`; what is before it was handed out */
    struct amm_span chunk; /* TCP: what was read and not cut into frames yet */
    struct amm_frame_reader reader;
    struct amm_frame_writer writer;
    uint8_t gather[GATHER_BYTES + AMM_LINK_ROOM];
    size_t gathered, segment; /* bytes; size of each datagram but the last */
    unsigned n_gathered;
    bool is_last_short; /* the batch ends with a shorter datagram: nothing can follow it */
};

bool link_init(struct link *link, struct amm_loop *loop, uint64_t tag)
{
    *link = (struct link){.fd = -1, .loop = loop, .tag = tag};
    link->buffers = calloc(1, sizeof *link->buffers);
    return link->buffers && amm_frame_writer_init(&link->buffers->writer);
}

void link_deinit(struct link *link)
{
    if (link->buffers) {
        link_close(link);
        amm_frame_writer_deinit(&link->buffers->writer);
        free(link->buffers);
        link->buffers = NULL;
    }
}

void link_close(struct link *link)
{
    if (link->fd >= 0) {
        amm_loop_remove(link->loop, link->fd);
        close(link->fd);
        link->fd = -1;
    }
    struct link_buffers *b = link->buffers;
    b->batch = (struct amm_udp_batch){0};
    b->at = 0;
    b->chunk = (struct amm_span){0};
    b->reader.have = 0;
    b->writer.start = 0;
    b->writer.len = 0;
    b->gathered = 0;
    b->n_gathered = 0;
    b->is_last_short = false;
    link->is_connecting = false;
    link->is_broken = false;
    link->wants_write = false;
}

static uint16_t local_port(int fd)
{
    struct sockaddr_storage local;
    socklen_t len = sizeof local;
    if (getsockname(fd, (struct sockaddr *)&local, &len) != 0) {
        return 0;
    }
    return ntohs(local.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&local)->sin6_port
                                             : ((struct sockaddr_in *)(void *)&local)->sin_port);
}

bool link_open(struct link *link, const struct amm_address *remote, enum amm_transport transport,
               char *error, size_t room)
{
    link_close(link);
    const struct amm_udp_settings settings = {.gro = true, .buffer = 1024 * 1024};
    link->fd = transport == AMM_UDP ? amm_udp_open(&settings, error, room)
                                    : amm_tcp_connect(remote, error, room);
    if (link->fd < 0) {
        return false;
    }
    link->path = (struct amm_path){.remote = *remote, .transport = (uint8_t)transport};
    link->is_connecting = transport == AMM_TCP;
    link->wants_write = link->is_connecting;
    if (transport == AMM_UDP) {
        link->path.local.port = local_port(link->fd);
    }
    if (!amm_loop_add(link->loop, link->fd, link->is_connecting ? AMM_WRITE : AMM_READ,
                      link->tag)) {
        snprintf(error, room, "epoll: %s", strerror(errno));
        link_close(link);
        return false;
    }
    return true;
}

static void watch(struct link *link)
{
    bool wants_write = link->buffers->writer.len > 0;
    if (wants_write != link->wants_write) {
        link->wants_write = wants_write;
        amm_loop_change(link->loop, link->fd, wants_write ? AMM_READ | AMM_WRITE : AMM_READ,
                        link->tag);
    }
}

bool link_ready(struct link *link, const struct amm_ready *ready, char *error, size_t room)
{
    if (link->fd < 0 || link->path.transport == AMM_UDP || !(ready->writable || ready->closed)) {
        return false;
    }
    if (!link->is_connecting) {
        if (ready->writable) {
            link_flush(link);
        }
        return false;
    }
    int failed = amm_tcp_connect_result(link->fd, &link->path.local);
    if (failed != 0) {
        snprintf(error, room, "TCP connection failed: %s", strerror(failed));
        link->is_broken = true;
        return false;
    }
    link->is_connecting = false;
    watch(link);
    return true;
}

/* ---- in ---- */

static bool next_of_batch(struct link_buffers *b, struct amm_span *datagram)
{
    size_t left = b->batch.len - b->at;
    if (left == 0) {
        return false;
    }
    size_t len = b->batch.segment < left ? b->batch.segment : left;
    *datagram = (struct amm_span){b->receive + b->at, len};
    b->at += len;
    return len > 0;
}

static bool next_datagram(struct link *link, struct amm_span *datagram)
{
    struct link_buffers *b = link->buffers;
    while (!next_of_batch(b, datagram)) {
        struct amm_span room = {b->receive, sizeof b->receive};
        b->at = 0;
        b->batch.len = 0;
        if (amm_udp_receive(link->fd, link->path.local.port, room, &b->batch) != AMM_UDP_OK) {
            b->batch.len = 0;
            return false;
        }
        if (!amm_address_equal(&b->batch.remote, &link->path.remote)) {
            b->batch.len = 0;
        }
    }
    return true;
}

static bool next_frame(struct link *link, struct amm_span *frame)
{
    struct link_buffers *b = link->buffers;
    for (;;) {
        if (b->chunk.len > 0) {
            switch (amm_frame_next(&b->reader, &b->chunk, frame)) {
            case AMM_FRAME_READY:
                return true;
            case AMM_FRAME_BROKEN:
                link->is_broken = true;
                return false;
            case AMM_FRAME_MORE:
                break;
            }
        }
        ssize_t got = amm_tcp_read(link->fd, (struct amm_span){b->receive, sizeof b->receive});
        if (got <= 0) {
            link->is_broken |= got < 0;
            return false;
        }
        b->chunk = (struct amm_span){b->receive, (size_t)got};
    }
}

bool link_next(struct link *link, struct amm_span *datagram)
{
    if (link->fd < 0 || link->is_connecting || link->is_broken) {
        return false;
    }
    return link->path.transport == AMM_UDP ? next_datagram(link, datagram)
                                           : next_frame(link, datagram);
}

/* ---- out ---- */

static bool fits_batch(const struct link_buffers *b, size_t len)
{
    return b->n_gathered == 0 ||
           (!b->is_last_short && len <= b->segment && b->n_gathered < GATHER_DATAGRAMS &&
            b->gathered + len <= GATHER_BYTES);
}

uint8_t *link_room(struct link *link)
{
    return link->buffers->gather + link->buffers->gathered;
}

void link_commit(struct link *link, struct amm_view datagram)
{
    struct link_buffers *b = link->buffers;
    if (link->fd < 0 || datagram.len == 0) {
        return;
    }
    if (link->path.transport == AMM_TCP) {
        if (!link->is_connecting) {
            amm_frame_add(&b->writer, datagram,
                          amm_view(NULL, 0)); /* full: dropped, as a datagram would be */
        }
        return;
    }
    if (!fits_batch(b, datagram.len)) {
        /* The datagram stands behind what is sent now: it moves to the front afterwards. */
        link_flush(link);
    }
    uint8_t *place = b->gather + b->gathered;
    if (place != datagram.data) {
        memmove(place, datagram.data, datagram.len);
    }
    b->segment = b->n_gathered == 0 ? datagram.len : b->segment;
    b->is_last_short = datagram.len < b->segment;
    b->gathered += datagram.len;
    b->n_gathered++;
}

void link_send(struct link *link, struct amm_view datagram)
{
    if (datagram.len <= AMM_LINK_ROOM) {
        link_commit(link, datagram);
    }
}

void link_flush(struct link *link)
{
    struct link_buffers *b = link->buffers;
    if (link->fd < 0) {
        return;
    }
    if (link->path.transport == AMM_TCP) {
        if (!link->is_connecting && b->writer.len > 0 && !amm_frame_flush(&b->writer, link->fd)) {
            link->is_broken = true;
        }
        if (!link->is_connecting && !link->is_broken) {
            watch(link);
        }
        return;
    }
    if (b->n_gathered > 0) {
        /* A packet that cannot be sent now (no route, no network) is lost like any other; the
         * timers decide. */
        amm_udp_send(link->fd, &link->path.remote, NULL, amm_view(b->gather, b->gathered),
                     b->n_gathered > 1 ? b->segment : 0);
        b->gathered = 0;
        b->n_gathered = 0;
        b->is_last_short = false;
    }
}
