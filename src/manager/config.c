/* What a single key cannot know. */
#include "manager/config.h"

#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

static void default_listen(struct manager_listen *listen, const char *text)
{
    if (listen->n == 0 && amm_address_parse(&listen->at[0], text, 0)) {
        listen->n = 1;
    }
}

static bool default_file(char out[AMM_CONF_TEXT], const char *folder, const char *name)
{
    if (out[0] != '\0') {
        return true;
    }
    struct amm_writer w = amm_writer(out, AMM_CONF_TEXT);
    amm_write_text(&w, "%s/%s", folder, name);
    amm_write_u8(&w, 0);
    return !w.failed;
}

static bool is_loopback(const struct amm_address *address)
{
    static const uint8_t six[16] = {[15] = 1};
    return address->family == AMM_FAMILY_IPV4 ? address->ip[0] == 127
                                              : memcmp(address->ip, six, sizeof six) == 0;
}

static bool check_console(const struct manager_config *config, const char *file,
                          char error[AMM_CONF_ERROR])
{
    char text[AMM_ADDRESS_TEXT];
    if ((config->console_certificate[0] == '\0') != (config->console_key[0] == '\0')) {
        snprintf(error, AMM_CONF_ERROR,
                 "%s: console-certificate and console-key belong together (allowed: both, or "
                 "none)",
                 file);
        return false;
    }
    for (unsigned i = 0; config->console_certificate[0] == '\0' && i < config->console.n; i++) {
        if (!is_loopback(&config->console.at[i])) {
            snprintf(error, AMM_CONF_ERROR,
                     "%s: console = %s needs TLS: give console-certificate and console-key "
                     "(allowed without: loopback addresses)",
                     file, amm_address_text(&config->console.at[i], text));
            return false;
        }
    }
    return true;
}

/* Each remote session has a host name of its own below the domain: where the console's forms go
 * with their tickets. As amm-proxyd works out its links (proxyd/config.c). */
static void make_origins(struct manager_config *config)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    bool is_secure = config->remote_certificate[0] != '\0';
    uint32_t port = config->remote_port;
    default_listen(&config->remote_listen, is_secure ? "[::]:8444" : "127.0.0.1:8081");
    port = port != 0 ? port : config->remote_listen.at[0].port;
    config->remote_origins[0] = '\0';
    if (strspn(config->remote_domain, allowed) != strlen(config->remote_domain)) {
        return; /* amm-proxyd says what is wrong; here it would end a header */
    }
    struct amm_writer w = amm_writer(config->remote_origins, AMM_CONF_TEXT);
    amm_write_text(&w, "%s://*.%s", is_secure ? "https" : "http", config->remote_domain);
    if (port != (is_secure ? 443 : 80)) {
        amm_write_text(&w, ":%u", port);
    }
    amm_write_u8(&w, 0);
    if (w.failed) {
        config->remote_origins[0] = '\0';
    }
}

static bool fill(struct manager_config *config, const char *file, char error[AMM_CONF_ERROR])
{
    const char *pki = config->tunneld.pki;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (!default_file(config->gateways_certificate, pki, AMM_PKI_MANAGER) ||
        !default_file(config->gateways_key, pki, AMM_PKI_MANAGER_KEY) ||
        !default_file(config->gateways_ca, pki, AMM_PKI_CA)) {
        snprintf(error, AMM_CONF_ERROR, "%s: pki: the path is too long", file);
        return false;
    }
    if (config->credentials_key[0] == '\0') {
        char database[AMM_CONF_TEXT];
        snprintf(database, sizeof database, "%s", config->database);
        default_file(config->credentials_key, dirname(database), "credentials.key");
    }
    default_listen(&config->console,
                   config->console_certificate[0] != '\0' ? "[::]:443" : "127.0.0.1:8080");
    make_origins(config);
    default_listen(&config->gateways, "[::]:8443");
    default_listen(&config->metrics, "127.0.0.1:9480");
    if (config->front_threads == 0) {
        config->front_threads = cpus > 8 ? 4 : cpus > 2 ? (uint32_t)cpus / 2 : 1;
    }
    return true;
}

bool manager_config_load(struct manager_config *config, const char *file, struct amm_view text,
                         char error[AMM_CONF_ERROR])
{
    *config = (struct manager_config){0};
    if (!amm_tunneld_config_load(&config->tunneld, file, text, error)) {
        return false;
    }
    /* The defaults, for a file without the section. */
    if (!amm_conf_parse(&manager_schema, config, file, amm_view_str("[manager]"), error) ||
        !amm_conf_parse(&manager_schema, config, file, text, error)) {
        return false;
    }
    return fill(config, file, error) && check_console(config, file, error);
}
