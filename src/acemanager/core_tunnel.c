#include "core_parts.h"

#include "io/file.h"
#include "io/log.h"
#include "io/unix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ASK_WHILE_DOWN = 1, /* seconds between two questions for ammer's state */
    ASK_WHILE_UP = 5,
    ANSWER_SECONDS = 2,
    CONF_ROOM = 16384,
};

/* ---- ammer's configuration ---- */

static void run_path(const struct ace_core *core, const char *name, unsigned slot,
                     char out[ACE_PATH])
{
    snprintf(out, ACE_PATH, "%s/%s-%u", core->config->run_folder, name, slot);
}

static void write_remotes(struct amm_writer *w, const struct amm_tunnel_settings *s, uint16_t port)
{
    static const char *const transports[] = {"udp", "tcp"};
    for (size_t t = 0; t < sizeof transports / sizeof transports[0]; t++) {
        for (size_t i = 0; i < s->n_remotes; i++) {
            amm_write_text(w, "remote = %s %u %s\n", s->remotes[i], port, transports[t]);
        }
    }
}

static void write_conf(struct ace_core *core, struct amm_writer *w, unsigned slot, uint16_t port)
{
    const struct amm_tunnel_settings *s = &core->settings;
    char certificate[ACE_PATH + 32], key[ACE_PATH + 32];
    int64_t keep_alive = ace_parameters_number(core->parameters, AMM_MSCI_KEEP_ALIVE);
    ace_identity_paths(&core->identity, certificate, key);
    amm_write_text(w, "# made by acemanager\n");
    write_remotes(w, s, port);
    amm_write_text(w, "ca = ca-%u\ncertificate = %s\nkey = %s\n", slot, certificate, key);
    amm_write_text(w, "server-name = %s\nwrap = %s\n", s->server_name, s->wrap);
    if (s->wrap_key[0]) {
        amm_write_text(w, "wrap-key = wrap-%u\n", slot);
    }
    amm_write_text(w, "ciphers = %s\nmtu = %u\ntun = %s%u\n", s->ciphers, s->mtu, core->config->tun,
                   slot);
    amm_write_text(w, "state-socket = %s/ammer-%u.sock\nclock-offset = %s/clock-offset\n",
                   core->config->run_folder, slot, core->config->run_folder);
    amm_write_text(w, "state-group = %u\n", (unsigned)getegid());
    if (keep_alive > 0) {
        amm_write_text(w, "keep-alive = %lld\n", (long long)keep_alive);
    }
}

static bool put_file(struct ace_core *core, const char *name, unsigned slot, const char *text,
                     char *error, size_t room)
{
    char path[ACE_PATH];
    run_path(core, name, slot, path);
    return amm_file_write(path, amm_view_str(text), 0600, error, room);
}

static bool configure(void *context, unsigned slot, uint16_t port, char *error, size_t room)
{
    struct ace_core *core = context;
    char path[ACE_PATH + 8];
    char *text = malloc(CONF_ROOM);
    if (!text) {
        snprintf(error, room, "out of memory");
        return false;
    }
    struct amm_writer w = amm_writer(text, CONF_ROOM);
    write_conf(core, &w, slot, port);
    snprintf(path, sizeof path, "%s/ammer-%u.conf", core->config->run_folder, slot);
    bool ok = amm_writer_len(&w) > 0 &&
              put_file(core, "ca", slot, core->settings.ca, error, room) &&
              put_file(core, "wrap", slot, core->settings.wrap_key, error, room) &&
              amm_file_write(path, amm_view(text, amm_writer_len(&w)), 0600, error, room);
    if (amm_writer_len(&w) == 0) {
        snprintf(error, room, "the tunnel's settings are too long");
    }
    free(text);
    return ok;
}

static bool order(void *context, const struct ace_order *what)
{
    const struct ace_core *core = context;
    return ace_helper_send(core->helper, what);
}

void core_tunnel_start(struct ace_core *core)
{
    const struct ace_tunnel_env env = {core, order, configure};
    ace_tunnel_init(&core->tunnel, &env);
    core->tunnel_generation = 1;
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        core->ammers[slot] = (struct core_ammer){.fd = -1, .next = 0, .deadline = AMM_NEVER};
    }
}

/* ---- what is wanted ---- */

static bool port_is_offered(const struct ace_core *core, uint16_t port)
{
    for (size_t i = 0; i < core->settings.n_ports; i++) {
        if (core->settings.ports[i] == port) {
            return true;
        }
    }
    return false;
}

