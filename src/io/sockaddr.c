#include "sockaddr.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static atomic_bool without_ipv6; /* a property of the machine; set once, by whoever notices first */

int amm_socket_new(int type)
{
    int fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && errno == EAFNOSUPPORT) {
        atomic_store(&without_ipv6, true);
        return socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    int off = 0;
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    return fd;
}

bool amm_socket_is_ipv4(void)
{
    return atomic_load_explicit(&without_ipv6, memory_order_relaxed);
}

socklen_t amm_sockaddr_write(struct sockaddr_storage *out, const struct amm_address *address)
{
    if (amm_socket_is_ipv4()) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&in->sin_addr, address->ip, sizeof in->sin_addr);
        return address->family == AMM_FAMILY_IPV6 && memcmp(address->ip, &in6addr_any, 16) != 0
                   ? 0
                   : sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    if (address->family == AMM_FAMILY_IPV4) {
        in6->sin6_addr.s6_addr[10] = 0xff;
        in6->sin6_addr.s6_addr[11] = 0xff;
        memcpy(in6->sin6_addr.s6_addr + 12, address->ip, 4);
    } else if (address->family == AMM_FAMILY_IPV6) {
        memcpy(in6->sin6_addr.s6_addr, address->ip, 16);
    }
    return sizeof *in6;
}

void amm_address_from_in6(struct amm_address *out, const struct in6_addr *ip, uint16_t port)
{
    *out = (struct amm_address){.port = port};
    if (IN6_IS_ADDR_V4MAPPED(ip)) {
        out->family = AMM_FAMILY_IPV4;
        memcpy(out->ip, ip->s6_addr + 12, 4);
    } else {
        out->family = AMM_FAMILY_IPV6;
        memcpy(out->ip, ip->s6_addr, 16);
    }
}

void amm_sockaddr_read(struct amm_address *out, const struct sockaddr_storage *from)
{
    if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
        amm_address_from_in6(out, &in6->sin6_addr, ntohs(in6->sin6_port));
        return;
    }
    *out = (struct amm_address){0};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        out->family = AMM_FAMILY_IPV4;
        out->port = ntohs(in->sin_port);
        memcpy(out->ip, &in->sin_addr, 4);
    }
}
