/* What was asked, for the audit log: rows are gathered and go to ammd within a second. Bounded:
 * when ammd is away the oldest rows are dropped and counted. Never a query, a body or a secret. */
#pragma once

#include "base/time.h"
#include "http/message.h"
#include "ipc/proxy.h"

struct proxyd;
struct session;
struct record;

struct record_row {
    enum amm_proxy_request_kind kind;
    int status;         /* 0: none came */
    int64_t began_wall; /* seconds */
    amm_duration lasted;
    uint64_t bytes_in, bytes_out; /* of the body: to the gateway, and from it */
    struct amm_view method, path; /* of the request */
};

struct record *record_new(void);
struct record *record_free(struct record *record);
void record_add(struct record *record, const struct session *session, const struct record_row *row);
/* The next batch, until there is none; it is taken out when `sent` says so. */
bool record_batch(const struct record *record, struct amm_proxy_requests *out);
void record_sent(struct record *record, unsigned n);
uint64_t record_dropped(const struct record *record);
