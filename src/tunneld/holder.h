/* The holder: owns everything that must outlive an engine, and parses nothing that strangers send.
 * One thread. */
#pragma once

#include "io/privilege.h"
#include "tunneld/handoff.h"

struct amm_holdings {
    struct amm_tunneld_config config;
    struct amm_user user, proxy, manager; /* manager.uid (uid_t)-1: none */
    bool has_namespace;                   /* made by us; removed at the end */
    bool has_rules; /* loaded into a namespace that is not ours; removed at the end */
    int netns;      /* where the tuns live */
    struct amm_state *state;
    int state_fd;
    int control;
    bool tun_steered[AMM_PORTS_MAX];
    struct amm_listen listeners[AMM_LISTENERS_MAX];
    int udp_handshake[AMM_LISTENERS_MAX][AMM_THREADS_MAX];
    int udp_worker[AMM_LISTENERS_MAX][AMM_THREADS_MAX];
    int tcp[AMM_LISTENERS_MAX][AMM_THREADS_MAX];
    int tun[AMM_PORTS_MAX][AMM_THREADS_MAX];
    int services[AMM_PORTS_MAX][AMM_PUBLISHED_MAX]; /* listeners on the tunnel addresses */
};

/* How it ends; also the exit codes. */
enum amm_holder_result { AMM_HOLDER_OK = 0, AMM_HOLDER_FAILED = 1, AMM_HOLDER_CONFIG = 2 };

/* Makes everything as the configuration says. On failure what was made is left for
 * amm_holdings_release; one sentence is in `error`. */
enum amm_holder_result amm_holdings_make(struct amm_holdings *h,
                                         const struct amm_tunneld_config *config, char *error,
                                         size_t room);

/* Closes and removes everything: devices, namespace, rules, control socket. */
void amm_holdings_release(struct amm_holdings *h);

/* State memory, zeroed, in a memfd: layout of struct amm_state. */
bool amm_state_make(struct amm_holdings *h, char *error, size_t room);

/* The nft rules of the second isolation layer, as text; 0 if `room` is too small. */
size_t amm_firewall_rules(const struct amm_holdings *h, char *out, size_t room);

/* Sends the whole hand-over; `files` is a descriptor of amm_files_pack. False if the engine is
 * gone. */
bool amm_handoff_send(int channel, const struct amm_holdings *h, int files);
bool amm_channel_send_material(int channel, int files);

/* Runs the server until it is told to stop. */
enum amm_holder_result amm_holder_run(const struct amm_tunneld_config *config);
