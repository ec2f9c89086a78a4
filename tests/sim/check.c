#include "sim.h"

#include "base/siphash.h"

#include <stdarg.h>
#include <stdlib.h>

struct sim *sim_current;

static const struct {
    const char *name, *shows;
} breaks[SIM_BREAK_COUNT] = {
    [SIM_BREAK_NONE] = {"none", ""},           [SIM_BREAK_REUSE_IDS] = {"reuse-ids", "nonce"},
    [SIM_BREAK_REPLAY] = {"replay", "once"},   [SIM_BREAK_CORRUPT] = {"corrupt", "inner"},
    [SIM_BREAK_SPOOF] = {"spoof", "spoofed"},  [SIM_BREAK_STREAM] = {"stream", "stream"},
    [SIM_BREAK_WRAP] = {"wrap", "wrap-id"},    [SIM_BREAK_LEAK] = {"leak", "freed"},
    [SIM_BREAK_CUT] = {"cut", "progress"},     [SIM_BREAK_LET_IN] = {"let-in", "intruder"},
    [SIM_BREAK_LAZY] = {"lazy", "quick"},      [SIM_BREAK_DEAF] = {"deaf", "renewed"},
    [SIM_BREAK_STUCK] = {"stuck", "deadline"}, [SIM_BREAK_FORGET] = {"forget", "kept"},
    [SIM_BREAK_SOURCE] = {"source", "source"}, [SIM_BREAK_CHANCE] = {"chance", "repeat"},
};

const char *sim_break_name(enum sim_break planted)
{
    return breaks[planted].name;
}

const char *sim_break_shows(enum sim_break planted)
{
    return breaks[planted].shows;
}

void sim_fail(struct sim *sim, const char *invariant, const char *format, ...)
{
    if (sim->failed) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim->reason, sizeof sim->reason, format, arguments);
    va_end(arguments);
    sim->failed = invariant;
}

/* ---- the story ---- */

static void print_note(const struct sim_note *note, FILE *out)
{
    char hex[2 * sizeof note->head + 1];
    size_t shown = note->len < sizeof note->head ? note->len : sizeof note->head;
    fprintf(out, "%12.6f  ", (double)note->at / 1e9);
    if (note->client < 0) {
        fprintf(out, "server         ");
    } else if (note->len == 0) {
        fprintf(out, "gw-%d           ", note->client);
    } else {
        fprintf(out, "gw-%d %s server ", note->client, note->to_server ? "-->" : "<--");
    }
    if (note->len == 0) {
        fprintf(out, "%s (%lld)\n", note->what, (long long)note->number);
        return;
    }
    amm_hex(hex, amm_view(note->head, shown));
    fprintf(out, "%-8s op %2u key %u %5zu bytes  %s\n", note->what, note->head[0] >> 3,
            note->head[0] & 7, note->len, hex);
}

static void keep_note(struct sim *sim, struct sim_note note)
{
    sim->notes[sim->n_notes++ % SIM_TRACE] = note;
    if (sim->trace) {
        print_note(&note, stdout);
    }
}

static void mix(struct sim *sim, const void *data, size_t len)
{
    struct amm_siphash_key key = {sim->hash, (uint64_t)sim->now.mono};
    sim->hash = amm_siphash(&key, data, len);
}

void sim_say(struct sim *sim, const char *what, int client, uint64_t number)
{
    mix(sim, what, strlen(what));
    mix(sim, &number, sizeof number);
    keep_note(sim, (struct sim_note){
                       .at = sim->now.mono, .what = what, .client = client, .number = number});
}

void sim_say_packet(struct sim *sim, const char *what, int client, bool to_server,
                    struct amm_view packet)
{
    struct sim_note note = {
        .at = sim->now.mono, .what = what, .client = client, .to_server = to_server};
    note.len = packet.len;
    mix(sim, packet.data, packet.len);
    memcpy(note.head, packet.data, packet.len < sizeof note.head ? packet.len : sizeof note.head);
    keep_note(sim, note);
}

void sim_print_notes(const struct sim *sim, FILE *out)
{
    uint64_t first = sim->n_notes > SIM_TRACE ? sim->n_notes - SIM_TRACE : 0;
    for (uint64_t i = first; i < sim->n_notes; i++) {
        print_note(&sim->notes[i % SIM_TRACE], out);
    }
}

/* ---- sets ---- */

struct sim_set {
    uint64_t *slots;
    size_t room, n;
};

