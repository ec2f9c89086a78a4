/* Imports through the API: verdicts, columns, applying, undo, moves in stages, other tenants; with
 * the real amm-sheet, without a tunnel server. */
#include "api_world.h"

#include "manager/imports_parts.h"
#include "manager/tunnel_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 40, SHEET_ROOM = 65536 };

static void configure(struct api_world *world)
{
    static const char *const pools[] = {"10.4.32.0/19", "10.4.96.0/19", "10.4.160.0/19"};
    struct amm_tunneld_config *tunneld = &world->config.tunneld;
    snprintf(tunneld->roster, AMM_CONF_TEXT, "%s/gateways.conf", world->folder);
    snprintf(tunneld->pools, AMM_CONF_TEXT, "%s/pools.conf", world->folder);
    snprintf(tunneld->control_socket, AMM_CONF_TEXT, "%s/tunneld.sock", world->folder);
    tunneld->n_ports = 3;
    for (unsigned i = 0; i < 3; i++) {
        struct amm_port_config *port = &tunneld->ports[i];
        port->port = (uint16_t)(1190 + i);
        port->limit = LIMIT;
        snprintf(port->pool_text, sizeof port->pool_text, "%s", pools[i]);
        assert_true(amm_pool_parse(&port->pool, pools[i], AMM_NET30));
    }
}

static void start(struct manager *m, void *context)
{
    char error[256];
    (void)context;
    assert_true(tunnel_module.start(m, error, sizeof error));
    assert_true(imports_module.start(m, error, sizeof error));
}

static int set_up(void **state)
{
    char error[256];
    struct api_world *world = api_world_new();
    configure(world);
    assert_true(imports_start_reader(AMM_SHEET_PROGRAM, error, sizeof error));
    assert_true(core_unit(&world->m, start, NULL));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct api_world *world = *state;
    imports_module.stop(&world->m);
    tunnel_module.stop(&world->m);
    api_world_free(world);
    return 0;
}

static void ask(struct api_world *world, const struct caller *who, int status, const char *method,
                const char *target, const char *body)
{
    int got = call(world, who, method, target, body);
    if (got != status) {
        fail_msg("%s %s: %d %s %s", method, target, got, member(world, "error"),
                 member(world, "text"));
    }
}

/* ---- gateways ---- */

static int64_t gateway(struct api_world *world, const char *name, const char *serial,
                       const char *kind, int64_t tenant)
{
    char body[240];
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"serial\":\"%s\",\"kind\":\"%s\",\"tenant\":\"%lld\"}", name,
             serial, kind, (long long)tenant);
    ask(world, &root, 201, "POST", "/api/v1/gateways", body);
    return strtoll(member(world, "id"), NULL, 10);
}

/* A router whose tunnel is up on 1190. */
static struct fleet_gateway *router(struct api_world *world, const char *name, int64_t tenant)
{
    char target[96];
    int64_t id = gateway(world, name, name, "openvpn", tenant);
    snprintf(target, sizeof target, "/api/v1/gateways/%lld/tunnel", (long long)id);
    ask(world, &root, 200, "PUT", target, "{\"port\":1190}");
    struct fleet_gateway *made = fleet_gateway_find(world->m.fleet, id);
    made->tunnel.up_port = 1190;
    return made;
}

static const char *own(struct api_world *world, int64_t id, uint32_t parameter)
{
    const struct fleet_desired *desired =
        fleet_desired(fleet_gateway_find(world->m.fleet, id), parameter, NULL);
    return desired != NULL ? desired->value : "";
}

/* ---- imports ---- */

static const char *target_of(int64_t id, const char *tail)
{
    static char text[4][120];
    static unsigned turn;
    turn = (turn + 1) % 4;
    snprintf(text[turn], sizeof text[turn], "/api/v1/imports/%lld%s", (long long)id, tail);
    return text[turn];
}

