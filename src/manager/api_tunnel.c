/* /api/v1/tunnel and the tunnels of gateways. Whoever is no system administrator sees the numbers
 * of his own gateways, and of the others only what is free. */
#include "crypto/aead.h"
#include "fleet_module.h"
#include "manager/nouns.h"
#include "manager/tunnel_parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { HOLD_MAX = 86400 };

static bool is_system(const struct job *job)
{
    return job_allows(job, ACCESS_SYSTEM, &(struct access_object){0, 0});
}

static struct fleet_gateway *gateway_of(const struct job *job)
{
    return fleet_gateway_find(job->m->fleet, job->id);
}

static void audit_gateway(struct job *job, const struct fleet_gateway *gateway, const char *detail)
{
    char object[FLEET_NAME_MAX + 40];
    snprintf(object, sizeof object, "gateway %lld %s", (long long)gateway->id, gateway->name);
    job_audit(job, gateway->group->tenant->id, object, "%s", detail);
}

static void answer_away(struct job *job)
{
    job_retry(job, 503, 5, "tunnel-server-away", "the tunnel server does not answer: try again");
}

/* ---- numbers ---- */

struct numbers {
    uint32_t places, up, moving;
};

/* Of the gateways that the actor may see, by port index; the last is the sum. */
static void count_visible(struct job *job, struct numbers out[PLACES_PORTS_MAX + 1])
{
    const struct tunnel *t = job->m->tunnel;
    uint32_t mark = job_mark_visible(job, NULL);
    memset(out, 0, (PLACES_PORTS_MAX + 1) * sizeof *out);
    for (size_t i = 0; i < fleet_gateway_count(job->m->fleet); i++) {
        const struct fleet_gateway *gateway = fleet_gateway_at(job->m->fleet, i);
        for (size_t p = 0; p < t->n_ports && gateway->group->mark == mark; p++) {
            if (gateway->tunnel.port == t->ports[p].port) {
                out[p].places++;
                out[p].moving += gateway->tunnel.move_port != 0;
            }
            out[p].up += gateway->tunnel.up_port == t->ports[p].port;
        }
    }
    for (size_t p = 0; p < t->n_ports; p++) {
        out[PLACES_PORTS_MAX].places += out[p].places;
        out[PLACES_PORTS_MAX].up += out[p].up;
        out[PLACES_PORTS_MAX].moving += out[p].moving;
    }
}

static json_t *numbers_json(const struct numbers *numbers)
{
    return json_pack("{s:i, s:i, s:i}", "places", (int)numbers->places, "up", (int)numbers->up,
                     "moving", (int)numbers->moving);
}

static json_t *alarms_json(uint32_t alarms)
{
    static const enum amm_ipc_alarm all[] = {AMM_ALARM_CRL, AMM_ALARM_ROSTER,
                                             AMM_ALARM_CERTIFICATE};
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (alarms & all[i]) {
            json_array_append_new(list, json_string(amm_ipc_alarm_name(all[i])));
        }
    }
    return list;
}

static void tunnel_handle(struct job *job)
{
    const struct tunnel *t = job->m->tunnel;
    struct numbers numbers[PLACES_PORTS_MAX + 1];
    count_visible(job, numbers);
    json_t *body = json_pack("{s:b, s:o}", "known", tunnel_link_is_up(t), "gateways",
                             numbers_json(&numbers[PLACES_PORTS_MAX]));
    if (is_system(job)) {
        json_object_set_new(body, "version", json_string(t->link.version));
        json_object_set_new(body, "problem", json_string(t->link.problem));
        json_object_set_new(body, "gateways_file", json_string(t->roster.problem));
        json_object_set_new(body, "alarms", alarms_json(t->link.alarms));
    }
    job_json(job, 200, body);
}

static json_t *port_json(const struct tunnel *t, size_t i, const struct numbers *mine,
                         bool is_system_admin)
{
    const struct places_port *port = places_at(t->places, i);
    char ip[AMM_IPV4_TEXT], pool[AMM_IPV4_TEXT + 4];
    snprintf(pool, sizeof pool, "%s/%u", amm_ipv4_text(port->pool.network, ip), port->pool.prefix);
    json_t *json = json_pack(
        "{s:i, s:s, s:s, s:o, s:i, s:b}", "port", (int)port->port, "pool", pool, "topology",
        port->pool.topology == AMM_SUBNET ? "subnet" : "net30", "gateways", numbers_json(mine),
        "free", (int)places_left(t->places, port->port), "draining", (int)t->ports[i].is_draining);
    if (is_system_admin) {
        json_object_set_new(json, "limit", json_integer(port->limit));
        json_object_set_new(json, "taken", json_integer(places_taken(t->places, port->port)));
        json_object_set_new(json, "up", json_integer(t->ports[i].up));
    }
    return json;
}

