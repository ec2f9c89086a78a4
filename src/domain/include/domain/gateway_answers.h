/* Other answers of the manager to a gateway: errors (GP-5), time (GP-10), tunnel settings (GP-30).
 * Both ends use these. Pure. */
#pragma once

#include "base/bytes.h"
#include "domain/checkin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_error_answer {
    char error[65]; /* stable name: letters, digits, '-', '_' */
    char text[AMM_CHECKIN_TEXT];
    char field[AMM_STAT_NAME_MAX + 24]; /* "": none */
    bool fatal;
};

/* A body that is none gives error "unknown" and no text: true in any case but out of memory. */
bool amm_error_answer_decode(struct amm_error_answer *out, struct amm_view body);
char *amm_error_answer_encode(const struct amm_error_answer *answer, size_t *len);

enum { AMM_TIME_ANSWER_NONCE = 16, AMM_TIME_ANSWER_SIGNATURE = 64 };

/* What the signature covers and who may sign: crypto/signed_time.h. */
struct amm_time_answer {
    int64_t time;
    uint8_t nonce[AMM_TIME_ANSWER_NONCE];
    uint8_t signature[AMM_TIME_ANSWER_SIGNATURE]; /* Ed25519 */
    char *certificate;                            /* PEM, malloc'd */
};

bool amm_time_answer_decode(struct amm_time_answer *out, struct amm_view body,
                            struct amm_refusal *error);
void amm_time_answer_deinit(struct amm_time_answer *answer);
char *amm_time_answer_encode(const struct amm_time_answer *answer, size_t *len);

enum { AMM_TUNNEL_REMOTES = 16, AMM_TUNNEL_PORTS = 16, AMM_TUNNEL_PEM = 65536 };

struct amm_tunnel_settings {
    char hash[AMM_CHECKIN_HASH];
    size_t n_remotes, n_ports;
    char remotes[AMM_TUNNEL_REMOTES][254]; /* host names or addresses */
    uint16_t ports[AMM_TUNNEL_PORTS];
    char server_name[65];
    char *ca;       /* PEM, malloc'd */
    char wrap[16];  /* "none", "tls-auth", "tls-crypt", "tls-crypt-v2" */
    char *wrap_key; /* malloc'd, "" with "none"; secret */
    char ciphers[128];
    uint16_t mtu;
};

bool amm_tunnel_settings_decode(struct amm_tunnel_settings *out, struct amm_view body,
                                struct amm_refusal *error);
void amm_tunnel_settings_deinit(struct amm_tunnel_settings *settings); /* wipes the key */
char *amm_tunnel_settings_encode(const struct amm_tunnel_settings *settings, size_t *len);
