#include "ip.h"

enum {
    UNREACHABLE = 3,
    FRAGMENTATION_NEEDED = 4,
    ECHO_REPLY = 0,
    ECHO = 8,
    QUOTE_MAX = 548,
    TTL = 64
};

/* RFC 1122, 3.2.2: no error about an error, a later fragment, or to an address that is no host's.
 */
static bool may_be_answered(struct amm_view packet)
{
    const uint8_t *ip = packet.data;
    if (packet.len < AMM_IP_HEADER || ip[0] >> 4 != 4 || amm_ip_header_len(ip) < AMM_IP_HEADER ||
        packet.len < amm_ip_header_len(ip) + AMM_ICMP_HEADER) {
        return false;
    }
    uint8_t type = ip[amm_ip_header_len(ip)];
    if (ip[AMM_IP_PROTOCOL] == AMM_PROTOCOL_ICMP && type != ECHO && type != ECHO_REPLY) {
        return false;
    }
    return (amm_load_u16(ip + AMM_IP_FRAGMENT) & AMM_IP_OFFSET_BITS) == 0 &&
           ip[AMM_IP_SOURCE] != 0 && ip[AMM_IP_SOURCE] < 224;
}

size_t amm_icmp_too_big(struct amm_view packet, uint32_t source, uint16_t mtu, uint8_t *out,
                        size_t room)
{
    size_t quote = packet.len < QUOTE_MAX ? packet.len : QUOTE_MAX;
    size_t len = AMM_IP_HEADER + AMM_ICMP_HEADER + quote;
    if (len > room || !may_be_answered(packet)) {
        return 0;
    }
    uint8_t *icmp = out + AMM_IP_HEADER;
    memset(out, 0, AMM_IP_HEADER + AMM_ICMP_HEADER);
    out[0] = 0x45;
    amm_store_u16(out + AMM_IP_LENGTH, (uint16_t)len);
    out[AMM_IP_TTL] = TTL;
    out[AMM_IP_PROTOCOL] = AMM_PROTOCOL_ICMP;
    amm_store_u32(out + AMM_IP_SOURCE, source);
    memcpy(out + AMM_IP_DESTINATION, packet.data + AMM_IP_SOURCE, 4);
    amm_ip_set_checksum(out);
    icmp[0] = UNREACHABLE;
    icmp[1] = FRAGMENTATION_NEEDED;
    amm_store_u16(icmp + 6, mtu); /* RFC 1191 */
    memcpy(icmp + AMM_ICMP_HEADER, packet.data, quote);
    amm_store_u16(icmp + AMM_ICMP_CHECKSUM,
                  (uint16_t)~amm_checksum(amm_view(icmp, AMM_ICMP_HEADER + quote), 0));
    return len;
}
