#include "ctl/pki.h"
#include "crypto/signed_time.h"
#include "crypto/tls.h"
#include "io/file.h"
#include "pki/pki_index.h"
#include "proto/wrap.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/amm-test-pki-XXXXXX";
static char pki_folder[sizeof folder + 8];
static char said[1024];

int ctl_fail(enum ctl_exit status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
    return status;
}

static int set_up(void **state)
{
    (void)state;
    char error[PKI_ERROR] = "";
    assert_non_null(mkdtemp(folder));
    snprintf(pki_folder, sizeof pki_folder, "%s/a/pki", folder);
    if (!pki_create(pki_folder, "Example", "tunnel", "vpn.example.org", error)) {
        fail_msg("%s", error);
    }
    return 0;
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        char inside[PATH_MAX];
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlink(inside) != 0) {
            remove_tree(inside);
        }
    }
    if (dir) {
        closedir(dir);
    }
    rmdir(path);
}

static int tear_down(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static char *text_of(const char *name)
{
    char error[PKI_ERROR] = "";
    struct pki pki = {.lock = -1};
    snprintf(pki.folder, sizeof pki.folder, "%s", pki_folder);
    char *text = pki_read(&pki, name, error);
    if (!text) {
        fail_msg("%s", error);
    }
    return text;
}

static mode_t mode_of(const char *name)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", pki_folder, name);
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static void what_is_secret_is_readable_by_its_owner_only(void **state)
{
    (void)state;
    static const char *const secrets[] = {
        "server-ca.key",  "gateway-ca.key",  "profile-ca.key",     "server.key",
        AMM_PKI_TLS_AUTH, AMM_PKI_TLS_CRYPT, AMM_PKI_TLS_CRYPT_V2, AMM_PKI_MANAGER_KEY,
        AMM_PKI_TIME_KEY, AMM_PKI_REMOTE_KEY};
    assert_int_equal(mode_of("."), 0700);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        assert_int_equal(mode_of(secrets[i]), 0600);
    }
    assert_int_equal(mode_of(AMM_PKI_CRL), 0644);
}

static void an_existing_folder_is_never_touched(void **state)
{
    (void)state;
    char error[PKI_ERROR] = "", *before = text_of("server-ca.key");
    assert_false(pki_create(pki_folder, "Other", "tunnel", NULL, error));
    assert_non_null(strstr(error, "nothing was changed"));
    char *after = text_of("server-ca.key");
    assert_string_equal(before, after);
    free(before);
    free(after);

    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s/a", folder);
    DIR *dir = opendir(parent);
    int n = 0;
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    assert_int_equal(n, 3); /* ".", ".." and the PKI: nothing half-made is left */
}

static void a_refused_name_leaves_nothing_behind(void **state)
{
    (void)state;
    char path[PATH_MAX], error[PKI_ERROR] = "";
    snprintf(path, sizeof path, "%s/b/pki", folder);
    assert_false(pki_create(path, "Example", "a server", NULL, error));
    assert_non_null(strstr(error, "name: "));
    snprintf(path, sizeof path, "%s/b", folder);
    assert_int_equal(rmdir(path), 0); /* it is empty */
}

static void a_folder_without_pki_is_named(void **state)
{
    (void)state;
    struct pki pki;
    char error[PKI_ERROR] = "";
    assert_false(pki_open(&pki, "/nonexistent", error));
    assert_non_null(strstr(error, "/nonexistent: no PKI here"));
    pki_close(&pki);
}

static void issue_one(enum pki_kind kind, const char *name, struct pki_credential *out)
{
    struct pki pki;
    char error[PKI_ERROR] = "";
    if (!pki_open(&pki, pki_folder, error) || !pki_issue(&pki, kind, name, NULL, 0, out, error)) {
        fail_msg("%s", error);
    }
    pki_close(&pki);
}

static size_t revoke_all(const char *name)
{
    struct pki pki;
    char error[PKI_ERROR] = "";
    size_t count = 0;
    if (!pki_open(&pki, pki_folder, error) || !pki_revoke(&pki, name, &count, error)) {
        fail_msg("%s", error);
    }
    pki_close(&pki);
    return count;
}

