/* Making and removing what the holder holds: sockets, namespace, tun devices, rules. */
#include "tunneld/holder.h"

#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"
#include "io/netlink.h"
#include "io/netns.h"
#include "io/owner.h"
#include "io/spawn.h"
#include "io/steering.h"
#include "io/tcp.h"
#include "io/tun.h"
#include "io/udp.h"
#include "io/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PREFIXES = 1024, TX_QUEUE = 2000, RULES_BYTES = 16384, PATIENCE_S = 5 };

static const char own_name[] = "amm-tunneld";

/* ---- listeners ---- */

static int open_listener(const struct amm_listen *listen, bool shared, char *error, size_t room)
{
    if (listen->transport == AMM_TCP) {
        return amm_tcp_listen(&listen->address, shared, error, room);
    }
    struct amm_udp_settings settings = {
        .local = listen->address, .reuse_port = shared, .gro = true};
    return amm_udp_open(&settings, error, room);
}

/* Says who has the port, in place of "address already in use". True if it will be free by itself:
 * an engine whose holder was killed has it, or a process that is just ending and cannot be seen. */
static bool name_owner(const struct amm_listen *listen, char *error, size_t room)
{
    char owner[64], text[AMM_ADDRESS_TEXT];
    bool is_tcp = listen->transport == AMM_TCP;
    if (!amm_port_owner(is_tcp, listen->address.port, owner, sizeof owner)) {
        return true;
    }
    snprintf(error, room, "%s %s is taken by %s: stop that, or give the port another `listen`",
             is_tcp ? "tcp" : "udp", amm_address_text(&listen->address, text), owner);
    return strncmp(owner, own_name, strlen(own_name)) == 0;
}

static void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 50 * AMM_MILLISECOND}, NULL);
}

/* Groups of sockets share a port, so that a second server of root's would go unnoticed: try without
 * sharing first. An engine whose holder was killed goes within seconds; it is waited for. */
static bool probe_listener(const struct amm_listen *listen, amm_time deadline, char *error,
                           size_t room)
{
    for (;;) {
        int fd = open_listener(listen, false, error, room);
        if (fd >= 0) {
            close(fd);
            return true;
        }
        bool will_be_free = errno == EADDRINUSE && name_owner(listen, error, room);
        if (!will_be_free || amm_now().mono > deadline) {
            return false;
        }
        pause_shortly();
    }
}

static bool open_group(int *fds, unsigned n, const struct amm_listen *listen, char *error,
                       size_t room)
{
    for (unsigned i = 0; i < n; i++) {
        fds[i] = open_listener(listen, true, error, room);
        if (fds[i] < 0) {
            return false;
        }
    }
    return true;
}

