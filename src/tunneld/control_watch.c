#include "control_parts.h"

#include "io/clock.h"

#include <stdio.h>

/* ---- labels ---- */

static struct amm_label *label_at(const struct amm_control *control, uint32_t port_index,
                                  uint32_t peer_id)
{
    uint32_t slot = amm_peer_id_slot(peer_id);
    if (slot == 0 || slot > control->shared->places[port_index].n_slots) {
        return NULL;
    }
    return &control->labels[port_index][2 * slot + (amm_peer_id_generation(peer_id) & 1)];
}

void amm_control_label(struct amm_control *control, const struct amm_cell_event *report)
{
    struct amm_label *label = label_at(control, report->port_index, report->event.peer_id);
    if (!label) {
        return;
    }
    /* A process that dies in between leaves a label of nobody. */
    label->peer_id = 0;
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(label->key, report->event.login.key, sizeof label->key);
    memcpy(label->serial, report->event.login.serial, sizeof label->serial);
    snprintf(label->client, sizeof label->client, "%s", report->event.client);
    atomic_signal_fence(memory_order_seq_cst);
    label->peer_id = report->event.peer_id;
}

const struct amm_label *amm_control_find_label(const struct amm_control *control,
                                               uint32_t port_index, uint32_t peer_id)
{
    const struct amm_label *label = label_at(control, port_index, peer_id);
    return label && label->peer_id == peer_id ? label : NULL;
}

/* ---- rows ---- */

const struct amm_peer *amm_control_record(const struct amm_places *places, uint32_t row)
{
    return amm_peer_table_at(places->peers, places->n_slots, amm_peer_id(row & 1, (row >> 1) + 1));
}

bool amm_control_looks_up(const struct amm_places *places, uint32_t row)
{
    const struct amm_peer *record = amm_control_record(places, row);
    bool proven = false;
    if (!amm_control_has_session(places, row)) {
        return false;
    }
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        proven |= __atomic_load_n(&record->keys[i].state, __ATOMIC_RELAXED) == AMM_KEY_SEND;
    }
    return proven && __atomic_load_n(&record->state, __ATOMIC_RELAXED) == AMM_PEER_LIVE;
}

/* ---- silence ---- */

/* Both together stay below the 10 s that amm_control_watch_silence promises. */
#define SILENCE_GRACE (5 * AMM_SECOND)
#define SILENCE_LOOK (3 * AMM_SECOND)

static void report(struct amm_control *control, enum amm_ipc_event_kind kind, uint32_t port_index,
                   const struct amm_peer *peer, amm_duration silence)
{
    struct amm_ipc_event event = {
        .kind = (uint8_t)kind,
        .at = amm_now().wall,
        .port = control->shared->places[port_index].port,
        .remote = peer->path.remote,
        .transport = peer->path.transport,
        .inner_ip = peer->inner_ip,
        .peer_id = peer->peer_id,
        .epoch = peer->epoch,
    };
    const struct amm_label *label = amm_control_find_label(control, port_index, peer->peer_id);
    snprintf(event.name, sizeof event.name, "%.64s", peer->name);
    if (label) {
        memcpy(event.login.key, label->key, sizeof label->key);
        memcpy(event.login.serial, label->serial, sizeof label->serial);
    }
    if (kind == AMM_IPC_SILENT) {
        snprintf(event.text, sizeof event.text, "nothing was heard for %lld s",
                 (long long)(silence / AMM_SECOND));
    }
    amm_journal_add(control->journal, &event);
}

static void look_at_row(struct amm_control *control, uint32_t port_index, uint32_t row,
                        amm_time now)
{
    const struct amm_places *places = &control->shared->places[port_index];
    uint32_t *silent = &control->silent[port_index][row];
    amm_duration limit = 2 * places->ping * AMM_SECOND + SILENCE_GRACE;
    struct amm_peer peer;

    if (!amm_control_looks_up(places, row)) {
        *silent = 0;
        return;
    }
    amm_duration silence =
        now - __atomic_load_n(&amm_control_record(places, row)->last_rx, __ATOMIC_RELAXED);
    if ((silence >= limit) == (*silent != 0) ||
        !amm_peer_read(amm_control_record(places, row), &peer)) {
        return;
    }
    bool still = now - peer.last_rx >= limit;
    if (still != (*silent == peer.peer_id)) {
        report(control, still ? AMM_IPC_SILENT : AMM_IPC_HEARD, port_index, &peer,
               now - peer.last_rx);
    }
    *silent = still ? peer.peer_id : 0;
}

amm_time amm_control_watch_silence(struct amm_control *control, amm_time now)
{
    const struct amm_shared *shared = control->shared;

    if (shared->config->ping == 0) {
        return AMM_NEVER;
    }
    if (now - control->silence_looked < SILENCE_LOOK) {
        return control->silence_looked + SILENCE_LOOK;
    }
    control->silence_looked = now;
    for (uint32_t p = 0; p < shared->n_ports; p++) {
        for (uint32_t row = 0; row < 2 * shared->places[p].n_slots; row++) {
            look_at_row(control, p, row, now);
        }
    }
    amm_control_push_events(control);
    return now + SILENCE_LOOK;
}
