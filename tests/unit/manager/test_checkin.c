#include "manager/checkin.h"

#include "domain/msci.h"
#include "manager/events.h"
#include "manager/operations.h"
#include "manager/parameters.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world_open(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    free(*state);
    return 0;
}

/* The answer must have these members with these values (JSON text), and none of `without`. */
static void expect(json_t *answer, const char *with, const char *without)
{
    json_t *want = json_loads(with, 0, NULL);
    const char *name;
    json_t *value;
    assert_non_null(answer);
    assert_non_null(want);
    json_object_foreach(want, name, value)
    {
        if (!json_equal(json_object_get(answer, name), value)) {
            char *text = json_dumps(answer, JSON_COMPACT);
            print_error("want %s in %s\n", with, text);
            free(text);
            fail();
        }
    }
    for (size_t len; *without != '\0'; without += len + strspn(without + len, " ")) {
        char word[32];
        len = strcspn(without, " ");
        snprintf(word, sizeof word, "%.*s", (int)len, without);
        if (json_object_get(answer, word)) {
            fail_msg("has %s", word);
        }
    }
    json_decref(want);
    json_decref(answer);
}

static void expect_stats(struct world *world, int64_t id, const char *expected)
{
    struct fleet_gateway *gateway = fleet_gateway_find(world->fleet, id);
    json_t *have = values_to_json(gateway->stats, VALUES_STATS);
    json_t *want = json_loads(expected, 0, NULL);
    if (!json_equal(have, want)) {
        char *text = json_dumps(have, JSON_COMPACT);
        print_error("have %s\nwant %s\n", text, expected);
        free(text);
        fail();
    }
    json_decref(have);
    json_decref(want);
}

static int64_t count_events(struct world *world, int64_t id, const char *kind)
{
    int64_t n = 0;
    struct amm_rows *rows = amm_store_query(
        world->store, AMM_SQL_EVENT_OF_GATEWAY,
        AMM_WITH(amm_number(id), amm_number(1), amm_number(INT64_MAX), amm_number(1000000)));
    while (amm_rows_next(rows)) {
        char text[40];
        amm_rows_text(rows, 5, text, sizeof text);
        n += strcmp(text, kind) == 0;
    }
    assert_int_equal(amm_rows_end(rows), AMM_STORE_OK);
    return n;
}

#define A "aaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbb"
#define C "cccccccccccccccc"

static void changes_build_on_the_state_that_the_server_has(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    /* A first one that builds on something: the server has nothing yet. */
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":1,\"base\":\"" A "\",\"hash\":\"" B
                         "\",\"stats\":{\"Platform\":\"x\"}}"),
           "{\"full\": true, \"seq\": 1, \"interval\": 900}", "events set operations refused");
    expect_stats(world, id, "{}");
    assert_int_equal(fleet_gateway_find(world->fleet, id)->sync, FLEET_SYNC_FROM_GATEWAY);
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":2,\"base\":\"\",\"hash\":\"" A
                         "\",\"stats\":{\"Platform\":\"x\",\"CellLink-RSSI\":-70,\"own\":1},"
                         "\"parameters\":{\"1172\":9443}}"),
           "{\"seq\": 2}", "full");
    assert_int_equal(fleet_gateway_find(world->fleet, id)->sync, FLEET_SYNC_IN_SYNC);
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":3,\"base\":\"" A "\",\"hash\":\"" B
                         "\",\"stats\":{\"CellLink-RSSI\":-71,\"own\":null}}"),
           "{\"seq\": 3}", "full");
    expect_stats(world, id, "{\"Platform\":\"x\",\"CellLink-RSSI\":-71}");
    /* Idle. */
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":4,\"base\":\"" B "\",\"hash\":\"" B "\"}"),
           "{\"seq\": 4}", "full refused");
    /* It builds on what the server does not have: nothing is taken. */
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":5,\"base\":\"" C "\",\"hash\":\"" A
                         "\",\"stats\":{\"CellLink-RSSI\":-99}}"),
           "{\"full\": true}", "");
    expect_stats(world, id, "{\"Platform\":\"x\",\"CellLink-RSSI\":-71}");
    world_restart(world);
    expect_stats(world, id, "{\"Platform\":\"x\",\"CellLink-RSSI\":-71}");
    assert_true(fleet_gateway_find(world->fleet, id)->want_full);
    /* A full one replaces everything. */
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":6,\"base\":\"\",\"hash\":\"" C
                         "\",\"stats\":{\"Platform\":\"y\"}}"),
           "{\"seq\": 6}", "full");
    expect_stats(world, id, "{\"Platform\":\"y\"}");
    world_restart(world);
    expect_stats(world, id, "{\"Platform\":\"y\"}");
}

