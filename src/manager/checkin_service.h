/* POST /checkin: who it is, whether it may come now, and the answer. Fleet thread, but for
 * checkin_service_slot. */
#pragma once

#include "manager/manager.h"
#include "manager/metrics.h"

void checkin_service_start(struct manager *m);
void checkin_service_metrics(struct metrics *out);

/* Any thread: seconds of Retry-After for a gateway's request that finds the queue full: a slot of
 * its own, at the rate that the server has shown. */
uint32_t checkin_service_slot(amm_time now);
