/* Who may join, which place and peer id he gets, and how the others are told no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tunneld/authorise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 16, SLOTS = 13 };

struct fixture {
    struct amm_places places[2];
    struct amm_authority *authority;
    uint32_t next_tag;
};

static const struct amm_now start = {.mono = 1000 * AMM_SECOND, .wall = 1800000000};

static struct amm_now after(int64_t seconds)
{
    return (struct amm_now){start.mono + seconds * AMM_SECOND, start.wall + seconds};
}

static void make_places(struct amm_places *places, uint16_t port, const char *pool,
                        enum amm_topology topology, uint32_t limit)
{
    *places = (struct amm_places){
        .port = port, .limit = limit, .ping = 60, .ping_restart = 240, .mtu = 1400};
    assert_true(amm_pool_parse(&places->pool, pool, topology));
    places->n_slots = amm_pool_slots(&places->pool);
    places->peers = calloc(1, amm_peer_table_size(places->n_slots));
    places->generations = calloc(places->n_slots + 1, sizeof *places->generations);
    places->sessions = calloc(places->n_slots + 1, sizeof *places->sessions);
}

static struct amm_roster *roster_of(const char *text)
{
    static const struct amm_roster_port ports[] = {{1190, SLOTS}, {1191, SLOTS}};
    char error[256] = "";
    struct amm_roster *roster =
        amm_roster_parse("roster", amm_view_str(text), ports, 2, error, sizeof error);
    assert_string_equal(error, "");
    return roster;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct amm_roster *roster =
        roster_of("gw1 1190 1\ngw2 1190 2\ngw3 1190 3\nboth 1190 4\nboth 1191 4\nother 1191 5\n");
    make_places(&f->places[0], 1190, "10.4.32.0/26", AMM_NET30, 2);
    make_places(&f->places[1], 1191, "10.4.96.0/28", AMM_SUBNET, 20);
    f->authority = amm_authority_new(f->places, 2, SESSIONS, roster);
    amm_roster_unref(roster);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    amm_authority_free(f->authority);
    for (int i = 0; i < 2; i++) {
        free(f->places[i].peers);
        free((void *)f->places[i].generations);
        free((void *)f->places[i].sessions);
    }
    free(f);
    return 0;
}

static struct amm_event ask(struct fixture *f, uint32_t index, const char *name, uint8_t port_index)
{
    struct amm_event event = {.kind = AMM_EVENT_AUTHORISE,
                              .session = {.index = index, .tag = ++f->next_tag}};
    event.path.port_index = port_index;
    snprintf(event.identity.name, sizeof event.identity.name, "%s", name);
    return event;
}

static enum amm_denial decide(struct fixture *f, struct amm_now now, const struct amm_event *event,
                              struct amm_command *verdict)
{
    enum amm_denial denial = amm_authority_decide(f->authority, now, event, verdict);
    assert_int_equal(verdict->kind, AMM_COMMAND_VERDICT);
    assert_int_equal(verdict->session.tag, event->session.tag);
    assert_int_equal(verdict->accept, denial == AMM_DENIAL_NONE);
    assert_int_equal(amm_authority_denied(f->authority, event->session), denial != AMM_DENIAL_NONE);
    return denial;
}

/* Asks for `name` as session `index`; what comes of it. */
static enum amm_denial join(struct fixture *f, uint32_t index, const char *name, uint8_t port_index,
                            struct amm_command *verdict)
{
    struct amm_event event = ask(f, index, name, port_index);
    return decide(f, start, &event, verdict);
}

