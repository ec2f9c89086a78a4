/* src/acemanager/tunnel.h */
#include "tunnel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct ace_tunnel t;
static struct amm_now now;
static char orders[256]; /* "start0:1190 stop0 " */
static bool cannot_configure;

static bool order(void *context, const struct ace_order *what)
{
    (void)context;
    size_t have = strlen(orders);
    if (what->kind == ACE_ORDER_START) {
        snprintf(orders + have, sizeof orders - have, "start%u:%d ", what->slot, (int)what->value);
    } else {
        snprintf(orders + have, sizeof orders - have, "stop%u ", what->slot);
    }
    return true;
}

static bool configure(void *context, unsigned slot, uint16_t port, char *error, size_t room)
{
    (void)context;
    (void)slot;
    (void)port;
    snprintf(error, room, "no room");
    return !cannot_configure;
}

static int begin(void **state)
{
    (void)state;
    const struct ace_tunnel_env env = {NULL, order, configure};
    ace_tunnel_init(&t, &env);
    now = (struct amm_now){100 * AMM_SECOND, 1793500000};
    orders[0] = '\0';
    cannot_configure = false;
    return 0;
}

static void pass(int seconds)
{
    now.mono += seconds * AMM_SECOND;
    now.wall += seconds;
    ace_tunnel_step(&t, now);
}

static void want(enum ace_tunnel_state state, uint16_t port, uint64_t generation)
{
    const struct ace_tunnel_wish wish = {state, "why", port, generation};
    ace_tunnel_want(&t, now, &wish);
}

static void notice(enum ace_notice_kind kind, unsigned slot, int64_t value)
{
    const struct ace_notice n = {.kind = kind, .slot = slot, .value = value};
    ace_tunnel_notice(&t, now, &n);
}

static void tell(unsigned slot, enum amm_client_phase phase, const char *error)
{
    struct amm_client_state state = {.phase = phase};
    snprintf(state.last_error, sizeof state.last_error, "%s", error);
    ace_tunnel_told(&t, now, slot, &state);
}

#define expect(text)                                                                               \
    do {                                                                                           \
        assert_string_equal(orders, text);                                                         \
        orders[0] = '\0';                                                                          \
    } while (0)

static void up_on(uint16_t port)
{
    want(ACE_TUNNEL_STARTING, port, 1);
    notice(ACE_NOTICE_RUNS, 0, port);
    tell(0, AMM_PHASE_UP, "");
    assert_int_equal(t.state, ACE_TUNNEL_UP);
    orders[0] = '\0';
}

static void it_starts_when_wanted_and_stops_when_not(void **state)
{
    (void)state;
    want(ACE_TUNNEL_WAITING, 1190, 1);
    expect("");
    assert_string_equal(t.why, "why");
    want(ACE_TUNNEL_STARTING, 1190, 1);
    expect("start0:1190 ");
    notice(ACE_NOTICE_RUNS, 0, 1190);
    tell(0, AMM_PHASE_CONNECTING, "");
    assert_int_equal(t.state, ACE_TUNNEL_STARTING);
    tell(0, AMM_PHASE_BACKING_OFF, "no answer");
    assert_int_equal(t.state, ACE_TUNNEL_DOWN);
    assert_string_equal(t.why, "no answer");
    tell(0, AMM_PHASE_UP, "");
    assert_int_equal(t.state, ACE_TUNNEL_UP);
    want(ACE_TUNNEL_STOPPED, 1190, 1);
    expect("stop0 ");
    want(ACE_TUNNEL_STOPPED, 1190, 1);
    expect("");
    assert_int_equal(t.state, ACE_TUNNEL_STOPPED);
    notice(ACE_NOTICE_ENDED, 0, 0);
    want(ACE_TUNNEL_STARTING, 1190, 1);
    expect("start0:1190 ");
}

static void a_move_is_made_before_it_is_broken(void **state)
{
    (void)state;
    struct ace_tunnel_move move;
    up_on(1190);
    want(ACE_TUNNEL_STARTING, 1191, 1);
    expect("start1:1191 ");
    notice(ACE_NOTICE_RUNS, 1, 1191);
    assert_int_equal(t.state, ACE_TUNNEL_UP); /* the old one */
    pass(30);
    tell(1, AMM_PHASE_CONNECTING, "");
    expect("");
    assert_false(ace_tunnel_move_take(&t, &move));
    tell(1, AMM_PHASE_UP, "");
    expect("stop0 ");
    assert_true(ace_tunnel_move_take(&t, &move));
    assert_true(move.ok);
    assert_int_equal(move.from, 1190);
    assert_int_equal(move.to, 1191);
    assert_false(ace_tunnel_move_take(&t, &move));
    notice(ACE_NOTICE_ENDED, 0, 0);
    assert_int_equal(t.state, ACE_TUNNEL_UP);
    /* And back, in the slot that is free now. */
    want(ACE_TUNNEL_STARTING, 1193, 1);
    expect("start0:1193 ");
}

