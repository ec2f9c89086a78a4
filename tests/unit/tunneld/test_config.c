#include "tunneld/config.h"

#include "crypto/aead.h"
#include "crypto/mac.h"
#include "proto/wrap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct amm_tunneld_config config;
static char error[AMM_CONF_ERROR];

static bool load(const char *text)
{
    return amm_tunneld_config_load(&config, "amm.conf", amm_view_str(text), error);
}

static void refused(const char *text, const char *words)
{
    assert_false(load(text));
    assert_string_equal(error, words);
}

static void an_empty_file_gives_the_usual_server(void **state)
{
    (void)state;
    assert_true(load(""));
    assert_int_equal(config.n_ports, 4);
    assert_int_equal(config.ports[0].port, 1190);
    assert_int_equal(config.ports[3].pool.network, 0x0a04e000);
    assert_int_equal(config.ports[3].pool.prefix, 19);
    assert_int_equal(config.ports[0].limit, 2047);
    assert_int_equal(config.ports[0].wrap, AMM_WRAP_CRYPT);
    assert_int_equal(config.ports[0].n_listen, 2);
    assert_int_equal(config.ports[0].listen[0].transport, AMM_UDP);
    assert_int_equal(config.ports[0].listen[1].transport, AMM_TCP);
    assert_int_equal(config.ports[0].listen[1].address.port, 1190);
    assert_int_equal(amm_listeners(&config), 8);
    assert_true(config.workers >= 1 && config.handshake_threads >= 1);
    assert_int_equal(config.ciphers[0], AMM_CIPHER_AES_256_GCM);
    assert_int_equal(config.ciphers[2], AMM_CIPHER_CHACHA20_POLY1305);
    assert_int_equal(config.published[0], 80);
    assert_int_equal(config.published[1], 8443);
    assert_int_equal(config.published[2], 0);
    assert_string_equal(config.namespace_name, "amm");
    assert_string_equal(config.key, "/etc/amm/pki/server.key");
    assert_string_equal(config.ports[2].v2_key, "/etc/amm/pki/tls-crypt-v2.key");
    assert_true(config.isolation_engine && config.isolation_nft && config.isolation_namespace);
}

static void a_section_replaces_the_usual_ports(void **state)
{
    (void)state;
    assert_true(
        load("pki = /p\ncrl = none\nworkers = 3\n[port 1190]\ntopology = subnet\nlimit = "
             "8189\nwrap = tls-auth\n"
             "auth = SHA256\nkey-direction = none\ntls-crypt-v2 = no\nlisten = udp 192.0.2.1:1190\n"
             "listen = tcp [2001:db8::1]:443\n"));
    assert_int_equal(config.n_ports, 1);
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.ports[0].limit, 8189);
    assert_int_equal(config.ports[0].auth_digest, AMM_SHA256);
    assert_int_equal(config.ports[0].key_direction, AMM_DIRECTION_BOTH);
    assert_string_equal(config.ports[0].wrap_key, "/p/tls-auth.key");
    assert_string_equal(config.ports[0].v2_key, "");
    assert_string_equal(config.crl, "");
    assert_int_equal(config.ports[0].n_listen, 2);
    assert_int_equal(config.ports[0].listen[1].address.port, 443);
    assert_int_equal(config.ports[0].listen[1].address.family, AMM_FAMILY_IPV6);
}

static void a_small_pool_bounds_the_limit(void **state)
{
    (void)state;
    assert_true(load("[port 2000]\npool = 10.9.0.0/24\n"));
    assert_int_equal(config.ports[0].limit, 63);
    refused("[port 2000]\npool = 10.9.0.0/24\nlimit = 64\n",
            "amm.conf: [port 2000]: limit: 64 is more than the pool holds (allowed: 1 to 63)");
}

static void values_are_refused_with_what_is_allowed(void **state)
{
    (void)state;
    refused("[port 1190]\nlimit = many\n",
            "amm.conf:2: limit: \"many\" is not a number (allowed: 0 to 8191)");
    refused("ciphers = AES-256-CBC\n",
            "amm.conf:1: ciphers: \"AES-256-CBC\" is no list of ciphers (allowed: "
            "AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305, each once)");
    refused("published = 80, http\n",
            "amm.conf:1: published: \"80, http\" is no list of TCP ports (allowed: up to 8 "
            "numbers of 1 to 65535)");
    refused("namespace = a/b\n",
            "amm.conf:1: namespace: \"a/b\" is no name of a namespace (allowed: host, or letters, "
            "digits, '-', '_', '.')");
    refused(
        "control-socket = /0123456789012345678901234567890123456789012345678901234567890123456789"
        "01234567890123456789012345678901234567\n",
        "amm.conf:1: control-socket: "
        "\"/01234567890123456789012345678901234567890123456789012345678901\" is "
        "too long (allowed: up to 107 characters)");
    refused("[port 0]\n", "amm.conf:1: [port 0]: not a port (allowed: 1 to 65535)");
    refused("[port 1190]\n[port 1190]\n", "amm.conf:2: [port 1190]: stands twice");
    refused("[port 1190]\npool = 10.4.32.1/19\n",
            "amm.conf:2: pool: \"10.4.32.1/19\" is no network (allowed: as "
            "10.4.32.0/19, prefix 16 to 29, host bits zero)");
    refused("[port 1190]\nlisten = sctp [::]:1\n",
            "amm.conf:2: listen: \"sctp [::]:1\" is no listener (allowed: udp or "
            "tcp, then ADDRESS:PORT, as in \"udp [::]:1190\")");
    refused("[port 1190]\nlisten = udp [::]\n",
            "amm.conf:2: listen: \"udp [::]\" is no listener (allowed: udp or tcp, "
            "then ADDRESS:PORT, as in \"udp [::]:1190\")");
    refused(
        "[port 2000]\n",
        "amm.conf: [port 2000]: pool: must be given (only ports 1190 to 1193 have a usual one)");
}

