#include "web_door.h"

#include "crypto/pki.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>

enum { YEARS = 20, FILE_MAX = 2 * AMM_PEM_MAX };

static const char key_mark[] = "-----BEGIN PRIVATE KEY-----";

/* The file is the certificate, then the key. */
static bool read_pair(const char *path, char **certificate, char **key)
{
    struct amm_span file;
    struct amm_identity identity;
    char error[256];
    if (!amm_file_read(path, FILE_MAX, &file, error, sizeof error)) {
        return false;
    }
    char *at = strstr((char *)file.data, key_mark);
    bool ok = at != NULL && amm_pki_identity((char *)file.data, &identity, error, sizeof error);
    if (ok) {
        *key = strdup(at);
        *at = '\0';
        *certificate = strdup((char *)file.data);
        ok = *key && *certificate;
    }
    amm_wipe(file.data, file.len);
    free(file.data);
    return ok;
}

static bool make_pair(const char *name, int64_t not_before, char certificate[AMM_PEM_MAX],
                      char key[AMM_PEM_MAX], char *error, size_t room)
{
    struct amm_certificate_request request = {
        .role = AMM_CERTIFICATE_SERVER,
        .name = name,
        .not_before = not_before,
        .not_after = not_before + YEARS * INT64_C(365) * 86400,
    };
    return amm_pki_key_new(key, error, room) &&
           amm_pki_issue(&request, key, NULL, key, certificate, error, room);
}

bool web_door_key(const char *folder, const char *name, int64_t not_before, char **certificate,
                  char **key, char *warning, size_t room)
{
    char path[512], pair[FILE_MAX], new_certificate[AMM_PEM_MAX], new_key[AMM_PEM_MAX];
    warning[0] = '\0';
    *certificate = *key = NULL;
    snprintf(path, sizeof path, "%s/page-tls.pem", folder);
    if (read_pair(path, certificate, key)) {
        return true;
    }
    free(*certificate);
    free(*key);
    if (!make_pair(name, not_before, new_certificate, new_key, warning, room)) {
        return false;
    }
    int len = snprintf(pair, sizeof pair, "%s%s", new_certificate, new_key);
    amm_file_write(path, amm_view(pair, (size_t)len), 0600, warning, room);
    *certificate = strdup(new_certificate);
    *key = strdup(new_key);
    amm_wipe(pair, sizeof pair);
    amm_wipe(new_key, sizeof new_key);
    return *certificate && *key;
}
