/* Tun devices: IFF_VNET_HDR always, multi-queue on a server. In the
 * namespace of the calling thread. File descriptors are non-blocking and close-on-exec. */
#pragma once

#include "base/bytes.h"
#include "data/offload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { AMM_TUN_NAME = 16, AMM_TUN_BUFFER = 65536, AMM_TUN_NO_OWNER = -1 };

struct amm_tun_settings {
    char name[AMM_TUN_NAME]; /* "tun1190"; may hold %d, the name that was given is written back */
    unsigned queues;         /* 1: a device without IFF_MULTI_QUEUE */
    int64_t owner;           /* uid that alone may attach queues; AMM_TUN_NO_OWNER only for tests */
    bool offload;            /* take and give TCP and UDP super-packets */
    bool udp_offload;        /* out: whether the kernel also gives UDP super-packets (USO) */
};

/* Makes the device with its queues; fds[queues]. The owner is set before a second queue can be
 * attached. The device vanishes with its last descriptor. False with a sentence in `error`. */
bool amm_tun_open(struct amm_tun_settings *settings, int *fds, char *error, size_t room);

/* One packet: its length, 0 if there is none, -1 if the queue is gone. `vnet` is in host order. */
ssize_t amm_tun_read(int fd, struct amm_vnet *vnet, struct amm_span buffer);

/* Writes one packet. `framed`: AMM_VNET_LEN bytes of header first, as amm_coalesce_take gives it.
 * False: refused. */
bool amm_tun_write_framed(int fd, struct amm_view framed);
bool amm_tun_write(int fd, struct amm_view packet);
