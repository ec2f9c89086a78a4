/* What a gateway with good credentials, or a stranger with patience, must not be able to do. */
#include "lab.h"

#include "engine_state.h"

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

static struct amm_session *join(void)
{
    lab_connect(lab, 0);
    lab_settle(lab);
    lab_expect_joined(lab, 0);
    return &lab->engine->sessions[lab->events[lab->n_events - 1].session.index];
}

static void expect_nothing_left(void)
{
    assert_int_equal(amm_engine_sessions(lab->engine), 0);
    assert_int_equal(amm_plane_live(lab->plane), 0);
    assert_int_equal(lab_count(lab, AMM_EVENT_CLOSED), 1);
    assert_int_equal(lab_event(lab, AMM_EVENT_CLOSED)->reason, AMM_CLOSE_PROTOCOL);
}

/* ---- renewals that are refused ---- */

static bool client_falls_silent_when_refused(struct lab *l, struct lab_packet *packet)
{
    const struct negotiation *n = l->engine->runtime[l->counter].negotiation;
    return !packet->to_server || n == NULL || n->step != STEP_REFUSE;
}

static void a_changed_identity_ends_the_session_of_a_client_that_does_not_listen(void **state)
{
    (void)state;
    lab->counter = session_index(lab->engine, join());
    amm_fake_tls_rename(lab->clients[0].tls, "gw-0", 999);
    lab->filter = client_falls_silent_when_refused;
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 70 * AMM_SECOND);
    expect_nothing_left();
}

/* The data plane refuses keys whose id it sends with already: a client that first leaves a renewal
 * unfinished and then uses its keys comes there at will. */
static void refuse_the_next_install(void)
{
    const struct amm_session *session = join();
    lab->hold_plane = true;
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_settle(lab);
    assert_int_equal(lab->n_held, 1);
    assert_int_equal(lab->held[0].op, AMM_PLANE_INSTALL);
    lab->n_held = 0;
    lab->hold_plane = false;
    struct amm_command refused = {.kind = AMM_COMMAND_NOTE,
                                  .note = {.kind = AMM_NOTE_REFUSED,
                                           .key_id = 1,
                                           .session = amm_engine_ref(lab->engine, session)}};
    amm_engine_command(lab->engine, lab->now, &refused);
}

static void a_renewal_that_the_data_plane_refuses_leaves_no_peer_behind(void **state)
{
    (void)state;
    refuse_the_next_install();
    lab_run(lab, 5 * AMM_SECOND);
    expect_nothing_left();
    assert_int_equal(lab_client_event(&lab->clients[0], AMM_EVENT_CLOSED)->reason,
                     AMM_CLOSE_REFUSED);
}

static bool lose_all(struct lab *l, struct lab_packet *packet)
{
    (void)l;
    (void)packet;
    return false;
}

static void a_refused_renewal_that_nobody_hears_leaves_no_session_behind(void **state)
{
    (void)state;
    refuse_the_next_install();
    lab->filter = lose_all;
    lab_run(lab, 70 * AMM_SECOND);
    expect_nothing_left();
}

static void keys_whose_time_ended_while_no_process_ran_are_not_used_on(void **state)
{
    (void)state;
    struct amm_session *session = join();
    session->keys_expire = lab->now.mono + AMM_SECOND;
    lab->now.mono += 2 * AMM_SECOND;
    lab_restart_server(lab);
    lab_run(lab, AMM_SECOND);
    expect_nothing_left();
}

/* Revocation goes by the serial number: what counts is the certificate that was shown last. */
static void a_newer_certificate_of_the_same_key_is_the_one_that_can_be_revoked(void **state)
{
    (void)state;
    struct amm_session *session = join();
    struct amm_identity shown = session->identity;
    session->identity.serial[19] ^= 1;
    amm_client_renegotiate(lab->clients[0].client, lab->now);
    lab_run(lab, 5 * AMM_SECOND);
    assert_int_equal(lab_count(lab, AMM_EVENT_RENEWED), 1);
    assert_memory_equal(session->identity.serial, shown.serial, sizeof shown.serial);
}

/* ---- secrets ---- */

static void no_password_stays_in_memory_after_a_login(void **state)
{
    (void)state;
    join();
    assert_null(memmem(lab->engine->record, sizeof lab->engine->record, "secret", 6));
}

int main(void)
{
#define WITH_LAB(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        WITH_LAB(a_changed_identity_ends_the_session_of_a_client_that_does_not_listen),
        WITH_LAB(a_renewal_that_the_data_plane_refuses_leaves_no_peer_behind),
        WITH_LAB(a_refused_renewal_that_nobody_hears_leaves_no_session_behind),
        WITH_LAB(a_newer_certificate_of_the_same_key_is_the_one_that_can_be_revoked),
        WITH_LAB(no_password_stays_in_memory_after_a_login),
        WITH_LAB(keys_whose_time_ended_while_no_process_ran_are_not_used_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
