/* ammctl tunnel: what the tunnel server is doing, and telling gateways to reconnect. */
#include "request.h"

#include "crypto/aead.h"
#include "data/pool.h"

#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(value);
}

/* ---- status ---- */

static const enum amm_ipc_alarm all_alarms[] = {AMM_ALARM_CRL, AMM_ALARM_ROSTER,
                                                AMM_ALARM_CERTIFICATE};

enum { N_ALARMS = sizeof all_alarms / sizeof all_alarms[0] };

static void print_alarms(uint32_t alarms)
{
    for (size_t i = 0; i < N_ALARMS; i++) {
        if (alarms & all_alarms[i]) {
            fprintf(stderr, "\nALARM: %s (the server's log says more)\n",
                    amm_ipc_alarm_name(all_alarms[i]));
        }
    }
}

static json_t *server_json(const struct amm_ipc_server *s)
{
    json_t *alarms = json_array();
    for (size_t i = 0; i < N_ALARMS; i++) {
        if (s->alarms & all_alarms[i]) {
            json_array_append_new(alarms, json_string(amm_ipc_alarm_name(all_alarms[i])));
        }
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:I, s:i, s:s, s:o}", "version", s->version, "aead",
                     s->aead, "workers", (int)s->workers, "handshake_threads",
                     (int)s->handshake_threads, "started", (json_int_t)s->started,
                     "engine_restarts", (int)s->engine_restarts, "namespace", s->namespace_name,
                     "alarms", alarms);
}

static json_t *port_json(const struct amm_ipc_port *p)
{
    char ip[AMM_IPV4_TEXT], pool[AMM_IPV4_TEXT + 4];
    snprintf(pool, sizeof pool, "%s/%u", amm_ipv4_text(p->network, ip), p->prefix);
    return json_pack("{s:i, s:s, s:s, s:i, s:i, s:i, s:i, s:b, s:i, s:i}", "port", (int)p->port,
                     "pool", pool, "topology", p->topology == AMM_SUBNET ? "subnet" : "net30", "up",
                     (int)p->up, "limit", (int)p->limit, "slots", (int)p->slots, "handshakes",
                     (int)p->handshakes, "draining", (int)p->draining, "ping", (int)p->ping,
                     "ping_restart", (int)p->ping_restart);
}

/* Lower-case hex, "" for what is all zero: not known. */
static const char *hex_text(const uint8_t *bytes, size_t len, char *out)
{
    bool known = false;
    for (size_t i = 0; i < len; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
        known |= bytes[i] != 0;
    }
    return known ? out : "";
}

static void set_login(json_t *object, const struct amm_ipc_login *login)
{
    char key[2 * sizeof login->key + 1], serial[2 * sizeof login->serial + 1];
    json_object_set_new(object, "key", json_string(hex_text(login->key, sizeof login->key, key)));
    json_object_set_new(object, "serial",
                        json_string(hex_text(login->serial, sizeof login->serial, serial)));
}

/* 16 hex digits: 64 bits do not fit a number of JSON. */
static void set_epoch(json_t *object, uint64_t epoch)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)epoch);
    json_object_set_new(object, "epoch", json_string(epoch ? text : ""));
}

static json_t *peer_json(const struct amm_ipc_peer *p)
{
    char inner[AMM_IPV4_TEXT], remote[AMM_ADDRESS_TEXT], local[AMM_ADDRESS_TEXT];
    json_t *peer = json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:I, s:i, s:I, s:I, s:I, s:I, "
        "s:I, s:s, s:s}",
        "name", p->name, "port", (int)p->port, "address", amm_ipv4_text(p->inner_ip, inner),
        "remote", amm_address_text(&p->path.remote, remote), "local",
        amm_address_text(&p->path.local, local), "transport",
        p->path.transport == AMM_TCP ? "tcp" : "udp", "peer_id", (int)p->peer_id, "cipher",
        amm_cipher_name(p->cipher), "key_id", (int)p->key_id, "since", (json_int_t)p->since,
        "idle_ms", (int)p->idle_ms, "rx_packets", (json_int_t)p->rx_packets, "rx_bytes",
        (json_int_t)p->rx_bytes, "tx_packets", (json_int_t)p->tx_packets, "tx_bytes",
        (json_int_t)p->tx_bytes, "dropped", (json_int_t)p->dropped, "last_error", p->last_error,
        "client", p->client);
    set_epoch(peer, p->epoch);
    set_login(peer, &p->login);
    return peer;
}

