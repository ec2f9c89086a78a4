/* Desired parameters of a gateway or a template: few, sorted by id. */
#include "fleet_parts.h"

#include <stdlib.h>

static void desired_deinit(struct fleet_desired *desired)
{
    free(desired->by);
    free(desired->value);
}

void fleet_settings_clear(struct fleet_settings *settings)
{
    for (uint32_t i = 0; i < settings->n; i++) {
        desired_deinit(&settings->at[i]);
    }
    free(settings->at);
    *settings = (struct fleet_settings){0};
}

/* Where `id` is, or belongs. */
static uint32_t position(const struct fleet_settings *settings, uint32_t id)
{
    uint32_t low = 0, high = settings->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (settings->at[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct fleet_desired *fleet_settings_find(const struct fleet_settings *settings, uint32_t id)
{
    uint32_t i = position(settings, id);
    return i < settings->n && settings->at[i].id == id ? &settings->at[i] : NULL;
}

static char *text_of(struct amm_view view)
{
    return strndup(view.len > 0 ? (const char *)view.data : "", view.len);
}

bool fleet_settings_put(struct fleet_settings *settings, uint16_t id, struct amm_view value,
                        bool local, int64_t at, struct amm_view by)
{
    struct fleet_desired entry = {
        .id = id, .local = local, .at = at, .by = text_of(by), .value = text_of(value)};
    if (!entry.by || !entry.value) {
        desired_deinit(&entry);
        return false;
    }
    uint32_t i = position(settings, id);
    if (i < settings->n && settings->at[i].id == id) {
        desired_deinit(&settings->at[i]);
        settings->at[i] = entry;
        return true;
    }
    struct fleet_desired *bigger = realloc(settings->at, (settings->n + 1) * sizeof *bigger);
    if (!bigger) {
        desired_deinit(&entry);
        return false;
    }
    settings->at = bigger;
    memmove(bigger + i + 1, bigger + i, (settings->n - i) * sizeof *bigger);
    bigger[i] = entry;
    settings->n++;
    return true;
}

void fleet_settings_drop(struct fleet_settings *settings, uint16_t id)
{
    uint32_t i = position(settings, id);
    if (i < settings->n && settings->at[i].id == id) {
        desired_deinit(&settings->at[i]);
        settings->n--;
        memmove(settings->at + i, settings->at + i + 1, (settings->n - i) * sizeof settings->at[0]);
    }
}
