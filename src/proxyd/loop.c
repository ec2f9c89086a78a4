#include "proxyd/loop.h"

#include "http/server.h"
#include "io/clock.h"
#include "io/log.h"
#include "proxyd/entry.h"
#include "proxyd/flow.h"
#include "proxyd/gate.h"
#include "proxyd/link.h"
#include "proxyd/probe.h"
#include "proxyd/session.h"

#include <stdio.h>
#include <sys/stat.h>

enum { LOOK_EVERY = 2 }; /* seconds */

/* A watch is its own tag. */
static uint64_t tag_of(const struct proxyd_watch *watch)
{
    return (uint64_t)(uintptr_t)watch;
}

bool proxyd_watch(struct proxyd *proxyd, struct proxyd_watch *watch, unsigned interest)
{
    return amm_loop_add(proxyd->loop, watch->fd, interest, tag_of(watch));
}

void proxyd_rewatch(struct proxyd *proxyd, struct proxyd_watch *watch, unsigned interest)
{
    amm_loop_change(proxyd->loop, watch->fd, interest, tag_of(watch));
}

void proxyd_unwatch(struct proxyd *proxyd, struct proxyd_watch *watch)
{
    amm_loop_remove(proxyd->loop, watch->fd);
    for (unsigned i = 0; i < proxyd->n_ready; i++) {
        if (proxyd->ready[i].tag == tag_of(watch)) {
            proxyd->ready[i].tag = 0;
        }
    }
}

static void end_due(struct proxyd *proxyd)
{
    enum amm_proxy_end reason;
    struct session *session;
    while ((session = sessions_due(proxyd->sessions, proxyd->now, &reason)) != NULL) {
        gate_end(proxyd, session, reason);
    }
}

bool proxyd_find_home(const char *namespace_name, struct proxyd_home *out)
{
    char path[AMM_CONF_TEXT + 16];
    struct stat status;
    snprintf(path, sizeof path, "/run/netns/%s", namespace_name);
    bool ok = stat(path, &status) == 0;
    *out = ok ? (struct proxyd_home){status.st_dev, status.st_ino} : (struct proxyd_home){0};
    return ok;
}

/* A restarted amm-tunneld makes its namespace anew, and this process has no right to follow: it
 * ends, and whoever started it starts it again. */
static void look_around(struct proxyd *proxyd)
{
    struct proxyd_home now;
    if (!proxyd->has_home || proxyd->now.mono < proxyd->next_look) {
        return;
    }
    proxyd->next_look = amm_time_after(proxyd->now.mono, LOOK_EVERY * AMM_SECOND);
    /* Of another device: the empty file that is there before and behind a namespace. */
    if (proxyd_find_home(proxyd->config->namespace_name, &now) &&
        now.device == proxyd->home.device && now.inode != proxyd->home.inode) {
        amm_log(AMM_LOG_ERROR, "namespace-replaced",
                amm_field_text("namespace", proxyd->config->namespace_name),
                amm_field_text("cure", "start amm-proxyd again"));
        proxyd->lost_home = proxyd->stopping = true;
    }
}

static amm_time deadline(const struct proxyd *proxyd)
{
    amm_time at = amm_http_server_deadline(proxyd->server);
    at = amm_time_min(at, flows_deadline(proxyd->flows));
    at = amm_time_min(at, link_deadline(proxyd->link));
    at = amm_time_min(at, entries_deadline(proxyd));
    at = amm_time_min(at, probes_deadline(proxyd));
    at = amm_time_min(at, proxyd->has_home ? proxyd->next_look : AMM_NEVER);
    return amm_time_min(at, sessions_deadline(proxyd->sessions, proxyd->now));
}

void proxyd_turn(struct proxyd *proxyd)
{
    proxyd->n_ready = amm_loop_wait(proxyd->loop, deadline(proxyd), proxyd->ready);
    proxyd->now = amm_now();
    for (unsigned i = 0; i < proxyd->n_ready; i++) {
        struct proxyd_watch *watch = (struct proxyd_watch *)(uintptr_t)proxyd->ready[i].tag;
        if (watch != NULL) {
            watch->ready(proxyd, watch, &proxyd->ready[i]);
        }
    }
    proxyd->n_ready = 0;
    if (amm_http_server_deadline(proxyd->server) <= proxyd->now.mono) {
        amm_http_server_step(proxyd->server);
    }
    flows_step(proxyd->flows);
    entries_step(proxyd);
    probes_step(proxyd);
    end_due(proxyd);
    look_around(proxyd);
    link_step(proxyd->link);
}

void proxyd_run(struct proxyd *proxyd)
{
    link_step(proxyd->link);
    while (!proxyd->stopping) {
        proxyd_turn(proxyd);
    }
}
