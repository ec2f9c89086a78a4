#include "batch.h"

#include "io/udp.h"

#include <stdlib.h>

enum { BUFFER = 8 * 65536 };

struct message {
    struct amm_path path;
    struct amm_peer *peer;
    size_t start, len, segment;
    unsigned n;
    bool closed; /* its last datagram is shorter, or must not share a batch */
};

struct amm_batch {
    const int *sockets;
    uint32_t n_links;
    struct amm_drops *drops;
    size_t used;
    unsigned n;
    struct message messages[AMM_BATCH_MESSAGES];
    uint8_t buffer[BUFFER];
};

struct amm_batch *amm_batch_new(const int *sockets, uint32_t n_links, struct amm_drops *drops)
{
    struct amm_batch *batch =
        malloc(sizeof *batch); /* not zeroed: the buffer is touched only as far as needed */
    if (batch) {
        batch->sockets = sockets;
        batch->n_links = n_links;
        batch->drops = drops;
        batch->used = batch->n = 0;
    }
    return batch;
}

struct amm_batch *amm_batch_free(struct amm_batch *batch)
{
    free(batch);
    return NULL;
}

uint8_t *amm_batch_room(struct amm_batch *batch, size_t len)
{
    if (batch->used + len > BUFFER) {
        amm_batch_flush(batch);
    }
    return batch->buffer + batch->used;
}

static bool joins(const struct message *last, const struct amm_path *path, size_t len)
{
    return !last->closed && len <= last->segment && last->n < AMM_BATCH_SEGMENTS &&
           last->len + len <= AMM_BATCH_BYTES && amm_path_equal(&last->path, path);
}

void amm_batch_add(struct amm_batch *batch, const struct amm_path *path, struct amm_peer *peer,
                   size_t len)
{
    struct message *last = batch->n ? &batch->messages[batch->n - 1] : NULL;

    if (last && joins(last, path, len)) {
        last->closed = len < last->segment;
        last->len += len;
        last->n++;
        batch->used += len;
        return;
    }
    if (batch->n == AMM_BATCH_MESSAGES) {
        size_t start = batch->used; /* the new datagram lies behind the others and stays there */
        amm_batch_flush(batch);
        batch->used = start;
    }
    batch->messages[batch->n++] = (struct message){
        .path = *path,
        .peer = peer,
        .start = batch->used,
        .len = len,
        .segment = len,
        .n = 1,
        .closed = peer && peer->segment && len > peer->segment,
    };
    batch->used += len;
}

/* ---- sending ---- */

static void settle(struct amm_batch *batch, const struct message *message,
                   enum amm_udp_result result)
{
    switch (result) {
    case AMM_UDP_OK:
        return;
    case AMM_UDP_SPLIT:
        if (message->peer &&
            (!message->peer->segment || message->peer->segment >= message->segment)) {
            message->peer->segment = (uint16_t)(message->segment - 1);
        }
        return;
    case AMM_UDP_AGAIN:
        batch->drops->count[AMM_DROP_QUEUE_FULL] += message->n;
        return;
    case AMM_UDP_FAILED:
        batch->drops->count[AMM_DROP_SEND_FAILED] += message->n;
        return;
    }
}

/* Sends messages [from, to), which go out on one socket. */
static void send_run(struct amm_batch *batch, unsigned from, unsigned to)
{
    struct amm_udp_packet packets[AMM_BATCH_MESSAGES];
    unsigned n = to - from;

    for (unsigned i = 0; i < n; i++) {
        const struct message *message = &batch->messages[from + i];
        packets[i] = (struct amm_udp_packet){
            .remote = message->path.remote,
            .local = message->path.local,
            .bytes = amm_view(batch->buffer + message->start, message->len),
            .segment = message->n > 1 ? message->segment : 0,
        };
    }
    amm_udp_send_many(batch->sockets[batch->messages[from].path.link], packets, n);
    for (unsigned i = 0; i < n; i++) {
        settle(batch, &batch->messages[from + i], packets[i].result);
    }
}

static bool has_socket(const struct amm_batch *batch, const struct message *message)
{
    return message->path.link < batch->n_links && batch->sockets[message->path.link] >= 0;
}

void amm_batch_flush(struct amm_batch *batch)
{
    for (unsigned from = 0; from < batch->n;) {
        unsigned to = from + 1;
        while (to < batch->n && batch->messages[to].path.link == batch->messages[from].path.link) {
            to++;
        }
        if (has_socket(batch, &batch->messages[from])) {
            send_run(batch, from, to);
        } else {
            batch->drops->count[AMM_DROP_SEND_FAILED] += to - from;
        }
        from = to;
    }
    batch->n = 0;
    batch->used = 0;
}
