/* The fleet in memory: tenants, groups, gateways and their certificates, with everything that
 * lists, filters, dashboards and check-ins need. The store is the truth; this is read from it at
 * the start and changed with it.
 *
 * Owner: the fleet thread; no locks. Pointers are good until the end of the job that got them:
 * keep ids. At most 3 KiB a gateway, indexes included.
 *
 * Changing. A function that changes something writes to the store first and to memory then, inside
 * the transaction of the job, and notes what it touched. The owner of transactions says how it
 * ended:
 *
 *     mark = fleet_mark(fleet);                   before a job
 *     fleet_rollback(fleet, mark);                behind ROLLBACK TO SAVEPOINT of that job
 *     fleet_rollback(fleet, 0);                   behind a ROLLBACK of the whole batch, or a COMMIT
 *                                                 that failed
 *     fleet_committed(fleet);                     behind COMMIT, before the answers leave
 *
 * fleet_rollback reads what was touched from the store again, so that memory never says more than
 * what is saved. fleet_committed tells the watchers: what goes out (events to browsers, the
 * gateways file of the tunnel server) goes out only of what is saved. */
#pragma once

#include "domain/checkin.h"
#include "values.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_store; /* store/store.h */
struct fleet;

enum {
    FLEET_NAME_MAX = 64,        /* of gateways and groups, characters */
    FLEET_SLUG_MAX = 32,        /* of tenants: lower-case letters, digits, '-' */
    FLEET_TITLE_MAX = 128,      /* of tenants, bytes */
    FLEET_COMMON_NAME_MAX = 64, /* of certificates, RFC 5280 A.1 */
    FLEET_TUNNEL_NAME = FLEET_NAME_MAX + 1 + FLEET_SLUG_MAX + 1, /* name@tenant and NUL */
    FLEET_SERIAL_MAX = 64,
    FLEET_DEPTH_MAX = 8,  /* groups in groups */
    FLEET_KEY_HASH = 32,  /* SHA-256 of a public key */
    FLEET_INTERVAL = 900, /* seconds between check-ins unless set */
    FLEET_INTERVAL_LOW = 14400,
    FLEET_LATE_GRACE = 60,
};

/* Why something cannot be done, ready for the API. `name` is stable and static. */
struct fleet_error {
    int status; /* 400, 404, 409, 503 */
    const char *name;
    char field[AMM_STAT_NAME_MAX + 24];
    char text[256];
};

