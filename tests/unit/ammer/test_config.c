#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NEEDED "remote = a.example 1190 udp\nca = ca.pem\ncertificate = gw.pem\nkey = gw.key\n"

static void assert_refused(const char *text, const char *expected)
{
    struct amm_settings settings;
    char error[AMM_CONF_ERROR];
    amm_settings_init(&settings);
    assert_false(amm_config_parse(&settings, "ammer.conf", amm_view_str(text), error));
    assert_string_equal(error, expected);
}

static void what_is_needed_is_enough_and_the_rest_has_defaults(void **state)
{
    (void)state;
    struct amm_settings s;
    char error[AMM_CONF_ERROR];
    amm_settings_init(&s);
    assert_true(amm_config_parse(&s, "ammer.conf", amm_view_str(NEEDED), error));
    assert_int_equal(s.n_remotes, 1);
    assert_string_equal(s.remotes[0].host, "a.example");
    assert_int_equal(s.remotes[0].port, 1190);
    assert_int_equal(s.wrap, AMM_WRAP_NONE);
    assert_int_equal(s.ciphers[0], AMM_CIPHER_AES_256_GCM);
    assert_int_equal(s.mtu, 1400);
    assert_int_equal(s.answer_timeout, 10);
    assert_string_equal(s.materials[AMM_MATERIAL_CA].path, "ca.pem");
    assert_false(s.needs_login);
    assert_false(s.no_pushed_routes);
    assert_false(s.no_role_check);
}

static void every_key_reaches_its_setting(void **state)
{
    (void)state;
    static const char text[] =
        NEEDED "remote = 2001:db8::1 443 tcp\nremote-random = yes\ncrl = crl.pem\n"
               "server-name = amm\nserver-name-is-prefix = yes\nlogin = login\n"
               "wrap = tls-auth\nwrap-key = ta.key\nkey-direction = both\nauth = SHA512\n"
               "ciphers = CHACHA20-POLY1305\nanswer-timeout = 5\nhandshake-timeout = 2m\n"
               "ping = 10\nping-restart = 60\nrenegotiate = 1h\ntun = tun7\nmtu = 1300\n"
               "pushed-routes = no\nuser = nobody\nstate-socket = /run/s\n"
               "clock-floor = /var/floor\n";
    struct amm_settings s;
    char error[AMM_CONF_ERROR];
    amm_settings_init(&s);
    assert_true(amm_config_parse(&s, "ammer.conf", amm_view_str(text), error));
    assert_int_equal(s.n_remotes, 2);
    assert_string_equal(s.remotes[1].host, "2001:db8::1");
    assert_int_equal(s.remotes[1].transport, AMM_TCP);
    assert_true(s.remote_random);
    assert_true(s.server_name_is_prefix);
    assert_true(s.needs_login);
    assert_int_equal(s.wrap, AMM_WRAP_AUTH);
    assert_int_equal(s.direction, AMM_DIRECTION_BOTH);
    assert_int_equal(s.digest, AMM_SHA512);
    assert_int_equal(s.ciphers[0], AMM_CIPHER_CHACHA20_POLY1305);
    assert_int_equal(s.ciphers[1], AMM_CIPHER_NONE);
    assert_int_equal(s.hand_window, 120);
    assert_int_equal(s.ping, 10);
    assert_int_equal(s.ping_restart, 60);
    assert_int_equal(s.renegotiate, 3600);
    assert_string_equal(s.tun, "tun7");
    assert_int_equal(s.mtu, 1300);
    assert_true(s.no_pushed_routes);
    assert_string_equal(s.user, "nobody");
    assert_string_equal(s.state_socket, "/run/s");
    assert_string_equal(s.clock_floor, "/var/floor");
}

static void errors_name_line_key_and_what_is_allowed(void **state)
{
    (void)state;
    assert_refused("remote = a 1190\n", "ammer.conf:1: remote: \"a 1190\" is not a server "
                                        "(allowed: HOST PORT udp, HOST PORT tcp; also "
                                        "udp4, udp6, tcp4, tcp6)");
    assert_refused(NEEDED "remote = a 0 udp\n", "ammer.conf:5: remote: \"a 0 udp\" is not a server "
                                                "(allowed: HOST PORT udp, HOST PORT tcp; also "
                                                "udp4, udp6, tcp4, tcp6)");
    assert_refused(NEEDED "remote = a 1190 udp more\n",
                   "ammer.conf:5: remote: \"a 1190 udp more\" is not a server (allowed: HOST PORT "
                   "udp, HOST PORT "
                   "tcp; also udp4, udp6, tcp4, tcp6)");
    assert_refused(NEEDED "ciphers = AES-256-GCM:BF-CBC\n",
                   "ammer.conf:5: ciphers: \"AES-256-GCM:BF-CBC\" is not known (allowed, with ':' "
                   "between them: "
                   "AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305)");
    assert_refused(NEEDED "wrap = tls-crypt\n",
                   "ammer.conf:1: wrap-key: missing for this wrap (allowed: a file)");
    assert_refused("ca = c\ncertificate = c\nkey = k\n",
                   "ammer.conf:1: remote: no server is named (allowed: HOST PORT udp)");
}

static void the_example_file_says_what_must_be_filled_in(void **state)
{
    (void)state;
    char *text = malloc(32768);
    assert_non_null(text);
    assert_true(amm_conf_example(&amm_ammer_schema, text, 32768));
    assert_non_null(strstr(text, "clock-floor"));
    assert_non_null(strstr(text, "answer-timeout = 10s"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_needed_is_enough_and_the_rest_has_defaults),
        cmocka_unit_test(every_key_reaches_its_setting),
        cmocka_unit_test(errors_name_line_key_and_what_is_allowed),
        cmocka_unit_test(the_example_file_says_what_must_be_filled_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