static bool open_listeners(struct amm_holdings *h, char *error, size_t room)
{
    unsigned n = 0, handshakes = h->config.handshake_threads, workers = h->config.workers;
    for (size_t p = 0; p < h->config.n_ports; p++) {
        for (size_t i = 0; i < h->config.ports[p].n_listen; i++) {
            h->listeners[n++] = h->config.ports[p].listen[i];
        }
    }
    amm_time deadline = amm_time_after(amm_now().mono, PATIENCE_S * AMM_SECOND);
    for (unsigned i = 0; i < n; i++) {
        if (!probe_listener(&h->listeners[i], deadline, error, room)) {
            return false;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        const struct amm_listen *listen = &h->listeners[i];
        if (listen->transport == AMM_TCP) {
            if (!open_group(h->tcp[i], handshakes, listen, error, room)) {
                return false;
            }
        } else if (!open_group(h->udp_handshake[i], handshakes, listen, error, room) ||
                   !open_group(h->udp_worker[i], workers, listen, error, room) ||
                   !amm_steer_udp(h->udp_handshake[i][0], handshakes, workers, error, room)) {
            return false;
        }
    }
    return true;
}

/* ---- the tunnels' namespace ---- */

static bool in_host(const struct amm_tunneld_config *config)
{
    return strcmp(config->namespace_name, "host") == 0 || !config->isolation_namespace;
}

/* A namespace of our name is what a killed holder left, if it has no devices but loopback. */
static bool only_loopback(void *context, char *error, size_t room)
{
    struct if_nameindex *links = if_nameindex();
    bool ok = links != NULL;
    for (size_t i = 0; ok && links[i].if_index != 0; i++) {
        if (strcmp(links[i].if_name, "lo") != 0) {
            snprintf(
                error, room,
                "network namespace %s is in use: it has the device %s (choose another `namespace`)",
                (const char *)context, links[i].if_name);
            ok = false;
        }
    }
    if (links != NULL) {
        if_freenameindex(links);
    }
    return ok;
}

static bool remove_stale_namespace(const char *name, char *error, size_t room)
{
    if (!amm_netns_exists(name)) {
        return true;
    }
    char unused[AMM_CONF_ERROR];
    int netns = amm_netns_open(name, unused, sizeof unused);
    /* A name that cannot be entered is the leaving of a crash in the middle of making it. */
    bool ok = netns < 0;
    amm_time deadline = amm_time_after(amm_now().mono, PATIENCE_S * AMM_SECOND);
    while (!ok) {
        ok = amm_netns_run(netns, only_loopback, (void *)(uintptr_t)name, error, room);
        if (ok || amm_now().mono > deadline) {
            break;
        }
        pause_shortly(); /* the devices of a killed server go with its engine */
    }
    if (netns >= 0) {
        close(netns);
    }
    return ok && amm_netns_delete(name, error, room);
}

static bool open_namespace(struct amm_holdings *h, char *error, size_t room)
{
    const char *name = h->config.namespace_name;
    if (in_host(&h->config)) {
        h->netns = amm_netns_open(NULL, error, room);
        return h->netns >= 0;
    }
    if (!remove_stale_namespace(name, error, room)) {
        return false;
    }
    h->netns = amm_netns_create(name, error, room);
    h->has_namespace = h->netns >= 0;
    return h->has_namespace;
}

static bool check_pool_free(const struct amm_port_config *port, const struct amm_prefix *used,
                            int n, char *error, size_t room)
{
    char ip[AMM_IPV4_TEXT], device[AMM_TUN_NAME];
    snprintf(device, sizeof device, "tun%u", port->port);
    for (int i = 0; i < n; i++) {
        if (strcmp(used[i].link, device) != 0 &&
            amm_pool_overlap(port->pool.network, port->pool.prefix, used[i].network,
                             used[i].prefix)) {
            snprintf(error, room,
                     "[port %u]: pool %s overlaps %s %s/%u of %s: choose another pool, or "
                     "`namespace = amm`",
                     port->port, port->pool_text,
                     used[i].is_address ? "the address" : "the network",
                     amm_ipv4_text(used[i].network, ip), used[i].prefix, used[i].link);
            return false;
        }
    }
    return true;
}

static bool check_pools_free(const struct amm_tunneld_config *config, char *error, size_t room)
{
    static struct amm_prefix used[PREFIXES];
    int n = amm_prefixes_list(used, PREFIXES, error, room);
    if (n < 0) {
        return false;
    }
    n = n < PREFIXES ? n : PREFIXES;
    for (size_t i = 0; i < config->n_ports; i++) {
        if (!check_pool_free(&config->ports[i], used, n, error, room)) {
            return false;
        }
    }
    return true;
}

/* ---- devices and rules ---- */

static bool open_tun(struct amm_holdings *h, size_t p, char *error, size_t room)
{
    const struct amm_port_config *port = &h->config.ports[p];
    struct amm_tun_settings settings = {
        .queues = h->config.workers, .owner = h->user.uid, .offload = true};
    struct amm_link_settings link = {.mtu = h->config.mtu, .tx_queue = TX_QUEUE, .up = true};
    snprintf(settings.name, sizeof settings.name, "tun%u", port->port);
    if (!amm_tun_open(&settings, h->tun[p], error, room)) {
        return false;
    }
    char reason[AMM_CONF_ERROR];
    h->tun_steered[p] =
        settings.queues == 1 ||
        amm_steer_tun(h->tun[p][0], &port->pool, settings.queues, reason, sizeof reason);
    if (!h->tun_steered[p]) {
        amm_log(AMM_LOG_WARNING, "tun-not-steered", amm_field_number("port", port->port),
                amm_field_text("reason", reason),
                amm_field_text("effect", "packets are handed between threads"));
    }
    return amm_link_disable_ipv6(settings.name, error, room) &&
           amm_link_add_address(settings.name, amm_pool_server(&port->pool), port->pool.prefix, 0,
                                error, room) &&
           amm_link_set(settings.name, &link, error, room);
}

/* Only for a namespace of our own: gateways must not reach each other through the kernel whatever
 * the rules say. */
static bool forbid_forwarding(char *error, size_t room)
{
    int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, "0\n", 2) == 2;
    if (!ok) {
        snprintf(error, room, "cannot switch off forwarding in the namespace of the tunnels: %s",
                 strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool load_rules(struct amm_holdings *h, char *error, size_t room)
{
    static char rules[RULES_BYTES];
    static const char *const nft[] = {"nft", "-f", "-", NULL};
    size_t len = amm_firewall_rules(h, rules, sizeof rules);
    if (len == 0) {
        snprintf(error, room, "the firewall rules do not fit");
        return false;
    }
    h->has_rules = amm_spawn(nft, amm_view(rules, len), error, room);
    return h->has_rules;
}

/* What the manager serves to gateways inside their tunnels: it is handed the listeners, because it
 * cannot make a socket in this namespace. */
static bool open_services(struct amm_holdings *h, size_t p, char *error, size_t room)
{
    struct amm_address address = {.family = AMM_FAMILY_IPV4};
    amm_store_u32(address.ip, amm_pool_server(&h->config.ports[p].pool));
    for (size_t i = 0; i < h->config.n_published && h->manager.uid != (uid_t)-1; i++) {
        address.port = h->config.published[i];
        h->services[p][i] = amm_tcp_listen(&address, false, error, room);
        if (h->services[p][i] < 0) {
            return false;
        }
    }
    return true;
}

static bool furnish_namespace(void *context, char *error, size_t room)
{
    struct amm_holdings *h = context;
    if (!check_pools_free(&h->config, error, room) ||
        (h->has_namespace && !forbid_forwarding(error, room))) {
        return false;
    }
    /* Rules before devices: there is no moment without them. */
    if (h->config.isolation_nft && !load_rules(h, error, room)) {
        return false;
    }
    for (size_t p = 0; p < h->config.n_ports; p++) {
        if (!open_tun(h, p, error, room) || !open_services(h, p, error, room)) {
            return false;
        }
    }
    return true;
}

static bool open_control(struct amm_holdings *h, char *error, size_t room)
{
    char folder[AMM_CONF_TEXT];
    snprintf(folder, sizeof folder, "%s", h->config.control_socket);
    char *slash = strrchr(folder, '/');
    if (slash != NULL && slash != folder) {
        *slash = '\0';
        if (!amm_directory_make(folder, 0755, error, room)) {
            return false;
        }
    }
    h->control = amm_unix_listen(h->config.control_socket, 0660, h->user.gid, error, room);
    if (h->control >= 0 && h->manager.uid != (uid_t)-1 &&
        lchown(h->config.control_socket, h->manager.uid, (gid_t)-1) != 0) {
        snprintf(error, room, "%s: %s", h->config.control_socket, strerror(errno));
        return false;
    }
    return h->control >= 0;
}

/* ---- users ---- */

/* A manager that had the proxy's user could open connections to gateways; one that had the engine's
 * could read its memory. */
static bool find_users(struct amm_holdings *h, char *error, size_t room)
{
    h->manager.uid = (uid_t)-1;
    if (!amm_user_find(h->config.user, &h->user, error, room) ||
        !amm_user_find(h->config.proxy_user, &h->proxy, error, room) ||
        (h->config.manager_user[0] != '\0' &&
         !amm_user_find(h->config.manager_user, &h->manager, error, room))) {
        return false;
    }
    const uid_t users[] = {0, h->user.uid, h->proxy.uid, h->manager.uid};
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        for (size_t j = 0; j < i; j++) {
            if (users[i] == users[j]) {
                snprintf(error, room,
                         "user, proxy-user and manager-user must be different users, and not root");
                return false;
            }
        }
    }
    return true;
}

/* ---- all of it ---- */

enum amm_holder_result amm_holdings_make(struct amm_holdings *h,
                                         const struct amm_tunneld_config *config, char *error,
                                         size_t room)
{
    memset(h, 0, sizeof *h);
    memset(h->udp_handshake, 0xff, sizeof h->udp_handshake); /* -1 */
    memset(h->udp_worker, 0xff, sizeof h->udp_worker);
    memset(h->tcp, 0xff, sizeof h->tcp);
    memset(h->tun, 0xff, sizeof h->tun);
    memset(h->services, 0xff, sizeof h->services);
    h->config = *config;
    h->netns = h->state_fd = h->control = -1;
    if (!find_users(h, error, room)) {
        return AMM_HOLDER_CONFIG;
    }
    if (!open_listeners(h, error, room) || !open_control(h, error, room) ||
        !amm_state_make(h, error, room) || !open_namespace(h, error, room)) {
        return AMM_HOLDER_FAILED;
    }
    return amm_netns_run(h->netns, furnish_namespace, h, error, room) ? AMM_HOLDER_OK
                                                                      : AMM_HOLDER_CONFIG;
}

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
            fds[i] = -1;
        }
    }
}

