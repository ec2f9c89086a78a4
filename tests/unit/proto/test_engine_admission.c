#include "lab.h"

#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct lab *lab;

static int start_plain(void **state)
{
    (void)state;
    lab = malloc(sizeof *lab);
    lab_start(lab, &(struct lab_settings){.wrap = LAB_NONE});
    return 0;
}

static int stop(void **state)
{
    (void)state;
    lab_stop(lab);
    free(lab);
    return 0;
}

static void start_with(enum lab_wrap wrap, enum amm_transport transport,
                       void (*change)(struct amm_engine_config *))
{
    lab_stop(lab);
    lab_start(
        lab, &(struct lab_settings){.wrap = wrap, .transport = transport, .change_server = change});
}

/* ---- packets by hand, without wrap ---- */

static size_t build(uint8_t *out, const struct amm_control *control)
{
    struct amm_writer w = amm_writer(out, 2000);
    amm_write_u8(&w, amm_byte0((enum amm_opcode)control->opcode, control->key_id));
    amm_write_u64(&w, control->own_sid);
    amm_control_encode(&w, control);
    return amm_writer_len(&w);
}

static bool input(const struct amm_path *path, const struct amm_control *control)
{
    uint8_t packet[2000];
    return amm_engine_input(lab->engine, lab->now, path, amm_view(packet, build(packet, control)));
}

static struct amm_control reset_of(uint64_t sid)
{
    return (struct amm_control){.own_sid = sid, .opcode = AMM_OP_CONTROL_HARD_RESET_CLIENT_V2};
}

/* The answer to a reset, or false. */
static bool answer(struct amm_control *out)
{
    struct amm_control_out packet;
    enum amm_drop why;
    if (!amm_engine_output(lab->engine, lab->now, &packet)) {
        return false;
    }
    assert_true(amm_control_peek(out, amm_view(packet.data, packet.len), &why));
    assert_true(amm_control_decode(out, amm_view(packet.data + 9, packet.len - 9), &why));
    return true;
}

/* A reset and the cookie that comes back. */
static uint64_t cookie_for(const struct amm_path *path, uint64_t sid)
{
    struct amm_control reset = reset_of(sid), reply;
    assert_true(input(path, &reset));
    assert_true(answer(&reply));
    assert_int_equal(reply.opcode, AMM_OP_CONTROL_HARD_RESET_SERVER_V2);
    assert_int_equal(reply.peer_sid, sid);
    assert_int_equal(reply.n_acks, 1);
    return reply.own_sid;
}

static struct amm_control first_of(uint64_t sid, uint64_t cookie)
{
    return (struct amm_control){.own_sid = sid,
                                .peer_sid = cookie,
                                .n_acks = 1,
                                .opcode = AMM_OP_CONTROL_V1,
                                .message_id = 1,
                                .payload = amm_view("x", 1)};
}

static const struct amm_path *path_of(unsigned i)
{
    return &lab->clients[i].path;
}

static void a_reset_is_answered_and_leaves_nothing_behind(void **state)
{
    (void)state;
    for (uint64_t sid = 1; sid <= 50; sid++) {
        uint64_t cookie = cookie_for(path_of(0), sid);
        assert_true(cookie != 0);
        assert_int_equal(cookie_for(path_of(0), sid), cookie);
    }
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
    assert_int_equal(amm_engine_negotiating(lab->engine), 0);
    assert_true(amm_engine_deadline(lab->engine) == AMM_NEVER);
}

static void a_cookie_makes_one_session(void **state)
{
    (void)state;
    struct amm_control first = first_of(7, cookie_for(path_of(0), 7));
    assert_true(input(path_of(0), &first));
    assert_true(input(path_of(0), &first));
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    assert_int_equal(amm_fake_tls_stats(lab->tls).live, 1);
}

static void expect_refused_cookie(const struct amm_path *path, const struct amm_control *first)
{
    uint64_t before = lab->drops.count[AMM_DROP_COOKIE_BAD];
    assert_false(input(path, first));
    assert_int_equal(lab->drops.count[AMM_DROP_COOKIE_BAD], before + 1);
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
}

