/* What the files of the remote module share. Fleet thread. */
#pragma once

#include "domain/relay.h"
#include "index.h"
#include "manager/access.h"
#include "manager/job.h"
#include "manager/remote.h"
#include "store/store.h"

/* Why one ended: those of ipc/proxy.h, and what amm-proxyd need not know. Stored. */
enum remote_end {
    REMOTE_END_NONE = 0,
    REMOTE_END_NO_TUNNEL = 64, /* it waited for one that did not come */
    REMOTE_END_TOKEN = 65,     /* the API token was removed, or is over */
    REMOTE_END_ACCESS = 66,    /* the gateway is in quarantine or revoked */
    REMOTE_END_KEY = 67,       /* its page shows another key */
    REMOTE_END_MOVED = 68,     /* the page is elsewhere now */
};
const char *remote_end_name(unsigned end);  /* "idle": stable */
const char *remote_end_words(unsigned end); /* a sentence */

enum {
    REMOTE_REQUESTS_KEPT = 10000, /* rows of one remote session */
    REMOTE_ENTER_SECONDS = 120,   /* from ready to entered */
    REMOTE_ENTER_WAITED = 900,    /* the same of one that has waited for a tunnel */
    REMOTE_WAIT_MORE = 300,       /* for a tunnel, beside two check-in intervals */
    REMOTE_ORDER_MINUTES = 30,    /* that an ordered tunnel stays up, unless said otherwise */
    REMOTE_TEXT = 200,
};

/* ---- one remote session ---- */

struct remote_session {
    int64_t id;
    char label[AMM_PROXY_LABEL + 1];
    uint8_t kind, role; /* enum amm_proxy_kind, amm_proxy_role */
    int64_t tenant, gateway;
    char gateway_name[FLEET_NAME_MAX + 1];

    /* who */
    uint8_t actor_kind; /* enum actor_kind */
    int64_t user, credential;
    char operator_name[ACTOR_NAME_MAX];
    char opened_from[AMM_ADDRESS_TEXT]; /* "local": no address */
    char reason[AMM_PROXY_TEXT];

    /* where to; nothing while epoch is 0: it waits for a tunnel */
    char forward[AMM_RELAY_TARGET]; /* FORWARD: domain/relay.h; else "" */
    uint64_t epoch;
    uint32_t inner_ip;
    uint16_t port;
    uint8_t scheme; /* enum amm_proxy_scheme */

    /* what became of it; wall seconds, 0: not yet */
    int64_t opened_at, until, ready_at, entered_at, last_at, ended_at;
    bool has_cookie;
    uint8_t cookie[AMM_PROXY_HASH];
    char entered_from[AMM_ADDRESS_TEXT];
    uint64_t requests, bytes_in, bytes_out;
    uint64_t noted; /* rows of the log */
    unsigned end;   /* enum amm_proxy_end, remote_end */

    /* in memory only */
    bool has_ticket;
    uint8_t ticket[AMM_PROXY_HASH];
    int64_t ticket_until;
    bool is_dirty;  /* differs from its row */
    bool is_urgent; /* and what differs is more than numbers */
    int64_t saved_at;
    int64_t wait_until;            /* while it waits */
    char ended_by[ACTOR_NAME_MAX]; /* "": nobody; for the audit log */
};

const char *remote_state_name(const struct remote_session *session); /* "ready" */
json_t *remote_session_json(struct manager *m, const struct remote_session *session);
/* Where it stands: its gateway's group, or the tenant when that is gone. */
struct access_object remote_session_object(struct manager *m, const struct remote_session *session);

/* ---- a gateway's page ---- */

