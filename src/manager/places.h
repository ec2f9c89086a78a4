/* Who has which slot of which tunnel port. Pure: no store, no clock of its own; sizes are bounded
 * by the pools. Owner: the fleet thread. */
#pragma once

#include "data/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A slot that was given back is left alone so long, in seconds: whoever still thinks of its former
 * gateway must not meet another one at that address. */
enum { PLACES_PORTS_MAX = 8, PLACES_COOL = 600 };

struct places_port {
    uint16_t port;
    struct amm_pool pool;
    uint32_t limit; /* places that are given out at most; never above the pool's slots */
};

struct places;

struct places *places_new(const struct places_port *ports, size_t n); /* NULL: out of memory */
struct places *places_free(struct places *places);

size_t places_count(const struct places *places); /* of ports */
const struct places_port *places_at(const struct places *places, size_t i);
/* NULL: no such port. */
const struct places_port *places_find(const struct places *places, uint32_t port);

uint32_t places_taken(const struct places *places, uint32_t port);
uint32_t places_left(const struct places *places, uint32_t port);

/* The gateway that has it; 0: nobody, or no such slot. */
int64_t places_owner(const struct places *places, uint32_t port, uint32_t slot);

/* Inner address, host order; 0: no such slot. */
uint32_t places_address(const struct places *places, uint32_t port, uint32_t slot);

/* The slot that a newcomer gets: the lowest that is free and cool; without one, that which has been
 * free longest. 0: the port is full. Nothing is taken. */
uint32_t places_choose(const struct places *places, uint32_t port, int64_t now);

/* The port for a gateway for which nobody has chosen: that with the largest share of its limit
 * left, the first of equals. 0: all are full. `avoid`: bit per port index, used only if all others
 * are full. */
uint16_t places_balance(const struct places *places, uint32_t avoid);

/* Takes a slot; also above the limit, for what the store says. False if somebody else has it, or
 * there is no such slot. */
bool places_take(struct places *places, uint32_t port, uint32_t slot, int64_t gateway);

/* Gives it back; `now`: wall seconds, from when it cools; 0: it was never used. */
void places_release(struct places *places, uint32_t port, uint32_t slot, int64_t now);

/* Another pool and limit for a port: every gateway keeps its slot. False, and nothing changed, if
 * there is no such port, no memory, or a gateway has a slot that the new pool does not. */
bool places_change(struct places *places, const struct places_port *settings);

/* "port 1190 is full: 2047 of 2047 places are taken; free: 12 on 1191, 0 on 1192, 7 on 1193". */
void places_say_full(const struct places *places, uint32_t port, char *out, size_t room);
