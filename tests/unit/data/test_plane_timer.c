/* data/plane, time: pings after silence of ours, the end after silence of theirs, exit messages,
 * and that full queues of notes delay things and lose none. */
#include "world.h"

#define ID amm_peer_id(0, 1)
enum { PING = 10, RESTART = 60 }; /* world_command */
#define TICK ((amm_duration)1 << 24)

static int set_up(void **state)
{
    static struct world world;
    world_open(&world);
    world_join(&world, ID);
    *state = &world;
    return 0;
}

static size_t output(struct world *world, struct side *side)
{
    struct amm_path path;
    return amm_plane_output(side->plane, world->now, &path, world->datagram, WORLD_ROOM);
}

/* Goes on to `until`, stopping when the client's plane wants to; returns how many pings it sent. */
static int run_client(struct world *world, amm_time until)
{
    struct amm_span inner;
    int pings = 0;
    for (;;) {
        amm_time next = amm_plane_deadline(world->client.plane);
        if (next > until) {
            world->now.mono = until;
            return pings;
        }
        world->now.mono = next > world->now.mono ? next : world->now.mono;
        amm_plane_expire(world->client.plane, world->now);
        size_t len;
        while ((len = output(world, &world->client)) > 0) {
            assert_false(world_server_open(world, len, CLIENT_REMOTE, &inner));
            pings++;
        }
    }
}

static void a_silent_side_pings_in_its_interval(void **state)
{
    struct world *world = *state;
    amm_time start = world->now.mono;
    assert_int_equal(run_client(world, start + PING * AMM_SECOND - 1), 0);
    assert_int_equal(run_client(world, start + PING * AMM_SECOND + TICK), 1);
    /* A server that hears nothing lets no time limit pass unnoticed: see below. Here the client is
     * silent. */
    assert_int_equal(run_client(world, start + 59 * AMM_SECOND), 4);
    assert_all_drops(&world->server, 0);
    assert_true(world_server_peer(world, ID)->last_rx > start + 49 * AMM_SECOND);
}

static void a_side_that_sends_does_not_ping(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(run_client(world, world->now.mono + 9 * AMM_SECOND), 0);
        assert_true(world_client_seal(world, world_echo(world)) > 0);
    }
}

static void a_ping_says_nothing_but_its_magic(void **state)
{
    struct world *world = *state;
    world->now.mono += 11 * AMM_SECOND;
    amm_plane_expire(world->client.plane, world->now);
    assert_true(amm_plane_deadline(world->client.plane) <= world->now.mono); /* output waits */
    assert_int_equal(output(world, &world->client), AMM_DATA_OVERHEAD + 16);
    assert_int_equal(output(world, &world->client), 0);
    assert_true(amm_plane_deadline(world->client.plane) > world->now.mono);
    struct amm_path path;
    assert_int_equal(amm_plane_output(world->client.plane, world->now, &path, world->datagram, 40),
                     0);
}

static void without_a_sending_key_nobody_pings(void **state)
{
    struct world *world = *state;
    world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(0, 9), 2, 9, 0);
    world->now.mono += 15 * AMM_SECOND;
    amm_plane_expire(world->server.plane, world->now);
    assert_int_equal(output(world, &world->server), AMM_DATA_OVERHEAD + 16); /* of ID */
    assert_int_equal(output(world, &world->server), 0);
    assert_true(amm_plane_deadline(world->server.plane) > world->now.mono);
}

static void a_silent_peer_is_dropped_after_ping_restart(void **state)
{
    struct world *world = *state;
    world->now.mono += RESTART * AMM_SECOND - 1;
    amm_plane_expire(world->server.plane, world->now);
    no_note(&world->server);
    assert_int_equal(amm_plane_live(world->server.plane), 1);
    while (output(world, &world->server) > 0) {
    }
    world->now.mono += 1 + TICK;
    assert_true(amm_plane_deadline(world->server.plane) <= world->now.mono);
    amm_plane_expire(world->server.plane, world->now);
    take_note(&world->server, AMM_NOTE_SILENT, 1);
    assert_int_equal(amm_plane_live(world->server.plane), 0);
    assert_null(amm_plane_route(world->server.plane, world_client_ip(world)));
    assert_int_equal(output(world, &world->server), 0);
}

static void only_authenticated_packets_keep_a_peer(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    for (int i = 0; i < 70; i++) {
        world->now.mono += AMM_SECOND;
        size_t len = world_client_seal(world, world_echo(world));
        world->datagram[20] ^= 1;
        world_server_open(world, len, CLIENT_REMOTE, &inner);
        amm_plane_expire(world->server.plane, world->now);
    }
    take_note(&world->server, AMM_NOTE_SILENT, 1);
}

