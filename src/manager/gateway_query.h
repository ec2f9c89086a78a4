/* Lists of gateways: conditions, order, pages, counts, all from memory.
 *
 * A page goes on behind the last one before by key and id (keyset), so that it costs the same at
 * every depth and misses nothing that stood still. Owner: the fleet thread. */
#pragma once

#include "gateway_stat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QUERY_CONDITIONS = 8,
    QUERY_LIMIT = 1000,
    QUERY_TEXT = 257,
    QUERY_CURSOR = 400,
    QUERY_SEARCH = 80,
    QUERY_ANY = 0xff,
};

enum query_operator {
    QUERY_HAS,      /* "Platform" */
    QUERY_LACKS,    /* "!Platform" */
    QUERY_EQUAL,    /* "Platform=RV50" */
    QUERY_UNEQUAL,  /* "Platform!=RV50": also when there is none */
    QUERY_BELOW,    /* "CellLink-RSSI<-100" */
    QUERY_AT_MOST,  /* "<=" */
    QUERY_ABOVE,    /* ">" */
    QUERY_AT_LEAST, /* ">=" */
    QUERY_CONTAINS, /* "Platform~rv": without regard to case */
};

/* A condition on a stat, or on a label of one: "AssetTemperature/dock>20". */
struct query_condition {
    char stat[AMM_STAT_NAME_MAX + 1], label[AMM_STAT_NAME_MAX + 1]; /* label "": none */
    enum query_operator operator;
    char text[QUERY_TEXT];
    double number;
    bool is_number;      /* `text` is one: compared as such with numbers */
    struct stat_key key; /* of stat and label; filled by gateway_query_run */
};

enum query_sort {
    QUERY_BY_NAME,
    QUERY_BY_SERIAL,
    QUERY_BY_LAST_CHECKIN,
    QUERY_BY_TUNNEL, /* address; those that are down last */
    QUERY_BY_STAT,   /* numbers before texts, those without one last */
    QUERY_BY_WORST,  /* state of its thresholds, errors first; then by name */
};

struct gateway_query {
    uint32_t mark;               /* groups that count: group->mark == mark */
    uint8_t kind, access, sync;  /* enum, or QUERY_ANY */
    uint8_t tunnel, late, clone; /* 0, 1, or QUERY_ANY */
    uint8_t checkin;             /* enum lamp, or QUERY_ANY */
    uint8_t alarm;               /* enum threshold_state, or QUERY_ANY */
    uint16_t port;               /* tunnel port that it is at home on; 0: any */
    char text[QUERY_SEARCH]; /* in name, serial number, device name, note or tunnel address; "": any
                              */
    size_t n_conditions;
    struct query_condition conditions[QUERY_CONDITIONS];
    int64_t now;

    enum query_sort sort;
    char sort_stat[AMM_STAT_NAME_MAX + 1], sort_label[AMM_STAT_NAME_MAX + 1];
    bool descending;
    char after[QUERY_CURSOR]; /* cursor of the page before; "": from the start */
    size_t limit;             /* 1 to QUERY_LIMIT */
    bool want_total;
};

struct gateway_page {
    size_t n;
    struct fleet_gateway *at[QUERY_LIMIT];
    bool has_more;
    char next[QUERY_CURSOR]; /* if has_more */
    size_t total;            /* with want_total; else no number to be relied on */
};

void gateway_query_init(struct gateway_query *query, int64_t now);

/* "CellLink-RSSI<-100;Platform=RV50": adds to the query. False with a sentence. */
bool gateway_query_conditions(struct gateway_query *query, const char *text, char *error,
                              size_t room);
/* "name", "serial", "last_checkin", "tunnel", "worst", "stat:CellLink-RSSI",
 * "stat:Interface-rxBytes/eth0". False: none of these. */
bool gateway_query_sort(struct gateway_query *query, const char *text);

/* False: the cursor is none of ours. */
bool gateway_query_run(struct fleet *fleet, struct gateway_query *query, struct gateway_page *out);

struct gateway_counts {
    uint32_t total, tunnel_up, late, cloned;
    uint32_t by_kind[FLEET_KINDS], by_access[FLEET_ACCESSES], by_sync[FLEET_SYNCS];
};
/* Calls `each` with all that fit, by name. */
void gateway_query_each(struct fleet *fleet, struct gateway_query *query,
                        void (*each)(void *context, struct fleet_gateway *gateway), void *context);
void gateway_query_count(struct fleet *fleet, struct gateway_query *query,
                         struct gateway_counts *out);
