#include "core_parts.h"

#include "io/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- names ---- */

const char *ace_identity_state_name(enum ace_identity_state state)
{
    static const char *const names[] = {
        [ACE_IDENTITY_NONE] = "none",       [ACE_IDENTITY_ENROLLING] = "enrolling",
        [ACE_IDENTITY_WAITING] = "waiting", [ACE_IDENTITY_VALID] = "valid",
        [ACE_IDENTITY_EXPIRED] = "expired", [ACE_IDENTITY_REFUSED] = "refused",
    };
    return names[state];
}

const char *ace_checkin_state_name(enum ace_checkin_state state)
{
    static const char *const names[] = {
        [ACE_CHECKIN_OFF] = "off",         [ACE_CHECKIN_IDLE] = "idle",
        [ACE_CHECKIN_TRYING] = "trying",   [ACE_CHECKIN_FAILING] = "failing",
        [ACE_CHECKIN_REFUSED] = "refused",
    };
    return names[state];
}

const char *ace_tunnel_state_name(enum ace_tunnel_state state)
{
    static const char *const names[] = {
        [ACE_TUNNEL_DISABLED] = "disabled", [ACE_TUNNEL_WAITING] = "waiting",
        [ACE_TUNNEL_STARTING] = "starting", [ACE_TUNNEL_UP] = "up",
        [ACE_TUNNEL_DOWN] = "down",         [ACE_TUNNEL_BRAKED] = "braked",
        [ACE_TUNNEL_STOPPED] = "stopped",
    };
    return names[state];
}

/* ---- parameters ---- */

bool ace_parameter_get(const struct ace_core *core, uint32_t id, struct ace_parameter *out)
{
    return ace_parameters_get(core->parameters, id, out);
}

int64_t ace_parameter_number(const struct ace_core *core, uint32_t id)
{
    return ace_parameters_number(core->parameters, id);
}

const char *ace_parameter_text(const struct ace_core *core, uint32_t id)
{
    return ace_parameters_text(core->parameters, id);
}

unsigned ace_parameters_pending(const struct ace_core *core)
{
    return ace_parameters_waiting(core->parameters);
}

bool ace_parameters_set(struct ace_core *core, const struct ace_setting *settings, size_t n,
                        const char *by, struct ace_objection *objection)
{
    bool ok =
        ace_parameters_change(core->parameters, settings, n, core_now(core).wall, by, objection);
    if (ok || objection->id == 0) {
        core_storage(core, ok, objection->text);
    }
    if (ok) {
        core_parameters_changed(core);
        ace_checkins_soon(core->checkins, core->system.mono);
    }
    return ok;
}

bool ace_activate(struct ace_core *core, const char *by, char *error, size_t room)
{
    bool ok = ace_parameters_activate(core->parameters, error, room);
    core_storage(core, ok, error);
    if (ok) {
        amm_log(AMM_LOG_INFO, "activated", amm_field_text("by", by));
        core_parameters_changed(core);
        ace_checkins_soon(core->checkins, core->system.mono);
    }
    return ok;
}

/* ---- commands ---- */

bool ace_reboot(struct ace_core *core, const char *by, char *error, size_t room)
{
    char reason[ACE_REASON];
    snprintf(reason, sizeof reason, "reboot by %.*s", amm_text_part(by, 32), by);
    return core_reboot(core, reason, error, room);
}

void ace_checkin_now(struct ace_core *core)
{
    core_retry_reset(core, &core->enrol);
    core_retry_reset(core, &core->renew);
    core_retry_reset(core, &core->tunnel_retry);
    core->time_at = core->system.mono;
    ace_checkins_now(core->checkins, core->system.mono);
}

bool ace_factory_reset(struct ace_core *core, const char *by, bool forget_identity, char *error,
                       size_t room)
{
    static const uint32_t keep[] = {AMM_MSCI_SERVER_URL, AMM_MSCI_TUNNEL_PORT,
                                    AMM_MSCI_ENROLMENT_TOKEN};
    char path[ACE_PATH], reason[ACE_REASON];
    size_t n = forget_identity ? 0 : sizeof keep / sizeof keep[0];
    if (!ace_parameters_reset(core->parameters, keep, n, error, room)) {
        core_storage(core, false, error);
        return false;
    }
    core_path(core, "page-accounts", path);
    core->files->unlink(core->files->context, path);
    if (forget_identity) {
        bool ok = ace_identity_forget(&core->identity, error, room);
        core_path(core, "tunnel", path);
        ok = ace_record_remove(core->files, path) && ok;
        core_storage(core, ok, error);
        core->memory.server[0] = '\0';
        core_identity_changed(core);
    }
    snprintf(reason, sizeof reason, "factory reset by %.28s", by);
    return core_reboot(core, reason, error, room);
}

void ace_event(struct ace_core *core, const char *kind, const char *text, json_t *data)
{
    struct ace_event_time time = core_event_time(core);
    ace_event_queue_add(core->events, &time, kind, text, data);
}

/* ---- remote sessions ---- */

const uint8_t *ace_remote_key(const struct ace_core *core)
{
    return core->identity.has_remote_key ? core->identity.remote_key : NULL;
}

void ace_remote_key_doubt(struct ace_core *core)
{
    if (!core->doubts_remote_key) {
        core->doubts_remote_key = true;
        ace_checkins_soon(core->checkins, core->system.mono);
    }
}

