/* What the wrap must refuse; the bytes it must produce are in tests/golden/test_wrap.c. */
#include "support/vectors.h"
#include "wrap_context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define CLIENT_SID 0x0102030405060708u

enum { TIME = 1700000000 };

static const struct amm_control hello = {.own_sid = CLIENT_SID,
                                         .opcode = AMM_OP_CONTROL_V1,
                                         .message_id = 1,
                                         .payload = {(const uint8_t *)"client hello", 12}};

/* One packet on its way: sealed by the client, opened by the server. */
struct pair {
    struct amm_wrap_context client, server;
    uint8_t packet[512], scratch[512];
    size_t len;
    struct amm_unwrapped out;
    enum amm_drop why;
};

static struct pair pair_of(enum amm_wrap_mode mode)
{
    struct amm_wrap_config config = {
        .mode = mode, .auth_digest = AMM_SHA512, .direction = AMM_DIRECTION_0};
    struct pair p = {0};
    vector_static_key(config.static_key);
    amm_wrap_init(&p.server, &config, AMM_SERVER);
    config.direction = AMM_DIRECTION_1;
    amm_wrap_init(&p.client, &config, AMM_CLIENT);
    return p;
}

static void seal(struct pair *p, uint32_t time)
{
    p->len =
        amm_wrap_seal(&p->client, time, &hello, (struct amm_span){p->packet, sizeof p->packet});
    assert_true(p->len > 0);
}

static bool open_cut(struct pair *p, size_t len)
{
    p->why = AMM_DROP_COUNT;
    /* An exact copy, so that the sanitizer sees a read behind the end. */
    uint8_t *copy = test_malloc(len + 1);
    memcpy(copy + 1, p->packet, len);
    bool ok = amm_wrap_open(&p->server, amm_view(copy + 1, len),
                            (struct amm_span){p->scratch, sizeof p->scratch}, &p->out, &p->why);
    test_free(copy);
    return ok;
}

static bool open_all(struct pair *p)
{
    return open_cut(p, p->len);
}

static const enum amm_wrap_mode modes[] = {AMM_WRAP_AUTH, AMM_WRAP_CRYPT};

static void every_mode_adds_what_it_says(void **state)
{
    static const struct {
        enum amm_wrap_mode mode;
        size_t overhead;
    } cases[] = {
        {AMM_WRAP_NONE, 0}, {AMM_WRAP_AUTH, 72}, {AMM_WRAP_CRYPT, 40}, {AMM_WRAP_CRYPT_V2, 40}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct pair p = pair_of(cases[i].mode);
        seal(&p, TIME);
        assert_int_equal(amm_wrap_overhead(&p.client), cases[i].overhead);
        assert_int_equal(p.len, 9 + 5 + 12 + cases[i].overhead);
    }
}

static void every_truncated_or_prolonged_packet_is_refused(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct pair p = pair_of(modes[m]);
        seal(&p, TIME);
        for (size_t len = 0; len <= 200; len++) {
            if (len != p.len) {
                assert_false(open_cut(&p, len));
                bool is_short = len <= 9 + amm_wrap_overhead(&p.server);
                assert_int_equal(p.why, is_short ? AMM_DROP_CONTROL_SHORT : AMM_DROP_WRAP_AUTH);
            }
        }
        assert_true(open_all(&p)); /* none of them touched the window */
    }
}

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct pair p = pair_of(modes[m]);
        seal(&p, TIME);
        for (size_t bit = 0; bit < 8 * p.len; bit++) {
            p.packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(open_all(&p));
            p.packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_true(open_all(&p));
    }
}

static void another_key_is_refused(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct pair p = pair_of(modes[m]);
        p.client.tx_hmac[0] ^= 1;
        seal(&p, TIME);
        assert_false(open_all(&p));
        assert_int_equal(p.why, AMM_DROP_WRAP_AUTH);
    }
}

static void a_packet_of_ones_own_direction_is_refused(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct pair p = pair_of(modes[m]);
        seal(&p, TIME);
        p.server = p.client;
        assert_false(open_all(&p));
        assert_int_equal(p.why, AMM_DROP_WRAP_AUTH);
    }
}

