/* data/plane, taking over: a new process goes on with the records of the old one, and no nonce
 * repeats (DATA-4). */
#include "world.h"

#include <stdlib.h>

#define ID amm_peer_id(4, 1)

static int set_up(void **state)
{
    static struct world world;
    world_open(&world);
    world_join(&world, ID);
    *state = &world;
    return 0;
}

/* The old process is gone; its table stays. Returns how many peers live on. */
static uint32_t take_over(struct world *world, struct side *side)
{
    amm_plane_free(side->plane);
    amm_aead_free(side->aead);
    side->aead = amm_aead_new(AMM_AEAD_OPENSSL, 64);
    side->plane = amm_plane_new(&side->config, side->table, side->n_slots, side->aead, &side->drops,
                                world->now);
    return amm_plane_adopt(side->plane, world->now);
}

static bool client_to_server(struct world *world)
{
    struct amm_span inner;
    size_t len = world_client_seal(world, world_echo(world));
    return len > 0 && world_server_open(world, len, CLIENT_REMOTE, &inner);
}

static bool server_to_client(struct world *world)
{
    struct amm_span inner;
    uint8_t packet[128];
    struct packet p = {.source = 0x0a800001, .destination = world_client_ip(world), .protocol = 1};
    size_t len =
        world_server_seal(world, amm_view(packet, packet_build(&p, packet, sizeof packet)));
    return len > 0 && world_client_open(world, len, &inner);
}

static void tunnels_go_on(void **state)
{
    struct world *world = *state;
    assert_true(server_to_client(world));
    assert_int_equal(take_over(world, &world->server), 1);
    assert_int_equal(amm_plane_live(world->server.plane), 1);
    assert_true(server_to_client(world));
    assert_true(client_to_server(world));
    assert_int_equal(take_over(world, &world->client), 1);
    assert_true(server_to_client(world));
    assert_true(client_to_server(world));
    no_note(&world->server);
    assert_all_drops(&world->server, 0);
    assert_all_drops(&world->client, 0);
}

static void packet_ids_go_on_behind_the_reserved_block(void **state)
{
    struct world *world = *state;
    bool *used = calloc(20 * 65536 + 2, sizeof *used);
    uint32_t step = 1;
    used[1] = true; /* in world_join */
    for (int i = 0; i < 18; i++) {
        for (uint32_t n = 0; n < step; n++) {
            assert_true(client_to_server(world));
            uint32_t id = amm_load_u32(world->datagram + 4);
            assert_true(id < 20 * 65536 + 2 && !used[id]);
            used[id] = true;
        }
        step = step * 3 % 1000 + 1;
        assert_int_equal(take_over(world, &world->client), 1);
    }
    free(used);
}

static void even_an_id_that_was_not_stored_is_not_used_again(void **state)
{
    struct world *world = *state;
    struct amm_key_slot *key = &amm_plane_route(world->client.plane, 0)->keys[0];
    for (int i = 0; i < 1000; i++) {
        assert_true(client_to_server(world));
    }
    key->tx_next = 5; /* as if the last stores had not reached the memory */
    assert_int_equal(take_over(world, &world->client), 1);
    assert_true(key->tx_next > 1001);
    assert_true(client_to_server(world));
    assert_drops(&world->server, AMM_DROP_DATA_REPLAY, 0);
}

static void a_spent_key_stays_spent(void **state)
{
    struct world *world = *state;
    struct amm_key_slot *key = &amm_plane_route(world->client.plane, 0)->keys[0];
    key->tx_next = key->tx_reserved = UINT32_MAX - 3;
    assert_true(client_to_server(world));
    assert_int_equal(take_over(world, &world->client), 1);
    assert_false(client_to_server(world)); /* the last block was reserved: gone */
    assert_drops(&world->client, AMM_DROP_DATA_KEY_SPENT, 1);
    take_over(world, &world->client);
    assert_false(client_to_server(world));
}

static void replays_from_before_are_still_known(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    uint8_t sealed[WORLD_ROOM];
    size_t len = world_client_seal(world, world_echo(world));
    memcpy(sealed, world->datagram, len);
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
    take_over(world, &world->server);
    memcpy(world->datagram, sealed, len);
    assert_false(world_server_open(world, len, CLIENT_REMOTE, &inner));
    assert_drops(&world->server, AMM_DROP_DATA_REPLAY, 1);
}

