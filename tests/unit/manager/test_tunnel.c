/* Places, the gateways file, moves and what is up, on a real store and fleet with virtual time. */
#include "tunnel_world.h"

#include "domain/msci.h"
#include "manager/parameters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = tunnel_world_new(2047);
    return 0;
}

static int tear_down(void **state)
{
    tunnel_world_free(*state);
    return 0;
}

static const char *desired_port(const struct fleet_gateway *gateway)
{
    const struct fleet_desired *desired = fleet_desired(gateway, AMM_MSCI_TUNNEL_PORT, NULL);
    return desired != NULL ? desired->value : "none";
}

static void join(struct tunnel_world *w, const struct fleet_gateway *gateway, uint16_t port,
                 unsigned generation, const char *from)
{
    uint32_t slot = gateway->tunnel.port == port ? gateway->tunnel.slot
                                                 : tunnel_way_find(w->t, gateway->id)->slot;
    tunnel_world_event(w, AMM_IPC_JOINED, gateway, port, amm_peer_id(generation, slot), from, "");
}

static void leave(struct tunnel_world *w, const struct fleet_gateway *gateway, uint16_t port,
                  unsigned generation, const char *reason)
{
    tunnel_world_event(w, AMM_IPC_LEFT, gateway, port,
                       amm_peer_id(generation, gateway->tunnel.slot), "192.0.2.1:40000", reason);
}

/* ---- places ---- */

static void an_enabled_gateway_gets_a_place_a_line_and_its_port(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *first = tunnel_world_gateway(w, "bus-1", FLEET_OURS);
    struct fleet_gateway *second = tunnel_world_gateway(w, "bus-2", FLEET_OURS);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\nbus-2 1191 1\n");
    assert_string_equal(desired_port(first), "1190");
    assert_string_equal(desired_port(second), "1191");
    tunnel_world_restart(w);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\nbus-2 1191 1\n");
}

static void a_router_needs_no_switch(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *router = tunnel_world_gateway(w, "kiosk", FLEET_OPENVPN);
    assert_string_equal(tunnel_world_file(w), "kiosk 1190 1\n");
    assert_string_equal(desired_port(router), "none");
}

static void the_switch_on_the_gateways_page_is_enough(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = world_gateway(&w->world, "bus-1");
    tunnel_world_checkin(w, gateway, "\"60001\":\"Disable\",\"10034\":1190", "");
    assert_string_equal(tunnel_world_file(w), "");
    tunnel_world_checkin(w, gateway, "\"60001\":\"Enable\",\"10034\":1192", "");
    assert_string_equal(tunnel_world_file(w), "bus-1 1192 1\n");
    /* The port was chosen there: it stays a local matter. */
    assert_string_equal(desired_port(gateway), "none");
}

static void a_template_goes_before_the_balancer(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = tunnel_world_gateway(w, "bus-1", FLEET_OURS);
    json_t *values = json_pack("{s:i}", "10034", 1193);
    tunnel_world_begin(w);
    assert_true(parameters_set_template(w->world.fleet, gateway->group, values, "anna@main",
                                        w->m.now.wall, &w->world.error));
    tunnel_world_end(w);
    json_decref(values);
    tunnel_world_settle(w);
    assert_string_equal(desired_port(gateway), "1193");
    assert_string_equal(tunnel_world_file(w), "bus-1 1193 1\n"); /* nobody was connected yet */
}

static void who_is_quarantined_has_no_line_and_keeps_the_place(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = tunnel_world_gateway(w, "bus-1", FLEET_OURS);
    tunnel_world_begin(w);
    fleet_gateway_set_access(w->world.fleet, gateway, FLEET_QUARANTINED, "clone", w->m.now.wall,
                             NULL);
    tunnel_world_end(w);
    struct fleet_gateway *other = tunnel_world_gateway(w, "bus-2", FLEET_OURS);
    assert_string_equal(tunnel_world_file(w), "bus-2 1191 1\n");
    assert_int_equal(gateway->tunnel.slot, 1);
    assert_int_equal(other->tunnel.port, 1191);
}

