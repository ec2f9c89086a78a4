#include "authorise.h"

#include "base/siphash.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { HOLDS = 256, STRANGERS = 256, PORTS = AMM_ROSTER_PORTS };

/* Seconds that a refused client is asked to wait. */
enum {
    BACKOFF_UNKNOWN = 3, /* the manager may be about to add it */
    BACKOFF_UNKNOWN_MAX = 60,
    BACKOFF_FULL = 60,
    BACKOFF_OTHER_PORT = 5,
    BACKOFF_HELD_MAX = 300
};

struct hold {
    char name[AMM_NAME_MAX + 1];
    amm_time until;
};

/* A name that is not on the roster, and how long it was asked to wait. Which names share an entry
 * matters little. */
struct stranger {
    uint64_t hash;
    amm_time at;
    uint16_t backoff;
};

/* The place that a session holds. */
struct place {
    uint32_t tag;    /* of the session; 0: none */
    uint32_t denied; /* tag of the session that was refused last */
    uint32_t peer_id;
    uint8_t port_index;
};

struct amm_authority {
    struct amm_places *places;
    uint8_t n_places;
    struct amm_roster *roster;
    struct hold holds[HOLDS];
    struct stranger strangers[STRANGERS];
    amm_time draining[PORTS];
    uint32_t n_sessions;
    struct place held[];
};

const char *amm_denial_name(enum amm_denial denial)
{
    static const char *const names[] = {
        [AMM_DENIAL_NONE] = "none",
        [AMM_DENIAL_NOT_ON_ROSTER] = "not-on-roster",
        [AMM_DENIAL_OTHER_PORT] = "other-port",
        [AMM_DENIAL_PORT_FULL] = "port-full",
        [AMM_DENIAL_HELD] = "held",
        [AMM_DENIAL_DRAINING] = "draining",
    };
    return names[denial];
}

struct amm_authority *amm_authority_new(struct amm_places *places, uint8_t n_places,
                                        uint32_t n_sessions, struct amm_roster *roster)
{
    struct amm_authority *a = calloc(1, sizeof *a + n_sessions * sizeof(struct place));
    if (a) {
        a->places = places;
        a->n_places = n_places;
        a->n_sessions = n_sessions;
        a->roster = amm_roster_ref(roster);
    }
    return a;
}

struct amm_authority *amm_authority_free(struct amm_authority *authority)
{
    if (authority) {
        amm_roster_unref(authority->roster);
        free(authority);
    }
    return NULL;
}

void amm_authority_set_roster(struct amm_authority *authority, struct amm_roster *roster)
{
    amm_roster_unref(authority->roster);
    authority->roster = roster;
}

/* ---- holds ---- */

static struct hold *find_hold(struct amm_authority *a, const char *name, amm_time now)
{
    for (size_t i = 0; i < HOLDS; i++) {
        if (a->holds[i].until > now && !strcmp(a->holds[i].name, name)) {
            return &a->holds[i];
        }
    }
    return NULL;
}

void amm_authority_hold(struct amm_authority *authority, const char *name, amm_time until,
                        amm_time now)
{
    struct hold *hold = find_hold(authority, name, now);
    if (!hold) {
        /* A full table gives up the hold that would end first. */
        hold = &authority->holds[0];
        for (size_t i = 1; i < HOLDS; i++) {
            hold = authority->holds[i].until < hold->until ? &authority->holds[i] : hold;
        }
    }
    snprintf(hold->name, sizeof hold->name, "%s", name);
    hold->until = until;
}

void amm_authority_drain(struct amm_authority *authority, uint8_t port_index, amm_time until)
{
    if (port_index < authority->n_places) {
        authority->draining[port_index] = until;
    }
}

static uint16_t seconds_until(amm_time until, amm_time now)
{
    int64_t seconds = (until - now + AMM_SECOND - 1) / AMM_SECOND;
    return (uint16_t)(seconds < BACKOFF_HELD_MAX ? seconds : BACKOFF_HELD_MAX);
}

/* ---- places ---- */

static struct place *place_of(struct amm_authority *a, struct amm_session_ref session)
{
    return session.index < a->n_sessions ? &a->held[session.index] : NULL;
}

/* Counts one session more in a slot; false if that needs a place and the port has none left. */
static bool enter_slot(struct amm_places *places, uint32_t slot, uint32_t limit)
{
    if (atomic_fetch_add(&places->sessions[slot], 1)) {
        return true; /* the same gateway again: old and new session overlap */
    }
    if (atomic_fetch_add(&places->used, 1) < limit) {
        return true;
    }
    atomic_fetch_sub(&places->used, 1);
    atomic_fetch_sub(&places->sessions[slot], 1);
    return false;
}

