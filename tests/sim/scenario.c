/* What differs from seed to seed: parameters, and the things that go wrong while the tunnels are
 * up. */
#include "sim.h"

#include "crypto/pki.h"

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
    return low + sim_below(sim, high - low + 1);
}

/* `low`..`high` in half of the seeds, else none: most bugs show in combinations of a few faults. */
static unsigned sometimes(struct sim *sim, unsigned low, unsigned high)
{
    return sim_chance(sim, 5000) ? (unsigned)between(sim, low, high) : 0;
}

static void draw_network(struct sim *sim)
{
    struct sim_parameters *is = &sim->is;
    is->loss = sometimes(sim, 10, 2900);
    is->duplicate = sometimes(sim, 10, 2000);
    is->corrupt = sometimes(sim, 10, 500);
    is->reorder = sometimes(sim, 10, 2000);
    is->delay = (amm_duration)between(sim, 1, 300) * AMM_MILLISECOND;
    is->jitter = (amm_duration)sometimes(sim, 1, 200) * AMM_MILLISECOND;
    is->message_delay = (amm_duration)sometimes(sim, 1, 100) * AMM_MILLISECOND;
    is->attack = sim_chance(sim, 5000);
}

static void draw_timers(struct sim *sim)
{
    struct sim_parameters *is = &sim->is;
    is->chaos_length = (amm_duration)between(sim, 20, 90) * AMM_SECOND;
    is->chaos_gap = (amm_duration)between(sim, 500, 10000) * AMM_MILLISECOND;
    is->traffic_gap = (amm_duration)between(sim, 100, 1000) * AMM_MILLISECOND;
    is->hand_window = (amm_duration)between(sim, 15, 60) * AMM_SECOND;
    is->renegotiate = (amm_duration)sometimes(sim, 3, 15) * AMM_SECOND;
    is->lame_duck = (amm_duration)between(sim, 5, 60) * AMM_SECOND;
    is->ping = (uint16_t)between(sim, 2, 10);
    is->ping_restart = (uint16_t)(is->ping * between(sim, 3, 6));
    is->spend_ids = sim_chance(sim, 2000) ? between(sim, 30, 200) : 0;
}

static const uint8_t ciphers[] = {AMM_CIPHER_AES_256_GCM, AMM_CIPHER_AES_128_GCM,
                                  AMM_CIPHER_CHACHA20_POLY1305};

static void draw_wraps(struct sim *sim)
{
    static const enum amm_wrap_mode modes[] = {AMM_WRAP_NONE, AMM_WRAP_AUTH, AMM_WRAP_CRYPT};
    static const enum amm_digest digests[] = {AMM_SHA1, AMM_SHA256, AMM_SHA512};
    for (unsigned p = 0; p < sim->is.n_ports; p++) {
        struct amm_wrap_config *wrap = &sim->wraps[p];
        memset(wrap, 0, sizeof *wrap);
        wrap->mode = modes[sim_below(sim, 3)];
        wrap->has_v2 = sim_chance(sim, 4000);
        wrap->auth_digest = digests[sim_below(sim, 3)];
        wrap->direction = sim_chance(sim, 5000) ? AMM_DIRECTION_0 : AMM_DIRECTION_BOTH;
        amm_random_fill(&sim->random, wrap->static_key, sizeof wrap->static_key);
        amm_random_fill(&sim->random, wrap->v2_server_key, sizeof wrap->v2_server_key);
        sim->is.mode[p] = wrap->mode;
        sim->is.has_v2[p] = wrap->has_v2;
    }
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        const struct amm_wrap_config *server = &sim->wraps[i % sim->is.n_ports];
        struct amm_wrap_config *wrap = &sim->clients[i].wrap;
        *wrap = *server;
        wrap->has_v2 = false;
        wrap->direction =
            server->direction == AMM_DIRECTION_0 ? AMM_DIRECTION_1 : AMM_DIRECTION_BOTH;
        if (server->has_v2 && sim_chance(sim, 7000)) {
            wrap->mode = AMM_WRAP_CRYPT_V2;
            sim->is.v2 |= 1u << i;
            amm_random_fill(&sim->random, wrap->static_key, sizeof wrap->static_key);
            if (!amm_wkc_make(server->v2_server_key, wrap->static_key, sim->wall_start, wrap->wkc,
                              &wrap->wkc_len)) {
                sim_fail(sim, "set-up", "cannot make a client key");
            }
        }
    }
}