static struct ace_tunnel_wish wish_now(struct ace_core *core, char words[AMM_CHECKIN_TEXT])
{
    struct ace_tunnel_wish wish = {
        .state = ACE_TUNNEL_WAITING,
        .port = (uint16_t)ace_parameters_number(core->parameters, AMM_MSCI_TUNNEL_PORT),
        .generation = core->tunnel_generation,
        .why = words,
    };
    bool is_enabled = ace_parameters_number(core->parameters, AMM_MSCI_TUNNEL) != 0 ||
                      core->tunnel_until > core->system.mono;
    words[0] = '\0';
    if (!is_enabled) {
        wish.state = ACE_TUNNEL_DISABLED;
    } else if (core->is_stopped) {
        wish.state = ACE_TUNNEL_STOPPED;
        snprintf(words, AMM_CHECKIN_TEXT, "%s", ace_checkins_error(core->checkins));
    } else if (!core->server.url[0]) {
        snprintf(words, AMM_CHECKIN_TEXT, "no server is set");
    } else if (core->sets_clock) {
        snprintf(words, AMM_CHECKIN_TEXT, "the clock is being set");
    } else if (!ace_clock_is_trusted(&core->clock)) {
        amm_clock_words(words, AMM_CHECKIN_TEXT, core_now(core).wall, &core->clock.floor);
    } else if (!core->identity.certificate) {
        snprintf(words, AMM_CHECKIN_TEXT, "waits for a certificate from the server");
    } else if (core_now(core).wall > core->identity.not_after) {
        snprintf(words, AMM_CHECKIN_TEXT, "the certificate has expired; renewal is being tried");
    } else if (!core->settings.hash[0]) {
        snprintf(words, AMM_CHECKIN_TEXT, "waits for the tunnel's settings from the server");
    } else if (!port_is_offered(core, wish.port)) {
        snprintf(words, AMM_CHECKIN_TEXT, "the server has no tunnel port %u", wish.port);
    } else {
        wish.state = ACE_TUNNEL_STARTING;
    }
    return wish;
}

/* ---- moves ---- */

static void take_move(struct ace_core *core)
{
    struct ace_tunnel_move move;
    char text[AMM_CHECKIN_TEXT], error[ACE_PATH + 96], id[AMM_CHECKIN_ID];
    if (!ace_tunnel_move_take(&core->tunnel, &move)) {
        return;
    }
    if (move.ok) {
        snprintf(text, sizeof text, "from port %u to %u", move.from, move.to);
        ace_event(core, "tunnel-moved", text, NULL);
    } else {
        snprintf(text, sizeof text, "from port %u to %u: %.200s", move.from, move.to, move.why);
        ace_event(core, "tunnel-not-moved", text, NULL);
        if (ace_parameters_number(core->parameters, AMM_MSCI_TUNNEL_PORT) == move.to) {
            char port[8];
            snprintf(port, sizeof port, "%u", move.from);
            bool ok = ace_parameters_put(core->parameters, AMM_MSCI_TUNNEL_PORT, port,
                                         core_now(core).wall, "revert", error, sizeof error);
            core_storage(core, ok, error);
            core_parameters_changed(core);
        }
    }
    if (core->move_revision != 0 && !move.ok) {
        snprintf(id, sizeof id, "settings-%lld", (long long)core->move_revision);
        core_operation_end(core, id, AMM_OPERATION_FAILED, text, NULL);
    }
    core->move_revision = 0;
    ace_checkins_soon(core->checkins, core->system.mono);
}

/* ---- ammer's state ---- */

static void count_bytes(struct ace_core *core, unsigned slot, const struct amm_client_state *state)
{
    struct core_ammer *a = &core->ammers[slot];
    bool is_new = state->rx_bytes < a->rx || state->tx_bytes < a->tx; /* another session */
    uint64_t rx = state->rx_bytes - (is_new ? 0 : a->rx);
    uint64_t tx = state->tx_bytes - (is_new ? 0 : a->tx);
    a->rx = state->rx_bytes;
    a->tx = state->tx_bytes;
    if (rx || tx) {
        int64_t wall = ace_clock_is_trusted(&core->clock) ? core_now(core).wall : 0;
        ace_memory_count(&core->memory, wall, ACE_TUNNEL, rx, tx);
        core_memory_changed(core, 3600 * AMM_SECOND);
    }
}

static void end_question(struct ace_core *core, unsigned slot)
{
    struct core_ammer *a = &core->ammers[slot];
    if (a->fd >= 0) {
        amm_loop_remove(core->loop, a->fd);
        close(a->fd);
        a->fd = -1;
    }
    a->deadline = AMM_NEVER;
}

