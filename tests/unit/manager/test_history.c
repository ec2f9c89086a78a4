/* Stats over time: how they are packed, sampled, written and shown. */
#include "api_world.h"

#include "domain/stats.h"
#include "manager/events.h"
#include "manager/fleet.h"
#include "manager/history.h"

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

/* ---- blocks ---- */

static void a_block_gives_back_what_was_put_in(void **state)
{
    static const int64_t numbers[] = {0,
                                      1,
                                      -1,
                                      63,
                                      -64,
                                      -105,
                                      1000000,
                                      -1000000,
                                      INT64_MAX / 8,
                                      ((int64_t)1 << 52) - 1,
                                      -((int64_t)1 << 52)};
    uint8_t room[512];
    struct history_writer w;
    struct history_reader r;
    struct history_value value;
    struct amm_view label;
    uint16_t offset;
    uint8_t series;
    (void)state;
    history_sample_begin(&w, room, sizeof room, 1234);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        value = (struct history_value){.integer = numbers[i], .real = (double)numbers[i]};
        history_entry(&w, (uint8_t)i, amm_view_str(i % 2 ? "dock" : ""), &value);
    }
    value = (struct history_value){.is_real = true, .real = -7.25};
    history_entry(&w, 99, amm_view(NULL, 0), &value);
    size_t len = history_sample_end(&w);
    assert_true(len > 0);
    history_read(&r, amm_view(room, len));
    assert_true(history_next_sample(&r, &offset));
    assert_int_equal(offset, 1234);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_true(history_next_entry(&r, &series, &label, &value));
        assert_int_equal(series, i);
        assert_int_equal(label.len, i % 2 ? 4 : 0);
        assert_true(value.real == (double)numbers[i]);
    }
    assert_true(history_next_entry(&r, &series, &label, &value));
    assert_true(value.is_real && value.real == -7.25);
    assert_false(history_next_entry(&r, &series, &label, &value));
    assert_false(history_next_sample(&r, &offset));
    /* Cut anywhere, it ends early and in order. */
    for (size_t cut = 0; cut < len; cut++) {
        history_read(&r, amm_view(room, cut));
        while (history_next_sample(&r, &offset)) {
            while (history_next_entry(&r, &series, &label, &value)) {
            }
        }
    }
    /* No room: no sample. */
    history_sample_begin(&w, room, 8, 0);
    history_entry(&w, 1, amm_view_str("a label that is too long"), &value);
    assert_int_equal(history_sample_end(&w), 0);
    history_sample_begin(&w, room, sizeof room, 0);
    assert_int_equal(history_sample_end(&w), 0);
}

static void all_marked_stats_have_a_number(void **state)
{
    (void)state;
    assert_true(amm_stats_count <= HISTORY_TRAFFIC);
}

/* ---- the module ---- */

struct report {
    const char *stats;
};

static void report_unit(struct manager *m, void *context)
{
    const struct report *report = context;
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, 1);
    json_t *json = json_loads(report->stats, 0, NULL);
    struct values *next;
    assert_true(values_merge(&next, gateway->stats, VALUES_STATS, json, NULL, NULL));
    json_decref(json);
    values_free(gateway->stats);
    gateway->stats = next;
    gateway->last_checkin = m->now.wall;
    history_traffic(m, 1, HISTORY_CHECKIN, 700);
    fleet_touch(m->fleet, gateway, FLEET_CHECKED_IN | FLEET_VALUES);
}

static void report(struct api_world *world, const char *stats)
{
    struct report what = {stats};
    assert_true(core_unit(&world->m, report_unit, &what));
}

static void make_gateway(struct api_world *world)
{
    assert_int_equal(call(world, &root, "POST", "/api/v1/gateways", "{\"name\":\"gw\"}"), 201);
}

static size_t points(struct api_world *world, const char *query)
{
    char target[160];
    snprintf(target, sizeof target, "/api/v1/gateways/1/history?%s", query);
    int status = call(world, &root, "GET", target, NULL);
    if (status != 200) {
        fail_msg("%s: %d %s", target, status, member(world, "text"));
    }
    return json_array_size(json_object_get(world->answer.body, "points"));
}

static json_int_t point(const struct api_world *world, size_t i)
{
    const json_t *list = json_object_get(world->answer.body, "points");
    return json_integer_value(json_array_get(json_array_get(list, i), 1));
}

static json_int_t traffic(const struct api_world *world, const char *purpose)
{
    const json_t *list = json_object_get(world->answer.body, "traffic");
    return json_integer_value(json_object_get(json_array_get(list, 0), purpose));
}

static void restart(struct api_world *world)
{
    char error[200];
    history_module.stop(&world->m);
    assert_true(history_module.start(&world->m, error, sizeof error));
}

