/* What the engine's threads know of one another: rings, bells, counters and the places of each
 * port.
 *
 *   control --orders--> handshake threads --down--> workers
 *   control <--reports- handshake threads <--up---- workers
 *
 * Everything that is not atomic is written before the threads start, or belongs to one of them. */
#pragma once

#include "authorise.h"
#include "data/offload.h"
#include "ipc/tunnel.h"
#include "ring.h"
#include "tunneld/handoff.h"

/* ---- records of the rings; each begins with its kind ---- */

enum amm_cell_kind {
    /* down */
    AMM_CELL_COMMAND,    /* struct amm_cell_command */
    AMM_CELL_SEND,       /* struct amm_cell_packet: a control packet for a TCP connection */
    AMM_CELL_CONNECTION, /* struct amm_cell_connection: the worker owns the descriptor now */
    AMM_CELL_CLOSE,      /* struct amm_cell_link: close after what was queued */
    /* up */
    AMM_CELL_NOTE,    /* struct amm_cell_note */
    AMM_CELL_CONTROL, /* struct amm_cell_packet: a control packet that came to a worker */
    AMM_CELL_LOST,    /* struct amm_cell_link: the connection is gone */
    /* between workers, where the kernel cannot steer tun packets */
    AMM_CELL_INNER, /* struct amm_cell_inner */
    /* orders */
    AMM_CELL_ROSTER,  /* struct amm_cell_order: `roster`, with a reference for the receiver */
    AMM_CELL_CRL,     /* struct amm_cell_order: `crl`, likewise */
    AMM_CELL_KICK,    /* struct amm_cell_order: `name`, `ports`, `hold`; answered */
    AMM_CELL_DRAIN,   /* struct amm_cell_order: `ports`, `hold`; answered */
    AMM_CELL_GOODBYE, /* struct amm_cell_order: close everything; answered when it is done */
    /* reports */
    AMM_CELL_EVENT,  /* struct amm_cell_event */
    AMM_CELL_ANSWER, /* struct amm_cell_answer */
};

struct amm_cell_command {
    uint32_t kind;
    struct amm_plane_command command;
};

struct amm_cell_note {
    uint32_t kind;
    struct amm_plane_note note;
};

struct amm_cell_link {
    uint32_t kind;
    struct amm_path path;
};

struct amm_cell_packet {
    uint32_t kind;
    uint32_t len;
    struct amm_path path;
    uint8_t bytes[];
};

struct amm_cell_connection {
    uint32_t kind;
    int fd;
    uint16_t thread; /* handshake thread that accepted it */
    uint16_t len;    /* bytes that were read already */
    struct amm_path path;
    uint8_t bytes[];
};

struct amm_cell_inner {
    uint32_t kind;
    uint32_t len;
    struct amm_vnet vnet;
    uint8_t port_index;
    uint8_t bytes[];
};

/* An immutable revocation list, shared by reference. */
struct amm_crl_text {
    _Atomic uint32_t refs;
    char text[];
};

struct amm_cell_order {
    uint32_t kind;
    uint32_t token; /* comes back in the answer */
    struct amm_roster *roster;
    struct amm_crl_text *crl;
    uint32_t ports; /* bit per port index */
    amm_time until; /* of the hold; 0: none */
    char name[AMM_NAME_MAX + 1];
};

struct amm_cell_event {
    uint32_t kind;
    uint8_t port_index;
    struct amm_ipc_event event;
};

struct amm_cell_answer {
    uint32_t kind;
    uint32_t token;
    uint32_t sessions; /* that were closed */
};

/* ---- shared ---- */

enum {
    AMM_RING_BYTES = 1 << 18,
    AMM_RING_INNER_BYTES = 1 << 19,
    AMM_RING_RESERVE = AMM_RING_BYTES / 4
};

struct amm_handshake_face {
    struct amm_ring *orders, *reports;
    struct amm_ring *down[AMM_THREADS_MAX]; /* to each worker */
    struct amm_bell bell;
    struct amm_drops drops;
    _Atomic uint32_t handshakes;
    _Atomic uint64_t lost_events; /* reports that found their ring full */
};

struct amm_worker_face {
    struct amm_ring *up[AMM_THREADS_MAX]; /* to each handshake thread */
    struct amm_ring
        *sideways[AMM_THREADS_MAX]; /* to each other worker; NULL where tuns are steered */
    struct amm_bell bell;
    struct amm_drops drops;
    char aead[48];
};

struct amm_shared {
    const struct amm_handoff *handoff;
    const struct amm_tunneld_config *config;
    uint16_t n_workers, n_handshake;
    uint8_t n_ports;
    struct amm_places places[AMM_PORTS_MAX];
    struct amm_worker_face *workers;
    struct amm_handshake_face *handshakes;
    struct amm_bell control_bell;
    _Atomic uint32_t connections; /* the last connection number that was given */
    _Atomic bool workers_stop, handshakes_stop;
};

/* Which port of the configuration is `port`; n_ports if none. */
static inline uint8_t amm_shared_port_index(const struct amm_shared *shared, uint16_t port)
{
    uint8_t i = 0;
    while (i < shared->n_ports && shared->places[i].port != port) {
        i++;
    }
    return i;
}

struct amm_crl_text *amm_crl_text_unref(struct amm_crl_text *crl); /* accepts NULL; returns NULL */
