#include "sim.h"

#include <stdlib.h>

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void swap(struct sim_heap *heap, size_t a, size_t b)
{
    struct sim_event event = heap->events[a];
    heap->events[a] = heap->events[b];
    heap->events[b] = event;
}

void sim_heap_add(struct sim_heap *heap, struct sim_event event)
{
    if (heap->n == heap->room) {
        heap->room = heap->room ? heap->room * 2 : 64;
        heap->events = realloc(heap->events, heap->room * sizeof *heap->events);
        if (!heap->events) {
            abort();
        }
    }
    event.sequence = heap->sequence++;
    size_t at = heap->n++;
    heap->events[at] = event;
    while (at > 0 && before(&heap->events[at], &heap->events[(at - 1) / 2])) {
        swap(heap, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

bool sim_heap_take(struct sim_heap *heap, amm_time now, struct sim_event *out)
{
    if (heap->n == 0 || heap->events[0].at > now) {
        return false;
    }
    *out = heap->events[0];
    heap->events[0] = heap->events[--heap->n];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap->n; child++) {
            if (before(&heap->events[child], &heap->events[least])) {
                least = child;
            }
        }
        if (least == at) {
            return true;
        }
        swap(heap, at, least);
        at = least;
    }
}

amm_time sim_heap_next(const struct sim_heap *heap)
{
    return heap->n > 0 ? heap->events[0].at : AMM_NEVER;
}

void sim_heap_free(struct sim_heap *heap)
{
    for (size_t i = 0; i < heap->n; i++) {
        free(heap->events[i].data);
    }
    free(heap->events);
    *heap = (struct sim_heap){0};
}
