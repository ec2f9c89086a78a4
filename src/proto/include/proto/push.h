/* The options a server pushes, as one value: encoded by the server, decoded by the client through
 * an allow-list. What is not on the list is counted and named, never obeyed (doc/protocol, PUSH
 * clauses). */
#pragma once

#include "base/bytes.h"
#include "crypto/aead.h"
#include "data/pool.h"

#include <stdbool.h>
#include <stdint.h>

struct amm_route {
    uint32_t network, mask; /* host order */
};

enum { AMM_PUSH_ROUTES = 16, AMM_PUSH_PART = 1024, AMM_PUSH_PARTS = 16 };

enum amm_push_flags {
    AMM_PUSH_TLS_EKM = 1,
    AMM_PUSH_DYN_TLS_CRYPT = 2,
    AMM_PUSH_CC_EXIT = 4, /* decoded from foreign servers; ours never pushes it (PUSH-4) */
};

enum { AMM_NO_PEER_ID = 0xFFFFFF };

struct amm_push {
    uint8_t topology; /* enum amm_topology */
    uint8_t n_routes;
    uint8_t flags;          /* enum amm_push_flags */
    uint8_t cipher;         /* enum amm_cipher; NONE if not pushed */
    uint32_t local;         /* ifconfig: the gateway's inner address */
    uint32_t remote;        /* ifconfig: net30 virtual endpoint, or subnet mask */
    uint32_t route_gateway; /* 0 if none */
    uint32_t peer_id;       /* AMM_NO_PEER_ID if none */
    uint16_t ping, ping_restart;
    uint16_t tun_mtu;                         /* 0 if not pushed */
    uint16_t explicit_exit_notify;            /* 0 if not pushed */
    struct amm_route routes[AMM_PUSH_ROUTES]; /* a default route is never taken over */
};

/* What the client told of itself in its peer info. */
struct amm_peer_info {
    uint32_t iv_proto; /* IV_PROTO bits (PUSH-3) */
    uint16_t iv_mtu;   /* 0 if absent */
    uint8_t ncp;       /* IV_NCP >= 2 or IV_CIPHERS present */
    uint8_t n_ciphers;
    uint8_t ciphers[8]; /* enum amm_cipher, known ones only, in the client's order */
    char version[32];   /* IV_VER, cleaned */
    char platform[16];  /* IV_PLAT, cleaned */
};

/* Reads "VAR=value" lines; variables that are unknown or out of range count as absent. False if the
 * text holds control characters other than tab, CR and LF. */
bool amm_peer_info_parse(struct amm_peer_info *out, struct amm_view text);

/* A client's own peer info, without NUL. */
void amm_peer_info_write(struct amm_writer *w, const struct amm_peer_info *info);

/* IV_PROTO bits. */
enum amm_iv_proto {
    AMM_IV_DATA_V2 = 1 << 1,
    AMM_IV_REQUEST_PUSH = 1 << 2, /* takes PUSH_REPLY without asking */
    AMM_IV_TLS_EKM = 1 << 3,
    AMM_IV_AUTH_PENDING = 1 << 4,
    AMM_IV_CC_EXIT = 1 << 7, /* also: takes protocol-flags */
    AMM_IV_AUTH_FAIL_TEMP = 1 << 8,
    AMM_IV_DYN_TLS_CRYPT = 1 << 9,
};

/* Which of `flags` (enum amm_push_flags) a client of these bits is told, and so which hold on both
 * sides. */
uint8_t amm_push_flags_allowed(uint8_t flags, const struct amm_peer_info *info);

/* What a gateway in `slot` of `pool` is pushed: topology, addresses, the route or gateway to the
 * server's own tunnel address. Everything else is left as it is in `push`. */
void amm_push_set_slot(struct amm_push *push, const struct amm_pool *pool, uint32_t slot);

/* Writes part `part` (0, 1, ...) of the PUSH_REPLY including its NUL; the length, or 0 when `part`
 * is past the last. Only options that `info` allows are written. Parts are at most AMM_PUSH_PART
 * bytes. */
size_t amm_push_encode(const struct amm_push *push, const struct amm_peer_info *info, unsigned part,
                       uint8_t out[AMM_PUSH_PART]);

/* The same with parts of at most `out.len` bytes (and at least 128), for peers with smaller
 * buffers. */
size_t amm_push_encode_within(const struct amm_push *push, const struct amm_peer_info *info,
                              unsigned part, struct amm_span out);

/* Collects the parts of a pushed reply. */
struct amm_push_reader {
    struct amm_push push;
    uint16_t n_ignored; /* options outside the allow-list, and routes that are never taken over */
    uint16_t n_parts;
    char ignored[128]; /* the first of them, comma separated, cleaned */
    bool done;         /* the last part has come */
};

void amm_push_reader_init(struct amm_push_reader *reader);

/* Adds one message ("PUSH_REPLY,..." without its NUL). False if it is malformed: a value of an
 * allowed option that cannot be parsed. */
bool amm_push_reader_add(struct amm_push_reader *reader, struct amm_view message);
