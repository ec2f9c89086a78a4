#include "manager/fleet.h"

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

/* ---- everything that a fleet says, as one text ---- */

static void dump_settings(FILE *out, const struct fleet_settings *settings)
{
    for (uint32_t i = 0; i < settings->n; i++) {
        const struct fleet_desired *d = &settings->at[i];
        fprintf(out, "    %u=%s %s %lld %s\n", d->id, d->value, d->local ? "local" : "server",
                (long long)d->at, d->by);
    }
}

static void dump_group(FILE *out, const struct fleet_group *group)
{
    fprintf(out, "  group %lld depth %u %s policy %u, %u gateways\n", (long long)group->id,
            group->depth, group->name, group->clone_policy, group->n_gateways);
    dump_settings(out, &group->template);
    for (const struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        assert_ptr_equal(child->parent, group);
        dump_group(out, child);
    }
}

static void dump_values(FILE *out, const struct values *values, enum values_kind kind)
{
    json_t *json = values_to_json(values, kind);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    fprintf(out, "    %s\n", text);
    free(text);
    json_decref(json);
}

static void dump_gateway(FILE *out, const struct fleet_gateway *g)
{
    fprintf(out,
            "  gateway %lld in %lld/%lld %s serial %s note %s kind %u access %u (%s) at %lld clone "
            "%d sync %s interval %u\n",
            (long long)g->id, (long long)g->group->tenant->id, (long long)g->group->id, g->name,
            g->serial, g->note, g->kind, g->access, g->access_reason, (long long)g->access_at,
            g->clone_flag, fleet_sync_name(g->sync), g->interval);
    fprintf(out, "    seq %llu last %lld events %llu hash %s tunnel %s boot %u skew %d full %d\n",
            (unsigned long long)g->seq, (long long)g->last_checkin,
            (unsigned long long)g->events_seen, g->hash, g->tunnel_hash, g->boot, g->clock_skew,
            g->want_full);
    fprintf(out, "    revision %lld taken %lld failed %lld (%s) offer %llx open %u\n",
            (long long)g->revision, (long long)g->revision_taken, (long long)g->revision_failed,
            g->settings_error, (unsigned long long)g->offer, g->open_operations);
    dump_settings(out, &g->desired);
    dump_values(out, g->stats, VALUES_STATS);
    dump_values(out, g->reported, VALUES_PARAMETERS);
}

static char *dump(struct fleet *fleet)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    for (size_t i = 0; i < fleet_tenant_count(fleet); i++) {
        const struct fleet_tenant *tenant = fleet_tenant_at(fleet, i);
        fprintf(out, "tenant %lld %s %s, %u gateways of %u\n", (long long)tenant->id, tenant->slug,
                tenant->title, tenant->n_gateways, tenant->gateways_max);
        dump_group(out, tenant->root);
    }
    for (size_t i = 0; i < fleet_gateway_count(fleet); i++) {
        struct fleet_gateway *gateway = fleet_gateway_at(fleet, i);
        char name[FLEET_TUNNEL_NAME];
        fleet_tunnel_name(gateway, name);
        assert_ptr_equal(fleet_gateway_find(fleet, gateway->id), gateway);
        assert_ptr_equal(fleet_gateway_by_name(fleet, gateway->group->tenant, gateway->name),
                         gateway);
        assert_ptr_equal(fleet_gateway_by_tunnel_name(fleet, name), gateway);
        if (gateway->serial[0] != '\0') {
            assert_ptr_equal(fleet_gateway_by_serial(fleet, gateway->serial), gateway);
        }
        dump_gateway(out, gateway);
    }
    fclose(out);
    return text;
}

/* What is in memory is what a new process would read. */
static void assert_saved(struct world *world, unsigned seed, unsigned step)
{
    char error[256];
    struct fleet *fresh = fleet_load(world->store, world->now, error, sizeof error);
    assert_non_null(fresh);
    char *have = dump(world->fleet), *want = dump(fresh);
    if (strcmp(have, want) != 0) {
        fprintf(stderr, "seed %u, step %u\nin memory:\n%s\nin the store:\n%s\n", seed, step, have,
                want);
        fail();
    }
    free(have);
    free(want);
    fleet_free(fresh);
}

/* ---- one random change ---- */

static unsigned pick(unsigned n)
{
    return (unsigned)rand() % n;
}