static void a_bad_value_is_refused_by_name_and_the_rest_is_taken(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    json_t *answer = world_checkin(
        world, id,
        "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A
        "\",\"stats\":{\"CellLink-RSSI\":\"loud\",\"Platform\":\"x\",\"New thing\":{\"a\":1},"
        "\"ManagementTunnel-IPAddress\":\"10.4.32.6\"}}");
    json_t *refused = json_object_get(answer, "refused");
    assert_int_equal(json_array_size(refused), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(refused, 0), "field")),
                        "stats.CellLink-RSSI");
    expect(answer, "{\"seq\": 1}", "full");
    /* The address in the tunnel is the server's to say. */
    expect_stats(world, id, "{\"Platform\":\"x\",\"New thing\":{\"a\":1}}");
}

static void a_repetition_changes_nothing_and_is_told_the_same(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    static const char message[] =
        "{\"v\":1,\"seq\":7,\"base\":\"\",\"hash\":\"" A
        "\",\"stats\":{\"Platform\":\"x\"},\"events\":[{\"id\":5,\"at\":1,\"kind\":\"boot\","
        "\"text\":\"\"},{\"id\":6,\"at\":2,\"kind\":\"boot\",\"text\":\"\"}]}";
    expect(world_checkin(world, id, message), "{\"seq\": 7, \"events\": 6}", "full");
    expect(world_checkin(world, id, message), "{\"seq\": 7, \"events\": 6}", "full");
    assert_int_equal(count_events(world, id, "boot"), 2);
    /* An older one, late: answered with what was taken, nothing more. */
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":6,\"base\":\"\",\"hash\":\"" B
                         "\",\"stats\":{\"Platform\":\"old\"},\"events\":[{\"id\":7,\"at\":1,"
                         "\"kind\":\"boot\",\"text\":\"\"}]}"),
           "{\"seq\": 7, \"events\": 6}", "full set operations");
    expect_stats(world, id, "{\"Platform\":\"x\"}");
    assert_int_equal(count_events(world, id, "boot"), 2);
    assert_int_equal(count_events(world, id, "clone"), 0);
    /* One that was told to send everything is told so again. */
    static const char unknown[] =
        "{\"v\":1,\"seq\":8,\"base\":\"" C "\",\"hash\":\"" B "\",\"stats\":{\"Platform\":\"z\"}}";
    expect(world_checkin(world, id, unknown), "{\"full\": true}", "");
    expect(world_checkin(world, id, unknown), "{\"full\": true}", "");
}

static void set_desired(struct world *world, int64_t id, const char *values)
{
    json_t *json = json_loads(values, 0, NULL);
    world_begin(world);
    bool good = parameters_set(world->fleet, fleet_gateway_find(world->fleet, id), json, "anna",
                               world->now, &world->error);
    if (!good) {
        fail_msg("%s: %s", world->error.field, world->error.text);
    }
    world_commit(world);
    json_decref(json);
}

static void desired_settings_are_offered_until_they_are_reported(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    expect(
        world_checkin(world, id,
                      "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A
                      "\",\"revision\":0,\"parameters\":{\"10034\":1190,\"60001\":\"Disable\"}}"),
        "{\"seq\": 1}", "set");
    set_desired(world, id, "{\"10034\": 1191, \"amm management tunnel\": \"enable\"}");
    assert_int_equal(fleet_gateway_find(world->fleet, id)->sync, FLEET_SYNC_TO_GATEWAY);
    static const char idle[] = "{\"v\":1,\"seq\":2,\"base\":\"" A "\",\"hash\":\"" A "\"}";
    expect(world_checkin(world, id, idle),
           "{\"revision\": 1, \"set\": {\"10034\": 1191, \"60001\": \"Enable\"}}", "");
    /* The answer was lost: the same again, under the same revision, also of a new server. */
    world_restart(world);
    expect(world_checkin(world, id, idle),
           "{\"revision\": 1, \"set\": {\"10034\": 1191, \"60001\": \"Enable\"}}", "");
    /* Another change is another revision. */
    set_desired(world, id, "{\"1154\": \"Truck 7\"}");
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":3,\"base\":\"" A "\",\"hash\":\"" A "\"}"),
           "{\"revision\": 2, \"set\": {\"10034\": 1191, \"60001\": \"Enable\", "
           "\"1154\": \"Truck 7\"}}",
           "");
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":4,\"base\":\"" A "\",\"hash\":\"" B
                         "\",\"revision\":2,\"parameters\":{\"10034\":1191,\"60001\":\"Enable\","
                         "\"1154\":\"Truck 7\"}}"),
           "{\"seq\": 4}", "set revision");
    assert_int_equal(fleet_gateway_find(world->fleet, id)->sync, FLEET_SYNC_IN_SYNC);
}

