/* The keys that amm-cad holds, as the PKI folder has them (crypto/pki_files.h). Read once, as root;
 * no file is opened afterwards. */
#pragma once

#include "crypto/pki.h"
#include "crypto/pki_files.h"
#include "crypto/signed_time.h"
#include "ipc/cad.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CAD_ERROR = 512, CAD_AUTHORITIES_MAX = AMM_PKI_FORMER_MAX + 1 };

struct cad_authority {
    char certificate[AMM_PEM_MAX], key[AMM_PEM_MAX];
    uint8_t hash[32]; /* SHA-256 of its public key */
    int64_t not_before, not_after;
};

/* The CAs of a kind: the one that issues first, then former ones. */
struct cad_authorities {
    size_t n;
    struct cad_authority at[CAD_AUTHORITIES_MAX];
};

struct cad_material {
    struct cad_authorities of[AMM_CAD_PROFILE + 1]; /* by enum amm_cad_kind; [0] is not used */
    struct amm_signer *time_signer;
    char time_certificate[AMM_PEM_MAX];
    char server_ca[AMM_PEM_MAX];
    char tunnel_certificate[AMM_PEM_MAX];
    char tls_auth[AMM_PEM_MAX], tls_crypt[AMM_PEM_MAX]; /* "": the folder has none */
    uint8_t v2_key[AMM_V2_SERVER_KEY];
    bool has_v2_key;
};

/* NULL with a sentence that names the file and the cure. */
struct cad_material *cad_material_load(const char *folder, char error[CAD_ERROR]);
struct cad_material *cad_material_free(struct cad_material *material); /* wipes */
