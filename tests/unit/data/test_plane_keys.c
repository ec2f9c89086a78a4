/* data/plane, keys: overlap, when the sending key changes, wear, and that no nonce is used twice.
 */
#include "world.h"

#define ID amm_peer_id(0, 1)

static int set_up(void **state)
{
    static struct world world;
    world_open(&world);
    world_join(&world, ID);
    *state = &world;
    return 0;
}

static void command(struct world *world, struct side *side, enum amm_plane_op op, unsigned keys,
                    uint8_t key_id)
{
    world_command_side(world, side, op, ID, 1, keys, key_id);
}

static void install_both(struct world *world, unsigned keys, uint8_t key_id)
{
    command(world, &world->server, AMM_PLANE_INSTALL, keys, key_id);
    assert_int_equal(take_note(&world->server, AMM_NOTE_INSTALLED, 1).key_id, key_id);
    command(world, &world->client, AMM_PLANE_INSTALL, keys, key_id);
    take_note(&world->client, AMM_NOTE_INSTALLED, 1);
}

static uint8_t server_key_id(struct world *world)
{
    uint8_t reply[60] = {0x45};
    assert_true(world_server_seal(world, amm_view(reply, sizeof reply)) > 0);
    return world->datagram[0] & 7;
}

static bool client_to_server(struct world *world)
{
    struct amm_span inner;
    size_t len = world_client_seal(world, world_echo(world));
    return len > 0 && world_server_open(world, len, CLIENT_REMOTE, &inner);
}

static void a_new_key_receives_at_once_and_sends_when_it_is_proven(void **state)
{
    struct world *world = *state;
    install_both(world, 2, 1);
    assert_int_equal(server_key_id(world), 0);
    assert_true(client_to_server(world)); /* still the old key */
    no_note(&world->server);
    command(world, &world->client, AMM_PLANE_SEND, 2, 1);
    assert_true(client_to_server(world));
    assert_int_equal(take_note(&world->server, AMM_NOTE_PROVEN, 1).key_id, 1);
    no_note(&world->server);
    assert_int_equal(server_key_id(world), 1);
    assert_true(client_to_server(world));
    no_note(&world->server); /* said once */
}

static void a_send_command_changes_the_key_without_proof(void **state)
{
    struct world *world = *state;
    install_both(world, 2, 1);
    command(world, &world->server, AMM_PLANE_SEND, 2, 1);
    assert_int_equal(server_key_id(world), 1);
    assert_true(client_to_server(world)); /* under the old key: does not change it back */
    assert_int_equal(server_key_id(world), 1);
    command(world, &world->server, AMM_PLANE_SEND, 1, 0); /* nor does the command */
    assert_int_equal(server_key_id(world), 1);
    command(world, &world->server, AMM_PLANE_SEND, 9, 5); /* never installed */
    assert_int_equal(server_key_id(world), 1);
}

static void a_replaced_key_opens_packets_until_it_dies(void **state)
{
    struct world *world = *state;
    install_both(world, 2, 1);
    command(world, &world->server, AMM_PLANE_SEND, 2, 1);
    world->now.mono += world->server.config.lame_duck - 1;
    assert_true(client_to_server(world));
    world->now.mono += 1;
    assert_false(client_to_server(world));
    assert_drops(&world->server, AMM_DROP_DATA_KEY_UNKNOWN, 1);
    world->now.mono += AMM_SECOND;
    amm_plane_expire(world->server.plane, world->now);
    static const struct amm_key_slot empty;
    assert_memory_equal(&world_server_peer(world, ID)->keys[0], &empty,
                        sizeof empty); /* and is wiped */
    assert_int_equal(server_key_id(world), 1);
}

static void a_third_key_takes_the_place_of_the_one_not_sent_with(void **state)
{
    struct world *world = *state;
    install_both(world, 2, 1);
    install_both(world, 3, 2); /* key 1 never was used */
    assert_int_equal(server_key_id(world), 0);
    assert_true(client_to_server(world));
    command(world, &world->client, AMM_PLANE_SEND, 3, 2);
    assert_true(client_to_server(world));
    take_note(&world->server, AMM_NOTE_PROVEN, 1);
    assert_int_equal(server_key_id(world), 2);
    install_both(world, 4, 3); /* takes the place of key 0, a lame duck */
    assert_int_equal(server_key_id(world), 2);
    assert_true(client_to_server(world));
}

