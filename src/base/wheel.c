/* Hierarchical timer wheel (Varghese and Lauck, 1987): four levels of 64 slots. An entry sits in
 * the level whose slot width fits the distance to its deadline and moves down a level when the hand
 * reaches it. */
#include "base/wheel.h"

#include <stdlib.h>

enum { LEVELS = 4, SLOT_BITS = 6, SLOTS = 1 << SLOT_BITS, TICK_BITS = 24 };

struct entry {
    uint32_t next, prev; /* in the slot's ring of entries; AMM_WHEEL_NONE ends it */
    uint64_t tick;       /* of the deadline */
    uint16_t slot;       /* level * SLOTS + slot, or IDLE */
};

enum { IDLE = UINT16_MAX };

struct amm_wheel {
    amm_time start;
    uint64_t tick; /* all ticks before this one are done */
    uint32_t n_set;
    uint64_t occupied[LEVELS]; /* a bit per slot */
    uint32_t head[LEVELS * SLOTS];
    struct entry entries[];
};

struct amm_wheel *amm_wheel_new(uint32_t n, amm_time now)
{
    struct amm_wheel *wheel = calloc(1, sizeof *wheel + (size_t)n * sizeof wheel->entries[0]);
    if (wheel == NULL) {
        return NULL;
    }
    wheel->start = now;
    for (int i = 0; i < LEVELS * SLOTS; i++) {
        wheel->head[i] = AMM_WHEEL_NONE;
    }
    for (uint32_t i = 0; i < n; i++) {
        wheel->entries[i].slot = IDLE;
    }
    return wheel;
}

struct amm_wheel *amm_wheel_free(struct amm_wheel *wheel)
{
    free(wheel);
    return NULL;
}

static void unlink_entry(struct amm_wheel *wheel, uint32_t id)
{
    struct entry *e = &wheel->entries[id];
    if (e->slot == IDLE) {
        return;
    }
    if (e->prev != AMM_WHEEL_NONE) {
        wheel->entries[e->prev].next = e->next;
    } else {
        wheel->head[e->slot] = e->next;
        if (e->next == AMM_WHEEL_NONE) {
            wheel->occupied[e->slot / SLOTS] &= ~(UINT64_C(1) << e->slot % SLOTS);
        }
    }
    if (e->next != AMM_WHEEL_NONE) {
        wheel->entries[e->next].prev = e->prev;
    }
    e->slot = IDLE;
    wheel->n_set--;
}

static void link_entry(struct amm_wheel *wheel, uint32_t id)
{
    struct entry *e = &wheel->entries[id];
    uint64_t at = e->tick < wheel->tick ? wheel->tick : e->tick;
    int level = 0;
    /* A level can hold what lies less than one of its turns ahead, counted in its own slots. */
    while (level < LEVELS - 1 &&
           (at >> (SLOT_BITS * level)) - (wheel->tick >> (SLOT_BITS * level)) >= SLOTS) {
        level++;
    }
    uint64_t turn = (wheel->tick >> (SLOT_BITS * level)) + SLOTS - 1;
    uint64_t position = at >> (SLOT_BITS * level);
    if (position > turn) {
        position =
            turn; /* further than the wheel reaches: looked at again when the hand comes by */
    }
    e->slot = (uint16_t)(level * SLOTS + (int)(position % SLOTS));
    e->prev = AMM_WHEEL_NONE;
    e->next = wheel->head[e->slot];
    if (e->next != AMM_WHEEL_NONE) {
        wheel->entries[e->next].prev = id;
    }
    wheel->head[e->slot] = id;
    wheel->occupied[level] |= UINT64_C(1) << e->slot % SLOTS;
    wheel->n_set++;
}

void amm_wheel_set(struct amm_wheel *wheel, uint32_t entry, amm_time deadline)
{
    unlink_entry(wheel, entry);
    if (deadline == AMM_NEVER) {
        return;
    }
    uint64_t since = deadline <= wheel->start ? 0 : (uint64_t)(deadline - wheel->start);
    wheel->entries[entry].tick = (since + (UINT64_C(1) << TICK_BITS) - 1) >> TICK_BITS;
    link_entry(wheel, entry);
}

/* Moves everything in the slots that the hand enters at the upper levels down to where it belongs
 * now. */
static void cascade(struct amm_wheel *wheel)
{
    for (int level = 1; level < LEVELS; level++) {
        if (wheel->tick & ((UINT64_C(1) << (SLOT_BITS * level)) - 1)) {
            return;
        }
        uint32_t slot =
            (uint32_t)level * SLOTS + (uint32_t)(wheel->tick >> (SLOT_BITS * level)) % SLOTS;
        uint32_t id = wheel->head[slot];
        while (id != AMM_WHEEL_NONE) {
            uint32_t next = wheel->entries[id].next;
            unlink_entry(wheel, id);
            link_entry(wheel, id);
            id = next;
        }
    }
}

/* The next tick after `wheel->tick` at which something happens: an occupied slot, or a cascade. */
static uint64_t next_tick(const struct amm_wheel *wheel)
{
    uint64_t best = UINT64_MAX;
    for (int level = 0; level < LEVELS; level++) {
        if (wheel->occupied[level] == 0) {
            continue;
        }
        int shift = SLOT_BITS * level;
        uint64_t hand = wheel->tick >> shift;
        unsigned turn = (unsigned)(hand % SLOTS);
        uint64_t ahead = wheel->occupied[level] >> turn;
        if (turn > 0) {
            ahead |= wheel->occupied[level] << (SLOTS - turn);
        }
        uint64_t at = (hand + (uint64_t)__builtin_ctzll(ahead)) << shift;
        if (at < wheel->tick) {
            at = wheel->tick;
        }
        best = at < best ? at : best;
    }
    return best;
}

uint32_t amm_wheel_expire(struct amm_wheel *wheel, amm_time now)
{
    uint64_t until = now <= wheel->start ? 0 : (uint64_t)(now - wheel->start) >> TICK_BITS;
    while (wheel->n_set > 0 && wheel->tick <= until) {
        uint32_t id = wheel->head[wheel->tick % SLOTS];
        if (id != AMM_WHEEL_NONE) {
            unlink_entry(wheel, id);
            return id;
        }
        uint64_t next = next_tick(wheel);
        if (next <= wheel->tick) {
            /* Only an upper level is due at this very tick: bring it down and look again. */
            next = wheel->tick + 1;
        }
        /* Step no further than the next boundary of level 1, where the hand must cascade. */
        uint64_t boundary = (wheel->tick | (SLOTS - 1)) + 1;
        wheel->tick = next < boundary ? next : boundary;
        if (wheel->tick > until + 1) {
            wheel->tick = until + 1;
        }
        cascade(wheel);
    }
    if (wheel->n_set == 0 && wheel->tick <= until) {
        wheel->tick = until + 1;
    }
    return AMM_WHEEL_NONE;
}

amm_time amm_wheel_deadline(const struct amm_wheel *wheel)
{
    if (wheel->n_set == 0) {
        return AMM_NEVER;
    }
    return wheel->start + (amm_time)(next_tick(wheel) << TICK_BITS);
}