static struct import *until(struct api_world *world, int64_t id, enum import_state state)
{
    struct import *import = import_find(&world->m, id);
    for (int i = 0; import->state != state || (import->phase != PHASE_NONE &&
                                               state != IMPORT_HELD && state != IMPORT_APPLYING);
         i++) {
        if (i > 100000 || (import->state == IMPORT_FAILED && state != IMPORT_FAILED)) {
            fail_msg("the import is %s, not %s: %s", import_state_name(import->state),
                     import_state_name(state), import->text);
        }
        core_step(&world->m, true);
    }
    return import;
}

static int64_t upload_for(struct api_world *world, const struct caller *who, int64_t tenant,
                          const char *sheet)
{
    char target[96];
    snprintf(target, sizeof target, "/api/v1/imports?tenant=%lld&filename=a.csv",
             (long long)tenant);
    ask(world, who, 201, "POST", target, sheet);
    assert_string_equal(member(world, "state"), "reading");
    return strtoll(member(world, "id"), NULL, 10);
}

static struct import *upload(struct api_world *world, int64_t tenant, const char *sheet,
                             enum import_state state)
{
    return until(world, upload_for(world, &root, tenant, sheet), state);
}

static const json_t *row_at(struct api_world *world, size_t i)
{
    return json_array_get(json_object_get(world->answer.body, "items"), i);
}

static const char *row_text(struct api_world *world, size_t i, const char *name)
{
    const char *text = json_string_value(json_object_get(row_at(world, i), name));
    return text != NULL ? text : "";
}

static void apply(struct api_world *world, const struct import *import, const char *body)
{
    ask(world, &root, 202, "POST", target_of(import->id, "/apply"), body);
}

/* ---- tests ---- */

static void each_row_gets_its_verdict(void **state)
{
    struct api_world *world = *state;
    gateway(world, "a", "N1", "amm", 1);
    gateway(world, "b", "N2", "amm", 1);
    gateway(world, "c", "N3", "amm", 1);
    struct import *import = upload(world, 1,
                                   "serial,name,10034,note,group\r\n"
                                   "N1,a,1191,,\r\n"
                                   "N2,,1194,,\r\n"
                                   "3.5E+14,,1191,,\r\n"
                                   "N3,,,,=A1&B1\r\n"
                                   "N1,,1192,,\r\n"
                                   "N9,new-one,1190,hello,\r\n"
                                   "N8,,1190,,\r\n"
                                   "N3,x,,,\r\n"
                                   ",,1190,,\r\n"
                                   "N2,b,,,\r\n",
                                   IMPORT_READY);
    static const char *const verdicts[] = {"change", "bad", "bad", "bad", "bad",
                                           "new",    "bad", "bad", "bad", "bad"};
    static const char *const texts[] = {
        "Pending (device registration)",
        "C3, 10034: 1194 is no tunnel port. Allowed: 1190, 1191, 1192, 1193.",
        "A4, Serial: a spreadsheet program shortened this number.",
        "E5, Group: a formula. Formulas are not evaluated. Paste the value.",
        "Same gateway as row 2. Keep one of the two.",
        "Pending (device registration) until its first check-in.",
        "To create it, the row needs a name, too.",
        "B9, Name: the gateway with this serial number is c, and names never change.",
        "Row 10 names no gateway.",
        "Same gateway as row 3."};
    ask(world, &root, 200, "GET", target_of(import->id, "/rows"), NULL);
    for (size_t i = 0; i < 10; i++) {
        assert_string_equal(row_text(world, i, "verdict"), verdicts[i]);
        if (strstr(row_text(world, i, "text"), texts[i]) == NULL) {
            fail_msg("row %zu: %s", i + 2, row_text(world, i, "text"));
        }
    }
    assert_int_equal(import->verdicts[VERDICT_BAD], 8);
    ask(world, &root, 200, "GET", target_of(import->id, "/rows?verdict=good&limit=1"), NULL);
    assert_int_equal(json_integer_value(json_object_get(row_at(world, 0), "row")), 2);
    const json_t *cell = json_array_get(json_object_get(row_at(world, 0), "cells"), 0);
    assert_string_equal(json_string_value(json_object_get(cell, "column")), "C");
    assert_string_equal(json_string_value(json_object_get(cell, "new")), "1191");
    ask(world, &root, 200, "GET", target_of(import->id, "/rows?verdict=bad&after=9"), NULL);
    assert_int_equal(json_integer_value(json_object_get(row_at(world, 0), "row")), 10);
    ask(world, &root, 409, "POST", target_of(import->id, "/apply"), "{}");
    assert_string_equal(member(world, "error"), "rows-refused");
}

