/* What the files of the control thread share. */
#pragma once

#include "control.h"
#include "crypto/mac.h"
#include "io/loop.h"

#include <sys/types.h>

enum { CONTROL_CLIENTS = 32, CONTROL_PENDING = CONTROL_CLIENTS };

/* How often the server's own certificate is looked at. */
#define AMM_CONTROL_LOOK (3600 * AMM_SECOND)

/* What a client waits for: its answers are made one by one as its socket takes them. */
enum control_job {
    JOB_NONE,
    JOB_STATUS,
    JOB_WATCH,
    JOB_LISTENERS,
    JOB_COUNTERS,
    JOB_REFUSALS,
    JOB_EVENTS,
    JOB_TEXT,
    JOB_WAIT
};

struct control_client {
    int fd;          /* -1: unused */
    uint64_t number; /* grows with each connection */
    uid_t uid;
    enum control_job job;
    uint32_t step;      /* STATUS, WATCH: phase; COUNTERS, REFUSALS, LISTENERS: index */
    uint32_t port, row; /* STATUS, WATCH: where the walk stands */
    uint64_t event;     /* EVENTS, WATCH: the next one */
    uint32_t token;     /* WAIT: of the order; 0: for the holder's files */
    uint32_t missing;   /* WAIT: threads that have not answered */
    uint32_t sessions;  /* WAIT: closed so far */
    uint8_t asked;      /* WAIT: the request's type */
    uint32_t hold;      /* WAIT: of the request */
    uint8_t result;     /* TEXT: DONE or FAILED */
    char text[AMM_IPC_TEXT];
    size_t pending; /* bytes of `message` that the socket did not take yet */
    int attached;   /* goes with `message`; -1: none. Borrowed */
    uint8_t message[AMM_IPC_MAX];
    bool waits;
};

struct amm_control {
    struct amm_shared *shared;
    struct amm_loop *loop;
    struct amm_journal *journal;
    struct amm_roster *roster;
    struct amm_tls_context *tls;
    /* Of the files that are in use; zero: not known. What has not changed is not parsed again and
     * makes nobody walk over its sessions. */
    uint8_t roster_digest[AMM_SHA256_LEN], crl_digest[AMM_SHA256_LEN];
    amm_time crl_taken; /* a list that stays the same is looked at again when it may have expired */
    uint32_t alarms;
    int64_t certificate_ends;
    amm_time certificate_looked; /* when its end was looked at; 0 never */
    uint32_t next_token;
    uint64_t connections;                    /* ever */
    struct amm_label *labels[AMM_PORTS_MAX]; /* in state memory */
    uint32_t *silent[AMM_PORTS_MAX]; /* by row: peer id whose silence was reported; 0 none */
    amm_time silence_looked;
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

/* ---- control_watch.c: what is known of tunnels, and their silence ---- */

/* Remembers who joined. */
void amm_control_label(struct amm_control *control, const struct amm_cell_event *report);

/* NULL if nothing is known of that tunnel. */
const struct amm_label *amm_control_find_label(const struct amm_control *control,
                                               uint32_t port_index, uint32_t peer_id);

/* Rows of a port are its slots and lanes: row = 2 * (slot - 1) + lane. */
const struct amm_peer *amm_control_record(const struct amm_places *places, uint32_t row);

/* False: nobody has the row's slot, and its page of the table may never have been used. */
static inline bool amm_control_has_session(const struct amm_places *places, uint32_t row)
{
    return atomic_load(&places->sessions[(row >> 1) + 1]) != 0;
}

/* A tunnel is up when its gateway has proven a key: before that an older tunnel of the same gateway
 * still has the say. */
bool amm_control_looks_up(const struct amm_places *places, uint32_t row);

/* Reports tunnels from which nothing comes any more, and those that are heard again: within two
 * keep-alives and 10 s. When it wants to be called again, or AMM_NEVER. */
amm_time amm_control_watch_silence(struct amm_control *control, amm_time now);

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
bool amm_control_next_listener(struct amm_control *control, struct control_client *client,
                               struct amm_ipc_message *out);
bool amm_control_next_counter(struct amm_control *control, struct control_client *client,
                              struct amm_ipc_message *out);

/* ---- control_reload.c ---- */

/* Takes over files that the holder has read again, and says which of them are in use. */
void amm_control_take_material(struct amm_control *control, struct amm_material *material);

/* Raises the alarm once when the server's own certificate is about to end. */
void amm_control_watch_certificate(struct amm_control *control, struct amm_now now);

void amm_control_alarm(struct amm_control *control, enum amm_ipc_alarm alarm, const char *text);
