/* base/address: what is written can be read, and everything else is refused. */
#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void addresses_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t default_port;
        const char *again;
    } cases[] = {
        {"192.0.2.1:1190", 0, "192.0.2.1:1190"},
        {"192.0.2.1", 1190, "192.0.2.1:1190"},
        {"192.0.2.1:65535", 1190, "192.0.2.1:65535"},
        {"[2001:db8::1]:1", 0, "[2001:db8::1]:1"},
        {"[2001:db8::1]", 443, "[2001:db8::1]:443"},
        {"2001:db8::1", 443, "[2001:db8::1]:443"},
        {"::", 5, "[::]:5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct amm_address address;
        char text[AMM_ADDRESS_TEXT];
        assert_true(amm_address_parse(&address, cases[i].text, cases[i].default_port));
        assert_string_equal(amm_address_text(&address, text), cases[i].again);
    }
}

static void nonsense_is_refused_and_leaves_the_output_alone(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2:1",
        "192.0.2.1:1x",
        "192.0.2.256:1",
        " 192.0.2.1:1",
        "[2001:db8::1]",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[]:1",
        "::1",
        ":1190",
        "name:1190",
        "[192.0.2.1:1190",
        "192.0.2.1:+1",
        "192.0.2.1:99999999999999999999",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:1",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct amm_address address = {.port = 7};
        if (amm_address_parse(&address, cases[i], 0)) {
            fail_msg("\"%s\" was taken", cases[i]);
        }
        assert_int_equal(address.port, 7);
    }
}

static void a_v4_mapped_address_is_the_same_as_ipv4(void **state)
{
    (void)state;
    struct amm_address mapped, plain;
    assert_true(amm_address_parse(&mapped, "[::ffff:192.0.2.1]:1190", 0));
    assert_true(amm_address_parse(&plain, "192.0.2.1:1190", 0));
    assert_true(amm_address_equal(&mapped, &plain));
}

static void any_difference_makes_paths_differ(void **state)
{
    (void)state;
    struct amm_path path = {.link = 1, .transport = AMM_UDP, .port_index = 2};
    assert_true(amm_address_parse(&path.remote, "192.0.2.1:1190", 0));
    assert_true(amm_address_parse(&path.local, "[2001:db8::1]:1190", 0));
    struct amm_path other = path;
    assert_true(amm_path_equal(&path, &other));
    other.remote.port++;
    assert_false(amm_path_equal(&path, &other));
    other = path;
    other.local.ip[15]++;
    assert_false(amm_path_equal(&path, &other));
    other = path;
    other.link++;
    assert_false(amm_path_equal(&path, &other));
    other = path;
    other.transport = AMM_TCP;
    assert_false(amm_path_equal(&path, &other));
    other = path;
    other.port_index++;
    assert_false(amm_path_equal(&path, &other));
    other = path;
    other.remote.family = AMM_FAMILY_IPV6;
    assert_false(amm_path_equal(&path, &other));
}

static uint64_t prefix_of(const char *text)
{
    struct amm_address address;
    assert_true(amm_address_parse(&address, text, 1));
    return amm_address_prefix(&address);
}

static void prefixes_are_slash_24_and_slash_56(void **state)
{
    (void)state;
    assert_int_equal(prefix_of("192.0.2.1"), prefix_of("192.0.2.254:99"));
    assert_int_not_equal(prefix_of("192.0.2.1"), prefix_of("192.0.3.1"));
    assert_int_equal(prefix_of("2001:db8:0:ff00::1"), prefix_of("2001:db8:0:ffff::2"));
    assert_int_not_equal(prefix_of("2001:db8:0:ff00::1"), prefix_of("2001:db8:0:fe00::1"));
    assert_int_not_equal(prefix_of("0.0.0.0"), prefix_of("::"));
}

static void inner_addresses_are_numbers_in_host_order(void **state)
{
    (void)state;
    uint32_t ip = 0;
    char text[AMM_IPV4_TEXT];
    assert_true(amm_ipv4_parse(&ip, "10.128.0.6"));
    assert_int_equal(ip, 0x0a800006);
    assert_string_equal(amm_ipv4_text(0xffffffff, text), "255.255.255.255");
    assert_false(amm_ipv4_parse(&ip, "10.128.0"));
    assert_false(amm_ipv4_parse(&ip, "10.128.0.6 "));
    assert_int_equal(ip, 0x0a800006);
}

static void an_unset_address_is_shown_as_a_dash(void **state)
{
    (void)state;
    struct amm_address none = {0};
    char text[AMM_ADDRESS_TEXT];
    assert_string_equal(amm_address_text(&none, text), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(nonsense_is_refused_and_leaves_the_output_alone),
        cmocka_unit_test(a_v4_mapped_address_is_the_same_as_ipv4),
        cmocka_unit_test(any_difference_makes_paths_differ),
        cmocka_unit_test(prefixes_are_slash_24_and_slash_56),
        cmocka_unit_test(inner_addresses_are_numbers_in_host_order),
        cmocka_unit_test(an_unset_address_is_shown_as_a_dash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
