#include "lab.h"

#include "session.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct lab *lab;

static void with_fast_renewals(struct amm_engine_config *config)
{
    config->renegotiate_min = 0;
}

static int start(void **state)
{
    (void)state;
    lab = malloc(sizeof *lab);
    lab_start(lab, &(struct lab_settings){.wrap = LAB_CRYPT, .change_server = with_fast_renewals});
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

static struct amm_session_ref join(unsigned i)
{
    lab_connect(lab, i);
    lab_settle(lab);
    lab_expect_joined(lab, i);
    return lab->events[lab->n_events - 1].session;
}

static void expect_closed(enum amm_close_reason there, enum amm_close_reason here)
{
    const struct amm_event *client = lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED);
    const struct amm_event *server = lab_event(lab, AMM_EVENT_CLOSED);
    assert_non_null(client);
    assert_non_null(server);
    assert_int_equal(client->reason, there);
    assert_int_equal(server->reason, here);
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
    assert_int_equal(amm_plane_live(lab->plane), 0);
}

/* ---- the first login ---- */

static void refuse_with(enum amm_refusal refusal)
{
    lab->verdict = (struct amm_command){.refusal = refusal, .backoff = 42, .text = "not today"};
    lab_connect(lab, 0);
    lab_run(lab, 2 * AMM_SECOND); /* the words are acknowledged: no need to wait longer */
    expect_closed(AMM_CLOSE_REFUSED, AMM_CLOSE_REFUSED);
    assert_string_equal(lab_event(lab, AMM_EVENT_CLOSED)->text, "not today");
    assert_int_equal(lab_count(lab, AMM_EVENT_JOINED), 0);
    assert_null(lab_client_event(&lab->clients[0], AMM_EVENT_PUSHED));
}

static void a_refusal_for_good_is_said_in_words(void **state)
{
    (void)state;
    refuse_with(AMM_REFUSE_FOR_GOOD);
    const struct amm_event *event = lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED);
    assert_true(event->is_final);
    assert_string_equal(event->text, "not today");
}

static void a_refusal_that_may_heal_says_when_to_come_back(void **state)
{
    (void)state;
    refuse_with(AMM_REFUSE_RETRY);
    const struct amm_event *event = lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED);
    assert_false(event->is_final);
    assert_false(event->try_next_remote);
    assert_int_equal(event->backoff, 42);
}

static void a_refusal_may_send_to_the_next_remote(void **state)
{
    (void)state;
    refuse_with(AMM_REFUSE_NEXT_REMOTE);
    const struct amm_event *event = lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED);
    assert_false(event->is_final);
    assert_true(event->try_next_remote);
}

static void chacha_only(struct amm_engine_config *config)
{
    config->ciphers[0] = AMM_CIPHER_CHACHA20_POLY1305;
    config->ciphers[1] = AMM_CIPHER_NONE;
}

static void aes_only(struct amm_engine_config *config)
{
    config->ciphers[0] = AMM_CIPHER_AES_256_GCM;
    config->ciphers[1] = AMM_CIPHER_NONE;
}

static void clients_without_a_common_cipher_are_told(void **state)
{
    (void)state;
    lab_stop(lab);
    lab_start(lab, &(struct lab_settings){.change_server = aes_only, .change_client = chacha_only});
    lab_connect(lab, 0);
    lab_run(lab, 6 * AMM_SECOND);
    expect_closed(AMM_CLOSE_REFUSED, AMM_CLOSE_NO_CIPHER);
    assert_int_equal(lab_count(lab, AMM_EVENT_AUTHORISE), 0);
}

static void the_first_common_cipher_of_the_server_is_taken(void **state)
{
    (void)state;
    lab_stop(lab);
    lab_start(lab, &(struct lab_settings){.change_client = chacha_only});
    join(0);
    assert_int_equal(lab_event(lab, AMM_EVENT_JOINED)->push.cipher, AMM_CIPHER_CHACHA20_POLY1305);
}

