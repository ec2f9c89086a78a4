/* ammctl gateway open and forward, and what else is asked about remote sessions. */
#pragma once

#include "request.h"

extern const struct ctl_command ctl_remote_commands[];
extern const struct ctl_request ctl_gateway_page_key_request, ctl_gateway_forwards_request,
    ctl_gateway_sessions_request, ctl_group_policy_request;

/* GW [--reason TEXT] [--order] [--print] [--ca FILE] */
int ctl_remote_open(const struct ctl *ctl, int argc, char **argv);
int ctl_remote_test(const struct ctl *ctl, int argc, char **argv);
/* GW LOCAL:PORT | LOCAL:HOST:PORT [--reason TEXT] [--ca FILE] */
int ctl_remote_forward(const struct ctl *ctl, int argc, char **argv);

/* ---- shared by remote.c, remote_page.c and remote_forward.c ---- */

struct remote_options {
    const char *names[2];
    int n_names;
    const char *reason, *ca;
    bool order, print;
};
bool ctl_remote_parse(int argc, char **argv, struct remote_options *out);

/* "2222:22", "2222:192.168.13.100:22": the local port, and the target as the manager takes it. */
bool ctl_remote_ports(const char *text, uint16_t *local, char *target, size_t room);

/* Opens a remote session; waits for an ordered tunnel. The object with `ticket` and `enter` (a new
 * reference), or NULL after saying why not. `forward`: NULL for the page. */
json_t *ctl_remote_begin(struct ctl_api *api, const struct remote_options *options,
                         const char *forward, enum ctl_exit *status);
void ctl_remote_end(struct ctl_api *api, const json_t *session);

/* A page on this machine that takes one browser there: prints its link, serves it once, for as long
 * as the ticket is good. */
enum ctl_exit ctl_remote_page(const char *enter, const char *ticket);
