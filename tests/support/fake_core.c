#include "fake_core.h"

#include "io/clock.h"

#include <stdio.h>
#include <string.h>

void fake_core_init(struct ace_core *core, const char *folder)
{
    *core = (struct ace_core){0};
    snprintf(core->folder, sizeof core->folder, "%s", folder);
    for (size_t i = 0; i < amm_msci_count(); i++) {
        struct amm_msci_value value = {0};
        amm_msci_initial(amm_msci_at(i), &value);
        snprintf(core->parameters[i].value, AMM_MSCI_VALUE, "%s", value.text);
        core->parameters[i].by = "default";
    }
    core->stats = json_object();
    core->clock = (struct ace_clock_view){.is_trusted = true,
                                          .source = AMM_CLOCK_NTP,
                                          .since = 1795516800,
                                          .floor = 1793500000,
                                          .floor_from = "this release",
                                          .ntp = core->ntp};
    core->about = (struct ace_about){
        .model = "Virtual", .software = "0.1.0", .serial = "A1B2C3D4", .boot_reason = "power on"};
    snprintf(core->about.name, sizeof core->about.name, "gw-1");
}

void fake_core_deinit(struct ace_core *core)
{
    json_decref(core->stats);
}

static size_t index_of(uint32_t id)
{
    size_t i = 0;
    while (i < amm_msci_count() && amm_msci_at(i)->id != id) {
        i++;
    }
    return i;
}

void fake_core_set(struct ace_core *core, uint32_t id, const char *value)
{
    snprintf(core->parameters[index_of(id)].value, AMM_MSCI_VALUE, "%s", value);
}

static void busy_events(struct ace_core *core, int64_t wall)
{
    static const char *const kinds[][2] = {
        {"tunnel-up", "port 1190, 10.4.37.122"},
        {"settings", "Check-in interval is 900 s (server)"},
        {"tunnel-down", "no answer from 203.0.113.10:1190/udp for 60 s"},
        {"wan", "CellLink is the WAN interface now"},
        {"login-refused", "wrong account or password on ACEmanager"},
        {"boot", "power on"},
    };
    core->n_events = sizeof kinds / sizeof *kinds;
    for (size_t i = 0; i < core->n_events; i++) {
        struct amm_checkin_event *event = &core->events[i];
        *event =
            (struct amm_checkin_event){.id = 331 - i, .at = wall - 340 - (int64_t)(i * i) * 4111};
        snprintf(event->kind, sizeof event->kind, "%s", kinds[i][0]);
        snprintf(event->text, sizeof event->text, "%s", kinds[i][1]);
    }
}

static void busy_views(struct ace_core *core, int64_t wall)
{
    core->identity = (struct ace_identity_view){.state = ACE_IDENTITY_VALID,
                                                .name = "bus-1047",
                                                .not_before = wall - 20 * 86400,
                                                .not_after = wall + 70 * 86400,
                                                .serial = "LA83720045061001"};
    core->checkin = (struct ace_checkin_view){.state = ACE_CHECKIN_IDLE,
                                              .last = wall - 254,
                                              .next = 668,
                                              .interval = 900,
                                              .server = "10.4.32.1:8443",
                                              .in_tunnel = true,
                                              .seq = 18211};
    core->tunnel = (struct ace_tunnel_view){.state = ACE_TUNNEL_UP,
                                            .port = 1190,
                                            .since = wall - 8 * 3600 - 720,
                                            .client = {.phase = AMM_PHASE_UP,
                                                       .since = wall - 8 * 3600 - 720,
                                                       .remote = "amm.example.net:1190/udp",
                                                       .inner_ip = 0x0a04257a,
                                                       .tun = "tun-amm",
                                                       .server = "amm-server",
                                                       .cipher = "AES-128-GCM",
                                                       .tls = "TLSv1.3 TLS_AES_256_GCM_SHA384",
                                                       .joins = 3,
                                                       .rx_bytes = 8123456,
                                                       .tx_bytes = 31200345}};
    core->bytes = (struct ace_bytes_view){
        .month = wall - 20 * 86400,
        .by = {{1234567, 2345678}, {8123456, 31200345}, {48600000, 912345}}};
    core->clock.since = wall - 612;
    core->clock.n_ntp = 2;
    core->ntp[0] = (struct ace_ntp_view){
        .server = "0.pool.ntp.org", .last = wall - 612, .offset_ms = 12, .stratum = 2};
    core->ntp[1] = (struct ace_ntp_view){.server = "192.168.13.1",
                                         .last = wall - 90000,
                                         .offset_ms = -41,
                                         .stratum = 3,
                                         .error = "no answer within 5 s"};
    core->about = (struct ace_about){.model = "MP70",
                                     .software = "4.17.0.12",
                                     .serial = "LA83720045061001",
                                     .uptime = 3 * 86400 + 4 * 3600,
                                     .boot_reason = "power on"};
    snprintf(core->about.name, sizeof core->about.name, "Bus 1047");
}

