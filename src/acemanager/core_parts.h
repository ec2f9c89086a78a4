/* What the files of the core share: core.c (start, loop, end), core_ask.c (which question to the
 * server is next), core_answer.c (what answers mean), core_operations.c, core_time.c (clock, NTP),
 * core_tunnel.c (ammer's configuration and state), core_facts.c (stats), core_views.c (the pages').
 */
#pragma once

#include "acemanager/core.h"
#include "base/random.h"
#include "checkins.h"
#include "clock.h"
#include "config.h"
#include "domain/assertion.h"
#include "domain/gateway_answers.h"
#include "domain/token.h"
#include "event_queue.h"
#include "exchange.h"
#include "facts.h"
#include "files.h"
#include "helper.h"
#include "http/tls.h"
#include "identity.h"
#include "memory.h"
#include "ntp.h"
#include "operations.h"
#include "parameters.h"
#include "tunnel.h"

enum {
    CORE_PARTS = 4,
    CORE_NTP_FIRST = 5,        /* seconds that NTP and the modem have before the server is asked */
    CORE_REFUSED_AGAIN = 3600, /* after a refusal that only a person can heal */
    CORE_RETRY_LONGEST = 900,
    CORE_LOOK_EVERY = 30,    /* seconds between two looks at the gateway's own state */
    CORE_TUNNEL_AGAIN = 600, /* after a failure through the tunnel, the other way is used as long */
};

enum core_tag {
    CORE_TAG_SIGNAL,
    CORE_TAG_HELPER,
    CORE_TAG_EXCHANGE,
    CORE_TAG_EXCHANGE_LOOKUP,
    CORE_TAG_NTP,
    CORE_TAG_NTP_LOOKUP,
    CORE_TAG_NETLINK,
    CORE_TAG_STATE,  /* --status */
    CORE_TAG_AMMER0, /* state sockets of the slots */
    CORE_TAG_AMMER1,
    CORE_TAG_PART0,
};

/* A question to the server that is repeated until it is answered. */
struct core_retry {
    unsigned failures;
    amm_time at; /* no try before */
};

enum core_question {
    CORE_ASKS_NOTHING,
    CORE_ASKS_CAS,
    CORE_ASKS_TIME,
    CORE_ASKS_ENROLMENT,
    CORE_ASKS_RENEWAL,
    CORE_ASKS_TUNNEL,
    CORE_ASKS_CHECKIN,
};

struct core_server {
    char url[AMM_MSCI_VALUE]; /* as set; "" */
    char host[256];
    uint16_t port;
};

/* How ammer's state is asked: one question at a time for each slot. */
struct core_ammer {
    int fd; /* -1: none */
    amm_time next;
    amm_time deadline;
    uint64_t rx, tx; /* counted so far of this session */
    uint64_t look;   /* the last one when the question was begun */
};

struct ace_core {
    const struct ace_config *config;
    const struct ace_files *files;
    struct amm_random random;
    struct amm_loop *loop;
    int helper, signals, netlink, state_socket, lock;
    struct amm_now system; /* of this round, as the system says */
    bool is_over;

    struct ace_memory memory;
    char memory_path[ACE_PATH];
    amm_time memory_due; /* when what has changed is written; AMM_NEVER: nothing has */
    struct ace_parameters *parameters;
    struct ace_event_queue *events;
    struct ace_operations *operations;
    struct ace_identity identity;
    char serial[65];
    char storage_error[AMM_CHECKIN_TEXT]; /* "" while the disk does its duty */

    /* clock */
    struct ace_clock clock;
    struct ace_ntp *ntp;
    bool may_not_set_clock; /* tried, and refused */
    bool sets_clock;        /* ordered, and not answered yet: then time runs from `anchor` */
    struct amm_now anchor;
    bool was_trusted;
    amm_time time_at; /* the server is not asked for the time before */

    /* server */
    struct core_server server;
    struct ace_exchange *exchange;
    enum core_question asking;
    bool asks_in_tunnel, asks_by_pin;
    amm_time tunnel_failed_until;
    struct amm_http_tls *tls; /* with our certificate; made when it is needed */
    struct core_retry enrol, renew, tunnel_retry;
    bool wants_cas, wants_renewal, wants_tunnel;
    uint8_t nonce[16];
    enum ace_identity_state identity_state;
    char identity_error[AMM_CHECKIN_TEXT];
    char remote_key_name[AMM_ASSERTION_KEY_NAME];
    bool doubts_remote_key; /* the next check-in asks for it */
    struct ace_checkins *checkins;
    int64_t last_checkin; /* wall time of the last answer */
    bool last_in_tunnel;
    bool is_stopped;  /* a fatal answer */
    bool seq_by_time; /* the disk takes no numbers */

