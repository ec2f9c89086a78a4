#include "connect.h"

static void shuffle(struct amm_connect *c, unsigned first, unsigned end)
{
    for (unsigned i = end; i > first + 1; i--) {
        unsigned j = first + (unsigned)amm_random_below(&c->random, i - first);
        unsigned kept = c->order[i - 1];
        c->order[i - 1] = c->order[j];
        c->order[j] = kept;
    }
}

void amm_connect_init(struct amm_connect *c, const struct amm_settings *settings,
                      struct amm_random random, amm_time now)
{
    *c = (struct amm_connect){
        .phase = AMM_CONNECT_WAITING,
        .at = now,
        .random = random,
        .answer_timeout = settings->answer_timeout * AMM_SECOND,
    };
    for (uint8_t transport = AMM_UDP; transport <= AMM_TCP; transport++) {
        unsigned first = c->n_remotes;
        for (unsigned i = 0; i < settings->n_remotes; i++) {
            if (settings->remotes[i].transport == transport) {
                c->order[c->n_remotes++] = i;
            }
        }
        if (settings->remote_random) {
            shuffle(c, first, c->n_remotes);
        }
    }
}

int amm_connect_due(struct amm_connect *c, amm_time now)
{
    if (c->phase != AMM_CONNECT_WAITING || now < c->at || c->n_remotes == 0) {
        return -1;
    }
    c->phase = AMM_CONNECT_TRYING;
    c->at = amm_time_after(now, c->answer_timeout);
    c->is_refused = false;
    c->tried++;
    return (int)c->order[c->next];
}

void amm_connect_answered(struct amm_connect *c)
{
    if (c->phase == AMM_CONNECT_TRYING) {
        c->phase = AMM_CONNECT_TALKING;
        c->at = AMM_NEVER;
    }
}

void amm_connect_again(struct amm_connect *c, amm_time now)
{
    c->phase = AMM_CONNECT_TRYING;
    c->at = amm_time_after(now, c->answer_timeout);
}

void amm_connect_up(struct amm_connect *c)
{
    c->phase = AMM_CONNECT_UP;
    c->at = AMM_NEVER;
    c->rounds = 0;
    c->tried = 0;
    c->has_been_up = true;
}

/* Full jitter: uniform in 0 .. limit, to the millisecond. */
static amm_duration jitter(struct amm_connect *c, uint64_t limit_seconds)
{
    uint64_t ms = amm_random_below(&c->random, limit_seconds * 1000 + 1);
    return (amm_duration)ms * AMM_MILLISECOND;
}

static amm_duration wait_between_rounds(struct amm_connect *c)
{
    uint64_t limit = AMM_CONNECT_FIRST_WAIT;
    for (unsigned i = 0; i < c->rounds && limit < AMM_CONNECT_LONGEST_WAIT; i++) {
        limit *= 2;
    }
    if (limit > AMM_CONNECT_LONGEST_WAIT) {
        limit = AMM_CONNECT_LONGEST_WAIT;
    }
    c->rounds++;
    c->tried = 0;
    return jitter(c, limit);
}

void amm_connect_ended(struct amm_connect *c, amm_time now, const struct amm_connect_end *end)
{
    bool was_up = c->phase == AMM_CONNECT_UP;
    c->phase = AMM_CONNECT_WAITING;
    c->is_refused = end->refused_for_good;
    if (end->next_remote || (!was_up && !end->same_remote)) {
        c->next = (c->next + 1) % c->n_remotes;
    }
    if (end->refused_for_good) {
        c->tried = 0;
        c->at = now + AMM_CONNECT_REFUSED_WAIT * AMM_SECOND;
        return;
    }
    amm_duration wait = 0;
    if (was_up || end->same_remote || c->tried >= c->n_remotes) {
        wait = wait_between_rounds(c);
    }
    if (end->backoff > 0) {
        /* At least what was asked, and spread: the server asks many gateways for the same. */
        amm_duration asked = end->backoff * AMM_SECOND + jitter(c, (uint64_t)end->backoff / 4 + 1);
        wait = wait > asked ? wait : asked;
    }
    c->at = amm_time_after(now, wait);
}

bool amm_connect_is_overdue(const struct amm_connect *c, amm_time now)
{
    return c->phase == AMM_CONNECT_TRYING && now >= c->at;
}

amm_time amm_connect_deadline(const struct amm_connect *c)
{
    return c->n_remotes == 0 ? AMM_NEVER : c->at;
}