static void cookies_of_others_are_refused(void **state)
{
    (void)state;
    uint64_t cookie = cookie_for(path_of(0), 7);
    struct amm_control first = first_of(7, cookie);
    expect_refused_cookie(path_of(1), &first);
    struct amm_path other_port = *path_of(0);
    other_port.local.port++;
    expect_refused_cookie(&other_port, &first);
    first.own_sid = 8;
    expect_refused_cookie(path_of(0), &first);
    first = first_of(7, cookie ^ 1);
    expect_refused_cookie(path_of(0), &first);
    lab->now.mono += 91 * AMM_SECOND;
    first = first_of(7, cookie);
    expect_refused_cookie(path_of(0), &first);
}

static void late_messages_of_a_dead_session_do_not_revive_it(void **state)
{
    (void)state;
    struct amm_control late = first_of(7, cookie_for(path_of(0), 7));
    late.message_id = 2;
    assert_false(input(path_of(0), &late));
    late.message_id = 1;
    late.acks[0] = 2;
    assert_false(input(path_of(0), &late));
    late.acks[0] = 0;
    late.key_id = 1;
    assert_false(input(path_of(0), &late));
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
}

static void a_first_message_without_acknowledgement_is_answered_like_a_reset(void **state)
{
    (void)state;
    uint64_t cookie = cookie_for(path_of(0), 7);
    struct amm_control first = first_of(7, 0), reply;
    first.n_acks = 0;
    assert_false(input(path_of(0), &first));
    assert_true(answer(&reply));
    assert_int_equal(reply.own_sid, cookie);
    assert_int_equal(lab->drops.count[AMM_DROP_COOKIE_MISSING], 1);
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
    first.message_id = 2;
    assert_false(input(path_of(0), &first));
    assert_false(answer(&reply));
}

static void resets_are_answered_at_a_limited_rate(void **state)
{
    (void)state;
    unsigned answered = 0;
    struct amm_control reply;
    for (uint64_t sid = 1; sid <= 1000; sid++) {
        struct amm_control reset = reset_of(sid);
        input(path_of(0), &reset);
        answered += answer(&reply);
    }
    assert_int_equal(answered, lab->config.resets_per_prefix);
    assert_int_equal(lab->drops.count[AMM_DROP_RESET_LIMIT], 1000 - answered);
    struct amm_path elsewhere = *path_of(0);
    elsewhere.remote.ip[0] = 10;
    assert_true(cookie_for(&elsewhere, 1) != 0);
}

static void what_is_not_a_handshake_is_dropped_without_a_word(void **state)
{
    (void)state;
    uint8_t packet[64] = {0};
    struct amm_control reply;
    for (unsigned byte0 = 0; byte0 < 256; byte0++) {
        for (size_t len = 0; len < sizeof packet; len++) {
            unsigned opcode = byte0 >> 3;
            packet[0] = (uint8_t)byte0;
            packet[8] = 1;
            bool is_reset = byte0 == (AMM_OP_CONTROL_HARD_RESET_CLIENT_V2 << 3) && len == 14;
            bool is_message = opcode == AMM_OP_CONTROL_V1 || opcode == AMM_OP_ACK_V1;
            if (is_reset || is_message) {
                continue;
            }
            amm_engine_input(lab->engine, lab->now, path_of(0), amm_view(packet, len));
            if (byte0 != AMM_OP_CONTROL_HARD_RESET_CLIENT_V2 << 3 || len < 14) {
                assert_false(answer(&reply));
            }
            while (answer(&reply)) {
            }
        }
    }
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
}

