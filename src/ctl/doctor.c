/* ammctl doctor: looks over a server, and says of each thing that is not as it should be what to
 * do. Changes nothing. */
#include "request.h"

#include "crypto/pki.h"
#include "io/file.h"
#include "manager/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    FINDINGS_MAX = 64,
    TEXT_MAX = 320,
    DAY = 86400,
    WARN_DAYS = 30,
    PEM_FILE_MAX = 256 * 1024,
    FREE_PER_CENT = 10,
    FREE_BYTES = 200 << 20,
};

enum verdict { GOOD, WARNING, WRONG };

/* What was looked at, in order. */
struct doctor {
    const struct ctl *ctl;
    json_t *findings;
    unsigned count[WRONG + 1];
};

static void finding(struct doctor *doctor, enum verdict verdict, const char *what,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
static void finding(struct doctor *doctor, enum verdict verdict, const char *what,
                    const char *format, ...)
{
    static const char *const names[] = {"ok", "warning", "wrong"};
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    doctor->count[verdict]++;
    json_array_append_new(doctor->findings, json_pack("{s:s, s:s, s:s}", "verdict", names[verdict],
                                                      "what", what, "text", text));
    if (!doctor->ctl->json) {
        printf("%-8s %-14s %s\n", names[verdict], what, text);
    }
}

/* ---- this machine ---- */

static void look_at_clock(struct doctor *doctor)
{
    struct timex state = {0};
    int result = adjtimex(&state);
    if (result < 0 || result == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
        finding(doctor, WARNING, "clock",
                "nothing keeps it right (certificates and check-ins need it): run chrony or "
                "systemd-timesyncd");
    } else {
        finding(doctor, GOOD, "clock", "kept right by a time service");
    }
}

static void look_at_disk(struct doctor *doctor, const char *what, const char *path)
{
    char folder[AMM_CONF_TEXT];
    struct statvfs disk;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = '\0';
    }
    if (statvfs(slash && folder[0] != '\0' ? folder : "/", &disk) != 0) {
        finding(doctor, WRONG, what, "%s: %s", folder, strerror(errno));
        return;
    }
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    unsigned share = (unsigned)(disk.f_blocks ? disk.f_bavail * 100 / disk.f_blocks : 0);
    char text[CTL_TIME_TEXT];
    if ((disk.f_flag & ST_RDONLY) != 0) {
        finding(doctor, WRONG, what, "%s is read-only: nothing can be saved", folder);
    } else if (left < FREE_BYTES || share < FREE_PER_CENT) {
        finding(doctor, WARNING, what,
                "%s left on %s (%u %%): make room before nothing can be saved",
                ctl_bytes_text(left, text), folder, share);
    } else {
        finding(doctor, GOOD, what, "%s left on %s", ctl_bytes_text(left, text), folder);
    }
}

static void look_at_tun(struct doctor *doctor)
{
    struct stat info;
    if (stat("/dev/net/tun", &info) != 0 || !S_ISCHR(info.st_mode)) {
        finding(doctor, WRONG, "tun",
                "/dev/net/tun is missing: load the tun module, or give the container the device");
    } else {
        finding(doctor, GOOD, "tun", "/dev/net/tun is there");
    }
}

/* ---- certificates and keys ---- */

static void look_at_certificate(struct doctor *doctor, const char *what, const char *path,
                                const char *cure)
{
    struct amm_span text;
    char error[TEXT_MAX], until[CTL_TIME_TEXT];
    int64_t from, to, now = (int64_t)time(NULL);
    if (path[0] == '\0') {
        return;
    }
    if (!amm_file_read(path, PEM_FILE_MAX, &text, error, sizeof error)) {
        finding(doctor, WRONG, what, "%s", error);
        return;
    }
    bool ok = amm_pki_validity((const char *)text.data, &from, &to, error, sizeof error);
    free(text.data);
    if (!ok) {
        finding(doctor, WRONG, what, "%s: %s", path, error);
    } else if (now > to || now < from) {
        finding(doctor, WRONG, what, "%s is not valid now (until %s): %s", path,
                ctl_time_text(to, until), cure);
    } else if (to - now < (int64_t)WARN_DAYS * DAY) {
        finding(doctor, WARNING, what, "%s ends in %d days: %s", path, (int)((to - now) / DAY),
                cure);
    } else {
        finding(doctor, GOOD, what, "good until %s", ctl_time_text(to, until));
    }
}

