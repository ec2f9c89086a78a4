/* What ammctl sends to the manager and shows of its answers: names in targets, and strings that a
 * gateway made. */
#include "ctl/remote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int ctl_fail(enum ctl_exit status, const char *format, ...)
{
    (void)format;
    return status;
}

static void a_name_cannot_leave_its_place_in_a_target(void **state)
{
    (void)state;
    struct ctl_target target;
    ctl_target_init(&target, "/api/v1/gateways");
    ctl_target_segment(&target, "../users?x=1&y#z%00 \xc3\xa9");
    ctl_target_query(&target, "text", "a&b=c");
    ctl_target_query(&target, "nothing", NULL);
    ctl_target_query(&target, "after", "1/2");
    amm_write_u8(&target.w, 0);
    assert_false(target.w.failed);
    assert_string_equal(target.text, "/api/v1/gateways/..%2Fusers%3Fx%3D1%26y%23z%2500%20%C3%A9"
                                     "?text=a%26b%3Dc&after=1%2F2");
}

static void a_target_that_is_too_long_fails(void **state)
{
    (void)state;
    static char name[CTL_TARGET + 1];
    struct ctl_target target;
    memset(name, 'a', sizeof name - 1);
    ctl_target_init(&target, "/api/v1/gateways");
    ctl_target_segment(&target, name);
    assert_true(target.w.failed);
}

static void a_forward_names_a_port_or_a_host_behind(void **state)
{
    (void)state;
    uint16_t local;
    char target[96];
    assert_true(ctl_remote_ports("2222:22", &local, target, sizeof target));
    assert_int_equal(local, 2222);
    assert_string_equal(target, "gateway:22");
    assert_true(ctl_remote_ports("0:192.168.13.100:80", &local, target, sizeof target));
    assert_string_equal(target, "192.168.13.100:80");
    static const char *const bad[] = {"", "22", "2222:", ":22", "x:22", "70000:22", "-1:22"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(ctl_remote_ports(bad[i], &local, target, sizeof target));
    }
}

static void members_of_members(void **state)
{
    (void)state;
    json_t *object =
        json_loads("{\"tunnel\": {\"up\": true, \"deep\": {\"er\": 7}}, \"x\": null}", 0, NULL);
    assert_true(json_is_true(ctl_member(object, "tunnel.up")));
    assert_int_equal(json_integer_value(ctl_member(object, "tunnel.deep.er")), 7);
    assert_null(ctl_member(object, "tunnel.down"));
    assert_null(ctl_member(object, "x.y"));
    assert_null(ctl_member(object, ""));
    json_decref(object);
}

static void shows(json_t *value, enum ctl_show show, const char *text)
{
    char cell[CTL_CELL];
    assert_string_equal(ctl_show(value, show, cell), text);
    json_decref(value);
}

static void values_as_cells(void **state)
{
    (void)state;
    char cell[CTL_CELL];
    assert_string_equal(ctl_show(NULL, CTL_SHOW_TEXT, cell), "-");
    shows(json_null(), CTL_SHOW_TIME, "-");
    shows(json_string(""), CTL_SHOW_TEXT, "-");
    shows(json_true(), CTL_SHOW_YES, "yes");
    shows(json_false(), CTL_SHOW_YES, "no");
    shows(json_integer(-71), CTL_SHOW_TEXT, "-71");
    shows(json_integer(1500), CTL_SHOW_BYTES, "1.5 kB");
    shows(json_integer(0), CTL_SHOW_TIME, "1970-01-01 00:00:00Z");
    shows(json_pack("{s:b}", "set", 1), CTL_SHOW_TEXT, "{\"set\":true}");
}

static void what_a_gateway_said_does_not_steer_the_terminal(void **state)
{
    (void)state;
    shows(json_string("\x1b[2Jbus\r\n\x07"), CTL_SHOW_TEXT, "_[2Jbus___");
    shows(json_pack("[s]", "\x1b]0;x\x07"), CTL_SHOW_TEXT, "[\"\\u001B]0;x\\u0007\"]");
    static char name[4 * CTL_CELL];
    char cell[CTL_CELL];
    memset(name, 'a', sizeof name - 1);
    json_t *value = json_string(name);
    assert_int_equal(strlen(ctl_show(value, CTL_SHOW_TEXT, cell)), CTL_CELL - 1);
    json_decref(value);
}

static void seconds_of_a_hold(void **state)
{
    (void)state;
    uint32_t seconds;
    assert_true(ctl_seconds_parse("90s", &seconds) && seconds == 90);
    assert_true(ctl_seconds_parse("10m", &seconds) && seconds == 600);
    assert_true(ctl_seconds_parse("2h", &seconds) && seconds == 7200);
    assert_false(ctl_seconds_parse("", &seconds));
    assert_false(ctl_seconds_parse("-1", &seconds));
    assert_false(ctl_seconds_parse("25h", &seconds));
    assert_false(ctl_seconds_parse("10 m", &seconds));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_cannot_leave_its_place_in_a_target),
        cmocka_unit_test(a_target_that_is_too_long_fails),
        cmocka_unit_test(a_forward_names_a_port_or_a_host_behind),
        cmocka_unit_test(members_of_members),
        cmocka_unit_test(values_as_cells),
        cmocka_unit_test(what_a_gateway_said_does_not_steer_the_terminal),
        cmocka_unit_test(seconds_of_a_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
