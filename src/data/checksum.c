#include "data/offload.h"

/* Two 64-bit lanes, so that the compiler uses the vector unit that every 64-bit CPU has. */
typedef uint64_t lanes __attribute__((vector_size(16)));

static uint64_t add_lanes(const uint8_t *p, size_t n)
{
    lanes low = {0, 0};
    lanes high = {0, 0};
    for (; n > 0; n--, p += sizeof low) {
        lanes words;
        memcpy(&words, p, sizeof words);
        low += words & UINT32_MAX;
        high += words >> 32;
    }
    low += high; /* at most 2^17 words of 32 bits each: far from overflowing */
    return low[0] + low[1];
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

uint16_t amm_checksum(struct amm_view view, uint32_t sum)
{
    const uint8_t *p = view.data;
    size_t vectors = view.len / sizeof(lanes);
    size_t left = view.len % sizeof(lanes);
    uint64_t total = add_lanes(p, vectors);
    p += vectors * sizeof(lanes);
    for (; left >= 2; left -= 2, p += 2) {
        uint16_t word;
        memcpy(&word, p, sizeof word);
        total += word;
    }
    if (left > 0) {
        const uint8_t last[2] = {*p, 0};
        uint16_t word;
        memcpy(&word, last, sizeof word);
        total += word;
    }
    /* Adding in the machine's byte order gives the sum with its bytes in that order (RFC 1071, 2B).
     */
    uint16_t native = fold(total);
    uint8_t bytes[2];
    memcpy(bytes, &native, sizeof bytes);
    return fold((uint64_t)amm_load_u16(bytes) + sum);
}