void sim_draw_parameters(struct sim *sim)
{
    struct sim_parameters *is = &sim->is;
    is->n_clients = (unsigned)between(sim, 1, SIM_CLIENTS);
    is->n_intruders = sim_chance(sim, 3000) ? (unsigned)sim_below(sim, is->n_clients) : 0;
    is->n_ports = (unsigned)between(sim, 1, SIM_PORTS);
    is->n_engines = (unsigned)between(sim, 1, SIM_ENGINES);
    is->n_workers = (unsigned)between(sim, 1, SIM_WORKERS);
    is->topology = sim_chance(sim, 5000) ? AMM_NET30 : AMM_SUBNET;
    is->n_routes = sometimes(sim, 1, 15);
    is->exporter = sim_chance(sim, 7000);
    is->dynamic = sim_chance(sim, 7000);
    is->two_round_trips = sim_chance(sim, 3000);
    is->passwords = sim_chance(sim, 3000);
    is->cipher = ciphers[sim_below(sim, 3)];
    is->tcp = sim_chance(sim, 3000) ? (unsigned)sim_below(sim, 16) : 0;
    draw_network(sim);
    draw_timers(sim);
    draw_wraps(sim);
}

void sim_print_parameters(const struct sim *sim, FILE *out)
{
    const struct sim_parameters *is = &sim->is;
    fprintf(
        out,
        "  clients %u, of them intruders %u (tcp %x, v2 %x), ports %u, engines %u, workers %u\n",
        is->n_clients, is->n_intruders, is->tcp, is->v2, is->n_ports, is->n_engines, is->n_workers);
    for (unsigned p = 0; p < is->n_ports; p++) {
        fprintf(out, "  port %u: %s%s\n", 1190 + p, amm_wrap_mode_name(is->mode[p]),
                is->has_v2[p] ? " and tls-crypt-v2" : "");
    }
    fprintf(
        out,
        "  loss %u, duplicate %u, corrupt %u, reorder %u (of 10000); delay %d ms, jitter %d ms%s\n",
        is->loss, is->duplicate, is->corrupt, is->reorder, (int)(is->delay / AMM_MILLISECOND),
        (int)(is->jitter / AMM_MILLISECOND), is->attack ? ", attackers" : "");
    fprintf(
        out,
        "  hand window %d s, renegotiate %d s, ping %u, restart %u, spend %llu, lame duck %d s\n",
        (int)(is->hand_window / AMM_SECOND), (int)(is->renegotiate / AMM_SECOND), is->ping,
        is->ping_restart, (unsigned long long)is->spend_ids, (int)(is->lame_duck / AMM_SECOND));
    fprintf(out, "  %s, %s, %s, %s, messages up to %d ms late, %u routes\n",
            amm_cipher_name(is->cipher), is->exporter ? "exporter" : "PRF",
            is->dynamic ? "dynamic tls-crypt" : "no dynamic tls-crypt",
            is->two_round_trips ? "long TLS" : "short TLS",
            (int)(is->message_delay / AMM_MILLISECOND), is->n_routes);
}

/* Several handshakes may fail in the loss, each costs its window; before that, both sides may have
 * to notice that the other is gone. */
amm_duration sim_patience(const struct sim *sim)
{
    return 6 * sim->is.hand_window + 4 * (amm_duration)sim->is.ping_restart * AMM_SECOND +
           60 * AMM_SECOND;
}

unsigned sim_honest(const struct sim *sim)
{
    return sim->is.n_clients - sim->is.n_intruders;
}

bool sim_network_is_clean(const struct sim *sim)
{
    return sim->is.loss + sim->is.corrupt + sim->is.reorder == 0 && !sim->is.attack;
}