static struct fleet_group *any_group(struct fleet *fleet)
{
    struct fleet_group *group =
        fleet_tenant_at(fleet, pick((unsigned)fleet_tenant_count(fleet)))->root;
    while (group->first_child && pick(3)) {
        group = group->first_child;
        while (group->next_sibling && pick(2)) {
            group = group->next_sibling;
        }
    }
    return group;
}

static struct fleet_gateway *any_gateway(struct fleet *fleet)
{
    size_t n = fleet_gateway_count(fleet);
    return n > 0 ? fleet_gateway_at(fleet, pick((unsigned)n)) : NULL;
}

static void change_tree(struct world *world)
{
    struct fleet *fleet = world->fleet;
    struct fleet_group *group = any_group(fleet);
    char name[24];
    snprintf(name, sizeof name, "g%u", pick(6));
    switch (pick(8)) {
    case 0:
        snprintf(name, sizeof name, "t%u", pick(4));
        fleet_tenant_add(fleet, name, "A title", world->now, &world->error);
        break;
    case 1:
        fleet_tenant_remove(fleet, group->tenant, &world->error);
        break;
    case 2:
        fleet_tenant_retitle(fleet, group->tenant, name, &world->error);
        break;
    case 3:
        fleet_group_rename(fleet, group, name, &world->error);
        break;
    case 4:
        fleet_group_move(fleet, group, any_group(fleet), &world->error);
        break;
    case 5:
        fleet_group_remove(fleet, group, &world->error);
        break;
    case 6:
        fleet_group_set_clone_policy(fleet, group, pick(3), &world->error);
        break;
    default:
        fleet_group_add(fleet, group, name, world->now, &world->error);
        break;
    }
}

static void change_gateway(struct world *world, struct fleet_gateway *gateway)
{
    struct fleet *fleet = world->fleet;
    char text[24];
    enum fleet_kind kind = pick(FLEET_KINDS);
    snprintf(text, sizeof text, "S%u", pick(30));
    switch (pick(7)) {
    case 0:
        fleet_gateway_edit(fleet, gateway, text, NULL, NULL, &world->error);
        break;
    case 1:
        fleet_gateway_edit(fleet, gateway, NULL, text, &kind, &world->error);
        break;
    case 2:
        fleet_gateway_move(fleet, gateway, any_group(fleet), &world->error);
        break;
    case 3:
        fleet_gateway_set_access(fleet, gateway, pick(FLEET_ACCESSES), text, world->now,
                                 &world->error);
        break;
    case 4:
        fleet_gateway_cloned(fleet, gateway, text, world->now, &world->error);
        break;
    case 5:
        fleet_gateway_restart_numbers(fleet, gateway, &world->error);
        break;
    default:
        fleet_gateway_remove(fleet, gateway, &world->error);
        break;
    }
}

static void change_settings(struct world *world, struct fleet_gateway *gateway)
{
    json_t *values = json_object();
    json_object_set_new(values, "60008", pick(3) ? json_integer(pick(5)) : json_null());
    if (pick(2)) {
        json_object_set_new(values, "60003", json_integer(60 + pick(5)));
    }
    if (pick(2)) {
        parameters_set(world->fleet, gateway, values, "anna", world->now, &world->error);
    } else {
        parameters_set_template(world->fleet, gateway->group, values, "ben", world->now,
                                &world->error);
    }
    json_decref(values);
}

static void check_in(struct world *world, struct fleet_gateway *gateway)
{
    char text[600];
    struct amm_checkin message;
    struct amm_checkin_answer answer;
    struct amm_refusal refusal;
    bool quarantined;
    snprintf(text, sizeof text,
             "{\"v\":1,\"seq\":%llu,\"boot\":%u,\"base\":\"%s\",\"hash\":\"%016x\",\"revision\":%u,"
             "\"stats\":{\"CellLink-RSSI\":%d},\"parameters\":{\"60008\":%u},\"changes\":[{\"id\":"
             "60008,\"value\":%u,\"at\":%lld,\"by\":\"user\"}],\"events\":[{\"id\":%llu,\"at\":1,"
             "\"kind\":\"boot\",\"text\":\"\"}],\"results\":[{\"id\":\"settings-%u\",\"state\":"
             "\"%s\",\"text\":\"so\"}]}",
             (unsigned long long)(gateway->seq + pick(3)), pick(3), pick(2) ? gateway->hash : "",
             pick(100), pick(4), -(int)pick(90), pick(5), pick(5), (long long)world->now - pick(50),
             (unsigned long long)(gateway->events_seen + pick(2)) + 1, pick(4),
             pick(2) ? "done" : "failed");
    if (gateway->seq == 0 && strstr(text, "\"seq\":0,")) {
        return;
    }
    struct amm_view body = amm_view_str(text);
    assert_true(amm_checkin_decode(&message, body, &refusal));
    struct checkin_input input = {
        .message = &message,
        .digest = checkin_digest(body),
        .now = {world->now * AMM_SECOND, world->now},
    };
    assert_true(checkin_take(world->fleet, gateway, &input, &answer, &quarantined, &world->error));
    amm_checkin_answer_deinit(&answer);
    amm_checkin_deinit(&message);
}

