#include "tunneld/holder.h"

#include "data/peer.h"
#include "data/plane.h"
#include "io/clock.h"
#include "proto/engine.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, SESSIONS_SPARE = 1024 };

static uint64_t round_up(uint64_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

/* Client session ids are random, so each thread gets about its share; a quarter more, and room for
 * old and new sessions of the same gateways side by side. */
static uint32_t sessions_per_thread(const struct amm_tunneld_config *config)
{
    uint32_t gateways = 0;
    for (size_t i = 0; i < config->n_ports; i++) {
        gateways += config->ports[i].limit;
    }
    uint32_t share = gateways / config->handshake_threads;
    return share + share / 4 + config->handshake_limit + SESSIONS_SPARE;
}

static struct amm_state lay_out(const struct amm_tunneld_config *config)
{
    struct amm_state state = {
        .magic = AMM_STATE_MAGIC,
        .version = AMM_STATE_VERSION,
        .n_ports = config->n_ports,
        .n_handshake = config->handshake_threads,
        .size_of_peer = sizeof(struct amm_peer),
        .sessions_per_thread = sessions_per_thread(config),
        .started = amm_now().wall,
    };
    uint64_t at = round_up(sizeof state);
    for (size_t i = 0; i < config->n_ports; i++) {
        state.peers_at[i] = at;
        at += round_up(amm_peer_table_size(amm_pool_slots(&config->ports[i].pool)));
    }
    for (size_t i = 0; i < config->n_ports; i++) {
        state.labels_at[i] = at;
        at += round_up((amm_pool_slots(&config->ports[i].pool) + 1) * 2 * sizeof(struct amm_label));
    }
    for (size_t i = 0; i < config->handshake_threads; i++) {
        state.sessions_at[i] = at;
        at += round_up(amm_session_table_size(state.sessions_per_thread));
    }
    state.engine_at = at;
    state.size = at + AMM_STATE_ENGINE;
    return state;
}

bool amm_state_make(struct amm_holdings *h, char *error, size_t room)
{
    struct amm_state state = lay_out(&h->config);
    h->state_fd = memfd_create("amm-state", MFD_CLOEXEC);
    if (h->state_fd < 0 || ftruncate(h->state_fd, (off_t)state.size) != 0) {
        snprintf(error, room, "state memory: %s", strerror(errno));
        return false;
    }
    /* The holder itself only needs the header. Pages are made when an engine touches them. */
    void *mapping = mmap(NULL, sizeof state, PROT_READ | PROT_WRITE, MAP_SHARED, h->state_fd, 0);
    if (mapping == MAP_FAILED) {
        snprintf(error, room, "state memory: %s", strerror(errno));
        return false;
    }
    h->state = mapping;
    *h->state = state;
    return true;
}
