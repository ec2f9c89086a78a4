#include "checkin_rules.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

struct checkin_verdict checkin_judge(const struct checkin_numbers *last,
                                     const struct checkin_numbers *message, unsigned stale)
{
    struct checkin_verdict v = {.age = CHECKIN_NEW};
    if (last->seq == 0) {
        return v;
    }
    uint32_t boot = message->has_boot ? message->boot : last->boot;
    if (message->seq > last->seq) {
        v.is_clone = boot < last->boot;
    } else if (message->seq == last->seq) {
        v.age = CHECKIN_REPEAT;
        v.is_clone = message->digest != last->digest;
    } else {
        v.age = CHECKIN_OLD;
        v.is_clone = boot > last->boot || stale >= CHECKIN_STALE_MAX;
    }
    if (v.is_clone) {
        snprintf(v.how, sizeof v.how,
                 "check-in %" PRIu64 " of start %" PRIu32 " after %" PRIu64 " of start %" PRIu32
                 "%s",
                 message->seq, boot, last->seq, last->boot,
                 v.age == CHECKIN_REPEAT ? ", with other contents" : "");
    }
    return v;
}

enum { RATE_INITIAL = 500, RATE_LEAST = 20 };

void comeback_init(struct comeback *comeback, amm_time now)
{
    *comeback = (struct comeback){.rate = RATE_INITIAL, .next_slot = now, .window = now};
}

/* Only a window in which somebody was sent away has seen the limit; a calm one can only show that
 * the limit is higher. */
static void measure(struct comeback *c, amm_time now)
{
    amm_duration length = now - c->window;
    if (length < AMM_SECOND) {
        return;
    }
    uint32_t rate = (uint32_t)(c->handled * AMM_SECOND / length), known = c->rate;
    if (rate > known) {
        known = rate;
    } else if (c->was_full) {
        known = (known + rate) / 2;
    }
    c->rate = known < RATE_LEAST ? RATE_LEAST : known;
    c->window = now;
    c->handled = 0;
    c->was_full = false;
}

/* The next free slot from `earliest` on. Three quarters of the rate are given away: newcomers
 * without a slot come beside. */
static uint32_t take_slot(struct comeback *c, amm_time now, amm_time earliest)
{
    amm_duration step = 4 * AMM_SECOND / (3 * (amm_duration)c->rate);
    amm_time next = c->next_slot, slot;
    do {
        slot = next > earliest ? next : earliest;
        if (slot - now > COMEBACK_MOST * AMM_SECOND) {
            slot = earliest; /* longer than anybody should wait: a second round over the first */
        }
    } while (!atomic_compare_exchange_weak(&c->next_slot, &next, slot + step));
    return (uint32_t)((slot - now + AMM_SECOND - 1) / AMM_SECOND);
}

uint32_t comeback_slot(struct comeback *comeback, amm_time now)
{
    return take_slot(comeback, now, now + COMEBACK_WAIT + AMM_SECOND);
}

uint32_t comeback_admit(struct comeback *comeback, struct amm_now now, uint32_t backlog,
                        int64_t slot_wall)
{
    measure(comeback, now.mono);
    amm_duration wait = backlog * AMM_SECOND / comeback->rate;
    bool in_slot = slot_wall != 0 && now.wall >= slot_wall - COMEBACK_EARLY &&
                   now.wall <= slot_wall + COMEBACK_LATE;
    if (wait < (in_slot ? COMEBACK_WAIT_SLOT : COMEBACK_WAIT)) {
        comeback->handled++;
        return 0;
    }
    comeback->was_full = true;
    return take_slot(comeback, now.mono, now.mono + 2 * wait);
}
