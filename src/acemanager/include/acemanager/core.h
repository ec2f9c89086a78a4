/* The gateway's core, as its pages see it: read-only views and commands. One thread, that of the
 * core; everything returned is valid until the core's loop runs again. */
#pragma once

#include "base/address.h"
#include "base/time.h"
#include "domain/checkin.h"
#include "domain/msci.h"
#include "io/loop.h"
#include "ipc/client_state.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ace_core;

/* ---- a part of the program that has a descriptor of its own in the core's loop (the pages) ----
 */

struct ace_part {
    int (*fd)(void *context); /* readable when there is something to do; the same for ever */
    amm_time (*deadline)(void *context);
    void (*step)(void *context);
    /* Parameters came into force, the tunnel came or went (its address is another one), or the
     * gateway's own addresses changed. Sent after the fact, at most once in a round of the loop. */
    void (*changed)(void *context);
    void *context;
};

bool ace_core_attach(struct ace_core *core, const struct ace_part *part);

/* The program's clock: the system's, or moved by an offset where that may not be set. */
struct amm_now ace_core_now(const struct ace_core *core);

/* Folder for files that survive a restart (0700); names that begin with "page-" are the pages'. */
const char *ace_core_folder(const struct ace_core *core);

/* ---- parameters ---- */

struct ace_parameter {
    const struct amm_msci *msci;
    const char *value;   /* in force, canonical text; "" if there is none */
    const char *pending; /* stored; waits for "activate now" or a reboot. NULL: none */
    int64_t at;          /* when it was stored last; 0: default */
    const char *by;      /* "default", "server", or who was given to ace_parameters_set */
};

/* False if the registry has no such parameter. Secrets are given as they are: do not show them. */
bool ace_parameter_get(const struct ace_core *core, uint32_t id, struct ace_parameter *out);

/* Short forms of the value in force: a number, or the index of a choice; the text. */
int64_t ace_parameter_number(const struct ace_core *core, uint32_t id);
const char *ace_parameter_text(const struct ace_core *core, uint32_t id);

/* One field of a form, as it was typed. */
struct ace_setting {
    uint32_t id;
    struct amm_view text;
};

/* What is wrong with one setting. */
struct ace_objection {
    uint32_t id; /* 0: none of them; the disk, say */
    char text[AMM_MSCI_ERROR];
};

/* Stores the settings as a whole or not at all, on disk before it returns. What the registry
 * activates at once is in force then; the rest is pending. `by` is the account ("user"). What is
 * not settable from a page is refused. The enrolment token is one of these: it is tried at once. */
bool ace_parameters_set(struct ace_core *core, const struct ace_setting *settings, size_t n,
                        const char *by, struct ace_objection *objection);

/* How many are pending. */
unsigned ace_parameters_pending(const struct ace_core *core);

/* ---- commands; false with a sentence ---- */

/* What is pending comes into force without a reboot. */
bool ace_activate(struct ace_core *core, const char *by, char *error, size_t room);

/* The reboot follows two seconds later, so that an answer can still leave. */
bool ace_reboot(struct ace_core *core, const char *by, char *error, size_t room);

/* Check in (or enrol) as soon as possible. */
void ace_checkin_now(struct ace_core *core);

/* Parameters go back to their defaults, but those that lead to the server; the identity stays
 * unless `forget_identity`. Reboots. */
bool ace_factory_reset(struct ace_core *core, const char *by, bool forget_identity, char *error,
                       size_t room);

/* An event for the server ("login-refused"); `data` is borrowed, may be NULL. */
void ace_event(struct ace_core *core, const char *kind, const char *text, json_t *data);

/* ---- remote sessions (GP-70 to GP-86) ---- */

/* The server's key for assertions, 32 bytes; NULL: none yet. */
const uint8_t *ace_remote_key(const struct ace_core *core);

/* An assertion was not signed with it: a check-in soon asks whether the server has another one. */
void ace_remote_key_doubt(struct ace_core *core);

/* The epoch of the tunnel that is up; 0: none is. */
uint64_t ace_tunnel_epoch(const struct ace_core *core);

/* Asks ammer now, not in some seconds. `changed` of the parts is called when it has answered, and
 * from then on ace_tunnel_looked is true of this number. */
uint64_t ace_tunnel_look(struct ace_core *core);
bool ace_tunnel_looked(const struct ace_core *core, uint64_t look);

/* ---- views ---- */

enum ace_identity_state {
    ACE_IDENTITY_NONE,      /* no certificate and no token */
    ACE_IDENTITY_ENROLLING, /* a token is there; see `error` for what keeps it */
    ACE_IDENTITY_WAITING,   /* for approval by a person */
    ACE_IDENTITY_VALID,
    ACE_IDENTITY_EXPIRED, /* renewal is being tried */
    ACE_IDENTITY_REFUSED, /* revoked, or the gateway was taken off the server */
};
const char *ace_identity_state_name(enum ace_identity_state state); /* "none", "enrolling", ... */

