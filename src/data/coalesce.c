/* The rules are those of the kernel's GRO: only what a later split would give back bit for bit is
 * joined. The checksums of each packet are verified first, because the joined packet gets a new
 * one: a packet that was corrupted before it was sealed must not come out as sound. */
#include "ip.h"

#include <stdlib.h>

enum {
    FLOWS = 8,
    BUFFER = AMM_VNET_LEN + AMM_IP_MAX,
    SMALL_ROOM = 128 * 1024, /* for packets that nothing can be joined to */
    ITEMS = 256,
};

struct item {
    uint8_t *data; /* vnet header, packet */
    uint32_t len;  /* of both */
};

/* A TCP packet that more can be joined to. */
struct flow {
    uint32_t item;
    uint32_t next_sequence;
    uint16_t header, segment; /* bytes of headers; payload bytes of each packet but the last */
    uint16_t packets;
    bool open;
};

struct amm_coalesce {
    uint32_t n_items, n_taken, n_flows;
    size_t small_used;
    struct item items[ITEMS];
    struct flow flows[FLOWS];
    uint8_t small[SMALL_ROOM];
    uint8_t large[FLOWS][BUFFER];
};

/* A packet that can be joined with others. */
struct segment {
    const uint8_t *ip, *tcp;
    size_t header, payload;
};

struct amm_coalesce *amm_coalesce_new(void)
{
    return calloc(1, sizeof(struct amm_coalesce));
}

struct amm_coalesce *amm_coalesce_free(struct amm_coalesce *coalesce)
{
    free(coalesce);
    return NULL;
}

static bool is_tcp(struct amm_view packet)
{
    const uint8_t *ip = packet.data;
    return packet.len >= AMM_IP_HEADER + AMM_TCP_HEADER && ip[0] == 0x45 &&
           ip[AMM_IP_PROTOCOL] == AMM_PROTOCOL_TCP &&
           (amm_load_u16(ip + AMM_IP_FRAGMENT) & AMM_IP_FRAGMENT_BITS) == 0;
}

/* Is it plain data of an established connection, whole and unharmed? */
static bool take_segment(struct amm_view packet, struct segment *out)
{
    const uint8_t *ip = packet.data;
    const uint8_t *tcp = ip + AMM_IP_HEADER;
    size_t header = AMM_IP_HEADER + amm_tcp_header_len(tcp);
    if (header < AMM_IP_HEADER + AMM_TCP_HEADER || header >= packet.len ||
        amm_load_u16(ip + AMM_IP_LENGTH) != packet.len ||
        (tcp[AMM_TCP_FLAGS] & (uint8_t)~AMM_TCP_PSH) != AMM_TCP_ACK ||
        (tcp[AMM_TCP_DATA_OFFSET] & 15) != 0) {
        return false;
    }
    size_t len = packet.len - AMM_IP_HEADER;
    *out = (struct segment){ip, tcp, header, packet.len - header};
    return amm_checksum(amm_view(ip, AMM_IP_HEADER), 0) == 0xffff &&
           amm_checksum(amm_view(tcp, len), amm_ip_pseudo_sum(ip, len)) == 0xffff;
}

/* Addresses and ports. */
static bool is_same_flow(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a + AMM_IP_SOURCE, b + AMM_IP_SOURCE, 12) == 0;
}

static uint8_t *flow_packet(const struct amm_coalesce *c, const struct flow *flow)
{
    return c->items[flow->item].data + AMM_VNET_LEN;
}

static struct flow *find_open_flow(struct amm_coalesce *c, const uint8_t *ip)
{
    for (uint32_t i = 0; i < c->n_flows; i++) {
        if (c->flows[i].open && is_same_flow(flow_packet(c, &c->flows[i]), ip)) {
            return &c->flows[i];
        }
    }
    return NULL;
}

/* All header fields that a split copies or counts on must agree. */
static bool fits(const struct amm_coalesce *c, const struct flow *flow, const struct segment *s)
{
    const uint8_t *ip = flow_packet(c, flow);
    const uint8_t *tcp = ip + AMM_IP_HEADER;
    uint16_t id = (uint16_t)(amm_load_u16(ip + AMM_IP_ID) + flow->packets);
    return amm_load_u32(s->tcp + AMM_TCP_SEQUENCE) == flow->next_sequence &&
           s->header == flow->header && s->payload <= flow->segment &&
           c->items[flow->item].len - AMM_VNET_LEN + s->payload <= AMM_IP_MAX &&
           ip[1] == s->ip[1] && ip[AMM_IP_TTL] == s->ip[AMM_IP_TTL] &&
           memcmp(ip + AMM_IP_FRAGMENT, s->ip + AMM_IP_FRAGMENT, 2) == 0 &&
           amm_load_u16(s->ip + AMM_IP_ID) == id &&
           memcmp(tcp + AMM_TCP_ACKNOWLEDGED, s->tcp + AMM_TCP_ACKNOWLEDGED, 4) == 0 &&
           memcmp(tcp + AMM_TCP_WINDOW, s->tcp + AMM_TCP_WINDOW, 2) == 0 &&
           memcmp(tcp + AMM_TCP_URGENT, s->tcp + AMM_TCP_URGENT,
                  s->header - AMM_IP_HEADER - AMM_TCP_URGENT) == 0;
}

