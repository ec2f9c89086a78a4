/* Links, addresses and routes of the calling thread's network namespace, IPv4 inside (rtnetlink by
 * libmnl). Functions return false with a sentence in `error[room]`; what already is as asked is
 * success. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_link_settings {
    uint32_t mtu;      /* 0: leave */
    uint32_t tx_queue; /* 0: leave */
    bool up;           /* false: leave */
};
bool amm_link_set(const char *name, const struct amm_link_settings *settings, char *error,
                  size_t room);

/* disable_ipv6=1, before the link goes up: no neighbour discovery, no link-local address. */
bool amm_link_disable_ipv6(const char *name, char *error, size_t room);

/* Adds `ip`/`prefix` (host order). `peer` not 0: a point-to-point address; then prefix belongs to
 * the peer. */
bool amm_link_add_address(const char *name, uint32_t ip, uint8_t prefix, uint32_t peer, char *error,
                          size_t room);
bool amm_link_delete_address(const char *name, uint32_t ip, uint8_t prefix, uint32_t peer,
                             char *error, size_t room);

/* Adds or replaces / deletes a route to network/prefix, through `gateway` (0: on link). */
bool amm_route_add(const char *link, uint32_t network, uint8_t prefix, uint32_t gateway,
                   char *error, size_t room);
bool amm_route_delete(const char *link, uint32_t network, uint8_t prefix, char *error, size_t room);

/* A prefix that is in use here: an address of this host, or a connected network (a route without
 * a gateway). */
struct amm_prefix {
    uint32_t network;
    uint8_t prefix;
    bool is_address;
    char link[16];
};

/* Lists up to `room` of them; how many there are, or -1 with a sentence. */
int amm_prefixes_list(struct amm_prefix *out, size_t n, char *error, size_t room);
