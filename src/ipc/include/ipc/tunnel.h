/* Messages of amm-tunneld's control socket (SOCK_SEQPACKET, one message a packet, at most
 * AMM_IPC_MAX bytes).
 *
 * Each message: version(1) type(1) length(2) body. Integers big-endian, strings with a 16-bit
 * length. One request a time; answers come in order and end with DONE or FAILED. After EVENTS, and
 * after the DONE of WATCH, the socket carries events until it is closed. Decoders are exact: a byte
 * too few or too many is an error. The socket is for root, the manager's user, the server's own
 * user and its group (mode 0660); the peer is still not trusted to be well-formed. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/drop.h"
#include "crypto/identity.h"

#include <stdbool.h>
#include <stdint.h>

enum { AMM_IPC_VERSION = 3, AMM_IPC_MAX = 4096, AMM_IPC_TEXT = 192 };

enum amm_ipc_type {
    /* requests */
    AMM_IPC_STATUS = 1,   /* -> SERVER, PORT*, PEER*, DONE */
    AMM_IPC_COUNTERS = 2, /* -> COUNTER*, DONE */
    AMM_IPC_KICK = 3,     /* ask -> DONE or FAILED */
    AMM_IPC_DRAIN = 4,    /* ask -> DONE or FAILED */
    AMM_IPC_EVENTS = 5,   /* -> EVENT* */
    AMM_IPC_RELOAD = 6,   /* roster and revocation lists, as SIGHUP does -> DONE or FAILED */
    AMM_IPC_REFUSALS = 7, /* the last refused joins, newest first -> EVENT*, DONE */
    /* The listeners on the tunnel addresses, one descriptor with each -> LISTENER*, DONE. For root
     * and the manager's user only. Never shut them down: the holder has the same sockets. */
    AMM_IPC_LISTENERS = 8,
    /* STATUS, and then every event since its first answer -> SERVER, PORT*, PEER*, DONE, EVENT*.
     * An event may tell of what the status has shown already: compare port and peer id. */
    AMM_IPC_WATCH = 9,
    /* answers */
    AMM_IPC_SERVER = 32,
    AMM_IPC_PORT = 33,
    AMM_IPC_PEER = 34,
    AMM_IPC_COUNTER = 35,
    AMM_IPC_EVENT = 36,
    AMM_IPC_DONE = 37,
    AMM_IPC_FAILED = 38, /* text says what to do */
    AMM_IPC_LISTENER = 39,
};

struct amm_ipc_ask {
    uint16_t port; /* DRAIN: port number, 0 all; KICK: only there, 0 on every port */
    uint32_t hold; /* KICK, DRAIN: seconds during which the gateway (port) is refused; 0 none */
    char name[AMM_NAME_MAX + 1]; /* KICK: gateway */
};

struct amm_ipc_server {
    char version[32];
    char aead[48]; /* amm_aead_name */
    uint16_t workers, handshake_threads;
    int64_t started;          /* wall seconds */
    uint32_t alarms;          /* bits: enum amm_ipc_alarm */
    uint32_t engine_restarts; /* since the holder started */
    char namespace_name[64];
};

/* What an operator must mend: a broken file, of which the last good version stays in use, or the
 * server's own certificate. Bits. */
enum amm_ipc_alarm { AMM_ALARM_CRL = 1, AMM_ALARM_ROSTER = 2, AMM_ALARM_CERTIFICATE = 4 };

struct amm_ipc_port {
    uint16_t port;
    uint8_t topology;
    uint8_t prefix;
    uint32_t network;
    uint32_t up, limit, slots;
    uint32_t handshakes;
    uint16_t ping, ping_restart; /* seconds, as pushed to gateways; 0 none */
    uint8_t draining;
};

/* Which certificate a gateway has shown. All zero: not known. */
struct amm_ipc_login {
    uint8_t key[32];    /* SHA-256 of its SubjectPublicKeyInfo */
    uint8_t serial[20]; /* its serial number, right-aligned */
};

struct amm_ipc_peer {
    char name[AMM_NAME_MAX + 1];
    uint16_t port;
    uint8_t cipher, key_id;
    uint32_t inner_ip, peer_id;
    uint64_t epoch; /* the server's OpenVPN session id: both ends know it, each new tunnel has
                       another one, renewed keys and a restarted engine keep it; never 0 */
    struct amm_path path;
    int64_t since;    /* wall seconds */
    uint32_t idle_ms; /* since the last authenticated packet */
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, dropped;
    char last_error[AMM_IPC_TEXT]; /* "" or a drop reason in words */
    char client[48];               /* version and platform it announced */
    struct amm_ipc_login login;
};

struct amm_ipc_listener {
    uint16_t port;    /* tunnel port */
    uint16_t service; /* TCP port that is listened on, one of `published` */
    uint32_t address; /* the port's tunnel address */
};

struct amm_ipc_counter {
    char name[48];
    char text[AMM_IPC_TEXT];
    uint64_t value;
};

enum amm_ipc_event_kind {
    AMM_IPC_JOINED = 1,
    AMM_IPC_LEFT = 2,
    AMM_IPC_MOVED = 3,
    AMM_IPC_REFUSED = 4,
    AMM_IPC_ALARM = 5,
    AMM_IPC_SILENT =
        6,             /* nothing was heard for about two keep-alives; the tunnel is not given up */
    AMM_IPC_HEARD = 7, /* after SILENT: something was */
};

struct amm_ipc_event {
    uint8_t kind; /* enum amm_ipc_event_kind */
    int64_t at;   /* wall seconds */
    uint16_t port;
    char name[AMM_NAME_MAX + 1]; /* certificate name; "" if none was seen */
    struct amm_address remote;
    uint8_t transport; /* enum amm_transport, of `remote` */
    uint32_t inner_ip;
    uint32_t peer_id; /* with the port: which tunnel; 0 where there is none (REFUSED, ALARM) */
    uint64_t epoch;   /* as in struct amm_ipc_peer; 0 where there is no tunnel */
    struct amm_ipc_login login;
    char client[48];
    char reason[48];         /* stable name: "expired", "not-on-roster", "port-full", "silent" */
    char text[AMM_IPC_TEXT]; /* for a person, with the cure */
};

struct amm_ipc_message {
    uint8_t type; /* enum amm_ipc_type */
    union {
        struct amm_ipc_ask ask;
        struct amm_ipc_server server;
        struct amm_ipc_port port;
        struct amm_ipc_peer peer;
        struct amm_ipc_counter counter;
        struct amm_ipc_event event;
        struct amm_ipc_listener listener;
        char text[AMM_IPC_TEXT]; /* DONE, FAILED */
    };
};

/* The length written to out[room], or 0 if it does not fit. */
size_t amm_ipc_encode(const struct amm_ipc_message *message, uint8_t *out, size_t room);

/* False if the message is malformed; strings come out NUL-terminated and checked printable. */
bool amm_ipc_decode(struct amm_ipc_message *out, struct amm_view packet);

const char *amm_ipc_event_name(enum amm_ipc_event_kind kind); /* "joined" */
const char *amm_ipc_alarm_name(enum amm_ipc_alarm alarm);     /* "gateways-file" */