static void operate(struct world *world, struct fleet_gateway *gateway)
{
    static const char *const kinds[] = {"reboot", "diagnostics", "check-in"};
    char key[8];
    struct operation operation;
    snprintf(key, sizeof key, "k%u", pick(8));
    struct operation_new what = {
        .kind = kinds[pick(3)], .key = pick(2) ? key : NULL, .by = "anna", .expires_in = pick(100)};
    if (operation_add(world->fleet, gateway, &what, world->now, &operation, &world->error)) {
        if (pick(2)) {
            operation_cancel(world->fleet, &operation, world->now, &world->error);
        }
        operation_deinit(&operation);
    }
    operations_expire(world->fleet, world->now, 3);
}

static void change(struct world *world)
{
    struct fleet_gateway *gateway = any_gateway(world->fleet);
    char name[16];
    unsigned what = pick(10);
    world->now += pick(20);
    if (!gateway || what < 2) {
        snprintf(name, sizeof name, "gw%u", pick(40));
        struct fleet_gateway_new new = {.group = any_group(world->fleet),
                                        .name = name,
                                        .serial = pick(2) ? name : NULL,
                                        .kind = pick(FLEET_KINDS)};
        fleet_gateway_add(world->fleet, &new, world->now, &world->error);
    } else if (what < 4) {
        change_tree(world);
    } else if (what < 6) {
        change_gateway(world, gateway);
    } else if (what < 7) {
        change_settings(world, gateway);
    } else if (what < 8) {
        operate(world, gateway);
    } else {
        check_in(world, gateway);
    }
}

/* Batches of units, as the fleet thread does them: units that are undone, batches that are. */
static void memory_is_always_what_is_saved(void **state)
{
    struct world *world = *state;
    for (unsigned seed = 1; seed <= 12; seed++) {
        srand(seed);
        for (unsigned step = 0; step < 60; step++) {
            assert_int_equal(amm_store_begin(world->store), AMM_STORE_OK);
            for (unsigned unit = 0; unit < 1 + pick(6); unit++) {
                assert_int_equal(amm_store_savepoint(world->store), AMM_STORE_OK);
                size_t mark = fleet_mark(world->fleet);
                for (unsigned i = 0; i < 1 + pick(4); i++) {
                    change(world);
                }
                if (pick(3) == 0) {
                    amm_store_back(world->store);
                    fleet_rollback(world->fleet, mark);
                } else {
                    assert_int_equal(amm_store_release(world->store), AMM_STORE_OK);
                }
            }
            if (pick(5) == 0) {
                amm_store_rollback(world->store);
                fleet_rollback(world->fleet, 0);
            } else {
                assert_int_equal(amm_store_commit(world->store), AMM_STORE_OK);
                fleet_committed(world->fleet);
            }
            if (step % 5 == 0) {
                assert_saved(world, seed, step);
            }
        }
        assert_saved(world, seed, 60);
    }
}

/* ---- rules ---- */