static void credentials_reach_the_outside(void **state)
{
    (void)state;
    lab->hold_verdict = true;
    lab_connect(lab, 0);
    for (int i = 0; i < 20 && lab_event(lab, AMM_EVENT_AUTHORISE) == NULL; i++) {
        lab_settle(lab);
    }
    const struct amm_event *event = lab_event(lab, AMM_EVENT_AUTHORISE);
    assert_non_null(event);
    assert_string_equal(event->username, "user");
    assert_string_equal(event->password, "secret");
    assert_string_equal(event->identity.name, "gw-0");
    assert_string_equal(event->info.version, "amm-0.1.0");
}

static void nothing_is_pushed_or_installed_before_the_verdict(void **state)
{
    (void)state;
    lab->hold_verdict = true;
    lab_connect(lab, 0);
    lab_run(lab, 12 * AMM_SECOND);
    assert_int_equal(amm_plane_live(lab->plane), 0);
    assert_null(lab_client_event(&lab->clients[0], AMM_EVENT_PUSHED));
    struct amm_session_ref session = lab_event(lab, AMM_EVENT_AUTHORISE)->session;
    struct amm_command command = {.kind = AMM_COMMAND_VERDICT, .accept = true};
    amm_push_set_slot(&command.push, &lab->pool, 1);
    command.push.peer_id = amm_peer_id(1, 1);
    lab_command(lab, &session, command);
    lab_settle(lab);
    lab_expect_joined(lab, 0);
}

static void a_verdict_that_comes_too_late_does_nothing(void **state)
{
    (void)state;
    lab->hold_verdict = true;
    lab_connect(lab, 0);
    lab_run(lab, 40 * AMM_SECOND);
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
    struct amm_session_ref session = lab_event(lab, AMM_EVENT_AUTHORISE)->session;
    lab_command(lab, &session, (struct amm_command){.kind = AMM_COMMAND_VERDICT, .accept = true});
    lab_settle(lab);
    assert_int_equal(amm_plane_live(lab->plane), 0);
    assert_int_equal(lab_count(lab, AMM_EVENT_JOINED), 0);
}

static void a_verdict_is_given_once(void **state)
{
    (void)state;
    lab->hold_plane = true;
    lab_connect(lab, 0);
    lab_settle(lab);
    struct amm_session_ref session = lab_event(lab, AMM_EVENT_AUTHORISE)->session;
    lab_command(lab, &session,
                (struct amm_command){.kind = AMM_COMMAND_VERDICT, .text = "no, after all"});
    lab_release_plane(lab);
    lab_settle(lab);
    lab_expect_joined(lab, 0);
}

static void the_client_learns_nothing_before_the_keys_are_installed(void **state)
{
    (void)state;
    lab->hold_plane = true;
    lab_connect(lab, 0);
    lab_run(lab, 10 * AMM_SECOND);
    assert_int_equal(lab->n_held, 1);
    assert_null(lab_client_event(&lab->clients[0], AMM_EVENT_PUSHED));
    lab_release_plane(lab);
    lab_settle(lab);
    lab_expect_joined(lab, 0);
}

static bool lose_every_third(struct lab *l, struct lab_packet *packet)
{
    (void)packet;
    l->counter++;
    return l->counter % 3 != 0;
}

static void a_join_survives_loss(void **state)
{
    (void)state;
    lab->filter = lose_every_third;
    lab_connect(lab, 0);
    lab_run(lab, 50 * AMM_SECOND);
    lab->filter = NULL;
    lab_expect_joined(lab, 0);
    assert_int_equal(amm_engine_negotiating(lab->engine), 0);
}

static bool lose_acknowledgements_after_push(struct lab *l, struct lab_packet *packet)
{
    return !(packet->to_server && l->clients[0].n_events > 0 &&
             packet->data[0] >> 3 != AMM_OP_DATA_V2);
}

static void data_proves_that_the_push_reply_has_come(void **state)
{
    (void)state;
    lab->filter = lose_acknowledgements_after_push;
    lab_connect(lab, 0);
    lab_run(lab, 2 * AMM_SECOND);
    assert_int_equal(lab_count(lab, AMM_EVENT_JOINED), 0);
    assert_int_equal(amm_engine_negotiating(lab->engine), 1);
    assert_true(lab_ping(lab, 0));
    assert_int_equal(lab_count(lab, AMM_EVENT_JOINED), 1);
    assert_int_equal(amm_engine_negotiating(lab->engine), 0);
}