void fake_core_busy(struct ace_core *core, int64_t wall)
{
    busy_views(core, wall);
    busy_events(core, wall);
    json_decref(core->stats);
    core->stats = json_pack(
        "{ss ss ss si si sf sf sI sI ss ss ss ss ss ss}", "CurrentWANInterface", "CellLink",
        "CellLink-CurrentNetworkOperator", "Carrier A", "CellLink-NetworkServiceType", "LTE",
        "CellLink-RSSI", -61, "CellLink-RSRP", -82, "CellLink-RSRQ", -9.5, "CellLink-SINR", 14.2,
        "CellLink-txBytes", (json_int_t)31200000, "CellLink-rxBytes", (json_int_t)482000000,
        "CellLink-IPAddress", "100.71.4.18", "CellLink-State", "connected", "IMEI",
        "351732090012345", "LAN-Prefixes", "192.168.13.0/24", "Ethernet_Port1_mode", "LAN",
        "AMMER-Version", "0.1.0");
    fake_core_set(core, AMM_MSCI_SERVER_URL, "https://amm.example.net:8443");
    fake_core_set(core, AMM_MSCI_TUNNEL, "Enable");
    fake_core_set(core, AMM_MSCI_DEVICE_NAME, "Bus 1047");
    fake_core_set(core, AMM_MSCI_LAN_ADDRESS, "192.168.13.31/24");
    fake_core_set(core, AMM_MSCI_POWER_IN, "13.2");
    fake_core_set(core, AMM_MSCI_BOARD_TEMPERATURE, "41");
}

#define EVIL "\"'><script>alert(1)</script><img src=//evil.example/x onerror=alert(1)>{{csrf}}"

static void fill(char *out, size_t room)
{
    size_t len = room - 1 < sizeof EVIL - 1 ? room - 1 : sizeof EVIL - 1;
    memcpy(out, EVIL, len);
    out[len] = '\0';
}

static void fill_views(struct ace_core *core)
{
    fill(core->about.name, sizeof core->about.name);
    core->about.model = core->about.software = core->about.serial = core->about.boot_reason = EVIL;
    fill(core->checkin.error, sizeof core->checkin.error);
    fill(core->checkin.server, sizeof core->checkin.server);
    fill(core->identity.error, sizeof core->identity.error);
    fill(core->identity.name, sizeof core->identity.name);
    fill(core->tunnel.why, sizeof core->tunnel.why);
    fill(core->tunnel.client.remote, sizeof core->tunnel.client.remote);
    fill(core->tunnel.client.last_error, sizeof core->tunnel.client.last_error);
    fill(core->tunnel.client.tun, sizeof core->tunnel.client.tun);
    fill(core->tunnel.client.tls, sizeof core->tunnel.client.tls);
    fill(core->clock.words, sizeof core->clock.words);
    fill(core->ntp[0].server, sizeof core->ntp[0].server);
    fill(core->ntp[0].error, sizeof core->ntp[0].error);
}

