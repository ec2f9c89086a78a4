#include "data/plane.h"
#include "io/file.h"
#include "io/spawn.h"
#include "io/unix.h"
#include "proto/engine.h"
#include "tunneld/holder.h"
#include "tunneld/material.h"

#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char error[512], folder[] = "/tmp/amm-unit-XXXXXX", path[128];
static struct amm_holdings held;
static struct amm_handoff taken;
static struct amm_files files;

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-r", folder, NULL};
    return !amm_spawn(argv, amm_view("", 0), error, sizeof error);
}

static void put(const char *name, const char *text)
{
    assert_true(amm_file_write(in_folder(name), amm_view_str(text), 0600, error, sizeof error));
}

/* A new file of `size` bytes: descriptors are told apart by the size of what they are open on. */
static int sized(off_t size)
{
    char name[] = "/tmp/amm-unit-fd-XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    unlink(name);
    assert_true(fd >= 0 && ftruncate(fd, size) == 0);
    return fd;
}

static off_t size_of(int fd)
{
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    return info.st_size;
}

static void load(const char *more)
{
    char text[512];
    snprintf(text, sizeof text,
             "pki = %s\ngateways = %s/gateways.conf\nworkers = 3\nhandshake-threads = 2\n%s",
             folder, folder, more);
    assert_true(amm_tunneld_config_load(&held.config, "amm.conf", amm_view_str(text), error));
}

static void put_all_files(void)
{
    static const char *const names[] = {AMM_PKI_CA,          AMM_PKI_SERVER,   AMM_PKI_SERVER_KEY,
                                        AMM_PKI_CRL,         AMM_PKI_TLS_AUTH, AMM_PKI_TLS_CRYPT,
                                        AMM_PKI_TLS_CRYPT_V2};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        put(names[i], names[i]);
    }
    put("gateways.conf", "gw 1190 1\n");
}

/* ---- files ---- */

static void files_arrive_as_they_were_read(void **state)
{
    (void)state;
    struct amm_material material;
    put_all_files();
    load("crl = none\n[port 1190]\nwrap = none\n[port 1191]\nwrap = tls-auth\ntls-crypt-v2 = no\n");
    assert_true(amm_files_read(&files, &held.config, error, sizeof error));
    int fd = amm_files_pack(&files, false);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), -1); /* sealed */
    assert_true(amm_material_map(&material, fd));
    assert_string_equal(material.blobs[AMM_BLOB_CA].text, AMM_PKI_CA);
    assert_int_equal(material.blobs[AMM_BLOB_ROSTER].len, 10);
    assert_null(material.blobs[AMM_BLOB_CRL].text);
    assert_null(material.blobs[AMM_BLOB_WRAP_KEY].text);
    assert_string_equal(material.blobs[AMM_BLOB_WRAP_KEY + 1].text, AMM_PKI_TLS_AUTH);
    assert_string_equal(material.blobs[AMM_BLOB_V2_KEY].text, AMM_PKI_TLS_CRYPT_V2);
    assert_null(material.blobs[AMM_BLOB_V2_KEY + 1].text);
    amm_material_free(&material);
    close(fd);
    amm_files_deinit(&files);
}

static void a_missing_file_at_the_start_is_told_with_its_cure(void **state)
{
    (void)state;
    put_all_files();
    load("");
    unlink(in_folder(AMM_PKI_SERVER_KEY));
    assert_false(amm_files_read(&files, &held.config, error, sizeof error));
    assert_non_null(
        strstr(error, "server.key: No such file or directory (make it with: ammctl pki init)"));
    amm_files_deinit(&files);
}

static void what_the_engine_did_not_accept_is_not_kept(void **state)
{
    (void)state;
    struct amm_material material;
    put_all_files();
    load("");
    assert_true(amm_files_read(&files, &held.config, error, sizeof error));
    put("gateways.conf", "better\n");
    put(AMM_PKI_SERVER, "broken\n");
    unlink(in_folder(AMM_PKI_CRL));
    amm_files_reload(&files, &held.config);
    int fd = amm_files_pack(&files, true);
    assert_true(amm_material_map(&material, fd));
    assert_string_equal(material.blobs[AMM_BLOB_ROSTER].text, "better\n");
    assert_string_equal(material.blobs[AMM_BLOB_CERTIFICATE].text, "broken\n");
    assert_null(material.blobs[AMM_BLOB_CRL].text);
    assert_non_null(strstr(material.blobs[AMM_BLOB_CRL].problem, "No such file"));
    assert_null(material.blobs[AMM_BLOB_ROSTER].problem);
    amm_material_free(&material);
    close(fd);
    amm_files_accept(&files, 1u << AMM_BLOB_ROSTER | 1u << AMM_BLOB_CRL);
    fd = amm_files_pack(&files, false);
    assert_true(amm_material_map(&material, fd));
    assert_string_equal(material.blobs[AMM_BLOB_ROSTER].text, "better\n");
    assert_string_equal(material.blobs[AMM_BLOB_CERTIFICATE].text, AMM_PKI_SERVER);
    assert_string_equal(material.blobs[AMM_BLOB_CRL].text, AMM_PKI_CRL);
    assert_null(material.blobs[AMM_BLOB_CRL].problem);
    amm_material_free(&material);
    close(fd);
    amm_files_deinit(&files);
}