static void add_operation(struct world *world, int64_t id, const char *kind, const char *key,
                          char out[OPERATION_ID]);

static void a_set_that_cannot_be_taken_is_not_offered_again(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A
                         "\",\"parameters\":{\"10034\":1190}}"),
           "{}", "");
    set_desired(world, id, "{\"10034\": 1193}");
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":2,\"base\":\"" A "\",\"hash\":\"" A "\"}"),
           "{\"revision\": 1, \"set\": {\"10034\": 1193}}", "");
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":3,\"base\":\"" A "\",\"hash\":\"" A
                         "\",\"results\":[{\"id\":\"settings-1\",\"state\":\"failed\","
                         "\"text\":\"1193 did not come up\"}]}"),
           "{\"seq\": 3}", "set revision");
    struct fleet_gateway *gateway = fleet_gateway_find(world->fleet, id);
    assert_string_equal(gateway->settings_error, "1193 did not come up");
    assert_int_equal(gateway->sync, FLEET_SYNC_TO_GATEWAY);
    assert_int_equal(count_events(world, id, "settings-failed"), 1);
    world_restart(world);
    /* Words about a set that is history change nothing. */
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":4,\"base\":\"" A "\",\"hash\":\"" A
                         "\",\"results\":[{\"id\":\"settings-9\",\"state\":\"done\","
                         "\"text\":\"\"}]}"),
           "{\"seq\": 4}", "set revision");
    /* Until somebody wants something else, or the same once more. */
    world_begin(world);
    assert_true(
        parameters_retry(world->fleet, fleet_gateway_find(world->fleet, id), &world->error));
    world_commit(world);
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":5,\"base\":\"" A "\",\"hash\":\"" A "\"}"),
           "{\"revision\": 2, \"set\": {\"10034\": 1193}}", "");
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":6,\"base\":\"" A "\",\"hash\":\"" A
                         "\",\"results\":[{\"id\":\"settings-2\",\"state\":\"refused\","
                         "\"text\":\"no\"}]}"),
           "{\"seq\": 6}", "set revision");
    char unused[OPERATION_ID];
    add_operation(world, id, "apply-settings", NULL, unused);
    json_t *answer =
        world_checkin(world, id, "{\"v\":1,\"seq\":7,\"base\":\"" A "\",\"hash\":\"" A "\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "operations")), 1);
    expect(answer, "{\"revision\": 3, \"set\": {\"10034\": 1193}}", "");
}

/* A restored database has lower revisions than the gateway has taken. */
static void revisions_go_on_above_what_the_gateway_took(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    set_desired(world, id, "{\"10034\": 1192}");
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":900,\"base\":\"\",\"hash\":\"" A
                         "\",\"revision\":41,\"parameters\":{\"10034\":1190}}"),
           "{\"revision\": 42, \"set\": {\"10034\": 1192}}", "");
}

static void a_set_that_was_taken_without_effect_is_offered_anew(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    set_desired(world, id, "{\"60008\": 30}");
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A
                         "\",\"revision\":0,\"parameters\":{\"60008\":20}}"),
           "{\"revision\": 1, \"set\": {\"60008\": 30}}", "");
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":2,\"base\":\"" A "\",\"hash\":\"" A
                         "\",\"revision\":1}"),
           "{\"revision\": 2, \"set\": {\"60008\": 30}}", "");
}

/* ---- who wins ---- */

