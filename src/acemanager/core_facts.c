#include "core_parts.h"

#include "io/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNTERS_EVERY = 3600 };

/* ---- serial number ---- */

static bool take_serial(struct ace_core *core, const char *path, size_t most)
{
    char text[128] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    size_t len = 0;
    for (ssize_t i = 0; i < got && len < most; i++) {
        char c = text[i];
        bool is_good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.';
        if (!is_good) {
            break;
        }
        core->serial[len++] = c;
    }
    core->serial[len] = '\0';
    return len >= 4; /* "None", "0" and the like are no serial numbers */
}

void core_serial_read(struct ace_core *core)
{
    if (core->config->serial[0]) {
        snprintf(core->serial, sizeof core->serial, "%.64s", core->config->serial);
        return;
    }
    if (!take_serial(core, "/proc/device-tree/serial-number", 64) &&
        !take_serial(core, "/sys/class/dmi/id/product_serial", 64) &&
        !take_serial(core, "/etc/machine-id", 16)) {
        snprintf(core->serial, sizeof core->serial, "unknown");
    }
}

/* ---- looking ---- */

static void add_own(struct ace_core *core, struct ace_facts *f)
{
    static const char *const purposes[] = {"Bytes-CheckIn", "Bytes-Tunnel", "Bytes-Software"};
    ace_facts_stat(f, "SoftwareVersion", json_string(AMM_VERSION));
    ace_facts_stat(f, "AMMER-Version", json_string(AMM_VERSION));
    ace_facts_stat(f, "SerialNumber", json_string(core->serial));
    ace_facts_stat(f, "BootReason", json_string(core->memory.reason));
    ace_facts_stat(f, "ResetCount", json_integer(core->memory.boot));
    ace_facts_stat(f, "ManagementTunnel-State",
                   json_string(ace_tunnel_state_name(core->tunnel.state)));
    if (core->tunnel.why[0]) {
        char clean[AMM_CHECKIN_TEXT];
        amm_text_clean(clean, sizeof clean, amm_view_str(core->tunnel.why));
        ace_facts_stat(f, "ManagementTunnel-Error", json_string(clean));
    }
    uint64_t lost = ace_event_queue_lost(core->events);
    if (lost > 0) {
        ace_facts_stat(f, "EventsLost", json_integer((json_int_t)lost));
    }
    for (size_t i = 0; i < ACE_PURPOSES; i++) {
        uint64_t sum = core->memory.bytes[i].in + core->memory.bytes[i].out;
        ace_facts_stat(f, purposes[i], json_integer((json_int_t)sum));
    }
    ace_facts_report(f, AMM_MSCI_ELECTRONIC_ID, core->serial);
    ace_facts_report(f, AMM_MSCI_REMOTE_ACCESS, "Disabled");
}

static bool same_listens(const struct ace_facts *a, const struct ace_facts *b)
{
    return a->n_listens == b->n_listens &&
           memcmp(a->listens, b->listens, a->n_listens * sizeof a->listens[0]) == 0;
}

void core_look(struct ace_core *core)
{
    struct ace_facts facts;
    char error[ACE_PATH + 256], tunnels[2 * AMM_CONF_TEXT + 8];
    core->look_at = core->system.mono + CORE_LOOK_EVERY * AMM_SECOND;
    if (!ace_facts_init(&facts)) {
        return;
    }
    snprintf(tunnels, sizeof tunnels, "%s0 %s1", core->config->tun, core->config->tun);
    const struct ace_linux settings = {core->config->lan, core->config->model, tunnels};
    ace_facts_linux(&facts, &settings);
    if (core->config->modem[0] &&
        !ace_facts_modem(&facts, core->config->modem, core->system.mono, error, sizeof error)) {
        amm_log(AMM_LOG_WARNING, "modem", amm_field_text("why", error));
    }
    add_own(core, &facts);
    core->changed = core->changed || !same_listens(&core->facts, &facts);
    ace_facts_deinit(&core->facts);
    core->facts = facts;
    for (size_t i = 0; i < facts.n_reports; i++) {
        ace_parameters_report(core->parameters, facts.reports[i].id, facts.reports[i].text);
    }
    if (facts.time_source != AMM_CLOCK_NONE) {
        int64_t age = (core->system.mono - facts.time_mono) / AMM_SECOND;
        core_time_offer(core, facts.time_source, (facts.time + age - core_now(core).wall) * 1000);
    }
}

/* ---- what the server is told ---- */

static bool is_counter(const char *name)
{
    size_t len = strlen(name);
    return strncmp(name, "Bytes-", 6) == 0 || (len > 5 && strcmp(name + len - 5, "Bytes") == 0);
}

/* Numbers that only count would make every check-in larger: they are told once an hour. */
json_t *core_stats_reported(struct ace_core *core)
{
    const char *name;
    json_t *value;
    core_look(core);
    json_t *stats = json_copy(core->facts.stats);
    bool is_due = !core->counters || core->system.mono >= core->counters_at;
    if (is_due) {
        json_decref(core->counters);
        core->counters = json_object();
        core->counters_at = core->system.mono + COUNTERS_EVERY * AMM_SECOND;
    }
    json_object_foreach(core->facts.stats, name, value)
    {
        if (!is_counter(name)) {
            continue;
        }
        json_t *former = json_object_get(core->counters, name);
        if (former) {
            json_object_set(stats, name, former);
        } else {
            json_object_set(core->counters, name, value);
        }
    }
    return stats;
}