static void a_move_that_does_not_come_up_goes_back(void **state)
{
    (void)state;
    struct ace_tunnel_move move;
    up_on(1190);
    want(ACE_TUNNEL_STARTING, 1191, 1);
    expect("start1:1191 ");
    tell(1, AMM_PHASE_BACKING_OFF, "no answer");
    pass(59);
    expect("");
    pass(1);
    expect("stop1 ");
    assert_true(ace_tunnel_move_take(&t, &move));
    assert_false(move.ok);
    assert_string_equal(move.why, "no tunnel on port 1191 within 60 s: no answer");
    assert_int_equal(t.state, ACE_TUNNEL_UP);
    want(ACE_TUNNEL_STARTING, 1190, 1); /* the parameter went back */
    notice(ACE_NOTICE_ENDED, 1, 0);
    pass(1);
    expect("");
}

static void an_ammer_that_dies_in_a_move_ends_it(void **state)
{
    (void)state;
    struct ace_tunnel_move move;
    up_on(1190);
    want(ACE_TUNNEL_STARTING, 1191, 1);
    expect("start1:1191 ");
    notice(ACE_NOTICE_ENDED, 1, 2);
    assert_true(ace_tunnel_move_take(&t, &move));
    assert_false(move.ok);
    expect("");
    want(ACE_TUNNEL_STARTING, 1190, 1);
    /* The old one dies while the new one is coming: what comes up is used. */
    want(ACE_TUNNEL_STARTING, 1192, 1);
    expect("start1:1192 ");
    notice(ACE_NOTICE_ENDED, 0, -11);
    expect("");
    tell(1, AMM_PHASE_UP, "");
    assert_true(ace_tunnel_move_take(&t, &move));
    assert_true(move.ok);
    assert_int_equal(t.state, ACE_TUNNEL_UP);
}

static void a_port_that_is_not_up_is_just_changed(void **state)
{
    (void)state;
    want(ACE_TUNNEL_STARTING, 1190, 1);
    expect("start0:1190 ");
    tell(0, AMM_PHASE_BACKING_OFF, "no answer");
    want(ACE_TUNNEL_STARTING, 1191, 1);
    expect("stop0 ");
    want(ACE_TUNNEL_STARTING, 1191, 1);
    expect("");
    notice(ACE_NOTICE_ENDED, 0, 0);
    expect("start0:1191 ");
}

static void another_certificate_starts_it_anew(void **state)
{
    (void)state;
    up_on(1190);
    want(ACE_TUNNEL_STARTING, 1190, 2);
    expect("stop0 ");
    notice(ACE_NOTICE_ENDED, 0, 0);
    expect("start0:1190 ");
}

static void crashes_slow_down(void **state)
{
    (void)state;
    int64_t last = 0;
    want(ACE_TUNNEL_STARTING, 1190, 1);
    for (unsigned i = 0; i < 12; i++) {
        assert_string_equal(orders, "start0:1190 ");
        orders[0] = '\0';
        notice(ACE_NOTICE_ENDED, 0, -11);
        assert_string_equal(t.why, "ammer was killed by signal 11");
        int64_t wait = (ace_tunnel_deadline(&t) - now.mono) / AMM_SECOND;
        assert_true(wait >= last && wait <= ACE_BRAKE_LONGEST);
        last = wait;
        assert_int_equal(t.state,
                         i + 1 >= ACE_BRAKE_DEATHS ? ACE_TUNNEL_BRAKED : ACE_TUNNEL_STARTING);
        pass((int)wait - 1);
        expect("");
        pass(1);
    }
    assert_int_equal(last, ACE_BRAKE_LONGEST);
    orders[0] = '\0';
    tell(0, AMM_PHASE_UP, "");
    notice(ACE_NOTICE_ENDED, 0, 1);
    assert_true(ace_tunnel_deadline(&t) - now.mono <= 2 * AMM_SECOND); /* it had worked */
}

static void ammers_from_before_are_adopted(void **state)
{
    (void)state;
    notice(ACE_NOTICE_RUNS, 0, 1191);
    notice(ACE_NOTICE_RUNS, 1, 1190); /* of a move that nobody watches */
    expect("stop1 ");
    want(ACE_TUNNEL_STARTING, 1191, 4);
    expect("");
    tell(0, AMM_PHASE_UP, "");
    assert_int_equal(t.state, ACE_TUNNEL_UP);
    want(ACE_TUNNEL_STARTING, 1191, 5);
    expect("stop0 ");
}

static void what_cannot_be_configured_says_so(void **state)
{
    (void)state;
    cannot_configure = true;
    want(ACE_TUNNEL_STARTING, 1190, 1);
    expect("");
    assert_string_equal(t.why, "no room");
    assert_true(ace_tunnel_deadline(&t) > now.mono);
    cannot_configure = false;
    pass(3);
    expect("start0:1190 ");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        T(it_starts_when_wanted_and_stops_when_not),
        T(a_move_is_made_before_it_is_broken),
        T(a_move_that_does_not_come_up_goes_back),
        T(an_ammer_that_dies_in_a_move_ends_it),
        T(a_port_that_is_not_up_is_just_changed),
        T(another_certificate_starts_it_anew),
        T(crashes_slow_down),
        T(ammers_from_before_are_adopted),
        T(what_cannot_be_configured_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