static void the_newest_change_wins(void **state)
{
    struct world *world = *state;
    /* desired at `desired` (0: none), the gateway's page at `local`; both before now. */
    static const struct {
        const char *what;
        int desired, local;
        const char *clock;
        bool is_template, server_wins;
    } rows[] = {
        {"the server later", -100, -200, "ntp", false, true},
        {"the page later", -200, -100, "ntp", false, false},
        {"the server later, a clock as before", -100, -200, NULL, false, true},
        {"the same second", -100, -100, "ntp", false, true},
        {"a template, the server later", -100, -200, "ntp", true, true},
        {"a template, the page later", -200, -100, "ntp", true, false},
        {"a clock in the future is now", -100, 1000000, "ntp", false, false},
        {"no clock counts as now", -100, -1700000000, "none", false, false},
        {"a clock of 1970 cannot be before the last check-in", -500, -1700000000, "ntp", false,
         false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[16], message[512], clock[64] = "";
        snprintf(name, sizeof name, "gw-%zu", i);
        world->now = 1793500000;
        int64_t now = world->now + 400;
        int64_t id = world_gateway(world, name)->id;
        expect(world_checkin(world, id,
                             "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A
                             "\",\"time\":1793500000,\"clock\":\"ntp\","
                             "\"parameters\":{\"60008\":20}}"),
               "{}", "set");
        world->now = now + rows[i].desired;
        json_t *values = json_loads("{\"60008\": 30}", 0, NULL);
        world_begin(world);
        struct fleet_gateway *gateway = fleet_gateway_find(world->fleet, id);
        assert_true(
            rows[i].is_template
                ? parameters_set_template(world->fleet, gateway->group, values, "anna", world->now,
                                          &world->error)
                : parameters_set(world->fleet, gateway, values, "anna", world->now, &world->error));
        world_commit(world);
        json_decref(values);
        world->now = now;
        if (rows[i].clock) { /* left out: as before */
            snprintf(clock, sizeof clock, "\"time\":%lld,\"clock\":\"%s\",", (long long)now,
                     rows[i].clock);
        }
        snprintf(message, sizeof message,
                 "{\"v\":1,\"seq\":2,\"base\":\"" A "\",\"hash\":\"" B
                 "\",%s\"parameters\":{\"60008\":40},\"changes\":["
                 "{\"id\":60008,\"value\":40,\"at\":%lld,\"by\":\"user\"}]}",
                 clock, (long long)(now + rows[i].local));
        json_t *answer = world_checkin(world, id, message);
        if (!answer || (json_object_get(answer, "set") != NULL) != rows[i].server_wins) {
            fail_msg("%s", rows[i].what);
        }
        json_decref(answer);
        world_restart(world);
        gateway = fleet_gateway_find(world->fleet, id);
        assert_int_equal(parameters_are_pending(gateway), rows[i].server_wins);
        /* Take the template away again for the next row. */
        values = json_loads("{\"60008\": null}", 0, NULL);
        world_begin(world);
        parameters_set_template(world->fleet, gateway->group, values, "anna", now, &world->error);
        world_commit(world);
        json_decref(values);
    }
}

/* A clock that is ahead must not win over all that is said later. */
static void a_clock_in_the_future_is_held_at_now(void **state)
{
    struct world *world = *state;
    struct fleet_gateway *gateway = world_gateway(world, "gw");
    json_t *values = json_loads("{\"60008\": 30}", 0, NULL);
    for (unsigned i = 0; i < 2; i++) {
        world_begin(world);
        assert_true(parameters_set_template(world->fleet, gateway->group, values, "anna",
                                            world->now, &world->error));
        world_commit(world);
        const struct fleet_desired *desired = fleet_desired(gateway, 60008, NULL);
        assert_false(desired->local);
        world->now += 100;
        if (i == 0) {
            expect(world_checkin(world, gateway->id,
                                 "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A
                                 "\",\"time\":1999999999,\"clock\":\"gps\",\"parameters\":{"
                                 "\"60008\":40},\"changes\":[{\"id\":60008,\"value\":40,\"at\":"
                                 "1999999999,\"by\":\"user\"}]}"),
                   "{}", "set");
            assert_true(fleet_desired(gateway, 60008, NULL)->local);
        }
        world->now += 100;
    }
    json_decref(values);
}

/* Applied on the page, waits for its reboot: the server must not activate it behind the user. */
static void a_local_change_that_waits_for_a_reboot_is_not_sent_back(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    set_desired(world, id, "{\"60001\": \"Disable\"}");
    world->now += 100;
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A
                         "\",\"time\":1793500100,\"clock\":\"ntp\","
                         "\"parameters\":{\"60001\":\"Disable\"},\"changes\":[{\"id\":60001,"
                         "\"value\":\"Enable\",\"at\":1793500050,\"by\":\"user\"}]}"),
           "{}", "set revision");
    const struct fleet_group *from;
    struct fleet_gateway *gateway = fleet_gateway_find(world->fleet, id);
    const struct fleet_desired *desired = fleet_desired(gateway, AMM_MSCI_TUNNEL, &from);
    assert_true(desired && desired->local);
    assert_string_equal(desired->value, "Enable");
    assert_string_equal(desired->by, "user (on the gateway)");
    /* What the server says later wins again, a template too. */
    world->now += 100;
    json_t *values = json_loads("{\"60001\": \"Disable\"}", 0, NULL);
    world_begin(world);
    assert_true(parameters_set_template(world->fleet, gateway->group, values, "anna", world->now,
                                        &world->error));
    world_commit(world);
    json_decref(values);
    desired = fleet_desired(gateway, AMM_MSCI_TUNNEL, &from);
    assert_false(desired->local);
    assert_ptr_equal(from, gateway->group);
}

