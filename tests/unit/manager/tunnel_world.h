/* The tunnel module without threads: units, timers and descriptors with virtual time, on the store
 * and fleet of world.h, and an amm-tunneld that says what the test wants. */
#pragma once

#include "manager/tunnel_parts.h"
#include "world.h"

enum { TUNNEL_WORLD_POSTED = 16384, TUNNEL_WORLD_NOTES = 16384 };

struct tunnel_world {
    struct world world;
    struct manager m;
    struct manager_config config;
    struct tunnel *t;
    bool unit_failed, store_is_full;
    int listening;      /* of the tunnel server; -1: it is not there */
    int watch, command; /* connections of the manager; -1 */
    unsigned reloads;
    char kicked[AMM_NAME_MAX + 1]; /* by the last KICK */
    const char *reload_answer;     /* NULL: good */
};

/* Opens all, with four ports of `limit` places; the module is started. */
struct tunnel_world *tunnel_world_new(uint32_t limit);
void tunnel_world_free(struct tunnel_world *w);
/* Module and memory anew, as after a crash. */
void tunnel_world_restart(struct tunnel_world *w);

/* Around what a test does itself, as a unit; w->unit_failed in between rolls it back. */
void tunnel_world_begin(struct tunnel_world *w);
void tunnel_world_end(struct tunnel_world *w);

/* Runs everything that is due now. */
void tunnel_world_settle(struct tunnel_world *w);
/* Lets so much time pass, in steps of the next timer. */
void tunnel_world_wait(struct tunnel_world *w, amm_duration time);

/* A gateway that has enrolled, with the tunnel enabled. */
struct fleet_gateway *tunnel_world_gateway(struct tunnel_world *w, const char *name,
                                           enum fleet_kind kind);
/* A check-in with these members of "parameters" and, from `more` on, others; it is answered. The
 * revision that was offered last is reported as taken. */
void tunnel_world_checkin(struct tunnel_world *w, struct fleet_gateway *gateway,
                          const char *parameters, const char *more);
/* Desires 10034; false if it was refused (world.error). */
bool tunnel_world_desire(struct tunnel_world *w, struct fleet_gateway *gateway, unsigned port);

/* The tunnel server comes (with nobody up), goes, says something. */
void tunnel_world_serve(struct tunnel_world *w);
void tunnel_world_vanish(struct tunnel_world *w);
/* What its status has, before tunnel_world_serve. */
void tunnel_world_show(struct tunnel_world *w, const struct amm_ipc_peer *peer);
void tunnel_world_event(struct tunnel_world *w, enum amm_ipc_event_kind kind,
                        const struct fleet_gateway *gateway, uint16_t port, uint32_t peer_id,
                        const char *from, const char *reason);

/* The gateways file, without its comment; valid until the next call. */
const char *tunnel_world_file(struct tunnel_world *w);
/* How many events of that kind the gateway has. */
int64_t tunnel_world_events(struct tunnel_world *w, const struct fleet_gateway *gateway,
                            const char *kind);
