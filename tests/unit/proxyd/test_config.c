/* [remote-access]: what it is without a word, and what is refused with which words. */
#include "proxyd/config.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct proxyd_config config;
static char error[AMM_CONF_ERROR];

static bool load(const char *text)
{
    return proxyd_config_load(&config, "amm.conf", amm_view_str(text), error);
}

static void test_defaults(void **state)
{
    (void)state;
    char text[AMM_ADDRESS_TEXT];
    assert_true(load(""));
    assert_string_equal(amm_address_text(&config.listen.at[0], text), "127.0.0.1:8081");
    assert_int_equal(config.port, 8081);
    assert_string_equal(config.domain, "localhost");
    assert_string_equal(config.user, "amm-proxyd");
    assert_string_equal(config.assertion_key, "/etc/amm/pki/remote-access.key");
    assert_true(load("pki = /x\nproxy-user = 7\n[remote-access]\ncertificate = c\nkey = k\n"
                     "[manager]\nuser = m\nconsole = [::]:443\n[port 1190]\npool = 10.0.0.0/8\n"));
    assert_string_equal(amm_address_text(&config.listen.at[0], text), "[::]:8444");
    assert_string_equal(config.assertion_key, "/x/remote-access.key");
    assert_string_equal(config.user, "7");
    assert_string_equal(config.manager_user, "m");
    assert_true(load("[remote-access]\nlisten = 127.0.0.1:1\nlisten = [::1]:2\nport = 443\n"));
    assert_int_equal(config.listen.n, 2);
    assert_int_equal(config.port, 443);
}

static void refused(const char *text, const char *words)
{
    char all[512] = "[remote-access]\n";
    strcat(all, text);
    assert_false(load(all));
    if (strstr(error, words) == NULL) {
        fail_msg("%s: %s", text, error);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    refused("listen = 0.0.0.0:80\n", "needs TLS");
    refused("listen = [::]:80\n", "needs TLS");
    refused("listen = 127.0.0.1\n", "no address with a port");
    refused("certificate = c\n", "belong together");
    refused("key = k\n", "belong together");
    refused("domain = .x\n", "is no name");
    refused("domain = x.\n", "is no name");
    refused("domain = a..b\n", "is no name");
    refused("domain = A.b\n", "is no name");
    refused("domain = a/b\n", "is no name");
    refused("domain = a b\n", "is no name");
    refused("idle = 5\n", "allowed");
    refused("user = x\n", "user");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