/* ---- operations ---- */

static void add_operation(struct world *world, int64_t id, const char *kind, const char *key,
                          char out[OPERATION_ID])
{
    struct operation operation;
    struct operation_new what = {.kind = kind, .key = key, .by = "anna"};
    world_begin(world);
    if (!operation_add(world->fleet, fleet_gateway_find(world->fleet, id), &what, world->now,
                       &operation, &world->error)) {
        fail_msg("%s", world->error.text);
    }
    world_commit(world);
    snprintf(out, OPERATION_ID, "%s", operation.id);
    operation_deinit(&operation);
}

static enum operation_state state_of(struct world *world, const char *id)
{
    struct operation operation;
    assert_true(operation_find(world->fleet, id, &operation, &world->error));
    enum operation_state state = operation.state;
    operation_deinit(&operation);
    return state;
}

static void operations_are_sent_until_a_result_comes(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id, other = world_gateway(world, "other")->id;
    char first[OPERATION_ID], again[OPERATION_ID], message[256];
    add_operation(world, id, "reboot", "monday", first);
    add_operation(world, id, "reboot", "monday", again);
    assert_string_equal(first, again);
    assert_int_equal(fleet_gateway_find(world->fleet, id)->open_operations, 1);
    for (unsigned seq = 1; seq <= 2; seq++) {
        snprintf(message, sizeof message, "{\"v\":1,\"seq\":%u,\"base\":\"\",\"hash\":\"" A "\"}",
                 seq);
        json_t *answer = world_checkin(world, id, message);
        json_t *sent = json_array_get(json_object_get(answer, "operations"), 0);
        assert_string_equal(json_string_value(json_object_get(sent, "id")), first);
        assert_string_equal(json_string_value(json_object_get(sent, "kind")), "reboot");
        json_decref(answer);
        assert_int_equal(state_of(world, first), OPERATION_TAKEN);
    }
    /* Taken: it cannot be called back any more. */
    struct operation operation;
    assert_true(operation_find(world->fleet, first, &operation, &world->error));
    world_begin(world);
    assert_false(operation_cancel(world->fleet, &operation, world->now, &world->error));
    assert_string_equal(world->error.name, "taken");
    world_rollback(world);
    operation_deinit(&operation);
    /* Another gateway has nothing to say about it. */
    snprintf(message, sizeof message,
             "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A
             "\",\"results\":[{\"id\":\"%s\",\"state\":\"done\",\"text\":\"\"}]}",
             first);
    expect(world_checkin(world, other, message), "{}", "");
    assert_int_equal(state_of(world, first), OPERATION_TAKEN);
    snprintf(message, sizeof message,
             "{\"v\":1,\"seq\":3,\"base\":\"\",\"hash\":\"" A
             "\",\"results\":[{\"id\":\"%s\",\"state\":\"done\",\"text\":\"ok\"}]}",
             first);
    expect(world_checkin(world, id, message), "{}", "operations");
    assert_int_equal(state_of(world, first), OPERATION_DONE);
    assert_int_equal(fleet_gateway_find(world->fleet, id)->open_operations, 0);
    /* A second, different result is late. */
    snprintf(message, sizeof message,
             "{\"v\":1,\"seq\":4,\"base\":\"\",\"hash\":\"" A
             "\",\"results\":[{\"id\":\"%s\",\"state\":\"failed\",\"text\":\"\"}]}",
             first);
    expect(world_checkin(world, id, message), "{}", "operations");
    assert_int_equal(state_of(world, first), OPERATION_DONE);
}

