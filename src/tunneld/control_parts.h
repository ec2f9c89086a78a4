/* What the files of the control thread share. */
#pragma once

#include "control.h"
#include "io/loop.h"

enum { CONTROL_CLIENTS = 32, CONTROL_PENDING = CONTROL_CLIENTS };

/* How often the server's own certificate is looked at. */
#define AMM_CONTROL_LOOK (3600 * AMM_SECOND)

/* What a client waits for: its answers are made one by one as its socket takes them. */
enum control_job {
    JOB_NONE,
    JOB_STATUS,
    JOB_COUNTERS,
    JOB_REFUSALS,
    JOB_EVENTS,
    JOB_TEXT,
    JOB_WAIT
};

struct control_client {
    int fd;          /* -1: unused */
    uint64_t number; /* grows with each connection */
    enum control_job job;
    uint32_t step;      /* STATUS: phase; COUNTERS, REFUSALS: index */
    uint32_t port, row; /* STATUS: where the walk stands */
    uint64_t event;     /* EVENTS */
    uint32_t token;     /* WAIT: of the order; 0: for the holder's files */
    uint32_t missing;   /* WAIT: threads that have not answered */
    uint32_t sessions;  /* WAIT: closed so far */
    uint8_t asked;      /* WAIT: the request's type */
    uint32_t hold;      /* WAIT: of the request */
    uint8_t result;     /* TEXT: DONE or FAILED */
    char text[AMM_IPC_TEXT];
    size_t pending; /* bytes of `message` that the socket did not take yet */
    uint8_t message[AMM_IPC_MAX];
    bool waits;
};

struct amm_control {
    struct amm_shared *shared;
    struct amm_loop *loop;
    struct amm_journal *journal;
    struct amm_roster *roster;
    struct amm_tls_context *tls;
    uint32_t alarms;
    int64_t certificate_ends;
    amm_time certificate_looked; /* when its end was looked at; 0 never */
    uint32_t next_token;
    uint64_t connections;                 /* ever */
    char (*announced[AMM_PORTS_MAX])[48]; /* by slot: what the client said of itself */
    struct control_client clients[CONTROL_CLIENTS];
    bool stopping;
    uint32_t goodbye_missing;
    amm_time goodbye_ends;
};

enum {
    CONTROL_TAG_BELL = 0,
    CONTROL_TAG_CHANNEL = 1,
    CONTROL_TAG_LISTEN = 2,
    CONTROL_TAG_CLIENT = 3
};

static inline uint64_t control_tag(uint32_t kind, uint32_t number)
{
    return (uint64_t)kind << 32 | number;
}

/* ---- control.c ---- */

/* Sends the order to every handshake thread; `roster` and `crl` gain a reference each. False if one
 * of them is too busy: nothing was sent. */
bool amm_control_order(struct amm_control *control, const struct amm_cell_order *order);

/* ---- control_client.c ---- */

void amm_control_accept(struct amm_control *control);
void amm_control_serve(struct amm_control *control, struct control_client *client,
                       const struct amm_ready *ready);
void amm_control_push_events(struct amm_control *control);
void amm_control_close(struct amm_control *control, struct control_client *client);

/* Ends a waiting job with words, and goes on sending. */
void amm_control_finish(struct amm_control *control, struct control_client *client,
                        enum amm_ipc_type result, const char *text);
void amm_control_take_answer(struct amm_control *control, const struct amm_cell_answer *answer);

/* ---- control_status.c: makes the next answer of a job; false when it is complete ---- */

bool amm_control_next_status(struct amm_control *control, struct control_client *client,
                             struct amm_ipc_message *out);
bool amm_control_next_counter(struct amm_control *control, struct control_client *client,
                              struct amm_ipc_message *out);

/* ---- control_reload.c ---- */

/* Takes over files that the holder has read again, and says which of them are in use. */
void amm_control_take_material(struct amm_control *control, struct amm_material *material);

/* Raises the alarm once when the server's own certificate is about to end. */
void amm_control_watch_certificate(struct amm_control *control, struct amm_now now);

void amm_control_alarm(struct amm_control *control, enum amm_ipc_alarm alarm, const char *text);