static void a_removed_gateways_slot_cools(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = tunnel_world_gateway(w, "bus-1", FLEET_OURS);
    tunnel_world_begin(w);
    assert_true(fleet_gateway_remove(w->world.fleet, gateway, &w->world.error));
    tunnel_world_end(w);
    tunnel_world_settle(w);
    assert_int_equal(places_taken(w->t->places, 1190), 0);
    gateway = tunnel_world_gateway(w, "bus-2", FLEET_OURS);
    assert_int_equal(gateway->tunnel.slot, 2);
    assert_string_equal(tunnel_world_file(w), "bus-2 1190 2\n");
}

static void a_full_port_is_refused_with_the_numbers(void **state)
{
    tunnel_world_free(*state);
    struct tunnel_world *w = *state = tunnel_world_new(2);
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "bus-%d", i);
        struct fleet_gateway *gateway = world_gateway(&w->world, name);
        assert_int_equal(tunnel_world_desire(w, gateway, 1190), i < 2);
    }
    assert_int_equal(w->world.error.status, 409);
    assert_string_equal(w->world.error.name, "port-full");
    assert_string_equal(w->world.error.text, "port 1190 is full: 2 of 2 places are taken; free: 2 "
                                             "on 1191, 2 on 1192, 2 on 1193");
    assert_int_equal(places_taken(w->t->places, 1190), 2);
}

static void what_was_rolled_back_leaves_no_place(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = tunnel_world_gateway(w, "bus-1", FLEET_OURS);
    tunnel_world_begin(w);
    assert_true(tunnel_reserve(w->t, gateway, NULL, 1193, &w->world.error));
    assert_non_null(tunnel_way_find(w->t, gateway->id));
    w->unit_failed = true;
    tunnel_world_end(w);
    tunnel_world_settle(w);
    assert_null(tunnel_way_find(w->t, gateway->id));
    assert_int_equal(places_taken(w->t->places, 1193), 0);
    assert_int_equal(gateway->tunnel.port, 1190);
}

/* ---- moves ---- */

static struct fleet_gateway *a_gateway_that_is_up(struct tunnel_world *w)
{
    struct fleet_gateway *gateway = tunnel_world_gateway(w, "bus-1", FLEET_OURS);
    tunnel_world_serve(w);
    tunnel_world_checkin(w, gateway, "\"60001\":\"Enable\",\"10034\":1190", "");
    join(w, gateway, 1190, 1, "192.0.2.1:40000");
    assert_int_equal(gateway->tunnel.up_port, 1190);
    return gateway;
}

static void a_move_has_both_lines_until_the_new_tunnel_is_up(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    assert_true(tunnel_world_desire(w, gateway, 1191));
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\nbus-1 1191 1\n");
    assert_true(tunnel_is_moving(&w->m, gateway));
    tunnel_world_wait(w, 800 * AMM_SECOND); /* until it checks in it has not heard of it */
    tunnel_world_checkin(w, gateway, "\"60001\":\"Enable\",\"10034\":1190", "");
    tunnel_world_wait(w, 5 * AMM_SECOND);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\nbus-1 1191 1\n");
    join(w, gateway, 1191, 1, "192.0.2.1:40001");
    assert_string_equal(tunnel_world_file(w), "bus-1 1191 1\n");
    assert_int_equal(gateway->tunnel.up_port, 1191);
    assert_false(tunnel_is_moving(&w->m, gateway));
    assert_int_equal(tunnel_world_events(w, gateway, "tunnel-moved"), 1);
    assert_int_equal(gateway->clone_flag, false);
    leave(w, gateway, 1190, 1, "kicked"); /* the old tunnel's end is not the gateway's */
    assert_int_equal(gateway->tunnel.up_port, 1191);
    assert_int_equal(tunnel_world_events(w, gateway, "tunnel-down"), 0);
}