static void operations_expire_and_are_cancelled_until_taken(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    char expired[OPERATION_ID], cancelled[OPERATION_ID];
    add_operation(world, id, "reboot", NULL, expired);
    add_operation(world, id, "diagnostics", NULL, cancelled);
    struct operation operation;
    assert_true(operation_find(world->fleet, cancelled, &operation, &world->error));
    world_begin(world);
    assert_true(operation_cancel(world->fleet, &operation, world->now, &world->error));
    world_commit(world);
    operation_deinit(&operation);
    world->now += OPERATION_EXPIRES + 1;
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A "\"}"), "{}",
           "operations");
    world_begin(world);
    assert_int_equal(operations_expire(world->fleet, world->now, 100), 1);
    world_commit(world);
    assert_int_equal(state_of(world, expired), OPERATION_EXPIRED);
    assert_int_equal(state_of(world, cancelled), OPERATION_CANCELLED);
    assert_int_equal(fleet_gateway_find(world->fleet, id)->open_operations, 0);
}

static void operations_that_make_no_sense_are_refused(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    static const struct {
        const char *kind, *args, *name;
    } rows[] = {
        {"dance", NULL, "unknown-kind"},
        {"upgrade", NULL, "unknown-kind"},
        {"reboot", "{\"at\": 1}", "unknown-argument"},
        {"tunnel", NULL, "bad-argument"},
        {"tunnel", "{\"minutes\": 0}", "bad-argument"},
        {"tunnel", "{\"minutes\": 1441}", "bad-argument"},
        {"tunnel", "{\"minutes\": 5, \"x\": 1}", "unknown-argument"},
        {"factory-reset", "{\"forget_identity\": 1}", "bad-argument"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct operation operation;
        json_t *args = rows[i].args ? json_loads(rows[i].args, 0, NULL) : NULL;
        struct operation_new what = {.kind = rows[i].kind, .args = args, .by = "anna"};
        world_begin(world);
        assert_false(operation_add(world->fleet, fleet_gateway_find(world->fleet, id), &what,
                                   world->now, &operation, &world->error));
        world_rollback(world);
        assert_string_equal(world->error.name, rows[i].name);
        json_decref(args);
    }
    char unused[OPERATION_ID];
    for (unsigned i = 0; i < OPERATIONS_OPEN_MAX; i++) {
        add_operation(world, id, "check-in", NULL, unused);
    }
    struct operation operation;
    struct operation_new what = {.kind = "check-in", .by = "anna"};
    world_begin(world);
    assert_false(operation_add(world->fleet, fleet_gateway_find(world->fleet, id), &what,
                               world->now, &operation, &world->error));
    world_rollback(world);
    assert_string_equal(world->error.name, "too-many");
}

/* ---- copies ---- */

static void a_copy_is_flagged_or_quarantined_by_policy(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":10,\"boot\":5,\"base\":\"\",\"hash\":\"" A "\"}"),
           "{}", "");
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":11,\"boot\":4,\"base\":\"" A "\",\"hash\":\"" A "\"}"),
           "{}", "");
    assert_true(fleet_gateway_find(world->fleet, id)->clone_flag);
    assert_int_equal(count_events(world, id, "clone"), 1);
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":11,\"boot\":5,\"base\":\"" A "\",\"hash\":\"" A "\"}"),
           "{}", "");
    assert_int_equal(count_events(world, id, "clone"), 1); /* said once */
    world_begin(world);
    assert_true(fleet_group_set_clone_policy(world->fleet,
                                             fleet_gateway_find(world->fleet, id)->group,
                                             FLEET_CLONE_QUARANTINE, &world->error));
    world_commit(world);
    assert_null(world_checkin(world, id,
                              "{\"v\":1,\"seq\":9,\"boot\":6,\"base\":\"\",\"hash\":\"" A "\"}"));
    assert_true(world->was_quarantined);
    world_restart(world);
    struct fleet_gateway *gateway = fleet_gateway_find(world->fleet, id);
    assert_int_equal(gateway->access, FLEET_QUARANTINED);
    assert_non_null(strstr(gateway->access_reason, "check-in 9 of start 6"));
    /* Released, it may begin with any number. */
    world_begin(world);
    assert_true(fleet_gateway_set_access(world->fleet, gateway, FLEET_ADMITTED, NULL, world->now,
                                         &world->error));
    assert_true(fleet_gateway_restart_numbers(world->fleet, gateway, &world->error));
    world_commit(world);
    assert_false(gateway->clone_flag);
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":3,\"boot\":1,\"base\":\"" B "\",\"hash\":\"" A "\"}"),
           "{\"full\": true}", "");
    assert_false(gateway->clone_flag);
}