static void ports_handle(struct job *job)
{
    const struct tunnel *t = job->m->tunnel;
    struct numbers numbers[PLACES_PORTS_MAX + 1];
    bool is_system_admin = is_system(job);
    json_t *items = json_array();
    count_visible(job, numbers);
    for (size_t i = 0; i < t->n_ports; i++) {
        json_array_append_new(items, port_json(t, i, &numbers[i], is_system_admin));
    }
    job_list(job, items, 0);
}

/* ---- of a gateway ---- */

static const char *state_name(const struct fleet_gateway *gateway)
{
    const struct fleet_tunnel *tunnel = &gateway->tunnel;
    return tunnel->port == 0      ? "none"
           : tunnel->stale        ? "unknown"
           : tunnel->up_port != 0 ? "up"
                                  : "down";
}

static void set_live(json_t *body, const struct tunnel_live *live)
{
    char remote[AMM_ADDRESS_TEXT], inner[AMM_IPV4_TEXT], key[2 * sizeof live->login.key + 1];
    amm_hex(key, amm_view(live->login.key, sizeof live->login.key));
    json_object_set_new(body, "address", json_string(amm_ipv4_text(live->inner_ip, inner)));
    json_object_set_new(body, "remote", json_string(amm_address_text(&live->remote, remote)));
    json_object_set_new(body, "transport", json_string(live->transport == AMM_TCP ? "tcp" : "udp"));
    json_object_set_new(body, "client", json_string(live->client));
    json_object_set_new(body, "key_hash", json_string(key));
    json_object_set_new(body, "heard_at", json_integer(live->heard_at));
    json_object_set_new(body, "rx_bytes", json_integer((json_int_t)live->rx_bytes));
    json_object_set_new(body, "tx_bytes", json_integer((json_int_t)live->tx_bytes));
    if (live->cipher != 0) {
        json_object_set_new(body, "cipher", json_string(amm_cipher_name(live->cipher)));
    }
}

static void answer_gateway(struct job *job, int status, const struct fleet_gateway *gateway)
{
    const struct tunnel *t = job->m->tunnel;
    const struct tunnel_live *live = tunnel_live_of(t, gateway);
    const struct fleet_tunnel *tunnel = &gateway->tunnel;
    json_t *body =
        json_pack("{s:s, s:i, s:i, s:I}", "state", state_name(gateway), "port", (int)tunnel->port,
                  "slot", (int)tunnel->slot, "since", (json_int_t)tunnel->since);
    if (tunnel->move_port != 0) {
        json_object_set_new(body, "move_port", json_integer(tunnel->move_port));
        json_object_set_new(body, "move_until", json_integer(tunnel->move_until));
    }
    if (tunnel->error_at != 0) {
        json_object_set_new(body, "error", json_string(tunnel->last_error));
        json_object_set_new(body, "error_at", json_integer(tunnel->error_at));
    }
    if (live != NULL) {
        set_live(body, live);
    }
    job_json(job, status, body);
}

static void gateway_handle(struct job *job)
{
    answer_gateway(job, 200, gateway_of(job));
}

static void move_handle(struct job *job)
{
    struct fleet_gateway *gateway = gateway_of(job);
    struct fleet_error error;
    uint32_t port = (uint32_t)job_number(job, "port", 0);
    char detail[64];
    snprintf(detail, sizeof detail, "tunnel: from port %u to %u", gateway->tunnel.port, port);
    audit_gateway(job, gateway, detail);
    if (tunnel_move(job->m, gateway, port, job->actor.name, &error)) {
        answer_gateway(job, 200, gateway);
    } else {
        job_fleet_error(job, &error);
    }
}

/* ---- orders and questions to amm-tunneld ---- */

struct order {
    struct job *job;
    bool ok;
    char text[AMM_IPC_TEXT];
};

static void order_resume(struct job *job, void *context)
{
    struct order *order = context;
    if (order->ok) {
        job_json(job, 200, json_pack("{s:s}", "text", order->text));
    } else {
        job_error(job, 409, "refused", NULL, "%s", order->text);
    }
}

