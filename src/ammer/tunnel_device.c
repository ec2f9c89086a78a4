#include "tunnel_device.h"

#include "io/log.h"
#include "io/netlink.h"
#include "io/tun.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PREFIXES_MAX = 256, MTU_LEAST = 576 };

bool tunnel_device_open(struct tunnel_device *device, struct amm_loop *loop, uint64_t tag,
                        const char *name, char *error, size_t room)
{
    struct amm_tun_settings settings = {.queues = 1, .owner = (int64_t)geteuid(), .offload = true};
    *device = (struct tunnel_device){.fd = -1, .loop = loop, .tag = tag};
    bool is_numbered = name[0] == '\0' || strcmp(name, "tun") == 0;
    snprintf(settings.name, sizeof settings.name, "%s", is_numbered ? "tun%d" : name);
    if (!amm_tun_open(&settings, &device->fd, error, room)) {
        device->fd = -1;
        return false;
    }
    snprintf(device->name, sizeof device->name, "%s", settings.name);
    if (!amm_link_disable_ipv6(device->name, error, room) ||
        !amm_loop_add(loop, device->fd, AMM_READ, tag)) {
        tunnel_device_close(device);
        return false;
    }
    return true;
}

void tunnel_device_close(struct tunnel_device *device)
{
    if (device->fd >= 0) {
        amm_loop_remove(device->loop, device->fd);
        close(device->fd);
        device->fd = -1;
    }
    device->is_configured = false;
}

/* May a server give `ip` to a tunnel end? */
static bool may_be_address(uint32_t ip)
{
    const struct amm_route host = {ip, UINT32_MAX};
    return amm_route_allowed(&host);
}

static uint8_t prefix_of(uint32_t mask)
{
    return (uint8_t)__builtin_popcount(mask);
}

/* Everything that is set with netlink. */
static bool is_same(const struct amm_push *a, const struct amm_push *b)
{
    return a->topology == b->topology && a->local == b->local && a->remote == b->remote &&
           a->route_gateway == b->route_gateway && a->tun_mtu == b->tun_mtu &&
           a->n_routes == b->n_routes &&
           memcmp(a->routes, b->routes, a->n_routes * sizeof a->routes[0]) == 0;
}

static uint8_t address_prefix(const struct amm_push *push)
{
    return push->topology == AMM_SUBNET ? prefix_of(push->remote) : 32;
}

static uint32_t address_peer(const struct amm_push *push)
{
    return push->topology == AMM_SUBNET ? 0 : push->remote;
}

static uint32_t outer_ipv4(const struct amm_address *address)
{
    return address->family == AMM_FAMILY_IPV4 ? amm_load_u32(address->ip) : 0;
}

/* Why a route is not taken over, or NULL. The gateway's own networks and the way to the server come
 * first. */
static const char *objection(const struct tunnel_device *device, const struct amm_route *route,
                             const struct amm_prefix *used, int n_used)
{
    uint32_t server = outer_ipv4(&device->server);
    if (!amm_route_allowed(route)) {
        return "not a private network";
    }
    if (server != 0 && (server & route->mask) == route->network) {
        return "it would lead to the server itself";
    }
    for (int i = 0; i < n_used; i++) {
        if (strcmp(used[i].link, device->name) != 0 && prefix_of(route->mask) <= used[i].prefix &&
            (used[i].network & route->mask) == route->network) {
            return "a network of this gateway is inside it";
        }
    }
    return NULL;
}

/* Why the pushed address is not taken over, or NULL: it comes with a route to its network or peer,
 * to which the same applies. */
static const char *address_objection(const struct tunnel_device *device,
                                     const struct amm_push *push)
{
    char error[160];
    bool is_subnet = push->topology == AMM_SUBNET;
    const struct amm_route own = {push->local, UINT32_MAX};
    const struct amm_route beyond = {is_subnet ? push->local & push->remote : push->remote,
                                     is_subnet ? push->remote : UINT32_MAX};
    struct amm_prefix *used = calloc(PREFIXES_MAX, sizeof *used);
    int n = used ? amm_prefixes_list(used, PREFIXES_MAX, error, sizeof error) : 0;
    n = n < PREFIXES_MAX ? n : PREFIXES_MAX;
    const char *why = objection(device, &own, used, n);
    why = why ? why : objection(device, &beyond, used, n);
    free(used);
    return why;
}