static void join(struct amm_coalesce *c, struct flow *flow, const struct segment *s)
{
    struct item *item = &c->items[flow->item];
    uint8_t *tcp = flow_packet(c, flow) + AMM_IP_HEADER;
    memcpy(item->data + item->len, s->ip + s->header, s->payload);
    item->len += (uint32_t)s->payload;
    flow->next_sequence += (uint32_t)s->payload;
    flow->packets++;
    tcp[AMM_TCP_FLAGS] |= s->tcp[AMM_TCP_FLAGS] & AMM_TCP_PSH;
    /* A short packet, or one that wants to be delivered, is the last. */
    flow->open = s->payload == flow->segment && !(s->tcp[AMM_TCP_FLAGS] & AMM_TCP_PSH);
}

static bool add_item(struct amm_coalesce *c, uint8_t *buffer, struct amm_view packet)
{
    c->items[c->n_items++] = (struct item){buffer, (uint32_t)(AMM_VNET_LEN + packet.len)};
    memset(buffer, 0, AMM_VNET_LEN);
    memcpy(buffer + AMM_VNET_LEN, packet.data, packet.len);
    return true;
}

static bool add_alone(struct amm_coalesce *c, struct amm_view packet)
{
    if (SMALL_ROOM - c->small_used < AMM_VNET_LEN + packet.len) {
        return false;
    }
    uint8_t *buffer = c->small + c->small_used;
    c->small_used += AMM_VNET_LEN + packet.len;
    return add_item(c, buffer, packet);
}

static bool add_flow(struct amm_coalesce *c, struct amm_view packet, const struct segment *s)
{
    if (s->tcp[AMM_TCP_FLAGS] & AMM_TCP_PSH) {
        return add_alone(c, packet); /* would be closed at once */
    }
    if (c->n_flows == FLOWS) {
        return false;
    }
    c->flows[c->n_flows] = (struct flow){.item = c->n_items,
                                         .next_sequence = amm_load_u32(s->tcp + AMM_TCP_SEQUENCE) +
                                                          (uint32_t)s->payload,
                                         .header = (uint16_t)s->header,
                                         .segment = (uint16_t)s->payload,
                                         .packets = 1,
                                         .open = true};
    return add_item(c, c->large[c->n_flows++], packet);
}

bool amm_coalesce_add(struct amm_coalesce *c, struct amm_view packet)
{
    struct segment segment;
    if (packet.len == 0 || packet.len > AMM_IP_MAX) {
        return true; /* no packet: nothing to pass on */
    }
    struct flow *flow = is_tcp(packet) ? find_open_flow(c, packet.data) : NULL;
    bool mergeable = is_tcp(packet) && take_segment(packet, &segment);
    if (mergeable && flow != NULL && fits(c, flow, &segment)) {
        join(c, flow, &segment);
        return true;
    }
    if (flow != NULL) {
        flow->open = false; /* what comes later must not overtake this packet */
    }
    if (c->n_items == ITEMS) {
        return false;
    }
    return mergeable ? add_flow(c, packet, &segment) : add_alone(c, packet);
}

/* Makes the super-packet of a flow whole: lengths, IP checksum, and what the kernel needs to go on.
 */
static void finish(struct amm_coalesce *c, const struct flow *flow)
{
    struct item *item = &c->items[flow->item];
    uint8_t *ip = item->data + AMM_VNET_LEN;
    size_t len = item->len - AMM_VNET_LEN;
    size_t tcp_len = len - AMM_IP_HEADER;
    struct amm_vnet vnet = {.flags = AMM_VNET_NEEDS_CSUM,
                            .gso_type = AMM_VNET_GSO_TCPV4,
                            .hdr_len = flow->header,
                            .gso_size = flow->segment,
                            .csum_start = AMM_IP_HEADER,
                            .csum_offset = AMM_TCP_CHECKSUM};
    memcpy(item->data, &vnet, AMM_VNET_LEN);
    amm_store_u16(ip + AMM_IP_LENGTH, (uint16_t)len);
    amm_ip_set_checksum(ip);
    amm_store_u16(ip + AMM_IP_HEADER + AMM_TCP_CHECKSUM,
                  amm_checksum(amm_view(NULL, 0), amm_ip_pseudo_sum(ip, tcp_len)));
}

struct amm_view amm_coalesce_take(struct amm_coalesce *c)
{
    if (c->n_taken == c->n_items) {
        return amm_view(NULL, 0);
    }
    uint32_t index = c->n_taken++;
    for (uint32_t i = 0; i < c->n_flows; i++) {
        if (c->flows[i].item == index) {
            c->flows[i].open = false;
            if (c->flows[i].packets > 1) {
                finish(c, &c->flows[i]);
            }
        }
    }
    struct amm_view out = amm_view(c->items[index].data, c->items[index].len);
    if (c->n_taken == c->n_items) {
        c->n_items = c->n_taken = c->n_flows = 0;
        c->small_used = 0;
    }
    return out;
}
