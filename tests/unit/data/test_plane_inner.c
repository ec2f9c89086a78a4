/* data/plane, what may come out of a tunnel: the first layer of isolation (DATA-9). */
#include "world.h"

#define ID amm_peer_id(0, 1)
enum { OWN = 0x0a800006, SERVER = 0x0a800001, OTHER = 0x0a80000a };
#define PASS AMM_DROP_COUNT
enum { SYN = 2, RST = 4, ACK = 16 };

static int set_up(void **state)
{
    static struct world world;
    world_open(&world);
    world_join(&world, ID);
    *state = &world;
    return 0;
}

/* Sends packet[len] from the gateway; the server must give this verdict. */
static void expect(struct world *world, const char *what, const uint8_t *packet, size_t len,
                   enum amm_drop verdict)
{
    struct amm_span inner;
    memset(&world->server.drops, 0, sizeof world->server.drops);
    size_t sealed = world_client_seal(world, amm_view(packet, len));
    assert_true(sealed > 0);
    bool passed = world_server_open(world, sealed, CLIENT_REMOTE, &inner);
    if (passed != (verdict == PASS)) {
        fail_msg("%s: %s", what, passed ? "came out" : "was dropped");
    }
    assert_all_drops(&world->server, verdict != PASS);
    if (verdict != PASS) {
        assert_drops(&world->server, verdict, 1);
    }
}

struct service_case {
    const char *what;
    uint32_t source, destination;
    uint8_t protocol, flags;
    uint16_t port, fragment;
    enum amm_drop verdict;
};

static const struct service_case services[] = {
    {"echo request", OWN, SERVER, 1, 8, 0, 0, PASS},
    {"echo reply", OWN, SERVER, 1, 0, 0, 0, PASS},
    {"unreachable", OWN, SERVER, 1, 3, 0, 0, PASS},
    {"time exceeded", OWN, SERVER, 1, 11, 0, 0, PASS},
    {"parameter problem", OWN, SERVER, 1, 12, 0, 0, PASS},
    {"redirect", OWN, SERVER, 1, 5, 0, 0, AMM_DROP_INNER_SERVICE},
    {"timestamp", OWN, SERVER, 1, 13, 0, 0, AMM_DROP_INNER_SERVICE},
    {"router advertisement", OWN, SERVER, 1, 9, 0, 0, AMM_DROP_INNER_SERVICE},
    {"SYN to a published port", OWN, SERVER, 6, SYN, 80, 0, PASS},
    {"SYN to ssh", OWN, SERVER, 6, SYN, 22, 0, AMM_DROP_INNER_SERVICE},
    {"SYN to port 0", OWN, SERVER, 6, SYN, 0, 0, AMM_DROP_INNER_SERVICE},
    {"SYN with other flags", OWN, SERVER, 6, SYN | RST | 1 | 8 | 32, 22, 0, AMM_DROP_INNER_SERVICE},
    {"SYN-ACK, an answer", OWN, SERVER, 6, SYN | ACK, 40000, 0, PASS},
    {"ACK", OWN, SERVER, 6, ACK, 40000, 0, PASS},
    {"RST", OWN, SERVER, 6, RST, 40000, 0, PASS},
    {"UDP", OWN, SERVER, 17, 0, 80, 0, AMM_DROP_INNER_SERVICE},
    {"GRE", OWN, SERVER, 47, 0, 0, 0, AMM_DROP_INNER_SERVICE},
    {"IPv6 in IPv4", OWN, SERVER, 41, 0, 0, 0, AMM_DROP_INNER_SERVICE},
    {"first fragment", OWN, SERVER, 6, ACK, 40000, 0x2000, AMM_DROP_INNER_FRAGMENT},
    {"last fragment", OWN, SERVER, 6, ACK, 40000, 0x0001, AMM_DROP_INNER_FRAGMENT},
    {"do not fragment", OWN, SERVER, 6, ACK, 40000, 0x4000, PASS},
    {"other gateway's source", OTHER, SERVER, 1, 8, 0, 0, AMM_DROP_INNER_SOURCE},
    {"own /30's endpoint as source", OWN - 1, SERVER, 1, 8, 0, 0, AMM_DROP_INNER_SOURCE},
    {"server's source", SERVER, SERVER, 1, 8, 0, 0, AMM_DROP_INNER_SOURCE},
    {"no source", 0, SERVER, 1, 8, 0, 0, AMM_DROP_INNER_SOURCE},
    {"to another gateway", OWN, OTHER, 6, SYN, 80, 0, AMM_DROP_INNER_DESTINATION},
    {"to itself", OWN, OWN, 1, 8, 0, 0, AMM_DROP_INNER_DESTINATION},
    {"to the pool's broadcast", OWN, 0x0a801fff, 1, 8, 0, 0, AMM_DROP_INNER_DESTINATION},
    {"to the pool's network", OWN, 0x0a800000, 1, 8, 0, 0, AMM_DROP_INNER_DESTINATION},
    {"to loopback", OWN, 0x7f000001, 6, SYN, 80, 0, AMM_DROP_INNER_DESTINATION},
    {"to another pool's server", OWN, 0x0a802001, 6, SYN, 80, 0, AMM_DROP_INNER_DESTINATION},
};

