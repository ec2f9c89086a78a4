#include "manager/timers.h"

#include <stdlib.h>

static void place(struct timers *timers, uint32_t at, struct manager_timer *timer)
{
    timers->heap[at] = timer;
    timer->position = at + 1;
}

/* Moves the timer at `at` to where the order of the heap wants it. */
static void sift(struct timers *timers, uint32_t at)
{
    struct manager_timer *timer = timers->heap[at];
    while (at > 0 && timers->heap[(at - 1) / 2]->at > timer->at) {
        place(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (uint32_t child; (child = 2 * at + 1) < timers->n; at = child) {
        if (child + 1 < timers->n && timers->heap[child + 1]->at < timers->heap[child]->at) {
            child++;
        }
        if (timers->heap[child]->at >= timer->at) {
            break;
        }
        place(timers, at, timers->heap[child]);
    }
    place(timers, at, timer);
}

static void take_out(struct timers *timers, struct manager_timer *timer)
{
    uint32_t at = timer->position - 1;
    struct manager_timer *last = timers->heap[--timers->n];
    timer->position = 0;
    if (last != timer) {
        place(timers, at, last);
        sift(timers, at);
    }
}

bool timers_set(struct timers *timers, struct manager_timer *timer, amm_time at)
{
    timer->at = at;
    if (at == AMM_NEVER) {
        if (timer->position != 0) {
            take_out(timers, timer);
        }
        return true;
    }
    if (timer->position == 0) {
        if (timers->n == timers->room) {
            uint32_t room = timers->room ? 2 * timers->room : 64;
            struct manager_timer **heap = realloc(timers->heap, room * sizeof *heap);
            if (heap == NULL) {
                return false;
            }
            timers->heap = heap;
            timers->room = room;
        }
        place(timers, timers->n++, timer);
    }
    sift(timers, timer->position - 1);
    return true;
}

struct manager_timer *timers_expire(struct timers *timers, amm_time now)
{
    if (timers->n == 0 || timers->heap[0]->at > now) {
        return NULL;
    }
    struct manager_timer *timer = timers->heap[0];
    take_out(timers, timer);
    return timer;
}

amm_time timers_deadline(const struct timers *timers)
{
    return timers->n > 0 ? timers->heap[0]->at : AMM_NEVER;
}

void timers_deinit(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){0};
}
