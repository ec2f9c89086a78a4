/* What a request must be before it reaches a page: asked for at an address of ours, and sent by one
 * of our own pages. Pure; any thread. */
#pragma once

#include "http/message.h"

#include <stdbool.h>
#include <stddef.h>

/* True if Host is an IP address or localhost, with or without a port. A name is refused: whoever
 * controls it could point it here and read our pages from his own (DNS rebinding). */
bool web_host_ok(struct amm_view host);

/* True if the request may change something: Origin is https at that same Host, and the browser, if
 * it says so at all (Sec-Fetch-Site), sent it from there. */
bool web_may_change(const struct amm_http_request *request);

/* True if the request may read: not made by a script, a frame or an image of another site.
 * Following a link to us is fine. */
bool web_may_read(const struct amm_http_request *request);

/* The value of the first cookie of that name; data NULL: none. */
struct amm_view web_cookie(const struct amm_http_fields *fields, const char *name);