/* Round trips, the queues in the server, and the rounding of timers. */
amm_duration sim_handshake_time(const struct sim *sim)
{
    return 2 * AMM_SECOND + 20 * (sim->is.delay + sim->is.jitter + sim->is.message_delay);
}

/* ---- what goes wrong ---- */

static void restart_client(struct sim *sim, unsigned number)
{
    bool new_port = sim_chance(sim, 5000);
    sim_client_end(sim, number);
    if (new_port) {
        sim_client_new_outer(sim, number, false);
    }
    sim_client_start(sim, number);
}

static void leave_and_return(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    if (client->client) {
        sim_say(sim, "client leaves", (int)number, 0);
        amm_client_leave(client->client, sim->now);
        sim_disturb(sim, number, sim->now.mono);
        client->joined = false;
        sim_client_run(sim, number);
        sim_client_connect_later(sim, number, (amm_duration)sim_below(sim, 3000) * AMM_MILLISECOND);
    }
}

void sim_disturb(struct sim *sim, unsigned number, amm_time until)
{
    struct sim_client *client = &sim->clients[number];
    client->disturbed = until > client->disturbed ? until : client->disturbed;
}

static void disturb_all(struct sim *sim, amm_time until)
{
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        sim_disturb(sim, i, until);
    }
}

static void act_on_server(struct sim *sim, unsigned number)
{
    struct amm_now now = sim_server_now(sim);
    switch (sim_below(sim, 5)) {
    case 0:
        sim_say(sim, "kick", (int)number, 0);
        sim_disturb(sim, number, sim->now.mono);
        sim_server_kick(sim->server, now, sim->clients[number].name, sim_chance(sim, 5000));
        break;
    case 1:
        sim_say(sim, "server refuses for a while", -1, 0);
        sim_server_refuse_until(sim->server, now.mono + 3 * AMM_SECOND);
        disturb_all(sim, now.mono + 3 * AMM_SECOND);
        break;
    case 2:
        sim_say(sim, "server renegotiates", -1, 0);
        sim_server_renegotiate(sim->server, now);
        break;
    case 3:
        sim->wall_step += (int64_t)sim_below(sim, 10000) - 5000;
        sim_say(sim, "the server's wall clock jumps", -1, (uint64_t)sim->wall_step);
        break;
    default:
        sim_restart_server(sim);
        break;
    }
}

static void act_on_client(struct sim *sim, unsigned number)
{
    struct sim_client *client = &sim->clients[number];
    switch (sim_below(sim, 7)) {
    case 0:
        sim_client_new_outer(sim, number, false);
        break;
    case 1:
        sim_client_new_outer(sim, number, true);
        break;
    case 2:
        restart_client(sim, number);
        break;
    case 3:
        leave_and_return(sim, number);
        break;
    case 4:
        client->outage_until = sim->now.mono + (amm_duration)between(sim, 1, 20) * AMM_SECOND;
        sim_disturb(sim, number, client->outage_until);
        sim_say(sim, "outage", (int)number, 0);
        break;
    case 5:
        sim_break_connection(sim, number);
        break;
    default:
        if (client->client) {
            sim_say(sim, "client renegotiates", (int)number, 0);
            amm_client_renegotiate(client->client, sim->now);
        }
        break;
    }
}

void sim_chaos(struct sim *sim)
{
    struct sim_event next = {.kind = SIM_CHAOS};
    unsigned number = (unsigned)sim_below(sim, sim->is.n_clients);
    if (sim->calm) {
        return;
    }
    next.at = sim->now.mono + 1 + (amm_duration)sim_below(sim, (uint64_t)sim->is.chaos_gap);
    sim_heap_add(&sim->heap, next);
    if (sim->is.attack) {
        for (uint64_t n = sim_below(sim, 30); n > 0; n--) {
            sim_attack(sim);
        }
    }
    if (sim_chance(sim, 4000)) {
        act_on_server(sim, number);
    } else {
        act_on_client(sim, number);
    }
}
