#include "support/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

uint16_t packet_sum(const uint8_t *data, size_t len, uint32_t start)
{
    uint32_t sum = start;
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static uint32_t pseudo_sum(const uint8_t *ip, size_t len)
{
    return packet_sum(ip + 12, 8, (uint32_t)ip[9] + (uint32_t)len);
}

static size_t checksum_offset(uint8_t protocol)
{
    return protocol == 6 ? 16 : protocol == 17 ? 6 : 2;
}

static size_t write_transport(const struct packet *packet, uint8_t *p)
{
    if (packet->protocol == 6) {
        amm_store_u16(p, packet->source_port);
        amm_store_u16(p + 2, packet->destination_port);
        amm_store_u32(p + 4, packet->sequence);
        amm_store_u32(p + 8, packet->acknowledged);
        p[12] = (uint8_t)((20 + packet->n_options) / 4 << 4);
        p[13] = packet->flags;
        amm_store_u16(p + 14, packet->window);
        amm_store_u16(p + 18, packet->urgent);
        if (packet->n_options > 0) {
            memcpy(p + 20, packet->options, packet->n_options);
        }
        return 20 + packet->n_options;
    }
    if (packet->protocol == 17) {
        amm_store_u16(p, packet->source_port);
        amm_store_u16(p + 2, packet->destination_port);
        amm_store_u16(p + 4, (uint16_t)(8 + packet->payload));
        return 8;
    }
    if (packet->protocol == 1) {
        p[0] = packet->flags;
        return 8;
    }
    return 0;
}

size_t packet_build(const struct packet *packet, uint8_t *out, size_t room)
{
    assert_true(room >= 80 + packet->n_options + packet->payload);
    memset(out, 0, 80 + packet->n_options);
    uint8_t *transport = out + 20;
    size_t header = write_transport(packet, transport);
    size_t len = 20 + header + packet->payload;
    for (size_t i = 0; i < packet->payload; i++) {
        transport[header + i] = (uint8_t)(packet->fill + i);
    }
    out[0] = 0x45;
    out[1] = packet->tos;
    amm_store_u16(out + 2, (uint16_t)len);
    amm_store_u16(out + 4, packet->id);
    amm_store_u16(out + 6, packet->fragment);
    out[8] = packet->ttl ? packet->ttl : 64;
    out[9] = packet->protocol;
    amm_store_u32(out + 12, packet->source);
    amm_store_u32(out + 16, packet->destination);
    amm_store_u16(out + 10, (uint16_t)~packet_sum(out, 20, 0));
    if (header > 0) {
        uint32_t start = packet->protocol == 1 ? 0 : pseudo_sum(out, len - 20);
        uint16_t sum = (uint16_t)~packet_sum(transport, len - 20, start);
        amm_store_u16(transport + checksum_offset(packet->protocol),
                      sum == 0 && packet->protocol == 17 ? 0xffff : sum);
    }
    return len;
}

bool packet_is_sound(struct amm_view packet)
{
    const uint8_t *ip = packet.data;
    size_t header = (size_t)(ip[0] & 15) * 4;
    size_t len = packet.len - header;
    if (amm_load_u16(ip + 2) != packet.len || packet_sum(ip, header, 0) != 0xffff) {
        return false;
    }
    return packet_sum(ip + header, len, ip[9] == 1 ? 0 : pseudo_sum(ip, len)) == 0xffff;
}