static void leave_slot(struct amm_places *places, uint32_t slot)
{
    if (atomic_fetch_sub(&places->sessions[slot], 1) == 1) {
        atomic_fetch_sub(&places->used, 1);
    }
}

static bool is_live(const struct amm_places *places, uint32_t peer_id)
{
    const struct amm_peer *peer = amm_peer_table_at(places->peers, places->n_slots, peer_id);
    return peer && __atomic_load_n(&peer->state, __ATOMIC_RELAXED) == AMM_PEER_LIVE;
}

static uint32_t next_generation(struct amm_places *places, uint32_t slot)
{
    uint16_t old = atomic_load(&places->generations[slot]);
    uint16_t next;
    do {
        next = (uint16_t)((old + 1) % AMM_GENERATIONS);
    } while (!atomic_compare_exchange_weak(&places->generations[slot], &old, next));
    return next;
}

/* A new peer id for a slot. Its record must not be the one of the session that it will replace:
 * that one carries traffic until the new one is up. Records are chosen by the generation's parity.
 */
static uint32_t next_peer_id(struct amm_places *places, uint32_t slot)
{
    for (unsigned attempt = 0;; attempt++) {
        uint32_t peer_id = amm_peer_id(next_generation(places, slot), slot);
        if (attempt == 2 || !is_live(places, peer_id)) {
            return peer_id;
        }
    }
}

void amm_authority_adopt(struct amm_authority *authority, struct amm_session_ref session,
                         uint8_t port_index, uint32_t peer_id)
{
    struct place *place = place_of(authority, session);
    uint32_t slot = amm_peer_id_slot(peer_id);

    if (place && port_index < authority->n_places && slot &&
        slot <= authority->places[port_index].n_slots) {
        enter_slot(&authority->places[port_index], slot, UINT32_MAX);
        *place = (struct place){.tag = session.tag, .peer_id = peer_id, .port_index = port_index};
    }
}

static void give_up(struct amm_authority *a, struct place *place)
{
    if (place->tag) {
        leave_slot(&a->places[place->port_index], amm_peer_id_slot(place->peer_id));
        place->tag = 0;
    }
}

void amm_authority_release(struct amm_authority *authority, struct amm_session_ref session)
{
    struct place *place = place_of(authority, session);
    if (place && place->tag == session.tag) {
        give_up(authority, place);
    }
}

uint32_t amm_authority_place(const struct amm_authority *authority, struct amm_session_ref session)
{
    if (session.index >= authority->n_sessions || !session.tag ||
        authority->held[session.index].tag != session.tag) {
        return 0;
    }
    return authority->held[session.index].peer_id;
}

bool amm_authority_allows(const struct amm_authority *authority, const char *name,
                          uint8_t port_index, uint32_t peer_id)
{
    return amm_roster_slot(authority->roster, name, authority->places[port_index].port) ==
           amm_peer_id_slot(peer_id);
}

bool amm_authority_knows(const struct amm_authority *authority, const char *name)
{
    return amm_roster_any_port(authority->roster, name) != 0;
}

/* ---- the verdict ---- */

__attribute__((format(printf, 4, 5))) static void refuse(struct amm_command *verdict,
                                                         enum amm_refusal refusal, uint16_t backoff,
                                                         const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(verdict->text, sizeof verdict->text, format, list);
    va_end(list);
    verdict->refusal = refusal;
    verdict->backoff = backoff;
}

static enum amm_denial check_holds(struct amm_authority *a, struct amm_now now,
                                   const struct amm_event *event, struct amm_command *verdict)
{
    uint8_t port_index = event->path.port_index;
    const struct hold *hold = find_hold(a, event->identity.name, now.mono);

    if (hold) {
        refuse(verdict, AMM_REFUSE_RETRY, seconds_until(hold->until, now.mono),
               "held back by the operator");
        return AMM_DENIAL_HELD;
    }
    if (a->draining[port_index] > now.mono) {
        refuse(verdict, AMM_REFUSE_NEXT_REMOTE, seconds_until(a->draining[port_index], now.mono),
               "port %u is being drained", a->places[port_index].port);
        return AMM_DENIAL_DRAINING;
    }
    return AMM_DENIAL_NONE;
}

