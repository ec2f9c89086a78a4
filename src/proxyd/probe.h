/* Tests whether a gateway's page can be reached, for the console's button and before a click. */
#pragma once

#include "base/time.h"
#include "ipc/proxy.h"

#include <sys/types.h>

struct proxyd;
struct probes;

struct probes *probes_new(void); /* NULL: out of memory */
struct probes *probes_free(struct proxyd *proxyd);

/* As root, in the namespace of the tunnels: lets this group send pings there. */
void probes_allow(gid_t group);

/* Answers by link_result, in time. At most PROBES at once: beyond it the answer says so. */
enum { PROBES = 64 };
void probe_start(struct proxyd *proxyd, const struct amm_proxy_test *test);
void probes_step(struct proxyd *proxyd);
amm_time probes_deadline(const struct proxyd *proxyd);
