#include "fleet_module.h"

#include "checkin.h"
#include "checkin_rules.h"
#include "checkin_service.h"
#include "crypto/pki.h"
#include "deltas.h"
#include "events.h"
#include "gateway_query.h"
#include "io/file.h"
#include "manager/metrics.h"
#include "manager/stream.h"
#include "operations.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LATE_SHARE = 30,       /* seconds in which all gateways have been looked at */
    EXPIRE_AT_ONCE = 32,   /* operations a second */
    EVENTS_AT_ONCE = 1000, /* deleted at once */
    EVENTS_EVERY = 10,
    IDENTITIES_EVERY = 3600,
    CERTIFICATE_MAX = 65536,
};

static struct manager_timer tick;
static amm_time identities_at, events_at; /* monotonic: when it is their turn */
static struct event_clock event_clock;
static struct deltas *deltas;

/* ---- the event stream ---- */

/* Gateways are told in groups (deltas.h). A group's note is about all below it: who shows some of
 * them reads them again. */
static void publish(void *context, const struct fleet_note *note)
{
    struct manager *m = context;
    if (!stream_is_heard(m) || deltas == NULL) {
        return;
    }
    if (note->gateway_id != 0) {
        deltas_note(deltas, note);
        return;
    }
    struct access_object place = {note->tenant_id, note->group_id};
    stream_publish(m, &place, "group", json_pack("{s:o}", "group", job_json_id(note->group_id)));
}

static void publish_event(void *context, const struct fleet_gateway *gateway,
                          const struct fleet_event *event)
{
    struct manager *m = context;
    struct access_object place = gateway_object(gateway);
    if (!stream_is_heard(m)) {
        return;
    }
    stream_publish(m, &place, "event",
                   json_pack("{s:o, s:s, s:s, s:s, s:I, s:b}", "gateway", job_json_id(gateway->id),
                             "name", gateway->name, "kind", event->kind, "text", event->text, "at",
                             (json_int_t)event->at, "reported", event->is_reported));
}

/* ---- once a second ---- */

static void every_second(struct manager *m, struct manager_timer *timer)
{
    manager_timer_set(m, timer, amm_time_after(m->now.mono, AMM_SECOND));
    if (manager_store_state(m) != AMM_STORE_OK) {
        return;
    }
    size_t share = fleet_gateway_count(m->fleet) / LATE_SHARE + 1;
    if (!checkin_scan_late(m->fleet, share, m->now.wall)) {
        manager_fail(m);
        return;
    }
    operations_expire(m->fleet, m->now.wall, EXPIRE_AT_ONCE);
    bool is_steady = event_clock_is_steady(&event_clock, m->now);
    if (m->now.mono >= events_at && is_steady && m->config->keep_events != 0) {
        events_at = amm_time_after(m->now.mono, EVENTS_EVERY * AMM_SECOND);
        events_expire(m->fleet, m->now.wall - m->config->keep_events, EVENTS_AT_ONCE);
    }
    if (m->now.mono >= identities_at) {
        identities_at = amm_time_after(m->now.mono, IDENTITIES_EVERY * AMM_SECOND);
        fleet_identity_expire(m->fleet, m->now.wall);
    }
}

/* ---- the module ---- */

static int64_t server_not_before, server_not_after;

/* As root: the user may not read everything in the PKI folder. A certificate that cannot be read is
 * amm-tunneld's business; here it is unknown. */
static bool prepare(struct manager *m, char *error, size_t room)
{
    struct amm_span text;
    char ignored[256];
    (void)error;
    (void)room;
    if (amm_file_read(m->config->tunneld.certificate, CERTIFICATE_MAX, &text, ignored,
                      sizeof ignored)) {
        if (!amm_pki_validity((const char *)text.data, &server_not_before, &server_not_after,
                              ignored, sizeof ignored)) {
            server_not_before = server_not_after = 0;
        }
        free(text.data);
    }
    return true;
}

static bool start(struct manager *m, char *error, size_t room)
{
    (void)error;
    (void)room;
    checkin_service_start(m);
    fleet_server_certificate(m->fleet, server_not_before, server_not_after);
    deltas = deltas_new(m);
    fleet_watch(m->fleet, publish, m);
    fleet_on_event(m->fleet, publish_event, m);
    identities_at = amm_time_after(m->now.mono, IDENTITIES_EVERY * AMM_SECOND);
    events_at = m->now.mono;
    event_clock = (struct event_clock){0};
    tick = (struct manager_timer){.fire = every_second};
    manager_timer_set(m, &tick, amm_time_after(m->now.mono, AMM_SECOND));
    return true;
}