static void a_move_that_does_not_come_up_is_taken_back(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    tunnel_world_desire(w, gateway, 1191);
    tunnel_world_checkin(w, gateway, "\"60001\":\"Enable\",\"10034\":1190", "");
    tunnel_world_wait(w, 59 * AMM_SECOND);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\nbus-1 1191 1\n");
    tunnel_world_wait(w, 2 * AMM_SECOND);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\n");
    assert_string_equal(desired_port(gateway), "1190");
    assert_int_equal(tunnel_world_events(w, gateway, "tunnel-move-failed"), 1);
    assert_non_null(strstr(gateway->tunnel.last_error, "60 s"));
    assert_int_equal(gateway->tunnel.up_port, 1190);
}

static void a_gateway_that_cannot_ends_the_move_with_its_reason(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    char results[160];
    tunnel_world_desire(w, gateway, 1191);
    tunnel_world_checkin(w, gateway, "\"60001\":\"Enable\",\"10034\":1190", "");
    snprintf(results, sizeof results,
             ",\"results\":[{\"id\":\"settings-%lld\",\"state\":\"failed\",\"text\":\"port 1191 is "
             "blocked here\"}]",
             (long long)gateway->revision);
    tunnel_world_checkin(w, gateway, "\"60001\":\"Enable\",\"10034\":1190", results);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\n");
    assert_string_equal(desired_port(gateway), "1190");
    assert_non_null(strstr(gateway->tunnel.last_error, "port 1191 is blocked here"));
}

static void a_move_outlives_a_restart_and_a_silent_server(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    tunnel_world_desire(w, gateway, 1191);
    tunnel_world_checkin(w, gateway, "\"60001\":\"Enable\",\"10034\":1190", "");
    tunnel_world_vanish(w);
    tunnel_world_restart(w);
    gateway = fleet_gateway_by_tunnel_name(w->world.fleet, "bus-1");
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\nbus-1 1191 1\n");
    tunnel_world_checkin(w, gateway, "\"60001\":\"Enable\",\"10034\":1190", "");
    tunnel_world_wait(w, 600 * AMM_SECOND); /* nothing is given up unseen */
    assert_true(tunnel_is_moving(&w->m, gateway));
    struct amm_ipc_peer peer = {.name = "bus-1",
                                .port = 1191,
                                .inner_ip = places_address(w->t->places, 1191, 1),
                                .peer_id = amm_peer_id(3, 1),
                                .since = w->m.now.wall - 500};
    tunnel_world_show(w, &peer);
    tunnel_world_serve(w);
    assert_string_equal(tunnel_world_file(w), "bus-1 1191 1\n");
    assert_int_equal(gateway->tunnel.up_port, 1191);
    assert_int_equal(gateway->tunnel.since, peer.since);
}

static void another_order_replaces_the_one_under_way(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    tunnel_world_desire(w, gateway, 1191);
    tunnel_world_desire(w, gateway, 1193);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\nbus-1 1193 1\n");
    tunnel_world_desire(w, gateway, 1190);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\n");
    assert_int_equal(places_taken(w->t->places, 1191) + places_taken(w->t->places, 1193), 0);
}

static void a_local_change_waits_for_the_gateways_reboot(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    tunnel_world_wait(w, 10 * AMM_SECOND);
    tunnel_world_checkin(w, gateway, "\"60001\":\"Enable\",\"10034\":1190",
                         ",\"changes\":[{\"id\":10034,\"value\":1192,\"at\":0,\"by\":\"user\"}]");
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\nbus-1 1192 1\n");
    tunnel_world_wait(w, 86400 * AMM_SECOND);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\nbus-1 1192 1\n");
    join(w, gateway, 1192, 1, "192.0.2.1:40001");
    assert_string_equal(tunnel_world_file(w), "bus-1 1192 1\n");
}

