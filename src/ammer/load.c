#include "load.h"

#include "config.h"
#include "io/file.h"
#include "io/log.h"
#include "ovpn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void log_notes(const struct amm_ovpn_report *report)
{
    char line[320];
    for (const char *at = report->notes; *at;) {
        size_t len = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)len, at);
        amm_log(AMM_LOG_WARNING, "config-note", amm_field_text("note", line));
        at += len + (at[len] == '\n');
    }
}

static bool read_ovpn(struct amm_settings *settings, const char *name, struct amm_view text,
                      char *error, size_t room)
{
    struct amm_ovpn_report *report = calloc(1, sizeof *report);
    if (!report) {
        snprintf(error, room, "out of memory");
        return false;
    }
    bool ok = amm_ovpn_parse(settings, name, text, report);
    log_notes(report);
    if (!ok) {
        snprintf(error, room, "%s", report->error);
    }
    free(report);
    return ok;
}

bool settings_read(struct amm_settings *settings, const char *path, bool is_ovpn, char *error,
                   size_t room)
{
    struct amm_span text;
    char reason[AMM_CONF_ERROR];
    if (!amm_file_read(path, AMM_OVPN_FILE_MAX, &text, error, room)) {
        return false;
    }
    bool ok = is_ovpn ? read_ovpn(settings, base_name(path), amm_view_of(text), error, room)
                      : amm_config_parse(settings, base_name(path), amm_view_of(text), reason);
    if (!ok && !is_ovpn) {
        snprintf(error, room, "%s", reason);
    }
    amm_wipe(text.data, text.len);
    free(text.data);
    return ok;
}

static bool read_material(struct amm_material *material, const char *config_path, char *error,
                          size_t room)
{
    char path[2 * AMM_SETTINGS_PATH];
    struct amm_span text;
    if (material->text || !material->path[0]) {
        return true;
    }
    size_t folder = material->path[0] == '/' ? 0 : (size_t)(base_name(config_path) - config_path);
    if (folder + strlen(material->path) >= sizeof path) {
        snprintf(error, room, "%s: the path is too long", material->path);
        return false;
    }
    snprintf(path, sizeof path, "%.*s%s", (int)folder, config_path, material->path);
    if (!amm_file_read(path, AMM_MATERIAL_MAX, &text, error, room)) {
        return false;
    }
    bool ok = amm_material_set(material, amm_view_of(text));
    if (!ok) {
        snprintf(error, room, "%s: not a text file", path);
    }
    amm_wipe(text.data, text.len);
    free(text.data);
    return ok;
}

static bool load_wrap(struct amm_credentials *out, const struct amm_settings *s, char *error,
                      size_t room)
{
    const char *text = s->materials[AMM_MATERIAL_WRAP].text;
    out->wrap = (struct amm_wrap_config){
        .mode = s->wrap,
        .auth_digest = s->digest,
        .direction = s->direction,
    };
    switch (s->wrap) {
    case AMM_WRAP_NONE:
        return true;
    case AMM_WRAP_AUTH:
    case AMM_WRAP_CRYPT:
        if (!amm_static_key_parse(text, out->wrap.static_key)) {
            snprintf(error, room,
                     "%s: not a static key (BEGIN OpenVPN Static key V1, 512 hex digits)",
                     amm_wrap_mode_name(s->wrap));
            return false;
        }
        return true;
    case AMM_WRAP_CRYPT_V2:
        if (!amm_v2_client_key_parse(text, out->wrap.static_key, out->wrap.wkc,
                                     &out->wrap.wkc_len)) {
            snprintf(error, room,
                     "tls-crypt-v2: not a client key (BEGIN OpenVPN tls-crypt-v2 client key)");
            return false;
        }
        return true;
    }
    return false;
}

/* One line of the login file, without its end; the rest stays in *text. */
static bool take_login_line(const char **text, char *out, size_t room)
{
    size_t len = strcspn(*text, "\r\n");
    if (len == 0 || len >= room) {
        return false;
    }
    memcpy(out, *text, len);
    out[len] = '\0';
    *text += len;
    *text += strspn(*text, "\r\n");
    return true;
}

static bool load_login(struct amm_credentials *out, const struct amm_settings *s, char *error,
                       size_t room)
{
    const char *text = s->materials[AMM_MATERIAL_LOGIN].text;
    if (!s->needs_login) {
        return true;
    }
    if (!text || !take_login_line(&text, out->username, sizeof out->username) ||
        !take_login_line(&text, out->password, sizeof out->password)) {
        snprintf(error, room,
                 "login: must be a user name and a password on two lines of 1 to 127 characters");
        return false;
    }
    return true;
}

static bool load_tls(struct amm_credentials *out, const struct amm_settings *s, char *error,
                     size_t room)
{
    const struct amm_tls_settings tls = {
        .role = AMM_CLIENT,
        .ca = s->materials[AMM_MATERIAL_CA].text,
        .certificate = s->materials[AMM_MATERIAL_CERTIFICATE].text,
        .key = s->materials[AMM_MATERIAL_KEY].text,
        .crl = s->materials[AMM_MATERIAL_CRL].text,
        .server_name = s->server_name[0] ? s->server_name : NULL,
        .server_name_is_prefix = s->server_name_is_prefix,
        .no_role_check = s->no_role_check,
        .optional_certificate = s->needs_login,
    };
    if (tls.certificate &&
        !amm_pki_validity(tls.certificate, &out->not_before, &out->not_after, error, room)) {
        return false;
    }
    out->tls = amm_tls_context_new(&tls, error, room);
    return out->tls != NULL;
}

bool credentials_load(struct amm_credentials *out, struct amm_settings *settings,
                      const char *config_path, char *error, size_t room)
{
    *out = (struct amm_credentials){0};
    bool ok = true;
    for (size_t i = 0; ok && i < AMM_MATERIAL_COUNT; i++) {
        ok = read_material(&settings->materials[i], config_path, error, room);
    }
    ok = ok && load_wrap(out, settings, error, room) && load_login(out, settings, error, room) &&
         load_tls(out, settings, error, room);
    amm_settings_deinit(settings);
    if (!ok) {
        credentials_free(out);
    }
    return ok;
}

void credentials_free(struct amm_credentials *credentials)
{
    amm_tls_context_free(credentials->tls);
    amm_wipe(credentials, sizeof *credentials);
}
