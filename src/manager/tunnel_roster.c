/* The gateways file: what amm-tunneld knows of who may join. */
#include "manager/tunnel_parts.h"

#include "io/file.h"
#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>

/* How often amm-tunneld is made to read: a mass change is many files and few reloads. */
#define RELOAD_EVERY (200 * AMM_MILLISECOND)
#define RETRY_EVERY AMM_SECOND

enum { LINE_ROOM = AMM_NAME_MAX + 16, FILE_MODE = 0640 };

static const char head[] = "# Written by ammd: who may join, on which port, in which slot. Changes "
                           "are lost.\n";

/* ---- the text ---- */

static size_t add_line(char *out, const char *name, uint32_t port, uint32_t slot)
{
    return (size_t)snprintf(out, LINE_ROOM, "%s %u %u\n", name, port, slot);
}

char *tunnel_roster_text(const struct tunnel *t)
{
    size_t n = fleet_gateway_count(t->m->fleet), lines = t->ways.used, used = sizeof head - 1;
    for (size_t p = 0; p < t->n_ports; p++) {
        lines += places_taken(t->places, t->ports[p].port);
    }
    char *text = malloc(used + lines * LINE_ROOM + 1);
    if (text == NULL) {
        return NULL;
    }
    memcpy(text, head, sizeof head);
    for (size_t i = 0; i < n; i++) {
        const struct fleet_gateway *gateway = fleet_gateway_at(t->m->fleet, i);
        const struct tunnel_way *way = tunnel_way_find(t, gateway->id);
        char name[FLEET_TUNNEL_NAME];
        if (gateway->tunnel.port == 0 || !fleet_gateway_is_admitted(gateway)) {
            continue;
        }
        fleet_tunnel_name(gateway, name);
        if (strlen(name) > AMM_NAME_MAX) {
            continue; /* no certificate can have it either */
        }
        used += add_line(text + used, name, gateway->tunnel.port, gateway->tunnel.slot);
        if (way != NULL) {
            used += add_line(text + used, name, way->port, way->slot);
        }
    }
    return text;
}

/* ---- the file ---- */

/* The same words once. */
static void note_problem(struct tunnel *t, const char *problem)
{
    if (strcmp(t->roster.problem, problem) == 0) {
        return;
    }
    snprintf(t->roster.problem, sizeof t->roster.problem, "%s", problem);
    if (problem[0] != '\0') {
        amm_log(AMM_LOG_ERROR, "gateways-file", amm_field_text("text", problem),
                amm_field_text("effect", "the tunnel server keeps the last one"));
    } else {
        amm_log(AMM_LOG_INFO, "gateways-file", amm_field_text("text", "in step again"));
    }
}

static void write_file(struct tunnel *t)
{
    char error[AMM_CONF_ERROR];
    char *text = tunnel_roster_text(t);
    bool ok = text != NULL && amm_file_write(t->m->config->tunneld.roster, amm_view_str(text),
                                             FILE_MODE, error, sizeof error);
    t->roster.has_failed = !ok;
    if (ok) {
        t->roster.is_dirty = false;
        tunnel_roster_reload(t);
    } else {
        note_problem(t, text != NULL ? error : "out of memory");
        manager_timer_set(t->m, &t->roster.timer, amm_time_after(t->m->now.mono, RETRY_EVERY));
    }
    free(text);
}

/* Behind the commit and before the answers: what somebody is told of is in the file. A batch has
 * one note for each change: what the first of them could not write the others cannot either. */
static void write_behind_commit(struct manager *m, void *data)
{
    (void)data;
    if (m->tunnel->roster.is_dirty && !m->tunnel->roster.has_failed) {
        write_file(m->tunnel);
    }
}

void tunnel_roster_touch(struct tunnel *t)
{
    t->roster.is_dirty = true;
    manager_after(t->m, write_behind_commit, NULL, 0);
}

/* ---- the reload ---- */

static void reload_ended(struct manager *m, void *context, bool ok, const char *text)
{
    struct tunnel *t = context;
    t->roster.is_reloading = false;
    if (ok) {
        note_problem(t, "");
    } else {
        note_problem(t, text);
        t->roster.wants_reload = true;
    }
    if (t->roster.wants_reload) {
        manager_timer_set(m, &t->roster.timer,
                          amm_time_after(m->now.mono, ok ? RELOAD_EVERY : RETRY_EVERY));
    }
}

static void reload_now(struct tunnel *t)
{
    struct tunnel_request request = {.type = AMM_IPC_RELOAD, .end = reload_ended, .context = t};
    t->roster.reloaded = t->m->now.mono;
    if (tunnel_ask(t, &request)) {
        t->roster.wants_reload = false;
        t->roster.is_reloading = true;
    }
    /* Else there is no tunnel server: a new link begins with a reload. */
}

void tunnel_roster_reload(struct tunnel *t)
{
    amm_time due = amm_time_after(t->roster.reloaded, RELOAD_EVERY);
    t->roster.wants_reload = true;
    if (t->roster.is_reloading) {
        return; /* again when that one has ended */
    }
    if (t->m->now.mono >= due) {
        reload_now(t);
    } else {
        manager_timer_set(t->m, &t->roster.timer, due);
    }
}

/* The timer of both: a file that could not be written, a reload that waits. */
void tunnel_roster_fire(struct manager *m, struct manager_timer *timer)
{
    struct tunnel *t = timer->context;
    if (t->roster.is_dirty) {
        write_file(t);
    } else if (t->roster.wants_reload && !t->roster.is_reloading) {
        reload_now(t);
    }
    (void)m;
}