void fake_core_hostile(struct ace_core *core)
{
    const char *key;
    json_t *value;
    void *next;
    fill_views(core);
    for (size_t i = 0; i < core->n_events; i++) {
        fill(core->events[i].kind, sizeof core->events[i].kind);
        fill(core->events[i].text, sizeof core->events[i].text);
    }
    json_object_foreach_safe(core->stats, next, key, value)
    {
        json_object_set_new(core->stats, key, json_string(EVIL));
    }
    for (size_t i = 0; i < amm_msci_count(); i++) {
        uint32_t id = amm_msci_at(i)->id; /* the pages themselves run by these two */
        if (id != AMM_MSCI_HTTPS_PORT && id != AMM_MSCI_IDLE_TIME) {
            fill(core->parameters[i].value, AMM_MSCI_VALUE);
        }
        core->parameters[i].by = EVIL;
        core->parameters[i].at = 1;
    }
}

/* ---- acemanager/core.h ---- */

bool ace_core_attach(struct ace_core *core, const struct ace_part *part)
{
    core->part = *part;
    return true;
}

struct amm_now ace_core_now(const struct ace_core *core)
{
    return core->now.mono ? core->now : amm_now();
}

const char *ace_core_folder(const struct ace_core *core)
{
    return core->folder;
}

bool ace_parameter_get(const struct ace_core *core, uint32_t id, struct ace_parameter *out)
{
    size_t i = index_of(id);
    if (i == amm_msci_count()) {
        return false;
    }
    *out = (struct ace_parameter){
        .msci = amm_msci_at(i),
        .value = core->parameters[i].value,
        .pending = core->parameters[i].is_pending ? core->parameters[i].pending : NULL,
        .at = core->parameters[i].at,
        .by = core->parameters[i].by,
    };
    return true;
}

int64_t ace_parameter_number(const struct ace_core *core, uint32_t id)
{
    struct ace_parameter p;
    struct amm_msci_value value;
    if (!ace_parameter_get(core, id, &p)) {
        return 0;
    }
    snprintf(value.text, sizeof value.text, "%s", p.value);
    return amm_msci_value_number(p.msci, &value);
}

const char *ace_parameter_text(const struct ace_core *core, uint32_t id)
{
    struct ace_parameter p;
    return ace_parameter_get(core, id, &p) ? p.value : "";
}

static bool set_one(struct ace_core *core, const struct ace_setting *setting, const char *by,
                    bool for_real, struct ace_objection *objection)
{
    const struct amm_msci *msci = amm_msci_find(setting->id);
    struct amm_msci_value value;
    objection->id = setting->id;
    if (!msci || !amm_msci_may_set(msci, AMM_MSCI_FROM_PAGE, objection->text) ||
        !amm_msci_from_text(msci, setting->text, &value, objection->text)) {
        return false;
    }
    size_t i = index_of(setting->id);
    if (for_real) {
        bool waits = msci->activation == AMM_MSCI_REBOOT;
        snprintf(waits ? core->parameters[i].pending : core->parameters[i].value, AMM_MSCI_VALUE,
                 "%s", value.text);
        core->parameters[i].is_pending =
            waits && strcmp(core->parameters[i].pending, core->parameters[i].value) != 0;
        core->parameters[i].at = ace_core_now(core).wall;
        core->parameters[i].by = by;
    }
    return true;
}

bool ace_parameters_set(struct ace_core *core, const struct ace_setting *settings, size_t n,
                        const char *by, struct ace_objection *objection)
{
    core->sets++;
    core->by = by;
    if (core->objection[0]) {
        objection->id = core->objection_id;
        snprintf(objection->text, sizeof objection->text, "%s", core->objection);
        return false;
    }
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++) {
            if (!set_one(core, &settings[i], by, pass == 1, objection)) {
                return false;
            }
        }
    }
    return true;
}

unsigned ace_parameters_pending(const struct ace_core *core)
{
    unsigned n = 0;
    for (size_t i = 0; i < amm_msci_count(); i++) {
        n += core->parameters[i].is_pending;
    }
    return n;
}