static void a_forged_packet_with_a_good_replay_id_does_not_use_it_up(void **state)
{
    struct pair p = pair_of(AMM_WRAP_CRYPT);
    struct amm_wrap_context before = p.server;
    (void)state;
    seal(&p, TIME);
    p.packet[p.len - 1] ^= 1;
    assert_false(open_all(&p));
    assert_memory_equal(&p.server, &before, sizeof before);
}

static void a_packet_seen_before_is_refused(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct pair p = pair_of(modes[m]);
        seal(&p, TIME);
        assert_true(open_all(&p));
        assert_false(open_all(&p));
        assert_int_equal(p.why, AMM_DROP_WRAP_REPLAY);
    }
}

/* Seals under a chosen replay id and time. */
static bool arrives(struct pair *p, uint32_t id, uint32_t time)
{
    p->client.tx_id = id - 1;
    p->client.tx_time = time;
    p->len =
        amm_wrap_seal(&p->client, time, &hello, (struct amm_span){p->packet, sizeof p->packet});
    return open_all(p);
}

static void the_replay_window_is_sixty_four_wide(void **state)
{
    struct pair p = pair_of(AMM_WRAP_CRYPT);
    (void)state;
    assert_true(arrives(&p, 1, TIME));
    assert_true(arrives(&p, 2, TIME));
    assert_true(arrives(&p, 1001, TIME));
    assert_true(arrives(&p, 938, TIME));
    assert_false(arrives(&p, 937, TIME));
    assert_false(arrives(&p, 1001, TIME));
    assert_false(arrives(&p, 938, TIME));
    assert_true(arrives(&p, 1002, TIME));
    assert_false(arrives(&p, 1001, TIME));
    assert_true(arrives(&p, 1066, TIME)); /* the window moves by its whole width */
    assert_false(arrives(&p, 1002, TIME));
    assert_true(arrives(&p, 1003, TIME));
    assert_true(arrives(&p, 1065, TIME));
}

/* No sender of ours makes replay id 0, so it is put in by hand and authenticated again. */
static void replay_id_zero_is_refused(void **state)
{
    struct pair p = pair_of(AMM_WRAP_AUTH);
    (void)state;
    seal(&p, TIME);
    size_t replay = 9 + 64, body = replay + 8;
    memset(p.packet + replay, 0, 4);
    struct amm_view parts[] = {amm_view(p.packet + replay, 8), amm_view(p.packet, 9),
                               amm_view(p.packet + body, p.len - body)};
    struct amm_view key = amm_view(p.client.tx_hmac, 64);
    assert_true(amm_hmac(AMM_SHA512, key, parts, 3, p.packet + 9));
    assert_false(open_all(&p));
    assert_int_equal(p.why, AMM_DROP_WRAP_REPLAY);
}

static void an_earlier_time_is_refused_and_a_later_one_starts_a_new_window(void **state)
{
    struct pair p = pair_of(AMM_WRAP_AUTH);
    (void)state;
    assert_true(arrives(&p, 500, TIME));
    assert_false(arrives(&p, 501, TIME - 1));
    assert_int_equal(p.why, AMM_DROP_WRAP_REPLAY);
    assert_true(arrives(&p, 1, TIME + 1));
    assert_false(arrives(&p, 501, TIME));
    assert_true(arrives(&p, 2, TIME + 1));
}

static void the_time_of_a_context_is_that_of_its_first_packet(void **state)
{
    struct pair p = pair_of(AMM_WRAP_CRYPT);
    (void)state;
    seal(&p, TIME);
    seal(&p, TIME + 100);
    assert_true(open_all(&p));
    assert_int_equal(p.out.time, TIME);
    assert_int_equal(p.out.replay_id, 2);
}