static size_t build(const struct service_case *c, uint8_t *out, size_t room)
{
    struct packet packet = {.source = c->source,
                            .destination = c->destination,
                            .protocol = c->protocol,
                            .flags = c->flags,
                            .source_port = 9443,
                            .destination_port = c->port,
                            .fragment = c->fragment,
                            .payload = 10};
    return packet_build(&packet, out, room);
}

static void a_gateway_reaches_what_is_published_and_nothing_else(void **state)
{
    uint8_t packet[256];
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        size_t len = build(&services[i], packet, sizeof packet);
        expect(*state, services[i].what, packet, len, services[i].verdict);
    }
}

static void without_the_check_only_the_form_counts(void **state)
{
    struct world *world = *state;
    uint8_t packet[256];
    world_close(world);
    memset(world, 0, sizeof *world);
    world_open(world);
    side_close(&world->server);
    world->server.config.no_inner_check = true;
    side_open(&world->server, world->now);
    world_join(world, ID);
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        size_t len = build(&services[i], packet, sizeof packet);
        bool is_fragment = services[i].verdict == AMM_DROP_INNER_FRAGMENT;
        expect(world, services[i].what, packet, len, is_fragment ? AMM_DROP_INNER_FRAGMENT : PASS);
    }
    packet[0] = 0x44;
    expect(world, "short header", packet, 60, AMM_DROP_INNER_MALFORMED);
}

static void malformed_headers_are_dropped(void **state)
{
    uint8_t packet[256];
    size_t len = build(&services[0], packet, sizeof packet);
    for (size_t n = 1; n < len; n++) {
        expect(*state, "cut short", packet, n, AMM_DROP_INNER_MALFORMED);
    }
    packet[0] = 0x44;
    expect(*state, "header length 16", packet, len, AMM_DROP_INNER_MALFORMED);
    packet[0] = 0x4f;
    expect(*state, "header longer than the packet", packet, len, AMM_DROP_INNER_MALFORMED);
    packet[0] = 0x45;
    amm_store_u16(packet + 2, (uint16_t)(len + 1));
    expect(*state, "total length beyond the packet", packet, len, AMM_DROP_INNER_MALFORMED);
    amm_store_u16(packet + 2, 19);
    expect(*state, "total length below the header", packet, len, AMM_DROP_INNER_MALFORMED);
    amm_store_u16(packet + 2, 27);
    expect(*state, "ICMP header cut", packet, len, AMM_DROP_INNER_MALFORMED);
    len = build(&services[8], packet, sizeof packet);
    amm_store_u16(packet + 2, 39);
    expect(*state, "TCP header cut", packet, len, AMM_DROP_INNER_MALFORMED);
}

