/* data/plane, receiving: the order of the checks, every reason for a drop, and what only an
 * authenticated, fresh packet may change (DATA-3, DATA-6). */
#include "world.h"

#define ID amm_peer_id(4, 1)
#define OTHER_REMOTE "203.0.113.9:50000"

static int set_up(void **state)
{
    static struct world world;
    world_open(&world);
    world_join(&world, ID);
    *state = &world;
    return 0;
}

/* The server must drop datagram[len] for this reason and change nothing. */
static void refuse(struct world *world, size_t len, enum amm_drop reason)
{
    struct amm_span inner = {NULL, 0};
    struct amm_peer before = *world_server_peer(world, ID);
    uint64_t count = world->server.drops.count[reason];
    assert_false(world_server_open(world, len, OTHER_REMOTE, &inner));
    assert_null(inner.data);
    assert_drops(&world->server, reason, count + 1);
    struct amm_peer *after = world_server_peer(world, ID);
    assert_true(amm_path_equal(&after->path, &before.path));
    assert_true(after->last_rx == before.last_rx);
    assert_int_equal(after->rx_packets, before.rx_packets);
    assert_int_equal(after->keys[0].replay.highest, before.keys[0].replay.highest);
    assert_int_equal(after->keys[0].state, before.keys[0].state);
    no_note(&world->server);
}

static size_t fresh(struct world *world)
{
    world->now.mono += 5 * AMM_SECOND;
    size_t len = world_client_seal(world, world_echo(world));
    assert_true(len > AMM_DATA_OVERHEAD);
    return len;
}

static void a_packet_comes_out_as_it_went_in(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    size_t len = fresh(world);
    assert_int_equal(world->datagram[0], 9 << 3);
    assert_int_equal(amm_load_u24(world->datagram + 1), ID);
    assert_int_equal(len, world_echo(world).len + AMM_DATA_OVERHEAD);
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
    assert_true(amm_view_equal(amm_view_of(inner), world_echo(world)));
    assert_ptr_equal(inner.data, world->datagram + AMM_DATA_OVERHEAD);
    assert_all_drops(&world->server, 0);
    struct amm_peer *peer = world_server_peer(world, ID);
    assert_true(peer->last_rx == world->now.mono);
    assert_int_equal(peer->rx_packets, 2); /* the first was in world_join */
    assert_int_equal(peer->rx_bytes, 2 * inner.len);
}

static void the_answer_comes_back(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    struct packet packet = {
        .source = 0x0a800001, .destination = world_client_ip(world), .protocol = 1};
    uint8_t reply[128];
    struct amm_view sent = amm_view(reply, packet_build(&packet, reply, sizeof reply));
    size_t len = world_server_seal(world, sent);
    assert_true(len > 0);
    assert_true(world_client_open(world, len, &inner));
    assert_true(amm_view_equal(amm_view_of(inner), sent));
    assert_int_equal(world_server_peer(world, ID)->tx_packets, 1);
    assert_int_equal(world_server_peer(world, ID)->tx_bytes, sent.len);
}

static void short_packets_are_dropped(void **state)
{
    struct world *world = *state;
    fresh(world);
    for (size_t len = 0; len <= AMM_DATA_OVERHEAD; len++) {
        refuse(world, len, AMM_DROP_DATA_SHORT); /* down to an empty payload */
    }
    refuse(world, AMM_DATA_OVERHEAD + 1, AMM_DROP_DATA_AUTH);
}

static void data_v1_is_not_for_servers(void **state)
{
    struct world *world = *state;
    size_t len = fresh(world);
    world->datagram[0] = 6 << 3;
    refuse(world, len, AMM_DROP_DATA_V1);
}

static void unknown_peer_ids_are_dropped(void **state)
{
    struct world *world = *state;
    size_t len = fresh(world);
    const uint32_t ids[] = {
        0xffffff,             /* "no peer id" */
        0,                    /* slot 0 */
        amm_peer_id(4, 2),    /* a slot nobody is in */
        amm_peer_id(5, 1),    /* the next generation, other lane */
        amm_peer_id(6, 1),    /* a generation of the same lane */
        amm_peer_id(2, 1),    /* a former one */
        amm_peer_id(4, 2048), /* beyond the pool */
        amm_peer_id(4, 8191),
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        amm_store_u24(world->datagram + 1, ids[i]);
        refuse(world, len, AMM_DROP_DATA_PEER_UNKNOWN);
    }
}

static void an_unknown_key_id_is_dropped(void **state)
{
    struct world *world = *state;
    size_t len = fresh(world);
    world->datagram[0] |= 1;
    refuse(world, len, AMM_DROP_DATA_KEY_UNKNOWN);
}

static void every_byte_of_a_packet_is_authenticated(void **state)
{
    struct world *world = *state;
    uint8_t sealed[WORLD_ROOM];
    size_t len = fresh(world);
    memcpy(sealed, world->datagram, len);
    for (size_t i = 4; i < len; i++) {
        memcpy(world->datagram, sealed, len);
        world->datagram[i] ^= 1;
        refuse(world, len, AMM_DROP_DATA_AUTH);
    }
    memcpy(world->datagram, sealed, len);
    refuse(world, len - 1, AMM_DROP_DATA_AUTH);
    assert_int_equal(world_server_peer(world, ID)->keys[0].rx_failed, len - 4 + 1);
    struct amm_span inner;
    memcpy(world->datagram, sealed, len);
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
}