static void zero_session_ids_and_resets_under_other_key_ids_are_dropped(void **state)
{
    (void)state;
    struct amm_control reset = reset_of(0), reply;
    assert_false(input(path_of(0), &reset));
    assert_int_equal(lab->drops.count[AMM_DROP_CONTROL_ZERO_SID], 1);
    reset = reset_of(7);
    reset.key_id = 1;
    assert_false(input(path_of(0), &reset));
    assert_int_equal(lab->drops.count[AMM_DROP_CONTROL_KEY_ID], 1);
    reset = reset_of(7);
    reset.message_id = 1;
    assert_false(input(path_of(0), &reset));
    assert_false(answer(&reply));
}

static void half_open_handshakes_are_evicted_oldest_first(void **state)
{
    (void)state;
    for (uint64_t sid = 1; sid <= lab->config.n_negotiations; sid++) {
        struct amm_control first = first_of(sid, cookie_for(path_of(0), sid));
        assert_true(input(path_of(0), &first));
        lab->now.mono += 10 * AMM_MILLISECOND;
    }
    struct amm_control more = first_of(100, cookie_for(path_of(0), 100));
    assert_false(input(path_of(0), &more));
    assert_int_equal(lab->drops.count[AMM_DROP_HANDSHAKE_LIMIT], 1);

    lab->now.mono += AMM_SECOND;
    assert_true(input(path_of(0), &more));
    assert_int_equal(amm_engine_negotiating(lab->engine), lab->config.n_negotiations);
    struct amm_event event;
    assert_true(amm_engine_next_event(lab->engine, &event));
    assert_int_equal(event.kind, AMM_EVENT_CLOSED);
    assert_int_equal(event.reason, AMM_CLOSE_TIMEOUT);
    assert_int_equal(event.session.tag, 1);
}

static void many_handshakes(struct amm_engine_config *config)
{
    config->n_sessions = 200;
    config->n_negotiations = 128;
    config->resets_per_prefix = 1000;
}

static bool open_half(const struct amm_path *path, uint64_t sid)
{
    struct amm_control first = first_of(sid, cookie_for(path, sid)), reply;
    bool taken = input(path, &first);
    while (answer(&reply)) {
    }
    return taken;
}

/* How many half-open handshakes are taken from there at one moment. */
static unsigned fill_from(const struct amm_path *path, uint64_t sid)
{
    unsigned n = 0;
    while (n < 100 && open_half(path, sid + n)) {
        n++;
    }
    return n;
}

static void a_prefix_holds_a_quarter_of_the_handshakes_until_somebody_joins_from_it(void **state)
{
    (void)state;
    start_with(LAB_NONE, AMM_UDP, many_handshakes);
    struct amm_path other = *path_of(0);
    amm_address_parse(&other.remote, "203.0.113.1", 5000);
    assert_int_equal(fill_from(&other, 1000), 32);
    assert_int_equal(lab->drops.count[AMM_DROP_HANDSHAKE_LIMIT], 1);
    lab->now.mono += AMM_SECOND;
    assert_true(open_half(&other, 1100)); /* in place of its own oldest one */
    assert_int_equal(amm_engine_negotiating(lab->engine), 32);
    lab_connect(lab, 0); /* from another prefix */
    lab_settle(lab);
    lab_expect_joined(lab, 0);
    assert_true(fill_from(path_of(1), 2000) > 32); /* known by now */
}

static void half_open_handshakes_end_after_their_window(void **state)
{
    (void)state;
    struct amm_control first = first_of(7, cookie_for(path_of(0), 7));
    assert_true(input(path_of(0), &first));
    lab_run(lab, lab->config.half_open_window - AMM_SECOND);
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    lab_run(lab, 2 * AMM_SECOND);
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
    assert_int_equal(lab_event(lab, AMM_EVENT_CLOSED)->reason, AMM_CLOSE_TIMEOUT);
    assert_int_equal(lab->drops.count[AMM_DROP_HANDSHAKE_TIMEOUT], 1);
}

