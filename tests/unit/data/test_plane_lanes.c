/* data/plane, lanes: an old and a new session of one gateway overlap until the new one is proven.
 */
#include "world.h"

#define OLD amm_peer_id(4, 1)
#define NEW amm_peer_id(5, 1)
#define NEWER amm_peer_id(6, 1)

static int set_up(void **state)
{
    static struct world world;
    world_open(&world);
    world_join(&world, OLD);
    *state = &world;
    return 0;
}

static void add(struct world *world, uint32_t peer_id, uint32_t session, unsigned keys)
{
    world_command_side(world, &world->server, AMM_PLANE_ADD, peer_id, session, keys, 0);
}

/* The peer id of the tunnel that packets to the gateway go into. */
static uint32_t routed_to(struct world *world)
{
    struct amm_peer *peer = amm_plane_route(world->server.plane, world_client_ip(world));
    return peer ? peer->peer_id : 0;
}

/* The client goes on with the session of `peer_id`. */
static void client_becomes(struct world *world, uint32_t peer_id, uint32_t session, unsigned keys)
{
    world_command_side(world, &world->client, AMM_PLANE_ADD, peer_id, session, keys, 0);
    world_command_side(world, &world->client, AMM_PLANE_SEND, peer_id, session, keys, 0);
    drop_notes(&world->client);
}

static bool client_to_server(struct world *world)
{
    struct amm_span inner;
    size_t len = world_client_seal(world, world_echo(world));
    return len > 0 && world_server_open(world, len, CLIENT_REMOTE, &inner);
}

static void the_old_session_stays_until_the_new_one_is_proven(void **state)
{
    struct world *world = *state;
    add(world, NEW, 2, 2);
    take_note(&world->server, AMM_NOTE_INSTALLED, 2);
    no_note(&world->server);
    assert_int_equal(amm_plane_live(world->server.plane), 2);
    assert_true(client_to_server(world)); /* still the old session */
    assert_int_equal(routed_to(world), OLD);
    client_becomes(world, NEW, 2, 2);
    assert_true(client_to_server(world));
    take_note(&world->server, AMM_NOTE_PROVEN, 2);
    assert_int_equal(take_note(&world->server, AMM_NOTE_REPLACED, 1).peer_id, OLD);
    no_note(&world->server);
    assert_int_equal(routed_to(world), NEW);
    assert_int_equal(amm_plane_live(world->server.plane), 1);
    assert_int_equal(world_server_peer(world, OLD)->state, AMM_PEER_FREE);
}

static void a_send_command_makes_the_new_session_take_over(void **state)
{
    struct world *world = *state;
    add(world, NEW, 2, 2);
    take_note(&world->server, AMM_NOTE_INSTALLED, 2);
    world_command_side(world, &world->server, AMM_PLANE_SEND, NEW, 2, 2, 0);
    take_note(&world->server, AMM_NOTE_REPLACED, 1);
    assert_int_equal(routed_to(world), NEW);
}

static void packets_of_a_dead_generation_are_unknown(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    size_t len = world_client_seal(world, world_echo(world));
    world_command_side(world, &world->server, AMM_PLANE_REMOVE, OLD, 1, 0, 0);
    add(world, NEWER, 3, 3);
    assert_false(world_server_open(world, len, CLIENT_REMOTE, &inner));
    assert_drops(&world->server, AMM_DROP_DATA_PEER_UNKNOWN, 1);
    assert_drops(&world->server, AMM_DROP_DATA_AUTH, 0); /* not even tried */
}

static void a_session_in_the_same_lane_is_replaced_at_once(void **state)
{
    struct world *world = *state;
    add(world, NEWER, 3, 3);
    assert_int_equal(take_note(&world->server, AMM_NOTE_REPLACED, 1).peer_id, OLD);
    take_note(&world->server, AMM_NOTE_INSTALLED, 3);
    assert_int_equal(amm_plane_live(world->server.plane), 1);
    assert_int_equal(routed_to(world), NEWER);
}

