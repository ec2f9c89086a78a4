/* ammctl gateway: which gateways may join, and looking at one of them.
 *
 * The gateways file is the tunnel server's roster (name, port, slot); it is edited by whole lines,
 * written in one step, and the server is told to read it again. */
#include "fetch.h"
#include "fleet.h"
#include "remote.h"
#include "pki.h"

#include "io/file.h"
#include "tunneld/config.h"
#include "tunneld/roster.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROSTER_FILE_MAX = 4 << 20 };

/* The gateways file, read and understood, with what its ports allow. */
struct gateways {
    struct amm_span text; /* malloc'd */
    struct amm_roster *roster;
    struct amm_roster_port ports[AMM_PORTS_MAX];
    size_t n_ports;
    int lock; /* held while the file is changed; -1 */
};

static void close_gateways(struct gateways *g)
{
    free(g->text.data);
    amm_roster_unref(g->roster);
    if (g->lock >= 0) {
        close(g->lock);
    }
}

/* The file is replaced when it changes: a lock that was waited for may be one of the former file.
 */
static bool lock_gateways(struct gateways *g, const char *file)
{
    struct stat locked, now;
    for (;;) {
        g->lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (g->lock < 0 || flock(g->lock, LOCK_EX) != 0 || fstat(g->lock, &locked) != 0) {
            return false;
        }
        if (stat(file, &now) == 0 && now.st_ino == locked.st_ino && now.st_dev == locked.st_dev) {
            return true;
        }
        close(g->lock);
    }
}

