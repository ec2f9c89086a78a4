/* The tree, thresholds and the dashboard, through the whole core. */
#include "api_world.h"

#include "manager/fleet.h"
#include "manager/thresholds.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = api_world_new();
    return 0;
}

static int tear_down(void **state)
{
    api_world_free(*state);
    return 0;
}

static struct api_world *ask_as(void **state, const struct caller *who, int status,
                                const char *method, const char *target, const char *body)
{
    struct api_world *world = *state;
    int got = call(world, who, method, target, body);
    if (got != status) {
        fail_msg("%s %s: %d %s %s", method, target, got, member(world, "error"),
                 member(world, "text"));
    }
    return world;
}

static struct api_world *ask(void **state, int status, const char *method, const char *target,
                             const char *body)
{
    return ask_as(state, &root, status, method, target, body);
}

static const json_t *at(const json_t *json, const char *path)
{
    char part[64];
    while (json != NULL && *path != '\0') {
        size_t len = strcspn(path, "/");
        snprintf(part, sizeof part, "%.*s", (int)len, path);
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(part))
                                   : json_object_get(json, part);
        path += len + (path[len] == '/');
    }
    return json;
}

static const char *text(const struct api_world *world, const char *path)
{
    static char numbers[8][32];
    static unsigned turn;
    const json_t *value = at(world->answer.body, path);
    if (json_is_string(value)) {
        return json_string_value(value);
    }
    char *out = numbers[turn++ % 8];
    snprintf(out, sizeof numbers[0], "%s%.10g", json_is_null(value) ? "null" : "",
             json_number_value(value));
    return value == NULL ? "(none)" : json_is_null(value) ? "null" : out;
}

/* ---- gateways that have reported something ---- */

struct report {
    int64_t id;
    const char *stats; /* JSON */
    int64_t ago;       /* of the last check-in, seconds */
    int tunnel;        /* 0: as it is; port; -1: down */
};

static void report_unit(struct manager *m, void *context)
{
    const struct report *report = context;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, report->id);
    json_t *json = json_loads(report->stats, 0, NULL);
    struct values *next;
    assert_non_null(json);
    assert_true(values_merge(&next, gateway->stats, VALUES_STATS, json, NULL, NULL));
    json_decref(json);
    values_free(gateway->stats);
    gateway->stats = next;
    gateway->access = FLEET_ADMITTED;
    gateway->last_checkin = m->now.wall - report->ago;
    if (report->tunnel != 0) {
        gateway->tunnel.port = 1190;
        gateway->tunnel.up_port = report->tunnel > 0 ? (uint16_t)report->tunnel : 0;
        gateway->tunnel.inner_ip = report->tunnel > 0 ? 0x0a040006 : 0;
    }
    fleet_touch(m->fleet, gateway, FLEET_CHECKED_IN | FLEET_VALUES | FLEET_TUNNEL);
}

static void report(struct api_world *world, int64_t id, const char *stats, int64_t ago, int tunnel)
{
    struct report what = {id, stats, ago, tunnel};
    assert_true(core_unit(&world->m, report_unit, &what));
    while (core_step(&world->m, false)) { /* what was posted */
    }
    core_step(&world->m, false);
}

static void make_gateway(void **state, const char *name, int64_t group, const char *kind)
{
    char body[200];
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"group\":\"%lld\",\"kind\":\"%s\"}", name,
             (long long)group, kind);
    ask(state, 201, "POST", "/api/v1/gateways", body);
}

static const char *event(void **state, const char *kind)
{
    char target[80];
    snprintf(target, sizeof target, "/api/v1/events?kind=%s", kind);
    struct api_world *world = ask(state, 200, "GET", target, NULL);
    return text(world, "items/0/text");
}

/* ---- the tree ---- */

