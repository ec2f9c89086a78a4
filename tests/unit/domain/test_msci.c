/* domain/msci.h */
#include "domain/msci.h"

#include "domain/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool from_text(uint32_t id, const char *text, struct amm_msci_value *value,
                      char error[AMM_MSCI_ERROR])
{
    const struct amm_msci *msci = amm_msci_find(id);
    assert_non_null(msci);
    error[0] = '\0';
    return amm_msci_from_text(msci, amm_view_str(text), value, error);
}

static void the_table_is_in_order_and_complete(void **state)
{
    (void)state;
    uint32_t last = 0;
    for (size_t i = 0; i < amm_msci_count(); i++) {
        const struct amm_msci *m = amm_msci_at(i);
        struct amm_msci_value initial, again;
        char error[AMM_MSCI_ERROR];
        assert_true(m->id > last);
        last = m->id;
        assert_true(m->name && m->noun && m->tab && m->section && m->help);
        assert_ptr_equal(amm_msci_find(m->id), m);
        assert_ptr_equal(amm_msci_find_name(amm_view_str(m->name)), m);
        assert_true(m->access == AMM_MSCI_READ_ONLY || m->initial != NULL);
        if (amm_msci_initial(m, &initial)) { /* is canonical */
            assert_true(amm_msci_from_text(m, amm_view_str(initial.text), &again, error));
            assert_true(amm_msci_value_equal(&initial, &again));
        }
    }
    assert_null(amm_msci_at(amm_msci_count()));
    assert_null(amm_msci_find(0));
    assert_null(amm_msci_find(UINT32_MAX));
    assert_null(amm_msci_find(10035));
}

static void the_public_numbers_are_what_they_are(void **state)
{
    (void)state;
    struct amm_msci_value value;
    assert_int_equal(AMM_MSCI_TUNNEL_PORT, 10034);
    assert_int_equal(AMM_MSCI_HTTPS_PORT, 1172);
    assert_true(amm_msci_initial(amm_msci_find(10034), &value));
    assert_string_equal(value.text, "1190");
    assert_true(amm_msci_initial(amm_msci_find(1172), &value));
    assert_string_equal(value.text, "9443");
    assert_true(amm_msci_initial(amm_msci_find(AMM_MSCI_TUNNEL), &value));
    assert_string_equal(value.text, "Disable");
    assert_false(amm_msci_initial(amm_msci_find(AMM_MSCI_RSSI), &value));
}

static void words_find_parameters(void **state)
{
    (void)state;
    assert_int_equal(amm_msci_find_word(amm_view_str(" 10034 "))->id, 10034);
    assert_int_equal(amm_msci_find_word(amm_view_str("amm management tunnel port"))->id, 10034);
    assert_null(amm_msci_find_word(amm_view_str("010034")));
    assert_null(amm_msci_find_word(amm_view_str("-10034")));
    assert_null(amm_msci_find_word(amm_view_str("4294977330"))); /* 2^32 + 10034 */
    assert_null(amm_msci_find_word(amm_view_str("")));
    assert_null(amm_msci_find_word(amm_view_str("AMM Management Tunnel Por")));
}

