/* Two OpenSSL sessions that talk through memory, and certificates for them. */
#pragma once

#include "crypto/pki.h"
#include "crypto/tls.h"

enum { ERROR_MAX = 256 };

/* The moment at which the tests play, and one day. */
#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

struct credential {
    char certificate[AMM_PEM_MAX];
    char key[AMM_PEM_MAX];
};

/* Issuing CAs and one certificate for each side, all valid at NOW. */
struct world {
    struct credential server_ca, gateway_ca, other_ca;
    struct credential server, gateway;
};

void make_world(struct world *world);
void make_ca(struct credential *ca, const char *name);

/* Signed by `ca`; valid from `from` to `until`. */
void issue(struct credential *out, enum amm_certificate_role role, const char *name,
           const struct credential *ca, int64_t from, int64_t until);

/* Settings with the usual trust: the server trusts gateway_ca and the gateway server_ca. */
struct amm_tls_settings server_settings(const struct world *world);
struct amm_tls_settings client_settings(const struct world *world);

/* Both ends of one session. */
struct pair {
    struct amm_tls_context *client_context, *server_context;
    struct amm_tls *client, *server;
    enum amm_tls_state client_state, server_state;
};

/* Fails the test if a context cannot be made. */
struct pair new_pair(const struct amm_tls_settings *client, const struct amm_tls_settings *server,
                     int64_t wall);
void free_pair(struct pair *pair);

/* Moves bytes in pieces of `chunk` until nothing moves. */
void pump(struct pair *pair, size_t chunk);

/* Runs a handshake and gives the server's verdict on the client (AMM_TLS_OK when both are open). */
enum amm_tls_failure server_verdict(const struct amm_tls_settings *client,
                                    const struct amm_tls_settings *server, int64_t wall);
enum amm_tls_failure client_verdict(const struct amm_tls_settings *client,
                                    const struct amm_tls_settings *server, int64_t wall);

/* A list of `ca` that revokes the `n` certificates; the caller frees it. */
char *make_crl(const struct credential *ca, const struct credential *const *revoked, size_t n,
               int64_t from, int64_t until);