static void a_branch_is_counted_with_all_below_it(void **state)
{
    struct api_world *world = *state;
    int64_t north = make_group(world, 1, 0, "north"), inner = make_group(world, 1, north, "inner");
    make_gateway(state, "a", 0, "amm");
    make_gateway(state, "b", north, "amm");
    make_gateway(state, "c", inner, "amm");
    make_gateway(state, "d", inner, "openvpn");
    report(world, 1, "{}", 10, 1190);
    report(world, 2, "{}", 2000, -1);
    report(world, 3, "{\"CellLink-RSRP\":-125}", 100000, 1190);
    ask(state, 200, "GET", "/api/v1/tree", NULL);
    assert_string_equal(text(world, "tenants/0/name"), "Main");
    assert_string_equal(text(world, "tenants/0/groups/0/parent"), "null");
    assert_string_equal(text(world, "tenants/0/groups/0/count"), "4");
    assert_string_equal(text(world, "tenants/0/groups/0/checkin/up"), "1");
    assert_string_equal(text(world, "tenants/0/groups/0/checkin/late"), "1");
    assert_string_equal(text(world, "tenants/0/groups/0/checkin/missing"), "1");
    assert_string_equal(text(world, "tenants/0/groups/0/checkin/never"), "0"); /* openvpn: no */
    assert_string_equal(text(world, "tenants/0/groups/0/tunnel/up"), "2");
    assert_string_equal(text(world, "tenants/0/groups/0/tunnel/never"), "1");
    assert_string_equal(text(world, "tenants/0/groups/1/name"), "north");
    assert_string_equal(text(world, "tenants/0/groups/1/count"), "3");
    assert_string_equal(text(world, "tenants/0/groups/2/name"), "inner");
    assert_string_equal(text(world, "tenants/0/groups/2/parent"), "1");
    assert_string_equal(text(world, "tenants/0/groups/2/count"), "2");
    ask(state, 200, "GET", "/api/v1/gateways?fields=tree", NULL);
    assert_string_equal(text(world, "items/0/lamps/checkin"), "up");
    assert_string_equal(text(world, "items/1/lamps/checkin"), "degraded");
    assert_string_equal(text(world, "items/1/lamps/tunnel"), "down");
    assert_string_equal(text(world, "items/2/lamps/checkin"), "down");
    assert_string_equal(text(world, "items/2/lamps/tunnel"), "degraded"); /* poor radio */
    assert_string_equal(text(world, "items/3/lamps/tunnel"), "unknown");
    assert_null(at(world->answer.body, "items/0/serial"));
    ask(state, 200, "GET", "/api/v1/gateways?checkin=missing", NULL);
    assert_string_equal(text(world, "items/0/name"), "c");
    /* At once when one more is there. */
    make_gateway(state, "e", north, "amm");
    ask(state, 200, "GET", "/api/v1/tree", NULL);
    assert_string_equal(text(world, "tenants/0/groups/0/count"), "5");
}

static void the_tree_ends_where_the_role_does(void **state)
{
    struct api_world *world = *state;
    int64_t acme = make_tenant(world, "acme");
    int64_t north = make_group(world, 1, 0, "north"), inner = make_group(world, 1, north, "inner");
    make_group(world, 1, 0, "secret");
    make_group(world, acme, 0, "theirs");
    make_user(world, "ben", 1, ROLE_VIEWER, 1, inner);
    make_user(world, "eve", acme, ROLE_TENANT_ADMIN, acme, 0);
    make_gateway(state, "a", inner, "amm");
    struct caller ben = {.cookie = log_in(world, "ben")},
                  eve = {.cookie = log_in(world, "eve@acme")};
    ask_as(state, &ben, 200, "GET", "/api/v1/tree", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "tenants")), 1);
    assert_int_equal(json_array_size(at(world->answer.body, "tenants/0/groups")), 1);
    assert_string_equal(text(world, "tenants/0/groups/0/name"), "inner");
    assert_string_equal(text(world, "tenants/0/groups/0/parent"), "null");
    ask_as(state, &eve, 200, "GET", "/api/v1/tree", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "tenants")), 1);
    assert_string_equal(text(world, "tenants/0/slug"), "acme");
    assert_int_equal(json_array_size(at(world->answer.body, "tenants/0/groups")), 2);
}

/* ---- thresholds: the rules ---- */

static struct threshold *rule(const char *json)
{
    static struct threshold threshold;
    struct fleet_error error = {0};
    json_t *members = json_loads(json, 0, NULL);
    threshold_clear(&threshold);
    threshold = (struct threshold){0};
    if (!threshold_read(&threshold, members, &error)) {
        fail_msg("%s: %s", error.field, error.text);
    }
    json_decref(members);
    return &threshold;
}

static struct threshold_cell number_cell(double number)
{
    struct threshold_cell cell = {
        .says = STAT_SAYS, .is_there = true, .is_number = true, .number = number};
    snprintf(cell.text, sizeof cell.text, "%g", number);
    return cell;
}