static void a_peer_that_the_data_plane_refuses_is_told_to_come_back(void **state)
{
    (void)state;
    lab->hold_plane = true;
    lab_connect(lab, 0);
    lab_settle(lab);
    struct amm_command command = {.kind = AMM_COMMAND_NOTE};
    command.note =
        (struct amm_plane_note){.kind = AMM_NOTE_REFUSED, .session = lab->held[0].session};
    amm_engine_command(lab->engine, lab->now, &command);
    lab->n_held = 0;
    lab_run(lab, 6 * AMM_SECOND);
    expect_closed(AMM_CLOSE_REFUSED, AMM_CLOSE_REFUSED);
    assert_false(lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED)->is_final);
    assert_int_equal(lab->n_held, 0);
}

/* ---- strangers and restarts beside a live session ---- */

static void a_restart_from_the_same_port_is_back_at_once(void **state)
{
    (void)state;
    join(0);
    lab_forget(lab);
    lab_connect(lab, 0);
    lab_settle(lab);
    lab_expect_joined(lab, 0);
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    assert_int_equal(lab_event(lab, AMM_EVENT_CLOSED)->reason, AMM_CLOSE_REPLACED);
}

static void spoofed_resets_do_not_disturb_a_session(void **state)
{
    (void)state;
    join(0);
    join(1);
    lab_forget(lab);
    for (unsigned i = 0; i < 300; i++) {
        uint8_t packet[54] = {
            AMM_OP_CONTROL_HARD_RESET_CLIENT_V2 << 3, (uint8_t)i, 1, 1, 1, 1, 1, 1, 1};
        lab_inject(lab, &lab->clients[0].path, packet, sizeof packet);
        lab_settle(lab);
    }
    assert_int_equal(lab->n_events, 0);
    assert_int_equal(amm_engine_sessions(lab->engine), 2);
    assert_true(lab_ping(lab, 0));
}

static struct lab_packet recorded[64];
static unsigned n_recorded;

static bool record(struct lab *l, struct lab_packet *packet)
{
    (void)l;
    if (packet->to_server && n_recorded < 64) {
        recorded[n_recorded++] = *packet;
    }
    return true;
}

static void replayed_control_packets_change_nothing(void **state)
{
    (void)state;
    n_recorded = 0;
    lab->filter = record;
    join(0);
    lab->filter = NULL;
    lab_forget(lab);
    for (unsigned i = 0; i < n_recorded; i++) {
        lab_inject(lab, &recorded[i].path, recorded[i].data, recorded[i].len);
        lab_inject(lab, &lab->clients[3].path, recorded[i].data, recorded[i].len);
        lab_settle(lab);
    }
    assert_int_equal(lab->n_events, 0);
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    assert_true(lab_ping(lab, 0));
}

/* ---- renegotiation ---- */

static void expect_renewed(unsigned times)
{
    assert_int_equal(lab_count(lab, AMM_EVENT_RENEWED), times);
    assert_true(lab_ping(lab, 0));
    assert_int_equal(amm_engine_negotiating(lab->engine), 0);
    assert_int_equal(amm_fake_tls_stats(lab->tls).live, 0);
}

static void the_server_renews_keys(void **state)
{
    (void)state;
    for (int wrap = 0; wrap < LAB_WRAPS; wrap++) {
        lab_stop(lab);
        lab_start(lab, &(struct lab_settings){.wrap = (enum lab_wrap)wrap,
                                              .change_server = with_fast_renewals});
        struct amm_session_ref session = join(0);
        for (unsigned i = 1; i <= 9; i++) { /* past key id 7 */
            lab_command(lab, &session, (struct amm_command){.kind = AMM_COMMAND_RENEGOTIATE});
            lab_settle(lab);
            assert_true(lab_ping(lab, 0));
            lab_run(lab, 3 * AMM_SECOND);
            expect_renewed(i);
        }
    }
}

static void the_client_renews_keys(void **state)
{
    (void)state;
    for (int wrap = 0; wrap < LAB_WRAPS; wrap++) {
        lab_stop(lab);
        lab_start(lab, &(struct lab_settings){.wrap = (enum lab_wrap)wrap,
                                              .change_server = with_fast_renewals});
        join(0);
        for (unsigned i = 1; i <= 9; i++) {
            amm_client_renegotiate(lab->clients[0].client, lab->now);
            lab_settle(lab);
            assert_true(lab_ping(lab, 0));
            lab_run(lab, 3 * AMM_SECOND);
            expect_renewed(i);
        }
    }
}

