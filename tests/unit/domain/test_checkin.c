/* domain/checkin.h */
#include "domain/checkin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct amm_checkin in;
static struct amm_checkin_answer answer;
static struct amm_refusal error;

static bool decode(const char *text)
{
    amm_checkin_deinit(&in);
    return amm_checkin_decode(&in, amm_view_str(text), &error);
}

static bool decode_answer(const char *text)
{
    amm_checkin_answer_deinit(&answer);
    return amm_checkin_answer_decode(&answer, amm_view_str(text), &error);
}

static int free_all(void **state)
{
    (void)state;
    amm_checkin_deinit(&in);
    amm_checkin_answer_deinit(&answer);
    return 0;
}

/* doc/gateway-protocol.md, GP-40 */
static const char whole[] =
    "{\"v\":1,\"seq\":4711,\"base\":\"9f86d081884c7d65\",\"hash\":\"2c26b46b68ffc68f\",\"boot\":12,"
    "\"uptime\":86400,\"time\":1793500000,\"clock\":\"ntp\",\"revision\":7,"
    "\"tunnel\":\"03ac674216f3e15c\","
    "\"changes\":[{\"id\":10034,\"value\":1191,\"at\":1793499000,\"by\":\"user\"}],"
    "\"events\":[{\"id\":331,\"at\":1793498000,\"kind\":\"boot\",\"text\":\"power "
    "on\",\"data\":{}}],"
    "\"results\":[{\"id\":\"01h\",\"state\":\"done\",\"text\":\"\"}],"
    "\"stats\":{\"CellLink-RSSI\":-71,\"AssetTemperature\":{\"dock\":21.5},"
    "\"WiFiLink-IPAddress\":null},\"parameters\":{\"1172\":9443,\"10034\":1190}}";

static void whole_checkin_comes_back_as_it_went(void **state)
{
    (void)state;
    size_t len;
    assert_true(decode(whole));
    assert_int_equal(in.refused.n, 0);
    assert_int_equal(in.seq, 4711);
    assert_int_equal(in.clock, AMM_CLOCK_NTP);
    assert_int_equal(in.event_last, 331);
    assert_int_equal(in.n_changes, 1);
    assert_int_equal(in.changes[0].id, 10034);
    char *text = amm_checkin_encode(&in, &len);
    assert_non_null(text);
    assert_string_equal(text, whole);
    assert_int_equal(len, strlen(whole));
    free(text);
}

static void idle_checkin_says_four_things(void **state)
{
    (void)state;
    size_t len;
    static const char idle[] =
        "{\"v\":1,\"seq\":2,\"base\":\"9f86d081884c7d65\",\"hash\":\"9f86d081884c7d65\"}";
    assert_true(decode(idle));
    assert_false(in.has_boot || in.has_uptime || in.has_time || in.has_revision || in.has_tunnel);
    assert_null(in.stats);
    char *text = amm_checkin_encode(&in, &len);
    assert_string_equal(text, idle);
    free(text);
}