static void hysteresis_and_hold_keep_it_calm(void **state)
{
    struct threshold *t = rule(
        "{\"label\":\"RSSI\",\"stat\":\"CellLink-RSSI\",\"warning\":{\"op\":\"lt\",\"value\":-90},"
        "\"error\":{\"op\":\"lt\",\"value\":\"-100\"},\"hysteresis\":3,\"hold_s\":60}");
    struct threshold_record record = {.state = THRESHOLD_OK, .pending_at = AMM_NEVER};
    struct amm_now now = {.mono = 1000 * AMM_SECOND, .wall = 1000};
    static const struct {
        double value;
        int seconds;
        enum threshold_state then;
        bool changes;
    } steps[] = {
        {-80, 0, THRESHOLD_OK, false},
        {-95, 10, THRESHOLD_OK, false}, /* the hold time begins */
        {-80, 10, THRESHOLD_OK, false}, /* and is forgotten */
        {-95, 10, THRESHOLD_OK, false},
        {-95, 59, THRESHOLD_OK, false},
        {-95, 1, THRESHOLD_WARNING, true},
        {-88, 10, THRESHOLD_WARNING, false}, /* not far enough back */
        {-101, 10, THRESHOLD_WARNING, false},
        {-101, 60, THRESHOLD_ERROR, true},
        {-98, 10, THRESHOLD_ERROR, false},
        {-97, 10, THRESHOLD_WARNING, true}, /* better counts at once */
        {-87, 10, THRESHOLD_OK, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        now.mono += steps[i].seconds * AMM_SECOND;
        now.wall += steps[i].seconds;
        struct threshold_cell cell = number_cell(steps[i].value);
        bool changes = threshold_step(t, &record, threshold_judge(t, &cell, record.state), now);
        if (changes != steps[i].changes || record.state != steps[i].then) {
            fail_msg("step %zu: %s", i, threshold_state_name(record.state));
        }
        assert_true(!changes || record.since == now.wall);
    }
    threshold_clear(t);
}

static void each_condition_means_what_it_says(void **state)
{
    static const struct {
        const char *op, *value, *text;
        bool is_number;
        enum threshold_state expected;
    } cases[] = {
        {"lt", "5", "4", true, THRESHOLD_ERROR},
        {"lt", "5", "5", true, THRESHOLD_OK},
        {"le", "5", "5", true, THRESHOLD_ERROR},
        {"gt", "5", "5", true, THRESHOLD_OK},
        {"ge", "5", "5", true, THRESHOLD_ERROR},
        {"eq", "5.0", "5", true, THRESHOLD_ERROR},
        {"eq", "LTE", "LTE", false, THRESHOLD_ERROR},
        {"eq", "LTE", "lte", false, THRESHOLD_OK},
        {"ne", "LTE", "3G", false, THRESHOLD_ERROR},
        {"matches", "^3", "3G", false, THRESHOLD_ERROR},
        {"matches", "^3", "LTE", false, THRESHOLD_OK},
        {"lt", "5", "LTE", false, THRESHOLD_OK},
        {"present", "", "x", false, THRESHOLD_ERROR},
        {"missing", "", "x", false, THRESHOLD_OK},
        {"missing", "", NULL, false, THRESHOLD_ERROR},
        {"ne", "x", NULL, false, THRESHOLD_NONE},
        {"present", "", NULL, false, THRESHOLD_NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[200];
        snprintf(
            json, sizeof json,
            "{\"label\":\"x\",\"stat\":\"Platform\",\"error\":{\"op\":\"%s\",\"value\":\"%s\"}}",
            cases[i].op, cases[i].value);
        struct threshold *t = rule(json);
        struct threshold_cell cell = {
            .says = STAT_SAYS, .is_there = cases[i].text != NULL, .is_number = cases[i].is_number};
        snprintf(cell.text, sizeof cell.text, "%s", cases[i].text ? cases[i].text : "");
        cell.number = atof(cell.text);
        enum threshold_state got = threshold_judge(t, &cell, THRESHOLD_OK);
        if (got != cases[i].expected) {
            fail_msg("%s %s %s: %s", cases[i].text, cases[i].op, cases[i].value,
                     threshold_state_name(got));
        }
        cell.says = STAT_SILENT;
        assert_int_equal(threshold_judge(t, &cell, THRESHOLD_ERROR), THRESHOLD_NONE);
        threshold_clear(t);
    }
}

/* ---- thresholds: the API ---- */

static void what_is_wrong_with_a_threshold_is_said(void **state)
{
    static const struct {
        const char *body, *field;
    } cases[] = {
        {"{\"label\":\"x\"}", "stat"},
        {"{\"stat\":\"Platform\"}", "label"},
        {"{\"label\":\"a<b\",\"stat\":\"Platform\"}", "label"},
        {"{\"label\":\"x\",\"stat\":\"a<b\"}", "stat"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"stat_label\":\"a/b\"}", "stat_label"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"gateway_types\":[\"mg\"]}", "gateway_types"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"display_filter\":\"(\"}", "display_filter"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"error\":{\"op\":\"near\"}}", "error"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"error\":{\"op\":\"lt\",\"value\":\"x\"}}",
         "error"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"error\":{\"op\":\"eq\"}}", "error"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"error\":{\"op\":\"matches\",\"value\":\"[\"}}",
         "error"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"error\":[]}", "error"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"hysteresis\":-1}", "hysteresis"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"hysteresis\":\"1\"}", "hysteresis"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"hold_s\":100000}", "hold_s"},
        {"{\"label\":\"x\",\"stat\":\"Platform\",\"colour\":\"red\"}", "colour"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_world *world = ask(state, 400, "POST", "/api/v1/thresholds", cases[i].body);
        if (strcmp(member(world, "field"), cases[i].field) != 0) {
            fail_msg("%s: %s", cases[i].body, member(world, "field"));
        }
    }
}

static void a_threshold_raises_an_event_and_takes_it_back(void **state)
{
    struct api_world *world = *state;
    make_gateway(state, "truck", 0, "amm");
    ask(state, 201, "POST", "/api/v1/thresholds",
        "{\"label\":\"RSSI\",\"stat\":\"CellLink-RSSI\",\"dashboard_group\":2,\"unit\":\"dBm\","
        "\"warning\":{\"op\":\"lt\",\"value\":-90},\"error\":{\"op\":\"lt\",\"value\":-100}}");
    report(world, 1, "{\"CellLink-RSSI\":-105}", 0, 1190);
    assert_string_equal(event(state, "threshold-error"),
                        "RSSI: CellLink-RSSI is -105 dBm, below -100 dBm");
    ask(state, 200, "GET", "/api/v1/dashboard", NULL);
    assert_string_equal(text(world, "columns/0/label"), "Tunnel"); /* of a new server */
    assert_string_equal(text(world, "columns/1/label"), "RSSI");
    assert_string_equal(text(world, "items/0/gateway/name"), "truck");
    assert_string_equal(text(world, "items/0/cells/0/value"), "10.4.0.6");
    assert_string_equal(text(world, "items/0/cells/0/state"), "ok");
    assert_string_equal(text(world, "items/0/cells/1/value"), "-105");
    assert_string_equal(text(world, "items/0/cells/1/state"), "error");
    assert_string_equal(text(world, "total"), "1");
    report(world, 1, "{\"CellLink-RSSI\":-95}", 0, -1);
    assert_string_equal(event(state, "threshold-warning"),
                        "RSSI: CellLink-RSSI is -95 dBm, below -90 dBm");
    assert_string_equal(event(state, "threshold-error"),
                        "Tunnel: ManagementTunnel-IPAddress is missing");
    report(world, 1, "{\"CellLink-RSSI\":-70}", 0, 1190);
    ask(state, 200, "GET", "/api/v1/events?kind=threshold-ok", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "items")), 2);
    ask(state, 200, "GET", "/api/v1/dashboard?state=ok", NULL);
    assert_string_equal(text(world, "total"), "1");
}

static void remove_unit(struct manager *m, void *context)
{
    (void)context;
    assert_true(fleet_gateway_remove(m->fleet, fleet_gateway_find(m->fleet, 1), NULL));
}

/* What was committed is there after a start; what a unit changed and lost is not. */
static void states_are_as_they_are_saved(void **state)
{
    struct api_world *world = *state;
    make_gateway(state, "truck", 0, "amm");
    report(world, 1, "{}", 0, -1);
    const struct fleet_gateway *gateway = fleet_gateway_find(world->m.fleet, 1);
    assert_int_equal(gateway->alarm, THRESHOLD_ERROR);
    char error[200];
    threshold_module.stop(&world->m);
    assert_true(threshold_module.start(&world->m, error, sizeof error));
    assert_int_equal(gateway->alarm, THRESHOLD_ERROR);
    ask(state, 200, "GET", "/api/v1/dashboard", NULL);
    assert_string_equal(text(world, "items/0/cells/0/state"), "error");
    assert_string_equal(text(world, "items/0/cells/0/value"), "null");
    ask(state, 204, "DELETE", "/api/v1/thresholds/1", NULL);
    ask(state, 200, "GET", "/api/v1/dashboard", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "columns")), 0);
    report(world, 1, "{}", 0, -1);
    assert_int_equal(gateway->alarm, THRESHOLD_OK);
    ask(state, 201, "POST", "/api/v1/thresholds",
        "{\"label\":\"x\",\"stat\":\"y\",\"gateway\":\"1\"}");
    assert_true(core_unit(&world->m, remove_unit, NULL)); /* with all that stands at it */
    ask(state, 404, "GET", "/api/v1/thresholds/2", NULL);
}