/* What stands behind the gateway's address: /30 where each has a network of its own. */
static unsigned prefix_of(const struct amm_tunneld_config *config, uint16_t port)
{
    for (size_t i = 0; i < config->n_ports; i++) {
        if (config->ports[i].port == port && config->ports[i].topology == AMM_SUBNET) {
            return config->ports[i].pool.prefix;
        }
    }
    return 30;
}

static void peer_row(struct ctl_table *table, const struct amm_ipc_peer *p, unsigned prefix,
                     int64_t now)
{
    char inner[AMM_IPV4_TEXT], remote[AMM_ADDRESS_TEXT], age[CTL_TIME_TEXT], rx[CTL_TIME_TEXT],
        tx[CTL_TIME_TEXT];
    ctl_table_cell(table, "%s", p->name);
    ctl_table_cell(table, "%u", p->port);
    ctl_table_cell(table, "%s/%u", amm_ipv4_text(p->inner_ip, inner), prefix);
    ctl_table_cell(table, "%s %s", p->path.transport == AMM_TCP ? "tcp" : "udp",
                   amm_address_text(&p->path.remote, remote));
    ctl_table_cell(table, "%s", amm_cipher_name(p->cipher));
    ctl_table_cell(table, "%s", ctl_age_text(now - p->since, age));
    ctl_table_cell(table, "%u.%us", p->idle_ms / 1000, p->idle_ms / 100 % 10);
    ctl_table_cell(table, "%s", ctl_bytes_text(p->rx_bytes, rx));
    ctl_table_cell(table, "%s", ctl_bytes_text(p->tx_bytes, tx));
    ctl_table_cell(table, "%s", p->last_error[0] ? p->last_error : "-");
}

static void port_row(struct ctl_table *table, const struct amm_ipc_port *p)
{
    char ip[AMM_IPV4_TEXT];
    ctl_table_cell(table, "%u", p->port);
    ctl_table_cell(table, "%s/%u", amm_ipv4_text(p->network, ip), p->prefix);
    ctl_table_cell(table, "%s", p->topology == AMM_SUBNET ? "subnet" : "net30");
    ctl_table_cell(table, "%u of %u", p->up, p->limit);
    ctl_table_cell(table, "%u", p->handshakes);
    ctl_table_cell(table, "%s", p->draining ? "draining" : "-");
}

/* Asks one question and hands each answer to `take`. */
static enum ctl_exit ask(const struct ctl *ctl, struct amm_ipc_message *message,
                         void (*take)(void *context, const struct amm_ipc_message *answer),
                         void *context)
{
    int fd = ctl_control_open(ctl);
    if (fd < 0) {
        return CTL_NO_SERVER;
    }
    enum ctl_exit status = CTL_NO_SERVER;
    if (ctl_control_send(fd, message)) {
        while (ctl_control_next(fd, message, &status)) {
            take(context, message);
        }
    }
    close(fd);
    return status;
}

struct status_view {
    const struct amm_tunneld_config *config;
    struct ctl_table ports, peers;
    json_t *server, *port_list, *peer_list;
    uint32_t alarms;
    int64_t now;
};

static void take_status(void *context, const struct amm_ipc_message *answer)
{
    struct status_view *view = context;
    if (answer->type == AMM_IPC_SERVER) {
        json_decref(view->server);
        view->server = server_json(&answer->server);
        view->alarms = answer->server.alarms;
    } else if (answer->type == AMM_IPC_PORT) {
        json_array_append_new(view->port_list, port_json(&answer->port));
        port_row(&view->ports, &answer->port);
    } else if (answer->type == AMM_IPC_PEER) {
        json_array_append_new(view->peer_list, peer_json(&answer->peer));
        peer_row(&view->peers, &answer->peer, prefix_of(view->config, answer->peer.port),
                 view->now);
    }
}

