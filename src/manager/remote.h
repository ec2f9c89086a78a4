/* Remote sessions: an operator on the page of a gateway, through its tunnel.
 *
 * ammd decides who may, where to and for how long; amm-proxyd carries it (ipc/proxy.h) and can
 * neither make nor widen anything. A remote session leads to one place: the page (or a forward's
 * target) of one gateway through one tunnel, named by its epoch. It ends with everything that it
 * rests on: the login or API token of who opened it, his right, the gateway, the tunnel, its idle
 * time, its life. Once a second all of that is looked at anew for each of them, in one place
 * (remote_why_end), so that nothing that takes a right away has to think of remote sessions.
 *
 * What was said is kept in memory and written when it changes what the future sees; counters are
 * written every ten seconds. A remote session that has ended is closed at amm-proxyd first and
 * written then, again and again if the disk is full.
 *
 * Fleet thread. */
#pragma once

#include "fleet.h"
#include "ipc/proxy.h"
#include "manager/manager.h"
#include "manager/route.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct job;
struct remote;

extern const struct manager_module remote_module;
extern const struct route remote_routes[];        /* api_remote.c */
extern const struct route remote_page_routes[];   /* api_remote_page.c */
extern const struct route tunnel_policy_routes[]; /* tunnel_policy.c */

/* What amm-proxyd signs operators in with, for the answers of check-ins: 32 bytes, or NULL while it
 * has never been heard. */
const uint8_t *remote_assertion_key(const struct manager *m);

/* The member "page" of a gateway: where its page is, whether it can be opened, why not and what to
 * do. A new reference. */
json_t *remote_page_json(struct manager *m, const struct fleet_gateway *gateway);

/* Members `page_scheme` and `page_port` of a PATCH of the gateway; false: answered. */
bool remote_page_edit(struct job *job, const struct fleet_gateway *gateway);

/* A check-in of `gateway` says with this event that a remote session was ended there
 * (doc/gateway-protocol.md, section 7): it ends here, too. Other events, and labels of other
 * gateways' remote sessions, change nothing. */
struct amm_checkin_event;
void remote_take_event(struct manager *m, const struct fleet_gateway *gateway,
                       const struct amm_checkin_event *event);

/* {"policy": "scheduled", "window": "22:00-06:00"}: the group's own. A new reference. */
json_t *tunnel_policy_json(const struct fleet_group *group);
