#include "events.h"

#include "fleet_parts.h"

#include <stdlib.h>

void fleet_on_event(struct fleet *fleet,
                    void (*added)(void *context, const struct fleet_gateway *gateway,
                                  const struct fleet_event *event),
                    void *context)
{
    fleet->event_added = added;
    fleet->event_context = context;
}

static bool add(struct fleet *fleet, struct fleet_gateway *gateway, uint64_t origin,
                const struct fleet_event *event, const json_t *data, int64_t now)
{
    char *json = data ? json_dumps(data, JSON_COMPACT) : NULL;
    enum amm_store_result result = AMM_STORE_FAILED;
    if (json || !data) {
        result = amm_store_run(
            fleet->store, AMM_SQL_EVENT_ADD,
            AMM_WITH(amm_number(gateway->group->tenant->id), amm_number(gateway->id),
                     amm_number((int64_t)origin), amm_number(event->at), amm_number(now),
                     amm_text(event->kind), amm_text(event->text), amm_text(json ? json : "")));
    }
    free(json);
    if (result != AMM_STORE_OK) {
        return false;
    }
    fleet_touch_gateway(fleet, gateway, FLEET_EVENTS);
    if (fleet->event_added) {
        fleet->event_added(fleet->event_context, gateway, event);
    }
    return true;
}

bool event_add(struct fleet *fleet, struct fleet_gateway *gateway, const char *kind,
               const char *text, const json_t *data, int64_t now)
{
    struct fleet_event event = {.kind = kind, .text = text, .at = now};
    return add(fleet, gateway, 0, &event, data, now);
}

bool event_add_reported(struct fleet *fleet, struct fleet_gateway *gateway,
                        const struct amm_checkin_event *reported, int64_t now)
{
    struct fleet_event event = {
        .kind = reported->kind, .text = reported->text, .at = reported->at, .is_reported = true};
    return add(fleet, gateway, reported->id, &event, reported->data, now);
}

enum { ROWS_AT_ONCE = 12000 };
#define ROW_COST (60 * AMM_SECOND)

bool event_may_keep(struct fleet *fleet, struct fleet_gateway *gateway, struct amm_now now)
{
    amm_time paid = gateway->rows_until > now.mono ? gateway->rows_until : now.mono;
    amm_duration ahead = paid - now.mono;
    if (ahead < ROWS_AT_ONCE * ROW_COST) {
        gateway->flood_noted = gateway->flood_noted && ahead > ROWS_AT_ONCE / 2 * ROW_COST;
        gateway->rows_until = paid + ROW_COST;
        return true;
    }
    if (!gateway->flood_noted) {
        gateway->flood_noted = event_add(
            fleet, gateway, "too-many-events",
            "It reports more than can be kept: what is more than one a minute is dropped.", NULL,
            now.wall);
    }
    return false;
}

bool event_clock_is_steady(struct event_clock *clock, struct amm_now now)
{
    enum { JUMP = 600, STEADY = 6 * 3600 }; /* seconds */
    int64_t offset = now.wall - now.mono / AMM_SECOND, moved = offset - clock->offset;
    clock->offset = offset;
    if (moved > JUMP || moved < -JUMP) {
        clock->steady_at = amm_time_after(now.mono, STEADY * AMM_SECOND);
    }
    return now.mono >= clock->steady_at;
}

size_t events_expire(struct fleet *fleet, int64_t before, size_t most)
{
    enum amm_store_result result =
        amm_store_run(fleet->store, AMM_SQL_EVENT_EXPIRE,
                      AMM_WITH(amm_number(before), amm_number((int64_t)most)));
    return result == AMM_STORE_OK ? (size_t)amm_store_changes(fleet->store) : 0;
}
