/* Batches: cutting TCP and UDP super-packets of a tun device with vnet headers into single packets,
 * joining opened TCP packets into super-packets, and clamping the MSS. Pure functions over buffers.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* virtio_net_hdr in front of each packet of a tun device opened with IFF_VNET_HDR (10 bytes, host
 * order). */
struct amm_vnet {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
enum { AMM_VNET_LEN = 10 };

/* Walks the packets of one read from the tun device. */
struct amm_split {
    struct amm_vnet vnet;
    const uint8_t *packet;
    size_t len, header, offset;
    uint16_t index;
    bool single;
};

/* False if the header or the packet is malformed. `packet` is borrowed until the last
 * amm_split_next. */
bool amm_split_init(struct amm_split *split, const struct amm_vnet *vnet, struct amm_view packet);

/* Writes the next single packet, with correct lengths, ids, flags and checksums, to out[room]; its
 * length, or 0 when there are no more. */
size_t amm_split_next(struct amm_split *split, uint8_t *out, size_t room);

/* Joins consecutive packets of TCP flows. Packets are added in order of arrival; a flow's packets
 * stay in order. Buffers hold 64 KiB each and belong to the coalescer. */
struct amm_coalesce;
struct amm_coalesce *amm_coalesce_new(void);
struct amm_coalesce *amm_coalesce_free(struct amm_coalesce *coalesce);

/* Adds a packet; copies it. False if there is no room: take everything out first, then add again.
 */
bool amm_coalesce_add(struct amm_coalesce *coalesce, struct amm_view packet);

/* Takes the next vnet header + packet, ready to write to the tun device (AMM_VNET_LEN bytes of
 * header first); {NULL, 0} when empty. Valid until the next add. */
struct amm_view amm_coalesce_take(struct amm_coalesce *coalesce);

/* Lowers the MSS option of a TCP SYN or SYN-ACK over IPv4 to `mss` and mends the checksum.
 * Malformed options are left as they are. */
void amm_mss_clamp(struct amm_span packet, uint16_t mss);

/* Writes the ICMP "fragmentation needed" answer to `packet` from `source` to out[room >= 576]; its
 * length. */
size_t amm_icmp_too_big(struct amm_view packet, uint32_t source, uint16_t mtu, uint8_t *out,
                        size_t room);

/* RFC 1071 sum over `view`, folded; start with `sum` 0 or a pseudo header. */
uint16_t amm_checksum(struct amm_view view, uint32_t sum);
