/* Inside of the fleet: shared by fleet*.c only. */
#pragma once

#include "base/siphash.h"
#include "fleet.h"
#include "index.h"
#include "store/store.h"

enum { FLEET_WATCHERS = 8, FLEET_IDENTITY_KEPT = 86400 };

enum touched_kind { TOUCHED_TENANT, TOUCHED_GROUP, TOUCHED_GATEWAY };

struct touched {
    uint8_t kind;
    uint16_t changes;
    int64_t id;                  /* group 0: the root group of `tenant_id` */
    int64_t group_id, tenant_id; /* where it was when it was touched */
};

struct fleet {
    struct amm_store *store;
    struct amm_siphash_key key;
    int64_t identities_from; /* certificates that had ended then are not in memory */

    struct fleet_tenant **tenants; /* by slug */
    size_t n_tenants;
    struct index groups; /* by id */

    struct fleet_gateway **gateways; /* by name, id */
    size_t n_gateways, gateways_room;
    struct index by_id, by_name, by_serial, by_tunnel_name, by_key;

    int64_t server_not_before,
        server_not_after; /* of the tunnel server's certificate; 0, 0: unknown */
    int64_t counted_at;   /* wall second of the branches' counts; 0: to be counted anew (lamps.c) */
    size_t late_at;       /* where the next look for late gateways begins */
    uint32_t mark;        /* last one that was given out */
    struct touched *touched;
    size_t n_touched, touched_room, unit; /* unit: where the running one began */

    struct {
        void (*changed)(void *context, const struct fleet_note *note);
        void *context;
    } watchers[FLEET_WATCHERS];
    unsigned n_watchers;

    bool (*may_use_port)(void *context, struct fleet_gateway *gateway, struct fleet_group *group,
                         uint32_t port, struct fleet_error *error);
    void *port_context;
    void (*event_added)(void *context, const struct fleet_gateway *gateway,
                        const struct fleet_event *event);
    void *event_context;
};

/* ---- fleet.c ---- */

uint64_t fleet_hash(const struct fleet *fleet, const void *data, size_t len);
/* Notes a change, at the latest behind it: what cannot be noted cannot be undone, so without memory
 * for it the program ends. */
void fleet_touch_tenant(struct fleet *fleet, const struct fleet_tenant *tenant);
void fleet_touch_one_group(struct fleet *fleet, const struct fleet_group *group, unsigned changes);
void fleet_touch_gateway(struct fleet *fleet, const struct fleet_gateway *gateway,
                         unsigned changes);
/* The store said no: fills `error` and returns false. */
bool fleet_store_refused(struct fleet *fleet, enum amm_store_result result,
                         struct fleet_error *error);
bool fleet_no_memory(struct fleet_error *error);

/* Puts a copy of `text` into *slot; "" and NULL take no memory. False: out of memory, *slot is as
 * it was. */
bool fleet_text_set(char **slot, const char *text);
void fleet_text_free(char *text);
extern char fleet_empty[1]; /* what an empty text points to */

/* ---- fleet_settings.c ---- */

void fleet_settings_clear(struct fleet_settings *settings);
struct fleet_desired *fleet_settings_find(const struct fleet_settings *settings, uint32_t id);
/* Adds or replaces. False: out of memory. */
bool fleet_settings_put(struct fleet_settings *settings, uint16_t id, struct amm_view value,
                        bool local, int64_t at, struct amm_view by);
void fleet_settings_drop(struct fleet_settings *settings, uint16_t id);

/* ---- fleet_index.c: membership; no store ---- */

struct fleet_tenant *fleet_tenant_insert(struct fleet *fleet, int64_t id, const char *slug);
void fleet_tenant_forget(struct fleet *fleet, struct fleet_tenant *tenant);
struct fleet_group *fleet_group_insert(struct fleet *fleet, struct fleet_tenant *tenant,
                                       int64_t id);
void fleet_group_attach(struct fleet_group *group, struct fleet_group *parent);
void fleet_group_detach(struct fleet_group *group);
void fleet_group_forget(struct fleet *fleet, struct fleet_group *group);
/* Makes room for one more, so that fleet_gateway_insert cannot fail for the list. */
struct fleet_gateway *fleet_gateway_insert(struct fleet *fleet, struct fleet_group *group,
                                           int64_t id, const char *name, bool sorted);
void fleet_gateways_sort(struct fleet *fleet);
void fleet_gateway_forget(struct fleet *fleet, struct fleet_gateway *gateway);
bool fleet_serial_set(struct fleet *fleet, struct fleet_gateway *gateway, const char *serial);
void fleet_gateway_place(struct fleet_gateway *gateway, struct fleet_group *group);
void fleet_identities_forget(struct fleet *fleet, struct fleet_gateway *gateway);

/* ---- fleet_rows.c: from the store ---- */

bool fleet_rows_load(struct fleet *fleet, int64_t now, char *error, size_t room);
/* Read one object again; false: the store cannot be read. */
bool fleet_rows_tenant(struct fleet *fleet, int64_t id);
bool fleet_rows_group(struct fleet *fleet, int64_t tenant, int64_t id);
bool fleet_rows_gateway(struct fleet *fleet, int64_t id);

/* ---- fleet_gateway.c ---- */

/* Writes what changes with each check-in. */
bool fleet_seen_write(struct fleet *fleet, struct fleet_gateway *gateway,
                      struct fleet_error *error);