static void of_two_unproven_sessions_the_older_does_not_drop_the_newer(void **state)
{
    struct world *world = *state;
    add(world, NEW, 2, 2);
    add(world, NEWER, 3, 3); /* takes the place of OLD */
    drop_notes(&world->server);
    assert_int_equal(routed_to(world), NEW);
    client_becomes(world, NEW, 2, 2);
    assert_true(client_to_server(world));
    take_note(&world->server, AMM_NOTE_PROVEN, 2);
    no_note(&world->server);
    assert_int_equal(amm_plane_live(world->server.plane), 2);
    client_becomes(world, NEWER, 3, 3);
    assert_true(client_to_server(world));
    take_note(&world->server, AMM_NOTE_PROVEN, 3);
    take_note(&world->server, AMM_NOTE_REPLACED, 2);
    assert_int_equal(routed_to(world), NEWER);
}

static void generations_compare_across_their_wrap(void **state)
{
    struct world *world = *state;
    uint32_t last = amm_peer_id(AMM_GENERATIONS - 2, 7); /* 2045, odd */
    uint32_t first = amm_peer_id(AMM_GENERATIONS, 7);    /* 0, even */
    add(world, last, 2, 2);
    world_command_side(world, &world->server, AMM_PLANE_SEND, last, 2, 2, 0);
    add(world, first, 3, 3);
    drop_notes(&world->server);
    world_command_side(world, &world->server, AMM_PLANE_SEND, first, 3, 3, 0);
    take_note(&world->server, AMM_NOTE_REPLACED, 2);
}

static void when_the_new_session_goes_the_old_one_is_routed_to(void **state)
{
    struct world *world = *state;
    add(world, NEW, 2, 2);
    world_command_side(world, &world->server, AMM_PLANE_REMOVE, NEW, 2, 0, 0);
    assert_int_equal(routed_to(world), OLD);
    add(world, NEW, 2, 2);
    world_command_side(world, &world->server, AMM_PLANE_REMOVE, OLD, 1, 0, 0);
    assert_int_equal(routed_to(world), NEW);
}

static void commands_of_another_session_do_nothing(void **state)
{
    struct world *world = *state;
    const enum amm_plane_op ops[] = {AMM_PLANE_INSTALL, AMM_PLANE_SEND, AMM_PLANE_EXIT,
                                     AMM_PLANE_REMOVE};
    for (size_t i = 0; i < 4; i++) {
        struct amm_plane_command command = world_command(ops[i], OLD, 1, 9, 3, AMM_SERVER);
        command.session.tag++;
        amm_plane_command(world->server.plane, world->now, &command);
        command =
            world_command(ops[i], NEWER, 1, 9, 3, AMM_SERVER); /* right session, wrong generation */
        amm_plane_command(world->server.plane, world->now, &command);
    }
    take_note(&world->server, AMM_NOTE_REFUSED, 1);
    take_note(&world->server, AMM_NOTE_REFUSED, 1);
    for (int i = 0; i < 4; i++) {
        take_note(&world->server, AMM_NOTE_REMOVED, 1);
    }
    no_note(&world->server);
    assert_true(client_to_server(world));
    assert_int_equal(amm_plane_live(world->server.plane), 1);
}

static void impossible_peers_are_refused(void **state)
{
    struct world *world = *state;
    struct amm_plane_command command =
        world_command(AMM_PLANE_ADD, amm_peer_id(0, 2), 9, 9, 0, AMM_SERVER);
    command.inner_ip += 4;
    amm_plane_command(world->server.plane, world->now, &command);
    take_note(&world->server, AMM_NOTE_REFUSED, 9);
    command = world_command(AMM_PLANE_ADD, amm_peer_id(0, 2), 9, 9, 0, AMM_SERVER);
    command.keys.cipher = AMM_CIPHER_NONE;
    amm_plane_command(world->server.plane, world->now, &command);
    take_note(&world->server, AMM_NOTE_REFUSED, 9);
    const uint32_t ids[] = {0, amm_peer_id(3, 0), amm_peer_id(0, 2048), 0xffffff, 0x1000001};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        add(world, ids[i], 9, 9);
        take_note(&world->server, AMM_NOTE_REFUSED, 9);
    }
    assert_int_equal(amm_plane_live(world->server.plane), 1);
}

