#include "identity.h"

#include "base/bytes.h"
#include "crypto/pki.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY = 86400 };

struct amm_tls_ops identity_ops;

static struct amm_tls *open_session(struct amm_tls_context *context, int64_t wall)
{
    const struct identity *identity = (const struct identity *)(void *)context;
    struct amm_tls *tls = amm_tls_openssl.open(identity->shared, wall);
    if (tls && !amm_tls_use_certificate(tls, identity->own)) {
        return amm_tls_openssl.close(tls);
    }
    return tls;
}

void identity_ops_init(void)
{
    identity_ops = amm_tls_openssl;
    identity_ops.open = open_session;
}

static char *read_text(const char *path, char *error, size_t room)
{
    struct amm_span text;
    return amm_file_read(path, AMM_PEM_MAX * 4, &text, error, room) ? (char *)text.data : NULL;
}

bool issuer_init(struct issuer *issuer, const char *trust, const char *ca, const char *ca_key,
                 const char *server_name, char *error, size_t room)
{
    *issuer = (struct issuer){0};
    if (ca) {
        issuer->ca = read_text(ca, error, room);
        issuer->ca_key = issuer->ca ? read_text(ca_key, error, room) : NULL;
        if (!issuer->ca_key || !amm_pki_key_new(issuer->key, error, room)) {
            return false;
        }
    }
    char *trusted = read_text(trust, error, room);
    const struct amm_tls_settings settings = {
        .role = AMM_CLIENT,
        .ca = trusted,
        .server_name = server_name,
        .optional_certificate = true,
    };
    issuer->shared = trusted ? amm_tls_context_new(&settings, error, room) : NULL;
    free(trusted);
    return issuer->shared != NULL;
}

void issuer_deinit(struct issuer *issuer)
{
    amm_tls_context_free(issuer->shared);
    if (issuer->ca_key) {
        amm_wipe(issuer->ca_key, strlen(issuer->ca_key));
    }
    free(issuer->ca);
    free(issuer->ca_key);
    amm_wipe(issuer, sizeof *issuer);
}

static bool take(struct identity *out, const struct issuer *issuer, const char *name,
                 const char *certificate, const char *key, char *error, size_t room)
{
    *out = (struct identity){.shared = issuer->shared};
    snprintf(out->name, sizeof out->name, "%s", name);
    out->own = amm_tls_certificate_new(issuer->shared, certificate, key, error, room);
    return out->own != NULL;
}

bool identity_make(struct identity *out, const struct issuer *issuer, const char *name,
                   int64_t wall, char *error, size_t room)
{
    char certificate[AMM_PEM_MAX];
    const struct amm_certificate_request request = {
        .role = AMM_CERTIFICATE_GATEWAY,
        .name = name,
        .not_before = wall - DAY,
        .not_after = wall + 365 * (int64_t)DAY,
    };
    return amm_pki_issue(&request, issuer->key, issuer->ca, issuer->ca_key, certificate, error,
                         room) &&
           take(out, issuer, name, certificate, issuer->key, error, room);
}

bool identity_read(struct identity *out, const struct issuer *issuer, const char *folder,
                   const char *name, char *error, size_t room)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.crt", folder, name);
    char *certificate = read_text(path, error, room);
    snprintf(path, sizeof path, "%s/%s.key", folder, name);
    char *key = certificate ? read_text(path, error, room) : NULL;
    bool ok = key && take(out, issuer, name, certificate, key, error, room);
    if (key) {
        amm_wipe(key, strlen(key));
    }
    free(key);
    free(certificate);
    return ok;
}

void identity_deinit(struct identity *identity)
{
    identity->own = amm_tls_certificate_free(identity->own);
}