static void one_session_id_has_few_sessions(void **state)
{
    (void)state;
    struct amm_path paths[6];
    uint64_t cookies[6];
    for (unsigned i = 0; i < 6; i++) {
        paths[i] = *path_of(0);
        paths[i].remote.port = (uint16_t)(7000 + i);
        cookies[i] = cookie_for(&paths[i], 7);
    }
    for (unsigned i = 0; i < 6; i++) {
        struct amm_control first = first_of(7, cookies[i]);
        input(&paths[i], &first);
    }
    assert_int_equal(amm_engine_sessions(lab->engine), 4);
    assert_int_equal(lab->drops.count[AMM_DROP_SESSION_LIMIT], 2);
}

static void a_reset_of_a_session_that_exists_is_not_answered(void **state)
{
    (void)state;
    struct amm_control first = first_of(7, cookie_for(path_of(0), 7)), reply;
    assert_true(input(path_of(0), &first));
    while (answer(&reply)) {
    }
    struct amm_control reset = reset_of(7);
    assert_false(input(path_of(0), &reset));
    assert_false(answer(&reply));
    assert_int_equal(lab->drops.count[AMM_DROP_WRAP_REPLAY], 1);
}

static void an_acknowledgement_of_another_session_is_not_taken(void **state)
{
    (void)state;
    uint64_t cookie = cookie_for(path_of(0), 7);
    struct amm_control first = first_of(7, cookie), reply;
    assert_true(input(path_of(0), &first));
    while (answer(&reply)) {
    }
    struct amm_control other = first_of(7, cookie ^ 1);
    other.message_id = 2;
    assert_false(input(path_of(0), &other));
    assert_false(answer(&reply));
    assert_int_equal(lab->drops.count[AMM_DROP_COOKIE_BAD], 1);
}

static void a_handshake_does_not_change_its_path(void **state)
{
    (void)state;
    uint64_t cookie = cookie_for(path_of(0), 7);
    struct amm_control first = first_of(7, cookie), reply;
    assert_true(input(path_of(0), &first));
    while (answer(&reply)) {
    }
    first.message_id = 2;
    assert_false(input(path_of(1), &first));
    assert_false(answer(&reply));
    assert_true(input(path_of(0), &first));
    assert_true(answer(&reply));
}

/* ---- with clients ---- */

static bool swap_first_messages(struct lab *l, struct lab_packet *packet)
{
    /* Holds the first CONTROL packet (message 1) back until the next has passed. */
    unsigned opcode = packet->data[0] >> 3;
    if (!packet->to_server || (opcode != AMM_OP_CONTROL_V1 && opcode != AMM_OP_CONTROL_WKC_V1)) {
        return true;
    }
    static struct lab_packet held;
    if (l->counter == 0) {
        held = *packet;
        l->counter = 1;
        return false;
    }
    if (l->counter == 1) {
        l->counter = 2;
        l->wire[l->n_wire++] = *packet;
        l->wire[l->n_wire++] = held;
        return false;
    }
    return true;
}

static void message_two_may_come_first(void **state)
{
    (void)state;
    for (int wrap = 0; wrap < LAB_WRAPS; wrap++) {
        start_with((enum lab_wrap)wrap, AMM_UDP, NULL);
        /* A hello that needs two packets. */
        amm_fake_tls_context_free(lab->clients[0].tls);
        lab->clients[0].tls = amm_fake_tls_context_new(&(struct amm_fake_tls_settings){
            .role = AMM_CLIENT, .name = "gw-0", .serial = 100, .seed = 9, .hello_len = 1900});
        lab_renew_client(lab, 0);
        lab->filter = swap_first_messages;
        lab->counter = 0;
        lab_connect(lab, 0);
        lab_settle(lab);
        assert_int_equal(lab->counter, 2);
        lab_expect_joined(lab, 0); /* without a retransmission: no time has passed */
        lab->filter = NULL;
    }
}

static bool corrupt_wrapped(struct lab *l, struct lab_packet *packet)
{
    (void)l;
    if (packet->to_server && packet->len > 30) {
        packet->data[30] ^= 1;
    }
    return true;
}

