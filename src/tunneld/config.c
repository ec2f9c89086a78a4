/* amm.conf as a whole: computed defaults, and checks across keys. */
#include "tunneld/config.h"

#include "crypto/mac.h"
#include "proto/wrap.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const uint16_t usual_ports[] = {1190, 1191, 1192, 1193};
static const char *const usual_pools[] = {"10.4.32.0/19", "10.4.96.0/19", "10.4.160.0/19",
                                          "10.4.224.0/19"};

enum { USUAL_LIMIT = 2047 };

__attribute__((format(printf, 3, 4))) static bool fail(char error[AMM_CONF_ERROR], const char *file,
                                                       const char *format, ...)
{
    int used = snprintf(error, AMM_CONF_ERROR, "%s: ", file);
    if (used > 0 && used < AMM_CONF_ERROR) {
        va_list args;
        va_start(args, format);
        vsnprintf(error + used, AMM_CONF_ERROR - (size_t)used, format, args);
        va_end(args);
    }
    return false;
}

/* The usual ports are parsed like written ones, so that every default stands in the schema only. */
static bool parse_with_usual_ports(struct amm_tunneld_config *config, const char *file,
                                   struct amm_view text, char error[AMM_CONF_ERROR])
{
    if (!amm_conf_parse(&amm_tunneld_schema, config, file, text, error) || config->n_ports > 0) {
        return error[0] == '\0';
    }
    char all[256];
    struct amm_tunneld_config usual = {0};
    struct amm_writer w = amm_writer(all, sizeof all);
    for (size_t i = 0; i < sizeof usual_ports / sizeof usual_ports[0]; i++) {
        amm_write_text(&w, "[port %u]\n", usual_ports[i]);
    }
    if (!amm_conf_parse(&amm_tunneld_schema, &usual, file, amm_view(all, amm_writer_len(&w)),
                        error)) {
        return false;
    }
    memcpy(config->ports, usual.ports, sizeof config->ports);
    config->n_ports = usual.n_ports;
    return true;
}

static bool default_path(char out[AMM_CONF_TEXT], const char *pki, const char *name)
{
    return out[0] != '\0' || snprintf(out, AMM_CONF_TEXT, "%s/%s", pki, name) < AMM_CONF_TEXT;
}

/* Beside the gateways file. */
static bool fill_pools_path(struct amm_tunneld_config *config)
{
    char folder[AMM_CONF_TEXT] = ".";
    const char *slash = strrchr(config->roster, '/');
    if (slash != NULL) {
        memcpy(folder, config->roster, (size_t)(slash - config->roster));
        folder[slash - config->roster] = '\0';
    }
    return default_path(config->pools, folder, "pools.conf");
}

static bool fill_paths(struct amm_tunneld_config *config)
{
    bool ok = fill_pools_path(config) && default_path(config->ca, config->pki, AMM_PKI_CA) &&
              default_path(config->certificate, config->pki, AMM_PKI_SERVER) &&
              default_path(config->key, config->pki, AMM_PKI_SERVER_KEY) &&
              default_path(config->crl, config->pki, AMM_PKI_CRL);
    if (strcmp(config->crl, "none") == 0) {
        config->crl[0] = '\0';
    }
    for (size_t i = 0; i < config->n_ports; i++) {
        struct amm_port_config *port = &config->ports[i];
        if (port->wrap == AMM_WRAP_NONE) {
            port->wrap_key[0] = '\0';
        } else {
            ok = ok &&
                 default_path(port->wrap_key, config->pki,
                              port->wrap == AMM_WRAP_AUTH ? AMM_PKI_TLS_AUTH : AMM_PKI_TLS_CRYPT);
        }
        if (port->tls_crypt_v2) {
            ok = ok && default_path(port->v2_key, config->pki, AMM_PKI_TLS_CRYPT_V2);
        } else {
            port->v2_key[0] = '\0';
        }
    }
    return ok;
}

/* 2 CPUs: 2 workers, 1 handshake thread; 32: 24 and 8. */
static void fill_threads(struct amm_tunneld_config *config)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    cpus = cpus < 1 ? 1 : cpus > AMM_THREADS_MAX ? AMM_THREADS_MAX : cpus;
    if (config->workers == 0) {
        config->workers = (uint32_t)(cpus <= 4 ? cpus : cpus * 3 / 4);
    }
    if (config->handshake_threads == 0) {
        config->handshake_threads = (uint32_t)(cpus / 4 > 0 ? cpus / 4 : 1);
    }
}