static void both_sides_may_begin_at_the_same_moment(void **state)
{
    (void)state;
    struct amm_session_ref session = join(0);
    for (unsigned i = 1; i <= 3; i++) {
        lab_command(lab, &session, (struct amm_command){.kind = AMM_COMMAND_RENEGOTIATE});
        amm_client_renegotiate(lab->clients[0].client, lab->now);
        lab_run(lab, 3 * AMM_SECOND);
        expect_renewed(i);
    }
}

static void every_ten_seconds(struct amm_engine_config *config)
{
    config->renegotiate = 10 * AMM_SECOND;
    config->renegotiate_min = 0;
}

static void keys_are_renewed_by_the_clock(void **state)
{
    (void)state;
    lab_stop(lab);
    lab_start(lab, &(struct lab_settings){.wrap = LAB_V2, .change_server = every_ten_seconds});
    join(0);
    lab_run(lab, 35 * AMM_SECOND);
    assert_true(lab_count(lab, AMM_EVENT_RENEWED) >= 2);
    assert_true(lab_count(lab, AMM_EVENT_RENEWED) <= 4);
    assert_true(lab_ping(lab, 0));
}

static void soft_resets_too_soon_after_another_are_dropped(void **state)
{
    (void)state;
    lab_stop(lab);
    lab_start(lab, &(struct lab_settings){.wrap = LAB_CRYPT});
    join(0);
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 3 * AMM_SECOND);
    expect_renewed(1);
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, AMM_SECOND);
    assert_true(lab->drops.count[AMM_DROP_SOFT_RESET_EARLY] > 0);
    assert_int_equal(lab_count(lab, AMM_EVENT_RENEWED), 1);
    lab_run(lab, 8 * AMM_SECOND); /* the client repeats itself, and then it is late enough */
    expect_renewed(2);
}

static void a_changed_identity_ends_the_session(void **state)
{
    (void)state;
    join(0);
    amm_fake_tls_rename(lab->clients[0].tls, "gw-0", 999); /* same name, other key */
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 6 * AMM_SECOND);
    assert_int_equal(lab_event(lab, AMM_EVENT_CLOSED)->reason, AMM_CLOSE_PROTOCOL);
    assert_non_null(lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED));
    assert_int_equal(amm_plane_live(lab->plane), 0);
    assert_int_equal(lab_count(lab, AMM_EVENT_RENEWED), 0);
}

static void a_changed_user_name_ends_the_session(void **state)
{
    (void)state;
    /* The login is compared as the server has stored it: change what is stored. */
    struct amm_session_ref session = join(0);
    ((struct session_table *)lab->sessions)->sessions[session.index].username[0] ^= 1;
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 6 * AMM_SECOND);
    assert_int_equal(lab_event(lab, AMM_EVENT_CLOSED)->reason, AMM_CLOSE_PROTOCOL);
}

static bool lose_all(struct lab *l, struct lab_packet *packet)
{
    (void)l;
    return packet->data[0] >> 3 == AMM_OP_DATA_V2;
}

static void a_failed_renewal_leaves_the_old_keys_until_their_time_is_over(void **state)
{
    (void)state;
    lab->config.tran_window = 300 * AMM_SECOND;
    lab_restart_server(lab);
    struct amm_session_ref session = join(0);
    lab->filter = lose_all;
    lab_command(lab, &session, (struct amm_command){.kind = AMM_COMMAND_RENEGOTIATE});
    lab_run(lab, 90 * AMM_SECOND);
    assert_true(lab_ping(lab, 0));
    assert_int_equal(amm_engine_negotiating(lab->engine), 0);
    assert_int_equal(lab_count(lab, AMM_EVENT_CLOSED), 0);
    lab_run(lab, 300 * AMM_SECOND);
    assert_int_equal(lab_event(lab, AMM_EVENT_CLOSED)->reason, AMM_CLOSE_PROTOCOL);
}

