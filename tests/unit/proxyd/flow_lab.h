/* The data path with its real neighbours (gate, table, translation, server), but for ammd: what it
 * would be told is noted here. Browsers and gateways are raw sockets of the test. */
#pragma once

#include "http/server.h"
#include "proxyd/proxyd.h"
#include "proxyd/session.h"

#include <stdbool.h>
#include <stddef.h>

enum { FLOW_TEXT = 1 << 18, FLOW_SESSIONS = 2 };

struct flow_lab {
    struct proxyd proxyd;
    struct proxyd_config config;
    struct proxyd_watch server;
    struct amm_address gateway; /* where the test listens */
    int listener;
    struct session *sessions[FLOW_SESSIONS];
    char hosts[FLOW_SESSIONS][64];
    amm_duration patience; /* how long a turn waits at most; 2 ms */
    unsigned first_keys, changed_keys, active;
    uint8_t key[32];    /* that a page showed */
    uint8_t signer[32]; /* of assertions */
};

extern struct flow_lab flow_lab;

/* Two remote sessions to one gateway, both signed in. `scheme`: enum amm_proxy_scheme; `pin` NULL:
 * none. */
void flow_lab_open(uint8_t kind, uint8_t scheme, const uint8_t *pin);
void flow_lab_close(void);
void lab_turn(void); /* one turn, or 2 ms */
void lab_turns(unsigned n);

/* A browser's connection. */
int lab_browser(void);
/* The head of a request of session `i`, with its cookie; `more` are further field lines. */
void lab_ask(int fd, unsigned i, const char *line, const char *more);
void lab_say(int fd, const char *text);
void lab_say_bytes(int fd, const void *bytes, size_t len);

/* The next connection that the proxy makes to the gateway; fails the test if none comes. */
int lab_gateway(void);
bool lab_gateway_waits(void); /* one is there */

/* Turns until `text` came; all that came since the last call is in lab_heard. */
extern char lab_heard[FLOW_TEXT];
void lab_expect(int fd, const char *text);
/* Until the peer ended; false: it reset the connection. */
bool lab_expect_end(int fd);
/* Nothing comes, and the peer has not ended. */
void lab_expect_silence(int fd);