static void a_router_is_moved_at_once(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *router = tunnel_world_gateway(w, "kiosk", FLEET_OPENVPN);
    tunnel_world_serve(w);
    join(w, router, 1190, 1, "192.0.2.1:40000");
    tunnel_world_begin(w);
    assert_true(tunnel_move(&w->m, router, 1191, "anna@main", &w->world.error));
    tunnel_world_end(w);
    assert_string_equal(tunnel_world_file(w), "kiosk 1191 1\n");
    assert_true(tunnel_world_desire(w, router, 1193)); /* 10034, set as for any gateway */
    assert_string_equal(tunnel_world_file(w), "kiosk 1193 1\n");
    assert_string_equal(desired_port(router), "1193");
}

/* ---- what is up ---- */

static void the_address_is_there_while_the_tunnel_is(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    char address[16];
    assert_true(fleet_tunnel_address(gateway, address));
    assert_string_equal(address, "10.4.32.6");
    leave(w, gateway, 1190, 1, "exit");
    assert_false(fleet_tunnel_address(gateway, address));
    assert_string_equal(gateway->tunnel.last_error, "exit");
    assert_int_equal(tunnel_world_events(w, gateway, "tunnel-up"), 1);
    assert_int_equal(tunnel_world_events(w, gateway, "tunnel-down"), 1);
}

static void a_newer_tunnel_takes_over_without_a_gap(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    join(w, gateway, 1190, 2, "192.0.2.1:40001");
    leave(w, gateway, 1190, 1, "replaced");
    assert_int_equal(gateway->tunnel.up_port, 1190);
    join(w, gateway, 1190, 3, "192.0.2.1:40002"); /* the first one's lane again */
    leave(w, gateway, 1190, 2, "replaced");
    leave(w, gateway, 1190, 1, "silent"); /* news of that one, late */
    assert_int_equal(gateway->tunnel.up_port, 1190);
    assert_int_equal(tunnel_world_events(w, gateway, "tunnel-down"), 0);
}

static void silence_takes_the_address_away(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    char address[16];
    tunnel_world_event(w, AMM_IPC_SILENT, gateway, 1190, amm_peer_id(1, 1), "192.0.2.1:1", "");
    assert_false(fleet_tunnel_address(gateway, address));
    tunnel_world_event(w, AMM_IPC_HEARD, gateway, 1190, amm_peer_id(1, 1), "192.0.2.1:1", "");
    assert_true(fleet_tunnel_address(gateway, address));
}

static void a_server_that_is_not_heard_makes_nobody_down(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    tunnel_world_vanish(w);
    assert_true(gateway->tunnel.stale);
    assert_int_equal(gateway->tunnel.up_port, 1190);
    assert_int_equal(tunnel_world_events(w, gateway, "tunnel-down"), 0);
    tunnel_world_serve(w); /* nobody is up any more */
    assert_false(gateway->tunnel.stale);
    assert_int_equal(gateway->tunnel.up_port, 0);
    assert_int_equal(tunnel_world_events(w, gateway, "tunnel-down"), 1);
}

static void a_refusal_is_shown_in_words(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = tunnel_world_gateway(w, "bus-1", FLEET_OURS);
    tunnel_world_serve(w);
    tunnel_world_event(w, AMM_IPC_REFUSED, gateway, 1190, 0, "192.0.2.1:1", "expired");
    assert_string_equal(gateway->tunnel.last_error, "expired");
}

static void two_that_push_each_other_out_are_a_clone(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    for (unsigned i = 2; i <= 4; i++) {
        assert_false(gateway->clone_flag);
        tunnel_world_wait(w, 20 * AMM_SECOND);
        join(w, gateway, 1190, i, i % 2 ? "192.0.2.1:40000" : "198.51.100.9:7000");
        leave(w, gateway, 1190, i - 1, "replaced");
    }
    assert_true(gateway->clone_flag);
}

