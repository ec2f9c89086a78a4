#include "io/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 8192 };

static bool fail(char *error, size_t room, const char *what, const char *link, int cause)
{
    snprintf(error, room, "%s %s: %s", what, link, strerror(cause));
    return false;
}

/* Sends a prepared request and reads the acknowledgement or the whole dump. 0 or an errno. */
static int ask(struct nlmsghdr *request, mnl_cb_t each, void *context)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (socket == NULL) {
        return errno;
    }
    char answer[MESSAGE_BYTES * 4];
    int cause = 0;
    request->nlmsg_seq = 1;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_sendto(socket, request, request->nlmsg_len) < 0) {
        cause = errno;
    }
    int more = 1;
    while (cause == 0 && more > 0) {
        ssize_t got = mnl_socket_recvfrom(socket, answer, sizeof answer);
        more = got < 0 ? -1
                       : mnl_cb_run(answer, (size_t)got, 1, mnl_socket_get_portid(socket), each,
                                    context);
        if (more < 0 && errno != EINTR) {
            cause = errno;
        }
    }
    mnl_socket_close(socket);
    return cause;
}

static struct nlmsghdr *begin(char *buffer, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = type;
    request->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    return request;
}

static struct nlmsghdr *begin_link(char *buffer, uint16_t type, const char *name,
                                   struct ifinfomsg **info)
{
    struct nlmsghdr *request = begin(buffer, type, NLM_F_ACK);
    *info = mnl_nlmsg_put_extra_header(request, sizeof **info);
    (*info)->ifi_family = AF_UNSPEC;
    mnl_attr_put_strz(request, IFLA_IFNAME, name);
    return request;
}

bool amm_link_set(const char *name, const struct amm_link_settings *settings, char *error,
                  size_t room)
{
    char buffer[MESSAGE_BYTES];
    struct ifinfomsg *info;
    struct nlmsghdr *request = begin_link(buffer, RTM_NEWLINK, name, &info);
    if (settings->mtu > 0) {
        mnl_attr_put_u32(request, IFLA_MTU, settings->mtu);
    }
    if (settings->tx_queue > 0) {
        mnl_attr_put_u32(request, IFLA_TXQLEN, settings->tx_queue);
    }
    if (settings->up) {
        info->ifi_flags = info->ifi_change = IFF_UP;
    }
    int cause = ask(request, NULL, NULL);
    return cause == 0 || fail(error, room, "link", name, cause);
}

bool amm_link_disable_ipv6(const char *name, char *error, size_t room)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return true; /* a kernel without IPv6 */
    }
    bool ok = fd >= 0 && write(fd, "1\n", 2) == 2;
    int cause = errno;
    if (fd >= 0) {
        close(fd);
    }
    return ok || fail(error, room, "disable IPv6 on", name, cause);
}

static bool find_link(const char *name, unsigned *index, char *error, size_t room)
{
    *index = if_nametoindex(name);
    return *index != 0 || fail(error, room, "link", name, errno);
}

/* The errno of an address request, or -1 with the sentence written. */
static int ask_address(const char *name, uint16_t type, uint16_t flags, uint32_t ip, uint8_t prefix,
                       uint32_t peer, char *error, size_t room)
{
    char buffer[MESSAGE_BYTES];
    unsigned index;
    if (!find_link(name, &index, error, room)) {
        return -1;
    }
    struct nlmsghdr *request = begin(buffer, type, (uint16_t)(NLM_F_ACK | flags));
    struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(request, sizeof *info);
    *info = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_index = index};
    mnl_attr_put_u32(request, IFA_LOCAL, htonl(ip));
    mnl_attr_put_u32(request, IFA_ADDRESS, htonl(peer != 0 ? peer : ip));
    return ask(request, NULL, NULL);
}

bool amm_link_add_address(const char *name, uint32_t ip, uint8_t prefix, uint32_t peer, char *error,
                          size_t room)
{
    int cause =
        ask_address(name, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ip, prefix, peer, error, room);
    return cause == 0 || (cause > 0 && fail(error, room, "address on", name, cause));
}

bool amm_link_delete_address(const char *name, uint32_t ip, uint8_t prefix, uint32_t peer,
                             char *error, size_t room)
{
    int cause = ask_address(name, RTM_DELADDR, 0, ip, prefix, peer, error, room);
    return cause == 0 || cause == EADDRNOTAVAIL ||
           (cause > 0 && fail(error, room, "delete address on", name, cause));
}

static struct nlmsghdr *begin_route(char *buffer, uint16_t type, uint16_t flags, unsigned index,
                                    uint32_t network, uint8_t prefix, struct rtmsg **info)
{
    struct nlmsghdr *request = begin(buffer, type, (uint16_t)(NLM_F_ACK | flags));
    *info = mnl_nlmsg_put_extra_header(request, sizeof **info);
    **info = (struct rtmsg){.rtm_family = AF_INET,
                            .rtm_dst_len = prefix,
                            .rtm_table = RT_TABLE_MAIN,
                            .rtm_protocol = RTPROT_STATIC,
                            .rtm_type = RTN_UNICAST};
    mnl_attr_put_u32(request, RTA_DST, htonl(network));
    mnl_attr_put_u32(request, RTA_OIF, index);
    return request;
}

