/* The certificates of a simulated fleet, and the TLS that uses them: one context for all, one leaf
 * a gateway. */
#pragma once

#include "crypto/tls.h"

#include <stdbool.h>
#include <stddef.h>

/* What a gateway's engine takes as its TLS context; see identity_ops. */
struct identity {
    struct amm_tls_context *shared;
    struct amm_tls_certificate *own;
    char name[AMM_NAME_MAX + 1];
};

/* amm_tls_openssl, but `open` takes a struct identity * (cast) and uses its certificate. */
extern struct amm_tls_ops identity_ops;
void identity_ops_init(void);

struct issuer {
    struct amm_tls_context *shared;
    char *ca, *ca_key; /* PEM of who issues gateways' certificates; NULL if they come from files */
    char key[8192];    /* one key for all certificates that are made here */
};

/* File names: whom the gateways trust, and the CA that their certificates are made with (NULL: they
 * are read). `server_name` may be NULL. */
bool issuer_init(struct issuer *issuer, const char *trust, const char *ca, const char *ca_key,
                 const char *server_name, char *error, size_t room);
void issuer_deinit(struct issuer *issuer);

/* A new certificate for `name`, valid from yesterday for a year. */
bool identity_make(struct identity *out, const struct issuer *issuer, const char *name,
                   int64_t wall, char *error, size_t room);

/* FOLDER/NAME.crt and FOLDER/NAME.key. */
bool identity_read(struct identity *out, const struct issuer *issuer, const char *folder,
                   const char *name, char *error, size_t room);

void identity_deinit(struct identity *identity);
