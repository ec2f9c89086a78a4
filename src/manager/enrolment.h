/* Enrolment: tokens, the approval queue, certificates and their revocation, the link to amm-cad.
 *
 * A certificate is issued in two steps, so that nothing slow happens in the fleet thread: a unit
 * writes down what is to be issued and asks amm-cad; a second unit takes the answer, writes the
 * identity and uses up the token in the same transaction. The number of the first step names the
 * request to amm-cad, which issues one certificate for it, whoever asks again.
 *
 * Revoking works from both ends: the rows here, which check-ins and EST ask, change in the unit
 * that revokes; amm-cad keeps a list of its own and signs the tunnel server's from it. At each new
 * link both are joined, so that neither a restored database nor an amm-cad that was down forgets
 * one. Fleet thread. */
#pragma once

#include "crypto/identity.h"

#include "fleet.h"
#include "manager/manager.h"
#include "manager/route.h"

#include <stdbool.h>
#include <stdint.h>

extern const struct manager_module enrolment_module; /* behind the fleet */
extern const struct route enrolment_routes[];

/* Makes every certificate of the gateway worthless, for good: the rows in this unit, the tunnel
 * server's list when it is durable (tried until it worked). `access` is what becomes of the
 * gateway: FLEET_REVOKED, or FLEET_NEW when it will enrol anew. To be called before a gateway is
 * removed, too. */
bool enrolment_revoke(struct manager *m, struct fleet_gateway *gateway, enum fleet_access access,
                      const char *reason, struct fleet_error *error);

/* The hash of what GET /tunnel answers (GP-31); "" while it is not known: then nothing is said.
 * Good until the unit ends. */
const char *enrolment_tunnel_hash(const struct manager *m);

/* Whom a certificate belongs to, and whether it may be used now. Every request of a gateway asks
 * this: TLS judges neither dates nor revocation (GP-3). */
enum { ENROLMENT_LATER_SECONDS = 30 };
enum enrolment_verdict {
    ENROLMENT_GOOD,
    ENROLMENT_UNKNOWN, /* signed by our CA, but not in the store: enrolled after the backup that was
                          restored, or the gateway was removed */
    ENROLMENT_REVOKED,
    ENROLMENT_EXPIRED,
    ENROLMENT_TUNNEL_ONLY, /* it came with a connection file: nothing else takes it */
    ENROLMENT_NOT_YET,     /* not valid yet: the server's clock is wrong */
    ENROLMENT_LATER, /* the database was restored, and amm-cad has not said yet what it has revoked
                        since the backup: nobody is let in who may be out (503) */
};
enum enrolment_verdict enrolment_judge(struct manager *m, const struct amm_identity *client,
                                       struct fleet_gateway **gateway);
