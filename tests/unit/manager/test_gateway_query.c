#include "manager/gateway_query.h"

#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GATEWAYS = 200 };

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world_open(world);
    world_begin(world);
    struct fleet_group *root = fleet_tenant_by_slug(world->fleet, "main")->root;
    struct fleet_group *north =
        fleet_group_add(world->fleet, root, "north", world->now, &world->error);
    struct fleet_group *port =
        fleet_group_add(world->fleet, north, "harbour", world->now, &world->error);
    assert_non_null(port);
    for (unsigned i = 0; i < GATEWAYS; i++) {
        char name[16], serial[16], note[32], json[256];
        snprintf(name, sizeof name, "gw-%03u", (i * 37) % GATEWAYS);
        snprintf(serial, sizeof serial, "SN%04u", GATEWAYS - i);
        snprintf(note, sizeof note, "Lorry %u", i);
        struct fleet_gateway_new what = {.group = i % 4 == 0   ? port
                                                  : i % 4 == 1 ? north
                                                               : root,
                                         .name = name,
                                         .serial = serial,
                                         .note = note,
                                         .kind = i % 10 == 9 ? FLEET_OPENVPN : FLEET_OURS};
        struct fleet_gateway *gateway =
            fleet_gateway_add(world->fleet, &what, world->now, &world->error);
        assert_non_null(gateway);
        snprintf(json, sizeof json,
                 "{\"CellLink-RSSI\": %d, \"Platform\": \"%s\", \"AssetTemperature\": {\"dock\": "
                 "%u.5}%s}",
                 -60 - (int)(i % 50), i % 3 ? "RV50" : "MP70", i % 30,
                 i % 7 ? "" : ", \"Odd one\": true");
        json_t *stats = json_loads(json, 0, NULL);
        assert_true(values_merge(&gateway->stats, NULL, VALUES_STATS, stats, NULL, NULL));
        json_decref(stats);
        gateway->last_checkin = i % 5 == 0 ? 0 : world->now - 100 * (int64_t)(i % 40);
        if (i % 2) {
            gateway->tunnel.up_port = gateway->tunnel.port = (uint16_t)(1190 + i % 4);
            gateway->tunnel.inner_ip = 0x0a042000 + 4 * i + 2;
        }
    }
    world_commit(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    free(*state);
    return 0;
}

static void all(struct world *world, struct gateway_query *query)
{
    gateway_query_init(query, world->now);
    query->mark = fleet_group_mark_branch(world->fleet, NULL);
}

static struct gateway_page page;

static size_t total_with(struct world *world, const char *conditions)
{
    struct gateway_query query;
    char error[256] = "";
    all(world, &query);
    query.want_total = true;
    if (!gateway_query_conditions(&query, conditions, error, sizeof error)) {
        fail_msg("%s: %s", conditions, error);
    }
    assert_true(gateway_query_run(world->fleet, &query, &page));
    return page.total;
}

static void conditions_on_stats_are_true_of_whom_they_should(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *conditions;
        size_t total;
    } rows[] = {
        {"", 200},
        {"Platform=MP70", 67},
        {"Platform!=MP70", 133},
        {"Platform~mp", 67},
        {"Platform~p7", 67},
        {"Platform=RV", 0},
        {"CellLink-RSSI<-100", 36},
        {"CellLink-RSSI<=-100", 40},
        {"CellLink-RSSI>-100", 160},
        {"CellLink-RSSI>=-100", 164},
        {"CellLink-RSSI=-60", 4},
        {"CellLink-RSSI=-60.0", 4},
        {"CellLink-RSSI!=-60", 196},
        {"CellLink-RSSI<-100;Platform=MP70", 12},
        {"AssetTemperature/dock>=29.5", 6},
        {"AssetTemperature/deck", 0},
        {"!AssetTemperature/deck", 200},
        {"AssetTemperature", 200},
        {"Odd one=true", 29},
        {"Odd one", 29},
        {"!Odd one", 171},
        {"Odd one!=true", 171},
        {"ManagementTunnel-IPAddress", 100},
        {"!ManagementTunnel-IPAddress", 100},
        {"ManagementTunnel-IPAddress=10.4.32.6", 1},
        {"Nothing", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t total = total_with(world, rows[i].conditions);
        if (total != rows[i].total) {
            fail_msg("%s: %zu", rows[i].conditions, total);
        }
    }
}

static void what_is_no_condition_is_refused_in_words(void **state)
{
    (void)state;
    static const char *const bad[] = {"=1",    "Platform<x", "Plat/form/x=1", "a=1;;", "<",
                                      "!a=1",  "a<inf",      "a<0x10",        "a<nan", "a<1e999",
                                      "a\n=1", ";a",         "\xc3\xa4=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gateway_query query;
        char error[256] = "";
        gateway_query_init(&query, 0);
        if (gateway_query_conditions(&query, bad[i], error, sizeof error)) {
            fail_msg("%s", bad[i]);
        }
        assert_non_null(strstr(error, "is no condition"));
    }
    struct gateway_query query;
    char error[256] = "";
    gateway_query_init(&query, 0);
    assert_true(gateway_query_conditions(&query, "a;b;c;d;e;f;g;h", error, sizeof error));
    assert_false(gateway_query_conditions(&query, "i", error, sizeof error));
}