static void after_a_restart_the_time_is_larger_even_if_the_clock_is_not(void **state)
{
    struct pair p = pair_of(AMM_WRAP_CRYPT);
    (void)state;
    seal(&p, TIME);
    assert_true(open_all(&p));
    amm_wrap_resume(&p.client, TIME - 1000);
    seal(&p, TIME - 1000);
    assert_true(open_all(&p));
    assert_int_equal(p.out.time, TIME + 1);
    assert_int_equal(p.out.replay_id, 1);
    amm_wrap_resume(&p.client, TIME + 50);
    seal(&p, TIME + 50);
    assert_true(open_all(&p));
    assert_int_equal(p.out.time, TIME + 50);
}

static void when_replay_ids_run_out_the_time_moves(void **state)
{
    struct pair p = pair_of(AMM_WRAP_CRYPT);
    (void)state;
    assert_true(arrives(&p, UINT32_MAX, TIME));
    seal(&p, TIME);
    assert_true(open_all(&p));
    assert_int_equal(p.out.time, TIME + 1);
    assert_int_equal(p.out.replay_id, 1);
}

static void the_clock_of_the_wrap_never_follows_the_wall_backwards(void **state)
{
    struct amm_wrap_clock clock = amm_wrap_clock((struct amm_now){5 * AMM_SECOND, TIME});
    (void)state;
    assert_int_equal(amm_wrap_time(&clock, (struct amm_now){5 * AMM_SECOND, TIME}), TIME);
    assert_int_equal(amm_wrap_time(&clock, (struct amm_now){9 * AMM_SECOND, TIME - 5000}),
                     TIME + 4);
    clock = amm_wrap_clock((struct amm_now){100 * AMM_SECOND, 0});
    assert_int_equal(amm_wrap_time(&clock, (struct amm_now){100 * AMM_SECOND, 0}), 1);
    clock = amm_wrap_clock((struct amm_now){0, (int64_t)1 << 40});
    assert_true(amm_wrap_time(&clock, (struct amm_now){0, 0}) == UINT32_MAX);
}

static void the_stateless_way_keeps_nothing_and_always_sends_replay_id_one(void **state)
{
    struct pair p = pair_of(AMM_WRAP_CRYPT);
    struct amm_span scratch = {p.scratch, sizeof p.scratch};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct amm_span room = {p.packet, sizeof p.packet};
        p.len = amm_wrap_seal_stateless(&p.client, TIME, &hello, room);
        struct amm_view packet = amm_view(p.packet, p.len);
        assert_true(amm_wrap_open_stateless(&p.server, packet, scratch, &p.out, &p.why));
        assert_int_equal(p.out.replay_id, 1);
    }
    p.packet[p.len - 1] ^= 1;
    assert_false(
        amm_wrap_open_stateless(&p.server, amm_view(p.packet, p.len), scratch, &p.out, &p.why));
    assert_int_equal(p.why, AMM_DROP_WRAP_AUTH);
}

static void a_body_malformed_inside_a_good_tag_is_refused(void **state)
{
    struct pair p = pair_of(AMM_WRAP_CRYPT);
    struct amm_control ack = {.own_sid = CLIENT_SID,
                              .opcode = AMM_OP_ACK_V1}; /* acknowledges nothing */
    (void)state;
    p.len = amm_wrap_seal(&p.client, TIME, &ack, (struct amm_span){p.packet, sizeof p.packet});
    assert_false(open_all(&p));
    assert_int_equal(p.why, AMM_DROP_CONTROL_MALFORMED);
}

static void sealing_without_room_and_opening_without_scratch_fail(void **state)
{
    struct pair p = pair_of(AMM_WRAP_CRYPT);
    (void)state;
    seal(&p, TIME);
    size_t whole = p.len;
    for (size_t room = 0; room < whole; room++) {
        assert_int_equal(amm_wrap_seal(&p.client, TIME, &hello, (struct amm_span){p.packet, room}),
                         0);
    }
    seal(&p, TIME);
    struct amm_span small = {p.scratch, p.len - 1};
    assert_false(amm_wrap_open(&p.server, amm_view(p.packet, p.len), small, &p.out, &p.why));
    assert_int_equal(p.why, AMM_DROP_CONTROL_OVERSIZE);
}

/* ---- tls-crypt-v2 client keys ---- */

static const uint8_t server_key[AMM_V2_SERVER_KEY] = {1, 2, 3, [64] = 4, 5, 6};