static void intervals_of_zero_never_pass(void **state)
{
    struct world *world = *state;
    struct amm_plane_command command =
        world_command(AMM_PLANE_ADD, amm_peer_id(0, 9), 2, 9, 0, AMM_SERVER);
    world_command_side(world, &world->server, AMM_PLANE_REMOVE, ID, 1, 0, 0);
    command.ping = command.ping_restart = 0;
    amm_plane_command(world->server.plane, world->now, &command);
    assert_true(amm_plane_deadline(world->server.plane) == AMM_NEVER);
}

static void a_told_exit_leaves_three_times_and_ends_the_peer(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    world_command_side(world, &world->server, AMM_PLANE_EXIT, ID, 1, 0, 0);
    assert_null(amm_plane_route(world->server.plane, world_client_ip(world)));
    no_note(&world->server);
    size_t len = output(world, &world->server);
    assert_int_equal(len, AMM_DATA_OVERHEAD + 17);
    assert_false(world_client_open(world, len, &inner));
    take_note(&world->client, AMM_NOTE_EXITED, 1);
    assert_int_equal(output(world, &world->server), AMM_DATA_OVERHEAD + 17);
    assert_int_equal(output(world, &world->server), AMM_DATA_OVERHEAD + 17);
    assert_int_equal(output(world, &world->server), 0);
    take_note(&world->server, AMM_NOTE_REMOVED, 1);
    assert_int_equal(amm_plane_live(world->server.plane), 0);
    assert_true(amm_plane_deadline(world->server.plane) == AMM_NEVER);
}

static void over_tcp_an_exit_leaves_once(void **state)
{
    struct world *world = *state;
    world_server_peer(world, ID)->path.transport = AMM_TCP;
    world_command_side(world, &world->server, AMM_PLANE_EXIT, ID, 1, 0, 0);
    assert_int_equal(output(world, &world->server), AMM_DATA_OVERHEAD + 17);
    assert_int_equal(output(world, &world->server), 0);
    take_note(&world->server, AMM_NOTE_REMOVED, 1);
}

static void an_exit_without_a_key_just_ends_the_peer(void **state)
{
    struct world *world = *state;
    world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(0, 9), 2, 9, 0);
    drop_notes(&world->server);
    world_command_side(world, &world->server, AMM_PLANE_EXIT, amm_peer_id(0, 9), 2, 0, 0);
    assert_int_equal(output(world, &world->server), 0);
    take_note(&world->server, AMM_NOTE_REMOVED, 2);
}

static void a_peer_that_was_told_to_go_is_not_listened_to(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    size_t len = world_client_seal(world, world_echo(world));
    world_command_side(world, &world->server, AMM_PLANE_EXIT, ID, 1, 0, 0);
    assert_false(world_server_open(world, len, CLIENT_REMOTE, &inner));
    assert_drops(&world->server, AMM_DROP_DATA_PEER_UNKNOWN, 1);
}

static void removed_peers_leave_no_output_behind(void **state)
{
    struct world *world = *state;
    world->now.mono += 11 * AMM_SECOND;
    amm_plane_expire(world->server.plane, world->now); /* a ping waits */
    world_command_side(world, &world->server, AMM_PLANE_REMOVE, ID, 1, 0, 0);
    assert_int_equal(output(world, &world->server), 0);
    /* The same record again, while it stands in the queue twice over. */
    world_command_side(world, &world->server, AMM_PLANE_ADD, ID, 2, 2, 0);
    world_command_side(world, &world->server, AMM_PLANE_EXIT, ID, 2, 0, 0);
    world_command_side(world, &world->server, AMM_PLANE_REMOVE, ID, 2, 0, 0);
    world_command_side(world, &world->server, AMM_PLANE_ADD, ID, 3, 3, 0);
    world_command_side(world, &world->server, AMM_PLANE_EXIT, ID, 3, 0, 0);
    assert_int_equal(output(world, &world->server), 0);
    assert_int_equal(amm_plane_live(world->server.plane), 0);
}

/* ---- full queues ---- */

static void silence_of_all_peers_is_told_of_each(void **state)
{
    struct world *world = *state;
    drop_notes(&world->server);
    for (uint32_t slot = 1; slot <= 2047; slot++) {
        struct amm_plane_note note;
        world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(1, slot), slot, 9, 0);
        while (amm_plane_next_note(world->server.plane, &note)) {
        }
    }
    world_command_side(world, &world->server, AMM_PLANE_REMOVE, ID, 1, 0, 0);
    drop_notes(&world->server);
    assert_int_equal(amm_plane_live(world->server.plane), 2047);
    world->now.mono += 61 * AMM_SECOND;
    static bool told[2048];
    uint32_t n = 0;
    for (int round = 0; round < 100 && amm_plane_live(world->server.plane) > 0; round++) {
        assert_true(amm_plane_deadline(world->server.plane) <= world->now.mono);
        amm_plane_expire(world->server.plane, world->now);
        struct amm_plane_note note;
        while (amm_plane_next_note(world->server.plane, &note)) {
            assert_int_equal(note.kind, AMM_NOTE_SILENT);
            assert_false(told[note.session.index]);
            told[note.session.index] = true;
            n++;
        }
    }
    assert_int_equal(n, 2047);
    assert_all_drops(&world->server, 0);
}

