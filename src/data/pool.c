#include "data/pool.h"

#include "base/address.h"

#include <string.h>

uint32_t amm_pool_mask(const struct amm_pool *pool)
{
    return ~(UINT32_MAX >> pool->prefix);
}

uint32_t amm_pool_server(const struct amm_pool *pool)
{
    return pool->network + 1;
}

uint32_t amm_pool_slots(const struct amm_pool *pool)
{
    uint32_t size = UINT32_C(1) << (32 - pool->prefix);
    /* net30: every /30 but the server's own. subnet: all but network, server and broadcast. */
    uint32_t slots = pool->topology == AMM_NET30 ? size / 4 - 1 : size - 3;
    return slots < AMM_SLOT_MAX ? slots : AMM_SLOT_MAX;
}

uint32_t amm_pool_address(const struct amm_pool *pool, uint32_t slot)
{
    if (slot == 0 || slot > amm_pool_slots(pool)) {
        return 0;
    }
    return pool->network + (pool->topology == AMM_NET30 ? 4 * slot + 2 : slot + 1);
}

uint32_t amm_pool_slot(const struct amm_pool *pool, uint32_t ip)
{
    uint32_t offset = ip - pool->network; /* wraps to a large number below the network */
    uint32_t slot = pool->topology == AMM_NET30 ? offset >> 2 : offset - 1;
    if (pool->topology == AMM_NET30 && (offset & 3) != 2) {
        return 0;
    }
    return slot <= amm_pool_slots(pool) ? slot : 0;
}

bool amm_pool_parse(struct amm_pool *out, const char *text, enum amm_topology topology)
{
    const char *slash = strchr(text, '/');
    char ip[AMM_IPV4_TEXT];
    if (slash == NULL || (size_t)(slash - text) >= sizeof ip) {
        return false;
    }
    memcpy(ip, text, (size_t)(slash - text));
    ip[slash - text] = '\0';
    /* Two digits, because the prefix is 16..29. */
    if (slash[1] < '1' || slash[1] > '2' || slash[2] < '0' || slash[2] > '9' || slash[3] != '\0') {
        return false;
    }
    struct amm_pool pool = {.prefix = (uint8_t)((slash[1] - '0') * 10 + slash[2] - '0'),
                            .topology = (uint8_t)topology};
    if (pool.prefix < 16 || !amm_ipv4_parse(&pool.network, ip) ||
        (pool.network & ~amm_pool_mask(&pool)) != 0) {
        return false;
    }
    *out = pool;
    return true;
}

bool amm_pool_overlap(uint32_t network_a, uint8_t prefix_a, uint32_t network_b, uint8_t prefix_b)
{
    uint8_t shorter = prefix_a < prefix_b ? prefix_a : prefix_b;
    if (shorter == 0) {
        return true;
    }
    return (network_a ^ network_b) >> (32 - shorter) == 0;
}