/* What the record says of it; gateways without anything have none. */
struct remote_page {
    int64_t gateway;
    uint8_t scheme; /* enum amm_proxy_scheme; 0: by its kind */
    uint16_t port;  /* 0: by its kind */
    bool has_pin, has_seen;
    uint8_t pin[AMM_PROXY_HASH];
    int64_t pin_at;
    char pin_by[ACTOR_NAME_MAX];
    uint8_t seen[AMM_PROXY_HASH]; /* another key that it showed later */
    int64_t seen_at;
    char user[AMM_PROXY_PERSON]; /* of the credentials; "": none */
    uint8_t sealed[AMM_PROXY_SECRET + 64];
    size_t n_sealed; /* 0: none */
    int64_t credentials_at;
    char credentials_by[ACTOR_NAME_MAX];
    char forwards[AMM_RELAY_LIST]; /* what forwards may reach; "": nothing */
};

enum remote_page_state {
    REMOTE_PAGE_READY,
    REMOTE_PAGE_TUNNEL_DOWN,
    REMOTE_PAGE_WAITING, /* a tunnel was ordered */
    REMOTE_PAGE_UNAVAILABLE,
    REMOTE_PAGE_KEY_CHANGED,
    REMOTE_PAGE_STATES,
};
const char *remote_page_state_name(enum remote_page_state state); /* "ready" */

/* Whether a page can be opened now, and where it is. */
struct remote_target {
    enum remote_page_state state;
    char why[REMOTE_TEXT], cure[REMOTE_TEXT]; /* unless READY */
    uint8_t scheme;
    uint16_t port; /* also while the tunnel is down; 0: not known */
    uint64_t epoch;
    uint32_t inner_ip;
};
void remote_page_judge(struct manager *m, const struct fleet_gateway *gateway,
                       struct remote_target *out);
/* Only scheme and port of it. */
void remote_page_place(const struct manager *m, const struct fleet_gateway *gateway,
                       struct remote_target *out);
/* The port of the relay in our own gateway; 0: it has none. */
uint16_t remote_relay_port(const struct fleet_gateway *gateway);
struct amm_address remote_inner_address(uint32_t ip, uint16_t port);

/* NULL: nothing is known of it. */
const struct remote_page *remote_page_find(const struct manager *m, int64_t gateway);
/* Writes a changed copy of it, inside a unit. */
enum amm_store_result remote_page_put(struct manager *m, const struct remote_page *page);
/* A copy, or an empty one. */
struct remote_page remote_page_copy(const struct manager *m, int64_t gateway);
/* Drops what belongs to gateways that are gone. */
void remote_page_forget(struct manager *m, int64_t gateway);
bool remote_pages_load(struct manager *m, char *error, size_t room);
void remote_pages_free(struct remote *remote);

/* ---- remote_secret.c: credentials at rest ---- */

/* Reads the file's key, or makes one. */
bool remote_secret_open(struct remote *remote, struct manager *m, char *error, size_t room);
void remote_secret_close(struct remote *remote);
/* False: memory is short, or the secret is too long. */
bool remote_secret_seal(struct manager *m, struct remote_page *page, const char *secret);
/* False: it was sealed with another key (a restored database). `out` is to be wiped. */
bool remote_secret_unseal(struct manager *m, const struct remote_page *page,
                          char out[AMM_PROXY_SECRET]);

/* ---- tests under way (remote_tests.c) ---- */

/* `result` NULL: amm-proxyd is not there, or did not answer. Called once, inside a unit. */
typedef void (*remote_tested)(struct manager *m, void *context,
                              const struct amm_proxy_result *result);
struct remote_test {
    struct remote_test *next;
    uint64_t id;
    amm_time deadline;
    remote_tested done;
    void *context;
};
/* Asks; the message's id is set here. False: `done` will not be called. */
bool remote_test_ask(struct manager *m, struct amm_proxy_test *test, remote_tested done,
                     void *context);
void remote_test_result(struct manager *m, const struct amm_proxy_result *result);
void remote_tests_expire(struct manager *m, bool all);

/* ---- the module ---- */

struct remote_packet;