static void a_renewal_after_a_failed_one_saves_the_session(void **state)
{
    (void)state;
    struct amm_session_ref session = join(0);
    lab->filter = lose_all;
    lab_command(lab, &session, (struct amm_command){.kind = AMM_COMMAND_RENEGOTIATE});
    lab_run(lab, 90 * AMM_SECOND);
    lab->filter = NULL;
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 4 * AMM_SECOND);
    expect_renewed(1);
    lab_run(lab, 4000 * AMM_SECOND);
    assert_int_equal(lab_count(lab, AMM_EVENT_CLOSED), 0);
}

/* The server has used up a key id in vain, so that the two sides count differently. */
static void resets_that_cross_under_different_key_ids_do_not_wait_for_each_other(void **state)
{
    (void)state;
    struct amm_session_ref session = join(0);
    lab->filter = lose_all;
    lab_command(lab, &session, (struct amm_command){.kind = AMM_COMMAND_RENEGOTIATE});
    lab_run(lab, 90 * AMM_SECOND);
    lab->filter = NULL;
    lab_command(lab, &session, (struct amm_command){.kind = AMM_COMMAND_RENEGOTIATE});
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 4 * AMM_SECOND);
    expect_renewed(1);
}

static void a_renewal_that_a_restart_cut_off_is_planned_again(void **state)
{
    (void)state;
    lab_stop(lab);
    lab_start(lab, &(struct lab_settings){.wrap = LAB_CRYPT, .change_server = every_ten_seconds});
    join(0);
    lab->filter = lose_all;
    lab_run(lab, 11 * AMM_SECOND);
    assert_int_equal(amm_engine_negotiating(lab->engine), 1);
    lab_restart_server(lab);
    lab->filter = NULL;
    lab_run(lab, 90 * AMM_SECOND);
    assert_true(lab_count(lab, AMM_EVENT_RENEWED) >= 1);
}

/* ---- endings ---- */

static void a_kick_is_immediate(void **state)
{
    (void)state;
    struct amm_session_ref session = join(0);
    lab_command(
        lab, &session,
        (struct amm_command){.kind = AMM_COMMAND_CLOSE, .reason = AMM_CLOSE_KICKED, .text = "out"});
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
    lab_settle(lab);
    expect_closed(AMM_CLOSE_EXIT, AMM_CLOSE_KICKED);
    assert_true(lab_event(lab, AMM_EVENT_CLOSED)->was_joined);
    lab_command(lab, &session, (struct amm_command){.kind = AMM_COMMAND_CLOSE});
    lab_settle(lab);
    assert_int_equal(lab_count(lab, AMM_EVENT_CLOSED), 1);
}

static void commands_to_a_former_session_do_not_reach_the_next(void **state)
{
    (void)state;
    struct amm_session_ref former = join(0);
    struct amm_command close = {.kind = AMM_COMMAND_CLOSE, .reason = AMM_CLOSE_KICKED};
    lab_command(lab, &former, close);
    lab_settle(lab);
    struct amm_session_ref next = join(0);
    assert_int_equal(next.index, former.index);
    lab_command(lab, &former, close);
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    next.thread++;
    lab_command(lab, &next, close);
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
}

static void an_established_client_is_told_in_words(void **state)
{
    (void)state;
    struct amm_session_ref session = join(0);
    lab_command(lab, &session,
                (struct amm_command){.kind = AMM_COMMAND_CLOSE,
                                     .reason = AMM_CLOSE_RESTART,
                                     .refusal = AMM_REFUSE_NEXT_REMOTE,
                                     .text = "moving house"});
    lab_run(lab, 4 * AMM_SECOND);
    expect_closed(AMM_CLOSE_REFUSED, AMM_CLOSE_RESTART);
    const struct amm_event *event = lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED);
    assert_string_equal(event->text, "moving house");
    assert_true(event->try_next_remote);
    assert_false(event->is_final);
}

static void words_that_nobody_hears_end_after_three_seconds(void **state)
{
    (void)state;
    struct amm_session_ref session = join(0);
    lab->filter = lose_all;
    lab_command(lab, &session,
                (struct amm_command){
                    .kind = AMM_COMMAND_CLOSE, .reason = AMM_CLOSE_RESTART, .text = "hello?"});
    lab_run(lab, 3500 * AMM_MILLISECOND);
    expect_closed(AMM_CLOSE_EXIT, AMM_CLOSE_RESTART);
}

