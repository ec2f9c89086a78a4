/* Who holds a local port: for the words of "address already in use". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes "NAME (pid N)" of a process that holds local `port` in the calling thread's network
 * namespace. False if none was found, or we may not look. Slow: walks /proc. */
bool amm_port_owner(bool is_tcp, uint16_t port, char *out, size_t room);
