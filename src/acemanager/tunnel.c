#include "tunnel.h"

#include <stdio.h>
#include <string.h>

void ace_tunnel_init(struct ace_tunnel *t, const struct ace_tunnel_env *env)
{
    *t = (struct ace_tunnel){.env = *env, .main = -1, .other = -1, .move_deadline = AMM_NEVER};
    t->state = t->wish.state = ACE_TUNNEL_WAITING;
}

static bool is_wanted(const struct ace_tunnel *t)
{
    switch (t->wish.state) {
    case ACE_TUNNEL_DISABLED:
    case ACE_TUNNEL_WAITING:
    case ACE_TUNNEL_STOPPED:
        return false;
    case ACE_TUNNEL_STARTING:
    case ACE_TUNNEL_UP:
    case ACE_TUNNEL_DOWN:
    case ACE_TUNNEL_BRAKED:
        return true;
    }
    return false;
}

static bool slot_is_up(const struct ace_tunnel *t, int slot)
{
    return slot >= 0 && t->slots[slot].runs && !t->slots[slot].is_stopping &&
           t->slots[slot].has_state && t->slots[slot].state.phase == AMM_PHASE_UP;
}

static void say(struct ace_tunnel *t, const char *why)
{
    snprintf(t->why, sizeof t->why, "%s", why);
}

/* ---- orders ---- */

static void stop(struct ace_tunnel *t, int slot)
{
    if (slot >= 0 && t->slots[slot].runs && !t->slots[slot].is_stopping) {
        t->slots[slot].is_stopping = t->env.order(
            t->env.context, &(struct ace_order){.kind = ACE_ORDER_STOP, .slot = (unsigned)slot});
    }
}

static void brake(struct ace_tunnel *t, amm_time now)
{
    amm_duration wait = 1;
    for (unsigned i = 0; i < t->deaths && wait < ACE_BRAKE_LONGEST; i++) {
        wait *= 2;
    }
    t->deaths++;
    t->again = now + (wait < ACE_BRAKE_LONGEST ? wait : ACE_BRAKE_LONGEST) * AMM_SECOND;
}

/* A slot that is free, or -1. */
static int free_slot(const struct ace_tunnel *t)
{
    for (int slot = 0; slot < ACE_SLOTS; slot++) {
        if (!t->slots[slot].runs) {
            return slot;
        }
    }
    return -1;
}

/* True if ammer was ordered to start in `slot`. */
static bool start(struct ace_tunnel *t, struct amm_now now, int slot, uint16_t port)
{
    char error[AMM_CHECKIN_TEXT];
    const struct ace_order order = {ACE_ORDER_START, (unsigned)slot, port};
    if (!t->env.configure(t->env.context, (unsigned)slot, port, error, sizeof error)) {
        say(t, error);
    } else if (!t->env.order(t->env.context, &order)) {
        say(t, "ammer cannot be started");
    } else {
        t->slots[slot] = (struct ace_tunnel_slot){
            .runs = true, .port = port, .generation = t->wish.generation, .began = now.mono};
        return true;
    }
    brake(t, now.mono);
    return false;
}

/* ---- moves ---- */

static void end_move(struct ace_tunnel *t, bool ok, const char *why)
{
    t->move.has_ended = true;
    t->move.ok = ok;
    snprintf(t->move.why, sizeof t->move.why, "%s", why);
    t->other = -1;
    t->move_deadline = AMM_NEVER;
}

static void begin_move(struct ace_tunnel *t, struct amm_now now)
{
    int slot = free_slot(t);
    if (slot < 0 || now.mono < t->again) {
        return; /* the former move's ammer has not ended yet */
    }
    t->move = (struct ace_tunnel_move){.from = t->slots[t->main].port, .to = t->wish.port};
    if (start(t, now, slot, t->wish.port)) {
        t->other = slot;
        t->move_deadline = now.mono + ACE_MOVE_SECONDS * AMM_SECOND;
    } else {
        end_move(t, false, t->why);
    }
}

