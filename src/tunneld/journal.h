/* What happened: the last events for subscribers and the last refusals for `ammctl tunnel status`,
 * both bounded, and one log line an event. Owner: the control thread. */
#pragma once

#include "ipc/tunnel.h"

#include <stdint.h>

/* Events: what a busy subscriber may be behind in a storm of joins. */
enum { AMM_JOURNAL_EVENTS = 4096, AMM_JOURNAL_REFUSALS = 1000 };

struct amm_journal;

struct amm_journal *amm_journal_new(void); /* NULL: out of memory */
struct amm_journal *amm_journal_free(struct amm_journal *journal);

/* Keeps the event and writes its log line. */
void amm_journal_add(struct amm_journal *journal, const struct amm_ipc_event *event);

/* Number of events so far: where a new subscriber starts. */
uint64_t amm_journal_end(const struct amm_journal *journal);

enum amm_journal_result { AMM_JOURNAL_OK, AMM_JOURNAL_NONE_YET, AMM_JOURNAL_OVERWRITTEN };

/* Event number `at`. OVERWRITTEN: the subscriber was too slow. */
enum amm_journal_result amm_journal_at(const struct amm_journal *journal, uint64_t at,
                                       struct amm_ipc_event *out);

/* The refusal that is `back` places behind the newest; false if there are not so many. */
bool amm_journal_refusal(const struct amm_journal *journal, uint32_t back,
                         struct amm_ipc_event *out);
