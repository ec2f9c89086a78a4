/* amm-proxyd: remote access to the pages of gateways. What its parts share.
 *
 * One process, one loop, one thread. A request goes this way:
 *
 *   src/http server -> gate.h    is it ours, has it the cookie, may it come from there
 *                   -> flow.h    the data path: a connection to the gateway, both directions
 * bounded
 *                   -> translate.h   heads, as the gateway's page needs them and as a browser may
 *                                    have them
 *                   -> record.h  one row for the audit log
 *
 * ammd says which remote sessions there are (link.h, ipc/proxy.h). The target of a request is that
 * of its session (session.h), whatever the request says. */
#pragma once

#include "base/random.h"
#include "base/time.h"
#include "proxyd/config.h"

#include "io/loop.h"

#include <stdbool.h>

struct amm_http_server;
struct amm_http_tls;
struct flows;
struct entries;
struct link;
struct probes;
struct record;
struct sessions;

/* A network namespace: device and inode of its file. */
struct proxyd_home {
    uint64_t device, inode;
};

struct proxyd {
    const struct proxyd_config *config;
    struct amm_loop *loop;
    struct amm_now now; /* of this turn of the loop */
    struct amm_random random;
    struct sessions *sessions;
    struct link *link;
    struct record *record;
    struct amm_http_server *server;
    struct amm_http_tls *pages; /* client side: TLS to gateways, trusted by their pins alone */
    struct flows *flows;
    struct entries *entries;
    struct probes *probes;
    unsigned n_ready; /* of this turn */
    struct amm_ready ready[AMM_LOOP_READY];
    bool has_home; /* the tunnels have a namespace of their own */
    struct proxyd_home home;
    amm_time next_look;
    bool stopping;
    bool lost_home; /* the namespace was made anew: only a new start leads into it */
};

/* A descriptor in the loop: embedded in what owns it; `ready` is called in each turn in which it
 * is. Removed by its owner before it is closed; a watch that was removed is not called any more. */
struct proxyd_watch {
    void (*ready)(struct proxyd *proxyd, struct proxyd_watch *watch, const struct amm_ready *ready);
    int fd;
};

bool proxyd_watch(struct proxyd *proxyd, struct proxyd_watch *watch, unsigned interest);
void proxyd_rewatch(struct proxyd *proxyd, struct proxyd_watch *watch, unsigned interest);
void proxyd_unwatch(struct proxyd *proxyd, struct proxyd_watch *watch);