static bool unload_rules(void *context, char *error, size_t room)
{
    (void)context;
    static const char *const nft[] = {"nft", "-f", "-", NULL};
    return amm_spawn(nft, amm_view_str("delete table inet amm\n"), error, room);
}

void amm_holdings_release(struct amm_holdings *h)
{
    char error[AMM_CONF_ERROR];
    close_all(&h->tun[0][0], sizeof h->tun / sizeof(int));
    close_all(&h->udp_handshake[0][0], sizeof h->udp_handshake / sizeof(int));
    close_all(&h->udp_worker[0][0], sizeof h->udp_worker / sizeof(int));
    close_all(&h->tcp[0][0], sizeof h->tcp / sizeof(int));
    close_all(&h->services[0][0], sizeof h->services / sizeof(int));
    if (h->control >= 0) {
        unlink(h->config.control_socket);
        close_all(&h->control, 1);
    }
    bool ok = true;
    if (h->has_namespace) {
        ok = amm_netns_delete(h->config.namespace_name, error, sizeof error);
    } else if (h->has_rules) {
        ok = amm_netns_run(h->netns, unload_rules, NULL, error, sizeof error);
    }
    if (!ok) {
        amm_log(AMM_LOG_WARNING, "left-behind", amm_field_text("reason", error));
    }
    if (h->state != NULL) {
        munmap(h->state, sizeof *h->state);
        h->state = NULL;
    }
    close_all(&h->netns, 1);
    close_all(&h->state_fd, 1);
}
