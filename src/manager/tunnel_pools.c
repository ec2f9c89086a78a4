/* Another pool for a tunnel port: what would clash is listed before anything changes.
 *
 * The new pool goes into the file that amm-tunneld reads at its start; until then everything stays
 * as it is. Gateways keep their slots, and get the addresses that these have in the new pool. */
#include "crypto/aead.h"
#include "fleet_module.h"
#include "io/file.h"
#include "manager/nouns.h"
#include "manager/tunnel_parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONFLICTS_SHOWN = 100, POOLS_ROOM = 1024, FILE_MODE = 0640 };

struct plan {
    struct job *job;
    uint16_t port;
    struct amm_pool pool;
    char pool_text[32];
    uint32_t limit, slots_used; /* highest slot that somebody has */
    json_t *conflicts;
    uint32_t n_pools, n_gateways; /* conflicts of each kind, also those that are not shown */
};

/* ---- the wish ---- */

static bool read_plan(struct job *job, struct plan *plan)
{
    const struct tunnel *t = job->m->tunnel;
    const char *text = job_text(job, "pool", "");
    *plan = (struct plan){.job = job, .port = (uint16_t)job_number(job, "port", 0)};
    const struct places_port *now = places_find(t->places, plan->port);
    if (now == NULL) {
        job_error(job, 400, "no-such-port", "port", "%u is not one of this server's tunnel ports",
                  plan->port);
        return false;
    }
    if (!amm_pool_parse(&plan->pool, text, (enum amm_topology)now->pool.topology)) {
        job_error(
            job, 400, "bad-value", "pool",
            "\"%s\" is no network (allowed: as 10.4.32.0/19, prefix 16 to 29, host bits zero)",
            text);
        return false;
    }
    uint32_t slots = amm_pool_slots(&plan->pool);
    snprintf(plan->pool_text, sizeof plan->pool_text, "%s", text);
    plan->limit = (uint32_t)job_number(job, "limit", now->limit < slots ? now->limit : slots);
    if (plan->limit > slots) {
        job_error(job, 400, "bad-value", "limit", "limit: %u is more than the pool holds (%u)",
                  plan->limit, slots);
        return false;
    }
    for (uint32_t slot = 1; slot <= amm_pool_slots(&now->pool); slot++) {
        plan->slots_used = places_owner(t->places, plan->port, slot) != 0 ? slot : plan->slots_used;
    }
    return true;
}

/* ---- what it clashes with ---- */

static void add_conflict(struct plan *plan, json_t *conflict)
{
    if (json_array_size(plan->conflicts) < CONFLICTS_SHOWN) {
        json_array_append_new(plan->conflicts, conflict);
    } else {
        json_decref(conflict);
    }
}

/* The server as it will be at the next start: with what was changed before. NULL: `error` says why
 * the file of changed pools cannot be read. */
static struct amm_tunneld_config *load_next(const struct manager *m, char error[AMM_CONF_ERROR])
{
    static struct amm_tunneld_config next; /* too large for the stack; one thread */
    next = m->config->tunneld;
    return amm_tunneld_pools_read(&next, error) ? &next : NULL;
}

static void compare_with_pools(struct plan *plan, const struct amm_tunneld_config *next)
{
    for (size_t i = 0; i < next->n_ports; i++) {
        const struct amm_port_config *other = &next->ports[i];
        if (other->port == plan->port ||
            !amm_pool_overlap(plan->pool.network, plan->pool.prefix, other->pool.network,
                              other->pool.prefix)) {
            continue;
        }
        plan->n_pools++;
        add_conflict(plan, json_pack("{s:s, s:i, s:s}", "kind", "pool", "port", (int)other->port,
                                     "prefix", other->pool_text));
    }
}

