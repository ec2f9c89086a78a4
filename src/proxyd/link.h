/* The connection to ammd (ipc/proxy.h): kept up, tried again each second. */
#pragma once

#include "base/time.h"
#include "ipc/proxy.h"

#include <stdbool.h>

struct proxyd;
struct link;
struct session;

/* Opens nothing yet; the first link_step does. NULL: out of memory. `peer`: uid that ammd must
 * have, beside root. */
struct link *link_new(struct proxyd *proxyd, uint32_t peer, const struct amm_proxy_hello *hello);
struct link *link_free(struct link *link);

/* Connects, sends what waits; called in each turn of the loop. */
void link_step(struct link *link);
amm_time link_deadline(const struct link *link);

/* False when ammd has been away for LINK_GRACE: nothing may be asked any more. */
enum { LINK_GRACE = 30 };
bool link_may_serve(const struct link *link);

/* Each tells ammd; what cannot be sent now waits, or is told by the next list. */
void link_entered(struct link *link, const struct session *session,
                  const struct amm_address *remote);
void link_active(struct link *link, const struct session *session);
void link_ended(struct link *link, const char *label, enum amm_proxy_end reason);
void link_result(struct link *link, const struct amm_proxy_result *result);

/* The page of the session showed this key. Saves the first one as its pin: from then on
 * session->about.has_pin. Call once for each connection on which the key is not the pinned one. */
void link_key(struct link *link, struct session *session, const uint8_t sha256[AMM_PROXY_HASH],
              bool changed);
