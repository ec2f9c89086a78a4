#include "ovpn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct reading {
    struct amm_settings settings;
    struct amm_ovpn_report report;
    bool ok;
};

static struct reading *reading_new(struct amm_view text)
{
    struct reading *r = calloc(1, sizeof *r);
    assert_non_null(r);
    amm_settings_init(&r->settings);
    r->ok = amm_ovpn_parse(&r->settings, "t.ovpn", text, &r->report);
    return r;
}

static void reading_free(struct reading *r)
{
    amm_settings_deinit(&r->settings);
    free(r);
}

#define COMPLETE "client\nremote-cert-tls server\nca ca.pem\ncert c.pem\nkey k.pem\n"

/* The whole first line of the report's error for a complete file with `extra` behind it (line 7
 * on). */
static void assert_refused(const char *extra, const char *error)
{
    char text[4096];
    snprintf(text, sizeof text, COMPLETE "remote a.example 1190\n%s", extra);
    struct reading *r = reading_new(amm_view_str(text));
    assert_false(r->ok);
    assert_string_equal(r->report.error, error);
    reading_free(r);
}

static void assert_noted(const char *extra, const char *notes)
{
    char text[4096];
    snprintf(text, sizeof text, COMPLETE "remote a.example 1190\n%s", extra);
    struct reading *r = reading_new(amm_view_str(text));
    assert_string_equal(r->report.error, "");
    assert_true(r->ok);
    assert_string_equal(r->report.notes, notes);
    reading_free(r);
}

static void a_typical_file_is_taken_over(void **state)
{
    (void)state;
    static const char text[] = "\xEF\xBB\xBF# comment\r\n"
                               "client\r\n"
                               "dev tun ; the usual\r\n"
                               "proto udp\r\n"
                               "remote a.example 1190\r\n"
                               "remote \"2001:db8::1\" 1191 tcp-client\r\n"
                               "remote b.example\r\n"
                               "port 1192\r\n"
                               "remote-cert-tls server\r\n"
                               "verify-x509-name 'amm tunnel' name\r\n"
                               "data-ciphers CHACHA20-POLY1305:AES-128-GCM\r\n"
                               "tun-mtu 1400\r\nreneg-sec 86400\r\nkeepalive 10 60\r\n"
                               "server-poll-timeout 7\r\nremote-random\r\nverb 3\r\nnobind\r\n"
                               "<ca>\r\nCA TEXT\r\n</ca>\r\n"
                               "<cert>\nCERT\n</cert>\n<key>\nKEY\n</key>\n"
                               "<tls-crypt>\nSTATIC\n</tls-crypt>\n";
    struct reading *r = reading_new(amm_view_str(text));
    assert_string_equal(r->report.error, "");
    assert_true(r->ok);
    assert_int_equal(r->report.n_notes, 0);
    const struct amm_settings *s = &r->settings;
    assert_int_equal(s->n_remotes, 3);
    assert_string_equal(s->remotes[0].host, "a.example");
    assert_int_equal(s->remotes[0].port, 1190);
    assert_int_equal(s->remotes[0].transport, AMM_UDP);
    assert_string_equal(s->remotes[1].host, "2001:db8::1");
    assert_int_equal(s->remotes[1].transport, AMM_TCP);
    assert_int_equal(s->remotes[2].port, 1192);
    assert_true(s->remote_random);
    assert_string_equal(s->server_name, "amm tunnel");
    assert_false(s->server_name_is_prefix);
    assert_false(s->no_role_check);
    assert_int_equal(s->ciphers[0], AMM_CIPHER_CHACHA20_POLY1305);
    assert_int_equal(s->ciphers[1], AMM_CIPHER_AES_128_GCM);
    assert_int_equal(s->ciphers[2], AMM_CIPHER_NONE);
    assert_int_equal(s->mtu, 1400);
    assert_int_equal(s->renegotiate, 86400);
    assert_int_equal(s->ping, 10);
    assert_int_equal(s->ping_restart, 60);
    assert_int_equal(s->answer_timeout, 7);
    assert_int_equal(s->wrap, AMM_WRAP_CRYPT);
    assert_string_equal(s->materials[AMM_MATERIAL_CA].text, "CA TEXT\r\n");
    assert_string_equal(s->materials[AMM_MATERIAL_WRAP].text, "STATIC\n");
    reading_free(r);
}