/* "192.168.1.0/24"; false: no IPv4 network. */
static bool parse_prefix(const char *text, uint32_t *network, uint8_t *prefix)
{
    char address[AMM_IPV4_TEXT];
    const char *slash = strchr(text, '/');
    char *end;
    if (slash == NULL || (size_t)(slash - text) >= sizeof address) {
        return false;
    }
    snprintf(address, sizeof address, "%.*s", (int)(slash - text), text);
    unsigned long length = strtoul(slash + 1, &end, 10);
    if (end == slash + 1 || *end != '\0' || length > 32 || !amm_ipv4_parse(network, address)) {
        return false;
    }
    *prefix = (uint8_t)length;
    return true;
}

/* One stat, "10.0.0.0/8 192.168.1.0/24", of one gateway. A default route clashes with nothing. */
static bool compare_with_stat(struct plan *plan, const struct fleet_gateway *gateway,
                              const char *kind, const char *stat)
{
    struct value value;
    char list[AMM_STAT_TEXT_MAX + 1], *rest = NULL;
    bool found = false;
    if (!values_find(gateway->stats, VALUES_STATS, stat, &value) || value.type != VALUE_TEXT) {
        return false;
    }
    snprintf(list, sizeof list, "%.*s", (int)value.text.len, (const char *)value.text.data);
    for (char *word = strtok_r(list, " ,", &rest); word != NULL;
         word = strtok_r(NULL, " ,", &rest)) {
        uint32_t network;
        uint8_t prefix;
        if (!parse_prefix(word, &network, &prefix) || prefix == 0 ||
            !amm_pool_overlap(plan->pool.network, plan->pool.prefix, network, prefix)) {
            continue;
        }
        found = true;
        add_conflict(plan,
                     json_pack("{s:s, s:o, s:s, s:s}", "kind", kind, "gateway",
                               job_json_id(gateway->id), "name", gateway->name, "prefix", word));
    }
    return found;
}

static void compare_with_gateways(struct plan *plan)
{
    const struct fleet *fleet = plan->job->m->fleet;
    for (size_t i = 0; i < fleet_gateway_count(fleet); i++) {
        const struct fleet_gateway *gateway = fleet_gateway_at(fleet, i);
        if (gateway->tunnel.port == plan->port) {
            bool lan = compare_with_stat(plan, gateway, "lan", "LAN-Prefixes");
            bool wan = compare_with_stat(plan, gateway, "wan", "WAN-Prefixes");
            plan->n_gateways += lan || wan;
        }
    }
}

/* False: answered. */
static bool find_conflicts(struct plan *plan)
{
    char error[AMM_CONF_ERROR];
    const struct amm_tunneld_config *next = load_next(plan->job->m, error);
    if (next == NULL) {
        job_error(plan->job, 507, "unreadable", NULL, "%s", error);
        return false;
    }
    plan->conflicts = json_array();
    compare_with_pools(plan, next);
    compare_with_gateways(plan);
    uint32_t slots = amm_pool_slots(&plan->pool);
    if (plan->slots_used > slots) {
        add_conflict(plan, json_pack("{s:s, s:i, s:i}", "kind", "too-small", "slots", (int)slots,
                                     "used", (int)plan->slots_used));
    }
    return true;
}

static json_t *plan_json(struct plan *plan)
{
    const struct tunnel *t = plan->job->m->tunnel;
    char text[200];
    uint32_t taken = places_taken(t->places, plan->port);
    snprintf(
        text, sizeof text,
        "takes effect when amm-tunneld is started again; then %u gateways of port %u reconnect "
        "and get other addresses",
        taken, plan->port);
    return json_pack("{s:i, s:s, s:i, s:o, s:i, s:i, s:b, s:s}", "port", (int)plan->port, "pool",
                     plan->pool_text, "limit", (int)plan->limit, "conflicts", plan->conflicts,
                     "conflicting_pools", (int)plan->n_pools, "conflicting_gateways",
                     (int)plan->n_gateways, "restart_needed", 1, "text", text);
}

static void preview_handle(struct job *job)
{
    struct plan plan;
    if (read_plan(job, &plan) && find_conflicts(&plan)) {
        job_json(job, 200, plan_json(&plan));
    }
}