/* The opcode and the peer id are part of what is authenticated: another key of the same bytes does
 * not help. */
static void a_packet_of_another_peer_does_not_authenticate(void **state)
{
    struct world *world = *state;
    world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(4, 2), 2, 1, 0);
    take_note(&world->server, AMM_NOTE_INSTALLED, 2);
    size_t len = fresh(world);
    amm_store_u24(world->datagram + 1, amm_peer_id(4, 2));
    refuse(world, len, AMM_DROP_DATA_AUTH);
}

static void a_replay_is_dropped_and_moves_nothing(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    uint8_t sealed[WORLD_ROOM];
    size_t len = fresh(world);
    memcpy(sealed, world->datagram, len);
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
    memcpy(world->datagram, sealed, len);
    world->now.mono += 5 * AMM_SECOND;
    refuse(world, len, AMM_DROP_DATA_REPLAY);
}

static void an_id_of_zero_is_dropped(void **state)
{
    struct world *world = *state;
    struct amm_peer *sender = amm_plane_route(world->client.plane, 0);
    world->now.mono += 5 * AMM_SECOND;
    sender->keys[0].tx_next = 0;
    size_t len = world_client_seal(world, world_echo(world));
    /* A sender takes 0 for "used up"; a hostile one does not. Seal by hand. */
    assert_int_equal(len, 0);
    struct amm_data_keys keys = world_keys(1, 0, AMM_CLIENT);
    struct amm_aead_key key = {.serial = 1 << 30, .cipher = keys.cipher};
    uint8_t nonce[AMM_AEAD_NONCE] = {0};
    struct amm_view echo = world_echo(world);
    memcpy(key.bytes, keys.tx_key, sizeof key.bytes);
    memcpy(nonce + 4, keys.tx_iv, 8);
    memcpy(world->datagram + AMM_DATA_OVERHEAD, echo.data, echo.len);
    amm_store_u32(world->datagram, (uint32_t)9 << 27 | ID);
    amm_store_u32(world->datagram + 4, 0);
    amm_aead_seal(world->client.aead, &key, nonce, amm_view(world->datagram, 8),
                  world->datagram + AMM_DATA_OVERHEAD, echo.len, world->datagram + 8);
    refuse(world, echo.len + AMM_DATA_OVERHEAD, AMM_DROP_DATA_REPLAY);
}

static void ids_behind_the_window_are_dropped(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    uint8_t old[WORLD_ROOM];
    size_t len = fresh(world);
    memcpy(old, world->datagram, len);
    amm_plane_route(world->client.plane, 0)->keys[0].tx_next += AMM_REPLAY_WINDOW - 1;
    len = fresh(world);
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
    memcpy(world->datagram, old, len);
    world->now.mono += 5 * AMM_SECOND;
    refuse(world, len, AMM_DROP_DATA_TOO_OLD);
}

static void a_key_with_too_many_failures_opens_nothing(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    struct amm_key_slot *key = &world_server_peer(world, ID)->keys[0];
    key->rx_failed = (UINT64_C(1) << 36) + 1;
    size_t len = fresh(world);
    refuse(world, len, AMM_DROP_DATA_KEY_SPENT);
    key->rx_failed = UINT64_C(1) << 36;
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
}

static void packets_of_another_worker_are_dropped(void **state)
{
    struct world *world = *state;
    struct side second = {.config = world->server.config};
    struct amm_span inner;
    second.config.n_workers = 2;
    second.config.worker = 0; /* slot 1 is worker 1's */
    side_open(&second, world->now);
    struct amm_path path = world_path(CLIENT_REMOTE);
    size_t len = fresh(world);
    assert_false(amm_plane_open(second.plane, world->now, &path,
                                (struct amm_span){world->datagram, len}, &inner));
    assert_drops(&second, AMM_DROP_DATA_WORKER, 1);
    assert_null(amm_plane_route(second.plane, world_client_ip(world)));
    assert_drops(&second, AMM_DROP_DATA_WORKER, 2);
    assert_null(amm_plane_route(second.plane, world_client_ip(world) + 1)); /* nobody's */
    assert_drops(&second, AMM_DROP_INNER_NO_PEER, 1);
    side_close(&second);
}

static void an_address_outside_the_pool_is_no_other_workers(void **state)
{
    struct world *world = *state;
    struct side second = {.config = world->server.config};
    second.config.n_workers = 2;
    second.config.worker = 1;
    side_open(&second, world->now);
    assert_null(amm_plane_route(second.plane, 0x08080808));
    assert_drops(&second, AMM_DROP_INNER_NO_PEER, 1);
    assert_all_drops(&second, 1);
    side_close(&second);
}