bool amm_route_add(const char *link, uint32_t network, uint8_t prefix, uint32_t gateway,
                   char *error, size_t room)
{
    char buffer[MESSAGE_BYTES];
    unsigned index;
    struct rtmsg *info;
    if (!find_link(link, &index, error, room)) {
        return false;
    }
    struct nlmsghdr *request = begin_route(buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE,
                                           index, network, prefix, &info);
    info->rtm_scope = gateway != 0 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    if (gateway != 0) {
        mnl_attr_put_u32(request, RTA_GATEWAY, htonl(gateway));
    }
    int cause = ask(request, NULL, NULL);
    return cause == 0 || fail(error, room, "route through", link, cause);
}

bool amm_route_delete(const char *link, uint32_t network, uint8_t prefix, char *error, size_t room)
{
    char buffer[MESSAGE_BYTES];
    unsigned index;
    struct rtmsg *info;
    if (!find_link(link, &index, error, room)) {
        return false;
    }
    struct nlmsghdr *request = begin_route(buffer, RTM_DELROUTE, 0, index, network, prefix, &info);
    info->rtm_scope = RT_SCOPE_NOWHERE;
    int cause = ask(request, NULL, NULL);
    return cause == 0 || cause == ESRCH || fail(error, room, "delete route through", link, cause);
}

/* ---- what is in use ---- */

struct listing {
    struct amm_prefix *out;
    size_t room;
    int n;
};

static void note_prefix(struct listing *listing, uint32_t network, uint8_t prefix, bool is_address,
                        unsigned index)
{
    if ((size_t)listing->n < listing->room) {
        struct amm_prefix *p = &listing->out[listing->n];
        *p = (struct amm_prefix){.network = network, .prefix = prefix, .is_address = is_address};
        if (if_indextoname(index, p->link) == NULL) {
            snprintf(p->link, sizeof p->link, "?");
        }
    }
    listing->n++;
}

/* The 32-bit attribute `type` behind a header of `header` bytes. */
static bool find_number(const struct nlmsghdr *message, size_t header, uint16_t type, uint32_t *out)
{
    const struct nlattr *attr = mnl_nlmsg_get_payload_offset(message, header);
    const char *end = mnl_nlmsg_get_payload_tail(message);
    for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr)) {
        if (mnl_attr_get_type(attr) == type && mnl_attr_get_payload_len(attr) == 4) {
            *out = mnl_attr_get_u32(attr);
            return true;
        }
    }
    return false;
}

static int note_address(const struct nlmsghdr *message, void *context)
{
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
    uint32_t ip;
    if (message->nlmsg_type == RTM_NEWADDR && info->ifa_family == AF_INET &&
        find_number(message, sizeof *info, IFA_LOCAL, &ip)) {
        note_prefix(context, ntohl(ip), 32, true, info->ifa_index);
    }
    return MNL_CB_OK;
}

static int note_route(const struct nlmsghdr *message, void *context)
{
    const struct rtmsg *info = mnl_nlmsg_get_payload(message);
    uint32_t network = 0, index = 0, gateway;
    if (message->nlmsg_type != RTM_NEWROUTE || info->rtm_family != AF_INET ||
        info->rtm_dst_len == 0 || info->rtm_table != RT_TABLE_MAIN ||
        info->rtm_type != RTN_UNICAST) {
        return MNL_CB_OK;
    }
    find_number(message, sizeof *info, RTA_OIF, &index);
    if (find_number(message, sizeof *info, RTA_DST, &network) &&
        !find_number(message, sizeof *info, RTA_GATEWAY, &gateway)) {
        note_prefix(context, ntohl(network), info->rtm_dst_len, false, index);
    }
    return MNL_CB_OK;
}

int amm_prefixes_list(struct amm_prefix *out, size_t n, char *error, size_t room)
{
    char buffer[MESSAGE_BYTES];
    struct listing listing = {.out = out, .room = n};
    struct nlmsghdr *request = begin(buffer, RTM_GETADDR, NLM_F_DUMP);
    struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(request, sizeof *address);
    address->ifa_family = AF_INET;
    int cause = ask(request, note_address, &listing);
    if (cause == 0) {
        request = begin(buffer, RTM_GETROUTE, NLM_F_DUMP);
        struct rtmsg *route = mnl_nlmsg_put_extra_header(request, sizeof *route);
        route->rtm_family = AF_INET;
        cause = ask(request, note_route, &listing);
    }
    if (cause != 0) {
        snprintf(error, room, "cannot list addresses: %s", strerror(cause));
        return -1;
    }
    return listing.n;
}
