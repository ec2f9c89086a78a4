#include "settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct amm_route route(const char *network, const char *mask)
{
    struct amm_route r;
    assert_true(amm_ipv4_parse(&r.network, network));
    assert_true(amm_ipv4_parse(&r.mask, mask));
    return r;
}

static bool allowed(const char *network, const char *mask)
{
    struct amm_route r = route(network, mask);
    return amm_route_allowed(&r);
}

static void private_networks_and_hosts_are_allowed(void **state)
{
    (void)state;
    assert_true(allowed("10.0.0.0", "255.0.0.0"));
    assert_true(allowed("10.4.32.1", "255.255.255.255"));
    assert_true(allowed("172.16.0.0", "255.240.0.0"));
    assert_true(allowed("172.31.255.0", "255.255.255.0"));
    assert_true(allowed("192.168.13.0", "255.255.255.0"));
    assert_true(allowed("100.64.0.0", "255.192.0.0"));
}

static void a_default_route_in_any_disguise_is_refused(void **state)
{
    (void)state;
    assert_false(allowed("0.0.0.0", "0.0.0.0"));
    assert_false(allowed("0.0.0.0", "128.0.0.0"));
    assert_false(allowed("128.0.0.0", "128.0.0.0"));
    assert_false(allowed("8.0.0.0", "248.0.0.0"));
    assert_false(allowed("10.0.0.0", "254.0.0.0"));
}

static void public_networks_are_refused(void **state)
{
    (void)state;
    assert_false(allowed("8.8.8.8", "255.255.255.255"));
    assert_false(allowed("172.32.0.0", "255.255.0.0"));
    assert_false(allowed("172.16.0.0", "255.224.0.0"));
    assert_false(allowed("192.169.0.0", "255.255.0.0"));
    assert_false(allowed("127.0.0.1", "255.255.255.255"));
    assert_false(allowed("224.0.0.0", "240.0.0.0"));
    assert_false(allowed("169.254.1.0", "255.255.255.0"));
}

static void masks_with_holes_and_host_bits_are_refused(void **state)
{
    (void)state;
    assert_false(allowed("10.0.0.0", "255.0.255.0"));
    assert_false(allowed("10.0.0.1", "255.255.255.0"));
}

static void ciphers_are_taken_in_order_and_the_others_are_named(void **state)
{
    (void)state;
    uint8_t ciphers[3] = {0};
    char unknown[64];
    assert_int_equal(amm_ciphers_parse(ciphers,
                                       amm_view_str("CHACHA20-POLY1305:AES-256-CBC:aes-256-gcm"),
                                       unknown, sizeof unknown),
                     2);
    assert_int_equal(ciphers[0], AMM_CIPHER_CHACHA20_POLY1305);
    assert_int_equal(ciphers[1], AMM_CIPHER_AES_256_GCM);
    assert_int_equal(ciphers[2], AMM_CIPHER_NONE);
    assert_string_equal(unknown, "AES-256-CBC");
}

static void a_list_without_any_known_cipher_changes_nothing(void **state)
{
    (void)state;
    uint8_t ciphers[3] = {AMM_CIPHER_AES_128_GCM, 0, 0};
    char unknown[64];
    assert_int_equal(amm_ciphers_parse(ciphers, amm_view_str("BF-CBC:"), unknown, sizeof unknown),
                     0);
    assert_int_equal(ciphers[0], AMM_CIPHER_AES_128_GCM);
    assert_int_equal(amm_ciphers_parse(ciphers, amm_view_str(""), unknown, sizeof unknown), 0);
}

static void a_material_is_set_once_and_never_with_a_nul(void **state)
{
    (void)state;
    struct amm_settings settings;
    amm_settings_init(&settings);
    struct amm_material *m = &settings.materials[AMM_MATERIAL_KEY];
    assert_false(amm_material_set(m, amm_view("a\0b", 3)));
    assert_true(amm_material_set(m, amm_view_str("secret")));
    assert_string_equal(m->text, "secret");
    assert_false(amm_material_set(m, amm_view_str("other")));
    amm_settings_deinit(&settings);
    assert_null(m->text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_networks_and_hosts_are_allowed),
        cmocka_unit_test(a_default_route_in_any_disguise_is_refused),
        cmocka_unit_test(public_networks_are_refused),
        cmocka_unit_test(masks_with_holes_and_host_bits_are_refused),
        cmocka_unit_test(ciphers_are_taken_in_order_and_the_others_are_named),
        cmocka_unit_test(a_list_without_any_known_cipher_changes_nothing),
        cmocka_unit_test(a_material_is_set_once_and_never_with_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
