/* src/acemanager/parameters.h */
#include "parameters.h"

#include "power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct power power;
    char path[ACE_PATH], error[ACE_PATH + 96];
    struct ace_parameters *p;
};

static struct world w;

static void reopen(uint32_t boot)
{
    ace_parameters_free(w.p);
    w.p = ace_parameters_open(&w.power.files, w.path, boot, w.error, sizeof w.error);
    assert_non_null(w.p);
}

static void begin(uint64_t seed)
{
    w = (struct world){0};
    power_init(&w.power, seed);
    power_path(&w.power, "parameters", w.path);
    reopen(1);
}

static void end(void)
{
    w.p = ace_parameters_free(w.p);
    power_deinit(&w.power);
}

static struct ace_objection objection;

static bool change(uint32_t id, const char *text)
{
    const struct ace_setting setting = {id, amm_view_str(text)};
    return ace_parameters_change(w.p, &setting, 1, 1793500000, "user", &objection);
}

static enum ace_desired take(int64_t revision, const char *json, bool again)
{
    json_t *set = json_loads(json, 0, NULL);
    assert_non_null(set);
    enum ace_desired desired =
        ace_parameters_take(w.p, revision, set, again, 1793500001, w.error, sizeof w.error);
    json_decref(set);
    return desired;
}

static const char *pending(uint32_t id)
{
    struct ace_parameter out;
    assert_true(ace_parameters_get(w.p, id, &out));
    return out.pending;
}

static void what_needs_a_reboot_waits_for_it(void **state)
{
    (void)state;
    begin(1);
    assert_true(change(AMM_MSCI_TUNNEL, "enable"));
    assert_true(change(AMM_MSCI_CHECK_IN_INTERVAL, "600"));
    assert_string_equal(ace_parameters_text(w.p, AMM_MSCI_TUNNEL), "Disable");
    assert_string_equal(pending(AMM_MSCI_TUNNEL), "Enable");
    assert_int_equal(ace_parameters_number(w.p, AMM_MSCI_CHECK_IN_INTERVAL), 600);
    assert_int_equal(ace_parameters_waiting(w.p), 1);
    reopen(1); /* the program, not the gateway */
    assert_string_equal(ace_parameters_text(w.p, AMM_MSCI_TUNNEL), "Disable");
    reopen(2);
    assert_string_equal(ace_parameters_text(w.p, AMM_MSCI_TUNNEL), "Enable");
    assert_int_equal(ace_parameters_waiting(w.p), 0);
    struct ace_parameter out;
    assert_true(ace_parameters_get(w.p, AMM_MSCI_TUNNEL, &out));
    assert_string_equal(out.by, "user");
    assert_int_equal(out.at, 1793500000);
    end();
}

static void activate_now_does_without_a_reboot(void **state)
{
    (void)state;
    begin(2);
    assert_true(change(AMM_MSCI_TUNNEL_PORT, "1192"));
    assert_true(ace_parameters_activate(w.p, w.error, sizeof w.error));
    assert_int_equal(ace_parameters_number(w.p, AMM_MSCI_TUNNEL_PORT), 1192);
    assert_null(pending(AMM_MSCI_TUNNEL_PORT));
    /* Back to what is in force before a reboot: nothing waits. */
    assert_true(change(AMM_MSCI_TUNNEL_PORT, "1193"));
    assert_true(change(AMM_MSCI_TUNNEL_PORT, "1192"));
    assert_null(pending(AMM_MSCI_TUNNEL_PORT));
    end();
}

static void a_form_is_taken_whole_or_not_at_all(void **state)
{
    (void)state;
    begin(3);
    const struct ace_setting form[] = {{AMM_MSCI_DEVICE_NAME, amm_view_str("gate")},
                                       {AMM_MSCI_TUNNEL_PORT, amm_view_str("1194")}};
    assert_false(ace_parameters_change(w.p, form, 2, 1, "user", &objection));
    assert_int_equal(objection.id, AMM_MSCI_TUNNEL_PORT);
    assert_non_null(strstr(objection.text, "10034"));
    assert_string_equal(ace_parameters_text(w.p, AMM_MSCI_DEVICE_NAME), "");
    assert_false(change(AMM_MSCI_REMOTE_ACCESS, "Disabled")); /* read-only */
    assert_int_equal(objection.id, AMM_MSCI_REMOTE_ACCESS);
    assert_false(change(99, "x"));
    end();
}

static void the_server_is_taken_at_once_and_only_forward(void **state)
{
    (void)state;
    begin(4);
    assert_true(change(AMM_MSCI_TUNNEL_PORT, "1191")); /* pending */
    assert_int_equal(take(5, "{\"10034\": 1192, \"60001\": \"Enable\"}", false), ACE_DESIRED_TAKEN);
    assert_int_equal(ace_parameters_number(w.p, AMM_MSCI_TUNNEL_PORT), 1192);
    assert_null(pending(AMM_MSCI_TUNNEL_PORT));
    assert_int_equal(take(5, "{\"10034\": 1193}", false), ACE_DESIRED_OLD);
    assert_int_equal(take(4, "{\"10034\": 1193}", false), ACE_DESIRED_OLD);
    assert_int_equal(take(6, "{\"10034\": 1193, \"60002\": \"https://x:1\"}", false),
                     ACE_DESIRED_REFUSED); /* the server may not move the gateway away */
    assert_int_equal(take(6, "{\"10034\": 1193}", false), ACE_DESIRED_OLD); /* said once */
    assert_int_equal(take(7, "{\"4242\": 1}", false), ACE_DESIRED_REFUSED);
    assert_int_equal(ace_parameters_number(w.p, AMM_MSCI_TUNNEL_PORT), 1192);
    assert_int_equal(ace_parameters_revision(w.p), 5);
    assert_int_equal(take(7, "{\"10034\": 1193}", true), ACE_DESIRED_TAKEN);
    reopen(1);
    assert_int_equal(ace_parameters_revision(w.p), 7);
    assert_int_equal(ace_parameters_number(w.p, AMM_MSCI_TUNNEL_PORT), 1193);
    end();
}