/* The server's verdict, with the files that it would load. */
static enum amm_tls_failure verdict_on(const struct pki_credential *gateway)
{
    char *ca = text_of(AMM_PKI_CA), *crl = text_of(AMM_PKI_CRL), *own = text_of(AMM_PKI_SERVER),
         *key = text_of(AMM_PKI_SERVER_KEY), *server_ca = text_of(AMM_PKI_SERVER_CA),
         *server_crl = text_of(AMM_PKI_SERVER_CRL), error[PKI_ERROR] = "";
    struct amm_tls_context *contexts[2] = {
        amm_tls_context_new(
            &(struct amm_tls_settings){
                .role = AMM_SERVER, .ca = ca, .crl = crl, .certificate = own, .key = key},
            error, sizeof error),
        amm_tls_context_new(&(struct amm_tls_settings){.role = AMM_CLIENT,
                                                       .ca = server_ca,
                                                       .crl = server_crl,
                                                       .certificate = gateway->certificate,
                                                       .key = gateway->key,
                                                       .server_name = "tunnel"},
                            error, sizeof error)};
    if (!contexts[0] || !contexts[1]) {
        fail_msg("%s", error);
    }
    const struct amm_tls_ops *ops = &amm_tls_openssl;
    struct amm_tls *ends[2] = {ops->open(contexts[0], time(NULL)),
                               ops->open(contexts[1], time(NULL))};
    uint8_t bytes[4096];
    ops->step(ends[1]);
    for (int i = 0; i < 20; i++) {
        size_t n = ops->drain(ends[(i + 1) % 2], bytes, sizeof bytes);
        ops->feed(ends[i % 2], amm_view(bytes, n));
        ops->step(ends[i % 2]);
    }
    const char *detail;
    enum amm_tls_failure failure = ops->failure(ends[0], &detail);
    for (int i = 0; i < 2; i++) {
        ops->close(ends[i]);
        amm_tls_context_free(contexts[i]);
    }
    free(ca);
    free(crl);
    free(own);
    pki_text_free(key);
    free(server_ca);
    free(server_crl);
    return failure;
}

static void a_revocation_that_could_not_be_written_can_be_asked_for_again(void **state)
{
    (void)state;
    struct pki pki;
    struct pki_credential gateway;
    char error[PKI_ERROR] = "", list[128], aside[160];
    size_t count = 0;
    issue_one(PKI_GATEWAY, "gw-3", &gateway);
    snprintf(list, sizeof list, "%s/%s", pki_folder, AMM_PKI_CRL);
    snprintf(aside, sizeof aside, "%s.aside", list);
    assert_int_equal(rename(list, aside), 0);
    assert_int_equal(mkdir(list, 0700), 0); /* nothing can be written in its place */
    assert_true(pki_open(&pki, pki_folder, error));
    assert_false(pki_revoke(&pki, "gw-3", &count, error));
    pki_close(&pki);
    assert_int_equal(rmdir(list), 0);
    assert_int_equal(rename(aside, list), 0);
    assert_int_equal(verdict_on(&gateway), AMM_TLS_OK);
    assert_int_equal(revoke_all("gw-3"), 1);
    assert_int_equal(verdict_on(&gateway), AMM_TLS_REVOKED);
}

static void gateways_join_until_they_are_revoked(void **state)
{
    (void)state;
    struct pki_credential first, renewed, router, other;
    issue_one(PKI_GATEWAY, "gw-1", &first);
    issue_one(PKI_GATEWAY, "gw-1", &renewed);
    issue_one(PKI_PROFILE, "gw-1", &router);
    issue_one(PKI_GATEWAY, "gw-2", &other);
    assert_int_equal(verdict_on(&first), AMM_TLS_OK);
    assert_int_equal(verdict_on(&router), AMM_TLS_OK);
    assert_int_equal(revoke_all("gw-1"), 3);
    assert_int_equal(verdict_on(&first), AMM_TLS_REVOKED);
    assert_int_equal(verdict_on(&renewed), AMM_TLS_REVOKED);
    assert_int_equal(verdict_on(&router), AMM_TLS_REVOKED);
    assert_int_equal(verdict_on(&other), AMM_TLS_OK);
    assert_int_equal(revoke_all("gw-1"), 0);
    assert_int_equal(revoke_all("nobody"), 0);
    issue_one(PKI_GATEWAY, "gw-1", &first);
    assert_int_equal(verdict_on(&first), AMM_TLS_OK);
}

