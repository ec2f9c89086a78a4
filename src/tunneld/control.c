#include "control_parts.h"

#include "io/clock.h"
#include "io/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { GOODBYE_TOKEN = UINT32_MAX };

/* ---- set-up ---- */

static bool make_parts(struct amm_control *control)
{
    const struct amm_handoff *handoff = control->shared->handoff;

    control->loop = amm_loop_new();
    control->journal = amm_journal_new();
    for (uint8_t i = 0; i < control->shared->n_ports; i++) {
        control->labels[i] = amm_state_labels(handoff->state, i);
        control->silent[i] =
            calloc(2 * (size_t)control->shared->places[i].n_slots, sizeof *control->silent[i]);
        if (!control->silent[i]) {
            return false;
        }
    }
    return control->loop && control->journal &&
           amm_loop_add(control->loop, control->shared->control_bell.fd, AMM_READ | AMM_EDGE,
                        control_tag(CONTROL_TAG_BELL, 0)) &&
           amm_loop_add(control->loop, handoff->channel, AMM_READ,
                        control_tag(CONTROL_TAG_CHANNEL, 0)) &&
           amm_loop_add(control->loop, handoff->control, AMM_READ,
                        control_tag(CONTROL_TAG_LISTEN, 0));
}

struct amm_control *amm_control_new(struct amm_shared *shared,
                                    const struct amm_control_settings *settings, char *error,
                                    size_t room)
{
    struct amm_control *control = calloc(1, sizeof *control);

    if (!control) {
        amm_tls_context_free(settings->tls);
    } else {
        control->shared = shared;
        control->tls = settings->tls;
        control->certificate_ends = settings->certificate_ends;
        control->roster = amm_roster_ref(settings->roster);
        for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
            control->clients[i].fd = -1;
        }
    }
    if (!control || !make_parts(control)) {
        snprintf(error, room, "control thread: out of memory or descriptors");
        return amm_control_free(control);
    }
    if (settings->alarm) {
        amm_control_alarm(control, settings->alarm, settings->alarm_text);
    }
    return control;
}

struct amm_control *amm_control_free(struct amm_control *control)
{
    if (!control) {
        return NULL;
    }
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        if (control->clients[i].fd >= 0) {
            amm_control_close(control, &control->clients[i]);
        }
    }
    for (uint8_t i = 0; i < control->shared->n_ports; i++) {
        free(control->silent[i]);
    }
    amm_loop_free(control->loop);
    amm_journal_free(control->journal);
    amm_tls_context_free(control->tls);
    amm_roster_unref(control->roster);
    free(control);
    return NULL;
}

/* ---- orders ---- */

static void push_order(struct amm_handshake_face *face, const struct amm_cell_order *order)
{
    struct amm_cell_order *cell = amm_ring_reserve(face->orders, sizeof *cell);

    *cell = *order;
    if (order->roster) {
        amm_roster_ref(order->roster);
    }
    if (order->crl) {
        atomic_fetch_add(&order->crl->refs, 1);
    }
    amm_ring_commit(face->orders);
    amm_bell_ring(&face->bell);
}

bool amm_control_order(struct amm_control *control, const struct amm_cell_order *order)
{
    struct amm_shared *shared = control->shared;

    for (uint16_t i = 0; i < shared->n_handshake; i++) {
        if (!amm_ring_fits(shared->handshakes[i].orders, sizeof *order)) {
            return false;
        }
    }
    for (uint16_t i = 0; i < shared->n_handshake; i++) {
        push_order(&shared->handshakes[i], order);
    }
    return true;
}

/* ---- reports ---- */