struct ace_identity_view {
    enum ace_identity_state state;
    char name[65];                 /* tunnel name; "" before enrolment */
    int64_t not_before, not_after; /* of the certificate; 0: none */
    char serial[65];               /* the gateway's serial number */
    char error[AMM_CHECKIN_TEXT];  /* the last one, in words; "" */
};
void ace_identity_view(const struct ace_core *core, struct ace_identity_view *out);

enum ace_checkin_state {
    ACE_CHECKIN_OFF,  /* no server URL */
    ACE_CHECKIN_IDLE, /* the last one went well; the next is due at `next` */
    ACE_CHECKIN_TRYING,
    ACE_CHECKIN_FAILING, /* the last try failed: `error`; the next is at `next` */
    ACE_CHECKIN_REFUSED, /* the server says for good: tunnel off, check-ins only */
};
const char *ace_checkin_state_name(enum ace_checkin_state state); /* "off", "idle", ... */

struct ace_checkin_view {
    enum ace_checkin_state state;
    int64_t last;      /* wall time of the last answer; 0: none since the start */
    uint32_t next;     /* seconds from now */
    uint32_t interval; /* seconds, as ordered by the server or set */
    char server[300];  /* "host:port" in use */
    bool in_tunnel;    /* the last one went through the tunnel */
    char error[AMM_CHECKIN_TEXT];
    uint64_t seq;
};
void ace_checkin_view(const struct ace_core *core, struct ace_checkin_view *out);

enum ace_tunnel_state {
    ACE_TUNNEL_DISABLED, /* by MSCIID */
    ACE_TUNNEL_WAITING,  /* for a certificate, tunnel settings or the clock: `why` */
    ACE_TUNNEL_STARTING, /* ammer runs; `client` says how far it is */
    ACE_TUNNEL_UP,
    ACE_TUNNEL_DOWN,    /* ammer runs, and its last try failed: `why` */
    ACE_TUNNEL_BRAKED,  /* ammer died too often; tried again later */
    ACE_TUNNEL_STOPPED, /* by the server (fatal answer) */
};
const char *ace_tunnel_state_name(enum ace_tunnel_state state); /* "disabled", "waiting", ... */

struct ace_tunnel_view {
    enum ace_tunnel_state state;
    char why[AMM_CHECKIN_TEXT]; /* what it waits for, or the last error, in words; "" */
    uint16_t port;              /* in use or tried */
    bool moving;                /* a second tunnel is being tried at `port_next` */
    uint16_t port_next;
    int64_t since;                  /* wall time at which the state began */
    struct amm_client_state client; /* as ammer told it last; zero if it does not run */
};
void ace_tunnel_view(const struct ace_core *core, struct ace_tunnel_view *out);

struct ace_ntp_view {
    char server[254];
    int64_t last;      /* wall time of its last good answer; 0: none */
    int64_t offset_ms; /* of our clock then; positive: ours was behind */
    uint8_t stratum;
    char error[96];
};

struct ace_clock_view {
    bool is_trusted;
    enum amm_clock_source source;
    int64_t since;          /* wall time at which the source set it last */
    int64_t offset;         /* seconds added to the system's clock; 0 where that is set itself */
    int64_t floor;          /* never before this */
    const char *floor_from; /* "this release", ... */
    char words[160];        /* "clock is 1970-01-01: waiting for time (...)"; "" when trusted */
    size_t n_ntp;
    const struct ace_ntp_view *ntp;
};
void ace_clock_view(const struct ace_core *core, struct ace_clock_view *out);

enum ace_purpose { ACE_CHECKINS, ACE_TUNNEL, ACE_SOFTWARE, ACE_PURPOSES };

struct ace_bytes {
    uint64_t in, out; /* TCP payload of check-ins and software; inner bytes of the tunnel */
};

struct ace_bytes_view {
    int64_t month; /* wall time at which it began (UTC); 0 while the clock is not trusted */
    struct ace_bytes by[ACE_PURPOSES];
};
void ace_bytes_view(const struct ace_core *core, struct ace_bytes_view *out);

/* The newest `n` events, newest first; those that wait for the server and those it has. How many
 * were written. `data` is borrowed. */
size_t ace_events_latest(const struct ace_core *core, struct amm_checkin_event *out, size_t n);
uint64_t ace_events_waiting(const struct ace_core *core); /* not acknowledged yet */
uint64_t ace_events_lost(const struct ace_core *core);    /* dropped since the first start */

/* The stats of the last look (object as in GP-44), also those that the server has not got yet. */
const json_t *ace_stats(const struct ace_core *core);

/* Addresses to listen at: those of LAN interfaces and of the tunnel; never of a WAN. How many there
 * are; up to `n` are written. */
struct ace_listen {
    struct amm_address address; /* port 0 */
    char link[16];
    uint8_t prefix; /* bits of its network */
    bool is_tunnel;
};
size_t ace_listens(const struct ace_core *core, struct ace_listen *out, size_t n);

/* Model, software version and name as the pages show them. */
struct ace_about {
    const char *model, *software, *serial;
    char name[65]; /* MSCIID 1154, else the host's name */
    int64_t uptime;
    const char *boot_reason;
};
void ace_about(const struct ace_core *core, struct ace_about *out);
