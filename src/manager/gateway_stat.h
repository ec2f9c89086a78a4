/* A stat of a gateway as the server shows it: what it has reported, and what only the server knows:
 *
 *   ManagementTunnel-IPAddress   its address in the tunnel, while that is up
 *   ManagementTunnel-Port        the port where it is up
 *   Heartbeat                    seconds since its last check-in
 *   ConfigurationState           "In Sync", "Pending (sync to device)", ...
 *
 * Fleet thread. */
#pragma once

#include "fleet.h"

enum stat_own { STAT_REPORTED, STAT_ADDRESS, STAT_PORT, STAT_HEARTBEAT, STAT_CONFIGURATION };

/* Worked out once for a scan over many gateways. Borrows the texts. */
struct stat_key {
    struct values_key values;
    enum stat_own own;
    const char *label; /* of a labelled stat; "": none */
};
struct stat_key stat_key(const char *name, const char *label);

enum { STAT_ROOM = 24 };

/* False: there is none. Texts point into the gateway or into `room`. */
bool stat_get(const struct fleet_gateway *gateway, const struct stat_key *key, int64_t now,
              struct value *out, char room[STAT_ROOM]);

/* What its value, or that there is none, means now. */
enum stat_says {
    STAT_SAYS,   /* it is so */
    STAT_KEEPS,  /* not known at the moment: amm-tunneld is not heard, the tunnel moves */
    STAT_SILENT, /* nothing: never checked in, never had a tunnel, the tunnel rests */
};
enum stat_says stat_says(const struct fleet_gateway *gateway, const struct stat_key *key,
                         int64_t now);

/* A value as text: "-105", "true", "LTE"; false: an object. `out` is cut to fit. */
bool stat_text(const struct value *value, char *out, size_t room);
