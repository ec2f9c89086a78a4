#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void open_store(struct world *world)
{
    char error[AMM_STORE_ERROR] = "";
    struct amm_store_settings settings = {.database = world->database, .now = world->now};
    world->store = amm_store_open(&settings, error);
    if (!world->store) {
        fail_msg("%s", error);
    }
    world->fleet = fleet_load(world->store, world->now, error, sizeof error);
    if (!world->fleet) {
        fail_msg("%s", error);
    }
}

void world_open(struct world *world)
{
    *world = (struct world){.folder = "/tmp/amm-world-XXXXXX", .now = 1793500000};
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->database, sizeof world->database, "%s/amm.db", world->folder);
    open_store(world);
}

static void close_store(struct world *world)
{
    world->fleet = fleet_free(world->fleet);
    world->store = amm_store_free(world->store);
}

void world_close(struct world *world)
{
    static const char *const endings[] = {"", "-wal", "-shm", ".lock", "-lock"};
    close_store(world);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", world->database, endings[i]);
        unlink(path);
    }
    rmdir(world->folder);
}

void world_restart(struct world *world)
{
    close_store(world);
    open_store(world);
}

void world_begin(struct world *world)
{
    assert_int_equal(amm_store_begin(world->store), AMM_STORE_OK);
    assert_int_equal(amm_store_savepoint(world->store), AMM_STORE_OK);
    fleet_mark(world->fleet);
}

void world_commit(struct world *world)
{
    assert_int_equal(amm_store_release(world->store), AMM_STORE_OK);
    assert_int_equal(amm_store_commit(world->store), AMM_STORE_OK);
    fleet_committed(world->fleet);
}

void world_rollback(struct world *world)
{
    amm_store_back(world->store);
    fleet_rollback(world->fleet, 0);
    assert_int_equal(amm_store_commit(world->store), AMM_STORE_OK);
}

struct fleet_gateway *world_gateway(struct world *world, const char *name)
{
    struct fleet_gateway_new what = {.group = fleet_tenant_by_slug(world->fleet, "main")->root,
                                     .name = name};
    world_begin(world);
    struct fleet_gateway *gateway =
        fleet_gateway_add(world->fleet, &what, world->now, &world->error);
    assert_non_null(gateway);
    assert_true(fleet_gateway_set_access(world->fleet, gateway, FLEET_ADMITTED, NULL, world->now,
                                         &world->error));
    world_commit(world);
    return gateway;
}

json_t *world_checkin(struct world *world, int64_t gateway_id, const char *text)
{
    struct amm_checkin message;
    struct amm_checkin_answer answer;
    struct amm_refusal refusal;
    struct amm_view body = amm_view_str(text);
    json_t *json = NULL;
    if (!amm_checkin_decode(&message, body, &refusal)) {
        fail_msg("%s: %s in %s", refusal.field, refusal.text, text);
    }
    struct checkin_input input = {
        .message = &message,
        .digest = checkin_digest(body),
        .now = {world->now * AMM_SECOND, world->now},
        .remote_key = world->remote_key,
        .tunnel_hash = world->tunnel_hash,
    };
    world_begin(world);
    bool taken = checkin_take(world->fleet, fleet_gateway_find(world->fleet, gateway_id), &input,
                              &answer, &world->was_quarantined, &world->error);
    if (!taken) {
        world_rollback(world);
    } else {
        world_commit(world);
        size_t len;
        char *encoded = amm_checkin_answer_encode(&answer, &len);
        assert_non_null(encoded);
        json = world->was_quarantined ? NULL : json_loads(encoded, 0, NULL);
        free(encoded);
        amm_checkin_answer_deinit(&answer);
    }
    amm_checkin_deinit(&message);
    return json;
}