static void local_changes_are_told_until_they_are_heard(void **state)
{
    (void)state;
    struct amm_checkin_change out[4];
    uint64_t last;
    begin(5);
    assert_true(change(AMM_MSCI_DEVICE_NAME, "a"));
    assert_true(change(AMM_MSCI_ENROLMENT_TOKEN,
                       "amm1.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    reopen(1);
    assert_int_equal(ace_parameters_changes(w.p, out, 4, &last), 2);
    assert_int_equal(out[0].id, AMM_MSCI_DEVICE_NAME);
    assert_string_equal(json_string_value(out[0].value), "a");
    assert_true(json_is_true(json_object_get(out[1].value, "set"))); /* never the token */
    assert_true(change(AMM_MSCI_DEVICE_NAME, "b"));
    json_decref(out[0].value);
    json_decref(out[1].value);
    ace_parameters_heard(w.p, last);
    assert_int_equal(ace_parameters_changes(w.p, out, 4, &last), 1);
    assert_string_equal(json_string_value(out[0].value), "b");
    json_decref(out[0].value);
    json_t *reported = ace_parameters_reported(w.p);
    assert_true(json_is_true(json_object_get(json_object_get(reported, "60009"), "set")));
    assert_int_equal(json_integer_value(json_object_get(reported, "1172")), 9443);
    json_decref(reported);
    end();
}

static void reports_of_providers_stay_in_memory(void **state)
{
    (void)state;
    begin(6);
    assert_true(ace_parameters_report(w.p, AMM_MSCI_RSSI, "-71"));
    assert_false(ace_parameters_report(w.p, AMM_MSCI_RSSI, "7"));
    assert_false(ace_parameters_report(w.p, AMM_MSCI_TUNNEL_PORT, "1191"));
    assert_int_equal(ace_parameters_number(w.p, AMM_MSCI_RSSI), -71);
    reopen(1);
    assert_string_equal(ace_parameters_text(w.p, AMM_MSCI_RSSI), "");
    end();
}

static void a_reset_keeps_what_leads_to_the_server(void **state)
{
    (void)state;
    const uint32_t keep[] = {AMM_MSCI_SERVER_URL};
    begin(7);
    assert_true(change(AMM_MSCI_SERVER_URL, "https://amm.example.net"));
    assert_true(change(AMM_MSCI_DEVICE_NAME, "x"));
    assert_true(ace_parameters_reset(w.p, keep, 1, w.error, sizeof w.error));
    reopen(1);
    assert_string_equal(ace_parameters_text(w.p, AMM_MSCI_SERVER_URL),
                        "https://amm.example.net:8443");
    assert_string_equal(ace_parameters_text(w.p, AMM_MSCI_DEVICE_NAME), "");
    end();
}

/* Settings of the server and their number are in force together, whatever happens to the disk. */
static void power_cuts_leave_one_of_two_states(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 150; seed++) {
        begin(1000 + seed);
        assert_int_equal(take(1, "{\"10034\": 1191, \"1154\": \"one\"}", false), ACE_DESIRED_TAKEN);
        w.power.count = 0;
        w.power.fault_at = 1 + seed % 12;
        w.power.fault = seed % 2 ? POWER_CUT : POWER_NO_ROOM;
        enum ace_desired desired = take(2, "{\"10034\": 1192, \"1154\": \"two\"}", false);
        bool claimed = desired == ACE_DESIRED_TAKEN;
        if (!claimed) { /* and nothing of it is in force */
            assert_int_equal(ace_parameters_number(w.p, AMM_MSCI_TUNNEL_PORT), 1191);
        }
        if (w.power.is_off) {
            power_restore(&w.power);
        }
        power_repair(&w.power);
        reopen(1);
        bool is_new = ace_parameters_revision(w.p) == 2;
        assert_true(is_new || (!claimed && ace_parameters_revision(w.p) == 1));
        assert_int_equal(ace_parameters_number(w.p, AMM_MSCI_TUNNEL_PORT), is_new ? 1192 : 1191);
        assert_string_equal(ace_parameters_text(w.p, AMM_MSCI_DEVICE_NAME), is_new ? "two" : "one");
        assert_true(change(AMM_MSCI_DEVICE_NAME, "three"));
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_needs_a_reboot_waits_for_it),
        cmocka_unit_test(activate_now_does_without_a_reboot),
        cmocka_unit_test(a_form_is_taken_whole_or_not_at_all),
        cmocka_unit_test(the_server_is_taken_at_once_and_only_forward),
        cmocka_unit_test(local_changes_are_told_until_they_are_heard),
        cmocka_unit_test(reports_of_providers_stay_in_memory),
        cmocka_unit_test(a_reset_keeps_what_leads_to_the_server),
        cmocka_unit_test(power_cuts_leave_one_of_two_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
