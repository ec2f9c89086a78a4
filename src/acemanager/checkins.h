/* The client's side of check-ins (doc/gateway-protocol.md, section 5), without I/O: when one is
 * due, what it says, and what an answer means. Time, randomness, numbers and bytes are passed in.
 *
 * One check-in is under way at a time. What was sent is kept until it is answered and repeated as
 * it was, so that a lost answer does no harm. What the server has acknowledged is kept in memory
 * only: the first check-in after a start is a full one. */
#pragma once

#include "acemanager/core.h"
#include "base/random.h"
#include "base/time.h"
#include "domain/checkin.h"
#include "domain/gateway_answers.h"

enum {
    ACE_CHECKIN_FIRST_WAIT = 10, /* seconds; doubles with each failure up to the interval */
    ACE_CHECKIN_SPACING = 5,     /* seconds between two at least */
    ACE_CHECKIN_LONGEST = 86400, /* after a fatal answer */
    ACE_RETRY_LONGEST = 86400,   /* what a server may ask for */
};

/* What a new check-in can say; borrowed for the call. */
struct ace_report {
    const json_t *stats, *parameters;
    uint32_t boot;
    int64_t uptime, time;
    enum amm_clock_source clock;
    int64_t revision;
    const char *tunnel; /* hash of the tunnel settings, "" without */
    const char
        *remote_key;      /* name of the server's remote access key, "" for none; NULL: not said */
    bool asks_remote_key; /* also in a check-in that is not full */
    struct amm_checkin_change *changes;
    struct amm_checkin_event *events;
    struct amm_checkin_result *results;
    size_t n_changes, n_events, n_results;
    uint64_t change_mark, result_mark; /* come back when these are acknowledged */
};

struct ace_checkins;

/* `seq`: the highest number that may have been used. `interval` in seconds. The first one is due at
 * once. NULL: out of memory. */
struct ace_checkins *ace_checkins_new(struct amm_random random, uint64_t seq, uint32_t interval,
                                      amm_time now);
struct ace_checkins *ace_checkins_free(struct ace_checkins *checkins);

amm_time ace_checkins_deadline(const struct ace_checkins *checkins);

/* As soon as the spacing allows; a retry slot that the server gave is kept. */
void ace_checkins_soon(struct ace_checkins *checkins, amm_time now);
/* As soon as the spacing allows, because a person asked. */
void ace_checkins_now(struct ace_checkins *checkins, amm_time now);

/* The interval of the parameters, seconds; an order of the server goes before it. */
void ace_checkins_interval(struct ace_checkins *checkins, uint32_t interval, amm_time now);

/* The number that a new check-in would have, 0 if what is due is a repetition. It must be on disk
 * as used before ace_checkins_begin. */
uint64_t ace_checkins_next_seq(const struct ace_checkins *checkins);

/* The next number is above `seq`: for a disk that takes no reservation. */
void ace_checkins_skip(struct ace_checkins *checkins, uint64_t seq);

/* Begins one, and gives its body, which stays valid until the next call; NULL: out of memory (it is
 * due again later). `report` may be NULL for a repetition. */
const char *ace_checkins_begin(struct ace_checkins *checkins, amm_time now,
                               const struct ace_report *report, size_t *len);

struct ace_outcome {
    const struct amm_checkin_answer *answer; /* valid until the next call; NULL: none */
    bool acknowledged;                       /* all that was sent is saved */
    uint64_t change_mark, result_mark;       /* with it */
    bool fatal;                              /* end the tunnel */
    char error[AMM_CHECKIN_TEXT];            /* in words; "" */
};

/* The answer to what was begun: status and body of HTTP; `retry_after` in seconds, 0 without. */
void ace_checkins_answered(struct ace_checkins *checkins, amm_time now, int status,
                           uint32_t retry_after, struct amm_view body, struct ace_outcome *out);

/* No answer came; `why` in words. */
void ace_checkins_failed(struct ace_checkins *checkins, amm_time now, const char *why);

/* What was acknowledged is forgotten (another server, another identity): the next one is full. */
void ace_checkins_forget(struct ace_checkins *checkins, amm_time now);

enum ace_checkin_state ace_checkins_state(const struct ace_checkins *checkins);
const char *ace_checkins_error(const struct ace_checkins *checkins);
uint32_t ace_checkins_every(const struct ace_checkins *checkins); /* seconds, in force */
uint64_t ace_checkins_seq(const struct ace_checkins *checkins);