static void a_torn_record_is_dropped_alone_and_wiped(void **state)
{
    struct world *world = *state;
    world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(0, 2), 2, 2, 0);
    struct amm_peer *torn = world_server_peer(world, amm_peer_id(0, 2));
    torn->sequence |= 1;
    assert_int_equal(take_over(world, &world->server), 1);
    assert_int_equal(torn->state, AMM_PEER_FREE);
    assert_int_equal(torn->sequence & 1, 0);
    static const struct amm_key_slot empty;
    assert_memory_equal(&torn->keys[0], &empty, sizeof empty);
    assert_true(client_to_server(world));
}

static void a_record_in_a_wrong_place_is_dropped(void **state)
{
    struct world *world = *state;
    world_server_peer(world, ID)->peer_id = amm_peer_id(5, 1);
    assert_int_equal(take_over(world, &world->server), 0);
}

static void keys_get_new_serials(void **state)
{
    struct world *world = *state;
    struct amm_key_slot *key = &world_server_peer(world, ID)->keys[0];
    uint64_t rx = key->rx.serial;
    uint64_t tx = key->tx.serial;
    take_over(world, &world->server);
    assert_true(key->rx.serial != key->tx.serial && key->rx.serial != rx && key->rx.serial != tx &&
                key->tx.serial != tx && key->tx.serial != rx);
}

static void the_time_without_a_process_is_no_silence_of_the_peer(void **state)
{
    struct world *world = *state;
    world->now.mono += 500 * AMM_SECOND;
    assert_int_equal(take_over(world, &world->server), 1);
    world->now.mono += 59 * AMM_SECOND;
    amm_plane_expire(world->server.plane, world->now);
    no_note(&world->server);
    world->now.mono += 2 * AMM_SECOND;
    amm_plane_expire(world->server.plane, world->now);
    take_note(&world->server, AMM_NOTE_SILENT, 1);
}

static void an_unproven_new_session_does_not_get_the_packets(void **state)
{
    struct world *world = *state;
    world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(5, 1), 2, 2, 0);
    assert_int_equal(take_over(world, &world->server), 2);
    assert_int_equal(amm_plane_route(world->server.plane, world_client_ip(world))->peer_id, ID);
    /* And in the other order of lanes. */
    world_command_side(world, &world->server, AMM_PLANE_SEND, amm_peer_id(5, 1), 2, 2, 0);
    world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(6, 1), 3, 3, 0);
    assert_int_equal(take_over(world, &world->server), 2);
    assert_int_equal(amm_plane_route(world->server.plane, world_client_ip(world))->peer_id,
                     amm_peer_id(5, 1));
}

static void a_replacement_that_was_half_done_is_finished(void **state)
{
    struct world *world = *state;
    world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(5, 1), 2, 2, 0);
    drop_notes(&world->server);
    world_server_peer(world, amm_peer_id(5, 1))->keys[0].state = AMM_KEY_SEND;
    assert_int_equal(take_over(world, &world->server), 1);
    take_note(&world->server, AMM_NOTE_REPLACED, 1);
    assert_int_equal(amm_plane_route(world->server.plane, world_client_ip(world))->peer_id,
                     amm_peer_id(5, 1));
}

static void an_exit_that_was_not_said_is_said(void **state)
{
    struct world *world = *state;
    struct amm_path path;
    world_command_side(world, &world->server, AMM_PLANE_EXIT, ID, 1, 0, 0);
    take_over(world, &world->server);
    assert_int_equal(
        amm_plane_output(world->server.plane, world->now, &path, world->datagram, WORLD_ROOM),
        AMM_DATA_OVERHEAD + 17);
}

static void a_new_table_has_nobody(void **state)
{
    (void)state;
    struct world world;
    world_open(&world);
    assert_int_equal(amm_plane_adopt(world.server.plane, world.now), 0);
    assert_true(amm_plane_deadline(world.server.plane) == AMM_NEVER);
    world_close(&world);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tunnels_go_on),
        TEST(packet_ids_go_on_behind_the_reserved_block),
        TEST(even_an_id_that_was_not_stored_is_not_used_again),
        TEST(a_spent_key_stays_spent),
        TEST(replays_from_before_are_still_known),
        TEST(a_torn_record_is_dropped_alone_and_wiped),
        TEST(a_record_in_a_wrong_place_is_dropped),
        TEST(keys_get_new_serials),
        TEST(the_time_without_a_process_is_no_silence_of_the_peer),
        TEST(an_unproven_new_session_does_not_get_the_packets),
        TEST(a_replacement_that_was_half_done_is_finished),
        TEST(an_exit_that_was_not_said_is_said),
        cmocka_unit_test(a_new_table_has_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