static void names_that_could_mislead_are_refused(void **state)
{
    struct world *world = *state;
    struct fleet_group *root = fleet_tenant_by_slug(world->fleet, "main")->root;
    static const struct {
        const char *name, *serial;
        const char *field;
    } rows[] = {
        {"", NULL, "name"},
        {"a b", NULL, "name"},
        {"a/b", NULL, "name"},
        {"a@b", NULL, "name"},
        {".", NULL, "name"},
        {"..", NULL, "name"},
        {"\xc3\xa4", NULL, "name"},
        {"a\nb", NULL, "name"},
        {"<b>", NULL, "name"},
        {"a", "a b", "serial"},
        {"a", "a\"b", "serial"},
        {"a", "\x1b[1m", "serial"},
        {"0123456789012345678901234567890123456789012345678901234567890123x", NULL, "name"},
    };
    world_begin(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fleet_gateway_new what = {
            .group = root, .name = rows[i].name, .serial = rows[i].serial};
        assert_null(fleet_gateway_add(world->fleet, &what, world->now, &world->error));
        assert_string_equal(world->error.field, rows[i].field);
    }
    static const char *const groups[] = {"", " a", "a ", "<", "a\"", "a\\", "a\n"};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        assert_null(fleet_group_add(world->fleet, root, groups[i], 0, &world->error));
    }
    static const char *const slugs[] = {"", "A", "a b", "-a", "a-", "a@b", "a.b", "main"};
    for (size_t i = 0; i < sizeof slugs / sizeof slugs[0]; i++) {
        assert_null(fleet_tenant_add(world->fleet, slugs[i], "t", 0, &world->error));
    }
    world_rollback(world);
}

static void one_name_and_one_serial_number_are_one_gateway(void **state)
{
    struct world *world = *state;
    world_begin(world);
    struct fleet_tenant *other =
        fleet_tenant_add(world->fleet, "acme", "Acme", world->now, &world->error);
    struct fleet_group *root = fleet_tenant_by_slug(world->fleet, "main")->root;
    struct fleet_gateway_new what = {.group = root, .name = "gw", .serial = "1"};
    assert_non_null(fleet_gateway_add(world->fleet, &what, world->now, &world->error));
    what.serial = "2";
    assert_null(fleet_gateway_add(world->fleet, &what, world->now, &world->error));
    assert_string_equal(world->error.name, "exists");
    assert_string_equal(world->error.field, "name");
    /* Another tenant may have the name, but a serial number is one in the server. */
    what.group = other->root;
    struct fleet_gateway *twin = fleet_gateway_add(world->fleet, &what, world->now, &world->error);
    assert_non_null(twin);
    char name[FLEET_TUNNEL_NAME];
    fleet_tunnel_name(twin, name);
    assert_string_equal(name, "gw@acme");
    /* Both must fit into a certificate's common name: 59 and "@acme". */
    what.serial = NULL;
    what.name = "01234567890123456789012345678901234567890123456789012345678x";
    assert_null(fleet_gateway_add(world->fleet, &what, world->now, &world->error));
    assert_string_equal(world->error.field, "name");
    what.name = "gw2";
    what.serial = "1";
    assert_null(fleet_gateway_add(world->fleet, &what, world->now, &world->error));
    assert_string_equal(world->error.field, "serial");
    assert_false(fleet_gateway_edit(world->fleet, twin, "1", NULL, NULL, &world->error));
    /* And it stays in its tenant. */
    assert_false(fleet_gateway_move(world->fleet, twin, root, &world->error));
    assert_true(fleet_tenant_limit(world->fleet, other, 1, &world->error));
    what.serial = NULL;
    assert_null(fleet_gateway_add(world->fleet, &what, world->now, &world->error));
    assert_string_equal(world->error.name, "limit");
    world_commit(world);
}

static void groups_nest_but_not_in_themselves(void **state)
{
    struct world *world = *state;
    world_begin(world);
    struct fleet_group *at = fleet_tenant_by_slug(world->fleet, "main")->root, *first = NULL;
    for (unsigned depth = 1; depth <= FLEET_DEPTH_MAX; depth++) {
        at = fleet_group_add(world->fleet, at, "deeper", world->now, &world->error);
        assert_non_null(at);
        first = first ? first : at;
    }
    assert_null(fleet_group_add(world->fleet, at, "deeper", world->now, &world->error));
    assert_string_equal(world->error.name, "too-deep");
    assert_false(fleet_group_move(world->fleet, first, at, &world->error));
    assert_string_equal(world->error.name, "below-itself");
    assert_false(fleet_group_move(world->fleet, first, first, &world->error));
    assert_false(fleet_group_remove(world->fleet, first, &world->error));
    assert_string_equal(world->error.name, "not-empty");
    struct fleet_group *root = first->parent;
    assert_false(fleet_group_remove(world->fleet, root, &world->error));
    assert_false(fleet_group_move(world->fleet, root, first, &world->error));
    struct fleet_group *beside =
        fleet_group_add(world->fleet, root, "beside", world->now, &world->error);
    assert_false(fleet_group_move(world->fleet, first, beside, &world->error));
    assert_string_equal(world->error.name, "too-deep");
    world_commit(world);
}

