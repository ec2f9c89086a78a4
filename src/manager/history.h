/* Values over time, for charts: of the stats that are marked for it (domain/stats.h), and traffic
 * by purpose.
 *
 * A sample is taken behind each check-in and written soon, at most HISTORY_PER_SECOND gateways a
 * second, so that a storm of check-ins costs no more: until then it is in memory, and a crash loses
 * that much of a chart (a stop loses nothing). Traffic alone is written every quarter of an hour.
 * Fleet thread. */
#pragma once

#include "history_block.h"
#include "manager/job.h"

enum {
    HISTORY_PER_SECOND = 200,    /* five times as many while more than 20 000 wait */
    HISTORY_TRAFFIC_EVERY = 900, /* seconds */
    HISTORY_MEMORY = 32 << 20,   /* of what waits; beyond it samples are dropped and counted */
};

extern const struct manager_module history_module;
extern const struct route history_routes[];

/* So many bytes more; any time in the fleet thread. Bodies of web pages are counted by whoever
 * takes the proxy's reports, HISTORY_PAGE. */
void history_traffic(struct manager *m, int64_t gateway, enum history_purpose purpose,
                     uint64_t bytes);

/* What waits of a gateway and is not in the store yet: its block (hour of its beginning in *hour);
 * empty if there is none. */
struct amm_view history_waiting(const struct manager *m, int64_t gateway, int64_t *hour);