struct remote_link {
    struct manager_watch listener; /* fd -1: remote access is off */
    struct manager_watch peer;     /* fd -1: amm-proxyd is not there */
    struct manager_timer deferred; /* closes a connection from within its own callback */
    uint32_t uid;                  /* of amm-proxyd */
    bool is_greeted;               /* HELLO came */
    bool waits;                    /* for the socket to take more */
    struct amm_proxy_hello hello;  /* of the last one; domain "" before the first */
    uint8_t key[32];               /* assertion key, also after a restart of ours */
    bool has_key;
    struct remote_packet *first, *last;
    size_t n_packets;
    uint64_t lost;                    /* rows of the log that could not be written */
    struct amm_proxy_message message; /* large, and wiped after use */
    uint8_t buffer[AMM_PROXY_MAX];
};

struct remote {
    struct manager *m;
    struct remote_session **by_id,
        **by_label; /* those that live, and those whose end is not saved */
    size_t n, room;
    struct index pages; /* struct remote_page by gateway */
    struct remote_test *tests;
    uint64_t last_test;
    struct manager_timer tick;
    amm_time expire_at, policies_at;
    uint8_t secret_key[32];
    bool has_secret_key;
    struct remote_link link;
    uint64_t opened, ended[REMOTE_END_MOVED + 1]; /* for /metrics */
    uint64_t n_requests;
};

struct remote_session *remote_find(const struct remote *remote, int64_t id);
struct remote_session *remote_find_label(const struct remote *remote, const char *label);

/* Adds one to memory and store; NULL with `*result`. Copies `made`; its id is set. It is told to
 * amm-proxyd behind the commit. */
struct remote_session *remote_add(struct manager *m, const struct remote_session *made,
                                  enum amm_store_result *result);
/* Gives it its target: from then on it is ready. */
void remote_make_ready(struct manager *m, struct remote_session *session,
                       const struct remote_target *target);
/* Ends it now: closed at amm-proxyd (unless it said so itself), saved by the next tick. */
void remote_end(struct manager *m, struct remote_session *session, unsigned end, const char *by,
                bool tell_proxy);
/* Something of it is new. */
void remote_changed(struct manager *m, struct remote_session *session, bool is_urgent);
/* Behind the commit: the event stream. */
void remote_publish(struct manager *m, const struct remote_session *session);

/* How many live ones one user has, lead to one gateway; waiting ones of a gateway. */
unsigned remote_count_user(const struct remote *remote, uint8_t actor_kind, int64_t user);
unsigned remote_count_gateway(const struct remote *remote, int64_t gateway, bool only_open);
bool remote_is_awaited(const struct remote *remote, int64_t gateway);

/* Why it may not go on; REMOTE_END_NONE: it may. Pure but for what it reads. */
unsigned remote_why_end(struct manager *m, const struct remote_session *session);

/* ---- remote_rows.c ---- */

void remote_session_of_row(const struct amm_rows *rows, struct remote_session *out);
enum amm_store_result remote_session_insert(struct manager *m, struct remote_session *session);
enum amm_store_result remote_session_save(struct manager *m, const struct remote_session *session);
enum amm_store_result remote_request_insert(struct manager *m, const struct remote_session *session,
                                            uint64_t n, const struct amm_proxy_request *request);

/* ---- remote_link.c ---- */

bool remote_link_prepare(struct remote_link *link, const struct manager_config *config, char *error,
                         size_t room);
bool remote_link_start(struct manager *m);
void remote_link_stop(struct manager *m);
bool remote_link_is_up(const struct remote *remote);
/* Each tells amm-proxyd if it is there; else the list of the next connection does. */
void remote_link_session(struct manager *m, const struct remote_session *session);
void remote_link_ticket(struct manager *m, const struct remote_session *session);
void remote_link_close(struct manager *m, const char *label, unsigned end);
bool remote_link_test(struct manager *m, const struct amm_proxy_test *test);
/* "https://label.gw.example.net:8444"; "" while amm-proxyd was never heard. */
void remote_link_url(const struct remote *remote, const char *label, char *out, size_t room);

/* ---- remote_take.c: what amm-proxyd says; each inside the unit of its descriptor ---- */

void remote_take(struct manager *m, const struct amm_proxy_message *message);

/* ---- tunnel_policy.c ---- */

/* Brings 60001 of groups with a schedule in line with the time. */
void tunnel_policies_apply(struct manager *m);
