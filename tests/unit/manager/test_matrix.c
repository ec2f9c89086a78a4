/* Route x role x tenant: every route of the table, with every kind of actor, against what
 * matrix.def says. */
#include "api_world.h"

#include "manager/fleet.h"
#include "manager/openapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
    const char *method, *path;
    enum access_action action;
    bool is_found;
};

enum { NONE = false, FOUND = true };

static const struct row rows[] = {
#define MATRIX(method, path, action, found) {method, path, ACCESS_##action, found},
#include "matrix.def"
#undef MATRIX
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const struct row *row_of(const struct route *route)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].method, route->method) == 0 && strcmp(rows[i].path, route->path) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool check_row(void *context, const struct route *route)
{
    unsigned *n = context;
    const struct row *row = row_of(route);
    if (row == NULL) {
        fail_msg("%s %s is not in matrix.def: say who may use it", route->method, route->path);
    }
    if (row->action != route->action || row->is_found != (route->find != NULL)) {
        fail_msg("%s %s is not as in matrix.def", route->method, route->path);
    }
    ++*n;
    return true;
}

static void every_route_stands_in_the_matrix(void **state)
{
    unsigned n = 0;
    (void)state;
    route_each(check_row, &n);
    assert_int_equal(n, ROWS); /* and the other way round */
}

/* ---- the actors: tenant 2 has the group 1 and below it 2, beside them 3 ---- */

struct who {
    const char *name;
    struct access_binding binding;
    bool is_nobody, must_change;
    struct access_binding scope; /* role NONE: no token */
};

enum { OUR = 2, OTHER = 3 };

static const struct who actors[] = {
    {"nobody", .is_nobody = true},
    {"user without a role", .binding = {ROLE_NONE, 0, 0}},
    {"viewer", .binding = {ROLE_VIEWER, OUR, 0}},
    {"operator", .binding = {ROLE_OPERATOR, OUR, 0}},
    {"tenant-admin", .binding = {ROLE_TENANT_ADMIN, OUR, 0}},
    {"system-admin", .binding = {ROLE_SYSTEM_ADMIN, 0, 0}},
    {"system-admin of a tenant", .binding = {ROLE_SYSTEM_ADMIN, OUR, 0}},
    {"viewer of all", .binding = {ROLE_VIEWER, 0, 0}},
    {"other viewer", .binding = {ROLE_VIEWER, OTHER, 0}},
    {"other admin", .binding = {ROLE_TENANT_ADMIN, OTHER, 0}},
    {"viewer of the group", .binding = {ROLE_VIEWER, OUR, 1}},
    {"operator of the group above", .binding = {ROLE_OPERATOR, OUR, 1}},
    {"admin of the group", .binding = {ROLE_TENANT_ADMIN, OUR, 2}},
    {"admin of another group", .binding = {ROLE_TENANT_ADMIN, OUR, 3}},
    {"admin of a group that is gone", .binding = {ROLE_TENANT_ADMIN, OUR, 99}},
    {"admin who must change the password", .binding = {ROLE_SYSTEM_ADMIN, 0, 0},
     .must_change = true},
    {"viewer's token of an admin", .binding = {ROLE_SYSTEM_ADMIN, 0, 0},
     .scope = {ROLE_VIEWER, 0, 0}},
    {"other tenant's token of an admin", .binding = {ROLE_SYSTEM_ADMIN, 0, 0},
     .scope = {ROLE_TENANT_ADMIN, OTHER, 0}},
    {"admin's token of a viewer", .binding = {ROLE_VIEWER, OUR, 0},
     .scope = {ROLE_SYSTEM_ADMIN, 0, 0}},
};

static const struct access_object objects[] = {{OUR, 0}, {OUR, 1},   {OUR, 2},
                                               {OUR, 3}, {OTHER, 0}, {0, 0}};

/* The expectation, thought through once more and in another way than access.c. */
static bool binding_reaches(const struct access_binding *b, unsigned least,
                            const struct access_object *object)
{
    static const bool within[4][4] = {
        /* object's group:      0      1      2      3   binding's group: */
        [0] = {true, true, true, true},
        [1] = {false, true, true, false},
        [2] = {false, false, true, false},
        [3] = {false, false, false, true},
    };
    if (b->role < least || (b->role == ROLE_SYSTEM_ADMIN && b->tenant != 0)) {
        return false;
    }
    return b->tenant == 0 ||
           (b->tenant == object->tenant && b->group < 4 && within[b->group][object->group]);
}

static bool may(const struct who *who, unsigned least, const struct access_object *object)
{
    return !who->is_nobody && binding_reaches(&who->binding, least, object) &&
           (who->scope.role == ROLE_NONE || binding_reaches(&who->scope, least, object));
}

static bool may_somewhere(const struct who *who, unsigned least)
{
    const struct access_binding *both[] = {&who->binding, &who->scope};
    for (unsigned i = 0; i < 2; i++) {
        bool counts = i == 0 || who->scope.role != ROLE_NONE;
        if (counts && (both[i]->role < least ||
                       (both[i]->role == ROLE_SYSTEM_ADMIN && both[i]->tenant != 0))) {
            return false;
        }
    }
    return !who->is_nobody;
}

