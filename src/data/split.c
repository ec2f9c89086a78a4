#include "ip.h"

/* Does the packet have the headers that its GSO type says? Writes their length. */
static bool measure_headers(struct amm_view packet, uint8_t protocol, size_t *header)
{
    const uint8_t *ip = packet.data;
    if (packet.len < AMM_IP_HEADER || ip[0] >> 4 != 4 || ip[AMM_IP_PROTOCOL] != protocol) {
        return false;
    }
    size_t ip_len = amm_ip_header_len(ip);
    size_t least = protocol == AMM_PROTOCOL_TCP ? AMM_TCP_HEADER : AMM_UDP_HEADER;
    if (ip_len < AMM_IP_HEADER || packet.len < ip_len + least) {
        return false;
    }
    size_t transport = protocol == AMM_PROTOCOL_TCP ? amm_tcp_header_len(ip + ip_len) : least;
    *header = ip_len + transport;
    return transport >= least && *header <= packet.len;
}

static bool has_checksum_field(const struct amm_vnet *vnet, size_t len)
{
    return (size_t)vnet->csum_start + vnet->csum_offset + 2 <= len;
}

bool amm_split_init(struct amm_split *split, const struct amm_vnet *vnet, struct amm_view packet)
{
    uint8_t type = vnet->gso_type & (uint8_t)~AMM_VNET_GSO_ECN;
    *split = (struct amm_split){.vnet = *vnet, .packet = packet.data, .len = packet.len};
    if (packet.len == 0 || packet.len > AMM_IP_MAX) {
        return false;
    }
    if (type == AMM_VNET_GSO_NONE) {
        split->single = true;
        return !(vnet->flags & AMM_VNET_NEEDS_CSUM) || has_checksum_field(vnet, packet.len);
    }
    if (vnet->gso_size == 0 || (type != AMM_VNET_GSO_TCPV4 && type != AMM_VNET_GSO_UDP_L4)) {
        return false;
    }
    uint8_t protocol = type == AMM_VNET_GSO_TCPV4 ? AMM_PROTOCOL_TCP : AMM_PROTOCOL_UDP;
    return measure_headers(packet, protocol, &split->header);
}

static size_t copy_single(struct amm_split *split, uint8_t *out, size_t room)
{
    if (split->offset > 0 || split->len > room) {
        return 0;
    }
    split->offset = split->len;
    memcpy(out, split->packet, split->len);
    if (split->vnet.flags & AMM_VNET_NEEDS_CSUM) {
        /* The field holds the pseudo header's sum, so summing over it includes that. */
        size_t start = split->vnet.csum_start;
        uint16_t sum = (uint16_t)~amm_checksum(amm_view(out + start, split->len - start), 0);
        bool is_udp = split->vnet.csum_offset == AMM_UDP_CHECKSUM;
        amm_store_u16(out + start + split->vnet.csum_offset, sum == 0 && is_udp ? 0xffff : sum);
    }
    return split->len;
}

static void finish_tcp(const struct amm_split *split, uint8_t *tcp, bool last)
{
    amm_store_u32(tcp + AMM_TCP_SEQUENCE,
                  amm_load_u32(tcp + AMM_TCP_SEQUENCE) + (uint32_t)split->offset);
    if (!last) {
        tcp[AMM_TCP_FLAGS] &= (uint8_t) ~(AMM_TCP_FIN | AMM_TCP_PSH);
    }
    if (split->index > 0) {
        tcp[AMM_TCP_FLAGS] &= (uint8_t)~AMM_TCP_CWR;
    }
}

static void finish_transport(const struct amm_split *split, uint8_t *ip, size_t len, bool last)
{
    size_t ip_len = amm_ip_header_len(ip);
    uint8_t *transport = ip + ip_len;
    bool is_udp = ip[AMM_IP_PROTOCOL] == AMM_PROTOCOL_UDP;
    uint8_t *checksum = transport + (is_udp ? AMM_UDP_CHECKSUM : AMM_TCP_CHECKSUM);
    if (is_udp) {
        amm_store_u16(transport + AMM_UDP_LENGTH, (uint16_t)(len - ip_len));
    } else {
        finish_tcp(split, transport, last);
    }
    amm_store_u16(checksum, 0);
    uint16_t sum = (uint16_t)~amm_checksum(amm_view(transport, len - ip_len),
                                           amm_ip_pseudo_sum(ip, len - ip_len));
    amm_store_u16(checksum, sum == 0 && is_udp ? 0xffff : sum);
}

size_t amm_split_next(struct amm_split *split, uint8_t *out, size_t room)
{
    if (split->single) {
        return copy_single(split, out, room);
    }
    size_t payload = split->len - split->header;
    size_t left = payload - split->offset;
    if (left == 0 && split->index > 0) {
        return 0;
    }
    size_t n = left < split->vnet.gso_size ? left : split->vnet.gso_size;
    size_t len = split->header + n;
    if (len > room) {
        return 0;
    }
    memcpy(out, split->packet, split->header);
    memcpy(out + split->header, split->packet + split->header + split->offset, n);
    amm_store_u16(out + AMM_IP_LENGTH, (uint16_t)len);
    amm_store_u16(out + AMM_IP_ID, (uint16_t)(amm_load_u16(out + AMM_IP_ID) + split->index));
    amm_ip_set_checksum(out);
    finish_transport(split, out, len, n == left);
    split->offset += n;
    split->index++;
    return len;
}
