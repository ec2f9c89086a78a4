/* The tunnel, as the core wants it: which ammer runs on which port, when it is started and stopped,
 * what it tells. Without I/O: orders go out through `ace_tunnel_env`, notices and states come in.
 *
 * Two slots. A change of the port while the tunnel is up is made before it is broken (GP-60): ammer
 * starts on the new port in the other slot, and the old one is stopped when the new one is up, or
 * the new one when it is not up after 60 s. An ammer that dies is started again, slower each time.
 */
#pragma once

#include "acemanager/core.h"
#include "helper.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ACE_MOVE_SECONDS = 60,
    ACE_BRAKE_DEATHS = 5,    /* in a row, and it is said to be braked */
    ACE_BRAKE_LONGEST = 300, /* seconds between two starts */
    ACE_BRAKE_FORGOTTEN = 60,
};

struct ace_tunnel_env {
    void *context;
    bool (*order)(void *context, const struct ace_order *order);
    /* Writes ammer's configuration for a slot; false with a sentence. */
    bool (*configure)(void *context, unsigned slot, uint16_t port, char *error, size_t room);
};

/* What is wanted now. */
struct ace_tunnel_wish {
    enum ace_tunnel_state state; /* DISABLED, WAITING, STOPPED: no tunnel; else: a tunnel */
    const char *why; /* WAITING, STOPPED: in words; static storage or copied by the call */
    uint16_t port;
    uint64_t generation; /* of certificate and settings: a change starts ammer anew */
};

struct ace_tunnel_slot {
    bool runs, is_stopping;
    uint16_t port;
    uint64_t generation; /* 0: adopted from before the core's start */
    amm_time began;
    bool has_state;
    struct amm_client_state state;
};

struct ace_tunnel_move {
    bool has_ended; /* taken by ace_tunnel_move_take */
    bool ok;
    uint16_t from, to;
    char why[AMM_CHECKIN_TEXT];
};

struct ace_tunnel {
    struct ace_tunnel_env env;
    struct ace_tunnel_slot slots[ACE_SLOTS];
    enum ace_tunnel_state state;
    int64_t since; /* wall */
    char why[AMM_CHECKIN_TEXT];
    struct ace_tunnel_wish wish;
    bool has_wish; /* before the first one nothing is stopped: ammers may have outlived a core */
    char wish_why[AMM_CHECKIN_TEXT];
    int main;  /* slot of the tunnel in use; -1: none */
    int other; /* slot of the new port during a move; -1: none */
    amm_time move_deadline;
    struct ace_tunnel_move move;
    unsigned deaths;
    amm_time again; /* no start before */
};

void ace_tunnel_init(struct ace_tunnel *tunnel, const struct ace_tunnel_env *env);

void ace_tunnel_want(struct ace_tunnel *tunnel, struct amm_now now,
                     const struct ace_tunnel_wish *wish);
void ace_tunnel_notice(struct ace_tunnel *tunnel, struct amm_now now,
                       const struct ace_notice *notice);
void ace_tunnel_told(struct ace_tunnel *tunnel, struct amm_now now, unsigned slot,
                     const struct amm_client_state *state);

/* Does what is due. */
void ace_tunnel_step(struct ace_tunnel *tunnel, struct amm_now now);
amm_time ace_tunnel_deadline(const struct ace_tunnel *tunnel);

bool ace_tunnel_is_up(const struct ace_tunnel *tunnel);

/* The state of the tunnel in use; NULL if ammer does not run or has not told it yet. */
const struct amm_client_state *ace_tunnel_client(const struct ace_tunnel *tunnel);

/* How the last change of the port ended, once. False: none has since. */
bool ace_tunnel_move_take(struct ace_tunnel *tunnel, struct ace_tunnel_move *out);

void ace_tunnel_fill_view(const struct ace_tunnel *tunnel, struct ace_tunnel_view *out);
