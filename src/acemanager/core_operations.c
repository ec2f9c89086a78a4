#include "core_parts.h"

#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTES_MAX = 1440, TUNNEL_WAIT = 120, DIAGNOSTICS_MAX = 60 * 1024 };

void core_operation_end(struct ace_core *core, const char *id, enum amm_operation_state state,
                        const char *text, json_t *data)
{
    char error[ACE_PATH + 96];
    amm_log(AMM_LOG_INFO, "operation", amm_field_text("id", id),
            amm_field_text("state", amm_operation_state_name(state)), amm_field_text("text", text));
    bool ok = ace_operations_end(core->operations, id, state, text, data, error, sizeof error);
    core_storage(core, ok, error);
    ace_checkins_soon(core->checkins, core->system.mono);
}

/* ---- kinds ---- */

static void do_reboot(struct ace_core *core, const struct amm_checkin_operation *o)
{
    char error[ACE_PATH + 96];
    if (!core_reboot(core, "reboot by server", error, sizeof error)) {
        core_operation_end(core, o->id, AMM_OPERATION_FAILED, error, NULL);
    }
}

static void do_checkin(struct ace_core *core, const struct amm_checkin_operation *o)
{
    ace_checkins_forget(core->checkins, core->system.mono); /* with everything */
    core_operation_end(core, o->id, AMM_OPERATION_DONE, "", NULL);
}

static void do_tunnel(struct ace_core *core, const struct amm_checkin_operation *o)
{
    json_t *minutes = json_object_get(o->args, "minutes");
    json_int_t n = json_integer_value(minutes);
    if (!json_is_integer(minutes) || n < 1 || n > MINUTES_MAX) {
        core_operation_end(core, o->id, AMM_OPERATION_REFUSED, "minutes: not 1 to 1440", NULL);
        return;
    }
    if (core->tunnel_operation[0]) {
        core_operation_end(core, core->tunnel_operation, AMM_OPERATION_DONE,
                           "another one took its place", NULL);
    }
    core->tunnel_until = core->system.mono + n * 60 * AMM_SECOND;
    core->tunnel_operation_deadline = core->system.mono + TUNNEL_WAIT * AMM_SECOND;
    snprintf(core->tunnel_operation, sizeof core->tunnel_operation, "%s", o->id);
}

static void do_renew(struct ace_core *core, const struct amm_checkin_operation *o)
{
    if (core->renew_operation[0]) {
        core_operation_end(core, o->id, AMM_OPERATION_FAILED, "a renewal is under way", NULL);
        return;
    }
    snprintf(core->renew_operation, sizeof core->renew_operation, "%s", o->id);
    core->wants_renewal = true;
    core_retry_reset(core, &core->renew);
}

static void do_diagnostics(struct ace_core *core, const struct amm_checkin_operation *o)
{
    char *text = core_status_text(core, true);
    if (!text) {
        core_operation_end(core, o->id, AMM_OPERATION_FAILED, "out of memory", NULL);
        return;
    }
    json_t *data = json_object();
    json_object_set_new(data, "text",
                        json_stringn(text, (size_t)amm_text_part(text, DIAGNOSTICS_MAX)));
    free(text);
    core_operation_end(core, o->id, AMM_OPERATION_DONE, "", data);
}

static void do_reset(struct ace_core *core, const struct amm_checkin_operation *o)
{
    char error[ACE_PATH + 96];
    bool forgets = json_is_true(json_object_get(o->args, "forget_identity"));
    if (!ace_factory_reset(core, "server", forgets, error, sizeof error)) {
        core_operation_end(core, o->id, AMM_OPERATION_FAILED, error, NULL);
    }
}

static void do_settings(struct ace_core *core, const struct amm_checkin_operation *o,
                        const struct amm_checkin_answer *answer)
{
    char error[ACE_PATH + 96];
    if (!answer->set) {
        core_operation_end(core, o->id, AMM_OPERATION_DONE, "nothing differs", NULL);
        return;
    }
    int64_t port = ace_parameters_number(core->parameters, AMM_MSCI_TUNNEL_PORT);
    enum ace_desired desired = ace_parameters_take(core->parameters, answer->revision, answer->set,
                                                   true, core_now(core).wall, error, sizeof error);
    bool ok = desired == ACE_DESIRED_TAKEN;
    if (ok && ace_parameters_number(core->parameters, AMM_MSCI_TUNNEL_PORT) != port) {
        core->move_revision = answer->revision;
    }
    core_parameters_changed(core);
    core_operation_end(core, o->id, ok ? AMM_OPERATION_DONE : AMM_OPERATION_FAILED, ok ? "" : error,
                       NULL);
}

