/* The data path: one request of a browser, one connection to its gateway, both directions bounded.
 * A connection to a gateway is used by one remote session only. Owner: the loop. */
#pragma once

#include "http/server.h"
#include "proxyd/session.h"

struct flows;
struct proxyd;

enum { FLOWS_PER_SESSION = 64 };

/* NULL: out of memory. */
struct flows *flows_new(struct proxyd *proxyd);
struct flows *flows_free(struct flows *flows);

/* Fills in what the server needs from the data path (settings of http/server.h: handlers of
 * requests, of bodies, of upgrades). The handler asks gate_admit first. */
void flows_settings(struct flows *flows, struct amm_http_settings *settings);

/* Cuts everything of this session now, upgraded connections included; returns with session->flows
 * empty. */
void flows_cut(struct flows *flows, struct session *session);

/* Work that is due, and when more is. */
void flows_step(struct flows *flows);
amm_time flows_deadline(const struct flows *flows);
