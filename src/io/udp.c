#include "io/udp.h"

#include "sockaddr.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    SEGMENTS_MAX = 64,   /* what every kernel with UDP_SEGMENT takes */
    PAYLOAD_MAX = 65507, /* of one send: 65535 less IPv4 and UDP header */
    BUFFER_DEFAULT = 4 << 20,
};

/* Not zeroed on entry, although the build asks for that: at one packet a call, clearing arrays made
 * for many costs more than sending. What the kernel gets of them is written before. */
#define UNCLEARED __attribute__((uninitialized))

/* Room for a packet info of either family and a segment size. */
union control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

static void set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

static void set_buffers(int fd, unsigned bytes)
{
    int size = bytes > 0 ? (int)bytes : BUFFER_DEFAULT;
    set_option(fd, SOL_SOCKET, SO_RCVBUF, size);
    set_option(fd, SOL_SOCKET, SO_SNDBUF, size);
    set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE,
               size); /* fails without CAP_NET_ADMIN; then the limits hold */
    set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, size);
}

int amm_udp_open(const struct amm_udp_settings *settings, char *error, size_t room)
{
    struct sockaddr_storage name;
    char text[AMM_ADDRESS_TEXT];
    int fd = amm_socket_new(SOCK_DGRAM);
    if (fd < 0) {
        snprintf(error, room, "udp socket: %s", strerror(errno));
        return -1;
    }
    if (settings->reuse_port) {
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
    if (amm_socket_is_ipv4()) {
        set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    } else {
        set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
        set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
    if (settings->gro) {
        set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
    }
    set_buffers(fd, settings->buffer);
    socklen_t len = amm_sockaddr_write(&name, &settings->local);
    if (len == 0 || bind(fd, (struct sockaddr *)&name, len) != 0) {
        int cause = len == 0 ? EAFNOSUPPORT : errno;
        snprintf(error, room, "udp %s: %s", amm_address_text(&settings->local, text),
                 strerror(cause));
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

/* ---- receiving ---- */

static void read_control(struct msghdr *message, uint16_t local_port, struct amm_udp_batch *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int segment;
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
            if (segment > 0 && (size_t)segment < out->len) {
                out->segment = (size_t)segment;
            }
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            amm_address_from_in6(&out->local, &info.ipi6_addr, local_port);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            out->local = (struct amm_address){.family = AMM_FAMILY_IPV4, .port = local_port};
            memcpy(out->local.ip, &info.ipi_addr, 4);
        }
    }
}

static void take_batch(struct msghdr *message, size_t len, uint16_t local_port,
                       struct amm_udp_batch *out)
{
    *out = (struct amm_udp_batch){.len = len, .segment = len};
    amm_sockaddr_read(&out->remote, message->msg_name);
    read_control(message, local_port, out);
}

enum amm_udp_result amm_udp_receive(int fd, uint16_t local_port, struct amm_span buffer,
                                    struct amm_udp_batch *out)
{
    for (int tries = 0; tries < 16; tries++) {
        struct sockaddr_storage name;
        union control control;
        struct iovec part = {buffer.data, buffer.len};
        struct msghdr message = {.msg_name = &name,
                                 .msg_namelen = sizeof name,
                                 .msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        ssize_t len = recvmsg(fd, &message, MSG_DONTWAIT);
        if (len < 0) {
            if (errno == EAGAIN) {
                return AMM_UDP_AGAIN;
            }
            if (errno == EBADF || errno == ENOTSOCK || errno == EFAULT) {
                return AMM_UDP_FAILED;
            }
            continue; /* a signal, or an ICMP error of an earlier packet: read on */
        }
        if (message.msg_flags & MSG_TRUNC) {
            continue;
        }
        take_batch(&message, (size_t)len, local_port, out);
        return AMM_UDP_OK;
    }
    return AMM_UDP_AGAIN;
}

unsigned amm_udp_receive_many(int fd, uint16_t local_port, struct amm_udp_slot *slots, unsigned n)
{
    UNCLEARED struct mmsghdr messages[AMM_UDP_MANY];
    UNCLEARED struct sockaddr_storage names[AMM_UDP_MANY];
    UNCLEARED union control controls[AMM_UDP_MANY];
    UNCLEARED struct iovec parts[AMM_UDP_MANY];
    n = n < AMM_UDP_MANY ? n : AMM_UDP_MANY;
    for (unsigned i = 0; i < n; i++) {
        parts[i] = (struct iovec){slots[i].buffer.data, slots[i].buffer.len};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i],
                                              .msg_namelen = sizeof names[i],
                                              .msg_iov = &parts[i],
                                              .msg_iovlen = 1,
                                              .msg_control = &controls[i],
                                              .msg_controllen = sizeof controls[i]};
    }
    int got = recvmmsg(fd, messages, n, MSG_DONTWAIT, NULL);
    unsigned filled = 0;
    for (int i = 0; i < got; i++) {
        struct msghdr *message = &messages[i].msg_hdr;
        if (message->msg_flags & MSG_TRUNC) {
            continue;
        }
        if (filled != (unsigned)i) { /* close the gap: the caller gets filled slots first */
            struct amm_span spare = slots[filled].buffer;
            slots[filled].buffer = slots[i].buffer;
            slots[i].buffer = spare;
        }
        take_batch(message, messages[i].msg_len, local_port, &slots[filled++].got);
    }
    return filled;
}

/* ---- sending ---- */

static void add_control(struct msghdr *message, union control *control, int level, int type,
                        const void *value, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(control->bytes + message->msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), value, len);
    message->msg_control = control->bytes;
    message->msg_controllen += CMSG_SPACE(len);
}

