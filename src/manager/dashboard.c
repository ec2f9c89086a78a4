#include "dashboard.h"

#include "fleet_module.h"
#include "lamps.h"
#include "manager/tunnel_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- columns ---- */

static void add_columns(struct job *job, const struct fleet_group *group,
                        struct dashboard_columns *out)
{
    const struct threshold *list[THRESHOLDS_REACHING];
    size_t n = thresholds_reaching(job->m->thresholds, group, NULL, list);
    for (size_t i = 0; i < n && out->n < DASHBOARD_COLUMNS; i++) {
        bool is_new = true;
        for (size_t k = 0; k < out->n && is_new; k++) {
            is_new = strcmp(out->at[k]->label, list[i]->label) != 0;
        }
        if (is_new) {
            out->at[out->n++] = list[i];
        }
    }
}

void dashboard_columns(struct job *job, struct fleet_group *branch, struct dashboard_columns *out)
{
    struct fleet *fleet = job->m->fleet;
    out->n = 0;
    if (branch != NULL) {
        add_columns(job, branch, out);
    }
    for (size_t i = 0; branch == NULL && i < fleet_tenant_count(fleet); i++) {
        const struct fleet_tenant *tenant = fleet_tenant_at(fleet, i);
        struct access_object place = {tenant->id, 0};
        if (job_allows(job, ACCESS_VIEW, &place)) {
            add_columns(job, tenant->root, out);
        }
    }
    thresholds_sort(out->at, out->n);
}

json_t *dashboard_columns_json(const struct dashboard_columns *columns)
{
    json_t *list = json_array();
    for (size_t i = 0; i < columns->n; i++) {
        json_t *json = threshold_write(columns->at[i]);
        json_object_set_new(json, "id", job_json_id(columns->at[i]->id));
        json_array_append_new(list, json);
    }
    return list;
}

/* ---- cells ---- */

static json_t *cell_json(struct job *job, const struct threshold *threshold,
                         const struct fleet_gateway *gateway)
{
    char shown[AMM_STAT_TEXT_MAX + 1];
    struct threshold_cell cell;
    int64_t since;
    threshold_cell(threshold, gateway, job->m->now.wall, &cell);
    enum threshold_state state = thresholds_state(job->m->thresholds, gateway, threshold, &since);
    bool has_conditions = threshold->warning.op != OP_NONE || threshold->error.op != OP_NONE;
    if (state <= THRESHOLD_OK) {
        state = has_conditions && cell.is_there ? THRESHOLD_OK : THRESHOLD_NONE;
    }
    threshold_shown(threshold, &cell, shown, sizeof shown);
    bool is_number = cell.is_number && threshold->filter == NULL;
    bool is_whole = is_number && strpbrk(cell.text, ".e") == NULL;
    json_t *value = !cell.is_there || shown[0] == '\0' ? json_null()
                    : is_whole                         ? json_integer((json_int_t)cell.number)
                    : is_number                        ? json_real(cell.number)
                                                       : json_string(shown);
    json_t *json = json_pack("{s:o, s:s}", "value", value, "state", threshold_state_name(state));
    if (json != NULL && since != 0) {
        json_object_set_new(json, "since", json_integer(since));
    }
    return json;
}

json_t *dashboard_cells(struct job *job, const struct dashboard_columns *columns,
                        const struct fleet_gateway *gateway)
{
    const struct threshold *list[THRESHOLDS_REACHING];
    size_t n = thresholds_reaching(job->m->thresholds, gateway->group, gateway, list);
    json_t *cells = json_array();
    for (size_t i = 0; i < columns->n; i++) {
        const struct threshold *own = NULL;
        for (size_t k = 0; k < n && own == NULL; k++) {
            own = strcmp(list[k]->label, columns->at[i]->label) == 0 ? list[k] : NULL;
        }
        json_array_append_new(cells, own ? cell_json(job, own, gateway)
                                         : json_pack("{s:n, s:s}", "value", "state", "none"));
    }
    return cells;
}

/* ---- the summary ---- */

enum { LOOK_MOST = 10 };

struct look {
    const struct fleet_gateway *gateway;
    unsigned rank;    /* higher is worse */
    const char *kind; /* stable name */
    const char *why;  /* in words */
    int64_t since;    /* 0: not known */
};

struct summary {
    struct job *job;
    struct branch_counts counts;
    uint32_t by_state[THRESHOLD_ERROR + 1], by_sync[FLEET_SYNCS];
    struct look looks[LOOK_MOST];
    size_t n_looks;
    uint32_t wants_look;
};

/* The worst that can be said of a gateway; false: it is well. */
static bool judge(const struct fleet_gateway *gateway, int64_t now, struct look *out)
{
    enum lamp checkin = gateway->kind == FLEET_OPENVPN ? LAMP_UNKNOWN : lamp_checkin(gateway, now);
    *out = (struct look){.gateway = gateway};
    if (gateway->clone_flag) {
        *out = (struct look){gateway, 5, "clone", "two live uses of its identity were seen",
                             gateway->access_at};
    } else if (gateway->access == FLEET_QUARANTINED) {
        *out = (struct look){gateway, 4, "quarantined", "in quarantine until it is released",
                             gateway->access_at};
    } else if (gateway->revision_failed != 0) {
        *out = (struct look){gateway, 3, "settings", "could not take its settings", 0};
    } else if (gateway->alarm == THRESHOLD_ERROR) {
        *out =
            (struct look){gateway, 2, "threshold", "meets the error condition of a threshold", 0};
    } else if (checkin == LAMP_DOWN) {
        *out = (struct look){gateway, 1, "check-in", "its check-ins are missing",
                             gateway->last_checkin};
    }
    return out->rank > 0;
}

