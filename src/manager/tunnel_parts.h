/* What the files of the tunnel module share. Fleet thread. */
#pragma once

#include "index.h"
#include "ipc/tunnel.h"
#include "manager/moves.h"
#include "manager/places.h"
#include "manager/refused.h"
#include "manager/tunnel.h"

/* Who set 10034 when nobody else did: gives way to a group's template, and to any other word. */
#define TUNNEL_BALANCER "server (balanced)"

/* ---- what is up ---- */

/* One tunnel that amm-tunneld has named: a record for each slot and lane of a port. */
struct tunnel_live {
    uint32_t peer_id; /* 0: none */
    bool is_silent;
    bool is_seen; /* in the status that is being read */
    uint8_t transport, cipher;
    uint16_t port;
    uint32_t inner_ip;
    uint64_t epoch;     /* names this tunnel; 0: not told */
    int64_t since;      /* wall seconds */
    int64_t heard_at;   /* of the last packet, as of the last status */
    int64_t gateway_id; /* 0: a name that the fleet does not have */
    uint64_t rx_bytes, tx_bytes;
    struct amm_address remote;
    struct amm_ipc_login login;
    char client[48];
    char name[AMM_NAME_MAX + 1];
};

/* Takeovers of one gateway's tunnel from elsewhere: two users of one identity push each other out,
 * again and again. */
struct tunnel_rivals {
    struct amm_address out; /* of the tunnel that was replaced last, and when */
    int64_t out_at;
    struct amm_address last; /* whom the last takeover pushed out */
    uint32_t swaps;          /* takeovers, each by who had been pushed out by the one before */
    int64_t since;           /* of the first of them */
};

struct tunnel_port {
    uint16_t port;
    uint16_t ping;    /* as the tunnel server says */
    bool is_draining; /* likewise */
    uint32_t up;      /* likewise */
    uint32_t n_slots;
    struct tunnel_live *live;     /* [2 * (n_slots + 1)] */
    struct tunnel_rivals *rivals; /* [n_slots + 1] */
};

/* ---- second places ---- */

/* A gateway that has a place on another port than at home. */
struct tunnel_way {
    int64_t gateway_id;
    uint16_t port, slot;
    struct move move; /* .to 0: the place is only reserved so far */
};

/* ---- the link ---- */

enum { LINK_QUEUE = 64 };

/* A question to amm-tunneld. `take` gets each answer, then the end of it. */
struct tunnel_request {
    uint8_t type;
    struct amm_ipc_ask ask;
    /* `fd`: that came with it, or -1; the callee's. */
    void (*take)(struct manager *m, void *context, const struct amm_ipc_message *answer, int fd);
    /* `ok`: DONE; else `text` says why not (FAILED, or no tunnel server). Frees `context`. */
    void (*end)(struct manager *m, void *context, bool ok, const char *text);
    void *context;
};

struct tunnel_link {
    struct manager_watch watch;   /* WATCH: status and events */
    struct manager_watch command; /* questions, one a time */
    struct manager_timer retry, refresh;
    amm_duration pause;   /* before the next attempt */
    bool in_status;       /* the status of WATCH is being read */
    amm_time heard_since; /* AMM_NEVER: amm-tunneld is not heard */
    int64_t holder_started;
    uint32_t alarms;
    char version[32];
    char problem[AMM_IPC_TEXT]; /* why it is not heard; "" */
    bool is_asking;
    uint32_t first, n; /* of the queue */
    struct tunnel_request queue[LINK_QUEUE];
    uint32_t n_services; /* listeners on tunnel addresses that are served */
};

/* ---- the gateways file ---- */

struct tunnel_roster {
    bool is_dirty;     /* memory says something else than the file */
    bool has_failed;   /* it could not be written: the timer tries again, not each change */
    bool wants_reload; /* amm-tunneld has not taken the file yet */
    bool is_reloading;
    amm_time reloaded; /* when it was asked last */
    struct manager_timer timer;
    char problem[AMM_CONF_ERROR]; /* why it could not be written or taken; "" */
};

