#include "inner.h"

#include "data/offload.h"

enum {
    IP_HEADER = 20,
    ICMP_HEADER = 8,
    UDP_HEADER = 8,
    ICMP = 1,
    UDP = 17,
    ECHO_REPLY = 0,
    ECHO_REQUEST = 8,
    UDP_ECHO_PORT = 7,
};

static void set_ip_checksum(uint8_t *ip, size_t header)
{
    amm_store_u16(ip + 10, 0);
    amm_store_u16(ip + 10, (uint16_t)~amm_checksum(amm_view(ip, header), 0));
}

static void swap_addresses(uint8_t *ip)
{
    uint32_t source = amm_load_u32(ip + 12);
    memcpy(ip + 12, ip + 16, 4);
    amm_store_u32(ip + 16, source);
}

/* Swapping addresses leaves every checksum as it is; only what else changes is summed again. */
static enum inner_kind take_icmp(uint8_t *ip, uint8_t *icmp, size_t len, uint16_t *id,
                                 uint64_t *stamp)
{
    if (len < ICMP_HEADER || icmp[1] != 0) {
        return INNER_OTHER;
    }
    *id = amm_load_u16(icmp + 4);
    if (icmp[0] == ECHO_REPLY) {
        if (len >= ICMP_HEADER + 8) {
            *stamp = (uint64_t)amm_load_u32(icmp + 8) << 32 | amm_load_u32(icmp + 12);
        }
        return INNER_REPLY;
    }
    if (icmp[0] != ECHO_REQUEST) {
        return INNER_OTHER;
    }
    swap_addresses(ip);
    icmp[0] = ECHO_REPLY;
    amm_store_u16(icmp + 2, 0);
    amm_store_u16(icmp + 2, (uint16_t)~amm_checksum(amm_view(icmp, len), 0));
    return INNER_ANSWERED;
}

static enum inner_kind take_udp(uint8_t *ip, uint8_t *udp, size_t len)
{
    if (len < UDP_HEADER || amm_load_u16(udp + 2) != UDP_ECHO_PORT ||
        amm_load_u16(udp) == UDP_ECHO_PORT) {
        return INNER_OTHER;
    }
    swap_addresses(ip);
    amm_store_u16(udp + 2, amm_load_u16(udp));
    amm_store_u16(udp, UDP_ECHO_PORT);
    return INNER_ANSWERED;
}

enum inner_kind inner_take(struct amm_span packet, uint32_t own, uint16_t *id, uint64_t *stamp)
{
    uint8_t *ip = packet.data;
    *id = 0;
    *stamp = 0;
    if (packet.len < IP_HEADER || ip[0] >> 4 != 4) {
        return INNER_OTHER;
    }
    size_t header = (size_t)(ip[0] & 0x0F) * 4, total = amm_load_u16(ip + 2);
    bool is_fragment = (amm_load_u16(ip + 6) & 0x3FFF) != 0;
    if (header < IP_HEADER || total < header || total > packet.len || is_fragment ||
        amm_load_u32(ip + 16) != own) {
        return INNER_OTHER;
    }
    if (ip[9] == ICMP) {
        return take_icmp(ip, ip + header, total - header, id, stamp);
    }
    return ip[9] == UDP ? take_udp(ip, ip + header, total - header) : INNER_OTHER;
}

size_t inner_echo(uint8_t *out, size_t len, uint32_t from, uint32_t to, uint16_t id,
                  uint16_t sequence, uint64_t stamp)
{
    if (len < IP_HEADER + ICMP_HEADER + 8) {
        len = IP_HEADER + ICMP_HEADER + 8;
    }
    memset(out, 0, len);
    out[0] = 0x45;
    amm_store_u16(out + 2, (uint16_t)len);
    out[8] = 64;
    out[9] = ICMP;
    amm_store_u32(out + 12, from);
    amm_store_u32(out + 16, to);
    set_ip_checksum(out, IP_HEADER);
    uint8_t *icmp = out + IP_HEADER;
    icmp[0] = ECHO_REQUEST;
    amm_store_u16(icmp + 4, id);
    amm_store_u16(icmp + 6, sequence);
    amm_store_u32(icmp + 8, (uint32_t)(stamp >> 32));
    amm_store_u32(icmp + 12, (uint32_t)stamp);
    amm_store_u16(icmp + 2, (uint16_t)~amm_checksum(amm_view(icmp, len - IP_HEADER), 0));
    return len;
}