static int expected(const struct route *route, const struct who *who,
                    const struct access_object *object)
{
    static const unsigned least_of[] = {
        [ACCESS_VIEW] = 1, [ACCESS_OPERATE] = 2, [ACCESS_ADMIN] = 3, [ACCESS_SYSTEM] = 4};
    if (route->action == ACCESS_OPEN) {
        return 0;
    }
    if (who->is_nobody) {
        return 401;
    }
    if (who->must_change && !(route->flags & ROUTE_PASSWORD)) {
        return 403;
    }
    if (route->action == ACCESS_SELF) {
        return 0;
    }
    unsigned least = least_of[route->action];
    if (route->find == NULL) {
        return may_somewhere(who, least) ? 0 : 403;
    }
    return may(who, least, object) ? 0 : may(who, 1, object) ? 403 : 404;
}

/* ---- trying ---- */

static struct access_object found_object;
static bool is_there;

static bool find_stub(struct manager *m, int64_t id, struct access_object *out)
{
    (void)m;
    (void)id;
    *out = found_object;
    return is_there;
}

struct trial {
    struct api_world *world;
    struct route route;
    const struct who *who;
    int status;
};

static void fill_actor(const struct who *who, struct actor *actor)
{
    *actor = (struct actor){.kind = who->is_nobody ? ACTOR_NOBODY : ACTOR_LOGIN,
                            .must_change_password = who->must_change,
                            .scope = {ROLE_SYSTEM_ADMIN, 0, 0},
                            .n_bindings = who->binding.role != ROLE_NONE,
                            .bindings = {who->binding}};
    if (who->scope.role != ROLE_NONE) {
        actor->kind = ACTOR_TOKEN;
        actor->scope = who->scope;
    }
}

static void judge(struct manager *m, void *context)
{
    struct trial *trial = context;
    struct job_part *part = calloc(1, sizeof *part);
    struct job *job = &part->job;
    job->m = m;
    job->route = &trial->route;
    fill_actor(trial->who, &job->actor);
    job->n_arguments = ROUTE_ARGUMENTS_MAX;
    for (unsigned i = 0; i < ROUTE_ARGUMENTS_MAX; i++) {
        job->arguments[i] = strdup("1");
    }
    trial->status = job_judge(job) ? 0 : part->status;
    job_free(job);
}

static bool try_route(void *context, const struct route *route)
{
    struct trial trial = {.world = context, .route = *route};
    if (route->find != NULL) {
        trial.route.find = find_stub;
    }
    for (unsigned a = 0; a < sizeof actors / sizeof actors[0]; a++) {
        for (unsigned o = 0; o < sizeof objects / sizeof objects[0]; o++) {
            trial.who = &actors[a];
            found_object = objects[o];
            is_there = true;
            core_unit(&trial.world->m, judge, &trial);
            int want = expected(route, &actors[a], &objects[o]);
            if (trial.status != want) {
                fail_msg("%s %s by %s on tenant %d group %d: %d instead of %d", route->method,
                         route->path, actors[a].name, (int)objects[o].tenant, (int)objects[o].group,
                         trial.status, want);
            }
        }
        is_there = false; /* what is not there and what is not for you are the same */
        core_unit(&trial.world->m, judge, &trial);
        if (route->find != NULL && !actors[a].is_nobody && !actors[a].must_change) {
            assert_int_equal(trial.status, 404);
        }
    }
    return true;
}

static void every_route_with_every_actor(void **state)
{
    struct api_world *world = api_world_new();
    (void)state;
    assert_int_equal(make_tenant(world, "our"), OUR);
    assert_int_equal(make_tenant(world, "other"), OTHER);
    assert_int_equal(make_group(world, OUR, 0, "top"), 1);
    assert_int_equal(make_group(world, OUR, 1, "below"), 2);
    assert_int_equal(make_group(world, OUR, 0, "beside"), 3);
    route_each(try_route, world);
    api_world_free(world);
}

/* ---- OpenAPI ---- */

static bool check_described(void *context, const struct route *route)
{
    const json_t *paths = json_object_get(context, "paths");
    char method[16] = "";
    for (size_t i = 0; route->method[i] != '\0'; i++) {
        method[i] = (char)(route->method[i] | 0x20);
    }
    const json_t *operation = json_object_get(json_object_get(paths, route->path), method);
    if (!json_is_object(operation)) {
        fail_msg("%s %s is not in the OpenAPI description", route->method, route->path);
    }
    for (const struct field *field = route->body; field != NULL && field->name; field++) {
        const json_t *schema = json_object_get(
            json_object_get(json_object_get(json_object_get(operation, "requestBody"), "content"),
                            "application/json"),
            "schema");
        assert_non_null(json_object_get(json_object_get(schema, "properties"), field->name));
    }
    return true;
}

static void every_route_stands_in_openapi(void **state)
{
    json_t *made = openapi_make();
    (void)state;
    assert_string_equal(json_string_value(json_object_get(made, "openapi")), "3.0.3");
    assert_non_null(json_object_get(json_object_get(made, "components"), "securitySchemes"));
    route_each(check_described, made);
    json_decref(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_stands_in_the_matrix),
        cmocka_unit_test(every_route_with_every_actor),
        cmocka_unit_test(every_route_stands_in_openapi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
