/* Inner packets: ICMP echoes whose payload says who sent them, which one it is, and whether it is
 * whole. */
#include "sim.h"

#include "base/siphash.h"
#include "data/offload.h"

enum { IP_HEAD = 20, ICMP_HEAD = 8, MARK = 32, PLAIN = 0x706c, SPOOFED = 0x7370 };

static const struct amm_siphash_key packet_key = {0x73696d, 0x696e6e6572};

/* Payload: kind(2) client(2) to_server(4) sequence(4) length(4) check(8) zero(8) padding */
static size_t build(uint8_t *out, uint32_t source, uint32_t destination, unsigned client,
                    bool to_server, uint16_t kind, uint32_t sequence, size_t padding)
{
    size_t len = IP_HEAD + ICMP_HEAD + MARK + padding;
    struct amm_writer w = amm_writer(out, len);
    memset(out, 0, len);
    amm_write_u16(&w, 0x4500);
    amm_write_u16(&w, (uint16_t)len);
    amm_write_u32(&w, 0x00004000);
    amm_write_u32(&w, 0x40010000);
    amm_write_u32(&w, source);
    amm_write_u32(&w, destination);
    amm_store_u16(out + 10, (uint16_t)~amm_checksum(amm_view(out, IP_HEAD), 0));
    amm_write_u16(&w, 0x0800);
    amm_write_u16(&w, 0);
    amm_write_u32(&w, sequence);
    uint8_t *mark = out + IP_HEAD + ICMP_HEAD;
    amm_write_u16(&w, kind);
    amm_write_u16(&w, (uint16_t)client);
    amm_write_u32(&w, to_server);
    amm_write_u32(&w, sequence);
    amm_write_u32(&w, (uint32_t)len);
    for (size_t i = 0; i < padding; i++) {
        mark[MARK + i] = (uint8_t)(sequence + i);
    }
    uint64_t check = amm_siphash(&packet_key, out, len);
    memcpy(mark + 16, &check, sizeof check);
    return len;
}

static void transmit_up(struct sim *sim, unsigned number, bool spoofed)
{
    struct sim_client *client = &sim->clients[number];
    uint8_t inner[SIM_PACKET], out[SIM_PACKET];
    struct amm_path path;
    uint32_t source = spoofed ? client->inner_ip ^ 0x10 : client->inner_ip;
    uint32_t to = sim_server_own_address(sim->server, (uint8_t)(number % sim->is.n_ports));
    if (!spoofed && client->up.next == SIM_SEQUENCES) {
        return;
    }
    size_t len = build(inner, source, to, number, true, spoofed ? SPOOFED : PLAIN,
                       spoofed ? 0 : client->up.next++, sim_below(sim, 1300));
    struct amm_span sealed =
        amm_client_seal(client->client, sim->now, amm_view(inner, len), out, &path);
    if (sealed.data) {
        sim_send_from_client(sim, number, &path, amm_view_of(sealed));
    }
    if (spoofed && sim->planted == SIM_BREAK_SPOOF) {
        sim_tun_of_server(sim, (uint8_t)(number % sim->is.n_ports), amm_view(inner, len));
    }
}

static void transmit_down(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    uint8_t inner[SIM_PACKET];
    uint8_t port = (uint8_t)(number % sim->is.n_ports);
    if (client->down.next == SIM_SEQUENCES) {
        return;
    }
    size_t len = build(inner, sim_server_own_address(sim->server, port),
                       sim_server_address(sim->server, number), number, false, PLAIN,
                       client->down.next++, sim_below(sim, 1300));
    sim_server_transmit(sim->server, sim->now, port, amm_view(inner, len));
}

void sim_traffic(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    struct sim_event next = {.kind = SIM_TRAFFIC, .client = number};
    next.at = sim->now.mono + 1 + (amm_duration)sim_below(sim, (uint64_t)sim->is.traffic_gap);
    sim_heap_add(&sim->heap, next);
    if (sim->leaving) {
        return;
    }
    if (client->client && client->joined) {
        transmit_up(sim, number, sim_chance(sim, 300));
    }
    transmit_down(sim, number);
}

static void take(struct sim *sim, bool to_server, int number, struct amm_view packet)
{
    uint8_t copy[SIM_PACKET];
    if (packet.len < IP_HEAD + ICMP_HEAD + MARK || packet.len > sizeof copy) {
        sim_fail(sim, "inner", "%zu bytes that nobody sent reach the tun device", packet.len);
        return;
    }
    memcpy(copy, packet.data, packet.len);
    if (sim->planted == SIM_BREAK_CORRUPT && sim->now.mono > 5 * AMM_SECOND) {
        copy[40] ^= 1;
    }
    uint8_t *mark = copy + IP_HEAD + ICMP_HEAD;
    uint64_t check;
    memcpy(&check, mark + 16, sizeof check);
    memset(mark + 16, 0, sizeof check);
    uint16_t kind = amm_load_u16(mark);
    unsigned sender = amm_load_u16(mark + 2);
    uint32_t sequence = amm_load_u32(mark + 8);
    if (check != amm_siphash(&packet_key, copy, packet.len) ||
        amm_load_u32(mark + 12) != packet.len || sender >= sim->is.n_clients ||
        amm_load_u32(mark + 4) != to_server) {
        sim_fail(sim, "inner", "a packet of %zu bytes that nobody sent reaches the tun device",
                 packet.len);
        return;
    }
    if (kind == SPOOFED) {
        sim_fail(sim, "spoofed", "a packet of gw-%u with another's source reaches the tun device",
                 sender);
        return;
    }
    if (number >= 0 && (unsigned)number != sender) {
        sim_fail(sim, "inner", "gw-%d gets a packet for gw-%u", number, sender);
        return;
    }
    struct sim_flow *flow = to_server ? &sim->clients[sender].up : &sim->clients[sender].down;
    uint64_t bit = (uint64_t)1 << sequence % 64;
    if (sequence >= flow->next || (flow->seen[sequence / 64] & bit)) {
        sim_fail(sim, "once", "packet %u of gw-%u (%s) reaches the tun device twice", sequence,
                 sender, to_server ? "up" : "down");
        return;
    }
    flow->seen[sequence / 64] |= bit;
    flow->delivered++;
}

void sim_tun_of_server(void *owner, uint8_t port_index, struct amm_view packet)
{
    (void)port_index;
    take(owner, true, -1, packet);
}

void sim_tun_of_client(struct sim *sim, unsigned number, struct amm_view packet)
{
    take(sim, false, (int)number, packet);
}