    /* tunnel */
    struct amm_tunnel_settings settings; /* hash "" without */
    struct ace_tunnel tunnel;
    uint64_t tunnel_generation;
    int64_t move_revision; /* of the server's setting that moves the port; 0: a local one */
    amm_time tunnel_until; /* of the operation "tunnel"; 0: none */
    char tunnel_operation[AMM_CHECKIN_ID];
    amm_time tunnel_operation_deadline;
    struct core_ammer ammers[ACE_SLOTS];
    uint64_t last_epoch;
    uint64_t looks, looked; /* that were asked for, and answered */
    uint32_t last_inner;
    enum ace_tunnel_state tunnel_state_said;

    /* own state */
    struct ace_facts facts;
    amm_time look_at;
    json_t *counters; /* as last reported: stats that only count are told once an hour */
    amm_time counters_at;

    char renew_operation[AMM_CHECKIN_ID];
    amm_time reboot_at;
    struct ace_part parts[CORE_PARTS];
    size_t n_parts;
    bool changed;
    uint64_t generation; /* of the parameters, as of the last look */
    uint64_t noted[3];   /* checksums of NTP, token, keep-alive: what a change of them starts */
};

/* ---- core.c ---- */

struct amm_now core_now(const struct ace_core *core); /* by our clock */
struct ace_event_time core_event_time(const struct ace_core *core);
void core_path(const struct ace_core *core, const char *name, char out[ACE_PATH]);
/* The disk: remembers and logs what it says; "" clears. */
void core_storage(struct ace_core *core, bool ok, const char *error);
void core_memory_changed(struct ace_core *core, amm_duration within);
bool core_memory_save(struct ace_core *core);
void core_parameters_changed(struct ace_core *core);
/* Reason for the next start: "reboot by user". */
bool core_reboot(struct ace_core *core, const char *reason, char *error, size_t room);
int64_t core_uptime(const struct ace_core *core);

void core_retry_after(struct ace_core *core, struct core_retry *retry, uint32_t seconds);
void core_retry_failed(struct ace_core *core, struct core_retry *retry);
void core_retry_reset(struct ace_core *core, struct core_retry *retry);

/* ---- core_ask.c ---- */

void core_server_read(struct ace_core *core); /* the URL of the parameters */
void core_ask(struct ace_core *core);         /* begins the next question if it is time */
void core_exchange(struct ace_core *core);    /* goes on with the one under way */
amm_time core_ask_deadline(const struct ace_core *core);
void core_identity_changed(struct ace_core *core); /* another certificate */

struct core_retry *core_retry_of(struct ace_core *core, enum core_question question, bool by_pin);

/* True if a certificate is to be got with the token: there is none, or the server refuses it. */
bool core_enrols(const struct ace_core *core, struct amm_token *token);

/* ---- core_answer.c ---- */

void core_answered(struct ace_core *core, const struct ace_answer *answer);
void core_failed(struct ace_core *core, const struct ace_answer *answer);
void core_settings_read(struct ace_core *core); /* the tunnel's, from disk */
void core_identity_say(struct ace_core *core, enum ace_identity_state state, const char *error);

/* ---- core_operations.c ---- */

void core_operations_start(
    struct ace_core *core); /* what a restart means for those that were running */
void core_operations_take(struct ace_core *core, const struct amm_checkin_answer *answer);
void core_operation_end(struct ace_core *core, const char *id, enum amm_operation_state state,
                        const char *text, json_t *data);
void core_operations_step(struct ace_core *core);
amm_time core_operations_deadline(const struct ace_core *core);

/* ---- core_time.c ---- */

void core_time_start(struct ace_core *core);
void core_time_step(struct ace_core *core);
void core_time_parameters(struct ace_core *core); /* NTP's may be others */
void core_time_offer(struct ace_core *core, enum amm_clock_source source, int64_t step_ms);
void core_time_doubt(struct ace_core *core);
void core_time_notice(struct ace_core *core, const struct ace_notice *notice);

/* ---- core_tunnel.c ---- */

void core_tunnel_start(struct ace_core *core);
void core_tunnel_step(struct ace_core *core);
void core_tunnel_ready(struct ace_core *core, unsigned slot);
void core_tunnel_look(struct ace_core *core); /* asks ammer as soon as it can be asked */
amm_time core_tunnel_deadline(const struct ace_core *core);
/* The server's address inside the tunnel; false while it is not up. */
bool core_tunnel_server(const struct ace_core *core, struct amm_address *out);

/* ---- core_facts.c ---- */

void core_look(struct ace_core *core);
json_t *core_stats_reported(struct ace_core *core); /* new reference */
void core_serial_read(struct ace_core *core);

/* ---- status.c ---- */

/* The state as JSON text, malloc'd; also what a diagnostics bundle holds. No secrets. */
char *core_status_text(const struct ace_core *core, bool with_parameters);
void core_status_answer(struct ace_core *core);
