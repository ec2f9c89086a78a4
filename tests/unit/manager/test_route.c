#include "manager/job.h"
#include "manager/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum route_result find(const char *method, const char *path, struct route_match *match)
{
    return route_find(amm_view_str(method), amm_view_str(path), LISTENER_CONSOLE, match);
}

static void paths_and_arguments(void **state)
{
    struct route_match match;
    (void)state;
    assert_int_equal(find("GET", "/api/v1/users", &match), ROUTE_FOUND);
    assert_int_equal(match.n_arguments, 0);
    assert_int_equal(find("GET", "/api/v1/users/17", &match), ROUTE_FOUND);
    assert_string_equal(match.arguments[0], "17");
    assert_string_equal(match.route->path, "/api/v1/users/{id}");
    assert_int_equal(find("DELETE", "/api/v1/users/17/roles/x%20y", &match), ROUTE_FOUND);
    assert_string_equal(match.arguments[1], "x y");
    assert_int_equal(find("GET", "/api/v1/audit/verify", &match), ROUTE_FOUND);
    assert_string_equal(match.route->path, "/api/v1/audit/verify");
    assert_int_equal(find("GET", "/api/v1/users/", &match),
                     ROUTE_FOUND); /* one slash is forgiven */
}

static void one_thing_has_one_name(void **state)
{
    static const char *const other[] = {
        "/api/v1/users//",
        "/api/v1//users",
        "//api/v1/users",
        "/api/v1/./users",
        "/api/v1/x/../users",
        "/api/v1/%75sers",
        "/api/v1/users%2f",
        "/API/v1/users",
        "/api/v1/Users",
        "/api/v1/users;a=b",
        "/api/v1/users%00",
        "/api/v1/users%2e",
        "/api/v1/users/17%2f",
        "/api/v1/users/17/..",
        "/api/v1/users/%2e%2e/tenants",
        "/api/v1/users/17%00",
        "/api/v1/users/\xff",
        "/api/v1/usersx",
        "/api/v1",
        "/",
        "",
        "api/v1/users",
        "/api/v1/users/1/2",
        "/api/v1/users/%c0%af",
        "/api/v1/users/17/roles",
        "/metrics",
    };
    struct route_match match;
    (void)state;
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        enum route_result result = find("GET", other[i], &match);
        if (result != ROUTE_NOT_FOUND && result != ROUTE_BAD_PATH &&
            !(result == ROUTE_WRONG_METHOD && strstr(other[i], "roles"))) {
            fail_msg("%s leads to %s", other[i], match.route ? match.route->path : "(method)");
        }
    }
}

static void methods(void **state)
{
    struct route_match match;
    (void)state;
    assert_int_equal(find("HEAD", "/api/v1/users", &match), ROUTE_FOUND);
    assert_string_equal(match.route->method, "GET");
    assert_int_equal(find("HEAD", "/api/v1/events/stream", &match), ROUTE_WRONG_METHOD);
    assert_int_equal(find("DELETE", "/api/v1/users", &match), ROUTE_WRONG_METHOD);
    assert_string_equal(match.allowed, "GET, POST");
    assert_int_equal(find("get", "/api/v1/users", &match), ROUTE_WRONG_METHOD);
    assert_int_equal(find("OPTIONS", "/api/v1/users", &match), ROUTE_WRONG_METHOD);
    assert_int_equal(find("TRACE", "/api/v1/nothing", &match), ROUTE_NOT_FOUND);
}

static void listeners_are_apart(void **state)
{
    struct route_match match;
    struct amm_view get = amm_view_str("GET");
    (void)state;
    assert_int_equal(route_find(get, amm_view_str("/metrics"), LISTENER_METRICS, &match),
                     ROUTE_FOUND);
    assert_int_equal(route_find(get, amm_view_str("/api/v1/users"), LISTENER_METRICS, &match),
                     ROUTE_NOT_FOUND);
    assert_int_equal(route_find(get, amm_view_str("/api/v1/users"), LISTENER_GATEWAYS, &match),
                     ROUTE_NOT_FOUND);
    assert_int_equal(route_find(get, amm_view_str("/api/v1/users"), LISTENER_LOCAL, &match),
                     ROUTE_FOUND);
}

/* ---- the table itself ---- */

struct seen {
    unsigned n;
    const struct route *at[512];
};

static bool check_row(void *context, const struct route *route)
{
    struct seen *seen = context;
    assert_non_null(route->handle);
    assert_true(route->summary != NULL && route->summary[0] != '\0');
    char plain[256];
    size_t len = 0;
    for (const char *at = route->path; *at != '\0'; at++) {
        if (*at != '{' && *at != '}') {
            plain[len++] = *at;
        }
    }
    assert_true(amm_http_path_is_canonical(amm_view(plain, len)));
    for (unsigned i = 0; i < seen->n; i++) {
        assert_false(strcmp(seen->at[i]->method, route->method) == 0 &&
                     strcmp(seen->at[i]->path, route->path) == 0);
    }
    /* A rule for each: {id} is found and judged before the handler; who may do anything is told. */
    if (route->find != NULL) {
        assert_non_null(strstr(route->path, "{"));
    }
    if (strcmp(route->method, "GET") == 0) {
        assert_null(route->body);
    }
    for (const struct field *field = route->body; field != NULL && field->name; field++) {
        assert_true(field->kind != FIELD_CHOICE || field->choices != NULL);
        assert_non_null(field->doc);
    }
    assert_true(seen->n < 512);
    seen->at[seen->n++] = route;
    return true;
}

static void rows_are_well_formed_and_unique(void **state)
{
    static struct seen seen;
    (void)state;
    route_each(check_row, &seen);
    assert_true(seen.n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_and_arguments),
        cmocka_unit_test(one_thing_has_one_name),
        cmocka_unit_test(methods),
        cmocka_unit_test(listeners_are_apart),
        cmocka_unit_test(rows_are_well_formed_and_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