static int tunnel_status(const struct ctl *ctl, int argc, char **argv)
{
    (void)argv;
    if (argc != 1) {
        return ctl_fail(CTL_USAGE, "tunnel status takes no arguments");
    }
    struct status_view view = {.config = ctl->config,
                               .server = json_null(),
                               .port_list = json_array(),
                               .peer_list = json_array(),
                               .now = time(NULL)};
    ctl_table_init(&view.ports, 6,
                   (const char *const[]){"PORT", "POOL", "TOPOLOGY", "UP", "JOINING", "STATE"});
    ctl_table_init(&view.peers, 10,
                   (const char *const[]){"GATEWAY", "PORT", "ADDRESS", "FROM", "CIPHER", "UP FOR",
                                         "LAST PACKET", "RECEIVED", "SENT", "LAST ERROR"});
    struct amm_ipc_message message = {.type = AMM_IPC_STATUS};
    enum ctl_exit status = ask(ctl, &message, take_status, &view);
    bool print = status == CTL_OK && !ctl->json;
    if (print) {
        ctl_table_print(&view.ports, stdout);
        putchar('\n');
        ctl_table_print(&view.peers, stdout);
        print_alarms(view.alarms);
    } else {
        free(view.ports.cells);
        free(view.peers.cells);
    }
    if (status == CTL_OK && ctl->json) {
        print_json(json_pack("{s:O, s:O, s:O}", "server", view.server, "ports", view.port_list,
                             "peers", view.peer_list));
    }
    json_decref(view.server);
    json_decref(view.port_list);
    json_decref(view.peer_list);
    return status;
}

/* ---- counters ---- */

struct counter_view {
    struct ctl_table table;
    json_t *list;
    bool all;
};

static void take_counter(void *context, const struct amm_ipc_message *answer)
{
    struct counter_view *view = context;
    if (answer->type != AMM_IPC_COUNTER || (answer->counter.value == 0 && !view->all)) {
        return;
    }
    const struct amm_ipc_counter *c = &answer->counter;
    json_object_set_new(view->list, c->name, json_integer((json_int_t)c->value));
    ctl_table_cell(&view->table, "%s", c->name);
    ctl_table_cell(&view->table, "%llu", (unsigned long long)c->value);
    ctl_table_cell(&view->table, "%s", c->text);
}

static int tunnel_counters(const struct ctl *ctl, int argc, char **argv)
{
    struct counter_view view = {.list = json_object(),
                                .all = argc == 2 && strcmp(argv[1], "--all") == 0};
    if (argc != 1 && !view.all) {
        json_decref(view.list);
        return ctl_fail(CTL_USAGE, "tunnel counters takes --all or nothing");
    }
    ctl_table_init(&view.table, 3, (const char *const[]){"COUNTER", "VALUE", "MEANING"});
    struct amm_ipc_message message = {.type = AMM_IPC_COUNTERS};
    enum ctl_exit status = ask(ctl, &message, take_counter, &view);
    if (status == CTL_OK && ctl->json) {
        print_json(json_incref(view.list));
    }
    if (status == CTL_OK && !ctl->json) {
        ctl_table_print(&view.table, stdout);
    } else {
        free(view.table.cells);
    }
    json_decref(view.list);
    return status;
}

/* ---- events and refused joins ---- */

static json_t *event_json(const struct amm_ipc_event *e)
{
    char inner[AMM_IPV4_TEXT], remote[AMM_ADDRESS_TEXT];
    json_t *event =
        json_pack("{s:s, s:I, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "event",
                  amm_ipc_event_name(e->kind), "at", (json_int_t)e->at, "port", (int)e->port,
                  "name", e->name, "remote", amm_address_text(&e->remote, remote), "address",
                  e->inner_ip ? amm_ipv4_text(e->inner_ip, inner) : "", "client", e->client,
                  "reason", e->reason, "text", e->text, "transport",
                  e->transport == AMM_TCP ? "tcp" : "udp", "peer_id", (int)e->peer_id);
    set_epoch(event, e->epoch);
    set_login(event, &e->login);
    return event;
}