static void certificates_last_as_long_as_their_kind(void **state)
{
    (void)state;
    struct pki_credential made;
    char error[PKI_ERROR];
    int64_t from, until;
    issue_one(PKI_GATEWAY, "gw-3", &made);
    assert_true(amm_pki_validity(made.certificate, &from, &until, error, sizeof error));
    assert_in_range(until - time(NULL), 89 * PKI_DAY, 90 * PKI_DAY);
    issue_one(PKI_PROFILE, "gw-3", &made);
    assert_true(amm_pki_validity(made.certificate, &from, &until, error, sizeof error));
    assert_in_range(until - time(NULL), 3649 * (int64_t)PKI_DAY, 3650 * (int64_t)PKI_DAY);
}

static void the_index_comes_back_as_it_was_written(void **state)
{
    (void)state;
    const char *text = "# name kind serial issued not-after revoked\n"
                       "gw-1 gateway 000102030405060708090a0b0c0d0e0f10111213 100 200 -\n"
                       "r profile 1302030405060708090a0b0c0d0e0f1011121300 100 200 150\n";
    struct pki pki = {.lock = -1};
    char error[PKI_ERROR] = "";
    assert_true(pki_index_parse(&pki, text, error));
    assert_int_equal(pki.n, 2);
    assert_int_equal(pki.entries[1].revoked, 150);
    assert_int_equal(pki.entries[0].revoked, 0);
    char *again = pki_index_text(&pki);
    assert_string_equal(again, text);
    free(again);
    pki_close(&pki);
}

static void a_damaged_index_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "gw-1 gateway 000102030405060708090a0b0c0d0e0f10111213 100 200\n",
        "gw-1 gateway 000102030405060708090a0b0c0d0e0f10111213 100 200 - more\n",
        "gw-1 root 000102030405060708090a0b0c0d0e0f10111213 100 200 -\n",
        "gw-1 gateway 00010203 100 200 -\n",
        "gw-1 gateway xx0102030405060708090a0b0c0d0e0f10111213 100 200 -\n",
        "gw-1 gateway 000102030405060708090a0b0c0d0e0f10111213 soon 200 -\n",
        "gw-1 gateway 000102030405060708090a0b0c0d0e0f10111213 100 200 0\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct pki pki = {.lock = -1, .folder = "F"};
        char error[PKI_ERROR] = "", text[256];
        snprintf(text, sizeof text, "# head\n%s", bad[i]);
        assert_false(pki_index_parse(&pki, text, error));
        assert_string_equal(error, "F/index.txt:2: not a line of the index");
        pki_close(&pki);
    }
}

/* ---- what came later, and CAs that are replaced ---- */

static void the_parts_of_the_server_have_their_names_and_purposes(void **state)
{
    (void)state;
    struct amm_identity identity;
    char error[PKI_ERROR] = "", *manager = text_of(AMM_PKI_MANAGER),
         *signer = text_of(AMM_PKI_TIME), *key = text_of(AMM_PKI_TIME_KEY),
         *ca = text_of(AMM_PKI_SERVER_CA);
    assert_true(amm_pki_identity(manager, &identity, error, sizeof error));
    assert_string_equal(identity.name, "amm-manager");
    struct amm_signer *time_key = amm_signer_new(key, "time key", error, sizeof error);
    assert_non_null(time_key);
    uint8_t nonce[AMM_CLAIM_NONCE] = {1}, signature[AMM_SIGNATURE];
    assert_true(amm_time_sign(time_key, nonce, time(NULL), signature));
    struct amm_time_claim claim = {time(NULL), signature, signer};
    assert_true(amm_time_accept(&claim, nonce, ca, 0, error, sizeof error));
    amm_signer_free(time_key);
    free(manager);
    free(signer);
    pki_text_free(key);
    free(ca);
}