static void the_nearest_of_one_label_counts(void **state)
{
    struct api_world *world = *state;
    int64_t north = make_group(world, 1, 0, "north");
    make_gateway(state, "a", 0, "amm");
    make_gateway(state, "b", north, "amm");
    make_gateway(state, "c", north, "openvpn");
    ask(state, 201, "POST", "/api/v1/thresholds",
        "{\"label\":\"Hot\",\"stat\":\"AssetTemperature\",\"stat_label\":\"dock\","
        "\"error\":{\"op\":\"gt\",\"value\":30}}");
    ask(state, 409, "POST", "/api/v1/thresholds", "{\"label\":\"Hot\",\"stat\":\"Platform\"}");
    ask(state, 201, "POST", "/api/v1/thresholds",
        "{\"label\":\"Hot\",\"stat\":\"AssetTemperature\",\"stat_label\":\"dock\",\"group\":\"1\","
        "\"gateway_types\":[\"amm\"],\"error\":{\"op\":\"gt\",\"value\":50}}");
    for (int64_t id = 1; id <= 3; id++) {
        report(world, id, "{\"AssetTemperature\":{\"dock\":40,\"cab\":99}}", 0, 1190);
    }
    ask(state, 200, "GET", "/api/v1/dashboard?sort=name", NULL);
    assert_string_equal(text(world, "items/0/cells/0/state"), "error");
    assert_string_equal(text(world, "items/1/cells/0/state"), "ok");
    assert_string_equal(text(world, "items/2/cells/0/state"), "error"); /* not for its kind */
    ask(state, 201, "POST", "/api/v1/thresholds",
        "{\"label\":\"Hot\",\"stat\":\"AssetTemperature\",\"stat_label\":\"dock\","
        "\"gateway\":\"2\",\"error\":{\"op\":\"gt\",\"value\":20}}");
    report(world, 2, "{}", 0, 1190);
    ask(state, 200, "GET", "/api/v1/dashboard?sort=name", NULL);
    assert_string_equal(text(world, "items/1/cells/0/state"), "error");
    ask(state, 200, "GET", "/api/v1/thresholds?gateway=2", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "items")), 2);
    assert_string_equal(text(world, "items/0/gateway"), "2");
    ask(state, 200, "GET", "/api/v1/thresholds?group=1", NULL);
    assert_string_equal(text(world, "items/0/group"), "1");
    /* Worst first, then by name; pages go on where they stopped. */
    ask(state, 200, "GET", "/api/v1/dashboard?limit=1", NULL);
    assert_string_equal(text(world, "items/0/gateway/name"), "a");
    assert_string_equal(text(world, "next"), "w:-3 a:1");
    ask(state, 200, "GET", "/api/v1/dashboard?limit=1&after=w:-3%20a:1", NULL);
    assert_string_equal(text(world, "items/0/gateway/name"), "b");
    ask(state, 400, "GET", "/api/v1/dashboard?limit=1&after=w:9", NULL);
    ask(state, 200, "GET", "/api/v1/dashboard?sort=stat:AssetTemperature/cab&order=desc", NULL);
    assert_string_equal(text(world, "items/0/gateway/name"), "c");
    /* A group goes with its thresholds. */
    ask(state, 200, "PATCH", "/api/v1/gateways/2", "{\"group\":\"0\"}");
    ask(state, 200, "PATCH", "/api/v1/gateways/3", "{\"group\":\"0\"}");
    ask(state, 204, "DELETE", "/api/v1/groups/1", NULL);
    ask(state, 404, "GET", "/api/v1/thresholds/3", NULL);
}