static void take_report(struct amm_control *control, const void *record)
{
    const struct amm_cell_event *event = record;
    const struct amm_cell_answer *answer = record;

    if (event->kind == AMM_CELL_EVENT) {
        if (event->event.kind == AMM_IPC_JOINED) {
            amm_control_label(control, event);
        }
        amm_journal_add(control->journal, &event->event);
    } else if (event->kind == AMM_CELL_ANSWER && answer->token == GOODBYE_TOKEN) {
        control->goodbye_missing -= control->goodbye_missing != 0;
    } else if (event->kind == AMM_CELL_ANSWER) {
        amm_control_take_answer(control, answer);
    }
}

static void take_reports(struct amm_control *control)
{
    for (uint16_t i = 0; i < control->shared->n_handshake; i++) {
        struct amm_ring *ring = control->shared->handshakes[i].reports;
        const void *record;
        size_t len;
        while ((record = amm_ring_peek(ring, &len))) {
            take_report(control, record);
            amm_ring_release(ring);
        }
    }
    amm_control_push_events(control);
}

static bool reports_wait(const struct amm_control *control)
{
    size_t len;
    for (uint16_t i = 0; i < control->shared->n_handshake; i++) {
        if (amm_ring_peek(control->shared->handshakes[i].reports, &len)) {
            return true;
        }
    }
    return false;
}

/* ---- the channel ---- */

static void begin_goodbye(struct amm_control *control)
{
    struct amm_cell_order order = {.kind = AMM_CELL_GOODBYE, .token = GOODBYE_TOKEN};

    if (control->stopping) {
        return;
    }
    control->stopping = true;
    control->goodbye_missing = control->shared->n_handshake;
    control->goodbye_ends = amm_now().mono + AMM_GOODBYE;
    if (!amm_control_order(control, &order)) {
        control->goodbye_missing = 0;
    }
    amm_loop_remove(control->loop, control->shared->handoff->channel);
}

static void read_channel(struct amm_control *control)
{
    struct amm_channel_message message;
    struct amm_material material = {0};

    switch (amm_channel_receive(control->shared->handoff->channel, &message, &material)) {
    case AMM_CHANNEL_NOTHING:
        return;
    case AMM_CHANNEL_CLOSED:
        amm_log(AMM_LOG_ERROR, "holder-lost", amm_field_text("text", "closing every tunnel"));
        begin_goodbye(control);
        return;
    case AMM_CHANNEL_OK:
        break;
    }
    if (message.type == AMM_CHANNEL_MATERIAL) {
        amm_control_take_material(control, &material);
        amm_material_free(&material);
    } else if (message.type == AMM_CHANNEL_STOP) {
        begin_goodbye(control);
    }
}

/* ---- the thread ---- */

static void serve(struct amm_control *control, const struct amm_ready *ready)
{
    switch (ready->tag >> 32) {
    case CONTROL_TAG_CHANNEL:
        if (!control->stopping) {
            read_channel(control);
        }
        break;
    case CONTROL_TAG_LISTEN:
        amm_control_accept(control);
        break;
    case CONTROL_TAG_CLIENT:
        amm_control_serve(control, &control->clients[(uint32_t)ready->tag], ready);
        break;
    default: /* the bell, which amm_bell_answer has silenced */
        break;
    }
}

void amm_control_run(struct amm_control *control)
{
    struct amm_ready ready[AMM_LOOP_READY];

    for (;;) {
        struct amm_now now = amm_now();
        take_reports(control);
        if (control->stopping && (!control->goodbye_missing || now.mono >= control->goodbye_ends)) {
            return;
        }
        amm_control_watch_certificate(control, now);
        amm_time deadline =
            amm_time_min(amm_control_watch_silence(control, now.mono),
                         control->stopping ? control->goodbye_ends
                                           : control->certificate_looked + AMM_CONTROL_LOOK);

        amm_bell_doze(&control->shared->control_bell);
        unsigned n = amm_loop_wait(control->loop, reports_wait(control) ? 0 : deadline, ready);
        amm_bell_answer(&control->shared->control_bell);
        for (unsigned i = 0; i < n; i++) {
            serve(control, &ready[i]);
        }
    }
}