/* ---- the file ---- */

/* All ports as they are now, with what was changed before and has not taken effect yet. */
static bool write_pools(struct plan *plan, char *error, size_t room)
{
    struct amm_tunneld_config *next = load_next(plan->job->m, error);
    char text[POOLS_ROOM];
    struct amm_writer w = amm_writer((uint8_t *)text, sizeof text);
    if (next == NULL) {
        return false;
    }
    amm_write_text(&w, "# Written by ammd: pools of tunnel ports that were changed.\n");
    for (size_t i = 0; i < next->n_ports; i++) {
        const struct amm_port_config *port = &next->ports[i];
        bool is_this = port->port == plan->port;
        amm_write_text(&w, "%u %s %u\n", port->port, is_this ? plan->pool_text : port->pool_text,
                       is_this ? plan->limit : port->limit);
    }
    /* Read back as amm-tunneld will: nothing is written that it would refuse. */
    struct amm_view view = amm_view(text, amm_writer_len(&w));
    return view.len > 0 && amm_tunneld_pools_apply(next, next->pools, view, error) &&
           amm_file_write(next->pools, view, FILE_MODE, error, room);
}

static void apply_handle(struct job *job)
{
    struct plan plan;
    char error[AMM_CONF_ERROR] = "";
    if (!read_plan(job, &plan) || !find_conflicts(&plan)) {
        return;
    }
    uint32_t slots = amm_pool_slots(&plan.pool);
    job_audit(job, 0, "tunnel", "pool of port %u: %s, limit %u", plan.port, plan.pool_text,
              plan.limit);
    if (plan.slots_used > slots) {
        json_decref(plan.conflicts);
        job_error(job, 409, "pool-too-small", "pool",
                  "gateways have slots up to %u; %s holds %u: move them first", plan.slots_used,
                  plan.pool_text, slots);
    } else if (plan.n_pools > 0 || (plan.n_gateways > 0 && !job_bool(job, "force", false))) {
        json_decref(plan.conflicts);
        job_error(job, 409, "pool-conflict", "pool",
                  "%s clashes with %u pools and with networks of %u gateways: "
                  "POST /api/v1/tunnel/pools/preview lists them%s",
                  plan.pool_text, plan.n_pools, plan.n_gateways,
                  plan.n_pools == 0 ? "; \"force\": true takes it all the same" : "");
    } else if (!write_pools(&plan, error, sizeof error)) {
        json_decref(plan.conflicts);
        job_error(job, 507, "not-written", NULL, "%s", error);
    } else {
        job_json(job, 200, plan_json(&plan));
    }
}

#define PLAN_FIELDS                                                                                \
    {"port", FIELD_NUMBER, true, 1, 65535, NULL, "tunnel port"},                                   \
        {"pool", FIELD_TEXT, true, 9, 18, NULL, "network, as 10.4.32.0/19"},                       \
    {                                                                                              \
        "limit", FIELD_NUMBER, false, 1, 8189, NULL,                                               \
            "places at most; default: as it is, if they fit"                                       \
    }

static const struct field preview_body[] = {PLAN_FIELDS, {.name = NULL}};
static const struct field apply_body[] = {
    PLAN_FIELDS,
    {"force", FIELD_BOOL, false, 0, 0, NULL, "although networks of gateways clash with it"},
    {.name = NULL}};

const struct route tunnel_pool_routes[] = {
    {.method = "POST",
     .path = "/api/v1/tunnel/pools/preview",
     .action = ACCESS_SYSTEM,
     .flags = ROUTE_UNAUDITED,
     .body = preview_body,
     .handle = preview_handle,
     .summary = "What another pool of a port would clash with; changes nothing"},
    {.method = "PUT",
     .path = "/api/v1/tunnel/pools",
     .action = ACCESS_SYSTEM,
     .body = apply_body,
     .handle = apply_handle,
     .summary = "Give a port another pool, from the next start of amm-tunneld on"},
    {.method = NULL},
};