static void ip_options_do_not_hide_the_port(void **state)
{
    uint8_t packet[256] = {0};
    size_t len = build(&services[9], packet, sizeof packet); /* SYN to ssh */
    memmove(packet + 24, packet + 20, len - 20);
    packet[0] = 0x46;
    memset(packet + 20, 1, 4);
    amm_store_u16(packet + 2, (uint16_t)(len + 4));
    expect(*state, "SYN to ssh behind options", packet, len + 4, AMM_DROP_INNER_SERVICE);
    amm_store_u16(packet + 24 + 2, 80);
    expect(*state, "SYN to 80 behind options", packet, len + 4, PASS);
}

static void bytes_behind_the_packet_are_cut_off(void **state)
{
    struct world *world = *state;
    uint8_t packet[256];
    struct amm_span inner;
    size_t len = build(&services[0], packet, sizeof packet);
    size_t sealed = world_client_seal(world, amm_view(packet, len + 7));
    assert_true(world_server_open(world, sealed, CLIENT_REMOTE, &inner));
    assert_int_equal(inner.len, len);
}

static void other_payloads_are_named(void **state)
{
    uint8_t ipv6[40] = {0x60};
    uint8_t compressed[40] = {0xfa, 0x45};
    uint8_t unknown_magic[17] = {0x2a, 0x18};
    expect(*state, "IPv6", ipv6, sizeof ipv6, AMM_DROP_INNER_IPV6);
    expect(*state, "IPv6, one byte", ipv6, 1, AMM_DROP_INNER_IPV6);
    expect(*state, "compression framing", compressed, sizeof compressed,
           AMM_DROP_DATA_UNKNOWN_INNER);
    expect(*state, "nearly a ping", unknown_magic, 17, AMM_DROP_DATA_UNKNOWN_INNER);
    expect(*state, "one byte of a ping", unknown_magic, 1, AMM_DROP_DATA_UNKNOWN_INNER);
}

static void messages_are_consumed_in_silence(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    uint8_t ping[17], occ[40] = {0};
    assert_true(amm_unhex(ping, 16, "2a187bf3641eb4cb07ed2d0a981fc748"));
    assert_true(amm_unhex(occ, 16, "287f346bd4ef7a812d56b8d3afc5459c"));
    assert_false(world_server_open(world, world_client_seal(world, amm_view(ping, 16)),
                                   CLIENT_REMOTE, &inner));
    for (uint8_t op = 0; op < 10; op++) {
        occ[16] = op;
        if (op != 6) {
            size_t len = world_client_seal(world, amm_view(occ, sizeof occ));
            assert_false(world_server_open(world, len, CLIENT_REMOTE, &inner));
        }
    }
    size_t len = world_client_seal(world, amm_view(occ, 16)); /* without operation */
    assert_false(world_server_open(world, len, CLIENT_REMOTE, &inner));
    assert_all_drops(&world->server, 0);
    no_note(&world->server);
    ping[16] = 0;
    expect(world, "a ping with something behind it", ping, 17, AMM_DROP_DATA_UNKNOWN_INNER);
}

static void an_exit_message_ends_the_peer(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    uint8_t occ[17];
    assert_true(amm_unhex(occ, 17, "287f346bd4ef7a812d56b8d3afc5459c06"));
    size_t len = world_client_seal(world, amm_view(occ, 17));
    assert_false(world_server_open(world, len, CLIENT_REMOTE, &inner));
    take_note(&world->server, AMM_NOTE_EXITED, 1);
    no_note(&world->server);
    assert_int_equal(amm_plane_live(world->server.plane), 0);
    assert_int_equal(world_server_peer(world, ID)->state, AMM_PEER_FREE);
    static const struct amm_key_slot empty;
    assert_memory_equal(&world_server_peer(world, ID)->keys[0], &empty, sizeof empty); /* wiped */
    assert_null(amm_plane_route(world->server.plane, OWN));
    assert_drops(&world->server, AMM_DROP_INNER_NO_PEER, 1);
    assert_true(amm_plane_deadline(world->server.plane) == AMM_NEVER);
}

