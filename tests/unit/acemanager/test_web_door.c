/* web_door.h: listeners follow the addresses, and the whole way of a page over TLS. */
#include "web.h"
#include "web_door.h"

#include "crypto/pki.h"
#include "http/client.h"
#include "io/clock.h"
#include "io/tcp.h"
#include "support/fake_core.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct ace_core core;
static struct ace_pages *pages;
static char folder[64];
static uint16_t port;

/* 127.0.0.N on the loopback interface. */
static struct ace_listen at(uint8_t n)
{
    return (struct ace_listen){.address = {.ip = {127, 0, 0, n}, .family = AMM_FAMILY_IPV4},
                               .link = "lo"};
}

static struct amm_address address_of(uint8_t n)
{
    struct amm_address address = at(n).address;
    address.port = port;
    return address;
}

static uint16_t free_port(void)
{
    char error[128];
    struct amm_address any = at(1).address, got;
    int fd = amm_tcp_listen(&any, false, error, sizeof error);
    assert_true(fd >= 0);
    assert_int_equal(amm_tcp_connect_result(fd, &got), 0);
    close(fd);
    return got.port;
}

static int begin(void **state)
{
    (void)state;
    char error[256], text[16];
    snprintf(folder, sizeof folder, "/tmp/amm-door-XXXXXX");
    assert_non_null(mkdtemp(folder));
    fake_core_init(&core, folder);
    port = free_port();
    snprintf(text, sizeof text, "%u", port);
    fake_core_set(&core, AMM_MSCI_HTTPS_PORT, text);
    core.listens[0] = at(1);
    core.n_listens = 1;
    pages = ace_pages_new(&core, error, sizeof error);
    return pages ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    static const char *const names[] = {ACE_PAGES_LABEL, ACE_PAGES_ACCOUNTS, "page-tls.pem"};
    char path[128];
    ace_pages_free(pages);
    fake_core_deinit(&core);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static void change(void)
{
    core.part.changed(core.part.context);
    core.part.step(core.part.context); /* listeners are closed by the server's own round */
}

static bool is_open(uint8_t n)
{
    char error[128];
    struct amm_address to = address_of(n), local;
    int fd = amm_tcp_connect(&to, error, sizeof error);
    if (fd < 0) {
        return false;
    }
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&ready, 1, 10000), 1);
    bool ok = amm_tcp_connect_result(fd, &local) == 0;
    close(fd);
    return ok;
}

static void listeners_follow_the_addresses(void **state)
{
    (void)state;
    assert_true(is_open(1));
    assert_false(is_open(2));
    core.listens[1] = at(2); /* the tunnel comes up */
    core.n_listens = 2;
    change();
    assert_true(is_open(1) && is_open(2));
    core.listens[0] = at(3); /* the LAN gets another address */
    change();
    assert_false(is_open(1));
    assert_true(is_open(2) && is_open(3));
    core.n_listens = 0;
    change();
    assert_false(is_open(1) || is_open(2) || is_open(3));
}

static void the_port_moves(void **state)
{
    (void)state;
    uint16_t before = port;
    char text[16];
    port = free_port();
    snprintf(text, sizeof text, "%u", port);
    fake_core_set(&core, AMM_MSCI_HTTPS_PORT, text);
    change();
    assert_true(is_open(1));
    port = before;
    assert_false(is_open(1));
}

static void a_taken_address_is_tried_again(void **state)
{
    (void)state;
    char error[128];
    struct amm_address taken = address_of(2);
    int fd = amm_tcp_listen(&taken, false, error, sizeof error);
    assert_true(fd >= 0);
    core.listens[1] = at(2);
    core.n_listens = 2;
    change();
    assert_true(core.part.deadline(core.part.context) != AMM_NEVER);
    assert_true(is_open(1)); /* the others are not held up */
    close(fd);
    core.now = amm_now();
    core.now.mono += 6 * AMM_SECOND;
    core.part.step(core.part.context);
    assert_true(is_open(2));
}

/* Asks for the login page, trusting the key with that hash; the status, or 0 if there was no
 * answer. */
static int ask(struct amm_view pin)
{
    char error[256];
    struct amm_http_tls_settings tls_settings = {.is_client = true};
    struct amm_http_tls *tls = amm_http_tls_new(&tls_settings, error, sizeof error);
    assert_non_null(tls);
    struct amm_http_client_settings settings = {.address = address_of(1),
                                                .host = "127.0.0.1",
                                                .tls = tls,
                                                .server_name = "",
                                                .key_pin = pin};
    struct amm_http_client *client = amm_http_client_new(&settings, amm_now());
    assert_non_null(client);
    struct amm_view nothing = amm_view("", 0);
    assert_true(amm_http_client_request(client, amm_view_str("GET"), amm_view_str("/login"),
                                        nothing, nothing));
    struct amm_http_event event = {0};
    int status = 0;
    while (event.kind != AMM_HTTP_EVENT_FAILED && event.kind != AMM_HTTP_EVENT_DONE) {
        unsigned interest = amm_http_client_interest(client);
        struct pollfd ready[2] = {
            {.fd = core.part.fd(core.part.context), .events = POLLIN},
            {.fd = amm_http_client_fd(client),
             .events = interest & AMM_WRITE ? POLLIN | POLLOUT : POLLIN},
        };
        poll(ready, 2, 100);
        core.part.step(core.part.context);
        amm_http_client_step(client, amm_now(), &event);
        status = event.kind == AMM_HTTP_EVENT_HEAD ? event.response->status : status;
    }
    amm_http_client_free(client);
    amm_http_tls_unref(tls);
    return status;
}

static void a_page_comes_over_tls_with_the_key_that_was_kept(void **state)
{
    (void)state;
    char *certificate, *key, error[256];
    struct amm_identity identity;
    assert_true(web_door_key(folder, "acemanager", 0, &certificate, &key, error, sizeof error));
    assert_true(amm_pki_identity(certificate, &identity, error, sizeof error));
    assert_int_equal(ask(amm_view(identity.key, sizeof identity.key)), 200);
    identity.key[0] ^= 1;
    assert_int_equal(ask(amm_view(identity.key, sizeof identity.key)), 0);
    free(certificate);
    free(key);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(listeners_follow_the_addresses),
        TEST(the_port_moves),
        TEST(a_taken_address_is_tried_again),
        TEST(a_page_comes_over_tls_with_the_key_that_was_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
