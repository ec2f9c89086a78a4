/* Named network namespaces, kept the way iproute2 does (bind mount under /run/netns), so that
 * `ip netns exec NAME` works on them. Needs CAP_SYS_ADMIN. False / -1 with a sentence in
 * `error[room]`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { AMM_NETNS_NAME = 64 };

/* 1-63 letters, digits, '-', '_', '.', not starting with '.' or '-'. */
bool amm_netns_name_ok(const char *name);

bool amm_netns_exists(const char *name);

/* Makes the namespace with its loopback up, and its name where it lasts even under `ip netns exec`;
 * an error if the name is in use. A descriptor as of amm_netns_open. */
int amm_netns_create(const char *name, char *error, size_t room);

/* Takes the name away; the namespace goes with its last user. True if there was none. */
bool amm_netns_delete(const char *name, char *error, size_t room);

/* A descriptor for setns, close-on-exec; NULL names the calling thread's own namespace. */
int amm_netns_open(const char *name, char *error, size_t room);

/* Runs `work` in the namespace and comes back; for the calling thread only. The value of `work`,
 * which writes its own error. If there is no way back the process ends: it must never go on in the
 * wrong namespace. */
bool amm_netns_run(int netns, bool (*work)(void *context, char *error, size_t room), void *context,
                   char *error, size_t room);