static void order_ended(struct manager *m, void *context, bool ok, const char *text)
{
    struct order *order = context;
    (void)m;
    order->ok = ok;
    snprintf(order->text, sizeof order->text, "%s", text);
    job_resume(order->job, order_resume, order);
}

static void send_order(struct job *job, uint8_t type, const struct amm_ipc_ask *ask)
{
    struct order *order = calloc(1, sizeof *order);
    struct tunnel_request request = {
        .type = type, .ask = *ask, .end = order_ended, .context = order};
    if (order == NULL || !tunnel_link_is_up(job->m->tunnel)) {
        free(order);
        answer_away(job);
        return;
    }
    order->job = job;
    job_keep(job, order, free);
    job_defer(job);
    if (!tunnel_ask(job->m->tunnel, &request)) {
        order_ended(job->m, order, false,
                    "too many questions wait for the tunnel server: try again");
    }
}

static void kick_handle(struct job *job)
{
    const struct fleet_gateway *gateway = gateway_of(job);
    struct amm_ipc_ask ask = {.hold = (uint32_t)job_number(job, "hold", 0)};
    char name[FLEET_TUNNEL_NAME], detail[64];
    fleet_tunnel_name(gateway, name);
    snprintf(ask.name, sizeof ask.name, "%.64s", name);
    snprintf(detail, sizeof detail, "tunnel: disconnected, held for %u s", ask.hold);
    audit_gateway(job, gateway, detail);
    send_order(job, AMM_IPC_KICK, &ask);
}

static void drain_handle(struct job *job)
{
    struct amm_ipc_ask ask = {.port = (uint16_t)job_number(job, "port", 0),
                              .hold = (uint32_t)job_number(job, "hold", 0)};
    if (ask.port != 0 && places_find(job->m->tunnel->places, ask.port) == NULL) {
        job_error(job, 400, "no-such-port", "port", "%u is not one of this server's tunnel ports",
                  ask.port);
        return;
    }
    job_audit(job, 0, "tunnel", "port %u (0: all) drained for %u s", ask.port, ask.hold);
    send_order(job, AMM_IPC_DRAIN, &ask);
}

/* ---- routes ---- */

static const struct field hold_body[] = {
    {"hold", FIELD_NUMBER, false, 0, HOLD_MAX, NULL, "seconds during which it is refused"},
    {.name = NULL}};

static const struct field drain_body[] = {
    {"port", FIELD_NUMBER, false, 0, 65535, NULL, "tunnel port; 0 or none: all"},
    {"hold", FIELD_NUMBER, false, 0, HOLD_MAX, NULL, "seconds during which all are refused there"},
    {.name = NULL}};

static const struct field move_body[] = {
    {"port", FIELD_NUMBER, true, 1, 65535, NULL, "tunnel port to go to"}, {.name = NULL}};

const struct route tunnel_routes[] = {
    {.method = "GET",
     .path = "/api/v1/tunnel",
     .action = ACCESS_VIEW,
     .handle = tunnel_handle,
     .summary = "Whether the tunnel server is heard, and how many of your gateways are up"},
    {.method = "GET",
     .path = "/api/v1/tunnel/ports",
     .action = ACCESS_VIEW,
     .handle = ports_handle,
     .summary = "Tunnel ports: places of your gateways, and what is free"},
    {.method = "POST",
     .path = "/api/v1/tunnel/drain",
     .action = ACCESS_SYSTEM,
     .body = drain_body,
     .handle = drain_handle,
     .summary = "Tell all gateways (of a port) to reconnect, and hold it shut for a while"},
    {.method = "GET",
     .path = "/api/v1/gateways/{id}/tunnel",
     .action = ACCESS_VIEW,
     .find = tunnel_find_gateway,
     .handle = gateway_handle,
     .summary = "A gateway's place and its tunnel"},
    {.method = "PUT",
     .path = "/api/v1/gateways/{id}/tunnel",
     .action = ACCESS_OPERATE,
     .find = tunnel_find_gateway,
     .body = move_body,
     .handle = move_handle,
     .summary = "Move a gateway to another tunnel port (for one of ours: the parameter 10034)"},
    {.method = "POST",
     .path = "/api/v1/gateways/{id}/tunnel/kick",
     .action = ACCESS_OPERATE,
     .find = tunnel_find_gateway,
     .body = hold_body,
     .handle = kick_handle,
     .summary = "End a gateway's tunnel; it comes back when the hold is over"},
    {.method = NULL},
};
