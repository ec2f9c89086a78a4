#include "cad/material.h"

#include "io/file.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool fail(char error[CAD_ERROR], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(char error[CAD_ERROR], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, CAD_ERROR, format, arguments);
    va_end(arguments);
    return false;
}

/* False if it is not there or too large. */
static bool read_text(const char *folder, const char *name, char out[AMM_PEM_MAX],
                      char error[CAD_ERROR])
{
    char path[PATH_MAX];
    struct amm_span text;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        return fail(error, "%.300s: the path is too long", folder);
    }
    if (!amm_file_read(path, AMM_PEM_MAX - 1, &text, error, CAD_ERROR)) {
        return false;
    }
    memcpy(out, text.data, text.len + 1);
    amm_wipe(text.data, text.len);
    free(text.data);
    return true;
}

static bool exists(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

/* True if the key signs what the certificate verifies. */
static bool is_pair(struct cad_authority *authority, char error[CAD_ERROR])
{
    char *list = NULL;
    bool ok = amm_pki_crl(authority->certificate, authority->key, NULL, 0, 1, authority->not_before,
                          authority->not_after, &list, error, CAD_ERROR);
    free(list);
    return ok;
}

static bool load_authority(const char *folder, const char *base, struct cad_authority *out,
                           char error[CAD_ERROR])
{
    char name[64], why[CAD_ERROR] = "";
    struct amm_identity identity;
    snprintf(name, sizeof name, "%s.crt", base);
    if (!read_text(folder, name, out->certificate, error)) {
        return false;
    }
    snprintf(name, sizeof name, "%s.key", base);
    if (!read_text(folder, name, out->key, error)) {
        return false;
    }
    if (!amm_pki_identity(out->certificate, &identity, why, sizeof why) ||
        !amm_pki_validity(out->certificate, &out->not_before, &out->not_after, why, sizeof why) ||
        !is_pair(out, why)) {
        return fail(error, "%.200s/%s: %.200s", folder, base, why);
    }
    memcpy(out->hash, identity.key, sizeof out->hash);
    return true;
}

static bool load_authorities(const char *folder, const char *base, struct cad_authorities *out,
                             char error[CAD_ERROR])
{
    if (!load_authority(folder, base, &out->at[0], error)) {
        return false;
    }
    out->n = 1;
    for (int number = 1; number <= AMM_PKI_FORMER_MAX; number++) {
        char former[32], name[40];
        snprintf(former, sizeof former, "%s-%d", base, number);
        snprintf(name, sizeof name, "%s.crt", former);
        if (!exists(folder, name)) {
            continue;
        }
        if (!load_authority(folder, former, &out->at[out->n], error)) {
            return false;
        }
        out->n++;
    }
    return true;
}

static bool load_time(const char *folder, struct cad_material *material, char error[CAD_ERROR])
{
    char key[AMM_PEM_MAX], why[CAD_ERROR];
    if (!exists(folder, AMM_PKI_TIME_KEY)) {
        return fail(error, "%.300s/%s is missing (make it with: ammctl pki upgrade)", folder,
                    AMM_PKI_TIME_KEY);
    }
    bool ok = read_text(folder, AMM_PKI_TIME, material->time_certificate, error) &&
              read_text(folder, AMM_PKI_TIME_KEY, key, error);
    if (ok) {
        material->time_signer = amm_signer_new(key, "time key", why, sizeof why);
        ok = material->time_signer ||
             fail(error, "%.200s/%s: %.200s", folder, AMM_PKI_TIME_KEY, why);
    }
    amm_wipe(key, sizeof key);
    return ok;
}

/* Which of them a server needs is said by its ports; one that is missing is refused when it is
 * asked for. */
static bool load_wraps(const char *folder, struct cad_material *material, char error[CAD_ERROR])
{
    char v2[AMM_PEM_MAX];
    if ((exists(folder, AMM_PKI_TLS_AUTH) &&
         !read_text(folder, AMM_PKI_TLS_AUTH, material->tls_auth, error)) ||
        (exists(folder, AMM_PKI_TLS_CRYPT) &&
         !read_text(folder, AMM_PKI_TLS_CRYPT, material->tls_crypt, error))) {
        return false;
    }
    if (!exists(folder, AMM_PKI_TLS_CRYPT_V2)) {
        return true;
    }
    if (!read_text(folder, AMM_PKI_TLS_CRYPT_V2, v2, error)) {
        return false;
    }
    material->has_v2_key = amm_v2_server_key_parse(v2, material->v2_key);
    amm_wipe(v2, sizeof v2);
    return material->has_v2_key ||
           fail(error, "%.300s/%s: not a tls-crypt-v2 server key", folder, AMM_PKI_TLS_CRYPT_V2);
}

struct cad_material *cad_material_load(const char *folder, char error[CAD_ERROR])
{
    struct cad_material *material = calloc(1, sizeof *material);
    if (!material) {
        fail(error, "out of memory");
        return NULL;
    }
    if (load_authorities(folder, AMM_PKI_GATEWAY_AUTHORITY, &material->of[AMM_CAD_GATEWAY],
                         error) &&
        load_authorities(folder, AMM_PKI_PROFILE_AUTHORITY, &material->of[AMM_CAD_PROFILE],
                         error) &&
        load_time(folder, material, error) && load_wraps(folder, material, error) &&
        read_text(folder, AMM_PKI_SERVER_CA, material->server_ca, error) &&
        read_text(folder, AMM_PKI_SERVER, material->tunnel_certificate, error)) {
        return material;
    }
    return cad_material_free(material);
}

struct cad_material *cad_material_free(struct cad_material *material)
{
    if (material) {
        amm_signer_free(material->time_signer);
        amm_wipe(material, sizeof *material);
    }
    free(material);
    return NULL;
}