/* Prepares a message to `remote` from `local`, with a segment size if there is more than one
 * datagram. */
static bool prepare(struct msghdr *message, struct sockaddr_storage *name, union control *control,
                    struct iovec *part, const struct amm_address *remote,
                    const struct amm_address *local, size_t segment)
{
    socklen_t len = amm_sockaddr_write(name, remote);
    if (len == 0 || remote->family == AMM_FAMILY_NONE) {
        return false;
    }
    memset(control, 0, sizeof *control);
    *message =
        (struct msghdr){.msg_name = name, .msg_namelen = len, .msg_iov = part, .msg_iovlen = 1};
    if (local != NULL && local->family != AMM_FAMILY_NONE) {
        if (amm_socket_is_ipv4()) {
            struct in_pktinfo info = {0};
            memcpy(&info.ipi_spec_dst, local->ip, 4);
            add_control(message, control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
        } else {
            struct sockaddr_storage from;
            struct in6_pktinfo info = {0};
            amm_sockaddr_write(&from, local);
            info.ipi6_addr = ((struct sockaddr_in6 *)&from)->sin6_addr;
            add_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
        }
    }
    if (segment > 0 && segment < part->iov_len) {
        uint16_t size = (uint16_t)segment;
        add_control(message, control, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
    }
    return true;
}

static enum amm_udp_result result_of(int cause)
{
    return cause == EAGAIN || cause == ENOBUFS || cause == ENOMEM ? AMM_UDP_AGAIN : AMM_UDP_FAILED;
}

/* True where a batch failed but its datagrams may still go: too big for the interface, or no
 * checksum offload. */
static bool wants_split(int cause)
{
    return cause == EMSGSIZE || cause == EINVAL || cause == EIO;
}

static enum amm_udp_result send_once(int fd, const struct amm_address *remote,
                                     const struct amm_address *local, struct amm_view bytes,
                                     size_t segment)
{
    struct msghdr message;
    struct sockaddr_storage name;
    union control control;
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.len};
    if (!prepare(&message, &name, &control, &part, remote, local, segment)) {
        return AMM_UDP_FAILED;
    }
    for (;;) {
        if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
            return AMM_UDP_OK;
        }
        if (errno != EINTR) {
            return segment > 0 && segment < bytes.len && wants_split(errno) ? AMM_UDP_SPLIT
                                                                            : result_of(errno);
        }
    }
}

/* One by one; the kernel fragments what is larger than the interface takes. */
static enum amm_udp_result send_singly(int fd, const struct amm_address *remote,
                                       const struct amm_address *local, struct amm_view bytes,
                                       size_t segment)
{
    enum amm_udp_result worst = AMM_UDP_SPLIT;
    for (size_t at = 0; at < bytes.len; at += segment) {
        size_t len = bytes.len - at < segment ? bytes.len - at : segment;
        enum amm_udp_result result =
            send_once(fd, remote, local, amm_view(bytes.data + at, len), 0);
        if (result != AMM_UDP_OK) {
            worst = result;
        }
    }
    return worst;
}

enum amm_udp_result amm_udp_send(int fd, const struct amm_address *remote,
                                 const struct amm_address *local, struct amm_view bytes,
                                 size_t segment)
{
    if (segment == 0 || segment >= bytes.len) {
        return send_once(fd, remote, local, bytes, 0);
    }
    size_t fit = PAYLOAD_MAX / segment;
    size_t chunk = segment * (fit > SEGMENTS_MAX ? SEGMENTS_MAX : fit > 0 ? fit : 1);
    enum amm_udp_result worst = AMM_UDP_OK;
    for (size_t at = 0; at < bytes.len; at += chunk) {
        struct amm_view part =
            amm_view(bytes.data + at, bytes.len - at < chunk ? bytes.len - at : chunk);
        enum amm_udp_result result =
            worst == AMM_UDP_SPLIT ? AMM_UDP_SPLIT : send_once(fd, remote, local, part, segment);
        if (result == AMM_UDP_SPLIT) {
            result = send_singly(fd, remote, local, part, segment);
        }
        if (result != AMM_UDP_OK) {
            worst = result;
        }
    }
    return worst;
}

void amm_udp_send_many(int fd, struct amm_udp_packet *packets, unsigned n)
{
    UNCLEARED struct mmsghdr messages[AMM_UDP_MANY];
    UNCLEARED struct sockaddr_storage names[AMM_UDP_MANY];
    UNCLEARED union control controls[AMM_UDP_MANY];
    UNCLEARED struct iovec parts[AMM_UDP_MANY];
    for (unsigned first = 0; first < n;) {
        unsigned count = 0;
        while (count < AMM_UDP_MANY && first + count < n) {
            struct amm_udp_packet *p = &packets[first + count];
            parts[count] = (struct iovec){(void *)(uintptr_t)p->bytes.data, p->bytes.len};
            if (!prepare(&messages[count].msg_hdr, &names[count], &controls[count], &parts[count],
                         &p->remote, &p->local, p->segment)) {
                break;
            }
            count++;
        }
        int sent = count > 0 ? sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        for (int i = 0; i < sent; i++) {
            packets[first + (unsigned)i].result = AMM_UDP_OK;
        }
        first += sent > 0 ? (unsigned)sent : 0;
        if (sent <= 0) {
            /* The first one failed, or could not be prepared: the single path tells why, and
             * splits. */
            struct amm_udp_packet *p = &packets[first++];
            p->result = amm_udp_send(fd, &p->remote, &p->local, p->bytes, p->segment);
        }
    }
}