static void keys_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    refused("[port 1190]\n[port 2000]\npool = 10.4.48.0/20\n",
            "amm.conf: [port 2000]: pool: 10.4.48.0/20 overlaps 10.4.32.0/19 of [port 1190] "
            "(allowed: pools apart)");
    refused("[port 1190]\n[port 1191]\nlisten = tcp [::]:1190\n",
            "amm.conf: [port 1191]: listen: tcp [::]:1190 stands twice");
    refused(
        "ping = 60\nping-restart = 90\n",
        "amm.conf: ping-restart: 90 is too short for ping 60 (allowed: twice ping or more, or 0)");
    assert_true(load("ping = 60\nping-restart = 0\n"));
}

static void the_example_file_is_the_default_configuration(void **state)
{
    (void)state;
    static char text[32768];
    static struct amm_tunneld_config plain;
    assert_true(amm_conf_example(&amm_tunneld_schema, text, sizeof text));
    assert_true(load(""));
    plain = config;
    assert_true(load(text));
    assert_memory_equal(&plain, &config, sizeof plain);
    assert_true(amm_conf_markdown(&amm_tunneld_schema, text, sizeof text));
}

static void changed_pools_take_the_place_of_the_sections(void **state)
{
    (void)state;
    assert_true(load("gateways = /var/lib/amm/gateways.conf\n"));
    assert_string_equal(config.pools, "/var/lib/amm/pools.conf");
    assert_true(amm_tunneld_pools_apply(
        &config, "pools.conf",
        amm_view_str("# by ammd\n1191 10.9.0.0/20 1000 # now\n\n7 10.4.32.0/19 1\n"), error));
    assert_int_equal(config.ports[1].pool.network, 0x0a090000);
    assert_int_equal(config.ports[1].pool.prefix, 20);
    assert_int_equal(config.ports[1].limit, 1000);
    assert_int_equal(config.ports[0].limit, 2047);
}

static void wrong_pools_change_nothing(void **state)
{
    static const char *const cases[][2] = {
        {"1190 10.9.0.0/20", "p:1: a line is \"port pool limit\""},
        {"1190 10.9.0.0/20 5 x", "p:1: a line is \"port pool limit\""},
        {"1190 \x1b[2J 5", "p:1: a line is \"port pool limit\""},
        {"\n1190 10.9.0.1/20 5",
         "p:2: \"10.9.0.1/20\" is no network (allowed: as 10.4.32.0/19, prefix 16 to 29, host bits "
         "zero)"},
        {"1190 10.9.0.0/20 1024", "p:1: limit \"1024\" (allowed: 1 to 1023)"},
        {"1190 10.9.0.0/20 0", "p:1: limit \"0\" (allowed: 1 to 1023)"},
        {"1191 10.9.0.0/20 9\n1190 10.4.160.0/20 9",
         "p: [port 1192]: pool: 10.4.160.0/19 overlaps 10.4.160.0/20 of [port 1190] (allowed: "
         "pools apart)"},
    };
    (void)state;
    assert_true(load(""));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_false(amm_tunneld_pools_apply(&config, "p", amm_view_str(cases[i][0]), error));
        assert_string_equal(error, cases[i][1]);
        assert_int_equal(config.ports[0].pool.network, 0x0a042000);
        assert_int_equal(config.ports[1].pool.network, 0x0a046000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_pools_take_the_place_of_the_sections),
        cmocka_unit_test(wrong_pools_change_nothing),
        cmocka_unit_test(an_empty_file_gives_the_usual_server),
        cmocka_unit_test(a_section_replaces_the_usual_ports),
        cmocka_unit_test(a_small_pool_bounds_the_limit),
        cmocka_unit_test(values_are_refused_with_what_is_allowed),
        cmocka_unit_test(keys_that_contradict_each_other_are_refused),
        cmocka_unit_test(the_example_file_is_the_default_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
