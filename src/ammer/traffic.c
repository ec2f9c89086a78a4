#include "traffic.h"

#include "data/offload.h"
#include "io/tun.h"

#include <stdlib.h>

/* One turn of the loop takes at most so much of one side, so that the other and the timers get
 * theirs. */
enum { READS_PER_TURN = 16, DATAGRAMS_PER_TURN = 512 };

struct traffic {
    struct amm_coalesce *coalesce;
    uint8_t packet[AMM_TUN_BUFFER];
};

struct traffic *traffic_new(void)
{
    struct traffic *traffic = calloc(1, sizeof *traffic);
    if (!traffic) {
        return NULL;
    }
    traffic->coalesce = amm_coalesce_new();
    return traffic->coalesce ? traffic : traffic_free(traffic);
}

struct traffic *traffic_free(struct traffic *traffic)
{
    if (traffic) {
        amm_coalesce_free(traffic->coalesce);
        free(traffic);
    }
    return NULL;
}

static void seal_one_read(struct traffic *traffic, struct amm_client *client, struct amm_now now,
                          const struct amm_vnet *vnet, size_t len, struct link *link)
{
    struct amm_split split;
    if (!amm_split_init(&split, vnet, amm_view(traffic->packet, len))) {
        return;
    }
    for (;;) {
        struct amm_path path;
        uint8_t *room = link_room(link);
        size_t inner =
            amm_split_next(&split, room + AMM_DATA_OVERHEAD, AMM_LINK_ROOM - AMM_DATA_OVERHEAD);
        if (inner == 0) {
            return;
        }
        struct amm_span sealed =
            amm_client_seal(client, now, amm_view(room + AMM_DATA_OVERHEAD, inner), room, &path);
        link_commit(link, amm_view_of(sealed));
    }
}

bool traffic_up(struct traffic *traffic, struct amm_client *client, struct amm_now now,
                struct tunnel_device *device, struct link *link)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        struct amm_vnet vnet;
        ssize_t len = amm_tun_read(device->fd, &vnet,
                                   (struct amm_span){traffic->packet, sizeof traffic->packet});
        if (len < 0) {
            return false;
        }
        if (len == 0) {
            break;
        }
        seal_one_read(traffic, client, now, &vnet, (size_t)len, link);
    }
    link_flush(link);
    return true;
}

static void write_joined(struct traffic *traffic, struct tunnel_device *device)
{
    for (;;) {
        struct amm_view framed = amm_coalesce_take(traffic->coalesce);
        if (framed.len == 0) {
            return;
        }
        amm_tun_write_framed(device->fd, framed); /* refused by the kernel: lost like any packet */
    }
}

unsigned traffic_down(struct traffic *traffic, struct amm_client *client, struct amm_now now,
                      struct tunnel_device *device, struct link *link)
{
    struct amm_span datagram, inner;
    unsigned n = 0;
    while (n < DATAGRAMS_PER_TURN && link_next(link, &datagram)) {
        bool broken = false;
        n++;
        if (amm_client_input(client, now, &link->path, datagram, &inner, &broken) &&
            !amm_coalesce_add(traffic->coalesce, amm_view_of(inner))) {
            write_joined(traffic, device);
            amm_coalesce_add(traffic->coalesce, amm_view_of(inner));
        }
        if (broken && link->path.transport == AMM_TCP) {
            link->is_broken = true;
            break;
        }
    }
    write_joined(traffic, device);
    return n;
}