static void columns_that_are_guessed_must_be_confirmed(void **state)
{
    struct api_world *world = *state;
    int64_t id = gateway(world, "a", "N1", "amm", 1);
    struct import *import =
        upload(world, 1, "sn;MSCIID 10034;port of call\nN1;1191;x\n", IMPORT_MAPPING);
    assert_int_equal(import->columns[0].target, TARGET_SERIAL);
    assert_false(import->columns[0].sure);
    assert_true(import->columns[1].sure);
    assert_int_equal(import->columns[2].target, TARGET_IGNORE);
    static const char *const refused[] = {
        "{\"columns\":[{\"column\":\"A\",\"target\":\"ignore\"}]}",
        "{\"columns\":[{\"column\":\"C\",\"target\":\"10034\"}]}",
        "{\"columns\":[{\"column\":\"Z\",\"target\":\"note\"}]}",
        "{\"columns\":[{\"column\":\"C\",\"target\":\"no such thing\"}]}"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        ask(world, &root, 400, "PUT", target_of(import->id, "/mapping"), refused[i]);
        assert_int_equal(import->columns[0].target, TARGET_SERIAL);
        assert_int_equal(import->columns[2].target, TARGET_IGNORE);
    }
    ask(world, &root, 202, "PUT", target_of(import->id, "/mapping"),
        "{\"columns\":[{\"column\":\"C\",\"target\":\"note\"}]}");
    until(world, import->id, IMPORT_READY);
    apply(world, import, "{}");
    until(world, import->id, IMPORT_APPLIED);
    assert_string_equal(own(world, id, 10034), "1191");
    assert_string_equal(fleet_gateway_find(world->m.fleet, id)->note, "x");
}

static void what_was_changed_since_is_not_undone(void **state)
{
    struct api_world *world = *state;
    char target[96];
    int64_t a = gateway(world, "a", "N1", "amm", 1), b = gateway(world, "b", "N2", "amm", 1);
    struct import *import =
        upload(world, 1, "serial,10034,note,name\nN1,1191,one,\nN2,1192,two,\nN7,1190,,made\n",
               IMPORT_READY);
    ask(world, &root, 409, "POST", target_of(import->id, "/apply"), "{}");
    assert_string_equal(member(world, "error"), "unknown-gateways");
    apply(world, import, "{\"create_unknown\":true}");
    until(world, import->id, IMPORT_APPLIED);
    assert_string_equal(own(world, a, 10034), "1191");
    assert_non_null(fleet_gateway_by_serial(world->m.fleet, "N7"));
    snprintf(target, sizeof target, "/api/v1/gateways/%lld", (long long)b);
    ask(world, &root, 200, "PATCH", target, "{\"note\":\"mine\"}");
    ask(world, &root, 202, "POST", target_of(import->id, "/undo"), NULL);
    until(world, import->id, IMPORT_UNDONE);
    assert_string_equal(own(world, a, 10034), "");
    assert_string_equal(own(world, b, 10034), "");
    assert_string_equal(fleet_gateway_find(world->m.fleet, a)->note, "");
    assert_string_equal(fleet_gateway_find(world->m.fleet, b)->note, "mine");
    assert_null(fleet_gateway_by_serial(world->m.fleet, "N7"));
    assert_int_equal(import->rows[ROW_CONFLICT], 1);
    ask(world, &root, 409, "POST", target_of(import->id, "/undo"), NULL);
}