static void hostile_names_and_values_stay_text(void **state)
{
    struct api_world *world = *state;
    make_gateway(state, "truck", 0, "amm");
    ask(state, 201, "POST", "/api/v1/thresholds",
        "{\"label\":\"Model\",\"stat\":\"Platform\",\"display_filter\":\"<.*>\","
        "\"error\":{\"op\":\"matches\",\"value\":\"(a*)*b\"}}");
    report(world, 1,
           "{\"Platform\":\"x <script>alert(1)</script> \\u2028 "
           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
           "\"<img>\":1}",
           0, 1190);
    ask(state, 200, "GET", "/api/v1/dashboard", NULL);
    assert_string_equal(text(world, "items/0/cells/0/value"), "<script>alert(1)</script>");
    assert_string_equal(text(world, "items/0/cells/0/state"), "ok");
    report(world, 1, "{\"Platform\":\"nothing\"}", 0, 1190);
    ask(state, 200, "GET", "/api/v1/dashboard", NULL);
    assert_string_equal(text(world, "items/0/cells/0/value"), "null"); /* the filter shows none */
    /* An object where a number is expected, and a stat that nobody has. */
    ask(state, 201, "POST", "/api/v1/thresholds",
        "{\"label\":\"T\",\"stat\":\"AssetTemperature\",\"error\":{\"op\":\"gt\",\"value\":1}}");
    ask(state, 201, "POST", "/api/v1/thresholds",
        "{\"label\":\"Own\",\"stat\":\"My.stat 1\",\"default\":\"7\","
        "\"warning\":{\"op\":\"eq\",\"value\":7}}");
    report(world, 1, "{\"AssetTemperature\":{\"dock\":40}}", 0, 1190);
    ask(state, 200, "GET", "/api/v1/dashboard", NULL);
    assert_string_equal(text(world, "items/0/cells/1/value"), "null");
    assert_string_equal(text(world, "items/0/cells/2/value"), "7");
    assert_string_equal(text(world, "items/0/cells/2/state"), "warning");
}

