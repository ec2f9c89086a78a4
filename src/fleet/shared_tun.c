#include "shared_tun.h"

#include "io/netlink.h"
#include "io/tun.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct owner {
    uint32_t ip; /* 0: free */
    uint32_t number;
};

struct shared_tun {
    int fd;
    char name[AMM_TUN_NAME];
    struct owner *owners; /* open addressing */
    uint32_t mask;
    uint32_t last_server;
    uint8_t packet[AMM_TUN_BUFFER];
};

struct shared_tun *shared_tun_new(const char *name, uint32_t count, char *error, size_t room)
{
    struct amm_tun_settings settings = {.queues = 1, .owner = (int64_t)geteuid()};
    const struct amm_link_settings link = {.mtu = 1400, .tx_queue = 5000, .up = true};
    struct shared_tun *tun = calloc(1, sizeof *tun);
    uint32_t slots = 64;
    while (slots < count * 2) {
        slots *= 2;
    }
    if (!tun || !(tun->owners = calloc(slots, sizeof *tun->owners))) {
        snprintf(error, room, "out of memory");
        free(tun);
        return NULL;
    }
    tun->mask = slots - 1;
    tun->fd = -1;
    snprintf(settings.name, sizeof settings.name, "%s", name);
    if (!amm_tun_open(&settings, &tun->fd, error, room)) {
        tun->fd = -1;
        return shared_tun_free(tun);
    }
    snprintf(tun->name, sizeof tun->name, "%s", settings.name);
    if (!amm_link_disable_ipv6(tun->name, error, room) ||
        !amm_link_set(tun->name, &link, error, room)) {
        return shared_tun_free(tun);
    }
    return tun;
}

struct shared_tun *shared_tun_free(struct shared_tun *tun)
{
    if (tun) {
        if (tun->fd >= 0) {
            close(tun->fd);
        }
        free(tun->owners);
        free(tun);
    }
    return NULL;
}

int shared_tun_fd(const struct shared_tun *tun)
{
    return tun->fd;
}

static struct owner *find(struct shared_tun *tun, uint32_t ip)
{
    uint32_t at = ip * 2654435761U;
    struct owner *owner;
    do {
        owner = &tun->owners[at++ & tun->mask];
    } while (owner->ip != 0 && owner->ip != ip);
    return owner;
}

void shared_tun_own(struct shared_tun *tun, uint32_t ip, uint32_t server, uint32_t number)
{
    char error[160];
    struct owner *owner = find(tun, ip);
    if (owner->ip == 0 && !amm_link_add_address(tun->name, ip, 32, 0, error, sizeof error)) {
        fprintf(stderr, "amm-fleet: %s\n", error);
    }
    *owner = (struct owner){ip, number};
    if (server != tun->last_server &&
        !amm_route_add(tun->name, server, 32, 0, error, sizeof error)) {
        fprintf(stderr, "amm-fleet: %s\n", error);
    }
    tun->last_server = server;
}

void shared_tun_write(struct shared_tun *tun, struct amm_view packet)
{
    amm_tun_write(tun->fd, packet); /* refused by the kernel: lost like any packet */
}

size_t shared_tun_read(struct shared_tun *tun, uint8_t *out, size_t room, uint32_t *number)
{
    for (;;) {
        struct amm_vnet vnet;
        struct amm_split split;
        ssize_t len =
            amm_tun_read(tun->fd, &vnet, (struct amm_span){tun->packet, sizeof tun->packet});
        if (len <= 0) {
            return 0;
        }
        if (len < 20 || !amm_split_init(&split, &vnet, amm_view(tun->packet, (size_t)len))) {
            continue;
        }
        const struct owner *owner = find(tun, amm_load_u32(tun->packet + 12));
        size_t got = owner->ip ? amm_split_next(&split, out, room) : 0;
        if (got > 0) {
            *number = owner->number;
            return got;
        }
    }
}