static void a_client_that_leaves_is_gone_at_once(void **state)
{
    (void)state;
    join(0);
    amm_client_leave(lab->clients[0].client, lab->now);
    lab_settle(lab);
    expect_closed(AMM_CLOSE_KICKED, AMM_CLOSE_EXIT);
}

static bool lose_everything(struct lab *l, struct lab_packet *packet)
{
    (void)l;
    (void)packet;
    return false;
}

static void silence_ends_both_sides(void **state)
{
    (void)state;
    join(0);
    lab->filter = lose_everything;
    lab_run(lab, 62 * AMM_SECOND);
    assert_non_null(lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED));
    assert_null(lab_event(lab, AMM_EVENT_CLOSED)); /* the server waits twice as long */
    lab_run(lab, 60 * AMM_SECOND);
    expect_closed(AMM_CLOSE_SILENT, AMM_CLOSE_SILENT);
}

static void a_client_that_moves_keeps_its_session(void **state)
{
    (void)state;
    join(0);
    lab->clients[0].path.remote.port = 9;
    lab->now.mono += 2 * AMM_SECOND;
    assert_true(lab_ping(lab, 0));
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 3 * AMM_SECOND);
    expect_renewed(1);
    assert_int_equal(lab_event(lab, AMM_EVENT_RENEWED)->path.remote.port, 9);
}

static void a_control_packet_alone_does_not_move_a_session(void **state)
{
    (void)state;
    struct amm_session_ref session = join(0);
    lab->clients[0].path.remote.port = 9;
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_settle(lab); /* taken, but the answers go to the old address */
    assert_int_equal(amm_engine_negotiating(lab->engine), 1);
    assert_int_equal(lab_count(lab, AMM_EVENT_RENEWED), 0);
    lab_command(lab, &session,
                (struct amm_command){.kind = AMM_COMMAND_CLOSE, .reason = AMM_CLOSE_KICKED});
    lab_settle(lab);
    assert_int_equal(lab_event(lab, AMM_EVENT_CLOSED)->path.remote.port, 5000);
}

/* ---- the process ends, the memory stays ---- */

static void established_sessions_outlive_the_process(void **state)
{
    (void)state;
    for (int wrap = 0; wrap < LAB_WRAPS; wrap++) {
        lab_stop(lab);
        lab_start(lab, &(struct lab_settings){.wrap = (enum lab_wrap)wrap,
                                              .change_server = with_fast_renewals});
        join(0);
        struct amm_session_ref session = join(1);
        for (unsigned i = 1; i <= 3; i++) {
            lab_restart_server(lab); /* within the same second: the wrap's time must still grow */
            assert_int_equal(amm_engine_sessions(lab->engine), 2);
            lab_command(lab, &session, (struct amm_command){.kind = AMM_COMMAND_RENEGOTIATE});
            amm_client_renegotiate(lab->clients[0].client, lab->now);
            lab_run(lab, 3 * AMM_SECOND);
            assert_int_equal(lab_count(lab, AMM_EVENT_RENEWED), 2 * i);
            assert_true(lab_ping(lab, 0));
            assert_true(lab_ping(lab, 1));
        }
    }
}

static void the_time_of_wraps_grows_with_each_process(void **state)
{
    (void)state;
    struct amm_session_ref session = join(0);
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_settle(lab);
    const struct amm_session *record =
        &((struct session_table *)lab->sessions)->sessions[session.index];
    uint32_t wrap = record->wrap.tx_time, dynamic = record->dynamic.tx_time;
    assert_true(wrap != 0 && dynamic != 0);
    lab_restart_server(lab);
    assert_true(record->wrap.tx_time > wrap);
    assert_true(record->dynamic.tx_time > dynamic);
}

static void half_made_sessions_do_not(void **state)
{
    (void)state;
    join(0);
    lab->hold_verdict = true;
    lab_connect(lab, 1);
    lab_settle(lab);
    assert_int_equal(amm_engine_sessions(lab->engine), 2);
    lab_restart_server(lab);
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    lab->hold_verdict = false;
    lab_forget(lab);
    lab_connect(lab, 1);
    lab_settle(lab);
    lab_expect_joined(lab, 1);
}

