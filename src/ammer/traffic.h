/* Bulk between the tun device and the link: super-packets in, datagrams of one size out in one
 * call, and the other way round. */
#pragma once

#include "link.h"
#include "proto/client.h"
#include "tunnel_device.h"

struct traffic;

struct traffic *traffic_new(void);
struct traffic *traffic_free(struct traffic *traffic);

/* Seals what waits in the device. False if the device is gone. */
bool traffic_up(struct traffic *traffic, struct amm_client *client, struct amm_now now,
                struct tunnel_device *device, struct link *link);

/* Takes what has come on the link; inner packets go to the device. How many datagrams there were;
 * sets link->is_broken if the connection must be closed. */
unsigned traffic_down(struct traffic *traffic, struct amm_client *client, struct amm_now now,
                      struct tunnel_device *device, struct link *link);