static void who_does_not_come_is_late_once_and_back_once(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"" A "\"}"), "{}",
           "");
    world->now += 2 * 900 + 60;
    for (unsigned i = 0; i < 3; i++) {
        world_begin(world);
        assert_true(checkin_scan_late(world->fleet, 10, world->now));
        world_commit(world);
        assert_int_equal(count_events(world, id, "late"), i > 0);
        world->now++;
    }
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":2,\"base\":\"" A "\",\"hash\":\"" A "\"}"),
           "{}", "");
    assert_int_equal(count_events(world, id, "back"), 1);
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":3,\"base\":\"" A "\",\"hash\":\"" A "\"}"),
           "{}", "");
    assert_int_equal(count_events(world, id, "back"), 1);
}

static void the_interval_follows_what_is_set(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    static const struct {
        const char *values;
        unsigned interval;
    } rows[] = {{"{\"60003\": 60}", 60},
                {"{\"60004\": \"On\"}", 14400},
                {"{\"60003\": 86400}", 86400},
                {"{\"60004\": null, \"60003\": null}", 900}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        set_desired(world, id, rows[i].values);
        assert_int_equal(fleet_interval(fleet_gateway_find(world->fleet, id)), rows[i].interval);
    }
}

static void a_changed_tunnel_is_told_until_it_is_reported(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    world->tunnel_hash = C;
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":1,\"tunnel\":\"" B "\",\"base\":\"\",\"hash\":\"" A
                         "\"}"),
           "{\"tunnel\": \"" C "\"}", "");
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":2,\"base\":\"" A "\",\"hash\":\"" A "\"}"),
           "{\"tunnel\": \"" C "\"}", "");
    expect(world_checkin(world, id,
                         "{\"v\":1,\"seq\":3,\"tunnel\":\"" C "\",\"base\":\"" A "\",\"hash\":\"" A
                         "\"}"),
           "{}", "tunnel");
}

static void the_remote_access_key_is_told_to_who_asks(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    static const uint8_t key[AMM_REMOTE_KEY] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                                11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                                22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    static const char told[] =
        "{\"remote_access_key\": \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}";
#define ASKS(seq, name)                                                                            \
    "{\"v\":1,\"seq\":" seq ",\"base\":\"\",\"hash\":\"" A "\",\"remote_access_key\":\"" name "\"" \
    "}"
    expect(world_checkin(world, id, ASKS("1", "")), "{}", "remote_access_key");
    world->remote_key = key;
    expect(world_checkin(world, id, ASKS("2", "")), told, "");
    expect(world_checkin(world, id, ASKS("3", B)), told, "");
    expect(world_checkin(world, id, ASKS("4", "630dcd2966c43366")), "{}", "remote_access_key");
    expect(world_checkin(world, id, "{\"v\":1,\"seq\":5,\"base\":\"\",\"hash\":\"" A "\"}"), "{}",
           "remote_access_key");
#undef ASKS
}