static void a_session_between_install_and_join_leaves_no_peer_behind(void **state)
{
    (void)state;
    lab->filter = lose_acknowledgements_after_push;
    lab_connect(lab, 0);
    lab_settle(lab);
    assert_int_equal(amm_plane_live(lab->plane), 1);
    lab_restart_server(lab);
    lab_settle(lab);
    assert_int_equal(amm_plane_live(lab->plane), 0);
}

static void a_torn_record_is_dropped_and_the_others_go_on(void **state)
{
    (void)state;
    join(0);
    struct amm_session_ref session = join(1);
    struct session_table *table = lab->sessions;
    table->sessions[session.index].sequence |= 1;
    lab_restart_server(lab);
    lab_settle(lab);
    assert_int_equal(amm_engine_sessions(lab->engine), 1);
    assert_true(lab_ping(lab, 0));
}

static void memory_of_another_layout_is_not_taken_over(void **state)
{
    (void)state;
    join(0);
    struct session_table *table = lab->sessions;
    table->layout++;
    lab_restart_server(lab);
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
}

int main(void)
{
#define WITH_LAB(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        WITH_LAB(a_refusal_for_good_is_said_in_words),
        WITH_LAB(a_refusal_that_may_heal_says_when_to_come_back),
        WITH_LAB(a_refusal_may_send_to_the_next_remote),
        WITH_LAB(clients_without_a_common_cipher_are_told),
        WITH_LAB(the_first_common_cipher_of_the_server_is_taken),
        WITH_LAB(credentials_reach_the_outside),
        WITH_LAB(nothing_is_pushed_or_installed_before_the_verdict),
        WITH_LAB(a_verdict_that_comes_too_late_does_nothing),
        WITH_LAB(a_verdict_is_given_once),
        WITH_LAB(the_client_learns_nothing_before_the_keys_are_installed),
        WITH_LAB(a_join_survives_loss),
        WITH_LAB(data_proves_that_the_push_reply_has_come),
        WITH_LAB(a_peer_that_the_data_plane_refuses_is_told_to_come_back),
        WITH_LAB(a_restart_from_the_same_port_is_back_at_once),
        WITH_LAB(spoofed_resets_do_not_disturb_a_session),
        WITH_LAB(replayed_control_packets_change_nothing),
        WITH_LAB(the_server_renews_keys),
        WITH_LAB(the_client_renews_keys),
        WITH_LAB(both_sides_may_begin_at_the_same_moment),
        WITH_LAB(keys_are_renewed_by_the_clock),
        WITH_LAB(soft_resets_too_soon_after_another_are_dropped),
        WITH_LAB(a_changed_identity_ends_the_session),
        WITH_LAB(a_changed_user_name_ends_the_session),
        WITH_LAB(a_failed_renewal_leaves_the_old_keys_until_their_time_is_over),
        WITH_LAB(a_renewal_after_a_failed_one_saves_the_session),
        WITH_LAB(resets_that_cross_under_different_key_ids_do_not_wait_for_each_other),
        WITH_LAB(a_renewal_that_a_restart_cut_off_is_planned_again),
        WITH_LAB(a_kick_is_immediate),
        WITH_LAB(commands_to_a_former_session_do_not_reach_the_next),
        WITH_LAB(an_established_client_is_told_in_words),
        WITH_LAB(words_that_nobody_hears_end_after_three_seconds),
        WITH_LAB(a_client_that_leaves_is_gone_at_once),
        WITH_LAB(silence_ends_both_sides),
        WITH_LAB(a_client_that_moves_keeps_its_session),
        WITH_LAB(a_control_packet_alone_does_not_move_a_session),
        WITH_LAB(established_sessions_outlive_the_process),
        WITH_LAB(the_time_of_wraps_grows_with_each_process),
        WITH_LAB(half_made_sessions_do_not),
        WITH_LAB(a_session_between_install_and_join_leaves_no_peer_behind),
        WITH_LAB(a_torn_record_is_dropped_and_the_others_go_on),
        WITH_LAB(memory_of_another_layout_is_not_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