static void values_become_canonical(void **state)
{
    (void)state;
    static const struct {
        uint32_t id;
        const char *text, *canonical;
    } good[] = {
        {10034, "1193", "1193"},
        {10034, "\t1190 ", "1190"},
        {60001, "enable", "Enable"},
        {60003, "60", "60"},
        {60003, "86400", "86400"},
        {267, "-40", "-40"},
        {902, "48.137154", "48.137154"},
        {902, "48.10", "48.1"},
        {902, "-0.000", "0"},
        {902, "-90", "-90"},
        {903, "180.000000", "180"},
        {1154, "Bus 1047 – Königstraße 🚌", "Bus 1047 – Königstraße 🚌"},
        {1154, "", ""},
        {60002, "", ""},
        {60002, "amm.example.net", "https://amm.example.net:8443"},
        {60002, "HTTPS://AMM.Example.NET:443/", "https://amm.example.net:443"},
        {60002, "192.0.2.1", "https://192.0.2.1:8443"},
        {60002, "https://[2001:DB8::1]", "https://[2001:db8::1]:8443"},
        {60005, "", ""},
        {60005, "a.example; B.example,,192.0.2.7 2001:0db8::7",
         "a.example, b.example, 192.0.2.7, 2001:db8::7"},
        {301, "100.64.0.1", "100.64.0.1"},
        {60010, "192.168.13.31/24", "192.168.13.31/24"},
        {60010, "10.0.0.1/0", "10.0.0.1/0"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct amm_msci_value value;
        char error[AMM_MSCI_ERROR];
        bool ok = from_text(good[i].id, good[i].text, &value, error);
        if (!ok) {
            fail_msg("%s", error);
        }
        assert_string_equal(value.text, good[i].canonical);
    }
}

static void what_is_wrong_is_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        uint32_t id;
        const char *text, *error;
    } bad[] = {
        {10034, "1194", "10034: 1194 is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "", "10034: an empty value is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "01191", "10034: 01191 is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "+1191", "10034: +1191 is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "1191.0", "10034: 1191.0 is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "0x4a7", "10034: 0x4a7 is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "1191\n1192",
         "10034: 1191_1192 is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {60001, "on", "60001: on is no state of the tunnel. Allowed: Disable, Enable."},
        {60001, "Enable|", "60001: Enable| is no state of the tunnel. Allowed: Disable, Enable."},
        {60003, "59", "60003: 59 is no check-in interval. Allowed: 60 to 86400 s."},
        {60003, "18446744073709551676",
         "60003: 18446744073709551676 is no check-in interval. Allowed: 60 to 86400 s."},
        {902, "90.000001", "902: 90.000001 is no latitude. Allowed: -90 to 90 °."},
        {902, "1.1234567", "902: 1.1234567 is no latitude. Allowed: -90 to 90 °."},
        {902, ".5", "902: .5 is no latitude. Allowed: -90 to 90 °."},
        {902, "5.", "902: 5. is no latitude. Allowed: -90 to 90 °."},
        {902, "1e1", "902: 1e1 is no latitude. Allowed: -90 to 90 °."},
        {902, "-", "902: - is no latitude. Allowed: -90 to 90 °."},
        {60002, "http://amm.example.net",
         "60002: http://amm.example.net is no server URL. Allowed: https://HOST:PORT."},
        {60002, "https://user@amm.example.net",
         "60002: https://user@amm.example.net is no server URL. Allowed: https://HOST:PORT."},
        {60002, "https://amm.example.net/path",
         "60002: https://amm.example.net/path is no server URL. Allowed: https://HOST:PORT."},
        {60002, "https://amm.example.net:0",
         "60002: https://amm.example.net:0 is no server URL. Allowed: https://HOST:PORT."},
        {60002, "https://amm.example.net:65536",
         "60002: https://amm.example.net:65536 is no server URL. Allowed: https://HOST:PORT."},
        {60002, "2001:db8::1", "60002: 2001:db8::1 is no server URL. Allowed: https://HOST:PORT."},
        {60002, "https://", "60002: https:// is no server URL. Allowed: https://HOST:PORT."},
        {60002, "[::1", "60002: [::1 is no server URL. Allowed: https://HOST:PORT."},
        {60002, "https://999.1.1.1",
         "60002: https://999.1.1.1 is no server URL. Allowed: https://HOST:PORT."},
        {60005, "a, b, c, d, e",
         "60005: a, b, c, d, e is no list of NTP servers. Allowed: up to 4 host names or IP "
         "addresses, with commas between."},
        {60005, "-a",
         "60005: -a is no list of NTP servers. Allowed: up to 4 host names or IP addresses, with "
         "commas between."},
        {60005, "a..b",
         "60005: a..b is no list of NTP servers. Allowed: up to 4 host names or IP addresses, with "
         "commas between."},
        {60010, "10.0.0.1/33",
         "60010: 10.0.0.1/33 is no LAN address. Allowed: an IPv4 address with its prefix length, "
         "such as 192.168.13.31/24."},
        {60010, "10.0.0.1",
         "60010: 10.0.0.1 is no LAN address. Allowed: an IPv4 address with its prefix length, such "
         "as 192.168.13.31/24."},
        {1154, "a\x1b[31m",
         "1154: a_[31m is no device name. Allowed: 0 to 64 bytes of text without control "
         "characters."},
        {1154, "a\xff",
         "1154: a_ is no device name. Allowed: 0 to 64 bytes of text without control characters."},
        {1154,
         "a\xe2\x80\xae"
         "b",
         "1154: a_b is no device name. Allowed: 0 to 64 bytes of text without control characters."},
        {1154, "01234567890123456789012345678901234567890123456789012345678901234",
         "1154: 0123456789012345678901234567890123456789… is no device name. Allowed: 0 to 64 "
         "bytes of text without control characters."},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct amm_msci_value value = {"as it was"};
        char error[AMM_MSCI_ERROR];
        assert_false(from_text(bad[i].id, bad[i].text, &value, error));
        assert_string_equal(error, bad[i].error);
        assert_string_equal(value.text, "as it was");
    }
}