static void print_event(const struct ctl *ctl, const struct amm_ipc_event *e)
{
    if (ctl->json) {
        json_t *event = event_json(e);
        json_dumpf(event, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(event);
    } else {
        char at[CTL_TIME_TEXT], remote[AMM_ADDRESS_TEXT];
        printf("%s  %-8s port %u  %s  from %s%s%s%s%s\n", ctl_time_text(e->at, at),
               amm_ipc_event_name(e->kind), e->port, e->name[0] ? e->name : "(no certificate)",
               amm_address_text(&e->remote, remote), e->reason[0] ? "  " : "", e->reason,
               e->text[0] ? ": " : "", e->text);
    }
    fflush(stdout);
}

struct event_view {
    const struct ctl *ctl;
};

static void take_event(void *context, const struct amm_ipc_message *answer)
{
    const struct event_view *view = context;
    if (answer->type == AMM_IPC_EVENT) {
        print_event(view->ctl, &answer->event);
    }
}

static int tunnel_events(const struct ctl *ctl, int argc, char **argv)
{
    (void)argv;
    if (argc != 1) {
        return ctl_fail(CTL_USAGE, "tunnel events takes no arguments; Ctrl-C ends it");
    }
    struct amm_ipc_message message = {.type = AMM_IPC_EVENTS};
    return ask(ctl, &message, take_event, &(struct event_view){ctl});
}

static int tunnel_refused(const struct ctl *ctl, int argc, char **argv)
{
    (void)argv;
    if (argc != 1) {
        return ctl_fail(CTL_USAGE, "tunnel refused takes no arguments");
    }
    struct amm_ipc_message message = {.type = AMM_IPC_REFUSALS};
    return ask(ctl, &message, take_event, &(struct event_view){ctl});
}

/* ---- kick, drain, reload ---- */

/* "90", "90s", "10m", "2h"; false if it is none of these or above a day. */
bool ctl_seconds_parse(const char *text, uint32_t *seconds)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    unsigned long unit = 1;
    if (end == text || value > 86400) {
        return false;
    }
    if (*end != '\0') {
        const char *found = strchr("smh", *end);
        if (found == NULL || end[1] != '\0') {
            return false;
        }
        unit = *end == 's' ? 1 : *end == 'm' ? 60 : 3600;
    }
    *seconds = (uint32_t)(value * unit);
    return value * unit <= 86400;
}

static void take_nothing(void *context, const struct amm_ipc_message *answer)
{
    (void)context;
    (void)answer;
}

/* kick NAME [--hold T] and drain [PORT] [--hold T] differ in what the one argument means. */
static int reconnect(const struct ctl *ctl, enum amm_ipc_type type, int argc, char **argv)
{
    static const struct option options[] = {{"hold", required_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct amm_ipc_message message = {.type = type};
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'h' || !ctl_seconds_parse(optarg, &message.ask.hold)) {
            return ctl_fail(CTL_USAGE, "--hold takes a time up to a day: 90s, 10m, 2h");
        }
    }
    const char *what = optind < argc ? argv[optind] : NULL;
    if (optind + 1 < argc || (type == AMM_IPC_KICK && what == NULL)) {
        return ctl_fail(CTL_USAGE, type == AMM_IPC_KICK ? "tunnel kick takes one gateway name"
                                                        : "tunnel drain takes at most one port");
    }
    if (type == AMM_IPC_KICK) {
        if (strlen(what) > AMM_NAME_MAX) {
            return ctl_fail(CTL_USAGE, "%s: a gateway name has at most %d characters", what,
                            AMM_NAME_MAX);
        }
        memcpy(message.ask.name, what, strlen(what) + 1);
    } else if (what != NULL) {
        char *end;
        unsigned long port = strtoul(what, &end, 10);
        if (*end != '\0' || port == 0 || port > 65535) {
            return ctl_fail(CTL_USAGE, "%s is not a port number", what);
        }
        message.ask.port = (uint16_t)port;
    }
    return ask(ctl, &message, take_nothing, NULL);
}

static int tunnel_kick(const struct ctl *ctl, int argc, char **argv)
{
    return reconnect(ctl, AMM_IPC_KICK, argc, argv);
}

static int tunnel_drain(const struct ctl *ctl, int argc, char **argv)
{
    return reconnect(ctl, AMM_IPC_DRAIN, argc, argv);
}

static int tunnel_reload(const struct ctl *ctl, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct amm_ipc_message message = {.type = AMM_IPC_RELOAD};
    return ask(ctl, &message, take_nothing, NULL);
}

/* ---- by the manager ---- */

static const struct ctl_parameter kick_parameters[] = {
    {"GATEWAY", CTL_GATEWAY, CTL_IN_PATH, NULL, true},
    {"--hold", CTL_SECONDS, CTL_IN_BODY, "hold", false},
    {.name = NULL},
};
static const struct ctl_request kick_request = {
    "POST", "/api/v1/gateways/{}/tunnel/kick", kick_parameters, NULL, NULL, "told to reconnect"};

