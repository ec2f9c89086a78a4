/* The door: decides about each request before anything goes to a gateway, and answers what belongs
 * to the proxy itself (everything below /.amm/). */
#pragma once

#include "http/server.h"
#include "proxyd/pages.h"
#include "proxyd/session.h"

struct proxyd;

/* The session to which the request may go. NULL: it was answered here, or will be. Requests below
 * /.amm/ must come with their body (gate_body_limit says how much), others may come without. */
struct session *gate_admit(struct proxyd *proxyd, const struct amm_http_call *call);

/* True if the request is one of the proxy's own, whose body is to be buffered. */
bool gate_is_own(const struct amm_http_request *request);
enum { GATE_BODY_MAX = 4096 };

/* Answers with a page and notes that nothing went to the gateway. `session` NULL: not noted. */
void gate_refuse(struct proxyd *proxyd, const struct session *session,
                 const struct amm_http_call *call, enum page page);

/* Ends a remote session: cuts its flows now, tells ammd, forgets it. */
void gate_end(struct proxyd *proxyd, struct session *session, enum amm_proxy_end reason);
