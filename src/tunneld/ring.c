#include "ring.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { HEADER = 8, SKIP = UINT32_MAX };

struct header {
    uint32_t len;  /* of the record; SKIP: the rest of the buffer is unused */
    uint32_t step; /* bytes to the next header */
};

/* Positions run freely and are masked on use. The store of `written` publishes a record, the store
 * of `taken` gives its room back; both are sequentially consistent because amm_bell_doze and
 * amm_bell_ring order them against `asleep`. */
struct amm_ring {
    size_t mask;
    uint8_t *bytes;
    _Alignas(64) _Atomic size_t written;
    size_t pending; /* producer: end of the reserved record */
    size_t seen;    /* producer: last known `taken` */
    _Alignas(64) _Atomic size_t taken;
    size_t next; /* consumer: end of the peeked record */
};

struct amm_ring *amm_ring_new(size_t bytes)
{
    struct amm_ring *ring = aligned_alloc(64, sizeof *ring);
    if (!ring) {
        return NULL;
    }
    *ring = (struct amm_ring){.mask = bytes - 1, .bytes = aligned_alloc(64, bytes)};
    if (!ring->bytes) {
        free(ring);
        return NULL;
    }
    return ring;
}

struct amm_ring *amm_ring_free(struct amm_ring *ring)
{
    if (ring) {
        free(ring->bytes);
        free(ring);
    }
    return NULL;
}

static size_t space_of(size_t len)
{
    return HEADER + ((len + 7) & ~(size_t)7);
}

static bool has_room(struct amm_ring *ring, size_t from, size_t need)
{
    if (ring->mask + 1 - (from - ring->seen) >= need) {
        return true;
    }
    ring->seen = atomic_load_explicit(&ring->taken, memory_order_acquire);
    return ring->mask + 1 - (from - ring->seen) >= need;
}

bool amm_ring_fits(struct amm_ring *ring, size_t len)
{
    /* A record that does not fit before the end of the buffer costs that rest as well, once. */
    size_t worst = space_of(len) + (ring->mask + 1) / 4;
    return has_room(ring, atomic_load_explicit(&ring->written, memory_order_relaxed), worst);
}

void *amm_ring_reserve(struct amm_ring *ring, size_t len)
{
    size_t need = space_of(len);
    size_t from = atomic_load_explicit(&ring->written, memory_order_relaxed);
    size_t to_end = ring->mask + 1 - (from & ring->mask);
    size_t skip = to_end < need ? to_end : 0;

    if (need > (ring->mask + 1) / 4 || !has_room(ring, from, skip + need)) {
        return NULL;
    }
    if (skip) {
        *(struct header *)(ring->bytes + (from & ring->mask)) =
            (struct header){SKIP, (uint32_t)skip};
        from += skip;
    }
    struct header *header = (struct header *)(ring->bytes + (from & ring->mask));
    *header = (struct header){(uint32_t)len, (uint32_t)need};
    ring->pending = from + need;
    return header + 1;
}

void amm_ring_commit(struct amm_ring *ring)
{
    atomic_store(&ring->written, ring->pending);
}

void *amm_ring_peek(struct amm_ring *ring, size_t *len)
{
    size_t from = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    size_t end = atomic_load(&ring->written);

    while (from != end) {
        struct header *header = (struct header *)(ring->bytes + (from & ring->mask));
        if (header->len != SKIP) {
            ring->next = from + header->step;
            *len = header->len;
            return header + 1;
        }
        from += header->step;
    }
    return NULL;
}

void amm_ring_release(struct amm_ring *ring)
{
    atomic_store_explicit(&ring->taken, ring->next, memory_order_release);
}

bool amm_bell_init(struct amm_bell *bell)
{
    atomic_init(&bell->asleep, 0);
    bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return bell->fd >= 0;
}

void amm_bell_deinit(struct amm_bell *bell)
{
    if (bell->fd >= 0) {
        close(bell->fd);
    }
    bell->fd = -1;
}

void amm_bell_ring(struct amm_bell *bell)
{
    if (atomic_load(&bell->asleep) && atomic_exchange(&bell->asleep, 0)) {
        uint64_t one = 1;
        /* It can only fail with EAGAIN, when the bell has been ringing 2^64 - 2 times already. */
        ssize_t written = write(bell->fd, &one, sizeof one);
        (void)written;
    }
}

void amm_bell_doze(struct amm_bell *bell)
{
    atomic_store(&bell->asleep, 1);
}

void amm_bell_answer(struct amm_bell *bell)
{
    if (!atomic_exchange(&bell->asleep, 0)) {
        uint64_t count;
        ssize_t got = read(bell->fd, &count, sizeof count);
        (void)got;
    }
}