static void addresses_without_a_tunnel_have_no_route(void **state)
{
    struct world *world = *state;
    uint32_t own = world_client_ip(world);
    const uint32_t none[] = {own + 4,    own - 1, own + 1,    0x0a800001,
                             0x0a800000, 0,       UINT32_MAX, 0x0a801fff};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_null(amm_plane_route(world->server.plane, none[i]));
        assert_drops(&world->server, AMM_DROP_INNER_NO_PEER, i + 1);
    }
    assert_non_null(amm_plane_route(world->server.plane, own));
}

static void a_client_has_one_peer_whatever_its_id(void **state)
{
    struct world *world = *state;
    const uint32_t ids[] = {0, 1, 0xffffff, amm_peer_id(3, 5)};
    for (uint32_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        client_becomes(world, ids[i], 10 + i, 5 + i);
        assert_int_equal(amm_plane_live(world->client.plane), 1);
        assert_int_equal(amm_plane_route(world->client.plane, 12345)->peer_id, ids[i]);
    }
    world_command_side(world, &world->client, AMM_PLANE_REMOVE, ids[3], 13, 0, 0);
    take_note(&world->client, AMM_NOTE_REMOVED, 13);
    assert_null(amm_plane_route(world->client.plane, 0));
    assert_drops(&world->client, AMM_DROP_INNER_NO_PEER, 1);
}

static void workers_share_a_table_without_touching_each_others_slots(void **state)
{
    (void)state;
    struct world world;
    world_open(&world);
    struct amm_plane *planes[3];
    struct amm_plane_config config = world.server.config;
    config.n_workers = 3;
    for (uint16_t w = 0; w < 3; w++) {
        config.worker = w;
        planes[w] = amm_plane_new(&config, world.server.table, world.server.n_slots,
                                  world.server.aead, &world.server.drops, world.now);
    }
    for (uint32_t slot = 1; slot <= 2047; slot += slot < 20 || slot > 2030 ? 1 : 50) {
        for (uint16_t w = 0; w < 3; w++) {
            struct amm_plane_command command =
                world_command(AMM_PLANE_ADD, amm_peer_id(slot, slot), slot, 1, 0, AMM_SERVER);
            struct amm_plane_note note;
            amm_plane_command(planes[w], world.now, &command);
            assert_true(amm_plane_next_note(planes[w], &note));
            assert_int_equal(note.kind, slot % 3 == w ? AMM_NOTE_INSTALLED : AMM_NOTE_REFUSED);
            assert_true((amm_plane_route(planes[w], command.inner_ip) != NULL) == (slot % 3 == w));
        }
    }
    for (uint16_t w = 0; w < 3; w++) {
        amm_plane_free(planes[w]);
    }
    world_close(&world);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_old_session_stays_until_the_new_one_is_proven),
        TEST(a_send_command_makes_the_new_session_take_over),
        TEST(packets_of_a_dead_generation_are_unknown),
        TEST(a_session_in_the_same_lane_is_replaced_at_once),
        TEST(of_two_unproven_sessions_the_older_does_not_drop_the_newer),
        TEST(generations_compare_across_their_wrap),
        TEST(when_the_new_session_goes_the_old_one_is_routed_to),
        TEST(commands_of_another_session_do_nothing),
        TEST(impossible_peers_are_refused),
        TEST(addresses_without_a_tunnel_have_no_route),
        TEST(a_client_has_one_peer_whatever_its_id),
        cmocka_unit_test(workers_share_a_table_without_touching_each_others_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
