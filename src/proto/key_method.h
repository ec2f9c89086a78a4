/* The key exchange message ("key method 2"), first application data of each side, and the options
 * string in it (doc/protocol/key-exchange.md). */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "crypto/aead.h"
#include "crypto/tls.h"
#include "proto/wrap.h"

enum {
    AMM_PRE_MASTER = 48,
    AMM_RANDOM = 32,
    AMM_OPTIONS_MAX = 512,          /* with NUL */
    AMM_CREDENTIAL_MAX = 128,       /* with NUL: what we accept */
    AMM_CREDENTIAL_WIRE_MAX = 4096, /* with NUL: what we read, to refuse it in words */
    AMM_PEER_INFO_MAX = 3072,       /* with NUL */
    AMM_KEY_METHOD_MAX = 5 + AMM_PRE_MASTER + 2 * AMM_RANDOM + 4 * 2 + AMM_OPTIONS_MAX +
                         2 * AMM_CREDENTIAL_WIRE_MAX + AMM_PEER_INFO_MAX,
};

/* The random numbers of one side. Secret: wipe. */
struct amm_key_source {
    uint8_t pre_master[AMM_PRE_MASTER]; /* client only */
    uint8_t random1[AMM_RANDOM], random2[AMM_RANDOM];
};

/* One side's message. The views are texts without their NUL, borrowed; empty if absent. */
struct amm_key_method {
    struct amm_key_source source;
    struct amm_view options, username, password, peer_info;
    bool credentials_too_long; /* longer than AMM_CREDENTIAL_MAX: refuse the login */
};

enum amm_parse { AMM_PARSE_DONE, AMM_PARSE_MORE, AMM_PARSE_BAD };

/* Decodes what `sender` sent. Give it all bytes received so far, at the end of each TLS record:
 * DONE if a message ends there (username, password and peer info may be missing as a whole), MORE
 * if it ends inside a field, BAD for good (drop KEY_METHOD). `out` holds secrets after DONE. */
enum amm_parse amm_key_method_decode(struct amm_key_method *out, enum amm_role sender,
                                     struct amm_view bytes);

/* Writes the message of `sender`; its length, or 0 if it does not fit. The result holds secrets. */
size_t amm_key_method_encode(const struct amm_key_method *message, enum amm_role sender,
                             struct amm_span out);

/* ---- options string ---- */

struct amm_occ {
    bool compression; /* comp-lzo: adds a byte to each packet; we refuse */
    bool fragment;    /* mtu-dynamic: other framing; we refuse */
    uint8_t cipher;   /* enum amm_cipher of "cipher X", NONE if absent or unknown */
};

struct amm_occ amm_occ_parse(struct amm_view options);

/* A client's own string. */
void amm_occ_client(struct amm_writer *w, const struct amm_wrap_config *wrap,
                    enum amm_transport transport, uint16_t tun_mtu);

/* The server's answer: the client's string with the words that name a side turned round. */
void amm_occ_answer(struct amm_writer *w, struct amm_view client);
