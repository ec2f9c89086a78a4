#include "io/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int attach_queue(struct ifreq *request)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return -1;
    }
    int header = AMM_VNET_LEN, native = 1;
    if (ioctl(fd, TUNSETIFF, request) != 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) != 0) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    /* Host order, whatever the machine: on little-endian ones this is the default. */
    ioctl(fd, __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? TUNSETVNETLE : TUNSETVNETBE, &native);
    return fd;
}

static bool set_up_first(int fd, struct amm_tun_settings *settings)
{
    if (settings->owner != AMM_TUN_NO_OWNER &&
        ioctl(fd, TUNSETOWNER, (unsigned long)settings->owner) != 0) {
        return false;
    }
    settings->udp_offload = false;
    if (settings->offload) {
        settings->udp_offload =
            ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_USO4 | TUN_F_USO6) == 0;
        return settings->udp_offload || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) == 0;
    }
    return ioctl(fd, TUNSETOFFLOAD, 0) == 0;
}

bool amm_tun_open(struct amm_tun_settings *settings, int *fds, char *error, size_t room)
{
    struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR |
                                                 (settings->queues > 1 ? IFF_MULTI_QUEUE : 0))};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", settings->name);
    unsigned opened = 0;
    bool ok = true;
    while (ok && opened < settings->queues) {
        /* The kernel writes the name into the request: further queues go to the same device. */
        fds[opened] = attach_queue(&request);
        ok = fds[opened] >= 0;
        opened += ok ? 1 : 0;
        if (ok && opened == 1) {
            ok = set_up_first(fds[0], settings);
        }
    }
    if (ok) {
        memcpy(settings->name, request.ifr_name, AMM_TUN_NAME);
        settings->name[AMM_TUN_NAME - 1] = '\0';
        return true;
    }
    int cause = errno;
    for (unsigned i = 0; i < opened; i++) {
        close(fds[i]);
    }
    snprintf(error, room, "tun device %s: %s%s", settings->name, strerror(cause),
             cause == ENOENT || cause == ENODEV ? " (load the kernel module: modprobe tun)"
             : cause == EBUSY                   ? " (a device of this name is in use)"
                                                : "");
    return false;
}

ssize_t amm_tun_read(int fd, struct amm_vnet *vnet, struct amm_span buffer)
{
    struct virtio_net_hdr header;
    struct iovec parts[2] = {{&header, sizeof header}, {buffer.data, buffer.len}};
    for (;;) {
        ssize_t got = readv(fd, parts, 2);
        if (got > (ssize_t)sizeof header) {
            *vnet = (struct amm_vnet){header.flags,    header.gso_type,   header.hdr_len,
                                      header.gso_size, header.csum_start, header.csum_offset};
            return got - (ssize_t)sizeof header;
        }
        if (got >= 0 || errno == EINTR) {
            continue;
        }
        return errno == EAGAIN ? 0 : -1;
    }
}

bool amm_tun_write_framed(int fd, struct amm_view framed)
{
    ssize_t put;
    do {
        put = write(fd, framed.data, framed.len);
    } while (put < 0 && errno == EINTR);
    return put == (ssize_t)framed.len;
}

bool amm_tun_write(int fd, struct amm_view packet)
{
    struct virtio_net_hdr header = {0};
    struct iovec parts[2] = {{&header, sizeof header},
                             {(void *)(uintptr_t)packet.data, packet.len}};
    ssize_t put;
    do {
        put = writev(fd, parts, 2);
    } while (put < 0 && errno == EINTR);
    return put == (ssize_t)(sizeof header + packet.len);
}

_Static_assert(sizeof(struct virtio_net_hdr) == AMM_VNET_LEN, "vnet header");