/* The serial number is another tenant's, which shows only when it is written. */
static void all_rows_or_none(void **state)
{
    struct api_world *world = *state;
    int64_t other = make_tenant(world, "other"), a = gateway(world, "a", "N1", "amm", 1);
    gateway(world, "theirs", "N5", "amm", other);
    struct import *import =
        upload(world, 1, "serial,name,note\nN1,,x\nN4,four,\nN5,five,\nN6,six,\n", IMPORT_READY);
    assert_int_equal(import->verdicts[VERDICT_NEW], 3); /* not there, as far as we know */
    apply(world, import, "{\"create_unknown\":true}");
    until(world, import->id, IMPORT_FAILED);
    assert_non_null(strstr(import->text, "Row 4"));
    assert_string_equal(fleet_gateway_find(world->m.fleet, a)->note, "");
    assert_null(fleet_gateway_by_serial(world->m.fleet, "N4"));
    assert_null(fleet_gateway_by_serial(world->m.fleet, "N6"));

    import =
        upload(world, 1, "serial,name,note\nN1,,x\nN4,four,\nN5,five,\nN6,six,\n", IMPORT_READY);
    apply(world, import, "{\"create_unknown\":true,\"only_good\":true}");
    until(world, import->id, IMPORT_APPLIED);
    assert_int_equal(import->rows[ROW_APPLIED], 3);
    assert_int_equal(import->rows[ROW_FAILED], 1);
    assert_non_null(fleet_gateway_by_serial(world->m.fleet, "N6"));
}

static void a_port_that_is_full_is_refused_with_its_numbers(void **state)
{
    struct api_world *world = *state;
    char sheet[SHEET_ROOM] = "serial,10034\n";
    for (unsigned i = 0; i < LIMIT + 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%u", i);
        gateway(world, name, name, "amm", 1);
        size_t len = strlen(sheet);
        snprintf(sheet + len, sizeof sheet - len, "%s,1190\n", name);
    }
    struct import *import = upload(world, 1, sheet, IMPORT_READY);
    assert_int_equal(import->verdicts[VERDICT_BAD], LIMIT + 3);
    assert_int_equal(import->ports[0].in, LIMIT + 3);
    ask(world, &root, 200, "GET", target_of(import->id, "/rows"), NULL);
    assert_string_equal(row_text(world, 0, "text"),
                        "Port 1190 has 40 places for all. Your gateways have 0 of them now, 40 are "
                        "free for you; this sheet takes 0 away and brings 43: 3 too many.");
}

static void other_tenants_see_and_touch_nothing(void **state)
{
    struct api_world *world = *state;
    int64_t ours = make_tenant(world, "ours"), other = make_tenant(world, "other");
    int64_t top = make_group(world, ours, 0, "top");
    gateway(world, "a", "N1", "amm", ours);
    gateway(world, "b", "N2", "amm", other);
    make_user(world, "op", ours, ROLE_OPERATOR, ours, 0);
    make_user(world, "low", ours, ROLE_OPERATOR, ours, top);
    make_user(world, "eye", ours, ROLE_VIEWER, ours, 0);
    make_user(world, "eve", other, ROLE_TENANT_ADMIN, other, 0);
    struct caller op = {.cookie = log_in(world, "op@ours")};
    struct caller low = {.cookie = log_in(world, "low@ours")};
    struct caller eye = {.cookie = log_in(world, "eye@ours")};
    struct caller eve = {.cookie = log_in(world, "eve@other")};
    static const char sheet[] = "serial,name,note\nN1,,x\nN2,,y\nN3,n,z\n";
    struct import *import = until(world, upload_for(world, &op, ours, sheet), IMPORT_READY);
    ask(world, &eye, 200, "GET", target_of(import->id, "/rows"), NULL);
    assert_string_equal(row_text(world, 0, "verdict"), "change");
    assert_string_equal(row_text(world, 1, "verdict"), "bad");
    assert_string_equal(row_text(world, 2, "verdict"), "bad");
    assert_non_null(strstr(row_text(world, 1, "text"), "no gateway has this serial number here"));
    assert_non_null(strstr(row_text(world, 2, "text"), "does not allow to create"));
    ask(world, &eye, 403, "POST", target_of(import->id, "/apply"), "{\"only_good\":true}");
    ask(world, &eve, 404, "GET", target_of(import->id, ""), NULL);
    ask(world, &eve, 404, "POST", target_of(import->id, "/apply"), "{\"only_good\":true}");
    ask(world, &low, 404, "GET", target_of(import->id, ""), NULL);
    ask(world, &eve, 200, "GET", "/api/v1/imports", NULL);
    assert_int_equal(json_array_size(json_object_get(world->answer.body, "items")), 0);
    char target[96];
    snprintf(target, sizeof target, "/api/v1/imports?tenant=%lld", (long long)ours);
    ask(world, &eve, 404, "POST", target, sheet);
    ask(world, &eye, 403, "POST", target, sheet);
    /* Whoever has one group only means it, and its sheet reaches no further. */
    ask(world, &low, 201, "POST", "/api/v1/imports", sheet);
    import = until(world, strtoll(member(world, "id"), NULL, 10), IMPORT_READY);
    assert_int_equal(import->group, top);
    assert_int_equal(import->verdicts[VERDICT_BAD], 3);
}

