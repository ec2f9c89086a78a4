/* One question to the server at a time: name lookup, the server's addresses in turn, TLS with a
 * resumed session, request, answer. Runs on the owner's loop. */
#pragma once

#include "base/address.h"
#include "base/time.h"
#include "crypto/identity.h"
#include "http/client.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACE_ANSWER_MAX = 256 * 1024, ACE_EXCHANGE_ERROR = 256 };

struct ace_exchange;

/* The tags mark its descriptors in `loop`. NULL: out of memory or descriptors. */
struct ace_exchange *ace_exchange_new(struct amm_loop *loop, uint64_t resolver_tag,
                                      uint64_t client_tag);
struct ace_exchange *ace_exchange_free(struct ace_exchange *exchange);

/* Borrowed for the call. */
struct ace_question {
    const char *host; /* name or address */
    uint16_t port;
    const struct amm_address *address; /* ask there, without a lookup; NULL: by `host` */
    struct amm_http_tls *tls;
    const char *server_name;
    struct amm_view ca_pin; /* empty: none */
    bool resumes;           /* uses and keeps the TLS session of this context */
    const char *method, *target;
    struct amm_view fields, body;
};

/* Begins; a former one is given up. False: out of memory, or no thread for the lookup. */
bool ace_exchange_begin(struct ace_exchange *exchange, const struct ace_question *question,
                        struct amm_now now);
void ace_exchange_cancel(struct ace_exchange *exchange);

bool ace_exchange_is_busy(const struct ace_exchange *exchange);
amm_time ace_exchange_deadline(const struct ace_exchange *exchange);

enum ace_exchange_result { ACE_EXCHANGE_BUSY, ACE_EXCHANGE_ANSWERED, ACE_EXCHANGE_FAILED };

struct ace_answer {
    int status;
    uint32_t retry_after;           /* seconds; 0: none */
    struct amm_view body;           /* valid until the next call */
    char error[ACE_EXCHANGE_ERROR]; /* FAILED: in words */
    enum amm_tls_failure tls_failure;
    uint64_t bytes_in, bytes_out; /* TCP payload of all attempts */
};

/* Does what can be done now; call when a tag is ready or the deadline is there. ANSWERED and FAILED
 * come once. */
enum ace_exchange_result ace_exchange_step(struct ace_exchange *exchange, struct amm_now now,
                                           struct ace_answer *out);

/* The TLS session is of no use any more: another certificate or other CAs. */
void ace_exchange_forget(struct ace_exchange *exchange);
