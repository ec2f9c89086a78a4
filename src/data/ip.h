/* Offsets and numbers of IPv4, TCP and UDP headers, for the files that look into inner packets. */
#pragma once

#include "base/bytes.h"
#include "data/offload.h"

enum {
    AMM_PROTOCOL_ICMP = 1,
    AMM_PROTOCOL_TCP = 6,
    AMM_PROTOCOL_UDP = 17,
};

enum {
    AMM_IP_HEADER = 20,
    AMM_IP_LENGTH = 2,
    AMM_IP_ID = 4,
    AMM_IP_FRAGMENT = 6,
    AMM_IP_TTL = 8,
    AMM_IP_PROTOCOL = 9,
    AMM_IP_CHECKSUM = 10,
    AMM_IP_SOURCE = 12,
    AMM_IP_DESTINATION = 16,
    AMM_IP_DF = 0x4000,
    AMM_IP_OFFSET_BITS = 0x1fff,
    AMM_IP_FRAGMENT_BITS = 0x3fff, /* more fragments, offset */
    AMM_IP_MAX = 65535,
};

enum {
    AMM_TCP_HEADER = 20,
    AMM_TCP_SEQUENCE = 4,
    AMM_TCP_ACKNOWLEDGED = 8,
    AMM_TCP_DATA_OFFSET = 12,
    AMM_TCP_FLAGS = 13,
    AMM_TCP_WINDOW = 14,
    AMM_TCP_CHECKSUM = 16,
    AMM_TCP_URGENT = 18, /* the options follow */
    AMM_TCP_FIN = 0x01,
    AMM_TCP_SYN = 0x02,
    AMM_TCP_PSH = 0x08,
    AMM_TCP_ACK = 0x10,
    AMM_TCP_CWR = 0x80,
};

enum { AMM_UDP_HEADER = 8, AMM_UDP_LENGTH = 4, AMM_UDP_CHECKSUM = 6 };
enum { AMM_ICMP_HEADER = 8, AMM_ICMP_CHECKSUM = 2 };

/* linux/virtio_net.h */
enum {
    AMM_VNET_NEEDS_CSUM = 1,
    AMM_VNET_GSO_NONE = 0,
    AMM_VNET_GSO_TCPV4 = 1,
    AMM_VNET_GSO_UDP_L4 = 5,
    AMM_VNET_GSO_ECN = 0x80,
};

static inline size_t amm_ip_header_len(const uint8_t *ip)
{
    return (size_t)(ip[0] & 15) * 4;
}

static inline size_t amm_tcp_header_len(const uint8_t *tcp)
{
    return (size_t)(tcp[AMM_TCP_DATA_OFFSET] >> 4) * 4;
}

/* Sum of the pseudo header for a transport segment of `len` bytes. */
static inline uint32_t amm_ip_pseudo_sum(const uint8_t *ip, size_t len)
{
    uint16_t addresses = amm_checksum(amm_view(ip + AMM_IP_SOURCE, 8), 0);
    return (uint32_t)addresses + ip[AMM_IP_PROTOCOL] + (uint32_t)len;
}

static inline void amm_ip_set_checksum(uint8_t *ip)
{
    amm_store_u16(ip + AMM_IP_CHECKSUM, 0);
    amm_store_u16(ip + AMM_IP_CHECKSUM,
                  (uint16_t)~amm_checksum(amm_view(ip, amm_ip_header_len(ip)), 0));
}