static void add(struct metrics *out, const char *name, const char *help, const char *label,
                const char *value, double number)
{
    char labels[64];
    snprintf(labels, sizeof labels, "%s=\"%s\"", label, value);
    metrics_add(out, METRIC_GAUGE, name, help, labels, number);
}

static void metrics(struct manager *m, struct metrics *out)
{
    struct gateway_counts counts;
    struct gateway_query query;
    gateway_query_init(&query, m->now.wall);
    query.mark = fleet_group_mark_branch(m->fleet, NULL);
    gateway_query_count(m->fleet, &query, &counts);
    for (unsigned i = 0; i < FLEET_ACCESSES; i++) {
        add(out, "gateways", "Gateways by access.", "access", fleet_access_name(i),
            counts.by_access[i]);
    }
    for (unsigned i = 0; i < FLEET_SYNCS; i++) {
        add(out, "gateways_settings", "Gateways by state of their settings.", "state",
            fleet_sync_name(i), counts.by_sync[i]);
    }
    metrics_add(out, METRIC_GAUGE, "gateways_late", "Gateways whose check-in has not come.", NULL,
                counts.late);
    metrics_add(out, METRIC_GAUGE, "gateways_tunnel_up", "Gateways with a tunnel.", NULL,
                counts.tunnel_up);
    metrics_add(out, METRIC_GAUGE, "gateways_cloned",
                "Gateways of whose identity two live uses were seen.", NULL, counts.cloned);
    checkin_service_metrics(out);
}

static void stop(struct manager *m)
{
    (void)m;
    deltas = deltas_free(deltas);
}

const struct manager_module fleet_module = {
    .name = "fleet", .prepare = prepare, .start = start, .stop = stop, .metrics = metrics};

/* ---- what handlers share ---- */

struct access_object gateway_object(const struct fleet_gateway *gateway)
{
    return (struct access_object){gateway->group->tenant->id, gateway->group->id};
}

bool gateway_find_object(struct manager *m, int64_t id, struct access_object *out)
{
    const struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, id);
    if (gateway) {
        *out = gateway_object(gateway);
    }
    return gateway != NULL;
}

bool group_find_object(struct manager *m, int64_t id, struct access_object *out)
{
    const struct fleet_group *group = fleet_group_find(m->fleet, id);
    if (group) {
        *out = (struct access_object){group->tenant->id, group->id};
    }
    return group != NULL;
}

bool tenant_find_object(struct manager *m, int64_t id, struct access_object *out)
{
    const struct fleet_tenant *tenant = fleet_tenant_find(m->fleet, id);
    if (tenant) {
        *out = (struct access_object){tenant->id, 0};
    }
    return tenant != NULL;
}

void job_fleet_error(struct job *job, const struct fleet_error *error)
{
    job_error(job, error->status, error->name, error->field[0] != '\0' ? error->field : NULL, "%s",
              error->text);
}

static void mark_visible(struct job *job, struct fleet_group *group, uint32_t mark)
{
    struct access_object place = {group->tenant->id, group->id};
    group->mark = job_allows(job, ACCESS_VIEW, &place) ? mark : 0;
    for (struct fleet_group *child = group->first_child; child; child = child->next_sibling) {
        mark_visible(job, child, mark);
    }
}

uint32_t job_mark_visible(struct job *job, struct fleet_group *branch)
{
    struct fleet *fleet = job->m->fleet;
    uint32_t mark = fleet_mark_new(fleet);
    for (size_t i = 0; !branch && i < fleet_tenant_count(fleet); i++) {
        mark_visible(job, fleet_tenant_at(fleet, i)->root, mark);
    }
    if (branch) {
        mark_visible(job, branch, mark);
    }
    return mark;
}

int64_t job_only_tenant(const struct job *job)
{
    int64_t only = 0;
    for (uint32_t i = 0; i < job->actor.n_bindings; i++) {
        int64_t tenant = job->actor.bindings[i].tenant;
        if (tenant == 0 || (only != 0 && tenant != only)) {
            return 0;
        }
        only = tenant;
    }
    return only;
}
