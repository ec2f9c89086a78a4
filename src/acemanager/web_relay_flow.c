#include "web_relay_flow.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void relay_bucket_fill(struct relay_bucket *bucket, uint64_t rate, amm_time now)
{
    amm_duration past = now - bucket->filled;
    if (bucket->filled == 0 || past > AMM_SECOND) {
        past = AMM_SECOND;
    }
    uint64_t more = rate * (uint64_t)(past / AMM_MILLISECOND) / 1000;
    bucket->rate = rate;
    if (more > 0 || bucket->filled == 0) {
        bucket->filled = now;
        bucket->tokens = bucket->tokens + more > rate ? rate : bucket->tokens + more;
    }
}

/* ---- moving ---- */

static bool read_some(struct relay_pair *pair, unsigned from, struct relay_bucket *bucket)
{
    struct relay_way *way = &pair->ways[from];
    size_t most = bucket->tokens < RELAY_BUFFER ? (size_t)bucket->tokens : RELAY_BUFFER;
    if (way->ended || way->len > 0) {
        return false;
    }
    if (most == 0) {
        pair->wants_tokens = true;
        return false;
    }
    ssize_t got = recv(pair->ends[from].fd, way->data, most, 0);
    if (got > 0) {
        way->at = 0;
        way->len = (size_t)got;
        way->total += (uint64_t)got;
        bucket->tokens -= (uint64_t)got;
    } else if (got == 0) {
        way->ended = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        pair->is_broken = true;
        return false;
    }
    return got >= 0;
}

static bool write_some(struct relay_pair *pair, unsigned from)
{
    struct relay_way *way = &pair->ways[from];
    int fd = pair->ends[!from].fd;
    if (way->len > 0) {
        ssize_t sent = send(fd, way->data + way->at, way->len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            pair->is_broken = true;
        }
        way->at += sent > 0 ? (size_t)sent : 0;
        way->len -= sent > 0 ? (size_t)sent : 0;
        return sent > 0;
    }
    if (way->ended && !way->passed_on) {
        way->passed_on = true;
        shutdown(fd, SHUT_WR);
        return true;
    }
    return false;
}

bool relay_pair_move(struct relay_pair *pair, struct relay_bucket buckets[2])
{
    bool any = false;
    pair->wants_tokens = false;
    for (bool again = true; again && !pair->is_broken;) {
        again = false;
        for (unsigned from = 0; from < 2 && !pair->is_broken; from++) {
            again |= read_some(pair, from, &buckets[from]);
            again |= write_some(pair, from);
        }
        any |= again;
    }
    return any;
}

bool relay_pair_is_over(const struct relay_pair *pair)
{
    return pair->is_broken || (pair->ways[0].passed_on && pair->ways[1].passed_on);
}

/* ---- waiting ---- */

static unsigned interest_of(const struct relay_pair *pair, unsigned end)
{
    const struct relay_way *from = &pair->ways[end], *to = &pair->ways[!end];
    bool reads = !from->ended && from->len == 0 && !pair->wants_tokens;
    return (reads ? AMM_READ : 0U) | (to->len > 0 ? AMM_WRITE : 0U);
}

void relay_pair_watch(struct relay_pair *pair, struct amm_loop *loop)
{
    for (unsigned i = 0; i < 2; i++) {
        struct relay_end *end = &pair->ends[i];
        unsigned interest = interest_of(pair, i);
        bool is_wanted = !end->is_hung || (interest & AMM_READ);
        if (end->in_loop && !is_wanted) {
            amm_loop_remove(loop, end->fd); /* it would be told without end */
            end->in_loop = false;
        } else if (!end->in_loop && is_wanted) {
            end->in_loop = amm_loop_add(loop, end->fd, interest, end->tag);
            pair->is_broken |= !end->in_loop;
        } else if (end->in_loop && interest != end->interest) {
            amm_loop_change(loop, end->fd, interest, end->tag);
        }
        end->interest = interest;
    }
}

void relay_pair_close(struct relay_pair *pair, struct amm_loop *loop)
{
    for (unsigned i = 0; i < 2; i++) {
        struct relay_end *end = &pair->ends[i];
        if (end->fd >= 0) {
            if (end->in_loop) {
                amm_loop_remove(loop, end->fd);
            }
            close(end->fd);
        }
        end->fd = -1;
        end->in_loop = false;
    }
    amm_wipe(pair->ways, sizeof pair->ways);
}