static bool fill_pool(struct amm_port_config *port, const char *file, char error[AMM_CONF_ERROR])
{
    for (size_t i = 0; i < sizeof usual_ports / sizeof usual_ports[0]; i++) {
        if (port->pool_text[0] == '\0' && port->port == usual_ports[i]) {
            snprintf(port->pool_text, sizeof port->pool_text, "%s", usual_pools[i]);
        }
    }
    if (port->pool_text[0] == '\0') {
        return fail(error, file,
                    "[port %u]: pool: must be given (only ports 1190 to 1193 have a usual one)",
                    port->port);
    }
    if (!amm_pool_parse(&port->pool, port->pool_text, port->topology)) {
        return fail(error, file, "[port %u]: pool: \"%s\" is no network", port->port,
                    port->pool_text);
    }
    uint32_t slots = amm_pool_slots(&port->pool);
    if (port->limit > slots) {
        return fail(error, file,
                    "[port %u]: limit: %u is more than the pool holds (allowed: 1 to %u)",
                    port->port, port->limit, slots);
    }
    if (port->limit == 0) {
        port->limit = slots < USUAL_LIMIT ? slots : USUAL_LIMIT;
    }
    return true;
}

static void fill_listeners(struct amm_port_config *port)
{
    if (port->n_listen == 0) {
        for (uint8_t transport = AMM_UDP; transport <= AMM_TCP; transport++) {
            port->listen[port->n_listen++] = (struct amm_listen){
                .transport = transport, .address = {.family = AMM_FAMILY_IPV6, .port = port->port}};
        }
    }
}

bool amm_tunneld_pools_apart(const struct amm_tunneld_config *config, const char *file,
                             char error[AMM_CONF_ERROR])
{
    for (size_t i = 0; i < config->n_ports; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct amm_port_config *a = &config->ports[i], *b = &config->ports[j];
            if (amm_pool_overlap(a->pool.network, a->pool.prefix, b->pool.network,
                                 b->pool.prefix)) {
                return fail(error, file,
                            "[port %u]: pool: %s overlaps %s of [port %u] (allowed: pools apart)",
                            a->port, a->pool_text, b->pool_text, b->port);
            }
        }
    }
    return true;
}

static bool same_listener(const struct amm_listen *a, const struct amm_listen *b)
{
    return a->transport == b->transport && amm_address_equal(&a->address, &b->address);
}

/* True if listener `n` of port `p` stands earlier already. */
static bool stands_earlier(const struct amm_tunneld_config *config, size_t p, size_t n)
{
    const struct amm_listen *listen = &config->ports[p].listen[n];
    for (size_t i = 0; i <= p; i++) {
        size_t end = i == p ? n : config->ports[i].n_listen;
        for (size_t j = 0; j < end; j++) {
            if (same_listener(listen, &config->ports[i].listen[j])) {
                return true;
            }
        }
    }
    return false;
}

static bool check_listeners(const struct amm_tunneld_config *config, const char *file,
                            char error[AMM_CONF_ERROR])
{
    for (size_t p = 0; p < config->n_ports; p++) {
        for (size_t n = 0; n < config->ports[p].n_listen; n++) {
            if (stands_earlier(config, p, n)) {
                char text[AMM_ADDRESS_TEXT];
                return fail(error, file, "[port %u]: listen: %s %s stands twice",
                            config->ports[p].port,
                            config->ports[p].listen[n].transport == AMM_TCP ? "tcp" : "udp",
                            amm_address_text(&config->ports[p].listen[n].address, text));
            }
        }
    }
    return true;
}

static bool check_keepalive(const struct amm_tunneld_config *config, const char *file,
                            char error[AMM_CONF_ERROR])
{
    if (config->ping_restart != 0 &&
        (config->ping == 0 || config->ping_restart < 2 * config->ping)) {
        return fail(error, file,
                    "ping-restart: %u is too short for ping %u (allowed: twice ping or more, or 0)",
                    config->ping_restart, config->ping);
    }
    return true;
}

bool amm_tunneld_config_load(struct amm_tunneld_config *config, const char *file,
                             struct amm_view text, char error[AMM_CONF_ERROR])
{
    memset(config, 0, sizeof *config);
    if (!parse_with_usual_ports(config, file, text, error)) {
        return false;
    }
    for (size_t i = 0; i < config->n_ports; i++) {
        struct amm_port_config *port = &config->ports[i];
        port->auth_digest = (uint8_t)(port->auth_digest + AMM_SHA1); /* the schema counts from 0 */
        fill_listeners(port);
        if (!fill_pool(port, file, error)) {
            return false;
        }
    }
    fill_threads(config);
    if (!fill_paths(config)) {
        return fail(error, file, "pki: the path is too long (allowed: up to %d characters)",
                    AMM_CONF_TEXT - 20);
    }
    return amm_tunneld_pools_apart(config, file, error) && check_listeners(config, file, error) &&
           check_keepalive(config, file, error);
}

unsigned amm_listeners(const struct amm_tunneld_config *config)
{
    unsigned n = 0;
    for (size_t i = 0; i < config->n_ports; i++) {
        n += config->ports[i].n_listen;
    }
    return n;
}