static const struct ctl_parameter drain_parameters[] = {
    {"PORT", CTL_NUMBER, CTL_IN_BODY, "port", false},
    {"--hold", CTL_SECONDS, CTL_IN_BODY, "hold", false},
    {.name = NULL},
};
static const struct ctl_request drain_request = {
    "POST", "/api/v1/tunnel/drain", drain_parameters, NULL, NULL, "all are told to reconnect"};

static const struct ctl_column port_columns[] = {
    {"PORT", "port", CTL_SHOW_TEXT},         {"POOL", "pool", CTL_SHOW_TEXT},
    {"TOPOLOGY", "topology", CTL_SHOW_TEXT}, {"PLACES", "gateways.places", CTL_SHOW_TEXT},
    {"UP", "gateways.up", CTL_SHOW_TEXT},    {"MOVING", "gateways.moving", CTL_SHOW_TEXT},
    {"FREE", "free", CTL_SHOW_TEXT},         {"LIMIT", "limit", CTL_SHOW_TEXT},
    {"DRAINING", "draining", CTL_SHOW_YES},  {.head = NULL},
};
static const struct ctl_request ports_request = {"GET",        "/api/v1/tunnel/ports", NULL,
                                                 port_columns, "no tunnel ports",      NULL};

static const struct ctl_column pool_columns[] = {
    {"port", "port", CTL_SHOW_TEXT},
    {"pool", "pool", CTL_SHOW_TEXT},
    {"limit", "limit", CTL_SHOW_TEXT},
    {"clashes with pools", "conflicting_pools", CTL_SHOW_TEXT},
    {"clashes with networks of gateways", "conflicting_gateways", CTL_SHOW_TEXT},
    {"conflicts", "conflicts", CTL_SHOW_TEXT},
    {"what next", "text", CTL_SHOW_TEXT},
    {.head = NULL},
};
static const struct ctl_parameter pool_parameters[] = {
    {"PORT", CTL_NUMBER, CTL_IN_BODY, "port", true},
    {"NETWORK", CTL_TEXT, CTL_IN_BODY, "pool", true},
    {"--limit", CTL_NUMBER, CTL_IN_BODY, "limit", false},
    {.name = NULL},
};
static const struct ctl_request pool_preview_request = {
    "POST", "/api/v1/tunnel/pools/preview", pool_parameters, pool_columns, NULL, NULL};
static const struct ctl_parameter pool_set_parameters[] = {
    {"PORT", CTL_NUMBER, CTL_IN_BODY, "port", true},
    {"NETWORK", CTL_TEXT, CTL_IN_BODY, "pool", true},
    {"--limit", CTL_NUMBER, CTL_IN_BODY, "limit", false},
    {"--force", CTL_FLAG, CTL_IN_BODY, "force", false},
    {.name = NULL},
};
static const struct ctl_request pool_set_request = {
    "PUT", "/api/v1/tunnel/pools", pool_set_parameters, pool_columns, NULL, NULL};

const struct ctl_command ctl_tunnel_commands[] = {
    {"status", "  ports and the tunnels that are up", tunnel_status, true, NULL, NULL},
    {"counters", "[--all]  dropped packets by reason, and totals", tunnel_counters, true, NULL,
     NULL},
    {"events", "  joined, left, moved, refused, as they happen", tunnel_events, true, NULL, NULL},
    {"refused", "  the last refused joins, with the reason and the cure", tunnel_refused, true,
     NULL, NULL},
    {.name = "kick",
     .usage = "GATEWAY [--hold 10m]  tell a gateway to reconnect; refuse it for a while",
     .run = tunnel_kick,
     .needs_config = true,
     .request = &kick_request},
    {.name = "drain",
     .usage = "[PORT] [--hold 10m]  tell all gateways (of a port) to reconnect",
     .run = tunnel_drain,
     .needs_config = true,
     .request = &drain_request},
    {.name = "ports",
     .usage = "  places of your gateways on each port, and what is free",
     .request = &ports_request},
    {.name = "pool",
     .usage = "PORT NETWORK  what another pool of a port would clash with; changes nothing",
     .request = &pool_preview_request},
    {.name = "pool-set",
     .usage = "PORT NETWORK [--limit N] [--force]  give a port that pool, from the tunnel server's "
              "next start on",
     .request = &pool_set_request},
    {"reload", "  read the gateways file and the revocation lists again", tunnel_reload, true, NULL,
     NULL},
    {.name = NULL},
};
