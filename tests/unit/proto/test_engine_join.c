#include "lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void join_with(const struct lab_settings *settings)
{
    struct lab *lab = malloc(sizeof *lab);
    lab_start(lab, settings);
    lab_connect(lab, 0);
    lab_connect(lab, 1);
    lab_settle(lab);
    lab_expect_joined(lab, 0);
    lab_expect_joined(lab, 1);
    lab_run(lab, 30 * AMM_SECOND);
    assert_true(lab_ping(lab, 0));
    assert_int_equal(amm_engine_negotiating(lab->engine), 0);
    assert_int_equal(amm_engine_sessions(lab->engine), 2);
    assert_int_equal(amm_fake_tls_stats(lab->tls).live, 0);
    lab_stop(lab);
    free(lab);
}

static void clients_join_in_every_wrap_over_udp(void **state)
{
    (void)state;
    for (int wrap = 0; wrap < LAB_WRAPS; wrap++) {
        join_with(&(struct lab_settings){.wrap = (enum lab_wrap)wrap});
    }
}

static void clients_join_in_every_wrap_over_tcp(void **state)
{
    (void)state;
    for (int wrap = 0; wrap < LAB_WRAPS; wrap++) {
        join_with(&(struct lab_settings){.wrap = (enum lab_wrap)wrap, .transport = AMM_TCP});
    }
}

static void without_exporter(struct amm_engine_config *config)
{
    config->exporter = false;
}

static void without_dynamic_wrap(struct amm_engine_config *config)
{
    config->dynamic_tls_crypt = false;
}

static void keys_are_made_by_the_prf_where_a_side_has_no_exporter(void **state)
{
    (void)state;
    join_with(&(struct lab_settings){.wrap = LAB_CRYPT, .change_server = without_exporter});
    join_with(&(struct lab_settings){.wrap = LAB_CRYPT, .change_client = without_exporter});
}

static void clients_without_the_dynamic_wrap_join(void **state)
{
    (void)state;
    join_with(&(struct lab_settings){.wrap = LAB_CRYPT, .change_client = without_dynamic_wrap});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_join_in_every_wrap_over_udp),
        cmocka_unit_test(clients_join_in_every_wrap_over_tcp),
        cmocka_unit_test(keys_are_made_by_the_prf_where_a_side_has_no_exporter),
        cmocka_unit_test(clients_without_the_dynamic_wrap_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