/* Keeps the worst few, in order; equals stay in the order of their names. */
static void keep_look(struct summary *summary, const struct look *look)
{
    size_t at = summary->n_looks;
    while (at > 0 && summary->looks[at - 1].rank < look->rank) {
        at--;
    }
    if (at == LOOK_MOST) {
        return;
    }
    size_t n = summary->n_looks < LOOK_MOST ? summary->n_looks : LOOK_MOST - 1;
    memmove(&summary->looks[at + 1], &summary->looks[at], (n - at) * sizeof *look);
    summary->looks[at] = *look;
    summary->n_looks = n + 1;
}

static void summarise(void *context, struct fleet_gateway *gateway)
{
    struct summary *summary = context;
    struct look look;
    int64_t now = summary->job->m->now.wall;
    branch_counts_add(&summary->counts, gateway, now);
    summary->by_state[gateway->alarm > THRESHOLD_OK ? gateway->alarm : THRESHOLD_OK]++;
    summary->by_sync[gateway->sync]++;
    if (judge(gateway, now, &look)) {
        summary->wants_look++;
        keep_look(summary, &look);
    }
}

static json_t *looks_json(const struct summary *summary)
{
    json_t *list = json_array();
    for (size_t i = 0; i < summary->n_looks; i++) {
        const struct look *look = &summary->looks[i];
        json_array_append_new(
            list, json_pack("{s:o, s:s, s:s, s:o}", "gateway",
                            gateway_to_json_compact(look->gateway, summary->job->m->now.wall),
                            "kind", look->kind, "why", look->why, "since",
                            look->since ? json_integer(look->since) : json_null()));
    }
    return list;
}

static json_t *syncs_json(const struct summary *summary)
{
    json_t *json = json_object();
    for (unsigned i = 0; i < FLEET_SYNCS; i++) {
        json_object_set_new(json, fleet_sync_name(i), json_integer(summary->by_sync[i]));
    }
    return json;
}

json_t *dashboard_summary(struct job *job, struct gateway_query *query)
{
    struct summary s = {.job = job};
    gateway_query_each(job->m->fleet, query, summarise, &s);
    const struct branch_counts *n = &s.counts;
    return json_pack(
        "{s:I, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I}, s:o, s:I, "
        "s:o}",
        "gateways", (json_int_t)n->gateways, "pie", "up", (json_int_t)n->checkin_up, "late",
        (json_int_t)n->checkin_late, "missing", (json_int_t)n->checkin_missing, "never",
        (json_int_t)n->checkin_never, "gauge", "up", (json_int_t)n->tunnel_up, "down",
        (json_int_t)n->tunnel_down, "resting", (json_int_t)n->tunnel_resting, "never",
        (json_int_t)n->tunnel_never, "of", (json_int_t)n->gateways, "states", "ok",
        (json_int_t)s.by_state[THRESHOLD_OK], "warning", (json_int_t)s.by_state[THRESHOLD_WARNING],
        "error", (json_int_t)s.by_state[THRESHOLD_ERROR], "sync", syncs_json(&s), "wants_look",
        (json_int_t)s.wants_look, "look", looks_json(&s));
}

/* ---- ports ---- */

/* How many gateways the actor's tenant may still have; UINT32_MAX: no limit, or several tenants. */
static uint32_t left_of_tenant(const struct job *job)
{
    const struct fleet_tenant *tenant = fleet_tenant_find(job->m->fleet, job_only_tenant(job));
    if (tenant == NULL || tenant->gateways_max == 0) {
        return UINT32_MAX;
    }
    return tenant->gateways_max > tenant->n_gateways ? tenant->gateways_max - tenant->n_gateways
                                                     : 0;
}

/* The limit of a port and what all of it is used by are the server's numbers: for a tenant, what it
 * has and what it can have is all there is. */
json_t *dashboard_ports(struct job *job)
{
    const struct tunnel *t = job->m->tunnel;
    json_t *list = json_array();
    uint32_t own[PLACES_PORTS_MAX] = {0}, mark = job_mark_visible(job, NULL);
    uint32_t left = left_of_tenant(job);
    bool is_system = job_allows(job, ACCESS_SYSTEM, &(struct access_object){0, 0});
    for (size_t i = 0; t != NULL && i < fleet_gateway_count(job->m->fleet); i++) {
        const struct fleet_gateway *gateway = fleet_gateway_at(job->m->fleet, i);
        for (size_t p = 0; p < t->n_ports && gateway->group->mark == mark; p++) {
            own[p] += gateway->tunnel.port == t->ports[p].port;
        }
    }
    for (size_t p = 0; t != NULL && p < t->n_ports; p++) {
        const struct places_port *port = places_at(t->places, p);
        uint32_t free_places = places_left(t->places, port->port);
        uint32_t free_for_you = free_places < left ? free_places : left;
        uint32_t limit = is_system ? port->limit : own[p] + free_for_you;
        json_t *json = json_pack("{s:i, s:I, s:I, s:I}", "port", (int)port->port, "used_own",
                                 (json_int_t)own[p], "free_for_you", (json_int_t)free_for_you,
                                 "limit", (json_int_t)limit);
        if (json != NULL && is_system) {
            json_object_set_new(json, "used_all",
                                json_integer(places_taken(t->places, port->port)));
        }
        json_array_append_new(list, json);
    }
    return list;
}
