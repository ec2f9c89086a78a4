/* What the gateway knows of itself: stats, addresses, time of the modem. Providers fill one
 * structure, one after the other; a later one goes before an earlier one. */
#pragma once

#include "base/address.h"
#include "domain/checkin.h"
#include "acemanager/core.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACE_FACTS_LISTENS = 32, ACE_FACTS_REPORTS = 24 };

struct ace_facts {
    json_t *stats;                                /* object, as in GP-44 */
    struct ace_listen listens[ACE_FACTS_LISTENS]; /* addresses of LAN interfaces */
    size_t n_listens;
    struct {
        uint32_t id; /* MSCIID of a read-only parameter */
        char text[AMM_MSCI_VALUE];
    } reports[ACE_FACTS_REPORTS];
    size_t n_reports;
    int64_t uptime; /* seconds since the kernel started */
    /* Time of GPS or the cellular network: NONE without; seconds that the clock is behind by it. */
    enum amm_clock_source time_source;
    int64_t time; /* wall seconds, valid at `time_mono` */
    amm_time time_mono;
};

bool ace_facts_init(struct ace_facts *facts); /* false: out of memory */
void ace_facts_deinit(struct ace_facts *facts);
void ace_facts_stat(struct ace_facts *facts, const char *name,
                    json_t *value); /* takes `value` over */
void ace_facts_report(struct ace_facts *facts, uint32_t id, const char *text);

/* ---- Linux: /proc, /sys, the kernel's list of addresses ---- */

struct ace_linux {
    const char *lan;    /* names of LAN interfaces, blanks between, '*' at the end of a name for any
                           rest: "br-lan lan*" */
    const char *model;  /* "" to ask the kernel */
    const char *tunnel; /* names of our own tun devices: neither LAN nor WAN */
};

void ace_facts_linux(struct ace_facts *facts, const struct ace_linux *settings);

/* True if `name` is one of `patterns`. */
bool ace_facts_match(const char *patterns, const char *name);

/* ---- the modem, as a file: real modems have a program that keeps it, tests write it ----
 *
 *   {"stats": {"CellLink-RSSI": -71, "GPS Location-latitude": 52.5},
 *    "parameters": {"261": -71}, "time": 1793500000, "time-source": "gps"}
 *
 * `time` is that of the file's last change, to be added to what has passed since. */
bool ace_facts_modem(struct ace_facts *facts, const char *path, amm_time mono, char *error,
                     size_t room);

/* The parser alone. `age`: seconds since the text was written. */
bool ace_facts_modem_parse(struct ace_facts *facts, struct amm_view text, int64_t age,
                           amm_time mono, char *error, size_t room);

/* What the kernel says that identifies this start of the machine: 36 characters and NUL. */
void ace_boot_id(char out[37]);