static void what_is_marked_is_kept_over_a_stop(void **state)
{
    struct api_world *world = *state;
    make_gateway(world);
    report(world,
           "{\"CellLink-RSSI\":-71,\"Platform\":\"RV50\",\"AssetTemperature\":{\"dock\":20.5,"
           "\"cab\":3},\"My.own\":7,\"GPS-Quality\":1}");
    assert_int_equal(points(world, "stat=CellLink-RSSI"), 1); /* at once */
    assert_int_equal(point(world, 0), -71);
    assert_string_equal(member(world, "unit"), "dBm");
    restart(world);
    assert_int_equal(points(world, "stat=CellLink-RSSI"), 1);
    report(world, "{\"CellLink-RSSI\":-80}");
    assert_int_equal(points(world, "stat=CellLink-RSSI"), 2);
    restart(world);
    assert_int_equal(points(world, "stat=CellLink-RSSI"), 2);
    assert_int_equal(point(world, 1), -80);
    assert_int_equal(traffic(world, "checkin"), 1400);
    assert_int_equal(points(world, "stat=AssetTemperature/cab"), 2);
    assert_int_equal(point(world, 0), 3);
    assert_int_equal(points(world, ""), 0);
    assert_int_equal(json_array_size(json_object_get(world->answer.body, "series")), 3);
    static const char *const bad[] = {"stat=Platform",
                                      "stat=My.own",
                                      "stat=AssetTemperature",
                                      "stat=CellLink-RSSI/x",
                                      "stat=GPS-Quality",
                                      "from=5&to=4",
                                      "from=0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char target[100];
        snprintf(target, sizeof target, "/api/v1/gateways/1/history?%s", bad[i]);
        assert_int_equal(call(world, &root, "GET", target, NULL), 400);
    }
}

static void fail_unit(struct manager *m, void *context)
{
    (void)context;
    manager_fail(m);
}

static void traffic_of_tunnels_is_added_up(void **state)
{
    struct api_world *world = *state;
    make_gateway(world);
    world->m.tunnel_bytes(&world->m, 1, 1000, 2000);
    world->m.tunnel_bytes(&world->m, 1, 10, 20);
    history_traffic(&world->m, 1, HISTORY_PAGE, 300);
    history_traffic(&world->m, 99, HISTORY_PAGE, 300); /* nobody */
    assert_false(core_unit(&world->m, fail_unit, NULL));
    restart(world);
    points(world, "");
    assert_int_equal(traffic(world, "tunnel_in"), 1010);
    assert_int_equal(traffic(world, "tunnel_out"), 2020);
    assert_int_equal(traffic(world, "page"), 300);
}

/* ---- many points, gaps, outages: rows that the test writes itself ---- */

static void write_rows(struct manager *m, void *context)
{
    int64_t hour = (m->now.wall - m->now.wall % 3600) - 40 * 3600;
    (void)context;
    for (int i = 0; i < 40; i++) {
        uint8_t block[HISTORY_BLOCK_MAX];
        size_t len = 0;
        for (int k = 0; k < 60 && i != 20 && i != 21; k++) { /* two hours are missing */
            struct history_writer w;
            struct history_value value = {.integer = i == 10 && k == 30 ? -999 : -70};
            value.real = (double)value.integer;
            history_sample_begin(&w, block + len, sizeof block - len, (uint16_t)(60 * k));
            history_entry(&w, (uint8_t)(amm_stat_find("CellLink-RSSI") - amm_stats),
                          amm_view(NULL, 0), &value);
            len += history_sample_end(&w);
        }
        assert_int_equal(amm_store_run(m->store, AMM_SQL_STAT_HISTORY_SET,
                                       AMM_WITH(amm_number(1), amm_number(hour + 3600 * i),
                                                amm_blob(block, len))),
                         AMM_STORE_OK);
    }
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, 1);
    event_add(m->fleet, gateway, "tunnel-up", "", NULL, hour + 100);
    event_add(m->fleet, gateway, "tunnel-down", "", NULL, hour + 5000);
    event_add(m->fleet, gateway, "tunnel-up", "", NULL, hour + 6000);
    event_add(m->fleet, gateway, "tunnel-down", "", NULL, hour + 9000);
}

static void a_chart_has_at_most_a_thousand_points_and_every_spike(void **state)
{
    struct api_world *world = *state;
    char query[80];
    make_gateway(world);
    assert_true(core_unit(&world->m, write_rows, NULL));
    int64_t now = world->m.now.wall, hour = now - now % 3600 - 40 * 3600;
    snprintf(query, sizeof query, "stat=CellLink-RSSI&from=%lld&to=%lld", (long long)hour,
             (long long)now);
    size_t n = points(world, query);
    assert_true(n > 300 && n <= 1000);
    bool has_spike = false;
    for (size_t i = 0; i < n; i++) {
        has_spike |= point(world, i) == -999;
    }
    assert_true(has_spike);
    const json_t *gaps = json_object_get(world->answer.body, "gaps");
    assert_int_equal(json_array_size(gaps), 1);
    const json_t *outages = json_object_get(world->answer.body, "tunnel");
    assert_int_equal(json_array_size(outages), 2);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(outages, 0), 0)),
                     hour + 5000);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(outages, 1), 1)), now);
    /* A question that begins within an outage. */
    snprintf(query, sizeof query, "from=%lld&to=%lld", (long long)hour + 10800,
             (long long)hour + 14400);
    points(world, query);
    outages = json_object_get(world->answer.body, "tunnel");
    assert_int_equal(json_array_size(outages), 1);
}

static void the_history_of_others_does_not_exist(void **state)
{
    struct api_world *world = *state;
    make_gateway(world);
    int64_t acme = make_tenant(world, "acme");
    make_user(world, "eve", acme, ROLE_TENANT_ADMIN, acme, 0);
    struct caller eve = {.cookie = log_in(world, "eve@acme")};
    assert_int_equal(call(world, &eve, "GET", "/api/v1/gateways/1/history", NULL), 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_gives_back_what_was_put_in),
        cmocka_unit_test(all_marked_stats_have_a_number),
        cmocka_unit_test_setup_teardown(what_is_marked_is_kept_over_a_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(traffic_of_tunnels_is_added_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_chart_has_at_most_a_thousand_points_and_every_spike,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_history_of_others_does_not_exist, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
