/* Frames of the TCP transport: taken out of a stream at any split, and queued for one that is slow.
 */
#include "io/tcp.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { HEADER = 2, GIVE_BACK = 64 * 1024 };

static bool length_ok(size_t len)
{
    return len >= 1 && len <= AMM_FRAME_MAX;
}

/* Moves bytes from the chunk until the reader holds `want`. */
static void fill_partial(struct amm_frame_reader *reader, struct amm_span *bytes, size_t want)
{
    size_t take = want - reader->have;
    take = take < bytes->len ? take : bytes->len;
    memcpy(reader->partial + reader->have, bytes->data, take);
    reader->have = (uint16_t)(reader->have + take);
    bytes->data += take;
    bytes->len -= take;
}

static enum amm_frame_result finish_partial(struct amm_frame_reader *reader, struct amm_span *bytes,
                                            struct amm_span *frame)
{
    if (reader->have < HEADER) {
        fill_partial(reader, bytes, HEADER);
        if (reader->have < HEADER) {
            return AMM_FRAME_MORE;
        }
    }
    size_t len = amm_load_u16(reader->partial);
    if (!length_ok(len)) {
        return AMM_FRAME_BROKEN;
    }
    fill_partial(reader, bytes, HEADER + len);
    if (reader->have < HEADER + len) {
        return AMM_FRAME_MORE;
    }
    *frame = (struct amm_span){reader->partial + HEADER, len};
    reader->have = 0;
    return AMM_FRAME_READY;
}

enum amm_frame_result amm_frame_next(struct amm_frame_reader *reader, struct amm_span *bytes,
                                     struct amm_span *frame)
{
    if (bytes->len == 0) {
        return AMM_FRAME_MORE;
    }
    if (reader->have == 0 && bytes->len >= HEADER) {
        size_t len = amm_load_u16(bytes->data);
        if (!length_ok(len)) {
            return AMM_FRAME_BROKEN;
        }
        if (bytes->len >= HEADER + len) {
            *frame = (struct amm_span){bytes->data + HEADER, len};
            bytes->data += HEADER + len;
            bytes->len -= HEADER + len;
            return AMM_FRAME_READY;
        }
    }
    return finish_partial(reader, bytes, frame);
}

bool amm_frame_writer_init(struct amm_frame_writer *writer)
{
    *writer = (struct amm_frame_writer){0};
    void *ring =
        mmap(NULL, AMM_FRAME_QUEUE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ring == MAP_FAILED) {
        return false;
    }
    writer->ring = ring;
    return true;
}

void amm_frame_writer_deinit(struct amm_frame_writer *writer)
{
    if (writer->ring != NULL) {
        munmap(writer->ring, AMM_FRAME_QUEUE);
    }
    *writer = (struct amm_frame_writer){0};
}

static void put(struct amm_frame_writer *writer, const uint8_t *data, size_t len)
{
    size_t at = (writer->start + writer->len) % AMM_FRAME_QUEUE;
    size_t first = AMM_FRAME_QUEUE - at < len ? AMM_FRAME_QUEUE - at : len;
    if (len == 0) {
        return;
    }
    memcpy(writer->ring + at, data, first);
    memcpy(writer->ring, data + first, len - first);
    writer->len += len;
    size_t end = first < len ? AMM_FRAME_QUEUE : at + first;
    writer->touched = end > writer->touched ? end : writer->touched;
}

bool amm_frame_add(struct amm_frame_writer *writer, struct amm_view head, struct amm_view tail)
{
    size_t len = head.len + tail.len;
    uint8_t header[HEADER];
    if (!length_ok(len) || AMM_FRAME_QUEUE - writer->len < HEADER + len) {
        return false;
    }
    amm_store_u16(header, (uint16_t)len);
    put(writer, header, HEADER);
    put(writer, head.data, head.len);
    put(writer, tail.data, tail.len);
    return true;
}

/* An empty queue starts over at its first page and gives the others back. */
static void rest(struct amm_frame_writer *writer)
{
    writer->start = 0;
    if (writer->touched > GIVE_BACK) {
        madvise(writer->ring, AMM_FRAME_QUEUE, MADV_DONTNEED);
        writer->touched = 0;
    }
}

bool amm_frame_flush(struct amm_frame_writer *writer, int fd)
{
    while (writer->len > 0) {
        size_t first = AMM_FRAME_QUEUE - writer->start;
        first = first < writer->len ? first : writer->len;
        struct iovec parts[2] = {{writer->ring + writer->start, first},
                                 {writer->ring, writer->len - first}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = writer->len > first ? 2 : 1};
        ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno == EAGAIN || errno == ENOBUFS;
        }
        writer->start = (writer->start + (size_t)sent) % AMM_FRAME_QUEUE;
        writer->len -= (size_t)sent;
    }
    rest(writer);
    return true;
}