static void a_known_gateway_gets_its_own_address(void **state)
{
    struct amm_command verdict;
    assert_int_equal(join(*state, 0, "gw2", 0, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(amm_peer_id_slot(verdict.push.peer_id), 2);
    assert_int_equal(verdict.push.local, 0x0a04200a);  /* 10.4.32.10 */
    assert_int_equal(verdict.push.remote, 0x0a042009); /* its virtual endpoint */
    assert_int_equal(verdict.push.n_routes, 1);
    assert_int_equal(verdict.push.routes[0].network, 0x0a042001);
    assert_int_equal(verdict.push.routes[0].mask, UINT32_MAX);
    assert_int_equal(verdict.push.tun_mtu, 1400);
    assert_int_equal(verdict.push.ping_restart, 240);
    assert_int_equal(verdict.push.explicit_exit_notify, 2);
}

static void subnet_topology_pushes_the_mask_and_no_route(void **state)
{
    struct amm_command verdict;
    assert_int_equal(join(*state, 0, "other", 1, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(verdict.push.topology, AMM_SUBNET);
    assert_int_equal(verdict.push.local, 0x0a046006);
    assert_int_equal(verdict.push.remote, 0xfffffff0);
    assert_int_equal(verdict.push.route_gateway, 0x0a046001);
    assert_int_equal(verdict.push.n_routes, 0);
}

static void an_unknown_name_is_refused_with_words_that_heal(void **state)
{
    struct fixture *f = *state;
    struct amm_command verdict;
    assert_int_equal(join(f, 0, "stranger", 0, &verdict), AMM_DENIAL_NOT_ON_ROSTER);
    assert_int_equal(verdict.refusal, AMM_REFUSE_RETRY);
    assert_true(verdict.backoff > 0);
    assert_string_equal(verdict.text, "this gateway is not registered here");
    amm_authority_set_roster(f->authority, roster_of("stranger 1190 9\n"));
    assert_int_equal(join(f, 1, "stranger", 0, &verdict), AMM_DENIAL_NONE);
}

static void a_stranger_who_keeps_coming_waits_longer_and_longer(void **state)
{
    static const uint16_t expected[] = {3, 6, 12, 24, 48, 60, 60};
    struct fixture *f = *state;
    struct amm_command verdict;
    int64_t at = 0;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct amm_event event = ask(f, 0, "stranger", 0);
        assert_int_equal(decide(f, after(at), &event, &verdict), AMM_DENIAL_NOT_ON_ROSTER);
        assert_int_equal(verdict.backoff, expected[i]);
        at += expected[i] + 1;
    }
    struct amm_event other = ask(f, 0, "another", 0);
    decide(f, after(at), &other, &verdict);
    assert_int_equal(verdict.backoff, 3);
    struct amm_event late = ask(f, 0, "stranger", 0);
    decide(f, after(at + 3600), &late, &verdict); /* it has learned to wait, and is forgotten */
    assert_int_equal(verdict.backoff, 3);
}

static void a_gateway_of_another_port_is_sent_there(void **state)
{
    struct amm_command verdict;
    assert_int_equal(join(*state, 0, "other", 0, &verdict), AMM_DENIAL_OTHER_PORT);
    assert_int_equal(verdict.refusal, AMM_REFUSE_NEXT_REMOTE);
    assert_string_equal(verdict.text, "this gateway belongs to port 1191, not 1190");
}

static void a_full_port_refuses_until_somebody_leaves(void **state)
{
    struct fixture *f = *state;
    struct amm_command verdict;
    struct amm_event first = ask(f, 0, "gw1", 0);
    assert_int_equal(decide(f, start, &first, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(join(f, 1, "gw2", 0, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(join(f, 2, "gw3", 0, &verdict), AMM_DENIAL_PORT_FULL);
    assert_int_equal(verdict.refusal, AMM_REFUSE_NEXT_REMOTE);
    assert_string_equal(verdict.text, "port 1190 is full: 2 of 2 gateways are connected");
    assert_int_equal(join(f, 3, "both", 1, &verdict), AMM_DENIAL_NONE); /* the other port is not */
    amm_authority_release(f->authority, first.session);
    assert_int_equal(join(f, 4, "gw3", 0, &verdict), AMM_DENIAL_NONE);
}

static void a_gateway_that_comes_back_needs_no_second_place(void **state)
{
    struct fixture *f = *state;
    struct amm_command verdict;
    struct amm_event old = ask(f, 0, "gw1", 0);
    assert_int_equal(decide(f, start, &old, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(join(f, 1, "gw2", 0, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(join(f, 2, "gw1", 0, &verdict), AMM_DENIAL_NONE);
    amm_authority_release(f->authority, old.session);
    amm_authority_release(f->authority, old.session); /* once is enough */
    assert_int_equal(atomic_load(&f->places[0].used), 2);
    assert_int_equal(join(f, 3, "gw3", 0, &verdict), AMM_DENIAL_PORT_FULL);
}

static void a_new_session_never_gets_the_record_that_carries_traffic(void **state)
{
    struct fixture *f = *state;
    struct amm_places *places = &f->places[0];
    struct amm_command verdict;
    assert_int_equal(join(f, 0, "gw1", 0, &verdict), AMM_DENIAL_NONE);
    struct amm_peer *live = amm_peer_table_at(places->peers, places->n_slots, verdict.push.peer_id);
    uint32_t first = verdict.push.peer_id;
    live->state = AMM_PEER_LIVE;
    for (uint32_t i = 1; i < 8; i++) { /* tries that fail before their keys are installed */
        uint32_t before = verdict.push.peer_id;
        assert_int_equal(join(f, i, "gw1", 0, &verdict), AMM_DENIAL_NONE);
        assert_int_not_equal(verdict.push.peer_id, before);
        assert_int_not_equal(verdict.push.peer_id, first);
        assert_ptr_not_equal(
            amm_peer_table_at(places->peers, places->n_slots, verdict.push.peer_id), live);
    }
}

static void generations_wrap_before_the_forbidden_peer_id(void **state)
{
    struct fixture *f = *state;
    struct amm_command verdict;
    atomic_store(&f->places[0].generations[1], AMM_GENERATIONS - 1);
    assert_int_equal(join(f, 0, "gw1", 0, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(amm_peer_id_generation(verdict.push.peer_id), 0);
}

static void a_hold_refuses_until_it_ends(void **state)
{
    struct fixture *f = *state;
    struct amm_command verdict;
    amm_authority_hold(f->authority, "gw1", after(10).mono, start.mono);
    struct amm_event held = ask(f, 0, "gw1", 0);
    assert_int_equal(decide(f, after(4), &held, &verdict), AMM_DENIAL_HELD);
    assert_int_equal(verdict.refusal, AMM_REFUSE_RETRY);
    assert_int_equal(verdict.backoff, 6);
    assert_int_equal(join(f, 1, "gw2", 0, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(decide(f, after(10), &held, &verdict), AMM_DENIAL_NONE);
}

static void the_hold_that_ends_first_gives_way_when_the_table_is_full(void **state)
{
    struct fixture *f = *state;
    struct amm_command verdict;
    char name[16];
    amm_authority_hold(f->authority, "gw1", after(1000).mono, start.mono);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "x%d", i);
        amm_authority_hold(f->authority, name, after(10 + i).mono, start.mono);
    }
    assert_int_equal(join(f, 0, "gw1", 0, &verdict), AMM_DENIAL_HELD);
    assert_int_equal(verdict.backoff, 300); /* not more than that at once */
}

static void a_drained_port_sends_everybody_to_the_next(void **state)
{
    struct fixture *f = *state;
    struct amm_command verdict;
    struct amm_event event = ask(f, 0, "both", 0);
    amm_authority_drain(f->authority, 0, after(30).mono);
    assert_int_equal(decide(f, start, &event, &verdict), AMM_DENIAL_DRAINING);
    assert_int_equal(verdict.refusal, AMM_REFUSE_NEXT_REMOTE);
    assert_int_equal(verdict.backoff, 30);
    assert_int_equal(join(f, 1, "both", 1, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(decide(f, after(30), &event, &verdict), AMM_DENIAL_NONE);
}

static void a_session_of_a_former_process_holds_its_place_again(void **state)
{
    struct fixture *f = *state;
    struct amm_command verdict;
    struct amm_session_ref kept = {.index = 9, .tag = 77};
    amm_authority_adopt(f->authority, kept, 0, amm_peer_id(5, 1));
    assert_int_equal(amm_authority_place(f->authority, kept), amm_peer_id(5, 1));
    assert_int_equal(join(f, 0, "gw2", 0, &verdict), AMM_DENIAL_NONE);
    assert_int_equal(join(f, 1, "gw3", 0, &verdict), AMM_DENIAL_PORT_FULL);
    amm_authority_release(f->authority, kept);
    assert_int_equal(amm_authority_place(f->authority, kept), 0);
    assert_int_equal(join(f, 2, "gw3", 0, &verdict), AMM_DENIAL_NONE);
}

static void a_gateway_taken_off_the_roster_is_not_allowed_any_longer(void **state)
{
    struct fixture *f = *state;
    assert_true(amm_authority_allows(f->authority, "gw1", 0, amm_peer_id(3, 1)));
    assert_false(amm_authority_allows(f->authority, "gw1", 0, amm_peer_id(3, 2)));
    assert_false(amm_authority_allows(f->authority, "gw1", 1, amm_peer_id(3, 1)));
    amm_authority_set_roster(f->authority, roster_of("gw2 1190 2\n"));
    assert_false(amm_authority_allows(f->authority, "gw1", 0, amm_peer_id(3, 1)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_known_gateway_gets_its_own_address),
        TEST(subnet_topology_pushes_the_mask_and_no_route),
        TEST(an_unknown_name_is_refused_with_words_that_heal),
        TEST(a_stranger_who_keeps_coming_waits_longer_and_longer),
        TEST(a_gateway_of_another_port_is_sent_there),
        TEST(a_full_port_refuses_until_somebody_leaves),
        TEST(a_gateway_that_comes_back_needs_no_second_place),
        TEST(a_new_session_never_gets_the_record_that_carries_traffic),
        TEST(generations_wrap_before_the_forbidden_peer_id),
        TEST(a_hold_refuses_until_it_ends),
        TEST(the_hold_that_ends_first_gives_way_when_the_table_is_full),
        TEST(a_drained_port_sends_everybody_to_the_next),
        TEST(a_session_of_a_former_process_holds_its_place_again),
        TEST(a_gateway_taken_off_the_roster_is_not_allowed_any_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