static void connection_blocks_have_their_own_port_and_transport(void **state)
{
    (void)state;
    struct reading *r =
        reading_new(amm_view_str(COMPLETE "proto tcp\nport 443\n"
                                          "<connection>\nremote a.example\nproto udp\n"
                                          "</connection>\n"
                                          "<connection>\nremote b.example 1191\n</connection>\n"));
    assert_true(r->ok);
    assert_int_equal(r->settings.n_remotes, 2);
    assert_int_equal(r->settings.remotes[0].transport, AMM_UDP);
    assert_int_equal(r->settings.remotes[0].port, 443);
    assert_int_equal(r->settings.remotes[1].transport, AMM_TCP);
    assert_int_equal(r->settings.remotes[1].port, 1191);
    reading_free(r);
}

static void tls_auth_takes_its_direction_from_either_place(void **state)
{
    (void)state;
    struct reading *r =
        reading_new(amm_view_str(COMPLETE "remote a\ntls-auth ta.key 1\nauth SHA256\n"));
    assert_true(r->ok);
    assert_int_equal(r->settings.wrap, AMM_WRAP_AUTH);
    assert_int_equal(r->settings.direction, AMM_DIRECTION_1);
    assert_int_equal(r->settings.digest, AMM_SHA256);
    assert_string_equal(r->settings.materials[AMM_MATERIAL_WRAP].path, "ta.key");
    assert_int_equal(r->settings.remotes[0].port, 1194);
    reading_free(r);
    r = reading_new(
        amm_view_str(COMPLETE "remote a\nkey-direction 0\n<tls-auth>\nx\n</tls-auth>\n"));
    assert_true(r->ok);
    assert_int_equal(r->settings.direction, AMM_DIRECTION_0);
    reading_free(r);
}

static void unknown_directives_are_named_and_ignored(void **state)
{
    (void)state;
    assert_noted("frobnicate 1 2\n<blob>\nclient\n</blob>\nverb 4\nteleport\n",
                 "t.ovpn:7: frobnicate: unknown directive, ignored\n"
                 "t.ovpn:8: <blob>: unknown block, ignored\n"
                 "t.ovpn:12: teleport: unknown directive, ignored\n");
}

static void dangerous_directives_are_named_and_never_obeyed(void **state)
{
    (void)state;
    assert_noted(
        "script-security 2\nup \"/bin/sh -c 'rm -rf /'\"\nplugin x.so\nredirect-gateway def1\n",
        "t.ovpn:7: script-security: never obeyed (scripts are never run)\n"
        "t.ovpn:8: up: never obeyed (scripts are never run)\n"
        "t.ovpn:9: plugin: never obeyed (plugins are never loaded)\n"
        "t.ovpn:10: redirect-gateway: never obeyed (the default route is never touched)\n");
}