/* With `change`, other commands that change the file wait until close_gateways. */
static enum ctl_exit open_gateways(const struct ctl *ctl, struct gateways *g, bool change)
{
    char error[256];
    *g = (struct gateways){.lock = -1};
    for (; g->n_ports < ctl->config->n_ports; g->n_ports++) {
        const struct amm_port_config *port = &ctl->config->ports[g->n_ports];
        g->ports[g->n_ports] = (struct amm_roster_port){port->port, amm_pool_slots(&port->pool)};
    }
    const char *file = ctl->config->roster;
    if (change && !lock_gateways(g, file)) {
        return ctl_fail(CTL_FAILED, "%s: %s", file, strerror(errno));
    }
    if (!amm_file_read(file, ROSTER_FILE_MAX, &g->text, error, sizeof error)) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    g->roster =
        amm_roster_parse(file, amm_view_of(g->text), g->ports, g->n_ports, error, sizeof error);
    return g->roster ? CTL_OK : (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", error);
}

/* Replaces the file and tells the server, if one is running. */
static enum ctl_exit write_gateways(const struct ctl *ctl, const struct gateways *g,
                                    struct amm_view text)
{
    char error[256];
    struct amm_roster *check =
        amm_roster_parse(ctl->config->roster, text, g->ports, g->n_ports, error, sizeof error);
    if (check == NULL) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    amm_roster_unref(check);
    if (!amm_file_write(ctl->config->roster, text, 0644, error, sizeof error)) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    if (access(ctl->config->control_socket, F_OK) == 0) {
        struct amm_ipc_message message = {.type = AMM_IPC_RELOAD};
        enum ctl_exit status;
        int fd = ctl_control_open(ctl);
        if (fd >= 0 && ctl_control_send(fd, &message)) {
            while (ctl_control_next(fd, &message, &status)) {
            }
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    return CTL_OK;
}

uint16_t ctl_gateway_port(const struct ctl *ctl, const char *name)
{
    struct gateways g;
    uint16_t port = 0;
    if (open_gateways(ctl, &g, false) == CTL_OK) {
        port = amm_roster_any_port(g.roster, name);
    }
    close_gateways(&g);
    return port;
}

static bool name_ok(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > AMM_NAME_MAX) {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 0x7f || *c == '/' || *c == '#') {
            return false;
        }
    }
    return true;
}

/* The lowest free slot of `port`, or 0; `*used` gets the number of taken ones. */
static uint32_t free_slot(const struct gateways *g, uint16_t port, uint32_t n_slots, uint32_t *used)
{
    static bool taken[AMM_SLOT_MAX + 1];
    const char *name;
    uint16_t at;
    uint32_t slot;
    memset(taken, 0, sizeof taken);
    *used = 0;
    for (size_t i = 0; amm_roster_line(g->roster, i, &name, &at, &slot); i++) {
        if (at == port && slot <= AMM_SLOT_MAX) {
            taken[slot] = true;
            *used += 1;
        }
    }
    for (slot = 1; slot <= n_slots; slot++) {
        if (!taken[slot]) {
            return slot;
        }
    }
    return 0;
}

/* `port` 0: the one with the most room. Writes "name port slot" as a line to `line`. */
static enum ctl_exit place(const struct gateways *g, const char *name, uint16_t port, char *line,
                           size_t room)
{
    uint32_t best_slot = 0, best_left = 0;
    uint16_t best_port = 0;
    bool is_port = port == 0;
    for (size_t i = 0; i < g->n_ports; i++) {
        uint32_t used;
        if (port != 0 && g->ports[i].port != port) {
            continue;
        }
        is_port = true;
        uint32_t slot = free_slot(g, g->ports[i].port, g->ports[i].slots, &used);
        if (slot != 0 && g->ports[i].slots - used > best_left) {
            best_left = g->ports[i].slots - used;
            best_slot = slot;
            best_port = g->ports[i].port;
        }
    }
    if (!is_port) {
        return ctl_fail(CTL_USAGE, "%u is not a tunnel port of this server", port);
    }
    if (best_slot == 0) {
        return ctl_fail(CTL_FAILED, "no place is left%s",
                        port ? " on this port; try another" : " on any port");
    }
    snprintf(line, room, "%s %u %u\n", name, best_port, best_slot);
    return CTL_OK;
}

static int gateway_add(const struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    unsigned long port = 0;
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        char *end;
        port = option == 'p' ? strtoul(optarg, &end, 10) : 0;
        if (option != 'p' || *end != '\0' || port == 0 || port > 65535) {
            return ctl_fail(CTL_USAGE, "--port takes a port number");
        }
    }
    if (optind + 1 != argc || !name_ok(argv[optind])) {
        return ctl_fail(
            CTL_USAGE,
            "gateway add takes one name: 1-64 printable characters without space, / and #");
    }
    const char *name = argv[optind];
    struct gateways g;
    char line[AMM_NAME_MAX + 32] = "";
    enum ctl_exit status = open_gateways(ctl, &g, true);
    uint16_t now = status == CTL_OK ? amm_roster_any_port(g.roster, name) : 0;
    if (now != 0 && (port == 0 || amm_roster_slot(g.roster, name, (uint16_t)port) != 0)) {
        printf("%s has its place already (port %u)\n", name, port ? (unsigned)port : now);
    } else if (status == CTL_OK) {
        status = place(&g, name, (uint16_t)port, line, sizeof line);
        size_t line_len = strlen(line);
        bool needs_newline = g.text.len > 0 && g.text.data[g.text.len - 1] != '\n';
        uint8_t *text = status == CTL_OK ? malloc(g.text.len + line_len + 1) : NULL;
        if (text != NULL) {
            struct amm_writer w = amm_writer(text, g.text.len + line_len + 1);
            amm_write_view(&w, amm_view_of(g.text));
            if (needs_newline) {
                amm_write_u8(&w, '\n');
            }
            amm_write_bytes(&w, line, line_len);
            status = write_gateways(ctl, &g, amm_view(text, amm_writer_len(&w)));
        } else if (status == CTL_OK) {
            status = ctl_fail(CTL_FAILED, "out of memory");
        }
        free(text);
        if (status == CTL_OK) {
            printf("added %s", line);
        }
    }
    close_gateways(&g);
    return status;
}

/* Copies the lines whose first word is not `name`; the number of lines left out. */
static size_t without(struct amm_view text, const char *name, struct amm_writer *out)
{
    size_t removed = 0, name_len = strlen(name);
    while (text.len > 0) {
        const uint8_t *eol = memchr(text.data, '\n', text.len);
        size_t len = eol ? (size_t)(eol - text.data) + 1 : text.len;
        size_t start = 0;
        while (start < len && (text.data[start] == ' ' || text.data[start] == '\t')) {
            start++;
        }
        bool is_it = len - start > name_len && memcmp(text.data + start, name, name_len) == 0 &&
                     strchr(" \t", text.data[start + name_len]) != NULL;
        if (is_it) {
            removed++;
        } else {
            amm_write_bytes(out, text.data, len);
        }
        text = amm_view(text.data + len, text.len - len);
    }
    return removed;
}