/* Twelve thousand at once, then one a minute. */
static void one_gateway_cannot_fill_the_disk(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    static const char changed[] =
        "{\"v\":1,\"seq\":%d,\"base\":\"\",\"hash\":\"" A "\",\"changes\":"
        "[{\"id\":1172,\"value\":9443,\"at\":1,\"by\":\"user\"}]}";
    static const char told[] = "{\"v\":1,\"seq\":%d,\"base\":\"\",\"hash\":\"" A "\",\"events\":["
                               "{\"id\":%d,\"at\":1,\"kind\":\"boot\"},"
                               "{\"id\":%d,\"at\":1,\"kind\":\"boot\"}]}";
    char text[400];
    int seq = 1;
    fleet_gateway_find(world->fleet, id)->rows_until =
        world->now * AMM_SECOND + 11999 * 60 * AMM_SECOND;
    for (; seq < 4; seq++) {
        snprintf(text, sizeof text, told, seq, 2 * seq, 2 * seq + 1);
        json_t *answer = world_checkin(world, id, text);
        assert_int_equal(json_integer_value(json_object_get(answer, "events")), 2 * seq + 1);
        assert_string_equal(json_string_value(json_object_get(
                                json_array_get(json_object_get(answer, "refused"), 0), "field")),
                            "events");
        json_decref(answer);
    }
    assert_int_equal(count_events(world, id, "boot"), 1);
    assert_int_equal(count_events(world, id, "too-many-events"), 1);
    snprintf(text, sizeof text, changed, seq++);
    expect(world_checkin(world, id, text), "{\"seq\": 4}", "full");
    struct amm_rows *rows = amm_store_query(
        world->store, AMM_SQL_HISTORY_OF_GATEWAY,
        AMM_WITH(amm_number(id), amm_number(1), amm_number(INT64_MAX), amm_number(10)));
    assert_false(amm_rows_next(rows));
    assert_int_equal(amm_rows_end(rows), AMM_STORE_OK);
    world->now += 60;
    snprintf(text, sizeof text, told, seq, 100, 101);
    expect(world_checkin(world, id, text), "{\"events\": 101}", "full");
    assert_int_equal(count_events(world, id, "boot"), 2);
}

static void nothing_is_deleted_for_its_age_behind_a_jump_of_the_clock(void **state)
{
    struct event_clock clock = {0};
    enum { HOUR = 3600, HOURS = 6, YEAR = 366 * 86400 };
    struct amm_now now = {5 * AMM_SECOND, 1800000000};
    (void)state;
    assert_false(event_clock_is_steady(&clock, now)); /* at the start */
    for (unsigned i = 0; i < HOURS; i++) {
        assert_false(event_clock_is_steady(&clock, now));
        now.mono += HOUR * AMM_SECOND;
        now.wall += HOUR + 1;
    }
    assert_true(event_clock_is_steady(&clock, now));
    now.wall += YEAR;
    assert_false(event_clock_is_steady(&clock, now));
    now.mono += HOURS * HOUR * AMM_SECOND;
    now.wall += HOURS * HOUR - YEAR;
    assert_false(event_clock_is_steady(&clock, now)); /* back again: a jump, too */
    now.mono += HOURS * HOUR * AMM_SECOND;
    now.wall += HOURS * HOUR;
    assert_true(event_clock_is_steady(&clock, now));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(changes_build_on_the_state_that_the_server_has),
        T(a_bad_value_is_refused_by_name_and_the_rest_is_taken),
        T(a_repetition_changes_nothing_and_is_told_the_same),
        T(desired_settings_are_offered_until_they_are_reported),
        T(a_set_that_cannot_be_taken_is_not_offered_again),
        T(revisions_go_on_above_what_the_gateway_took),
        T(a_set_that_was_taken_without_effect_is_offered_anew),
        T(the_newest_change_wins),
        T(a_clock_in_the_future_is_held_at_now),
        T(a_local_change_that_waits_for_a_reboot_is_not_sent_back),
        T(operations_are_sent_until_a_result_comes),
        T(operations_expire_and_are_cancelled_until_taken),
        T(operations_that_make_no_sense_are_refused),
        T(a_copy_is_flagged_or_quarantined_by_policy),
        T(who_does_not_come_is_late_once_and_back_once),
        T(the_interval_follows_what_is_set),
        T(a_changed_tunnel_is_told_until_it_is_reported),
        T(the_remote_access_key_is_told_to_who_asks),
        T(one_gateway_cannot_fill_the_disk),
        T(nothing_is_deleted_for_its_age_behind_a_jump_of_the_clock),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