static void a_full_queue_delays_proof_exit_and_moves(void **state)
{
    struct world *world = *state;
    struct amm_span inner;
    /* Fill the part of the queue that packets may use. */
    for (int i = 0; i < 512; i++) {
        world_command_side(world, &world->server, AMM_PLANE_REMOVE, amm_peer_id(9, 9), 2, 0, 0);
    }
    world_command_side(world, &world->server, AMM_PLANE_INSTALL, ID, 1, 2, 1);
    world_command_side(world, &world->client, AMM_PLANE_INSTALL, ID, 1, 2, 1);
    world_command_side(world, &world->client, AMM_PLANE_SEND, ID, 1, 2, 1);
    world->now.mono += 5 * AMM_SECOND;
    size_t len = world_client_seal(world, world_echo(world));
    assert_false(world_server_open(world, len, "203.0.113.9:1", &inner));
    assert_drops(&world->server, AMM_DROP_QUEUE_FULL, 1);
    struct amm_peer *peer = world_server_peer(world, ID);
    assert_int_equal(amm_peer_id_slot(peer->peer_id), 1);
    assert_int_equal(peer->keys[1].state, AMM_KEY_RECEIVE);
    drop_notes(&world->server);
    len = world_client_seal(world, world_echo(world));
    assert_true(world_server_open(world, len, "203.0.113.9:1", &inner));
    take_note(&world->server, AMM_NOTE_MOVED, 1);
    take_note(&world->server, AMM_NOTE_PROVEN, 1);
}

static void answers_to_commands_fit_when_packets_may_note_nothing_more(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 512 + 200; i++) {
        world_command_side(world, &world->server, AMM_PLANE_REMOVE, amm_peer_id(9, 9), 2, 0, 0);
    }
    world_command_side(world, &world->server, AMM_PLANE_INSTALL, ID, 1, 2, 1);
    struct amm_plane_note note;
    int n = 0;
    while (amm_plane_next_note(world->server.plane, &note)) {
        n++;
    }
    assert_int_equal(n, 713);
    assert_int_equal(note.kind, AMM_NOTE_INSTALLED);
    assert_drops(&world->server, AMM_DROP_QUEUE_FULL, 0);
}

static void exits_of_many_peers_wait_for_room(void **state)
{
    struct world *world = *state;
    for (uint32_t slot = 1; slot <= 2047; slot++) {
        world_command_side(world, &world->server, AMM_PLANE_ADD, amm_peer_id(1, slot), slot, 9, 0);
        world_command_side(world, &world->server, AMM_PLANE_EXIT, amm_peer_id(1, slot), slot, 9, 0);
        drop_notes(&world->server);
    }
    uint32_t n = 0;
    for (int round = 0; round < 10; round++) {
        struct amm_plane_note note;
        while (output(world, &world->server) > 0) {
        }
        while (amm_plane_next_note(world->server.plane, &note)) {
            n += note.kind == AMM_NOTE_REMOVED;
        }
    }
    assert_int_equal(n, 2047);
    assert_drops(&world->server, AMM_DROP_QUEUE_FULL, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_silent_side_pings_in_its_interval),
        TEST(a_side_that_sends_does_not_ping),
        TEST(a_ping_says_nothing_but_its_magic),
        TEST(without_a_sending_key_nobody_pings),
        TEST(a_silent_peer_is_dropped_after_ping_restart),
        TEST(only_authenticated_packets_keep_a_peer),
        TEST(intervals_of_zero_never_pass),
        TEST(a_told_exit_leaves_three_times_and_ends_the_peer),
        TEST(over_tcp_an_exit_leaves_once),
        TEST(an_exit_without_a_key_just_ends_the_peer),
        TEST(a_peer_that_was_told_to_go_is_not_listened_to),
        TEST(removed_peers_leave_no_output_behind),
        TEST(silence_of_all_peers_is_told_of_each),
        TEST(a_full_queue_delays_proof_exit_and_moves),
        TEST(answers_to_commands_fit_when_packets_may_note_nothing_more),
        TEST(exits_of_many_peers_wait_for_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