static void look_at_key(struct doctor *doctor, const char *path)
{
    struct stat info;
    if (path[0] != '\0' && stat(path, &info) == 0 && (info.st_mode & 077) != 0) {
        finding(doctor, WRONG, "keys",
                "%s can be read by others than its owner: chmod 600 it, and think about who has "
                "read it",
                path);
    }
}

static void look_at_pki(struct doctor *doctor)
{
    static const struct {
        const char *file, *what, *cure;
    } certificates[] = {
        {AMM_PKI_MANAGER, "manager", "ammctl pki upgrade makes another one"},
        {AMM_PKI_TIME, "time key", "ammctl pki upgrade makes another one"},
        {AMM_PKI_SERVER_CA, "server CA", "gateways must be given another one before that"},
        {AMM_PKI_GATEWAY_AUTHORITY ".crt", "gateway CA", "ammctl pki roll gateway-ca"},
        {AMM_PKI_PROFILE_AUTHORITY ".crt", "profile CA", "ammctl pki roll profile-ca"},
    };
    static const char *const keys[] = {AMM_PKI_SERVER_KEY,
                                       AMM_PKI_MANAGER_KEY,
                                       AMM_PKI_TIME_KEY,
                                       AMM_PKI_REMOTE_KEY,
                                       AMM_PKI_GATEWAY_AUTHORITY ".key",
                                       AMM_PKI_PROFILE_AUTHORITY ".key",
                                       "server-ca.key"};
    const struct amm_tunneld_config *config = doctor->ctl->config;
    char path[2 * AMM_CONF_TEXT];
    look_at_certificate(doctor, "tunnel server", config->certificate, "ammctl pki server");
    for (size_t i = 0; i < sizeof certificates / sizeof certificates[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", config->pki, certificates[i].file);
        look_at_certificate(doctor, certificates[i].what, path, certificates[i].cure);
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", config->pki, keys[i]);
        look_at_key(doctor, path);
    }
}

/* ---- programs ---- */

static bool answers(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && strlen(path) < sizeof address.sun_path;
    if (ok) {
        memcpy(address.sun_path, path, strlen(path) + 1);
        ok = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static void look_at_port(struct doctor *doctor, const struct amm_ipc_port *port)
{
    char what[16];
    snprintf(what, sizeof what, "port %u", port->port);
    if (port->draining) {
        finding(doctor, WARNING, what, "is draining: no gateway joins it (ammctl tunnel status)");
    } else if (port->up * 100ULL >= port->limit * 95ULL) {
        finding(doctor, WARNING, what, "%u of %u places are taken: spread gateways by 10034",
                port->up, port->limit);
    } else {
        finding(doctor, GOOD, what, "%u tunnels up, %u places", port->up, port->limit);
    }
}

static void look_at_server(struct doctor *doctor, const struct amm_ipc_server *server)
{
    static const struct {
        enum amm_ipc_alarm alarm;
        const char *text;
    } alarms[] = {
        {AMM_ALARM_CRL, "the revocation lists cannot be read: the last good ones are in use"},
        {AMM_ALARM_ROSTER, "the gateways file is broken: the last good one is in use"},
        {AMM_ALARM_CERTIFICATE, "its certificate is about to end: ammctl pki server, restart it"},
    };
    for (size_t i = 0; i < sizeof alarms / sizeof alarms[0]; i++) {
        if (server->alarms & alarms[i].alarm) {
            finding(doctor, WRONG, "amm-tunneld", "%s (its log says more)", alarms[i].text);
        }
    }
    if (server->engine_restarts > 0) {
        finding(doctor, WARNING, "amm-tunneld",
                "its engine was started again %u times: see its log", server->engine_restarts);
    } else if (server->alarms == 0) {
        finding(doctor, GOOD, "amm-tunneld", "answers, %s", server->version);
    }
}

static void look_at_tunneld(struct doctor *doctor)
{
    struct amm_ipc_message message = {.type = AMM_IPC_STATUS};
    enum ctl_exit status = CTL_OK;
    if (!answers(doctor->ctl->config->control_socket, SOCK_SEQPACKET)) {
        finding(doctor, WRONG, "amm-tunneld", "does not answer at %s: start it, or see its log",
                doctor->ctl->config->control_socket);
        return;
    }
    int fd = ctl_control_open(doctor->ctl);
    bool sent = fd >= 0 && ctl_control_send(fd, &message);
    while (sent && ctl_control_next(fd, &message, &status)) {
        if (message.type == AMM_IPC_SERVER) {
            look_at_server(doctor, &message.server);
        } else if (message.type == AMM_IPC_PORT) {
            look_at_port(doctor, &message.port);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

static json_int_t number(const json_t *object, const char *path)
{
    return json_integer_value(ctl_member(object, path));
}

static void look_at_fleet(struct doctor *doctor, struct ctl_api *api)
{
    enum ctl_exit status;
    json_t *counts = ctl_api_call(api, "GET", "/api/v1/gateways/counts", NULL, &status);
    if (counts) {
        json_int_t late = number(counts, "late"), total = number(counts, "total");
        finding(doctor, late * 10 > total ? WARNING : GOOD, "gateways",
                "%lld, %lld of them late with their check-in%s", (long long)total, (long long)late,
                late * 10 > total ? ": ammctl gateway list --late" : "");
    }
    json_decref(counts);
}

static void look_at_manager(struct doctor *doctor)
{
    enum ctl_exit status;
    if (!answers(doctor->ctl->manager->socket, SOCK_STREAM)) {
        finding(doctor, WRONG, "ammd", "does not answer at %s: start it, or see its log",
                doctor->ctl->manager->socket);
        return;
    }
    struct ctl_api *api = ctl_api_open(doctor->ctl, &status);
    json_t *server = api ? ctl_api_call(api, "GET", "/api/v1/server", NULL, &status) : NULL;
    const char *store = json_string_value(ctl_member(server, "store"));
    if (!store) {
        finding(doctor, WRONG, "ammd", "gives no answer that makes sense: see its log");
    } else if (strcmp(store, "ok") != 0) {
        finding(doctor, WRONG, "ammd", "cannot save: the database is %s", store);
    } else {
        finding(doctor, GOOD, "ammd", "answers, %s",
                json_string_value(ctl_member(server, "version")));
        look_at_fleet(doctor, api);
    }
    json_decref(server);
    ctl_api_close(api);
}

static int doctor_run(const struct ctl *ctl, int argc, char **argv)
{
    struct doctor doctor = {.ctl = ctl, .findings = json_array()};
    (void)argv;
    if (argc != 1) {
        return ctl_fail(CTL_USAGE, "doctor takes no arguments");
    }
    look_at_clock(&doctor);
    look_at_tun(&doctor);
    look_at_disk(&doctor, "gateways file", ctl->config->roster);
    look_at_pki(&doctor);
    look_at_tunneld(&doctor);
    if (ctl->manager) {
        look_at_disk(&doctor, "database", ctl->manager->database);
        look_at_certificate(&doctor, "console", ctl->manager->console_certificate,
                            "get another one, then kill -HUP ammd");
        look_at_key(&doctor, ctl->manager->console_key);
        look_at_manager(&doctor);
    }
    if (ctl->json) {
        ctl_print_json(doctor.findings);
    } else {
        json_decref(doctor.findings);
        printf("\n%u wrong, %u to watch, %u good\n", doctor.count[WRONG], doctor.count[WARNING],
               doctor.count[GOOD]);
    }
    return doctor.count[WRONG] ? CTL_FAILED : CTL_OK;
}

const struct ctl_command ctl_doctor_commands[] = {
    {.name = "doctor",
     .usage = "  look over this server: clock, disk, certificates, programs; says what to do",
     .run = doctor_run,
     .needs_config = true},
    {.name = NULL},
};