static void fail_move(struct ace_tunnel *t)
{
    const struct ace_tunnel_slot *slot = &t->slots[t->other];
    char why[AMM_CHECKIN_TEXT];
    snprintf(why, sizeof why, "no tunnel on port %u within %d s%s%.180s", t->move.to,
             ACE_MOVE_SECONDS, slot->state.last_error[0] ? ": " : "", slot->state.last_error);
    stop(t, t->other);
    end_move(t, false, why);
    t->wish.port = t->move.from; /* until the core has put the parameter back */
}

static void run_move(struct ace_tunnel *t, struct amm_now now)
{
    if (slot_is_up(t, t->other)) {
        stop(t, t->main);
        t->main = t->other;
        end_move(t, true, "");
    } else if (t->wish.port == t->move.from) { /* called back */
        stop(t, t->other);
        end_move(t, false, "the port was changed back");
    } else if (now.mono >= t->move_deadline || !t->slots[t->other].runs) {
        fail_move(t);
    }
}

/* ---- steps ---- */

static void keep(struct ace_tunnel *t, struct amm_now now)
{
    struct ace_tunnel_slot *main = t->main >= 0 ? &t->slots[t->main] : NULL;
    if (main && main->generation == 0) {
        main->generation = t->wish.generation;
    }
    if (t->other >= 0) {
        run_move(t, now);
        return;
    }
    if (main && main->runs && !main->is_stopping) {
        if (main->generation != t->wish.generation) {
            stop(t, t->main);
        } else if (main->port != t->wish.port && slot_is_up(t, t->main)) {
            begin_move(t, now);
        } else if (main->port != t->wish.port) {
            stop(t, t->main); /* nothing to keep */
        }
        return;
    }
    int slot = free_slot(t);
    /* Two that end, and none in use: the device's name is free again only when both have ended. */
    if (main && main->runs) {
        return;
    }
    t->main = -1;
    if (slot >= 0 && now.mono >= t->again && start(t, now, slot, t->wish.port)) {
        t->main = slot;
    }
}

static enum ace_tunnel_state judge(struct ace_tunnel *t)
{
    const struct ace_tunnel_slot *main = t->main >= 0 ? &t->slots[t->main] : NULL;
    if (!is_wanted(t)) {
        say(t, t->wish_why);
        return t->wish.state;
    }
    if (slot_is_up(t, t->main)) {
        say(t, "");
        return ACE_TUNNEL_UP;
    }
    if (!main || !main->runs) {
        return t->deaths >= ACE_BRAKE_DEATHS ? ACE_TUNNEL_BRAKED : ACE_TUNNEL_STARTING;
    }
    if (main->has_state && main->state.last_error[0]) {
        say(t, main->state.last_error);
        return ACE_TUNNEL_DOWN;
    }
    return ACE_TUNNEL_STARTING;
}

static void refresh(struct ace_tunnel *t, struct amm_now now)
{
    enum ace_tunnel_state state = judge(t);
    if (state != t->state || t->since == 0) {
        t->state = state;
        t->since = now.wall;
    }
}

void ace_tunnel_step(struct ace_tunnel *t, struct amm_now now)
{
    if (!t->has_wish) {
        return;
    }
    if (is_wanted(t)) {
        keep(t, now);
    } else {
        if (t->other >= 0) {
            end_move(t, false, "the tunnel was stopped");
        }
        for (int slot = 0; slot < ACE_SLOTS; slot++) {
            stop(t, slot);
        }
        t->main = -1;
        t->deaths = 0;
        t->again = now.mono;
    }
    refresh(t, now);
}

amm_time ace_tunnel_deadline(const struct ace_tunnel *t)
{
    bool waits = is_wanted(t) && (t->main < 0 || !t->slots[t->main].runs);
    return amm_time_min(t->move_deadline, waits ? t->again : AMM_NEVER);
}

void ace_tunnel_want(struct ace_tunnel *t, struct amm_now now, const struct ace_tunnel_wish *wish)
{
    t->wish = *wish;
    t->has_wish = true;
    snprintf(t->wish_why, sizeof t->wish_why, "%s", wish->why ? wish->why : "");
    t->wish.why = NULL;
    ace_tunnel_step(t, now);
}