static void a_remote_access_key_is_asked_for_and_told(void **state)
{
    (void)state;
    size_t len;
    static const char ask[] = "{\"v\":1,\"seq\":2,\"base\":\"\",\"hash\":\"9f86d081884c7d65\","
                              "\"remote_access_key\":\"\"}";
    static const char told[] = "{\"time\":1,\"seq\":2,\"remote_access_key\":"
                               "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}";
    static const char *const bad[] = {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", "",
                                      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "x"};
    assert_true(decode(ask));
    assert_true(in.has_remote_key);
    char *text = amm_checkin_encode(&in, &len);
    assert_string_equal(text, ask);
    free(text);
    assert_true(decode_answer(told));
    assert_true(answer.has_remote_key);
    assert_int_equal(answer.remote_key[31], 31);
    text = amm_checkin_answer_encode(&answer, &len);
    assert_string_equal(text, told);
    free(text);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char one[160];
        snprintf(one, sizeof one, "{\"time\":1,\"seq\":2,\"remote_access_key\":\"%s\"}", bad[i]);
        amm_checkin_answer_deinit(&answer);
        assert_false(decode_answer(one));
        assert_string_equal(error.field, "remote_access_key");
    }
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
#define HEAD "\"v\":1,\"seq\":2,\"base\":\"\",\"hash\":\"2c26b46b68ffc68f\""
    static const char *const bad[][2] = {
        {"", ""},
        {"[]", ""},
        {"{", ""},
        {"{\"v\":1,\"v\":1}", ""},
        {"{\"seq\":1}", "v"},
        {"{\"v\":2,\"seq\":1}", "v"},
        {"{\"v\":1}", "seq"},
        {"{\"v\":1,\"seq\":0}", "seq"},
        {"{\"v\":1,\"seq\":-1}", "seq"},
        {"{\"v\":1,\"seq\":1.5}", "seq"},
        {"{\"v\":1,\"seq\":9007199254740993}", "seq"},
        {"{\"v\":1,\"seq\":2,\"base\":\"XX\"}", "base"},
        {"{\"v\":1,\"seq\":2,\"base\":\"\",\"hash\":\"\"}", "hash"},
        {"{\"v\":1,\"seq\":2,\"base\":\"\",\"hash\":\"2C26B46B68FFC68F\"}", "hash"},
        {"{" HEAD ",\"stats\":[]}", "stats"},
        {"{" HEAD ",\"parameters\":7}", "parameters"},
        {"{" HEAD ",\"events\":{}}", "events"},
        {"{" HEAD ",\"boot\":\"x\"}", "boot"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(decode(bad[i][0]));
        assert_string_equal(error.field, bad[i][1]);
        assert_int_not_equal(error.text[0], '\0');
    }
}

static void wrong_parts_are_left_out_by_name(void **state)
{
    (void)state;
    assert_true(decode(
        "{" HEAD ",\"stats\":{\"CellLink-RSSI\":\"x\",\"IMEI\":\"1\",\"a/b\":1},"
        "\"parameters\":{\"0\":1,\"1172\":9443,\"x\":1,\"1154\":[1]},"
        "\"changes\":[{\"id\":1172},{\"id\":1154,\"value\":\"a\",\"at\":1,\"by\":\"u\"}],"
        "\"events\":[{\"id\":7,\"at\":1,\"kind\":\"Bad\"},{\"id\":8,\"at\":1,\"kind\":\"ok\"},"
        "{\"id\":8,\"at\":1,\"kind\":\"twice\"},5],"
        "\"results\":[{\"id\":\"a\",\"state\":\"perhaps\"}]}"));
    static const char *const fields[] = {
        "changes.0.at",        "events.0.kind", "events.2.id",  "events.3.id",  "results.0.state",
        "stats.CellLink-RSSI", "stats.a/b",     "parameters.0", "parameters.x", "parameters.1154"};
    assert_int_equal(in.refused.n, sizeof fields / sizeof fields[0]);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        assert_string_equal(in.refused.at[i].field, fields[i]);
    }
    assert_int_equal(json_object_size(in.stats), 1);
    assert_int_equal(json_object_size(in.parameters), 1);
    assert_int_equal(in.n_changes, 1);
    assert_int_equal(in.n_events, 1);
    assert_int_equal(in.events[0].id, 8);
    assert_int_equal(in.event_last, 8);
}

static void refusals_are_bounded(void **state)
{
    (void)state;
    char text[16384];
    size_t at = (size_t)snprintf(text, sizeof text, "{" HEAD ",\"stats\":{");
    for (unsigned i = 0; i < 300; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s\"s%u\":[]", i ? "," : "", i);
    }
    snprintf(text + at, sizeof text - at, "}}");
    assert_true(decode(text));
    assert_int_equal(in.refused.n, AMM_CHECKIN_REFUSED);
    assert_int_equal(in.refused.more, 300 - AMM_CHECKIN_REFUSED);
}

static void answer_comes_back_as_it_went(void **state)
{
    (void)state;
    size_t len;
    static const char text[] =
        "{\"time\":1793500002,\"seq\":4711,\"events\":331,\"interval\":900,\"full\":true,"
        "\"revision\":8,\"set\":{\"10034\":1191},\"tunnel\":\"03ac674216f3e15c\","
        "\"operations\":[{\"id\":\"01h\",\"kind\":\"reboot\",\"expires\":1793586400,\"args\":{}}],"
        "\"cancelled\":[\"01g\"],"
        "\"refused\":[{\"field\":\"stats.CellLink-RSSI\",\"text\":\"not a number\"}]}";
    assert_true(decode_answer(text));
    assert_int_equal(answer.n_operations, 1);
    assert_string_equal(answer.cancelled[0], "01g");
    char *back = amm_checkin_answer_encode(&answer, &len);
    assert_string_equal(back, text);
    free(back);
    assert_true(decode_answer("{\"time\":1,\"seq\":2,\"future\":[]}"));
    back = amm_checkin_answer_encode(&answer, &len);
    assert_string_equal(back, "{\"time\":1,\"seq\":2}");
    free(back);
}