static size_t first_packet(uint8_t out[512], uint8_t kc[AMM_STATIC_KEY])
{
    struct amm_wrap_config config = {.mode = AMM_WRAP_CRYPT_V2};
    struct amm_wrap_context context;
    uint8_t wkc[AMM_WKC_MAX];
    size_t wkc_len;
    vector_static_key(kc);
    memcpy(config.static_key, kc, AMM_STATIC_KEY);
    amm_wrap_init(&context, &config, AMM_CLIENT);
    assert_true(amm_wkc_make(server_key, kc, TIME, wkc, &wkc_len));
    struct amm_control control = {.own_sid = CLIENT_SID,
                                  .opcode = AMM_OP_CONTROL_HARD_RESET_CLIENT_V3,
                                  .wkc = amm_view(wkc, wkc_len)};
    return amm_wrap_seal(&context, TIME, &control, (struct amm_span){out, 512});
}

static void a_server_takes_a_v2_packet_apart(void **state)
{
    uint8_t packet[512], kc[AMM_STATIC_KEY], unwrapped[AMM_STATIC_KEY], scratch[512];
    struct amm_view front, wkc;
    struct amm_wkc_info info;
    struct amm_wrap_context context;
    struct amm_unwrapped out;
    enum amm_drop why;
    (void)state;
    size_t len = first_packet(packet, kc);
    assert_int_equal(len, 353);
    assert_true(amm_wkc_split(amm_view(packet, len), &front, &wkc, &why));
    assert_int_equal(front.len, 54);
    assert_true(amm_wkc_open(server_key, wkc, unwrapped, &info, &why));
    assert_memory_equal(unwrapped, kc, sizeof kc);
    amm_wrap_init_crypt(&context, unwrapped, AMM_SERVER);
    assert_true(
        amm_wrap_open(&context, front, (struct amm_span){scratch, sizeof scratch}, &out, &why));
    assert_int_equal(out.replay_id, 0x0f000001);
    assert_true(amm_wrap_is_v2_signal(out.replay_id));
    assert_false(amm_wrap_is_v2_signal(1));
    assert_false(amm_wrap_is_v2_signal(0x0e000001));
}

static void no_length_field_reaches_into_the_header(void **state)
{
    uint8_t packet[512], kc[AMM_STATIC_KEY];
    struct amm_view front, wkc;
    enum amm_drop why;
    (void)state;
    size_t len = first_packet(packet, kc);
    for (unsigned claimed = 0; claimed < 65536; claimed++) {
        amm_store_u16(packet + len - 2, (uint16_t)claimed);
        bool fits = claimed >= 290 && claimed <= 1024 && claimed <= len - 49;
        assert_int_equal(amm_wkc_split(amm_view(packet, len), &front, &wkc, &why), fits);
        assert_true(fits || why == AMM_DROP_WKC_MALFORMED);
    }
}

static void every_truncated_v2_packet_is_refused(void **state)
{
    uint8_t packet[512], kc[AMM_STATIC_KEY], unwrapped[AMM_STATIC_KEY];
    struct amm_view front, wkc;
    struct amm_wkc_info info;
    enum amm_drop why;
    (void)state;
    size_t whole = first_packet(packet, kc);
    for (size_t len = 0; len < whole; len++) {
        uint8_t *copy = test_malloc(len + 1);
        memcpy(copy + 1, packet, len);
        assert_false(amm_wkc_split(amm_view(copy + 1, len), &front, &wkc, &why) &&
                     amm_wkc_open(server_key, wkc, unwrapped, &info, &why));
        test_free(copy);
    }
}

