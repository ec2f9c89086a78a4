/* What is deleted for its age, a piece at a time: parameter history, stats over time, certificates
 * that have ended, and the beginning of the audit log, with a note of where the rest begins. Ages
 * are settings (keep-...). Nothing goes while the clock is not steady (event_clock). Fleet thread.
 */
#pragma once

#include "manager/manager.h"

extern const struct manager_module retention_module;

/* One piece of the audit log, inside a unit; false: the store refused. */
bool retention_audit(struct manager *m);