struct sim_set *sim_set_new(void)
{
    struct sim_set *set = calloc(1, sizeof *set);
    if (!set) {
        abort();
    }
    set->room = 1024;
    set->slots = calloc(set->room, sizeof *set->slots);
    if (!set->slots) {
        abort();
    }
    return set;
}

struct sim_set *sim_set_free(struct sim_set *set)
{
    if (set) {
        free(set->slots);
        free(set);
    }
    return NULL;
}

static bool place(struct sim_set *set, uint64_t number)
{
    size_t at = number & (set->room - 1);
    while (set->slots[at] != 0) {
        if (set->slots[at] == number) {
            return false;
        }
        at = (at + 1) & (set->room - 1);
    }
    set->slots[at] = number;
    set->n++;
    return true;
}

bool sim_set_add(struct sim_set *set, uint64_t number)
{
    if (set->n * 2 > set->room) {
        struct sim_set bigger = {calloc(set->room * 2, sizeof *set->slots), set->room * 2, 0};
        if (!bigger.slots) {
            abort();
        }
        for (size_t i = 0; i < set->room; i++) {
            if (set->slots[i] != 0) {
                place(&bigger, set->slots[i]);
            }
        }
        free(set->slots);
        *set = bigger;
    }
    return place(set, number ? number : 1);
}

/* ---- nonces: every seal of the run passes here (linker option --wrap) ---- */

void __real_amm_aead_seal(struct amm_aead *aead, const struct amm_aead_key *key,
                          const uint8_t nonce[AMM_AEAD_NONCE], struct amm_view aad, uint8_t *text,
                          size_t len, uint8_t tag[AMM_AEAD_TAG]);
void __wrap_amm_aead_seal(struct amm_aead *aead, const struct amm_aead_key *key,
                          const uint8_t nonce[AMM_AEAD_NONCE], struct amm_view aad, uint8_t *text,
                          size_t len, uint8_t tag[AMM_AEAD_TAG]);

void __wrap_amm_aead_seal(struct amm_aead *aead, const struct amm_aead_key *key,
                          const uint8_t nonce[AMM_AEAD_NONCE], struct amm_view aad, uint8_t *text,
                          size_t len, uint8_t tag[AMM_AEAD_TAG])
{
    uint8_t both[AMM_AEAD_KEY_MAX + AMM_AEAD_NONCE];
    static const struct amm_siphash_key fixed = {1, 2};
    static const uint8_t zero[AMM_AEAD_KEY_MAX];
    size_t key_len = amm_cipher_key_len((enum amm_cipher)key->cipher);
    memset(both, 0, sizeof both);
    memcpy(both, key->bytes, key_len);
    memcpy(both + AMM_AEAD_KEY_MAX, nonce, AMM_AEAD_NONCE);
    if (memcmp(both, zero, key_len) == 0) {
        sim_fail(sim_current, "nonce", "a packet is sealed with a key of zeros");
    }
    if (!sim_set_add(sim_current->nonces, amm_siphash(&fixed, both, sizeof both))) {
        sim_fail(sim_current, "nonce", "packet id %u is sealed twice with one key",
                 amm_load_u32(nonce));
    }
    __real_amm_aead_seal(aead, key, nonce, aad, text, len, tag);
}

/* ---- control packets on the wire ---- */

/* Each transmission carries a new replay id and time (WRAP-3), except the stateless
 * reset. */
void sim_check_wrap_id(struct sim *sim, unsigned client, bool to_server, struct amm_view packet)
{
    const struct amm_wrap_config *wrap = &sim->clients[client].wrap;
    unsigned opcode = packet.len > 0 ? packet.data[0] >> 3 : 0;
    bool dynamic = (packet.data[0] & 7) > 0 && sim->is.dynamic;
    size_t at = 9;
    if (wrap->mode == AMM_WRAP_NONE || opcode == 6 || opcode == 8 || opcode == 9) {
        return;
    }
    if (wrap->mode == AMM_WRAP_AUTH && !dynamic) {
        at += amm_digest_len(wrap->auth_digest);
    }
    if (!to_server && (packet.data[0] & 7) == 0 &&
        sim->is.attack + sim->is.duplicate + sim->is.reorder > 0) {
        /* A late copy of the packet with the cookie can bring a session back that has just ended:
         * under the same session id, from replay id 2 on. */
        return;
    }
    if (packet.len < at + 8) {
        sim_fail(sim, "wrap-id", "control packet of %zu bytes", packet.len);
        return;
    }
    uint8_t id[18];
    static const struct amm_siphash_key fixed = {3, 4};
    memcpy(id, packet.data + 1, 8);
    memcpy(id + 8, packet.data + at, 8);
    id[16] = to_server;
    id[17] = dynamic;
    if (!sim_set_add(sim->wrap_ids, amm_siphash(&fixed, id, sizeof id))) {
        sim_fail(sim, "wrap-id", "%s sends replay id %x of time %x twice",
                 to_server ? "the client" : "the server", amm_load_u32(packet.data + at),
                 amm_load_u32(packet.data + at + 4));
    }
}

