#include "ip.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, MSS_LEN = 4 };

/* Where the value of the MSS option stands in a TCP header of `len` bytes, or 0. */
static size_t find_mss(const uint8_t *tcp, size_t len)
{
    size_t at = AMM_TCP_HEADER;
    while (at < len && tcp[at] != OPTION_END) {
        if (tcp[at] == OPTION_NOP) {
            at++;
            continue;
        }
        if (len - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > len - at) {
            return 0;
        }
        if (tcp[at] == OPTION_MSS) {
            return tcp[at + 1] == MSS_LEN ? at + 2 : 0;
        }
        at += tcp[at + 1];
    }
    return 0;
}

/* RFC 1624, equation 3. A value at an odd offset counts with its bytes swapped. */
static void mend_checksum(uint8_t *checksum, uint16_t was, uint16_t is, bool odd)
{
    if (odd) {
        was = (uint16_t)(was << 8 | was >> 8);
        is = (uint16_t)(is << 8 | is >> 8);
    }
    uint32_t sum = (uint16_t)~amm_load_u16(checksum) + (uint32_t)(uint16_t)~was + is;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    amm_store_u16(checksum, (uint16_t)~sum);
}

void amm_mss_clamp(struct amm_span packet, uint16_t mss)
{
    uint8_t *p = packet.data;
    if (packet.len < AMM_IP_HEADER + AMM_TCP_HEADER || p[0] >> 4 != 4 ||
        p[AMM_IP_PROTOCOL] != AMM_PROTOCOL_TCP) {
        return;
    }
    size_t header = amm_ip_header_len(p);
    if (header < AMM_IP_HEADER || packet.len < header + AMM_TCP_HEADER ||
        !(p[header + AMM_TCP_FLAGS] & AMM_TCP_SYN) ||
        (amm_load_u16(p + AMM_IP_FRAGMENT) & AMM_IP_OFFSET_BITS) != 0) {
        return;
    }
    uint8_t *tcp = p + header;
    size_t tcp_header = amm_tcp_header_len(tcp);
    if (tcp_header < AMM_TCP_HEADER || tcp_header > packet.len - header) {
        return;
    }
    size_t at = find_mss(tcp, tcp_header);
    if (at == 0 || amm_load_u16(tcp + at) <= mss) {
        return;
    }
    mend_checksum(tcp + AMM_TCP_CHECKSUM, amm_load_u16(tcp + at), mss, at & 1);
    amm_store_u16(tcp + at, mss);
}
