/* Between struct amm_address and the kernel's forms. All sockets are AF_INET6 with IPv4 as mapped
 * addresses, so that one socket serves both; only on a kernel booted without IPv6 they are AF_INET.
 */
#pragma once

#include "base/address.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/* A socket of `type` in the family that this kernel has; -1 with errno. */
int amm_socket_new(int type);

/* The family of amm_socket_new. */
bool amm_socket_is_ipv4(void);

/* Fills `out`; its length. Family NONE is the wildcard address. 0 if IPv6 is asked of a kernel
 * without it. */
socklen_t amm_sockaddr_write(struct sockaddr_storage *out, const struct amm_address *address);

void amm_sockaddr_read(struct amm_address *out, const struct sockaddr_storage *from);

/* 16 bytes of an IPv6 address, mapped or not. */
void amm_address_from_in6(struct amm_address *out, const struct in6_addr *ip, uint16_t port);