static void a_preview_counts_and_changes_nothing(void **state)
{
    struct api_world *world = *state;
    for (unsigned i = 1; i <= 25; i++) {
        char name[16];
        snprintf(name, sizeof name, "gw-%02u", i);
        make_gateway(state, name, 0, "amm");
        report(world, i, i <= 22 ? "{\"CellLink-RSSI\":-105}" : "{\"CellLink-RSSI\":-60}", 0, 1190);
    }
    make_gateway(state, "new", 0, "amm");
    ask(state, 200, "POST", "/api/v1/thresholds/preview",
        "{\"stat\":\"CellLink-RSSI\",\"error\":{\"op\":\"lt\",\"value\":-100}}");
    assert_string_equal(text(world, "total"), "26");
    assert_string_equal(text(world, "error"), "22");
    assert_string_equal(text(world, "ok"), "3");
    assert_string_equal(text(world, "none"), "1");
    assert_int_equal(json_array_size(at(world->answer.body, "gateways")), 20);
    assert_string_equal(text(world, "gateways/0/name"), "gw-01");
    ask(state, 400, "POST", "/api/v1/thresholds/preview", "{\"stat\":\"x\",\"error\":{}}");
    ask(state, 200, "GET", "/api/v1/thresholds", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "items")), 1);
    ask(state, 200, "GET", "/api/v1/audit?limit=1", NULL);
    assert_null(strstr(text(world, "items/0/action"), "preview"));
}

