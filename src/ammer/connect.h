/* Which server is tried when: the schedule of an ammer, without I/O. Time and randomness are passed
 * in.
 *
 * A *round* tries every remote once, all UDP remotes before all TCP ones, each until it has not
 * answered for `answer_timeout`. Within a round there is no waiting. Between rounds there is, with
 * full jitter, so that a fleet that lost its server does not come back as one wave: the first wait
 * is uniform in 0 .. 10 s, the n-th uniform in 0 .. min(120, 10 * 2^(n-1)) s. A start is immediate;
 * after the loss of an established tunnel the round starts with the remote that worked.
 *
 * A server may ask for more: a wait of at least so many seconds, or its next remote. A refusal for
 * good is tried again every 15 minutes, because a gateway in the field has nobody to restart it. */
#pragma once

#include "base/random.h"
#include "base/time.h"
#include "settings.h"

enum {
    AMM_CONNECT_FIRST_WAIT = 10, /* seconds */
    AMM_CONNECT_LONGEST_WAIT = 120,
    AMM_CONNECT_REFUSED_WAIT = 15 * 60,
};

enum amm_connect_phase {
    AMM_CONNECT_WAITING, /* until `at`, then a remote is due */
    AMM_CONNECT_TRYING,  /* `remote` has not answered yet; given up at `at` */
    AMM_CONNECT_TALKING, /* `remote` answers; the engine watches the handshake's own time */
    AMM_CONNECT_UP,
};

struct amm_connect {
    enum amm_connect_phase phase;
    amm_time at;
    unsigned order[AMM_SETTINGS_REMOTES]; /* indexes into settings->remotes */
    unsigned n_remotes;
    unsigned next;   /* place in `order` that is tried next or now */
    unsigned tried;  /* remotes tried in this round */
    unsigned rounds; /* rounds that failed since the tunnel was last up */
    bool has_been_up;
    bool is_refused; /* the wait that runs is the one after a refusal for good */
    amm_duration answer_timeout;
    struct amm_random random;
};

/* How an attempt ended, or a tunnel that was up. */
struct amm_connect_end {
    bool refused_for_good;
    bool next_remote; /* the server asked for it */
    bool same_remote; /* the server asked to come back to it */
    uint16_t backoff; /* seconds the server asked for; 0: none */
};

/* The first attempt is due at once. */
void amm_connect_init(struct amm_connect *connect, const struct amm_settings *settings,
                      struct amm_random random, amm_time now);

/* Which remote to try now: its index in settings->remotes, or -1 if none is due. The attempt has
 * begun then. */
int amm_connect_due(struct amm_connect *connect, amm_time now);

/* The first datagram of the remote has come. */
void amm_connect_answered(struct amm_connect *connect);

void amm_connect_up(struct amm_connect *connect);

/* The attempt failed or the tunnel is over. */
void amm_connect_ended(struct amm_connect *connect, amm_time now,
                       const struct amm_connect_end *end);

/* The same remote is tried at another of its addresses: it has the time to answer again. */
void amm_connect_again(struct amm_connect *connect, amm_time now);

/* True if the remote has not answered in time: end the attempt. */
bool amm_connect_is_overdue(const struct amm_connect *connect, amm_time now);

/* When to look again. */
amm_time amm_connect_deadline(const struct amm_connect *connect);
