#include "lab.h"

#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct lab *lab;

static int start(void **state)
{
    (void)state;
    lab = malloc(sizeof *lab);
    lab_start(lab, &(struct lab_settings){.wrap = LAB_V2});
    return 0;
}

static int stop(void **state)
{
    (void)state;
    lab->filter = NULL;
    lab_stop(lab);
    free(lab);
    return 0;
}

static void join(unsigned i)
{
    lab_connect(lab, i);
    lab_settle(lab);
    lab_expect_joined(lab, i);
}

static amm_time sent_at[16];
static unsigned n_sent;
static uint32_t first_replay_id;

static bool note_resets_and_lose(struct lab *l, struct lab_packet *packet)
{
    if (packet->to_server && n_sent < 16 &&
        packet->data[0] >> 3 == AMM_OP_CONTROL_HARD_RESET_CLIENT_V3) {
        if (n_sent == 0) {
            first_replay_id = amm_load_u32(packet->data + 9);
        }
        sent_at[n_sent++] = l->now.mono;
    }
    return false;
}

static void resets_are_repeated_after_1_2_4_and_8_seconds(void **state)
{
    (void)state;
    n_sent = 0;
    lab->filter = note_resets_and_lose;
    lab_connect(lab, 0);
    lab_run(lab, 20 * AMM_SECOND);
    assert_int_equal(n_sent, 5);
    assert_int_equal(first_replay_id, 0x0f000001);
    for (unsigned i = 1; i < n_sent; i++) {
        amm_duration gap = sent_at[i] - sent_at[i - 1];
        amm_duration expected = AMM_SECOND << (i - 1);
        assert_true(gap >= expected && gap <= expected + 300 * AMM_MILLISECOND);
    }
}

static void a_server_that_does_not_answer_is_given_up(void **state)
{
    (void)state;
    lab->filter = note_resets_and_lose;
    lab_connect(lab, 0);
    lab_run(lab, 59 * AMM_SECOND);
    assert_null(lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED));
    lab_run(lab, 2 * AMM_SECOND);
    const struct amm_event *event = lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED);
    assert_non_null(event);
    assert_int_equal(event->reason, AMM_CLOSE_TIMEOUT);
    assert_false(event->was_joined);
    assert_false(event->is_final);
}

static void a_refused_certificate_is_named_on_both_sides(void **state)
{
    (void)state;
    amm_fake_tls_refuse(lab->tls, AMM_TLS_REVOKED);
    lab_connect(lab, 0);
    lab_run(lab, 5 * AMM_SECOND);
    const struct amm_event *here = lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED);
    const struct amm_event *there = lab_event(lab, AMM_EVENT_CLOSED);
    assert_non_null(here);
    assert_non_null(there);
    assert_int_equal(here->reason, AMM_CLOSE_TLS);
    assert_int_equal(here->failure, AMM_TLS_PEER_ALERT);
    assert_int_equal(there->reason, AMM_CLOSE_TLS);
    assert_int_equal(there->failure, AMM_TLS_REVOKED);
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
}

static void a_server_certificate_can_be_refused(void **state)
{
    (void)state;
    amm_fake_tls_refuse(lab->clients[0].tls, AMM_TLS_WRONG_NAME);
    lab_connect(lab, 0);
    lab_run(lab, 5 * AMM_SECOND);
    const struct amm_event *here = lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED);
    assert_non_null(here);
    assert_int_equal(here->failure, AMM_TLS_WRONG_NAME);
    assert_int_equal(lab_count(lab, AMM_EVENT_AUTHORISE), 0);
}

static void what_was_pushed_is_told(void **state)
{
    (void)state;
    join(0);
    const struct amm_event *pushed = lab_client_event(&lab->clients[0], AMM_EVENT_PUSHED);
    const struct amm_event *joined = lab_client_event(&lab->clients[0], AMM_EVENT_JOINED);
    assert_non_null(pushed);
    assert_int_equal(pushed->push.ping, 10);
    assert_int_equal(pushed->push.ping_restart, 60);
    assert_int_equal(pushed->push.tun_mtu, 1400);
    assert_int_equal(pushed->push.flags, AMM_PUSH_TLS_EKM | AMM_PUSH_DYN_TLS_CRYPT);
    assert_int_equal(pushed->push.cipher, AMM_CIPHER_AES_256_GCM);
    assert_string_equal(joined->identity.name, "server");
    const struct amm_peer *peer = amm_client_peer(lab->clients[0].client);
    assert_non_null(peer);
    assert_int_equal(peer->inner_ip, joined->push.local);
    assert_true(peer->epoch == joined->epoch);
}