static void a_changed_or_foreign_client_key_is_refused(void **state)
{
    uint8_t wkc[AMM_WKC_MAX], kc[AMM_STATIC_KEY] = {1}, other[AMM_V2_SERVER_KEY];
    struct amm_wkc_info info;
    enum amm_drop why;
    size_t len;
    (void)state;
    assert_true(amm_wkc_make(server_key, kc, TIME, wkc, &len));
    for (size_t i = 0; i < len - 2; i++) {
        wkc[i] ^= 0x10;
        assert_false(amm_wkc_open(server_key, amm_view(wkc, len), kc, &info, &why));
        assert_int_equal(why, AMM_DROP_WKC_AUTH);
        wkc[i] ^= 0x10;
    }
    memcpy(other, server_key, sizeof other);
    other[64] ^= 1;
    assert_false(amm_wkc_open(other, amm_view(wkc, len), kc, &info, &why));
    wkc[len - 1] ^= 1;
    assert_false(amm_wkc_open(server_key, amm_view(wkc, len), kc, &info, &why));
    assert_int_equal(why, AMM_DROP_WKC_MALFORMED);
    assert_false(amm_wkc_open(server_key, amm_view(wkc, 289), kc, &info, &why));
    assert_int_equal(why, AMM_DROP_WKC_MALFORMED);
}

/* Whoever has the server key can wrap anything; a key too short is still no key. */
static void a_wrapped_key_of_255_bytes_is_refused_in_spite_of_its_tag(void **state)
{
    uint8_t wkc[289] = {0}, kc[AMM_STATIC_KEY];
    struct amm_wkc_info info;
    enum amm_drop why;
    (void)state;
    amm_store_u16(wkc + 287, 289);
    struct amm_view parts[] = {amm_view(wkc + 287, 2), amm_view(wkc + 32, 255)};
    assert_true(amm_hmac(AMM_SHA256, amm_view(server_key + 64, 32), parts, 2, wkc));
    assert_true(amm_aes256_ctr(server_key, wkc, wkc + 32, 255));
    assert_false(amm_wkc_open(server_key, amm_view(wkc, sizeof wkc), kc, &info, &why));
    assert_int_equal(why, AMM_DROP_WKC_MALFORMED);
}

static void a_client_key_with_a_timestamp_grows_old(void **state)
{
    struct amm_wrap_config config = {.v2_max_age = 100};
    struct amm_wkc_info info = {true, TIME}, unknown = {false, 0};
    (void)state;
    assert_true(amm_wkc_is_fresh(&config, &info, TIME + 100));
    assert_false(amm_wkc_is_fresh(&config, &info, TIME + 101));
    assert_true(amm_wkc_is_fresh(&config, &unknown, TIME + 101));
    config.v2_max_age = 0;
    assert_true(amm_wkc_is_fresh(&config, &info, TIME + 101));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_adds_what_it_says),
        cmocka_unit_test(every_truncated_or_prolonged_packet_is_refused),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(a_packet_of_ones_own_direction_is_refused),
        cmocka_unit_test(a_forged_packet_with_a_good_replay_id_does_not_use_it_up),
        cmocka_unit_test(a_packet_seen_before_is_refused),
        cmocka_unit_test(the_replay_window_is_sixty_four_wide),
        cmocka_unit_test(replay_id_zero_is_refused),
        cmocka_unit_test(an_earlier_time_is_refused_and_a_later_one_starts_a_new_window),
        cmocka_unit_test(the_time_of_a_context_is_that_of_its_first_packet),
        cmocka_unit_test(after_a_restart_the_time_is_larger_even_if_the_clock_is_not),
        cmocka_unit_test(when_replay_ids_run_out_the_time_moves),
        cmocka_unit_test(the_clock_of_the_wrap_never_follows_the_wall_backwards),
        cmocka_unit_test(the_stateless_way_keeps_nothing_and_always_sends_replay_id_one),
        cmocka_unit_test(a_body_malformed_inside_a_good_tag_is_refused),
        cmocka_unit_test(sealing_without_room_and_opening_without_scratch_fail),
        cmocka_unit_test(a_server_takes_a_v2_packet_apart),
        cmocka_unit_test(no_length_field_reaches_into_the_header),
        cmocka_unit_test(every_truncated_v2_packet_is_refused),
        cmocka_unit_test(a_changed_or_foreign_client_key_is_refused),
        cmocka_unit_test(a_wrapped_key_of_255_bytes_is_refused_in_spite_of_its_tag),
        cmocka_unit_test(a_client_key_with_a_timestamp_grows_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
