/* The filters of lists of gateways: one set of parameters for the list, the counts, the dashboard
 * and exports. Fleet thread. */
#pragma once

#include "gateway_query.h"
#include "manager/job.h"

#define GATEWAY_KINDS "amm|aleos|openvpn"
#define GATEWAY_ACCESSES "new|admitted|quarantined|revoked"
#define GATEWAY_SYNCS                                                                              \
    "none|pending-registration|in-sync|pending-to-gateway|pending-from-gateway|pending-firmware"

/* For a route's query. */
#define GATEWAY_FILTERS                                                                            \
    {"tenant", FIELD_ID, false, 1, 0, NULL, "of this tenant"},                                     \
        {"group", FIELD_ID, false, 0, 0, NULL, "in this group or below it"},                       \
        {"kind", FIELD_CHOICE, false, 0, 0, GATEWAY_KINDS, "of this kind"},                        \
        {"access", FIELD_CHOICE, false, 0, 0, GATEWAY_ACCESSES, "with this access"},               \
        {"sync", FIELD_CHOICE, false, 0, 0, GATEWAY_SYNCS, "with settings in this state"},         \
        {"tunnel", FIELD_CHOICE, false, 0, 0, "up|down", "whose tunnel is so"},                    \
        {"port", FIELD_NUMBER, false, 1, 65535, NULL, "at home on this tunnel port"},              \
        {"late", FIELD_BOOL, false, 0, 0, NULL, "whose check-in has (not) come"},                  \
        {"checkin",                                                                                \
         FIELD_CHOICE,                                                                             \
         false,                                                                                    \
         0,                                                                                        \
         0,                                                                                        \
         "up|late|missing|never",                                                                  \
         "whose check-ins are so: in time, late, missing, never yet"},                             \
        {"state",                                                                                  \
         FIELD_CHOICE,                                                                             \
         false,                                                                                    \
         0,                                                                                        \
         0,                                                                                        \
         "ok|warning|error",                                                                       \
         "of whose thresholds the worst is so"},                                                   \
        {"clone", FIELD_BOOL, false, 0, 0, NULL, "of whose identity two live uses were seen"},     \
        {"text",                                                                                   \
         FIELD_TEXT,                                                                               \
         false,                                                                                    \
         1,                                                                                        \
         64,                                                                                       \
         NULL,                                                                                     \
         "in name, serial number, label, note or tunnel address"},                                 \
    {                                                                                              \
        "stat", FIELD_TEXT, false, 1, 1000, NULL,                                                  \
            "conditions on stats, all of them: CellLink-RSSI<-100;Platform=RV50"                   \
    }

/* Likewise: page and order. */
#define GATEWAY_ORDER                                                                              \
    {"limit", FIELD_NUMBER, false, 1, QUERY_LIMIT, NULL, "how many at most; default 100"},         \
        {"after", FIELD_TEXT, false, 1, QUERY_CURSOR - 1, NULL, "`next` of the page before"},      \
        {"sort",                                                                                   \
         FIELD_TEXT,                                                                               \
         false,                                                                                    \
         1,                                                                                        \
         140,                                                                                      \
         NULL,                                                                                     \
         "name, serial, last_checkin, tunnel, worst (the state of its thresholds), or stat:NAME, " \
         "stat:NAME/LABEL; default name"},                                                         \
        {"order", FIELD_CHOICE, false, 0, 0, "asc|desc", "default asc"},                           \
    {                                                                                              \
        "total", FIELD_BOOL, false, 0, 0, NULL, "also say how many there are in all"               \
    }

/* The branch that `tenant` and `group` of the query name, NULL: all. False: answered (404). */
bool gateway_filters_branch(struct job *job, struct fleet_group **out);
/* The same and all filters into *query, which begins here. False: answered. */
bool gateway_filters_take(struct job *job, struct gateway_query *query);
/* Then page and order. False: answered. */
bool gateway_order_take(struct job *job, struct gateway_query *query);
