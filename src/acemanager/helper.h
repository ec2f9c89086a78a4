/* The privileged half: a small parent process that parses nothing from outside.
 *
 * It starts the core (which becomes an unprivileged user) and starts it again when it dies; on the
 * core's order it starts and stops ammer (two slots, fixed arguments), sets the system's clock, and
 * reboots. ammers live on while the core is started again.
 *
 *   helper (root) ──► core (user): parameters, check-ins, pages
 *        └──────────► ammer slot 0, ammer slot 1 (only during a move of the port)
 *
 * Orders and notices are packets on a socket pair (SOCK_SEQPACKET). */
#pragma once

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACE_SLOTS = 2, ACE_HELPER_TEXT = 160 };

/* Exit codes of the core that the helper understands; all others mean "start it again". */
enum { ACE_EXIT_DONE = 0, ACE_EXIT_CONFIG = 2 };

enum ace_order_kind {
    ACE_ORDER_START,  /* ammer in `slot`; `value` is given back with the notices of the slot */
    ACE_ORDER_STOP,   /* ammer in `slot`, with SIGTERM */
    ACE_ORDER_CLOCK,  /* move the system's clock by `value` milliseconds */
    ACE_ORDER_REBOOT, /* the reboot command; "restart": everything of ours, anew */
    ACE_ORDERS,
};

struct ace_order {
    enum ace_order_kind kind;
    unsigned slot;
    int64_t value;
};

enum ace_notice_kind {
    ACE_NOTICE_RUNS,      /* ammer in `slot`, with `value` of its order: at the core's start, and
                             after ACE_ORDER_START */
    ACE_NOTICE_ENDED,     /* ammer in `slot`: `value` is its exit code, or minus the signal */
    ACE_NOTICE_CLOCK_SET, /* `value` of the order */
    ACE_NOTICE_REFUSED,   /* of the order that `slot` names (enum ace_order_kind): `text` */
    ACE_NOTICES,
};

struct ace_notice {
    enum ace_notice_kind kind;
    unsigned slot;
    int64_t value;
    char text[ACE_HELPER_TEXT];
};

/* ---- the core's side; `fd` is its end of the pair ---- */

bool ace_helper_send(int fd, const struct ace_order *order);
enum ace_helper_result { ACE_HELPER_OK, ACE_HELPER_NOTHING, ACE_HELPER_GONE };
enum ace_helper_result ace_helper_receive(int fd, struct ace_notice *out);

/* ---- the helper's side ---- */

/* Runs until SIGTERM or SIGINT, or until the core ends with one of the codes above; the exit code
 * of the program. `core` is called in the child process with its end of the pair; its value is the
 * child's exit code. `argv` is for a restart. */
int ace_helper_run(const struct ace_config *config, char **argv,
                   int (*core)(const struct ace_config *config, int fd));

/* ---- messages (helper_messages.c) ---- */

/* False if it is malformed. */
bool ace_order_decode(struct ace_order *out, struct amm_view packet);
bool ace_notice_decode(struct ace_notice *out, struct amm_view packet);
bool ace_notice_send(int fd, const struct ace_notice *notice);
