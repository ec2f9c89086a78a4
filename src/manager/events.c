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

size_t events_expire(struct fleet *fleet, int64_t before, size_t most)
{
    enum amm_store_result result =
        amm_store_run(fleet->store, AMM_SQL_EVENT_EXPIRE,
                      AMM_WITH(amm_number(before), amm_number((int64_t)most)));
    return result == AMM_STORE_OK ? (size_t)amm_store_changes(fleet->store) : 0;
}