/* ---- what comes in ---- */

/* An ammer from before the core's start, or the one that was just ordered. */
static void take_runs(struct ace_tunnel *t, struct amm_now now, const struct ace_notice *notice)
{
    struct ace_tunnel_slot *slot = &t->slots[notice->slot];
    if (slot->runs) {
        return;
    }
    *slot =
        (struct ace_tunnel_slot){.runs = true, .port = (uint16_t)notice->value, .began = now.mono};
    if (t->main < 0) {
        t->main = (int)notice->slot;
    } else {
        stop(t, (int)notice->slot); /* of a move that nobody watches any more */
    }
}

static void take_ended(struct ace_tunnel *t, struct amm_now now, const struct ace_notice *notice)
{
    struct ace_tunnel_slot *slot = &t->slots[notice->slot];
    bool was_wanted = slot->runs && !slot->is_stopping;
    amm_duration lived = now.mono - slot->began;
    slot->runs = slot->is_stopping = false;
    if ((int)notice->slot == t->main) {
        t->main = -1;
    }
    if (!was_wanted) {
        return;
    }
    if (lived > ACE_BRAKE_FORGOTTEN * AMM_SECOND) {
        t->deaths = 0;
    }
    if ((int)notice->slot != t->other) {
        char why[AMM_CHECKIN_TEXT];
        snprintf(why, sizeof why,
                 notice->value < 0 ? "ammer was killed by signal %lld"
                                   : "ammer ended with code %lld",
                 (long long)(notice->value < 0 ? -notice->value : notice->value));
        say(t, why);
        brake(t, now.mono);
    }
}

void ace_tunnel_notice(struct ace_tunnel *t, struct amm_now now, const struct ace_notice *notice)
{
    switch (notice->kind) {
    case ACE_NOTICE_RUNS:
        take_runs(t, now, notice);
        break;
    case ACE_NOTICE_ENDED:
        take_ended(t, now, notice);
        break;
    case ACE_NOTICE_REFUSED:
        if (notice->slot == ACE_ORDER_START && t->main >= 0 && !t->slots[t->main].has_state) {
            t->slots[t->main].runs = false;
            t->main = -1;
            say(t, notice->text);
            brake(t, now.mono);
        }
        break;
    case ACE_NOTICE_CLOCK_SET:
    case ACE_NOTICES:
        break;
    }
    ace_tunnel_step(t, now);
}

void ace_tunnel_told(struct ace_tunnel *t, struct amm_now now, unsigned slot,
                     const struct amm_client_state *state)
{
    if (slot < ACE_SLOTS && t->slots[slot].runs) {
        t->slots[slot].state = *state;
        t->slots[slot].has_state = true;
        if (state->phase == AMM_PHASE_UP) {
            t->deaths = 0;
        }
        ace_tunnel_step(t, now);
    }
}

/* ---- views ---- */

bool ace_tunnel_is_up(const struct ace_tunnel *t)
{
    return t->state == ACE_TUNNEL_UP;
}

const struct amm_client_state *ace_tunnel_client(const struct ace_tunnel *t)
{
    bool has = t->main >= 0 && t->slots[t->main].runs && t->slots[t->main].has_state;
    return has ? &t->slots[t->main].state : NULL;
}

bool ace_tunnel_move_take(struct ace_tunnel *t, struct ace_tunnel_move *out)
{
    if (!t->move.has_ended) {
        return false;
    }
    *out = t->move;
    t->move.has_ended = false;
    return true;
}

void ace_tunnel_fill_view(const struct ace_tunnel *t, struct ace_tunnel_view *out)
{
    const struct amm_client_state *client = ace_tunnel_client(t);
    *out = (struct ace_tunnel_view){
        .state = t->state,
        .port = t->main >= 0 ? t->slots[t->main].port : t->wish.port,
        .moving = t->other >= 0,
        .port_next = t->other >= 0 ? t->move.to : 0,
        .since = t->since,
    };
    snprintf(out->why, sizeof out->why, "%s", t->why);
    if (client) {
        out->client = *client;
    }
}
