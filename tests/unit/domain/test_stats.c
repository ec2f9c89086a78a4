/* domain/stats.h */
#include "domain/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *judge(const char *name, const char *json)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    const char *why = amm_stat_objection(name, value);
    json_decref(value);
    return why;
}

static void good_values_are_taken(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"CellLink-RSSI", "-71"},
        {"CellLink-RSSI", "-71.5"},
        {"CellLink-RSSI", "null"},
        {"AssetTemperature", "{\"dock\": 21.5, \"bay 2\": -4}"},
        {"SoftwareVersion", "\"1.2.3\""},
        {"GPS_enabled", "true"},
        {"WiFiLink-IPAddress", "\"192.0.2.1\""},
        {"WiFiLink-IPAddress", "\"2001:db8::1\""},
        {"LAN-Prefixes", "\"192.168.1.0/24 fd00::/8\""},
        {"LAN-Prefixes", "\"\""},
        {"Customer.Own stat_1", "\"\\u00e4nything\""},
        {"Customer.Own stat_1", "{\"a\": true}"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_null(judge(good[i][0], good[i][1]));
    }
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"CellLink-RSSI", "\"-71\"", "not a number"},
        {"CellLink-RSSI", "{\"a\": 1}", "has labels, but this stat has none"},
        {"AssetTemperature", "21", "has no labels"},
        {"AssetTemperature", "{\"dock\": \"warm\"}", "not a number"},
        {"AssetTemperature", "{\"a<b\": 1}", "has a label of other characters"},
        {"GPS_enabled", "1", "neither true nor false"},
        {"WiFiLink-IPAddress", "\"192.0.2.1:80\"", "not an IP address"},
        {"WiFiLink-IPAddress", "\"[2001:db8::1]:80\"", "not an IP address"},
        {"WiFiLink-IPAddress", "\"\"", "not an IP address"},
        {"LAN-Prefixes", "\"192.168.1.0/33\"", "not a list of networks such as 192.168.1.0/24"},
        {"LAN-Prefixes", "\"192.168.1.0/24 \"", "not a list of networks such as 192.168.1.0/24"},
        {"LAN-Prefixes", "\"192.168.1.0\"", "not a list of networks such as 192.168.1.0/24"},
        {"SoftwareVersion", "\"a\\nb\"",
         "not a text of at most 256 characters without control characters"},
        {"Own", "[1]", "neither number, text, true nor false"},
        {"Own", "{\"a\": {\"b\": 1}}", "neither number, text, true nor false"},
        {"a/b", "1", "not a name: 1 to 64 letters, digits, '-', '_', '.', blank"},
        {"", "1", "not a name: 1 to 64 letters, digits, '-', '_', '.', blank"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_string_equal(judge(bad[i][0], bad[i][1]), bad[i][2]);
    }
}

static void texts_are_counted_in_characters(void **state)
{
    (void)state;
    char text[1024] = "";
    for (unsigned i = 0; i < AMM_STAT_TEXT_MAX; i++) {
        strcat(text, "\xc3\xa4");
    }
    assert_true(amm_text_ok(text, AMM_STAT_TEXT_MAX, false));
    strcat(text, "a");
    assert_false(amm_text_ok(text, AMM_STAT_TEXT_MAX, false));
    static const char *const bad[] = {"\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80",
                                      "\x80",     "\xe2\x82",     "\x7f",
                                      "\xc2\x85", "a\tb",         ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(amm_text_ok(bad[i], 64, false));
    }
}

static void documentation_is_the_table(void **state)
{
    (void)state;
    static char made[32768], written[32768];
    assert_true(amm_stats_markdown(made, sizeof made));
    assert_false(amm_stats_markdown(written, 100));
    FILE *file = fopen(AMM_DOC "/stats.md", "r");
    assert_non_null(file);
    written[fread(written, 1, sizeof written - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(made, written);
}

static void every_row_has_a_legal_name_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < amm_stats_count; i++) {
        assert_true(amm_stat_name_ok(amm_stats[i].name));
        assert_ptr_equal(amm_stat_find(amm_stats[i].name), &amm_stats[i]);
        assert_true(!amm_stats[i].history || amm_stats[i].type == AMM_STAT_NUMBER);
    }
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) { /* writes the file anew */
        static char made[32768];
        return amm_stats_markdown(made, sizeof made) && fputs(made, stdout) >= 0 ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values_are_taken),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(texts_are_counted_in_characters),
        cmocka_unit_test(documentation_is_the_table),
        cmocka_unit_test(every_row_has_a_legal_name_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