static void packets_of_another_key_die_before_the_handshake(void **state)
{
    (void)state;
    for (int wrap = LAB_AUTH; wrap < LAB_WRAPS; wrap++) {
        start_with((enum lab_wrap)wrap, AMM_UDP, NULL);
        lab->filter = corrupt_wrapped;
        lab_connect(lab, 0);
        lab_run(lab, 5 * AMM_SECOND);
        assert_int_equal(lab->sent_to_client, 0);
        assert_true(lab->drops.count[AMM_DROP_WRAP_AUTH] > 0);
        assert_int_equal(amm_engine_sessions(lab->engine), 0);
        lab->filter = NULL;
    }
}

static void old_keys_of_tls_crypt_v2_clients_are_refused_after_the_cookie(void **state)
{
    (void)state;
    start_with(LAB_V2, AMM_UDP, NULL);
    lab->wrap.v2_max_age = 1000;
    lab->now.wall += 1001;
    lab_connect(lab, 0);
    lab_settle(lab);
    assert_true(lab->drops.count[AMM_DROP_WKC_EXPIRED] > 0);
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
}

static void a_connection_carries_one_session(void **state)
{
    (void)state;
    start_with(LAB_NONE, AMM_TCP, NULL);
    struct amm_control reset = reset_of(7);
    assert_true(input(path_of(0), &reset));
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    reset = reset_of(8);
    assert_false(input(path_of(0), &reset));
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    reset = reset_of(7); /* another connection may use the same id */
    assert_true(input(path_of(1), &reset));
    assert_int_equal(amm_engine_sessions(lab->engine), 2);
}

static void a_lost_connection_ends_its_session(void **state)
{
    (void)state;
    start_with(LAB_CRYPT, AMM_TCP, NULL);
    lab_connect(lab, 0);
    lab_connect(lab, 1);
    lab_settle(lab);
    lab_expect_joined(lab, 0);
    struct amm_command command = {.kind = AMM_COMMAND_LINK_LOST, .path = *path_of(0)};
    amm_engine_command(lab->engine, lab->now, &command);
    lab_settle(lab);
    assert_int_equal(lab_event(lab, AMM_EVENT_CLOSED)->reason, AMM_CLOSE_LINK);
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    assert_int_equal(amm_plane_live(lab->plane), 1);
}

int main(void)
{
#define WITH_LAB(test) cmocka_unit_test_setup_teardown(test, start_plain, stop)
    const struct CMUnitTest tests[] = {
        WITH_LAB(a_reset_is_answered_and_leaves_nothing_behind),
        WITH_LAB(a_cookie_makes_one_session),
        WITH_LAB(cookies_of_others_are_refused),
        WITH_LAB(late_messages_of_a_dead_session_do_not_revive_it),
        WITH_LAB(a_first_message_without_acknowledgement_is_answered_like_a_reset),
        WITH_LAB(resets_are_answered_at_a_limited_rate),
        WITH_LAB(what_is_not_a_handshake_is_dropped_without_a_word),
        WITH_LAB(zero_session_ids_and_resets_under_other_key_ids_are_dropped),
        WITH_LAB(half_open_handshakes_are_evicted_oldest_first),
        WITH_LAB(a_prefix_holds_a_quarter_of_the_handshakes_until_somebody_joins_from_it),
        WITH_LAB(half_open_handshakes_end_after_their_window),
        WITH_LAB(one_session_id_has_few_sessions),
        WITH_LAB(a_reset_of_a_session_that_exists_is_not_answered),
        WITH_LAB(an_acknowledgement_of_another_session_is_not_taken),
        WITH_LAB(a_handshake_does_not_change_its_path),
        WITH_LAB(message_two_may_come_first),
        WITH_LAB(packets_of_another_key_die_before_the_handshake),
        WITH_LAB(old_keys_of_tls_crypt_v2_clients_are_refused_after_the_cookie),
        WITH_LAB(a_connection_carries_one_session),
        WITH_LAB(a_lost_connection_ends_its_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
