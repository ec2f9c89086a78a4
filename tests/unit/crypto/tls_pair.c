#include "tls_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void make(const struct amm_certificate_request *request, const struct credential *ca,
                 struct credential *out)
{
    char error[ERROR_MAX] = "";
    if (!amm_pki_key_new(out->key, error, sizeof error) ||
        !amm_pki_issue(request, out->key, ca ? ca->certificate : NULL, ca ? ca->key : out->key,
                       out->certificate, error, sizeof error)) {
        fail_msg("%s: %s", request->name, error);
    }
}

void make_ca(struct credential *ca, const char *name)
{
    make(&(struct amm_certificate_request){.role = AMM_CERTIFICATE_CA,
                                           .name = name,
                                           .not_before = NOW - 1000 * DAY,
                                           .not_after = NOW + 1000 * DAY},
         NULL, ca);
}

void issue(struct credential *out, enum amm_certificate_role role, const char *name,
           const struct credential *ca, int64_t from, int64_t until)
{
    make(
        &(struct amm_certificate_request){
            .role = role, .name = name, .not_before = from, .not_after = until},
        ca, out);
}

void make_world(struct world *world)
{
    make_ca(&world->server_ca, "server CA");
    make_ca(&world->gateway_ca, "gateway CA");
    make_ca(&world->other_ca, "other CA");
    issue(&world->server, AMM_CERTIFICATE_SERVER, "tunnel.example", &world->server_ca, NOW - DAY,
          NOW + DAY);
    issue(&world->gateway, AMM_CERTIFICATE_GATEWAY, "gw-1", &world->gateway_ca, NOW - DAY,
          NOW + DAY);
}

struct amm_tls_settings server_settings(const struct world *world)
{
    return (struct amm_tls_settings){.role = AMM_SERVER,
                                     .ca = world->gateway_ca.certificate,
                                     .certificate = world->server.certificate,
                                     .key = world->server.key};
}

struct amm_tls_settings client_settings(const struct world *world)
{
    return (struct amm_tls_settings){.role = AMM_CLIENT,
                                     .ca = world->server_ca.certificate,
                                     .certificate = world->gateway.certificate,
                                     .key = world->gateway.key};
}

static struct amm_tls_context *new_context(const struct amm_tls_settings *settings)
{
    char error[ERROR_MAX] = "";
    struct amm_tls_context *context = amm_tls_context_new(settings, error, sizeof error);
    if (!context) {
        fail_msg("%s", error);
    }
    return context;
}

struct pair new_pair(const struct amm_tls_settings *client, const struct amm_tls_settings *server,
                     int64_t wall)
{
    struct pair pair = {.client_context = new_context(client),
                        .server_context = new_context(server)};
    pair.client = amm_tls_openssl.open(pair.client_context, wall);
    pair.server = amm_tls_openssl.open(pair.server_context, wall);
    assert_non_null(pair.client);
    assert_non_null(pair.server);
    return pair;
}

void free_pair(struct pair *pair)
{
    assert_null(amm_tls_openssl.close(pair->client));
    assert_null(amm_tls_openssl.close(pair->server));
    amm_tls_context_free(pair->client_context);
    amm_tls_context_free(pair->server_context);
}

static bool move(struct amm_tls *from, struct amm_tls *to, enum amm_tls_state *state, size_t chunk)
{
    uint8_t bytes[4096];
    bool moved = false;
    size_t n;
    while ((n = amm_tls_openssl.drain(from, bytes, chunk < sizeof bytes ? chunk : sizeof bytes)) >
           0) {
        amm_tls_openssl.feed(to, amm_view(bytes, n));
        *state = amm_tls_openssl.step(to);
        moved = true;
    }
    return moved;
}

void pump(struct pair *pair, size_t chunk)
{
    pair->client_state = amm_tls_openssl.step(pair->client);
    bool moved = true;
    while (moved) {
        moved = move(pair->client, pair->server, &pair->server_state, chunk);
        moved |= move(pair->server, pair->client, &pair->client_state, chunk);
    }
}

static enum amm_tls_failure verdict(struct amm_tls *tls, enum amm_tls_state state)
{
    const char *detail;
    enum amm_tls_failure failure = amm_tls_openssl.failure(tls, &detail);
    assert_int_equal(failure == AMM_TLS_OK, state == AMM_TLS_OPEN);
    assert_int_equal(detail[0] == '\0', state == AMM_TLS_OPEN);
    return failure;
}

enum amm_tls_failure server_verdict(const struct amm_tls_settings *client,
                                    const struct amm_tls_settings *server, int64_t wall)
{
    struct pair pair = new_pair(client, server, wall);
    pump(&pair, 1400);
    enum amm_tls_failure failure = verdict(pair.server, pair.server_state);
    if (failure != AMM_TLS_OK) {
        assert_int_equal(verdict(pair.client, pair.client_state), AMM_TLS_PEER_ALERT);
    }
    free_pair(&pair);
    return failure;
}

enum amm_tls_failure client_verdict(const struct amm_tls_settings *client,
                                    const struct amm_tls_settings *server, int64_t wall)
{
    struct pair pair = new_pair(client, server, wall);
    pump(&pair, 1400);
    enum amm_tls_failure failure = verdict(pair.client, pair.client_state);
    if (failure != AMM_TLS_OK) {
        assert_int_equal(verdict(pair.server, pair.server_state), AMM_TLS_PEER_ALERT);
    }
    free_pair(&pair);
    return failure;
}

char *make_crl(const struct credential *ca, const struct credential *const *revoked, size_t n,
               int64_t from, int64_t until)
{
    struct amm_revocation entries[4];
    char error[ERROR_MAX] = "";
    assert_true(n <= 4);
    for (size_t i = 0; i < n; i++) {
        struct amm_identity identity;
        assert_true(amm_pki_identity(revoked[i]->certificate, &identity, error, sizeof error));
        memcpy(entries[i].serial, identity.serial, sizeof entries[i].serial);
        entries[i].at = from;
    }
    char *text = NULL;
    if (!amm_pki_crl(ca->certificate, ca->key, entries, n, 1, from, until, &text, error,
                     sizeof error)) {
        fail_msg("%s", error);
    }
    return text;
}