static void often(struct amm_engine_config *config)
{
    config->keep_alive = 3;
}

static void seldom(struct amm_engine_config *config)
{
    config->keep_alive = 300;
}

static void pings_are_as_frequent_as_the_more_demanding_side_wants(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct amm_engine_config *config);
        uint16_t ping;
    } cases[] = {{NULL, 10}, {often, 3}, {seldom, 10}}; /* 10 are pushed */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lab_stop(lab);
        lab_start(lab, &(struct lab_settings){.wrap = LAB_CRYPT, .change_client = cases[i].change});
        join(0);
        assert_int_equal(amm_client_peer(lab->clients[0].client)->ping, cases[i].ping);
    }
}

static void nothing_is_sealed_while_there_is_no_tunnel(void **state)
{
    (void)state;
    uint8_t packet[28] = {0x45}, out[128];
    struct amm_path path;
    struct amm_view inner = amm_view(packet, sizeof packet);
    assert_int_equal(amm_client_seal(lab->clients[0].client, lab->now, inner, out, &path).len, 0);
    assert_null(amm_client_peer(lab->clients[0].client));
    join(0);
    amm_client_leave(lab->clients[0].client, lab->now);
    lab_settle(lab);
    assert_int_equal(amm_client_seal(lab->clients[0].client, lab->now, inner, out, &path).len, 0);
    assert_null(amm_client_peer(lab->clients[0].client));
}

static void connecting_again_drops_the_former_session_silently(void **state)
{
    (void)state;
    join(0);
    lab_forget(lab);
    for (int i = 0; i < 5; i++) {
        lab_connect(lab, 0);
        lab_settle(lab);
        assert_int_equal(lab->clients[0].n_events, 2 * (i + 1)); /* PUSHED and JOINED, no CLOSED */
        assert_true(lab_ping(lab, 0));
    }
}

static void packets_from_elsewhere_are_not_taken(void **state)
{
    (void)state;
    lab_connect(lab, 0);
    struct amm_path path = {.transport = AMM_UDP};
    amm_address_parse(&path.remote, "203.0.113.9", 1190);
    uint8_t packet[54] = {AMM_OP_CONTROL_HARD_RESET_SERVER_V2 << 3, 1};
    struct amm_span inner;
    bool broken;
    amm_client_input(lab->clients[0].client, lab->now, &path,
                     (struct amm_span){packet, sizeof packet}, &inner, &broken);
    assert_true(broken);
    assert_int_equal(lab->clients[0].drops.count[AMM_DROP_SESSION_UNKNOWN], 1);
    lab_settle(lab);
    lab_expect_joined(lab, 0);
}

