/* src/acemanager/facts.h, config.h, and the helper's messages */
#include "config.h"
#include "facts.h"
#include "helper.h"

#include "io/unix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool parse(struct ace_facts *f, const char *text, char error[256])
{
    assert_true(ace_facts_init(f));
    return ace_facts_modem_parse(f, amm_view_str(text), 5, 0, error, 256);
}

static void values_of_the_modem_are_taken_as_far_as_they_are_legal(void **state)
{
    (void)state;
    struct ace_facts f;
    char error[256];
    assert_true(parse(&f,
                      "{\"stats\": {\"CellLink-RSSI\": -71, \"CellLink-ICCID\": 5, \"a/b\": 1,"
                      " \"GPS Location-latitude\": 52.5},"
                      " \"parameters\": {\"261\": -71, \"10034\": 1191, \"x\": 1, \"902\": 99999},"
                      " \"time\": 1793500000, \"time-source\": \"gps\"}",
                      error));
    assert_int_equal(json_object_size(f.stats), 2);
    assert_int_equal(f.n_reports, 1);
    assert_string_equal(f.reports[0].text, "-71");
    assert_int_equal(f.time_source, AMM_CLOCK_GPS);
    assert_int_equal(f.time, 1793500005); /* the file is five seconds old */
    ace_facts_deinit(&f);
    assert_true(parse(&f, "{\"time\": \"now\"}", error));
    assert_int_equal(f.time_source, AMM_CLOCK_NONE);
    ace_facts_deinit(&f);
    assert_false(parse(&f, "[", error));
    ace_facts_deinit(&f);
    assert_false(parse(&f, "[1]", error));
    ace_facts_deinit(&f);
}

static void interfaces_are_named_or_begun(void **state)
{
    (void)state;
    assert_true(ace_facts_match("br-lan lan*", "br-lan"));
    assert_true(ace_facts_match("br-lan, lan*", "lan3"));
    assert_false(ace_facts_match("br-lan lan*", "br-lan2"));
    assert_false(ace_facts_match("br-lan lan*", "wlan0"));
    assert_false(ace_facts_match("", "eth0"));
    assert_true(ace_facts_match("*", "eth0"));
}

static void linux_tells_what_it_has(void **state)
{
    (void)state;
    struct ace_facts f;
    char boot[37];
    const struct ace_linux settings = {"none", "Virtual gateway", "amm0 amm1"};
    assert_true(ace_facts_init(&f));
    ace_facts_linux(&f, &settings);
    assert_int_equal(f.n_listens, 0); /* nothing is LAN unless it is said */
    assert_string_equal(json_string_value(json_object_get(f.stats, "Platform")), "Virtual gateway");
    const char *name;
    json_t *value;
    json_object_foreach(f.stats, name, value)
    {
        assert_null(amm_stat_objection(name, value));
    }
    ace_facts_deinit(&f);
    ace_boot_id(boot);
    assert_int_equal(strlen(boot), 36);
}

static bool conf(const char *text, struct ace_config *out, char error[AMM_CONF_ERROR])
{
    return ace_config_parse(out, "acemanager.conf", amm_view_str(text), error);
}

static void a_reboot_command_is_words_not_a_shell(void **state)
{
    (void)state;
    struct ace_config c;
    const char *argv[ACE_ARGUMENTS + 1];
    char error[AMM_CONF_ERROR], words[AMM_CONF_TEXT];
    assert_true(conf("reboot-command = /sbin/shutdown -r  now; rm\n", &c, error));
    assert_int_equal(ace_config_reboot(&c, words, argv), 4);
    assert_string_equal(argv[0], "/sbin/shutdown");
    assert_string_equal(argv[2], "now;");
    assert_null(argv[4]);
    assert_true(conf("reboot-command = restart\n", &c, error));
    assert_false(conf("reboot-command = reboot\n", &c, error));
    assert_false(conf("reboot-command = /a 1 2 3 4 5 6 7 8\n", &c, error));
    assert_false(conf("tun = a/b\n", &c, error));
    assert_false(conf("serial = a:b\n", &c, error));
    assert_non_null(strstr(error, "acemanager.conf:1: serial"));
    assert_true(conf("", &c, error)); /* everything has a default */
    assert_true(c.set_clock);
}

static void orders_and_notices_come_as_they_went(void **state)
{
    (void)state;
    int ends[2];
    uint8_t packet[64];
    size_t len, none = 0;
    struct ace_order order;
    struct ace_notice notice;
    assert_true(amm_unix_pair(ends));
    assert_int_equal(ace_helper_receive(ends[1], &notice), ACE_HELPER_NOTHING);
    assert_true(ace_helper_send(ends[0], &(struct ace_order){ACE_ORDER_CLOCK, 1, -1500}));
    assert_int_equal(
        amm_unix_receive(ends[1], (struct amm_span){packet, sizeof packet}, &len, NULL, &none),
        AMM_UNIX_OK);
    assert_true(ace_order_decode(&order, amm_view(packet, len)));
    assert_int_equal(order.value, -1500);
    assert_false(ace_order_decode(&order, amm_view(packet, len - 1)));
    packet[0] = ACE_ORDERS;
    assert_false(ace_order_decode(&order, amm_view(packet, len)));
    packet[0] = ACE_ORDER_START;
    packet[1] = ACE_SLOTS;
    assert_false(ace_order_decode(&order, amm_view(packet, len)));
    assert_true(ace_notice_send(ends[0], &(struct ace_notice){.kind = ACE_NOTICE_REFUSED,
                                                              .slot = ACE_ORDER_REBOOT,
                                                              .text = "no\n"}));
    assert_int_equal(ace_helper_receive(ends[1], &notice), ACE_HELPER_OK);
    assert_string_equal(notice.text, "no_");
    close(ends[0]);
    assert_int_equal(ace_helper_receive(ends[1], &notice), ACE_HELPER_GONE);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_the_modem_are_taken_as_far_as_they_are_legal),
        cmocka_unit_test(interfaces_are_named_or_begun),
        cmocka_unit_test(linux_tells_what_it_has),
        cmocka_unit_test(a_reboot_command_is_words_not_a_shell),
        cmocka_unit_test(orders_and_notices_come_as_they_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