uint64_t ace_tunnel_epoch(const struct ace_core *core)
{
    const struct amm_client_state *client = ace_tunnel_client(&core->tunnel);
    return ace_tunnel_is_up(&core->tunnel) && client ? client->epoch : 0;
}

uint64_t ace_tunnel_look(struct ace_core *core)
{
    core_tunnel_look(core);
    return core->looks;
}

bool ace_tunnel_looked(const struct ace_core *core, uint64_t look)
{
    return core->looked >= look;
}

/* ---- views ---- */

void ace_identity_view(const struct ace_core *core, struct ace_identity_view *out)
{
    const struct ace_identity *i = &core->identity;
    *out = (struct ace_identity_view){
        .state = core->identity_state, .not_before = i->not_before, .not_after = i->not_after};
    snprintf(out->name, sizeof out->name, "%s", i->name);
    snprintf(out->serial, sizeof out->serial, "%s", core->serial);
    snprintf(out->error, sizeof out->error, "%s", core->identity_error);
}

void ace_checkin_view(const struct ace_core *core, struct ace_checkin_view *out)
{
    amm_time due = ace_checkins_deadline(core->checkins), now = core->system.mono;
    *out = (struct ace_checkin_view){
        .state = core->server.url[0] ? ace_checkins_state(core->checkins) : ACE_CHECKIN_OFF,
        .last = core->last_checkin,
        .next = due > now && due != AMM_NEVER ? (uint32_t)((due - now) / AMM_SECOND) : 0,
        .interval = ace_checkins_every(core->checkins),
        .in_tunnel = core->last_in_tunnel,
        .seq = ace_checkins_seq(core->checkins),
    };
    if (core->server.url[0]) {
        snprintf(out->server, sizeof out->server, "%s:%u", core->server.host, core->server.port);
    }
    snprintf(out->error, sizeof out->error, "%s", ace_checkins_error(core->checkins));
    if (core->storage_error[0] && !out->error[0]) {
        snprintf(out->error, sizeof out->error, "%s", core->storage_error);
    }
}

void ace_tunnel_view(const struct ace_core *core, struct ace_tunnel_view *out)
{
    ace_tunnel_fill_view(&core->tunnel, out);
}

void ace_clock_view(const struct ace_core *core, struct ace_clock_view *out)
{
    *out = (struct ace_clock_view){
        .is_trusted = ace_clock_is_trusted(&core->clock),
        .source = core->clock.source,
        .since = core->clock.since,
        .offset = core->clock.offset,
        .floor = core->clock.floor.at,
        .floor_from = core->clock.floor.from,
    };
    if (!out->is_trusted) {
        amm_clock_words(out->words, sizeof out->words, core_now(core).wall, &core->clock.floor);
    }
    out->n_ntp = ace_ntp_view(core->ntp, &out->ntp);
}

void ace_bytes_view(const struct ace_core *core, struct ace_bytes_view *out)
{
    *out = (struct ace_bytes_view){.month = core->memory.month};
    memcpy(out->by, core->memory.bytes, sizeof out->by);
}

size_t ace_events_latest(const struct ace_core *core, struct amm_checkin_event *out, size_t n)
{
    struct ace_event_time time = core_event_time(core);
    return ace_event_queue_newest(core->events, &time, out, n);
}

uint64_t ace_events_waiting(const struct ace_core *core)
{
    return ace_event_queue_waiting(core->events);
}

uint64_t ace_events_lost(const struct ace_core *core)
{
    return ace_event_queue_lost(core->events);
}

const json_t *ace_stats(const struct ace_core *core)
{
    return core->facts.stats;
}

size_t ace_listens(const struct ace_core *core, struct ace_listen *out, size_t n)
{
    size_t have = 0;
    for (; have < core->facts.n_listens && have < n; have++) {
        out[have] = core->facts.listens[have];
    }
    const struct amm_client_state *client = ace_tunnel_client(&core->tunnel);
    bool has_tunnel = ace_tunnel_is_up(&core->tunnel) && client && client->inner_ip != 0;
    if (has_tunnel && have < n) {
        struct ace_listen *l = &out[have];
        *l = (struct ace_listen){
            .is_tunnel = true, .prefix = 32, .address = {.family = AMM_FAMILY_IPV4}};
        amm_store_u32(l->address.ip, client->inner_ip);
        snprintf(l->link, sizeof l->link, "%s", client->tun);
    }
    return core->facts.n_listens + has_tunnel;
}

static const char *stat_text(const struct ace_core *core, const char *name)
{
    const char *text = json_string_value(json_object_get(core->facts.stats, name));
    return text ? text : "";
}

void ace_about(const struct ace_core *core, struct ace_about *out)
{
    *out = (struct ace_about){
        .model = stat_text(core, "Platform"),
        .software = AMM_VERSION,
        .serial = core->serial,
        .uptime = core_uptime(core),
        .boot_reason = core->memory.reason,
    };
    const char *name = ace_parameters_text(core->parameters, AMM_MSCI_DEVICE_NAME);
    if (name[0]) {
        snprintf(out->name, sizeof out->name, "%.64s", name);
    } else if (gethostname(out->name, sizeof out->name - 1) != 0) {
        out->name[0] = '\0';
    }
}
