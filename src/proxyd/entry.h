/* Signing in at one of our own gateways: the assertion goes to its page once, when the operator
 * enters, and the cookies that it gives go on to the browser. */
#pragma once

#include "base/time.h"
#include "domain/assertion.h"
#include "http/server.h"
#include "proxyd/session.h"

struct amm_signer;
struct entries;
struct proxyd;

/* `signer` is taken over; NULL: no assertions can be signed. NULL: out of memory. */
struct entries *entries_new(struct amm_signer *signer);
struct entries *entries_free(struct proxyd *proxyd);

/* Answers the request by and by; `fields` (the session's own cookie) go along in any case. False:
 * too many are under way. */
enum { ENTRIES = 256 };
bool entry_start(struct proxyd *proxyd, struct session *session, struct amm_http_ref ref,
                 struct amm_view fields);
/* A new assertion for this session: of the entry, or of one connection that acemanager relays
 * (`about.relay`). False: there is no key to sign with, or the session's names have no form. */
bool entry_assert(const struct proxyd *proxyd, const struct session *session,
                  enum amm_assertion_kind kind, char out[AMM_ASSERTION_MAX]);
void entries_step(struct proxyd *proxyd);
amm_time entries_deadline(const struct proxyd *proxyd);