struct tunnel {
    struct manager *m;
    struct places *places;
    struct tunnel_port ports[PLACES_PORTS_MAX];
    size_t n_ports;
    struct index ways;          /* struct tunnel_way by gateway id */
    struct manager_timer moves; /* the next end of a move */
    struct tunnel_link link;
    struct tunnel_roster roster;
    struct refused refused;
    struct manager_timer again;
    int64_t *todo; /* gateways to look at, each in a unit of its own */
    size_t n_todo, todo_room;
};

/* ---- tunnel_places.c: who has which place ---- */

bool tunnel_places_load(struct tunnel *t, char *error, size_t room);
struct tunnel_way *tunnel_way_find(const struct tunnel *t, int64_t gateway_id);
/* True if tunnel_reconcile would have something to do; without it, most check-ins cost nothing. */
bool tunnel_needs_look(const struct tunnel *t, const struct fleet_gateway *gateway);
/* Brings the gateway's places in line with what is desired of it. Inside a unit. */
void tunnel_reconcile(struct tunnel *t, int64_t gateway_id);
/* Ends its move. Inside a unit. False: the store refused. */
bool tunnel_arrive(struct tunnel *t, struct fleet_gateway *gateway);
bool tunnel_give_up(struct tunnel *t, struct fleet_gateway *gateway, const char *why);
/* The gateway is gone from fleet and store. */
void tunnel_forget(struct tunnel *t, int64_t gateway_id);
/* Reserves a place for 10034, and says no with numbers: the hook of fleet_on_port. */
bool tunnel_reserve(void *context, struct fleet_gateway *gateway, struct fleet_group *group,
                    uint32_t port, struct fleet_error *error);

/* ---- tunnel_moves.c: when a move ends ---- */

void tunnel_move_checked_in(struct tunnel *t, struct fleet_gateway *gateway);
void tunnel_move_joined(struct tunnel *t, struct fleet_gateway *gateway, uint16_t port);
void tunnel_moves_expire(struct manager *m, struct manager_timer *timer);
void tunnel_moves_plan(struct tunnel *t); /* sets the timer anew */

/* ---- tunnel_live.c: who is up ---- */

struct tunnel_port *tunnel_port_find(struct tunnel *t, uint32_t port);
/* The tunnel server runs with another pool or limit than we know: after its start with a changed
 * file. Who is up there is forgotten; the status that follows says so. */
void tunnel_port_adopt(struct tunnel *t, const struct amm_ipc_port *port);
/* A status begins, has a peer, has ended: what was not in it is down. */
void tunnel_status_begin(struct tunnel *t);
void tunnel_status_peer(struct tunnel *t, const struct amm_ipc_peer *peer, bool is_news);
void tunnel_status_end(struct tunnel *t);
void tunnel_event(struct tunnel *t, const struct amm_ipc_event *event);
/* amm-tunneld is not heard any more: nothing is known, which is not the same as down. */
void tunnel_unheard(struct tunnel *t);
/* The best tunnel of a gateway; NULL: none is up. */
const struct tunnel_live *tunnel_live_of(const struct tunnel *t,
                                         const struct fleet_gateway *gateway);
/* After a change of its places. */
void tunnel_live_update(struct tunnel *t, struct fleet_gateway *gateway, const char *why);

/* ---- tunnel_roster.c ---- */

void tunnel_roster_touch(struct tunnel *t);  /* the file is written behind this batch */
void tunnel_roster_reload(struct tunnel *t); /* amm-tunneld must read it (again) */
void tunnel_roster_fire(struct manager *m, struct manager_timer *timer);
/* The file as text: malloc'd, "" if nobody may join. NULL: out of memory. */
char *tunnel_roster_text(const struct tunnel *t);

/* ---- tunnel_link.c ---- */

bool tunnel_link_start(struct tunnel *t);
void tunnel_link_stop(struct tunnel *t);
bool tunnel_link_is_up(const struct tunnel *t);
/* False if too many questions wait, or amm-tunneld is not there: `end` is not called then. */
bool tunnel_ask(struct tunnel *t, const struct tunnel_request *request);

/* Where a gateway stands, for access.h. */
struct access_object tunnel_object_of(const struct fleet_gateway *gateway);
bool tunnel_find_gateway(struct manager *m, int64_t id, struct access_object *out);