static void thresholds_of_others_do_not_exist(void **state)
{
    struct api_world *world = *state;
    int64_t acme = make_tenant(world, "acme"), north = make_group(world, 1, 0, "north");
    make_user(world, "eve", acme, ROLE_TENANT_ADMIN, acme, 0);
    make_user(world, "ben", 1, ROLE_OPERATOR, 1, north);
    make_user(world, "vic", 1, ROLE_VIEWER, 1, 0);
    make_gateway(state, "a", 0, "amm");
    report(world, 1, "{}", 0, -1);
    struct caller eve = {.cookie = log_in(world, "eve@acme")},
                  ben = {.cookie = log_in(world, "ben")}, vic = {.cookie = log_in(world, "vic")};
    ask_as(state, &eve, 404, "GET", "/api/v1/thresholds/1", NULL);
    ask_as(state, &eve, 404, "PATCH", "/api/v1/thresholds/1", "{\"label\":\"x\"}");
    ask_as(state, &eve, 404, "DELETE", "/api/v1/thresholds/1", NULL);
    ask_as(state, &eve, 404, "GET", "/api/v1/thresholds?group=1", NULL);
    ask_as(state, &eve, 404, "GET", "/api/v1/thresholds?gateway=1", NULL);
    ask_as(state, &eve, 404, "POST", "/api/v1/thresholds",
           "{\"label\":\"x\",\"stat\":\"y\",\"gateway\":\"1\"}");
    ask_as(state, &eve, 404, "POST", "/api/v1/thresholds/preview",
           "{\"stat\":\"y\",\"group\":\"1\"}");
    ask_as(state, &eve, 404, "POST", "/api/v1/thresholds/preview",
           "{\"stat\":\"y\",\"tenant\":\"1\"}");
    ask_as(state, &eve, 200, "GET", "/api/v1/thresholds", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "items")), 1); /* its own "Tunnel" */
    assert_string_equal(text(world, "items/0/tenant"), "2");
    ask_as(state, &eve, 200, "GET", "/api/v1/dashboard", NULL);
    assert_string_equal(text(world, "total"), "0");
    ask_as(state, &eve, 404, "GET", "/api/v1/dashboard?tenant=1", NULL);
    ask_as(state, &eve, 404, "GET", "/api/v1/dashboard/summary?group=1", NULL);
    ask_as(state, &eve, 200, "GET", "/api/v1/dashboard/summary", NULL);
    assert_string_equal(text(world, "gateways"), "0");
    /* One of a branch: there, not above it; a viewer: nowhere. */
    ask_as(state, &ben, 201, "POST", "/api/v1/thresholds",
           "{\"label\":\"x\",\"stat\":\"y\",\"group\":\"1\"}");
    ask_as(state, &ben, 404, "POST", "/api/v1/thresholds", "{\"label\":\"x\",\"stat\":\"y\"}");
    ask_as(state, &ben, 404, "DELETE", "/api/v1/thresholds/1", NULL);
    ask_as(state, &vic, 403, "DELETE", "/api/v1/thresholds/1", NULL);
    ask_as(state, &vic, 403, "POST", "/api/v1/thresholds", "{\"label\":\"z\",\"stat\":\"y\"}");
    ask_as(state, &vic, 200, "GET", "/api/v1/dashboard/summary", NULL);
    assert_string_equal(text(world, "gauge/of"), "1");
    assert_string_equal(text(world, "states/error"), "1");
    assert_string_equal(text(world, "look/0/gateway/name"), "a");
    assert_string_equal(text(world, "look/0/kind"), "threshold");
}

/* ---- search and preferences ---- */

static void search_finds_what_one_may_see(void **state)
{
    struct api_world *world = *state;
    int64_t acme = make_tenant(world, "acme"), north = make_group(world, 1, 0, "Truck stop");
    make_user(world, "eve", acme, ROLE_TENANT_ADMIN, acme, 0);
    make_user(world, "ben", 1, ROLE_VIEWER, 1, north);
    make_gateway(state, "big-truck-8", 0, "amm");
    make_gateway(state, "truck-7", north, "openvpn");
    ask(state, 200, "PATCH", "/api/v1/gateways/2", "{\"serial\":\"TRUCK\"}");
    ask(state, 200, "GET", "/api/v1/search?q=TRUCK", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "items")), 3);
    assert_string_equal(text(world, "items/0/name"), "truck-7"); /* its very serial number */
    assert_string_equal(text(world, "items/0/router"), "openvpn");
    assert_string_equal(text(world, "items/1/kind"), "group");
    assert_string_equal(text(world, "items/2/name"), "big-truck-8");
    ask(state, 400, "GET", "/api/v1/search", NULL);
    struct caller eve = {.cookie = log_in(world, "eve@acme")},
                  ben = {.cookie = log_in(world, "ben")};
    ask_as(state, &eve, 200, "GET", "/api/v1/search?q=truck", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "items")), 0);
    ask_as(state, &eve, 200, "GET", "/api/v1/search?q=TRUCK", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "items")), 0);
    ask_as(state, &ben, 200, "GET", "/api/v1/search?q=truck", NULL);
    assert_int_equal(json_array_size(at(world->answer.body, "items")), 2);
    assert_string_equal(text(world, "items/0/kind"), "group");
    assert_string_equal(text(world, "items/0/parent"), "null");
}