static void ask_state(struct ace_core *core, unsigned slot)
{
    struct core_ammer *a = &core->ammers[slot];
    char path[ACE_PATH], error[ACE_PATH + 96];
    bool is_up =
        core->tunnel.slots[slot].has_state && core->tunnel.slots[slot].state.phase == AMM_PHASE_UP;
    snprintf(path, sizeof path, "%s/ammer-%u.sock", core->config->run_folder, slot);
    a->next = core->system.mono + (is_up ? ASK_WHILE_UP : ASK_WHILE_DOWN) * AMM_SECOND;
    a->fd = amm_unix_connect(path, error, sizeof error);
    if (a->fd < 0) {
        return; /* it has not opened it yet */
    }
    if (!amm_loop_add(core->loop, a->fd, AMM_READ, CORE_TAG_AMMER0 + slot)) {
        close(a->fd);
        a->fd = -1;
        return;
    }
    a->deadline = core->system.mono + ANSWER_SECONDS * AMM_SECOND;
    a->look = core->looks;
}

void core_tunnel_ready(struct ace_core *core, unsigned slot)
{
    uint8_t packet[AMM_CLIENT_STATE_MAX];
    size_t len = 0, no_fds = 0;
    struct amm_client_state state;
    struct core_ammer *a = &core->ammers[slot];
    if (a->fd < 0) {
        return;
    }
    enum amm_unix_result result =
        amm_unix_receive(a->fd, (struct amm_span){packet, sizeof packet}, &len, NULL, &no_fds);
    if (result == AMM_UNIX_AGAIN) {
        return;
    }
    end_question(core, slot);
    if (result == AMM_UNIX_OK && amm_client_state_decode(&state, amm_view(packet, len))) {
        count_bytes(core, slot, &state);
        ace_tunnel_told(&core->tunnel, core_now(core), slot, &state);
        if ((int)slot == core->tunnel.main && a->look > core->looked) {
            core->looked = a->look;
            core->changed = true;
        }
    }
}

static void ask_states(struct ace_core *core)
{
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        struct core_ammer *a = &core->ammers[slot];
        const struct ace_tunnel_slot *s = &core->tunnel.slots[slot];
        if (a->fd >= 0 && (core->system.mono >= a->deadline || !s->runs)) {
            end_question(core, slot);
        }
        if (!s->runs) {
            a->rx = a->tx = 0;
            a->next = 0;
        } else if (a->fd < 0 && core->system.mono >= a->next) {
            ask_state(core, slot);
        }
    }
}

void core_tunnel_look(struct ace_core *core)
{
    core->looks++;
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        if (core->tunnel.slots[slot].runs) {
            core->ammers[slot].next = core->system.mono;
        }
    }
}

/* ---- */

static void say_changes(struct ace_core *core, enum ace_tunnel_state before)
{
    char ip[AMM_IPV4_TEXT];
    const struct amm_client_state *client = ace_tunnel_client(&core->tunnel);
    bool was_up = before == ACE_TUNNEL_UP, is_up = ace_tunnel_is_up(&core->tunnel);
    uint32_t inner = is_up && client ? client->inner_ip : 0;
    if (is_up && !was_up) {
        ace_event(core, "tunnel-up", amm_ipv4_text(inner, ip), NULL);
    } else if (was_up && !is_up) {
        ace_event(core, "tunnel-down", core->tunnel.why, NULL);
    }
    uint64_t epoch = ace_tunnel_epoch(core);
    if (inner != core->last_inner || epoch != core->last_epoch || core->tunnel.state != before) {
        core->last_inner = inner;
        core->last_epoch = epoch;
        core->changed = true;
        amm_log(AMM_LOG_INFO, "tunnel",
                amm_field_text("state", ace_tunnel_state_name(core->tunnel.state)),
                amm_field_text("why", core->tunnel.why));
    }
}

void core_tunnel_step(struct ace_core *core)
{
    char words[AMM_CHECKIN_TEXT];
    enum ace_tunnel_state before = core->tunnel_state_said;
    struct ace_tunnel_wish wish = wish_now(core, words);
    ace_tunnel_want(&core->tunnel, core_now(core), &wish);
    take_move(core);
    ask_states(core);
    say_changes(core, before);
    core->tunnel_state_said = core->tunnel.state;
}

amm_time core_tunnel_deadline(const struct ace_core *core)
{
    amm_time at = ace_tunnel_deadline(&core->tunnel);
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        const struct core_ammer *a = &core->ammers[slot];
        if (core->tunnel.slots[slot].runs) {
            at = amm_time_min(at, a->fd >= 0 ? a->deadline : a->next);
        }
    }
    return at;
}

bool core_tunnel_server(const struct ace_core *core, struct amm_address *out)
{
    const struct amm_client_state *client = ace_tunnel_client(&core->tunnel);
    if (!ace_tunnel_is_up(&core->tunnel) || !client || client->server_ip == 0) {
        return false;
    }
    *out = (struct amm_address){.family = AMM_FAMILY_IPV4, .port = core->server.port};
    amm_store_u32(out->ip, client->server_ip);
    return true;
}