static const struct {
    const char *kind;
    void (*run)(struct ace_core *core, const struct amm_checkin_operation *operation);
} kinds[] = {
    {"reboot", do_reboot},           {"check-in", do_checkin},        {"tunnel", do_tunnel},
    {"renew-certificate", do_renew}, {"diagnostics", do_diagnostics}, {"factory-reset", do_reset},
};

/* ---- taking ---- */

static void take_one(struct ace_core *core, const struct amm_checkin_operation *o,
                     const struct amm_checkin_answer *answer)
{
    char error[ACE_PATH + 96];
    if (ace_operations_find(core->operations, o->id)) {
        ace_operations_again(core->operations, o->id);
        ace_checkins_soon(core->checkins, core->system.mono);
        return;
    }
    if (o->expires != 0 && ace_clock_is_trusted(&core->clock) && o->expires < core_now(core).wall) {
        core_operation_end(core, o->id, AMM_OPERATION_FAILED, "expired before it came", NULL);
        return;
    }
    size_t i = 0;
    while (i < sizeof kinds / sizeof kinds[0] && strcmp(kinds[i].kind, o->kind) != 0) {
        i++;
    }
    bool is_settings = strcmp(o->kind, "apply-settings") == 0;
    if (i == sizeof kinds / sizeof kinds[0] && !is_settings) {
        core_operation_end(core, o->id, AMM_OPERATION_REFUSED,
                           "this gateway's software knows no such operation", NULL);
        return;
    }
    /* On disk first: what was begun is never begun again. */
    if (!ace_operations_begin(core->operations, o->id, o->kind, core->memory.boot, error,
                              sizeof error)) {
        core_storage(core, false, error);
        return;
    }
    if (is_settings) {
        do_settings(core, o, answer);
    } else {
        kinds[i].run(core, o);
    }
}

void core_operations_take(struct ace_core *core, const struct amm_checkin_answer *answer)
{
    for (size_t i = 0; i < answer->n_operations; i++) {
        take_one(core, &answer->operations[i], answer);
    }
}

/* ---- what goes on ---- */

void core_operations_start(struct ace_core *core)
{
    const struct ace_operation *o;
    while ((o = ace_operations_running(core->operations, NULL)) != NULL) {
        char id[AMM_CHECKIN_ID];
        bool restarts = strcmp(o->kind, "reboot") == 0 || strcmp(o->kind, "factory-reset") == 0;
        bool is_done = restarts && o->boot != core->memory.boot;
        snprintf(id, sizeof id, "%s", o->id);
        core_operation_end(core, id, is_done ? AMM_OPERATION_DONE : AMM_OPERATION_FAILED,
                           is_done ? core->memory.reason : "the gateway started anew meanwhile",
                           NULL);
    }
}

void core_operations_step(struct ace_core *core)
{
    amm_time now = core->system.mono;
    if (core->tunnel_operation[0]) {
        bool is_up = ace_tunnel_is_up(&core->tunnel);
        if (is_up || now >= core->tunnel_operation_deadline) {
            core_operation_end(core, core->tunnel_operation,
                               is_up ? AMM_OPERATION_DONE : AMM_OPERATION_FAILED,
                               is_up ? "up" : core->tunnel.why, NULL);
            core->tunnel_operation[0] = '\0';
        }
    }
    if (core->tunnel_until != 0 && now >= core->tunnel_until) {
        core->tunnel_until = 0;
    }
    if (now >= core->reboot_at) {
        core->reboot_at = AMM_NEVER;
        ace_helper_send(core->helper, &(struct ace_order){.kind = ACE_ORDER_REBOOT});
    }
}

amm_time core_operations_deadline(const struct ace_core *core)
{
    amm_time at = core->reboot_at;
    if (core->tunnel_operation[0]) {
        at = amm_time_min(at, core->tunnel_operation_deadline);
    }
    return core->tunnel_until ? amm_time_min(at, core->tunnel_until) : at;
}