/* ---- the hand-over ---- */

static off_t next_size;

static void fill(int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        fds[i] = sized(++next_size);
    }
}

static void close_filled(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] > 0) {
            close(fds[i]);
        }
    }
}

static int ends[2], packed;

/* Four ports, each with one UDP and one TCP listener, handed over once. */
static int hand_over(void **state)
{
    (void)state;
    memset(&held, 0, sizeof held);
    put_all_files();
    load("");
    assert_true(amm_files_read(&files, &held.config, error, sizeof error));
    assert_true(amm_state_make(&held, error, sizeof error));
    next_size = 0;
    held.control = sized(5000);
    held.tun_steered[2] = true;
    for (unsigned i = 0; i < 8; i++) {
        held.listeners[i] = held.config.ports[i / 2].listen[i % 2];
        if (i % 2 == 0) {
            fill(held.udp_handshake[i], 2);
            fill(held.udp_worker[i], 3);
        } else {
            fill(held.tcp[i], 2);
        }
    }
    for (unsigned p = 0; p < 4; p++) {
        fill(held.tun[p], 3);
    }
    assert_true(amm_unix_pair(ends));
    packed = amm_files_pack(&files, false);
    assert_true(amm_handoff_send(ends[0], &held, packed));
    assert_true(amm_handoff_receive(ends[1], &taken, error, sizeof error));
    return 0;
}

static int give_back(void **state)
{
    (void)state;
    close(ends[0]);
    close(packed);
    close_filled(&held.udp_handshake[0][0], sizeof held.udp_handshake / sizeof(int));
    close_filled(&taken.udp_handshake[0][0], sizeof taken.udp_handshake / sizeof(int));
    amm_material_free(&taken.material);
    amm_files_deinit(&files);
    return 0;
}

static void every_descriptor_lands_where_it_belongs(void **state)
{
    (void)state;
    assert_int_equal(taken.n_workers, 3);
    assert_int_equal(taken.n_handshake, 2);
    assert_int_equal(taken.n_ports, 4);
    assert_int_equal(taken.n_listeners, 8);
    assert_int_equal(taken.listener_port[5], 2);
    assert_int_equal(taken.listeners[5].transport, AMM_TCP);
    assert_true(taken.tun_steered[2] && !taken.tun_steered[1]);
    assert_int_equal(size_of(taken.control), 5000);
    for (unsigned i = 0; i < 8; i++) {
        bool is_udp = i % 2 == 0;
        for (unsigned t = 0; t < 2; t++) {
            assert_int_equal(size_of(is_udp ? taken.udp_handshake[i][t] : taken.tcp[i][t]),
                             size_of(is_udp ? held.udp_handshake[i][t] : held.tcp[i][t]));
            assert_int_equal(is_udp ? taken.tcp[i][t] : taken.udp_handshake[i][t], -1);
        }
        for (unsigned t = 0; t < 3 && is_udp; t++) {
            assert_int_equal(size_of(taken.udp_worker[i][t]), size_of(held.udp_worker[i][t]));
        }
    }
    assert_int_equal(size_of(taken.tun[3][2]), size_of(held.tun[3][2]));
    assert_int_equal(taken.tun[3][3], -1);
    close(ends[1]);
}

static void the_state_memory_is_one_and_its_tables_lie_apart(void **state)
{
    (void)state;
    held.state->engine_starts = 7;
    assert_int_equal(taken.state->engine_starts, 7);
    uint64_t end = sizeof *taken.state;
    for (unsigned p = 0; p < 4; p++) {
        assert_true(taken.state->peers_at[p] >= end);
        end = taken.state->peers_at[p] + amm_peer_table_size(2047);
    }
    for (unsigned t = 0; t < 2; t++) {
        assert_true(taken.state->sessions_at[t] >= end);
        end =
            taken.state->sessions_at[t] + amm_session_table_size(taken.state->sessions_per_thread);
    }
    assert_true(taken.state->engine_at >= end);
    assert_int_equal(taken.state->engine_at + AMM_STATE_ENGINE, taken.state->size);
    assert_true(taken.state->sessions_per_thread * 2 >= 4 * 2047);
    memset(amm_state_engine(taken.state), 1, AMM_STATE_ENGINE);
    close(ends[1]);
}

