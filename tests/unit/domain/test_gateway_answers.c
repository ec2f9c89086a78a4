/* domain/gateway_answers.h */
#include "domain/gateway_answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void errors_come_back_as_they_went(void **state)
{
    (void)state;
    size_t len;
    struct amm_error_answer out;
    struct amm_error_answer in = {
        .error = "revoked", .text = "This gateway was revoked.", .fatal = true};
    char *text = amm_error_answer_encode(&in, &len);
    assert_string_equal(
        text, "{\"error\":\"revoked\",\"text\":\"This gateway was revoked.\",\"fatal\":true}");
    assert_true(amm_error_answer_decode(&out, amm_view_str(text)));
    free(text);
    assert_memory_equal(&in, &out, sizeof in);
    assert_true(amm_error_answer_decode(&out, amm_view_str("<html>")));
    assert_string_equal(out.error, "unknown");
    assert_false(out.fatal);
    assert_true(amm_error_answer_decode(
        &out, amm_view_str("{\"error\":5,\"fatal\":\"yes\",\"text\":\"x\"}")));
    assert_string_equal(out.error, "unknown");
    assert_string_equal(out.text, "x");
    assert_false(out.fatal);
}

static void times_come_back_as_they_went(void **state)
{
    (void)state;
    size_t len;
    struct amm_refusal error;
    struct amm_time_answer out, in = {.time = 1793500000, .certificate = (char *)"PEM\n"};
    memset(in.nonce, 0xa5, sizeof in.nonce);
    memset(in.signature, 0x5a, sizeof in.signature);
    char *text = amm_time_answer_encode(&in, &len);
    assert_true(amm_time_answer_decode(&out, amm_view_str(text), &error));
    assert_int_equal(out.time, in.time);
    assert_memory_equal(out.nonce, in.nonce, sizeof in.nonce);
    assert_memory_equal(out.signature, in.signature, sizeof in.signature);
    assert_string_equal(out.certificate, "PEM\n");
    amm_time_answer_deinit(&out);
    strstr(text, "a5a5")[0] = 'g';
    assert_false(amm_time_answer_decode(&out, amm_view_str(text), &error));
    assert_string_equal(error.field, "nonce");
    amm_time_answer_deinit(&out);
    free(text);
    assert_false(amm_time_answer_decode(&out, amm_view_str("{\"time\":-1}"), &error));
    amm_time_answer_deinit(&out);
}

static struct amm_tunnel_settings sample(void)
{
    struct amm_tunnel_settings s = {
        .hash = "03ac674216f3e15c",
        .n_remotes = 2,
        .n_ports = 4,
        .remotes = {"tunnel.example.net", "2001:db8::1"},
        .ports = {1190, 1191, 1192, 1193},
        .server_name = "amm-server",
        .ca = (char *)"-----BEGIN CERTIFICATE-----\n",
        .wrap = "tls-crypt-v2",
        .wrap_key = (char *)"key\n",
        .ciphers = "AES-256-GCM:AES-128-GCM",
        .mtu = 1400,
    };
    return s;
}

static void tunnel_settings_come_back_as_they_went(void **state)
{
    (void)state;
    size_t len;
    struct amm_refusal error;
    struct amm_tunnel_settings out, in = sample();
    char *text = amm_tunnel_settings_encode(&in, &len);
    assert_true(amm_tunnel_settings_decode(&out, amm_view_str(text), &error));
    assert_string_equal(out.remotes[1], "2001:db8::1");
    assert_int_equal(out.ports[3], 1193);
    assert_string_equal(out.wrap_key, "key\n");
    char *again = amm_tunnel_settings_encode(&out, &len);
    assert_string_equal(text, again);
    amm_tunnel_settings_deinit(&out);
    free(text);
    free(again);
}

/* What would break out of a line of ammer's configuration. */
static void hostile_tunnel_settings_are_refused(void **state)
{
    (void)state;
    size_t len;
    struct amm_refusal error;
    static const struct {
        const char *field, *value;
    } bad[] = {
        {"server_name", "a\nuser = root"},
        {"server_name", "a b"},
        {"ciphers", "x\ny"},
        {"ciphers", ""},
        {"wrap", "xor"},
        {"remotes", "a b"},
        {"remotes", "-x"},
        {"ca", "a\x01"},
        {"wrap_key", "\xff"},
        {"hash", "short"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct amm_tunnel_settings out, in = sample();
        char *text = amm_tunnel_settings_encode(&in, &len);
        json_t *object = json_loads(text, 0, NULL);
        bool is_list = strcmp(bad[i].field, "remotes") == 0;
        json_t *value = json_stringn_nocheck(bad[i].value, strlen(bad[i].value));
        json_object_set_new(object, bad[i].field, is_list ? json_pack("[o]", value) : value);
        free(text);
        text = json_dumps(object, 0);
        json_decref(object);
        if (text) {
            assert_false(amm_tunnel_settings_decode(&out, amm_view_str(text), &error));
            assert_string_equal(error.field, bad[i].field);
            amm_tunnel_settings_deinit(&out);
            free(text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_come_back_as_they_went),
        cmocka_unit_test(times_come_back_as_they_went),
        cmocka_unit_test(tunnel_settings_come_back_as_they_went),
        cmocka_unit_test(hostile_tunnel_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
