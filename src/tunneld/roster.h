/* Which gateways may join, on which port, in which place: a file of lines
 *
 *     name port slot        # comment
 *
 * that the manager will replace later. A roster is immutable once parsed; threads share it by
 * reference. */
#pragma once

#include "base/bytes.h"
#include "crypto/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_ROSTER_PORTS = 16 };

/* What a line may name. */
struct amm_roster_port {
    uint16_t port;
    uint32_t slots; /* highest slot of the port's pool */
};

struct amm_roster;

/* Parses `text`; `file` is for the error, which names file, line and what is allowed
 * ("roster:3: slot 4000 is outside 1 to 2047 of port 1190"). NULL on error. The caller holds one
 * reference. */
struct amm_roster *amm_roster_parse(const char *file, struct amm_view text,
                                    const struct amm_roster_port *ports, size_t n_ports,
                                    char *error, size_t room);

/* A roster without gateways: what a server starts with when its file is broken. */
struct amm_roster *amm_roster_empty(void);

struct amm_roster *amm_roster_ref(struct amm_roster *roster);
struct amm_roster *amm_roster_unref(struct amm_roster *roster); /* accepts NULL; returns NULL */

size_t amm_roster_count(const struct amm_roster *roster);

/* The slot of `name` on `port`, or 0. */
uint32_t amm_roster_slot(const struct amm_roster *roster, const char *name, uint16_t port);

/* Any port that `name` has a line for, or 0 if the name is unknown. */
uint16_t amm_roster_any_port(const struct amm_roster *roster, const char *name);

/* Line number `i` in the order of names and ports, from 0; false behind the last. `*name` lives as
 * long as the roster. */
bool amm_roster_line(const struct amm_roster *roster, size_t i, const char **name, uint16_t *port,
                     uint32_t *slot);
