/* The parts of the manager, in the order in which they start. */
#include "manager/enrolment.h"
#include "manager/fleet_module.h"
#include "manager/imports.h"
#include "manager/history.h"
#include "manager/manager.h"
#include "manager/thresholds.h"
#include "manager/remote.h"
#include "manager/retention.h"
#include "manager/tunnel.h"

const struct manager_module *const manager_modules[] = {
    &fleet_module,     &threshold_module, &history_module,
    &enrolment_module, &tunnel_module,    &imports_module,
    &remote_module,    &retention_module, NULL,
};
