/* Wrapping of one session's control packets, as a flat value that lives in state memory
 * (doc/protocol/wrap.md). Two per session: one for key id 0, one, where negotiated, for all later
 * keys.
 *
 * Time on the wire comes from amm_wrap_clock, never from the wall directly: it may not go backwards
 * between the stateless reset and the session that follows it, or the client drops all we say. */
#pragma once

#include "base/time.h"
#include "proto/wrap.h"
#include "wire.h"

/* Seconds for the `time` field: the wall clock as it stood when the clock was made, moved on by the
 * monotonic clock. One per engine. */
struct amm_wrap_clock {
    int64_t offset;
};
struct amm_wrap_clock amm_wrap_clock(struct amm_now start);
uint32_t amm_wrap_time(const struct amm_wrap_clock *clock, struct amm_now now);

struct amm_wrap_context {
    uint8_t mode;   /* NONE, AUTH or CRYPT; tls-crypt-v2 is CRYPT once its key is known */
    uint8_t digest; /* enum amm_digest; AUTH */
    uint8_t reserved[6];
    uint32_t tx_id;   /* replay id used last */
    uint32_t tx_time; /* 0: nothing sent yet */
    uint32_t rx_time;
    uint32_t rx_top;  /* highest replay id accepted under rx_time; 0 none */
    uint64_t rx_seen; /* bit i: rx_top - i was accepted */
    uint8_t tx_cipher[32], rx_cipher[32];
    uint8_t tx_hmac[AMM_DIGEST_MAX], rx_hmac[AMM_DIGEST_MAX];
};

/* Replay ids a tls-crypt-v2 client starts after, to say that it can resend WKc. */
#define AMM_WRAP_V2_SIGNAL 0x0f000000u

/* True if the replay id of an opcode 10 packet carries that signal. */
static inline bool amm_wrap_is_v2_signal(uint32_t replay_id)
{
    return (replay_id & AMM_WRAP_V2_SIGNAL) == AMM_WRAP_V2_SIGNAL;
}

/* The context of a port's mode (server: config->mode; client: its mode, CRYPT_V2 with static_key as
 * Kc and the counter at AMM_WRAP_V2_SIGNAL). Nothing sent, nothing received. */
void amm_wrap_init(struct amm_wrap_context *context, const struct amm_wrap_config *config,
                   enum amm_role role);

/* A tls-crypt context from a raw 256-byte key: Kc of a tls-crypt-v2 client (server), or the dynamic
 * key. The raw key is not kept; whoever needs it for the dynamic key holds on to it and wipes it.
 */
void amm_wrap_init_crypt(struct amm_wrap_context *context, const uint8_t key[AMM_STATIC_KEY],
                         enum amm_role role);

/* Bytes that sealing adds to byte0, own_sid and BODY: 0, 8 + digest, or 40. */
size_t amm_wrap_overhead(const struct amm_wrap_context *context);

/* What came out of a packet. */
struct amm_unwrapped {
    struct amm_control control; /* decoded */
    uint32_t replay_id, time;   /* 0 in mode NONE */
};

/* Authenticates, then checks the replay window, then decodes. `packet` is without WKc
 * (amm_wkc_split). `scratch` holds the plaintext that control.payload points into (mode NONE and
 * AUTH: into `packet`); its room must be at least packet.len. False with *why: CONTROL_*,
 * WRAP_AUTH, WRAP_REPLAY; then the context is as it was before, except that a body malformed after
 * authentication has used up its replay id. */
bool amm_wrap_open(struct amm_wrap_context *context, struct amm_view packet,
                   struct amm_span scratch, struct amm_unwrapped *out, enum amm_drop *why);

/* The same without the replay window: for the cookie path, which keeps no state. After a good
 * cookie, open the packet again with the new session's context. */
bool amm_wrap_open_stateless(const struct amm_wrap_context *context, struct amm_view packet,
                             struct amm_span scratch, struct amm_unwrapped *out,
                             enum amm_drop *why);

/* Seals `control` (and appends control->wkc) under the next replay id; `time` is amm_wrap_time.
 * Length of the packet, or 0 if it does not fit or the library failed. Every transmission is sealed
 * anew. */
size_t amm_wrap_seal(struct amm_wrap_context *context, uint32_t time,
                     const struct amm_control *control, struct amm_span out);

/* The server's stateless reset: replay id 1, whatever was sent before. The session that follows
 * sets context.tx_id = 1 before its first seal. */
size_t amm_wrap_seal_stateless(const struct amm_wrap_context *context, uint32_t time,
                               const struct amm_control *control, struct amm_span out);

/* After a restart or crash: goes on under a time larger than any that this context has used. */
void amm_wrap_resume(struct amm_wrap_context *context, uint32_t time);

/* ---- tls-crypt-v2 client keys on the wire ---- */

/* Divides a packet of opcode 10 or 11 into the tls-crypt packet and WKc. WKC_MALFORMED unless the
 * length field is 290..1024 and leaves at least a whole tls-crypt header in front. */
bool amm_wkc_split(struct amm_view packet, struct amm_view *front, struct amm_view *wkc,
                   enum amm_drop *why);

/* What the wrapped key says about itself. */
struct amm_wkc_info {
    bool has_time;
    int64_t made; /* wall seconds, if has_time */
};

/* Unwraps Kc. False with *why = WKC_MALFORMED or WKC_AUTH. Wipe `kc` when done with it. */
bool amm_wkc_open(const uint8_t server_key[AMM_V2_SERVER_KEY], struct amm_view wkc,
                  uint8_t kc[AMM_STATIC_KEY], struct amm_wkc_info *info, enum amm_drop *why);

/* True if the key is younger than config->v2_max_age, or there is no limit. To be asked only after
 * the cookie. */
bool amm_wkc_is_fresh(const struct amm_wrap_config *config, const struct amm_wkc_info *info,
                      int64_t wall);
