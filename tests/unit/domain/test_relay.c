/* domain/relay.h */
#include "domain/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct amm_relay_list parse(const char *text)
{
    struct amm_relay_list list;
    assert_true(amm_relay_parse(&list, amm_view_str(text), NULL));
    return list;
}

static bool allows(const char *list_text, const char *target_text)
{
    struct amm_relay_list list = parse(list_text);
    struct amm_address target;
    assert_true(amm_relay_target_parse(&target, amm_view_str(target_text)));
    return amm_relay_allows(&list, &target);
}

static void a_list_allows_what_it_names(void **state)
{
    (void)state;
    static const char list[] =
        "192.168.13.100:22, 192.168.14.0/24:80-81; gateway:22\t[fd00::/64]:443";
    assert_true(allows(list, "192.168.13.100:22"));
    assert_false(allows(list, "192.168.13.100:23"));
    assert_false(allows(list, "192.168.13.101:22"));
    assert_true(allows(list, "192.168.14.0:80"));
    assert_true(allows(list, "192.168.14.255:81"));
    assert_false(allows(list, "192.168.14.1:82"));
    assert_false(allows(list, "192.168.15.1:80"));
    assert_true(allows(list, "gateway:22"));
    assert_false(allows(list, "gateway:80"));
    assert_true(allows(list, "[fd00::1:2]:443"));
    assert_false(allows(list, "[fd00:0:0:1::2]:443"));
    assert_false(allows("", "192.168.13.100:22"));
    assert_false(allows("192.168.0.0/16:1-65535", "gateway:22"));
    assert_false(allows("gateway:1-65535", "192.168.13.100:22"));
}

static void a_list_has_one_text(void **state)
{
    (void)state;
    char text[AMM_RELAY_LIST];
    struct amm_relay_list list = parse(
        "  192.168.13.100:22;192.168.14.77/24:80-81,gateway:22 [FD00:0::5/64]:443,[fd00::5]:1-1 ");
    assert_true(amm_relay_text(&list, text));
    assert_string_equal(text, "192.168.13.100:22, 192.168.14.0/24:80-81, gateway:22, "
                              "[fd00::/64]:443, [fd00::5]:1");
    struct amm_relay_list again = parse(text);
    assert_memory_equal(&list, &again, sizeof list);
    list = parse("");
    assert_true(amm_relay_text(&list, text));
    assert_string_equal(text, "");
}

static void other_entries_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "192.168.13.100",
        "192.168.13.100:",
        "192.168.13.100:0",
        "192.168.13.100:65536",
        "192.168.13.100:022",
        "192.168.13.100:80-",
        "192.168.13.100:81-80",
        "192.168.13.100:-80",
        "192.168.13.100:*",
        "192.168.13.0/15:80",
        "192.168.13.0/33:80",
        "192.168.13.0/:80",
        "192.168.13.0/024:80",
        "127.0.0.1:80",
        "127.8.0.0/16:80",
        "0.0.0.0:80",
        "169.254.1.1:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
        "[::1]:80",
        "[::]:80",
        "[fe80::1]:80",
        "[ff02::1]:80",
        "[::ffff:127.0.0.1]:80",
        "[::127.0.0.1]:80",
        "[fd00::/63]:80",
        "fd00::1:80",
        "[192.168.13.1]:80",
        "localhost:80",
        "printer:80",
        "gateway",
        "gateway/24:22",
        "Gateway:22",
        ":22",
        "[]:22",
        "[fd00::1:22",
        "192.168.13.1:80:80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct amm_relay_list list;
        struct amm_view where;
        char text[128] = "gateway:22, ";
        strcat(text, bad[i]);
        assert_false(amm_relay_parse(&list, amm_view_str(text), &where));
        assert_true(amm_view_equal(where, amm_view_str(bad[i])));
    }
}

static void too_many_entries_are_refused(void **state)
{
    (void)state;
    char text[512] = "";
    struct amm_relay_list list;
    for (int i = 0; i < AMM_RELAY_ENTRIES; i++) {
        strcat(text, "gateway:22 ");
    }
    assert_true(amm_relay_parse(&list, amm_view_str(text), NULL));
    strcat(text, "gateway:22");
    assert_false(amm_relay_parse(&list, amm_view_str(text), NULL));
}

static void a_target_is_one_host_and_one_port(void **state)
{
    (void)state;
    static const char *const good[] = {"192.168.13.100:22", "[fd00::5]:80", "gateway:65535"};
    static const char *const bad[] = {"192.168.13.0/24:22", "192.168.13.1:1-2", "127.0.0.1:22",
                                      "[::1]:22",           "gateway:0",        "",
                                      "gateway:22 ",        "10.0.0.1"};
    struct amm_address target;
    char text[AMM_RELAY_TARGET];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(amm_relay_target_parse(&target, amm_view_str(good[i])));
        assert_string_equal(amm_relay_target_text(&target, text), good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(amm_relay_target_parse(&target, amm_view_str(bad[i])));
    }
}

/* A list is not asked about what can never be a target. */
static void special_addresses_are_never_allowed(void **state)
{
    (void)state;
    struct amm_relay_list list = {
        .n = 1,
        .at = {{.network = {.family = AMM_FAMILY_IPV4}, .prefix = 0, .first = 1, .last = 65535}}};
    struct amm_address target;
    assert_true(amm_address_parse(&target, "127.0.0.1:80", 0));
    assert_false(amm_relay_allows(&list, &target));
    assert_true(amm_address_parse(&target, "10.0.0.1:80", 0));
    assert_true(amm_relay_allows(&list, &target));
    target.port = 0;
    assert_false(amm_relay_allows(&list, &target));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_allows_what_it_names),
        cmocka_unit_test(a_list_has_one_text),
        cmocka_unit_test(other_entries_are_refused_by_name),
        cmocka_unit_test(too_many_entries_are_refused),
        cmocka_unit_test(a_target_is_one_host_and_one_port),
        cmocka_unit_test(special_addresses_are_never_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
