/* Builds and checks inner IPv4 packets, byte by byte and without the code under test. */
#pragma once

#include "base/bytes.h"

struct packet {
    uint32_t source, destination;
    uint8_t protocol; /* 1 ICMP, 6 TCP, 17 UDP; others have no header of their own */
    uint8_t tos, ttl; /* ttl 0: 64 */
    uint8_t flags;    /* TCP; ICMP: the type */
    uint16_t source_port, destination_port;
    uint16_t id, fragment;
    uint32_t sequence, acknowledged;
    uint16_t window, urgent;
    const uint8_t *options; /* TCP; a multiple of four bytes */
    size_t n_options;
    size_t payload; /* bytes; byte i is `fill` + i */
    uint8_t fill;
};

/* RFC 1071 by the book: 16 bits at a time. Returns the folded sum, not its complement. */
uint16_t packet_sum(const uint8_t *data, size_t len, uint32_t start);

/* Writes the packet with right lengths and checksums; its length. Fails the test if it does not
 * fit. */
size_t packet_build(const struct packet *packet, uint8_t *out, size_t room);

/* Are the checksums of the IP header and of TCP, UDP or ICMP right? */
bool packet_is_sound(struct amm_view packet);