static void answers_to_others_are_not_taken(void **state)
{
    (void)state;
    lab_stop(lab);
    lab_start(lab, &(struct lab_settings){.wrap = LAB_NONE});
    lab->filter = note_resets_and_lose;
    lab_connect(lab, 0);
    lab_settle(lab);
    struct amm_path path = {.remote = lab->clients[0].path.local,
                            .local = lab->clients[0].path.remote};
    uint8_t packet[26] = {AMM_OP_CONTROL_HARD_RESET_SERVER_V2 << 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    packet[14] = 5; /* acknowledges a session that is not ours */
    struct amm_span inner;
    bool broken;
    amm_client_input(lab->clients[0].client, lab->now, &path,
                     (struct amm_span){packet, sizeof packet}, &inner, &broken);
    assert_true(broken);
    assert_int_equal(lab->clients[0].drops.count[AMM_DROP_CONTROL_MALFORMED], 1);
    lab->filter = NULL;
    lab_run(lab, 2 * AMM_SECOND);
    lab_expect_joined(lab, 0);
}

/* Our server has no use for DATA_V1: the plane of a client takes its place. */
static void speak_data_v1(void)
{
    struct amm_plane_config config = {
        .role = AMM_CLIENT, .n_workers = 1, .mtu = 1400, .lame_duck = 3600 * AMM_SECOND};
    amm_plane_free(lab->plane);
    lab->plane = amm_plane_new(&config, lab->peers, 1, lab->aead, &lab->drops, lab->now);
    assert_non_null(lab->plane);
    lab->no_peer_id = true;
    lab->hold_plane = true;
    lab_connect(lab, 0);
    lab_settle(lab);
    assert_int_equal(lab->n_held, 1);
    lab->held[0].data_v1 = 1;
    lab->held[0].inner_ip = amm_pool_server(&lab->pool);
    lab_release_plane(lab);
    lab_settle(lab);
}

static void a_server_without_peer_ids_gets_data_v1(void **state)
{
    (void)state;
    speak_data_v1();
    lab_expect_joined(lab, 0);
    assert_int_equal(lab_client_event(&lab->clients[0], AMM_EVENT_PUSHED)->push.peer_id,
                     AMM_NO_PEER_ID);
    uint8_t packet[28] = {0x45, [3] = 28}, out[128];
    struct amm_path path;
    struct amm_span sealed = amm_client_seal(lab->clients[0].client, lab->now,
                                             amm_view(packet, sizeof packet), out, &path);
    assert_int_equal(sealed.len, 1 + 4 + 16 + sizeof packet);
    assert_int_equal(sealed.data[0] >> 3, AMM_OP_DATA_V1);

    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 5 * AMM_SECOND);
    assert_non_null(lab_client_event(&lab->clients[0], AMM_EVENT_RENEWED));
    assert_true(lab_ping(lab, 0));
}

static void release(struct amm_engine_config *config)
{
    config->release_tls = true;
}

static void tls_is_kept_or_released_as_asked(void **state)
{
    (void)state;
    join(0);
    lab_run(lab, 5 * AMM_SECOND);
    assert_int_equal(amm_fake_tls_stats(lab->clients[0].tls).live, 1);
    lab_stop(lab);
    lab_start(lab, &(struct lab_settings){.wrap = LAB_CRYPT, .change_client = release});
    join(0);
    lab_run(lab, 5 * AMM_SECOND);
    assert_int_equal(amm_fake_tls_stats(lab->clients[0].tls).live, 0);
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 5 * AMM_SECOND);
    assert_non_null(lab_client_event(&lab->clients[0], AMM_EVENT_RENEWED));
    assert_int_equal(amm_fake_tls_stats(lab->clients[0].tls).live, 0);
    assert_true(lab_ping(lab, 0));
}

static void the_same_seed_gives_the_same_packets(void **state)
{
    (void)state;
    unsigned sent[2][2];
    uint64_t tag[2];
    for (int i = 0; i < 2; i++) {
        lab_stop(lab);
        lab_start(lab, &(struct lab_settings){.wrap = LAB_V2});
        join(0);
        join(1);
        sent[i][0] = lab->sent_to_client;
        sent[i][1] = lab->sent_to_server;
        tag[i] = amm_random_u64(
            &(struct amm_random){amm_seeded_random(&lab->random).fill, &lab->random});
    }
    assert_int_equal(sent[0][0], sent[1][0]);
    assert_int_equal(sent[0][1], sent[1][1]);
    assert_int_equal(tag[0], tag[1]);
}

int main(void)
{
#define WITH_LAB(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        WITH_LAB(resets_are_repeated_after_1_2_4_and_8_seconds),
        WITH_LAB(a_server_that_does_not_answer_is_given_up),
        WITH_LAB(a_refused_certificate_is_named_on_both_sides),
        WITH_LAB(a_server_certificate_can_be_refused),
        WITH_LAB(what_was_pushed_is_told),
        WITH_LAB(pings_are_as_frequent_as_the_more_demanding_side_wants),
        WITH_LAB(nothing_is_sealed_while_there_is_no_tunnel),
        WITH_LAB(connecting_again_drops_the_former_session_silently),
        WITH_LAB(packets_from_elsewhere_are_not_taken),
        WITH_LAB(answers_to_others_are_not_taken),
        WITH_LAB(a_server_without_peer_ids_gets_data_v1),
        WITH_LAB(tls_is_kept_or_released_as_asked),
        WITH_LAB(the_same_seed_gives_the_same_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