/* Fills `error` (may be NULL) and returns false. */
bool fleet_refuse(struct fleet_error *error, int status, const char *name, const char *field,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

/* ---- tenants and groups ---- */

/* Each tenant has one root group, in memory only: id 0, the name of the tenant. Every gateway is in
 * a group; what the store has directly under the tenant (group 0) is in its root group. A branch is
 * a group with all below it: the root group is the whole tenant. */
struct fleet_tenant {
    int64_t id;
    char slug[FLEET_SLUG_MAX + 1]; /* in tunnel names; "main" is the first tenant */
    char title[FLEET_TITLE_MAX + 1];
    int64_t created_at;
    struct fleet_group *root;
    uint32_t n_gateways;
    uint32_t gateways_max; /* 0: no limit of its own */
};

/* A desired parameter: of a gateway, or of a group as a template for all below it. */
struct fleet_desired {
    uint16_t id; /* MSCIID */
    bool local;  /* a gateway's own page has set it later than the server did: masks what templates
                    say, is not sent */
    int64_t at;  /* wall seconds */
    char *by;    /* "alice@main", "user" of the gateway's page; never NULL */
    char *value; /* canonical text (domain/msci.h); never NULL */
};

struct fleet_settings {
    uint32_t n;
    struct fleet_desired *at; /* by id */
};

enum fleet_clone_policy { FLEET_CLONE_INHERIT, FLEET_CLONE_FLAG, FLEET_CLONE_QUARANTINE };

/* When gateways of a branch keep their tunnel up; stored. */
enum fleet_tunnel_policy {
    FLEET_TUNNEL_INHERIT, /* of the tenant itself: always */
    FLEET_TUNNEL_ALWAYS,
    FLEET_TUNNEL_ON_DEMAND, /* only when it was ordered */
    FLEET_TUNNEL_SCHEDULED, /* in the window, and when it was ordered */
    FLEET_TUNNEL_POLICIES,
};
const char *fleet_tunnel_policy_name(enum fleet_tunnel_policy policy); /* "on-demand" */

/* How many gateways of a branch are how: of the group and all below it (lamps.h). Only uint32_t, so
 * that they are added as an array. */
struct branch_counts {
    uint32_t gateways;
    uint32_t checkin_up, checkin_late, checkin_missing, checkin_never; /* not of OpenVPN routers */
    uint32_t tunnel_up, tunnel_down, tunnel_resting, tunnel_never;
    uint32_t pending; /* settings not in sync */
};

struct fleet_group {
    int64_t id; /* 0: root group */
    int64_t created_at;
    struct fleet_tenant *tenant;
    struct fleet_group *parent; /* NULL: root group */
    struct fleet_group *first_child, *next_sibling;
    char name[FLEET_NAME_MAX + 1];
    uint8_t depth;                   /* root group: 0 */
    uint8_t clone_policy;            /* enum fleet_clone_policy */
    uint8_t tunnel_policy;           /* enum fleet_tunnel_policy */
    uint16_t window_from, window_to; /* SCHEDULED: minutes of the day, UTC; may go past midnight */
    uint32_t n_gateways;             /* in it, not below it */
    uint32_t mark;                   /* for one scan at a time: fleet_group_mark_branch */
    struct fleet_settings template;
    struct branch_counts counts; /* as of the last fleet_count_branches */
};

/* ---- gateways ---- */

enum fleet_kind {
    FLEET_OURS,    /* runs acemanager */
    FLEET_ALEOS,   /* a real AirLink gateway */
    FLEET_OPENVPN, /* any router with an OpenVPN client and a connection file */
    FLEET_KINDS,
};
const char *fleet_kind_name(enum fleet_kind kind); /* "amm", "aleos", "openvpn" */

enum fleet_access {
    FLEET_NEW, /* known, has never enrolled (no certificate, no connection file) */
    FLEET_ADMITTED,
    FLEET_QUARANTINED, /* no tunnel, no check-in, until released */
    FLEET_REVOKED,     /* its certificates are revoked; it must enrol anew */
    FLEET_ACCESSES,
};
const char *fleet_access_name(enum fleet_access access); /* "new", "admitted", ... */

/* Configuration states of AMM. */
enum fleet_sync {
    FLEET_SYNC_NONE, /* no software of ours */
    FLEET_SYNC_REGISTRATION,
    FLEET_SYNC_IN_SYNC,
    FLEET_SYNC_TO_GATEWAY,
    FLEET_SYNC_FROM_GATEWAY,
    FLEET_SYNC_FIRMWARE,
    FLEET_SYNCS,
};
const char *fleet_sync_name(enum fleet_sync sync); /* "in-sync", "pending-to-gateway", ... */
const char *fleet_sync_text(enum fleet_sync sync); /* "Pending (sync to device)" */

/* The tunnel as it is, set by the module that listens to amm-tunneld; in memory only. */
struct fleet_tunnel {
    uint16_t port;      /* where it is at home; 0: nowhere yet */
    uint16_t slot;      /* on that port */
    uint16_t up_port;   /* where it is up; 0: it is down */
    bool stale;         /* amm-tunneld has not been heard since: as it was */
    uint32_t inner_ip;  /* host order; 0 while it is down */
    int64_t since;      /* of being up, or down; wall seconds; 0: unknown */
    uint16_t move_port; /* other port that it may be on until move_until; 0: none */
    int64_t move_until;
    int64_t error_at; /* of last_error; 0: none */
    char *last_error; /* in words; NULL: none; set by fleet_tunnel_error */
};

/* What a certificate was issued for; numbers as amm-cad has them (ipc/cad.h). */
enum fleet_identity_kind {
    FLEET_IDENTITY_GATEWAY = 1,
    FLEET_IDENTITY_CONNECTION_FILE = 2, /* for the tunnel only */
};

/* A certificate that was issued for a gateway and is not long over. */
struct fleet_identity {
    int64_t id;
    struct fleet_gateway *gateway;
    struct fleet_identity *next; /* of the same gateway */
    uint8_t key_hash[FLEET_KEY_HASH];
    uint8_t kind; /* enum fleet_identity_kind */
    int64_t not_before, not_after;
    int64_t revoked_at; /* 0: it is not */
};

struct fleet_gateway {
    int64_t id;
    struct fleet_group *group; /* ->tenant */
    char *name;                /* unique in its tenant, never changes */
    char *serial;              /* unique in the server; "" if unknown */
    char *note;                /* of the operators; "" */
    struct fleet_identity *identities;
    uint8_t kind, access; /* enum fleet_kind, fleet_access */
    uint32_t interval;    /* seconds; see fleet_interval */
    uint8_t sync;         /* enum fleet_sync, kept up to date */
    bool clone_flag;     /* two live uses of its identity were seen and nobody has said otherwise */
    char *access_reason; /* why it is quarantined or revoked; NULL */
    int64_t access_at, created_at;

    /* check-in */
    int64_t first_checkin, last_checkin; /* 0: never */
    int64_t slot_at;                     /* retry slot given to it; 0: none */
    uint64_t seq;                        /* last taken */
    uint64_t body_digest;                /* of the message with that seq */
    uint64_t events_seen;                /* highest event id that is saved */
    char hash[AMM_CHECKIN_HASH]; /* state that it builds on next; "": needs a full check-in */
    char tunnel_hash[AMM_CHECKIN_HASH];
    uint32_t boot;
    int64_t booted_at;  /* 0: unknown */
    int32_t clock_skew; /* its clock minus ours, seconds; INT32_MIN: unknown */
    uint8_t clock;      /* enum amm_clock_source */
    uint8_t stale_seen; /* check-ins with old numbers, since stale_at */
    bool late_noted;    /* an event said that it is late */
    int64_t stale_at;
    int64_t paid_until; /* monotonic: how far ahead its check-ins are of the rate that is allowed */
    int64_t rows_until; /* the same of the rows that it makes the server keep (event_may_keep) */
    bool flood_noted;   /* an event said that it brings too many */
    bool want_full;

    /* settings */
    int64_t revision;        /* of the set that was offered last */
    uint64_t offer;          /* digest of that set */
    int64_t revision_taken;  /* reported */
    int64_t revision_failed; /* that it could not take; 0: none */
    char *settings_error;    /* why; "" */
    struct fleet_settings desired;
    struct values *reported; /* parameters in force */
    struct values *stats;

    uint8_t alarm;      /* enum threshold_state: the worst of its thresholds (thresholds.c) */
    bool threshold_due; /* to be looked at again */

    uint16_t open_operations; /* not ended */
    uint16_t open_upgrades;   /* of them, new software */
    struct fleet_tunnel tunnel;
};

/* ---- life ---- */

/* Reads everything. NULL with a sentence in `error`. The store must outlive the fleet. */
struct fleet *fleet_load(struct amm_store *store, int64_t now, char *error, size_t room);
struct fleet *fleet_free(struct fleet *fleet);
struct amm_store *fleet_store(struct fleet *fleet);

size_t fleet_mark(struct fleet *fleet);
void fleet_rollback(struct fleet *fleet, size_t mark);
void fleet_committed(struct fleet *fleet);

/* What was done to a gateway; bits. */
enum fleet_change {
    FLEET_CREATED = 1,
    FLEET_DELETED = 2,
    FLEET_MOVED = 4,  /* another group */
    FLEET_ACCESS = 8, /* quarantined, released, revoked, admitted, identities */
    FLEET_CHECKED_IN = 16,
    FLEET_VALUES = 32,   /* stats or reported parameters */
    FLEET_SETTINGS = 64, /* desired parameters, of itself or of a group above it */
    FLEET_TUNNEL = 128,
    FLEET_OPERATIONS = 256,
    FLEET_EVENTS = 512,
    FLEET_EDITED = 1024, /* serial, note, kind */
};

struct fleet_note {
    int64_t gateway_id, group_id,
        tenant_id; /* where it is now; gateway_id 0: all below the group */
    unsigned changes;
};

/* Watchers are called by fleet_committed, at least once for each gateway that was touched, in the
 * fleet thread; they must not write to the store. At most 8, added before the thread runs. */
void fleet_watch(struct fleet *fleet, void (*changed)(void *context, const struct fleet_note *note),
                 void *context);

/* An event was added (events.h), inside its unit: for whoever sends it on, once it is durable. One
 * function. */
struct fleet_event {
    const char *kind, *text;
    int64_t at;
    bool is_reported; /* by the gateway; else the server's own */
};
void fleet_on_event(struct fleet *fleet,
                    void (*added)(void *context, const struct fleet_gateway *gateway,
                                  const struct fleet_event *event),
                    void *context);

/* Asked before the server desires another tunnel port (10034) of `gateway`, or, if that is NULL, of
 * all below `group`; inside the unit that sets it, and may write. One; without it nobody is asked.
 */
void fleet_on_port(struct fleet *fleet,
                   bool (*may)(void *context, struct fleet_gateway *gateway,
                               struct fleet_group *group, uint32_t port, struct fleet_error *error),
                   void *context);

/* Notes a change that was made to `gateway` by another module (tunnel, enrolment). */
void fleet_touch(struct fleet *fleet, struct fleet_gateway *gateway, unsigned changes);
/* The same for all gateways below `group`. */
void fleet_touch_group(struct fleet *fleet, struct fleet_group *group, unsigned changes);

/* ---- finding; NULL: none ---- */

struct fleet_tenant *fleet_tenant_find(struct fleet *fleet, int64_t id);
struct fleet_tenant *fleet_tenant_by_slug(struct fleet *fleet, const char *slug);
struct fleet_group *fleet_group_find(struct fleet *fleet, int64_t id); /* never a root group */
/* The branch that a role or an object names: group 0 is the tenant's root group. */
struct fleet_group *fleet_branch_find(struct fleet *fleet, int64_t tenant, int64_t group);
struct fleet_gateway *fleet_gateway_find(struct fleet *fleet, int64_t id);
struct fleet_gateway *fleet_gateway_by_name(struct fleet *fleet, const struct fleet_tenant *tenant,
                                            const char *name);
struct fleet_gateway *fleet_gateway_by_serial(struct fleet *fleet, const char *serial);
struct fleet_gateway *fleet_gateway_by_tunnel_name(struct fleet *fleet, const char *name);

/* All tenants by slug, all gateways by (name, id): 0 .. count-1. */
size_t fleet_tenant_count(const struct fleet *fleet);
struct fleet_tenant *fleet_tenant_at(const struct fleet *fleet, size_t i);
size_t fleet_gateway_count(const struct fleet *fleet);
struct fleet_gateway *fleet_gateway_at(const struct fleet *fleet, size_t i);
/* The position of the first gateway behind (name, id): where a page goes on. */
size_t fleet_gateway_behind(const struct fleet *fleet, const char *name, int64_t id);

/* The name in its certificate and in the gateways file: `name`, or `name@slug` outside "main". */
void fleet_tunnel_name(const struct fleet_gateway *gateway, char out[FLEET_TUNNEL_NAME]);

/* True if `group` is `branch` or below it; NULL as branch is everything. */
bool fleet_group_within(const struct fleet_group *group, const struct fleet_group *branch);

/* Marks all groups of a branch for a scan and returns the mark: `group->mark == mark` then says
 * that a group is in it. NULL: all groups. */
uint32_t fleet_group_mark_branch(struct fleet *fleet, struct fleet_group *branch);

/* A mark for a scan that sets group->mark itself. */
uint32_t fleet_mark_new(struct fleet *fleet);

uint32_t fleet_group_gateways_below(const struct fleet_group *group);

/* ---- changing tenants and groups; false with `error` ---- */

/* 1 to 64 printable characters, no < > " \ and no blank at either end: UTF-8. */
bool fleet_name_ok(const char *name);
/* 1 to 64 letters, digits, '-', '_', '.'; not "." or "..". */
bool fleet_gateway_name_ok(const char *name);
/* At most 64 letters, digits and - _ . : /; "": not known. */
bool fleet_gateway_serial_ok(const char *serial);

struct fleet_tenant *fleet_tenant_add(struct fleet *fleet, const char *slug, const char *title,
                                      int64_t now, struct fleet_error *error);
bool fleet_tenant_retitle(struct fleet *fleet, struct fleet_tenant *tenant, const char *title,
                          struct fleet_error *error);
bool fleet_tenant_limit(struct fleet *fleet, struct fleet_tenant *tenant, uint32_t gateways_max,
                        struct fleet_error *error);
/* Only without gateways and groups. */
bool fleet_tenant_remove(struct fleet *fleet, struct fleet_tenant *tenant,
                         struct fleet_error *error);

struct fleet_group *fleet_group_add(struct fleet *fleet, struct fleet_group *parent,
                                    const char *name, int64_t now, struct fleet_error *error);
bool fleet_group_rename(struct fleet *fleet, struct fleet_group *group, const char *name,
                        struct fleet_error *error);
/* Within its tenant; not below itself. */
bool fleet_group_move(struct fleet *fleet, struct fleet_group *group, struct fleet_group *parent,
                      struct fleet_error *error);
bool fleet_group_set_clone_policy(struct fleet *fleet, struct fleet_group *group,
                                  enum fleet_clone_policy policy, struct fleet_error *error);
/* Only SCHEDULED has a window: minutes, 0 to 1439, not equal. */
bool fleet_group_set_tunnel_policy(struct fleet *fleet, struct fleet_group *group,
                                   enum fleet_tunnel_policy policy, uint16_t from, uint16_t to,
                                   struct fleet_error *error);
/* The group whose policy is in force for this one: itself or the nearest above that has one; NULL:
 * none, which means ALWAYS. */
const struct fleet_group *fleet_tunnel_policy_group(const struct fleet_group *group);
/* True if a tunnel should be up by the policy now, without an order. */
bool fleet_tunnel_policy_wants(const struct fleet_group *group, int64_t now);

/* Only without gateways and groups; never a root group. */
bool fleet_group_remove(struct fleet *fleet, struct fleet_group *group, struct fleet_error *error);

/* ---- changing gateways ---- */

struct fleet_gateway_new {
    struct fleet_group *group;
    const char *name, *serial, *note; /* serial, note: NULL is "" */
    enum fleet_kind kind;
};
struct fleet_gateway *fleet_gateway_add(struct fleet *fleet, const struct fleet_gateway_new *what,
                                        int64_t now, struct fleet_error *error);
/* NULL leaves a member as it is. */
bool fleet_gateway_edit(struct fleet *fleet, struct fleet_gateway *gateway, const char *serial,
                        const char *note, const enum fleet_kind *kind, struct fleet_error *error);
bool fleet_gateway_move(struct fleet *fleet, struct fleet_gateway *gateway,
                        struct fleet_group *group, struct fleet_error *error);
bool fleet_gateway_remove(struct fleet *fleet, struct fleet_gateway *gateway,
                          struct fleet_error *error);

/* `reason` in words, may be NULL. FLEET_ADMITTED also clears the clone flag. */
bool fleet_gateway_set_access(struct fleet *fleet, struct fleet_gateway *gateway,
                              enum fleet_access access, const char *reason, int64_t now,
                              struct fleet_error *error);

/* After an enrolment with a token (not after a renewal): what comes next starts from nothing. The
 * numbers (seq, boot, events) may be low again, and the state is asked for in full. */
bool fleet_gateway_restart_numbers(struct fleet *fleet, struct fleet_gateway *gateway,
                                   struct fleet_error *error);

/* Two live uses of one identity, seen by `how` ("check-ins with seq 41 of two starts"): flags it,
 * writes an event, and quarantines by the policy of its groups. */
bool fleet_gateway_cloned(struct fleet *fleet, struct fleet_gateway *gateway, const char *how,
                          int64_t now, struct fleet_error *error);
enum fleet_clone_policy fleet_clone_policy_of(const struct fleet_gateway *gateway);

/* True if it may have a tunnel, be answered, at all: admitted. */
bool fleet_gateway_is_admitted(const struct fleet_gateway *gateway);

/* ---- identities: the enrolment writes the store, this is the index ---- */

struct fleet_identity *fleet_identity_find(struct fleet *fleet,
                                           const uint8_t key_hash[FLEET_KEY_HASH]);
/* Adds to memory, or changes the one with that id; the row is written by the caller, in the same
 * job. NULL: out of memory. */
struct fleet_identity *fleet_identity_put(struct fleet *fleet, struct fleet_gateway *gateway,
                                          const struct fleet_identity *what);
/* Forgets those that had ended a day before `wall`: the store keeps them. */
void fleet_identity_expire(struct fleet *fleet, int64_t wall);

/* ---- what follows from the values ---- */

/* Seconds between check-ins: desired 60003 and 60004, else as reported, else 900. */
uint32_t fleet_interval(const struct fleet_gateway *gateway);
/* The next check-in has not come for two intervals and a minute. */
bool fleet_is_late(const struct fleet_gateway *gateway, int64_t now);
/* When it becomes late; INT64_MAX if it has never checked in. */
int64_t fleet_late_at(const struct fleet_gateway *gateway);

/* What is desired of `id`: its own setting, else the nearest template above; NULL: nothing.
 * `*from` (may be NULL): the group whose template says so; NULL for its own. */
const struct fleet_desired *fleet_desired(const struct fleet_gateway *gateway, uint32_t id,
                                          const struct fleet_group **from);
/* As reported, as text (canonical); false: never reported. */
bool fleet_reported(const struct fleet_gateway *gateway, uint32_t id, char *out, size_t room);
/* Desired if something is, else reported. */
bool fleet_effective(const struct fleet_gateway *gateway, uint32_t id, char *out, size_t room);

/* When the certificate of the tunnel server is valid (seconds since 1970); without a call, always.
 */
void fleet_server_certificate(struct fleet *fleet, int64_t not_before, int64_t not_after);

/* ManagementTunnel-IPAddress; false while the tunnel is down. */
bool fleet_tunnel_address(const struct fleet_gateway *gateway, char out[16]);
/* Copies the text; NULL takes it away. Memory only. */
void fleet_tunnel_error(struct fleet_gateway *gateway, const char *text, int64_t now);
/* Works out `sync` and `interval` anew: of one, or of all below a group. */
void fleet_sync_update(struct fleet_gateway *gateway);
void fleet_sync_update_below(struct fleet *fleet, struct fleet_group *group);
