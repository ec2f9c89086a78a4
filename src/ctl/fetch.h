/* Getting one page from a gateway through its tunnel. */
#pragma once

#include "ctl.h"

struct fetch {
    uint32_t ip;
    uint16_t port;
    const char *path;
    bool head; /* print the answer's head as well */
};

/* Enters the namespace, becomes the proxy's user for good, gets the page and prints it. The process
 * can do nothing else afterwards. */
enum ctl_exit ctl_fetch(const struct fetch *fetch, const char *namespace_name,
                        const char *proxy_user);
