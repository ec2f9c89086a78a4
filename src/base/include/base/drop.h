/* Why a packet was dropped. Bad input from a peer is not an error: it is one of these reasons,
 * counted.
 *
 * One table for control and data, so that `ammctl tunnel counters`, the metrics and the tests
 * all use the same names. A new reason goes at the end of its group; names are part of the
 * interface. */
#pragma once

#include <stdint.h>

#define AMM_DROP_REASONS(X)                                                                        \
    /* control channel, before a session is known */                                               \
    X(CONTROL_SHORT, "control-short", "shorter than its opcode allows")                            \
    X(CONTROL_OPCODE, "control-opcode", "opcode that is unknown, dead or not for this role")       \
    X(CONTROL_KEY_ID, "control-key-id", "key id that this opcode or session does not allow")       \
    X(CONTROL_MALFORMED, "control-malformed", "fields do not fit the packet")                      \
    X(CONTROL_ZERO_SID, "control-zero-session-id", "session id of zero")                           \
    X(CONTROL_OVERSIZE, "control-oversize", "larger than a control packet may be")                 \
    X(WRAP_MISSING, "wrap-missing", "this port has no key for the wrap that was used")             \
    X(WRAP_AUTH, "wrap-auth",                                                                      \
      "tls-auth or tls-crypt authentication failed (wrong key or corrupted)")                      \
    X(WRAP_REPLAY, "wrap-replay", "control packet seen before, or out of its replay window")       \
    X(WKC_MALFORMED, "wkc-malformed", "tls-crypt-v2 client key of impossible length")              \
    X(WKC_AUTH, "wkc-auth", "tls-crypt-v2 client key not made with our server key")                \
    X(WKC_NO_COOKIE, "wkc-no-cookie",                                                              \
      "tls-crypt-v2 client too old for the stateless handshake (needs 2.6)")                       \
    X(WKC_EXPIRED, "wkc-expired", "tls-crypt-v2 client key older than this port allows")           \
    X(COOKIE_BAD, "cookie-bad", "handshake cookie wrong, expired or for another address")          \
    X(COOKIE_MISSING, "cookie-missing",                                                            \
      "first control packet carries no acknowledgement to check")                                  \
    X(RESET_LIMIT, "reset-limit", "too many unanswered resets from this prefix")                   \
    X(HANDSHAKE_LIMIT, "handshake-limit", "too many handshakes under way")                         \
    X(SESSION_LIMIT, "session-limit", "no room for another session")                               \
    X(SESSION_UNKNOWN, "session-unknown", "control packet for a session that does not exist")      \
    /* control channel, inside a session */                                                        \
    X(CONTROL_SID, "control-session-id", "acknowledges another session id")                        \
    X(MESSAGE_WINDOW, "message-window", "control message outside the receive window")              \
    X(MESSAGE_NO_TLS, "message-no-tls",                                                            \
      "control message for a key whose TLS is finished; acknowledged")                             \
    X(SOFT_RESET_EARLY, "soft-reset-early", "renegotiation asked for too early or too often")      \
    X(TLS_FAILED, "tls-failed", "TLS handshake failed")                                            \
    X(KEY_METHOD, "key-method", "key exchange message malformed")                                  \
    X(CONTROL_TEXT, "control-text", "control message that is not printable text")                  \
    X(HANDSHAKE_TIMEOUT, "handshake-timeout", "handshake not finished in time")                    \
    /* data channel */                                                                             \
    X(DATA_SHORT, "data-short", "data packet shorter than header and tag")                         \
    X(DATA_PEER_UNKNOWN, "data-peer-unknown", "data packet with a peer id that is not in use")     \
    X(DATA_KEY_UNKNOWN, "data-key-unknown", "data packet under a key id that is not installed")    \
    X(DATA_AUTH, "data-auth", "data packet failed authentication")                                 \
    X(DATA_REPLAY, "data-replay", "data packet seen before")                                       \
    X(DATA_TOO_OLD, "data-too-old", "data packet behind the replay window")                        \
    X(DATA_KEY_SPENT, "data-key-spent", "key used up; waiting for renegotiation")                  \
    X(DATA_V1, "data-v1", "DATA_V1 on a server, which needs a peer id")                            \
    X(DATA_WORKER, "data-worker", "data packet of another worker's peer")                          \
    X(DATA_UNKNOWN_INNER, "data-unknown-inner",                                                    \
      "payload that is neither IPv4 nor a known message")                                          \
    /* inner packets */                                                                            \
    X(INNER_MALFORMED, "inner-malformed", "inner IP header malformed")                             \
    X(INNER_IPV6, "inner-ipv6", "inner IPv6, which tunnels do not carry")                          \
    X(INNER_SOURCE, "inner-source", "inner source address is not the gateway's own")               \
    X(INNER_DESTINATION, "inner-destination",                                                      \
      "inner destination is not this port's tunnel address")                                       \
    X(INNER_SERVICE, "inner-service", "inner protocol or port that is not published to gateways")  \
    X(INNER_FRAGMENT, "inner-fragment", "inner fragment, which cannot be checked")                 \
    X(INNER_NO_PEER, "inner-no-peer", "packet for an inner address without a tunnel")              \
    X(INNER_NO_KEY, "inner-no-key", "tunnel has no usable key yet")                                \
    X(INNER_TOO_BIG, "inner-too-big", "packet larger than the tunnel's MTU")                       \
    /* transport */                                                                                \
    X(SEND_FAILED, "send-failed", "the kernel refused to send")                                    \
    X(QUEUE_FULL, "queue-full", "bounded queue was full")                                          \
    X(TUN_FAILED, "tun-failed", "the kernel refused the inner packet")                             \
    X(TCP_FRAME, "tcp-frame", "TCP frame of impossible length; connection closed")                 \
    X(TCP_SLOW, "tcp-slow", "TCP peer does not read; connection closed")

enum amm_drop {
#define X(id, name, text) AMM_DROP_##id,
    AMM_DROP_REASONS(X)
#undef X
        AMM_DROP_COUNT
};

/* One counter per reason. Each thread has its own; readers add them up. */
struct amm_drops {
    uint64_t count[AMM_DROP_COUNT];
};

static inline void amm_drop(struct amm_drops *drops, enum amm_drop reason)
{
    /* One writer, but others read meanwhile: a plain store that is whole. */
    __atomic_store_n(&drops->count[reason], drops->count[reason] + 1, __ATOMIC_RELAXED);
}

/* "data-replay"; the stable name. */
const char *amm_drop_name(enum amm_drop reason);

/* One sentence for a person. */
const char *amm_drop_text(enum amm_drop reason);