static void messages_go_both_ways_until_one_side_is_gone(void **state)
{
    (void)state;
    struct amm_channel_message message;
    struct amm_material material;
    assert_int_equal(amm_channel_receive(ends[1], &message, &material), AMM_CHANNEL_NOTHING);
    assert_true(amm_channel_send_material(ends[0], packed));
    assert_int_equal(amm_channel_receive(ends[1], &message, &material), AMM_CHANNEL_OK);
    assert_int_equal(message.type, AMM_CHANNEL_MATERIAL);
    assert_string_equal(material.blobs[AMM_BLOB_KEY].text, AMM_PKI_SERVER_KEY);
    amm_material_free(&material);
    assert_true(amm_channel_send(ends[1], AMM_CHANNEL_ACCEPTED, 5));
    assert_int_equal(amm_channel_receive(ends[0], &message, NULL), AMM_CHANNEL_OK);
    assert_int_equal(message.good, 5);
    close(ends[1]);
    assert_int_equal(amm_channel_receive(ends[0], &message, NULL), AMM_CHANNEL_CLOSED);
    assert_false(amm_channel_send(ends[0], AMM_CHANNEL_STOP, 0));
}

static void a_hand_over_that_is_not_understood_is_refused(void **state)
{
    (void)state;
    assert_true(amm_unix_pair(ends));
    assert_int_equal(amm_unix_send(ends[0], amm_view("hello", 5), NULL, 0), AMM_UNIX_OK);
    assert_false(amm_handoff_receive(ends[1], &taken, error, sizeof error));
    assert_non_null(strstr(error, "not understood"));
    close(ends[0]);
    assert_false(amm_handoff_receive(ends[1], &taken, error, sizeof error));
    close(ends[1]);
    struct amm_material material;
    int fd = sized(8192);
    assert_false(amm_material_map(&material, fd));
    close(fd);
    fd = sized(10);
    assert_false(amm_material_map(&material, fd));
    close(fd);
}

/* ---- rules ---- */

static void the_rules_name_each_port_and_the_proxy(void **state)
{
    (void)state;
    static char rules[16384];
    load("published = 80\npage-port = 9444\nremote-ports = 443, 9444\n[port 1190]\n[port 1191]\n");
    held.proxy.uid = 4711;
    size_t len = amm_firewall_rules(&held, rules, sizeof rules - 1);
    assert_true(len > 0);
    rules[len] = '\0';
    assert_non_null(strstr(rules, "ip daddr != 10.4.32.1 drop"));
    assert_non_null(strstr(rules, "ip daddr != 10.4.96.1 drop"));
    assert_non_null(strstr(rules, "ip saddr != 10.4.96.0/19 drop"));
    assert_non_null(strstr(rules, "tcp dport 80 accept"));
    assert_null(strstr(rules, "8443"));
    assert_non_null(strstr(
        rules, "tcp sport { 9444, 443 } tcp dport >= 32768 tcp flags & (syn|ack) != syn accept"));
    assert_non_null(strstr(rules, "meta skuid 4711 tcp dport { 9444, 443 } accept"));
    assert_non_null(strstr(rules, "meta skuid 4711 icmp type echo-request accept"));
    assert_non_null(strstr(rules, "iifname { \"tun1190\", \"tun1191\" } drop"));
    assert_null(strstr(rules, "tun1192"));
    assert_int_equal(amm_firewall_rules(&held, rules, len - 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_arrive_as_they_were_read),
        cmocka_unit_test(a_missing_file_at_the_start_is_told_with_its_cure),
        cmocka_unit_test(what_the_engine_did_not_accept_is_not_kept),
        cmocka_unit_test_setup_teardown(every_descriptor_lands_where_it_belongs, hand_over,
                                        give_back),
        cmocka_unit_test_setup_teardown(the_state_memory_is_one_and_its_tables_lie_apart, hand_over,
                                        give_back),
        cmocka_unit_test_setup_teardown(messages_go_both_ways_until_one_side_is_gone, hand_over,
                                        give_back),
        cmocka_unit_test(a_hand_over_that_is_not_understood_is_refused),
        cmocka_unit_test(the_rules_name_each_port_and_the_proxy),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