static bool set_address(struct tunnel_device *device, const struct amm_settings *settings,
                        const struct amm_push *push, char *error, size_t room)
{
    char ip[AMM_IPV4_TEXT];
    bool is_subnet = push->topology == AMM_SUBNET;
    const struct amm_route net = {push->local & push->remote, push->remote};
    if (!may_be_address(push->local) ||
        !(is_subnet ? amm_route_allowed(&net) : may_be_address(push->remote))) {
        snprintf(error, room, "the server pushed %s, which is no private address: refused",
                 amm_ipv4_text(push->local, ip));
        return false;
    }
    const char *why = address_objection(device, push);
    if (why) {
        snprintf(error, room, "the server pushed %s, but %s: refused",
                 amm_ipv4_text(push->local, ip), why);
        return false;
    }
    uint16_t mtu = settings->mtu;
    if (push->tun_mtu >= MTU_LEAST && push->tun_mtu < mtu) {
        mtu = push->tun_mtu;
    }
    const struct amm_link_settings link = {.mtu = mtu, .tx_queue = 1000, .up = true};
    return amm_link_set(device->name, &link, error, room) &&
           amm_link_add_address(device->name, push->local, address_prefix(push), address_peer(push),
                                error, room);
}

static void set_route(struct tunnel_device *device, const struct amm_route *route,
                      const struct amm_prefix *used, int n_used)
{
    char error[160], ip[AMM_IPV4_TEXT];
    const char *why = objection(device, route, used, n_used);
    if (!why && !amm_route_add(device->name, route->network, prefix_of(route->mask), 0, error,
                               sizeof error)) {
        why = error;
    }
    if (!why) {
        device->routes[device->n_routes++] = *route;
    } else {
        amm_log(AMM_LOG_WARNING, "route-refused",
                amm_field_text("network", amm_ipv4_text(route->network, ip)),
                amm_field_number("prefix", prefix_of(route->mask)), amm_field_text("why", why));
    }
}

static void set_routes(struct tunnel_device *device, const struct amm_settings *settings,
                       const struct amm_push *push)
{
    char error[160];
    struct amm_prefix *used = calloc(PREFIXES_MAX, sizeof *used);
    int n = used ? amm_prefixes_list(used, PREFIXES_MAX, error, sizeof error) : -1;
    if (n < 0) {
        amm_log(AMM_LOG_WARNING, "routes-refused",
                amm_field_text("why", used ? error : "out of memory"));
        free(used);
        return;
    }
    n = n < PREFIXES_MAX ? n : PREFIXES_MAX;
    for (unsigned i = 0; i < push->n_routes && !settings->no_pushed_routes; i++) {
        set_route(device, &push->routes[i], used, n);
    }
    for (unsigned i = 0; i < settings->n_routes; i++) {
        set_route(device, &settings->routes[i], used, n);
    }
    free(used);
}

/* Takes the former options back; the device itself stays, so that programs keep what they bound to
 * it. */
static void take_back(struct tunnel_device *device)
{
    char error[160];
    const struct amm_push *old = &device->applied;
    bool ok = true;
    for (unsigned i = 0; i < device->n_routes; i++) {
        const struct amm_route *route = &device->routes[i];
        ok &= amm_route_delete(device->name, route->network, prefix_of(route->mask), error,
                               sizeof error);
    }
    ok &= amm_link_delete_address(device->name, old->local, address_prefix(old), address_peer(old),
                                  error, sizeof error);
    if (!ok) {
        amm_log(AMM_LOG_WARNING, "options-left", amm_field_text("why", error));
    }
    device->n_routes = 0;
    device->is_configured = false;
}

bool tunnel_device_apply(struct tunnel_device *device, const struct amm_settings *settings,
                         const struct amm_push *push, const struct amm_address *server, char *error,
                         size_t room)
{
    if (device->is_configured && is_same(&device->applied, push)) {
        return true;
    }
    if (device->is_configured) {
        take_back(device);
    }
    device->server = *server;
    if (!set_address(device, settings, push, error, room)) {
        return false;
    }
    set_routes(device, settings, push);
    device->applied = *push;
    device->is_configured = true;
    return true;
}
