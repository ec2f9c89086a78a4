/* The inner side of a client: a tun device that takes over what the server pushed, as far as it is
 * allowed, and keeps it across reconnects. Nothing of it is left when the program ends: address and
 * routes go with the device. */
#pragma once

#include "data/offload.h"
#include "io/loop.h"
#include "proto/push.h"
#include "settings.h"

struct tunnel_device {
    int fd; /* -1: not open */
    char name[16];
    struct amm_loop *loop;
    uint64_t tag;
    bool is_configured;
    struct amm_push applied;
    struct amm_route routes[2 * AMM_PUSH_ROUTES]; /* that were set */
    unsigned n_routes;
    struct amm_address server; /* outer address that must never be routed into the tunnel */
};

/* Makes the device, without an address. */
bool tunnel_device_open(struct tunnel_device *device, struct amm_loop *loop, uint64_t tag,
                        const char *name, char *error, size_t room);
void tunnel_device_close(struct tunnel_device *device);

/* Sets address, MTU and routes; does nothing if they are as before. What is refused is logged.
 * False with a sentence if the tunnel cannot work. */
bool tunnel_device_apply(struct tunnel_device *device, const struct amm_settings *settings,
                         const struct amm_push *push, const struct amm_address *server, char *error,
                         size_t room);