static void an_older_pki_gets_what_it_lacks_and_nothing_else(void **state)
{
    (void)state;
    struct pki pki;
    char error[PKI_ERROR] = "", made[256], path[PATH_MAX];
    char *server = text_of(AMM_PKI_SERVER);
    assert_true(pki_open(&pki, pki_folder, error));
    assert_true(pki_upgrade(&pki, made, sizeof made, error));
    assert_string_equal(made, "");
    static const char *const lacks[] = {AMM_PKI_MANAGER, AMM_PKI_TIME, AMM_PKI_REMOTE_KEY};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", pki_folder, lacks[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_true(pki_upgrade(&pki, made, sizeof made, error));
    assert_string_equal(made, "manager.crt manager.key time.crt time.key remote-access.key");
    pki_close(&pki);
    char *after = text_of(AMM_PKI_SERVER);
    assert_string_equal(server, after);
    free(server);
    free(after);
    the_parts_of_the_server_have_their_names_and_purposes(state);
}

static void two_cas_of_gateways_overlap_until_the_old_one_is_retired(void **state)
{
    (void)state;
    struct pki pki;
    struct pki_credential before, after, revoked;
    char error[PKI_ERROR] = "", former[64];
    issue_one(PKI_GATEWAY, "gw-20", &before);
    issue_one(PKI_GATEWAY, "gw-21", &revoked);
    assert_true(pki_open(&pki, pki_folder, error));
    assert_true(pki_roll(&pki, PKI_GATEWAY, former, sizeof former, error));
    assert_string_equal(former, "gateway-ca-1");
    pki_close(&pki);
    issue_one(PKI_GATEWAY, "gw-22", &after);
    assert_int_equal(mode_of("gateway-ca-1.key"), 0600);
    assert_int_equal(verdict_on(&before), AMM_TLS_OK);
    assert_int_equal(verdict_on(&after), AMM_TLS_OK);
    assert_int_equal(revoke_all("gw-21"), 1);
    assert_int_equal(verdict_on(&revoked), AMM_TLS_REVOKED);
    assert_int_equal(revoke_all("gw-22"), 1);
    assert_int_equal(verdict_on(&after), AMM_TLS_REVOKED);
    assert_int_equal(verdict_on(&before), AMM_TLS_OK);

    char *ca = text_of("gateway-ca.crt");
    struct amm_identity identity;
    assert_true(amm_pki_identity(ca, &identity, error, sizeof error));
    assert_string_equal(identity.name, "Example gateway CA 2");
    free(ca);
    issue_one(PKI_GATEWAY, "gw-23", &after);
    assert_true(pki_open(&pki, pki_folder, error));
    assert_false(pki_retire(&pki, "gateway-ca", error));
    assert_false(pki_retire(&pki, "../a", error));
    assert_non_null(strstr(error, "no CA that was replaced"));
    assert_true(pki_retire(&pki, "gateway-ca-1", error));
    pki_close(&pki);
    assert_int_equal(verdict_on(&before), AMM_TLS_UNKNOWN_ISSUER);
    assert_int_equal(verdict_on(&after), AMM_TLS_OK);
}

static void only_so_many_cas_overlap(void **state)
{
    (void)state;
    struct pki pki;
    char error[PKI_ERROR] = "", former[64];
    assert_true(pki_open(&pki, pki_folder, error));
    for (int i = 0; i < AMM_PKI_FORMER_MAX; i++) {
        assert_true(pki_roll(&pki, PKI_PROFILE, former, sizeof former, error));
    }
    assert_false(pki_roll(&pki, PKI_PROFILE, former, sizeof former, error));
    assert_non_null(strstr(error, "retire one first"));
    for (int i = AMM_PKI_FORMER_MAX; i > 0; i--) {
        snprintf(former, sizeof former, "profile-ca-%d", i);
        assert_true(pki_retire(&pki, former, error));
    }
    pki_close(&pki);
}

/* ---- connection files ---- */

static int run_profile(char *const *arguments)
{
    char *argv[24] = {"profile", "--pki", pki_folder};
    int argc = 3;
    while (arguments[argc - 3]) {
        argv[argc] = arguments[argc - 3];
        argc++;
    }
    struct ctl ctl = {0};
    said[0] = '\0';
    return ctl_gateway_profile(&ctl, argc, argv);
}

