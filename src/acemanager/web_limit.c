#include "web_limit.h"

#include <string.h>

static uint64_t key_of(const struct amm_address *remote)
{
    uint64_t key = 0;
    size_t len = remote->family == AMM_FAMILY_IPV6 ? 8 : 4;
    for (size_t i = 0; i < len; i++) {
        key = key << 8 | remote->ip[i];
    }
    return key + 1; /* 0 is "free" */
}

static struct web_limit_entry *find(struct web_limit *limit, const struct amm_address *remote)
{
    uint64_t key = key_of(remote);
    for (size_t i = 0; i < WEB_LIMIT_ADDRESSES; i++) {
        if (limit->at[i].key == key) {
            return &limit->at[i];
        }
    }
    return NULL;
}

static struct web_limit_entry *find_or_make(struct web_limit *limit,
                                            const struct amm_address *remote, amm_time mono)
{
    struct web_limit_entry *entry = find(limit, remote), *oldest = &limit->at[0];
    if (entry) {
        return entry;
    }
    for (size_t i = 0; i < WEB_LIMIT_ADDRESSES; i++) {
        struct web_limit_entry *other = &limit->at[i];
        if (other->key == 0) {
            oldest = other;
            break;
        }
        oldest = other->last < oldest->last ? other : oldest;
    }
    *oldest = (struct web_limit_entry){.key = key_of(remote), .last = mono};
    return oldest;
}

static uint32_t seconds_until(amm_time at, amm_time mono)
{
    return at <= mono ? 0 : (uint32_t)((at - mono + AMM_SECOND - 1) / AMM_SECOND);
}

static void refill(struct web_limit *limit, amm_time mono)
{
    amm_duration step = WEB_LIMIT_REFILL * AMM_SECOND;
    if (limit->together == 0) {
        limit->refilled = mono;
        return;
    }
    amm_duration steps = (mono - limit->refilled) / step;
    limit->together -= steps < limit->together ? (uint32_t)steps : limit->together;
    limit->refilled += steps * step;
}

uint32_t web_limit_wait(struct web_limit *limit, const struct amm_address *remote, amm_time mono)
{
    struct web_limit_entry *entry = find(limit, remote);
    refill(limit, mono);
    if (entry && mono - entry->last > WEB_LIMIT_FORGET * AMM_SECOND) {
        *entry = (struct web_limit_entry){0};
        entry = NULL;
    }
    uint32_t wait = 0;
    if (entry && entry->wrong >= WEB_LIMIT_FREE) {
        uint32_t doublings = entry->wrong - WEB_LIMIT_FREE;
        int64_t pause =
            doublings < 9 ? INT64_C(1) << doublings : WEB_LIMIT_WAIT; /* 256, then 300 */
        wait = seconds_until(entry->last + pause * AMM_SECOND, mono);
    }
    if (limit->together >= WEB_LIMIT_TOGETHER) {
        uint32_t next = seconds_until(limit->refilled + WEB_LIMIT_REFILL * AMM_SECOND, mono);
        wait = next > wait ? next : wait;
    }
    limit->refused += wait > 0;
    return wait;
}

void web_limit_try(struct web_limit *limit, const struct amm_address *remote, amm_time mono)
{
    struct web_limit_entry *entry = find_or_make(limit, remote, mono);
    refill(limit, mono);
    entry->wrong++;
    entry->last = mono;
    limit->together++;
    limit->wrong++;
}

void web_limit_right(struct web_limit *limit, const struct amm_address *remote)
{
    struct web_limit_entry *entry = find(limit, remote);
    if (entry) {
        *entry = (struct web_limit_entry){0};
    }
    limit->together -= limit->together > 0;
    limit->wrong--;
}