static int gateway_remove(const struct ctl *ctl, int argc, char **argv)
{
    if (argc != 2) {
        return ctl_fail(CTL_USAGE, "gateway remove takes one name");
    }
    struct gateways g;
    enum ctl_exit status = open_gateways(ctl, &g, true);
    if (status == CTL_OK && amm_roster_any_port(g.roster, argv[1]) == 0) {
        status = ctl_fail(CTL_NOT_FOUND, "%s has no place (ammctl gateway list)", argv[1]);
    }
    if (status == CTL_OK) {
        uint8_t *text = malloc(g.text.len + 1);
        struct amm_writer w = amm_writer(text, text ? g.text.len + 1 : 0);
        without(amm_view_of(g.text), argv[1], &w);
        status = text ? write_gateways(ctl, &g, amm_view(text, amm_writer_len(&w)))
                      : (enum ctl_exit)ctl_fail(CTL_FAILED, "out of memory");
        free(text);
    }
    close_gateways(&g);
    if (status == CTL_OK) {
        printf("removed %s; to cut a tunnel that is up: ammctl tunnel kick %s, to make its "
               "certificate worthless: "
               "ammctl pki revoke %s\n",
               argv[1], argv[1], argv[1]);
    }
    return status;
}

static uint32_t inner_ip(const struct ctl *ctl, uint16_t port, uint32_t slot)
{
    for (size_t i = 0; i < ctl->config->n_ports; i++) {
        if (ctl->config->ports[i].port == port) {
            return amm_pool_address(&ctl->config->ports[i].pool, slot);
        }
    }
    return 0;
}

static int gateway_list(const struct ctl *ctl, int argc, char **argv)
{
    (void)argv;
    if (argc != 1) {
        return ctl_fail(CTL_USAGE, "gateway list takes no arguments");
    }
    struct gateways g;
    enum ctl_exit status = open_gateways(ctl, &g, false);
    if (status == CTL_OK) {
        struct ctl_table table;
        json_t *list = json_array();
        const char *name;
        uint16_t port;
        uint32_t slot;
        ctl_table_init(&table, 4, (const char *const[]){"GATEWAY", "PORT", "SLOT", "ADDRESS"});
        for (size_t i = 0; amm_roster_line(g.roster, i, &name, &port, &slot); i++) {
            char ip[AMM_IPV4_TEXT];
            amm_ipv4_text(inner_ip(ctl, port, slot), ip);
            json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:s}", "name", name, "port",
                                                  (int)port, "slot", (int)slot, "address", ip));
            ctl_table_cell(&table, "%s", name);
            ctl_table_cell(&table, "%u", port);
            ctl_table_cell(&table, "%u", slot);
            ctl_table_cell(&table, "%s", ip);
        }
        if (ctl->json) {
            json_dumpf(list, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
            putchar('\n');
            free(table.cells);
        } else {
            ctl_table_print(&table, stdout);
        }
        json_decref(list);
    }
    close_gateways(&g);
    return status;
}

