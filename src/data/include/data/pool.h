/* Inner addresses: one pool a port, one fixed slot per gateway and port .
 *
 * net30:  slot s owns the /30 at N + 4s; the gateway is N + 4s + 2, its virtual endpoint N + 4s
 * + 1. subnet: slot s is N + 1 + s. The server's own tunnel address is N + 1 in both. Addresses are
 * numbers in host order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum amm_topology { AMM_NET30 = 0, AMM_SUBNET = 1 };

/* Peer ids carry the slot in 13 bits. */
enum { AMM_SLOT_BITS = 13, AMM_SLOT_MAX = (1 << AMM_SLOT_BITS) - 1 };

struct amm_pool {
    uint32_t network;
    uint8_t prefix;   /* 16..29 */
    uint8_t topology; /* enum amm_topology */
    uint8_t reserved[2];
};

uint32_t amm_pool_mask(const struct amm_pool *pool);

/* The server's tunnel address, N + 1. */
uint32_t amm_pool_server(const struct amm_pool *pool);

/* Number of gateways that fit: /19 net30 2047, subnet 8189; at most AMM_SLOT_MAX. */
uint32_t amm_pool_slots(const struct amm_pool *pool);

/* Gateway address of slot 1..slots; 0 if the slot is out of range. */
uint32_t amm_pool_address(const struct amm_pool *pool, uint32_t slot);

/* Slot whose *gateway* address is `ip`, or 0 if `ip` is no gateway address of the pool. */
uint32_t amm_pool_slot(const struct amm_pool *pool, uint32_t ip);

/* "10.4.32.0/19"; false unless host bits are zero and the prefix is 16..29. */
bool amm_pool_parse(struct amm_pool *out, const char *text, enum amm_topology topology);

bool amm_pool_overlap(uint32_t network_a, uint8_t prefix_a, uint32_t network_b, uint8_t prefix_b);

/* peer id = generation << 13 | slot, generation 0..2046: 0xFFFFFF ("no peer id") and slot 0 never
 * occur. */
enum { AMM_GENERATIONS = 2047 };
static inline uint32_t amm_peer_id(uint32_t generation, uint32_t slot)
{
    return generation % AMM_GENERATIONS << AMM_SLOT_BITS | slot;
}
static inline uint32_t amm_peer_id_slot(uint32_t peer_id)
{
    return peer_id & AMM_SLOT_MAX;
}
static inline uint32_t amm_peer_id_generation(uint32_t peer_id)
{
    return peer_id >> AMM_SLOT_BITS;
}
