#include "manager/values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned refused;
static char refused_name[128];

static void refuse(void *context, const char *name)
{
    (void)context;
    refused++;
    snprintf(refused_name, sizeof refused_name, "%s", name);
}

/* Merges `changes` (JSON text) into *values. */
static void merge(struct values **values, enum values_kind kind, const char *changes)
{
    json_t *json = json_loads(changes, 0, NULL);
    assert_non_null(json);
    struct values *made = NULL;
    refused = 0;
    assert_true(values_merge(&made, *values, kind, json, refuse, NULL));
    values_free(*values);
    *values = made;
    json_decref(json);
}

static void assert_is(const struct values *values, enum values_kind kind, const char *expected)
{
    json_t *want = json_loads(expected, 0, NULL), *have = values_to_json(values, kind);
    assert_non_null(want);
    if (!json_equal(want, have)) {
        char *text = json_dumps(have, JSON_COMPACT);
        print_error("have %s\nwant %s\n", text, expected);
        free(text);
        fail();
    }
    json_decref(want);
    json_decref(have);
}

static void all_kinds_of_values_come_back(void **state)
{
    (void)state;
    static const char all[] =
        "{\"CellLink-RSSI\": -71, \"GPS Location-latitude\": 47.25, \"Platform\": \"RV50 \\u00fc\","
        "\"GPS_enabled\": true, \"Some.Flag\": false, \"AssetTemperature\": {\"dock\": 21.5, "
        "\"a\": -3},"
        "\"An own one\": \"x\", \"Empty\": \"\", \"none\": {}, \"big\": 9007199254740991}";
    struct values *values = NULL;
    merge(&values, VALUES_STATS, all);
    assert_int_equal(refused, 0);
    assert_is(values, VALUES_STATS, all);
    values = values_free(values);

    static const char parameters[] =
        "{\"1172\": 9443, \"60001\": \"Enable\", \"70000\": \"unknown\","
        "\"60009\": {\"set\": true}, \"007\": 1}";
    merge(&values, VALUES_PARAMETERS, parameters);
    assert_is(values, VALUES_PARAMETERS, parameters);
    values_free(values);
}

static void changes_replace_null_removes_the_rest_stays(void **state)
{
    (void)state;
    struct values *values = NULL;
    merge(&values, VALUES_STATS, "{\"CellLink-RSSI\": -71, \"own\": 1, \"Platform\": \"a\"}");
    merge(&values, VALUES_STATS, "{\"CellLink-RSSI\": -80, \"own\": null, \"never\": null}");
    assert_is(values, VALUES_STATS, "{\"CellLink-RSSI\": -80, \"Platform\": \"a\"}");
    merge(&values, VALUES_STATS, "{\"CellLink-RSSI\": null, \"Platform\": null}");
    assert_null(values);
    assert_is(values, VALUES_STATS, "{}");
}

static void values_are_found_by_name_and_label(void **state)
{
    (void)state;
    struct values *values = NULL;
    struct value value, label;
    merge(&values, VALUES_STATS,
          "{\"own\": \"text\", \"CellLink-RSSI\": -71, \"AssetTemperature\": {\"dock\": 21.5}}");
    assert_true(values_find(values, VALUES_STATS, "CellLink-RSSI", &value));
    assert_int_equal(value.type, VALUE_INTEGER);
    assert_int_equal(value.integer, -71);
    assert_true(value.real == -71);
    assert_true(values_find(values, VALUES_STATS, "own", &value));
    assert_int_equal(value.text.len, 4);
    assert_true(values_find(values, VALUES_STATS, "AssetTemperature", &value));
    assert_true(value_label(&value, "dock", &label));
    assert_true(label.real == 21.5);
    assert_false(value_label(&value, "doc", &label));
    assert_false(values_find(values, VALUES_STATS, "Platform", &value));
    assert_false(values_find(values, VALUES_STATS, "ow", &value));
    assert_false(values_find(NULL, VALUES_STATS, "own", &value));
    values_free(values);
}

static void what_has_no_room_is_refused_by_name_and_the_old_value_stays(void **state)
{
    (void)state;
    struct values *values = NULL;
    char *json = malloc(200 * 400);
    size_t at = 0;
    at += (size_t)sprintf(json, "{\"own\": 1");
    for (unsigned i = 0; i < 60; i++) {
        at += (size_t)sprintf(json + at, ", \"filler-%u\": \"%0250d\"", i, 0);
    }
    sprintf(json + at, "}");
    merge(&values, VALUES_STATS, json);
    assert_int_equal(refused, 0);
    free(json);
    char change[1200];
    snprintf(change, sizeof change, "{\"own\": \"%01000d\"}", 0);
    merge(&values, VALUES_STATS, change);
    assert_int_equal(refused, 1);
    assert_string_equal(refused_name, "own");
    struct value value;
    assert_true(values_find(values, VALUES_STATS, "own", &value));
    assert_int_equal(value.integer, 1);
    values_free(values);
}

static void what_has_no_legal_form_is_refused(void **state)
{
    (void)state;
    struct values *values = NULL;
    static const char *const bad[] = {"{\"x\": [1]}", "{\"x\": {\"y\": {\"z\": 1}}}",
                                      "{\"x\": {\"y\": null}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        merge(&values, VALUES_STATS, bad[i]);
        assert_int_equal(refused, 1);
        assert_null(values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_of_values_come_back),
        cmocka_unit_test(changes_replace_null_removes_the_rest_stays),
        cmocka_unit_test(values_are_found_by_name_and_label),
        cmocka_unit_test(what_has_no_room_is_refused_by_name_and_the_old_value_stays),
        cmocka_unit_test(what_has_no_legal_form_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