bool ace_activate(struct ace_core *core, const char *by, char *error, size_t room)
{
    (void)error;
    (void)room;
    core->activations++;
    core->by = by;
    for (size_t i = 0; i < amm_msci_count(); i++) {
        if (core->parameters[i].is_pending) {
            memcpy(core->parameters[i].value, core->parameters[i].pending, AMM_MSCI_VALUE);
            core->parameters[i].is_pending = false;
        }
    }
    return true;
}

bool ace_reboot(struct ace_core *core, const char *by, char *error, size_t room)
{
    (void)error;
    (void)room;
    core->reboots++;
    core->by = by;
    return true;
}

void ace_checkin_now(struct ace_core *core)
{
    core->checkins++;
}

bool ace_factory_reset(struct ace_core *core, const char *by, bool forget_identity, char *error,
                       size_t room)
{
    (void)error;
    (void)room;
    core->resets++;
    core->forgot_identity = forget_identity;
    core->by = by;
    return true;
}

void ace_event(struct ace_core *core, const char *kind, const char *text, json_t *data)
{
    (void)text;
    (void)data;
    core->told++;
    snprintf(core->last_event, sizeof core->last_event, "%s", kind);
}

const char *ace_identity_state_name(enum ace_identity_state state)
{
    static const char *const names[] = {"none",  "enrolling", "waiting",
                                        "valid", "expired",   "refused"};
    return names[state];
}

void ace_identity_view(const struct ace_core *core, struct ace_identity_view *out)
{
    *out = core->identity;
}

const char *ace_checkin_state_name(enum ace_checkin_state state)
{
    static const char *const names[] = {"off", "idle", "trying", "failing", "refused"};
    return names[state];
}

void ace_checkin_view(const struct ace_core *core, struct ace_checkin_view *out)
{
    *out = core->checkin;
}

const char *ace_tunnel_state_name(enum ace_tunnel_state state)
{
    static const char *const names[] = {"disabled", "waiting", "starting", "up",
                                        "down",     "braked",  "stopped"};
    return names[state];
}

void ace_tunnel_view(const struct ace_core *core, struct ace_tunnel_view *out)
{
    *out = core->tunnel;
}

void ace_clock_view(const struct ace_core *core, struct ace_clock_view *out)
{
    *out = core->clock;
    out->ntp = core->ntp;
}

void ace_bytes_view(const struct ace_core *core, struct ace_bytes_view *out)
{
    *out = core->bytes;
}

size_t ace_events_latest(const struct ace_core *core, struct amm_checkin_event *out, size_t n)
{
    n = n < core->n_events ? n : core->n_events;
    memcpy(out, core->events, n * sizeof *out);
    return n;
}

uint64_t ace_events_waiting(const struct ace_core *core)
{
    return core->events_waiting;
}

uint64_t ace_events_lost(const struct ace_core *core)
{
    return core->events_lost;
}

const json_t *ace_stats(const struct ace_core *core)
{
    return core->stats;
}

size_t ace_listens(const struct ace_core *core, struct ace_listen *out, size_t n)
{
    for (size_t i = 0; i < n && i < core->n_listens; i++) {
        out[i] = core->listens[i];
    }
    return core->n_listens;
}

void ace_about(const struct ace_core *core, struct ace_about *out)
{
    *out = core->about;
}

const uint8_t *ace_remote_key(const struct ace_core *core)
{
    return core->has_remote_key ? core->remote_key : NULL;
}

void ace_remote_key_doubt(struct ace_core *core)
{
    core->doubts++;
}

uint64_t ace_tunnel_epoch(const struct ace_core *core)
{
    return core->tunnel.state == ACE_TUNNEL_UP ? core->tunnel.client.epoch : 0;
}

uint64_t ace_tunnel_look(struct ace_core *core)
{
    core->looked = core->is_slow ? core->looked : core->looks + 1;
    return ++core->looks;
}

bool ace_tunnel_looked(const struct ace_core *core, uint64_t look)
{
    return core->looked >= look;
}
