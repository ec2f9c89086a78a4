#include "manager/route.h"

enum { DEFAULT_LISTENERS = LISTENER_CONSOLE | LISTENER_LOCAL };

static struct amm_view next_segment(struct amm_view *path)
{
    path->data++; /* the '/' */
    path->len--;
    const uint8_t *end = path->len > 0 ? memchr(path->data, '/', path->len) : NULL;
    struct amm_view segment = amm_view(path->data, end ? (size_t)(end - path->data) : path->len);
    path->data += segment.len;
    path->len -= segment.len;
    return segment;
}

static bool is_argument(struct amm_view segment)
{
    return segment.len > 2 && segment.data[0] == '{' && segment.data[segment.len - 1] == '}';
}

static bool path_fits(const char *pattern, struct amm_view path, struct route_match *out)
{
    struct amm_view want = amm_view_str(pattern);
    out->n_arguments = 0;
    while (want.len > 0 && path.len > 0) {
        struct amm_view expected = next_segment(&want), given = next_segment(&path);
        if (!is_argument(expected)) {
            if (!amm_view_equal(expected, given)) {
                return false;
            }
        } else if (given.len == 0 || out->n_arguments == ROUTE_ARGUMENTS_MAX ||
                   !amm_http_decode(given, false, out->arguments[out->n_arguments++],
                                    ROUTE_ARGUMENT_MAX)) {
            return false;
        }
    }
    return want.len == 0 && path.len == 0;
}

static bool method_fits(const struct route *route, struct amm_view method)
{
    return amm_view_equal(method, amm_view_str(route->method)) ||
           (strcmp(route->method, "GET") == 0 && !(route->flags & ROUTE_STREAMS) &&
            amm_view_equal(method, amm_view_str("HEAD")));
}

/* A literal segment is nearer than an argument: /users/me before /users/{id}. Tables are short, so
 * all rows are looked at, and the one with the fewest arguments wins. */
enum route_result route_find(struct amm_view method, struct amm_view path, unsigned listener,
                             struct route_match *out)
{
    struct route_match match = {0};
    struct amm_writer allowed = amm_writer(out->allowed, sizeof out->allowed - 1);
    out->route = NULL;
    memset(out->allowed, 0, sizeof out->allowed);
    if (path.len > 1 && path.data[path.len - 1] == '/') {
        path.len--;
    }
    if (!amm_http_path_is_canonical(path)) {
        return ROUTE_BAD_PATH;
    }
    bool found_path = false;
    for (const struct route *const *table = route_tables; *table != NULL; table++) {
        for (const struct route *route = *table; route->method != NULL; route++) {
            unsigned listeners = route->listeners ? route->listeners : DEFAULT_LISTENERS;
            if (!(listeners & listener) || !path_fits(route->path, path, &match)) {
                continue;
            }
            amm_write_text(&allowed, "%s%s", found_path ? ", " : "", route->method);
            found_path = true;
            if (method_fits(route, method) &&
                (out->route == NULL || match.n_arguments < out->n_arguments)) {
                match.route = route;
                memcpy(match.allowed, out->allowed, sizeof match.allowed);
                *out = match;
            }
        }
    }
    return out->route != NULL ? ROUTE_FOUND : found_path ? ROUTE_WRONG_METHOD : ROUTE_NOT_FOUND;
}

void route_each(bool (*each)(void *context, const struct route *route), void *context)
{
    for (const struct route *const *table = route_tables; *table != NULL; table++) {
        for (const struct route *route = *table; route->method != NULL; route++) {
            if (!each(context, route)) {
                return;
            }
        }
    }
}
