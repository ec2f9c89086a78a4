/* ammctl gateway and operation, on a server with a manager. */
#pragma once

#include "request.h"

/* Requests and commands that ctl_gateway_commands names. */
extern const struct ctl_request ctl_gateway_list_request, ctl_gateway_show_request,
    ctl_gateway_remove_request, ctl_gateway_move_request, ctl_gateway_events_request,
    ctl_gateway_history_request, ctl_gateway_quarantine_request, ctl_gateway_release_request,
    ctl_gateway_revoke_request, ctl_gateway_replace_request, ctl_gateway_requests_request,
    ctl_gateway_approve_request, ctl_gateway_refuse_request, ctl_gateway_certificates_request;

int ctl_import_export(const struct ctl *ctl, int argc, char **argv);
int ctl_fleet_add(const struct ctl *ctl, int argc, char **argv);
int ctl_fleet_token(const struct ctl *ctl, int argc, char **argv);
int ctl_fleet_set(const struct ctl *ctl, int argc, char **argv);
int ctl_fleet_parameters(const struct ctl *ctl, int argc, char **argv);
int ctl_fleet_profile(const struct ctl *ctl, int argc, char **argv);
