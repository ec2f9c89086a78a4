/* Outer addresses and paths. Flat values: they live in state memory that outlives a process. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum amm_family { AMM_FAMILY_NONE = 0, AMM_FAMILY_IPV4 = 4, AMM_FAMILY_IPV6 = 6 };

/* An IP address with a UDP or TCP port. IPv4 uses ip[0..3], the rest is zero; a v4-mapped IPv6
 * address is always stored as IPv4, so that one peer has one address. `port` is in host order. */
struct amm_address {
    uint8_t ip[16];
    uint16_t port;
    uint8_t family; /* enum amm_family */
    uint8_t reserved;
};

enum amm_transport { AMM_UDP = 0, AMM_TCP = 1 };

/* How a packet came, and so how the answer goes: from `local` to `remote` on `link`.
 * `link` names the listener (UDP: number of the tunnel port's socket group; TCP: connection number,
 * never reused within a process). `transport` is an enum amm_transport. */
struct amm_path {
    struct amm_address remote;
    struct amm_address local;
    uint32_t link;
    uint8_t transport;
    uint8_t port_index; /* which tunnel port (0..n-1) of the server; 0 in a client */
    uint8_t reserved[2];
};

bool amm_address_equal(const struct amm_address *a, const struct amm_address *b);
bool amm_path_equal(const struct amm_path *a, const struct amm_path *b);

#define AMM_ADDRESS_TEXT 64

/* "192.0.2.1:1190" or "[2001:db8::1]:1190"; `out` holds AMM_ADDRESS_TEXT bytes. Returns `out`. */
const char *amm_address_text(const struct amm_address *address, char *out);

/* Parses the forms of amm_address_text, and a bare IP address when `default_port` is not 0. */
bool amm_address_parse(struct amm_address *out, const char *text, uint16_t default_port);

/* The prefix that rate limits count by: /24 of IPv4, /56 of IPv6, as 8 bytes. */
uint64_t amm_address_prefix(const struct amm_address *address);

/* Inner IPv4 addresses are plain numbers in host order. */
#define AMM_IPV4_TEXT 16
const char *amm_ipv4_text(uint32_t ip, char *out);
bool amm_ipv4_parse(uint32_t *out, const char *text);
