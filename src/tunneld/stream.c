#include "stream.h"

#include <stdlib.h>
#include <unistd.h>

static uint32_t bucket_of(uint32_t link)
{
    return link % (sizeof((struct amm_streams *)0)->buckets / sizeof(struct amm_stream *));
}

void amm_stream_release_buffers(struct amm_stream *stream)
{
    free(stream->reader);
    stream->reader = NULL;
    amm_frame_writer_deinit(&stream->writer);
}

struct amm_stream *amm_stream_add(struct amm_streams *streams, int fd, const struct amm_path *path)
{
    struct amm_stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        return NULL;
    }
    stream->reader = calloc(1, sizeof *stream->reader);
    if (!stream->reader || !amm_frame_writer_init(&stream->writer)) {
        free(stream->reader);
        free(stream);
        return NULL;
    }
    stream->fd = fd;
    stream->path = *path;
    stream->owner = AMM_STREAM_HERE;
    stream->deadline = AMM_NEVER;

    struct amm_stream **bucket = &streams->buckets[bucket_of(path->link)];
    stream->next_in_bucket = *bucket;
    *bucket = stream;
    stream->next = streams->first;
    if (streams->first) {
        streams->first->previous = stream;
    }
    streams->first = stream;
    streams->n++;
    return stream;
}

struct amm_stream *amm_stream_find(const struct amm_streams *streams, uint32_t link)
{
    struct amm_stream *stream = streams->buckets[bucket_of(link)];
    while (stream && stream->path.link != link) {
        stream = stream->next_in_bucket;
    }
    return stream;
}

static void leave_dirty_list(struct amm_streams *streams, struct amm_stream *stream)
{
    struct amm_stream **at = &streams->first_dirty;
    while (*at && *at != stream) {
        at = &(*at)->next_dirty;
    }
    if (*at) {
        *at = stream->next_dirty;
    }
}

void amm_stream_remove(struct amm_streams *streams, struct amm_stream *stream)
{
    struct amm_stream **at = &streams->buckets[bucket_of(stream->path.link)];
    while (*at != stream) {
        at = &(*at)->next_in_bucket;
    }
    *at = stream->next_in_bucket;
    if (stream->previous) {
        stream->previous->next = stream->next;
    } else {
        streams->first = stream->next;
    }
    if (stream->next) {
        stream->next->previous = stream->previous;
    }
    if (stream->dirty) {
        leave_dirty_list(streams, stream);
    }
    streams->n_waiting -= stream->waits;
    if (stream->fd >= 0) {
        close(stream->fd);
    }
    amm_stream_release_buffers(stream);
    free(stream);
    streams->n--;
}

bool amm_stream_queue(struct amm_streams *streams, struct amm_stream *stream, struct amm_view frame)
{
    if (!amm_frame_add(&stream->writer, frame, amm_view(NULL, 0))) {
        return false;
    }
    if (!stream->dirty) {
        stream->dirty = true;
        stream->next_dirty = streams->first_dirty;
        streams->first_dirty = stream;
    }
    return true;
}

struct amm_stream *amm_stream_take_dirty(struct amm_streams *streams)
{
    struct amm_stream *stream = streams->first_dirty;
    if (stream) {
        streams->first_dirty = stream->next_dirty;
        stream->dirty = false;
    }
    return stream;
}

static void wait_for_room(struct amm_streams *streams, struct amm_stream *stream, bool waits)
{
    streams->n_waiting += (uint32_t)waits - (uint32_t)stream->waits;
    stream->waits = waits;
}

void amm_stream_flush(struct amm_streams *streams, struct amm_stream *stream, struct amm_loop *loop,
                      uint64_t tag, amm_time now)
{
    size_t before = stream->writer.len;
    if (stream->broken || stream->fd < 0) {
        return;
    }
    if (!amm_frame_flush(&stream->writer, stream->fd)) {
        stream->broken = true;
        return;
    }
    bool waits = stream->writer.len != 0;
    if (!stream->waits || stream->writer.len < before) {
        stream->moved = now;
    }
    if (waits != stream->waits) {
        wait_for_room(streams, stream, waits);
        amm_loop_change(loop, stream->fd, waits ? AMM_READ | AMM_WRITE : AMM_READ, tag);
    }
    stream->broken = stream->closing && !waits;
}

void amm_streams_judge(struct amm_streams *streams, struct amm_drops *drops, amm_time now)
{
    for (struct amm_stream *stream = streams->first; stream; stream = stream->next) {
        if (stream->waits && !stream->broken && now - stream->moved >= AMM_STREAM_PATIENCE) {
            amm_drop(drops, AMM_DROP_TCP_SLOW);
            stream->broken = true;
        }
    }
}
