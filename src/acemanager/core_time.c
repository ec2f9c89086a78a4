#include "core_parts.h"

#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ammer reads it (clock-offset); in memory, because it is worth nothing after a restart of the
 * machine. */
static void write_offset(struct ace_core *core)
{
    char path[2 * AMM_CONF_TEXT], text[32], error[ACE_PATH + 96];
    snprintf(path, sizeof path, "%s/clock-offset", core->config->run_folder);
    int len = snprintf(text, sizeof text, "%lld\n", (long long)core->clock.offset);
    if (!amm_file_write(path, amm_view(text, (size_t)len), 0644, error, sizeof error)) {
        amm_log(AMM_LOG_ERROR, "clock-offset", amm_field_text("why", error));
    }
}

static void read_offset(struct ace_core *core)
{
    char path[2 * AMM_CONF_TEXT], error[ACE_PATH + 96];
    struct amm_span text;
    snprintf(path, sizeof path, "%s/clock-offset", core->config->run_folder);
    if (amm_file_read(path, 64, &text, error, sizeof error)) {
        amm_clock_offset_parse((const char *)text.data, &core->clock.offset);
        free(text.data);
    }
}

static void clock_servers(struct ace_core *core)
{
    bool is_on = ace_parameters_number(core->parameters, AMM_MSCI_NTP) != 0;
    ace_ntp_servers(core->ntp,
                    is_on ? ace_parameters_text(core->parameters, AMM_MSCI_NTP_SERVERS) : "",
                    core->system.mono);
}

void core_time_start(struct ace_core *core)
{
    /* A core that died kept an offset that is still right: mono and system went on. */
    ace_clock_init(&core->clock, core->memory.clock, core->identity.not_before,
                   core->identity.not_after, core->system);
    read_offset(core);
    if (core->clock.offset != 0) {
        int64_t offset = core->clock.offset;
        struct amm_now moved = core->system;
        moved.wall += offset;
        ace_clock_init(&core->clock, core->memory.clock, core->identity.not_before,
                       core->identity.not_after, moved);
        core->clock.offset = offset;
    }
    core->time_at = core->system.mono + CORE_NTP_FIRST * AMM_SECOND;
    write_offset(core);
    clock_servers(core);
}

/* Moves the clock: our own by the offset at once, and the system's if that may be; then the offset
 * is taken back when the helper has done it. */
static void move_clock(struct ace_core *core, int64_t step_ms)
{
    int64_t seconds = step_ms / 1000;
    ace_clock_shift(&core->clock, seconds);
    ace_ntp_clock_moved(core->ntp, core->system.mono);
    amm_log(AMM_LOG_INFO, "clock-moved", amm_field_number("seconds", seconds),
            amm_field_text("by", amm_clock_source_name(core->clock.source)));
    if (core->config->set_clock && !core->may_not_set_clock && !core->sets_clock) {
        const struct ace_order order = {.kind = ACE_ORDER_CLOCK,
                                        .value = core->clock.offset * 1000 + step_ms % 1000};
        core->anchor = core_now(core);
        core->sets_clock = ace_helper_send(core->helper, &order);
    }
    write_offset(core);
}

void core_time_notice(struct ace_core *core, const struct ace_notice *notice)
{
    core->sets_clock = false;
    core->system = amm_now(); /* what was read before is of the former clock */
    if (notice->kind == ACE_NOTICE_CLOCK_SET) {
        ace_clock_shift(&core->clock, -(notice->value / 1000));
        write_offset(core);
        return;
    }
    if (!core->may_not_set_clock) {
        amm_log(AMM_LOG_INFO, "clock-not-set", amm_field_text("why", notice->text));
        core->may_not_set_clock = true;
    }
}

void core_time_offer(struct ace_core *core, enum amm_clock_source source, int64_t step_ms)
{
    char error[ACE_PATH + 96];
    enum amm_clock_source before = core->clock.source;
    int64_t step = step_ms;
    enum ace_clock_verdict verdict = ace_clock_offer(&core->clock, core_now(core), source, &step);
    if (verdict != ACE_CLOCK_TAKEN) {
        if (verdict != ACE_CLOCK_OUTRANKED) {
            amm_log(AMM_LOG_WARNING, "time-refused",
                    amm_field_text("source", amm_clock_source_name(source)),
                    amm_field_number("seconds", step_ms / 1000),
                    amm_field_text("why", ace_clock_verdict_text(verdict)));
        }
        return;
    }
    if (step != 0) {
        move_clock(core, step);
    }
    if (before == AMM_CLOCK_NONE) {
        ace_event(core, "clock-set", amm_clock_source_name(source), NULL);
    }
    int64_t save = ace_clock_to_save(&core->clock, core_now(core));
    if (save > 0) {
        core->memory.clock = save;
        bool ok =
            ace_memory_write(&core->memory, core->files, core->memory_path, error, sizeof error);
        core_storage(core, ok, error);
    }
}

void core_time_doubt(struct ace_core *core)
{
    ace_clock_doubt(&core->clock);
    core->time_at = core->system.mono;
}

void core_time_step(struct ace_core *core)
{
    int64_t offset_ms;
    if (ace_ntp_step(core->ntp, core_now(core), &offset_ms)) {
        core_time_offer(core, AMM_CLOCK_NTP, offset_ms);
    }
    if (core->time_at > core->system.mono && ace_ntp_has_failed(core->ntp)) {
        core->time_at = core->system.mono;
    }
    bool is_trusted = ace_clock_is_trusted(&core->clock);
    if (is_trusted != core->was_trusted) {
        core->was_trusted = is_trusted;
        core->changed = true;
    }
}

void core_time_parameters(struct ace_core *core)
{
    clock_servers(core);
}