static void templates_are_inherited_and_overridden(void **state)
{
    struct world *world = *state;
    world_begin(world);
    struct fleet_group *root = fleet_tenant_by_slug(world->fleet, "main")->root;
    struct fleet_group *north =
        fleet_group_add(world->fleet, root, "north", world->now, &world->error);
    struct fleet_gateway_new what = {.group = north, .name = "gw"};
    struct fleet_gateway *gateway =
        fleet_gateway_add(world->fleet, &what, world->now, &world->error);
    const struct fleet_group *from;
    char text[64];
    assert_null(fleet_desired(gateway, 60001, &from));
    json_t *enable = json_loads("{\"60001\": \"Enable\"}", 0, NULL);
    json_t *disable = json_loads("{\"60001\": \"Disable\"}", 0, NULL);
    json_t *nothing = json_loads("{\"60001\": null}", 0, NULL);
    assert_true(
        parameters_set_template(world->fleet, root, enable, "a", world->now, &world->error));
    assert_string_equal(fleet_desired(gateway, 60001, &from)->value, "Enable");
    assert_ptr_equal(from, root);
    assert_true(
        parameters_set_template(world->fleet, north, disable, "a", world->now, &world->error));
    assert_string_equal(fleet_desired(gateway, 60001, &from)->value, "Disable");
    assert_ptr_equal(from, north);
    assert_true(parameters_set(world->fleet, gateway, enable, "a", world->now, &world->error));
    assert_string_equal(fleet_desired(gateway, 60001, &from)->value, "Enable");
    assert_null(from);
    assert_true(fleet_effective(gateway, 60001, text, sizeof text));
    assert_string_equal(text, "Enable");
    assert_true(parameters_set(world->fleet, gateway, nothing, "a", world->now, &world->error));
    assert_ptr_equal((fleet_desired(gateway, 60001, &from), from), north);
    world_commit(world);
    json_decref(enable);
    json_decref(disable);
    json_decref(nothing);
    assert_saved(world, 0, 0);
}