static int gateway_fetch(const struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {{"head", no_argument, NULL, 'h'},
                                            {"port", required_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    struct fetch fetch = {.port = (uint16_t)ctl->config->page_port, .path = "/"};
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        unsigned long port = option == 'p' ? strtoul(optarg, NULL, 10) : 1;
        if (option == '?' || port == 0 || port > 65535) {
            return ctl_fail(CTL_USAGE, "gateway fetch [--head] [--port N] GATEWAY [PATH]");
        }
        fetch.head |= option == 'h';
        fetch.port = option == 'p' ? (uint16_t)port : fetch.port;
    }
    if (optind >= argc || optind + 2 < argc) {
        return ctl_fail(CTL_USAGE, "gateway fetch takes a gateway name and, if you like, a path");
    }
    if (optind + 1 < argc) {
        fetch.path = argv[optind + 1];
    }
    struct amm_ipc_peer peer;
    struct amm_ipc_server server = {.namespace_name = "host"};
    enum ctl_exit status = ctl_find_peer(ctl, argv[optind], &peer, &server);
    if (status != CTL_OK) {
        return status;
    }
    fetch.ip = peer.inner_ip;
    return ctl_fetch(&fetch, server.namespace_name, ctl->config->proxy_user);
}

/* Where there is no manager, the gateways file is kept by hand (`run`); else the manager is asked.
 */
const struct ctl_command ctl_gateway_commands[] = {
    {.name = "list",
     .usage = "[--tenant SLUG] [--group PATH] [--kind K] [--tunnel up|down] [--port N] [--late] "
              "[--text T] [--stat CONDITIONS]  gateways, check-ins, tunnels",
     .run = gateway_list,
     .needs_config = true,
     .request = &ctl_gateway_list_request},
    {.name = "show", .usage = "NAME  all about one", .request = &ctl_gateway_show_request},
    {.name = "add",
     .usage = "NAME [--serial S] [--kind amm|aleos|openvpn] [--group PATH] [--tenant SLUG] "
              "[--port N]  make it known; prints its enrolment token",
     .run = gateway_add,
     .needs_config = true,
     .managed = ctl_fleet_add},
    {.name = "token",
     .usage = "[NAME] [--tenant SLUG] [--group PATH] [--count N]  enrolment tokens: for one "
              "gateway, or for new ones",
     .managed = ctl_fleet_token},
    {.name = "requests",
     .usage = "  who waits for approval",
     .request = &ctl_gateway_requests_request},
    {.name = "approve", .usage = "ID  let it enrol", .request = &ctl_gateway_approve_request},
    {.name = "refuse", .usage = "ID  do not", .request = &ctl_gateway_refuse_request},
    {.name = "set",
     .usage =
         "NAME MSCIID=VALUE...  settings of a gateway; --group PATH, --tenant SLUG: of all in it",
     .managed = ctl_fleet_set},
    {.name = "parameters",
     .usage = "NAME  what is reported and desired; --group PATH: the group's template",
     .managed = ctl_fleet_parameters},
    {.name = "history",
     .usage = "NAME  who changed which setting",
     .request = &ctl_gateway_history_request},
    {.name = "events",
     .usage = "NAME  what it reported, newest first",
     .request = &ctl_gateway_events_request},
    {.name = "move",
     .usage =
         "NAME [--group PATH] [--note TEXT] [--serial S]  into another group; note, serial number",
     .request = &ctl_gateway_move_request},
    {.name = "quarantine",
     .usage = "NAME [--reason TEXT]  no tunnel and no check-in for now",
     .request = &ctl_gateway_quarantine_request},
    {.name = "release", .usage = "NAME  end that", .request = &ctl_gateway_release_request},
    {.name = "revoke",
     .usage = "NAME [--reason TEXT]  end its certificates for good",
     .request = &ctl_gateway_revoke_request},
    {.name = "replace",
     .usage =
         "NAME [--serial S]  another router takes its place: name, port, address, settings stay",
     .request = &ctl_gateway_replace_request},
    {.name = "certificates",
     .usage = "NAME  all it ever had",
     .request = &ctl_gateway_certificates_request},
    {.name = "remove",
     .usage = "NAME  take its place away",
     .run = gateway_remove,
     .needs_config = true,
     .request = &ctl_gateway_remove_request},
    {.name = "export",
     .usage = "[FILE] [--columns name,10034,...] [--tenant SLUG] [--group PATH] [--kind K] "
              "[--text T]  the list as a sheet: XLSX if FILE ends so, else CSV",
     .managed = ctl_import_export},
    {.name = "profile",
     .usage = "NAME [--remote HOST]... [--wrap W] [--output FILE]  connection file for an OpenVPN "
              "client",
     .run = ctl_gateway_profile,
     .managed = ctl_fleet_profile},
    {.name = "open",
     .usage =
         "NAME [--reason TEXT] [--order] [--print]  its own page: a link for a browser on this "
         "machine",
     .managed = ctl_remote_open},
    {.name = "forward",
     .usage = "NAME LOCAL:[HOST:]PORT [--reason TEXT] [--order] [--ca FILE]  a TCP port of it, or "
              "of a host behind it",
     .managed = ctl_remote_forward},
    {.name = "test",
     .usage = "NAME  the way to its page: ping, TCP, key, page, MTU",
     .managed = ctl_remote_test},
    {.name = "page-key",
     .usage = "NAME SHA256  accept the new key of its page",
     .request = &ctl_gateway_page_key_request},
    {.name = "forwards",
     .usage = "NAME \"gateway:22, 192.168.13.100:22\"  where forwards may lead",
     .request = &ctl_gateway_forwards_request},
    {.name = "sessions",
     .usage = "NAME  its remote sessions, newest first",
     .request = &ctl_gateway_sessions_request},
    {.name = "fetch",
     .usage =
         "[--head] [--port N] NAME [PATH]  a page of the gateway's own web server, through its "
         "tunnel",
     .run = gateway_fetch,
     .needs_config = true},
    {.name = NULL},
};