/* ---- moves ---- */

enum { ROUTERS = 31 };

static struct import *begin_moves(struct api_world *world, struct fleet_gateway **routers)
{
    char sheet[SHEET_ROOM] = "serial,10034\n";
    for (unsigned i = 0; i < ROUTERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%02u", i);
        routers[i] = router(world, name, 1);
        size_t len = strlen(sheet);
        snprintf(sheet + len, sizeof sheet - len, "%s,1191\n", name);
    }
    struct import *import = upload(world, 1, sheet, IMPORT_READY);
    assert_int_equal(import->verdicts[VERDICT_CHANGE], ROUTERS);
    apply(world, import, "{}");
    return import;
}

/* Until `n` have been told to move. */
static void until_ordered(struct api_world *world, struct import *import, uint32_t n)
{
    while (import->moves[MOVE_ORDERED] + import->moves[MOVE_BACK] + import->moves[MOVE_FAILED] <
               n ||
           import->moves[MOVE_NEXT] > 0) {
        core_step(&world->m, true);
    }
    assert_int_equal(
        import->moves[MOVE_ORDERED] + import->moves[MOVE_BACK] + import->moves[MOVE_FAILED], n);
}

static void come_back(struct fleet_gateway **routers, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        assert_int_equal(routers[i]->tunnel.port, 1191);
        routers[i]->tunnel.up_port = 1191;
    }
}

static void start_again(struct manager *m, void *context)
{
    char error[256];
    (void)context;
    assert_true(imports_module.start(m, error, sizeof error));
}

static void moves_go_in_stages(void **state)
{
    struct api_world *world = *state;
    struct fleet_gateway *routers[ROUTERS];
    struct import *import = begin_moves(world, routers);
    until_ordered(world, import, 1);
    assert_int_equal(import->stage, 1);
    come_back(routers, 0, 1);
    until_ordered(world, import, 11);
    assert_int_equal(import->stage, 2);
    assert_int_equal(routers[11]->tunnel.port, 1190);
    come_back(routers, 1, 11);
    until_ordered(world, import, 13); /* 5 % of 31 */
    assert_int_equal(import->stage, 3);
    /* A restart in the middle: the stage is taken up again. */
    imports_module.stop(&world->m);
    char error[256];
    assert_true(imports_start_reader(AMM_SHEET_PROGRAM, error, sizeof error));
    int64_t id = 1;
    assert_true(core_unit(&world->m, start_again, NULL));
    import = import_find(&world->m, id);
    assert_int_equal(import->state, IMPORT_APPLYING);
    come_back(routers, 11, 13);
    for (unsigned done = 13; done < ROUTERS; done += 2) {
        until_ordered(world, import, done + 2 > ROUTERS ? ROUTERS : done + 2);
        come_back(routers, done, done + 2 > ROUTERS ? ROUTERS : done + 2);
    }
    until(world, id, IMPORT_APPLIED);
    assert_int_equal(import->moves[MOVE_BACK], ROUTERS);
    assert_string_equal(own(world, routers[30]->id, 10034), "1191");
}