static void the_id_of_the_sending_key_cannot_be_installed_again(void **state)
{
    struct world *world = *state;
    command(world, &world->server, AMM_PLANE_INSTALL, 9, 0);
    take_note(&world->server, AMM_NOTE_REFUSED, 1);
    assert_true(client_to_server(world));
    command(world, &world->server, AMM_PLANE_INSTALL, 9, 8); /* no key id */
    take_note(&world->server, AMM_NOTE_REFUSED, 1);
}

static void the_same_keys_again_do_not_start_their_ids_again(void **state)
{
    struct world *world = *state;
    uint32_t next = amm_plane_route(world->client.plane, 0)->keys[0].tx_next;
    assert_true(next > 1);
    command(world, &world->client, AMM_PLANE_INSTALL, 1, 0);
    take_note(&world->client, AMM_NOTE_INSTALLED, 1);
    command(world, &world->client, AMM_PLANE_ADD, 1, 0);
    take_note(&world->client, AMM_NOTE_INSTALLED, 1);
    no_note(&world->client);
    assert_int_equal(amm_plane_route(world->client.plane, 0)->keys[0].tx_next, next);
    assert_int_equal(amm_plane_live(world->client.plane), 1);
    assert_true(client_to_server(world));
}

static void no_key_no_packet(void **state)
{
    struct world *world = *state;
    uint8_t reply[60] = {0x45};
    world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(0, 5), 2, 7, 0);
    world->peer_id = amm_peer_id(0, 5);
    assert_int_equal(world_server_seal(world, amm_view(reply, sizeof reply)), 0);
    assert_drops(&world->server, AMM_DROP_INNER_NO_KEY, 1);
}

static void ids_count_up_and_are_reserved_before_use(void **state)
{
    struct world *world = *state;
    struct amm_key_slot *key = &amm_plane_route(world->client.plane, 0)->keys[0];
    for (uint32_t i = 2; i < 70000; i++) {
        assert_int_equal(key->tx_next, i);
        assert_true(world_client_seal(world, world_echo(world)) > 0);
        assert_int_equal(amm_load_u32(world->datagram + 4), i);
        assert_true(key->tx_reserved > i);
        assert_true(key->tx_reserved <= i + 65536);
    }
}

static void a_key_is_worn_once_and_then_spent(void **state)
{
    struct world *world = *state;
    struct amm_key_slot *key = &amm_plane_route(world->client.plane, 0)->keys[0];
    key->tx_next = key->tx_reserved = 0xff000000 - 2;
    assert_true(client_to_server(world));
    no_note(&world->client);
    assert_true(client_to_server(world));
    assert_int_equal(take_note(&world->client, AMM_NOTE_WORN, 1).key_id, 0);
    assert_true(client_to_server(world));
    no_note(&world->client);
    key->tx_next = key->tx_reserved = 0xfffffffd;
    assert_true(client_to_server(world));
    assert_true(client_to_server(world));
    assert_int_equal(amm_load_u32(world->datagram + 4), 0xfffffffe);
    assert_false(client_to_server(world));
    assert_drops(&world->client, AMM_DROP_DATA_KEY_SPENT, 1);
    assert_false(client_to_server(world));
    assert_int_equal(key->tx_next, UINT32_MAX);
    assert_int_equal(key->tx_reserved, UINT32_MAX);
}

static void gcm_wears_out_by_blocks(void **state)
{
    struct world *world = *state;
    struct amm_key_slot *key = &amm_plane_route(world->client.plane, 0)->keys[0];
    uint64_t before = key->tx_blocks;
    size_t len = world_echo(world).len;
    assert_true(client_to_server(world));
    assert_int_equal(key->tx_blocks - before, 1 + (len + 15) / 16);
    key->tx_blocks = (UINT64_C(1) << 36) / 8 * 7 - 5;
    assert_true(client_to_server(world)); /* one packet and three blocks */
    no_note(&world->client);
    assert_true(client_to_server(world));
    take_note(&world->client, AMM_NOTE_WORN, 1);
    key->tx_blocks = (UINT64_C(1) << 36) - 1;
    assert_false(client_to_server(world));
    assert_drops(&world->client, AMM_DROP_DATA_KEY_SPENT, 1);
    key->tx.cipher = AMM_CIPHER_CHACHA20_POLY1305; /* has no such limit */
    assert_true(world_client_seal(world, world_echo(world)) > 0);
}