static void a_client_without_a_peer_knows_nobody(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    size_t len = world_server_seal(world, world_echo(world));
    world_command_side(world, &world->client, AMM_PLANE_REMOVE, ID, 1, 1, 0);
    assert_false(world_client_open(world, len, &inner));
    assert_drops(&world->client, AMM_DROP_DATA_PEER_UNKNOWN, 1);
}

/* ---- float ---- */

static void a_fresh_packet_from_another_address_moves_the_peer(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    struct amm_path path = world_path(OTHER_REMOTE);
    assert_true(world_server_open(world, fresh(world), OTHER_REMOTE, &inner));
    struct amm_plane_note note = take_note(&world->server, AMM_NOTE_MOVED, 1);
    assert_int_equal(note.peer_id, ID);
    assert_true(amm_path_equal(&note.path, &path));
    assert_true(amm_path_equal(&world_server_peer(world, ID)->path, &path));
    no_note(&world->server);
    assert_true(world_server_open(world, fresh(world), OTHER_REMOTE, &inner));
    no_note(&world->server); /* it stays there */
}

static void a_peer_moves_at_most_once_a_second(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    assert_true(world_server_open(world, fresh(world), OTHER_REMOTE, &inner));
    take_note(&world->server, AMM_NOTE_MOVED, 1);
    world->now.mono += AMM_SECOND - 1;
    size_t len = world_client_seal(world, world_echo(world));
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner)); /* taken, not followed */
    no_note(&world->server);
    world->now.mono += 1;
    len = world_client_seal(world, world_echo(world));
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
    take_note(&world->server, AMM_NOTE_MOVED, 1);
}

static void a_straggler_from_the_old_address_does_not_move_it_back(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    uint8_t late[WORLD_ROOM];
    size_t len = fresh(world);
    memcpy(late, world->datagram, len);
    assert_true(world_server_open(world, fresh(world), OTHER_REMOTE, &inner));
    take_note(&world->server, AMM_NOTE_MOVED, 1);
    world->now.mono += 5 * AMM_SECOND;
    memcpy(world->datagram, late, len);
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
    no_note(&world->server);
}

static void a_ping_moves_the_peer_too(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    struct amm_path path;
    world->now.mono += 11 * AMM_SECOND;
    amm_plane_expire(world->client.plane, world->now);
    size_t len =
        amm_plane_output(world->client.plane, world->now, &path, world->datagram, WORLD_ROOM);
    assert_int_equal(len, AMM_DATA_OVERHEAD + 16);
    assert_false(world_server_open(world, len, OTHER_REMOTE, &inner));
    take_note(&world->server, AMM_NOTE_MOVED, 1);
    assert_all_drops(&world->server, 0);
}

static void nothing_moves_between_udp_and_tcp(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    struct amm_path path = world_path(OTHER_REMOTE);
    path.transport = AMM_TCP;
    size_t len = fresh(world);
    assert_true(amm_plane_open(world->server.plane, world->now, &path,
                               (struct amm_span){world->datagram, len}, &inner));
    world_server_peer(world, ID)->path.transport = AMM_TCP;
    assert_true(world_server_open(world, fresh(world), OTHER_REMOTE, &inner));
    no_note(&world->server);
}

static void a_foreign_inner_source_is_dropped(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    uint8_t packet[128];
    struct amm_view echo = world_echo(world);
    memcpy(packet, echo.data, echo.len);
    packet[15] += 4; /* the next gateway */
    size_t len = world_client_seal(world, amm_view(packet, echo.len));
    assert_false(world_server_open(world, len, CLIENT_REMOTE, &inner));
    assert_drops(&world->server, AMM_DROP_INNER_SOURCE, 1);
    struct amm_peer *peer = world_server_peer(world, ID);
    assert_int_equal(peer->dropped, 1);
    assert_int_equal(peer->last_drop, AMM_DROP_INNER_SOURCE);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_packet_comes_out_as_it_went_in),
        TEST(the_answer_comes_back),
        TEST(short_packets_are_dropped),
        TEST(data_v1_is_not_for_servers),
        TEST(unknown_peer_ids_are_dropped),
        TEST(an_unknown_key_id_is_dropped),
        TEST(every_byte_of_a_packet_is_authenticated),
        TEST(a_packet_of_another_peer_does_not_authenticate),
        TEST(a_replay_is_dropped_and_moves_nothing),
        TEST(an_id_of_zero_is_dropped),
        TEST(ids_behind_the_window_are_dropped),
        TEST(a_key_with_too_many_failures_opens_nothing),
        TEST(packets_of_another_worker_are_dropped),
        TEST(an_address_outside_the_pool_is_no_other_workers),
        TEST(a_client_without_a_peer_knows_nobody),
        TEST(a_fresh_packet_from_another_address_moves_the_peer),
        TEST(a_peer_moves_at_most_once_a_second),
        TEST(a_straggler_from_the_old_address_does_not_move_it_back),
        TEST(a_ping_moves_the_peer_too),
        TEST(nothing_moves_between_udp_and_tcp),
        TEST(a_foreign_inner_source_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
