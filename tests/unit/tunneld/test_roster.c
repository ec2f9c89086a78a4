/* The file that says which gateways may join. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tunneld/roster.h"

#include <string.h>

static const struct amm_roster_port ports[] = {{1190, 2047}, {1191, 8189}};

static struct amm_roster *parse(const char *text, char error[256])
{
    return amm_roster_parse("roster", amm_view_str(text), ports, 2, error, 256);
}

static void refused(const char *text, const char *expected)
{
    char error[256] = "";
    assert_null(parse(text, error));
    assert_string_equal(error, expected);
}

static void names_are_found_on_their_port_only(void **state)
{
    (void)state;
    char error[256];
    struct amm_roster *roster =
        parse("gw-b 1190 7\n\n# comment\n\tgw-a 1191 8189 # last one\r\ngw-b 1191 3", error);
    assert_non_null(roster);
    assert_int_equal(amm_roster_count(roster), 3);
    assert_int_equal(amm_roster_slot(roster, "gw-b", 1190), 7);
    assert_int_equal(amm_roster_slot(roster, "gw-b", 1191), 3);
    assert_int_equal(amm_roster_slot(roster, "gw-a", 1191), 8189);
    assert_int_equal(amm_roster_slot(roster, "gw-a", 1190), 0);
    assert_int_equal(amm_roster_any_port(roster, "gw-a"), 1191);
    assert_int_equal(amm_roster_any_port(roster, "gw"), 0);
    assert_int_equal(amm_roster_any_port(roster, "gw-c"), 0);
    amm_roster_unref(roster);
}

static void a_bad_line_is_named_with_what_is_allowed(void **state)
{
    (void)state;
    refused("gw 1190 1\ngw2 1190\n", "roster:2: a line is \"name port slot\"");
    refused("gw 1190 1 extra", "roster:1: a line is \"name port slot\"");
    refused("gw 1194 1", "roster:1: port \"1194\" is not one of this server's tunnel ports");
    refused("gw 11900000000 1",
            "roster:1: port \"11900000000\" is not one of this server's tunnel ports");
    refused("gw 1190 0", "roster:1: slot \"0\" is outside 1 to 2047 of port 1190");
    refused("gw 1190 2048", "roster:1: slot \"2048\" is outside 1 to 2047 of port 1190");
    refused("gw 1190 -1", "roster:1: slot \"-1\" is outside 1 to 2047 of port 1190");
    refused("a/b 1190 1", "roster:1: a name is 1 to 64 printable characters without space and '/'");
    refused("\x01gw 1190 1",
            "roster:1: a name is 1 to 64 printable characters without space and '/'");
}

static void a_name_of_65_characters_is_refused(void **state)
{
    (void)state;
    char text[128], error[256];
    memset(text, 'x', 65);
    memcpy(text + 65, " 1190 1", 8);
    assert_null(parse(text, error));
    struct amm_roster *roster = parse(text + 1, error);
    assert_int_equal(amm_roster_count(roster), 1);
    amm_roster_unref(roster);
}

static void nothing_is_given_twice(void **state)
{
    (void)state;
    refused("a 1190 5\nb 1191 5\nc 1190 5\n", "roster:3: slot 5 of port 1190 is taken by line 1");
    refused("a 1190 5\n\na 1190 6\n", "roster:3: a has a slot on port 1190 already (line 1)");
}

static void an_empty_file_is_a_roster_without_gateways(void **state)
{
    (void)state;
    char error[256];
    struct amm_roster *roster = parse("", error);
    assert_non_null(roster);
    assert_int_equal(amm_roster_count(roster), 0);
    assert_int_equal(amm_roster_slot(roster, "gw", 1190), 0);
    amm_roster_unref(roster);
    assert_null(amm_roster_unref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_on_their_port_only),
        cmocka_unit_test(a_bad_line_is_named_with_what_is_allowed),
        cmocka_unit_test(a_name_of_65_characters_is_refused),
        cmocka_unit_test(nothing_is_given_twice),
        cmocka_unit_test(an_empty_file_is_a_roster_without_gateways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