static void a_client_takes_only_what_is_for_it(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    uint8_t out[256];
    struct packet packet = {
        .source = SERVER, .destination = OWN, .protocol = 17, .destination_port = 53, .payload = 8};
    size_t len = packet_build(&packet, out, sizeof out);
    assert_true(world_client_open(world, world_server_seal(world, amm_view(out, len)), &inner));
    packet.destination = OTHER;
    len = packet_build(&packet, out, sizeof out);
    assert_false(world_client_open(world, world_server_seal(world, amm_view(out, len)), &inner));
    assert_drops(&world->client, AMM_DROP_INNER_DESTINATION, 1);
}

static void sizes_are_limited_in_both_directions(void **state)
{
    struct world *world = *state;
    uint8_t packet[2000];
    struct packet big = {.source = OWN, .destination = SERVER, .protocol = 1, .flags = 8};
    big.payload = 1401 - 28;
    assert_int_equal(packet_build(&big, packet, sizeof packet), 1401);
    assert_int_equal(world_client_seal(world, amm_view(packet, 1401)), 0);
    assert_drops(&world->client, AMM_DROP_INNER_TOO_BIG, 1);
    assert_int_equal(world_client_seal(world, amm_view(packet, 0)), 0);
    expect(world, "as large as the MTU", packet, 1400, AMM_DROP_INNER_MALFORMED); /* cut by one */

    /* A foreign client may use the usual MTU. */
    side_close(&world->client);
    world->client.config.mtu = 1600;
    side_open(&world->client, world->now);
    drop_notes(&world->server);
    world_command_side(world, &world->server, AMM_PLANE_REMOVE, ID, 1, 1, 0);
    world_join(world, ID);
    big.payload = 1500 - 28;
    expect(world, "1500", packet, packet_build(&big, packet, sizeof packet), PASS);
    big.payload = 1501 - 28;
    expect(world, "1501", packet, packet_build(&big, packet, sizeof packet),
           AMM_DROP_INNER_TOO_BIG);
}

static void the_mss_of_a_syn_is_lowered_in_both_directions(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    uint8_t out[256];
    static const uint8_t mss_1460[] = {2, 4, 1460 >> 8, 1460 & 255};
    struct packet syn = {.source = OWN,
                         .destination = SERVER,
                         .protocol = 6,
                         .flags = SYN,
                         .destination_port = 80,
                         .options = mss_1460,
                         .n_options = 4};
    size_t len = packet_build(&syn, out, sizeof out);
    /* At the sender already; so hide it from the sender and let the receiver do it. */
    amm_plane_route(world->client.plane, 0)->mss = 65535;
    assert_true(world_server_open(world, world_client_seal(world, amm_view(out, len)),
                                  CLIENT_REMOTE, &inner));
    assert_int_equal(amm_load_u16(inner.data + 42), 1360);
    assert_true(packet_is_sound(amm_view_of(inner)));
    syn.source = SERVER;
    syn.destination = OWN;
    len = packet_build(&syn, out, sizeof out);
    assert_true(world_client_open(world, world_server_seal(world, amm_view(out, len)), &inner));
    assert_int_equal(amm_load_u16(inner.data + 42), 1360);
    assert_int_equal(amm_load_u16(out + 42), 1460); /* the caller's copy is its own */
    assert_true(packet_is_sound(amm_view_of(inner)));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_gateway_reaches_what_is_published_and_nothing_else),
        TEST(without_the_check_only_the_form_counts),
        TEST(malformed_headers_are_dropped),
        TEST(ip_options_do_not_hide_the_port),
        TEST(bytes_behind_the_packet_are_cut_off),
        TEST(other_payloads_are_named),
        TEST(messages_are_consumed_in_silence),
        TEST(an_exit_message_ends_the_peer),
        TEST(a_client_takes_only_what_is_for_it),
        TEST(sizes_are_limited_in_both_directions),
        TEST(the_mss_of_a_syn_is_lowered_in_both_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
