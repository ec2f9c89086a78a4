#include "checkin_rules.h"

#include <inttypes.h>
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
    double rate = (double)c->handled * (double)AMM_SECOND / (double)length;
    if (rate > c->rate) {
        c->rate = rate;
    } else if (c->was_full) {
        c->rate = (c->rate + rate) / 2;
    }
    if (c->rate < RATE_LEAST) {
        c->rate = RATE_LEAST;
    }
    c->window = now;
    c->handled = 0;
    c->was_full = false;
}

uint32_t comeback_admit(struct comeback *comeback, struct amm_now now, amm_duration waited,
                        int64_t slot_wall, uint32_t most)
{
    measure(comeback, now.mono);
    bool in_slot = slot_wall != 0 && now.wall >= slot_wall - COMEBACK_EARLY &&
                   now.wall <= slot_wall + COMEBACK_LATE;
    if (waited < (in_slot ? COMEBACK_WAIT_SLOT : COMEBACK_WAIT)) {
        comeback->handled++;
        return 0;
    }
    comeback->was_full = true;
    /* Three quarters of the rate: newcomers without a slot come beside. */
    amm_duration step = (amm_duration)((double)AMM_SECOND / (comeback->rate * 0.75));
    amm_time earliest = now.mono + 2 * waited;
    amm_time slot = comeback->next_slot > earliest ? comeback->next_slot : earliest;
    uint64_t seconds = (uint64_t)(slot - now.mono + AMM_SECOND - 1) / AMM_SECOND;
    if (seconds > most) {
        /* More than fit before the interval is over: begin again, the measure was wrong or all wait
         * anyway. */
        comeback->next_slot = earliest;
        return most;
    }
    comeback->next_slot = slot + step;
    return (uint32_t)seconds;
}