/* Short at first, and longer for who keeps coming. */
static uint16_t stranger_backoff(struct amm_authority *a, const char *name, amm_time now)
{
    static const struct amm_siphash_key key;
    uint64_t hash = amm_siphash(&key, name, strlen(name));
    struct stranger *stranger = &a->strangers[hash % STRANGERS];
    bool comes_again = stranger->hash == hash && stranger->backoff != 0 &&
                       now - stranger->at < 4 * BACKOFF_UNKNOWN_MAX * AMM_SECOND;
    unsigned backoff = comes_again ? 2U * stranger->backoff : BACKOFF_UNKNOWN;
    *stranger = (struct stranger){
        hash, now, (uint16_t)(backoff < BACKOFF_UNKNOWN_MAX ? backoff : BACKOFF_UNKNOWN_MAX)};
    return stranger->backoff;
}

static enum amm_denial check_roster(struct amm_authority *a, struct amm_now now,
                                    const struct amm_event *event, struct amm_command *verdict,
                                    uint32_t *slot)
{
    const struct amm_places *places = &a->places[event->path.port_index];
    uint16_t other = amm_roster_any_port(a->roster, event->identity.name);

    *slot = amm_roster_slot(a->roster, event->identity.name, places->port);
    if (*slot && *slot <= places->n_slots) {
        return AMM_DENIAL_NONE;
    }
    if (other) {
        refuse(verdict, AMM_REFUSE_NEXT_REMOTE, BACKOFF_OTHER_PORT,
               "this gateway belongs to port %u, not %u", other, places->port);
        return AMM_DENIAL_OTHER_PORT;
    }
    refuse(verdict, AMM_REFUSE_RETRY, stranger_backoff(a, event->identity.name, now.mono),
           "this gateway is not registered here");
    return AMM_DENIAL_NOT_ON_ROSTER;
}

static void fill_push(const struct amm_places *places, uint32_t peer_id, uint8_t transport,
                      struct amm_push *push)
{
    *push = (struct amm_push){
        .peer_id = peer_id,
        .ping = places->ping,
        .ping_restart = places->ping_restart,
        .tun_mtu = places->mtu,
        .explicit_exit_notify =
            transport == AMM_UDP ? 2 : 0, /* a stock client warns of it over TCP */
    };
    amm_push_set_slot(push, &places->pool, amm_peer_id_slot(peer_id));
}

static void accept_at(const struct amm_places *places, uint32_t peer_id, uint8_t transport,
                      struct amm_command *verdict)
{
    verdict->accept = true;
    fill_push(places, peer_id, transport, &verdict->push);
}

static enum amm_denial take_place(struct amm_authority *a, struct place *place,
                                  const struct amm_event *event, uint32_t slot,
                                  struct amm_command *verdict)
{
    struct amm_places *places = &a->places[event->path.port_index];

    if (place->tag == event->session.tag && amm_peer_id_slot(place->peer_id) == slot) {
        accept_at(places, place->peer_id, event->path.transport, verdict);
        return AMM_DENIAL_NONE;
    }
    give_up(a, place); /* of a former session, or of a roster that said otherwise */
    if (!enter_slot(places, slot, places->limit)) {
        refuse(verdict, AMM_REFUSE_NEXT_REMOTE, BACKOFF_FULL,
               "port %u is full: %u of %u gateways are connected", places->port,
               atomic_load(&places->used), places->limit);
        return AMM_DENIAL_PORT_FULL;
    }
    *place = (struct place){.tag = event->session.tag,
                            .peer_id = next_peer_id(places, slot),
                            .port_index = event->path.port_index};
    accept_at(places, place->peer_id, event->path.transport, verdict);
    return AMM_DENIAL_NONE;
}

enum amm_denial amm_authority_decide(struct amm_authority *authority, struct amm_now now,
                                     const struct amm_event *event, struct amm_command *verdict)
{
    struct place *place = &authority->held[event->session.index];
    enum amm_denial denial;
    uint32_t slot;

    *verdict = (struct amm_command){.kind = AMM_COMMAND_VERDICT,
                                    .session = event->session,
                                    .path = event->path,
                                    .reason = AMM_CLOSE_REFUSED};
    denial = check_holds(authority, now, event, verdict);
    if (!denial) {
        denial = check_roster(authority, now, event, verdict, &slot);
    }
    if (!denial) {
        denial = take_place(authority, place, event, slot, verdict);
    }
    place->denied = denial ? event->session.tag : 0;
    return denial;
}

bool amm_authority_denied(const struct amm_authority *authority, struct amm_session_ref session)
{
    return session.index < authority->n_sessions && session.tag &&
           authority->held[session.index].denied == session.tag;
}