static void received_blocks_and_failures_wear_a_key_too(void **state)
{
    struct world *world = *state;
    struct amm_key_slot *key = &world_server_peer(world, ID)->keys[0];
    struct amm_span inner;
    key->rx_blocks = (UINT64_C(1) << 36) / 8 * 7 - 5;
    assert_true(client_to_server(world));
    no_note(&world->server);
    assert_true(client_to_server(world));
    take_note(&world->server, AMM_NOTE_WORN, 1);
    key->worn = 0;
    key->rx_blocks = 0;
    key->rx_failed = (UINT64_C(1) << 35) - 1;
    for (int i = 0; i < 2; i++) {
        no_note(&world->server);
        size_t len = world_client_seal(world, world_echo(world));
        world->datagram[len - 1] ^= 1;
        assert_false(world_server_open(world, len, CLIENT_REMOTE, &inner));
    }
    take_note(&world->server, AMM_NOTE_WORN, 1);
}

static void a_key_that_is_being_replaced_is_not_called_worn(void **state)
{
    struct world *world = *state;
    install_both(world, 2, 1);
    command(world, &world->server, AMM_PLANE_SEND, 2, 1);
    world_server_peer(world, ID)->keys[0].rx_blocks = UINT64_C(1) << 36;
    assert_true(client_to_server(world));
    no_note(&world->server);
}

static void data_v1_goes_from_and_to_a_client_only(void **state)
{
    struct world *world = *state;
    struct amm_peer *peer = amm_plane_route(world->client.plane, 0);
    uint8_t wire[WORLD_ROOM];
    struct amm_span inner;
    peer->data_v1 = 1;
    struct amm_view echo = world_echo(world);
    struct amm_span sealed = amm_plane_seal(world->client.plane, world->now, peer, echo, wire);
    assert_ptr_equal(sealed.data, wire + 3);
    assert_int_equal(sealed.len, echo.len + 21);
    assert_int_equal(sealed.data[0], 6 << 3);
    /* A second client with the keys the other way round opens it. */
    struct side other = {.config = world->client.config};
    struct amm_plane_command add = world_command(AMM_PLANE_ADD, 0, 1, 1, 0, AMM_SERVER);
    struct amm_path path = world_path(CLIENT_REMOTE);
    side_open(&other, world->now);
    add.inner_ip = amm_load_u32(echo.data + 16);
    amm_plane_command(other.plane, world->now, &add);
    assert_true(amm_plane_open(other.plane, world->now, &path, sealed, &inner));
    assert_true(amm_view_equal(amm_view_of(inner), echo));
    sealed = amm_plane_seal(world->client.plane, world->now, peer, echo, wire);
    for (size_t len = 0; len <= 21; len++) {
        struct amm_span cut = {sealed.data, len};
        assert_false(amm_plane_open(other.plane, world->now, &path, cut, &inner));
        assert_drops(&other, AMM_DROP_DATA_SHORT, len + 1);
    }
    side_close(&other);
}

static void payload_that_is_in_place_is_not_copied(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    struct amm_view echo = world_echo(world);
    memcpy(world->datagram + AMM_DATA_OVERHEAD, echo.data, echo.len);
    size_t len = world_client_seal(world, amm_view(world->datagram + AMM_DATA_OVERHEAD, echo.len));
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
    assert_true(amm_view_equal(amm_view_of(inner), echo));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_new_key_receives_at_once_and_sends_when_it_is_proven),
        TEST(a_send_command_changes_the_key_without_proof),
        TEST(a_replaced_key_opens_packets_until_it_dies),
        TEST(a_third_key_takes_the_place_of_the_one_not_sent_with),
        TEST(the_id_of_the_sending_key_cannot_be_installed_again),
        TEST(the_same_keys_again_do_not_start_their_ids_again),
        TEST(no_key_no_packet),
        TEST(ids_count_up_and_are_reserved_before_use),
        TEST(a_key_is_worn_once_and_then_spent),
        TEST(gcm_wears_out_by_blocks),
        TEST(received_blocks_and_failures_wear_a_key_too),
        TEST(a_key_that_is_being_replaced_is_not_called_worn),
        TEST(data_v1_goes_from_and_to_a_client_only),
        TEST(payload_that_is_in_place_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