static void settings_that_cannot_be_are_refused_as_a_whole(void **state)
{
    struct world *world = *state;
    struct fleet_gateway *gateway = world_gateway(world, "gw");
    static const struct {
        const char *values, *name, *field;
    } rows[] = {
        {"{}", "no-values", "values"},
        {"{\"60008\": 30, \"10034\": 1194}", "bad-value", "10034"},
        {"{\"60008\": 30, \"4711\": 1}", "unknown-parameter", "4711"},
        {"{\"60008\": 30, \"60007\": \"Disabled\"}", "read-only", "60007"},
        {"{\"60008\": 30, \"60002\": \"https://x:1\"}", "read-only", "60002"},
        {"{\"60008\": 30, \"60003\": 59}", "bad-value", "60003"},
        {"{\"60008\": 30, \"60001\": true}", "bad-value", "60001"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *values = json_loads(rows[i].values, 0, NULL);
        world_begin(world);
        assert_false(
            parameters_set(world->fleet, gateway, values, "anna", world->now, &world->error));
        assert_int_equal(gateway->desired.n, 0);
        world_rollback(world);
        assert_string_equal(world->error.name, rows[i].name);
        assert_string_equal(world->error.field, rows[i].field);
        json_decref(values);
    }
}

/* What the old hardware had and nobody desired: the new one shall have it, too. */
static void a_replacement_gets_what_the_old_one_had(void **state)
{
    struct world *world = *state;
    int64_t id = world_gateway(world, "gw")->id;
    static const struct {
        uint32_t id;
        const char *desired;
    } rows[] = {
        {60001, "Enable"}, /* reported, not the initial value */
        {1154, "Seven"},   /* set on its page, against a template */
        {60008, "30"},     /* desired before */
        {60003, NULL},     /* reported, as delivered */
        {60009, NULL},     /* a secret */
        {60007, NULL},     /* nobody sets it */
        {10034, NULL},     /* goes with the place */
        {60005, NULL},     /* not reported */
    };
    json_t *template = json_loads("{\"1154\": \"Lorry\"}", 0, NULL);
    json_t *own = json_loads("{\"60008\": 30}", 0, NULL);
    world_begin(world);
    struct fleet_gateway *gateway = fleet_gateway_find(world->fleet, id);
    assert_true(parameters_set_template(world->fleet, gateway->group, template, "anna", world->now,
                                        &world->error));
    assert_true(parameters_set(world->fleet, gateway, own, "anna", world->now, &world->error));
    world_commit(world);
    json_decref(template);
    json_decref(own);
    world->now += 100;
    json_decref(world_checkin(
        world, id,
        "{\"v\":1,\"seq\":1,\"base\":\"\",\"hash\":\"aaaaaaaaaaaaaaaa\",\"time\":1793500100,"
        "\"clock\":\"ntp\",\"parameters\":{\"60001\":\"Enable\",\"1154\":\"Seven\",\"60008\":20,"
        "\"60003\":900,\"60009\":{\"set\":true},\"60007\":\"Disabled\",\"10034\":1192},"
        "\"changes\":[{\"id\":1154,\"value\":\"Seven\",\"at\":1793500090,\"by\":\"user\"}]}"));
    world_begin(world);
    assert_true(parameters_adopt(world->fleet, gateway, "ben", world->now, &world->error));
    world_commit(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct fleet_desired *desired = fleet_desired(gateway, rows[i].id, NULL);
        if (!rows[i].desired != !desired ||
            (desired && (desired->local || strcmp(desired->value, rows[i].desired) != 0))) {
            fail_msg("%u", rows[i].id);
        }
    }
}

static void watch(void *context, const struct fleet_note *note)
{
    unsigned *seen = context;
    *seen |= note->changes;
}

static void watchers_hear_of_what_is_saved_only(void **state)
{
    struct world *world = *state;
    unsigned seen = 0;
    fleet_watch(world->fleet, watch, &seen);
    world_begin(world);
    struct fleet_gateway_new what = {.group = fleet_tenant_by_slug(world->fleet, "main")->root,
                                     .name = "gw"};
    struct fleet_gateway *gateway =
        fleet_gateway_add(world->fleet, &what, world->now, &world->error);
    assert_non_null(gateway);
    world_rollback(world);
    assert_int_equal(seen, 0);
    assert_int_equal(fleet_gateway_count(world->fleet), 0);
    gateway = world_gateway(world, "gw");
    assert_int_equal(seen, FLEET_CREATED | FLEET_ACCESS);
    seen = 0;
    world_begin(world);
    assert_true(fleet_gateway_remove(world->fleet, gateway, &world->error));
    assert_int_equal(seen, 0);
    world_commit(world);
    assert_int_equal(seen, FLEET_DELETED);
}

static void identities_are_found_by_key_and_the_best_answers(void **state)
{
    struct world *world = *state;
    struct fleet_gateway *gateway = world_gateway(world, "gw");
    struct fleet_identity first = {.id = 1, .not_after = 2000000000, .key_hash = {1}};
    struct fleet_identity second = {.id = 2, .not_after = 2000000100, .key_hash = {1}};
    uint8_t other[FLEET_KEY_HASH] = {2};
    assert_non_null(fleet_identity_put(world->fleet, gateway, &first));
    assert_non_null(fleet_identity_put(world->fleet, gateway, &second));
    assert_null(fleet_identity_find(world->fleet, other));
    assert_int_equal(fleet_identity_find(world->fleet, first.key_hash)->id, 2);
    second.revoked_at = 5;
    assert_non_null(fleet_identity_put(world->fleet, gateway, &second));
    assert_int_equal(fleet_identity_find(world->fleet, first.key_hash)->id, 1);
    fleet_identity_expire(world->fleet, 2000000001 + 86400);
    assert_int_equal(fleet_identity_find(world->fleet, first.key_hash)->id, 2);
    fleet_identity_expire(world->fleet, 2000000101 + 86400);
    assert_null(fleet_identity_find(world->fleet, first.key_hash));
    fleet_committed(world->fleet);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(names_that_could_mislead_are_refused),
        T(one_name_and_one_serial_number_are_one_gateway),
        T(groups_nest_but_not_in_themselves),
        T(templates_are_inherited_and_overridden),
        T(settings_that_cannot_be_are_refused_as_a_whole),
        T(a_replacement_gets_what_the_old_one_had),
        T(watchers_hear_of_what_is_saved_only),
        T(identities_are_found_by_key_and_the_best_answers),
        T(memory_is_always_what_is_saved),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
