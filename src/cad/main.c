/* amm-cad: holds the keys of the CAs of gateways and of the server's time. Listens on a unix socket
 * and nowhere else. */
#include "cad/config.h"
#include "cad/sandbox.h"
#include "cad/server.h"

#include "conf/program.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"
#include "io/privilege.h"
#include "pki/pki_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/amm/amm.conf"

enum { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, CONFIG_BYTES = 1 << 20 };

static const char help[] =
    "usage: amm-cad [--config FILE]\n"
    "\n"
    "Signs certificates of gateways, revocation lists and the server's time for ammd.\n"
    "\n"
    "  --config FILE     configuration (default " DEFAULT_CONFIG ", section [cad])\n"
    "  --check-config    say whether the configuration and the keys are valid, and stop\n"
    "  --print-config    write the commented section with all defaults\n"
    "  --print-doc       write the same as a table (doc/configuration.md)\n"
    "  --version, --help\n"
    "\n"
    "signals: TERM and INT stop it\n"
    "exit codes: 0 stopped, 1 failed, 2 wrong configuration or usage\n";

static bool load_config(struct cad_config *config, const char *file)
{
    struct amm_span text;
    char error[2 * AMM_CONF_ERROR];
    bool ok = amm_file_read(file, CONFIG_BYTES, &text, error, sizeof error);
    if (ok) {
        ok = amm_conf_parse(&cad_schema, config, file, amm_view_of(text), error);
        free(text.data);
    }
    if (!ok) {
        fprintf(stderr, "%s\n", error);
    }
    return ok;
}

/* What `ammctl pki revoke` has revoked in the folder while nobody else kept a record. */
static bool import_revocations(struct cad_record *record, const char *folder, char error[CAD_ERROR])
{
    struct pki pki;
    bool ok = pki_open(&pki, folder, error);
    for (size_t i = 0; ok && i < pki.n; i++) {
        const struct pki_entry *entry = &pki.entries[i];
        if (!entry->revoked || (entry->kind != PKI_GATEWAY && entry->kind != PKI_PROFILE)) {
            continue;
        }
        struct amm_cad_revocation revocation = {
            .kind = entry->kind == PKI_PROFILE ? AMM_CAD_PROFILE : AMM_CAD_GATEWAY,
            .at = entry->revoked};
        memcpy(revocation.serial, entry->serial, sizeof revocation.serial);
        ok = cad_record_revoke(record, &revocation, error);
    }
    pki_close(&pki);
    return ok;
}

/* Becomes what it stays: another user, no privileges, few system calls. */
static bool shrink(const struct cad_config *config, char error[CAD_ERROR])
{
    struct amm_user user;
    bool in_force;
    if (!amm_user_find(config->user, &user, error, CAD_ERROR) ||
        !amm_privileges_drop(&user, error, CAD_ERROR) ||
        !cad_sandbox_enter(&in_force, error, CAD_ERROR)) {
        return false;
    }
    amm_log(AMM_LOG_INFO, "ready", amm_field_text("socket", config->socket),
            amm_field_text("sandbox", in_force ? "on" : "off"));
    return true;
}

static int serve(const struct cad_config *config, const struct cad_material *material)
{
    char error[CAD_ERROR];
    struct amm_user manager;
    struct amm_now now = amm_now();
    struct cad_record *record = NULL;
    struct cad_service *service = NULL;
    struct cad_server *server = NULL;
    bool ok = amm_user_find(config->manager_user, &manager, error, sizeof error);
    record = ok ? cad_record_open(config->state, now.wall, error) : NULL;
    ok = record && import_revocations(record, config->pki, error);
    if (ok) {
        service = cad_service_new(material, record, config->per_minute);
        server = service ? cad_server_new(service, record, config->socket, manager.uid, manager.gid,
                                          error)
                         : NULL;
        ok = server != NULL;
    }
    ok = ok && cad_server_take_signals(server) && shrink(config, error);
    if (ok) {
        cad_server_run(server);
        amm_log(AMM_LOG_INFO, "stopped",
                amm_field_number("issued", (int64_t)cad_record_issued(record)));
    } else {
        fprintf(stderr, "amm-cad: %s\n", error);
    }
    cad_server_free(server);
    cad_service_free(service);
    cad_record_close(record);
    return ok ? EXIT_STOPPED : EXIT_FAILED;
}

static int run(const char *file, bool only_check)
{
    static struct cad_config config;
    char error[CAD_ERROR];
    if (!load_config(&config, file)) {
        return EXIT_USAGE;
    }
    struct cad_material *material = cad_material_load(config.pki, error);
    if (!material) {
        fprintf(stderr, "amm-cad: %s\n", error);
        return EXIT_USAGE;
    }
    int status = EXIT_STOPPED;
    if (only_check) {
        printf("%s: ok\n", file);
    } else {
        status = serve(&config, material);
    }
    cad_material_free(material);
    return status;
}

int main(int argc, char **argv)
{
    const struct amm_program program = {.name = "amm-cad",
                                        .version = AMM_VERSION,
                                        .help = help,
                                        .config = DEFAULT_CONFIG,
                                        .schema = &cad_schema};
    struct amm_program_line line;
    int status;
    amm_process_fill_streams();
    amm_process_seal();
    return amm_program_parse(&program, argc, argv, &line, &status)
               ? run(line.config, line.only_check)
               : status;
}