static void wrong_answers_are_refused_whole(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{}", "time"},
        {"{\"time\":1}", "seq"},
        {"{\"time\":1,\"seq\":2,\"interval\":0}", "interval"},
        {"{\"time\":1,\"seq\":2,\"full\":1}", "full"},
        {"{\"time\":1,\"seq\":2,\"set\":{}}", "revision"},
        {"{\"time\":1,\"seq\":2,\"revision\":1,\"set\":{\"x\":1}}", "set"},
        {"{\"time\":1,\"seq\":2,\"tunnel\":\"x\"}", "tunnel"},
        {"{\"time\":1,\"seq\":2,\"operations\":[{\"id\":\"a b\",\"kind\":\"x\"}]}",
         "operations.id"},
        {"{\"time\":1,\"seq\":2,\"operations\":[{\"id\":\"a\",\"kind\":\"../x\"}]}",
         "operations.kind"},
        {"{\"time\":1,\"seq\":2,\"cancelled\":[1]}", "cancelled"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(decode_answer(bad[i][0]));
        assert_string_equal(error.field, bad[i][1]);
    }
}

static json_t *load(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static void equal_states_have_equal_hashes(void **state)
{
    (void)state;
    char a[AMM_CHECKIN_HASH], b[AMM_CHECKIN_HASH], c[AMM_CHECKIN_HASH], d[AMM_CHECKIN_HASH];
    json_t *one = load("{\"x\":1,\"y\":{\"p\":1.5,\"q\":2}}");
    json_t *two = load("{\"y\":{\"q\":2,\"p\":1.5},\"x\":1}");
    amm_checkin_state_hash(one, NULL, a);
    amm_checkin_state_hash(two, NULL, b);
    amm_checkin_state_hash(NULL, one, c);
    json_object_set_new(two, "x", json_integer(2));
    amm_checkin_state_hash(two, NULL, d);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    assert_string_not_equal(a, d);
    json_decref(one);
    json_decref(two);
}

static void differences_lead_from_one_state_to_the_other(void **state)
{
    (void)state;
    bool failed;
    json_t *from = load("{\"a\":1,\"b\":\"x\",\"c\":{\"l\":1}}"),
           *to = load("{\"a\":1,\"c\":{\"l\":2},\"d\":true}");
    json_t *changes = amm_checkin_difference(from, to, &failed);
    json_t *expected = load("{\"b\":null,\"c\":{\"l\":2},\"d\":true}");
    assert_false(failed);
    assert_true(json_equal(changes, expected));
    assert_false(amm_checkin_apply(from, changes, 2));
    assert_int_equal(json_object_size(from), 3); /* untouched */
    assert_true(amm_checkin_apply(from, changes, 3));
    assert_true(json_equal(from, to));
    assert_null(amm_checkin_difference(from, to, &failed));
    assert_false(failed);
    json_decref(from);
    json_decref(to);
    json_decref(changes);
    json_decref(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(whole_checkin_comes_back_as_it_went, free_all),
        cmocka_unit_test_teardown(idle_checkin_says_four_things, free_all),
        cmocka_unit_test_teardown(what_is_wrong_is_named, free_all),
        cmocka_unit_test_teardown(wrong_parts_are_left_out_by_name, free_all),
        cmocka_unit_test_teardown(refusals_are_bounded, free_all),
        cmocka_unit_test_teardown(a_remote_access_key_is_asked_for_and_told, free_all),
        cmocka_unit_test_teardown(answer_comes_back_as_it_went, free_all),
        cmocka_unit_test_teardown(wrong_answers_are_refused_whole, free_all),
        cmocka_unit_test(equal_states_have_equal_hashes),
        cmocka_unit_test(differences_lead_from_one_state_to_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