static void a_gateway_that_changes_its_address_is_no_clone(void **state)
{
    struct tunnel_world *w = *state;
    struct fleet_gateway *gateway = a_gateway_that_is_up(w);
    for (unsigned i = 2; i < 200; i++) {
        char from[32];
        tunnel_world_wait(w, 100 * AMM_SECOND);
        snprintf(from, sizeof from, "192.0.2.%u:40000", i);
        join(w, gateway, 1190, i, from);
        leave(w, gateway, 1190, i - 1, "replaced");
    }
    assert_false(gateway->clone_flag);
}

/* ---- the file and its reloads ---- */

static void a_mass_change_is_few_reloads(void **state)
{
    struct tunnel_world *w = *state;
    tunnel_world_serve(w);
    unsigned before = w->reloads;
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "bus-%03d", i);
        tunnel_world_gateway(w, name, FLEET_OPENVPN);
        w->m.now.mono += 10 * AMM_MILLISECOND;
    }
    tunnel_world_wait(w, AMM_SECOND);
    assert_true(w->reloads - before >= 1 && w->reloads - before <= 7);
}

static void a_reload_that_fails_is_tried_again(void **state)
{
    struct tunnel_world *w = *state;
    tunnel_world_serve(w);
    w->reload_answer = "the server is busy; ask again";
    tunnel_world_gateway(w, "bus-1", FLEET_OPENVPN);
    tunnel_world_wait(w, 500 * AMM_MILLISECOND);
    assert_string_equal(w->t->roster.problem, w->reload_answer);
    w->reload_answer = NULL;
    tunnel_world_wait(w, 2 * AMM_SECOND);
    assert_string_equal(w->t->roster.problem, "");
    unsigned before = w->reloads;
    tunnel_world_wait(w, 10 * AMM_SECOND);
    assert_int_equal(w->reloads, before);
}

static void every_new_link_begins_with_a_reload(void **state)
{
    struct tunnel_world *w = *state;
    tunnel_world_serve(w);
    unsigned before = w->reloads;
    assert_true(before >= 1);
    tunnel_world_vanish(w);
    tunnel_world_gateway(w, "bus-1", FLEET_OPENVPN);
    assert_string_equal(tunnel_world_file(w), "bus-1 1190 1\n");
    tunnel_world_serve(w);
    assert_true(w->reloads > before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_enabled_gateway_gets_a_place_a_line_and_its_port),
        TEST(a_router_needs_no_switch),
        TEST(the_switch_on_the_gateways_page_is_enough),
        TEST(a_template_goes_before_the_balancer),
        TEST(who_is_quarantined_has_no_line_and_keeps_the_place),
        TEST(a_removed_gateways_slot_cools),
        TEST(a_full_port_is_refused_with_the_numbers),
        TEST(what_was_rolled_back_leaves_no_place),
        TEST(a_move_has_both_lines_until_the_new_tunnel_is_up),
        TEST(a_move_that_does_not_come_up_is_taken_back),
        TEST(a_gateway_that_cannot_ends_the_move_with_its_reason),
        TEST(a_move_outlives_a_restart_and_a_silent_server),
        TEST(another_order_replaces_the_one_under_way),
        TEST(a_local_change_waits_for_the_gateways_reboot),
        TEST(a_router_is_moved_at_once),
        TEST(the_address_is_there_while_the_tunnel_is),
        TEST(a_newer_tunnel_takes_over_without_a_gap),
        TEST(silence_takes_the_address_away),
        TEST(a_server_that_is_not_heard_makes_nobody_down),
        TEST(a_refusal_is_shown_in_words),
        TEST(two_that_push_each_other_out_are_a_clone),
        TEST(a_gateway_that_changes_its_address_is_no_clone),
        TEST(a_mass_change_is_few_reloads),
        TEST(a_reload_that_fails_is_tried_again),
        TEST(every_new_link_begins_with_a_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
