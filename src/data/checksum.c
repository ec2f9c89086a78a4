#include "data/offload.h"

uint16_t amm_checksum(struct amm_view view, uint32_t sum)
{
    /* Adding in the machine's byte order gives the sum with its bytes swapped (RFC 1071, 2B). */
    const uint8_t *p = view.data;
    size_t left = view.len;
    uint64_t total = 0;
    while (left >= 16) {
        uint32_t word[4];
        memcpy(word, p, sizeof word);
        total += (uint64_t)word[0] + word[1];
        total += (uint64_t)word[2] + word[3];
        p += 16;
        left -= 16;
    }
    while (left >= 2) {
        uint16_t word;
        memcpy(&word, p, sizeof word);
        total += word;
        p += 2;
        left -= 2;
    }
    if (left > 0) {
        uint8_t last[2] = {*p, 0};
        uint16_t word;
        memcpy(&word, last, sizeof word);
        total += word;
    }
    while (total >> 16) {
        total = (total & 0xffff) + (total >> 16);
    }
    const uint8_t bytes[2] = {(uint8_t)total, (uint8_t)(total >> 8)};
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    total = (uint64_t)bytes[0] << 8 | bytes[1];
#endif
    total += sum;
    while (total >> 16) {
        total = (total & 0xffff) + (total >> 16);
    }
    return (uint16_t)total;
}