static void what_would_break_the_tunnel_is_an_error_with_its_line(void **state)
{
    (void)state;
    assert_refused(
        "verb 3\nfragment 1300\n",
        "t.ovpn:8: fragment: not supported, the server would send packets that cannot be read");
    assert_refused("dev tap\n", "t.ovpn:7: dev: \"tap\" is not supported; only tun devices are");
    assert_refused(
        "comp-lzo yes\n",
        "t.ovpn:7: comp-lzo: compression is not supported; remove it here and on the server");
    assert_refused(
        "comp-lzo\n",
        "t.ovpn:7: comp-lzo: compression is not supported; remove it here and on the server");
    assert_refused("cipher BF-CBC\n",
                   "t.ovpn:7: cipher: BF-CBC is not supported (allowed: AES-256-GCM, "
                   "AES-128-GCM, CHACHA20-POLY1305); servers from 2.4 on have them");
    assert_refused(
        "data-ciphers AES-256-CBC\n",
        "t.ovpn:7: data-ciphers: none of \"AES-256-CBC\" is supported (allowed: AES-256-GCM, "
        "AES-128-GCM, CHACHA20-POLY1305)");
    assert_refused("secret s.key\n",
                   "t.ovpn:7: secret: static key mode is not supported; use certificates");
    assert_refused("auth-user-pass\n",
                   "t.ovpn:1: auth-user-pass: nobody can be asked here; name a file with "
                   "user name and password on two lines");
    assert_refused("<secret>\n</secret>\n",
                   "t.ovpn:7: <secret>: static key mode is not supported; use certificates");
}

static void malformed_lines_are_errors(void **state)
{
    (void)state;
    assert_refused("remote h 70000\n",
                   "t.ovpn:7: remote: \"70000\" is not a number from 1 to 65535");
    assert_refused("remote h 12x\n", "t.ovpn:7: remote: \"12x\" is not a number from 1 to 65535");
    assert_refused("proto sctp\n", "t.ovpn:7: proto: \"sctp\" is not known (allowed: udp, udp4, "
                                   "udp6, tcp-client, tcp4, tcp6)");
    assert_refused("remote\n", "t.ovpn:7: remote: takes 1 to 3 values, 0 given");
    assert_refused("verify-x509-name \"unclosed name\n", "t.ovpn:7: the quote is not closed");
    assert_refused("verb 3\\", "t.ovpn:7: nothing follows the backslash");
    assert_refused("tls-auth k 2\n", "t.ovpn:7: key-direction: \"2\" is not 0 or 1");
    assert_refused("x 1 2 3 4 5 6 7 8 9 a b c d e f g\n", "t.ovpn:7: too many words");
    assert_refused("<crl-verify>\nx\n", "t.ovpn:7: the block is never closed");
    assert_refused(
        "tls-crypt k\ntls-auth k\n",
        "t.ovpn:8: tls-auth: only one of tls-auth, tls-crypt and tls-crypt-v2 may be given");
    assert_refused("<connection>\nverb 1\nport x\n</connection>\n",
                   "t.ovpn:9: port: \"x\" is not a number from 1 to 65535");
    assert_refused("<connection>\n<ca>\nx\n</ca>\n</connection>\n",
                   "t.ovpn:8: <ca>: not allowed inside <connection>");
}

static void a_nul_byte_is_refused_in_a_line_and_in_a_block(void **state)
{
    (void)state;
    static const char line[] = "client\nverb \0 3\n", block[] = "client\n<ca>\na\0b\n</ca>\n";
    struct reading *r = reading_new(amm_view(line, sizeof line - 1));
    assert_string_equal(r->report.error, "t.ovpn:2: the line contains a NUL character");
    reading_free(r);
    r = reading_new(amm_view(block, sizeof block - 1));
    assert_string_equal(r->report.error, "t.ovpn:2: <ca>: contains a NUL character");
    reading_free(r);
}