static void a_connection_file_holds_what_cannot_be_pushed(void **state)
{
    (void)state;
    char path[PATH_MAX], error[PKI_ERROR];
    snprintf(path, sizeof path, "%s/bus.ovpn", folder);
    char *arguments[] = {"--remote",     "vpn.example.org", "--port", "1192",  "--wrap",
                         "tls-crypt-v2", "--output",        path,     "bus-7", NULL};
    assert_int_equal(run_profile(arguments), CTL_OK);
    struct amm_span text;
    struct stat status;
    assert_true(amm_file_read(path, 1 << 20, &text, error, sizeof error));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    const char *all = (const char *)text.data;
    static const char *const lines[] = {
        "\nclient\n",
        "\ndev tun\n",
        "\nreneg-sec 86400\n",
        "\ntun-mtu 1400\n",
        "\nmssfix 1424\n",
        "\n<ca>\n",
        "\n<cert>\n",
        "\n<key>\n",
        "\n<tls-crypt-v2>\n",
        "\nnobind\n",
        "\nremote-cert-tls server\n",
        "\nverify-x509-name tunnel name\n",
        "\nexplicit-exit-notify 2\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_non_null(strstr(all, lines[i]));
    }
    /* The wrap before the first connection, and UDP on the gateway's own port first. */
    const char *connection = strstr(all, "<connection>");
    assert_true(strstr(all, "<tls-crypt-v2>") < connection);
    assert_memory_equal(connection, "<connection>\nremote vpn.example.org 1192 udp\n", 45);
    const char *tcp = strstr(all, "remote vpn.example.org 1192 tcp-client\n</connection>");
    assert_non_null(tcp);
    assert_true(strstr(all, "remote vpn.example.org 1191 udp") < tcp);
    uint8_t kc[AMM_STATIC_KEY], wkc[AMM_WKC_MAX];
    size_t wkc_len;
    assert_true(amm_v2_client_key_parse(all, kc, wkc, &wkc_len));
    free(text.data);
}

static void bad_arguments_of_a_connection_file_are_a_usage_error(void **state)
{
    (void)state;
    char *const cases[][8] = {
        {"bus-8", NULL},
        {"--remote", "h", NULL},
        {"--remote", "h", "--port", "1194", "bus-8", NULL},
        {"--remote", "h", "--wrap", "rot13", "bus-8", NULL},
        {"--remote", "h\nup /bin/sh", "bus-8", NULL},
        {"--remote", "h", "../bus-8", NULL},
        {"--remote", "h", "bus-8", "bus-9", NULL},
        {"--remote", "h", "--days", "0", "bus-8", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(run_profile(cases[i]), CTL_USAGE);
        assert_true(said[0] != '\0');
    }
    char *bad_name[] = {"--remote", "h", "--output", "/nonexistent/x", "bus 8", NULL};
    assert_int_equal(run_profile(bad_name), CTL_FAILED);
    assert_non_null(strstr(said, "name: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_secret_is_readable_by_its_owner_only),
        cmocka_unit_test(an_existing_folder_is_never_touched),
        cmocka_unit_test(a_refused_name_leaves_nothing_behind),
        cmocka_unit_test(a_folder_without_pki_is_named),
        cmocka_unit_test(gateways_join_until_they_are_revoked),
        cmocka_unit_test(a_revocation_that_could_not_be_written_can_be_asked_for_again),
        cmocka_unit_test(certificates_last_as_long_as_their_kind),
        cmocka_unit_test(the_index_comes_back_as_it_was_written),
        cmocka_unit_test(a_damaged_index_is_refused_with_its_line),
        cmocka_unit_test(the_parts_of_the_server_have_their_names_and_purposes),
        cmocka_unit_test(an_older_pki_gets_what_it_lacks_and_nothing_else),
        cmocka_unit_test(two_cas_of_gateways_overlap_until_the_old_one_is_retired),
        cmocka_unit_test(only_so_many_cas_overlap),
        cmocka_unit_test(a_connection_file_holds_what_cannot_be_pushed),
        cmocka_unit_test(bad_arguments_of_a_connection_file_are_a_usage_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