static void preferences_are_each_users_own(void **state)
{
    struct api_world *world = *state;
    make_user(world, "ben", 1, ROLE_VIEWER, 1, 0);
    make_user(world, "ann", 1, ROLE_VIEWER, 1, 0);
    struct caller ben = {.cookie = log_in(world, "ben")}, ann = {.cookie = log_in(world, "ann")};
    ask_as(state, &ben, 200, "GET", "/api/v1/me/preferences", NULL);
    assert_int_equal(json_object_size(world->answer.body), 0);
    ask_as(state, &ben, 200, "PUT", "/api/v1/me/preferences",
           "{\"theme\":\"dark\",\"filters\":[{\"name\":\"<b>\",\"query\":\"late=true\"}]}");
    ask_as(state, &ben, 200, "GET", "/api/v1/me/preferences", NULL);
    assert_string_equal(text(world, "theme"), "dark");
    assert_string_equal(text(world, "filters/0/name"), "<b>");
    ask_as(state, &ann, 200, "GET", "/api/v1/me/preferences", NULL);
    assert_int_equal(json_object_size(world->answer.body), 0);
    ask_as(state, &ben, 400, "PUT", "/api/v1/me/preferences", "[1]");
    ask_as(state, &ben, 400, "PUT", "/api/v1/me/preferences", "{");
    ask(state, 409, "GET", "/api/v1/me/preferences", NULL);
}

/* ---- 100 000 gateways: measured, not judged ---- */

static void make_fleet(struct manager *m, void *context)
{
    const unsigned *n = context;
    for (unsigned i = 0; i < *n; i++) {
        char name[24], stats[120];
        snprintf(name, sizeof name, "gw-%06u", i);
        struct fleet_gateway_new what = {.group = fleet_branch_find(m->fleet, 1, 0), .name = name};
        struct fleet_gateway *gateway = fleet_gateway_add(m->fleet, &what, m->now.wall, NULL);
        snprintf(stats, sizeof stats,
                 "{\"CellLink-RSSI\":%d,\"CellLink-RSRP\":-100,\"Platform\":\"RV50\"}",
                 -60 - (int)(i % 50));
        json_t *json = json_loads(stats, 0, NULL);
        struct values *next;
        assert_true(values_merge(&next, NULL, VALUES_STATS, json, NULL, NULL));
        json_decref(json);
        values_free(gateway->stats);
        gateway->stats = next;
        gateway->last_checkin = m->now.wall;
    }
}

static int64_t ask_ms(void **state, const char *target)
{
    amm_time begin = amm_now().mono;
    ask(state, 200, "GET", target, NULL);
    return (amm_now().mono - begin) / AMM_MILLISECOND;
}

static void a_large_fleet_is_measured(void **state)
{
    const char *text_n = getenv("AMM_TEST_GATEWAYS"); /* 100000 for the figures */
    unsigned n = text_n ? (unsigned)atoi(text_n) : 2000;
    struct api_world *world = *state;
    assert_true(core_unit(&world->m, make_fleet, &n));
    ask(state, 201, "POST", "/api/v1/thresholds",
        "{\"label\":\"RSSI\",\"stat\":\"CellLink-RSSI\",\"error\":{\"op\":\"lt\",\"value\":-100}}");
    static const char *const targets[] = {"/api/v1/tree", "/api/v1/dashboard?limit=100",
                                          "/api/v1/dashboard?limit=100&sort=stat:CellLink-RSSI",
                                          "/api/v1/dashboard/summary",
                                          "/api/v1/gateways?fields=tree&limit=1000"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        print_message("%s: %lld ms of %u gateways\n", targets[i],
                      (long long)ask_ms(state, targets[i]), n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_branch_is_counted_with_all_below_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_tree_ends_where_the_role_does, set_up, tear_down),
        cmocka_unit_test(hysteresis_and_hold_keep_it_calm),
        cmocka_unit_test(each_condition_means_what_it_says),
        cmocka_unit_test_setup_teardown(what_is_wrong_with_a_threshold_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_threshold_raises_an_event_and_takes_it_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(states_are_as_they_are_saved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_nearest_of_one_label_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_names_and_values_stay_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_preview_counts_and_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(thresholds_of_others_do_not_exist, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_finds_what_one_may_see, set_up, tear_down),
        cmocka_unit_test_setup_teardown(preferences_are_each_users_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_fleet_is_measured, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