static void missing_parts_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "t.ovpn:1: client: missing; is this a client's file?"},
        {"client\n", "t.ovpn:1: remote: missing; no server is named"},
        {"client\nremote a\n", "t.ovpn:1: ca: missing; without it any server would be trusted"},
        {"client\nremote a\nca c\ncert c\n", "t.ovpn:1: cert and key: one of them is missing"},
        {"client\nremote a\nca c\n", "t.ovpn:1: cert and key: missing"},
        {"server 10.0.0.0 255.0.0.0\n",
         "t.ovpn:1: server: this is a server's file; ammer is a client"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reading *r = reading_new(amm_view_str(cases[i].text));
        assert_false(r->ok);
        assert_string_equal(r->report.error, cases[i].error);
        reading_free(r);
    }
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    size_t room = AMM_OVPN_FILE_MAX + 1;
    char *big = malloc(room);
    assert_non_null(big);
    memset(big, '\n', room);
    struct reading *r = reading_new(amm_view(big, room));
    assert_string_equal(r->report.error, "t.ovpn:1: the file is larger than 524288 bytes");
    reading_free(r);

    memset(big, 'x', room);
    memcpy(big, "<ca>\n", 5);
    memcpy(big + 5 + AMM_MATERIAL_MAX + 1, "\n</ca>\n", 7);
    r = reading_new(amm_view(big, 5 + AMM_MATERIAL_MAX + 1 + 7));
    assert_string_equal(r->report.error, "t.ovpn:1: <ca>: longer than 65536 bytes");
    reading_free(r);

    memset(big, 'x', 2000);
    r = reading_new(amm_view(big, 2000));
    assert_string_equal(r->report.error, "t.ovpn:1: the line is longer than 1024 characters");
    reading_free(r);

    size_t used = 0;
    for (int i = 0; i <= AMM_SETTINGS_REMOTES; i++) {
        used += (size_t)snprintf(big + used, room - used, "remote h%d\n", i);
    }
    r = reading_new(amm_view(big, used));
    assert_string_equal(r->report.error, "t.ovpn:65: remote: more than 64 servers");
    reading_free(r);
    free(big);
}

static void notes_that_do_not_fit_are_only_counted(void **state)
{
    (void)state;
    char *text = malloc(200000);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, 200000, COMPLETE "remote a\n");
    for (int i = 0; i < 2000; i++) {
        used += (size_t)snprintf(text + used, 200000 - used, "unknown-%d\n", i);
    }
    struct reading *r = reading_new(amm_view(text, used));
    assert_true(r->ok);
    assert_int_equal(r->report.n_notes, 2000);
    assert_true(strlen(r->report.notes) == r->report.notes_len);
    assert_true(r->report.notes_len < sizeof r->report.notes);
    assert_int_equal(r->report.notes[r->report.notes_len - 1], '\n');
    reading_free(r);
    free(text);
}

static void only_private_routes_of_the_file_are_taken(void **state)
{
    (void)state;
    struct reading *r =
        reading_new(amm_view_str(COMPLETE "remote a\nroute 192.168.7.0 255.255.255.0\n"
                                          "route 0.0.0.0 0.0.0.0\nroute 10.1.2.3\n"));
    assert_true(r->ok);
    assert_int_equal(r->settings.n_routes, 2);
    assert_string_equal(
        r->report.notes,
        "t.ovpn:8: route: 0.0.0.0 is not a private network behind the tunnel, ignored\n");
    reading_free(r);
}

static void a_server_whose_role_is_not_checked_is_pointed_out(void **state)
{
    (void)state;
    struct reading *r = reading_new(amm_view_str("client\nremote a\nca c\ncert c\nkey k\n"));
    assert_true(r->ok);
    assert_true(r->settings.no_role_check);
    assert_string_equal(r->report.notes,
                        "t.ovpn:1: remote-cert-tls server: missing; any certificate of this "
                        "CA could pose as the server\n");
    reading_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_typical_file_is_taken_over),
        cmocka_unit_test(connection_blocks_have_their_own_port_and_transport),
        cmocka_unit_test(tls_auth_takes_its_direction_from_either_place),
        cmocka_unit_test(unknown_directives_are_named_and_ignored),
        cmocka_unit_test(dangerous_directives_are_named_and_never_obeyed),
        cmocka_unit_test(what_would_break_the_tunnel_is_an_error_with_its_line),
        cmocka_unit_test(malformed_lines_are_errors),
        cmocka_unit_test(a_nul_byte_is_refused_in_a_line_and_in_a_block),
        cmocka_unit_test(missing_parts_are_named),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(notes_that_do_not_fit_are_only_counted),
        cmocka_unit_test(only_private_routes_of_the_file_are_taken),
        cmocka_unit_test(a_server_whose_role_is_not_checked_is_pointed_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