static void names_have_their_limits(void **state)
{
    (void)state;
    struct amm_msci_value value;
    char error[AMM_MSCI_ERROR], host[300];
    memset(host, 'a', sizeof host);
    host[63] = '\0';
    assert_true(from_text(60005, host, &value, error));
    host[63] = 'a';
    host[64] = '\0';
    assert_false(from_text(60005, host, &value, error));
    for (size_t i = 0; i < 254; i++) {
        host[i] = i % 2 ? '.' : 'a';
    }
    host[253] = '\0';
    assert_true(from_text(60005, host, &value, error)); /* 253 */
    host[253] = 'a';
    host[254] = '\0';
    assert_false(from_text(60005, host, &value, error));
}

static void a_secret_is_never_quoted(void **state)
{
    (void)state;
    struct amm_msci_value value;
    char error[AMM_MSCI_ERROR], text[AMM_TOKEN_TEXT];
    struct amm_token token = {{1, 2, 3}, {4, 5, 6}};
    const struct amm_msci *msci = amm_msci_find(AMM_MSCI_ENROLMENT_TOKEN);
    assert_false(from_text(60009, "hunter2", &value, error));
    assert_null(strstr(error, "hunter2"));
    assert_string_equal(
        error,
        "60009: this is not an enrolment token. Allowed: amm1 and all that follows, as one text.");
    amm_token_format(text, &token);
    assert_true(from_text(60009, text, &value, error));
    assert_string_equal(value.text, text);
    json_t *json = amm_msci_to_json(msci, &value);
    char *dump = json_dumps(json, JSON_COMPACT);
    assert_string_equal(dump, "{\"set\":true}");
    free(dump);
    json_decref(json);
    text[10] = '!';
    assert_false(from_text(60009, text, &value, error));
}

static void json_goes_both_ways(void **state)
{
    (void)state;
    static const struct {
        uint32_t id;
        const char *json, *text;
    } good[] = {
        {10034, "1191", "1191"},
        {60001, "\"Enable\"", "Enable"},
        {902, "48.137154", "48.137154"},
        {902, "48", "48"},
        {60005, "\"a.example, b.example\"", "a.example, b.example"},
    };
    static const struct {
        uint32_t id;
        const char *json, *error;
    } bad[] = {
        {10034, "1191.5", "10034: a number is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "\"1191\"", "10034: a text is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "null", "10034: null is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "[1191]", "10034: a list is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {10034, "{}", "10034: an object is no tunnel port. Allowed: 1190, 1191, 1192, 1193."},
        {60001, "true", "60001: true is no state of the tunnel. Allowed: Disable, Enable."},
        {60001, "1", "60001: a number is no state of the tunnel. Allowed: Disable, Enable."},
        {902, "1e300", NULL},
    };
    struct amm_msci_value value;
    char error[AMM_MSCI_ERROR];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const struct amm_msci *msci = amm_msci_find(good[i].id);
        json_t *json = json_loads(good[i].json, JSON_DECODE_ANY, NULL);
        assert_true(amm_msci_from_json(msci, json, &value, error));
        assert_string_equal(value.text, good[i].text);
        json_t *back = amm_msci_to_json(msci, &value);
        assert_true(json_number_value(back) == json_number_value(json) || json_equal(back, json));
        json_decref(back);
        json_decref(json);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *json = json_loads(bad[i].json, JSON_DECODE_ANY, NULL);
        assert_false(amm_msci_from_json(amm_msci_find(bad[i].id), json, &value, error));
        if (bad[i].error) {
            assert_string_equal(error, bad[i].error);
        }
        json_decref(json);
    }
    assert_false(amm_msci_from_json(amm_msci_find(10034), NULL, &value, error));
}

