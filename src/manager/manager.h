/* ammd, the manager: what its parts share.
 *
 * Threads: *front threads* (manager/front.c) each run an amm_http_server; they find the route of a
 * request, copy it into a job and queue it. The one *fleet thread* (manager/core.c) owns everything
 * in struct manager: the model in memory and the database. It takes what has come (jobs, posted
 * calls, timers, descriptors) as one batch: each is a *unit* with a savepoint of its own, then
 * one commit, and only then answers leave. *Workers* do what is slow and own nothing.
 *
 * The model follows the database: whoever changes a structure in memory inside a unit says how to
 * take that back (manager_undo), for a unit that is refused after it wrote and for a commit that
 * the disk refuses. What the outside may only learn once it is durable waits with manager_after.
 *
 * Functions here belong to the fleet thread unless they say "any thread". */
#pragma once

#include "base/random.h"
#include "base/time.h"
#include "io/loop.h"
#include "manager/config.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core;
struct front;
struct directory;
struct audit;
struct stream;
struct fleet;
struct enrolment;
struct tunnel;
struct remote;
struct thresholds;
struct history;
struct limits;
struct metrics;

struct manager {
    const struct manager_config *config;
    struct amm_store *store;
    struct amm_now now; /* when the batch began */
    struct amm_random random;

    struct core *core;             /* queue, timers, descriptors, workers (core.c) */
    struct front *front;           /* listeners (front.h) */
    struct directory *directory;   /* users, logins, tokens (directory.h) */
    struct limits *limits;         /* rates (limits.h) */
    struct audit *audit;           /* end of the chain (audit.h) */
    struct stream *stream;         /* event streams (stream.h) */
    struct fleet *fleet;           /* tenants, groups, gateways (fleet.h) */
    struct enrolment *enrolment;   /* identities, tokens, amm-cad (enrolment.h) */
    struct tunnel *tunnel;         /* places, amm-tunneld (tunnel.h) */
    struct remote *remote;         /* remote sessions, amm-proxyd (remote.h) */
    struct thresholds *thresholds; /* columns of the dashboard (thresholds.h) */
    struct history *history;       /* stats over time (history.h) */
    /* Bytes that a gateway's tunnel has carried since the last call; NULL: nobody counts. */
    void (*tunnel_bytes)(struct manager *m, int64_t gateway, uint64_t in, uint64_t out);
};

/* A part of the manager with state of its own; all of them stand in modules.c, in the order in
 * which they start (stop: backwards). NULL for what a module does not need. */
struct manager_module {
    const char *name;
    /* As root, before the privileges go: sockets and files that the user cannot open. */
    bool (*prepare)(struct manager *m, char *error, size_t room);
    /* In the fleet thread, with the store open, inside a unit, before the first request: read
     * tables into memory, set timers, watch descriptors. */
    bool (*start)(struct manager *m, char *error, size_t room);
    void (*stop)(struct manager *m); /* frees; the store is still open */
    void (*metrics)(struct manager *m, struct metrics *out);
};
extern const struct manager_module *const manager_modules[]; /* ended by NULL */

/* ---- units ---- */

/* Called with the bytes that were given, when this unit (or the whole batch) is rolled back;
 * newest first. `data` is copied. */
void manager_undo(struct manager *m, void (*undo)(struct manager *m, void *data), const void *data,
                  size_t len);

/* Called with the bytes that were given when the batch is durable, in order; forgotten when the
 * unit or the batch is rolled back. Must not write to the store. */
void manager_after(struct manager *m, void (*after)(struct manager *m, void *data),
                   const void *data, size_t len);

/* The running unit is undone when it returns: store and model. For posted calls, timers and
 * descriptors; a job's unit fails by job_error. */
void manager_fail(struct manager *m);

/* Any thread: runs `run` in the fleet thread, as a unit. Never fails, never blocks for long. */
void manager_post(struct manager *m, void (*run)(struct manager *m, void *context), void *context);

/* Runs `work` in a worker, then `done` in the fleet thread, as a unit. False: too much is waiting
 * already (answer 503), nothing was taken. */
bool manager_work(struct manager *m, void (*work)(void *context),
                  void (*done)(struct manager *m, void *context), void *context);

/* ---- timers and descriptors ---- */

/* Embedded in whatever waits; zeroed at first. `fire` runs as a unit, once per set. */
struct manager_timer {
    void (*fire)(struct manager *m, struct manager_timer *timer);
    void *context;
    amm_time at;       /* private from here */
    uint32_t position; /* in the heap + 1; 0: not set */
};
/* Monotonic; AMM_NEVER cancels. A set timer must not move in memory. O(log n). */
void manager_timer_set(struct manager *m, struct manager_timer *timer, amm_time at);

/* Embedded; a watched descriptor. `ready` runs as a unit. */
struct manager_watch {
    void (*ready)(struct manager *m, struct manager_watch *watch, const struct amm_ready *ready);
    void *context;
    int fd;
    uint32_t number; /* private */
};
bool manager_watch_add(struct manager *m, struct manager_watch *watch, unsigned interest);
bool manager_watch_change(struct manager *m, struct manager_watch *watch, unsigned interest);
void manager_watch_remove(struct manager *m, struct manager_watch *watch); /* does not close fd */

/* ---- listeners ---- */

enum manager_listener {
    LISTENER_CONSOLE = 1,  /* API and console: TLS, or plain on loopback */
    LISTENER_GATEWAYS = 2, /* check-in, EST, time: TLS, certificate of a gateway optional */
    LISTENER_LOCAL = 4,    /* unix socket of ammctl: uid 0 is the system administrator */
    LISTENER_METRICS = 8,
    LISTENER_TUNNEL = 16, /* sockets on the tunnel addresses; jobs see LISTENER_GATEWAYS */
};

/* Any thread: a listening socket on a tunnel address, from amm-tunneld; served like
 * LISTENER_GATEWAYS, with job->in_tunnel. The descriptor is taken over, whatever the result. */
bool manager_listen_tunnel(struct manager *m, int fd);

/* Any thread: closes all of those; connections go on. Before new ones come from another
 * amm-tunneld. */
void manager_unlisten_tunnel(struct manager *m);

/* ---- the state of the store ---- */

/* OK, or why writing is refused at the moment (FULL, READ_ONLY, ...). While it is not OK, requests
 * that change something are answered with 507 (gateways: 503) at once, and every second a small
 * transaction tries whether it is over. */
enum amm_store_result manager_store_state(const struct manager *m);