static void other_filters_count_right(void **state)
{
    struct world *world = *state;
    struct gateway_query query;
    struct gateway_counts counts;
    all(world, &query);
    gateway_query_count(world->fleet, &query, &counts);
    assert_int_equal(counts.total, 200);
    assert_int_equal(counts.tunnel_up, 100);
    assert_int_equal(counts.by_kind[FLEET_OPENVPN], 20);
    query.kind = FLEET_OPENVPN;
    gateway_query_count(world->fleet, &query, &counts);
    assert_int_equal(counts.total, 20);
    all(world, &query);
    query.late = 1;
    gateway_query_count(world->fleet, &query, &counts);
    assert_int_equal(counts.total, counts.late);
    assert_true(counts.total > 0 && counts.total < 200);
    all(world, &query);
    snprintf(query.text, sizeof query.text, "lorRY 19");
    gateway_query_count(world->fleet, &query, &counts);
    assert_int_equal(counts.total, 11); /* 19, 190 to 199 */
    all(world, &query);
    query.port = 1191;
    gateway_query_count(world->fleet, &query, &counts);
    assert_int_equal(counts.total, 50);
    /* A branch, with what is below it. */
    struct fleet_group *root = fleet_tenant_by_slug(world->fleet, "main")->root;
    gateway_query_init(&query, world->now);
    query.mark = fleet_group_mark_branch(world->fleet, root->first_child);
    gateway_query_count(world->fleet, &query, &counts);
    assert_int_equal(counts.total, 100);
    query.mark = fleet_group_mark_branch(world->fleet, root->first_child->first_child);
    gateway_query_count(world->fleet, &query, &counts);
    assert_int_equal(counts.total, 50);
}

/* Whatever the order: pages give each gateway once, in order, and end. */
static void pages_give_each_once_in_every_order(void **state)
{
    struct world *world = *state;
    static const char *const sorts[] = {"name",
                                        "serial",
                                        "last_checkin",
                                        "tunnel",
                                        "stat:CellLink-RSSI",
                                        "stat:Platform",
                                        "stat:Odd one",
                                        "stat:Nothing",
                                        "stat:ManagementTunnel-IPAddress"};
    static const size_t limits[] = {1, 7, 100, 199, 200, 1000};
    for (size_t i = 0; i < sizeof sorts / sizeof sorts[0]; i++) {
        for (unsigned turn = 0; turn < 2 * sizeof limits / sizeof limits[0]; turn++) {
            struct gateway_query query;
            size_t seen = 0;
            bool had[GATEWAYS + 1] = {0};
            all(world, &query);
            assert_true(gateway_query_sort(&query, sorts[i]));
            query.limit = limits[turn / 2];
            query.descending = turn % 2;
            do {
                assert_true(gateway_query_run(world->fleet, &query, &page));
                assert_true(page.n <= query.limit);
                for (size_t k = 0; k < page.n; k++) {
                    assert_false(had[page.at[k]->id]);
                    had[page.at[k]->id] = true;
                    seen++;
                }
                memcpy(query.after, page.next, sizeof query.after);
            } while (page.has_more);
            if (seen != GATEWAYS) {
                fail_msg("%s by %zu: %zu", sorts[i], query.limit, seen);
            }
        }
    }
    struct gateway_query query;
    all(world, &query);
    assert_false(gateway_query_sort(&query, "colour"));
    assert_false(gateway_query_sort(&query, "stat:"));
    assert_true(gateway_query_sort(&query, "stat:CellLink-RSSI"));
    query.limit = 3;
    assert_true(gateway_query_run(world->fleet, &query, &page));
    struct value value;
    assert_true(values_find(page.at[0]->stats, VALUES_STATS, "CellLink-RSSI", &value));
    assert_int_equal(value.integer, -109);
}

static void cursors_of_others_are_refused(void **state)
{
    struct world *world = *state;
    static const char *const bad[] = {"x",     "n:",    "n::1",   "n:a:1", "t::1",   "t:a:",
                                      "x:y:1", "q:a:1", "t:a:1x", "12",    "n:1:-1", ":::"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gateway_query query;
        all(world, &query);
        snprintf(query.after, sizeof query.after, "%s", bad[i]);
        if (gateway_query_run(world->fleet, &query, &page)) {
            fail_msg("%s", bad[i]);
        }
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(conditions_on_stats_are_true_of_whom_they_should),
        cmocka_unit_test(what_is_no_condition_is_refused_in_words),
        T(other_filters_count_right),
        T(pages_give_each_once_in_every_order),
        T(cursors_of_others_are_refused),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
