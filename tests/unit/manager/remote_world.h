/* A manager with tunnel and remote module, tunnels that are up because the test says so, and an
 * amm-proxyd that is a socket of the test. For the tests of remote sessions. */
#pragma once

#include "api_world.h"

#include "manager/remote_parts.h"
#include "manager/tunnel_parts.h"

struct remote_world {
    struct api_world *api;
    int proxy;                     /* -1: not there */
    struct amm_proxy_message last; /* of the last remote_world_expect */
    uint32_t generation;           /* of tunnels */
};

struct remote_world *remote_world_new(void);
void remote_world_free(struct remote_world *w);
/* Tunnel and remote module anew, as after a restart of ammd; the proxy has to come again. */
void remote_world_restart(struct remote_world *w);

/* amm-proxyd connects and says HELLO; WELCOME is read. */
void remote_world_serve(struct remote_world *w);
void remote_world_vanish(struct remote_world *w);
void remote_world_say(struct remote_world *w, const struct amm_proxy_message *message);
/* Reads until one of that type comes; fails the test if none does. */
const struct amm_proxy_message *remote_world_expect(struct remote_world *w, uint8_t type);
/* The second that the module waits for passes now. */
void remote_world_tick(struct remote_world *w);

/* A request; fails the test if the status is another. TEST messages are answered with "reachable"
 * while it runs. */
void remote_world_ask(struct remote_world *w, const struct caller *who, int status,
                      const char *method, const char *target, const char *body);

/* An admitted gateway with a place; its id. */
int64_t remote_world_gateway(struct remote_world *w, const char *name, const char *kind,
                             int64_t tenant);
/* Its tunnel comes up (a new one each time), goes down. */
uint64_t remote_world_up(struct remote_world *w, int64_t gateway);
void remote_world_down(struct remote_world *w, int64_t gateway);

/* Opens the page; its id. */
int64_t remote_world_open(struct remote_world *w, const struct caller *who, int64_t gateway);
/* The session in memory; NULL: none. */
struct remote_session *remote_world_session(struct remote_world *w, int64_t id);
/* "idle": why it ended, as the API says; "" if it lives. */
const char *remote_world_end(struct remote_world *w, int64_t id);
