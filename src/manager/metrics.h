/* /metrics in the text format of Prometheus: each module adds its numbers. */
#pragma once

#include "manager/manager.h"

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER };

/* `name` without the prefix "amm_" ("gateways"); `labels` as in `port="1190"`, or NULL. The help
 * line is written once for rows of one name that follow one another. */
void metrics_add(struct metrics *out, enum metric_kind kind, const char *name, const char *help,
                 const char *labels, double value);