static void moves_hold_when_gateways_do_not_come_back(void **state)
{
    struct api_world *world = *state;
    struct fleet_gateway *routers[ROUTERS];
    struct import *import = begin_moves(world, routers);
    char target[96];
    until_ordered(world, import, 1);
    snprintf(target, sizeof target, "/api/v1/gateways/%lld/tunnel", (long long)routers[0]->id);
    ask(world, &root, 200, "PUT", target, "{\"port\":1190}"); /* taken back */
    until(world, import->id, IMPORT_HELD);
    assert_int_equal(import->moves[MOVE_FAILED], 1);
    assert_int_equal(routers[1]->tunnel.port, 1190);
    assert_non_null(strstr(import->text, "did not come back"));
    ask(world, &root, 200, "POST", target_of(import->id, "/resume"), NULL);
    until_ordered(world, import, 11);
    ask(world, &root, 200, "POST", target_of(import->id, "/hold"), NULL);
    ask(world, &root, 202, "POST", target_of(import->id, "/undo"), NULL);
    /* The way back goes in stages, too; none of them came up on the new port. */
    for (unsigned i = 1; i < 11; i++) {
        routers[i]->tunnel.up_port = 0;
    }
    until(world, import->id, IMPORT_UNDONE);
    for (unsigned i = 0; i < ROUTERS; i++) {
        assert_int_equal(routers[i]->tunnel.port, 1190);
    }
}

static void a_sheet_that_cannot_be_read_says_why(void **state)
{
    struct api_world *world = *state;
    struct import *import = upload(world, 1, "serial,\"name\nN1,x\n", IMPORT_FAILED);
    assert_non_null(strstr(import->text, "never ends"));
    import = upload(world, 1, "serial,name\n", IMPORT_FAILED);
    assert_string_equal(import->text, "The sheet has no rows below its headings.");
    ask(world, &root, 400, "POST", "/api/v1/imports", NULL);
    int64_t id = import->id;
    ask(world, &root, 204, "DELETE", target_of(id, ""), NULL);
    while (import_find(&world->m, id) != NULL) {
        core_step(&world->m, true);
    }
    ask(world, &root, 404, "GET", target_of(id, ""), NULL);
}

static void exports_are_filtered_and_harmless(void **state)
{
    struct api_world *world = *state;
    int64_t id = gateway(world, "a", "N1", "amm", 1);
    gateway(world, "b", "N2", "openvpn", 1);
    char target[96];
    snprintf(target, sizeof target, "/api/v1/gateways/%lld", (long long)id);
    ask(world, &root, 200, "PATCH", target, "{\"note\":\"=HYPERLINK(1)\"}");
    ask(world, &root, 200, "GET",
        "/api/v1/export.csv?kind=amm&columns=serial,note,1172,CellLink-RSSI", NULL);
    assert_non_null(strstr(world->answer.headers, "gateways.csv"));
    ask(world, &root, 200, "GET", "/api/v1/export.xlsx", NULL);
    assert_non_null(strstr(world->answer.headers, "gateways.xlsx"));
    ask(world, &root, 400, "GET", "/api/v1/export.csv?columns=name,,note", NULL);
    ask(world, &nobody, 401, "GET", "/api/v1/export.csv", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_row_gets_its_verdict, set_up, tear_down),
        cmocka_unit_test_setup_teardown(columns_that_are_guessed_must_be_confirmed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_changed_since_is_not_undone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_rows_or_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_port_that_is_full_is_refused_with_its_numbers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(other_tenants_see_and_touch_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moves_go_in_stages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moves_hold_when_gateways_do_not_come_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_sheet_that_cannot_be_read_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exports_are_filtered_and_harmless, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
