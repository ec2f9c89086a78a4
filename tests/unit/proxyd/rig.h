/* amm-proxyd in one process with the test: the real gate, link, table and server; the data path is
 * replaced by one that answers with the name of the gateway; ammd and the browser are the test. */
#pragma once

#include "ipc/proxy.h"
#include "proxyd/proxyd.h"
#include "proxyd/session.h"

#include <stdbool.h>
#include <stddef.h>

#define LABEL "abcdefghijklmnopqrstuvwxyz"
#define HOST LABEL ".gw.example.net"

struct rig {
    struct proxyd proxyd;
    struct proxyd_config config;
    struct proxyd_watch server;
    char folder[64], browsers[96];
    int listener, ammd;            /* the socket of ammd, and its connection; -1: none */
    unsigned cut;                  /* calls of flows_cut */
    struct amm_proxy_message last; /* that ammd got */
};

/* What a browser got. */
struct got {
    int status;
    char all[65536];
};

void rig_open(struct rig *rig);
void rig_close(struct rig *rig);

/* ammd: waits for the connection and HELLO, says WELCOME, these sessions, SYNCED. */
void rig_connect(struct rig *rig, const struct amm_proxy_session *sessions, size_t n);
void rig_disconnect(struct rig *rig);
void rig_tell(struct rig *rig, const struct amm_proxy_message *message);
/* Turns until ammd has a message of this type, in rig->last. */
void rig_hear(struct rig *rig, enum amm_proxy_type type);

/* One request of a browser on a connection of its own; `fields` may be "". */
void rig_ask(struct rig *rig, const char *line, const char *host, const char *fields,
             const char *body, struct got *got);

/* A usual session with a ticket of 32 times 't', and what a browser sends for it. */
struct amm_proxy_session rig_session(void);
const char *rig_ticket(void); /* "ticket=..." */
/* Enters with the ticket; writes the Cookie field line. */
void rig_enter(struct rig *rig, char cookie[256]);