/* ---- after each step ---- */

/* Without a wrap anybody can put bytes into the TLS stream; TLS finds them and the handshake is
 * lost. Whoever replays a whole handshake while its cookie is good gets as far as TLS under every
 * wrap. */
static bool streams_are_protected(const struct sim *sim)
{
    bool all_wrapped = true;
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        all_wrapped = all_wrapped && sim->clients[i].wrap.mode != AMM_WRAP_NONE;
    }
    return !sim->is.attack && (all_wrapped || sim->is.corrupt == 0);
}

static void check_streams(struct sim *sim)
{
    uint32_t errors = amm_fake_tls_stats(sim->server_tls).stream_errors;
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        if (sim->clients[i].tls) {
            errors += amm_fake_tls_stats(sim->clients[i].tls).stream_errors;
        }
    }
    if (errors > 0 && streams_are_protected(sim)) {
        sim_fail(sim, "stream", "control bytes did not come once and in order");
    }
}

static void check_deadlines(struct sim *sim)
{
    if (sim_server_deadline(sim->server) <= sim->now.mono &&
        !(sim->leaving && sim->planted == SIM_BREAK_LEAK)) {
        sim_fail(sim, "deadline", "the server's deadline does not move on");
    }
    for (unsigned i = 0; i < sim->is.n_clients; i++) {
        const struct sim_client *client = &sim->clients[i];
        if (client->client && amm_client_deadline(client->client) <= sim->now.mono) {
            sim_fail(sim, "deadline", "the deadline of gw-%u does not move on", i);
        }
    }
}

/* On a clean network an attempt that nothing disturbs succeeds at once, whatever was before: also
 * from a port whose former session still lives in the server. */
static void check_quickness(struct sim *sim)
{
    if (!sim_network_is_clean(sim) || sim->leaving) {
        return;
    }
    for (unsigned i = 0; i < sim_honest(sim); i++) {
        const struct sim_client *client = &sim->clients[i];
        if (!client->joined && !client->connecting && client->client &&
            client->attempt_at >= client->disturbed &&
            sim->now.mono - client->attempt_at > sim_handshake_time(sim)) {
            sim_fail(sim, "quick",
                     "gw-%u has not joined %d ms after it connected on a clean network", i,
                     (int)((sim->now.mono - client->attempt_at) / AMM_MILLISECOND));
        }
    }
}

static void check_progress(struct sim *sim)
{
    bool unprotected = sim->is.corrupt > 0 || sim->is.attack;
    for (unsigned i = 0; i < sim_honest(sim); i++) {
        const struct sim_client *client = &sim->clients[i];
        bool hopeless = !sim->calm && unprotected && client->wrap.mode == AMM_WRAP_NONE;
        if (!client->joined && !sim->leaving && !hopeless &&
            sim->now.mono - client->disturbed > sim_patience(sim)) {
            sim_fail(sim, "progress", "gw-%u has not joined for %d s after the last fault", i,
                     (int)((sim->now.mono - client->disturbed) / AMM_SECOND));
        }
    }
}

void sim_check_step(struct sim *sim)
{
    check_streams(sim);
    check_deadlines(sim);
    check_progress(sim);
    check_quickness(sim);
}

bool sim_check_all_up(const struct sim *sim)
{
    for (unsigned i = 0; i < sim_honest(sim); i++) {
        if (!sim->clients[i].joined) {
            return false;
        }
    }
    return true;
}

void sim_check_freed(struct sim *sim)
{
    uint32_t sessions = sim_server_sessions(sim->server);
    uint32_t negotiating = sim_server_negotiating(sim->server);
    uint32_t live = sim_server_live(sim->server);
    if (sessions + negotiating + live > 0) {
        sim_fail(sim, "freed",
                 "%u sessions, %u negotiations, %u peers are left after all have gone", sessions,
                 negotiating, live);
    }
}