static void access_is_judged_by_source(void **state)
{
    (void)state;
    char error[AMM_MSCI_ERROR];
    assert_true(amm_msci_may_set(amm_msci_find(10034), AMM_MSCI_FROM_SERVER, error));
    assert_true(amm_msci_may_set(amm_msci_find(10034), AMM_MSCI_FROM_PAGE, error));
    assert_false(amm_msci_may_set(amm_msci_find(60002), AMM_MSCI_FROM_SERVER, error));
    assert_string_equal(error, "60002: AMM server URL can be set on the gateway's own page only.");
    assert_true(amm_msci_may_set(amm_msci_find(60002), AMM_MSCI_FROM_PAGE, error));
    assert_false(amm_msci_may_set(amm_msci_find(60009), AMM_MSCI_FROM_SERVER, error));
    assert_false(amm_msci_may_set(amm_msci_find(60007), AMM_MSCI_FROM_PAGE, error));
    assert_string_equal(error,
                        "60007: ACEmanager remote access cannot be set: the gateway reports it.");
    assert_false(amm_msci_may_set(amm_msci_find(261), AMM_MSCI_FROM_SERVER, error));
}

static void numbers_and_choices_are_numbers(void **state)
{
    (void)state;
    struct amm_msci_value value;
    char error[AMM_MSCI_ERROR], word[16];
    const struct amm_msci *tunnel = amm_msci_find(AMM_MSCI_TUNNEL);
    assert_true(from_text(60001, "Enable", &value, error));
    assert_int_equal(amm_msci_value_number(tunnel, &value), 1);
    assert_true(from_text(10034, "1192", &value, error));
    assert_int_equal(amm_msci_value_number(amm_msci_find(10034), &value), 1192);
    assert_true(amm_msci_choice(tunnel, 1, word, sizeof word));
    assert_string_equal(word, "Enable");
    assert_false(amm_msci_choice(tunnel, 2, word, sizeof word));
    assert_false(amm_msci_choice(amm_msci_find(10034), 0, word, sizeof word));
}

static void the_page_is_what_the_program_prints(void **state)
{
    (void)state;
    static char made[32768], written[32768];
    assert_true(amm_msci_markdown(made, sizeof made - 1) > 0);
    assert_int_equal(amm_msci_markdown(written, 100), 0);
    memset(written, 0, sizeof written);
    FILE *file = fopen(AMM_DOC "/msci.md", "r");
    assert_non_null(file);
    written[fread(written, 1, sizeof written - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(made, written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_in_order_and_complete),
        cmocka_unit_test(the_public_numbers_are_what_they_are),
        cmocka_unit_test(words_find_parameters),
        cmocka_unit_test(values_become_canonical),
        cmocka_unit_test(what_is_wrong_is_refused_in_words),
        cmocka_unit_test(names_have_their_limits),
        cmocka_unit_test(a_secret_is_never_quoted),
        cmocka_unit_test(json_goes_both_ways),
        cmocka_unit_test(access_is_judged_by_source),
        cmocka_unit_test(numbers_and_choices_are_numbers),
        cmocka_unit_test(the_page_is_what_the_program_prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
